//! `postage`: what sending costs now.

use super::{Session, runtime};
use crate::failure;
use clap::Args;
use sealpost_terminal::{Failure, bytes, grouped};

#[derive(Debug, Args)]
pub(super) struct PostageArgs {
    /// Size of the whole transaction with its body, in bytes
    #[arg(default_value_t = 2048)]
    bytes: u64,
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
    terminal.emit("sealpost/postage/1", &quote);
    Ok(())
}
