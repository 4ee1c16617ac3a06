//! `send` for programs: one message if it fits into one, otherwise a draft whose parts go ahead of the letter.

use super::Server;
use super::methods::{Answered, unwatched};
use crate::cli::send::{self, Parts};
use crate::drafts::{Attached, DraftId, Kept, Typed};
use crate::envelope::{Attachment, Content, Data, Letter};
use crate::failure;
use crate::light::Light;
use crate::wallet::{Draft, Wallet, WalletError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sealpost_api::WaitFor;
use sealpost_ledger::address::Address;
use sealpost_ledger::message::Mode;
use sealpost_terminal::Failure;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    to: Vec<String>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    attachments: Vec<GivenFile>,
    reply_to: Option<String>,
    #[serde(default)]
    sealed: bool,
    #[serde(default)]
    wait: Wait,
    #[serde(default)]
    dry_run: bool,
}

/// A file in a request: what is in it, never where it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenFile {
    name: String,
    base64: String,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Wait {
    Accepted,
    #[default]
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

pub(super) async fn send(server: &Server<'_>, request: Send) -> Answered {
    let (wait, dry_run) = (request.wait.into(), request.dry_run);
    let wallet = server.wallet().await?;
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let to = contacts.expand(&request.to).map_err(failure)?;
    wallet.check_recipients(to.len()).map_err(failure)?;
    let attachments = request.attachments.into_iter().map(|file| {
        let bytes = BASE64.decode(&file.base64);
        let bytes = bytes.map_err(|error| Failure::usage(format_args!("attachments: base64: {error}")))?;
        Ok(Attachment { name: file.name, data: Data::Whole(bytes) })
    });
    let attachments = attachments.collect::<Result<_, Failure>>()?;
    let (subject, text) = (request.subject, request.text);
    let mut letter = Letter { subject, text, attachments, ..Letter::default() };
    send::check_not_empty(&letter.subject, &letter.text, letter.attachments.len())?;
    let light = server.light().await?;
    if let Some(text) = &request.reply_to {
        letter.reply_to = Some(wallet.resolve(&light, text).await.map_err(failure)?);
    }
    let mode = if request.sealed { Mode::Sealed } else { Mode::Open };
    let message = Draft { to, content: letter.into(), mode };
    let fits = wallet.fits(&message);
    let answer = match message {
        Draft { to, content: Content::Letter(letter), mode } if !fits => {
            in_parts(server, &wallet, &light, (to, letter, mode), (wait, dry_run)).await?
        }
        message => at_once(server, &wallet, &light, &message, (wait, dry_run)).await?,
    };
    server.tagged(&light, "sealpost/send/1", &answer)
}

async fn at_once(
    server: &Server<'_>,
    wallet: &Wallet,
    light: &Light,
    message: &Draft,
    (wait, dry_run): (WaitFor, bool),
) -> Result<send::Answer, Failure> {
    let (prepared, salt) = wallet.prepare_message(light, message, &unwatched).await.map_err(failure)?;
    server.tell_broken_keys(wallet, &message.to, &prepared).await;
    let mut answer = send::describe(wallet, message, &prepared)?;
    if !dry_run {
        let sent = wallet.send_message(light, &prepared, message, salt, wait).await.map_err(kept)?;
        answer.was_sent(&sent);
    }
    Ok(answer)
}

/// What is signed goes on by itself. Told under one code whatever the reason: whoever sends it again sends it twice.
fn kept(error: WalletError) -> Failure {
    let is_kept = matches!(error, WalletError::Undelivered { .. });
    let mut failure = failure(error);
    if is_kept {
        let reason = std::mem::replace(&mut failure.code, "outbox.kept".into());
        failure = failure.with("reason", reason).help(
            "don't send it again: it is handed in by itself until a block has it; `outbox` tells how it stands",
        );
    }
    failure
}

/// As a draft: what has begun to leave goes on whatever happens to the program that asked for it.
async fn in_parts(
    server: &Server<'_>,
    wallet: &Wallet,
    light: &Light,
    (to, letter, mode): (Vec<Address>, Letter, Mode),
    end: (WaitFor, bool),
) -> Result<send::Answer, Failure> {
    let mut typed = Typed::new(to, letter.subject, letter.text);
    (typed.mode, typed.reply_to) = (mode, letter.reply_to.map(|id| id.to_string()));
    let mut contents = Vec::with_capacity(letter.attachments.len());
    for Attachment { name, data } in letter.attachments {
        let Data::Whole(content) = data else { continue };
        typed.files.push(Attached { name, path: String::new(), length: content.len() as u64 });
        contents.push(content);
    }
    let mut draft = wallet.keep_draft(typed).map_err(failure)?;
    let id = draft.id;
    let limit = server.session.settings.attachment_bytes;
    if let Err(error) = wallet.pack_draft_given(&mut draft, limit, &contents) {
        wallet.discard_draft(draft).map_err(failure)?;
        return Err(failure(error));
    }
    let sent = deliver(server, wallet, light, draft, end).await;
    sent.map_err(|failure| match give_up(wallet, id) {
        GivenUp::Gone => failure,
        GivenUp::GoesOn => goes_on(failure, id),
        GivenUp::Unclear(unread) => unclear(failure, &unread, id),
    })
}

/// What became of a draft that could not be sent.
enum GivenUp {
    /// Nothing of it has left, and it is thrown away.
    Gone,
    /// Parts of it have left; the rest goes on by itself.
    GoesOn,
    /// What has left can't be read, for this reason.
    Unclear(Failure),
}

/// Told under one code whatever the reason: whoever sends it again sends it twice.
fn goes_on(mut failure: Failure, id: DraftId) -> Failure {
    failure.message.push_str("; what has begun to leave goes on by itself");
    failure.code = "parcel.left".into();
    failure
        .with("draft", id.to_string())
        .help("don't send it again: `outbox` lists it until it has left, and `sealpost draft discard` throws it away")
}

/// It may have left or not. Told under a code of its own: whoever sends it again may send it twice, and whoever does not
/// may wait for ever.
fn unclear(mut failure: Failure, unread: &Failure, id: DraftId) -> Failure {
    failure.message.push_str("; whether something of it has left can't be read: ");
    failure.message.push_str(&unread.message);
    failure.code = "parcel.unclear".into();
    failure
        .with("draft", id.to_string())
        .help("ask `outbox` when that is mended: what has begun to leave stands there, and goes on by itself")
}

async fn deliver(
    server: &Server<'_>,
    wallet: &Wallet,
    light: &Light,
    draft: Kept,
    (wait, dry_run): (WaitFor, bool),
) -> Result<send::Answer, Failure> {
    let quote = wallet.quote_parcel(light, &draft).await.map_err(failure)?;
    let letter = match dry_run {
        true => send::of_right_size(&draft, quote.as_ref())?,
        false => wallet.send_parts(light, &draft, &unwatched, &|_| {}).await.map_err(failure)?,
    };
    let message = draft.message(letter);
    let (mut prepared, salt) = wallet.prepare_message(light, &message, &unwatched).await.map_err(failure)?;
    prepared.is_draft(&draft, &message);
    server.tell_broken_keys(wallet, &message.to, &prepared).await;
    let mut answer = send::describe(wallet, &message, &prepared)?;
    answer.parts = quote.map(Parts::from);
    match dry_run {
        true => wallet.discard_draft(draft).map_err(failure)?,
        false => {
            let sent = wallet.send_message(light, &prepared, &message, salt, wait).await.map_err(failure)?;
            answer.was_sent(&sent);
        }
    }
    Ok(answer)
}

/// A draft of which nothing has left is thrown away: the program that sent it has all of it, and is told.
fn give_up(wallet: &Wallet, id: DraftId) -> GivenUp {
    match wallet.has_begun(id) {
        Err(error) => GivenUp::Unclear(failure(error)),
        // One that is in the outbox is none any more, and goes on just as well.
        Ok(true) => GivenUp::GoesOn,
        Ok(false) => {
            if let Ok(draft) = wallet.take_draft(&id.to_string()) {
                // If it can't be, the person finds it among the drafts.
                let _left = wallet.discard_draft(draft);
            }
            GivenUp::Gone
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::Home;
    use std::fs;

    fn keep(wallet: &Wallet) -> Kept {
        wallet.keep_draft(Typed::new(Vec::new(), "Lift".into(), "out of service".into())).unwrap()
    }

    #[test]
    fn a_draft_is_given_up_by_what_is_in_its_own_folder() {
        let home = Home::new();
        let wallet = home.wallet("alice");
        let drafts = home.path("alice", "drafts");
        let (damaged, unsent, begun) = (keep(&wallet).id, keep(&wallet).id, keep(&wallet).id);
        fs::write(drafts.join(damaged.to_string()).join("letter"), "x").unwrap();
        fs::write(drafts.join(begun.to_string()).join("0.part"), "x").unwrap();
        let listing = wallet.drafts().unwrap();
        assert_eq!((listing.drafts.len(), listing.damaged.len()), (2, 1));
        assert!(matches!(give_up(&wallet, unsent), GivenUp::Gone));
        assert!(!drafts.join(unsent.to_string()).exists(), "the program that sent it has all of it");
        assert!(matches!(give_up(&wallet, begun), GivenUp::GoesOn));
        assert!(drafts.join(begun.to_string()).exists());
        // Another entry of the outbox says nothing of one that is still a draft.
        fs::write(home.path("alice", "outbox").join(format!("{:064}.json", 7)), "{").unwrap();
        let unsent = keep(&wallet).id;
        assert!(matches!(give_up(&wallet, unsent), GivenUp::Gone));
        // Of one that is none any more, that entry may be the letter.
        fs::remove_dir_all(drafts.join(unsent.to_string())).unwrap();
        let GivenUp::Unclear(unread) = give_up(&wallet, unsent) else { unreachable!() };
        let told = unclear(Failure::unavailable("node.unreachable", "no node answers"), &unread, unsent);
        assert_eq!((told.code.as_ref(), unread.code.as_ref()), ("parcel.unclear", "outbox.malformed"));
        assert!(told.message.starts_with("no node answers; whether"), "{told}");
    }
}
