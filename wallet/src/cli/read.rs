//! `read`: opens a message. Nothing a sender wrote reaches the terminal or the disk unfiltered.

use super::progress::TransferWatch;
use super::{Session, runtime};
use crate::envelope::Data;
use crate::failure;
use crate::parcel::{MAX_TEXT_BYTES, ParcelError};
use crate::wallet::{Collector, Reading, Source, Wallet, WalletError};
use clap::Args;
use sealpost_ledger::address::Address;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::receipt::{Answer, Receipt};
use sealpost_terminal::{
    Failure, NewFile, Terminal, bytes, clock, create_private_folder, file_exists, file_failure, printable,
    printable_lines, rfc3339, short_address, style,
};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// File systems take names of 255 bytes.
const NAME_BYTES: usize = 200;

#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    /// The message: its id, or how it begins
    id: String,
    /// Folder to save the attachments in; nothing there is overwritten
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Most bytes of an attachment that is fetched in parts; without it the setting `attachment_bytes`
    #[arg(long, value_name = "BYTES")]
    attachment_limit: Option<u64>,
}

#[derive(serde::Serialize)]
pub(super) struct File {
    name: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<PathBuf>,
}

#[derive(serde::Serialize)]
pub(super) struct Opened {
    id: String,
    from: String,
    contact: Option<String>,
    height: BlockHeight,
    time: String,
    subject: String,
    text: String,
    text_complete: bool,
    reply_to: Option<String>,
    attachments: Vec<File>,
    sealed: bool,
    /// Receipts for sealed messages that it carries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    receipts: Vec<Carried>,
    /// All recipients of a sealed message, in the order of its slots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    to: Vec<String>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

/// A receipt for a sealed message, as a letter carries it.
#[derive(serde::Serialize)]
pub(super) struct Carried {
    message: String,
    slot: u16,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Whether it was checked here: anybody can write of receipts.
    confirmed: bool,
}

pub(super) fn read(args: &ReadArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let limit = args.attachment_limit.unwrap_or(session.settings.attachment_bytes);
    let (reading, source, text, attachments) = runtime()?.block_on(async {
        let (reading, source) = session.reading(&wallet, &args.id).await?;
        let folder = args.output.as_deref();
        let places = places(&reading, folder)?;
        // What the archive has needs no node, unless a file that came in parts is to be saved.
        let in_parts = reading.letter.parts().next().is_some();
        let is_missing = reading.letter.continued.is_some() || (in_parts && folder.is_some());
        let (text, attachments) = match is_missing {
            false => {
                (Some(reading.letter.text.clone()), save(&reading, None, (folder, &places), limit).await?)
            }
            true => {
                let light = session.light(wallet.profile()).await?;
                let watch = TransferWatch::new(session.terminal, "fetching");
                let heard = |what: &str, bytes, of_bytes| watch.hear(bytes, of_bytes, &printable(what));
                let mut collector = wallet.collector(&light, &reading, &heard);
                let text = collector.text().await.map_err(failure)?;
                let attachments = save(&reading, Some(&mut collector), (folder, &places), limit).await?;
                // What was fetched for a file that is not saved yet stays for the next time.
                let waits = args.output.is_none()
                    && reading.letter.attachments.iter().any(|file| matches!(file.data, Data::Parts(_)));
                if !waits {
                    collector.forget().map_err(failure)?;
                }
                (text, attachments)
            }
        };
        Ok::<_, Failure>((reading, source, text, attachments))
    })?;
    if text.is_none() {
        let limit = bytes(MAX_TEXT_BYTES);
        session
            .terminal
            .warn(format_args!("the text goes on for longer than {limit}; only its beginning is shown"));
    }
    let message = &reading.message;
    let answer = answer(&wallet, &reading, source, text, attachments)?;
    let terminal = session.terminal;
    let name = answer.contact.as_deref().unwrap_or("(no contact)");
    terminal.say(format_args!("From     {name}  {}", short_address(&answer.from)));
    terminal.say(format_args!("Final    block {}, {}", answer.height, clock(message.header.time_ms)));
    if answer.sealed {
        let to: Vec<_> = answer.to.iter().map(short_address).collect();
        terminal.say(format_args!("Sealed   signed inside by its author, to {}", to.join(", ")));
    }
    print_carried(terminal, &answer.receipts);
    if !answer.subject.is_empty() {
        terminal.say(format_args!("Subject  {}", printable(&answer.subject)));
    }
    if let Some(id) = &answer.reply_to {
        terminal.say(format_args!("Answers  {id}"));
    }
    for file in &answer.attachments {
        let saved = file.saved.as_ref().map(|path| format!(", saved as {}", path.display()));
        let saved = saved.unwrap_or_else(|| ", `-o DIR` saves it".into());
        terminal.say(format_args!("File     {} ({}){saved}", printable(&file.name), bytes(file.bytes)));
    }
    if !reading.letter.is_only_receipts() {
        terminal.say(format_args!("\n{}\n", terminal.wrapped(&printable_lines(&answer.text))));
    }
    if !reading.carries_receipts() {
        let next = format!(
            "Nobody was told. To answer for it: sealpost receipt give {}",
            answer.id.get(..8).unwrap_or_default()
        );
        terminal.note(style::faint(next));
    }
    if let Source::Archive { kept_ms } = source {
        terminal.note(format_args!(
            "This is from the archive, verified and kept on {}: its key is gone, or no node has it.",
            clock(kept_ms)
        ));
    }
    let whole = (reading.letter.continued.is_some() && answer.text_complete).then(|| answer.text.clone());
    session.remember(&wallet, &reading, source, whole)?;
    terminal.emit("sealpost/read/1", &answer);
    Ok(())
}

pub(super) fn print_carried(terminal: &Terminal, receipts: &[Carried]) {
    for Carried { message, slot, answer, confirmed, .. } in receipts {
        match confirmed {
            true => terminal.say(style::held(format_args!("Receipt  {answer}: slot {slot} of {message}"))),
            false => terminal.warn(format_args!(
                "it claims a receipt for slot {slot} of {message}, which this wallet can't confirm"
            )),
        }
    }
}

/// What a receipt says, in words of the JSON forms.
pub(super) fn words(answer: &Answer) -> (&'static str, Option<&'static str>) {
    match answer {
        Answer::Opened { .. } => ("opened", None),
        Answer::Refused { reason } => ("refused", Some(reason.code())),
    }
}

/// The receipts that a letter carries, each checked against its author, whom only a sealed one names inside.
pub(super) fn carried(
    wallet: &Wallet,
    author: Option<Address>,
    receipts: &[Receipt],
) -> Result<Vec<Carried>, Failure> {
    let receipts = receipts.iter().map(|receipt| {
        let (answer, reason) = words(&receipt.answer);
        let confirmed = match author {
            // This wallet's own word.
            Some(author) if author == wallet.address() => true,
            Some(author) => wallet.answer_holds(receipt, &author).map_err(failure)?,
            None => false,
        };
        let (message, slot) = (receipt.message.to_string(), receipt.slot);
        Ok(Carried { message, slot, answer, reason, confirmed })
    });
    receipts.collect()
}

/// What a message says, with its text if that is here as a whole.
pub(super) fn answer(
    wallet: &Wallet,
    reading: &Reading,
    source: Source,
    text: Option<String>,
    attachments: Vec<File>,
) -> Result<Opened, Failure> {
    let (message, letter) = (&reading.message, &reading.letter);
    let sender = reading.author();
    let author = reading.opened.author.as_ref().map(|block| block.author);
    let contacts = wallet.profile().contacts().map_err(failure)?;
    Ok(Opened {
        id: message.id().to_string(),
        from: sender.to_text(wallet.genesis().prefix()),
        contact: contacts.name_of(&sender).map(Into::into),
        height: message.header.height,
        time: rfc3339(message.header.time_ms),
        subject: letter.subject.clone(),
        text_complete: text.is_some(),
        text: text.unwrap_or_else(|| letter.text.clone()),
        reply_to: letter.reply_to.map(|id| id.to_string()),
        attachments,
        sealed: reading.opened.author.is_some(),
        receipts: carried(wallet, author, &letter.answers)?,
        to: reading
            .opened
            .author
            .iter()
            .flat_map(|block| &block.recipients)
            .map(|address| address.to_text(wallet.genesis().prefix()))
            .collect(),
        source: match source {
            Source::Ledger => "ledger",
            Source::Archive { .. } => "archive",
        },
        kept: match source {
            Source::Ledger => None,
            Source::Archive { kept_ms } => Some(rfc3339(kept_ms)),
        },
    })
}

/// The attachments, none of them saved.
pub(super) fn listed(reading: &Reading) -> Vec<File> {
    let files = reading.letter.attachments.iter();
    files.map(|file| File { name: file.name.clone(), bytes: file.data.length(), saved: None }).collect()
}

/// Where each attachment goes, if a folder was named. What is there already is said before anything is fetched.
fn places(reading: &Reading, folder: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    let Some(folder) = folder else { return Ok(Vec::new()) };
    // The names of the files are nobody else's business either.
    create_private_folder(folder)?;
    let names = file_names(reading.letter.attachments.iter().map(|attachment| attachment.name.as_str()));
    let paths: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(exists(path)),
        None => Ok(paths),
    }
}

