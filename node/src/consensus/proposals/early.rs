//! Pieces whose opening has not come yet. Anybody can send those, under any names, and whether they are right shows only
//! when it comes. So they have places of their own, in which they crowd out nothing but one another, the oldest first.

use super::super::context::PieceHash;
use super::StreamKey;
use bytes::Bytes;
use sealpost_ledger::hash::sha256;
use sealpost_ledger::height::BlockHeight;
use std::collections::BTreeMap;

/// Bytes kept together: three times the longest block that any genesis allows. Whoever wants to crowd out a piece has to
/// send that much while it waits for its opening, which is sent before it.
pub(super) const MAX_EARLY_BYTES: usize = 32 * 1024 * 1024;
/// What a piece takes besides its bytes.
const PLACE_BYTES: usize = 512;

/// A piece of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) sequence: u64,
    pub(super) bytes: Bytes,
    pub(super) last: bool,
}

/// Different ones that claim the same place stand beside each other: one may be right.
type Name = (StreamKey, u64, PieceHash);

/// The pieces.
#[derive(Debug, Default)]
pub(super) struct Early {
    pieces: BTreeMap<Name, (u64, Piece)>,
    /// As they came.
    order: BTreeMap<u64, Name>,
    bytes: usize,
    count: u64,
}

impl Early {
    /// Keeps a piece, in the place of the oldest if there is no room.
    pub(super) fn put(&mut self, key: StreamKey, piece: Piece) {
        let name = (key, piece.sequence, sha256(&[piece.bytes.as_ref()]));
        if self.pieces.contains_key(&name) {
            return;
        }
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(cost(&piece));
        self.order.insert(self.count, name);
        self.pieces.insert(name, (self.count, piece));
        while self.bytes > MAX_EARLY_BYTES
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.remove(&oldest);
        }
    }
    /// Gives out the pieces of a block.
    pub(super) fn take(&mut self, key: &StreamKey) -> Vec<Piece> {
        let of_key = self.pieces.range((*key, 0, [0; 32])..=(*key, u64::MAX, [u8::MAX; 32]));
        let names: Vec<Name> = of_key.map(|(name, _)| *name).collect();
        names.iter().filter_map(|name| self.remove(name)).collect()
    }
    /// Drops those for heights before this one.
    pub(super) fn forget_before(&mut self, height: BlockHeight) {
        let names = self.pieces.keys().take_while(|(key, ..)| key.height < height);
        for name in names.copied().collect::<Vec<_>>() {
            self.remove(&name);
        }
    }
    /// Bytes that they take.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
    fn remove(&mut self, name: &Name) -> Option<Piece> {
        let (number, piece) = self.pieces.remove(name)?;
        self.order.remove(&number);
        self.bytes = self.bytes.saturating_sub(cost(&piece));
        Some(piece)
    }
}

const fn cost(piece: &Piece) -> usize {
    piece.bytes.len().saturating_add(PLACE_BYTES)
}
