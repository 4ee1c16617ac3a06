//! Small file systems of their own, mounted for a test and gone after it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system. It is unmounted when this is dropped.
pub(crate) struct Mounted {
    pub(crate) folder: PathBuf,
}

impl Mounted {
    /// An ext4 file system in a file of so many MiB.
    pub(crate) fn image(image: &Path, mib: u64, folder: &Path) -> Result<Self, String> {
        let file = std::fs::File::create(image).map_err(|error| error.to_string())?;
        file.set_len(mib << 20).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", &image.display().to_string()])?;
        Self::open(image, folder)
    }
    /// The file system in a file.
    pub(crate) fn open(image: &Path, folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        run("mount", &["-o", "loop", &image.display().to_string(), &folder.display().to_string()])?;
        Ok(Self { folder: folder.to_owned() })
    }
    /// A file system in memory with so many MiB.
    pub(crate) fn memory(mib: u64, folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let size = format!("size={mib}m");
        run("mount", &["-t", "tmpfs", "-o", &size, "sealpost-torture", &folder.display().to_string()])?;
        Ok(Self { folder: folder.to_owned() })
    }
    /// Gives a file system in memory more room.
    pub(crate) fn grow(&self, mib: u64) -> Result<(), String> {
        run("mount", &["-o", &format!("remount,size={mib}m"), &self.folder.display().to_string()])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Nothing runs on it any more; if something does, it goes when that ends.
        let _ = run("umount", &["-l", &self.folder.display().to_string()]);
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
