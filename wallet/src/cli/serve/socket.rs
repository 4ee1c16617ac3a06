//! The door: a socket and a token, both the owner's alone, in a folder that nobody else enters. Whoever comes
//! must be the same user, by the kernel's word, and show the token: a socket handed on, into a container say, is
//! no way in by itself.

use crate::failure;
use crate::random::random;
use sealpost_terminal::{Exit, Failure, create_private_folder, file_failure, write_secret_file};
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::net::{UnixListener, UnixStream};
use zeroize::Zeroizing;

/// Longest path of a socket that every system takes, in bytes.
const MAX_PATH_BYTES: usize = 100;
/// Pause after a connection that could not be taken: out of file descriptors, say.
const PAUSE: Duration = Duration::from_millis(200);

/// What a client has to show: random, another one at each start, as 64 hexadecimal digits.
pub(super) struct Token(Zeroizing<String>);

impl Token {
    fn new() -> Result<Self, Failure> {
        let bytes = random::<32>().map_err(failure)?;
        Ok(Self(Zeroizing::new(const_hex::encode(bytes.as_ref()))))
    }
    /// Compares in constant time.
    pub(super) fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

/// An open door. Socket and token are gone when it is dropped.
pub(super) struct Door {
    listener: UnixListener,
    socket: String,
    folder: PathBuf,
    token: Token,
    owner: u32,
    // Held as long as the door is open, and let go by the system however the process ends.
    _lock: File,
}

impl Door {
    /// Opens the door in a folder, which is made if need be.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let socket = path_of_socket(folder)?;
        create_private_folder(folder)?;
        check_private(folder)?;
        let lock = lock(folder)?;
        // Left by a process that was killed: the lock shows that it does not run any more.
        if let Err(error) = fs::remove_file(&socket)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(file_failure("remove", Path::new(&socket), &error));
        }
        let token = Token::new()?;
        let token_file = folder.join("token");
        write_secret_file(&token_file, token.0.as_bytes())?;
        let owner =
            fs::metadata(&token_file).map_err(|error| file_failure("read", &token_file, &error))?.uid();
        let listener = UnixListener::bind(&socket)
            .map_err(|error| file_failure("listen at", Path::new(&socket), &error))?;
        fs::set_permissions(&socket, Permissions::from_mode(0o600))
            .map_err(|error| file_failure("protect", Path::new(&socket), &error))?;
        Ok(Self { listener, socket, folder: folder.into(), token, owner, _lock: lock })
    }
    /// Where it is.
    pub(super) fn socket(&self) -> &str {
        &self.socket
    }
    /// Where the token is.
    pub(super) fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }
    /// What a client has to show.
    pub(super) fn token(&self) -> &Token {
        &self.token
    }
    /// The next client that is this user.
    pub(super) async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if self.is_owner(&stream) => return stream,
                // Somebody else, who has no business here.
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
    fn is_owner(&self, stream: &UnixStream) -> bool {
        stream.peer_cred().is_ok_and(|peer| peer.uid() == self.owner)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // What can't be removed lets nobody in: nobody listens, and the next start makes another token.
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_file(self.token_file());
    }
}

fn path_of_socket(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("socket");
    let length = path.as_os_str().len();
    match path.to_str() {
        Some(text) if length <= MAX_PATH_BYTES => Ok(text.to_owned()),
        _ => {
            let message = format!(
                "folder: the socket {} has a path of {length} bytes; {MAX_PATH_BYTES} bytes of UTF-8 are the limit",
                path.display()
            );
            Err(Failure::new(Exit::Usage, "serve.folder", message)
                .help("name a shorter one with --folder DIR"))
        }
    }
}

fn check_private(folder: &Path) -> Result<(), Failure> {
    let mode = fs::metadata(folder).map_err(|error| file_failure("read", folder, &error))?.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("folder: others may enter {} (mode {mode:04o})", folder.display());
    Err(Failure::new(Exit::Usage, "serve.folder", message)
        .help(format!("chmod 700 {}, or name another one with --folder DIR", folder.display())))
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let path = folder.join("lock");
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(|error| file_failure("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            let message = format!("the wallet is served in {} already", folder.display());
            Err(Failure::unavailable("serve.running", message)
                .help("connect to that socket, or stop the other `sealpost serve` first"))
        }
        Err(fs::TryLockError::Error(error)) => Err(file_failure("lock", &path, &error)),
    }
}
