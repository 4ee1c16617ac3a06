//! Sealed messages: who wrote them and to whom, which the ledger does not say, and the replies that carry their
//! receipts.

use super::reading::is_sealed;
use super::{Draft, Prepared, Reading, TimelineSlot, Wallet, WalletError};
use crate::envelope::{Letter, OpenError, open_sealed};
use crate::light::{Light, Proven, SlotAnswer};
use crate::outbox::OutboxEntry;
use crate::scan::{Found, FoundKind, Heard, HeldAnswer, ScanState};
use crate::wallet::Incoming;
use sealpost_ledger::address::Address;
use sealpost_ledger::author::AuthorBlock;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Mode};
use sealpost_ledger::receipt::Receipt;

/// A receipt in a sealed reply. The ledger shows nobody that there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedReceipt {
    /// What it says, and of which message.
    pub receipt: Receipt,
    /// The reply that carries it.
    pub reply: TransactionId,
    /// The other side: who answered, or whose message was answered.
    pub with: Address,
    /// The reply's block, as far as it is known.
    pub height: Option<BlockHeight>,
    /// When it was signed here, milliseconds since 1970 UTC; nothing for one that came.
    pub signed_ms: Option<u64>,
}

impl Wallet {
    /// Who wrote a sealed message that was sent from here, and to whom.
    pub fn authorship(&self, entry: &OutboxEntry) -> Result<Option<AuthorBlock>, WalletError> {
        let Some(note) = &entry.author else { return Ok(None) };
        let bytes = self.open_entry(entry, "author", &author_place(&entry.id), &note.0)?;
        Ok(AuthorBlock::from_bytes(&bytes).ok())
    }
    /// Who wrote the sealed message of that id, and to whom, if it was sent from here.
    pub(crate) fn sent_author(&self, id: &TransactionId) -> Result<Option<AuthorBlock>, WalletError> {
        self.outbox.get(id)?.map_or(Ok(None), |entry| self.authorship(&entry))
    }
    /// Whether a sealed message with that id was sent from here.
    pub fn sent_sealed(&self, id: &TransactionId) -> Result<bool, WalletError> {
        Ok(self.outbox.get(id)?.is_some_and(|entry| entry.author.is_some()))
    }
    /// Whom something that was sent from here is to.
    pub fn sent_to(&self, entry: &OutboxEntry) -> Result<Vec<String>, WalletError> {
        Ok(match self.authorship(entry)? {
            Some(block) => block.recipients.iter().map(|address| self.text(address)).collect(),
            None => entry.to.clone(),
        })
    }
    /// The same as addresses.
    pub(super) fn sent_to_addresses(&self, entry: &OutboxEntry) -> Result<Vec<Address>, WalletError> {
        Ok(match self.authorship(entry)? {
            Some(block) => block.recipients,
            None => {
                let prefix = self.genesis().prefix();
                entry.to.iter().filter_map(|text| Address::parse(text, prefix).ok()).collect()
            }
        })
    }
    /// The author block as the outbox keeps it.
    pub(super) fn author_note(&self, prepared: &Prepared) -> Result<Option<sealpost_api::Hex>, WalletError> {
        let Some(block) = &prepared.author else { return Ok(None) };
        let place = author_place(&prepared.transaction.id());
        Ok(Some(self.keystore.seal_note(&place, &block.to_bytes())?.into()))
    }
    /// The author of a sealed message, who gets the answer to it; nothing if the message is open.
    pub(super) async fn sealed_author(
        &self,
        light: &Light,
        message: &Proven,
    ) -> Result<Option<Address>, WalletError> {
        if !is_sealed(message) {
            return Ok(None);
        }
        let id = message.id();
        let (reading, _) = self.or_recalled(&id, self.read_proven(light, message.clone()).await)?;
        Ok(Some(reading.opened.author.ok_or(WalletError::NotOurs { id })?.author))
    }
    /// Opens a sealed message, and says which keys are gone if a scan had found it.
    pub(super) fn open_sealed_message(
        &self,
        message: &Proven,
        body: &Body,
    ) -> Result<(crate::envelope::Content, crate::envelope::Opened), WalletError> {
        let opened = open_sealed(message.transaction.transaction(), body, &self.address, self.bundles());
        opened.map_err(|error| match (error, self.found(&message.id())) {
            (OpenError::NotForUs, Ok(Some(found))) => {
                self.explain(&message.id(), OpenError::KeyGone { bundle: found.bundle })
            }
            (OpenError::NotForUs, _) => WalletError::NotOurs { id: message.id() },
            (error, _) => error.into(),
        })
    }
    /// Sealed letters that scans have found, the newest first, `enough` at most, each verified.
    pub async fn sealed_inbox(&self, light: &Light, enough: usize) -> Result<Vec<Incoming>, WalletError> {
        let mut letters = self.sealed_letters()?;
        letters.truncate(enough);
        self.proven_letters(light, letters).await
    }
    /// A message that came: an open one, or a sealed one that a scan has found. Nothing if the node does not have it.
    pub(crate) async fn came(
        &self,
        light: &Light,
        id: &TransactionId,
    ) -> Result<Option<Incoming>, WalletError> {
        let Some(message) = light.transaction(id).await? else { return Ok(None) };
        let Some(Found { slot, author, kind, .. }) = self.found(id)? else {
            return Ok(self.incoming(message));
        };
        let only_receipts = kind == FoundKind::Receipts;
        Ok(Some(Incoming { message, slot, author, only_receipts }))
    }
    /// Where the sealed letters that scans have found stand, the newest first.
    pub(super) fn sealed_letters(&self) -> Result<Vec<Found>, WalletError> {
        let state = self.scan_state()?;
        let mut letters: Vec<_> = state.found().iter().filter(|found| is_letter(found)).copied().collect();
        letters.sort_by_key(|found| std::cmp::Reverse(found.at));
        Ok(letters)
    }
    /// Sealed letters that scans have found since, each verified, and how far one has come behind them.
    pub async fn sealed_since(
        &self,
        light: &Light,
        heard: &Heard,
    ) -> Result<(Vec<Incoming>, Heard), WalletError> {
        let (mut new, heard) = heard.with(&self.archive, &self.scan_state()?);
        new.retain(is_letter);
        Ok((self.proven_letters(light, new).await?, heard))
    }
    /// Sealed letters from a height on that scans have found, in the order of the ledger, each verified, and how far one
    /// has come behind everything that was found by then.
    pub async fn sealed_from(
        &self,
        light: &Light,
        from: BlockHeight,
    ) -> Result<(Vec<Incoming>, Heard), WalletError> {
        let state = self.scan_state()?;
        let found = state.found().iter().filter(|found| is_letter(found) && found.at.height >= from);
        let mut letters: Vec<_> = found.copied().collect();
        letters.sort_by_key(|found| found.at);
        Ok((self.proven_letters(light, letters).await?, Heard::all(&self.archive, &state)))
    }
    /// Receipts for sealed messages of this wallet, as scans have found them, the newest first. Each was checked
    /// then; no node is asked, so that none learns whose they are.
    pub fn sealed_receipts_got(&self) -> Result<Vec<SealedReceipt>, WalletError> {
        let mut got = Vec::new();
        for HeldAnswer { reply, at, receipt } in self.scan_state()?.answers() {
            // Its message was forgotten meanwhile, or can't be read: then it answers nothing that is here.
            let block = unless_damaged(self.sent_author(&receipt.message))?;
            let recipient = block.and_then(|block| block.recipients.get(usize::from(receipt.slot)).copied());
            let Some(with) = recipient else { continue };
            let height = Some(at.height);
            got.push(SealedReceipt { receipt, reply, with, height, signed_ms: None });
        }
        Ok(got)
    }
    /// Receipts that this wallet gave in sealed replies, the newest first.
    pub fn sealed_receipts_given(&self) -> Result<Vec<SealedReceipt>, WalletError> {
        let mut given = Vec::new();
        for entry in self.outbox.read_all()?.entries.into_iter().filter(|entry| entry.author.is_some()) {
            let Some(receipts) = unless_damaged(self.answers_in(&entry).map(Some))? else { continue };
            let to = unless_damaged(self.sent_to_addresses(&entry).map(Some))?;
            let Some(with) = to.and_then(|to| to.first().copied()) else { continue };
            let (reply, height, signed_ms) = (entry.id, entry.height, Some(entry.signed_ms));
            let receipts = receipts.into_iter();
            given.extend(receipts.map(|receipt| SealedReceipt { receipt, reply, with, height, signed_ms }));
        }
        given.sort_by_key(|sealed| std::cmp::Reverse(sealed.signed_ms));
        Ok(given)
    }
    pub(super) async fn proven_letters(
        &self,
        light: &Light,
        letters: Vec<Found>,
    ) -> Result<Vec<Incoming>, WalletError> {
        let mut incoming = Vec::with_capacity(letters.len());
        for found in letters {
            let message = self.message(light, &found.id).await?;
            let only_receipts = found.kind == FoundKind::Receipts;
            incoming.push(Incoming { message, slot: found.slot, author: found.author, only_receipts });
        }
        Ok(incoming)
    }
    /// How a sealed message that was sent from here stands, as far as its answers were found.
    pub(super) async fn sealed_slots(
        &self,
        light: &Light,
        id: &TransactionId,
        slots: &mut [TimelineSlot],
    ) -> Result<(), WalletError> {
        let Some(block) = self.sent_author(id)? else { return Ok(()) };
        let state: ScanState = self.scan_state()?;
        for ((number, slot), recipient) in (0_u16..).zip(slots).zip(&block.recipients) {
            slot.recipient = Some(*recipient);
            if let Some(held) = state.answer(id, number) {
                // The answer was checked when it was found; this proves where the reply stands.
                let receipt = Box::new(self.message(light, &held.reply).await?);
                slot.answer = SlotAnswer::Answered { receipt, answer: held.receipt.answer };
            }
        }
        Ok(())
    }
    fn found(&self, id: &TransactionId) -> Result<Option<Found>, WalletError> {
        Ok(self.scan_state()?.found().iter().find(|found| found.id == *id).copied())
    }
}

