//! `send`.

use super::progress::PostageWatch;
use super::{Session, runtime};
use crate::contacts::Contacts;
use crate::envelope::{Attachment, Data, Letter};
use crate::failure;
use crate::wallet::{Draft, Prepared, Sent, Wallet};
use clap::{Args, ValueEnum};
use sealpost_api::WaitFor;
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure, Terminal, bytes, grouped, rfc3339, short_address, style};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// More than this is not read: no network takes it.
const MAX_INPUT_BYTES: u64 = 16 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wait {
    /// The node has it
    Accepted,
    /// It is in a final block, and this wallet has verified that
    Final,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sealpost send bob -m \"The lift is out of service\"
  sealpost send bob carol -s Lift -f notice.txt --attach plan.pdf
  echo \"The lift is out of service\" | sealpost send bob")]
pub(super) struct SendArgs {
    /// Whom to: contacts or addresses
    #[arg(required = true, value_name = "TO")]
    to: Vec<String>,
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
    /// Message that this one answers
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
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
}

#[derive(serde::Serialize)]
pub(super) struct Answer {
    id: String,
    status: &'static str,
    to: Vec<Recipient>,
    suite: u8,
    bytes: usize,
    body_bytes: usize,
    work: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<BlockHeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

pub(super) fn send(args: &SendArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let to = recipients(&contacts, &args.to)?;
    let mut letter = letter(args, session.terminal)?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await.map_err(nothing_kept)?;
        if let Some(text) = &args.reply_to {
            let id = wallet.resolve(&light, text).await.map_err(failure);
            letter.reply_to = Some(id.map_err(nothing_kept)?);
        }
        let draft = Draft { to, content: letter.into() };
        let watch = PostageWatch::new(session.terminal);
        let progress = |tried, work| watch.hear(tried, work);
        let prepared = wallet.prepare_message(&light, &draft, &progress).await.map_err(failure);
        let (prepared, salt) = prepared.map_err(nothing_kept)?;
        drop(watch);
        let mut answer = describe(&wallet, &draft, &prepared)?;
        print_sealed(session, &answer);
        if args.dry_run {
            session.terminal.note("Nothing was sent (--dry-run).");
        } else {
            let wait = match args.wait {
                Wait::Accepted => WaitFor::Accepted,
                Wait::Final => WaitFor::Final,
            };
            let sent = wallet.send_message(&light, &prepared, &draft, salt, wait).await.map_err(failure)?;
            answer.was_sent(&sent);
            print_sent(session, &answer, sent.id);
        }
        session.terminal.emit("sealpost/send/1", &answer);
        Ok(())
    })
}

