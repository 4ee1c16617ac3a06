//! A piece of a list that is too long for one page.

use std::ops::Range;

/// Entries on one page.
pub(crate) const PIECE: u32 = 25;

/// Which entries of a list a page shows, and where the others are; entries are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The first one shown.
    pub(crate) from: u32,
    /// The one after the last shown; `from`, if none is shown.
    pub(crate) to: u32,
    /// How many there are.
    pub(crate) count: u32,
    /// Where the piece before begins.
    pub(crate) earlier: Option<u32>,
    /// Where the piece after it begins.
    pub(crate) later: Option<u32>,
}

impl Piece {
    /// At most [`PIECE`] entries from a place on, which may lie behind the last one.
    pub(crate) fn new(from: u32, count: u32) -> Self {
        let to = from.saturating_add(PIECE).min(count).max(from);
        Self {
            from,
            to,
            count,
            earlier: (from > 0 && count > 0).then(|| from.min(count).saturating_sub(PIECE)),
            later: (to > from && to < count).then_some(to),
        }
    }
    /// Whether there are more than are shown.
    pub(crate) const fn is_part(&self) -> bool {
        self.to.saturating_sub(self.from) < self.count
    }
    /// Whether nothing is shown.
    pub(crate) const fn is_empty(&self) -> bool {
        self.to == self.from
    }
    /// The entries shown.
    pub(crate) const fn positions(&self) -> Range<usize> {
        self.from as usize..self.to as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_list_follow_each_other_without_a_gap() {
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let piece = Piece::new(from, 60);
            assert!(piece.is_part());
            assert_eq!(piece.earlier, from.checked_sub(PIECE));
            seen.extend(piece.positions());
            let Some(later) = piece.later else { break };
            from = later;
        }
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
    }

    #[test]
    fn what_fits_is_no_part_and_behind_the_end_is_nothing() {
        let whole = Piece::new(0, 25);
        assert!(!whole.is_part() && !whole.is_empty());
        assert_eq!((whole.earlier, whole.later), (None, None));
        let behind = Piece::new(4_000_000_000, 30);
        assert!(behind.is_empty() && behind.is_part() && behind.positions().is_empty());
        assert_eq!((behind.earlier, behind.later), (Some(5), None));
        let none = Piece::new(0, 0);
        assert!(none.is_empty() && !none.is_part() && none.earlier.is_none());
        assert!(Piece::new(u32::MAX, u32::MAX).is_empty());
    }
}
