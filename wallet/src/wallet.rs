//! The wallet itself: an identity on one network, and what it does through a node it does not trust.
//! The command line, the demo and embedding programs all use this.

mod answering;
mod answers;
mod bulk;
mod collecting;
#[cfg(test)]
mod collecting_tests;
#[cfg(test)]
mod damage_tests;
mod keeping;
mod key_life;
mod keys;
mod last_letters;
mod parcels;
mod proving;
mod reading;
mod sealed;
mod sending;
mod sent;
#[cfg(test)]
mod testing;

pub(crate) use answering::ALREADY_ANSWERED;
pub use answering::{Demand, GivenReceipt, GotReceipt, Unanswered, Waiting};
use answers::KnownAnswers;
pub use bulk::{BulkHeard, BulkList, BulkResult, BulkRun, BulkState, Changed, ListId, Repeat};
pub use collecting::{Collector, FetchHeard};
pub(crate) use keeping::skipped;
pub use keeping::{CaughtUp, Source};
pub use key_life::{Alarm, Due, KeyTerms, LastLetters, Standing, least_days};
pub(crate) use keys::Tending;
pub use keys::{BundleState, Foreign, OwnBundle, OwnKeys, Postponed, Rotated, Tended};
pub(crate) use last_letters::Missing;
pub use parcels::{ParcelHeard, ParcelProgress, ParcelQuote};
pub use proving::{Answers, EvidenceRequest};
pub use reading::{Incoming, Reading, Timeline, TimelineSlot};
pub use sealed::SealedReceipt;
pub(crate) use sealed::unless_damaged;
pub use sending::{Draft, Flushed, KeysAt, PostageProgress, Prepared, Sent};
pub use sent::SentStanding;

use crate::archive::{Archive, ArchiveError, ArchiveKey};
use crate::backup::BackupError;
use crate::contacts::ContactError;
use crate::drafts::{DraftError, DraftId, Drafts, PackError};
use crate::envelope::{BundleSecret, OpenError, SealError};
use crate::keystore::{Keystore, KeystoreError, Secrets};
use crate::known::Known;
use crate::light::LightError;
use crate::mnemonic::{Phrase, PhraseError};
use crate::outbox::{Outbox, OutboxError};
use crate::parcel::ParcelError;
use crate::profile::{Profile, ProfileError};
use crate::random::NoRandomness;
use sealpost_api::{ApiError, Category};
use sealpost_ledger::address::Address;
use sealpost_ledger::evidence::MAX_EVIDENCE_BYTES;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::SigningKey;
use sealpost_terminal::{Failure, create_private_folder};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use zeroize::Zeroizing;

/// An opened wallet.
#[derive(Debug)]
pub struct Wallet {
    name: String,
    profile: Profile,
    keystore: Keystore,
    outbox: Outbox,
    drafts: Drafts,
    known: Known,
    archive: Archive,
    identity: SigningKey,
    address: Address,
    answers: Mutex<KnownAnswers>,
    /// When bodies of sealed messages that were not to be had were last asked for again.
    pub(crate) looked_again: Mutex<Option<Instant>>,
    /// Where a scan has put a file that could not be read, until somebody is told.
    pub(crate) scan_set_aside: Mutex<Option<PathBuf>>,
}

