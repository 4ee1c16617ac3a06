//! The hook of `inbox --follow`: a program that runs for each new message. It gets the facts in environment
//! variables and never the text, unless that was asked for; no shell reads anything a sender wrote. One that fails is
//! tried again.

use super::inbox::Entry;
use sealpost_ledger::hash::TransactionId;
use sealpost_terminal::Terminal;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::task::JoinSet;

/// So many run at once; further messages wait.
const AT_ONCE: usize = 4;
/// None may run longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Pauses before it runs again for a message for which it failed.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// A program to run for each new message.
#[derive(Debug)]
pub(super) struct Hook {
    command: Vec<String>,
    terminal: Terminal,
    environment: Vec<(&'static str, String)>,
    running: JoinSet<Told>,
}

/// How telling the hook of a message has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// The message.
    pub(super) id: TransactionId,
    /// Whether the program ended well; if not, it has failed as often as it is tried.
    pub(super) well: bool,
}

impl Hook {
    /// A program and its arguments, and what it is told besides each message's facts; nothing if there is none.
    pub(super) fn new(
        command: Vec<String>,
        terminal: &Terminal,
        environment: Vec<(&'static str, String)>,
    ) -> Option<Self> {
        let (terminal, running) = (terminal.clone(), JoinSet::new());
        if command.is_empty() { None } else { Some(Self { command, terminal, environment, running }) }
    }
    /// Whether so many run that the next message has to wait until one has ended.
    pub(super) fn is_full(&self) -> bool {
        self.running.len() >= AT_ONCE
    }
    /// How many messages it is being told of.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }
    /// Runs it for a message, with `text` on its standard input, and some times more if it fails.
    pub(super) fn run(&mut self, id: TransactionId, entry: &Entry, text: Option<String>) {
        let Some((program, arguments)) = self.command.split_first() else { return };
        let (program, arguments) = (program.clone(), arguments.to_vec());
        let (environment, facts, terminal) = (self.environment.clone(), facts(entry), self.terminal.clone());
        let text = text.unwrap_or_default();
        self.running.spawn(async move {
            let mut pauses = PAUSES.iter();
            loop {
                let mut command = Command::new(&program);
                command.args(&arguments).envs(environment.iter().cloned()).envs(facts.iter().cloned());
                // What it says goes where talk goes: standard output is data.
                command.stdin(Stdio::piped()).stdout(Stdio::from(std::io::stderr())).kill_on_drop(true);
                let Err(reason) = finish(command, &text).await else { return Told { id, well: true } };
                let Some(pause) = pauses.next() else {
                    let times = PAUSES.len().saturating_add(1);
                    terminal.warn(format_args!(
                        "notify: {program}: {reason}; tried {times} times, given up for {id}"
                    ));
                    return Told { id, well: false };
                };
                terminal.warn(format_args!("notify: {program}: {reason}; again in {} s", pause.as_secs()));
                tokio::time::sleep(*pause).await;
            }
        });
    }
    /// Waits until it has been told of a message; nothing if it is being told of none.
    pub(super) async fn ended(&mut self) -> Option<Told> {
        loop {
            if let Ok(told) = self.running.join_next().await? {
                return Some(told);
            }
        }
    }
}

async fn finish(mut command: Command, text: &str) -> Result<(), String> {
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let stdin = child.stdin.take();
    let ended = tokio::time::timeout(LONGEST, async {
        if let Some(mut stdin) = stdin {
            // A program that does not read is fine.
            let _unread = stdin.write_all(text.as_bytes()).await;
        }
        child.wait().await
    });
    match ended.await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(status.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it ran longer than {} s and was stopped", LONGEST.as_secs())),
    }
}

fn facts(entry: &Entry) -> [(&'static str, String); 8] {
    [
        ("SEALPOST_MESSAGE", entry.id.clone()),
        ("SEALPOST_FROM", entry.from.clone().unwrap_or_default()),
        ("SEALPOST_CONTACT", entry.contact.clone().unwrap_or_default()),
        ("SEALPOST_HEIGHT", entry.height.to_string()),
        ("SEALPOST_TIME", entry.time.clone()),
        ("SEALPOST_BYTES", entry.body_bytes.to_string()),
        ("SEALPOST_SLOT", entry.slot.to_string()),
        ("SEALPOST_RECEIPTS", u8::from(entry.only_receipts).to_string()),
    ]
}
