//! Answers that were signed before, and how each stands. A sealed message can be answered twice, and in contradiction:
//! the ledger shows nobody that there is an answer, so nobody but this wallet refuses the second. Therefore an answer is
//! signed only by whoever holds the wallet's lock for answers, knows all that the outbox has by then, and has asked the
//! nodes for what has neither a block nor time left. It is in the outbox before the lock is let go.

use super::reading::is_sealed;
use super::sealed::{reply_with, unless_damaged};
use super::{ALREADY_ANSWERED, PostageProgress, Sent, Wallet, WalletError};
use crate::light::{Light, Proven, SlotAnswer};
use crate::outbox::{OutboxEntry, OutboxError};
use sealpost_api::{Hex, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::{decode, encode};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::receipt::{Answer, Receipt};
use sealpost_ledger::transaction::Payload;
use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How often it is looked whether nobody else signs an answer, and for how long: a stamp may take the other a while.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(120);

/// A slot of a message.
pub(super) type Slot = (TransactionId, u16);

/// What the outbox has of answers. What an entry answers never changes, so each is read once: whoever answers a hundred
/// messages does not read all of the outbox a hundred times.
#[derive(Default)]
pub(super) struct KnownAnswers {
    read: HashSet<TransactionId>,
    by_slot: HashMap<Slot, Vec<(TransactionId, Answer)>>,
}

impl std::fmt::Debug for KnownAnswers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KnownAnswers({})", self.read.len())
    }
}

