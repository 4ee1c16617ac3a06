//! `status` and `sent`: how what was sent stands with each recipient, all of it verified.

use super::follow::SCAN_EVERY;
use super::keeping::{is_away, or_offline};
use super::scan::{scan, warn_set_aside};
use super::{Session, runtime};
use crate::contacts::Contacts;
use crate::failure;
use crate::light::{Light, Proven, SlotAnswer};
use crate::wallet::{SentStanding, Timeline, TimelineSlot, Wallet};
use clap::Args;
use sealpost_ledger::block::Header;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::receipt::Answer;
use sealpost_ledger::transaction::Payload;
use sealpost_terminal::{Exit, Failure, clock, counted, rfc3339, short, short_address, style};
use std::time::Duration;

/// How often a message that is in no block yet is asked for.
const PAUSE: Duration = Duration::from_secs(2);
/// The end of waiting.
const ALL_ANSWERED: &str = "every recipient has answered";
/// More recipients than these are counted in lists, not named.
const NAMED: usize = 8;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sealpost status 5d0c1f2e
  sealpost status 5d0c1f2e --follow     until every recipient has answered; Ctrl-C ends it")]
pub(super) struct StatusArgs {
    /// The message: its id, or how it begins
    id: String,
    /// Go on, and show answers as they come, until there is one from every recipient
    #[arg(short, long)]
    follow: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sealpost sent
  sealpost sent 5d0c1f2e                the same as `sealpost status 5d0c1f2e`")]
pub(super) struct SentArgs {
    /// One message: its id, or how it begins; without it the newest ones
    id: Option<String>,
    /// Show at most so many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
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
    /// `final`, `waiting`, `uncertain` or `void`.
    status: &'static str,
    from: String,
    height: Option<BlockHeight>,
    index: Option<u32>,
    time: String,
    /// Last height whose block may contain it.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<BlockHeight>,
    /// What shows that all recipients got the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_for_all: Option<SameForAll>,
    /// Parts that went ahead of an own message.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    slots: Vec<Slot>,
}

#[derive(serde::Serialize)]
struct SameForAll {
    recipients: usize,
    body_hash: String,
    key_commit: String,
    content_commit: String,
}

#[derive(serde::Serialize)]
struct Listed {
    messages: Vec<Report>,
}

#[derive(serde::Serialize)]
struct Change<'a> {
    id: String,
    #[serde(flatten)]
    slot: &'a Slot,
}

pub(super) fn status(args: &StatusArgs, session: &Session<'_>) -> Result<(), Failure> {
    show(&args.id, args.follow, session)
}

pub(super) fn sent(args: &SentArgs, session: &Session<'_>) -> Result<(), Failure> {
    if let Some(id) = &args.id {
        return show(id, false, session);
    }
    let wallet = session.wallet()?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let (session_terminal, mut listed) = (session.terminal, Listed { messages: Vec::new() });
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await.map_err(or_offline)?;
        for id in wallet.sent(&light, limit).await.map_err(failure)? {
            let report = report(&wallet, &light, &contacts, id).await?;
            print_brief(session, &report);
            listed.messages.push(report);
        }
        Ok::<_, Failure>(())
    })?;
    if listed.messages.is_empty() {
        session_terminal.note("nothing was sent from here yet");
    }
    session_terminal.emit("sealpost/sent/1", &listed);
    Ok(())
}

/// One message; also what `outbox ID` shows.
pub(super) fn show(id: &str, follow: bool, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let contacts = wallet.profile().contacts().map_err(failure)?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await.map_err(or_offline)?;
        let id = wallet.resolve(&light, id).await.map_err(failure)?;
        if wallet.sent_sealed(&id).map_err(failure)? {
            scan(session, &wallet, &light).await?;
        }
        // Asked for before, so that no answer falls between what is shown and what is followed.
        let mut next = light.next_height().await.map_err(failure)?;
        let mut report = report(&wallet, &light, &contacts, id).await?;
        print(session, &report);
        session.terminal.emit("sealpost/status/1", &report);
        if !follow {
            return Ok(());
        }
        while matches!(report.status, "waiting" | "uncertain") {
            tokio::time::sleep(PAUSE).await;
            next = light.next_height().await.map_err(failure)?;
            session.watch_age(&light);
            let before = report.status;
            report = self::report(&wallet, &light, &contacts, id).await?;
            if report.status != before {
                print(session, &report);
                session.terminal.emit("sealpost/status/1", &report);
            }
            if session.terminal.is_unread() {
                return Ok(());
            }
        }
        check_not_void(&report)?;
        match wallet.sent_sealed(&id).map_err(failure)? {
            true => follow_sealed(session, &mut wallet, &light, &contacts, id, report).await,
            false => follow_answers(session, &wallet, &light, &contacts, id, report, next).await,
        }
    })
}

