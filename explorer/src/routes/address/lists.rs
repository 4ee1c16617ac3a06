//! The two lists of an address: what it received and what it signed, one page of the node's list each,
//! narrowed by a filter. Each entry is proven, and concerns the address; what was answered is the node's
//! word.

use crate::page::{Id, PageError, Time, elapsed, kind, name};
use crate::reader::{Proven, ReadError, Reader};
use sealpost_api::{MailboxSide, PayloadView, ReceiptView};
use sealpost_ledger::address::Address;
use sealpost_ledger::message::{Message, SlotRecipient};
use sealpost_ledger::transaction::Payload;
use std::fmt::Write as _;

/// Kinds that a list of what was signed can be narrowed to.
pub(super) const KINDS: [&str; 7] =
    ["message", "receipt", "key_bundle", "revoke", "designate", "validators", "member"];
/// Answers that a list of what was received can be narrowed to.
pub(super) const ANSWERS: [&str; 3] = ["opened", "refused", "silent"];

pub(super) struct Row {
    pub(super) id: Id,
    pub(super) kind: String,
    pub(super) height: u64,
    pub(super) time: Time,
    pub(super) other: Id,
    pub(super) answer: String,
}

/// A choice of a filter.
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) words: String,
    pub(super) chosen: bool,
}

pub(super) struct List {
    pub(super) title: &'static str,
    pub(super) side: &'static str,
    pub(super) filter: &'static str,
    pub(super) choices: Vec<Choice>,
    pub(super) empty: &'static str,
    pub(super) rows: Vec<Row>,
    pub(super) looked_at: usize,
    pub(super) answers: Answers,
    pub(super) next: Option<String>,
}

/// How slots were answered, over one page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) slots: usize,
    pub(super) answered: usize,
    /// Milliseconds from the message's block to the receipt's, in order.
    pub(super) times: Vec<u64>,
}

/// A filter by its value; an empty one is none, as forms send it.
pub(super) fn filter<'a>(
    asked: Option<&str>,
    known: &[&'a str],
    what: &str,
) -> Result<Option<&'a str>, PageError> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(None) };
    let found = known.iter().find(|known| **known == asked).copied();
    let unknown = || PageError::Malformed(format!("“{}” is no {what}: {}.", name(asked), known.join(", ")));
    found.map(Some).ok_or_else(unknown)
}

/// Open messages to it, one page of the node's list, narrowed to an answer.
pub(super) async fn received(
    reader: &Reader,
    address: &Address,
    text: &str,
    after: Option<String>,
    wanted: Option<&str>,
) -> Result<List, PageError> {
    let (genesis, page) = (reader.genesis().await?, reader.list(MailboxSide::Received, text, after).await?);
    let (mut rows, mut answers, looked_at) = (Vec::new(), Answers::default(), page.entries.len());
    for found in page.entries {
        let proven = reader.prove(found).await?;
        let Some(message) = proven.transaction.message() else { continue };
        let own = told(&proven, message).filter(|(recipient, _)| recipient == address);
        let own: Vec<_> = own.map(|(_, receipt)| receipt).collect();
        if own.is_empty() {
            return Err(ReadError::other(format_args!("the list of {text}")).into());
        }
        for receipt in &own {
            answers.count(*receipt, proven.header.time_ms);
        }
        let said = own.iter().flatten().next().copied();
        if wanted.is_some_and(|wanted| wanted != said.map_or("silent", |receipt| receipt.answer.as_str())) {
            continue;
        }
        let other = Id::new(proven.transaction.sender().to_text(genesis.prefix()));
        rows.push(row(&proven, other, described(said, proven.header.time_ms)));
    }
    answers.times.sort_unstable();
    let choices = ANSWERS.map(|value| Choice { value, words: value.into(), chosen: wanted == Some(value) });
    Ok(List {
        title: "Received",
        side: "received",
        filter: "answer",
        choices: choices.into(),
        empty: "No open message to this address is listed here.",
        rows,
        looked_at,
        answers,
        next: page.next.filter(|_| page.more),
    })
}

/// What it signed, one page of the node's list, narrowed to a kind.
pub(super) async fn sent(
    reader: &Reader,
    address: &Address,
    text: &str,
    after: Option<String>,
    wanted: Option<&str>,
) -> Result<List, PageError> {
    let page = reader.list(MailboxSide::Sent, text, after).await?;
    let (mut rows, mut answers, looked_at) = (Vec::new(), Answers::default(), page.entries.len());
    for found in page.entries {
        let proven = reader.prove(found).await?;
        if proven.transaction.sender() != *address {
            return Err(ReadError::other(format_args!("the list of {text}")).into());
        }
        if let Some(message) = proven.transaction.message() {
            for (_, receipt) in told(&proven, message) {
                answers.count(receipt, proven.header.time_ms);
            }
        }
        if wanted.is_none_or(|wanted| wanted == proven.transaction.payload().kind()) {
            let (other, answer) = about(reader, &proven).await?;
            rows.push(row(&proven, other, answer));
        }
    }
    answers.times.sort_unstable();
    let choices = KINDS.map(|value| Choice { value, words: kind(value), chosen: wanted == Some(value) });
    Ok(List {
        title: "Signed",
        side: "sent",
        filter: "kind",
        choices: choices.into(),
        empty: "Nothing that this address signed is listed here.",
        rows,
        looked_at,
        answers,
        next: page.next.filter(|_| page.more),
    })
}

