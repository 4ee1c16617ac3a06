//! `reply`: `send` to whom a message came from, with its id and subject.

use super::SendArgs;
use crate::archive::Way;
use crate::cli::{Session, runtime};
use crate::failure;
use crate::letters::Kept;
use crate::wallet::Wallet;
use clap::Args;
use sealpost_ledger::address::Address;
use sealpost_terminal::Failure;

#[derive(Debug, Args)]
#[command(
    mut_arg("to", |id| id.value_name("ID").num_args(1).help("The message: its id, or how it begins")),
    mut_arg("reply_to", |id| id.hide(true)),
    mut_arg("subject", |subject| subject.help("Subject; without it that of the message, with Re:")),
    after_help = "Examples:
  sealpost reply 5d0c -m \"We come tomorrow\"
  sealpost reply 5d0c --all -f answer.txt --attach plan.pdf

A sealed letter is answered by a sealed one."
)]
pub(in crate::cli) struct ReplyArgs {
    #[command(flatten)]
    send: SendArgs,
    /// Answer everybody who got the message, too
    #[arg(long)]
    all: bool,
}

/// Whom an answer goes to, and what it is about.
struct Answered {
    id: String,
    to: Vec<Address>,
    subject: String,
    sealed: bool,
}

pub(in crate::cli) fn reply(args: ReplyArgs, session: &Session<'_>) -> Result<(), Failure> {
    let ReplyArgs { mut send, all } = args;
    let mut wallet = session.wallet()?;
    // A draft knows what it answers.
    if send.draft.is_some() {
        return super::send_from(&send, session, &mut wallet);
    }
    let text = send.to.first().cloned().unwrap_or_default();
    let answered = runtime()?.block_on(answered(session, &wallet, &text, all))?;
    let prefix = wallet.genesis().prefix();
    send.to = answered.to.iter().map(|address| address.to_text(prefix)).collect();
    send.reply_to = Some(answered.id);
    // An open answer would tell everybody what the letter hides.
    if answered.sealed {
        send.sealed.seal();
    }
    if send.subject.is_empty() {
        send.subject = with_re(&answered.subject);
    }
    super::send_from(&send, session, &mut wallet)
}

async fn answered(
    session: &Session<'_>,
    wallet: &Wallet,
    text: &str,
    all: bool,
) -> Result<Answered, Failure> {
    // One that is here tells subject and people by itself; another one is opened.
    let kept = match wallet.resolve_kept(text) {
        Ok(id) => wallet.letter(&id).map_err(failure)?,
        Err(_) => None,
    };
    let (id, from, to, subject, own, sealed) = match kept {
        Some(Kept { id, way, from, to, sealed, letter, .. }) => {
            (id, from, to, letter.subject, way == Way::Went, sealed)
        }
        None => {
            let (reading, source) = session.reading(wallet, text).await?;
            // One whose text is not to be had as a whole is answered all the same, and not kept.
            let whole = match reading.letter.continued {
                Some(_) => {
                    let light = session.light(wallet.profile()).await?;
                    wallet.whole_text(&light, &reading).await.ok().flatten()
                }
                None => None,
            };
            session.remember(wallet, &reading, source, whole)?;
            let (from, to) = (reading.author(), reading.recipients());
            let sealed = reading.opened.author.is_some();
            (reading.message.id(), from, to, reading.letter.subject, false, sealed)
        }
    };
    // Whoever adds to a letter of their own means those it went to.
    let mut people = if own {
        to
    } else if all {
        [vec![from], to].concat()
    } else {
        vec![from]
    };
    let mut seen = std::collections::BTreeSet::from([wallet.address()]);
    people.retain(|address| seen.insert(*address));
    if people.is_empty() {
        // A note to oneself.
        people.push(wallet.address());
    }
    Ok(Answered { id: id.to_string(), to: people, subject, sealed })
}

/// The subject of an answer: `Re:` once.
fn with_re(subject: &str) -> String {
    let begins = subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    if begins || subject.is_empty() { subject.to_owned() } else { format!("Re: {subject}") }
}

#[cfg(test)]
mod tests {
    use super::with_re;

    #[test]
    fn re_is_said_once() {
        assert_eq!(with_re("Lift"), "Re: Lift");
        assert_eq!(with_re("RE: Lift"), "RE: Lift");
        assert_eq!(with_re("é"), "Re: é");
        assert_eq!(with_re(""), "");
    }
}
