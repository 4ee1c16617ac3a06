//! The way of a message, step by step, each with where the knowledge comes from and what it does not show.

use crate::page::{Id, PageError, Piece, Source, Time, elapsed, validator_name};
use crate::reader::{Proven, ReadError, Reader};
use futures::{StreamExt, TryStreamExt};
use sealpost_api::MessageView;
use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::block::Header;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::{Message, Mode, Slot, SlotRecipient};
use sealpost_ledger::receipt::Answer;
use sealpost_terminal::counted;
use std::cmp::Ordering;

/// Answers looked up at once.
const AT_ONCE: usize = 8;
/// Signers named one by one.
const NAMED: usize = 12;

/// A step of the way.
pub(super) struct Step {
    pub(super) title: String,
    pub(super) source: Source,
    pub(super) link: Option<(String, String)>,
    pub(super) time: Option<Time>,
    pub(super) detail: String,
    pub(super) limit: &'static str,
    pub(super) done: bool,
}

/// Every step of a message, and the answers of a piece of its slots in between: each answer is a question to the node.
pub(super) async fn steps(
    reader: &Reader,
    proven: &Proven,
    message: &Message,
    view: &MessageView,
    piece: Piece,
) -> Result<Vec<Step>, PageError> {
    let mut steps = vec![signed(proven, message, reader.genesis().await?.prefix()), seen(proven)];
    steps.extend(placed(reader, proven).await?);
    steps.push(Step {
        title: if message.slots.len() == 1 { "Found by the recipient" } else { "Found by the recipients" }
            .into(),
        source: Source::Unknowable,
        link: None,
        time: None,
        detail: "Nobody can know: reading leaves no trace.".into(),
        limit: "Only a receipt shows that a message was opened.",
        done: false,
    });
    // The slots are those of the signed bytes. Where the node names no receipt, it has to prove the silence.
    let told = |number: u16| view.slots.get(usize::from(number))?.receipt.as_ref().map(|receipt| receipt.id);
    let slots = (0_u16..).zip(&message.slots);
    let slots = slots.skip(piece.from as usize).take(piece.positions().len());
    let questions: Vec<_> =
        slots.map(|(number, slot)| answer(reader, proven, number, slot, told(number))).collect();
    let answers: Vec<Step> = futures::stream::iter(questions).buffered(AT_ONCE).try_collect().await?;
    steps.extend(answers);
    steps.push(history(reader, proven).await?);
    steps.push(body(view));
    Ok(steps)
}

fn signed(proven: &Proven, message: &Message, prefix: &AddressPrefix) -> Step {
    let sender = proven.transaction.sender().to_text(prefix);
    Step {
        title: "Signed by the sender".into(),
        source: Source::Proven,
        link: Some((format!("/address/{sender}"), Id::new(&sender).short)),
        time: None,
        detail: if message.mode == Mode::Sealed {
            "A key made for this one message signed it; who its author is stands inside, for the recipients."
                .into()
        } else {
            "The sender's key signed this message.".into()
        },
        limit: "It does not show who held the key, nor when it was signed.",
        done: true,
    }
}

fn seen(proven: &Proven) -> Step {
    let first_seen = proven.found.place.first_seen_ms;
    Step {
        title: "First seen here".into(),
        source: Source::Observed,
        link: None,
        time: first_seen.map(Time::new),
        detail: match first_seen {
            Some(seen) => {
                format!("By the node behind this page, {}.", around(seen, proven.header.time_ms))
            }
            None => {
                "Not remembered by the node behind this page: it remembers this since it was started.".into()
            }
        },
        limit: "Other nodes saw it at other times; this is no part of any proof.",
        done: first_seen.is_some(),
    }
}

/// When something was, seen from the time of its block. That is the proposer's clock, and another's may be ahead of it.
fn around(seen_ms: u64, block_ms: u64) -> String {
    match seen_ms.cmp(&block_ms) {
        Ordering::Less => format!("{} before the time of its block", elapsed(seen_ms, block_ms)),
        Ordering::Equal => "at the time of its block".into(),
        Ordering::Greater => format!("{} after the time of its block", elapsed(block_ms, seen_ms)),
    }
}

/// That it stands in a block, and who made that block final.
async fn placed(reader: &Reader, proven: &Proven) -> Result<[Step; 2], PageError> {
    let height = proven.header.height;
    let commit = reader.commit_at(height).await?;
    let signers = commit.signers.iter().filter(|validator| validator.signed);
    let mut names: Vec<String> = signers.map(|validator| validator_name(validator.name.as_deref())).collect();
    if names.len() > NAMED {
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        names.push(format!("and {more} more"));
    }
    let place = (format!("/block/{height}"), format!("block {height}"));
    Ok([
        Step {
            title: "In a block".into(),
            source: Source::Proven,
            link: Some(place.clone()),
            time: Some(Time::new(proven.header.time_ms)),
            detail: format!(
                "At position {} of {}, counted from 0.",
                proven.found.place.index, proven.header.transaction_count
            ),
            limit: "The time is the proposer's clock; the order of blocks is what is proven.",
            done: true,
        },
        Step {
            title: "Final".into(),
            source: Source::Proven,
            link: Some(place),
            time: None,
            detail: format!(
                "Committed by {} of {} validators: {}.",
                commit.signed(),
                commit.signers.len(),
                names.join(", ")
            ),
            limit: "It rests on two thirds of the validators being honest, as the genesis names them.",
            done: true,
        },
    ])
}

