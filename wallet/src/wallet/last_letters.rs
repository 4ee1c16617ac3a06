//! Last letters: before a secret is destroyed, what came to it is kept, and so are the files of what nobody has read.
//! Parts of a letter go ahead of it, for a week and longer: those of a letter to newer keys may have been sent to these.

use super::keeping::is_key_gone;
use super::key_life::{KeyTerms, LastLetters};
use super::keys::Tending;
use super::{Incoming, Wallet, WalletError};
use crate::archive::ArchiveError;
use crate::light::{Light, LightError};
use crate::scan::FoundKind;
use sealpost_api::MailboxSide;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::SlotRecipient;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio::sync::Mutex;

/// Bytes of files that are fetched at most for letters whose secret is about to be destroyed: nobody is to fill a disk by
/// sending what nobody wants to read.
const LAST_FILES_BYTES: u64 = 256 << 20;

/// Letters that could not be kept as a whole, by the bundles without whose secrets they can't be.
pub(crate) type Missing = BTreeMap<u64, BTreeSet<TransactionId>>;

/// What came to key bundles.
#[derive(Default)]
struct Arrived {
    letters: Vec<Letter>,
    /// Parts of letters, and the bundle that each was sent to.
    parts: HashMap<TransactionId, u64>,
}

/// A letter that came.
struct Letter {
    id: TransactionId,
    /// The bundle that it was sent to.
    bundle: u64,
    /// The message, of an open one. Of sealed ones nothing is asked that need not be: each question shows whose they are.
    open: Option<Incoming>,
    only_receipts: bool,
}

/// A look at letters for secrets that are due to be destroyed.
struct LastLook<'a> {
    light: &'a Light,
    due: &'a [u64],
    /// Parts that were sent to these.
    parts: HashMap<TransactionId, u64>,
    /// Bytes of files that may still be fetched.
    room: u64,
}

impl LastLook<'_> {
    /// The secrets that a letter to a bundle needs, if it names these parts.
    fn needed<'p>(&self, bundle: u64, parts: impl Iterator<Item = &'p u64>) -> BTreeSet<u64> {
        let own = self.due.contains(&bundle).then_some(bundle);
        own.into_iter().chain(parts.copied().filter(|part| *part <= bundle)).collect()
    }
}

