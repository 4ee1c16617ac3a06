//! Verifies a run of blocks that somebody says are final, and appends it: signatures, links, roots,
//! certificates, nothing less than a validator checks. Blocks.

use crate::store::{Ahead, Store, StoreError};
use crate::waiting::Waiting;
use crate::wire::{EncodedBlock, Fault};
use rayon::prelude::*;
use sealpost_ledger::block::Block;
use sealpost_ledger::certificate::{CertificateError, CommitCertificate, VerifiedCertificate};
use sealpost_ledger::chain::{AuthenticBlock, BareBlock, CommittedBlock, ReplayError, Tip, VerifyError};
use sealpost_ledger::hash::ValidatorsHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::SignedTransaction;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How far a run held.
#[derive(Debug)]
pub struct Applied {
    /// The blocks that hold; they are on disk.
    pub committed: Vec<Arc<CommittedBlock>>,
    /// Why the next one does not, if so.
    pub refused: Option<Refused>,
}

/// Why a block was not taken.
#[derive(Debug)]
pub struct Refused {
    /// Which of the blocks that were given.
    pub position: usize,
    /// In words.
    pub reason: String,
    /// What whoever brought it did wrong.
    pub fault: Fault,
}

/// Verifies and appends a run that follows the store's tip. `proven` is certainly final: blocks out of the
/// network's retention below it may come without the bodies of their messages, and no others, so that nobody
/// can make a node miss bodies it should have.
///
/// Three stages work at once, each on blocks that the one before has done with: what needs no state (reading, bodies,
/// signatures of transactions and certificates) is done for many blocks together on all cores, and takes most of the
/// time; then blocks are run one after another; then they are written, as many together as wait.
pub fn apply(store: &Store, blocks: &[EncodedBlock], proven: BlockHeight) -> Result<Applied, StoreError> {
    apply_knowing(store, blocks, proven, &Waiting::default())
}

/// As [`apply`], for whoever has verified some of the transactions before: those are not verified again.
pub(super) fn apply_knowing(
    store: &Store,
    blocks: &[EncodedBlock],
    proven: BlockHeight,
    waiting: &Waiting,
) -> Result<Applied, StoreError> {
    let tip = store.tip();
    let about =
        About { bodiless: store.bodiless_up_to(proven), deciding: tip.validators().hash(), tip: tip.clone() };
    // Somebody else may have appended some of them meanwhile; that is nobody's fault.
    let news = blocks.iter().enumerate().filter(|(_, encoded)| encoded.certificate.height > tip.height());
    let news: Vec<_> = news.collect();
    let (to_run, prepared) = sync_channel(1);
    let (to_write, followed) = sync_channel(TOGETHER);
    thread::scope(|scope| {
        let (news, about) = (&news, &about);
        scope.spawn(move || {
            // Whoever refuses a block wants no more of them.
            let _ = portions(news).try_for_each(|blocks| to_run.send(prepare(blocks, about, waiting)));
        });
        let writer = scope.spawn(move || write(store, &followed, proven));
        let refused = follow(store, tip, prepared.into_iter().flatten(), to_write);
        let panicked = |_| StoreError::Fatal { reason: "the thread that writes blocks has panicked".into() };
        let committed = writer.join().map_err(panicked)??;
        Ok(Applied { committed, refused: refused? })
    })
}

