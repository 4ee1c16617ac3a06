//! Checking a snapshot against the genesis, in one walk: hashes of the files, links, roots and certificates
//! from the first block on, every body, and the state after the last block.

use super::file::Reader;
use super::in_office::InOffice;
use super::{
    BODIES, Checkpoint, HEADERS, MANIFEST, MAX_MANIFEST_BYTES, Manifest, SNAPSHOT_FORMAT, STATE,
    SnapshotError, SnapshotReport,
};
use crate::store::frame::Kind;
use crate::store::record::{BlockRecord, decode_block, decode_bodies};
use sealpost_ledger::block::{BLOCK_VERSION, history_leaf, transaction_root};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{BlockHash, HistoryRoot, StateRoot};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle::HistoryFrontier;
use sealpost_ledger::state::root_of;
use sealpost_ledger::transaction::SignedTransaction;
use std::fs;
use std::path::Path;

/// Checks a snapshot. `progress` is told each height that holds, and the last.
pub fn verify(
    dir: &Path,
    genesis: &Genesis,
    checkpoint: Option<Checkpoint>,
    progress: impl FnMut(BlockHeight, BlockHeight),
) -> Result<SnapshotReport, SnapshotError> {
    walk(dir, genesis, checkpoint, progress, |_, _, _| Ok(()))
}

/// Checks a snapshot and hands on each record of blocks and bodies that holds, in the journal's order:
/// a block's bodies before the block.
pub(super) fn walk(
    dir: &Path,
    genesis: &Genesis,
    checkpoint: Option<Checkpoint>,
    mut progress: impl FnMut(BlockHeight, BlockHeight),
    mut take: impl FnMut(Kind, BlockHeight, &[u8]) -> Result<(), SnapshotError>,
) -> Result<SnapshotReport, SnapshotError> {
    let manifest = read_manifest(dir)?;
    if manifest.chain != genesis.chain_id() {
        return Err(SnapshotError::OtherChain { found: manifest.chain, expected: genesis.chain_id() });
    }
    check_reach(&manifest, checkpoint)?;
    let [headers, bodies, state] = manifest.files.as_slice() else {
        return Err(no_snapshot(dir, "three files are expected".into()));
    };
    let mut report = SnapshotReport {
        transactions: 0,
        bodies: 0,
        absent_bodies: 0,
        state_entries: 0,
        bytes: manifest.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes)),
        manifest: manifest.clone(),
    };
    // All three first: a missing or shortened file is known before the long walk.
    let (mut headers, mut bodies) = (Reader::open(dir, headers)?, Reader::open(dir, bodies)?);
    let mut state = Reader::open(dir, state)?;
    let mut chain = Chain::new(genesis);
    let bodiless = manifest.bodiless_up_to(genesis);
    let out_of_retention = manifest.height.saturating_sub(genesis.retention_blocks());
    while chain.height < manifest.height {
        let begin = headers.offset();
        let found = headers.next(Kind::Block)?;
        let found = found.ok_or_else(|| headers.damaged(begin, None, "the blocks end too early".into()))?;
        let wrong = |what| headers.damaged(found.offset, Some(found.height), what);
        let record = decode_block(&found.payload).map_err(|e| wrong(e.to_string()))?;
        chain.follow(&record).map_err(wrong)?;
        check_point(checkpoint, chain.height, chain.block)?;
        report.transactions = report.transactions.saturating_add(record.transactions.len() as u64);
        if chain.height > bodiless {
            let count = take_bodies(&mut bodies, chain.height, &record.transactions, &mut take)?;
            report.bodies = report.bodies.saturating_add(count);
        } else if chain.height > out_of_retention {
            let messages = record.transactions.iter().filter(|t| t.message().is_some()).count();
            report.absent_bodies = report.absent_bodies.saturating_add(messages as u64);
        }
        take(Kind::Block, chain.height, &found.payload)?;
        progress(chain.height, manifest.height);
    }
    headers.finish(Kind::Block)?;
    bodies.finish(Kind::Bodies)?;
    if chain.block != manifest.block {
        let what = format!("it names block {}, the last one is {}", manifest.block, chain.block);
        return Err(SnapshotError::Damaged { file: dir.join(MANIFEST), offset: 0, height: None, what });
    }
    let mut entries = Vec::new();
    while let Some(found) = state.next(Kind::Entry)? {
        let place = found.offset;
        let (key, value) = found
            .payload
            .split_first_chunk::<32>()
            .ok_or_else(|| state.damaged(place, None, "an entry without key".into()))?;
        entries.push((*key, value.to_vec()));
    }
    report.state_entries = entries.len() as u64;
    let root = root_of(entries).map_err(|e| state.damaged(0, None, e.to_string()))?;
    if root != chain.state_root {
        let what = format!("its entries make root {root}, the last block has {}", chain.state_root);
        return Err(state.damaged(0, Some(chain.height.get()), what));
    }
    state.finish(Kind::Entry)?;
    Ok(report)
}

fn no_snapshot(dir: &Path, what: String) -> SnapshotError {
    SnapshotError::NoSnapshot { path: dir.into(), what }
}

