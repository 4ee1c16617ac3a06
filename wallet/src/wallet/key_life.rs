//! The life of encryption keys as rules, without node or disk: when a bundle is due for rotation, when a
//! superseded one's secret may be destroyed, and when the ledger shows a change that this wallet did not make.
//!
//! Only heights decide what the ledger accepts, but a person thinks in days. Days are counted by the times of
//! proven blocks, never by this machine's clock; what the ledger could still accept is counted in blocks.

use crate::keystore::{KeysHash, Moment, Origin, Publication, Secrets};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::BundleRecord;
use std::fmt;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The fastest pace a bundle's last height is made for, where the genesis allows a faster one.
const FASTEST_BLOCK_MS: u64 = 10;
/// A bundle can be used for so many rotations at the fastest pace, so that a flood of blocks makes nobody
/// unreachable whose wallet rotates on time.
const VALID_ROTATIONS: u32 = 2;

/// How long a secret that is past its grace period waits at most for letters that can't be kept yet: long enough for
/// another node to be asked, and bounded, so that neither a node that withholds a body nor a sender who names parts
/// that are not on the ledger keeps a secret alive for ever.
const LONGEST_POSTPONEMENT: Duration = DAY.saturating_mul(28);

/// What becomes of letters whose secret is due to be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LastLetters {
    /// They go to the archive first. Their secret waits for those that are not to be had, but not for ever.
    #[default]
    Keep,
    /// They go with their secret.
    LetGo,
}

/// When keys are rotated and destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTerms {
    /// Age at which a bundle is superseded; nothing: only when a person asks for it.
    pub rotate_after: Option<Duration>,
    /// How long a superseded bundle's secret is kept at least.
    pub grace: Duration,
    /// What becomes of letters before it is destroyed.
    pub last_letters: LastLetters,
}

impl Default for KeyTerms {
    fn default() -> Self {
        Self { rotate_after: Some(DAY * 7), grace: DAY * 28, last_letters: LastLetters::Keep }
    }
}

impl KeyTerms {
    /// In days; 0 days of rotation means never.
    pub fn from_days(rotate: u32, grace: u32) -> Self {
        let last_letters = LastLetters::Keep;
        Self { rotate_after: (rotate > 0).then(|| DAY * rotate), grace: DAY * grace, last_letters }
    }
    /// The same, with letters that go with their secrets or not.
    pub fn with_last_letters(self, last_letters: LastLetters) -> Self {
        Self { last_letters, ..self }
    }
    /// Blocks for which a new bundle is to be used: at least two rotations, however fast
    /// blocks come; on a slow network longer in days. Without rotation, a year.
    pub fn valid_blocks(&self, genesis: &Genesis) -> u64 {
        let lasting = self.rotate_after.map_or(DAY * 365, |after| after.max(DAY) * VALID_ROTATIONS);
        millis(lasting).checked_div(fastest_block_ms(genesis)).unwrap_or(u64::MAX)
    }
    /// Whether a bundle published then is old enough to be superseded.
    fn is_old(&self, published: &Moment, head: &Moment) -> bool {
        self.rotate_after.is_some_and(|after| head.time_ms >= published.time_ms.saturating_add(millis(after)))
    }
    /// From when on a bundle's secret may be destroyed that was superseded then: when no message that was
    /// signed before its sender could see the new bundle can still be accepted (the whole window in which a
    /// transaction may expire), and when there was time to read what came.
    pub fn grace_ends(&self, superseded: &Moment, genesis: &Genesis) -> Moment {
        Moment {
            height: superseded.height.saturating_add(genesis.limits().expiry_window),
            time_ms: superseded.time_ms.saturating_add(millis(self.grace)),
        }
    }
}

/// Days that so many blocks take at least. How long they take at most depends on how many people write: up
/// to the genesis' heartbeat each.
pub fn least_days(blocks: u64, genesis: &Genesis) -> u64 {
    blocks.saturating_mul(fastest_block_ms(genesis)).checked_div(millis(DAY)).unwrap_or(0)
}

fn fastest_block_ms(genesis: &Genesis) -> u64 {
    u64::from(genesis.timing().block_interval_ms).max(FASTEST_BLOCK_MS)
}

/// How the newest bundle on the ledger stands to what this wallet knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Unpublished,
    /// It is this copy's.
    Ours,
    /// It is not this copy's, and the person knows: this copy was restored from the words.
    Elsewhere,
    /// Somebody else changed it.
    Alarm(Alarm),
}

/// A change of the wallet's directory entry that this wallet did not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// A bundle that was not made here.
    Published {
        /// Its number.
        sequence: u64,
        /// Its block.
        height: BlockHeight,
    },
    /// A withdrawal that was not made here.
    Withdrawn {
        /// Number of the bundle.
        sequence: u64,
        /// From when on it is withdrawn.
        from: BlockHeight,
    },
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Alarm::Published { sequence, height } => write!(
                f,
                "block {height} has key bundle #{sequence} of this identity, and this wallet did not publish it"
            ),
            Alarm::Withdrawn { sequence, from } => write!(
                f,
                "key bundle #{sequence} is withdrawn from height {from} on, and this wallet did not withdraw it"
            ),
        }
    }
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nobody can write to this copy before it publishes keys.
    Publish,
    /// The newest bundle is old, or near its last height.
    Rotate,
    /// Secrets of these superseded bundles are past their grace period.
    Destroy(Vec<u64>),
}

