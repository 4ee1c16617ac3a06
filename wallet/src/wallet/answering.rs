//! Answering: what came and has no answer yet, giving the answer once, and what was answered before. Every
//! answer is an explicit act; nothing here answers by itself.
//!
//! A receipt covers the letter and not what came in parts, but whoever shows it will say that all of it arrived. So
//! every part is fetched and verified first, unless the person knows better: a sender who names parts that are not on
//! the ledger gets no receipt for them.

use super::keeping::is_key_gone;
use super::sealed::reply_with;
use super::{Incoming, PostageProgress, Reading, Sent, Wallet, WalletError};
use crate::envelope::Letter;
use crate::light::{Light, LightError, Proven, SlotAnswer};
use crate::outbox::OutboxEntry;
use sealpost_api::{MailboxSide, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::evidence::{Finding, Place};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::receipt::{Answer, Receipt, RefusalReason};
use sealpost_ledger::transaction::Payload;
use std::collections::{HashMap, HashSet};

/// What the ledger says to a second answer.
pub(crate) const ALREADY_ANSWERED: &str = "receipt.already_answered";

/// What must be here of a letter before it gets a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// The letter and everything that came in parts, of which each piece may have so many bytes.
    Whole {
        /// Most bytes of a piece.
        limit: u64,
    },
    /// The letter alone: the person answers though its parts are not to be had.
    LetterAlone,
}

/// A message that came, was opened here, and has no answer.
#[derive(Debug)]
pub struct Unanswered {
    /// The message, verified.
    pub message: Proven,
    /// Who wrote it: of a sealed message, the author inside.
    pub author: Address,
    /// Whether the answer goes to the author alone, in a sealed reply.
    pub sealed: bool,
    /// What it says.
    pub letter: Letter,
    slot: u16,
    answer: Answer,
    /// An answer that was signed before and may still come into a block.
    signed: Option<Box<OutboxEntry>>,
}

/// What waits for an answer.
#[derive(Debug, Default)]
pub struct Waiting {
    /// What can be answered.
    pub ready: Vec<Unanswered>,
    /// What can't be opened, or lacks parts, and so is not answered with a receipt.
    pub unopened: Vec<(TransactionId, WalletError)>,
    /// Whether older messages were left for another time.
    pub more: bool,
}

/// An answer that this wallet gave.
#[derive(Debug)]
pub struct GivenReceipt {
    /// The receipt, verified.
    pub receipt: Proven,
    /// The message it answers.
    pub message: TransactionId,
    /// What it says.
    pub answer: Answer,
}

/// An answer that this wallet got.
#[derive(Debug)]
pub struct GotReceipt {
    /// The message it answers.
    pub message: TransactionId,
    /// The receipt.
    pub receipt: TransactionId,
    /// Who answered.
    pub by: Address,
    /// Why it was refused; nothing if it was opened.
    pub refused: Option<RefusalReason>,
    /// Its block.
    pub place: Place,
}

impl Unanswered {
    fn new(reading: Reading, slot: u16, answer: Answer, signed: Option<Box<OutboxEntry>>) -> Self {
        let (author, sealed) = (reading.author(), reading.opened.author.is_some());
        Self { message: reading.message, author, sealed, letter: reading.letter, slot, answer, signed }
    }
}