/// Before a message is signed, the outbox has nothing of it.
fn nothing_kept(failure: Failure) -> Failure {
    match failure.code.as_ref() {
        "node.unreachable" => failure
            .help("is it running? give another one with --node URL; nothing was kept: send it again then"),
        _ => failure,
    }
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

/// Whom these names and addresses mean, each once.
pub(super) fn recipients(contacts: &Contacts, named: &[String]) -> Result<Vec<Address>, Failure> {
    let to = named.iter().map(|text| contacts.resolve(text).map_err(failure));
    let to: Vec<Address> = to.collect::<Result<_, _>>()?;
    for (at, address) in to.iter().enumerate() {
        if to.iter().take(at).any(|before| before == address) {
            let name = named.get(at).map(String::as_str).unwrap_or_default();
            let message = format!("{name} is named twice");
            return Err(Failure::new(Exit::Usage, "message.repeated_recipient", message));
        }
    }
    Ok(to)
}

pub(super) fn describe(wallet: &Wallet, draft: &Draft, prepared: &Prepared) -> Result<Answer, Failure> {
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let prefix = wallet.genesis().prefix();
    let to = draft.to.iter().zip(&prepared.bundles).map(|(address, bundle)| Recipient {
        name: contacts.name_of(address).map(Into::into),
        address: address.to_text(prefix),
        bundle: *bundle,
    });
    let body_bytes = prepared.body.as_ref().map_or(0, |body| body.as_bytes().len());
    Ok(Answer {
        id: prepared.transaction.id().to_string(),
        status: "prepared",
        to: to.collect(),
        suite: prepared.suite.map_or(0, |suite| suite.number()),
        bytes: prepared.transaction.to_bytes().len().saturating_add(body_bytes),
        body_bytes,
        work: prepared.work,
        height: None,
        time: None,
    })
}

fn print_sealed(session: &Session<'_>, answer: &Answer) {
    let terminal = session.terminal;
    for recipient in &answer.to {
        let name = recipient.name.as_deref().unwrap_or("(no contact)");
        let (address, bundle) = (short_address(&recipient.address), recipient.bundle);
        terminal.say(format_args!("To       {name}  {address}  key bundle #{bundle}, proven"));
    }
    terminal.say(format_args!(
        "Size     {}, padded, in suite {}      Postage  {} expected hashes",
        bytes(answer.body_bytes as u64),
        answer.suite,
        grouped(answer.work)
    ));
}

fn print_sent(session: &Session<'_>, answer: &Answer, id: TransactionId) {
    let terminal = session.terminal;
    match (answer.height, &answer.time) {
        (Some(height), Some(time)) => {
            terminal.say(style::held(format_args!("final in block {height}, {time}; proven here")));
        }
        _ => terminal.say(style::held("accepted by the node; the outbox keeps it until it is final")),
    }
    terminal.say(format_args!("Message  {id}"));
    terminal.note(format_args!("Next     sealpost status {}", id.to_string().get(..8).unwrap_or_default()));
}

fn letter(args: &SendArgs, terminal: &Terminal) -> Result<Letter, Failure> {
    let text = match (&args.message, &args.file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) if path != Path::new("-") => {
            let bytes = read_file("file", path)?;
            utf8(bytes)?
        }
        // An attachment alone needs no text.
        (None, None) if !args.attach.is_empty() => String::new(),
        _ => {
            if std::io::stdin().is_terminal() {
                terminal.note("Reading the text from standard input; Ctrl-D at the start of a line ends it.");
            }
            let mut bytes = Vec::new();
            let read = std::io::stdin().take(MAX_INPUT_BYTES).read_to_end(&mut bytes);
            read.map_err(|error| Failure::usage(format_args!("standard input: {error}")))?;
            utf8(bytes)?
        }
    };
    let attachments = args.attach.iter().map(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| Failure::usage(format_args!("attach: {}: this is no file", path.display())))?;
        Ok(Attachment { name: name.into(), data: Data::Whole(read_file("attach", path)?) })
    });
    let attachments = attachments.collect::<Result<Vec<_>, Failure>>()?;
    let letter = Letter { subject: args.subject.clone(), text, attachments, ..Letter::default() };
    check_not_empty(&letter).map_err(|failure| {
        failure.help("write it with -m TEXT, name a file with -f FILE, or pipe it into standard input")
    })?;
    Ok(letter)
}

pub(super) fn check_not_empty(letter: &Letter) -> Result<(), Failure> {
    let Letter { subject, text, attachments, .. } = letter;
    if text.trim().is_empty() && subject.trim().is_empty() && attachments.is_empty() {
        return Err(Failure::new(Exit::Usage, "message.empty", "nothing to send: the message is empty"));
    }
    Ok(())
}

fn read_file(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::usage(format_args!("{flag}: {}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > MAX_INPUT_BYTES {
        let (size, limit) = (bytes(length), bytes(MAX_INPUT_BYTES));
        let message = format!(
            "{flag}: {} is {size} ({length} bytes); no network takes more than {limit}",
            path.display()
        );
        return Err(Failure::new(Exit::Usage, "message.too_long", message));
    }
    let mut bytes = Vec::new();
    file.take(MAX_INPUT_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn utf8(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage("the text is not UTF-8").help("send files of other kinds with --attach"))
}