/// Nobody ever answers a message that no block contains: whoever waits for answers is told, by the exit code too.
fn check_not_void(report: &Report) -> Result<(), Failure> {
    if report.status != "void" {
        return Ok(());
    }
    let (id, expiry) = (&report.id, report.expiry.unwrap_or_default());
    let message = format!("{id} is void: no block up to {expiry} contains it, so nobody can answer it");
    Err(Failure::new(Exit::No, "status.void", message).help("send it again"))
}

/// Looks whether the node still shows new blocks. One that withholds the newest ends no subscription: that nobody
/// answers any more would look like silence. If it is gone, the subscription says so.
async fn look(session: &Session<'_>, light: &Light) -> Result<(), Failure> {
    if let Err(lie) = light.head().await.map_err(failure)
        && lie.exit == Exit::Untrusted
    {
        return Err(lie);
    }
    session.watch_age(light);
    Ok(())
}

/// Waits for the answers to a sealed message. They come in sealed replies, which only a scan finds.
async fn follow_sealed(
    session: &Session<'_>,
    wallet: &mut Wallet,
    light: &Light,
    contacts: &Contacts,
    id: TransactionId,
    mut before: Report,
) -> Result<(), Failure> {
    if before.status != "final" {
        return Ok(());
    }
    let open = |report: &Report| report.slots.iter().filter(|slot| slot.answer == "hidden").count();
    match open(&before) {
        0 => return Ok(()),
        count => session.terminal.note(format_args!(
            "Waiting for {} more among the sealed messages; Ctrl-C ends it.",
            counted(count as u64, "answer")
        )),
    }
    let answers = |wallet: &Wallet| {
        let state = wallet.scan_state().map_err(failure)?;
        Ok::<_, Failure>(state.answers().iter().filter(|held| held.receipt.message == id).count())
    };
    let mut known = answers(wallet)?;
    let mut away = false;
    loop {
        tokio::time::sleep(SCAN_EVERY).await;
        // Another program may have made keys that the next answer is sealed to.
        wallet.refresh().map_err(failure)?;
        let scanned = wallet.scan(light, &|_| {}).await.map_err(failure);
        warn_set_aside(session.terminal, wallet);
        session.watch_age(light);
        match scanned {
            Ok(_) => away = false,
            Err(failure) if is_away(&failure) => {
                if !std::mem::replace(&mut away, true) {
                    session.terminal.warn(format_args!("{failure}; asking again"));
                }
                continue;
            }
            Err(failure) => return Err(failure),
        }
        // The node is asked for messages only if there is something new: each question shows whose they are.
        let found = answers(wallet)?;
        if std::mem::replace(&mut known, found) == found {
            continue;
        }
        let now = report(wallet, light, contacts, id).await?;
        let both = before.slots.iter().zip(&now.slots);
        for (_, slot) in both.filter(|(before, now)| before.answer != now.answer) {
            print_slot(session, slot);
            session.terminal.emit("sealpost/status-change/1", &Change { id: id.to_string(), slot });
        }
        if session.terminal.is_unread() {
            return Ok(());
        }
        if open(&now) == 0 {
            session.terminal.note(ALL_ANSWERED);
            return Ok(());
        }
        before = now;
    }
}