impl Wallet {
    /// Opens what came and has no answer by this wallet, the newest first, `enough` at most; of sealed letters those
    /// that scans have found. Nobody is told. One of which `demand` lacks something is among the unopened.
    /// `heard` is told how many were found so far.
    pub async fn unanswered(
        &self,
        light: &Light,
        demand: Demand,
        enough: usize,
        heard: &(dyn Fn(usize) + Sync),
    ) -> Result<Waiting, WalletError> {
        let answered = self.answered(light).await?;
        let mut signed = self.signed_answers(light).await?;
        let (mut waiting, mut after) = (Waiting::default(), None);
        loop {
            let page = self.page(light, MailboxSide::Received, after).await?;
            let came = page.entries.into_iter().filter_map(|message| self.incoming(message));
            for incoming in came.filter(|incoming| !answered.contains(&incoming.message.id())) {
                if waiting.ready.len() >= enough {
                    waiting.more = true;
                    return Ok(waiting);
                }
                let before = signed.remove(&incoming.message.id());
                self.take_in(light, demand, incoming, before, &mut waiting).await?;
                heard(waiting.ready.len());
            }
            if !page.more {
                break;
            }
            after = page.next;
        }
        for found in self.sealed_unanswered(light).await? {
            if waiting.ready.len() >= enough {
                waiting.more = true;
                break;
            }
            for incoming in self.proven_letters(light, vec![found]).await? {
                self.take_in(light, demand, incoming, None, &mut waiting).await?;
            }
            heard(waiting.ready.len());
        }
        Ok(waiting)
    }
    /// Opens a message in order to answer for it. Everything that `demand` names is here and verified when this returns.
    pub async fn to_answer(
        &self,
        light: &Light,
        id: &TransactionId,
        demand: Demand,
    ) -> Result<Unanswered, WalletError> {
        let (reading, _) = self.read_or_recall(light, id).await?;
        if reading.carries_receipts() {
            return Err(WalletError::OnlyReceipts { id: *id });
        }
        // A sealed answer stands where nobody else finds it.
        let signed = if reading.opened.author.is_some() {
            let signed = self.sealed_answers(light).await?.remove(&(*id, reading.opened.slot));
            if signed.as_ref().is_some_and(|entry| entry.height.is_some()) {
                return Err(WalletError::Answered { id: *id });
            }
            signed
        } else {
            self.refuse_answered(light, &reading.message, reading.opened.slot).await?;
            self.signed_answers(light).await?.remove(id)
        };
        self.meet(light, &reading, demand).await?;
        let signed = signed.map(Box::new);
        let (slot, answer) = (reading.opened.slot, reading.opened.answer());
        Ok(Unanswered::new(reading, slot, answer, signed))
    }
    /// Says on the ledger that a message was opened. What was signed before and may still come into a block is
    /// sent again instead of signed anew. Final when this returns.
    pub async fn give_receipt(
        &self,
        light: &Light,
        unanswered: &Unanswered,
        progress: PostageProgress<'_>,
    ) -> Result<Sent, WalletError> {
        if let Some(entry) = &unanswered.signed {
            match self.send_kept(light, entry.as_ref().clone(), WaitFor::Final).await {
                // Its postage may have become too little meanwhile: then it is signed anew.
                Err(error) if error.refusal().is_some_and(|refusal| refusal.code != ALREADY_ANSWERED) => {}
                sent => return sent,
            }
        }
        let Unanswered { message, author, sealed, slot, answer, .. } = unanswered;
        let receipt = Receipt { message: message.id(), slot: *slot, answer: *answer };
        let reply = sealed.then(|| reply_with(*author, receipt));
        self.answer_by(light, receipt, reply, progress).await
    }
    /// The answers that this identity gave, the newest first, `limit` at most.
    pub async fn receipts_given(
        &self,
        light: &Light,
        limit: usize,
    ) -> Result<Vec<GivenReceipt>, WalletError> {
        let (mut given, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(light, MailboxSide::Sent, after).await?;
            given.extend(page.entries.into_iter().filter_map(
                |receipt| match receipt.transaction.payload() {
                    Payload::Receipt(found) => {
                        Some(GivenReceipt { message: found.message, answer: found.answer, receipt })
                    }
                    _ => None,
                },
            ));
            if !page.more || given.len() >= limit {
                given.truncate(limit);
                return Ok(given);
            }
            after = page.next;
        }
    }
    /// The answers to a message, each proven.
    pub async fn receipts_got(
        &self,
        light: &Light,
        id: &TransactionId,
    ) -> Result<Vec<GotReceipt>, WalletError> {
        // The evidence has all of them in one answer, and is checked as a whole.
        let evidence = light.evidence(id, None, false).await?;
        let findings = evidence.check(self.genesis()).map_err(|_| WalletError::Unknown { id: *id })?;
        let got = findings.list().iter().filter_map(|finding| match finding {
            Finding::Opened { by, receipt, place, .. } => Some((by, receipt, None, place)),
            Finding::Refused { by, receipt, reason, place, .. } => Some((by, receipt, Some(*reason), place)),
            _ => None,
        });
        let got = got.map(|(by, receipt, refused, place)| GotReceipt {
            message: *id,
            receipt: *receipt,
            by: *by,
            refused,
            place: place.clone(),
        });
        Ok(got.collect())
    }

