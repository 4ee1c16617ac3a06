//! A look at the wallet's own entry in the key directory, taken by every command that asks a node for
//! messages or sends some: a change that this wallet did not make is told loudly, and what is due is named.

use super::Session;
use super::scan::warn_set_aside;
use crate::failure;
use crate::failure::FOREIGN_KEYS;
use crate::light::Light;
use crate::wallet::{
    Due, LastLetters, Missing, OwnKeys, PostageProgress, Postponed, Standing, Tended, Tending, Wallet,
};
use sealpost_terminal::{Failure, Terminal, clock, counted, style};
use tokio::sync::Mutex;

/// Looks, and says what there is to say.
pub(super) async fn look(
    session: &Session<'_>,
    wallet: &mut Wallet,
    light: &Light,
) -> Result<OwnKeys, Failure> {
    let own = wallet.own_keys(light, &session.terms()).await.map_err(failure)?;
    tell(session.terminal, &own);
    Ok(own)
}

/// Says what a person has to know about the entry.
pub(super) fn tell(terminal: &Terminal, own: &OwnKeys) {
    match own.standing {
        Standing::Alarm(alarm) => {
            terminal.warn(format_args!("YOUR KEYS WERE CHANGED: {alarm}.\n         What it means: {FOREIGN_KEYS}"));
        }
        Standing::Unpublished => {
            terminal.note("Nobody can write to you yet: `sealpost keys publish` makes that possible.");
        }
        Standing::Elsewhere => terminal.warn(
            "the published keys are not this wallet's: it was restored from its words, or another copy published \
             them; what is sent to them can't be read here. `sealpost keys rotate` makes keys of this copy the newest",
        ),
        Standing::Ours => {}
    }
    for due in &own.due {
        match due {
            Due::Publish => {}
            Due::Rotate => {
                terminal.note("Your encryption keys are due for rotation: `sealpost keys tend` does it.")
            }
            Due::Destroy(sequences) => terminal.note(format_args!(
                "The secrets of {} are past their grace period: `sealpost keys tend` destroys them.",
                numbers(sequences)
            )),
        }
    }
}

/// Does what is due with the wallet's keys.
pub(super) async fn tend(
    session: &Session<'_>,
    wallet: &mut Wallet,
    light: &Light,
    progress: PostageProgress<'_>,
) -> Result<Tended, Failure> {
    let terms = session.terms();
    let tending = wallet.begin_tending(light, &terms, progress).await.map_err(failure)?;
    let missing = keep_last_letters(session, wallet, light, &tending, &Mutex::default()).await?;
    wallet.end_tending(&terms, tending, &missing).map_err(failure)
}

/// Keeps what needs secrets that are about to be destroyed. Where letters go with their secrets, it is said how many do.
pub(super) async fn keep_last_letters(
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
    tending: &Tending,
    collecting: &Mutex<()>,
) -> Result<Missing, Failure> {
    let (terms, over) = (session.terms(), tending.over.as_slice());
    if terms.last_letters == LastLetters::LetGo && !over.is_empty() {
        let unread = wallet.unread_to(light, over).await.map_err(failure)?;
        if unread > 0 {
            session.terminal.warn(format_args!(
                "{} that nobody has read here can't be opened any more when the secrets of {} are destroyed now: the \
                 archive is off",
                counted(unread as u64, "letter"),
                numbers(over)
            ));
        }
    }
    let missing = wallet.keep_last_letters(light, &terms, tending, collecting).await;
    warn_set_aside(session.terminal, wallet);
    missing.map_err(failure)
}

/// Says what was done.
pub(super) fn tell_tended(terminal: &Terminal, tended: &Tended) {
    for Postponed { sequence, letters, until_ms } in &tended.postponed {
        terminal.warn(format_args!(
            "the secret of key bundle #{sequence} is past its grace period and is kept until {}, because {} sent to it could \
             not be kept: the node does not have all of it. `sealpost sync --all --node URL` asks another one",
            clock(*until_ms),
            counted(*letters as u64, "letter")
        ));
    }
    if tended.lost > 0 {
        terminal.warn(format_args!(
            "{} went with the secrets that were destroyed now: no node had all of it for four weeks",
            counted(tended.lost as u64, "letter")
        ));
    }
    if let Some(rotated) = &tended.rotated {
        let place = rotated.published.map(|block| format!(", final in block {}", block.height));
        let place = place.unwrap_or_default();
        terminal.note(style::held(format_args!("rotated: key bundle #{}{place}", rotated.sequence)));
    }
    if !tended.destroyed.is_empty() {
        terminal.note(style::held(format_args!("destroyed: the secrets of {}", numbers(&tended.destroyed))));
        terminal.note(DESTRUCTION);
    }
}

/// On what the promise of destruction rests.
const DESTRUCTION: &str = "What was sent to them can't be opened with this wallet any more. That rests on the \
    file that held them being gone: backups of it, snapshots of the disk, and blocks that the file system or the drive \
    keeps until they are written anew may still have it, under the passphrase it had then. Another passphrase \
    (`sealpost passphrase`) and an encrypted disk help; only old copies that are deleted are safe.";

/// Bundles by their numbers.
fn numbers(sequences: &[u64]) -> String {
    let list: Vec<_> = sequences.iter().map(|sequence| format!("#{sequence}")).collect();
    format!("{} ({})", counted(sequences.len() as u64, "key bundle"), list.join(", "))
}
