//! How the wallet's errors end a command: exit code, stable code and the way out, in one place.

use crate::archive::ArchiveError;
use crate::backup::BackupError;
use crate::contacts::ContactError;
use crate::drafts::{DraftError, PackError};
use crate::envelope::{OpenError, SealError};
use crate::keystore::{KeystoreError, StreamError};
use crate::light::LightError;
use crate::mnemonic::PhraseError;
use crate::outbox::OutboxError;
use crate::parcel::ParcelError;
use crate::profile::ProfileError;
use crate::wallet::{ALREADY_ANSWERED, WalletError};
use sealpost_api::{ApiError, Category};
use sealpost_terminal::{Exit, Failure};

/// What a change of the own entry in the key directory means, and the ways out.
pub(crate) const FOREIGN_KEYS: &str = "either another copy of this wallet did it (restored from the words or a backup), \
    or somebody has the identity key. If it was you: use one copy only, and `sealpost keys rotate --take-back` \
    there. If it was not: `sealpost keys revoke` withdraws the newest keys, so that nobody encrypts to them; tell \
    your contacts on another way, and make a new identity with `sealpost new`";

/// What a command ends with after a wallet error.
pub fn failure(error: impl Into<WalletError>) -> Failure {
    let error = error.into();
    let message = error.to_string();
    let plain = |exit, code: &'static str| Failure::new(exit, code, &message);
    match error {
            WalletError::Light(error) => light(error, &message),
            WalletError::Undelivered { id, expiry, source } => {
                let mut failure = failure(*source);
                failure.message = message;
                with_help(failure, &format!(
                    "`sealpost outbox` hands it in again, and a block up to {expiry} may contain it: a message that is sent anew arrives twice"
                ))
                .with("id", id.to_string())
                .with("expiry", expiry.get())
            }
            WalletError::Keystore(KeystoreError::File(failure))
            | WalletError::Profile(ProfileError::File(failure))
            | WalletError::Contact(ContactError::File(failure))
            | WalletError::Outbox(OutboxError::File(failure))
            | WalletError::Archive(ArchiveError::File(failure))
            | WalletError::Backup(BackupError::File(failure))
            | WalletError::File(failure) => failure,
            WalletError::Backup(error) => backup(&error, &message),
            WalletError::Keystore(KeystoreError::Passphrase { .. }) => {
                plain(Exit::Locked, "passphrase.wrong").help("try again, or `sealpost restore` from the mnemonic")
            }
            WalletError::Keystore(KeystoreError::Malformed { .. }) => plain(Exit::Usage, "keystore.malformed"),
            WalletError::Keystore(KeystoreError::Unsupported { .. }) => plain(Exit::Usage, "keystore.unsupported"),
            WalletError::Keystore(KeystoreError::OtherPassphrase { .. }) => plain(Exit::Locked, "passphrase.changed"),
            WalletError::Phrase(PhraseError::Count { .. }) => plain(Exit::Usage, "mnemonic.count"),
            WalletError::Phrase(PhraseError::Word { .. }) => plain(Exit::Usage, "mnemonic.word"),
            WalletError::Phrase(PhraseError::Checksum) => plain(Exit::Usage, "mnemonic.checksum"),
            WalletError::Phrase(PhraseError::Derivation) => plain(Exit::Usage, "mnemonic.derivation"),
            WalletError::Profile(ProfileError::Unknown { .. }) => plain(Exit::Usage, "network.unknown")
                .help("make it known with `sealpost network add --genesis genesis.json --node URL`"),
            WalletError::Profile(ProfileError::Genesis { .. }) => plain(Exit::Usage, "network.genesis"),
            WalletError::Profile(ProfileError::OtherGenesis { .. }) => plain(Exit::Usage, "network.other_genesis"),
            WalletError::Profile(ProfileError::Name { what: "wallet", .. }) => plain(Exit::Usage, "wallet.name"),
            WalletError::Profile(ProfileError::Name { .. }) => plain(Exit::Usage, "network.name"),
            WalletError::Contact(ContactError::Unknown { near, .. }) if !near.is_empty() => {
                plain(Exit::Usage, "contact.unknown").help(format!("did you mean {}?", near.join(" or ")))
            }
            WalletError::Contact(ContactError::Unknown { .. } | ContactError::Missing { .. }) => {
                plain(Exit::Usage, "contact.unknown").help("`sealpost contact list` shows the names known here")
            }
            WalletError::Contact(ContactError::Malformed { .. }) => plain(Exit::Usage, "contact.malformed"),
            WalletError::Contact(ContactError::Name { .. }) => plain(Exit::Usage, "contact.name"),
            WalletError::Contact(ContactError::Taken { .. } | ContactError::TakenByGroup { .. }) => {
                plain(Exit::Usage, "contact.exists")
            }
            WalletError::Contact(ContactError::LooksLike { .. }) => plain(Exit::Usage, "contact.look_alike"),
            WalletError::Contact(ContactError::NoGroup { .. }) => {
                plain(Exit::Usage, "contact.no_group").help("`sealpost contact group list` shows those there are")
            }
            WalletError::Contact(ContactError::IsGroup { .. }) => plain(Exit::Usage, "contact.is_group")
                .help("`sealpost contact group show NAME` lists its members"),
            WalletError::Contact(ContactError::InGroups { .. }) => plain(Exit::Usage, "contact.in_group")
                .help("`sealpost contact group remove GROUP NAME` takes it out"),
            WalletError::Contact(ContactError::NotInGroup { .. }) => plain(Exit::Usage, "contact.not_in_group"),
            WalletError::Contact(ContactError::EmptyGroup { .. }) => plain(Exit::Usage, "contact.empty_group")
                .help("`sealpost contact group add GROUP NAME…` adds members"),
            WalletError::Contact(ContactError::GroupTooLarge { .. } | ContactError::TooManyGroups) => {
                plain(Exit::Usage, "contact.group_limit")
            }
            WalletError::Contact(ContactError::Repeated { .. }) => plain(Exit::Usage, "message.repeated_recipient"),
            WalletError::TooManyRecipients { count, limit } => {
                let parts = count.div_ceil(usize::from(limit).max(1));
                plain(Exit::Usage, "message.too_many_recipients").help(format!(
                    "send it as {parts} messages, each to {limit} recipients at most; a group can be divided into several"
                ))
            }
            WalletError::Contact(ContactError::Known { .. }) => plain(Exit::Usage, "contact.known"),
            WalletError::Outbox(OutboxError::Busy) => plain(Exit::Unavailable, "outbox.busy").help("wait until it is done"),
            WalletError::Outbox(OutboxError::Malformed { .. }) => {
                plain(Exit::Unavailable, "outbox.malformed").help(DAMAGED_ENTRY)
            }
            WalletError::Outbox(OutboxError::Altered { .. }) => {
                plain(Exit::Unavailable, "outbox.altered").help(DAMAGED_ENTRY)
            }
            WalletError::Archive(ArchiveError::Damaged { .. } | ArchiveError::Record { .. }) => {
                plain(Exit::Unavailable, "archive.damaged")
            }
            WalletError::Archive(ArchiveError::Format { .. }) => plain(Exit::Usage, "archive.format"),
            WalletError::Archive(ArchiveError::TooLong { .. }) => plain(Exit::No, "archive.too_long"),
            WalletError::NotKept { .. } => plain(Exit::No, "archive.unknown")
                .help("`sealpost sync` opens and keeps what came; what was forgotten is gone"),
            WalletError::Seal(SealError::NoRecipient) => plain(Exit::Usage, "message.no_recipient"),
            WalletError::Seal(SealError::TooLong { .. } | SealError::TooMany { .. }) => plain(Exit::Usage, "message.too_long"),
            WalletError::Seal(SealError::Key { .. }) => plain(Exit::No, "recipient.key"),
            WalletError::Seal(SealError::Encryption) => plain(Exit::Bug, "internal.encryption"),
            WalletError::Open(OpenError::KeyGone { .. }) => plain(Exit::No, "open.key_gone")
                .help("its secret was destroyed or lies in another copy of this wallet; ask the sender to send it again"),
            WalletError::Open(OpenError::NotForUs | OpenError::NotAMessage) => plain(Exit::No, "open.not_for_us"),
            WalletError::Open(_) => plain(Exit::Untrusted, "open.broken"),
            WalletError::Draft(DraftError::File(failure)) | WalletError::Pack(PackError::Draft(DraftError::File(failure))) => failure,
            WalletError::Draft(DraftError::Unknown { .. }) => {
                plain(Exit::No, "draft.unknown").help("`sealpost draft list` shows those there are")
            }
            WalletError::Draft(DraftError::Id { .. }) => plain(Exit::Usage, "draft.id"),
            WalletError::Draft(DraftError::Busy { .. }) => {
                plain(Exit::Unavailable, "draft.busy").help("wait until it is done; `sealpost outbox` shows how far it is")
            }
            WalletError::Draft(DraftError::Open { .. }) => plain(Exit::Usage, "draft.open")
                .help("`sealpost draft show` shows it: write it anew with --sealed, and `sealpost draft discard` this one"),
            WalletError::Draft(DraftError::Malformed { .. } | DraftError::Keystore(_))
            | WalletError::Pack(PackError::Draft(_)) => plain(Exit::Unavailable, "draft.malformed").help(
                "the wallet and its other drafts are whole: put this file back from a backup, or throw the draft away with \
                 `sealpost draft discard` and the name of its folder",
            ),
            WalletError::Pack(PackError::File { .. }) => plain(Exit::Usage, "message.file"),
            WalletError::Pack(PackError::Changed { .. }) => plain(Exit::Usage, "message.file_changed")
                .help("wait until nothing writes to it"),
            WalletError::Pack(PackError::TooLong { .. }) => plain(Exit::Usage, "message.too_long")
                .help("--attachment-limit BYTES, or `attachment_bytes` in wallet.toml, allows more"),
            WalletError::Pack(PackError::Seal(_)) => plain(Exit::Usage, "message.too_long")
                .help("send fewer files in one message"),
            WalletError::Parcel(ParcelError::TooLong { .. }) => plain(Exit::Usage, "parcel.too_long")
                .help("--attachment-limit BYTES, or `attachment_bytes` in wallet.toml, allows more"),
            WalletError::Parcel(ParcelError::Missing { .. }) => plain(Exit::No, "parcel.missing")
                .help("ask another node with --node URL; what has been fetched is kept"),
            WalletError::Parcel(ParcelError::Write { .. }) => plain(Exit::Unavailable, "file.io"),
            WalletError::Parcel(_) => plain(Exit::Untrusted, "parcel.broken")
                .help("nothing of it was saved; ask the sender to send it again"),
            WalletError::NotPacked { .. } => plain(Exit::Bug, "internal.encryption"),
            WalletError::ParcelLeft { source, .. } => {
                let failure = source.map(|source| light(*source, &message));
                let mut failure = failure.unwrap_or_else(|| plain(Exit::Unavailable, "parcel.left"));
                failure.message = message;
                failure.help("nothing is lost: `sealpost outbox` goes on with it; --node URL names another node")
            }
            WalletError::Randomness(_)
            | WalletError::Draft(DraftError::Randomness(_))
            | WalletError::Keystore(KeystoreError::Randomness(_))
            | WalletError::Phrase(PhraseError::Randomness(_))
            | WalletError::Archive(ArchiveError::Randomness(_))
            | WalletError::Seal(SealError::Randomness(_)) => plain(Exit::Unavailable, "system.randomness"),
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
            WalletError::ForeignKeys { .. } => plain(Exit::Untrusted, "bundle.foreign").help(FOREIGN_KEYS),
            WalletError::NothingToWithdraw => plain(Exit::No, "bundle.none"),
            WalletError::KeyDestroyed { .. } => plain(Exit::No, "open.key_destroyed")
                .help("ask the sender to send it again"),
            WalletError::KeyNeverHere { .. } => plain(Exit::No, "open.key_never_here")
                .help("the copy of the wallet that published that bundle can open it; else ask the sender to send it again"),
            WalletError::Unknown { .. } | WalletError::NoneBegins { .. } => plain(Exit::No, "tx.unknown"),
            WalletError::OnlyReceipts { .. } => plain(Exit::Usage, "receipt.of_receipts"),
            WalletError::Incomplete { lack, .. } if matches!(*lack, ParcelError::TooLong { .. }) => plain(Exit::No, "receipt.incomplete")
                .help(format!("`attachment_bytes` in wallet.toml allows more; {WITHOUT_PARTS}")),
            WalletError::Incomplete { .. } => plain(Exit::No, "receipt.incomplete")
                .help(format!("ask another node with --node URL, or refuse it; {WITHOUT_PARTS}")),
            WalletError::OnlyAPart { .. } => plain(Exit::No, "open.only_a_part"),
            WalletError::NotOurs { .. } => plain(Exit::No, "open.not_for_us"),
            WalletError::Id { .. } => plain(Exit::Usage, "input.id"),
            WalletError::Void { .. } => plain(Exit::Refused, "outbox.void")
                .help("it can't reach a block any more: put it into another list, or send it by itself"),
            WalletError::ListChanged { signed, .. } => plain(Exit::Usage, "outbox.list_changed")
                .help("undo the change, and the same list goes on where it stopped; or send the lines that are not out yet as another list; --changed sends all of this one")
                .with("signed", signed as u64),
            WalletError::Stopped => plain(Exit::Interrupted, "postage.interrupted"),
            WalletError::Signing => plain(Exit::Bug, "internal.signing"),
            WalletError::NotARecipient { .. } => plain(Exit::Usage, "evidence.no_recipient")
                .help("`sealpost status ID` names its recipients"),
            WalletError::RecipientsHidden { .. } => plain(Exit::Usage, "evidence.recipients_hidden")
                .help("make it without --recipients; --disclose shows them all to whoever gets the file"),
            WalletError::Answered { .. } => plain(Exit::Refused, ALREADY_ANSWERED)
                .help("`sealpost outbox` hands an answer in that is signed and in no block yet"),
            WalletError::AnswersBusy => plain(Exit::Unavailable, "receipt.busy").help("wait until it is done"),
            WalletError::EvidenceTooLong { .. } => plain(Exit::Usage, "evidence.too_long")
                .help("name fewer --recipients, or leave out --body, --disclose or --absent-receipt"),
            WalletError::NoSilence { .. } => plain(Exit::No, "evidence.no_silence"),
            WalletError::Scan { .. } => plain(Exit::Bug, "internal.scan"),
            WalletError::ScanDamaged { .. } => plain(Exit::Unavailable, "scan.damaged").help(
                "`sealpost inbox` puts it aside and finds again what was in it, or put the file back from a backup",
            ),
            WalletError::NothingToDisclose { .. } => plain(Exit::No, "evidence.nothing_to_disclose"),
    }
}

