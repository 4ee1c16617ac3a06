//! The wallet's encryption keys over the years: publish, rotate, withdraw, destroy, and notice when the ledger
//! shows a change that this wallet did not make. A secret is on disk before anybody can encrypt to it.

use super::key_life::{
    Due, KeyTerms, Standing, destroyable, due, note_superseded, postponed_until, standing, still_waits,
};
use super::last_letters::Missing;
use super::sending::PostageProgress;
use super::{Prepared, Sent, Wallet, WalletError, now_ms};
use crate::envelope::BundleSecret;
use crate::keystore::{KeysHash, Moment, Origin, Publication, Secrets};
use crate::light::{Light, Proven};
use sealpost_api::WaitFor;
use sealpost_ledger::block::Header;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::{KeyBundle, Revoke};
use sealpost_ledger::state::BundleRecord;
use sealpost_ledger::transaction::{Payload, Transaction};
use std::collections::BTreeSet;
use tokio::sync::Mutex;

/// A withdrawal must stand in a block before it begins: room for a few blocks that others fill first.
const REVOKE_MARGIN_BLOCKS: u64 = 3;

/// This wallet's entry in the key directory, proven, and how it stands to what the wallet knows.
#[derive(Debug, Clone)]
pub struct OwnKeys {
    /// The newest bundle on the ledger.
    pub newest: Option<BundleRecord>,
    /// Its block.
    pub published: Option<Moment>,
    /// The head under which that is proven; nothing before the first block.
    pub head: Option<Moment>,
    /// Whether it is this wallet's.
    pub standing: Standing,
    /// What is due.
    pub due: Vec<Due>,
}

/// What to do about a newest bundle that this wallet did not publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Publish nothing, and say so.
    Refuse,
    /// Supersede it.
    Supersede,
}

/// A new bundle, and what became of those before.
#[derive(Debug)]
pub struct Rotated {
    /// Its number.
    pub sequence: u64,
    /// How far its transaction has come. Nothing if it was final already: an earlier run was interrupted.
    pub sent: Option<Sent>,
    /// Its block, if it is final and verified.
    pub published: Option<Moment>,
}

/// What [`Wallet::tend`] has begun.
#[derive(Debug)]
pub(crate) struct Tending {
    own: OwnKeys,
    rotated: Option<Rotated>,
    /// Bundles whose secrets are past their grace period.
    pub(crate) over: Vec<u64>,
}

/// What [`Wallet::tend`] did.
#[derive(Debug)]
pub struct Tended {
    /// The entry as it was found.
    pub own: OwnKeys,
    /// The new bundle, if one was due.
    pub rotated: Option<Rotated>,
    /// Bundles whose secrets were destroyed.
    pub destroyed: Vec<u64>,
    /// Letters that went with them though they should have been kept: none was to be had for as long as was waited.
    pub lost: usize,
    /// Bundles past their grace period whose secrets wait for letters.
    pub postponed: Vec<Postponed>,
}

/// A secret that is due to be destroyed, and is not yet because letters to it could not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Postponed {
    /// Number of the bundle.
    pub sequence: u64,
    /// How many letters.
    pub letters: usize,
    /// When it is destroyed all the same, by the time of blocks, milliseconds since 1970 UTC.
    pub until_ms: u64,
}

/// What became of secrets past their grace period.
#[derive(Default)]
struct Destruction {
    destroyed: Vec<u64>,
    lost: usize,
    postponed: Vec<Postponed>,
}

/// One of the wallet's bundles, for a list.
#[derive(Debug, Clone)]
pub struct OwnBundle {
    /// Its number.
    pub sequence: u64,
    /// How it stands.
    pub state: BundleState,
    /// Its block, proven; nothing if it was never published.
    pub published: Option<Moment>,
    /// Last height at which senders use it.
    pub valid_until: Option<BlockHeight>,
    /// From which height on it is withdrawn.
    pub withdrawn_from: Option<BlockHeight>,
    /// The block of the one after it.
    pub superseded: Option<Moment>,
    /// From when on its secret may be destroyed.
    pub grace_ends: Option<Moment>,
    /// When its secret was destroyed, milliseconds since 1970 UTC.
    pub destroyed_ms: Option<u64>,
    /// Whether its secret is here.
    pub secret_here: bool,
    /// Whether this copy of the wallet made it.
    pub ours: bool,
}