/// Waits for the answers that are still open, by a subscription.
async fn follow_answers(
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
    contacts: &Contacts,
    id: TransactionId,
    report: Report,
    from: BlockHeight,
) -> Result<(), Failure> {
    if report.slots.iter().any(|slot| slot.answer == "hidden") {
        let message =
            "answers to a sealed message come in sealed replies, which only its author's wallet finds";
        return Err(Failure::usage(message).help("follow it with the wallet that wrote it"));
    }
    let mut open: Vec<usize> =
        report.slots.iter().enumerate().filter(|(_, slot)| slot.answer == "silent").map(|(n, _)| n).collect();
    if report.status != "final" || open.is_empty() {
        return Ok(());
    }
    let message = light.transaction(&id).await.map_err(failure)?;
    let sender = message.map_or(wallet.address(), |message| message.transaction.sender());
    let count = counted(open.len() as u64, "answer");
    session.terminal.note(format_args!("Waiting for {count} more; Ctrl-C ends it."));
    // Receipts are told to whoever follows the sender's address.
    let mut coming = light.follow(&sender, from).await.map_err(failure)?;
    let mut looking = tokio::time::interval(SCAN_EVERY);
    loop {
        let proven = {
            let mut next = std::pin::pin!(coming.next(light));
            loop {
                tokio::select! {
                    proven = &mut next => break proven.map_err(failure)?,
                    _ = looking.tick() => look(session, light).await?,
                }
            }
        };
        let Some(proven) = proven else { break };
        let Payload::Receipt(receipt) = proven.transaction.payload() else { continue };
        let (of, number, answer) = (receipt.message, usize::from(receipt.slot), receipt.answer);
        if of != id || !open.contains(&number) {
            continue;
        }
        let by = proven.transaction.sender();
        let slot = slot(
            wallet,
            contacts,
            &TimelineSlot {
                recipient: Some(by),
                answer: SlotAnswer::Answered { receipt: Box::new(proven), answer },
            },
        );
        print_slot(session, &slot);
        session.terminal.emit("sealpost/status-change/1", &Change { id: id.to_string(), slot: &slot });
        if session.terminal.is_unread() {
            return Ok(());
        }
        open.retain(|other| *other != number);
        if open.is_empty() {
            session.terminal.note(ALL_ANSWERED);
            return Ok(());
        }
    }
    Err(Failure::unavailable("node.unreachable", "the node ended the subscription").help("run it again"))
}

pub(super) async fn report(
    wallet: &Wallet,
    light: &Light,
    contacts: &Contacts,
    id: TransactionId,
) -> Result<Report, Failure> {
    let not_final = |status, expiry, to: Vec<String>, signed_ms| Report {
        id: id.to_string(),
        status,
        from: wallet.address_text(),
        height: None,
        index: None,
        time: rfc3339(signed_ms),
        expiry: Some(expiry),
        same_for_all: None,
        parts: None,
        slots: to.into_iter().map(|address| unsent(contacts, address)).collect(),
    };
    Ok(match wallet.standing(light, &id).await.map_err(failure)? {
        SentStanding::Final(timeline) => {
            let entry = wallet.outbox().get(&id).map_err(failure)?;
            let parts = entry.and_then(|entry| entry.parcel).map(|parcel| parcel.parts);
            Report { parts: parts.filter(|parts| *parts > 0), ..final_report(wallet, contacts, &timeline) }
        }
        SentStanding::Waiting { expiry, to, signed_ms } => not_final("waiting", expiry, to, signed_ms),
        SentStanding::Uncertain { expiry, to, signed_ms } => not_final("uncertain", expiry, to, signed_ms),
        SentStanding::Void { expiry, to, signed_ms } => not_final("void", expiry, to, signed_ms),
    })
}

fn final_report(wallet: &Wallet, contacts: &Contacts, timeline: &Timeline) -> Report {
    let message = &timeline.message;
    Report {
        id: message.id().to_string(),
        status: "final",
        // A sealed message's sender on the ledger is a key made for it alone.
        from: match wallet.sent_sealed(&message.id()) {
            Ok(true) => wallet.address_text(),
            _ => message.transaction.sender().to_text(wallet.genesis().prefix()),
        },
        height: Some(message.header.height),
        index: Some(message.index),
        time: rfc3339(message.header.time_ms),
        expiry: None,
        same_for_all: same_for_all(message),
        parts: None,
        slots: timeline.slots.iter().map(|answer| slot(wallet, contacts, answer)).collect(),
    }
}

fn same_for_all(message: &Proven) -> Option<SameForAll> {
    let header = message.transaction.message().filter(|header| header.slots.len() > 1)?;
    Some(SameForAll {
        recipients: header.slots.len(),
        body_hash: header.body_hash.to_string(),
        key_commit: header.key_commit.to_string(),
        content_commit: header.content_commit.to_string(),
    })
}

