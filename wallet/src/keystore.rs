//! The keystore: a wallet's secrets in one file, encrypted under a passphrase (Argon2id, RFC 9106, and
//! XChaCha20-Poly1305). The file's readable part is authenticated with the rest, so nobody can weaken it.

use crate::archive::ArchiveKey;
use crate::envelope::BundleSecret;
use crate::random::{NoRandomness, random};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sealpost_terminal::{Failure, read_secret_file, write_secret_file};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const FORMAT: &str = "sealpost-keystore/1";
const KDF: &str = "argon2id";
const CIPHER: &str = "xchacha20-poly1305";
/// Memory in KiB, passes, lanes: RFC 9106's second recommendation. About 190 ms.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
/// A file may not make its reader spend more than this.
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };
/// Nor less: whoever could write such a file would see the passphrase.
const LEAST: Cost = Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

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
    /// Key of the archive of opened letters; none before the wallet is opened for the first time.
    #[serde(default)]
    pub archive: Option<ArchiveKey>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} bundles)", self.bundles.len())
    }
}

/// The readable part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    kdf: String,
    cost: Cost,
    #[serde(with = "const_hex::serde")]
    salt: [u8; 16],
    cipher: String,
    address: String,
    created: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    header: Header,
    #[serde(with = "const_hex::serde")]
    nonce: [u8; 24],
    #[serde(with = "const_hex::serde")]
    ciphertext: Vec<u8>,
}

/// Why a keystore can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum KeystoreError {
    #[error("{0}")]
    File(Failure),
    #[error("keystore {}: {reason}; restore the wallet from its mnemonic or a backup", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error("keystore {}: {field} is {found}, which this program does not accept", path.display())]
    Unsupported { path: PathBuf, field: &'static str, found: String },
    #[error("the passphrase does not open {}, or the file was altered", path.display())]
    Passphrase { path: PathBuf },
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// An opened keystore: its secrets, and the key to write them again.
pub struct Keystore {
    path: PathBuf,
    header: Header,
    key: Zeroizing<[u8; 32]>,
    secrets: Secrets,
}

impl std::fmt::Debug for Keystore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keystore({})", self.path.display())
    }
}

impl Keystore {
    /// Makes a keystore and writes it.
    pub fn create(
        path: &Path,
        address: &str,
        created: &str,
        secrets: Secrets,
        passphrase: &str,
    ) -> Result<Self, KeystoreError> {
        let header = Header {
            format: FORMAT.into(),
            kdf: KDF.into(),
            cost: COST,
            salt: *random::<16>()?,
            cipher: CIPHER.into(),
            address: address.into(),
            created: created.into(),
        };
        let key = stretch(path, &header, passphrase)?;
        let keystore = Self { path: path.into(), header, key, secrets };
        keystore.save()?;
        Ok(keystore)
    }
    /// Opens a keystore.
    pub fn open(path: &Path, passphrase: &str) -> Result<Self, KeystoreError> {
        let bytes = read_secret_file(path).map_err(KeystoreError::File)?;
        let malformed = |reason: String| KeystoreError::Malformed { path: path.into(), reason };
        let File { header, nonce, ciphertext } =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        check(path, &header)?;
        let key = stretch(path, &header, passphrase)?;
        let aad = aad(&header);
        let payload = Payload { msg: &ciphertext, aad: &aad };
        let plaintext = XChaCha20Poly1305::new((&*key).into())
            .decrypt(&XNonce::from(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| KeystoreError::Passphrase { path: path.into() })?;
        let secrets = serde_json::from_slice(&plaintext).map_err(|error| malformed(error.to_string()))?;
        Ok(Self { path: path.into(), header, key, secrets })
    }
    /// The address in the readable part of a keystore. Not authenticated before it is opened.
    pub fn address_of(path: &Path) -> Result<String, KeystoreError> {
        let bytes = read_secret_file(path).map_err(KeystoreError::File)?;
        let file: File = serde_json::from_slice(&bytes)
            .map_err(|error| KeystoreError::Malformed { path: path.into(), reason: error.to_string() })?;
        Ok(file.header.address)
    }
    /// The secrets.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }
    /// Changes the secrets and writes them, before anything else may rely on the change.
    pub fn change(&mut self, change: impl FnOnce(&mut Secrets)) -> Result<(), KeystoreError> {
        let before = self.secrets.clone();
        change(&mut self.secrets);
        self.save().inspect_err(|_| self.secrets = before)
    }
    /// Encrypts a note that only this wallet can read again. `about` binds it to its place.
    pub fn seal_note(&self, about: &[u8], note: &[u8]) -> Result<Vec<u8>, KeystoreError> {
        let nonce = random::<24>()?;
        let cipher = XChaCha20Poly1305::new((&*self.key).into());
        let ciphertext = cipher.encrypt(&XNonce::from(*nonce), Payload { msg: note, aad: &note_aad(about) });
        let ciphertext = ciphertext.map_err(|_| KeystoreError::Passphrase { path: self.path.clone() })?;
        Ok([nonce.as_slice(), &ciphertext].concat())
    }
    /// Reads such a note.
    pub fn open_note(&self, about: &[u8], note: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let wrong = || KeystoreError::Passphrase { path: self.path.clone() };
        let (nonce, ciphertext) = note.split_first_chunk::<24>().ok_or_else(wrong)?;
        let cipher = XChaCha20Poly1305::new((&*self.key).into());
        let payload = Payload { msg: ciphertext, aad: &note_aad(about) };
        cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| wrong())
    }

