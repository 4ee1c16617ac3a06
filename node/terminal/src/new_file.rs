//! A file that comes to be and may hold what nobody else should read: until it is whole it has no name, so that nothing
//! of it is left if the program is killed meanwhile; then it gets its place in one step, and never another file's.

use crate::folders::{folder_of, sync_folder};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

/// A file without a name, readable by the owner alone.
#[derive(Debug)]
pub struct NewFile {
    file: Content,
    folder: PathBuf,
}

#[derive(Debug)]
enum Content {
    /// Only some systems have those, and not for each folder.
    Nameless(File),
    Named(tempfile::NamedTempFile),
}

impl NewFile {
    /// Begins a file that is to get its place in a folder.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let file = match nameless(folder) {
            Some(file) => Content::Nameless(file),
            None => Content::Named(named(folder)?),
        };
        Ok(Self { file, folder: folder.to_owned() })
    }
    /// Begins a file that is to be at that place.
    pub fn beside(path: &Path) -> io::Result<Self> {
        Self::in_folder(folder_of(path))
    }
    /// The file.
    pub fn file(&self) -> &File {
        match &self.file {
            Content::Nameless(file) => file,
            Content::Named(file) => file.as_file(),
        }
    }
    /// Makes it durable, and gives it its place.
    ///
    /// # Errors
    /// Of the kind `AlreadyExists` if there is something already: that stays as it is.
    pub fn place(self, path: &Path) -> io::Result<()> {
        self.file().sync_all()?;
        let named = match self.file {
            Content::Named(file) => file,
            Content::Nameless(mut file) => match link(&file, path) {
                Ok(()) => return sync_folder(&self.folder),
                // Where files can be without a name and not get one: a copy with a name.
                Err(error) if is_impossible(&error) => {
                    let copy = named(&self.folder)?;
                    file.rewind()?;
                    io::copy(&mut file, &mut copy.as_file())?;
                    copy.as_file().sync_all()?;
                    copy
                }
                Err(error) => return Err(error),
            },
        };
        named.persist_noclobber(path)?;
        sync_folder(&self.folder)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

/// Whether a file without a name can get none here, as without `/proc`. A disk that fails or is full is another matter:
/// nothing that only the owner may read is then written a second time, under a name that a kill would leave.
fn is_impossible(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, InvalidInput, NotFound, PermissionDenied, Unsupported};
    matches!(error.kind(), CrossesDevices | InvalidInput | NotFound | PermissionDenied | Unsupported)
}

fn named(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(".sealpost-").tempfile_in(folder)
}

#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    open(folder, flags, Mode::RUSR | Mode::WUSR).ok().map(File::from)
}

#[cfg(not(target_os = "linux"))]
const fn nameless(_: &Path) -> Option<File> {
    None
}

#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nothing_is_there_until_the_file_is_whole_and_it_takes_no_ones_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letter");
        let mut file = NewFile::beside(&path).unwrap();
        file.write_all(b"one").unwrap();
        if matches!(file.file, Content::Nameless(_)) {
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
        file.place(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut other = NewFile::beside(&path).unwrap();
        other.write_all(b"two").unwrap();
        assert_eq!(other.place(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_disk_that_fails_is_no_reason_for_a_copy() {
        let of = |code| is_impossible(&io::Error::from_raw_os_error(code));
        // EXDEV, EPERM and EOPNOTSUPP; ENOSPC, EIO, EROFS and EEXIST.
        assert!([18, 1, 95].into_iter().all(of));
        assert!(![28, 5, 30, 17].into_iter().any(of));
    }

    #[test]
    fn a_file_that_needs_a_name_meanwhile_comes_to_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letter");
        let file = Content::Named(named(dir.path()).unwrap());
        let mut file = NewFile { file, folder: dir.path().to_owned() };
        file.write_all(b"one").unwrap();
        file.place(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
