//! `inbox_follow`: messages are told as they become final. Of open ones the node tells; of sealed ones nobody can,
//! so the wallet looks for them again and again.

use super::Server;
use super::connection::Done;
use super::protocol::{Refusal, Request, notification, parameters, refusal_data, response};
use crate::cli::follow::SCAN_EVERY;
use crate::cli::inbox;
use crate::failure;
use crate::light::{Following, Light};
use crate::scan::Heard;
use crate::wallet::{Incoming, Wallet};
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Follow {
    from: Option<BlockHeight>,
    #[serde(default = "scan")]
    scan: bool,
}

fn scan() -> bool {
    true
}

#[derive(Serialize)]
struct Followed {
    from: BlockHeight,
}

/// Where notifications come from, and what verifies them.
pub(super) struct Subscription {
    light: Arc<Light>,
    source: Source,
    /// Set by the first source that ends: the others end with it at once, and let go what they hold of the node.
    over: Over,
}

type Over = Arc<watch::Sender<bool>>;

enum Source {
    /// The node tells.
    Told(Box<Following>),
    /// The wallet looks for them.
    Looked { known: Heard, ready: VecDeque<Incoming> },
    /// Whether new blocks are shown at all. A node that withholds them ends nothing.
    Watched { is_old: bool },
}

/// Begins to follow the inbox.
pub(super) async fn follow(server: &Server<'_>, question: Request) -> Done {
    let Request { id, params, .. } = question;
    let begun = async {
        let Follow { from, scan } = parameters(params)?;
        let light = server.light().await?;
        let from = match from {
            Some(from) => from,
            None => light.next_height().await.map_err(failure)?,
        };
        let wallet = server.wallet().await?;
        let following = light.follow(&wallet.address(), from).await.map_err(failure)?;
        let over = Over::new(watch::Sender::new(false));
        let mut subscriptions = Vec::new();
        if scan {
            server.scan(&wallet, &light).await?;
            let (letters, known) = wallet.sealed_from(&light, from).await.map_err(failure)?;
            let source = Source::Looked { known, ready: letters.into() };
            subscriptions.push(Subscription { light: light.clone(), source, over: over.clone() });
        }
        let followed = server.tagged(&light, "sealpost/inbox-follow/1", &Followed { from });
        let source = Source::Watched { is_old: server.session.old_view(&light).is_some() };
        subscriptions.push(Subscription { light: light.clone(), source, over: over.clone() });
        subscriptions.push(Subscription { light, source: Source::Told(Box::new(following)), over });
        Ok::<_, Refusal>((followed, subscriptions))
    };
    match begun.await {
        Ok((followed, subscriptions)) => Done::Follows(response(&id, followed), subscriptions),
        Err(refusal) => Done::NotFollowed(response(&id, Err(refusal))),
    }
}

impl Subscription {
    /// Waits for what comes next.
    pub(super) async fn next_entry(mut self, server: &Server<'_>) -> Done {
        let Self { light, source, over } = &mut self;
        let next = async {
            match source {
                Source::Told(following) => next_told(server, light, following).await,
                Source::Looked { known, ready } => next_found(server, light, known, ready).await.map(Some),
                Source::Watched { is_old } => next_view(server, light, is_old).await.map(Some),
            }
        };
        match unless_over(over, next).await {
            None => Done::Over,
            Some(Ok(line)) => Done::Entry(line, self),
            Some(Err(refusal)) => {
                over.send_replace(true);
                Done::Ended(notification("inbox_ended", json!({ "error": refusal_data(&refusal) })))
            }
        }
    }
}

/// What a source comes to; nothing if another source of the same subscription is at its end.
async fn unless_over<T>(over: &watch::Sender<bool>, next: impl Future<Output = T>) -> Option<T> {
    let mut ended = over.subscribe();
    tokio::select! {
        biased;
        _ = ended.wait_for(|over| *over) => None,
        next = next => Some(next),
    }
}

/// The next entry that the node tells of, or nothing if what came was no message to this wallet.
async fn next_told(
    server: &Server<'_>,
    light: &Light,
    following: &mut Following,
) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(proven) = following.next(light).await.map_err(failure)? else {
        let message = "the node ended the subscription";
        return Err(Failure::unavailable("node.unreachable", message).help("follow again").into());
    };
    // What comes on this line are answers to our own messages, too.
    let wallet = server.wallet().await?;
    let Some(incoming) = wallet.incoming(proven) else { return Ok(None) };
    if wallet.is_part(light, &incoming).await.map_err(failure)? {
        return Ok(None);
    }
    entry(server, &wallet, light, &incoming).map(Some)
}

/// The next sealed letter that a scan finds. A scan that fails is made again: if the node is gone, another source says
/// so.
async fn next_found(
    server: &Server<'_>,
    light: &Light,
    known: &mut Heard,
    ready: &mut VecDeque<Incoming>,
) -> Result<Vec<u8>, Refusal> {
    loop {
        if let Some(incoming) = ready.pop_front() {
            let wallet = server.wallet().await?;
            return entry(server, &wallet, light, &incoming);
        }
        tokio::time::sleep(SCAN_EVERY).await;
        if let Ok(wallet) = server.wallet().await
            && server.scan(&wallet, light).await.is_ok()
            && let Ok((letters, found)) = wallet.sealed_since(light, known).await
        {
            *known = found;
            ready.extend(letters);
        }
    }
}

/// That the view has become old, or is so no longer. If the node is gone, the source that it tells says so.
async fn next_view(server: &Server<'_>, light: &Light, is_old: &mut bool) -> Result<Vec<u8>, Refusal> {
    loop {
        tokio::time::sleep(SCAN_EVERY).await;
        if let Err(lie) = light.head().await.map_err(failure)
            && lie.exit == Exit::Untrusted
        {
            return Err(lie.into());
        }
        let old_view = server.session.old_view(light);
        if std::mem::replace(is_old, old_view.is_some()) != old_view.is_some() {
            return Ok(notification("inbox_view", json!({ "old_view": old_view })));
        }
    }
}

fn entry(
    server: &Server<'_>,
    wallet: &Wallet,
    light: &Light,
    incoming: &Incoming,
) -> Result<Vec<u8>, Refusal> {
    let entry = server.tagged(light, "sealpost/inbox-entry/1", &inbox::entry(wallet, incoming)?)?;
    Ok(notification("inbox_entry", entry))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::FutureExt;

    /// The connection to the node is part of the source that waits for it: a node lets a client have 32 of them.
    #[tokio::test]
    async fn what_waits_for_the_node_lets_go_of_it_as_soon_as_another_source_ends() {
        let connections = Arc::new(());
        let mut left = Vec::new();
        for _ in 0..20 {
            let over = Over::new(watch::Sender::new(false));
            let (told, connection) = (over.clone(), connections.clone());
            let mut waiting = Box::pin(async move {
                let quiet = async move {
                    std::future::pending::<()>().await;
                    drop(connection);
                };
                unless_over(&told, quiet).await
            });
            assert!(waiting.as_mut().now_or_never().is_none());
            over.send_replace(true);
            assert_eq!(waiting.as_mut().now_or_never(), Some(None));
            left.push(waiting);
        }
        assert_eq!(Arc::strong_count(&connections), 1);
        // One that begins to wait afterwards does not begin at all.
        let over = watch::Sender::new(true);
        assert!(unless_over(&over, async {}).await.is_none());
    }
}
