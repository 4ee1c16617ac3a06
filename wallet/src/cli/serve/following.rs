//! `inbox_follow`: messages are told as they become final. Of open ones the node tells; of sealed ones nobody can,
//! so the wallet looks for them again and again.

use super::Server;
use super::connection::Done;
use super::protocol::{Refusal, Request, notification, parameters, refusal_data, response};
use crate::cli::follow::SCAN_EVERY;
use crate::cli::inbox;
use crate::failure;
use crate::light::{Following, Light};
use crate::wallet::{Incoming, Wallet};
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Set by the first source that ends: the other one ends with it.
    over: Arc<AtomicBool>,
}

enum Source {
    /// The node tells.
    Told(Box<Following>),
    /// The wallet looks for them.
    Looked { known: usize, ready: VecDeque<Incoming> },
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
        let over = Arc::new(AtomicBool::new(false));
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
        let told = match source {
            Source::Told(following) => next_told(server, light, following).await,
            Source::Looked { known, ready } => next_found(server, light, known, ready, over).await,
            Source::Watched { is_old } => next_view(server, light, is_old, over).await,
        };
        match told {
            _ if over.load(Ordering::Relaxed) => Done::Over,
            Ok(line) => Done::Entry(line, self),
            Err(refusal) => {
                over.store(true, Ordering::Relaxed);
                Done::Ended(notification("inbox_ended", json!({ "error": refusal_data(&refusal) })))
            }
        }
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

/// The next sealed letter that a scan finds; nothing if the other source is at its end. A scan that fails is made
/// again: if the node is gone, the other source says so.
async fn next_found(
    server: &Server<'_>,
    light: &Light,
    known: &mut usize,
    ready: &mut VecDeque<Incoming>,
    over: &AtomicBool,
) -> Result<Option<Vec<u8>>, Refusal> {
    while !over.load(Ordering::Relaxed) {
        if let Some(incoming) = ready.pop_front() {
            let wallet = server.wallet().await?;
            return entry(server, &wallet, light, &incoming).map(Some);
        }
        tokio::time::sleep(SCAN_EVERY).await;
        if let Ok(wallet) = server.wallet().await
            && server.scan(&wallet, light).await.is_ok()
            && let Ok((letters, found)) = wallet.sealed_since(light, *known).await
        {
            *known = found;
            ready.extend(letters);
        }
    }
    Ok(None)
}

/// That the view has become old, or is so no longer; nothing if another source is at its end. If the node is gone, the
/// source that it tells says so.
async fn next_view(
    server: &Server<'_>,
    light: &Light,
    is_old: &mut bool,
    over: &AtomicBool,
) -> Result<Option<Vec<u8>>, Refusal> {
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(SCAN_EVERY).await;
        if let Err(lie) = light.head().await.map_err(failure)
            && lie.exit == Exit::Untrusted
        {
            return Err(lie.into());
        }
        let old_view = server.session.old_view(light);
        if std::mem::replace(is_old, old_view.is_some()) != old_view.is_some() {
            return Ok(Some(notification("inbox_view", json!({ "old_view": old_view }))));
        }
    }
    Ok(None)
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
