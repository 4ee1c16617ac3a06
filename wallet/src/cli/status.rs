//! `status`: how a message stands with each recipient, all of it verified.

use super::scan::scan;
use super::{Session, runtime};
use crate::failure;
use crate::light::SlotAnswer;
use clap::Args;
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
struct Report {
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
        if wallet.sent_sealed(&id).map_err(failure)? {
            scan(session, &wallet, &light).await?;
        }
        wallet.timeline(&light, &id).await.map_err(failure)
    })?;
    let (terminal, prefix) = (session.terminal, wallet.genesis().prefix());
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let message = &timeline.message;
    let mut report = Report {
        id: message.id().to_string(),
        from: message.transaction.sender().to_text(prefix),
        height: message.header.height,
        index: message.index,
        time: rfc3339(message.header.time_ms),
        slots: Vec::new(),
    };
    terminal.say(format_args!("Message  {}", report.id));
    terminal.say(style::held(format_args!("signed   {}", short_address(&report.from))));
    terminal.say(style::held(format_args!(
        "final    block {}, position {}, {}",
        report.height,
        report.index,
        clock(message.header.time_ms)
    )));
    for slot in &timeline.slots {
        let recipient = slot.recipient.map(|address| address.to_text(prefix));
        let contact = slot.recipient.and_then(|address| contacts.name_of(&address).map(str::to_owned));
        let shown = recipient.as_ref().map_or("hidden".into(), short_address);
        let who = contact.clone().map_or(shown.clone(), |name| format!("{name} ({shown})"));
        let mut entry = Slot {
            recipient,
            contact,
            answer: "hidden",
            reason: None,
            receipt: None,
            height: None,
            time: None,
        };
        match &slot.answer {
            SlotAnswer::Answered { receipt, answer } => {
                (entry.answer, entry.reason) = match answer {
                    Answer::Opened { .. } => ("opened", None),
                    Answer::Refused { reason } => ("refused", Some(reason.code())),
                };
                entry.receipt = Some(receipt.id().to_string());
                entry.height = Some(receipt.header.height);
                entry.time = Some(rfc3339(receipt.header.time_ms));
                let why = entry.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                let inside = receipt.transaction.message().map_or("receipt", |_| "in sealed reply");
                terminal.say(style::held(format_args!(
                    "{:<8} {who}{why}: block {}, {}, {inside} {}",
                    entry.answer,
                    receipt.header.height,
                    clock(receipt.header.time_ms),
                    short(receipt.id())
                )));
            }
            SlotAnswer::Silent { until } => {
                entry.answer = "silent";
                entry.height = Some(until.height);
                entry.time = Some(rfc3339(until.time_ms));
                terminal.say(format_args!(
                    "· silent   {who}: no answer up to block {} (proof of absence)",
                    until.height
                ));
            }
            SlotAnswer::Hidden => {
                terminal.say(format_args!("· hidden   {who}: no answer among the sealed messages found here"))
            }
        }
        report.slots.push(entry);
    }
    terminal.emit("sealpost/status/1", &report);
    Ok(())
}
