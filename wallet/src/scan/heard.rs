//! How far somebody has come who tells of sealed messages as scans find them: they are counted. A list that was put together
//! anew, since its file could not be read, has another order and may be shorter: then it is begun again, without what was
//! told before.

use super::state::{Found, ScanState};
use crate::archive::Archive;
use crate::light::Position;
use serde::{Deserialize, Serialize};

/// How far somebody has come in what scans have found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub struct Heard {
    /// How many messages are behind.
    count: usize,
    /// The last of them, by its name in the archive: whoever reads this must not learn whose it is.
    last: Option<String>,
    /// How far scans had looked then: whatever they found up to there is behind.
    looked: Position,
    /// The same of before the list was put together anew.
    before: Position,
}

/// As it is kept; by earlier versions as a number.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Kept {
    Count(usize),
    Whole { count: usize, last: Option<String>, looked: Position, before: Position },
}

impl From<Kept> for Heard {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Count(count) => Self { count, ..Self::default() },
            Kept::Whole { count, last, looked, before } => Self { count, last, looked, before },
        }
    }
}

impl Heard {
    /// Behind everything that was found so far.
    pub(crate) fn all(archive: &Archive, state: &ScanState) -> Self {
        Self::default().with(archive, state).1
    }
    /// What was found since, and how far one has come behind that.
    pub(crate) fn with(&self, archive: &Archive, state: &ScanState) -> (Vec<Found>, Self) {
        let found = state.found();
        let (known, before) = match self.is_of(archive, found) {
            true => (self.count, self.before),
            false => (0, self.looked),
        };
        let new = found.iter().skip(known).filter(|found| found.at > before).copied().collect();
        let last = found.last().map(|found| archive.name(&found.id));
        let looked = self.looked.max(state.position());
        (new, Self { count: found.len(), last, looked, before })
    }
    /// Whether two stand at the same place of the same list.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        (self.count, &self.last, self.before) == (other.count, &other.last, other.before)
    }
    /// Whether this was counted in that list.
    fn is_of(&self, archive: &Archive, found: &[Found]) -> bool {
        match (self.count.checked_sub(1), &self.last) {
            (None, _) => true,
            (Some(place), Some(last)) => {
                found.get(place).is_some_and(|found| archive.name(&found.id) == *last)
            }
            (Some(place), None) => found.len() > place,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::found;
    use super::*;
    use crate::testing::Home;
    use sealpost_ledger::height::BlockHeight;

    fn state(messages: &[u8], looked: u64) -> ScanState {
        let mut state = ScanState::default();
        state.found.extend(messages.iter().map(|height| found(*height)));
        state.looked.position = Position::end_of(BlockHeight::new(looked));
        state
    }
    fn heights(new: &[Found]) -> Vec<u64> {
        new.iter().map(|found| found.at.height.get()).collect()
    }

    #[test]
    fn each_message_is_new_once_in_whatever_order_the_list_is_put_together_anew() {
        let home = Home::new();
        let wallet = home.wallet("alice");
        let archive = wallet.archive();
        let heard = Heard::all(archive, &state(&[3, 5], 5));
        let (new, heard) = heard.with(archive, &state(&[3, 5, 4, 9], 10));
        assert_eq!(heights(&new), [4, 9], "one that another node had left out, too");
        // The key of one is gone, and the archive had another; meanwhile one more came.
        let (new, heard) = heard.with(archive, &state(&[9, 11, 3, 4], 20));
        assert_eq!(heights(&new), [11]);
        let (new, heard) = heard.with(archive, &state(&[9, 11, 3, 4, 5, 12], 20));
        assert_eq!(heights(&new), [12]);
        // Shorter, and with nothing new: what was told is not told again.
        let (new, heard) = heard.with(archive, &state(&[9], 9));
        assert!(new.is_empty() && heard.before == Position::end_of(BlockHeight::new(20)));
        let (new, _) = heard.with(archive, &state(&[9, 12, 30], 30));
        assert_eq!(heights(&new), [30]);
    }

    #[test]
    fn what_an_earlier_version_has_kept_is_read_and_nothing_is_passed_over_by_it() {
        let home = Home::new();
        let wallet = home.wallet("alice");
        let archive = wallet.archive();
        let earlier: Heard = serde_json::from_str("2").unwrap();
        let (new, heard) = earlier.with(archive, &state(&[3, 5, 9], 10));
        assert_eq!(heights(&new), [9]);
        let again: Heard = serde_json::from_str(&serde_json::to_string(&heard).unwrap()).unwrap();
        assert_eq!(again, heard);
        assert_eq!(heights(&earlier.with(archive, &state(&[9], 10)).0), [9]);
    }
}
