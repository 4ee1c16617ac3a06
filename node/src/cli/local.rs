//! A network of one validator in this process, with an explorer and wallets: what `dev` and `demo` stand on.

use super::init::new_secret;
use super::run::mute;
use crate::consensus;
use crate::home::Home;
use crate::mempool::MempoolLimits;
use crate::node::{Config, Node};
use sealpost_explorer::{Explorer, Settings};
use sealpost_ledger::genesis::{
    GENESIS_FORMAT, Genesis, GenesisFile, GenesisValidator, Limits, PostageRules, Timing,
};
use sealpost_ledger::signature::SigningKey;
use sealpost_terminal::{Failure, Terminal};
use sealpost_wallet::light::{HeadFile, Light};
use sealpost_wallet::profile::Profile;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Where the network lives.
pub(super) enum Place {
    /// In a folder that goes away with it.
    Temporary(TempDir),
    /// In a folder that stays.
    Kept(PathBuf),
}

impl Place {
    pub(super) fn temporary() -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("sealpost-").tempdir();
        dir.map(Place::Temporary)
            .map_err(|error| Failure::unavailable("file.io", format_args!("no temporary folder: {error}")))
    }
    pub(super) fn path(&self) -> &Path {
        match self {
            Place::Temporary(dir) => dir.path(),
            Place::Kept(path) => path,
        }
    }
}

/// Where the parts listen; port 0 takes a free one.
pub(super) struct Ports {
    pub(super) rpc: SocketAddr,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) explorer: Option<SocketAddr>,
}

/// The network at work.
pub(super) struct LocalNetwork {
    pub(super) genesis: Arc<Genesis>,
    pub(super) node: Node,
    pub(super) explorer: Option<Explorer>,
}

/// Makes a network whose one validator lives in this home. An interrupted making goes on with its own key.
pub(super) fn make_network(home: &Home, name: &str, prefix: &str) -> Result<Genesis, Failure> {
    let (public_key, secret) = match home.unused_key()? {
        Some(key) => (key.public_key(), None),
        None => {
            let secret = new_secret()?;
            (SigningKey::from_bytes(&secret).map_err(Failure::bug)?.public_key(), Some(secret))
        }
    };
    let genesis = Genesis::new(GenesisFile {
        format: GENESIS_FORMAT.into(),
        chain_name: name.into(),
        address_prefix: prefix.into(),
        time_ms: now_ms(),
        validators: vec![GenesisValidator { name: "validator-1".into(), public_key, power: 1 }],
        limits: Limits { block_bytes: 1 << 20, body_bytes: 64 << 10, slots: 256, expiry_window: 100_000 },
        postage: PostageRules { floor: 0, strangers_percent: 100, member_quota_bytes: 0 },
        timing: Timing { block_interval_ms: 0, heartbeat_ms: 30_000, clock_drift_ms: 30_000 },
        members: Vec::new(),
        retention_blocks: 0,
    });
    let genesis = genesis.map_err(Failure::usage)?;
    home.create(&genesis, secret.as_deref())?;
    Ok(genesis)
}

impl LocalNetwork {
    /// Starts the network in a folder, making it at the first time.
    pub(super) async fn start(
        folder: &Path,
        name: &str,
        ports: Ports,
        terminal: &Terminal,
    ) -> Result<Self, Failure> {
        let home = Home::new(folder.join("node"));
        if !home.exists() {
            make_network(&home, name, "sealdev")?;
        }
        mute(terminal)?;
        let genesis = home.genesis()?;
        let node = Node::start(Config {
            genesis: genesis.clone(),
            data: home.data(),
            archive: false,
            consensus: match home.validator()? {
                None => None,
                Some(validator) => Some(consensus::Config {
                    moniker: "local".into(),
                    identity: home.identity()?,
                    validator,
                    listen: "/ip4/127.0.0.1/tcp/0".parse().map_err(Failure::bug)?,
                    peers: Vec::new(),
                    wal: home.wal(),
                }),
            },
            rejoin: false,
            // One validator talks to nobody.
            gossip: None,
            rpc: ports.rpc,
            rpc_limits: Default::default(),
            metrics: ports.metrics,
            disk_floor_bytes: 0,
            mempool: MempoolLimits::default(),
        })
        .await?;
        let explorer = match ports.explorer {
            Some(listen) => {
                let (url, genesis) = (format!("http://{}", node.rpc), Some(genesis.clone()));
                // Nobody but the person who started it is there to be limited.
                let limits = sealpost_explorer::Limits { rate: None, ..Default::default() };
                let started = sealpost_explorer::start(Settings { listen, node: url, genesis, limits }).await;
                Some(started.map_err(|error| Failure::unavailable("explorer.listen", error))?)
            }
            None => None,
        };
        Ok(Self { genesis, node, explorer })
    }
    /// Where the RPC is reached.
    pub(super) fn rpc(&self) -> String {
        format!("http://{}", self.node.rpc)
    }
    /// Where the explorer is reached.
    pub(super) fn explorer_url(&self) -> Option<String> {
        self.explorer.as_ref().map(|explorer| format!("http://{}", explorer.address))
    }
    /// The folder of this network's wallets under `home`, with the node to ask.
    pub(super) fn profile(&self, home: &Path) -> Result<Profile, Failure> {
        let profile = Profile::create(home, self.genesis.clone()).map_err(sealpost_wallet::failure)?;
        profile.set_nodes(&[self.rpc()]).map_err(sealpost_wallet::failure)?;
        Ok(profile)
    }
    /// A light client that knows nothing but the genesis.
    pub(super) async fn light(&self) -> Result<Light, Failure> {
        let light = Light::connect(&self.rpc(), self.genesis.clone(), HeadFile::in_memory()).await;
        light.map_err(sealpost_wallet::failure)
    }
    /// Works until `shutdown` is done, then stops the explorer and the node.
    pub(super) async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
        let ended = self.node.run_until(shutdown).await;
        if let Some(explorer) = self.explorer {
            explorer.stop().await;
        }
        Ok(ended?)
    }
}

/// How a program of ours is called from where this one was: through cargo in a source folder, by its name
/// otherwise.
pub(super) fn call(program: &str) -> String {
    match std::env::var_os("CARGO") {
        Some(_) => format!("cargo run -rq --bin {program} --"),
        None => program.to_owned(),
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
