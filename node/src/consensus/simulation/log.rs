//! The log of votes in memory. It keeps apart what was synced from what was only written: a crash takes the rest.

use crate::consensus::ConsensusError;
use crate::consensus::codec::WireCodec;
use crate::consensus::context::{Height, Sealpost};
use crate::consensus::engine::{Input, decode_entry, encode_entry};
use sealpost_ledger::height::BlockHeight;

/// Votes, proposals and timeouts of one height, encoded as the engine writes them.
#[derive(Debug, Clone, Default)]
pub struct VoteLog {
    height: BlockHeight,
    synced: Vec<Vec<u8>>,
    written: Vec<Vec<u8>>,
}

impl VoteLog {
    /// The process ends. Of what was not synced, the first so many entries reached the disk all the same.
    pub fn crash(&mut self, survivors: usize) {
        self.written.truncate(survivors);
        self.synced.append(&mut self.written);
    }
    /// Entries that a crash could take.
    pub const fn unsynced(&self) -> usize {
        self.written.len()
    }
    /// The height whose votes it holds.
    pub const fn height(&self) -> BlockHeight {
        self.height
    }

    /// Goes to a height. Returns what was logged there before; the log of another height is begun anew.
    pub(super) fn start(&mut self, height: Height) -> Result<Vec<Input<Sealpost>>, ConsensusError> {
        if self.height != height.0 {
            self.reset(height);
        }
        let unreadable = |error| ConsensusError::Task(format!("the log of votes: {error}"));
        self.synced
            .iter()
            .map(|entry| decode_entry(&WireCodec, entry.as_slice()).map_err(unreadable))
            .collect()
    }
    /// Begins anew.
    pub(super) fn reset(&mut self, height: Height) {
        *self = Self { height: height.0, ..Self::default() };
    }
    pub(super) fn append(&mut self, height: Height, entry: Input<Sealpost>) -> Result<(), ConsensusError> {
        // As the engine does: an entry of another height is ignored.
        if height.0 == self.height {
            let mut bytes = Vec::new();
            encode_entry(entry, &WireCodec, &mut bytes)
                .map_err(|error| ConsensusError::Task(format!("the log of votes: {error}")))?;
            self.written.push(bytes);
        }
        Ok(())
    }
    pub(super) fn sync(&mut self) {
        self.synced.append(&mut self.written);
    }
}
