//! Tells the service manager that the node is up and alive: systemd's `Type=notify` and watchdog. Without one
//! nothing is said.
//!
//! Ready means that the node can be asked. Whether it is in step with its network is another question, for
//! `/readyz`: a node that catches up for hours must not be taken for one that does not start.

use sd_notify::NotifyState;
use std::time::Duration;

/// Tells of a node at work until this is dropped.
#[derive(Debug)]
pub struct Supervised {
    heartbeat: Option<tokio::task::JoinHandle<()>>,
}

impl Supervised {
    /// Says that the node can be asked, and from then on that it lives, as often as was asked for. Said from the
    /// runtime that does the node's work: if that hangs, the service manager hears nothing and starts it anew.
    pub fn ready() -> Self {
        tell(&[NotifyState::Ready]);
        let heartbeat = sd_notify::watchdog_enabled().map(|limit| tokio::spawn(beat(limit / 2)));
        Self { heartbeat }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.abort();
        }
        tell(&[NotifyState::Stopping]);
    }
}

async fn beat(pause: Duration) {
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(pause).await;
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
