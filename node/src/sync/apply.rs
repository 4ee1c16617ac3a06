//! Verifies a run of blocks that somebody says are final, and appends it: signatures, links, roots,
//! certificates, nothing less than a validator checks. Blocks.

use crate::store::{Ahead, Store, StoreError};
use crate::wire::{EncodedBlock, Fault};
use rayon::prelude::*;
use sealpost_ledger::block::Block;
use sealpost_ledger::certificate::{CommitCertificate, VerifiedCertificate};
use sealpost_ledger::chain::{AuthenticBlock, BareBlock, CommittedBlock, ReplayError, Tip, VerifyError};
use sealpost_ledger::hash::ValidatorsHash;
use sealpost_ledger::height::BlockHeight;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
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
    /// In words.
    pub reason: String,
    /// What whoever brought it did wrong.
    pub fault: Fault,
}

/// Verifies and appends a run that follows the store's tip. `proven` is certainly final: blocks out of the
/// network's retention below it may come without the bodies of their messages, and no others, so that nobody
/// can make a node miss bodies it should have.
///
/// What needs no state (reading, bodies, signatures of transactions and certificates) is done for many blocks at
/// once on all cores, and takes most of the time; the rest is done block after block, while the next ones are read.
pub fn apply(store: &Store, blocks: &[EncodedBlock], proven: BlockHeight) -> Result<Applied, StoreError> {
    let mut tip = store.tip();
    let about =
        About { bodiless: store.bodiless_up_to(proven), deciding: tip.validators().hash(), tip: tip.clone() };
    // Somebody else may have appended some of them meanwhile; that is nobody's fault.
    let news = blocks.iter().filter(|encoded| encoded.certificate.height > about.tip.height());
    let news: Vec<_> = news.collect();
    let mut ahead = Ahead::new(store.clone());
    let mut committed = Vec::with_capacity(blocks.len());
    let (to, prepared) = sync_channel(1);
    let refused = thread::scope(|scope| {
        let (news, about) = (&news, &about);
        scope.spawn(move || {
            // Whoever refuses a block wants no more of them.
            let _ = news.chunks(TOGETHER).try_for_each(|blocks| to.send(prepare(blocks, about)));
        });
        for block in prepared.into_iter().flatten() {
            match block.map_err(Stop::Refused).and_then(|block| block.follow(&tip, &ahead)) {
                Ok(block) => {
                    ahead.add(block.verified());
                    tip = block.tip().clone();
                    committed.push(Arc::new(block));
                }
                Err(Stop::Refused(reason)) => return Ok(Some(reason)),
                Err(Stop::Store(error)) => return Err(error),
            }
        }
        Ok(None)
    })?;
    if !committed.is_empty() {
        ahead.append(&committed, proven)?;
    }
    Ok(Applied { committed, refused })
}

/// Blocks whose signatures are checked together.
const TOGETHER: usize = 16;

/// What a run is held against before its first block is run.
struct About {
    tip: Tip,
    deciding: ValidatorsHash,
    bodiless: BlockHeight,
}

/// A block of which everything was checked that needs no state.
struct Prepared {
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
fn prepare(blocks: &[&EncodedBlock], about: &About) -> Vec<Result<Prepared, Refused>> {
    let read: Vec<_> = blocks.par_iter().map(|encoded| read(encoded, about)).collect();
    let genesis = about.tip.genesis_file();
    let mut whole = Vec::new();
    // Whole blocks go together, the others stay where they are.
    let mut apart = |(block, certificate): (Block, Certificate)| {
        let bare = if lacks_bodies(&block) {
            Some(block)
        } else {
            whole.push(block);
            None
        };
        (bare, certificate)
    };
    let read: Vec<_> = read.into_iter().map(|read| read.map(&mut apart)).collect();
    let mut authentic = AuthenticBlock::verify_many(whole, genesis).into_iter();
    let prepared = |read: Result<(Option<Block>, Certificate), Refused>| {
        let (bare, certificate) = match read {
            Ok(parts) => parts,
            Err(refused) => return Some(Err(refused)),
        };
        let block = match bare {
            Some(block) => BareBlock::verify(block, genesis).map(Content::Bare),
            // As many come out as went in.
            None => authentic.next()?.map(Content::Whole),
        };
        Some(block.map(|block| Prepared { block, certificate }).map_err(false_block))
    };
    read.into_iter().filter_map(prepared).collect()
}

fn read(encoded: &EncodedBlock, about: &About) -> Result<(Block, Certificate), Refused> {
    let genesis = about.tip.genesis_file();
    let block = encoded.read().map_err(false_block)?;
    if lacks_bodies(&block) && block.height() > about.bodiless {
        let reason = format!("block {} comes without the bodies of its messages", block.height());
        // Whoever has dropped them since it was asked is no liar.
        return Err(Refused { reason, fault: Fault::NoAnswer });
    }
    let certificate = encoded.certificate.clone();
    // The header may lie about its validators; then it doesn't follow.
    let certificate = if block.header().validators_hash == about.deciding {
        let verified = certificate.verify_for(&genesis.chain_id(), about.tip.validators());
        Certificate::Verified(verified.map_err(false_block)?)
    } else {
        Certificate::Open(certificate)
    };
    Ok((block, certificate))
}

impl Prepared {
    fn follow(self, tip: &Tip, view: &Ahead) -> Result<CommittedBlock, Stop> {
        let certificate = match self.certificate {
            Certificate::Verified(verified) => verified,
            Certificate::Open(open) => {
                open.verify_for(&tip.genesis_file().chain_id(), tip.validators()).map_err(false_block)?
            }
        };
        match self.block {
            // A clock decides nothing about the past.
            Content::Whole(block) => {
                block.follow(tip, view, None)?.commit_verified(certificate).map_err(|e| false_block(e).into())
            }
            Content::Bare(block) => Ok(block.replay(tip, view, certificate)?),
        }
    }
}

/// Why a run ends before its end.
enum Stop {
    Refused(Refused),
    Store(StoreError),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Stop::Refused(refused)
    }
}

impl From<VerifyError> for Stop {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Invalid(error) => false_block(error).into(),
            VerifyError::View(error) => Stop::Store(error.into()),
        }
    }
}

impl From<ReplayError> for Stop {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Verify(error) => error.into(),
            ReplayError::Certificate(error) => false_block(error).into(),
        }
    }
}

fn false_block(error: impl std::fmt::Display) -> Refused {
    Refused { reason: error.to_string(), fault: Fault::FalseBlock }
}

/// Whether a block was sent without the bodies of its messages.
fn lacks_bodies(block: &Block) -> bool {
    block.bodies().is_empty() && !block.is_whole()
}

#[cfg(test)]
mod tests;