fn unsent(contacts: &Contacts, address: String) -> Slot {
    let contact = contacts.resolve(&address).ok().and_then(|a| contacts.name_of(&a).map(str::to_owned));
    Slot {
        recipient: Some(address),
        contact,
        answer: "none",
        reason: None,
        receipt: None,
        height: None,
        time: None,
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

fn print(session: &Session<'_>, report: &Report) {
    let terminal = session.terminal;
    terminal.say(format_args!("Message  {}", report.id));
    let time = of_rfc3339(&report.time);
    terminal.say(style::held(format_args!("signed   {}", short_address(&report.from))));
    match (report.height, report.index) {
        (Some(height), Some(index)) => {
            terminal.say(style::held(format_args!("final    block {height}, position {index}, {time}")));
        }
        _ => terminal.say(waits(report)),
    }
    if let Some(parts) = report.parts {
        terminal.say(style::held(format_args!(
            "parts    {parts} of {parts} final, before the letter was signed"
        )));
    }
    if let Some(same) = &report.same_for_all {
        terminal.say(style::held(format_args!(
            "same     for all {} recipients: one body, one key and one content under one signature",
            same.recipients
        )));
    }
    for slot in &report.slots {
        print_slot(session, slot);
    }
    let id = report.id.get(..8).unwrap_or_default();
    let silent = report.slots.iter().filter(|slot| slot.answer == "silent");
    if let Some(until) = silent.filter_map(|slot| slot.height).min() {
        terminal.note(format_args!(
            "The proof of the silence, in a file: sealpost evidence absence {id} --until {until}"
        ));
    }
    if report.same_for_all.is_some() {
        terminal.note(style::faint(
            "That it is the same for all does not show that each could open it, nor that none got something else \
             besides.",
        ));
    }
}

/// How a message stands that is in no block.
fn waits(report: &Report) -> String {
    let expiry = report.expiry.unwrap_or_default();
    match report.status {
        "void" => style::not_held(format_args!(
            "void     no block after {expiry} may contain it, and the nodes say that none up to {expiry} does; send it again"
        )),
        "uncertain" => format!(
            "· uncertain  no block after {expiry} may contain it; not every node says whether one up to {expiry} does: \
             ask again before you send it again"
        ),
        _ => format!("· waiting  for its block; void if none up to {expiry} contains it"),
    }
}

fn print_slot(session: &Session<'_>, slot: &Slot) {
    let terminal = session.terminal;
    let shown = slot.recipient.as_ref().map_or("hidden".into(), short_address);
    let who = slot.contact.clone().map_or(shown.clone(), |name| format!("{name} ({shown})"));
    let height = slot.height.unwrap_or_default();
    match slot.answer {
        "silent" => {
            terminal.say(format_args!("· silent   {who}: no answer up to block {height} (proof of absence)"));
        }
        "hidden" => {
            terminal.say(format_args!("· hidden   {who}: no answer among the sealed messages found here"));
        }
        "none" => terminal.say(format_args!("· to       {who}")),
        answer => {
            let why = slot.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let receipt = slot.receipt.as_ref().map(short).unwrap_or_default();
            let time = slot.time.as_deref().map(of_rfc3339).unwrap_or_default();
            terminal.say(style::held(format_args!(
                "{answer:<8} {who}{why}: block {height}, {time}, receipt {receipt}"
            )));
        }
    }
}

/// A message in a list: who answered, or how many did.
fn print_brief(session: &Session<'_>, report: &Report) {
    let place = match report.height {
        Some(height) => format!("final in block {height}"),
        None => waits(report).trim_start_matches("· ").to_owned(),
    };
    let (id, time) = (short(&report.id), of_rfc3339(&report.time));
    session.terminal.say(format_args!("{id}  {time}  {place}"));
    if report.slots.len() <= NAMED {
        for slot in &report.slots {
            print_slot(session, slot);
        }
        return;
    }
    let count = |answer| report.slots.iter().filter(|slot| slot.answer == answer).count();
    let counts = ["opened", "refused", "silent", "hidden", "none"]
        .map(|answer| (answer, count(answer)))
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(answer, count)| format!("{count} {answer}"));
    let counts: Vec<_> = counts.collect();
    session.terminal.say(format_args!("· {} recipients: {}", report.slots.len(), counts.join(", ")));
}

fn of_rfc3339(text: &str) -> String {
    let ms = text.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_millisecond()).ok());
    ms.map_or_else(|| text.to_owned(), clock)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_answers_to_a_void_message_is_told_that_none_can_come() {
        let report = |status| Report {
            id: "5d0c".into(),
            status,
            from: "alice".into(),
            height: None,
            index: None,
            time: String::new(),
            expiry: Some(BlockHeight::new(70)),
            same_for_all: None,
            parts: None,
            slots: Vec::new(),
        };
        let failure = check_not_void(&report("void")).unwrap_err();
        assert_eq!((failure.exit, &*failure.code), (Exit::No, "status.void"));
        assert!(failure.message.contains("up to 70"), "{failure}");
        assert!(check_not_void(&report("final")).is_ok());
    }
}
