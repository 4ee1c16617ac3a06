//! Drafts and parcels: what was typed is kept, its long parts go ahead as messages of their own, a few at a
//! time, and the letter follows when all of them are final. Every step can be repeated after a crash.

use super::{Draft, PostageProgress, Prepared, Sent, Wallet, WalletError};
use crate::drafts::{DraftError, DraftId, Hold, Kept, Listing, Typed};
use crate::envelope::{Content, Letter};
use crate::light::{Light, LightError};
use crate::outbox::{OutboxEntry, Parcel};
use crate::parcel;
use futures::stream::{self, StreamExt};
use sealpost_api::{ApiError, Category, TransactionStatus, WaitFor};
use sealpost_ledger::block::Header;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::SignedTransaction;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

/// Parts under way at once, at most.
const MOST_UNDER_WAY: u64 = 16;
/// First and longest pause after a node that is busy.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often a busy node is asked again, or a block waited for, before the rest is left for later.
const PATIENCE: u32 = 12;
/// How often a part is paid for again, because the price rose or it expired.
const PAYMENTS: u32 = 8;

/// Parts that were signed longer ago than this when their letter is signed are sent anew: a quarter of the time for which a superseded
/// key is kept at least (`keys.grace_days`).
const OLDEST_PART: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How far a parcel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParcelProgress {
    /// Parts that are final, as verified here.
    pub parts: u32,
    /// All parts.
    pub of: u32,
    /// Bytes of the final parts.
    pub bytes: u64,
    /// Bytes of all parts.
    pub of_bytes: u64,
    /// Why it waits, if it does.
    pub waiting: Option<String>,
}

/// Hears how far a parcel is.
pub type ParcelHeard<'a> = &'a (dyn Fn(&ParcelProgress) + Sync);

/// What the parts of a parcel will cost, at the price of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParcelQuote {
    /// Parts.
    pub parts: u32,
    /// Bytes of all their transactions, bodies included, at most.
    pub bytes: u64,
    /// Expected hashes for all of them.
    pub work: u64,
}

/// What the parts of one parcel have in common while they are sent.
struct Course<'a> {
    light: &'a Light,
    kept: &'a Kept,
    lengths: Vec<u64>,
    postage: PostageProgress<'a>,
    heard: ParcelHeard<'a>,
    parts: AtomicU32,
    bytes: AtomicU64,
}