/// How a bundle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleState {
    /// Made here and on no block.
    Unpublished,
    /// The newest: senders use it.
    Live,
    /// The newest, past its last height.
    Expired,
    /// The newest, withdrawn.
    Withdrawn,
    /// Superseded; its secret still opens what was sent to it.
    InGrace,
    /// Superseded and past its grace period; its secret is kept, or will be destroyed the next time.
    Superseded,
    /// Its secret was destroyed here.
    Destroyed,
    /// Its secret never was here.
    Elsewhere,
}

impl BundleState {
    /// Its name in JSON and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            BundleState::Unpublished => "unpublished",
            BundleState::Live => "live",
            BundleState::Expired => "expired",
            BundleState::Withdrawn => "withdrawn",
            BundleState::InGrace => "in_grace",
            BundleState::Superseded => "superseded",
            BundleState::Destroyed => "destroyed",
            BundleState::Elsewhere => "elsewhere",
        }
    }
}

impl Wallet {
    /// This wallet's entry in the key directory, proven and compared with what the wallet knows.
    pub async fn own_keys(&mut self, light: &Light, terms: &KeyTerms) -> Result<OwnKeys, WalletError> {
        let now = light.bundle_now(&self.address).await?;
        let head = now.as_ref().map(|now| moment(&now.at));
        let newest = now.and_then(|now| now.record);
        let mut found = standing(newest.as_ref(), self.keystore.secrets());
        if matches!(found, Standing::Alarm(_) | Standing::Elsewhere) {
            // Perhaps another program with this very wallet has published them just now.
            self.keystore.refresh()?;
            found = standing(newest.as_ref(), self.keystore.secrets());
        }
        let published = match &newest {
            Some(record) => Some(self.published(light, record).await?),
            None => None,
        };
        let (secrets, genesis) = (self.keystore.secrets(), self.profile.genesis());
        let due = match &head {
            Some(head) => due(found, newest.as_ref(), published.as_ref(), secrets, terms, genesis, head),
            None => vec![Due::Publish],
        };
        Ok(OwnKeys { newest, published, head, standing: found, due })
    }
    /// Does what is due: rotates, and destroys what is past its grace period. To be called now and then by
    /// whatever runs for long. Publishes no first keys, and none after a change that this wallet did not make.
    /// Unless the terms let letters go, everything that came to a bundle is kept before its secret is destroyed.
    pub async fn tend(
        &mut self,
        light: &Light,
        terms: &KeyTerms,
        progress: PostageProgress<'_>,
    ) -> Result<Tended, WalletError> {
        let tending = self.begin_tending(light, terms, progress).await?;
        let missing = self.keep_last_letters(light, terms, &tending, &Mutex::default()).await?;
        self.end_tending(terms, tending, &missing)
    }
    /// The first step of it: rotates, and says what is past its grace period. What follows takes long and changes nothing:
    /// others read the wallet meanwhile.
    pub(crate) async fn begin_tending(
        &mut self,
        light: &Light,
        terms: &KeyTerms,
        progress: PostageProgress<'_>,
    ) -> Result<Tending, WalletError> {
        self.keystore.refresh()?;
        let own = self.own_keys(light, terms).await?;
        if let Standing::Alarm(_) = own.standing {
            return Ok(Tending { own, rotated: None, over: Vec::new() });
        }
        self.note_newest(&own)?;
        let rotated = match own.due.contains(&Due::Rotate) {
            true => Some(self.rotate(light, terms, &own, progress).await?),
            false => None,
        };
        let over = own.head.as_ref().map_or_else(Vec::new, |head| {
            destroyable(self.keystore.secrets(), terms, self.profile.genesis(), head)
        });
        Ok(Tending { own, rotated, over })
    }
    /// The last step: destroys the secrets that are past their grace period, but none for which a letter waits.
    pub(crate) fn end_tending(
        &mut self,
        terms: &KeyTerms,
        Tending { own, rotated, over }: Tending,
        missing: &Missing,
    ) -> Result<Tended, WalletError> {
        let Destruction { destroyed, lost, postponed } = match &own.head {
            Some(head) if !over.is_empty() => self.destroy(terms, head, &over, missing)?,
            _ => Destruction::default(),
        };
        Ok(Tended { own, rotated, destroyed, lost, postponed })
    }
    /// Makes new encryption keys and publishes them; they supersede those before. Keys that were made and
    /// never published are used, and a rotation that was interrupted after it was final is not done twice.
    pub async fn rotate_keys(
        &mut self,
        light: &Light,
        terms: &KeyTerms,
        foreign: Foreign,
        progress: PostageProgress<'_>,
    ) -> Result<Rotated, WalletError> {
        let own = self.own_keys(light, terms).await?;
        match (own.standing, foreign) {
            (Standing::Alarm(alarm), Foreign::Refuse) => return Err(WalletError::ForeignKeys { alarm }),
            (Standing::Alarm(_), Foreign::Supersede) => self.acknowledge(&own)?,
            _ => {}
        }
        let interrupted = own.newest.as_ref().map(|record| record.bundle.sequence).filter(|sequence| {
            let known = self.keystore.secrets().publication(*sequence);
            own.standing == Standing::Ours && known.is_some_and(|known| known.published.is_none())
        });
        self.note_newest(&own)?;
        match (interrupted, own.published) {
            (Some(sequence), Some(published)) => {
                Ok(Rotated { sequence, sent: None, published: Some(published) })
            }
            _ => self.rotate(light, terms, &own, progress).await,
        }
    }
    /// Makes new encryption keys and publishes them, as [`rotate_keys`](Self::rotate_keys) under the usual
    /// terms. Returns the bundle's sequence number.
    pub async fn publish_keys(
        &mut self,
        light: &Light,
        progress: PostageProgress<'_>,
    ) -> Result<Rotated, WalletError> {
        self.rotate_keys(light, &KeyTerms::default(), Foreign::Refuse, progress).await
    }
    /// Withdraws a key bundle of this identity from a height on; soon, if none is given. Without a number
    /// the newest, whoever published it. Returns its number and that height.
    pub async fn revoke_keys(
        &mut self,
        light: &Light,
        sequence: Option<u64>,
        from: Option<BlockHeight>,
        progress: PostageProgress<'_>,
    ) -> Result<(u64, BlockHeight, Sent), WalletError> {
        let own = self.own_keys(light, &KeyTerms::default()).await?;
        let newest = own.newest.as_ref().map(|record| record.bundle.sequence);
        let sequence = sequence.or(newest).ok_or(WalletError::NothingToWithdraw)?;
        let next = light.next_height().await?;
        let from = from.unwrap_or(next.saturating_add(REVOKE_MARGIN_BLOCKS));
        let payload = Payload::Revoke(Revoke { sequence, from });
        let expiry = self.expiry_from(next);
        let prepared = self.prepare(light, payload, None, expiry, progress).await?;
        // Noted before it leaves: what this wallet did itself is no reason for alarm.
        if newest == Some(sequence) {
            self.acknowledge(&own)?;
        }
        self.keystore.change(|secrets| {
            if let Some(known) = secrets.publication_mut(sequence) {
                known.withdrawn_from = Some(known.withdrawn_from.map_or(from, |before| before.min(from)));
            }
        })?;
        let sent = self.send_prepared(light, &prepared, Vec::new(), None, WaitFor::Final).await?;
        Ok((sequence, from, sent))
    }
    /// Takes in the newest bundle as one of another copy of this wallet, which the person knows of. A wallet
    /// that was restored from its words does so once; from then on every other change is an alarm.
    pub async fn acknowledge_keys(&mut self, light: &Light) -> Result<OwnKeys, WalletError> {
        let own = self.own_keys(light, &KeyTerms::default()).await?;
        if own.standing == Standing::Elsewhere {
            self.acknowledge(&own)?;
        }
        Ok(own)
    }
    /// Whether secrets are kept after their grace period.
    pub fn is_archival(&self) -> bool {
        self.keystore.secrets().archival
    }
    /// Keeps secrets after their grace period from now on, or no more. Answers whether that is a change.
    pub fn set_archival(&mut self, archival: bool) -> Result<bool, WalletError> {
        let changed = self.keystore.change(|secrets| std::mem::replace(&mut secrets.archival, archival))?;
        Ok(changed != archival)
    }
    /// The wallet's bundles, the newest first: those on the ledger, `most` of them, and those made here that
    /// are not on it.
    pub async fn list_bundles(
        &mut self,
        light: &Light,
        terms: &KeyTerms,
        most: usize,
    ) -> Result<(OwnKeys, Vec<OwnBundle>), WalletError> {
        let own = self.own_keys(light, terms).await?;
        if !matches!(own.standing, Standing::Alarm(_)) {
            self.note_newest(&own)?;
        }
        let history = match &own.newest {
            Some(_) => light.bundle_history(&self.address, most).await?,
            None => Vec::new(),
        };
        let newest = own.newest.as_ref().map_or(0, |record| record.bundle.sequence);
        let secrets = self.keystore.secrets();
        let made = secrets.publications.iter().rev().filter(|known| known.sequence > newest);
        let mut bundles: Vec<_> = made.map(|known| self.unpublished(known)).collect();
        let mut after = None;
        for (bundle, proven) in &history {
            bundles.push(self.listed(bundle, proven, after, &own, terms));
            after = Some(moment(&proven.header));
        }
        Ok((own, bundles))
    }

