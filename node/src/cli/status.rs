//! `status`: asks a running node how it is. Exit 0 only if it is in step with its network.

use super::asking::{Asked, NodeArgs};
use super::runtime;
use clap::{Args, ValueEnum};
use sealpost_api::{NodeStatus, SealpostRpcClient};
use sealpost_terminal::{Failure, Terminal, bytes, clock, counted, grouped, printable, short};
use std::time::{Duration, Instant};

/// Pause between two questions while waiting.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Wait until the node answers, or until it has a final block
    #[arg(long, value_enum, value_name = "FOR")]
    wait: Option<WaitUntil>,
    /// Longest wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WaitUntil {
    /// It answers and is not catching up.
    Synced,
    /// It has a final block.
    Final,
}

pub(super) fn status(args: &StatusArgs, terminal: &Terminal) -> Result<(), Failure> {
    let asked = args.node.connect(terminal)?;
    let status = runtime()?.block_on(ask(&asked, args))?;
    print(terminal, &asked.url, &status);
    if status.syncing {
        return Err(Failure::unavailable("node.syncing", "the node is catching up with its network"));
    }
    Ok(())
}

async fn ask(asked: &Asked, args: &StatusArgs) -> Result<NodeStatus, Failure> {
    let until = deadline(args.timeout);
    loop {
        let answer = asked.client.node_status().await;
        let reached = match (&answer, args.wait) {
            (Ok(_), None) => true,
            (Ok(status), Some(WaitUntil::Synced)) => !status.syncing,
            (Ok(status), Some(WaitUntil::Final)) => status.height.get() > 0,
            (Err(_), _) => false,
        };
        let over = args.wait.is_none() || until.is_some_and(|until| Instant::now() >= until);
        match answer {
            Ok(status) if reached => return Ok(status),
            Ok(_) if over => return Err(Failure::unavailable("node.timeout", "the node is not there yet")),
            Err(error) if over => return Err(asked.failure(&error)),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// When a wait of so many seconds is over; one that no clock knows never is.
fn deadline(seconds: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(seconds))
}

/// What the node says it is, as it may stand on a terminal: it may be anybody's.
fn heading(url: &str, status: &NodeStatus) -> String {
    let (version, name) = (printable(&status.version), printable(&status.chain_name));
    format!("node       {url}  version {version}\nnetwork    {name}  chain {}", short(status.chain))
}

fn print(terminal: &Terminal, url: &str, status: &NodeStatus) {
    terminal.say(heading(url, status));
    terminal.say(format_args!(
        "head       block {}  {}  {}",
        grouped(status.height.get()),
        short(status.block),
        clock(status.block_time_ms)
    ));
    let role = if status.validator { "decides blocks" } else { "follows" };
    terminal.say(format_args!(
        "role       {role}, {}, {}",
        counted(u64::from(status.validators), "validator"),
        counted(u64::from(status.peers), "peer")
    ));
    if status.syncing {
        terminal.say(format_args!("catching up to block {}", grouped(status.target.get())));
    }
    terminal.say(format_args!(
        "waiting    {}, {}",
        counted(status.mempool_transactions, "transaction"),
        bytes(status.mempool_bytes)
    ));
    terminal.say(format_args!("postage    {} expected hashes per KiB", grouped(status.postage_price)));
    terminal.say(format_args!(
        "disk       {} headers and transactions, {} bodies",
        bytes(status.headers_bytes),
        bytes(status.bodies_bytes)
    ));
    terminal.emit("sealpost/node-status/1", status);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_has_no_end() {
        assert!(deadline(60).is_some());
        assert_eq!(deadline(u64::MAX), None);
    }

    #[test]
    fn nothing_that_a_node_says_of_itself_moves_the_cursor() {
        let zeros = "0".repeat(64);
        let status: NodeStatus = serde_json::from_value(serde_json::json!({
            "chain": zeros, "chain_name": "\u{1b}[2Jyours", "height": 1, "block": zeros, "block_time_ms": 0,
            "syncing": false, "target": 1, "peers": 0, "validator": false, "validators": 1,
            "mempool_transactions": 0, "mempool_bytes": 0, "postage_price": 0, "headers_bytes": 0, "bodies_bytes": 0,
            "uptime_seconds": 0, "version": "1\r\u{1b}]0;x\u{7}",
        }))
        .unwrap();
        let heading = heading("http://127.0.0.1:1", &status);
        assert!(heading.chars().all(|c| c == '\n' || !c.is_control()), "{heading:?}");
        assert_eq!(heading.lines().count(), 2);
    }
}
