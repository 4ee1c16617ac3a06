//! The Sealpost explorer: a read-only web view of the ledger. It asks a node through its RPC, checks what
//! can be checked against the genesis, and says of every fact whether it is proven, only observed or
//! unknowable. It keeps no state: any number of copies may stand behind a load balancer.
//!
//! ```text
//!  browser ─► routes/ ─► reader (asks the node, verifies) ─► views (askama templates) ─► browser
//!     ▲                                                                                     │
//!     └──────────── live (each new block, as the rows that the pages themselves have) ◄──────┘
//!  program ─► api/    ─►            the same              ─► JSON, CSV, Atom, events ─► program
//! ```

mod api;
mod assets;
mod charts;
pub mod cli;
mod follow;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod headers;
mod health;
mod limits;
mod listen;
mod live;
mod metrics;
mod page;
#[cfg(test)]
mod pretend;
mod questions;
mod reader;
mod routes;
#[cfg(test)]
mod tests;
mod tree;
mod verify_page;

pub use limits::Limits;

use follow::Follower;
use limits::Streams;
use live::Hub;
use reader::Reader;
use sealpost_ledger::genesis::Genesis;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the explorer is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The node it asks, such as `http://127.0.0.1:17325`.
    pub node: String,
    /// What everything is checked against, whatever the node says; without one, the genesis that the node
    /// gives first.
    pub genesis: Option<Arc<Genesis>>,
    /// What a client may cost.
    pub limits: Limits,
}

/// Why the explorer does not start.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum ExplorerError {
    #[error("the explorer cannot listen on {listen}: {source}; choose another address, or stop what uses it")]
    Listen { listen: SocketAddr, source: std::io::Error },
    #[error("node: {url:?}: {reason}")]
    Node { url: String, reason: String },
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// An explorer at work.
#[derive(Debug)]
pub struct Explorer {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    live: JoinHandle<()>,
}

/// Starts to serve. The node need not run yet.
pub async fn start(settings: Settings) -> Result<Explorer, ExplorerError> {
    let Settings { listen, node, genesis, limits } = settings;
    let reader = Reader::new(&node, genesis)?;
    let meter = metrics::Meter::new()?;
    let failed = |source| ExplorerError::Listen { listen, source };
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let stop = CancellationToken::new();
    let hub = Hub::new(stop.clone());
    let follower = Follower::start(reader.clone(), stop.clone());
    let live = tokio::spawn(live::follow(reader.clone(), hub.clone(), follower.heads()));
    let site = routes::Site { reader, live: hub, follower, streams: Streams::new(&limits) };
    let app = routes::router(site, limits.clone(), meter.clone(), stop.clone());
    let ended = stop.clone();
    let task = tokio::spawn(async move { listen::serve(listener, app, &limits, meter, ended).await });
    Ok(Explorer { address, stop, task, live })
}

impl Explorer {
    /// Finishes what is being answered, and stops.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A browser that keeps its connection open does not hold up the end.
        if tokio::time::timeout(Duration::from_secs(2), &mut self.task).await.is_err() {
            self.task.abort();
        }
        // It ends by the same token; an abort does it no harm, because it holds nothing but a connection.
        self.live.abort();
    }
}
