//! `receipt give` and `refuse`: answers, always by hand.

use super::progress::PostageWatch;
use super::{Session, receipts, runtime};
use crate::failure;
use crate::wallet::Sent;
use clap::{Args, Subcommand};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::receipt::RefusalReason;
use sealpost_terminal::{Failure, style};

#[derive(Debug, Clone, Subcommand)]
pub(super) enum ReceiptCommand {
    /// Sign that you opened messages; it can't be taken back
    ///
    /// The receipt stands on the ledger. For a sealed message it goes to its author in a sealed reply: nobody else
    /// sees it.
    Give(receipts::GiveArgs),
    /// List the answers that were given and got
    List(receipts::ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct RefuseArgs {
    /// The message: its id, or how it begins
    id: String,
    /// Why: unspecified, not-responsible, unreadable, unwanted or other-channel
    #[arg(long, value_name = "CODE", default_value = "unspecified", value_parser = reason)]
    reason: RefusalReason,
}

#[derive(serde::Serialize)]
pub(super) struct Given<'a> {
    pub(super) message: String,
    pub(super) receipt: String,
    pub(super) answer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    pub(super) height: Option<BlockHeight>,
}

pub(super) fn reason(text: &str) -> Result<RefusalReason, String> {
    RefusalReason::from_code(text).ok_or_else(|| {
        let codes: Vec<_> = RefusalReason::ALL.iter().map(|reason| reason.code()).collect();
        format!("one of: {}", codes.join(", "))
    })
}

pub(super) fn receipt(command: &ReceiptCommand, session: &Session<'_>) -> Result<(), Failure> {
    let (id, demand) = match command {
        ReceiptCommand::List(args) => return receipts::list(args, session),
        ReceiptCommand::Give(args) => match args.ids.as_slice() {
            [id] => (id, args.demand(session)),
            _ => return receipts::give(args, session),
        },
    };
    let wallet = session.wallet()?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let id = wallet.resolve(&light, id).await.map_err(failure)?;
        let unanswered = wallet.to_answer(&light, &id, demand).await.map_err(failure)?;
        let watch = PostageWatch::new(session.terminal);
        let progress = |tried, work| watch.hear(tried, work);
        let sent = wallet.give_receipt(&light, &unanswered, &progress).await.map_err(failure)?;
        drop(watch);
        tell(session, id, sent, "opened", None);
        Ok(())
    })
}

pub(super) fn refuse(args: &RefuseArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let id = wallet.resolve(&light, &args.id).await.map_err(failure)?;
        let (slot, refusal) = wallet.refusal(&light, &id, args.reason).await.map_err(failure)?;
        let watch = PostageWatch::new(session.terminal);
        let progress = |tried, work| watch.hear(tried, work);
        let sent = wallet.answer(&light, id, slot, refusal, &progress).await.map_err(failure)?;
        drop(watch);
        tell(session, id, sent, "refused", Some(args.reason.code()));
        Ok(())
    })
}

fn tell(
    session: &Session<'_>,
    message: TransactionId,
    sent: Sent,
    word: &'static str,
    reason: Option<&'static str>,
) {
    let height = sent.place.map(|place| place.header.height);
    let place = height.map_or("accepted".into(), |height| format!("final in block {height}"));
    session.terminal.say(style::held(format_args!("{word}: your answer is {place}")));
    session.terminal.say(format_args!("Receipt  {}", sent.id));
    let (message, receipt) = (message.to_string(), sent.id.to_string());
    session.terminal.emit("sealpost/answer/1", &Given { message, receipt, answer: word, reason, height });
}
