//! `serve`: the wallet for programs in other languages, as JSON-RPC 2.0 on a Unix socket that only its owner
//! reaches. It opens the wallet once, answers until it is told to stop, and tends the wallet meanwhile. Secrets
//! never leave through it, and it opens no file that a client names.

mod connection;
mod following;
mod methods;
pub(super) mod protocol;
mod sending;
mod socket;
#[cfg(test)]
mod tests;
mod turns;

use super::follow::TEND_EVERY;
use super::scan::{Scanned, warn_set_aside};
use super::signals::{self, Stop};
use super::{Session, own_keys, runtime};
use crate::drafts::{self, DraftError, Listed};
use crate::failure;
use crate::light::Light;
use crate::light::LightError;
use crate::outbox::Listing;
use crate::profile::Profile;
use crate::wallet::{Flushed, Prepared, Tended, Wallet, WalletError};
use clap::Args;
use connection::{Connection, Welcome};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use methods::unwatched;
use protocol::Refusal;
use sealpost_api::WaitFor;
use sealpost_ledger::address::Address;
use sealpost_terminal::{Failure, short};
use serde::Serialize;
use serde_json::Value;
use socket::{Door, Token};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::MissedTickBehavior;

/// Clients at a time.
const MAX_CONNECTIONS: usize = 16;
/// How often what waits in the outbox is sent.
const SENDING: Duration = Duration::from_secs(60);
/// How long what was begun may go on after the request to stop.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long a question goes on with the keys it knows when others did not end in time for it to read newer ones.
const KEYS_AGAIN: Duration = Duration::from_secs(2);
/// Questions after which the connection to the node is made anew: it remembers every header it has verified.
const LIGHT_USES: u32 = 256;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sealpost serve --passphrase-file secret
  sealpost serve --folder /run/user/1000/sealpost

docs/serve.md has the methods and a client in Python.")]
pub(super) struct ServeArgs {
    /// Folder for the socket and its token; without it `serve` in the wallet's own
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Told on standard output as soon as a client can connect.
#[derive(serde::Serialize)]
struct Ready<'a> {
    wallet: &'a str,
    address: String,
    socket: &'a str,
    token_file: String,
}

pub(super) fn serve(args: &ServeArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let home = wallet.profile().wallet_folder(wallet.name()).map_err(failure)?;
    let folder = args.folder.clone().unwrap_or_else(|| home.join("serve"));
    runtime()?.block_on(async {
        let door = Door::open(&folder)?;
        let ready = Ready {
            wallet: wallet.name(),
            address: wallet.address_text(),
            socket: door.socket(),
            token_file: door.token_file().display().to_string(),
        };
        session.terminal.say(format_args!("ready    {}", ready.socket));
        session.terminal.note(format_args!("token    {}", ready.token_file));
        session.terminal.emit("sealpost/serve-ready/1", &ready);
        Server::new(session, wallet, &home).run(&door).await;
        Ok(())
    })
}

/// What all connections share.
struct Server<'a> {
    session: &'a Session<'a>,
    profile: Profile,
    welcome: Welcome,
    wallet: RwLock<Wallet>,
    light: Mutex<Option<(Arc<Light>, u32)>>,
    /// Held by whoever fetches parts: what was fetched is kept in one place.
    collecting: Mutex<()>,
    /// Held by whoever scans: the next one has less to do then.
    scanning: Mutex<()>,
    outbox: PathBuf,
    keystore: PathBuf,
    /// When the keystore was changed last, as far as its secrets are known here.
    keys_at: Mutex<Option<SystemTime>>,
    /// When a question last waited in vain for others to end.
    keys_tried: Mutex<Option<Instant>>,
    /// When the outbox was changed last, if nothing in it waited then.
    at_rest: Mutex<Option<SystemTime>>,
    /// Why drafts that have begun to leave did not go on: each reason is told once.
    told: Mutex<BTreeSet<String>>,
}

