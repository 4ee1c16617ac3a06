//! Where things are kept: the XDG folders, or all under one (`--home`, `SEALPOST_HOME`).

use crate::{Failure, GlobalArgs};
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

/// Makes a folder, and those above it, for the owner alone. One that exists is left as it is.
pub fn create_private_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| {
        Failure::unavailable("file.io", format_args!("cannot make {}: {error}", path.display()))
    })
}
