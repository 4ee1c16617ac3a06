//! Answers about the present. A state that is proven is proven for a block, and the node chooses which: it may not
//! choose one that is older than what it has shown before, or it could show an absence from before something came.

use super::{ReadError, Reader};
use sealpost_api::SealedHeader;
use sealpost_ledger::block::Header;
use sealpost_ledger::height::BlockHeight;
use std::sync::PoisonError;

/// How many blocks an answer may be behind: several questions may be on their way at a time.
const SLACK: u64 = 16;

/// The highest block that had been verified when a question was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor(BlockHeight);

impl Floor {
    /// No state from before this block answers the question.
    pub(super) fn and(self, height: BlockHeight) -> Self {
        // Exactly: the slack is for what is asked at the same time.
        Self(self.0.max(height.saturating_add(SLACK)))
    }
    fn allows(self, height: BlockHeight) -> bool {
        height.saturating_add(SLACK) >= self.0
    }
}

impl Reader {
    /// To be taken before the question is asked.
    pub(super) fn floor(&self) -> Floor {
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        Floor(headers.highest().unwrap_or_default())
    }
    /// The header that an answer about the present is for.
    pub(super) async fn present(
        &self,
        floor: Floor,
        told: &SealedHeader,
        what: impl std::fmt::Display,
    ) -> Result<Header, ReadError> {
        let header = self.verify_header(told).await?;
        match floor.allows(header.height) {
            true => Ok(header),
            false => Err(ReadError::other(format_args!(
                "{what}, which is told for the old block {}",
                header.height
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_be_a_little_behind_and_never_before_its_subject() {
        let (seen, at) = (Floor(BlockHeight::new(100)), |height| BlockHeight::new(height));
        assert!(seen.allows(at(84)) && !seen.allows(at(83)));
        let about = seen.and(at(95));
        assert!(about.allows(at(95)) && !about.allows(at(94)));
        let early = seen.and(at(3));
        assert!(early.allows(at(84)) && !early.allows(at(83)));
    }
}
