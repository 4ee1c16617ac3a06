//! A transaction of any kind; a message has a page of its own.

use super::message::parse_id;
use crate::page::{Id, PageError, Source, Time, kind, name, render, validator_name};
use crate::reader::Reader;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use sealpost_api::Hex;
use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::receipt::Answer;
use sealpost_ledger::transaction::Payload;
use sealpost_terminal::{bytes, counted};

#[derive(Template)]
#[template(path = "transaction.html")]
struct TransactionPage {
    proven: Source,
    id: Id,
    kind: String,
    sender: Id,
    height: u64,
    index: u32,
    time: Time,
    expiry: u64,
    size: String,
    facts: Vec<(&'static str, String)>,
    answers: Option<(Id, String)>,
}

pub(super) async fn transaction(
    State(reader): State<Reader>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = parse_id(&id)?;
    let proven = reader.transaction(&id).await?;
    let genesis = reader.genesis().await?;
    let payload = proven.transaction.payload();
    if let Payload::Message(_) = payload {
        return Ok(Redirect::to(&format!("/message/{id}")).into_response());
    }
    Ok(render(&TransactionPage {
        proven: Source::Proven,
        id: Id::new(id),
        kind: kind(payload.kind()),
        sender: Id::new(proven.transaction.sender().to_text(genesis.prefix())),
        height: proven.header.height.get(),
        index: proven.found.place.index,
        time: Time::new(proven.header.time_ms),
        expiry: proven.transaction.transaction().expiry.get(),
        size: bytes(proven.transaction.as_bytes().len() as u64),
        facts: facts(payload, &genesis),
        answers: answers(payload),
    }))
}

fn answers(payload: &Payload) -> Option<(Id, String)> {
    let Payload::Receipt(receipt) = payload else { return None };
    let said = match receipt.answer {
        Answer::Opened { .. } => "opened".to_owned(),
        Answer::Refused { reason } => format!("refused ({})", reason.code()),
    };
    Some((Id::new(receipt.message), said))
}

/// What the signed bytes say.
fn facts(payload: &Payload, genesis: &Genesis) -> Vec<(&'static str, String)> {
    let prefix: &AddressPrefix = genesis.prefix();
    match payload {
        Payload::Message(_) => Vec::new(),
        Payload::Receipt(receipt) => vec![("slot", receipt.slot.to_string())],
        Payload::KeyBundle(bundle) => bundle_facts(bundle),
        Payload::Revoke(revoke) => {
            vec![("withdrawn bundle", revoke.sequence.to_string()), ("from height", revoke.from.to_string())]
        }
        Payload::Designate(designate) => {
            vec![("class of notices", name(&designate.class)), ("received by", designate.to.to_text(prefix))]
        }
        Payload::Validators(change) => {
            let mut facts = vec![
                ("decide from height", change.effective.to_string()),
                ("approved by", counted(change.approvals.len() as u64, "validator")),
            ];
            facts.extend(change.validators.iter().map(|validator| {
                let given = genesis.validator_name(&validator.key);
                let text = format!("{}, {}, power {}", validator_name(given), validator.key, validator.power);
                ("validator", text)
            }));
            facts
        }
        Payload::Member(change) => vec![
            ("address", change.address.to_text(prefix)),
            ("membership", change.status.name().into()),
            ("approved by", counted(change.approvals.len() as u64, "validator")),
        ],
    }
}

fn bundle_facts(bundle: &KeyBundle) -> Vec<(&'static str, String)> {
    let ml_kem = bundle.ml_kem.as_ref().map_or_else(|| "none".into(), |key| format!("{} bytes", key.len()));
    vec![
        ("sequence", bundle.sequence.to_string()),
        ("use until height", bundle.valid_until.to_string()),
        ("ECIES key", Hex::from(bundle.ecies.to_vec()).to_string()),
        ("ML-KEM-768 key", ml_kem),
    ]
}
