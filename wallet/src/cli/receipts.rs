//! `receipt give` for many messages and `receipt list`. Nothing is answered before the person has seen what, and
//! one message that can't be answered stops none of the others.

use super::progress::{PostageWatch, ScanWatch};
use super::read::words;
use super::{Session, runtime};
use crate::contacts::Contacts;
use crate::failure;
use crate::light::Light;
use crate::wallet::{ALREADY_ANSWERED, Demand, SealedReceipt, Unanswered, Wallet, WalletError};
use clap::Args;
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure, clock, counted, printable, rfc3339, short, short_address, style};

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sealpost receipt give 5d0c1f2e
  sealpost receipt give --all          lists what has no answer, asks, and answers it
  sealpost receipt give --all --yes    without asking
A letter's files and long texts that came in parts are fetched and verified first; without them it gets no receipt.
A receipt shows that your key signed after decrypting; not that anybody read or understood it. It can't be taken back.")]
pub(super) struct GiveArgs {
    /// The messages: their ids, or how they begin
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID")]
    pub(super) ids: Vec<String>,
    /// Every message that can be opened here and has no answer; they are listed first
    #[arg(long)]
    all: bool,
    /// With --all: answer at most so many, the newest first; the next run goes on with the others
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Answer also for letters whose parts can't be had: for the letter alone, though its receipt does not say so
    #[arg(long)]
    without_parts: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ListArgs {
    /// Only those given by this wallet
    #[arg(long, conflicts_with = "got")]
    given: bool,
    /// Only those that others gave for messages of this wallet
    #[arg(long)]
    got: bool,
    /// Show at most so many given, and those for so many messages sent, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// What became of one message.
#[derive(serde::Serialize)]
struct Outcome {
    message: String,
    /// `opened`, `already_answered` or `failed`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<BlockHeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(serde::Serialize, Default)]
struct Given {
    answers: Vec<Outcome>,
    /// Messages that were to be answered and were not tried: the node went away, or somebody stopped it.
    left: usize,
    /// Whether older messages without an answer were left for another run.
    more: bool,
}

impl GiveArgs {
    /// What must be here of a letter.
    pub(super) fn demand(&self, session: &Session<'_>) -> Demand {
        match self.without_parts {
            true => Demand::LetterAlone,
            false => Demand::Whole { limit: session.settings.attachment_bytes },
        }
    }
}

pub(super) fn give(args: &GiveArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let mut given = Given::default();
        let mut first = None;
        let ready = match args.all {
            true => all(args, session, &wallet, &light, &mut given, &mut first).await?,
            false => named(args, session, &wallet, &light, &mut given, &mut first).await?,
        };
        let watch = PostageWatch::new(session.terminal);
        let progress = |tried, work| watch.hear(tried, work);
        let mut rest = ready.iter();
        for unanswered in rest.by_ref() {
            let id = unanswered.message.id();
            let sent = wallet.give_receipt(&light, unanswered, &progress).await.map_err(failure);
            let stops = sent.as_ref().is_err_and(stops_all);
            match sent {
                Ok(sent) => {
                    let height = sent.place.map(|place| place.header.height);
                    let receipt = Some(sent.id.to_string());
                    let done = Outcome { outcome: "opened", receipt, height, ..Outcome::failed(id) };
                    given.tell(session, done);
                }
                Err(failure) => given.tell_failure(session, id, failure, &mut first),
            }
            if stops {
                break;
            }
        }
        given.left = rest.len();
        session.terminal.emit("sealpost/receipt-give/1", &given);
        conclude(&given, first)
    })
}

/// Opens the messages that were named.
async fn named(
    args: &GiveArgs,
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
    given: &mut Given,
    first: &mut Option<Failure>,
) -> Result<Vec<Unanswered>, Failure> {
    let mut ready: Vec<Unanswered> = Vec::new();
    let mut ids: Vec<TransactionId> = Vec::new();
    for text in &args.ids {
        // A mistyped id is a mistake of the whole command: nothing is done yet.
        let id = wallet.resolve(light, text).await.map_err(failure)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    for id in ids {
        match wallet.to_answer(light, &id, args.demand(session)).await.map_err(failure) {
            Ok(unanswered) => ready.push(unanswered),
            Err(failure) if stops_all(&failure) => return Err(failure),
            Err(failure) => given.tell_failure(session, id, failure, first),
        }
    }
    Ok(ready)
}

/// Opens what has no answer, lists it and asks.
async fn all(
    args: &GiveArgs,
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
    given: &mut Given,
    first: &mut Option<Failure>,
) -> Result<Vec<Unanswered>, Failure> {
    let terminal = session.terminal;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let watch = ScanWatch::new(terminal);
    let demand = args.demand(session);
    let waiting =
        wallet.unanswered(light, demand, limit, &|count| watch.hear(count)).await.map_err(failure)?;
    drop(watch);
    given.more = waiting.more;
    for (id, error) in waiting.unopened {
        match error {
            error @ (WalletError::Incomplete { .. } | WalletError::Outbox(_)) => {
                given.tell_failure(session, id, failure(error), first)
            }
            error => terminal
                .warn(format_args!("{} can't be opened here, so it gets no receipt: {error}", short(id))),
        }
    }
    if waiting.ready.is_empty() {
        terminal.note("every message that can be opened here as a whole has its answer");
        return Ok(Vec::new());
    }
    let contacts = wallet.profile().contacts().map_err(failure)?;
    for Unanswered { message, author, letter, .. } in &waiting.ready {
        let from = who(&contacts, wallet, author);
        let subject: String = printable(&letter.subject).chars().take(60).collect();
        terminal.say(format_args!(
            "{}  {}  from {from}  {subject}",
            short(message.id()),
            clock(message.header.time_ms)
        ));
    }
    let count = counted(waiting.ready.len() as u64, "message");
    if waiting.more {
        terminal.note("There are older ones without an answer; the next run shows them.");
    }
    let sealed = waiting.ready.iter().filter(|unanswered| unanswered.sealed).count() as u64;
    let place = match sealed {
        0 => "on the ledger".to_owned(),
        sealed => format!("on the ledger, and for {} to the author alone", counted(sealed, "sealed one")),
    };
    let question = format!("Sign that you opened {count}, {place}? It can't be taken back.");
    if !terminal.confirm(&question)? {
        return Err(Failure::locked("confirm.no", "nothing was answered"));
    }
    Ok(waiting.ready)
}

/// What concerns one message stops none of the others; these concern all of them.
fn stops_all(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Unavailable | Exit::Interrupted | Exit::Untrusted | Exit::Bug)
        && !failure.code.starts_with("open.")
}

fn conclude(given: &Given, first: Option<Failure>) -> Result<(), Failure> {
    let Some(first) = first else { return Ok(()) };
    let failed = given.answers.iter().filter(|outcome| outcome.outcome == "failed").count();
    if given.answers.len() == 1 && given.left == 0 {
        return Err(first);
    }
    let left = match given.left {
        0 => String::new(),
        left => format!(", {left} more were not tried"),
    };
    let all = given.answers.len();
    let message = format!("{failed} of {all} were not answered{left}; the first: {}", first.message);
    let again = "run it again: what is answered is not answered twice";
    let help = first.help.map_or_else(|| again.to_owned(), |help| format!("{help}; {again}"));
    Err(Failure::new(first.exit, first.code, message).help(help))
}

impl Outcome {
    fn failed(id: TransactionId) -> Self {
        let message = id.to_string();
        Self { message, outcome: "failed", receipt: None, height: None, code: None, error: None }
    }
}

impl Given {
    fn tell(&mut self, session: &Session<'_>, outcome: Outcome) {
        let place = outcome.height.map_or("accepted".into(), |height| format!("final in block {height}"));
        let receipt = outcome.receipt.as_ref().map(short).unwrap_or_default();
        let id = short(&outcome.message);
        session.terminal.say(style::held(format_args!("opened   {id}: receipt {receipt} is {place}")));
        self.answers.push(outcome);
    }
    fn tell_failure(
        &mut self,
        session: &Session<'_>,
        id: TransactionId,
        failure: Failure,
        first: &mut Option<Failure>,
    ) {
        let mut outcome = Outcome::failed(id);
        if failure.code == ALREADY_ANSWERED {
            outcome.outcome = "already_answered";
            session.terminal.say(format_args!("· before   {}: it was answered before", short(id)));
        } else {
            outcome.code = Some(failure.code.to_string());
            outcome.error = Some(failure.message.clone());
            session.terminal.say(style::not_held(format_args!(
                "failed   {}: {}",
                short(id),
                failure.message
            )));
            first.get_or_insert(failure);
        }
        self.answers.push(outcome);
    }
}

#[derive(serde::Serialize)]
struct Entry {
    message: String,
    receipt: String,
    address: Option<String>,
    contact: Option<String>,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Nothing for a sealed one that no block is known to contain.
    height: Option<BlockHeight>,
    /// Of the block; of a sealed one that was given, when it was signed, and of one that came nothing.
    time: Option<String>,
    sealed: bool,
}

#[derive(serde::Serialize, Default)]
struct Listed {
    given: Vec<Entry>,
    got: Vec<Entry>,
}

pub(super) fn list(args: &ListArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let listed = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let mut listed = Listed::default();
        if !args.got {
            listed.given = given(&wallet, &light, &contacts, limit).await?;
            let sealed = wallet.sealed_receipts_given().map_err(failure)?;
            let sealed = sealed.iter().map(|one| sealed_entry(&wallet, &contacts, one)).collect();
            listed.given = newest(listed.given, sealed, limit);
        }
        if !args.given {
            listed.got = got(&wallet, &light, &contacts, limit).await?;
            let sealed = wallet.sealed_receipts_got().map_err(failure)?;
            let sealed = sealed.iter().map(|one| sealed_entry(&wallet, &contacts, one)).collect();
            listed.got = newest(listed.got, sealed, limit);
        }
        Ok::<_, Failure>(listed)
    })?;
    let terminal = session.terminal;
    for (word, direction, entries) in [("given", "to", &listed.given), ("got", "from", &listed.got)] {
        for entry in entries {
            let short_form = entry.address.as_ref().map_or("(unknown)".into(), short_address);
            let name =
                entry.contact.clone().map_or(short_form.clone(), |name| format!("{name} ({short_form})"));
            let why = entry.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let place =
                entry.height.map_or("not known to be final".into(), |height| format!("block {height}"));
            let time = entry.time.as_ref().map(|time| format!(", {time}")).unwrap_or_default();
            let sealed = if entry.sealed { "  sealed" } else { "" };
            terminal.say(format_args!(
                "{word:<6} {:<8} {}  {direction} {name}{why}  {place}{time}{sealed}",
                entry.answer,
                short(&entry.message),
            ));
        }
    }
    if listed.given.is_empty() && listed.got.is_empty() {
        terminal.note("no answers yet; those to sealed messages are found by `sealpost inbox`");
    }
    terminal.emit("sealpost/receipt-list/1", &listed);
    Ok(())
}

