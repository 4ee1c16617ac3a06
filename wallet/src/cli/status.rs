//! `status`: how a message stands with each recipient, all of it verified.

use super::{Session, runtime};
use crate::contacts::Contacts;
use crate::failure;
use crate::light::SlotAnswer;
use crate::wallet::{Timeline, TimelineSlot, Wallet};
use clap::Args;
use sealpost_ledger::block::Header;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::receipt::Answer;
use sealpost_terminal::{Failure, clock, rfc3339, short, short_address, style};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The message: its id, or how it begins
    id: String,
}

#[derive(serde::Serialize)]
struct Slot {
    recipient: Option<String>,
    contact: Option<String>,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<BlockHeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

#[derive(serde::Serialize)]
pub(super) struct Report {
    id: String,
    from: String,
    height: BlockHeight,
    index: u32,
    time: String,
    slots: Vec<Slot>,
}

pub(super) fn status(args: &StatusArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let timeline = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let id = wallet.resolve(&light, &args.id).await.map_err(failure)?;
        wallet.timeline(&light, &id).await.map_err(failure)
    })?;
    let terminal = session.terminal;
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let message = &timeline.message;
    let report = report(&wallet, &contacts, &timeline);
    terminal.say(format_args!("Message  {}", report.id));
    terminal.say(style::held(format_args!("signed   {}", short_address(&report.from))));
    terminal.say(style::held(format_args!(
        "final    block {}, position {}, {}",
        report.height,
        report.index,
        clock(message.header.time_ms)
    )));
    for (slot, entry) in timeline.slots.iter().zip(&report.slots) {
        let shown = entry.recipient.as_ref().map_or("hidden".into(), short_address);
        let who = entry.contact.as_ref().map_or(shown.clone(), |name| format!("{name} ({shown})"));
        match &slot.answer {
            SlotAnswer::Answered { receipt, .. } => {
                let why = entry.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                terminal.say(style::held(format_args!(
                    "{:<8} {who}{why}: block {}, {}, receipt {}",
                    entry.answer,
                    receipt.header.height,
                    clock(receipt.header.time_ms),
                    short(receipt.id())
                )));
            }
            SlotAnswer::Silent { until } => terminal.say(format_args!(
                "· silent   {who}: no answer up to block {} (proof of absence)",
                until.height
            )),
            SlotAnswer::Hidden => {
                terminal.say(format_args!("· hidden   {who}: answers inside sealed messages"))
            }
        }
    }
    terminal.emit("sealpost/status/1", &report);
    Ok(())
}

pub(super) fn report(wallet: &Wallet, contacts: &Contacts, timeline: &Timeline) -> Report {
    let (message, prefix) = (&timeline.message, wallet.genesis().prefix());
    Report {
        id: message.id().to_string(),
        from: message.transaction.sender().to_text(prefix),
        height: message.header.height,
        index: message.index,
        time: rfc3339(message.header.time_ms),
        slots: timeline.slots.iter().map(|answer| slot(wallet, contacts, answer)).collect(),
    }
}

fn slot(wallet: &Wallet, contacts: &Contacts, slot: &TimelineSlot) -> Slot {
    let recipient = slot.recipient.map(|address| address.to_text(wallet.genesis().prefix()));
    let contact = slot.recipient.and_then(|address| contacts.name_of(&address).map(str::to_owned));
    let with = |answer, reason, receipt, header: Option<&Header>| Slot {
        recipient,
        contact,
        answer,
        reason,
        receipt,
        height: header.map(|header| header.height),
        time: header.map(|header| rfc3339(header.time_ms)),
    };
    match &slot.answer {
        SlotAnswer::Answered { receipt, answer } => {
            let (word, reason) = match answer {
                Answer::Opened { .. } => ("opened", None),
                Answer::Refused { reason } => ("refused", Some(reason.code())),
            };
            with(word, reason, Some(receipt.id().to_string()), Some(&receipt.header))
        }
        SlotAnswer::Silent { until } => with("silent", None, None, Some(until)),
        SlotAnswer::Hidden => with("hidden", None, None, None),
    }
}
