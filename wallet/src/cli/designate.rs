//! `designate`: says on the ledger where notices of a class are received.

use super::progress::PostageWatch;
use super::{Session, runtime};
use crate::failure;
use clap::Args;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::membership::{MAX_CLASS_BYTES, is_class};
use sealpost_terminal::{Failure, short, style};

#[derive(Debug, Clone, Args)]
pub(super) struct DesignateArgs {
    /// Class of notices, in the network's own words: 1 to 64 of a-z, 0-9, dot and hyphen
    class: String,
    /// Who receives them: a contact or an address; this wallet's own address withdraws a redirection
    to: String,
}

#[derive(serde::Serialize)]
pub(super) struct Designated {
    pub(super) class: String,
    pub(super) to: String,
    pub(super) id: String,
    pub(super) height: Option<BlockHeight>,
}

pub(super) fn check_class(class: &str) -> Result<(), Failure> {
    if is_class(class) {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "class: {class:?} is none; 1 to {MAX_CLASS_BYTES} of a-z, 0-9, dot and hyphen are one"
    )))
}

pub(super) fn designate(args: &DesignateArgs, session: &Session<'_>) -> Result<(), Failure> {
    check_class(&args.class)?;
    let wallet = session.wallet()?;
    let to = wallet.profile().contacts().map_err(failure)?.resolve(&args.to).map_err(failure)?;
    let sent = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let watch = PostageWatch::new(session.terminal);
        let progress = |tried, work| watch.hear(tried, work);
        wallet.designate(&light, &args.class, to, &progress).await.map_err(failure)
    })?;
    let height = sent.place.map(|place| place.header.height);
    let place = height.map_or("accepted".into(), |height| format!("final in block {height}"));
    let text = to.to_text(wallet.genesis().prefix());
    session.terminal.say(style::held(format_args!(
        "notices of class {} are received by {text}, {place}  {}",
        args.class,
        short(sent.id)
    )));
    let answer = Designated { class: args.class.clone(), to: text, id: sent.id.to_string(), height };
    session.terminal.emit("sealpost/designate/1", &answer);
    Ok(())
}
