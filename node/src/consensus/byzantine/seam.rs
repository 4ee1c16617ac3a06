//! The seam between an engine and its network: two small actors, one that takes what the engine says, and one that
//! overhears what the network says. Both only pass it on to the liar; what is neither vote, proposal nor part goes
//! through as it is.

use super::super::engine::{
    LivenessMsg, NetworkActorMsg, NetworkContext, NetworkMsg, NodeConfig as _, SignedConsensusMsg,
    StreamMessage, SyncResponse,
};
use super::super::{EngineConfig, Sealpost, WireCodec};
use super::liar::Liar;
use crate::consensus::context::Part;
use arc_malachitebft_app_channel::app::engine::network::{NetworkEvent, NetworkRef, Status};
use arc_malachitebft_app_channel::app::metrics::SharedRegistry;
use arc_malachitebft_app_channel::spawn::spawn_network_actor;
use arc_malachitebft_sync::InboundRequestId;
use async_trait::async_trait;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the network may take to stop.
const PATIENCE: Duration = Duration::from_secs(3);

/// What passes the seam.
pub(super) enum Passing {
    /// The engine says something.
    Consensus(SignedConsensusMsg<Sealpost>),
    /// The engine repeats something, for those who missed it.
    Liveness(LivenessMsg<Sealpost>),
    /// The application sends a part of a block.
    Part(StreamMessage<Part>),
    /// The engine says how far it is.
    Status(Status<Sealpost>),
    /// The engine answers somebody who catches up.
    Answer(InboundRequestId, SyncResponse<Sealpost>),
    /// Somebody else has said something.
    Heard(Box<NetworkEvent<Sealpost>>),
}

/// Starts the network and the liar before it. Returns what engine and application take for the network.
pub(super) async fn between(
    config: &EngineConfig,
    network: NetworkContext<WireCodec>,
    liar: impl FnOnce(NetworkRef<Sealpost>) -> Liar,
) -> Result<(NetworkRef<Sealpost>, mpsc::Sender<NetworkMsg<Sealpost>>), String> {
    let registry = SharedRegistry::global().with_moniker(config.moniker());
    let NetworkContext { identity, codec } = network;
    let started =
        spawn_network_actor(identity, config.consensus(), config.value_sync(), &registry, codec).await;
    let (real, _) = started.map_err(|error| error.to_string())?;
    let (pass, passing) = mpsc::unbounded_channel();
    let mouth = Actor::spawn(None, Mouth { real: real.clone(), pass: pass.clone() }, ()).await;
    let (mouth, _) = mouth.map_err(|error| error.to_string())?;
    let ears = Actor::spawn(None, Ears { pass: pass.clone() }, ()).await;
    let (ears, _) = ears.map_err(|error| error.to_string())?;
    let subscribed = real.cast(NetworkActorMsg::Subscribe(Box::new(ears)));
    subscribed.map_err(|error| error.to_string())?;
    let (parts, mut told) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(NetworkMsg::PublishProposalPart(part)) = told.recv().await {
            if pass.send(Passing::Part(part)).is_err() {
                return;
            }
        }
    });
    tokio::spawn(liar(real).run(passing));
    Ok((mouth, parts))
}

/// What the engine takes for its network.
struct Mouth {
    real: NetworkRef<Sealpost>,
    pass: mpsc::UnboundedSender<Passing>,
}

#[async_trait]
impl Actor for Mouth {
    type Msg = NetworkActorMsg<Sealpost>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NetworkActorMsg::PublishConsensusMsg(message) => self.pass.send(Passing::Consensus(message))?,
            NetworkActorMsg::PublishLivenessMsg(message) => self.pass.send(Passing::Liveness(message))?,
            NetworkActorMsg::PublishProposalPart(part) => self.pass.send(Passing::Part(part))?,
            NetworkActorMsg::BroadcastStatus(status) => self.pass.send(Passing::Status(status))?,
            NetworkActorMsg::OutgoingResponse(to, answer) => self.pass.send(Passing::Answer(to, answer))?,
            other => self.real.cast(other)?,
        }
        Ok(())
    }
    async fn post_stop(&self, _: ActorRef<Self::Msg>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        Ok(self.real.stop_and_wait(Some("shutdown".into()), Some(PATIENCE)).await?)
    }
}

/// What the network takes for a part of the engine.
struct Ears {
    pass: mpsc::UnboundedSender<Passing>,
}

/// Something that the network says.
struct Heard(NetworkEvent<Sealpost>);

impl From<NetworkEvent<Sealpost>> for Heard {
    fn from(event: NetworkEvent<Sealpost>) -> Self {
        Self(event)
    }
}

#[async_trait]
impl Actor for Ears {
    type Msg = Heard;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Heard>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
    async fn handle(
        &self,
        _: ActorRef<Heard>,
        Heard(event): Heard,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(self.pass.send(Passing::Heard(Box::new(event)))?)
    }
}
