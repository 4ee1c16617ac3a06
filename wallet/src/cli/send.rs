//! `send`. What was typed is kept, encrypted, before anything else is done with it: whatever happens then, it is
//! a draft, or in the outbox.

pub(super) mod reply;

use super::progress::{PostageWatch, TransferWatch};
use super::sealed::SealedArgs;
use super::signals::unless_stopped;
use super::{Session, own_keys, runtime};
use crate::drafts::{Attached, DraftId, Kept, PackError, Typed, measure};
use crate::envelope::Letter;
use crate::failure::{failure, with_help};
use crate::light::Light;
use crate::parcel::MAX_TEXT_BYTES;
use crate::wallet::{Draft, ParcelProgress, ParcelQuote, Prepared, Sent, Wallet, least_days};
use clap::{Args, ValueEnum};
use sealpost_api::WaitFor;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Mode;
use sealpost_terminal::{Exit, Failure, Terminal, bytes, counted, grouped, rfc3339, short_address, style};
use std::cell::Cell;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// Bytes below which nobody sees how files are read: a fraction of a second.
const WORTH_SHOWING: u64 = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Wait {
    /// The node has it
    Accepted,
    /// It is in a final block, and this wallet has verified that
    Final,
}

impl From<Wait> for WaitFor {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Accepted => Self::Accepted,
            Wait::Final => Self::Final,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sealpost send bob -m \"The lift is out of service\"
  sealpost send bob carol -s Lift -f notice.txt --attach plan.pdf
  sealpost send @residents -f notice.txt
  echo \"The lift is out of service\" | sealpost send bob
  sealpost send bob --sealed --delay 10m -m \"Meet me at noon\"
  sealpost send --draft 5d0c

What was typed is kept as a draft until the signed message is in the outbox. Files and texts that are too long
for one message go ahead in parts; after a crash `sealpost outbox` goes on with them.")]
pub(super) struct SendArgs {
    /// Whom to: contacts, groups (NAME or @NAME) or addresses
    #[arg(required_unless_present = "draft", value_name = "TO")]
    to: Vec<String>,
    /// Send what was written before: a draft's id, or how it begins
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["to", "message", "file", "subject", "attach", "reply_to"]
    )]
    draft: Option<String>,
    /// The text, if it is short: it stands in the shell's history
    #[arg(short, long, value_name = "TEXT", conflicts_with = "file")]
    message: Option<String>,
    /// File with the text; `-` or nothing reads standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Subject
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    subject: String,
    /// File to attach; may be repeated
    #[arg(short, long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Most bytes of text and files together; without it the setting `attachment_bytes`
    #[arg(long, value_name = "BYTES")]
    attachment_limit: Option<u64>,
    /// Message that this one answers
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    #[command(flatten)]
    sealed: SealedArgs,
    /// How long to wait
    #[arg(long, value_enum, default_value = "final")]
    wait: Wait,
    /// Encrypt, pay and sign, but send nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(serde::Serialize)]
struct Recipient {
    name: Option<String>,
    address: String,
    bundle: u64,
    proven_at: BlockHeight,
    valid_until: BlockHeight,
    #[serde(skip)]
    ml_kem_broken: bool,
}

