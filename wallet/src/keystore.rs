//! The keystore: a wallet's secrets in one file, encrypted under a passphrase (Argon2id, RFC 9106, and
//! XChaCha20-Poly1305). The file's readable part is authenticated with the rest, so nobody can weaken it.
//!
//! Two programs may use one wallet at a time: every change is made under a lock and on what the file holds
//! then, so that neither overwrites a secret of the other.

pub(crate) mod backup;
mod crypt;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod secrets;
#[cfg(test)]
mod tests;

pub use backup::StreamError;
pub use crypt::Cost;
pub use secrets::{KeysHash, Moment, Origin, Publication, Secrets};

use crate::random::{NoRandomness, random};
use crypt::{CIPHER, COST, Encrypted, KDF, decrypt, encrypt};
use sealpost_terminal::{Failure, lock_file, read_secret_file, write_new_secret_file, write_secret_file};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

const FORMAT: &str = "sealpost-keystore/2";
/// Without publications, and with notes under the passphrase's own key. The next change writes the newest.
const FORMER: &str = "sealpost-keystore/1";
/// How a keystore that was not written to its end begins.
const BEGINNING: &[u8] = b"{\n  \"header\": {\n    \"format\": \"sealpost-keystore/";

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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    header: Header,
    #[serde(with = "const_hex::serde")]
    nonce: [u8; 24],
    #[serde(with = "const_hex::serde")]
    ciphertext: Vec<u8>,
}

/// What the readable part of a keystore says. Not authenticated before the keystore is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Format of the file.
    pub format: String,
    /// Whether this is the format that is written now.
    pub newest: bool,
    /// What the passphrase costs.
    pub cost: Cost,
    /// Address of the identity.
    pub address: String,
    /// When it was made, as its maker wrote.
    pub created: String,
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
    #[error("the passphrase of {} was changed by another program meanwhile; run this again with the new one", path.display())]
    OtherPassphrase { path: PathBuf },
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// A note that this keystore's key does not open in the place it is in. Whoever keeps notes says which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it was altered, or is of another wallet")]
pub struct AlteredNote;

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
    /// Makes a keystore and writes it, but never over one that is there: two programs that make a wallet of one name
    /// at a time make one, and the other says so.
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
        write_new_secret_file(path, &keystore.file()?).map_err(KeystoreError::File)?;
        Ok(keystore)
    }
    /// Opens a keystore.
    pub fn open(path: &Path, passphrase: &str) -> Result<Self, KeystoreError> {
        let file = load(path)?;
        let key = stretch(path, &file.header, passphrase)?;
        let secrets = decipher(path, &file, &key)?;
        let header = Header { format: FORMAT.into(), ..file.header };
        Ok(Self { path: path.into(), header, key, secrets })
    }
    /// The address in the readable part of a keystore. Not authenticated before it is opened.
    pub fn address_of(path: &Path) -> Result<String, KeystoreError> {
        Ok(Self::parameters_of(path)?.address)
    }
    /// The readable part of a keystore.
    pub fn parameters_of(path: &Path) -> Result<Parameters, KeystoreError> {
        let Header { format, cost, address, created, .. } = load(path)?.header;
        let newest = format == FORMAT;
        Ok(Parameters { format, newest, cost, address, created })
    }
    /// The secrets.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }
    /// When it was made.
    pub(crate) fn created(&self) -> &str {
        &self.header.created
    }
    /// Reads the file again: another program may have changed it.
    pub fn refresh(&mut self) -> Result<(), KeystoreError> {
        self.secrets = self.read()?;
        Ok(())
    }
    /// The secrets as the file has them when nobody changes it: those that another program has made since, too.
    pub(crate) fn newest_secrets(&self) -> Result<Secrets, KeystoreError> {
        let _lock = self.lock()?;
        self.read()
    }
    /// Changes the secrets and writes them, before anything else may rely on the change. What another
    /// program has written since is kept.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Secrets) -> T) -> Result<T, KeystoreError> {
        let _lock = self.lock()?;
        self.refresh()?;
        let before = self.secrets.clone();
        let changed = change(&mut self.secrets);
        match self.save() {
            Ok(()) => Ok(changed),
            Err(error) => {
                self.secrets = before;
                Err(error)
            }
        }
    }
    /// Encrypts the keystore under another passphrase, with a new salt. The file with the old one is gone
    /// when this returns; until then it is whole.
    pub fn change_passphrase(&mut self, passphrase: &str) -> Result<(), KeystoreError> {
        let _lock = self.lock()?;
        self.refresh()?;
        let header = Header { cost: COST, salt: *random::<16>()?, ..self.header.clone() };
        let key = stretch(&self.path, &header, passphrase)?;
        let changed = Self { path: self.path.clone(), header, key, secrets: self.secrets.clone() };
        changed.save()?;
        *self = changed;
        Ok(())
    }
    /// Encrypts a note that only this wallet can read again. `about` binds it to its place.
    pub fn seal_note(&self, about: &[u8], note: &[u8]) -> Result<Vec<u8>, KeystoreError> {
        let Encrypted { nonce, ciphertext } =
            self.encrypted(encrypt(self.note_key(), &note_aad(about), note)?)?;
        Ok([nonce.as_slice(), &ciphertext].concat())
    }
    /// Reads such a note. What is wrong then is the note, not the keystore: that one is open.
    pub fn open_note(&self, about: &[u8], note: &[u8]) -> Result<Zeroizing<Vec<u8>>, AlteredNote> {
        let (nonce, ciphertext) = note.split_first_chunk::<24>().ok_or(AlteredNote)?;
        decrypt(self.note_key(), nonce, &note_aad(about), ciphertext).ok_or(AlteredNote)
    }

    fn read(&self) -> Result<Secrets, KeystoreError> {
        let file = load(&self.path)?;
        if (file.header.salt, file.header.cost) != (self.header.salt, self.header.cost) {
            return Err(KeystoreError::OtherPassphrase { path: self.path.clone() });
        }
        decipher(&self.path, &file, &self.key)
    }
    fn encrypted(&self, encrypted: Option<Encrypted>) -> Result<Encrypted, KeystoreError> {
        let (path, reason) = (self.path.clone(), "encryption failed".into());
        encrypted.ok_or(KeystoreError::Malformed { path, reason })
    }
    fn note_key(&self) -> &[u8; 32] {
        self.secrets.note_key.as_ref().map_or(&self.key, |key| &key.0)
    }
    /// Held while the file is read, changed and written; gone when it is dropped.
    fn lock(&self) -> Result<fs::File, KeystoreError> {
        lock_file(&self.path.with_extension("lock")).map_err(KeystoreError::File)
    }
    fn save(&self) -> Result<(), KeystoreError> {
        write_secret_file(&self.path, &self.file()?).map_err(KeystoreError::File)?;
        self.sweep();
        Ok(())
    }
    /// What is in the file.
    fn file(&self) -> Result<Vec<u8>, KeystoreError> {
        let malformed = |reason: String| KeystoreError::Malformed { path: self.path.clone(), reason };
        let plaintext = self.secrets.to_json().map_err(|error| malformed(error.to_string()))?;
        let Encrypted { nonce, ciphertext } =
            self.encrypted(encrypt(&self.key, &aad(&self.header), &plaintext)?)?;
        let file = File { header: self.header.clone(), nonce, ciphertext };
        let mut json = serde_json::to_vec_pretty(&file).map_err(|error| malformed(error.to_string()))?;
        json.push(b'\n');
        Ok(json)
    }
    /// Removes what writers left that were killed on the way: it may hold secrets that are gone since.
    fn sweep(&self) {
        let entries = self.path.parent().and_then(|folder| fs::read_dir(folder).ok());
        for path in entries.into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with(".sealpost-") && is_unfinished(&path) {
                // One that can't be removed now is tried again with the next change.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

fn is_unfinished(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut bytes));
    read.is_ok() && bytes.starts_with(BEGINNING)
}