fn read_manifest(dir: &Path) -> Result<Manifest, SnapshotError> {
    let path = dir.join(MANIFEST);
    let length = fs::metadata(&path).map_err(|e| no_snapshot(dir, format!("{MANIFEST}: {e}")))?.len();
    if length > MAX_MANIFEST_BYTES {
        return Err(no_snapshot(
            dir,
            format!("{MANIFEST}: {length} bytes, the limit is {MAX_MANIFEST_BYTES}"),
        ));
    }
    let text = fs::read(&path).map_err(|e| SnapshotError::io("read", &path, e))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|e| no_snapshot(dir, format!("{MANIFEST}: {e}")))?;
    if manifest.format != SNAPSHOT_FORMAT {
        let what = format!("{MANIFEST}: format {:?}, expected {SNAPSHOT_FORMAT:?}", manifest.format);
        return Err(no_snapshot(dir, what));
    }
    // These names and no others: a manifest must not lead out of its folder.
    if !manifest.files.iter().map(|file| file.name.as_str()).eq([HEADERS, BODIES, STATE]) {
        return Err(no_snapshot(dir, format!("{MANIFEST}: its files are not {HEADERS}, {BODIES}, {STATE}")));
    }
    if manifest.height == BlockHeight::GENESIS {
        return Err(no_snapshot(dir, format!("{MANIFEST}: height 0")));
    }
    Ok(manifest)
}

fn check_reach(manifest: &Manifest, checkpoint: Option<Checkpoint>) -> Result<(), SnapshotError> {
    match checkpoint {
        Some(Checkpoint { height, block }) if height > manifest.height => {
            let found = format!("blocks up to height {} only", manifest.height);
            Err(SnapshotError::Checkpoint { height, expected: block, found })
        }
        _ => Ok(()),
    }
}

fn check_point(
    checkpoint: Option<Checkpoint>,
    height: BlockHeight,
    found: BlockHash,
) -> Result<(), SnapshotError> {
    match checkpoint {
        Some(point) if point.height == height && point.block != found => {
            Err(SnapshotError::Checkpoint { height, expected: point.block, found: found.to_string() })
        }
        _ => Ok(()),
    }
}

/// Checks the bodies of a block's messages and hands them on. Returns how many there are.
fn take_bodies(
    file: &mut Reader,
    height: BlockHeight,
    transactions: &[SignedTransaction],
    take: &mut impl FnMut(Kind, BlockHeight, &[u8]) -> Result<(), SnapshotError>,
) -> Result<u64, SnapshotError> {
    let messages: Vec<_> = transactions.iter().filter_map(SignedTransaction::message).collect();
    if messages.is_empty() {
        return Ok(0);
    }
    let begin = file.offset();
    let found = file.next(Kind::Bodies)?;
    let wrong = |what: &str| file.damaged(begin, Some(height.get()), what.into());
    let found = found.filter(|found| found.height == height.get());
    let found = found.ok_or_else(|| wrong("the bodies of this block are missing"))?;
    let bodies = decode_bodies(&found.payload).map_err(|e| wrong(&e.to_string()))?;
    let fit = messages.iter().zip(&bodies).all(|(message, body)| {
        body.hash() == message.body_hash && body.as_bytes().len() as u64 == u64::from(message.body_length)
    });
    if bodies.len() != messages.len() || !fit {
        return Err(wrong("the bodies are not those of this block's messages"));
    }
    take(Kind::Bodies, height, &found.payload)?;
    Ok(bodies.len() as u64)
}

/// The chain as far as its headers have been followed.
struct Chain<'a> {
    genesis: &'a Genesis,
    height: BlockHeight,
    block: BlockHash,
    time_ms: u64,
    history: HistoryFrontier,
    state_root: StateRoot,
    in_office: InOffice<'a>,
}

impl<'a> Chain<'a> {
    fn new(genesis: &'a Genesis) -> Self {
        Self {
            genesis,
            height: BlockHeight::GENESIS,
            block: genesis.chain_id().into(),
            time_ms: genesis.time_ms(),
            history: HistoryFrontier::default(),
            state_root: StateRoot::from_bytes([0; 32]),
            in_office: InOffice::new(genesis),
        }
    }
    /// Checks a block's links, roots and certificate, and goes on to it. The error says what is wrong.
    fn follow(&mut self, record: &BlockRecord) -> Result<(), String> {
        let header = &record.header;
        let hash = header.hash();
        let leaves: Vec<_> = record.transactions.iter().map(SignedTransaction::leaf).collect();
        let checks = [
            ("version", header.version == BLOCK_VERSION),
            ("chain", header.chain == self.genesis.chain_id()),
            ("height", header.height == self.height.saturating_add(1)),
            ("parent", header.parent == self.block),
            ("time", header.time_ms >= self.time_ms),
            ("transaction count", u64::from(header.transaction_count) == leaves.len() as u64),
            ("transactions root", header.tx_root == transaction_root(&leaves)),
            ("history root", header.history_root == HistoryRoot::from_bytes(self.history.root())),
            ("validators hash", header.validators_hash == self.in_office.present().hash()),
        ];
        if let Some((what, _)) = checks.iter().find(|(_, held)| !held) {
            return Err(format!("the block's {what} does not follow from the blocks before it"));
        }
        let certificate = &record.certificate;
        certificate
            .verify(&header.chain, header.height, &hash, self.in_office.present())
            .map_err(|e| format!("the block's certificate: {e}"))?;
        self.in_office.follow(record)?;
        self.history.append(history_leaf(&hash));
        (self.height, self.block, self.time_ms) = (header.height, hash, header.time_ms);
        self.state_root = header.state_root;
        Ok(())
    }
}
