//! `doctor`: looks for what is wrong, from the node to the memory, and says how to mend it. Changes nothing.

use super::{Session, runtime};
use crate::failure;
use crate::failure::FOREIGN_KEYS;
use crate::hardening::{Hardening, hardening, swaps};
use crate::keystore::Keystore;
use crate::light::Light;
use crate::profile::Profile;
use crate::wallet::{Due, Standing, Wallet, now_ms};
use sealpost_terminal::{Confirm, Exit, Failure, Terminal, counted, seconds, style};
use std::path::Path;
use std::time::Duration;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Bad,
}

#[derive(serde::Serialize)]
struct Check {
    name: &'static str,
    state: State,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

#[derive(serde::Serialize)]
struct Report {
    healthy: bool,
    checks: Vec<Check>,
}

impl Check {
    fn new(name: &'static str, state: State, text: impl Into<String>) -> Self {
        Self { name, state, text: text.into(), help: None, exit: Exit::No }
    }
    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// What a failure says, as a check that ends the program as the failure would.
    fn failed(name: &'static str, failure: Failure) -> Self {
        let Failure { exit, message, help, .. } = failure;
        Self { name, state: State::Bad, text: message, help, exit }
    }
}

/// With `-v`, every command says which protections of its memory are missing.
pub(super) fn tell_hardening(terminal: &Terminal) {
    let Some(Hardening { no_core_dumps, not_traceable, locked_memory }) = hardening() else { return };
    if terminal.globals().verbose > 0 {
        let parts = [("core dumps are on", no_core_dumps), ("memory can be looked into", not_traceable)];
        for (what, protection) in parts.into_iter().chain([("memory is not locked", locked_memory)]) {
            if let Some(why) = protection.missing() {
                terminal.note(format_args!("{what}: {why}"));
            }
        }
    }
}

pub(super) fn doctor(session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    let mut checks = memory_checks();
    let wallet = match session.wallet_name(&profile) {
        Ok(name) => open(session, &profile, &name, &mut checks)?,
        Err(failure) => {
            let Failure { message, help, .. } = failure;
            checks.push(Check { help, ..Check::new("wallet", State::Warn, message) });
            None
        }
    };
    runtime()?.block_on(ask_node(session, &profile, wallet, &mut checks));
    report(session, checks)
}

fn memory_checks() -> Vec<Check> {
    let Some(Hardening { no_core_dumps, not_traceable, locked_memory }) = hardening() else {
        let text = "this program is not the wallet's own; nothing is known of its memory";
        return vec![Check::new("memory", State::Warn, text)];
    };
    let dumps = match no_core_dumps.missing().or(not_traceable.missing()) {
        None => Check::new("core dumps", State::Ok, "off, and nobody of this user can look into its memory"),
        Some(why) => Check::new("core dumps", State::Warn, format!("may be written: {why}")),
    };
    let locked = match (locked_memory.missing(), swaps()) {
        (None, _) => Check::new("memory", State::Ok, "locked: secrets are never swapped out"),
        (Some(_), Some(false)) => {
            Check::new("memory", State::Ok, "not locked, but this machine swaps nothing out")
        }
        (Some(why), _) => Check::new("memory", State::Warn, format!("secrets may be swapped out: {why}"))
            .help("encrypt the swap space, or allow locking: `ulimit -l unlimited`, LimitMEMLOCK=infinity"),
    };
    vec![dumps, locked]
}

/// Checks a wallet's files, and opens it if they are as they should be.
fn open(
    session: &Session<'_>,
    profile: &Profile,
    name: &str,
    checks: &mut Vec<Check>,
) -> Result<Option<Wallet>, Failure> {
    let folder = profile.wallet_folder(name).map_err(failure)?;
    let keystore = folder.join("keystore.json");
    if !keystore.exists() {
        let missing = Check::new("wallet", State::Warn, format!("there is no wallet {name}"));
        checks.push(missing.help("`sealpost list` shows those there are; `sealpost new` makes one"));
        return Ok(None);
    }
    let contacts = profile.folder().join("contacts.json");
    let loose: Vec<_> = [folder.as_path(), &keystore, &folder.join("outbox"), &contacts]
        .into_iter()
        .filter_map(|path| loose_mode(path).map(|mode| (path.to_owned(), mode)))
        .collect();
    match loose.first() {
        None => checks.push(Check::new("permissions", State::Ok, "the wallet's files are yours alone")),
        Some((path, mode)) => {
            let text = format!("others may read {} (mode {mode:o})", path.display());
            checks.push(
                Check::new("permissions", State::Bad, text).help(format!("chmod go= {}", path.display())),
            );
            if path == &keystore {
                return Ok(None);
            }
        }
    }
    match Keystore::parameters_of(&keystore) {
        Ok(found) => {
            let cost = format!(
                "{}, Argon2id with {} MiB, {} passes, {} lanes",
                found.format,
                found.cost.memory_kib / 1024,
                found.cost.passes,
                found.cost.lanes
            );
            checks.push(match found.newest {
                true => Check::new("keystore", State::Ok, cost),
                false => Check::new("keystore", State::Warn, cost)
                    .help("an older format; `sealpost passphrase` or the next change writes the newest"),
            });
        }
        Err(error) => {
            checks.push(Check::failed("keystore", failure(error)));
            return Ok(None);
        }
    }
    let passphrase = session.passphrase.read(session.terminal, &format!("wallet {name}"), Confirm::Once)?;
    Wallet::open(profile.clone(), name, &passphrase).map(Some).map_err(failure)
}

#[cfg(unix)]
fn loose_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn loose_mode(_: &Path) -> Option<u32> {
    None
}

async fn ask_node(session: &Session<'_>, profile: &Profile, wallet: Option<Wallet>, checks: &mut Vec<Check>) {
    if let Some(wallet) = &wallet {
        checks.push(outbox(wallet));
    }
    let light = match session.light(profile).await {
        Ok(light) => light,
        Err(failure) => return checks.push(Check::failed("node", failure)),
    };
    let text =
        format!("{} is on chain {}", light.url(), sealpost_terminal::short(profile.genesis().chain_id()));
    checks.push(Check::new("node", State::Ok, text));
    for url in light.silent() {
        let text = format!("{url} does not answer, so its head was not compared with the others'");
        checks.push(
            Check::new("node", State::Warn, text)
                .help("name another one with --node URL: one that lies is noticed by what others say"),
        );
    }
    match light.head().await {
        Ok(None) => checks.push(Check::new("head", State::Warn, "there is no block yet")),
        Ok(Some(head)) => {
            checks.push(head_age(profile, now_ms().saturating_sub(head.time_ms)));
            checks.push(clock(profile, head.time_ms.saturating_sub(now_ms())));
        }
        Err(error) => checks.push(Check::failed("head", failure(error))),
    }
    if let Some(mut wallet) = wallet {
        match wallet.own_keys(&light, &session.terms()).await {
            Ok(own) => checks.extend(key_checks(&own.standing, &own.due, &light)),
            Err(error) => checks.push(Check::failed("own entry", failure(error))),
        }
    }
}

fn outbox(wallet: &Wallet) -> Check {
    // Whatever is wrong with one of them is said: the others are sent all the same.
    match wallet.outbox().list() {
        Ok(entries) => {
            let waiting = entries.iter().filter(|entry| entry.height.is_none()).count();
            match waiting {
                0 => Check::new("outbox", State::Ok, "nothing waits"),
                many => {
                    let text = format!("{} in no block yet", counted(many as u64, "transaction"));
                    Check::new("outbox", State::Warn, text)
                        .help("`sealpost outbox` sends what waits, and says why something is refused")
                }
            }
        }
        Err(error) => Check::failed("outbox", failure(error)),
    }
}

/// An idle network makes a block each heartbeat. A few may be late.
fn head_age(profile: &Profile, age_ms: u64) -> Check {
    let heartbeat = u64::from(profile.genesis().timing().heartbeat_ms);
    let age = seconds(Duration::from_millis(age_ms));
    match age_ms > heartbeat.saturating_mul(3).saturating_add(60_000) {
        false => Check::new("head", State::Ok, format!("the last block is {age} old")),
        true => Check::new("head", State::Warn, format!("the last block is {age} old")).help(format!(
            "an idle network makes one every {}: the node is behind, or the network stands still; ask another node \
             with --node URL",
            seconds(Duration::from_millis(heartbeat))
        )),
    }
}

/// Blocks can't come from the future by more than the validators' clocks may differ.
fn clock(profile: &Profile, ahead_ms: u64) -> Check {
    let drift = u64::from(profile.genesis().timing().clock_drift_ms);
    match ahead_ms > drift {
        false => Check::new("clock", State::Ok, "agrees with the chain"),
        true => Check::new(
            "clock",
            State::Warn,
            format!(
                "this machine's clock is at least {} behind the chain",
                seconds(Duration::from_millis(ahead_ms))
            ),
        )
        .help("set it; times that are shown here come from it, what is valid does not"),
    }
}

fn key_checks(standing: &Standing, due: &[Due], light: &Light) -> [Check; 2] {
    let entry = match standing {
        Standing::Ours => {
            Check::new("own entry", State::Ok, "the newest keys on the ledger are this wallet's")
        }
        Standing::Unpublished => Check::new("own entry", State::Warn, "no keys are published")
            .help("`sealpost keys publish`; before that nobody can write to you"),
        Standing::Elsewhere => Check::new("own entry", State::Warn, "the newest keys are not this copy's")
            .help("`sealpost keys rotate` makes keys of this copy the newest"),
        Standing::Alarm(alarm) => Check {
            exit: Exit::Untrusted,
            ..Check::new("own entry", State::Bad, format!("{alarm} (asked {})", light.url()))
                .help(FOREIGN_KEYS)
        },
    };
    let late: Vec<_> = due
        .iter()
        .filter_map(|due| match due {
            Due::Publish => None,
            Due::Rotate => Some("a rotation"),
            Due::Destroy(_) => Some("the destruction of superseded keys"),
        })
        .collect();
    let keys = match late.is_empty() {
        true => Check::new("keys", State::Ok, "nothing is due"),
        false => {
            Check::new("keys", State::Warn, format!("due: {}", late.join(", "))).help("`sealpost keys tend`")
        }
    };
    [entry, keys]
}

fn report(session: &Session<'_>, checks: Vec<Check>) -> Result<(), Failure> {
    let terminal = session.terminal;
    for check in &checks {
        let line = format!("{:<12} {}", check.name, check.text);
        match check.state {
            State::Ok => terminal.say(style::held(line)),
            State::Warn => terminal.say(format_args!("{} {line}", style::caution("!"))),
            State::Bad => terminal.say(format_args!("{} {line}", style::bad("✘"))),
        }
        if let Some(help) = &check.help {
            terminal.say(format_args!("               {help}"));
        }
    }
    // What a lying node or a stolen key means comes first, then what could not be asked.
    let bad = || checks.iter().filter(|check| check.state == State::Bad).map(|check| check.exit);
    let worst =
        [Exit::Untrusted, Exit::Unavailable].into_iter().find(|exit| bad().any(|found| found == *exit));
    let ended = worst.or_else(|| bad().next());
    terminal.emit("sealpost/doctor/1", &Report { healthy: ended.is_none(), checks });
    match ended {
        Some(exit) => Err(Failure::silent(exit)),
        None => Ok(()),
    }
}
