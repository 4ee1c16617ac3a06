//! What a wallet keeps secret, and what it remembers of the keys it published: enough to notice when the
//! ledger shows a change that it did not make. No copy is left in memory when something is taken away.

use crate::archive::ArchiveKey;
use crate::envelope::BundleSecret;
use crate::random::{NoRandomness, random};
use sealpost_ledger::codec::encode;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What a wallet keeps secret.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The words that restore the identity.
    pub mnemonic: String,
    /// Secrets of the key bundles, the oldest first.
    pub bundles: Vec<BundleSecret>,
    /// Whether secrets are kept after their grace period.
    pub archival: bool,
    /// What this wallet knows of its bundles, the oldest first; of those whose secrets are gone, too.
    #[serde(default)]
    #[zeroize(skip)]
    pub publications: Vec<Publication>,
    /// Key of the archive of opened letters; none before a wallet of an earlier format is opened again.
    #[serde(default)]
    pub archive: Option<ArchiveKey>,
    /// Encrypts this wallet's notes. It outlives a change of the passphrase.
    #[serde(default)]
    pub(super) note_key: Option<NoteKey>,
}

/// The key of a wallet's notes.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(super) struct NoteKey(#[serde(with = "const_hex::serde")] pub(super) [u8; 32]);

/// What a wallet remembers of one of its key bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Sequence number of the bundle.
    pub sequence: u64,
    /// Hash of its keys.
    pub keys: KeysHash,
    /// Who made it.
    pub origin: Origin,
    /// Its block, once it is final and verified.
    pub published: Option<Moment>,
    /// The block of the bundle that superseded it.
    pub superseded: Option<Moment>,
    /// From which height on this wallet withdrew it.
    pub withdrawn_from: Option<BlockHeight>,
    /// The block since whose time its destruction waits for letters that could not be kept yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postponed: Option<Moment>,
    /// When its secret was destroyed, by this machine's clock, milliseconds since 1970 UTC.
    pub destroyed_ms: Option<u64>,
}

/// Who made a key bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// This copy of the wallet: its secret was here.
    Here,
    /// Another copy, or whoever else has the words. The person was told.
    Elsewhere,
}

/// A block's place and time, as proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Its height.
    pub height: BlockHeight,
    /// Its time, milliseconds since 1970 UTC.
    pub time_ms: u64,
}

/// SHA-256 of a bundle's keys and number; its last height is decided when it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeysHash(#[serde(with = "const_hex::serde")] [u8; 32]);

impl KeysHash {
    /// Of a bundle.
    pub fn of(bundle: &KeyBundle) -> Self {
        let keys = KeyBundle { valid_until: BlockHeight::GENESIS, ..bundle.clone() };
        Self(Sha256::digest(encode(&keys)).into())
    }
}

impl Publication {
    /// Keys that were made here and are about to be published.
    pub fn here(secret: &BundleSecret) -> Self {
        Self::new(&secret.bundle(BlockHeight::GENESIS), Origin::Here)
    }
    /// Keys of this identity that were not made here.
    pub fn elsewhere(bundle: &KeyBundle, published: Moment) -> Self {
        Self { published: Some(published), ..Self::new(bundle, Origin::Elsewhere) }
    }
    fn new(bundle: &KeyBundle, origin: Origin) -> Self {
        let (sequence, keys) = (bundle.sequence, KeysHash::of(bundle));
        let (published, superseded, withdrawn_from) = (None, None, None);
        let (postponed, destroyed_ms) = (None, None);
        Self { sequence, keys, origin, published, superseded, withdrawn_from, postponed, destroyed_ms }
    }
}

impl Secrets {
    /// Those of a new wallet.
    pub fn new(mnemonic: String, archival: bool) -> Result<Self, NoRandomness> {
        let (archive, note_key) = (Some(ArchiveKey::generate()?), Some(NoteKey(*random::<32>()?)));
        Ok(Self { mnemonic, bundles: Vec::new(), archival, publications: Vec::new(), archive, note_key })
    }
    /// What is known of a bundle.
    pub fn publication(&self, sequence: u64) -> Option<&Publication> {
        self.publications.iter().find(|known| known.sequence == sequence)
    }
    /// The same, to be changed.
    pub fn publication_mut(&mut self, sequence: u64) -> Option<&mut Publication> {
        self.publications.iter_mut().find(|known| known.sequence == sequence)
    }
    /// Takes in what is known of a bundle, in place of what was known of it before.
    pub fn remember(&mut self, publication: Publication) {
        self.publications.retain(|known| known.sequence != publication.sequence);
        self.publications.push(publication);
        self.publications.sort_by_key(|known| known.sequence);
    }
    /// Adds a bundle's secret and remembers it.
    pub fn add(&mut self, secret: BundleSecret) {
        self.remember(Publication::here(&secret));
        // A list that grows in place leaves its old memory behind unwiped.
        let mut bundles = Vec::with_capacity(self.bundles.len().saturating_add(1));
        bundles.extend(self.bundles.iter().filter(|known| known.sequence != secret.sequence).cloned());
        bundles.push(secret);
        self.bundles = bundles;
    }
    /// Takes the secrets of these bundles away. Each is wiped.
    pub fn forget(&mut self, sequences: &[u64]) {
        // Not in place: what moves up would leave a copy behind.
        self.bundles =
            self.bundles.iter().filter(|known| !sequences.contains(&known.sequence)).cloned().collect();
    }
    /// Makes complete what an earlier format did not have.
    pub(super) fn complete(&mut self, former_note_key: &[u8; 32]) {
        self.note_key.get_or_insert_with(|| NoteKey(*former_note_key));
        let unknown: Vec<_> =
            self.bundles.iter().filter(|b| self.publication(b.sequence).is_none()).collect();
        let found: Vec<_> = unknown.into_iter().map(Publication::here).collect();
        found.into_iter().for_each(|publication| self.remember(publication));
    }
    /// As JSON, in memory that is wiped.
    pub(crate) fn to_json(&self) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        let mut buffer = WipedBuffer::default();
        serde_json::to_writer(&mut buffer, self)?;
        Ok(buffer.0)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} bundles)", self.bundles.len())
    }
}

/// A buffer that wipes its old memory when it grows.
#[derive(Default)]
struct WipedBuffer(Zeroizing<Vec<u8>>);

impl io::Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.0.len().saturating_add(bytes.len());
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.saturating_mul(2).max(4096)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
