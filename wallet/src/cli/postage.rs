//! `postage`: what sending costs now.

use super::{Session, runtime};
use crate::failure;
use clap::Args;
use sealpost_api::PostageQuote;
use sealpost_ledger::postage::work;
use sealpost_terminal::{Failure, bytes, grouped};

#[derive(Debug, Args)]
pub(super) struct PostageArgs {
    /// Size of the whole transaction with its body, in bytes
    #[arg(default_value_t = 2048)]
    bytes: u64,
}

#[derive(serde::Serialize)]
struct Quoted {
    #[serde(flatten)]
    quote: PostageQuote,
    /// What `send` pays: for the higher of the two prices.
    work_sent: u64,
}

pub(super) fn postage(args: &PostageArgs, session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    let quote = runtime()?
        .block_on(async { session.light(&profile).await?.postage(args.bytes).await.map_err(failure) })?;
    let terminal = session.terminal;
    terminal.say(format_args!(
        "Price    {} expected hashes per KiB, for block {}",
        grouped(quote.price),
        quote.height
    ));
    terminal.say(format_args!("Work     {} expected hashes for {}", grouped(quote.work), bytes(quote.bytes)));
    let for_sure = quote.price.max(quote.price_after);
    let work_sent = work(for_sure, usize::try_from(quote.bytes).unwrap_or(usize::MAX));
    terminal.say(format_args!(
        "Sending  {} expected hashes: enough for the block after, too, whose price may be {}",
        grouped(work_sent),
        grouped(for_sure)
    ));
    terminal.emit("sealpost/postage/1", &Quoted { quote, work_sent });
    Ok(())
}
