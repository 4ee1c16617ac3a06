//! What lies in a data directory, in numbers.

use super::StoreError;
use super::check::CheckError;
use super::equivocations::Equivocations;
use super::shared::Shared;
use super::stream::TornEnd;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// A data directory in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StoreStats {
    /// Whether a node runs on it.
    pub running: bool,
    /// Height of the last block.
    pub height: BlockHeight,
    /// Height from which on bodies are kept.
    pub oldest_body_height: BlockHeight,
    /// Blocks for which the network's ordinary nodes keep bodies; 0 for ever.
    pub retention_blocks: u64,
    /// Bytes of headers, certificates and transactions.
    pub headers_bytes: u64,
    /// Files of them.
    pub headers_segments: u64,
    /// Bytes of bodies.
    pub bodies_bytes: u64,
    /// Files of them.
    pub bodies_segments: u64,
    /// Bytes at the end that were never finished.
    pub torn_bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Equivocations recorded.
    pub equivocations: u64,
}

/// Counts what is in a data directory, of a running node too. Changes nothing.
pub fn stats(dir: &Path, genesis: &Genesis) -> Result<StoreStats, CheckError> {
    let shared = Shared::open(dir, genesis)?;
    let (headers_bytes, bodies_bytes) = shared.journal.bytes();
    let [blocks, bodies] = shared.journal.files()?;
    Ok(StoreStats {
        running: shared.running,
        height: shared.journal.height(),
        oldest_body_height: shared.journal.dropped().saturating_add(1),
        retention_blocks: genesis.retention_blocks(),
        headers_bytes,
        headers_segments: blocks.len() as u64,
        bodies_bytes,
        bodies_segments: bodies.len() as u64,
        torn_bytes: shared.journal.cut_bytes(),
        index_bytes: bytes_of(&dir.join("index"))?,
        equivocations: Equivocations::open(&dir.join("journal"), TornEnd::Keep)?.count() as u64,
    })
}

fn bytes_of(folder: &Path) -> Result<u64, StoreError> {
    let io = |e| StoreError::io("read", folder, e);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(io)?,
    };
    let mut sum = 0_u64;
    for entry in entries {
        // What parity-db deletes meanwhile counts nothing.
        sum = sum.saturating_add(entry.map_err(io)?.metadata().map_or(0, |meta| meta.len()));
    }
    Ok(sum)
}
