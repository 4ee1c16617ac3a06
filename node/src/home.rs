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
use sealpost_ledger::signature::{PublicKey, SigningKey};
use sealpost_terminal::{
    Failure, create_private_folder, read_secret_file, write_atomically, write_new_secret_file,
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
    #[error("{}: the key of validator {public} is there already, and no other is written over it", path.display())]
    KeyThere { path: PathBuf, public: PublicKey },
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
    /// Makes a node of a network live here, with that validator's key if one is given. A key that is there already
    /// stays as it is, and so does its log of votes, or its absence: nobody here knows what it has signed.
    pub fn create(&self, genesis: &Genesis, validator: Option<&[u8; 32]>) -> Result<(), HomeError> {
        self.check_free()?;
        create_private_folder(&self.root).map_err(HomeError::File)?;
        if let Some(secret) = validator {
            self.take_in(secret)?;
        }
        identity::load_or_create(&self.identity_path())?;
        // Last, because it is what makes the folder a home.
        write_atomically(&self.genesis_path(), genesis.to_json().as_bytes()).map_err(HomeError::File)
    }
    /// Refuses if a node lives here.
    pub fn check_free(&self) -> Result<(), HomeError> {
        if !self.exists() {
            return Ok(());
        }
        let network = self.genesis().map_or_else(|error| error.to_string(), |g| g.chain_name().into());
        Err(HomeError::Taken { root: self.root.clone(), network })
    }
    /// Keeps a validator's key that has never voted, unless it is there.
    fn take_in(&self, secret: &[u8; 32]) -> Result<(), HomeError> {
        let path = self.validator_path();
        if let Some(key) = self.own_key()? {
            let given = SigningKey::from_bytes(secret).map(|given| given.public_key());
            return match given.is_ok_and(|given| given == key.public_key()) {
                true => Ok(()),
                false => Err(HomeError::KeyThere { path, public: key.public_key() }),
            };
        }
        // Before the key: where a key is without a log, votes may have been forgotten.
        consensus::begin_wal(&self.wal())?;
        let text = Zeroizing::new(format!("{}\n", const_hex::encode(secret)));
        write_new_secret_file(&path, text.as_bytes()).map_err(HomeError::File)
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
        if let Some(own) = self.own_key()? {
            return Ok(Some(own));
        }
        let Some(path) = credential("validator.key") else { return Ok(None) };
        // systemd keeps others away from it by means that the mode does not show.
        let read = std::fs::read(&path).map(Zeroizing::new);
        let text = read.map_err(|source| HomeError::Credential { path: path.clone(), source })?;
        parse_key(&path, &text).map(Some)
    }
    /// The key in the folder itself, if there is one.
    pub fn own_key(&self) -> Result<Option<Arc<SigningKey>>, HomeError> {
        let path = self.validator_path();
        if !path.exists() {
            return Ok(None);
        }
        let text = read_secret_file(&path).map_err(HomeError::File)?;
        parse_key(&path, &text).map(Some)
    }
    /// The same for a network that is yet to be made: refused if the key may have voted anywhere, for its log would bind
    /// it at heights that the new network has not reached.
    pub fn unused_key(&self) -> Result<Option<Arc<SigningKey>>, HomeError> {
        let Some(key) = self.own_key()? else { return Ok(None) };
        match !self.lacks_votes() && consensus::voted_height(&self.wal())?.is_none() {
            true => Ok(Some(key)),
            false => Err(HomeError::KeyThere { path: self.validator_path(), public: key.public_key() }),
        }
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
    /// Puts a validator's log of votes away before blocks are lost; see [`consensus::set_wal_aside`]. Wherever its key is:
    /// a service may get it from elsewhere. Nothing on a node that is no validator, which has no log.
    pub fn set_votes_aside(&self) -> Result<Option<PathBuf>, HomeError> {
        Ok(consensus::set_wal_aside(&self.wal())?)
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

fn parse_key(path: &Path, text: &[u8]) -> Result<Arc<SigningKey>, HomeError> {
    let mut secret = Zeroizing::new([0_u8; 32]);
    let malformed = || HomeError::ValidatorKey { path: path.to_owned() };
    const_hex::decode_to_slice(text.trim_ascii(), secret.as_mut()).map_err(|_| malformed())?;
    SigningKey::from_bytes(&secret).map(Arc::new).map_err(|_| malformed())
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
    fn a_home_whose_making_was_interrupted_takes_up_its_own_key() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("node"));
        // The log comes first, the genesis last.
        create_private_folder(home.root()).unwrap();
        consensus::begin_wal(&home.wal()).unwrap();
        home.create(&genesis(&[key(1)]), Some(&[1; 32])).unwrap();
        std::fs::remove_file(home.genesis_path()).unwrap();
        let unused = home.unused_key().unwrap().unwrap();
        assert_eq!(unused.public_key(), key(1).public_key());
        home.create(&genesis(&[key(1)]), Some(&[1; 32])).unwrap();
        assert!(home.exists() && !home.lacks_votes());
    }

    #[test]
    fn no_key_is_written_over_and_none_that_was_there_gets_a_fresh_log() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("node"));
        home.create(&genesis(&[key(1)]), Some(&[1; 32])).unwrap();
        let (votes, text) = ([7; 200], std::fs::read(home.validator_path()).unwrap());
        std::fs::write(home.wal(), votes).unwrap();
        let unchanged = |log: Option<&[u8]>| {
            assert_eq!(std::fs::read(home.validator_path()).unwrap(), text);
            assert_eq!(std::fs::read(home.wal()).ok().as_deref(), log);
        };
        std::fs::remove_file(home.genesis_path()).unwrap();
        let refused = home.create(&genesis(&[key(2)]), Some(&[2; 32]));
        assert!(matches!(refused, Err(HomeError::KeyThere { public, .. }) if public == key(1).public_key()));
        assert!(!home.exists());
        home.unused_key().unwrap_err();
        unchanged(Some(&votes));
        for validator in [Some(&[1; 32]), None] {
            home.create(&genesis(&[key(1)]), validator).unwrap();
            unchanged(Some(&votes));
            std::fs::remove_file(home.genesis_path()).unwrap();
        }
        // A copy of the key from elsewhere: what it has signed there nobody knows here.
        std::fs::remove_file(home.wal()).unwrap();
        home.unused_key().unwrap_err();
        home.create(&genesis(&[key(1)]), Some(&[1; 32])).unwrap();
        assert!(home.lacks_votes());
        unchanged(None);
    }

    #[test]
    fn the_votes_of_a_key_that_is_kept_elsewhere_are_put_away_too() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("node"));
        home.create(&genesis(&[key(1)]), Some(&[1; 32])).unwrap();
        std::fs::remove_file(home.validator_path()).unwrap();
        assert_eq!(home.set_votes_aside().unwrap(), None, "it has never voted");
        std::fs::write(home.wal(), [7; 200]).unwrap();
        assert!(home.set_votes_aside().unwrap().is_some());
        assert!(!home.wal().exists());
    }
}
