//! Folders of networks for playing: whatever `dev` and `demo` write to a ledger stays there, so that they run no network
//! that they have not made. A file in the folder says that they have.

use sealpost_terminal::{Failure, create_private_folder, write_atomically};
use std::path::{Path, PathBuf};

/// What a command makes in a folder.
#[derive(Debug)]
pub(super) struct Made {
    /// The command, after which its network is named, and the folder of its wallets.
    pub(super) by: &'static str,
    /// The flag that names the folder.
    pub(super) flag: &'static str,
    /// What the mark says to people.
    pub(super) note: &'static str,
}

impl Made {
    /// The node, and the wallets of its network. Wallets of other networks stand beside them.
    pub(super) fn parts(&self, folder: &Path) -> [PathBuf; 2] {
        [folder.join("node"), folder.join("networks").join(self.by)]
    }
    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("made-by-{}", self.by))
    }
    /// Refuses a network that is somebody's own.
    pub(super) fn check(&self, folder: &Path) -> Result<(), Failure> {
        let (by, flag, parts) = (self.by, self.flag, self.parts(folder));
        if self.path(folder).exists() || parts.iter().all(|part| !part.exists()) {
            return Ok(());
        }
        let [node, wallets] = parts.each_ref().map(|part| part.display());
        let folder = folder.display();
        let what = format!("{flag}: {folder}: nothing says that `{by}` made the network that is here");
        Err(Failure::usage(what).help(format!(
            "name another folder with --{flag}, or delete {node} and {wallets} by hand if no key in them is needed"
        )))
    }
    /// Notes that whatever will be in a folder is the command's, before anything is.
    pub(super) fn mark(&self, folder: &Path) -> Result<(), Failure> {
        self.check(folder)?;
        if self.parts(folder).iter().any(|part| part.exists()) {
            return Ok(());
        }
        create_private_folder(folder)?;
        write_atomically(&self.path(folder), self.note.as_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_terminal::Exit;

    const MADE: Made = Made { by: "demo", flag: "keep", note: "" };

    #[test]
    fn a_network_that_somebody_else_made_is_refused() {
        for part in ["node", "networks/demo"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join(part)).unwrap();
            // Another command's mark says nothing of this one.
            std::fs::write(folder.path().join("made-by-dev"), "").unwrap();
            let failure = MADE.mark(folder.path()).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.help.unwrap().contains("--keep"));
            assert!(!folder.path().join("made-by-demo").exists());
        }
    }

    #[test]
    fn what_was_marked_before_it_was_made_is_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        MADE.mark(folder.path()).unwrap();
        std::fs::create_dir_all(folder.path().join("node")).unwrap();
        MADE.mark(folder.path()).unwrap();
    }
}