fn backup(error: &BackupError, message: &str) -> Failure {
    let BackupError::Stream { source, .. } = error else {
        return Failure::new(Exit::Usage, "backup.malformed", message);
    };
    match source {
        StreamError::Io(_) | StreamError::Output(_) => Failure::unavailable("file.io", message),
        StreamError::Malformed(_) => Failure::new(Exit::Usage, "backup.malformed", message),
        StreamError::Unsupported { .. } => Failure::new(Exit::Usage, "backup.unsupported", message),
        StreamError::Passphrase => Failure::new(Exit::Locked, "passphrase.wrong", message)
            .help("a backup keeps the passphrase it was made with, whatever the wallet's is since"),
        StreamError::Altered { .. } => Failure::new(Exit::Usage, "backup.altered", message)
            .help("nothing was restored; use another copy of it"),
        StreamError::TooLong => Failure::new(Exit::Usage, "backup.too_long", message),
        StreamError::Randomness(_) => Failure::unavailable("system.randomness", message),
    }
}

/// The way out of an entry of the outbox that can't be read. The words would not help: they restore no message, and no
/// key that one was sealed to.
const DAMAGED_ENTRY: &str = "the wallet and its other messages are whole: put this one file back from a backup, or \
    move it out of the outbox folder once the message is final or void";

