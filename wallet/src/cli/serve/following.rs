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
use sealpost_terminal::Failure;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

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
}

enum Source {
    /// The node tells. The other kind ends with this one.
    Told { following: Box<Following>, _lives: Arc<()> },
    /// The wallet looks for them.
    Looked { known: usize, ready: VecDeque<Incoming>, told: Weak<()> },
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
        let lives = Arc::new(());
        let mut subscriptions = Vec::new();
        if scan {
            server.scan(&wallet, &light).await?;
            let known = wallet.scan_state().map_err(failure)?.found().len();
            let source = Source::Looked { known, ready: VecDeque::new(), told: Arc::downgrade(&lives) };
            subscriptions.push(Subscription { light: light.clone(), source });
        }
        let followed = server.tagged(&light, "sealpost/inbox-follow/1", &Followed { from });
        let source = Source::Told { following: Box::new(following), _lives: lives };
        subscriptions.push(Subscription { light, source });
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
        let Self { light, source } = &mut self;
        let told = match source {
            Source::Told { following, .. } => next_told(server, light, following).await,
            Source::Looked { known, ready, told } => {
                let found = next_found(server, light, known, ready, told).await;
                let Some(found) = found else { return Done::Over };
                match server.wallet().await {
                    Ok(wallet) => entry(server, &wallet, light, &found).map(Some),
                    Err(failure) => Err(failure.into()),
                }
            }
        };
        match told {
            Ok(line) => Done::Entry(line, self),
            Err(refusal) => {
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

/// The next sealed letter that a scan finds; nothing if the subscription that this belongs to is at its end. A scan
/// that fails is made again: if the node is gone, the subscription says so.
async fn next_found(
    server: &Server<'_>,
    light: &Light,
    known: &mut usize,
    ready: &mut VecDeque<Incoming>,
    told: &Weak<()>,
) -> Option<Incoming> {
    while told.strong_count() > 0 {
        if let Some(incoming) = ready.pop_front() {
            return Some(incoming);
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
    None
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
