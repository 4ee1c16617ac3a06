//! Where things are kept: the XDG folders, or all under one (`--home`, `SEALPOST_HOME`).

use crate::{Failure, GlobalArgs, file_failure};
use etcetera::base_strategy::{BaseStrategy, choose_base_strategy};
use std::path::{Path, PathBuf};

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// Settings.
    Config,
    /// What must not be lost.
    Data,
}

/// The folders of this person.
#[derive(Debug, Clone)]
pub struct Folders {
    home: Option<PathBuf>,
}

impl Folders {
    /// As the flags say.
    pub fn new(globals: &GlobalArgs) -> Self {
        Self { home: globals.home.clone() }
    }
    /// A folder. It may not exist yet.
    pub fn path(&self, folder: Folder) -> Result<PathBuf, Failure> {
        if let Some(home) = &self.home {
            return Ok(home.clone());
        }
        let base = choose_base_strategy().map_err(|_| {
            Failure::unavailable("file.no_home", "this user has no home folder")
                .help("give one with --home DIR")
        })?;
        let parent = match folder {
            Folder::Config => base.config_dir(),
            Folder::Data => base.data_dir(),
        };
        Ok(parent.join("sealpost"))
    }
}

/// Makes a folder, and those above it, for the owner alone, and durably. One that exists is left as it is.
pub fn create_private_folder(path: &Path) -> Result<(), Failure> {
    let failed = |error| file_failure("make", path, &error);
    let is_new = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let new: Vec<&Path> = path.ancestors().take_while(is_new).collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed)?;
    // What is in a folder outlives a power cut only if the folder does.
    for folder in new {
        sync_folder(folder_of(folder)).map_err(failed)?;
    }
    Ok(())
}

/// The folder that something lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes durable what came to be in a folder, got another name there, or was removed from it.
///
/// # Errors
/// If the folder can't be opened or synced.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_with_those_above_it_and_one_that_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one/two");
        create_private_folder(&path).unwrap();
        std::fs::write(path.join("file"), "there").unwrap();
        create_private_folder(&path).unwrap();
        assert_eq!(std::fs::read(path.join("file")).unwrap(), b"there");
        #[cfg(unix)]
        for made in [&path, &dir.path().join("one")] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let file = path.join("file");
        assert!(create_private_folder(&file).unwrap_err().message.contains(&file.display().to_string()));
    }
}