    /// Refuses to sign an answer to an open message for which the ledger has one: the outbox would keep what no block takes.
    pub(super) async fn refuse_answered(
        &self,
        light: &Light,
        message: &Proven,
        slot: u16,
    ) -> Result<(), WalletError> {
        match light.answer_of(message, slot).await? {
            Some(SlotAnswer::Answered { .. }) => Err(WalletError::Answered { id: message.id() }),
            _ => Ok(()),
        }
    }
    /// The messages that this identity has answered.
    async fn answered(&self, light: &Light) -> Result<HashSet<TransactionId>, WalletError> {
        let given = self.receipts_given(light, usize::MAX).await?;
        Ok(given.into_iter().map(|given| given.message).collect())
    }
    /// Receipts in the outbox that are in no block and may still come into one, by the message they answer.
    async fn signed_answers(
        &self,
        light: &Light,
    ) -> Result<HashMap<TransactionId, OutboxEntry>, WalletError> {
        let next = light.next_height().await?;
        let mut signed = HashMap::new();
        // One that can't be read is given anew: of two the ledger takes the first, and refuses the second.
        for entry in self.outbox.read_all()?.entries.into_iter().filter(|entry| entry.height.is_none()) {
            if let Some(transaction) = entry.transaction()
                && let Payload::Receipt(receipt) = transaction.payload()
                && matches!(receipt.answer, Answer::Opened { .. })
                && transaction.transaction().expiry >= next
            {
                signed.insert(receipt.message, entry);
            }
        }
        Ok(signed)
    }
    /// Whether everything of a letter is here that is demanded.
    async fn meet(&self, light: &Light, reading: &Reading, demand: Demand) -> Result<(), WalletError> {
        let Demand::Whole { limit } = demand else { return Ok(()) };
        let id = reading.message.id();
        self.collector(light, reading, &|_, _, _| {}).verify(limit).await.map_err(|error| match error {
            WalletError::Parcel(lack) => WalletError::Incomplete { id, lack: Box::new(lack) },
            error => error,
        })
    }
    async fn take_in(
        &self,
        light: &Light,
        demand: Demand,
        incoming: Incoming,
        signed: Option<OutboxEntry>,
        waiting: &mut Waiting,
    ) -> Result<(), WalletError> {
        let id = incoming.message.id();
        let read = self.read_proven(light, incoming.message).await;
        match self.or_recalled(&id, read).map(|(reading, _)| reading) {
            // Receipts that came in a sealed reply are not answered with receipts.
            Ok(reading) if reading.carries_receipts() => {}
            Ok(reading) => {
                match self.meet(light, &reading, demand).await {
                    // Of this message alone.
                    Err(
                        error @ (WalletError::Incomplete { .. } | WalletError::Light(LightError::Node(_))),
                    ) => {
                        waiting.unopened.push((id, error));
                        return Ok(());
                    }
                    met => met?,
                }
                let (slot, answer) = (reading.opened.slot, reading.opened.answer());
                waiting.ready.push(Unanswered::new(reading, slot, answer, signed.map(Box::new)));
            }
            // The letter that names it is answered.
            Err(WalletError::OnlyAPart { .. }) => {}
            // Of this message alone: its body is gone, or so is its key.
            Err(error)
                if is_key_gone(&error)
                    || matches!(error, WalletError::Light(LightError::Node(_)) | WalletError::Open(_)) =>
            {
                waiting.unopened.push((id, error));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
