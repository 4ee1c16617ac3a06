//! The node's network identity: an ed25519 key that its peers know it by. It signs nothing on the ledger;
//! losing it costs the node its peers' acquaintance and no more.

use libp2p::identity::{Keypair, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use sealpost_terminal::{Failure, read_secret_file, write_secret_file};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why there is no identity.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum IdentityError {
    #[error("the network identity {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Secret(Failure),
    #[error(
        "the network identity {} holds no key: 64 hexadecimal digits are expected; delete the file, and the \
         next start makes a new identity", path.display()
    )]
    Malformed { path: PathBuf },
    #[error("the system gave no randomness for a network identity: {0}")]
    Randomness(String),
}

/// The peer that an address names at its end.
pub(crate) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}

/// Reads the identity, or makes it at the first start.
pub fn load_or_create(path: &Path) -> Result<Keypair, IdentityError> {
    let failed = |source| IdentityError::File { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(_) => {
            // Whoever can read it can be this node for its peers, and earn its bans.
            let bytes = read_secret_file(path).map_err(IdentityError::Secret)?;
            let key = std::str::from_utf8(&bytes).ok().and_then(parse);
            key.ok_or(IdentityError::Malformed { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = Zeroizing::new([0_u8; 32]);
            getrandom::fill(secret.as_mut()).map_err(|e| IdentityError::Randomness(e.to_string()))?;
            let text = Zeroizing::new(format!("{}\n", const_hex::encode(secret.as_ref())));
            // Whole or not at all: whoever is killed meanwhile has made none, and the next start makes it.
            write_secret_file(path, text.as_bytes()).map_err(IdentityError::Secret)?;
            parse(&text).ok_or(IdentityError::Malformed { path: path.to_owned() })
        }
        Err(error) => Err(failed(error)),
    }
}

fn parse(text: &str) -> Option<Keypair> {
    let mut secret = Zeroizing::new([0_u8; 32]);
    const_hex::decode_to_slice(text.trim(), secret.as_mut()).ok()?;
    let secret = ed25519::SecretKey::try_from_bytes(secret.as_mut()).ok()?;
    Some(ed25519::Keypair::from(secret).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity");
        let made = load_or_create(&path).unwrap().public();
        assert_eq!(load_or_create(&path).unwrap().public(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused_and_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity");
        write_secret_file(&path, b"not a key").unwrap();
        assert!(matches!(load_or_create(&path), Err(IdentityError::Malformed { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a key");
    }

    #[cfg(unix)]
    #[test]
    fn an_identity_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity");
        load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let Err(IdentityError::Secret(failure)) = load_or_create(&path) else { panic!("it is taken") };
        assert_eq!(failure.code, "file.permissions");
    }
}