async fn given(
    wallet: &Wallet,
    light: &Light,
    contacts: &Contacts,
    limit: usize,
) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for found in wallet.receipts_given(light, limit).await.map_err(failure)? {
        let answered = light.transaction(&found.message).await.map_err(failure)?;
        let sender = answered.map(|message| message.transaction.sender());
        let (answer, reason) = words(&found.answer);
        entries.push(Entry {
            message: found.message.to_string(),
            receipt: found.receipt.id().to_string(),
            address: sender.map(|address| address.to_text(wallet.genesis().prefix())),
            contact: sender.and_then(|address| contacts.name_of(&address).map(Into::into)),
            answer,
            reason,
            height: Some(found.receipt.header.height),
            time: Some(rfc3339(found.receipt.header.time_ms)),
            sealed: false,
        });
    }
    Ok(entries)
}

async fn got(
    wallet: &Wallet,
    light: &Light,
    contacts: &Contacts,
    limit: usize,
) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for id in wallet.sent(light, limit).await.map_err(failure)? {
        let found = match wallet.receipts_got(light, &id).await.map_err(failure) {
            // It waits in the outbox.
            Err(error) if error.code == "tx.unknown" => continue,
            found => found?,
        };
        entries.extend(found.into_iter().map(|got| Entry {
            message: got.message.to_string(),
            receipt: got.receipt.to_string(),
            address: Some(got.by.to_text(wallet.genesis().prefix())),
            contact: contacts.name_of(&got.by).map(Into::into),
            answer: if got.refused.is_some() { "refused" } else { "opened" },
            reason: got.refused.map(|reason| reason.code()),
            height: Some(got.place.height),
            time: Some(rfc3339(got.place.time_ms)),
            sealed: false,
        }));
    }
    Ok(entries)
}

/// Of both kinds the newest, `limit` at most; those that no block is known to contain come first.
fn newest(mut open: Vec<Entry>, sealed: Vec<Entry>, limit: usize) -> Vec<Entry> {
    open.extend(sealed);
    open.sort_by_key(|entry| std::cmp::Reverse(entry.height.map_or(u64::MAX, BlockHeight::get)));
    open.truncate(limit);
    open
}

fn sealed_entry(wallet: &Wallet, contacts: &Contacts, sealed: &SealedReceipt) -> Entry {
    let (answer, reason) = words(&sealed.receipt.answer);
    Entry {
        message: sealed.receipt.message.to_string(),
        receipt: sealed.reply.to_string(),
        address: Some(sealed.with.to_text(wallet.genesis().prefix())),
        contact: contacts.name_of(&sealed.with).map(Into::into),
        answer,
        reason,
        height: sealed.height,
        time: sealed.signed_ms.map(rfc3339),
        sealed: true,
    }
}

fn who(contacts: &Contacts, wallet: &Wallet, address: &Address) -> String {
    let shown = short_address(address.to_text(wallet.genesis().prefix()));
    contacts.name_of(address).map_or(shown.clone(), |name| format!("{name} ({shown})"))
}