impl Wallet {
    /// Takes in what the outbox has of answers by now. Also returns why an entry can't be read, if there is one: it may
    /// be the answer to any sealed message.
    pub(super) fn read_answers(&self) -> Result<Option<OutboxError>, WalletError> {
        let mut known = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut damaged = None;
        for id in self.outbox.ids()? {
            if known.read.contains(&id) {
                continue;
            }
            let entry = self.outbox.get(&id).map_err(WalletError::from);
            match entry.and_then(|entry| entry.map(|entry| self.answers_in(&entry)).transpose()) {
                Ok(receipts) => {
                    for Receipt { message, slot, answer } in receipts.into_iter().flatten() {
                        known.by_slot.entry((message, slot)).or_default().push((id, answer));
                    }
                    known.read.insert(id);
                }
                Err(WalletError::Outbox(error)) if error.is_of_one_entry() => {
                    damaged.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }
    /// What an entry answers: on the ledger, or in a sealed reply, also after its text was forgotten.
    pub(super) fn answers_in(&self, entry: &OutboxEntry) -> Result<Vec<Receipt>, WalletError> {
        if entry.author.is_some() {
            return self.sealed_answers_in(entry);
        }
        // Of an open message the ledger refuses the second answer, whatever can't be read here.
        Ok(match entry.transaction().as_ref().map(|transaction| transaction.payload()) {
            Some(Payload::Receipt(receipt)) => vec![*receipt],
            _ => Vec::new(),
        })
    }
    fn sealed_answers_in(&self, entry: &OutboxEntry) -> Result<Vec<Receipt>, WalletError> {
        let Some(kept) = &entry.answers else {
            return Ok(self.own_letter(entry)?.map(|letter| letter.answers).unwrap_or_default());
        };
        let bytes = self.open_entry(entry, "answers", &answers_place(&entry.id), &kept.0)?;
        let altered = |_| OutboxError::Altered { id: entry.id, field: "answers" };
        Ok(decode("answers of a reply", &bytes, bytes.len()).map_err(altered)?)
    }
    /// What a reply answers, as the outbox keeps it when the rest is forgotten; nothing if it answers nothing.
    pub(super) fn answers_note(&self, entry: &OutboxEntry) -> Result<Option<Hex>, WalletError> {
        if entry.author.is_none() {
            return Ok(None);
        }
        // One that can't be read is forgotten all the same.
        let receipts = unless_damaged(self.sealed_answers_in(entry).map(Some))?.unwrap_or_default();
        if receipts.is_empty() {
            return Ok(None);
        }
        let note = self.keystore.seal_note(&answers_place(&entry.id), &encode(&receipts))?;
        Ok(Some(note.into()))
    }
    /// The answers to a slot that are signed and may still come into a block, as far as the outbox was read.
    ///
    /// # Errors
    /// [`WalletError::Answered`] if one stands in a block; when no node says whether one does that is in no block to come.
    pub(super) async fn unfinished_answers(
        &self,
        light: &Light,
        slot: Slot,
    ) -> Result<Vec<(OutboxEntry, Answer)>, WalletError> {
        let mut signed = Vec::new();
        for (id, answer) in self.known_answers(slot) {
            if let Some(entry) = self.outbox.get(&id)? {
                signed.push((entry, answer));
            }
        }
        let answered = || WalletError::Answered { id: slot.0 };
        if signed.iter().any(|(entry, _)| entry.height.is_some()) {
            return Err(answered());
        }
        let mut unfinished = Vec::new();
        for (mut entry, answer) in signed {
            // Asked for before: a block that comes in between is no reason to call an answer void.
            let next = light.next_height().await?;
            let transaction = entry.transaction().filter(|transaction| transaction.id() == entry.id);
            let expiry = transaction.map(|transaction| transaction.transaction().expiry);
            // That no block is noted says nothing: whoever handed it in may have been killed, or may not have waited.
            let found = match expiry.is_some_and(|expiry| expiry >= next) {
                true => light.transaction(&entry.id).await?,
                // Whoever is told that there is none signs another: one node's word is too little.
                false => light.transaction_of_any(&entry.id).await?,
            };
            match (found, expiry) {
                (Some(proven), _) => {
                    self.note_final(&mut entry, &proven)?;
                    return Err(answered());
                }
                (None, Some(expiry)) if expiry >= next => unfinished.push((entry, answer)),
                (None, Some(_)) => {}
                (None, None) => {
                    return Err(self.outbox.malformed(&entry.id, "its transaction was altered").into());
                }
            }
        }
        Ok(unfinished)
    }
    fn known_answers(&self, slot: Slot) -> Vec<(TransactionId, Answer)> {
        let known = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_slot.get(&slot).cloned().unwrap_or_default()
    }
    /// Makes sure that an answer contradicts none that was given. Returns those that say the same, are signed, and may
    /// still come into a block.
    ///
    /// # Errors
    /// [`WalletError::Answered`] if one stands in a block, or one that says something else may come into one; of a sealed
    /// message also when an entry of the outbox can't be read, since that may be its answer.
    pub(super) async fn may_answer(
        &self,
        light: &Light,
        message: &Proven,
        receipt: &Receipt,
    ) -> Result<Vec<OutboxEntry>, WalletError> {
        let damaged = self.read_answers()?;
        let answered = || WalletError::Answered { id: receipt.message };
        let unfinished = self.unfinished_answers(light, (receipt.message, receipt.slot)).await?;
        if unfinished.iter().any(|(_, answer)| *answer != receipt.answer) {
            return Err(answered());
        }
        if is_sealed(message) {
            damaged.map_or(Ok(()), Err)?;
        } else if let Some(SlotAnswer::Answered { .. }) = light.answer_of(message, receipt.slot).await? {
            return Err(answered());
        }
        Ok(unfinished.into_iter().map(|(entry, _)| entry).collect())
    }
    /// Answers a message, once: in a sealed reply to its author, or on the ledger if there is none. What says the same,
    /// was signed before and may still come into a block is handed in again instead. Final when this returns.
    pub(super) async fn answer_once(
        &self,
        light: &Light,
        message: &Proven,
        receipt: Receipt,
        author: Option<Address>,
        progress: PostageProgress<'_>,
    ) -> Result<Sent, WalletError> {
        let mut refused = Vec::new();
        loop {
            let alone = self.lock_answers().await?;
            let signed = self.may_answer(light, message, &receipt).await?;
            let Some(entry) = signed.into_iter().find(|entry| !refused.contains(&entry.id)) else {
                let (entry, work) = self.sign_answer(light, receipt, author, progress).await?;
                drop(alone);
                let sent = self.send_kept(light, entry, WaitFor::Final).await?;
                return Ok(Sent { work, ..sent });
            };
            drop(alone);
            let id = entry.id;
            match self.send_kept(light, entry, WaitFor::Final).await {
                // Its postage may have become too little meanwhile: then it is signed anew.
                Err(error) if error.refusal().is_some_and(|refusal| refusal.code != ALREADY_ANSWERED) => {
                    refused.push(id);
                }
                sent => return sent,
            }
        }
    }
    /// Signs an answer and puts it into the outbox. Also returns the expected hashes of its postage.
    async fn sign_answer(
        &self,
        light: &Light,
        receipt: Receipt,
        author: Option<Address>,
        progress: PostageProgress<'_>,
    ) -> Result<(OutboxEntry, u64), WalletError> {
        let Some(author) = author else {
            let (payload, expiry) = (Payload::Receipt(receipt), self.expiry(light).await?);
            let prepared = self.prepare(light, payload, None, expiry, progress).await?;
            return Ok((self.keep_prepared(&prepared, Vec::new(), None)?, prepared.work));
        };
        let reply = reply_with(author, receipt);
        let (prepared, salt) = self.prepare_message(light, &reply, progress).await?;
        let (to, note) = self.outbox_parts(&prepared, &reply, salt)?;
        Ok((self.keep_prepared(&prepared, to, Some(note))?, prepared.work))
    }
    /// Waits until nobody else of this wallet signs an answer. Nobody does as long as what this returns is held, or until
    /// the process dies.
    async fn lock_answers(&self) -> Result<File, WalletError> {
        let (file, path) = self.lock_file("answers.lock")?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(TryLockError::WouldBlock) => return Err(WalletError::AnswersBusy),
                Err(TryLockError::Error(error)) => {
                    return Err(WalletError::File(sealpost_terminal::file_failure("lock", &path, &error)));
                }
            }
        }
    }
}

/// What the kept answers of a reply are bound to.
fn answers_place(id: &TransactionId) -> Vec<u8> {
    [id.as_bytes().as_slice(), b"answers"].concat()
}
