//! The validators in office, what each did lately, and those that were caught saying two things at once.

use super::blocks::last_blocks;
use crate::page::{Id, PageError, Params, Source, Time, render, shown, validator_name};
use crate::reader::{Certified, Participation, Reader, Witnessed};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use sealpost_api::Signer;
use sealpost_ledger::signature::PublicKey;
use serde::Deserialize;

/// Blocks over which participation is counted.
const COUNTED: u32 = 100;

struct Row {
    name: String,
    key: Id,
    power: u64,
    did: Participation,
}

struct Equivocation {
    number: u64,
    validator: Id,
    name: String,
    height: u64,
    round: u32,
    kind: String,
    blocks: [Option<Id>; 2],
    proven: bool,
}

#[derive(Template)]
#[template(path = "validators.html")]
struct ValidatorsPage {
    proven: Source,
    observed: Source,
    height: u64,
    validators: Vec<Row>,
    total_power: u64,
    counted: usize,
    entries: Vec<Equivocation>,
    more: Option<u64>,
}

/// A block, as far as one validator is concerned.
struct Duty {
    height: u64,
    time: Time,
    signed: bool,
    proposed: bool,
    x: String,
    y: String,
}

#[derive(Template)]
#[template(path = "validator.html")]
struct ValidatorPage {
    proven: Source,
    observed: Source,
    name: String,
    key: String,
    power: Option<u64>,
    total_power: u64,
    did: Participation,
    duties: Vec<Duty>,
    entries: Vec<Equivocation>,
    more: Option<u64>,
}

/// Where the list of equivocations begins.
#[derive(Debug, Deserialize)]
pub(super) struct After {
    after: Option<u64>,
}

pub(super) async fn validators(
    State(reader): State<Reader>,
    Params(After { after }): Params<After>,
) -> Result<Response, PageError> {
    let in_office = reader.validators().await?;
    let page = reader.equivocations(after, &in_office).await?;
    let blocks = last_blocks(&reader, in_office.height.saturating_sub(1), COUNTED).await?;
    let did = reader.participation(&blocks).await?;
    let power = in_office.validators.iter().map(|validator| validator.power);
    Ok(render(&ValidatorsPage {
        proven: Source::Proven,
        observed: Source::Observed,
        height: in_office.height.get(),
        total_power: power.fold(0, u64::saturating_add),
        counted: blocks.len(),
        validators: in_office
            .validators
            .iter()
            .map(|validator| Row {
                name: validator_name(validator.name.as_deref()),
                key: Id::new(validator.public_key),
                power: validator.power,
                did: did.get(&validator.public_key).copied().unwrap_or_default(),
            })
            .collect(),
        entries: page.entries.into_iter().map(equivocation).collect(),
        more: page.next,
    }))
}

pub(super) async fn validator(
    State(reader): State<Reader>,
    Path(key): Path<String>,
    Params(After { after }): Params<After>,
) -> Result<Response, PageError> {
    let key: PublicKey = key.parse().map_err(|_| {
        PageError::Malformed(format!(
            "“{}” is no validator's key: 64 hexadecimal digits are expected.",
            shown(&key)
        ))
    })?;
    let in_office = reader.validators().await?;
    let blocks = last_blocks(&reader, in_office.height.saturating_sub(1), COUNTED).await?;
    let did = reader.participation(&blocks).await?.get(&key).copied().unwrap_or_default();
    let page = reader.equivocations(after, &in_office).await?;
    let entries: Vec<_> = page.entries.into_iter().filter(|entry| entry.view.validator == key).collect();
    let genesis = reader.genesis().await?;
    let known = in_office.validators.iter().find(|validator| validator.public_key == key);
    if known.is_none() && did.blocks == 0 && entries.is_empty() && genesis.validator_name(&key).is_none() {
        return Err(PageError::NotFound(format!(
            "No validator of the last {COUNTED} blocks, of the next one or of the genesis has the key {key}."
        )));
    }
    let power = in_office.validators.iter().map(|validator| validator.power);
    Ok(render(&ValidatorPage {
        proven: Source::Proven,
        observed: Source::Observed,
        name: validator_name(genesis.validator_name(&key)),
        key: key.to_string(),
        power: known.map(|validator| validator.power),
        total_power: power.fold(0, u64::saturating_add),
        did,
        duties: duties(&reader, &blocks, &key).await?,
        entries: entries.into_iter().map(equivocation).collect(),
        more: page.next,
    }))
}

/// The blocks in which a validator had a part to play, the newest first, as squares in rows of twenty.
async fn duties(reader: &Reader, blocks: &[Certified], key: &PublicKey) -> Result<Vec<Duty>, PageError> {
    let mut duties = Vec::new();
    for sealed in blocks {
        let commit = reader.commit(sealed).await?;
        let Some(own) = commit.signers.iter().find(|signer: &&Signer| signer.public_key == *key) else {
            continue;
        };
        let (column, row) = (duties.len() % 20, duties.len() / 20);
        duties.push(Duty {
            height: sealed.0.height.get(),
            time: Time::new(sealed.0.time_ms),
            signed: own.signed,
            proposed: sealed.0.proposer == *key,
            x: format!("{}", column * 18 + 2),
            y: format!("{}", row * 18 + 2),
        });
    }
    Ok(duties)
}

fn equivocation(Witnessed { view, proven }: Witnessed) -> Equivocation {
    Equivocation {
        number: view.number,
        validator: Id::new(view.validator),
        name: validator_name(view.name.as_deref()),
        height: view.height.get(),
        round: view.round,
        kind: crate::page::name(&view.kind),
        blocks: [view.first, view.second].map(|block| block.map(Id::new)),
        proven,
    }
}