impl Wallet {
    /// Opens and keeps everything that needs secrets that are about to be destroyed, as far as it is not kept: also what a
    /// node did not show when the wallet caught up, the files of what nobody has read, and letters to newer keys of which
    /// parts were sent to these. Returns what could not be kept. `collecting` is held for each letter whose parts are
    /// fetched: what was fetched is kept in one place.
    pub(crate) async fn keep_last_letters(
        &self,
        light: &Light,
        terms: &KeyTerms,
        tending: &Tending,
        collecting: &Mutex<()>,
    ) -> Result<Missing, WalletError> {
        let due = tending.over.as_slice();
        if due.is_empty() || terms.last_letters == LastLetters::LetGo {
            return Ok(Missing::new());
        }
        self.scan(light, &|_| {}).await?;
        let oldest = due.iter().min().copied().unwrap_or(u64::MAX);
        let held = self.bundles().iter().map(|bundle| bundle.sequence);
        let held: Vec<u64> = held.filter(|sequence| *sequence >= oldest).collect();
        let Arrived { mut letters, mut parts } = self.arrived(light, &held).await?;
        parts.retain(|_, bundle| due.contains(bundle));
        // Those to the secrets themselves have the room for files first.
        letters.sort_by_key(|letter| (!due.contains(&letter.bundle), letter.bundle));
        let (mut last, mut missing) =
            (LastLook { light, due, parts, room: LAST_FILES_BYTES }, Missing::new());
        for letter in letters {
            let id = letter.id;
            // Which parts it names is not known before it is opened.
            let mut needs = last.needed(letter.bundle, last.parts.values());
            if needs.is_empty() {
                continue;
            }
            let _alone = collecting.lock().await;
            if !is_kept(self.keep_last_letter(&mut last, letter, &mut needs).await)? {
                needs.iter().for_each(|bundle| {
                    missing.entry(*bundle).or_default().insert(id);
                });
            }
        }
        Ok(missing)
    }
    /// Keeps a letter and its files, if it needs a secret that is due. Which ones it needs is known better then.
    async fn keep_last_letter(
        &self,
        last: &mut LastLook<'_>,
        letter: Letter,
        needs: &mut BTreeSet<u64>,
    ) -> Result<bool, WalletError> {
        let (id, light) = (letter.id, last.light);
        let reading = match self.recall(&id)? {
            Some((reading, _)) => reading,
            None if self.is_settled(&id)? => return Ok(true),
            None => {
                let message = match letter.open {
                    Some(Incoming { message, .. }) => Some(message),
                    None => light.transaction(&id).await?,
                };
                let Some(message) = message else { return Ok(false) };
                self.read_proven(light, message).await?
            }
        };
        let collector = self.collector(light, &reading, &|_, _, _| {});
        let named = collector.messages();
        *needs = last.needed(letter.bundle, named.iter().filter_map(|part| last.parts.get(part)));
        if needs.is_empty() {
            return Ok(true);
        }
        if !self.archive.keeps(&id)? {
            let whole = self.whole_text(light, &reading).await?;
            if !self.keep(&reading, whole)? {
                return Ok(false);
            }
        }
        // Files of what was read were saved or left on purpose. The others wait, encrypted, until somebody saves them.
        if self.archive.marked(&id)?.is_none() {
            collector.keep(&mut last.room).await?;
        }
        Ok(true)
    }
    /// How many of the letters to bundles have neither been read here nor kept, as far as this wallet knows. Sealed ones
    /// count that scans have found.
    pub async fn unread_to(&self, light: &Light, bundles: &[u64]) -> Result<usize, WalletError> {
        let mut unread = 0_usize;
        for Letter { id, only_receipts, .. } in self.arrived(light, bundles).await?.letters {
            let is_read = only_receipts || self.archive.marked(&id)?.is_some() || self.archive.keeps(&id)?;
            unread = unread.saturating_add((!is_read).into());
        }
        Ok(unread)
    }
    /// What came to bundles; of what is sealed that which scans have found.
    async fn arrived(&self, light: &Light, bundles: &[u64]) -> Result<Arrived, WalletError> {
        let mut arrived = Arrived::default();
        for found in self.scan_state()?.found().iter().filter(|found| bundles.contains(&found.bundle)) {
            let (id, bundle) = (found.id, found.bundle);
            match found.kind {
                FoundKind::Broken => {}
                FoundKind::Part => drop(arrived.parts.insert(id, bundle)),
                kind => {
                    let only_receipts = kind == FoundKind::Receipts;
                    arrived.letters.push(Letter { id, bundle, open: None, only_receipts });
                }
            }
        }
        // Nobody encrypts to keys before they are published. If the oldest's block is not known, everything is looked at.
        let oldest = bundles.iter().min().and_then(|oldest| self.keystore.secrets().publication(*oldest));
        let from = oldest.and_then(|known| known.published).map(|published| published.height);
        let mut after = None;
        loop {
            let page = self.page(light, MailboxSide::Received, after).await?;
            for incoming in page.entries.into_iter().filter_map(|message| self.incoming(message)) {
                if from.is_some_and(|from| incoming.message.header.height < from) {
                    return Ok(arrived);
                }
                let message = incoming.message.transaction.message();
                let slot = message.and_then(|message| message.slot(incoming.slot));
                let Some(SlotRecipient::Named { bundle, .. }) = slot.map(|slot| slot.recipient) else {
                    continue;
                };
                if !bundles.contains(&bundle) {
                    continue;
                }
                let id = incoming.message.id();
                if self.is_part(light, &incoming).await? {
                    arrived.parts.insert(id, bundle);
                } else {
                    arrived.letters.push(Letter { id, bundle, open: Some(incoming), only_receipts: false });
                }
            }
            if !page.more {
                return Ok(arrived);
            }
            after = page.next;
        }
    }
}

/// What came of keeping a letter, if that says something of the letter. What can't be opened breaks the rules: nobody can,
/// with any key. What goes on for longer than letters may, or is not to be had as a whole, is not kept.
fn is_kept(kept: Result<bool, WalletError>) -> Result<bool, WalletError> {
    match kept {
        Err(WalletError::OnlyAPart { .. } | WalletError::Open(_)) => Ok(true),
        Err(error) if is_key_gone(&error) => Ok(true),
        Err(
            WalletError::Light(LightError::Node(_))
            | WalletError::Parcel(_)
            | WalletError::Archive(ArchiveError::TooLong { .. }),
        ) => Ok(false),
        kept => kept,
    }
}