/// Compares the proven newest bundle with what is known.
pub(super) fn standing(newest: Option<&BundleRecord>, secrets: &Secrets) -> Standing {
    let Some(record) = newest else { return Standing::Unpublished };
    let sequence = record.bundle.sequence;
    // A copy that has published nothing and was told nothing: the keys there are are another's.
    if secrets.publications.iter().all(|known| known.published.is_none())
        && secrets.publication(sequence).is_none()
    {
        return Standing::Elsewhere;
    }
    let known = secrets.publication(sequence).filter(|known| known.keys == KeysHash::of(&record.bundle));
    let Some(known) = known else {
        return Standing::Alarm(Alarm::Published { sequence, height: record.height });
    };
    match record.revoked_from {
        Some(from) if known.withdrawn_from.is_none_or(|own| from < own) => {
            Standing::Alarm(Alarm::Withdrawn { sequence, from })
        }
        _ if known.origin == Origin::Elsewhere => Standing::Elsewhere,
        _ => Standing::Ours,
    }
}

/// What is due under a head. `published` is the block of the newest bundle.
pub(super) fn due(
    standing: Standing,
    newest: Option<&BundleRecord>,
    published: Option<&Moment>,
    secrets: &Secrets,
    terms: &KeyTerms,
    genesis: &Genesis,
    head: &Moment,
) -> Vec<Due> {
    let mut due = Vec::new();
    match (standing, newest) {
        (Standing::Alarm(_), _) => return due,
        (Standing::Unpublished | Standing::Elsewhere, _) | (_, None) => due.push(Due::Publish),
        // Whoever withdraws keys decides when there are new ones.
        (Standing::Ours, Some(record)) if record.revoked_from.is_some() => {}
        (Standing::Ours, Some(record)) => {
            let left = record.bundle.valid_until.blocks_since(head.height);
            let whole = record.bundle.valid_until.blocks_since(record.height);
            let runs_out = left <= whole / 4;
            if runs_out || published.is_some_and(|published| terms.is_old(published, head)) {
                due.push(Due::Rotate);
            }
        }
    }
    let over = destroyable(secrets, terms, genesis, head);
    if !over.is_empty() {
        due.push(Due::Destroy(over));
    }
    due
}

/// The superseded bundles whose secrets are here and past their grace period. None of an archival wallet.
pub(super) fn destroyable(secrets: &Secrets, terms: &KeyTerms, genesis: &Genesis, head: &Moment) -> Vec<u64> {
    if secrets.archival {
        return Vec::new();
    }
    let over = |known: &&Publication| {
        known.superseded.is_some_and(|superseded| {
            let end = terms.grace_ends(&superseded, genesis);
            head.height > end.height && head.time_ms >= end.time_ms
        })
    };
    let held = secrets.bundles.iter().filter_map(|bundle| secrets.publication(bundle.sequence));
    held.filter(over).map(|known| known.sequence).collect()
}

/// Until when a secret waits for letters that can't be kept, if it has waited since then.
pub(super) fn postponed_until(since: &Moment) -> u64 {
    since.time_ms.saturating_add(millis(LONGEST_POSTPONEMENT))
}

/// Whether a secret still waits under a head for letters that can't be kept.
pub(super) fn still_waits(known: &Publication, head: &Moment) -> bool {
    head.time_ms < postponed_until(&known.postponed.unwrap_or(*head))
}

