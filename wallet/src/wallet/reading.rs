//! Reading: what came, what it says, how it was answered, and the evidence of it.

use super::{Wallet, WalletError};
use crate::envelope::{Content, Letter, OpenError, Opened, open};
use crate::keystore::Origin;
use crate::light::{Light, Page, Position, Proven, Range, SlotAnswer};
use sealpost_api::{MailboxSide, Order};
use sealpost_ledger::address::Address;
use sealpost_ledger::evidence::{Disclosure, Evidence};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Mode, SlotRecipient};
use sealpost_ledger::receipt::{Answer, Receipt, RefusalReason};

/// Entries asked for at once.
const PAGE: u32 = 50;

/// A message that came.
#[derive(Debug)]
pub struct Incoming {
    /// The message, verified.
    pub message: Proven,
    /// Which slot is ours.
    pub slot: u16,
    /// Who wrote it, inside, if it is sealed.
    pub author: Option<Address>,
    /// Whether it is sealed, carries receipts and says nothing besides.
    pub only_receipts: bool,
}

/// An opened message.
#[derive(Debug)]
pub struct Reading {
    /// The message, verified.
    pub message: Proven,
    /// What it says.
    pub letter: Letter,
    /// What shows that it was opened.
    pub opened: Opened,
}

/// How a message stands with each recipient.
#[derive(Debug)]
pub struct Timeline {
    /// The message, verified.
    pub message: Proven,
    /// The recipients.
    pub slots: Vec<TimelineSlot>,
}

/// How a message stands with one recipient.
#[derive(Debug)]
pub struct TimelineSlot {
    /// Who; nothing if hidden.
    pub recipient: Option<Address>,
    /// The answer, or the silence.
    pub answer: SlotAnswer,
}

impl Wallet {
    /// Messages to this wallet, the newest first, `enough` at most; parts of letters are left out, and to know
    /// them each message is opened once. `heard` is told how many were found so far.
    pub async fn inbox(
        &self,
        light: &Light,
        enough: usize,
        heard: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Incoming>, WalletError> {
        self.inbox_down_to(light, enough, None, heard).await
    }
    /// The same, without what is older than a height.
    pub(super) async fn inbox_down_to(
        &self,
        light: &Light,
        enough: usize,
        from: Option<BlockHeight>,
        heard: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Incoming>, WalletError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(light, MailboxSide::Received, after).await?;
            for incoming in page.entries.into_iter().filter_map(|message| self.incoming(message)) {
                if from.is_some_and(|from| incoming.message.header.height < from) {
                    heard(found.len());
                    return Ok(found);
                }
                if found.len() < enough && !self.is_part(light, &incoming).await? {
                    found.push(incoming);
                }
            }
            heard(found.len().min(enough));
            if !page.more || found.len() >= enough {
                found.truncate(enough);
                return Ok(found);
            }
            after = page.next;
        }
    }
    /// The open messages to this wallet in the next blocks of a range, with the proof that none was left out;
    /// nothing when the range is read.
    pub async fn next_of_range(
        &self,
        light: &Light,
        range: &mut Range,
    ) -> Result<Option<Vec<Incoming>>, WalletError> {
        let messages = range.next_messages(light, &self.address).await?;
        Ok(messages.map(|messages| messages.into_iter().filter_map(|m| self.incoming(m)).collect()))
    }
    /// A verified message as ours, if it is.
    pub fn incoming(&self, message: Proven) -> Option<Incoming> {
        let slot = message.transaction.message()?.slot_of(&self.address)?;
        Some(Incoming { message, slot, author: None, only_receipts: false })
    }
    /// Opens a message. Nobody is told.
    pub async fn read(&self, light: &Light, id: &TransactionId) -> Result<Reading, WalletError> {
        let message = self.message(light, id).await?;
        self.read_proven(light, message).await
    }
    /// The same, of a message that was verified before.
    pub(super) async fn read_proven(&self, light: &Light, message: Proven) -> Result<Reading, WalletError> {
        let (content, opened) = self.open_message(light, &message).await?;
        match content {
            Content::Letter(letter) => Ok(Reading { message, letter, opened }),
            Content::Part(_) => Err(WalletError::OnlyAPart { id: message.id() }),
        }
    }
    /// The answer that refuses a message, and its slot. Needs no opening, unless the message is sealed.
    pub async fn refusal(
        &self,
        light: &Light,
        id: &TransactionId,
        reason: RefusalReason,
    ) -> Result<(u16, Answer), WalletError> {
        let message = self.message(light, id).await?;
        let slot = if is_sealed(&message) {
            self.or_recalled(id, self.read_proven(light, message.clone()).await)?.0.opened.slot
        } else {
            let slot = message.transaction.message().and_then(|m| m.slot_of(&self.address));
            slot.ok_or(WalletError::NotOurs { id: *id })?
        };
        let answer = Answer::Refused { reason };
        self.may_answer(light, &message, &Receipt { message: *id, slot, answer }).await?;
        Ok((slot, answer))
    }
    /// How a message stands.
    pub async fn timeline(&self, light: &Light, id: &TransactionId) -> Result<Timeline, WalletError> {
        let message = self.message(light, id).await?;
        let Some(header) = message.transaction.message().cloned() else {
            return Err(WalletError::Unknown { id: *id });
        };
        let answers = light.answers(&message, &header).await?;
        let slots = header.slots.iter().zip(answers).map(|(slot, answer)| {
            let recipient = match slot.recipient {
                SlotRecipient::Named { address, .. } => Some(address),
                SlotRecipient::Hidden { .. } => None,
            };
            TimelineSlot { recipient, answer }
        });
        let mut slots: Vec<_> = slots.collect();
        if header.mode == Mode::Sealed {
            self.sealed_slots(light, id, &mut slots).await?;
        }
        Ok(Timeline { slots, message })
    }
    /// The evidence of a message, checked; with what it says if `disclose` is asked for and this wallet
    /// knows it.
    pub async fn evidence(
        &self,
        light: &Light,
        id: &TransactionId,
        until: Option<BlockHeight>,
        with_body: bool,
        disclose: bool,
    ) -> Result<Evidence, WalletError> {
        let mut evidence = light.evidence(id, until, with_body).await?;
        if disclose {
            evidence.disclosure = Some(self.disclosure(light, id).await?);
            let checked = evidence.check(self.genesis());
            checked.map_err(|_| WalletError::NothingToDisclose { id: *id })?;
        }
        Ok(evidence)
    }
    /// The id that a text means: whole, or the beginning of one in inbox or outbox.
    pub async fn resolve(&self, light: &Light, text: &str) -> Result<TransactionId, WalletError> {
        if let Some(id) = whole_id(text)? {
            return Ok(id);
        }
        let mut known = self.outbox.ids()?;
        known.extend(self.scan_state()?.found().iter().map(|found| found.id));
        let mut after = None;
        loop {
            let page = self.page(light, MailboxSide::Received, after).await?;
            let ours = page.entries.into_iter().filter_map(|message| self.incoming(message));
            known.extend(ours.map(|incoming| incoming.message.id()));
            if !page.more {
                break;
            }
            after = page.next;
        }
        known.retain(|id| id.to_string().starts_with(text));
        known.sort();
        known.dedup();
        the_one(text, &known)?.ok_or_else(|| WalletError::NoneBegins { text: text.into() })
    }