impl Wallet {
    /// Keeps what was typed, encrypted, before anything else is done with it.
    pub fn keep_draft(&self, letter: Typed) -> Result<Kept, WalletError> {
        Ok(self.drafts.keep(&self.keystore, letter)?)
    }
    /// The drafts there are, and what is wrong with those that can't be read. One whose letter is in the outbox is none any
    /// more.
    pub fn drafts(&self) -> Result<Listing, WalletError> {
        let Listing { drafts: listed, damaged } = self.drafts.list(&self.keystore)?;
        if listed.is_empty() {
            return Ok(Listing { drafts: listed, damaged });
        }
        // What can't be read hides no draft. To take one up, all of the outbox has to be readable.
        let parcels = self.outbox.read_all()?.entries.into_iter().filter_map(|entry| entry.parcel);
        let sent: Vec<_> = parcels.map(|parcel| parcel.draft).collect();
        let (over, still): (Vec<_>, Vec<_>) = listed.into_iter().partition(|draft| sent.contains(&draft.id));
        for draft in over {
            // A crash came between outbox and draft: to take it up is to clear it away. Who is just doing it
            // holds its lock.
            let _gone = self.take_draft(&draft.id.to_string());
        }
        Ok(Listing { drafts: still, damaged })
    }
    /// Takes up the draft that a text means: its id, or how it begins.
    pub fn take_draft(&self, text: &str) -> Result<Kept, WalletError> {
        Ok(self.drafts.read(&self.keystore, self.hold_draft(text)?)?)
    }
    /// Throws away the draft that a text means, whether it can be read or not. Its id.
    pub fn discard(&self, text: &str) -> Result<DraftId, WalletError> {
        let hold = self.hold_draft(text)?;
        let id = hold.id;
        self.drafts.discard(hold)?;
        Ok(id)
    }
    fn hold_draft(&self, text: &str) -> Result<Hold, WalletError> {
        let id = self.drafts.find(text)?;
        let hold = self.drafts.hold(id)?;
        // A crash may have come between outbox and draft. Asked under the draft's lock, so that nobody can put
        // it into the outbox after this was asked.
        let is_sent = |entry: &OutboxEntry| entry.parcel.is_some_and(|parcel| parcel.draft == id);
        if self.outbox.list()?.iter().any(is_sent) {
            self.drafts.discard(hold)?;
            return Err(DraftError::Unknown { text: text.into() }.into());
        }
        Ok(hold)
    }
    /// Whether anything of a draft has left or will: parts of it are signed, or its letter is. Other drafts don't matter,
    /// nor do entries of the outbox that can't be read, as long as the draft is there: its letter is signed last.
    pub fn has_begun(&self, id: DraftId) -> Result<bool, WalletError> {
        let entries = match self.drafts.signed(id)? {
            Some(0) => self.outbox.read_all()?.entries,
            Some(_) => return Ok(true),
            None => self.outbox.list()?,
        };
        Ok(entries.iter().any(|entry| entry.parcel.is_some_and(|parcel| parcel.draft == id)))
    }
    /// Makes a draft that of a sealed message, which shows nobody whom it is to.
    ///
    /// # Errors
    /// When parts of it are signed openly, or its files are taken in for an open message.
    pub fn seal_draft(&self, draft: &mut Kept) -> Result<(), WalletError> {
        Ok(draft.seal(&self.keystore)?)
    }
    /// Takes a draft up on purpose that came with a backup: from now on it goes on like those written here.
    pub fn resume_draft(&self, draft: &Kept) -> Result<(), WalletError> {
        Ok(draft.resume()?)
    }
    /// Throws a draft away.
    pub fn discard_draft(&self, draft: Kept) -> Result<(), WalletError> {
        Ok(self.drafts.remove(draft)?)
    }
    /// Takes the files of a draft in, up to `limit` bytes together with the text; from then on it needs them no
    /// more. `heard` is told of the bytes that were read.
    pub fn pack_draft(&self, draft: &mut Kept, limit: u64, heard: &dyn Fn(u64)) -> Result<(), WalletError> {
        let room = parcel::room(self.genesis(), draft.letter.to.len(), draft.letter.mode);
        Ok(draft.pack(&self.keystore, room, limit, heard)?)
    }
    /// The same with files whose contents are at hand, in the order of the draft's files.
    pub fn pack_draft_given(
        &self,
        draft: &mut Kept,
        limit: u64,
        contents: &[Vec<u8>],
    ) -> Result<(), WalletError> {
        let room = parcel::room(self.genesis(), draft.letter.to.len(), draft.letter.mode);
        Ok(draft.pack_given(&self.keystore, room, limit, contents)?)
    }
    /// Whether what is to be sent fits into one message.
    pub fn fits(&self, message: &Draft) -> bool {
        message.content.to_bytes().len() <= parcel::room(self.genesis(), message.to.len(), message.mode)
    }
    /// What the parts of a draft will cost; nothing if it has none.
    pub async fn quote_parcel(
        &self,
        light: &Light,
        draft: &Kept,
    ) -> Result<Option<ParcelQuote>, WalletError> {
        let parts = draft.letter.parts();
        if parts == 0 {
            return Ok(None);
        }
        let bytes = self.part_bytes(draft);
        let quote = light.postage(bytes).await?;
        let work = quote.work.saturating_mul(parts.into());
        Ok(Some(ParcelQuote { parts, bytes: bytes.saturating_mul(parts.into()), work }))
    }
    /// Sends the parts of a draft, as far as they are not final yet, and returns the letter that names them.
    /// When this returns all of them are final, as verified here.
    pub async fn send_parts(
        &self,
        light: &Light,
        draft: &Kept,
        postage: PostageProgress<'_>,
        heard: ParcelHeard<'_>,
    ) -> Result<Letter, WalletError> {
        let reply_to = match &draft.letter.reply_to {
            Some(text) => Some(self.resolve(light, text).await?),
            None => None,
        };
        let lengths = draft.letter.part_lengths();
        let (parts, bytes) = (AtomicU32::new(0), AtomicU64::new(0));
        let course = Course { light, kept: draft, lengths, postage, heard, parts, bytes };
        let numbers = 0..draft.letter.parts();
        let under_way = self.parts_under_way(draft);
        let sending = stream::iter(numbers.map(|number| self.send_part(&course, number)));
        let mut sending = std::pin::pin!(sending.buffered(under_way));
        let mut ids = Vec::with_capacity(course.lengths.len());
        while let Some(id) = sending.next().await {
            ids.push(id.map_err(|error| course.left(error))?);
        }
        let letter = draft.letter.to_letter(&ids);
        let mut letter = letter.ok_or(WalletError::NotPacked { draft: draft.id })?;
        letter.reply_to = reply_to;
        Ok(letter)
    }
    /// Sends a draft: its parts, then the letter.
    pub async fn send_draft(
        &self,
        light: &Light,
        draft: Kept,
        wait: WaitFor,
        postage: PostageProgress<'_>,
        heard: ParcelHeard<'_>,
    ) -> Result<Sent, WalletError> {
        let letter = self.send_parts(light, &draft, postage, heard).await?;
        self.send_letter(light, draft, letter, wait, postage).await
    }
    /// Sends the letter of a draft. Its signed transaction is in the outbox before the draft is given up, and the
    /// draft is given up before anything leaves.
    pub async fn send_letter(
        &self,
        light: &Light,
        draft: Kept,
        letter: Letter,
        wait: WaitFor,
        postage: PostageProgress<'_>,
    ) -> Result<Sent, WalletError> {
        let message = draft.message(letter);
        let (mut prepared, salt) = self.prepare_message(light, &message, postage).await?;
        prepared.is_draft(&draft, &message);
        self.send_message(light, &prepared, &message, salt, wait).await
    }
    /// The entry of the outbox that a draft has become, if it is signed.
    pub fn left_draft(&self, id: DraftId) -> Option<OutboxEntry> {
        let entries = self.outbox.read_all().map(|listing| listing.entries).unwrap_or_default();
        entries.into_iter().find(|entry| entry.parcel.is_some_and(|parcel| parcel.draft == id))
    }
    /// Whether a draft is kept.
    pub fn keeps_draft(&self, id: DraftId) -> bool {
        self.drafts.find(&id.to_string()).is_ok()
    }

