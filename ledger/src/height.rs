//! Block heights. Height is the only clock that decides validity, so its arithmetic is checked.

use crate::codec::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The place of a block in the chain. The first block has height 1; 0 stands for the genesis.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BlockHeight(u64);

impl BlockHeight {
    /// Before the first block.
    pub const GENESIS: Self = Self(0);
    /// The first block.
    pub const FIRST: Self = Self(1);

    /// Names a height.
    pub const fn new(height: u64) -> Self {
        Self(height)
    }
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// The height after this one; `None` at the end of the numbers.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }
    /// The height before this one; `None` at the genesis.
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }
    /// This height plus `blocks`, or the largest height there is.
    pub const fn saturating_add(self, blocks: u64) -> Self {
        Self(self.0.saturating_add(blocks))
    }
    /// This height less `blocks`, or the genesis.
    pub const fn saturating_sub(self, blocks: u64) -> Self {
        Self(self.0.saturating_sub(blocks))
    }
    /// How many blocks `self` lies after `earlier`; 0 if it doesn't.
    pub const fn blocks_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for BlockHeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BlockHeight {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
