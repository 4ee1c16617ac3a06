//! How the wallet's errors end a command: exit code, stable code and the way out, in one place.

use crate::contacts::ContactError;
use crate::envelope::OpenError;
use crate::keystore::KeystoreError;
use crate::light::LightError;
use crate::outbox::OutboxError;
use crate::profile::ProfileError;
use crate::wallet::WalletError;
use sealpost_api::{ApiError, Category};
use sealpost_terminal::{Exit, Failure};

/// What a command ends with after a wallet error.
pub fn failure(error: impl Into<WalletError>) -> Failure {
    let error = error.into();
    let message = error.to_string();
    let plain = |exit, code: &'static str| Failure::new(exit, code, &message);
    match error {
            WalletError::Light(error) => light(error, &message),
            WalletError::Keystore(KeystoreError::File(failure))
            | WalletError::Profile(ProfileError::File(failure))
            | WalletError::Contact(ContactError::File(failure))
            | WalletError::Outbox(OutboxError::File(failure))
            | WalletError::File(failure) => failure,
            WalletError::Keystore(KeystoreError::Passphrase { .. }) => {
                plain(Exit::Locked, "passphrase.wrong").help("try again, or `sealpost restore` from the mnemonic")
            }
            WalletError::Keystore(_) => plain(Exit::Usage, "keystore"),
            WalletError::Phrase(_) => plain(Exit::Usage, "mnemonic"),
            WalletError::Profile(ProfileError::Unknown { .. }) => plain(Exit::Usage, "network.unknown")
                .help("make it known with `sealpost network add --genesis genesis.json --node URL`"),
            WalletError::Profile(_) => plain(Exit::Usage, "network"),
            WalletError::Contact(ContactError::Unknown { .. }) => {
                plain(Exit::Usage, "contact.unknown").help("`sealpost contact list` shows the names known here")
            }
            WalletError::Contact(_) => plain(Exit::Usage, "contact"),
            WalletError::Outbox(_) => plain(Exit::Unavailable, "outbox"),
            WalletError::Seal(_) => plain(Exit::Usage, "message"),
            WalletError::Open(OpenError::KeyGone { .. }) => plain(Exit::No, "open.key_gone")
                .help("its secret was destroyed or lies in another copy of this wallet; ask the sender to send it again"),
            WalletError::Open(OpenError::NotForUs | OpenError::NotAMessage) => plain(Exit::No, "open.not_for_us"),
            WalletError::Open(_) => plain(Exit::Untrusted, "open.broken"),
            WalletError::Randomness(_) => plain(Exit::Unavailable, "randomness"),
            WalletError::Exists { .. } => plain(Exit::Usage, "wallet.exists"),
            WalletError::Missing { .. } => {
                plain(Exit::Usage, "wallet.missing").help("`sealpost list` shows those there are; `sealpost new` makes one")
            }
            WalletError::NoKeys { .. } => plain(Exit::No, "recipient.no_keys")
                .help("ask the recipient to run `sealpost keys publish`"),
            WalletError::KeysRevoked { .. } => plain(Exit::No, "recipient.keys_revoked")
                .help("nothing is encrypted to withdrawn keys; ask the recipient to run `sealpost keys publish`"),
            WalletError::KeysExpired { .. } => plain(Exit::No, "recipient.keys_expired")
                .help("ask the recipient to run `sealpost keys publish`"),
            WalletError::Unknown { .. } => plain(Exit::No, "tx.unknown"),
            WalletError::NotOurs { .. } => plain(Exit::No, "open.not_for_us"),
            WalletError::Id { .. } => plain(Exit::Usage, "input.id"),
            WalletError::Stopped => plain(Exit::Interrupted, "interrupted"),
            WalletError::Signing => plain(Exit::Bug, "signing"),
            WalletError::NothingToDisclose { .. } => plain(Exit::No, "evidence.nothing_to_disclose"),
    }
}

fn light(error: LightError, message: &str) -> Failure {
    match error {
        LightError::Unreachable { .. } => Failure::unavailable("node.unreachable", message)
            .help("is it running? give another one with --node URL; what you wrote is kept in the outbox"),
        LightError::OtherChain { .. } => Failure::new(Exit::Untrusted, "node.other_chain", message)
            .help("give the genesis.json of that network, or another node with --node URL"),
        LightError::Untrusted { .. } => Failure::new(Exit::Untrusted, "node.untrusted", message)
            .help("do not rely on this node; ask another one with --node URL"),
        LightError::Head(_) => Failure::unavailable("head", message),
        LightError::Node(error) => node(error),
    }
}

fn node(error: ApiError) -> Failure {
    let exit = match error.category {
        Category::Input => Exit::Usage,
        Category::NotFound => Exit::No,
        Category::Refused => Exit::Refused,
        Category::Busy | Category::Internal => Exit::Unavailable,
    };
    let failure = Failure::new(exit, error.code, error.message);
    match error.help {
        Some(help) => failure.help(help),
        None => failure,
    }
}