/// Runs blocks one after another and hands them on. Says why one is not taken, if so.
fn follow(
    store: &Store,
    mut tip: Tip,
    blocks: impl Iterator<Item = Result<Prepared, Refused>>,
    to: SyncSender<Arc<CommittedBlock>>,
) -> Result<Option<Refused>, StoreError> {
    let mut ahead = Ahead::new(store.clone());
    for block in blocks {
        match block.map_err(Stop::Refused).and_then(|block| block.follow(&tip, &ahead)) {
            Ok(block) => {
                ahead.add(block.verified());
                tip = block.tip().clone();
                if to.send(Arc::new(block)).is_err() {
                    // Writing has failed, and says why.
                    return Ok(None);
                }
            }
            Err(Stop::Refused(reason)) => return Ok(Some(reason)),
            Err(Stop::Store(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// Writes blocks as they come. What waits is written together, with one sync.
fn write(
    store: &Store,
    blocks: &Receiver<Arc<CommittedBlock>>,
    proven: BlockHeight,
) -> Result<Vec<Arc<CommittedBlock>>, StoreError> {
    let mut written = Vec::new();
    while let Ok(first) = blocks.recv() {
        let run: Vec<_> = std::iter::once(first).chain(blocks.try_iter().take(TOGETHER)).collect();
        store.append_many_below(&run, proven)?;
        written.extend(run);
    }
    Ok(written)
}

/// Blocks whose signatures are checked together, and that are written together at most.
const TOGETHER: usize = 16;
/// As few at least, if there are as many: fewer signatures cost more each.
const FEWEST: usize = 4;

/// The run in portions of [`TOGETHER`], smaller ones at its end: once the last signatures are checked, nothing but
/// what depends on them keeps the cores busy.
fn portions<T>(mut rest: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = rest.len().div_ceil(2).clamp(FEWEST, TOGETHER).min(rest.len());
        let (portion, later) = rest.split_at_checked(size).filter(|(portion, _)| !portion.is_empty())?;
        rest = later;
        Some(portion)
    })
}

/// What a run is held against before its first block is run.
struct About {
    tip: Tip,
    deciding: ValidatorsHash,
    bodiless: BlockHeight,
}

/// A block of which everything was checked that needs no state.
struct Prepared {
    position: usize,
    block: Content,
    certificate: Certificate,
}

enum Content {
    Whole(AuthenticBlock),
    Bare(BareBlock),
}

enum Certificate {
    Verified(VerifiedCertificate),
    /// Of validators that a block of the same run brings: verified when its turn comes.
    Open(CommitCertificate),
}

/// Checks what needs no state.
fn prepare(
    blocks: &[(usize, &EncodedBlock)],
    about: &About,
    waiting: &Waiting,
) -> Vec<Result<Prepared, Refused>> {
    let read: Vec<_> = blocks.par_iter().map(|(position, encoded)| read(*position, encoded, about)).collect();
    let genesis = about.tip.genesis_file();
    let (mut whole, mut named) = (Vec::new(), Vec::new());
    // Whole blocks go together, and certificates of validators that are known; the others stay where they are.
    let mut apart = |Read { position, block, certificate }| {
        // The header may lie about its validators; then it doesn't follow.
        let open = if block.header().validators_hash == about.deciding {
            named.push(certificate);
            None
        } else {
            Some(certificate)
        };
        let bare = if lacks_bodies(&block) {
            Some(block)
        } else {
            whole.push(block);
            None
        };
        (position, bare, open)
    };
    let read: Vec<_> = read.into_iter().map(|read| read.map(&mut apart)).collect();
    let known = waiting.find(whole.iter().flat_map(Block::transactions).map(SignedTransaction::id));
    let (authentic, verified) = rayon::join(
        || AuthenticBlock::verify_many_knowing(whole, genesis, &known),
        || CommitCertificate::verify_many_for(named, &genesis.chain_id(), about.tip.validators()),
    );
    let (mut authentic, mut verified) = (authentic.into_iter(), verified.into_iter());
    let prepared = |read: Result<(usize, Option<Block>, Option<CommitCertificate>), Refused>| {
        let (position, bare, open) = match read {
            Ok(parts) => parts,
            Err(refused) => return Some(Err(refused)),
        };
        // As many come out as went in.
        let certificate = match open {
            Some(open) => Ok(Certificate::Open(open)),
            None => verified.next()?.map(Certificate::Verified),
        };
        let block = match bare {
            Some(block) => BareBlock::verify(block, genesis).map(Content::Bare),
            None => authentic.next()?.map(Content::Whole),
        };
        let certificate = certificate.map_err(|error| false_block(position, error));
        let block = block.map_err(|error| false_block(position, error));
        Some(certificate.and_then(|certificate| Ok(Prepared { position, block: block?, certificate })))
    };
    read.into_iter().filter_map(prepared).collect()
}

/// A block that was read, and its certificate.
struct Read {
    position: usize,
    block: Block,
    certificate: CommitCertificate,
}

fn read(position: usize, encoded: &EncodedBlock, about: &About) -> Result<Read, Refused> {
    let block = encoded.read().map_err(|error| false_block(position, error))?;
    if lacks_bodies(&block) && block.height() > about.bodiless {
        let reason = format!("block {} comes without the bodies of its messages", block.height());
        // Whoever has dropped them since it was asked is no liar.
        return Err(Refused { position, reason, fault: Fault::NoAnswer });
    }
    Ok(Read { position, block, certificate: encoded.certificate.clone() })
}

impl Prepared {
    fn follow(self, tip: &Tip, view: &Ahead) -> Result<CommittedBlock, Stop> {
        let Self { position, block, certificate } = self;
        let no_block = |error: CertificateError| Stop::Refused(false_block(position, error));
        let certificate = match certificate {
            Certificate::Verified(verified) => verified,
            Certificate::Open(open) => {
                open.verify_for(&tip.genesis_file().chain_id(), tip.validators()).map_err(no_block)?
            }
        };
        match block {
            // A clock decides nothing about the past.
            Content::Whole(block) => {
                let verified = block.follow(tip, view, None).map_err(|error| unverified(position, error))?;
                verified.commit_verified(certificate).map_err(no_block)
            }
            Content::Bare(block) => block.replay(tip, view, certificate).map_err(|error| match error {
                ReplayError::Verify(error) => unverified(position, error),
                ReplayError::Certificate(error) => no_block(error),
            }),
        }
    }
}

/// Why a run ends before its end.
enum Stop {
    Refused(Refused),
    Store(StoreError),
}

fn unverified(position: usize, error: VerifyError) -> Stop {
    match error {
        VerifyError::Invalid(error) => Stop::Refused(false_block(position, error)),
        VerifyError::View(error) => Stop::Store(error.into()),
    }
}

fn false_block(position: usize, error: impl std::fmt::Display) -> Refused {
    Refused { position, reason: error.to_string(), fault: Fault::FalseBlock }
}

/// Whether a block was sent without the bodies of its messages.
fn lacks_bodies(block: &Block) -> bool {
    block.bodies().is_empty() && !block.is_whole()
}

#[cfg(test)]
mod tests;
