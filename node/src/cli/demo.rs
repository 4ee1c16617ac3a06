//! `demo`: the whole way of one message, each step real and said in one line.

mod steps;

use super::local::{LocalNetwork, Place, Ports, call};
use super::made::Made;
use super::run::stopping;
use super::{run_to_end, signals};
use clap::Args;
use sealpost_terminal::{Exit, Failure, Terminal, seconds, style};
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Leave at the end instead of serving the explorer; exit 0 only if every step held
    #[arg(long)]
    exit: bool,
    /// Folder that keeps evidence, genesis and wallets for trying things by hand
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Port of the explorer; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
}

/// Says the steps, and how long each took.
pub(super) struct Narrator<'a> {
    terminal: &'a Terminal,
    since: Instant,
    began: Instant,
    steps: u32,
}

#[derive(serde::Serialize)]
struct Step<'a> {
    step: &'a str,
    ok: bool,
    text: &'a str,
    milliseconds: f64,
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    facts: serde_json::Value,
}

impl<'a> Narrator<'a> {
    fn new(terminal: &'a Terminal) -> Self {
        let now = Instant::now();
        Self { terminal, since: now, began: now, steps: 0 }
    }
    /// A step that held.
    pub(super) fn held(&mut self, step: &str, text: &str, facts: serde_json::Value) {
        let took = self.since.elapsed();
        self.steps = self.steps.saturating_add(1);
        self.terminal.say(format_args!(
            "{} {}",
            style::held(format_args!("{step:<10} {text}")),
            style::faint(format_args!("({})", seconds(took)))
        ));
        let milliseconds = took.as_secs_f64() * 1e3;
        self.terminal.emit("sealpost/demo/1", &Step { step, ok: true, text, milliseconds, facts });
        self.since = Instant::now();
    }
    fn total(&self) -> Duration {
        self.began.elapsed()
    }
}

/// What it makes in the folder that is kept.
const MADE: Made = Made {
    by: "demo",
    flag: "keep",
    note: "`sealpost-node demo` made node/ and networks/demo/ in this folder, for playing.\n",
};

pub(super) fn demo(args: &DemoArgs, terminal: &Terminal) -> Result<(), Failure> {
    let place = match &args.keep {
        Some(path) => Place::Kept(path.clone()),
        None => Place::temporary()?,
    };
    MADE.mark(place.path())?;
    // The node's own log would run between the lines; --log brings it back.
    if terminal.globals().log.is_none() && terminal.globals().verbose == 0 {
        terminal.logging().set_filter("warn")?;
    }
    run_to_end(async {
        let stop = signals::listen(terminal);
        let mut narrator = Narrator::new(terminal);
        let any = ([127, 0, 0, 1], 0).into();
        let ports = Ports { rpc: any, metrics: None, explorer: Some(([127, 0, 0, 1], args.port).into()) };
        let network = LocalNetwork::start(place.path(), MADE.by, ports, terminal).await?;
        let told = tokio::select! {
            told = steps::walk(&network, place.path(), &mut narrator) => told?,
            () = stop.notified() => {
                network.run_until(std::future::ready(())).await?;
                // Not every step held: for a script that is no success.
                return if args.exit { Err(Failure::silent(Exit::Interrupted)) } else { Ok(()) };
            }
        };
        let total = seconds(narrator.total());
        terminal.say(format_args!("\n{} steps in {total}, and every one held.", narrator.steps));
        terminal
            .emit("sealpost/demo-end/1", &End { steps: narrator.steps, explorer: network.explorer_url() });
        if let Some(folder) = &args.keep {
            print_kept(terminal, folder, &told);
        }
        if args.exit {
            stop.notify_one();
            return network.run_until(stopping(&stop, terminal)).await;
        }
        if let Some(url) = network.explorer_url() {
            terminal.say(format_args!("\nLook around: {url}/message/{}", told.message));
            terminal.say("Ctrl-C ends it.");
        }
        network.run_until(stopping(&stop, terminal)).await
    })
}

#[derive(serde::Serialize)]
struct End {
    steps: u32,
    explorer: Option<String>,
}

fn print_kept(terminal: &Terminal, folder: &std::path::Path, told: &steps::Told) {
    let folder = folder.display();
    let (sealpost, node) = (call("sealpost"), call("sealpost-node"));
    terminal.say(format_args!("\nKept in {folder}: evidence.json, genesis.json and the wallets. Try:"));
    terminal.say(format_args!(
        "  {sealpost} evidence verify {folder}/evidence.json --genesis {folder}/genesis.json"
    ));
    terminal.say(format_args!(
        "  {node} run --home {folder}     # then, in another terminal:\n  \
         {sealpost} --home {folder} --passphrase-file {folder}/passphrase --node http://127.0.0.1:17325 -w bob read {}",
        told.message.to_string().get(..8).unwrap_or_default()
    ));
}