    fn save(&self) -> Result<(), KeystoreError> {
        let malformed = |reason: String| KeystoreError::Malformed { path: self.path.clone(), reason };
        let plaintext = serde_json::to_vec(&self.secrets).map(Zeroizing::new);
        let plaintext = plaintext.map_err(|error| malformed(error.to_string()))?;
        let nonce = *random::<24>()?;
        let aad = aad(&self.header);
        let ciphertext = XChaCha20Poly1305::new((&*self.key).into())
            .encrypt(&XNonce::from(nonce), Payload { msg: &plaintext, aad: &aad })
            .map_err(|_| malformed("encryption failed".into()))?;
        let file = File { header: self.header.clone(), nonce, ciphertext };
        let mut json = serde_json::to_vec_pretty(&file).map_err(|error| malformed(error.to_string()))?;
        json.push(b'\n');
        write_secret_file(&self.path, &json).map_err(KeystoreError::File)
    }
}

/// The readable part as bytes, in a fixed order: it is a struct, whose fields are written as declared.
fn aad(header: &Header) -> Vec<u8> {
    serde_json::to_vec(header).unwrap_or_default()
}

/// Notes can't be taken for the secrets, or the other way round.
fn note_aad(about: &[u8]) -> Vec<u8> {
    [b"sealpost/v1/note".as_slice(), about].concat()
}

fn check(path: &Path, header: &Header) -> Result<(), KeystoreError> {
    let unsupported =
        |field, found: String| Err(KeystoreError::Unsupported { path: path.into(), field, found });
    let Cost { memory_kib, passes, lanes } = header.cost;
    let within = |found: u32, least: u32, most: u32| (least..=most).contains(&found);
    match header {
        Header { format, .. } if format != FORMAT => unsupported("format", format.clone()),
        Header { kdf, .. } if kdf != KDF => unsupported("kdf", kdf.clone()),
        Header { cipher, .. } if cipher != CIPHER => unsupported("cipher", cipher.clone()),
        _ if !within(memory_kib, LEAST.memory_kib, MOST.memory_kib) => {
            unsupported("cost.memory_kib", memory_kib.to_string())
        }
        _ if !within(passes, LEAST.passes, MOST.passes) => unsupported("cost.passes", passes.to_string()),
        _ if !within(lanes, LEAST.lanes, MOST.lanes) => unsupported("cost.lanes", lanes.to_string()),
        _ => Ok(()),
    }
}

fn stretch(path: &Path, header: &Header, passphrase: &str) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let unsupported = |error: argon2::Error| KeystoreError::Unsupported {
        path: path.into(),
        field: "cost",
        found: error.to_string(),
    };
    let Cost { memory_kib, passes, lanes } = header.cost;
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(unsupported)?;
    let mut key = Zeroizing::new([0_u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), &header.salt, key.as_mut())
        .map_err(unsupported)?;
    Ok(key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let bundles = vec![BundleSecret::generate(1).unwrap()];
        Secrets { mnemonic: "twelve words".into(), bundles, archival: false, archive: None }
    }

    fn keystore() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore.json");
        Keystore::create(&path, "sealdev1x", "2026-11-24T00:00:00Z", secrets(), "correct horse").unwrap();
        (dir, path)
    }

    #[test]
    fn the_passphrase_opens_and_another_does_not() {
        let (_dir, path) = keystore();
        assert_eq!(Keystore::open(&path, "correct horse").unwrap().secrets().mnemonic, "twelve words");
        assert_eq!(
            Keystore::open(&path, "correct hors").unwrap_err(),
            KeystoreError::Passphrase { path: path.clone() }
        );
    }

    #[test]
    fn a_change_is_there_after_opening_again() {
        let (_dir, path) = keystore();
        let mut keystore = Keystore::open(&path, "correct horse").unwrap();
        keystore.change(|secrets| secrets.bundles.push(BundleSecret::generate(2).unwrap())).unwrap();
        assert_eq!(Keystore::open(&path, "correct horse").unwrap().secrets().bundles.len(), 2);
    }

    #[test]
    fn an_altered_header_or_a_greedy_or_weak_cost_is_refused() {
        let (_dir, path) = keystore();
        let text = std::fs::read_to_string(&path).unwrap();
        let altered = |from: &str, to: &str| {
            assert!(text.contains(from));
            write_secret_file(&path, text.replace(from, to).as_bytes()).unwrap();
            Keystore::open(&path, "correct horse").unwrap_err()
        };
        assert!(matches!(altered("sealdev1x", "sealdev1y"), KeystoreError::Passphrase { .. }));
        let field = |error| match error {
            KeystoreError::Unsupported { field, .. } => field,
            other => panic!("{other}"),
        };
        assert_eq!(field(altered("\"memory_kib\": 65536", "\"memory_kib\": 4294967295")), "cost.memory_kib");
        assert_eq!(field(altered("\"passes\": 3", "\"passes\": 1")), "cost.passes");
        assert_eq!(field(altered(FORMAT, "sealpost-keystore/2")), "format");
    }

    #[test]
    fn a_note_is_bound_to_its_place() {
        let (_dir, path) = keystore();
        let keystore = Keystore::open(&path, "correct horse").unwrap();
        let note = keystore.seal_note(b"here", b"salt").unwrap();
        assert_eq!(keystore.open_note(b"here", &note).unwrap().as_slice(), b"salt");
        assert!(keystore.open_note(b"there", &note).is_err());
    }
}
