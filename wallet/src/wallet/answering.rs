//! Answering: what came and has no answer yet, giving the answer once, and what was answered before. Every
//! answer is an explicit act; nothing here answers by itself.
//!
//! A receipt covers the letter and not what came in parts, but whoever shows it will say that all of it arrived. So
//! every part is fetched and verified first, unless the person knows better: a sender who names parts that are not on
//! the ledger gets no receipt for them.

use super::answers::Slot;
use super::keeping::is_key_gone;
use super::{Incoming, PostageProgress, Reading, Sent, Wallet, WalletError};
use crate::envelope::Letter;
use crate::light::{Light, LightError, Proven};
use crate::scan::FoundKind;
use sealpost_api::MailboxSide;
use sealpost_ledger::address::Address;
use sealpost_ledger::evidence::{Finding, Place};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::receipt::{Answer, Receipt, RefusalReason};
use sealpost_ledger::transaction::Payload;
use std::collections::HashSet;

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
    fn new(reading: Reading) -> Self {
        let (author, sealed) = (reading.author(), reading.opened.author.is_some());
        let (slot, answer) = (reading.opened.slot, reading.opened.answer());
        Self { message: reading.message, author, sealed, letter: reading.letter, slot, answer }
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
        let damaged = self.read_answers()?;
        let (mut waiting, mut after) = (Waiting::default(), None);
        loop {
            let page = self.page(light, MailboxSide::Received, after).await?;
            let came = page.entries.into_iter().filter_map(|message| self.incoming(message));
            for incoming in came.filter(|incoming| !answered.contains(&incoming.message.id())) {
                if self.is_settled_by_answer(light, (incoming.message.id(), incoming.slot)).await? {
                    continue;
                }
                if waiting.ready.len() >= enough {
                    waiting.more = true;
                    return Ok(waiting);
                }
                self.take_in(light, demand, incoming, &mut waiting).await?;
                heard(waiting.ready.len());
            }
            if !page.more {
                break;
            }
            after = page.next;
        }
        // Receipts are not answered with receipts.
        for found in self.sealed_letters()?.into_iter().filter(|found| found.kind != FoundKind::Receipts) {
            if self.is_settled_by_answer(light, (found.id, found.slot)).await? {
                continue;
            }
            if waiting.ready.len() >= enough {
                waiting.more = true;
                break;
            }
            // It may be the answer.
            if let Some(damaged) = &damaged {
                waiting.unopened.push((found.id, damaged.clone().into()));
                continue;
            }
            for incoming in self.proven_letters(light, vec![found]).await? {
                self.take_in(light, demand, incoming, &mut waiting).await?;
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
        let (slot, answer) = (reading.opened.slot, reading.opened.answer());
        self.may_answer(light, &reading.message, &Receipt { message: *id, slot, answer }).await?;
        self.meet(light, &reading, demand).await?;
        Ok(Unanswered::new(reading))
    }
    /// Says that a message was opened: on the ledger, or in a sealed reply if the message is sealed. What says the same,
    /// was signed before and may still come into a block is sent again instead of signed anew. Final when this returns.
    ///
    /// # Errors
    /// [`WalletError::Answered`] if it was answered meanwhile.
    pub async fn give_receipt(
        &self,
        light: &Light,
        unanswered: &Unanswered,
        progress: PostageProgress<'_>,
    ) -> Result<Sent, WalletError> {
        let Unanswered { message, author, sealed, slot, answer, .. } = unanswered;
        let receipt = Receipt { message: message.id(), slot: *slot, answer: *answer };
        self.answer_once(light, message, receipt, sealed.then_some(*author), progress).await
    }
    /// Answers a message: on the ledger, or in a sealed reply if the message is sealed. Final when this returns.
    ///
    /// # Errors
    /// [`WalletError::Answered`] if it was answered before, or another answer is signed and may still come into a block.
    pub async fn answer(
        &self,
        light: &Light,
        message: TransactionId,
        slot: u16,
        answer: Answer,
        progress: PostageProgress<'_>,
    ) -> Result<Sent, WalletError> {
        let receipt = Receipt { message, slot, answer };
        let message = self.message(light, &message).await?;
        let author = self.sealed_author(light, &message).await?;
        self.answer_once(light, &message, receipt, author, progress).await
    }
    /// Signs an answer to an open message whatever was answered before, and hands it to the ledger, which takes the first
    /// alone. For whoever wants to see that; an answer is given by [`answer`](Self::answer).
    pub async fn answer_anyway(
        &self,
        light: &Light,
        receipt: Receipt,
        progress: PostageProgress<'_>,
    ) -> Result<Sent, WalletError> {
        self.send_plain(light, Payload::Receipt(receipt), progress).await
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

    /// The messages that this identity has answered.
    async fn answered(&self, light: &Light) -> Result<HashSet<TransactionId>, WalletError> {
        let given = self.receipts_given(light, usize::MAX).await?;
        Ok(given.into_iter().map(|given| given.message).collect())
    }
    /// Whether there is nothing left to answer: an answer stands, or one that is no receipt may still come into a block.
    async fn is_settled_by_answer(&self, light: &Light, slot: Slot) -> Result<bool, WalletError> {
        match self.unfinished_answers(light, slot).await {
            Err(WalletError::Answered { .. }) => Ok(true),
            signed => Ok(signed?.iter().any(|(_, answer)| !matches!(answer, Answer::Opened { .. }))),
        }
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
                waiting.ready.push(Unanswered::new(reading));
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