#[derive(serde::Serialize)]
pub(super) struct Answer {
    id: String,
    status: &'static str,
    to: Vec<Recipient>,
    mode: &'static str,
    suite: u8,
    bytes: usize,
    body_bytes: usize,
    work: u64,
    /// Last height whose block may contain it.
    expiry: BlockHeight,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<Parts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<BlockHeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

#[derive(serde::Serialize)]
pub(super) struct Parts {
    count: u32,
    bytes: u64,
    work: u64,
}

impl From<ParcelQuote> for Parts {
    fn from(ParcelQuote { parts, bytes, work }: ParcelQuote) -> Self {
        Self { count: parts, bytes, work }
    }
}

pub(super) fn send(args: &SendArgs, session: &Session<'_>) -> Result<(), Failure> {
    send_from(args, session, &mut session.wallet()?)
}

/// Sends from a wallet that is open already.
fn send_from(args: &SendArgs, session: &Session<'_>, wallet: &mut Wallet) -> Result<(), Failure> {
    let limit = args.attachment_limit.unwrap_or(session.settings.attachment_bytes);
    let mut draft = match &args.draft {
        Some(text) => taken_up(args, wallet, text)?,
        None => wallet.keep_draft(typed(args, session, wallet, limit)?).map_err(failure)?,
    };
    let id = draft.id;
    let sent = pack(session, wallet, &mut draft, limit).and_then(|()| {
        let work = deliver(args, session, wallet, draft);
        runtime()?.block_on(unless_stopped(work, "stopped before it was sent"))
    });
    sent.map_err(|failure| match failure.exit {
        Exit::Interrupted => stopped(failure, wallet, id),
        _ => kept_as_draft(failure, wallet, id),
    })
}

/// A draft that was kept before. What it is asked to hide is hidden, whatever it was kept as.
fn taken_up(args: &SendArgs, wallet: &Wallet, text: &str) -> Result<Kept, Failure> {
    let mut draft = wallet.take_draft(text).map_err(failure)?;
    if args.sealed.mode() == Mode::Sealed {
        wallet.seal_draft(&mut draft).map_err(failure)?;
    }
    if !args.dry_run {
        wallet.resume_draft(&draft).map_err(failure)?;
    }
    Ok(draft)
}

/// What was typed. What can be wrong with it is found before the text is read: nobody types for nothing.
fn typed(args: &SendArgs, session: &Session<'_>, wallet: &Wallet, limit: u64) -> Result<Typed, Failure> {
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let to = contacts.expand(&args.to).map_err(failure)?;
    wallet.check_recipients(to.len()).map_err(failure)?;
    let files = args.attach.iter().map(|path| attached(path)).collect::<Result<Vec<_>, _>>()?;
    let together = |text: u64| {
        let length = files.iter().map(|file| file.length).fold(text, u64::saturating_add);
        if length > limit { Err(failure(PackError::TooLong { length, limit })) } else { Ok(()) }
    };
    together(0)?;
    let text = text(args, session.terminal)?;
    check_not_empty(&args.subject, &text, files.len()).map_err(|failure| {
        failure.help("write it with -m TEXT, name a file with -f FILE, or pipe it into standard input")
    })?;
    together(text.len() as u64)?;
    let mut typed = Typed::new(to, args.subject.clone(), text);
    (typed.reply_to, typed.files, typed.mode) = (args.reply_to.clone(), files, args.sealed.mode());
    Ok(typed)
}

pub(super) fn check_not_empty(subject: &str, text: &str, files: usize) -> Result<(), Failure> {
    if text.trim().is_empty() && subject.trim().is_empty() && files == 0 {
        return Err(Failure::new(Exit::Usage, "message.empty", "nothing to send: the message is empty"));
    }
    Ok(())
}

/// Takes the files in.
fn pack(session: &Session<'_>, wallet: &Wallet, draft: &mut Kept, limit: u64) -> Result<(), Failure> {
    let total: u64 = draft.letter.files.iter().map(|file| file.length).sum();
    let (watch, read) = (TransferWatch::new(session.terminal, "reading"), Cell::new(0_u64));
    let heard = |bytes| {
        read.set(read.get().saturating_add(bytes));
        if total > WORTH_SHOWING {
            watch.hear(read.get(), total, "");
        }
    };
    wallet.pack_draft(draft, limit, &heard).map_err(failure)
}

async fn deliver(
    args: &SendArgs,
    session: &Session<'_>,
    wallet: &mut Wallet,
    draft: Kept,
) -> Result<(), Failure> {
    if let Some(pause) = args.sealed.pause()?.filter(|_| !args.dry_run) {
        let id = draft.id.to_string();
        let id = id.get(..8).unwrap_or_default();
        session.terminal.note(format_args!("kept as draft {id}; it goes in {} s", pause.as_secs()));
        tokio::time::sleep(pause).await;
    }
    let light = session.light_for_keys(wallet.profile()).await?;
    own_keys::look(session, wallet, &light).await?;
    let quote = wallet.quote_parcel(&light, &draft).await.map_err(failure)?;
    if let Some(quote) = &quote {
        print_quote(session, quote);
    }
    let letter = if args.dry_run {
        of_right_size(&draft, quote.as_ref())?
    } else {
        send_parts(session, wallet, &light, &draft).await?
    };
    let message = draft.message(letter);
    let watch = PostageWatch::new(session.terminal);
    let progress = |tried, work| watch.hear(tried, work);
    let prepared = wallet.prepare_message(&light, &message, &progress).await.map_err(failure);
    let (mut prepared, salt) = prepared?;
    drop(watch);
    prepared.is_draft(&draft, &message);
    let mut answer = describe(wallet, &message, &prepared)?;
    answer.parts = quote.map(Parts::from);
    print_sealed(session, &answer, wallet.genesis());
    if args.dry_run {
        if args.draft.is_none() {
            wallet.discard_draft(draft).map_err(failure)?;
        }
        session.terminal.note("Nothing was sent (--dry-run).");
    } else {
        let sent = wallet
            .send_message(&light, &prepared, &message, salt, args.wait.into())
            .await
            .map_err(failure)?;
        answer.was_sent(&sent);
        print_sent(session, &answer, sent.id);
    }
    session.terminal.emit("sealpost/send/1", &answer);
    Ok(())
}

/// Sends the parts of a draft, if it has any. Ctrl-C leaves the rest for later.
pub(super) async fn send_parts(
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
    draft: &Kept,
) -> Result<Letter, Failure> {
    let transfer = TransferWatch::new(session.terminal, "sending");
    let postage = PostageWatch::without_bar();
    let progress = |tried, work| postage.hear(tried, work);
    let heard = |now: &ParcelProgress| {
        let state = now.waiting.clone().unwrap_or_else(|| format!("{} of {} parts final", now.parts, now.of));
        transfer.hear(now.bytes, now.of_bytes, &state);
    };
    tokio::select! {
        letter = wallet.send_parts(light, draft, &progress, &heard) => letter.map_err(failure),
        _ = tokio::signal::ctrl_c() => {
            let message = "stopped before all parts were on the ledger";
            Err(Failure::new(Exit::Interrupted, "parcel.interrupted", message))
        }
    }
}

/// The letter of a draft of which no part is signed: as long as it will be.
pub(super) fn of_right_size(draft: &Kept, quote: Option<&ParcelQuote>) -> Result<Letter, Failure> {
    let parts = quote.map_or(0, |quote| usize::try_from(quote.parts).unwrap_or(usize::MAX));
    let letter = draft.letter.to_letter(&vec![TransactionId::from_bytes([0; 32]); parts]);
    letter.ok_or_else(|| Failure::bug("a draft without its files"))
}

/// Whatever went wrong: what was typed is there.
pub(super) fn kept_as_draft(failure: Failure, wallet: &Wallet, id: DraftId) -> Failure {
    if !wallet.keeps_draft(id) {
        return failure;
    }
    let id = id.to_string();
    let id = id.get(..8).unwrap_or_default();
    with_help(failure, &format!("what you wrote is kept as a draft: `sealpost send --draft {id}` sends it"))
}

/// What is left of a letter whose sending somebody stopped: its draft, or, if it is signed, its place in the outbox.
fn stopped(mut failure: Failure, wallet: &Wallet, id: DraftId) -> Failure {
    let Some(entry) = wallet.left_draft(id) else { return kept_as_draft(failure, wallet, id) };
    let (id, expiry) = (entry.id.to_string(), entry.expiry().unwrap_or_default());
    failure.message = format!("stopped before it was final; it is signed, and kept in the outbox as {id}");
    failure
        .help(format!(
            "`sealpost outbox` hands it in again, and a block up to {expiry} may contain it: a message that is sent \
             anew arrives twice"
        ))
        .with("id", id)
        .with("expiry", expiry.get())
}

fn print_quote(session: &Session<'_>, quote: &ParcelQuote) {
    let work = if quote.work > u64::from(quote.parts) {
        format!("      Postage  about {} expected hashes for all of them", grouped(quote.work))
    } else {
        String::new()
    };
    let (parts, size) = (grouped(quote.parts.into()), bytes(quote.bytes));
    session.terminal.say(format_args!("Parts    {parts}, {size} in all{work}"));
}

impl Answer {
    pub(super) fn was_sent(&mut self, sent: &Sent) {
        self.status = "accepted";
        if let Some(place) = &sent.place {
            self.status = "final";
            self.height = Some(place.header.height);
            self.time = Some(rfc3339(place.header.time_ms));
        }
    }
}

pub(super) fn describe(wallet: &Wallet, draft: &Draft, prepared: &Prepared) -> Result<Answer, Failure> {
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let prefix = wallet.genesis().prefix();
    let to = draft.to.iter().zip(&prepared.keys).map(|(address, keys)| Recipient {
        name: contacts.name_of(address).map(Into::into),
        address: address.to_text(prefix),
        bundle: keys.sequence,
        proven_at: keys.proven,
        valid_until: keys.valid_until,
        ml_kem_broken: keys.ml_kem_broken,
    });
    let body_bytes = prepared.body.as_ref().map_or(0, |body| body.as_bytes().len());
    Ok(Answer {
        id: prepared.transaction.id().to_string(),
        status: "prepared",
        to: to.collect(),
        mode: match draft.mode {
            Mode::Open => "open",
            Mode::Sealed => "sealed",
        },
        suite: prepared.suite.map_or(0, |suite| suite.number()),
        bytes: prepared.transaction.as_bytes().len().saturating_add(body_bytes),
        body_bytes,
        work: prepared.work,
        expiry: prepared.transaction.transaction().expiry,
        parts: None,
        height: None,
        time: None,
    })
}

fn print_sealed(session: &Session<'_>, answer: &Answer, genesis: &Genesis) {
    let terminal = session.terminal;
    for recipient in &answer.to {
        let name = recipient.name.as_deref().unwrap_or("(no contact)");
        let (address, bundle) = (short_address(&recipient.address), recipient.bundle);
        let (at, until) = (recipient.proven_at, recipient.valid_until);
        let days = counted(least_days(until.blocks_since(at), genesis), "day");
        let at = grouped(at.get());
        terminal.say(format_args!(
            "To       {name}  {address}  key bundle #{bundle}, proven at height {at}, valid for at least {days}"
        ));
    }
    for Recipient { name, address, bundle, .. } in answer.to.iter().filter(|to| to.ml_kem_broken) {
        warn_of_broken_key(terminal, &name.clone().unwrap_or_else(|| short_address(address)), *bundle);
    }
    if answer.mode == "sealed" {
        terminal.say("Sealed   nobody else sees who writes to whom; size class and time stay visible");
    }
    terminal.say(format_args!(
        "Size     {}, padded, in suite {}      Postage  {} expected hashes",
        bytes(answer.body_bytes as u64),
        answer.suite,
        grouped(answer.work)
    ));
    if answer.to.len() > 1 {
        terminal.say(format_args!(
            "Same     for all {} recipients: one body, one key and one content under one signature",
            answer.to.len()
        ));
    }
}

/// Says that a recipient's key weakens what is sent to them and to others with them.
pub(super) fn warn_of_broken_key(terminal: &Terminal, name: &str, bundle: u64) {
    terminal.warn(format_args!(
        "the ML-KEM key in key bundle #{bundle} of {name} is none, so the whole message is in suite 1: nothing in it \
         withstands quantum computers; `sealpost keys rotate` on their side mends it"
    ));
}

fn print_sent(session: &Session<'_>, answer: &Answer, id: TransactionId) {
    let terminal = session.terminal;
    match (answer.height, &answer.time) {
        (Some(height), Some(time)) => {
            terminal.say(style::held(format_args!("final in block {height}, {time}; proven here")));
        }
        _ => terminal.say(style::held(format_args!(
            "accepted by the node; the outbox keeps it until it is final (void if no block up to {} contains it)",
            answer.expiry
        ))),
    }
    terminal.say(format_args!("Message  {id}"));
    terminal.note(format_args!("Next     sealpost status {}", id.to_string().get(..8).unwrap_or_default()));
}

fn text(args: &SendArgs, terminal: &Terminal) -> Result<String, Failure> {
    let bytes = match (&args.message, &args.file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(path)) if path != Path::new("-") => {
            let file = std::fs::File::open(path);
            let file =
                file.map_err(|error| Failure::usage(format_args!("file: {}: {error}", path.display())))?;
            read_text(file, &format!("file: {}", path.display()))?
        }
        // An attachment alone needs no text.
        (None, None) if !args.attach.is_empty() => Vec::new(),
        _ => {
            if std::io::stdin().is_terminal() {
                terminal.note("Reading the text from standard input; Ctrl-D at the start of a line ends it.");
            }
            read_text(std::io::stdin(), "standard input")?
        }
    };
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage("the text is not UTF-8").help("send files of other kinds with --attach"))
}

fn read_text(input: impl Read, what: &str) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = input.take(MAX_TEXT_BYTES.saturating_add(1)).read_to_end(&mut text);
    read.map_err(|error| Failure::usage(format_args!("{what}: {error}")))?;
    if text.len() as u64 > MAX_TEXT_BYTES {
        let message =
            format!("{what}: a text has at most {} ({MAX_TEXT_BYTES} bytes)", bytes(MAX_TEXT_BYTES));
        return Err(Failure::new(Exit::Usage, "message.too_long", message)
            .help("send it as a file: --attach FILE, with a short text"));
    }
    Ok(text)
}

fn attached(path: &Path) -> Result<Attached, Failure> {
    let wrong =
        |reason: &dyn std::fmt::Display| Failure::usage(format_args!("attach: {}: {reason}", path.display()));
    let length = measure(path).map_err(failure)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| wrong(&"its name is not UTF-8"))?.to_owned();
    let path = std::path::absolute(path).map_err(|error| wrong(&error))?;
    let path = path.to_str().ok_or_else(|| wrong(&"its path is not UTF-8"))?.to_owned();
    Ok(Attached { name, path, length })
}
