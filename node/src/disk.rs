//! How much room the disk has left, for metrics and readiness: a full disk stops a node, so it is said before.

use std::io;
use std::path::Path;

/// Bytes that this process may still write where `path` lies.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_room_and_a_missing_one_is_an_error() {
        let dir = std::env::temp_dir();
        assert!(free_bytes(&dir).is_ok_and(|bytes| bytes > 0));
        assert!(free_bytes(&dir.join("sealpost-is-not-here")).is_err());
    }
}