/// A slot's answer, or its silence.
async fn answer(
    reader: &Reader,
    proven: &Proven,
    number: u16,
    slot: &Slot,
    receipt: Option<TransactionId>,
) -> Result<Step, PageError> {
    let id = proven.transaction.id();
    let SlotRecipient::Named { address, .. } = slot.recipient else { return Ok(hidden(number)) };
    let who = Id::new(address.to_text(reader.genesis().await?.prefix())).short;
    let receipt = match receipt {
        Some(receipt) => receipt,
        None => match reader.silence(&id, number, proven.header.height).await {
            Ok(until) => return Ok(silent(proven, &who, &until)),
            Err(ReadError::NotFound(_)) => reader.late_receipt(&id, number).await?,
            Err(error) => return Err(error.into()),
        },
    };
    let (said, answer) = reader.receipt(&receipt, &id, number, slot).await?;
    let after = format!(
        "after {}, {}",
        elapsed(proven.header.time_ms, answer.header.time_ms),
        counted(answer.header.height.blocks_since(proven.header.height), "block")
    );
    let (title, detail, limit) = match said {
        Answer::Opened { .. } => (
            format!("Opened by {who}"),
            format!("The recipient's key signed, and showed that the message had been decrypted, {after}."),
            "It does not show that a person read or understood it.",
        ),
        Answer::Refused { reason } => (
            format!("Refused by {who}"),
            format!("The recipient's key signed a refusal, {after}: {}.", reason.code()),
            "It does not show whether the message was decrypted.",
        ),
    };
    Ok(Step {
        title,
        source: Source::Proven,
        link: Some((format!("/tx/{receipt}"), format!("receipt in block {}", answer.header.height))),
        time: Some(Time::new(answer.header.time_ms)),
        detail,
        limit,
        done: true,
    })
}

/// That there was no answer up to a block.
fn silent(proven: &Proven, who: &str, until: &Header) -> Step {
    Step {
        title: format!("No answer of {who}"),
        source: Source::Proven,
        link: Some((format!("/block/{}", until.height), format!("up to block {}", until.height))),
        time: Some(Time::new(until.time_ms)),
        detail: format!(
            "Silence for {}, {}: no receipt stood on the ledger then (proof of absence).",
            elapsed(proven.header.time_ms, until.time_ms),
            counted(until.height.blocks_since(proven.header.height), "block")
        ),
        limit: "It does not show whether the message was read.",
        done: false,
    }
}

fn hidden(number: u16) -> Step {
    Step {
        title: format!("Answer of the hidden recipient of slot {number}"),
        source: Source::Unknowable,
        link: None,
        time: None,
        detail: "Answers to sealed messages travel inside sealed messages.".into(),
        limit: "Nothing on the ledger shows whether there is one.",
        done: false,
    }
}

/// That today's head still contains the block.
async fn history(reader: &Reader, proven: &Proven) -> Result<Step, PageError> {
    let title = "Still in the history under today's head".into();
    let limit = "It shows that nothing before was changed, not that the newest block is the one others see.";
    Ok(match reader.history_proof(&proven.header).await? {
        Some(history) => Step {
            title,
            source: Source::Proven,
            link: Some((format!("/block/{}", history.head), format!("block {}", history.head))),
            time: Some(Time::new(history.head_time_ms)),
            detail: format!(
                "Its history root commits to block {}; the path has {} on it.",
                proven.header.height,
                counted(history.path.len() as u64, "node")
            ),
            limit,
            done: true,
        },
        None => Step {
            title,
            source: Source::Claimed,
            link: None,
            time: None,
            detail: "The node says that its block is the newest one itself.".into(),
            limit: "A later block would commit to it.",
            done: false,
        },
    })
}

fn body(view: &MessageView) -> Step {
    let (title, detail) = if view.body_kept {
        ("Encrypted body kept", "The node behind this page still has the encrypted body.")
    } else {
        ("Encrypted body not kept", "The node behind this page does not have the encrypted body any more.")
    };
    Step {
        title: title.into(),
        source: Source::Observed,
        link: None,
        time: None,
        detail: detail.into(),
        limit: "Other nodes may keep it for longer or shorter; every proof here holds without it.",
        done: view.body_kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_after_the_block_s_time_is_not_said_to_be_before() {
        assert_eq!(around(1_000, 3_500), "2.5 s before the time of its block");
        assert_eq!(around(3_500, 1_000), "2.5 s after the time of its block");
        assert_eq!(around(7, 7), "at the time of its block");
    }
}
