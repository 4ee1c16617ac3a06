//! Files that must never be half written, and files that nobody else may read.

use crate::folders::{folder_of, sync_folder};
use crate::{Exit, Failure, NewFile};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Writes a file whole or not at all, and durably: a new file takes the old one's place in one step.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    place(path, bytes, Access::Public).map_err(|error| file_failure("write", path, &error))
}

/// The same, readable by the owner alone.
pub fn write_secret_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    place(path, bytes, Access::Owner).map_err(|error| file_failure("write", path, &error))
}

/// Writes a file whole or not at all, but never over one that is there already: for what a person asked
/// to have written, such as evidence.
pub fn write_new_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    place_new(path, bytes, Access::Public).map_err(|error| not_new(path, &error))
}

/// The same, readable by the owner alone: for words that restore a wallet, and for what was decrypted.
pub fn write_new_secret_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    place_new(path, bytes, Access::Owner).map_err(|error| not_new(path, &error))
}

/// What is said when a new file could not be written: that there is one, or what failed.
pub fn not_new(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists => file_exists(path),
        _ => file_failure("write", path, error),
    }
}

/// What is said instead of writing over a file.
pub fn file_exists(path: &Path) -> Failure {
    Failure::new(Exit::Usage, "file.exists", format_args!("{} exists already", path.display()))
        .help("choose another name, or move the old file away")
}

/// What is said when something can't be done to a file or folder: `action` is a verb, such as `read`.
pub fn file_failure(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::unavailable("file.io", format_args!("cannot {action} {}: {error}", path.display()))
}

/// Reads a file that only its owner may read.
///
/// # Errors
/// If it can't be read, or others may read it: the message names the `chmod` that mends it.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    check_private(path)?;
    fs::read(path).map(Zeroizing::new).map_err(|error| file_failure("read", path, &error))
}

/// Waits for a lock that one program at a time has, and makes its file if need be. It is held until what is returned
/// is dropped, or the program ends.
///
/// # Errors
/// If the file can't be made or locked.
pub fn lock_file(path: &Path) -> Result<fs::File, Failure> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let locked = options.open(path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| file_failure("lock", path, &error))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Owner,
    Public,
}

fn place_new(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut file = NewFile::beside(path)?;
    file.write_all(bytes)?;
    set_access(file.file(), access)?;
    file.place(path)
}

fn place(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let folder = folder_of(path);
    let file = tempfile::Builder::new().prefix(".sealpost-").tempfile_in(folder)?;
    // The file itself: its errors do not name the temporary place as well.
    file.as_file().write_all(bytes)?;
    set_access(file.as_file(), access)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_folder(folder)
}

/// Files are the owner's alone from their first byte on, until they are given to others.
fn set_access(file: &fs::File, access: Access) -> io::Result<()> {
    #[cfg(unix)]
    if access == Access::Public {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    let _elsewhere = (file, access);
    Ok(())
}

#[cfg(unix)]
pub(crate) fn check_private(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_err(|error| file_failure("read", path, &error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message =
        format!("{}: others than its owner may read this secret (mode {:o})", path.display(), mode & 0o777);
    Err(Failure::new(Exit::Locked, "file.permissions", message).help(format!("chmod 600 {}", path.display())))
}

#[cfg(not(unix))]
pub(crate) fn check_private(_: &Path) -> Result<(), Failure> {
    Ok(())
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_secret_file_is_the_owners_alone_and_takes_no_ones_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        write_new_secret_file(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write_new_secret_file(&path, b"two").unwrap_err().code, "file.exists");
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn a_secret_file_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_secret_file(&path, b"one").unwrap();
        write_secret_file(&path, b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_secret_file(&path).unwrap().as_slice(), b"two");
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evidence.json");
        write_new_file(&path, b"old").unwrap();
        assert_eq!(write_new_file(&path, b"new").unwrap_err().code, "file.exists");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_atomically(&path, b"one").unwrap();
        let failure = read_secret_file(&path).unwrap_err();
        assert_eq!(failure.exit, Exit::Locked);
        assert!(failure.help.unwrap().starts_with("chmod 600"));
    }
}
