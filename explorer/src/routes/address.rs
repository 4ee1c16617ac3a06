//! An address: its keys over time, what it received and what it signed, how it answers.

use crate::page::{Id, PageError, Params, Source, Time, elapsed, kind, name, render};
use crate::reader::{Proven, Reader};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use sealpost_api::{BundleView, MailboxSide, PayloadView, ReceiptView};
use sealpost_ledger::address::Address;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Message, SlotRecipient};
use sealpost_ledger::transaction::Payload;
use serde::Deserialize;
use std::fmt::Write as _;

/// Kinds that a list of what was signed can be narrowed to.
const KINDS: [&str; 7] = ["message", "receipt", "key_bundle", "revoke", "designate", "validators", "member"];
/// Answers that a list of what was received can be narrowed to.
const ANSWERS: [&str; 3] = ["opened", "refused", "silent"];

struct Row {
    id: Id,
    kind: String,
    height: u64,
    time: Time,
    other: Id,
    answer: String,
}

/// A choice of a filter.
struct Choice {
    value: &'static str,
    words: String,
    chosen: bool,
}

struct List {
    title: &'static str,
    side: &'static str,
    filter: &'static str,
    choices: Vec<Choice>,
    empty: &'static str,
    rows: Vec<Row>,
    looked_at: usize,
    answers: Answers,
    next: Option<String>,
}

/// How slots were answered, over one page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answers {
    slots: usize,
    answered: usize,
    /// Milliseconds from the message's block to the receipt's, in order.
    times: Vec<u64>,
}

struct BundleRow {
    sequence: u64,
    published: Option<(String, String)>,
    valid_until: u64,
    revoked_from: Option<u64>,
    ecies: Id,
    ml_kem: bool,
}

struct Designation {
    class: String,
    at: u64,
    to: Option<(Id, u64)>,
}

#[derive(Template)]
#[template(path = "address.html")]
struct AddressPage {
    proven: Source,
    claimed: Source,
    address: Id,
    public_key: String,
    newest: Option<u64>,
    newest_at: Option<u64>,
    member: Option<String>,
    bundles: Vec<BundleRow>,
    older_keys: Option<u64>,
    lists: Vec<List>,
    designation: Option<Designation>,
}

/// Where each list begins, and what of it is shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    received: Option<String>,
    sent: Option<String>,
    keys: Option<u64>,
    answer: Option<String>,
    kind: Option<String>,
    class: Option<String>,
}

/// A filter by its value; an empty one is none, as forms send it.
fn filter<'a>(asked: Option<&str>, known: &[&'a str], what: &str) -> Result<Option<&'a str>, PageError> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(None) };
    let found = known.iter().find(|known| **known == asked).copied();
    let unknown = || PageError::Malformed(format!("“{}” is no {what}: {}.", name(asked), known.join(", ")));
    found.map(Some).ok_or_else(unknown)
}

/// A cursor, if one was given: forms send empty ones.
fn cursor(asked: Option<String>) -> Option<String> {
    asked.filter(|asked| !asked.is_empty())
}

pub(super) async fn address(
    State(reader): State<Reader>,
    Path(text): Path<String>,
    Params(wanted): Params<Wanted>,
) -> Result<Response, PageError> {
    let address = reader.address(&text).await?;
    // As it is written everywhere, however it was typed.
    let text = address.to_text(reader.genesis().await?.prefix());
    let answer = filter(wanted.answer.as_deref(), &ANSWERS, "answer")?;
    let kind = filter(wanted.kind.as_deref(), &KINDS, "kind")?;
    let class = wanted.class.filter(|class| !class.is_empty());
    let history = reader.bundles(&text, wanted.keys).await?;
    let has_blocks = reader.status().await?.height > BlockHeight::GENESIS;
    let (mut newest, mut newest_at, mut member, mut designation) = (None, None, None, None);
    if has_blocks {
        let standing = reader.bundle_at(&text, None).await?;
        (newest, newest_at) = (standing.found.map(|record| record.bundle.sequence), Some(standing.at.get()));
        let standing = reader.membership(&text).await?.found;
        member = standing.map(|view| format!("{} since height {}", view.status, view.since));
        if let Some(class) = class {
            designation = Some(designated(&reader, &text, class).await?);
        }
    }
    let received = received(&reader, &address, &text, cursor(wanted.received), answer).await?;
    let sent = sent(&reader, &text, cursor(wanted.sent), kind).await?;
    Ok(render(&AddressPage {
        proven: Source::Proven,
        claimed: Source::Claimed,
        address: Id::new(&text),
        public_key: address.key().to_string(),
        newest,
        newest_at,
        member,
        bundles: history.bundles.iter().map(bundle).collect(),
        older_keys: history.next,
        lists: vec![received, sent],
        designation,
    }))
}

fn bundle(bundle: &BundleView) -> BundleRow {
    BundleRow {
        sequence: bundle.sequence,
        published: bundle.transaction.map(|id| {
            let height = bundle.height.map_or_else(|| "a block".into(), |height| format!("block {height}"));
            (format!("/tx/{id}"), height)
        }),
        valid_until: bundle.valid_until.get(),
        revoked_from: bundle.revoked_from.map(BlockHeight::get),
        ecies: Id::new(&bundle.ecies),
        ml_kem: bundle.ml_kem.is_some(),
    }
}

async fn designated(reader: &Reader, address: &str, class: String) -> Result<Designation, PageError> {
    let standing = reader.designation(address, &class).await?;
    Ok(Designation {
        class: name(&class),
        at: standing.at.get(),
        to: standing.found.map(|view| (Id::new(view.to), view.height.get())),
    })
}

/// Open messages to it, one page of the node's list, narrowed to an answer.
async fn received(
    reader: &Reader,
    address: &Address,
    text: &str,
    after: Option<String>,
    wanted: Option<&str>,
) -> Result<List, PageError> {
    let page = reader.list(MailboxSide::Received, text, after).await?;
    let (mut rows, mut answers, looked_at) = (Vec::new(), Answers::default(), page.entries.len());
    for found in page.entries {
        let proven = reader.prove(found).await?;
        let Some(message) = proven.transaction.message() else { continue };
        let own = told(&proven, message).filter(|(recipient, _)| recipient == address);
        let own: Vec<_> = own.map(|(_, receipt)| receipt).collect();
        for receipt in &own {
            answers.count(*receipt, proven.header.time_ms);
        }
        let said = own.iter().flatten().next().copied();
        if wanted.is_some_and(|wanted| wanted != said.map_or("silent", |receipt| receipt.answer.as_str())) {
            continue;
        }
        let other = Id::new(&proven.found.view.sender);
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
async fn sent(
    reader: &Reader,
    text: &str,
    after: Option<String>,
    wanted: Option<&str>,
) -> Result<List, PageError> {
    let page = reader.list(MailboxSide::Sent, text, after).await?;
    let (mut rows, mut answers, looked_at) = (Vec::new(), Answers::default(), page.entries.len());
    for found in page.entries {
        let proven = reader.prove(found).await?;
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
    fn summary(&self) -> Option<String> {
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
