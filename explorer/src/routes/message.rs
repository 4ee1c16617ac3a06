//! A message: the way it came, step by step, each with where the knowledge comes from and what it does not
//! show. Other transactions have a plainer page.

use crate::page::{Id, PageError, Source, Time, is_beginning, render};
use crate::reader::{Proven, Reader};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use sealpost_api::{MessageView, PayloadView, SlotView};
use sealpost_ledger::hash::TransactionId;

struct Step {
    title: String,
    source: Source,
    link: Option<(String, String)>,
    time: Option<Time>,
    detail: String,
    limit: &'static str,
    done: bool,
}

struct Node {
    level: usize,
    hash: Id,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    id: Id,
    sender: Id,
    steps: Vec<Step>,
    suite: &'static str,
    sealed: bool,
    body_length: u32,
    body_kept: bool,
    facts: Vec<(&'static str, String)>,
    recipients: Vec<(u16, Option<Id>, Option<u64>)>,
    height: u64,
    index: u32,
    tree_size: u32,
    leaf: Id,
    path: Vec<Node>,
    root: Id,
}

#[derive(Template)]
#[template(path = "transaction.html")]
struct Transaction {
    id: Id,
    kind: String,
    sender: Id,
    height: u64,
    time: Time,
    expiry: u64,
    bytes: u64,
    facts: Vec<(&'static str, String)>,
    answers: Option<(Id, String)>,
}

pub(super) fn parse(text: &str) -> Result<TransactionId, PageError> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        if is_beginning(text) {
            return PageError::Beginning(shown);
        }
        PageError::Malformed(format!(
            "“{shown}” is not a transaction id: 64 hexadecimal digits are expected."
        ))
    })
}

/// A transaction of any kind; a message has a page of its own.
pub(super) async fn transaction(
    State(reader): State<Reader>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = parse(&id)?;
    let proven = reader.transaction(&id).await?;
    let view = &proven.found.view;
    let (mut facts, mut answers) = (Vec::new(), None);
    match &view.payload {
        PayloadView::Message(_) => return Ok(Redirect::to(&format!("/message/{id}")).into_response()),
        PayloadView::Receipt(receipt) => {
            let said = match &receipt.reason {
                Some(reason) => format!("{} ({reason})", receipt.answer),
                None => receipt.answer.clone(),
            };
            answers = Some((Id::new(receipt.message), said));
            facts.push(("slot", receipt.slot.to_string()));
        }
        PayloadView::KeyBundle(bundle) => {
            facts.push(("sequence", bundle.sequence.to_string()));
            facts.push(("use until height", bundle.valid_until.to_string()));
            facts.push(("ECIES key", bundle.ecies.to_string()));
            let kem = if bundle.ml_kem.is_some() { "published" } else { "none" };
            facts.push(("ML-KEM-768 key", kem.into()));
        }
        PayloadView::Revoke { sequence, from } => {
            facts.push(("withdrawn bundle", sequence.to_string()));
            facts.push(("from height", from.to_string()));
        }
        PayloadView::Designate { class, to } => {
            facts.push(("class of notices", class.clone()));
            facts.push(("received by", to.clone()));
        }
        PayloadView::Validators { validators, effective, approvals } => {
            facts.push(("decide from height", effective.to_string()));
            facts.push(("approved by", sealpost_terminal::counted(u64::from(*approvals), "validator")));
            for validator in validators {
                facts.push(("validator", format!("{}, power {}", validator.public_key, validator.power)));
            }
        }
        PayloadView::Member { address, status, approvals } => {
            facts.push(("address", address.clone()));
            facts.push(("membership", status.clone()));
            facts.push(("approved by", sealpost_terminal::counted(u64::from(*approvals), "validator")));
        }
    }
    Ok(render(&Transaction {
        id: Id::new(id),
        kind: proven.transaction.payload().kind().replace('_', " "),
        sender: Id::new(&view.sender),
        height: proven.header.height.get(),
        time: Time::new(proven.header.time_ms),
        expiry: view.expiry.get(),
        bytes: view.bytes,
        facts,
        answers,
    }))
}

pub(super) async fn message(
    State(reader): State<Reader>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = parse(&id)?;
    let proven = reader.transaction(&id).await?;
    let PayloadView::Message(view) = &proven.found.view.payload else {
        return Ok(Redirect::to(&format!("/tx/{id}")).into_response());
    };
    let steps = steps(&reader, &proven, view).await?;
    let found = &proven.found;
    let path = found.path.iter().enumerate().map(|(level, hash)| Node { level, hash: Id::new(hash) });
    let slots = (0_u16..).zip(&view.slots);
    Ok(render(&Message {
        id: Id::new(id),
        sender: Id::new(&found.view.sender),
        steps,
        suite: if view.suite == 2 { "2: ECIES on secp256k1 and ML-KEM-768" } else { "1: ECIES on secp256k1" },
        sealed: view.sealed,
        body_length: view.body_length,
        body_kept: view.body_kept,
        facts: vec![
            ("content commitment", view.content_commit.to_string()),
            ("key commitment", view.key_commit.to_string()),
            ("body hash", view.body_hash.to_string()),
            ("expiry height", found.view.expiry.to_string()),
            ("postage nonce", found.view.nonce.to_string()),
        ],
        recipients: slots.map(|(n, slot)| (n, slot.recipient.as_ref().map(Id::new), slot.bundle)).collect(),
        height: proven.header.height.get(),
        index: found.place.index,
        tree_size: proven.header.transaction_count,
        leaf: Id::new(sealpost_api::Hex::from(proven.transaction.leaf())),
        path: path.collect(),
        root: Id::new(proven.header.tx_root),
    }))
}

