//! `send-many`: a list of messages. All of it is checked before anything is sent; what is signed is in the outbox
//! before it leaves; and the same list, given again, goes on where it stopped.

pub(super) mod list;

use super::progress::{CountWatch, PostageWatch};
use super::send::Wait;
use super::{Session, own_keys, runtime};
use crate::failure::{failure, with_help};
use crate::wallet::{BulkList, BulkResult, BulkRun, BulkState, Repeat, Wallet};
use clap::Args;
use list::Entry;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure, counted, grouped, style};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sealpost send-many notices.jsonl
  sealpost send-many notices.csv --sealed --wait accepted

A list is a JSON object a line, or, if its name ends in .csv, a table whose first line names the fields:
  {\"to\":[\"bob\",\"@residents\"],\"subject\":\"Lift\",\"text\":\"out of service\"}
  to        contacts, groups or addresses: a text or a list of texts; in a table separated by spaces
  subject   may be left out
  text      or file: a file with the text, sought from the list's folder
  reply_to  the whole id of the message that this one answers
  sealed    true hides who writes to whom

Everything is checked before anything is sent. Given again, the same list goes on where it stopped, and what was
sent is not sent twice; a list in which anything was changed is another one.")]
pub(super) struct SendManyArgs {
    /// File with the messages
    #[arg(value_name = "LIST")]
    list: PathBuf,
    /// Hide who writes to whom, in all of them
    #[arg(long)]
    sealed: bool,
    /// How long to wait
    #[arg(long, value_enum, default_value = "final")]
    wait: Wait,
    /// Send a list once more of which everything is on the ledger; one that was interrupted goes on first
    #[arg(long)]
    again: bool,
    /// Check the list, and send nothing
    #[arg(long)]
    dry_run: bool,
}

/// What became of one message.
#[derive(serde::Serialize)]
struct Outcome {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// `final`, `accepted` or `failed`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<BlockHeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Default, serde::Serialize)]
struct Summary {
    list: String,
    messages: usize,
    /// Final before this run.
    before: usize,
    /// Final now.
    #[serde(rename = "final")]
    done: usize,
    accepted: usize,
    failed: usize,
    /// Not come to in this run.
    left: usize,
    /// In the order of the list.
    results: Vec<Outcome>,
    #[serde(skip)]
    first: Option<Failure>,
}

pub(super) fn send_many(args: &SendManyArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let entries = list::read(&args.list, &wallet, args.sealed)?;
    let (lines, drafts): (Vec<_>, Vec<_>) =
        entries.into_iter().map(|Entry { line, draft }| (line, draft)).unzip();
    let list = BulkList::new(drafts);
    let repeat = if args.again { Repeat::Again } else { Repeat::Never };
    let run = wallet.take_list(&list, repeat).map_err(failure)?;
    let (messages, before) = (lines.len(), run.signed_before());
    let mut summary = Summary { list: list.id().to_string(), messages, left: messages, ..Summary::default() };
    session.terminal.say(format_args!("List     {}", counted(messages as u64, "message")));
    if before > 0 {
        session.terminal.note(format_args!(
            "{} of them were signed before; it goes on with the rest.",
            grouped(before as u64)
        ));
    }
    if args.dry_run {
        session.terminal.note("Nothing was sent (--dry-run).");
        session.terminal.emit("sealpost/send-many/1", &summary);
        return Ok(());
    }
    let told = Mutex::new(&mut summary);
    let ended = runtime()?.block_on(deliver(args, session, &mut wallet, &run, &|result| {
        told.lock().unwrap_or_else(PoisonError::into_inner).hear(&lines, result)
    }));
    summary.results.sort_by_key(|outcome| outcome.line);
    summary.print(session);
    session.terminal.emit("sealpost/send-many/1", &summary);
    summary.conclude(ended)
}

async fn deliver(
    args: &SendManyArgs,
    session: &Session<'_>,
    wallet: &mut Wallet,
    run: &BulkRun<'_>,
    heard: &(dyn Fn(BulkResult) -> (usize, usize) + Sync),
) -> Result<(), Failure> {
    let light = session.light_for_keys(wallet.profile()).await?;
    own_keys::look(session, wallet, &light).await?;
    let watch = CountWatch::new(session.terminal);
    let postage = PostageWatch::without_bar();
    let postage = |tried, work| postage.hear(tried, work);
    let heard = |result| {
        let (count, of) = heard(result);
        watch.hear(count, of);
    };
    tokio::select! {
        sent = wallet.send_list(&light, run, args.wait.into(), &postage, &heard) => sent.map_err(failure),
        _ = tokio::signal::ctrl_c() => {
            let message = "stopped before all messages were on their way";
            Err(Failure::new(Exit::Interrupted, "outbox.interrupted", message))
        }
    }
}

impl Summary {
    /// Takes a result down; returns how many there are, and of how many.
    fn hear(&mut self, lines: &[u64], result: BulkResult) -> (usize, usize) {
        let line = usize::try_from(result.number).ok().and_then(|number| lines.get(number)).copied();
        let (line, id) = (line.unwrap_or_default(), result.id.map(|id| id.to_string()));
        let mut outcome = Outcome { line, id, status: "final", height: None, code: None, error: None };
        let count = match result.state {
            Ok(BulkState::Before(height)) => {
                outcome.height = Some(height);
                &mut self.before
            }
            Ok(BulkState::Final(height)) => {
                outcome.height = Some(height);
                &mut self.done
            }
            Ok(BulkState::Accepted) => {
                outcome.status = "accepted";
                &mut self.accepted
            }
            Err(error) => {
                let failure = failure(error);
                outcome.status = "failed";
                (outcome.code, outcome.error) =
                    (Some(failure.code.to_string()), Some(failure.message.clone()));
                self.first.get_or_insert(failure);
                &mut self.failed
            }
        };
        *count = count.saturating_add(1);
        self.left = self.left.saturating_sub(1);
        self.results.push(outcome);
        (self.results.len(), self.messages)
    }
    fn print(&self, session: &Session<'_>) {
        let terminal = session.terminal;
        for outcome in self.results.iter().filter(|outcome| outcome.status == "failed") {
            let (line, error) = (outcome.line, outcome.error.as_deref().unwrap_or_default());
            terminal.say(style::not_held(format_args!("line {line}: {error}")));
        }
        let counts = [
            (self.done, "final, proven here"),
            (self.before, "final before"),
            (self.accepted, "accepted by the node; the outbox keeps them until they are final"),
            (self.failed, "not sent, or kept in the outbox until a block has them: see above"),
            (self.left, "not come to"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            terminal.say(format_args!("{:>8} {what}", grouped(count as u64)));
        }
    }
    /// How the command ends: well, if nothing failed and nothing is left.
    fn conclude(self, ended: Result<(), Failure>) -> Result<(), Failure> {
        const AGAIN: &str = "give the same list again: it goes on where it stopped, and sends nothing twice";
        ended.map_err(|failure| with_help(failure, AGAIN))?;
        let Some(first) = self.first else { return Ok(()) };
        let (failed, all) = (grouped(self.failed as u64), counted(self.messages as u64, "message"));
        let message = format!("{failed} of {all} failed; the first: {}", first.message);
        Err(Failure::new(first.exit, first.code, message).help(AGAIN))
    }
}
