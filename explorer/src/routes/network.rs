//! The network: its rules from the genesis, the node behind these pages, and how its validators changed.

use crate::page::{Id, PageError, Params, Source, Time, elapsed, name, render, validator_name};
use crate::reader::Reader;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use sealpost_api::{PeerView, ValidatorsChanged};
use sealpost_ledger::block::Header;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{bytes, counted};
use serde::Deserialize;
use std::collections::BTreeMap;

struct Change {
    height: u64,
    time: Time,
    effective: u64,
    members: Vec<(String, Id, u64)>,
}

#[derive(Template)]
#[template(path = "network.html")]
struct NetworkPage {
    proven: Source,
    observed: Source,
    network: String,
    chain: String,
    founded: Time,
    rules: Vec<(&'static str, String, &'static str)>,
    node: Vec<(&'static str, String)>,
    /// Programs of connected peers, with how many run each.
    agents: Vec<(String, usize)>,
    peers: usize,
    changes: Vec<Change>,
    after: u64,
    /// Whether it is proven that those of the genesis decide still.
    founders: bool,
    claimed: Source,
    more: Option<u64>,
}

/// Where the list of changes begins.
#[derive(Debug, Deserialize)]
pub(super) struct After {
    after: Option<u64>,
}

pub(super) async fn network(
    State(reader): State<Reader>,
    Params(After { after }): Params<After>,
) -> Result<Response, PageError> {
    let genesis = reader.genesis().await?;
    let (status, version) = (reader.status().await?, reader.version().await?);
    let peers = reader.peers().await?;
    let after = BlockHeight::new(after.unwrap_or(0));
    let (page, more) = reader.changes_of_validators(after).await?;
    let changes: Vec<Change> =
        page.iter().map(|(header, changed)| change(header, changed, &genesis)).collect();
    let founders = changes.is_empty() && after == BlockHeight::GENESIS && reader.founders_decide().await?;
    let sync = if status.syncing { "behind others, catching up" } else { "up to date, as far as it knows" };
    Ok(render(&NetworkPage {
        proven: Source::Proven,
        observed: Source::Observed,
        network: name(genesis.chain_name()),
        chain: genesis.chain_id().to_string(),
        founded: Time::new(genesis.time_ms()),
        rules: rules(&genesis),
        node: vec![
            ("Version", name(&version.version)),
            ("Protocol", version.protocol.to_string()),
            ("Height", format!("{} of {} that others tell of", status.height, status.target)),
            ("State", sync.into()),
            ("Decides blocks", if status.validator { "yes" } else { "no" }.into()),
            (
                "Waiting",
                format!(
                    "{}, {}",
                    counted(status.mempool_transactions, "transaction"),
                    bytes(status.mempool_bytes)
                ),
            ),
            (
                "On disk",
                format!(
                    "{} of headers and transactions, {} of bodies",
                    bytes(status.headers_bytes),
                    bytes(status.bodies_bytes)
                ),
            ),
            ("Running for", elapsed(0, status.uptime_seconds.saturating_mul(1000))),
        ],
        peers: peers.len(),
        agents: agents(&peers),
        more: changes.last().map(|change| change.height).filter(|_| more),
        changes,
        after: after.get(),
        founders,
        claimed: Source::Claimed,
    }))
}

/// What peers run. Where they are concerns nobody who reads these pages.
fn agents(peers: &[PeerView]) -> Vec<(String, usize)> {
    let mut agents: BTreeMap<String, usize> = BTreeMap::new();
    for peer in peers {
        let agent = peer.agent.as_deref().map_or_else(|| "not told".into(), name);
        let count = agents.entry(agent).or_default();
        *count = count.saturating_add(1);
    }
    agents.into_iter().collect()
}

fn rules(genesis: &Genesis) -> Vec<(&'static str, String, &'static str)> {
    let (limits, postage, timing) = (genesis.limits(), genesis.postage(), genesis.timing());
    let kept = match genesis.retention_blocks() {
        0 => "for ever".into(),
        blocks => counted(blocks, "block"),
    };
    let interval = format!(
        "{} at least, {} when idle",
        elapsed(0, timing.block_interval_ms.into()),
        elapsed(0, timing.heartbeat_ms.into())
    );
    vec![
        ("Address prefix", genesis.prefix().as_str().to_owned(), "How addresses of this network begin."),
        ("Block size", bytes(limits.block_bytes.into()), "Transactions and bodies of one block together."),
        ("Body size", bytes(limits.body_bytes.into()), "The encrypted body of one message."),
        ("Recipients", limits.slots.to_string(), "Most recipients of one message."),
        ("Expiry window", counted(limits.expiry_window, "block"), "How far ahead a transaction may expire."),
        ("Block interval", interval, "Time from one block to the next."),
        ("Clock drift", elapsed(0, timing.clock_drift_ms.into()), "How far ahead a proposer's clock may be."),
        (
            "Postage floor",
            postage.floor.to_string(),
            "The lowest price, in expected hashes per KiB; 0 is free.",
        ),
        (
            "Strangers' part",
            format!("{} %", postage.strangers_percent),
            "Of a block, for senders who are not members.",
        ),
        ("Bodies kept", kept, "How long ordinary nodes keep encrypted bodies."),
        ("Founding members", genesis.members().len().to_string(), "Admitted from the start."),
    ]
}

fn change(header: &Header, changed: &ValidatorsChanged, genesis: &Genesis) -> Change {
    let members = changed.validators.iter().map(|validator| {
        let given = genesis.validator_name(&validator.public_key);
        (validator_name(given), Id::new(validator.public_key), validator.power)
    });
    Change {
        height: header.height.get(),
        time: Time::new(header.time_ms),
        effective: header.height.saturating_add(1).get(),
        members: members.collect(),
    }
}
