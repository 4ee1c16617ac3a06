//! A node's home: the files that make it this node of this network.
//!
//! | file | what |
//! |---|---|
//! | `genesis.json` | the network |
//! | `network.key` | network identity; losing it costs nothing but acquaintance |
//! | `validator.key` | the key that votes, on a validator only: 64 hexadecimal digits. Or systemd's credential of that name |
//! | `consensus.wal` | the log of votes, begun with the validator's key; a validator never starts without it |
//! | `data/` | blocks and index |

use crate::consensus::{self, ConsensusError};
use crate::identity::{self, IdentityError};
use sealpost_ledger::genesis::{Genesis, GenesisError};
use sealpost_ledger::signature::SigningKey;
use sealpost_terminal::{
    Failure, create_private_folder, read_secret_file, write_atomically, write_secret_file,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use zeroize::Zeroizing;

/// A node's home folder.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

/// Why a home can't be used.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum HomeError {
    #[error("{0}")]
    File(Failure),
    #[error("{}: no node lives here yet", root.display())]
    Empty { root: PathBuf },
    #[error("{}: a node lives here already, of network {network}", root.display())]
    Taken { root: PathBuf, network: String },
    #[error("{}: {source}", path.display())]
    Genesis { path: PathBuf, source: GenesisError },
    #[error("{}: this is no validator key: 64 hexadecimal digits are expected", path.display())]
    ValidatorKey { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Credential { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Votes(#[from] ConsensusError),
}

impl Home {
    /// Names a home; nothing is read yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
    /// Makes a node of a network live here.
    pub fn create(&self, genesis: &Genesis, validator: Option<&[u8; 32]>) -> Result<(), HomeError> {
        if self.genesis_path().exists() {
            let network = self.genesis().map_or_else(|error| error.to_string(), |g| g.chain_name().into());
            return Err(HomeError::Taken { root: self.root.clone(), network });
        }
        create_private_folder(&self.root).map_err(HomeError::File)?;
        if let Some(secret) = validator {
            let text = Zeroizing::new(format!("{}\n", const_hex::encode(secret)));
            write_secret_file(&self.validator_path(), text.as_bytes()).map_err(HomeError::File)?;
            // The key is new here and has never voted.
            consensus::begin_wal(&self.wal())?;
        }
        identity::load_or_create(&self.identity_path())?;
        // Last, because it is what makes the folder a home.
        write_atomically(&self.genesis_path(), genesis.to_json().as_bytes()).map_err(HomeError::File)
    }
    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Whether a node lives here.
    pub fn exists(&self) -> bool {
        self.genesis_path().exists()
    }
    /// The network.
    pub fn genesis(&self) -> Result<Arc<Genesis>, HomeError> {
        let path = self.genesis_path();
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => HomeError::Empty { root: self.root.clone() },
            _ => {
                let message = format!("cannot read {}: {error}", path.display());
                HomeError::File(Failure::unavailable("file.io", message))
            }
        })?;
        Genesis::parse(&bytes).map(Arc::new).map_err(|source| HomeError::Genesis { path, source })
    }
    /// The network identity.
    pub fn identity(&self) -> Result<libp2p::identity::Keypair, HomeError> {
        Ok(identity::load_or_create(&self.identity_path())?)
    }
    /// The key that votes, if there is one.
    pub fn validator(&self) -> Result<Option<Arc<SigningKey>>, HomeError> {
        let own = self.validator_path();
        let (path, text) = if own.exists() {
            let text = read_secret_file(&own).map_err(HomeError::File)?;
            (own, text)
        } else if let Some(path) = credential("validator.key") {
            // systemd keeps others away from it by means that the mode does not show.
            let read = std::fs::read(&path).map(Zeroizing::new);
            let text = read.map_err(|source| HomeError::Credential { path: path.clone(), source })?;
            (path, text)
        } else {
            return Ok(None);
        };
        let mut secret = Zeroizing::new([0_u8; 32]);
        let malformed = || HomeError::ValidatorKey { path: path.clone() };
        const_hex::decode_to_slice(text.trim_ascii(), secret.as_mut()).map_err(|_| malformed())?;
        SigningKey::from_bytes(&secret).map(|key| Some(Arc::new(key))).map_err(|_| malformed())
    }
    /// Folder of the store.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }
    /// The log of votes.
    pub fn wal(&self) -> PathBuf {
        self.root.join("consensus.wal")
    }
    /// Whether a key is here without its log of votes: it votes again only after `run --rejoin`.
    pub fn lacks_votes(&self) -> bool {
        self.validator_path().exists() && !self.wal().exists()
    }
    /// Puts a validator's log of votes away before blocks are lost; see [`consensus::set_wal_aside`]. Nothing
    /// on a node that is no validator.
    pub fn set_votes_aside(&self) -> Result<Option<PathBuf>, HomeError> {
        match self.validator_path().exists() {
            true => Ok(consensus::set_wal_aside(&self.wal())?),
            false => Ok(None),
        }
    }
    /// Puts the log of votes back when no block was lost after all.
    pub fn put_votes_back(&self, aside: &Path) -> Result<(), HomeError> {
        Ok(consensus::put_wal_back(&self.wal(), aside)?)
    }
    fn genesis_path(&self) -> PathBuf {
        self.root.join("genesis.json")
    }
    fn identity_path(&self) -> PathBuf {
        self.root.join("network.key")
    }
    /// Where the key that votes is kept.
    pub fn validator_path(&self) -> PathBuf {
        self.root.join("validator.key")
    }
}

/// A secret that systemd hands to this service (`LoadCredential=`).
fn credential(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name);
    path.exists().then_some(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::consensus::testing::{genesis, key};

    #[test]
    fn a_home_is_made_once_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("node"));
        assert!(matches!(home.genesis(), Err(HomeError::Empty { .. })));
        home.create(&genesis(&[key(1)]), Some(&[1; 32])).unwrap();
        assert_eq!(home.genesis().unwrap().chain_id(), genesis(&[key(1)]).chain_id());
        assert_eq!(home.validator().unwrap().unwrap().public_key(), key(1).public_key());
        assert!(matches!(home.create(&genesis(&[key(2)]), None), Err(HomeError::Taken { .. })));
    }

    #[test]
    fn a_home_whose_making_was_interrupted_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("node"));
        home.create(&genesis(&[key(1)]), Some(&[1; 32])).unwrap();
        // The genesis comes last.
        std::fs::remove_file(home.genesis_path()).unwrap();
        home.create(&genesis(&[key(2)]), Some(&[2; 32])).unwrap();
        assert_eq!(home.validator().unwrap().unwrap().public_key(), key(2).public_key());
    }
}