async fn steps(reader: &Reader, proven: &Proven, view: &MessageView) -> Result<Vec<Step>, PageError> {
    let height = proven.header.height;
    let commit = reader.commit_at(height).await?;
    let signed: Vec<&str> = commit
        .signers
        .iter()
        .filter(|validator| validator.signed)
        .map(|validator| validator.name.as_deref().unwrap_or("unnamed"))
        .collect();
    let place = (format!("/block/{height}"), format!("block {height}"));
    let mut steps = vec![
        Step {
            title: "Signed by the sender".into(),
            source: Source::Proven,
            link: Some((
                format!("/address/{}", proven.found.view.sender),
                Id::new(&proven.found.view.sender).short,
            )),
            time: None,
            detail: "The sender's key signed this message.".into(),
            limit: "It does not show who held the key, nor when it was signed.",
            done: true,
        },
        Step {
            title: "First seen".into(),
            source: Source::Observed,
            link: None,
            time: proven.found.place.first_seen_ms.map(Time::new),
            detail: match proven.found.place.first_seen_ms {
                Some(_) => "By the node behind this page.".into(),
                None => "Not remembered by the node behind this page.".into(),
            },
            limit: "Other nodes saw it at other times; this is no part of any proof.",
            done: proven.found.place.first_seen_ms.is_some(),
        },
        Step {
            title: "In a block".into(),
            source: Source::Proven,
            link: Some(place.clone()),
            time: Some(Time::new(proven.header.time_ms)),
            detail: format!(
                "At position {} of {}.",
                proven.found.place.index, proven.header.transaction_count
            ),
            limit: "The time is the proposer's clock; the order of blocks is what is proven.",
            done: true,
        },
        Step {
            title: "Final".into(),
            source: Source::Proven,
            link: Some(place),
            time: None,
            detail: format!(
                "Committed by {} of {} validators: {}.",
                signed.len(),
                commit.signers.len(),
                signed.join(", ")
            ),
            limit: "It rests on two thirds of the validators being honest, as the genesis names them.",
            done: true,
        },
        Step {
            title: "Found by the recipient".into(),
            source: Source::Unknowable,
            link: None,
            time: None,
            detail: "Nobody can know: reading leaves no trace.".into(),
            limit: "Only a receipt shows that a message was opened.",
            done: false,
        },
    ];
    for (number, slot) in (0_u16..).zip(&view.slots) {
        steps.push(answer(reader, proven, number, slot).await?);
    }
    Ok(steps)
}

async fn answer(reader: &Reader, proven: &Proven, number: u16, slot: &SlotView) -> Result<Step, PageError> {
    use sealpost_api::verify::{VerifyError, verify_receipt};
    let id = proven.transaction.id();
    let who = slot.recipient.as_ref().map_or("a hidden recipient".into(), |address| Id::new(address).short);
    let Some(receipt) = &slot.receipt else {
        if slot.recipient.is_none() {
            return Ok(Step {
                title: format!("Answer of {who}"),
                source: Source::Unknowable,
                link: None,
                time: None,
                detail: "Answers to sealed messages travel inside sealed messages.".into(),
                limit: "Nothing on the ledger shows whether there is one.",
                done: false,
            });
        }
        let until = reader.silence(&id, number).await?;
        return Ok(Step {
            title: format!("No answer of {who}"),
            source: Source::Proven,
            link: Some((format!("/block/{}", until.height), format!("up to block {}", until.height))),
            time: Some(Time::new(until.time_ms)),
            detail: "No receipt stood on the ledger then (proof of absence).".into(),
            limit: "It does not show whether the message was read.",
            done: false,
        });
    };
    let answer = reader.transaction(&receipt.id).await?;
    let untrusted = |source: VerifyError| crate::reader::ReadError::Untrusted {
        what: format!("receipt {}", receipt.id),
        source,
    };
    let message = proven.transaction.message().and_then(|message| message.slot(number));
    let slot = message.ok_or_else(|| untrusted(VerifyError::OtherReceipt))?;
    verify_receipt(&answer.transaction, &id, number, slot).map_err(untrusted)?;
    let (title, detail, limit) = match &receipt.reason {
        None => (
            format!("Opened by {who}"),
            "The recipient's key signed, and showed that the message had been decrypted.".into(),
            "It does not show that a person read or understood it.",
        ),
        Some(reason) => (
            format!("Refused by {who}"),
            format!("The recipient's key signed a refusal: {reason}."),
            "It does not show whether the message was decrypted.",
        ),
    };
    Ok(Step {
        title,
        source: Source::Proven,
        link: Some((format!("/tx/{}", receipt.id), format!("receipt in block {}", answer.header.height))),
        time: Some(Time::new(answer.header.time_ms)),
        detail,
        limit,
        done: true,
    })
}

/// The evidence file, to keep.
pub(super) async fn evidence(
    State(reader): State<Reader>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = parse(&id)?;
    let json = reader.evidence(&id).await?;
    let name = format!("attachment; filename=\"{id}.evidence.json\"");
    Ok(([(CONTENT_TYPE, "application/json".to_owned()), (CONTENT_DISPOSITION, name)], json).into_response())
}
