//! `inbox --follow`: messages as they come. A node that is away is asked again from where it stopped, so that
//! nothing is missed and nothing is shown twice; what a hook was told of, and of what it is being told, outlives this
//! program.

mod cursor;

use super::inbox::{Entry, entry, print};
use super::notify::{Hook, Told};
use super::scan::warn_set_aside;
use super::{Session, own_keys, signals};
use crate::failure;
use crate::light::{Light, LightError};
use crate::scan::Heard;
use crate::wallet::{Incoming, Standing, Wallet, WalletError};
use cursor::Cursor;
use sealpost_api::Category;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure, counted, printable};
use std::collections::BTreeSet;
use std::time::Duration;

/// Waits between two attempts to reach a node: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Pause between two looks for new sealed messages: nobody tells a wallet of those that are for it.
pub(super) const SCAN_EVERY: Duration = Duration::from_secs(5);
/// How long hooks that run may go on after the request to stop.
const FAREWELL: Duration = Duration::from_secs(10);
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
        let sealed = Heard::all(self.wallet.archive(), &self.wallet.scan_state().map_err(failure)?);
        let mut cursor = match self.hook {
            Some(_) => Cursor::kept(self.wallet, from, sealed)?,
            None => Cursor::new(from, sealed),
        };
        if self.hook.is_none() {
            return self.go_on(light, &mut cursor).await;
        }
        // Whoever ends this does not end what the hook has begun.
        let stop = signals::listen(self.session.terminal);
        let ended = tokio::select! {
            ended = self.go_on(light, &mut cursor) => ended,
            exit = signals::asked(stop) => Err(Failure::silent(exit)),
        };
        self.farewell(&mut cursor).await?;
        ended
    }
    /// Waits until the hook has ended, but not for long: what has not is told again the next time.
    async fn farewell(&mut self, cursor: &mut Cursor) -> Result<(), Failure> {
        let Some(hook) = &mut self.hook else { return Ok(()) };
        let until = tokio::time::Instant::now() + FAREWELL;
        while let Ok(Some(told)) = tokio::time::timeout_at(until, hook.ended()).await {
            // One that failed now may have been stopped with this program.
            if told.well {
                cursor.done(self.wallet, &told.id)?;
            }
        }
        if hook.running() > 0 {
            let count = counted(hook.running() as u64, "message");
            self.session.terminal.warn(format_args!("notify: stopped for {count}; told again the next time"));
        }
        Ok(())
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
                Ok(()) if self.is_for_nobody() => return Ok(()),
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
        while let Some(id) = cursor.next_left() {
            self.tell_again(light, cursor, id).await?;
            cursor.went_on();
        }
        // The first tick of each comes at once.
        let (mut looking, mut tending) =
            (tokio::time::interval(SCAN_EVERY), tokio::time::interval(TEND_EVERY));
        while !self.is_for_nobody() {
            let proven = {
                let mut next = std::pin::pin!(incoming.next(light));
                loop {
                    tokio::select! {
                        proven = &mut next => break proven.map_err(failure)?,
                        _ = looking.tick() => {
                            self.look(light, cursor).await?;
                            if self.is_for_nobody() {
                                return Ok(());
                            }
                        }
                        _ = tending.tick() => self.tend(light).await?,
                        told = next_told(&mut self.hook) => cursor.done(self.wallet, &told.id)?,
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
        Ok(())
    }
    /// Whether nobody reads any more what is shown, and no hook is told of it.
    fn is_for_nobody(&self) -> bool {
        self.hook.is_none() && self.session.terminal.is_unread()
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
        let scanned = self.wallet.scan(light, &|_| {}).await;
        warn_set_aside(self.session.terminal, self.wallet);
        scanned.map_err(failure)?;
        let (letters, found) = self.wallet.sealed_since(light, cursor.sealed()).await.map_err(failure)?;
        for letter in letters {
            let id = letter.message.id();
            // One under way was noted before the scan was passed.
            if !cursor.is_under_way(self.wallet, &id) {
                let entry = self.show(&letter)?;
                self.tell(light, cursor, &id, &entry).await?;
            }
        }
        cursor.pass_sealed(found)
    }
    async fn hear(&mut self, light: &Light, cursor: &mut Cursor, found: Incoming) -> Result<(), Failure> {
        let (id, height) = (found.message.id(), found.message.header.height);
        if cursor.knows(self.wallet, height, &id) {
            return Ok(());
        }
        let entry = self.show(&found)?;
        if !cursor.is_under_way(self.wallet, &id) {
            self.tell(light, cursor, &id, &entry).await?;
        }
        cursor.pass(self.wallet, height, &id)
    }
    fn show(&mut self, found: &Incoming) -> Result<Entry, Failure> {
        let entry = entry(self.wallet, found)?;
        if self.shown.insert(found.message.id()) {
            print(self.session, &entry);
            self.session.terminal.emit("sealpost/inbox-entry/1", &entry);
        }
        Ok(entry)
    }
    /// Tells the hook of a message, if there is one. It is noted as under way before.
    async fn tell(
        &mut self,
        light: &Light,
        cursor: &mut Cursor,
        id: &TransactionId,
        entry: &Entry,
    ) -> Result<(), Failure> {
        if self.hook.is_none() {
            return Ok(());
        }
        let text = if self.with_text { self.text(light, id, entry).await? } else { None };
        cursor.begin(self.wallet, id)?;
        let Some(hook) = &mut self.hook else { return Ok(()) };
        while hook.is_full()
            && let Some(told) = hook.ended().await
        {
            cursor.done(self.wallet, &told.id)?;
        }
        hook.run(*id, entry, text);
        Ok(())
    }
    /// Tells the hook again of a message of which an earlier run did not hear that it had ended well.
    async fn tell_again(
        &mut self,
        light: &Light,
        cursor: &mut Cursor,
        id: TransactionId,
    ) -> Result<(), Failure> {
        match self.wallet.came(light, &id).await.map_err(failure)? {
            Some(found) => {
                let entry = entry(self.wallet, &found)?;
                self.tell(light, cursor, &id, &entry).await
            }
            None => {
                let terminal = self.session.terminal;
                terminal.warn(format_args!("notify: the node does not have {id}; told again the next time"));
                Ok(())
            }
        }
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
                let whole = match self.wallet.whole_text(light, &reading).await {
                    Ok(whole) => whole,
                    Err(error) => {
                        if let Some(away) = away_for_now(&error) {
                            return Err(away);
                        }
                        // Whoever names parts that are nowhere must not keep the hook from everything else.
                        let terminal = self.session.terminal;
                        terminal
                            .warn(format_args!("{}: only the text's beginning is told: {error}", entry.id));
                        None
                    }
                };
                if self.session.keeps() {
                    self.wallet.keep(&reading, whole.clone()).map_err(failure)?;
                }
                let text = whole.unwrap_or(reading.letter.text);
                Ok(Some(format!("{}\n\n{text}", printable(&reading.letter.subject))))
            }
            Err(error) => {
                if let Some(away) = away_for_now(&error) {
                    return Err(away);
                }
                self.session.terminal.warn(format_args!("{} can't be opened: {error}", entry.id));
                Ok(None)
            }
        }
    }
}

/// Whether a message could not be opened because of a node that may have it in a moment: the message is not passed then.
fn away_for_now(error: &WalletError) -> Option<Failure> {
    match error {
        WalletError::Light(error @ LightError::Unreachable { .. }) => Some(failure(error.clone())),
        WalletError::Light(LightError::Node(error))
            if matches!(error.category, Category::Busy | Category::Internal) =>
        {
            Some(Failure::unavailable("node.busy", error))
        }
        _ => None,
    }
}

/// The next message that the hook has been told of; never, while it is told of none.
async fn next_told(hook: &mut Option<Hook>) -> Told {
    match hook {
        Some(hook) if hook.running() > 0 => {
            if let Some(told) = hook.ended().await {
                return told;
            }
        }
        _ => {}
    }
    std::future::pending().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_api::ApiError;

    #[test]
    fn a_message_is_not_passed_while_a_node_is_busy_and_is_when_its_body_is_gone() {
        let node = |category, code: &str| {
            WalletError::Light(LightError::Node(ApiError::new(category, code.to_owned(), "said")))
        };
        for error in [node(Category::Busy, "node.busy"), node(Category::Internal, "internal.store")] {
            let away = away_for_now(&error).unwrap();
            // What `go_on` asks again after.
            assert!(away.exit == Exit::Unavailable && away.code.starts_with("node."), "{away}");
        }
        assert!(away_for_now(&node(Category::NotFound, "tx.body_pruned")).is_none());
    }
}