impl<'a> Server<'a> {
    fn new(session: &'a Session<'a>, wallet: Wallet, home: &Path) -> Self {
        let (outbox, keystore) = (home.join("outbox"), home.join("keystore.json"));
        let (profile, welcome) = (wallet.profile().clone(), Welcome::to(&wallet));
        let (light, at_rest) = (Mutex::default(), Mutex::default());
        let (wallet, collecting, scanning) = (RwLock::new(wallet), Mutex::default(), Mutex::default());
        let (keys_at, keys_tried, told) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self {
            session,
            profile,
            welcome,
            wallet,
            light,
            collecting,
            scanning,
            outbox,
            keystore,
            keys_at,
            keys_tried,
            at_rest,
            told,
        }
    }
    /// The wallet, with the keys that another program has made meanwhile, unless something long is at work with it:
    /// then with those of before.
    async fn wallet(&self) -> Result<RwLockReadGuard<'_, Wallet>, Failure> {
        let changed = std::fs::metadata(&self.keystore).and_then(|file| file.modified()).ok();
        // Not held while the wallet is waited for: questions would wait for one another.
        let known = *self.keys_at.lock().await;
        if (changed.is_none() || known != changed)
            && let Some(mut wallet) = self.alone_soon().await
        {
            wallet.refresh().map_err(failure)?;
            *self.keys_at.lock().await = changed;
        }
        Ok(self.wallet.read().await)
    }
    /// The wallet alone if nobody else has it, or has it for a moment only. That moment is waited for now and then, not
    /// by each question.
    async fn alone_soon(&self) -> Option<RwLockWriteGuard<'_, Wallet>> {
        if let Ok(wallet) = self.wallet.try_write() {
            return Some(wallet);
        }
        let tried = self.keys_tried.lock().await.replace(Instant::now());
        if tried.is_some_and(|tried| tried.elapsed() < KEYS_AGAIN) {
            *self.keys_tried.lock().await = tried;
            return None;
        }
        tokio::time::timeout(turns::MOMENT, self.wallet.write()).await.ok()
    }
    /// The wallet alone.
    async fn alone(&self) -> RwLockWriteGuard<'_, Wallet> {
        turns::alone(&self.wallet, &|| {
            self.session.terminal.warn(
                "the wallet's keys could not be looked after for an hour: what takes long, such as sending in parts, \
                 follows one upon another; they are as soon as there is a gap",
            );
        })
        .await
    }
    /// Until somebody asks to stop. Everything goes on in this one future: when it ends, nothing of it is left.
    async fn run(&self, door: &Door) {
        let stop = signals::listen(self.session.terminal);
        let mut connections = FuturesUnordered::new();
        {
            let asked = signals::asked(stop.clone());
            let tend = self.tend_for_ever();
            tokio::pin!(asked, tend);
            loop {
                tokio::select! {
                    _ = &mut asked => break,
                    () = &mut tend => break,
                    stream = door.accept() => {
                        let room = connections.len() < MAX_CONNECTIONS;
                        connections.push(self.welcome(stream, door.token(), stop.clone(), room));
                    }
                    Some(()) = connections.next() => {}
                }
            }
        }
        // Each ends by itself when it has answered what it was asked.
        let rest = async { while connections.next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, rest).await.is_err() {
            self.session.terminal.warn("stopped before everything that was begun had ended");
        }
    }
    async fn welcome(&self, stream: UnixStream, token: &Token, stop: Stop, room: bool) {
        let connection = Connection::new(self, stream, stop);
        match room {
            true => connection.serve(token).await,
            false => connection.turn_away(MAX_CONNECTIONS).await,
        }
    }
    async fn tend_for_ever(&self) {
        // What the wallet does by itself while it runs; what fails is tried again the next time. The first tick of each
        // comes at once, and neither waits for the other.
        let sending = async {
            let mut outbox = tokio::time::interval(SENDING);
            outbox.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                outbox.tick().await;
                self.send_what_waits().await;
            }
        };
        let tending = async {
            let mut keys = tokio::time::interval(TEND_EVERY);
            loop {
                keys.tick().await;
                self.tend_keys().await;
            }
        };
        tokio::join!(sending, tending);
    }
    /// Does what is due with the wallet's keys, and says how the own entry stands if it is not as it should be.
    async fn tend_keys(&self) {
        let terminal = self.session.terminal;
        match self.tended().await {
            Ok(tended) => {
                own_keys::tell_tended(terminal, &tended);
                if tended.rotated.is_none() {
                    own_keys::tell(terminal, &tended.own);
                }
            }
            Err(failure) => terminal.warn(format_args!("the keys were not looked after: {failure}")),
        }
    }
    /// Letters are kept beside everything else that is done with the wallet: their files may be large, and a node slow.
    async fn tended(&self) -> Result<Tended, Failure> {
        let (light, terms) = (self.light().await?, self.session.terms());
        let tending = self.alone().await.begin_tending(&light, &terms, &unwatched).await.map_err(failure)?;
        let missing = {
            let wallet = self.wallet.read().await;
            own_keys::keep_last_letters(self.session, &wallet, &light, &tending, &self.collecting).await?
        };
        self.alone().await.end_tending(&terms, tending, &missing).map_err(failure)
    }
    /// What was signed while no node answered goes out as soon as one does.
    async fn send_what_waits(&self) {
        let wallet = self.wallet.read().await;
        self.go_on_with_drafts(&wallet).await;
        let changed = std::fs::metadata(&self.outbox).and_then(|folder| folder.modified()).ok();
        let mut at_rest = self.at_rest.lock().await;
        // A large outbox in which nothing happens is not read again and again.
        if changed.is_some() && *at_rest == changed {
            return;
        }
        let Listing { entries, damaged } = match wallet.outbox().read_all() {
            Ok(listing) => listing,
            Err(error) => return self.tell_once(format!("the outbox can't be read: {error}")).await,
        };
        self.tell_damaged(&damaged).await;
        if entries.iter().all(|entry| entry.height.is_some()) {
            *at_rest = changed;
        } else if let Ok(light) = self.light().await {
            match wallet.flush_outbox(&light).await {
                Ok(Flushed { damaged, .. }) => self.tell_damaged(&damaged).await,
                // It is tried again in a minute.
                Err(WalletError::Light(LightError::Unreachable { .. } | LightError::Behind { .. })) => {}
                Err(error) => self.tell_once(format!("what waits was not sent: {error}")).await,
            }
        }
    }
    async fn tell_damaged(&self, damaged: &[impl std::fmt::Display]) {
        for error in damaged {
            self.tell_once(format!("{error}; everything else is sent all the same")).await;
        }
    }
    /// Says of which recipients' ML-KEM keys are none, once of each.
    async fn tell_broken_keys(&self, wallet: &Wallet, to: &[Address], prepared: &Prepared) {
        let prefix = wallet.genesis().prefix();
        for (address, keys) in to.iter().zip(&prepared.keys).filter(|(_, keys)| keys.ml_kem_broken) {
            let (sequence, address) = (keys.sequence, address.to_text(prefix));
            self.tell_once(format!(
                "the ML-KEM key in key bundle #{sequence} of {address} is none, so what is sent to it is in suite 1: \
                 nothing in it withstands quantum computers"
            ))
            .await;
        }
    }
    /// What has begun to leave in parts goes on; what somebody works on just now is left to them.
    async fn go_on_with_drafts(&self, wallet: &Wallet) {
        let drafts::Listing { drafts, damaged } = match wallet.drafts() {
            Ok(listing) => listing,
            Err(error) => return self.tell_once(format!("the drafts can't be read: {error}")).await,
        };
        self.tell_damaged(&damaged).await;
        for draft in drafts.into_iter().filter(Listed::goes_on) {
            let id = draft.id.to_string();
            let Ok(light) = self.light().await else { continue };
            let sent = match wallet.take_draft(&id) {
                // Somebody has it, or had it and is done.
                Err(WalletError::Draft(DraftError::Busy { .. } | DraftError::Unknown { .. })) => continue,
                Err(error) => Err(error),
                Ok(kept) => wallet.send_draft(&light, kept, WaitFor::Final, &unwatched, &|_| {}).await,
            };
            if let Err(error) = sent {
                self.tell_once(format!("draft {} does not go on: {error}", short(&id))).await;
            }
        }
    }
    async fn tell_once(&self, warning: String) {
        let mut told = self.told.lock().await;
        if !told.contains(&warning) {
            self.session.terminal.warn(&warning);
            told.insert(warning);
        }
    }
    /// Looks for sealed messages, up to the newest block.
    async fn scan(&self, wallet: &Wallet, light: &Light) -> Result<Scanned, Failure> {
        let _alone = self.scanning.lock().await;
        let scanned = wallet.scan(light, &|_| {}).await;
        warn_set_aside(self.session.terminal, wallet);
        Ok(Scanned::new(&scanned.map_err(failure)?))
    }
    /// An answer that rests on what a connection shows of the ledger, and whether that is old.
    fn tagged<T: Serialize>(&self, light: &Light, schema: &str, value: &T) -> Result<Value, Refusal> {
        let mut answer = protocol::tagged(schema, value)?;
        if let (Some(view), Some(answer)) = (self.session.old_view(light), answer.as_object_mut()) {
            answer.insert("old_view".into(), serde_json::to_value(view).map_err(Failure::bug)?);
        }
        Ok(answer)
    }
    /// A connection to the nodes that knows their present head.
    async fn light(&self) -> Result<Arc<Light>, Failure> {
        let mut kept = self.light.lock().await;
        if let Some((light, uses)) = kept.as_mut().filter(|(_, uses)| *uses < LIGHT_USES)
            && light.sync_head().await.is_ok()
        {
            *uses = uses.saturating_add(1);
            return Ok(light.clone());
        }
        // What was wrong is found, and told, in making it anew.
        *kept = None;
        let light = Arc::new(self.session.light(&self.profile).await?);
        *kept = Some((light.clone(), 0));
        Ok(light)
    }
}
