//! Files and folders that are on disk before anybody relies on them.

use sealpost_terminal::{folder_of, sync_folder};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Makes a folder, and those above it, so that they outlive a power cut. One that is there may have been made by a
/// process that was killed before it could say so: its folder is synced too.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    let is_new = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let new: Vec<_> = [path].into_iter().chain(path.ancestors().skip(1).take_while(is_new)).collect();
    fs::create_dir_all(path)?;
    new.into_iter().try_for_each(|folder| sync_folder(folder_of(folder)))
}

/// Deletes a folder, with what is in it, or a file. It is renamed first: the files of a folder go one by one in any
/// order, and what a crash leaves of it must not be taken for all of it. What is left has the name that
/// [`finish_discarding`] looks for.
pub(super) fn discard(path: &Path) -> io::Result<()> {
    finish_discarding(path)?;
    match fs::rename(path, gone(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    sync_folder(folder_of(path))?;
    finish_discarding(path)
}

/// Deletes what an interrupted [`discard`] left.
pub(super) fn finish_discarding(path: &Path) -> io::Result<()> {
    let gone = gone(path);
    let removed = if gone.is_dir() { fs::remove_dir_all(&gone) } else { fs::remove_file(&gone) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn gone(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gone");
    PathBuf::from(name)
}

/// Puts a file in the place of whatever is there: after a crash it is the one or the other, and whole.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_folder(folder_of(path))
}