fn load(path: &Path) -> Result<File, KeystoreError> {
    let bytes = read_secret_file(path).map_err(KeystoreError::File)?;
    let file: File = serde_json::from_slice(&bytes)
        .map_err(|error| KeystoreError::Malformed { path: path.into(), reason: error.to_string() })?;
    check(path, &file.header)?;
    Ok(file)
}

fn decipher(path: &Path, file: &File, key: &[u8; 32]) -> Result<Secrets, KeystoreError> {
    let plaintext = decrypt(key, &file.nonce, &aad(&file.header), &file.ciphertext);
    let plaintext = plaintext.ok_or_else(|| KeystoreError::Passphrase { path: path.into() })?;
    let mut secrets: Secrets = serde_json::from_slice(&plaintext)
        .map_err(|error| KeystoreError::Malformed { path: path.into(), reason: error.to_string() })?;
    secrets.complete(key);
    Ok(secrets)
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
    match header {
        Header { format, .. } if ![FORMAT, FORMER].contains(&format.as_str()) => {
            unsupported("format", format.clone())
        }
        Header { kdf, .. } if kdf != KDF => unsupported("kdf", kdf.clone()),
        Header { cipher, .. } if cipher != CIPHER => unsupported("cipher", cipher.clone()),
        Header { cost, .. } => match cost.out_of_bounds() {
            Some((field, found)) => unsupported(field, found),
            None => Ok(()),
        },
    }
}

fn stretch(path: &Path, header: &Header, passphrase: &str) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    header.cost.stretch(&header.salt, passphrase).map_err(|found| KeystoreError::Unsupported {
        path: path.into(),
        field: "cost",
        found,
    })
}
