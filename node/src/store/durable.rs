//! Files and folders that are on disk before anybody relies on them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// A file is there, or gone, after a power cut only if its folder was synced too.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Puts a file in the place of whatever is there: after a crash it is the one or the other, and whole.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}
