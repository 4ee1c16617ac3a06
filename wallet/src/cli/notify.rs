//! The hook of `inbox --follow`: a program that runs for each new message. It gets the facts in environment
//! variables and never the text, unless that was asked for; no shell reads anything a sender wrote.

use super::inbox::Entry;
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

/// A program to run for each new message.
#[derive(Debug)]
pub(super) struct Hook {
    command: Vec<String>,
    terminal: Terminal,
    environment: Vec<(&'static str, String)>,
    running: JoinSet<()>,
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
    /// Runs it for a message, with `text` on its standard input. Waits while too many run.
    pub(super) async fn run(&mut self, entry: &Entry, text: Option<String>) {
        while self.running.len() >= AT_ONCE {
            self.running.join_next().await;
        }
        while self.running.try_join_next().is_some() {}
        let [program, arguments @ ..] = self.command.as_slice() else { return };
        let mut command = Command::new(program);
        command.args(arguments).envs(self.environment.iter().cloned()).envs(facts(entry));
        // What it says goes where talk goes: standard output is data.
        command.stdin(Stdio::piped()).stdout(Stdio::from(std::io::stderr())).kill_on_drop(true);
        let (terminal, program) = (self.terminal.clone(), program.clone());
        self.running.spawn(async move {
            if let Err(reason) = finish(command, text.unwrap_or_default()).await {
                terminal.warn(format_args!("notify: {program}: {reason}"));
            }
        });
    }
    /// Waits until the last has ended.
    pub(super) async fn finish(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

async fn finish(mut command: Command, text: String) -> Result<(), String> {
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