/// Saves the attachments, if a folder was named. Each is written without a name, checked, and gets its place in one
/// step; what is there already is left alone.
async fn save(
    reading: &Reading,
    mut collector: Option<&mut Collector<'_>>,
    (folder, paths): (Option<&Path>, &[PathBuf]),
    limit: u64,
) -> Result<Vec<File>, Failure> {
    let io = |path: &Path, error: &std::io::Error| file_failure("write", path, error);
    let attachments = &reading.letter.attachments;
    let mut files = Vec::with_capacity(attachments.len());
    for (number, attachment) in attachments.iter().enumerate() {
        let saved = match (folder, paths.get(number)) {
            (Some(folder), Some(path)) => {
                let mut new = NewFile::in_folder(folder).map_err(|error| io(folder, &error))?;
                match &attachment.data {
                    Data::Whole(bytes) => new.write_all(bytes).map_err(|error| io(path, &error))?,
                    Data::Parts(_) => {
                        if let Some(collector) = &mut collector {
                            let collected = collector.file(number, limit, &mut new).await;
                            collected.map_err(|error| uncollected(path, error))?;
                        }
                    }
                }
                place(new, path)?;
                Some(path.clone())
            }
            _ => None,
        };
        files.push(File { name: attachment.name.clone(), bytes: attachment.data.length(), saved });
    }
    Ok(files)
}

