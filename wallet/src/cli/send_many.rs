//! `send-many`: a list of messages. All of it is checked before anything is sent; what is signed is in the outbox
//! before it leaves; and the same list, given again, goes on where it stopped.

pub(super) mod list;

use super::progress::{CountWatch, PostageWatch};
use super::send::{Wait, warn_of_broken_key};
use super::{Session, own_keys, runtime};
use crate::failure::{failure, with_help};
use crate::wallet::{BulkList, BulkResult, BulkRun, BulkState, Changed, Repeat, Wallet};
use clap::Args;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure, counted, grouped, short_address, style};
use std::collections::BTreeSet;
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
sent is not sent twice; a list in which anything was changed is another one. An interrupted list whose lines are
the same, but not the contacts, groups or files that they name, is refused: it could reach somebody twice.")]
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
    /// Send all of a list though contacts, groups or files that it names have changed since it was interrupted; what was
    /// sent before may arrive twice
    #[arg(long)]
    changed: bool,
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
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
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
    /// Whether the same list, given again, does anything more for one that failed.
    #[serde(skip)]
    goes_on: bool,
}

pub(super) fn send_many(args: &SendManyArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let entries = list::read(&args.list, &wallet, args.sealed)?;
    let (mut lines, mut written, mut drafts) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        lines.push(entry.line);
        written.push(entry.written);
        drafts.push(entry.draft);
    }
    let list = BulkList::new(drafts).written(&written);
    let repeat = if args.again { Repeat::Again } else { Repeat::Never };
    let run = wallet.take_list(&list, repeat).map_err(failure)?;
    let messages = lines.len();
    let mut summary = Summary { list: list.id().to_string(), messages, left: messages, ..Summary::default() };
    session.terminal.say(format_args!("List     {}", counted(messages as u64, "message")));
    if args.dry_run {
        say_what_is_signed(session, &run);
        session.terminal.note("Nothing was sent (--dry-run).");
        session.terminal.emit("sealpost/send-many/1", &summary);
        return Ok(());
    }
    let told = Mutex::new(&mut summary);
    let ended = runtime()?.block_on(deliver(args, session, &mut wallet, run, &|result| {
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
    run: BulkRun<'_>,
    heard: &(dyn Fn(BulkResult) -> (usize, usize) + Sync),
) -> Result<(), Failure> {
    let light = session.light_for_keys(wallet.profile()).await?;
    own_keys::look(session, wallet, &light).await?;
    let changed = if args.changed { Changed::Send } else { Changed::Refuse };
    let run = wallet.settle_list(&light, run, changed).await.map_err(failure)?;
    say_what_is_signed(session, &run);
    let watch = CountWatch::new(session.terminal);
    let postage = PostageWatch::without_bar();
    let postage = |tried, work| postage.hear(tried, work);
    let heard = |result| {
        let (count, of) = heard(result);
        watch.hear(count, of);
    };
    let ended = tokio::select! {
        sent = wallet.send_list(&light, &run, args.wait.into(), &postage, &heard) => sent.map_err(failure),
        _ = tokio::signal::ctrl_c() => {
            let message = "stopped before all messages were on their way";
            Err(Failure::new(Exit::Interrupted, "outbox.interrupted", message))
        }
    };
    warn_of_broken_keys(session, wallet, &run)?;
    ended
}

fn say_what_is_signed(session: &Session<'_>, run: &BulkRun<'_>) {
    let before = run.signed_before();
    if before > 0 {
        session.terminal.note(format_args!(
            "{} of them were signed before; it goes on with the rest.",
            grouped(before as u64)
        ));
    }
}

fn warn_of_broken_keys(session: &Session<'_>, wallet: &Wallet, run: &BulkRun<'_>) -> Result<(), Failure> {
    let (contacts, prefix) = (wallet.profile().contacts().map_err(failure)?, wallet.genesis().prefix());
    for (address, bundle) in run.broken_keys() {
        let name = contacts.name_of(&address).map(str::to_owned);
        let name = name.unwrap_or_else(|| short_address(address.to_text(prefix)));
        warn_of_broken_key(session.terminal, &name, bundle);
    }
    Ok(())
}

impl Summary {
    /// Takes a result down; returns how many there are, and of how many.
    fn hear(&mut self, lines: &[u64], result: BulkResult) -> (usize, usize) {
        let line = usize::try_from(result.number).ok().and_then(|number| lines.get(number)).copied();
        let (line, id) = (line.unwrap_or_default(), result.id.map(|id| id.to_string()));
        let (status, height, code, error, help) = ("final", None, None, None, None);
        let mut outcome = Outcome { line, id, status, height, code, error, help };
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
                outcome.help = failure.help.clone();
                self.goes_on |= failure.code != "outbox.void";
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
        let mut said = BTreeSet::new();
        for outcome in self.results.iter().filter(|outcome| outcome.status == "failed") {
            let (line, error) = (outcome.line, outcome.error.as_deref().unwrap_or_default());
            terminal.say(style::not_held(format_args!("line {line}: {error}")));
            // Thousands may fail for one reason.
            if let Some(help) = outcome.help.as_deref().filter(|help| said.insert(*help)) {
                terminal.say(format_args!("    {help}"));
            }
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
        ended.map_err(|failure| match failure.exit {
            // Something is wrong with the list as it is.
            Exit::Usage => failure,
            _ => with_help(failure, AGAIN),
        })?;
        let Some(first) = self.first else { return Ok(()) };
        let (failed, all) = (grouped(self.failed as u64), counted(self.messages as u64, "message"));
        let message = format!("{failed} of {all} failed; the first: {}", first.message);
        let mut failed = Failure::new(first.exit, first.code, message);
        failed.help = first.help;
        Err(if self.goes_on { with_help(failed, AGAIN) } else { failed })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wallet::WalletError;
    use sealpost_ledger::hash::TransactionId;

    fn ended(errors: Vec<WalletError>) -> Failure {
        let mut summary = Summary { messages: errors.len(), left: errors.len(), ..Summary::default() };
        for (number, error) in (0..).zip(errors) {
            summary.hear(&[1, 2], BulkResult { number, id: None, state: Err(error) });
        }
        summary.conclude(Ok(())).unwrap_err()
    }

    #[test]
    fn a_void_message_of_a_list_comes_with_the_way_out_that_there_is() {
        let void =
            || WalletError::Void { id: TransactionId::from_bytes([7; 32]), expiry: BlockHeight::new(70) };
        let failure = ended(vec![void()]);
        let help = failure.help.unwrap();
        assert!(failure.code == "outbox.void" && help.contains("another list"), "{help}");
        assert!(!help.contains("same list again"), "{help}");
        // Of two, one of which goes on, both ways out are named.
        let both = ended(vec![void(), WalletError::NoKeys { address: "carol".into() }]).help.unwrap();
        assert!(both.contains("another list") && both.contains("same list again"), "{both}");
        let keys = ended(vec![WalletError::NoKeys { address: "carol".into() }]).help.unwrap();
        assert!(keys.contains("keys publish") && keys.contains("same list again"), "{keys}");
    }

    #[test]
    fn a_list_that_was_changed_is_not_to_be_given_again_as_it_is() {
        let changed = failure(WalletError::ListChanged { signed: 1, messages: 2 });
        let help = Summary::default().conclude(Err(changed)).unwrap_err().help.unwrap();
        assert!(help.contains("--changed") && !help.contains("sends nothing twice"), "{help}");
    }
}