impl Reading {
    /// Whether it is a sealed reply that carries receipts: those are not answered with receipts.
    pub fn carries_receipts(&self) -> bool {
        self.opened.author.is_some() && !self.letter.answers.is_empty()
    }
    /// Whom it went to: those that the author named inside a sealed message, or those that an open one names.
    pub fn recipients(&self) -> Vec<Address> {
        match (&self.opened.author, self.message.transaction.message()) {
            (Some(block), _) => block.recipients.clone(),
            (None, Some(message)) => message.recipients().collect(),
            (None, None) => Vec::new(),
        }
    }
    /// Who wrote it: the author inside a sealed message, or who signed an open one.
    pub fn author(&self) -> Address {
        let inside = self.opened.author.as_ref().map(|block| block.author);
        inside.unwrap_or_else(|| self.message.transaction.sender())
    }
}

/// The letter that carries a receipt to the author of a sealed message.
pub(super) fn reply_with(author: Address, receipt: Receipt) -> Draft {
    let letter = Letter { reply_to: Some(receipt.message), answers: vec![receipt], ..Letter::default() };
    Draft { to: vec![author], content: letter.into(), mode: Mode::Sealed }
}

/// What has not been read yet may be one.
fn is_letter(found: &Found) -> bool {
    !matches!(found.kind, FoundKind::Part | FoundKind::Broken)
}

/// What an entry of the outbox says; nothing if that entry is damaged, which hides none of the others.
pub(crate) fn unless_damaged<T>(read: Result<Option<T>, WalletError>) -> Result<Option<T>, WalletError> {
    match read {
        Err(WalletError::Outbox(error)) if error.is_of_one_entry() => Ok(None),
        read => read,
    }
}

/// What the encrypted author block of a message is bound to.
fn author_place(id: &TransactionId) -> Vec<u8> {
    [id.as_bytes().as_slice(), b"author"].concat()
}