    /// Bytes of a part's transaction with its body, at most.
    fn part_bytes(&self, draft: &Kept) -> u64 {
        u64::from(self.genesis().limits().body_bytes)
            .saturating_add(parcel::beside(draft.letter.to.len()) as u64)
    }
    /// No more than half of what senders who are not members may fill of a block: so a parcel alone does not
    /// raise the price of its own postage, and others find room beside it.
    fn parts_under_way(&self, draft: &Kept) -> usize {
        let (limits, rules) = (self.genesis().limits(), self.genesis().postage());
        let half = u64::from(limits.block_bytes) / 200 * u64::from(rules.strangers_percent);
        usize::try_from((half / self.part_bytes(draft).max(1)).clamp(1, MOST_UNDER_WAY)).unwrap_or(1)
    }
    /// Brings one part onto the ledger: the one that was signed before, if it still can get there.
    async fn send_part(&self, course: &Course<'_>, number: u32) -> Result<TransactionId, WalletError> {
        let before = course.kept.signed_part(number)?;
        let arrived = match &before {
            Some((transaction, _)) => course.light.transaction(&transaction.id()).await?,
            None => None,
        };
        let mut signed = match (before, arrived) {
            (_, Some(part))
                if self.is_recent(course.light, &part.transaction, Some(&part.header)).await? =>
            {
                course.arrived(number);
                return Ok(part.id());
            }
            (Some(signed), None) if self.is_recent(course.light, &signed.0, None).await? => signed,
            _ => self.sign_part(course, number).await?,
        };
        for _ in 0..PAYMENTS {
            match self.submit_part(course, &signed).await {
                Err(LightError::Node(error)) if is_outdated(&error) => {
                    signed = self.sign_part(course, number).await?;
                }
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    course.arrived(number);
                    return Ok(signed.0.id());
                }
            }
        }
        Err(WalletError::ParcelLeft {
            draft: course.kept.id,
            parts: 0,
            of: course.kept.letter.parts(),
            reason: "the price rises faster than it can be paid".into(),
            source: None,
        })
    }
    /// Whether a part, in its block or in none yet, may still be named by a letter that is signed now. The keys that an older
    /// one was sent to may be destroyed before their owner reads the letter. It counts from its signature, not from its
    /// block: those keys may have been superseded while it waited.
    async fn is_recent(
        &self,
        light: &Light,
        part: &SignedTransaction,
        block: Option<&Header>,
    ) -> Result<bool, WalletError> {
        let Some(head) = light.head().await? else { return Ok(true) };
        let block = block.unwrap_or(&head);
        let ahead = self.expiry_from(BlockHeight::GENESIS);
        // The first block that it could stand in when it was signed.
        let first = part.transaction().expiry.blocks_since(ahead);
        let waited = block.height.get().saturating_sub(first);
        let since_ms = head.time_ms.saturating_sub(block.time_ms);
        Ok(is_recent(since_ms, waited, self.genesis().timing().heartbeat_ms))
    }
    /// Seals, pays and signs a part, and keeps it before it leaves.
    async fn sign_part(
        &self,
        course: &Course<'_>,
        number: u32,
    ) -> Result<(SignedTransaction, Body), WalletError> {
        let content = course.kept.part(&self.keystore, number)?;
        let message = course.kept.message(content);
        let (prepared, _) = self.prepare_message(course.light, &message, course.postage).await?;
        let body = prepared.body.unwrap_or_else(|| Body::new(Vec::new()));
        course.kept.keep_part(number, &prepared.transaction, &body)?;
        Ok((prepared.transaction, body))
    }
    /// Hands a part in and waits until it is final, as verified here. A node that is busy is asked again.
    async fn submit_part(
        &self,
        course: &Course<'_>,
        (transaction, body): &(SignedTransaction, Body),
    ) -> Result<(), LightError> {
        let (mut pause, mut patience) = (PAUSES.0, PATIENCE);
        loop {
            let submitted = course.light.submit(transaction, Some(body), WaitFor::Final).await;
            patience = patience.saturating_sub(1);
            match submitted {
                Ok(submitted) if matches!(submitted.status, TransactionStatus::Final(_)) => {
                    // Not because the node says so, but because it is proven.
                    return match course.light.transaction(&transaction.id()).await? {
                        Some(_) => Ok(()),
                        None => Err(unproven(course.light, &transaction.id())),
                    };
                }
                Ok(_) if patience == 0 => return Err(no_block()),
                Ok(_) => course.wait("no block contains it yet".into()),
                Err(LightError::Node(error)) if error.category == Category::Busy && patience > 0 => {
                    course.wait(format!("{error}; asking again in {} s", pause.as_secs()));
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSES.1);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Kept {
    /// What the outbox is to know of it.
    pub fn parcel(&self) -> Parcel {
        Parcel { draft: self.id, parts: self.letter.parts() }
    }
    /// A message of this draft: a part of it, or the letter.
    pub fn message(&self, content: impl Into<crate::envelope::Content>) -> Draft {
        Draft { to: self.letter.to.clone(), content: content.into(), mode: self.letter.mode }
    }
}

impl Prepared {
    /// Says which draft it was.
    pub fn is_draft(&mut self, draft: &Kept, message: &Draft) {
        self.parcel = Some(draft.parcel());
        let continued = matches!(&message.content, Content::Letter(letter) if letter.continued.is_some());
        self.whole_text = continued.then(|| Zeroizing::new(draft.letter.text.clone()));
    }
}

impl Course<'_> {
    fn arrived(&self, number: u32) {
        let length = usize::try_from(number).ok().and_then(|at| self.lengths.get(at)).copied().unwrap_or(0);
        self.parts.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(length, Ordering::Relaxed);
        (self.heard)(&self.progress(None));
    }
    fn wait(&self, reason: String) {
        (self.heard)(&self.progress(Some(reason)));
    }
    fn progress(&self, waiting: Option<String>) -> ParcelProgress {
        ParcelProgress {
            parts: self.parts.load(Ordering::Relaxed),
            of: self.kept.letter.parts(),
            bytes: self.bytes.load(Ordering::Relaxed),
            of_bytes: self.kept.letter.bytes_ahead(),
            waiting,
        }
    }
    /// What was not done yet is done later: nothing is lost.
    fn left(&self, error: WalletError) -> WalletError {
        let ParcelProgress { parts, of, .. } = self.progress(None);
        let draft = self.kept.id;
        match error {
            WalletError::ParcelLeft { reason, source, .. } => {
                WalletError::ParcelLeft { draft, parts, of, reason, source }
            }
            WalletError::Light(source @ (LightError::Unreachable { .. } | LightError::Node(_))) => {
                let reason = source.to_string();
                WalletError::ParcelLeft { draft, parts, of, reason, source: Some(Box::new(source)) }
            }
            error => error,
        }
    }
}

/// Whether a part has to be signed again to get onto the ledger. The earlier one may still get there: nothing
/// names it, so it does no harm.
fn is_outdated(error: &ApiError) -> bool {
    matches!(error.code.as_str(), "tx.postage_too_low" | "tx.expired")
}

pub(super) fn no_block() -> LightError {
    LightError::Node(ApiError::new(Category::Busy, "node.no_block", "no block has contained it for minutes"))
}

fn unproven(light: &Light, id: &TransactionId) -> LightError {
    let (url, what) = (light.url().into(), format!("transaction {id}"));
    LightError::Untrusted { url, what, reason: "it says that it is final, and can't show it".into() }
}

/// By the times of blocks: so long after its own, for which it waited so many blocks. These are a heartbeat apart at most.
fn is_recent(since_ms: u64, waited: u64, heartbeat_ms: u32) -> bool {
    let waited_ms = waited.saturating_mul(heartbeat_ms.into());
    u128::from(since_ms.saturating_add(waited_ms)) <= OLDEST_PART.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_recent_for_a_week_from_its_signature_on() {
        let (week, hour) = (7 * 24 * 60 * 60 * 1000, 60 * 60 * 1000);
        assert!(is_recent(0, 0, hour) && is_recent(week, 0, hour) && !is_recent(week + 1, 0, hour));
        // As long as it may have waited for its block, on a network where nobody else writes.
        assert!(is_recent(0, 7 * 24, hour) && !is_recent(0, 7 * 24 + 1, hour));
        assert!(!is_recent(week, 1, hour) && !is_recent(u64::MAX, u64::MAX, u32::MAX));
    }
}
