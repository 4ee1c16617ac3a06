//! The Sealpost wallet as a library: keys, encryption, verified reading, evidence. It owns every secret and
//! trusts no node.
//!
//! ```text
//!  mnemonic ─► identity ─┐                             ┌─► envelope (seal) ─► outbox ─► node
//!                        ├─► keystore ─► Wallet ───────┤
//!  encryption keys ──────┘                             └─► light (verify) ─► envelope (open) ─► evidence
//! ```
//!
//! | to | take |
//! |---|---|
//! | say where everything is kept | [`Profile::create`](profile::Profile::create): any folder, one per network |
//! | make, restore or open a wallet | [`Wallet::create`] with new or old [words](mnemonic::Phrase), [`Wallet::open`] |
//! | ask a node and believe nothing | [`Light::connect`](light::Light::connect), or [`connect_to`](light::Light::connect_to) several: it knows the genesis only |
//! | give names to addresses | [`Profile::contacts`](profile::Profile::contacts) |
//! | publish, withdraw keys | [`Wallet::publish_keys`], [`Wallet::revoke_keys`] |
//! | send, and see how it stands | [`Wallet::send`], [`Wallet::standing`], [`Wallet::flush_outbox`] |
//! | send what is too long for one message | [`Wallet::keep_draft`], [`Wallet::pack_draft`], [`Wallet::send_draft`] |
//! | send a list, and go on with it after a crash | [`Wallet::take_list`], [`Wallet::settle_list`], [`Wallet::send_list`] |
//! | find, read, answer | [`Wallet::inbox`], [`Light::follow`](light::Light::follow), [`Wallet::read`], [`Wallet::answer`], [`Wallet::refusal`] |
//! | find sealed messages | [`Wallet::scan`], [`Wallet::sealed_inbox`] |
//! | put together what came in parts | [`Wallet::collector`] |
//! | keep letters, and find them again | [`Wallet::keep`], [`Wallet::read_or_recall`], [`Wallet::search`] |
//! | prove | [`Wallet::evidence`], [`Wallet::prove`]; [`Evidence::check`](ledger::evidence::Evidence::check) needs neither node nor wallet |
//!
//! # Example
//!
//! `examples/notice.rs`, which a test runs against a real node:
//!
//! ```no_run
#![doc = include_str!("../examples/notice.rs")]
//! ```
//!
//! # What an embedding program may rely on
//!
//! - Nothing prints, reads the terminal or the environment, installs a signal handler or ends the process: only
//!   [`cli`], the command line of `sealpost`, does.
//! - Every error is typed ([`WalletError`]). [`failure()`] gives the stable code, the exit code and the way out
//!   that the commands show (`docs/errors.md`).
//! - The futures run on any tokio runtime, of one thread too, and are [`Send`]. Long searches for a stamp go on in a
//!   pool of threads of their own; dropping the future, or a progress function that answers `false`, ends them.
//! - Dropping a future loses nothing that was signed: it is in the outbox before it leaves, and
//!   [`Wallet::flush_outbox`] sends it.
//! - [`WalletError::Undelivered`] is the error of something that is signed and in the outbox, whatever went wrong: it may
//!   arrive, and whoever sends it anew sends it twice.
//! - Files are written whole or not at all, secrets with mode 0600.
//! - Other languages find the same in `sealpost serve` (`docs/serve.md`).

pub mod archive;
pub mod backup;
pub mod certificate;
pub mod cli;
pub mod contacts;
pub mod drafts;
pub mod envelope;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod hardening;
pub mod keystore;
mod known;
pub mod letters;
pub mod light;
pub mod mail;
pub mod mnemonic;
pub mod outbox;
pub mod parcel;
pub mod postage;
pub mod profile;
mod random;
pub mod scan;
pub mod search;
#[cfg(test)]
mod testing;
pub mod wallet;

pub use failure::failure;
pub use sealpost_api::WaitFor;
pub use sealpost_ledger as ledger;
pub use wallet::{Draft, Wallet, WalletError};

/// What an embedding program moves to other threads can be moved there.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::{BulkList, Changed, Repeat};
    use light::{Following, Light};
    use sealpost_ledger::hash::TransactionId;

    fn is_send<T: Send>(_: &T) {}
    fn is_shared<T: Send + Sync>() {}

    #[allow(dead_code)]
    fn futures_are_send(wallet: &mut Wallet, light: &Light, draft: &Draft, id: &TransactionId) {
        let go_on = |_: u64, _: u64| true;
        is_send(&wallet.publish_keys(light, &go_on));
        is_send(&wallet.send(light, draft, WaitFor::Final, &go_on));
        is_send(&wallet.inbox(light, 1, &|_| {}));
        is_send(&wallet.read(light, id));
        is_send(&wallet.evidence(light, id, None, false, false));
        is_send(&wallet.flush_outbox(light));
        is_send(&wallet.scan(light, &|_| {}));
        is_send(&wallet.rescan(light, &|_| {}));
        is_send(&wallet.sealed_inbox(light, 1));
        is_send(&wallet.read_or_recall(light, id));
        is_send(&wallet.standing(light, id));
        let list = BulkList::new(vec![draft.clone()]);
        if let Ok(run) = wallet.take_list(&list, Repeat::Never) {
            is_send(&wallet.settle_list(light, run, Changed::Refuse));
        }
        if let Ok(run) = wallet.take_list(&list, Repeat::Never) {
            is_send(&wallet.send_list(light, &run, WaitFor::Final, &go_on, &|_| {}));
        }
    }

    #[test]
    fn wallets_and_connections_are_shared_between_threads() {
        is_shared::<Wallet>();
        is_shared::<Light>();
        is_shared::<Following>();
        is_shared::<WalletError>();
    }
}