/// Why an attachment in parts was not saved: a disk is no fault of the message, and has a place.
fn uncollected(path: &Path, error: WalletError) -> Failure {
    match error {
        WalletError::Parcel(ParcelError::Write { reason, .. }) => {
            Failure::unavailable("file.io", format_args!("cannot write {}: {reason}", path.display()))
        }
        error => failure(error),
    }
}

/// Gives a whole file its place. It is the owner's alone, and stays so.
fn place(new: NewFile, path: &Path) -> Result<(), Failure> {
    new.place(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => file_failure("write", path, &error),
    })
}

fn exists(path: &Path) -> Failure {
    file_exists(path).help("choose another folder, or move the old file away")
}

/// Names that are safe to save under, whatever the sender called the files: no two are the same, also where a file
/// system does not tell capitals from small letters.
fn file_names<'a>(given: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut names, mut taken) = (Vec::new(), BTreeSet::new());
    for (number, given) in (1_usize..).zip(given) {
        let plain = file_name(given, number);
        let mut name = plain.clone();
        // A sender may have given such a name, too.
        let mut numbers = number..;
        while !taken.insert(name.to_lowercase()) {
            name = format!("{}-{plain}", numbers.next().unwrap_or_default());
        }
        names.push(name);
    }
    names
}

/// One of them by itself, with room for what makes it another one.
fn file_name(given: &str, number: usize) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' };
    let mut name: String = last.chars().take(100).map(safe).collect();
    // A letter may take four bytes.
    name.truncate(name.floor_char_boundary(NAME_BYTES));
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() { format!("attachment-{number}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{NAME_BYTES, file_name, file_names};

    #[test]
    fn every_file_has_a_name_of_its_own_that_a_file_system_takes() {
        let names = file_names(["3-plan", "plan", "plan", "Plan"].into_iter());
        assert_eq!(names, ["3-plan", "plan", "4-plan", "5-Plan"]);
        let long = file_name(&"\u{8a08}".repeat(100), 1);
        assert!(!long.is_empty() && long.len() <= NAME_BYTES);
        let many = file_names(std::iter::repeat_n("plan", 40));
        assert!(many.iter().all(|name| name.len() < 255));
    }

    #[test]
    fn no_name_leads_out_of_the_folder_or_hides() {
        assert_eq!(file_name("plan.pdf", 1), "plan.pdf");
        assert_eq!(file_name("../../etc/passwd", 1), "passwd");
        assert_eq!(file_name("C:\\windows\\x.exe", 1), "x.exe");
        assert_eq!(file_name(".bashrc", 1), "bashrc");
        assert_eq!(file_name("..", 2), "attachment-2");
        assert_eq!(file_name("a\u{1b}[2J\nb", 1), "a__2J_b");
    }
}
