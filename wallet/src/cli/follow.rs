//! `inbox --follow`: messages as they come. A node that is away is asked again from where it stopped, so that
//! nothing is missed and nothing is shown twice; what a hook was told of outlives this program.

mod cursor;

use super::inbox::{Entry, entry, print};
use super::notify::Hook;
use super::{Session, own_keys};
use crate::failure;
use crate::light::{Light, LightError};
use crate::wallet::{Incoming, Standing, Wallet, WalletError};
use cursor::Cursor;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure, printable};
use std::collections::BTreeSet;
use std::time::Duration;

/// Waits between two attempts to reach a node: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Pause between two looks for new sealed messages: nobody tells a wallet of those that are for it.
pub(super) const SCAN_EVERY: Duration = Duration::from_secs(5);
/// How often a running wallet looks after its keys.
pub(super) const TEND_EVERY: Duration = Duration::from_secs(60 * 60);

/// What is done with each message.
pub(super) struct Follower<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) wallet: &'a mut Wallet,
    /// What was on the screen before.
    pub(super) shown: BTreeSet<TransactionId>,
    pub(super) hook: Option<Hook>,
    /// Whether the hook is given the text.
    pub(super) with_text: bool,
    /// Whether sealed messages are looked for, too.
    pub(super) scans: bool,
    /// How the own entry in the key directory stood when it was last told.
    pub(super) own_entry: Option<Standing>,
}

