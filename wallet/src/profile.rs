//! Where a network's wallets live: one folder per network with its genesis, the nodes to ask, the contacts,
//! the last verified head and the wallets.

use crate::contacts::{ContactError, Contacts};
use crate::light::{HeadFile, LightError};
use sealpost_ledger::genesis::{Genesis, GenesisError};
use sealpost_terminal::{Failure, create_private_folder, file_failure, write_atomically};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The file that makes a folder a wallet.
const KEYSTORE: &str = "keystore.json";

/// A network's folder.
#[derive(Debug, Clone)]
pub struct Profile {
    folder: PathBuf,
    genesis: Arc<Genesis>,
}

/// Why a network's folder can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum ProfileError {
    #[error("{0}")]
    File(Failure),
    #[error("network {}: {source}", path.display())]
    Genesis { path: PathBuf, source: GenesisError },
    #[error("{}: there is a network {name} already, with another genesis; remove that folder first, or use another --home", path.display())]
    OtherGenesis { path: PathBuf, name: String },
    #[error("no network {name:?} is known here")]
    Unknown { name: String },
    #[error("{what} {name:?}: 1 to 64 lower-case letters, digits or hyphens")]
    Name { what: &'static str, name: String },
}

impl Profile {
    /// The folder of a network, made if need be.
    pub fn create(home: &Path, genesis: Arc<Genesis>) -> Result<Self, ProfileError> {
        let folder = home.join("networks").join(genesis.chain_name());
        let path = folder.join("genesis.json");
        if path.exists() {
            let known = Self::open(home, genesis.chain_name())?;
            if known.genesis.chain_id() != genesis.chain_id() {
                return Err(ProfileError::OtherGenesis { path: folder, name: genesis.chain_name().into() });
            }
            return Ok(known);
        }
        create_private_folder(&folder.join("wallets")).map_err(ProfileError::File)?;
        write_atomically(&path, genesis.to_json().as_bytes()).map_err(ProfileError::File)?;
        Ok(Self { folder, genesis })
    }
    /// The folder of a network that is known.
    pub fn open(home: &Path, name: &str) -> Result<Self, ProfileError> {
        check_name("network", name)?;
        let folder = home.join("networks").join(name);
        let path = folder.join("genesis.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ProfileError::Unknown { name: name.into() });
            }
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let genesis = Genesis::parse(&bytes).map_err(|source| ProfileError::Genesis { path, source })?;
        Ok(Self { folder, genesis: Arc::new(genesis) })
    }
    /// The networks that are known, by name.
    pub fn list(home: &Path) -> Result<Vec<String>, ProfileError> {
        names_in(&home.join("networks"), "genesis.json")
    }
    /// The network.
    pub fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }
    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
    /// Where its genesis is.
    pub fn genesis_path(&self) -> PathBuf {
        self.folder.join("genesis.json")
    }
    /// The nodes to ask, in this order; none if none was set.
    pub fn nodes(&self) -> Vec<String> {
        // One a line; the file of one node is as it always was.
        let text = fs::read_to_string(self.folder.join("node")).unwrap_or_default();
        text.lines().map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
    }
    /// Sets the nodes to ask.
    pub fn set_nodes(&self, urls: &[String]) -> Result<(), ProfileError> {
        let text: String = urls.iter().map(|url| format!("{url}\n")).collect();
        write_atomically(&self.folder.join("node"), text.as_bytes()).map_err(ProfileError::File)
    }
    /// The folder of proofs that the network contradicted itself. It may not exist yet.
    pub fn contradictions_folder(&self) -> PathBuf {
        self.folder.join("contradictions")
    }
    /// The contact book.
    pub fn contacts(&self) -> Result<Contacts, ContactError> {
        Contacts::load(&self.folder.join("contacts.json"), self.genesis.prefix())
    }
    /// The head that was verified last.
    pub fn head(&self) -> Result<HeadFile, LightError> {
        HeadFile::load(self.folder.join("head.json"))
    }
    /// The wallet to use when none is named, if one was chosen and is still there.
    pub fn chosen_wallet(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("wallet")).ok()?;
        let name = text.trim().to_owned();
        self.wallet_folder(&name).is_ok_and(|folder| folder.join(KEYSTORE).exists()).then_some(name)
    }
    /// Chooses the wallet to use when none is named.
    pub fn choose_wallet(&self, name: &str) -> Result<(), ProfileError> {
        check_name("wallet", name)?;
        write_atomically(&self.folder.join("wallet"), format!("{name}\n").as_bytes())
            .map_err(ProfileError::File)
    }
    /// The wallets, by name.
    pub fn wallets(&self) -> Result<Vec<String>, ProfileError> {
        names_in(&self.folder.join("wallets"), KEYSTORE)
    }
    /// Removes a wallet from this machine; whether there was one, or what a removal left that was interrupted.
    pub fn remove_wallet(&self, name: &str) -> Result<bool, ProfileError> {
        let folder = self.wallet_folder(name)?;
        // In one step: none of it is ever taken for a part of a wallet that gets the name later.
        let going = folder.with_file_name(format!(".removed-{name}"));
        let failed = |error| ProfileError::File(file_failure("remove", &folder, &error));
        let cleared = clear(&going).map_err(failed)?;
        if !folder.join(KEYSTORE).exists() {
            return Ok(cleared);
        }
        fs::rename(&folder, &going).map_err(failed)?;
        clear(&going).map_err(failed)
    }
    /// The folder of a wallet. It may not exist yet.
    pub fn wallet_folder(&self, name: &str) -> Result<PathBuf, ProfileError> {
        check_name("wallet", name)?;
        Ok(self.folder.join("wallets").join(name))
    }
}

/// Removes a wallet's folder, the keystore first: whatever is left then can't be opened. Whether there was one.
fn clear(folder: &Path) -> std::io::Result<bool> {
    match fs::remove_file(folder.join(KEYSTORE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        removed => removed?,
    }
    sealpost_terminal::sync_folder(folder.parent().unwrap_or(Path::new(".")))?;
    Ok(true)
}

/// A name becomes a folder, so nothing that could lead elsewhere is one.
fn check_name(what: &'static str, name: &str) -> Result<(), ProfileError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(ProfileError::Name { what, name: name.chars().take(100).collect() })
}

/// The folders in `folder` that contain `file`, by name.
fn names_in(folder: &Path, file: &str) -> Result<Vec<String>, ProfileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    let named = entries.filter(|entry| entry.path().join(file).exists());
    let names = named.filter_map(|entry| entry.file_name().into_string().ok());
    // What is being removed or made begins with a dot.
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    Ok(names)
}

/// Not the same as a folder that is not there: that one may be made.
fn unreadable(path: &Path, error: &std::io::Error) -> ProfileError {
    ProfileError::File(file_failure("read", path, error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_that_was_interrupted_leaves_no_wallet_and_is_finished() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile { folder: home.path().to_owned(), genesis: crate::testing::genesis() };
        let folder = profile.wallet_folder("dave").unwrap();
        fs::create_dir_all(folder.join("outbox")).unwrap();
        fs::write(folder.join(KEYSTORE), "secrets").unwrap();
        assert_eq!(profile.wallets().unwrap(), ["dave"]);
        // As after the first step.
        fs::rename(&folder, folder.with_file_name(".removed-dave")).unwrap();
        assert!(profile.wallets().unwrap().is_empty());
        assert!(profile.remove_wallet("dave").unwrap());
        assert_eq!(fs::read_dir(home.path().join("wallets")).unwrap().count(), 0);
        assert!(!profile.remove_wallet("dave").unwrap());
    }
}
