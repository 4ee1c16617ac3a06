//! Clocks that are wrong: a program under libfaketime sees the time of day that a file says. Its timers go on as they are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where Linux distributions put the library, below the folder of the processor's own libraries or beside it.
const FOLDERS: [&str; 2] = ["/usr/lib", "/usr/lib64"];
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// A clock that a test sets.
#[derive(Debug, Clone)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// A clock that is right as yet and keeps its state in that file; nothing if libfaketime is not there.
    pub fn right(file: &Path) -> Option<Self> {
        let of_processor =
            std::fs::read_dir(FOLDERS[0]).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut places =
            FOLDERS.iter().map(PathBuf::from).chain(of_processor).map(|folder| folder.join(LIBRARY));
        let clock = Self { library: places.find(|path| path.is_file())?, file: file.to_owned() };
        clock.is_off_by(0);
        Some(clock)
    }
    /// From now on it is so many seconds ahead of the machine's, or behind.
    pub fn is_off_by(&self, seconds: i64) {
        // Whole at any moment, since it is read at any moment.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}s\n")).expect("written");
        std::fs::rename(new, &self.file).expect("renamed");
    }
    /// The environment of a program that sees it.
    pub fn environment(&self) -> [(&'static str, OsString); 5] {
        [
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_DISABLE_SHM", "1".into()),
        ]
    }
}