    /// The block of a bundle.
    async fn published(&self, light: &Light, record: &BundleRecord) -> Result<Moment, WalletError> {
        let known = self.keystore.secrets().publication(record.bundle.sequence);
        if let Some(published) = known.and_then(|known| known.published)
            && published.height == record.height
        {
            return Ok(published);
        }
        let id = record.transaction;
        let proven = light.transaction(&id).await?.ok_or(WalletError::Unknown { id })?;
        Ok(moment(&proven.header))
    }
    /// Writes down what the proven newest bundle says, if anything of it is new.
    fn note_newest(&mut self, own: &OwnKeys) -> Result<(), WalletError> {
        let (Some(record), Some(published)) = (&own.newest, own.published) else { return Ok(()) };
        let sequence = record.bundle.sequence;
        let new = self.keystore.secrets().publications.iter().any(|known| {
            (known.sequence < sequence && known.superseded.is_none())
                || (known.sequence == sequence && known.published != Some(published))
        });
        if new {
            self.keystore.change(|secrets| note_superseded(secrets, sequence, published))?;
        }
        Ok(())
    }
    /// Takes in the newest bundle as another's, in place of what was made here under its number.
    fn acknowledge(&mut self, own: &OwnKeys) -> Result<(), WalletError> {
        let (Some(record), Some(published)) = (&own.newest, own.published) else { return Ok(()) };
        let (sequence, keys) = (record.bundle.sequence, KeysHash::of(&record.bundle));
        self.keystore.change(|secrets| {
            if secrets.publication(sequence).is_none_or(|known| known.keys != keys) {
                secrets.forget(&[sequence]);
                secrets.remember(Publication::elsewhere(&record.bundle, published));
            }
            if let Some(known) = secrets.publication_mut(sequence) {
                known.withdrawn_from = record.revoked_from.or(known.withdrawn_from);
            }
            note_superseded(secrets, sequence, published);
        })?;
        Ok(())
    }
    async fn rotate(
        &mut self,
        light: &Light,
        terms: &KeyTerms,
        own: &OwnKeys,
        progress: PostageProgress<'_>,
    ) -> Result<Rotated, WalletError> {
        let newest = own.newest.as_ref().map_or(0, |record| record.bundle.sequence);
        let sequence = newest.saturating_add(1);
        let made = BundleSecret::generate(sequence)?;
        let secret = self.keystore.change(|secrets| {
            match secrets.bundles.iter().find(|secret| secret.sequence == sequence) {
                // Made before, and never published.
                Some(secret) => secret.clone(),
                None => {
                    secrets.add(made.clone());
                    made
                }
            }
        })?;
        let next = light.next_height().await?;
        let mut sent = None;
        if let Some(prepared) = self.signed_before(&secret, next)? {
            sent = match self.send_prepared(light, &prepared, Vec::new(), None, WaitFor::Final).await {
                // Its postage may have become too little meanwhile: then the same keys are signed anew.
                Err(error) if error.refusal().is_some() => None,
                sent => Some(sent?),
            };
        }
        let sent = match sent {
            Some(sent) => sent,
            None => {
                let bundle = secret.bundle(next.saturating_add(terms.valid_blocks(self.genesis())));
                let (payload, expiry) = (Payload::KeyBundle(bundle), self.expiry_from(next));
                let prepared = self.prepare(light, payload, None, expiry, progress).await?;
                self.send_prepared(light, &prepared, Vec::new(), None, WaitFor::Final).await?
            }
        };
        let published = sent.place.as_ref().map(|place| moment(&place.header));
        if let Some(published) = published {
            self.keystore.change(|secrets| note_superseded(secrets, sequence, published))?;
        }
        Ok(Rotated { sequence, sent: Some(sent), published })
    }
    /// A transaction of an interrupted run that publishes these keys and may still be accepted.
    fn signed_before(
        &self,
        secret: &BundleSecret,
        next: BlockHeight,
    ) -> Result<Option<Prepared>, WalletError> {
        let keys = KeysHash::of(&secret.bundle(BlockHeight::GENESIS));
        let publishes = |transaction: &Transaction| match &transaction.payload {
            Payload::KeyBundle(bundle) => KeysHash::of(bundle) == keys && transaction.expiry > next,
            _ => false,
        };
        // Were one that can't be read of these keys, they would be signed twice: the ledger takes one of the two.
        let entries = self.outbox.read_all()?.entries;
        let waiting = entries.into_iter().filter(|entry| entry.height.is_none());
        let found = waiting.filter_map(|entry| entry.transaction()).find(|t| publishes(t.transaction()));
        Ok(found.map(Prepared::plain))
    }
    fn destroy(
        &mut self,
        terms: &KeyTerms,
        head: &Moment,
        over: &[u64],
        missing: &Missing,
    ) -> Result<Destruction, WalletError> {
        let genesis = self.profile.genesis().clone();
        // Decided again on what the keystore holds then: another program may have changed it meanwhile.
        let under_lock = |secrets: &Secrets| {
            let still = destroyable(secrets, terms, &genesis, head);
            decide(secrets, still.into_iter().filter(|sequence| over.contains(sequence)), missing, head)
        };
        let decided = under_lock(self.keystore.secrets());
        let noted = |waits: &Postponed| {
            let known = self.keystore.secrets().publication(waits.sequence);
            known.is_some_and(|known| known.postponed.is_some())
        };
        if decided.destroyed.is_empty() && decided.postponed.iter().all(noted) {
            return Ok(decided);
        }
        let now = now_ms();
        let decided = self.keystore.change(|secrets| {
            let decided = under_lock(secrets);
            secrets.forget(&decided.destroyed);
            for known in &mut secrets.publications {
                if decided.destroyed.contains(&known.sequence) {
                    (known.destroyed_ms, known.postponed) = (Some(now), None);
                } else if decided.postponed.iter().any(|waits| waits.sequence == known.sequence) {
                    known.postponed.get_or_insert(*head);
                }
            }
            decided
        })?;
        Ok(decided)
    }
    fn unpublished(&self, known: &Publication) -> OwnBundle {
        OwnBundle {
            sequence: known.sequence,
            state: BundleState::Unpublished,
            published: None,
            valid_until: None,
            withdrawn_from: None,
            superseded: None,
            grace_ends: None,
            destroyed_ms: known.destroyed_ms,
            secret_here: self.bundles().iter().any(|secret| secret.sequence == known.sequence),
            ours: known.origin == Origin::Here,
        }
    }
    fn listed(
        &self,
        bundle: &KeyBundle,
        proven: &Proven,
        superseded: Option<Moment>,
        own: &OwnKeys,
        terms: &KeyTerms,
    ) -> OwnBundle {
        let sequence = bundle.sequence;
        let keys = KeysHash::of(bundle);
        let known = self.keystore.secrets().publication(sequence).filter(|known| known.keys == keys);
        let secret_here = known.is_some() && self.bundles().iter().any(|secret| secret.sequence == sequence);
        // Observed later than it happened, if this wallet did not run then: the grace period began then.
        let began = known.and_then(|known| known.superseded).or(superseded);
        let grace_ends = began.map(|began| terms.grace_ends(&began, self.genesis()));
        let destroyed_ms = known.and_then(|known| known.destroyed_ms);
        let newest = own.newest.as_ref().filter(|record| record.bundle.sequence == sequence);
        let withdrawn_from = match newest {
            Some(record) => record.revoked_from,
            // Of one that is superseded only what this wallet did itself: nobody uses it any more.
            None => known.and_then(|known| known.withdrawn_from),
        };
        let next = own.head.map_or(BlockHeight::FIRST, |head| head.height.saturating_add(1));
        let over = |end: &Moment| {
            own.head.is_some_and(|head| head.height > end.height && head.time_ms >= end.time_ms)
        };
        let state = match (newest, secret_here) {
            (Some(_), _) if withdrawn_from.is_some_and(|from| from <= next) => BundleState::Withdrawn,
            (Some(_), _) if bundle.valid_until < next => BundleState::Expired,
            (Some(_), true) => BundleState::Live,
            (None, true) if grace_ends.as_ref().is_some_and(over) => BundleState::Superseded,
            (None, true) => BundleState::InGrace,
            (_, false) if destroyed_ms.is_some() => BundleState::Destroyed,
            (_, false) => BundleState::Elsewhere,
        };
        OwnBundle {
            sequence,
            state,
            published: Some(moment(&proven.header)),
            valid_until: Some(bundle.valid_until),
            withdrawn_from,
            superseded,
            grace_ends: grace_ends.filter(|_| secret_here),
            destroyed_ms,
            secret_here,
            ours: known.is_some_and(|known| known.origin == Origin::Here),
        }
    }
}

/// Which secrets past their grace period are destroyed under a head, and which still wait for letters that could not be
/// kept.
fn decide(
    secrets: &Secrets,
    over: impl Iterator<Item = u64>,
    missing: &Missing,
    head: &Moment,
) -> Destruction {
    let (mut decided, mut lost) = (Destruction::default(), BTreeSet::<TransactionId>::new());
    for known in over.filter_map(|sequence| secrets.publication(sequence)) {
        let sequence = known.sequence;
        let letters = missing.get(&sequence).map_or(0, BTreeSet::len);
        if letters > 0 && still_waits(known, head) {
            let until_ms = postponed_until(&known.postponed.unwrap_or(*head));
            decided.postponed.push(Postponed { sequence, letters, until_ms });
        } else {
            decided.destroyed.push(sequence);
            lost.extend(missing.get(&sequence).into_iter().flatten().copied());
        }
    }
    decided.lost = lost.len();
    decided
}

fn moment(header: &Header) -> Moment {
    Moment { height: header.height, time_ms: header.time_ms }
}