/// Each named recipient of a message, and the receipt that the node tells of.
fn told<'a>(
    proven: &'a Proven,
    message: &'a Message,
) -> impl Iterator<Item = (Address, Option<&'a ReceiptView>)> + 'a {
    let slots: &[_] = match &proven.found.view.payload {
        PayloadView::Message(view) => &view.slots,
        _ => &[],
    };
    message.slots.iter().enumerate().filter_map(move |(number, slot)| match slot.recipient {
        SlotRecipient::Named { address, .. } => {
            Some((address, slots.get(number).and_then(|slot| slot.receipt.as_ref())))
        }
        SlotRecipient::Hidden { .. } => None,
    })
}

fn row(proven: &Proven, other: Id, answer: String) -> Row {
    Row {
        id: Id::new(proven.transaction.id()),
        kind: kind(proven.transaction.payload().kind()),
        height: proven.header.height.get(),
        time: Time::new(proven.header.time_ms),
        other,
        answer,
    }
}

/// An answer in words.
fn described(receipt: Option<&ReceiptView>, sent_ms: u64) -> String {
    let Some(receipt) = receipt else { return "silent".into() };
    let mut text = name(&receipt.answer);
    if let Some(place) = &receipt.place {
        let _ = write!(text, " after {}", elapsed(sent_ms, place.time_ms));
    }
    text
}

/// What a signed transaction is about, and what came of it.
async fn about(reader: &Reader, proven: &Proven) -> Result<(Id, String), PageError> {
    let genesis = reader.genesis().await?;
    let prefix = genesis.prefix();
    Ok(match proven.transaction.payload() {
        Payload::Message(message) => {
            let slots: Vec<_> = told(proven, message).collect();
            let answered = slots.iter().filter(|(_, receipt)| receipt.is_some()).count();
            let first = slots.first().map(|(address, _)| Id::new(address.to_text(prefix)));
            (
                first.unwrap_or_else(|| Id::new("hidden")),
                format!("{answered} of {} answered", message.slots.len()),
            )
        }
        Payload::Receipt(receipt) => (Id::new(receipt.message), "an answer".into()),
        Payload::KeyBundle(bundle) => (Id::new("own keys"), format!("number {}", bundle.sequence)),
        Payload::Revoke(revoke) => {
            (Id::new("own keys"), format!("number {} from height {} on", revoke.sequence, revoke.from))
        }
        Payload::Designate(designate) => (Id::new(designate.to.to_text(prefix)), name(&designate.class)),
        Payload::Validators(change) => {
            (Id::new("validators"), format!("from height {} on", change.effective))
        }
        Payload::Member(change) => (Id::new(change.address.to_text(prefix)), change.status.name().into()),
    })
}

impl Answers {
    fn count(&mut self, receipt: Option<&ReceiptView>, sent_ms: u64) {
        self.slots = self.slots.saturating_add(1);
        if let Some(receipt) = receipt {
            self.answered = self.answered.saturating_add(1);
            let after = receipt.place.as_ref().map(|place| place.time_ms.saturating_sub(sent_ms));
            self.times.extend(after);
        }
    }
    /// The rate in words, and the median time of an answer.
    pub(super) fn summary(&self) -> Option<String> {
        let percent = self.answered.saturating_mul(100).checked_div(self.slots)?;
        let mut text = format!("{} of {} slots answered ({percent} %)", self.answered, self.slots);
        if let Some(median) = self.times.get(self.times.len() / 2) {
            let _ = write!(text, ", half of the answers within {}", elapsed(0, *median));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_said_only_where_there_is_something_to_answer() {
        assert_eq!(Answers::default().summary(), None);
        let none = Answers { slots: 4, ..Answers::default() };
        assert_eq!(none.summary().as_deref(), Some("0 of 4 slots answered (0 %)"));
        let some = Answers { slots: 3, answered: 2, times: vec![1000, 60_000] };
        let said = "2 of 3 slots answered (66 %), half of the answers within 60.0 s";
        assert_eq!(some.summary().as_deref(), Some(said));
    }

    #[test]
    fn filters_are_the_known_ones_and_nothing_else() {
        assert!(matches!(filter(Some("opened"), &ANSWERS, "answer"), Ok(Some("opened"))));
        assert!(matches!(filter(Some(""), &ANSWERS, "answer"), Ok(None)));
        assert!(matches!(filter(None, &ANSWERS, "answer"), Ok(None)));
        assert!(matches!(filter(Some("<b>"), &ANSWERS, "answer"), Err(PageError::Malformed(_))));
    }
}