impl Follower<'_> {
    /// Follows from a height on, until somebody ends it or a node lies.
    pub(super) async fn follow(&mut self, light: Light, from: BlockHeight) -> Result<(), Failure> {
        let sealed = self.wallet.scan_state().map_err(failure)?.found().len();
        let mut cursor = match self.hook {
            Some(_) => Cursor::kept(self.wallet.follow_path().map_err(failure)?, from, sealed)?,
            None => Cursor::new(from, sealed),
        };
        let ended = self.go_on(light, &mut cursor).await;
        if let Some(hook) = &mut self.hook {
            hook.finish().await;
        }
        ended
    }
    async fn go_on(&mut self, light: Light, cursor: &mut Cursor) -> Result<(), Failure> {
        let (mut light, mut wait, mut told) = (Some(light), FIRST_WAIT, false);
        loop {
            let ended = match light.take() {
                Some(light) => self.listen(&light, cursor, &mut wait, &mut told).await,
                None => match self.session.light(self.wallet.profile()).await {
                    Ok(found) => {
                        light = Some(found);
                        continue;
                    }
                    Err(failure) => Err(failure),
                },
            };
            let reason = match ended {
                Ok(()) => "it ended the subscription".to_owned(),
                Err(away) if away.exit == Exit::Unavailable && away.code.starts_with("node.") => away.message,
                Err(failure) => return Err(failure),
            };
            if !told {
                self.session.terminal.warn(format_args!("the node is away: {reason}; asking again"));
                told = true;
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }
    /// One subscription, to its end.
    async fn listen(
        &mut self,
        light: &Light,
        cursor: &mut Cursor,
        wait: &mut Duration,
        told: &mut bool,
    ) -> Result<(), Failure> {
        let mut incoming = light.follow(&self.wallet.address(), cursor.height()).await.map_err(failure)?;
        *wait = FIRST_WAIT;
        if std::mem::take(told) {
            self.session.terminal.note("the node is back");
        }
        // The first tick of each comes at once.
        let (mut looking, mut tending) =
            (tokio::time::interval(SCAN_EVERY), tokio::time::interval(TEND_EVERY));
        loop {
            let proven = {
                let mut next = std::pin::pin!(incoming.next(light));
                loop {
                    tokio::select! {
                        proven = &mut next => break proven.map_err(failure)?,
                        _ = looking.tick() => self.look(light, cursor).await?,
                        _ = tending.tick() => self.tend(light).await?,
                    }
                }
            };
            let Some(proven) = proven else { return Ok(()) };
            self.wallet.refresh().map_err(failure)?;
            // What comes on this line are answers to our own messages, too.
            if let Some(found) = self.wallet.incoming(proven)
                && !self.wallet.is_part(light, &found).await.map_err(failure)?
            {
                self.hear(light, cursor, found).await?;
            }
        }
    }
    /// Does what is due with the wallet's keys, and says each state of the own entry once.
    async fn tend(&mut self, light: &Light) -> Result<(), Failure> {
        let terminal = self.session.terminal;
        let tended = match own_keys::tend(self.session, self.wallet, light, &|_, _| true).await {
            Ok(tended) => tended,
            // A node that lies is not followed. Everything else is tried again an hour later; the subscription says if
            // the node is gone.
            Err(lie) if lie.exit == Exit::Untrusted => return Err(lie),
            Err(other) => {
                terminal.warn(format_args!("the keys were not looked after: {other}"));
                return Ok(());
            }
        };
        own_keys::tell_tended(terminal, &tended);
        let before = self.own_entry.replace(tended.own.standing);
        if before != Some(tended.own.standing) && tended.rotated.is_none() {
            own_keys::tell(terminal, &tended.own);
        }
        Ok(())
    }
    /// Looks whether the node still shows new blocks, and for sealed messages. One that withholds the newest blocks ends no
    /// subscription: that nothing comes any more would look like silence.
    async fn look(&mut self, light: &Light, cursor: &mut Cursor) -> Result<(), Failure> {
        if self.scans {
            self.scan(light, cursor).await?;
        } else {
            light.head().await.map_err(failure)?;
        }
        self.session.watch_age(light);
        Ok(())
    }
    /// Looks for sealed messages that are new. How far a scan has come is kept by the wallet itself.
    async fn scan(&mut self, light: &Light, cursor: &mut Cursor) -> Result<(), Failure> {
        self.wallet.refresh().map_err(failure)?;
        self.wallet.scan(light, &|_| {}).await.map_err(failure)?;
        let (letters, found) = self.wallet.sealed_since(light, cursor.sealed()).await.map_err(failure)?;
        for letter in letters {
            self.show(light, &letter).await?;
        }
        cursor.pass_sealed(found)
    }
    async fn hear(&mut self, light: &Light, cursor: &mut Cursor, found: Incoming) -> Result<(), Failure> {
        let (id, height) = (found.message.id(), found.message.header.height);
        if cursor.knows(self.wallet, height, &id) {
            return Ok(());
        }
        self.show(light, &found).await?;
        cursor.pass(self.wallet, height, &id)
    }
    async fn show(&mut self, light: &Light, found: &Incoming) -> Result<(), Failure> {
        let id = found.message.id();
        let entry = entry(self.wallet, found)?;
        if !self.shown.contains(&id) {
            print(self.session, &entry);
            self.session.terminal.emit("sealpost/inbox-entry/1", &entry);
        }
        if self.hook.is_some() {
            let text = if self.with_text { self.text(light, &id, &entry).await? } else { None };
            if let Some(hook) = &mut self.hook {
                hook.run(&entry, text).await;
            }
        }
        Ok(())
    }
    /// Subject and text, if the message can be opened; a person who asked for it has not read it by that.
    async fn text(
        &self,
        light: &Light,
        id: &TransactionId,
        entry: &Entry,
    ) -> Result<Option<String>, Failure> {
        match self.wallet.read_or_recall(light, id).await {
            Ok((reading, _)) => {
                if self.session.keeps() {
                    self.wallet.keep(&reading, None).map_err(failure)?;
                }
                Ok(Some(format!("{}\n\n{}", printable(&reading.letter.subject), reading.letter.text)))
            }
            Err(WalletError::Light(error @ LightError::Unreachable { .. })) => Err(failure(error)),
            Err(error) => {
                self.session.terminal.warn(format_args!("{} can't be opened: {error}", entry.id));
                Ok(None)
            }
        }
    }
}