/// Notes what a proven newest bundle says about those before it. Nothing that is known already changes, so
/// that no later bundle lengthens a grace period that runs.
pub(super) fn note_superseded(secrets: &mut Secrets, newest: u64, published: Moment) {
    for known in &mut secrets.publications {
        if known.sequence < newest {
            known.superseded.get_or_insert(published);
        } else if known.sequence == newest {
            known.published = Some(published);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::envelope::BundleSecret;
    use crate::testing::genesis;
    use sealpost_ledger::hash::TransactionId;

    fn secrets() -> Secrets {
        Secrets::new("words".into(), false).unwrap()
    }

    fn record(secret: &BundleSecret, height: u64) -> BundleRecord {
        BundleRecord {
            bundle: secret.bundle(BlockHeight::new(height + 1000)),
            transaction: TransactionId::from_bytes([0; 32]),
            height: BlockHeight::new(height),
            revoked_from: None,
        }
    }

    fn moment(height: u64, days: u64) -> Moment {
        Moment { height: BlockHeight::new(height), time_ms: days * millis(DAY) }
    }

    /// A wallet whose bundle #1 is final in block 10, on day 0.
    fn published() -> (Secrets, BundleRecord) {
        let (mut secrets, secret) = (secrets(), BundleSecret::generate(1).unwrap());
        let record = record(&secret, 10);
        secrets.add(secret);
        note_superseded(&mut secrets, 1, moment(10, 0));
        (secrets, record)
    }

    #[test]
    fn own_keys_are_known_even_before_they_are_seen_to_be_final() {
        let (secrets, newest) = published();
        assert_eq!(standing(Some(&newest), &secrets), Standing::Ours);
        let (mut secrets, secret) = (self::secrets(), BundleSecret::generate(1).unwrap());
        let newest = record(&secret, 10);
        assert_eq!(standing(None, &secrets), Standing::Unpublished);
        secrets.add(secret);
        assert_eq!(standing(Some(&newest), &secrets), Standing::Ours);
    }

    #[test]
    fn keys_of_somebody_else_are_an_alarm_and_in_a_restored_copy_they_are_not() {
        let (secrets, _) = published();
        for sequence in [1, 2] {
            let newest = record(&BundleSecret::generate(sequence).unwrap(), 12);
            let alarm = Alarm::Published { sequence, height: BlockHeight::new(12) };
            assert_eq!(standing(Some(&newest), &secrets), Standing::Alarm(alarm));
        }
        let newest = record(&BundleSecret::generate(1).unwrap(), 12);
        let mut restored = self::secrets();
        assert_eq!(standing(Some(&newest), &restored), Standing::Elsewhere);
        restored.remember(Publication::elsewhere(&newest.bundle, moment(12, 0)));
        assert_eq!(standing(Some(&newest), &restored), Standing::Elsewhere);
        let next = record(&BundleSecret::generate(2).unwrap(), 13);
        assert!(matches!(standing(Some(&next), &restored), Standing::Alarm(_)));
    }

    #[test]
    fn a_foreign_withdrawal_is_an_alarm_and_an_own_one_is_not() {
        let (mut secrets, mut newest) = published();
        let from = BlockHeight::new(20);
        newest.revoked_from = Some(from);
        let alarm = Standing::Alarm(Alarm::Withdrawn { sequence: 1, from });
        assert_eq!(standing(Some(&newest), &secrets), alarm);
        secrets.publication_mut(1).unwrap().withdrawn_from = Some(from);
        assert_eq!(standing(Some(&newest), &secrets), Standing::Ours);
        newest.revoked_from = from.previous();
        assert!(matches!(standing(Some(&newest), &secrets), Standing::Alarm(_)));
    }

    #[test]
    fn rotation_is_due_by_age_or_when_the_last_height_is_near() {
        let ((secrets, newest), terms, genesis) = (published(), KeyTerms::default(), genesis());
        let due_at = |terms: &KeyTerms, head: Moment| {
            due(Standing::Ours, Some(&newest), Some(&moment(10, 0)), &secrets, terms, &genesis, &head)
        };
        assert_eq!(due_at(&terms, moment(11, 6)), []);
        assert_eq!(due_at(&terms, moment(11, 7)), [Due::Rotate]);
        assert_eq!(due_at(&terms, moment(759, 1)), []);
        assert_eq!(due_at(&terms, moment(761, 1)), [Due::Rotate]);
        assert_eq!(due_at(&KeyTerms::from_days(0, 28), moment(11, 1000)), []);
    }

    #[test]
    fn a_secret_is_destroyed_after_both_the_window_and_the_days_and_never_of_an_archival_wallet() {
        let ((mut secrets, _), terms, genesis) = (published(), KeyTerms::default(), genesis());
        secrets.add(BundleSecret::generate(2).unwrap());
        note_superseded(&mut secrets, 2, moment(100, 7));
        let last = 100 + genesis.limits().expiry_window;
        let over = |secrets: &Secrets, head| destroyable(secrets, &terms, &genesis, &head);
        assert!(over(&secrets, moment(last, 35)).is_empty(), "a message may stand in that very block");
        assert!(over(&secrets, moment(last + 1, 34)).is_empty());
        assert_eq!(over(&secrets, moment(last + 1, 35)), [1]);
        // What comes later does not lengthen what runs.
        note_superseded(&mut secrets, 3, moment(200, 14));
        assert_eq!(over(&secrets, moment(last + 1, 35)), [1]);
        secrets.archival = true;
        assert!(over(&secrets, moment(last + 1, 35)).is_empty());
    }

    #[test]
    fn a_secret_waits_for_letters_and_not_for_ever() {
        let (mut secrets, _) = published();
        let waits = |secrets: &Secrets, day| still_waits(secrets.publication(1).unwrap(), &moment(500, day));
        assert!(waits(&secrets, 40) && waits(&secrets, 400), "it begins to wait now");
        secrets.publication_mut(1).unwrap().postponed = Some(moment(400, 40));
        assert!(waits(&secrets, 67) && !waits(&secrets, 68));
    }

    #[test]
    fn a_bundle_outlives_its_rotation_at_the_fastest_pace() {
        let (terms, genesis) = (KeyTerms::default(), genesis());
        let blocks = terms.valid_blocks(&genesis);
        assert_eq!(least_days(blocks, &genesis), 14);
        assert_eq!(least_days(KeyTerms::from_days(0, 28).valid_blocks(&genesis), &genesis), 365);
    }
}
