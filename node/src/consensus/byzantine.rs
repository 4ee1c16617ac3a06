//! A validator that breaks the rules on purpose, so that it can be seen what becomes of the others. It is built with the
//! feature `test-byzantine` alone, as a program of its own, and told what to do by an environment variable.
//!
//! Engine and application are the honest ones. What they say passes through a [`Liar`] on its way to the
//! network, and what the network says is overheard; so a misdeed is whatever a validator with a true key can put on the
//! wire. Every misdeed is logged when it is done: one that was not done counts as none.
//!
//! The engine has a crate for this, arc-malachitebft-engine-byzantine. It drops and doubles votes and proposals, but
//! sends no parts of a second block, changes none, and repeats nothing old.

mod forgery;
mod forgetful;
mod liar;
mod seam;

use super::engine::{self, AppMsg, Channels, ConsensusContext, EngineHandle, NetworkContext, WalContext};
use super::signer::VoteSigner;
use super::{EngineConfig, Sealpost, WireCodec};
use crate::store::Store;
use arc_malachitebft_app_channel::EngineBuilder;
use forgetful::{Forgetful, Memory};
use liar::Liar;
use std::collections::BTreeSet;
use tokio::sync::{mpsc, oneshot};

#[cfg(not(debug_assertions))]
compile_error!("the feature test-byzantine makes validators that lie; no optimised build takes it");

/// Says which misdeeds, by their names, separated by commas. None: an honest validator.
const MISDEEDS: &str = "SEALPOST_TEST_MISDEEDS";
/// Messages of the engine that wait for the application: as many as the engine's own channel holds.
const MESSAGES: usize = 128;

/// What was said and heard, as far as it is kept.
const KEPT: usize = 400;

/// What a validator may do that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Misdeed {
    /// Proposes two valid blocks in one round.
    TwoBlocks,
    /// Votes twice wherever it votes, for two different things.
    TwoVotes,
    /// Signs nothing rightly: parts, proposals, votes.
    WrongSignature,
    /// Votes in the names of the others.
    ForgedVotes,
    /// Votes for heights and rounds far away.
    FarVotes,
    /// Proposes a block that follows another one than the last.
    WrongParent,
    /// Proposes a block with another state than its transactions make.
    WrongState,
    /// Proposes a block of a time that can't be.
    WrongTime,
    /// Proposes a block with a transaction that is final already, or stands in it twice.
    RepeatedTransaction,
    /// Proposes a block with a transaction that its sender did not sign.
    ForgedTransaction,
    /// Proposes a block that is longer than any may be.
    Oversized,
    /// Keeps the end of every block it proposes to itself.
    WithheldParts,
    /// Sends two different contents for the same part.
    ConflictingParts,
    /// Sends rubbish in streams that another proposer's signature opens.
    PoisonedStreams,
    /// Sends what was said at earlier heights, by anybody, again.
    Replay,
    /// Claims blocks that there are not, and answers who catches up with false ones.
    FalseHistory,
    /// Votes against what it is locked on, and proposes something else.
    Amnesia,
    /// Says nothing.
    Silent,
    /// Calls every proposed block valid: no lie to others, but a check that is left out. For controls.
    Credulous,
}

impl Misdeed {
    const ALL: [(&str, Self); 19] = [
        ("two-blocks", Self::TwoBlocks),
        ("two-votes", Self::TwoVotes),
        ("wrong-signature", Self::WrongSignature),
        ("forged-votes", Self::ForgedVotes),
        ("far-votes", Self::FarVotes),
        ("wrong-parent", Self::WrongParent),
        ("wrong-state", Self::WrongState),
        ("wrong-time", Self::WrongTime),
        ("repeated-transaction", Self::RepeatedTransaction),
        ("forged-transaction", Self::ForgedTransaction),
        ("oversized", Self::Oversized),
        ("withheld-parts", Self::WithheldParts),
        ("conflicting-parts", Self::ConflictingParts),
        ("poisoned-streams", Self::PoisonedStreams),
        ("replay", Self::Replay),
        ("false-history", Self::FalseHistory),
        ("amnesia", Self::Amnesia),
        ("silent", Self::Silent),
        ("credulous", Self::Credulous),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, misdeed)| *misdeed == self).map_or("", |(name, _)| name)
    }
    /// Those that the environment asks for.
    fn chosen() -> Result<BTreeSet<Self>, String> {
        let chosen = std::env::var(MISDEEDS).unwrap_or_default();
        let names = chosen.split(',').map(str::trim).filter(|name| !name.is_empty());
        names
            .map(|name| {
                let known = Self::ALL.iter().find(|(known, _)| *known == name);
                known.map(|(_, misdeed)| *misdeed).ok_or_else(|| format!("{MISDEEDS}: no misdeed {name:?}"))
            })
            .collect()
    }
}

/// What a liar needs besides what the engine does.
pub(super) struct Means {
    pub(super) store: Store,
    pub(super) signer: VoteSigner,
    pub(super) max_block_bytes: u32,
}

/// Starts the engine as the honest start does, with a liar between it and the network if one is asked for.
pub(super) async fn start_engine(
    config: EngineConfig,
    wal: WalContext<WireCodec>,
    network: NetworkContext<WireCodec>,
    mut consensus: ConsensusContext<Sealpost>,
    means: Means,
) -> Result<(Channels<Sealpost>, EngineHandle), String> {
    let misdeeds = Misdeed::chosen()?;
    tracing::warn!(?misdeeds, "this is no honest validator; never use it for anything but tests");
    let credulous = misdeeds.contains(&Misdeed::Credulous);
    let memory = Memory::default();
    if misdeeds.contains(&Misdeed::Amnesia) {
        let signer = means.signer.clone();
        consensus.signer = Some(Box::new(Forgetful { signer, memory: memory.clone() }));
    }
    let liar = |network| Liar::new(means, misdeeds, memory, network);
    let (mouth, parts) = seam::between(&config, network, liar).await?;
    let builder = EngineBuilder::new(Sealpost, config)
        .with_default_wal(wal)
        .with_custom_network(mouth, parts)
        .with_default_sync(engine::SyncContext::new(WireCodec))
        .with_default_consensus(consensus)
        .with_default_request(engine::RequestContext::new(super::REQUESTS));
    let (mut channels, handle) = builder.build().await.map_err(|error| format!("{error:#}"))?;
    if credulous {
        let (believed, consensus) = mpsc::channel(MESSAGES);
        let doubted = std::mem::replace(&mut channels.consensus, consensus);
        tokio::spawn(believe(doubted, believed));
    }
    Ok((channels, handle))
}

/// Hands the engine's messages to the application, and its answers back, with every refusal turned into its opposite.
async fn believe(mut doubted: mpsc::Receiver<AppMsg<Sealpost>>, believed: mpsc::Sender<AppMsg<Sealpost>>) {
    while let Some(message) = doubted.recv().await {
        let message = match message {
            AppMsg::ReceivedProposalPart { from, published_by, part, reply } => {
                let (own, answered) = oneshot::channel::<Option<engine::ProposedValue<Sealpost>>>();
                tokio::spawn(async move {
                    let Ok(value) = answered.await else { return };
                    let value = value.map(|mut value| {
                        if !value.validity.is_valid() {
                            liar::misbehaved(Misdeed::Credulous, value.height, value.round, &value.value.0);
                        }
                        value.validity = engine::Validity::Valid;
                        value
                    });
                    drop(reply.send(value));
                });
                AppMsg::ReceivedProposalPart { from, published_by, part, reply: own }
            }
            other => other,
        };
        if believed.send(message).await.is_err() {
            return;
        }
    }
}
