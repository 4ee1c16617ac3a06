//! `read`: opens a message. Nothing a sender wrote reaches the terminal or the disk unfiltered.

use super::{Session, runtime};
use crate::envelope::{Attachment, Data};
use crate::failure;
use crate::wallet::{Reading, Wallet};
use clap::Args;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{
    Exit, Failure, bytes, clock, printable, printable_lines, rfc3339, short_address, style,
    write_new_secret_file,
};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    /// The message: its id, or how it begins
    id: String,
    /// Folder to save the attachments in; nothing there is overwritten
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct File {
    name: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<PathBuf>,
}

#[derive(serde::Serialize)]
pub(super) struct Answer {
    id: String,
    from: String,
    contact: Option<String>,
    height: BlockHeight,
    time: String,
    subject: String,
    text: String,
    reply_to: Option<String>,
    attachments: Vec<File>,
}

pub(super) fn read(args: &ReadArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let reading = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let id = wallet.resolve(&light, &args.id).await.map_err(failure)?;
        wallet.read(&light, &id).await.map_err(failure)
    })?;
    let message = &reading.message;
    let answer = answer(&wallet, &reading, args.output.as_deref())?;
    let terminal = session.terminal;
    let name = answer.contact.as_deref().unwrap_or("(no contact)");
    terminal.say(format_args!("From     {name}  {}", short_address(&answer.from)));
    terminal.say(format_args!("Final    block {}, {}", answer.height, clock(message.header.time_ms)));
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
    terminal.say(format_args!("\n{}\n", printable_lines(&answer.text)));
    let next = format!(
        "Nobody was told. To answer for it: sealpost receipt give {}",
        answer.id.get(..8).unwrap_or_default()
    );
    terminal.note(style::faint(next));
    terminal.emit("sealpost/read/1", &answer);
    Ok(())
}

/// What a message says; its files are saved in a folder, if one is given.
pub(super) fn answer(wallet: &Wallet, reading: &Reading, folder: Option<&Path>) -> Result<Answer, Failure> {
    let (message, letter) = (&reading.message, &reading.letter);
    let sender = message.transaction.sender();
    let contacts = wallet.profile().contacts().map_err(failure)?;
    Ok(Answer {
        id: message.id().to_string(),
        from: sender.to_text(wallet.genesis().prefix()),
        contact: contacts.name_of(&sender).map(Into::into),
        height: message.header.height,
        time: rfc3339(message.header.time_ms),
        subject: letter.subject.clone(),
        text: letter.text.clone(),
        reply_to: letter.reply_to.map(|id| id.to_string()),
        attachments: save(&letter.attachments, folder)?,
    })
}

fn save(attachments: &[Attachment], folder: Option<&Path>) -> Result<Vec<File>, Failure> {
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::unavailable("file.io", format_args!("{}: {error}", folder.display()))
        })?;
    }
    let saved = (1..).zip(attachments).map(|(number, attachment)| {
        let saved = match folder {
            Some(folder) => {
                let path = folder.join(file_name(&attachment.name, number));
                let bytes = whole(attachment)?;
                write_new_secret_file(&path, bytes)?;
                Some(path)
            }
            None => None,
        };
        Ok(File { name: attachment.name.clone(), bytes: attachment.data.length(), saved })
    });
    saved.collect()
}

/// What is in a file.
pub(super) fn whole(attachment: &Attachment) -> Result<&[u8], Failure> {
    match &attachment.data {
        Data::Whole(bytes) => Ok(bytes),
        Data::Parts(_) => {
            let message = format!("{} comes in parts, which can't be put together yet", attachment.name);
            Err(Failure::new(Exit::No, "attachment.in_parts", message))
        }
    }
}

/// A name that is safe to save under, whatever the sender called the file.
fn file_name(given: &str, number: usize) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' };
    let name: String = last.chars().take(100).map(safe).collect();
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() { format!("attachment-{number}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::file_name;

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