/// The way out for whoever wants to answer for a letter of which something is not to be had.
const WITHOUT_PARTS: &str =
    "--without-parts answers for the letter alone, and the receipt stands all the same";

/// A failure with one more way out.
pub(crate) fn with_help(failure: Failure, more: &str) -> Failure {
    let help = failure.help.as_ref().map_or_else(|| more.to_owned(), |help| format!("{help}; {more}"));
    failure.help(help)
}

fn light(error: LightError, message: &str) -> Failure {
    match error {
        LightError::Unreachable { .. } => Failure::unavailable("node.unreachable", message)
            .help("is it running? give another one with --node URL"),
        LightError::OtherChain { .. } => Failure::new(Exit::Untrusted, "node.other_chain", message)
            .help(
                "name a node of this network with --node URL; or, if you meant that network, get its genesis.json \
                 and make it known: `sealpost network add --genesis genesis.json --node URL`",
            ),
        LightError::Untrusted { .. } => Failure::new(Exit::Untrusted, "node.untrusted", message)
            .help("do not rely on this node; ask another one with --node URL"),
        LightError::Behind { reached, known, .. } => Failure::unavailable("node.behind", message)
            .help("wait until it has caught up, or give another one with --node URL")
            .with("reached", reached.get())
            .with("known", known.get()),
        LightError::Contradiction { file, .. } => {
            let failure = Failure::untrusted("network.contradiction", message).help(
                "more than a third of the validators have signed both; rely on nothing of this network until its \
                 operators have explained it; `sealpost network contradictions verify FILE` shows the proof",
            );
            match file {
                Some(file) => failure.with("file", file.display().to_string()),
                None => failure,
            }
        }
        LightError::Postage { work, limit } => Failure::refused("postage.too_high", message)
            .help("wait until fewer send, or accept as much with --max-postage HASHES")
            .with("work", work)
            .with("limit", limit),
        LightError::TooManyNodes { .. } => Failure::new(Exit::Usage, "network.nodes", message),
        LightError::Head(_) => Failure::unavailable("head.file", message),
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