    /// Opens a message, whatever it holds.
    pub(super) async fn open_message(
        &self,
        light: &Light,
        message: &Proven,
    ) -> Result<(Content, Opened), WalletError> {
        if is_sealed(message) {
            let body = light.body(message).await?;
            return self.open_sealed_message(message, &body);
        }
        let slot = message.transaction.message().and_then(|m| m.slot_of(&self.address));
        let slot = slot.ok_or(WalletError::NotOurs { id: message.id() })?;
        let body = light.body(message).await?;
        let opened = open(message.transaction.transaction(), &body, slot, self.bundles());
        opened.map_err(|error| self.explain(&message.id(), error))
    }
    async fn disclosure(&self, light: &Light, id: &TransactionId) -> Result<Disclosure, WalletError> {
        if let Some(entry) = self.outbox.get(id)?.filter(|entry| entry.note.is_some()) {
            let note = self.note(&entry)?.ok_or(WalletError::NothingToDisclose { id: *id })?;
            let author = self.authorship(&entry)?;
            return Ok(Disclosure { salt: note.salt, content: note.content.to_vec(), author });
        }
        let (reading, _) = match self.read_or_recall(light, id).await {
            Err(WalletError::NotOurs { id }) => return Err(WalletError::NothingToDisclose { id }),
            reading => reading?,
        };
        let Opened { salt, content_bytes: content, author, .. } = reading.opened;
        Ok(Disclosure { salt, content, author })
    }
    /// Why a secret is not here, as far as this wallet knows.
    pub(super) fn explain(&self, id: &TransactionId, error: OpenError) -> WalletError {
        let OpenError::KeyGone { bundle } = error else { return error.into() };
        let known = self.keystore.secrets().publication(bundle);
        match known.and_then(|known| known.destroyed_ms) {
            Some(at) => WalletError::KeyDestroyed { id: *id, bundle, when: sealpost_terminal::rfc3339(at) },
            None if known.is_none_or(|known| known.origin == Origin::Elsewhere) => {
                WalletError::KeyNeverHere { id: *id, bundle }
            }
            None => error.into(),
        }
    }
    pub(super) async fn message(&self, light: &Light, id: &TransactionId) -> Result<Proven, WalletError> {
        light.transaction(id).await?.ok_or(WalletError::Unknown { id: *id })
    }
    /// A page of what this identity sent or received, the newest first.
    pub(super) async fn page(
        &self,
        light: &Light,
        side: MailboxSide,
        after: Option<Position>,
    ) -> Result<Page, WalletError> {
        Ok(light.list(side, &self.address, Order::NewestFirst, after, PAGE).await?)
    }
}

/// Whether it hides its author and whom it is to.
pub(super) fn is_sealed(message: &Proven) -> bool {
    message.transaction.message().is_some_and(|message| message.mode == Mode::Sealed)
}

/// The id that a text is; nothing if it may be how one begins.
pub(super) fn whole_id(text: &str) -> Result<Option<TransactionId>, WalletError> {
    if let Ok(id) = text.parse() {
        return Ok(Some(id));
    }
    let plain = text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    if !plain || !(4..64).contains(&text.len()) {
        return Err(wrong_id(text, "4 to 64 lower-case hexadecimal digits are expected".into()));
    }
    Ok(None)
}

/// The one id that begins with a text, of those that do; nothing if none does.
pub(super) fn the_one(text: &str, beginning: &[TransactionId]) -> Result<Option<TransactionId>, WalletError> {
    match beginning {
        [] => Ok(None),
        [id] => Ok(Some(*id)),
        many => {
            let list: Vec<_> = many.iter().take(5).map(ToString::to_string).collect();
            Err(wrong_id(text, format!("it begins several ids: {}", list.join(", "))))
        }
    }
}

fn wrong_id(text: &str, reason: String) -> WalletError {
    WalletError::Id { text: text.chars().take(72).collect(), reason }
}