/// Why a wallet did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum WalletError {
    #[error(transparent)]
    Light(#[from] LightError),
    /// It is signed and in the outbox, so it may arrive whatever went wrong.
    #[error("{source}; it is signed, and kept in the outbox as {id}")]
    Undelivered { id: TransactionId, expiry: BlockHeight, source: Box<WalletError> },
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Contact(#[from] ContactError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("nothing is kept here of {text}")]
    NotKept { text: String },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error("{0}")]
    File(Failure),
    #[error("there is a wallet {name} already; choose another name, or open it")]
    Exists { name: String },
    #[error("there is no wallet {name:?} on network {network}")]
    Missing { name: String, network: String },
    #[error("{address} has published no encryption keys, so nothing can be encrypted to it")]
    NoKeys { address: String },
    #[error("the keys of {address}, bundle #{sequence}, are withdrawn from height {from} on")]
    KeysRevoked { address: String, sequence: u64, from: u64 },
    #[error("the keys of {address} are past their last height {valid_until}")]
    KeysExpired { address: String, valid_until: u64 },
    #[error("{alarm}")]
    ForeignKeys { alarm: Alarm },
    #[error("this identity has published no keys, so there is nothing to withdraw")]
    NothingToWithdraw,
    #[error(
        "{id} is for key bundle {bundle}, whose secret was destroyed on {when}: nobody can open it any more, and neither words nor passphrase change that"
    )]
    KeyDestroyed { id: TransactionId, bundle: u64, when: String },
    #[error(
        "{id} is for key bundle {bundle}, whose secret never was in this copy of the wallet: the words restore the identity, and no old message"
    )]
    KeyNeverHere { id: TransactionId, bundle: u64 },
    #[error("no final message {id} is known to the node")]
    Unknown { id: TransactionId },
    #[error("{id} is not addressed to this wallet")]
    NotOurs { id: TransactionId },
    #[error("{id} carries receipts for sealed messages; receipts are not answered with receipts")]
    OnlyReceipts { id: TransactionId },
    #[error("no receipt for {id}: it names parts that are not all here: {lack}")]
    Incomplete { id: TransactionId, lack: Box<ParcelError> },
    #[error("{id} is a part of something that was too long for one message; read the letter that names it")]
    OnlyAPart { id: TransactionId },
    #[error(transparent)]
    Draft(#[from] DraftError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Parcel(#[from] ParcelError),
    #[error("draft {draft} has not taken its files in yet")]
    NotPacked { draft: DraftId },
    #[error("{parts} of {of} parts are on the ledger: {reason}")]
    ParcelLeft { draft: DraftId, parts: u32, of: u32, reason: String, source: Option<Box<LightError>> },
    #[error("id {text:?}: {reason}")]
    Id { text: String, reason: String },
    #[error("neither inbox nor outbox has a transaction that begins with {text}; give the whole id")]
    NoneBegins { text: String },
    #[error("{id} is void: no block up to {expiry} contains it")]
    Void { id: TransactionId, expiry: BlockHeight },
    #[error(
        "an interrupted list has the same lines, {signed} of its {messages} messages are signed, and contacts, groups or files that the lines name have changed since: sent as it is now, this list could reach somebody twice"
    )]
    ListChanged { signed: usize, messages: usize },
    #[error("the postage search was stopped")]
    Stopped,
    #[error("the transaction could not be signed")]
    Signing,
    #[error("recipients: {count}, a message takes {limit} at most (genesis: limits.slots)")]
    TooManyRecipients { count: usize, limit: u16 },
    #[error("{address} is not a recipient of {id}")]
    NotARecipient { id: TransactionId, address: String },
    #[error("{id} is sealed: its evidence names no recipients, so none can be left out of it")]
    RecipientsHidden { id: TransactionId },
    #[error("{id} was answered before; the first answer counts")]
    Answered { id: TransactionId },
    #[error("another process signs an answer from this wallet, and has not come to an end of it")]
    AnswersBusy,
    #[error("no silence to show: every recipient meant has answered {id} on the ledger, or is hidden")]
    NoSilence { id: TransactionId },
    #[error("the evidence of {id} would be {length} bytes, the limit is {MAX_EVIDENCE_BYTES}")]
    EvidenceTooLong { id: TransactionId, length: usize },
    #[error("the scan for sealed messages ended early: {reason}")]
    Scan { reason: String },
    #[error("what scans have found can't be read: {} was altered, or is of another wallet", path.display())]
    ScanDamaged { path: PathBuf },
    #[error("this wallet has neither written nor opened {id}, so it cannot show what it says")]
    NothingToDisclose { id: TransactionId },
}

impl WalletError {
    /// What the ledger's rules say against something, if that is the error.
    fn refusal(&self) -> Option<&ApiError> {
        match self {
            Self::Undelivered { source, .. } => source.refusal(),
            Self::Light(LightError::Node(error)) if error.category == Category::Refused => Some(error),
            _ => None,
        }
    }
}

