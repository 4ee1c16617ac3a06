//! What the commands that read have in common: letters come from the ledger or from the archive, and go to the
//! archive when they are opened; a name or the beginning of an id finds them without a node too.

use super::Session;
use super::progress::ScanWatch;
use super::scan::scan;
use crate::archive::Mark;
use crate::failure;
use crate::light::Light;
use crate::wallet::{CaughtUp, Reading, Source, Wallet, WalletError};
use clap::ValueEnum;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure};

/// Whether letters that were opened are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Keeping {
    /// Keep them, encrypted, on this machine
    #[default]
    On,
    /// Keep nothing more
    Off,
}

impl Session<'_> {
    /// Whether letters that are opened are to be kept.
    pub(super) fn keeps(&self) -> bool {
        self.settings.archive == Keeping::On
    }
    /// A reading: from the ledger, or from the archive if its key is gone or no node answers.
    pub(super) async fn reading(&self, wallet: &Wallet, text: &str) -> Result<(Reading, Source), Failure> {
        let light = self.light(wallet.profile()).await;
        reading(wallet, light.as_ref().map_err(Clone::clone), text).await
    }
    /// Keeps what was opened, if that is wanted, and remembers that it was read.
    /// `whole_text` is the text of one that goes on in parts.
    pub(super) fn remember(
        &self,
        wallet: &Wallet,
        reading: &Reading,
        source: Source,
        whole_text: Option<String>,
    ) -> Result<(), Failure> {
        if self.keeps() && source == Source::Ledger {
            match wallet.keep(reading, whole_text) {
                Ok(_) => {}
                // It is on the screen; that it is not kept must not hide it.
                Err(error) => self.terminal.warn(format_args!("it is not kept: {error}")),
            }
        }
        wallet.archive().mark(&reading.message.id(), Mark::Read).map_err(failure)
    }
    /// Opens and keeps what came since, if letters are kept and a node answers; otherwise says why what
    /// follows may lack something.
    pub(super) async fn catch_up_if_possible(&self, wallet: &Wallet, offline: bool) -> Result<(), Failure> {
        if offline {
            return Ok(());
        }
        if !self.keeps() {
            self.terminal
                .note("The archive is off: letters that came are here only as far as they were kept before.");
            return Ok(());
        }
        match self.catch_up(wallet, wallet.archive().caught_up()).await {
            Ok(_) => Ok(()),
            Err(away) if is_away(&away) => {
                self.terminal.warn(format_args!("{away}; what came since then is not here"));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
    /// Opens and keeps what came from a height on.
    pub(super) async fn catch_up(
        &self,
        wallet: &Wallet,
        from: Option<BlockHeight>,
    ) -> Result<CaughtUp, Failure> {
        let light = self.light(wallet.profile()).await?;
        scan(self, wallet, &light).await?;
        let watch = ScanWatch::new(self.terminal);
        wallet.catch_up(&light, from, &|count| watch.hear(count)).await.map_err(failure)
    }
    /// The message that a text means: one that is here, or one that the node knows.
    pub(super) async fn resolve(&self, wallet: &Wallet, text: &str) -> Result<TransactionId, Failure> {
        match wallet.resolve_kept(text) {
            Err(WalletError::NotKept { .. }) => {
                let light = self.light(wallet.profile()).await?;
                wallet.resolve(&light, text).await.map_err(failure)
            }
            resolved => resolved.map_err(failure),
        }
    }
    /// Says that some of the archive could not be read.
    pub(super) fn warn_unreadable(&self, count: usize) {
        if count > 0 {
            self.terminal.warn(format_args!(
                "{count} files of the archive can't be read: they were altered, or belong to another wallet; \
                 `sealpost sync --all` keeps anew what can still be opened"
            ));
        }
    }
}

/// A reading by a connection, or from the archive if there is none because no node answers.
pub(super) async fn reading(
    wallet: &Wallet,
    light: Result<&Light, Failure>,
    text: &str,
) -> Result<(Reading, Source), Failure> {
    let light = match light {
        Ok(light) => light,
        Err(away) if is_away(&away) => {
            let kept = wallet.resolve_kept(text).and_then(|id| wallet.recall(&id));
            return kept.ok().flatten().ok_or(away);
        }
        Err(failure) => return Err(failure),
    };
    let id = wallet.resolve(light, text).await.map_err(failure)?;
    wallet.read_or_recall(light, &id).await.map_err(failure)
}

/// For commands that need a node: says what needs none.
pub(super) fn or_offline(failure: Failure) -> Failure {
    if !is_away(&failure) {
        return failure;
    }
    let help = failure.help.clone().map(|help| format!("{help}; ")).unwrap_or_default();
    failure.help(format!(
        "{help}letters that are on this machine need none: sealpost search WORDS, sealpost thread ID --offline, \
         sealpost read ID"
    ))
}

pub(super) fn is_away(failure: &Failure) -> bool {
    failure.exit == Exit::Unavailable && failure.code == "node.unreachable"
}