impl Wallet {
    /// Makes a wallet with new words. Show the words once; they are all that restores the identity.
    pub fn create(
        profile: Profile,
        name: &str,
        phrase: &Phrase,
        passphrase: &str,
        archival: bool,
    ) -> Result<Self, WalletError> {
        Self::check_new(&profile, name)?;
        let folder = profile.wallet_folder(name)?;
        let path = folder.join("keystore.json");
        create_private_folder(&folder).map_err(WalletError::File)?;
        let identity = phrase.identity(profile.genesis().prefix())?;
        let address = Address::new(identity.public_key()).to_text(profile.genesis().prefix());
        let secrets = Secrets::new(phrase.text().to_string(), archival)?;
        let created = sealpost_terminal::rfc3339(now_ms());
        let keystore = Keystore::create(&path, &address, &created, secrets, passphrase);
        let keystore = keystore.map_err(|error| match error {
            // Another program has made one while the passphrase was stretched.
            KeystoreError::File(failure) if failure.code == "file.exists" => {
                WalletError::Exists { name: name.into() }
            }
            error => error.into(),
        })?;
        Self::with(profile, name, keystore, identity)
    }
    /// Puts a wallet together from an opened keystore and what lies beside it.
    fn with(
        profile: Profile,
        name: &str,
        mut keystore: Keystore,
        identity: SigningKey,
    ) -> Result<Self, WalletError> {
        let folder = profile.wallet_folder(name)?;
        let address = Address::new(identity.public_key());
        let outbox = Outbox::open(&folder.join("outbox"))?;
        let (drafts, known) = (Drafts::open(&folder.join("drafts"))?, Known::open(&folder));
        let archive = Archive::open(&folder.join("archive"), archive_key(&mut keystore)?)?;
        let (name, answers) = (name.into(), Mutex::default());
        let (looked_again, scan_set_aside) = (Mutex::default(), Mutex::default());
        Ok(Self {
            name,
            profile,
            keystore,
            outbox,
            drafts,
            known,
            archive,
            identity,
            address,
            answers,
            looked_again,
            scan_set_aside,
        })
    }
    /// Whether a wallet of that name can be made: to be asked before words are shown or written down.
    pub fn check_new(profile: &Profile, name: &str) -> Result<(), WalletError> {
        match profile.wallet_folder(name)?.join("keystore.json").exists() {
            true => Err(WalletError::Exists { name: name.into() }),
            false => Ok(()),
        }
    }
    /// Opens a wallet.
    pub fn open(profile: Profile, name: &str, passphrase: &str) -> Result<Self, WalletError> {
        let folder = profile.wallet_folder(name)?;
        let path = folder.join("keystore.json");
        if !path.exists() {
            let network = profile.genesis().chain_name().into();
            return Err(WalletError::Missing { name: name.into(), network });
        }
        let keystore = Keystore::open(&path, passphrase)?;
        let phrase = Phrase::parse(&keystore.secrets().mnemonic)?;
        let identity = phrase.identity(profile.genesis().prefix())?;
        Self::with(profile, name, keystore, identity)
    }
    /// Its name on this machine.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its address.
    pub fn address(&self) -> Address {
        self.address
    }
    /// Its address as people see it.
    pub fn address_text(&self) -> String {
        self.text(&self.address)
    }
    /// The words that restore its identity. Show them to nobody.
    pub fn mnemonic(&self) -> Zeroizing<String> {
        Zeroizing::new(self.keystore.secrets().mnemonic.clone())
    }
    /// The network.
    pub fn genesis(&self) -> &Arc<Genesis> {
        self.profile.genesis()
    }
    /// The network's folder.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }
    pub(crate) fn keystore(&self) -> &Keystore {
        &self.keystore
    }
    /// Encrypts the wallet under another passphrase. The old one opens nothing of it any more.
    pub fn change_passphrase(&mut self, passphrase: &str) -> Result<(), WalletError> {
        Ok(self.keystore.change_passphrase(passphrase)?)
    }
    /// Takes in what another program has changed in this wallet meanwhile.
    pub fn refresh(&mut self) -> Result<(), WalletError> {
        self.keystore.refresh()?;
        if let Some(key) = &self.keystore.secrets().archive {
            self.archive = Archive::open(&self.folder()?.join("archive"), key.clone())?;
        }
        Ok(())
    }
    /// What was sent from here.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }
    /// Secrets of its key bundles.
    pub fn bundles(&self) -> &[BundleSecret] {
        &self.keystore.secrets().bundles
    }
    /// Its folder.
    pub(crate) fn folder(&self) -> Result<PathBuf, WalletError> {
        Ok(self.profile.wallet_folder(&self.name)?)
    }
    /// A file in its folder that is there to be locked, and where it is.
    fn lock_file(&self, name: &str) -> Result<(File, PathBuf), WalletError> {
        let path = self.folder()?.join(name);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let failed = |error| WalletError::File(sealpost_terminal::file_failure("open", &path, &error));
        Ok((file.map_err(failed)?, path))
    }
    fn text(&self, address: &Address) -> String {
        address.to_text(self.profile.genesis().prefix())
    }
}

/// The archive's key, made if this wallet is older than archives are.
fn archive_key(keystore: &mut Keystore) -> Result<ArchiveKey, WalletError> {
    if let Some(key) = &keystore.secrets().archive {
        return Ok(key.clone());
    }
    let key = ArchiveKey::generate()?;
    keystore.change(|secrets| secrets.archive = Some(key.clone()))?;
    Ok(key)
}

/// Milliseconds since 1970 by this machine's clock; shown to people, decides nothing.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
