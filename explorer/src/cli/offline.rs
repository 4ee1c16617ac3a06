//! `sealpost-explorer offline`: the checker for browsers as one file, with or without evidence in it.

use crate::verify_page::{Embedded, OFFLINE, with_evidence};
use sealpost_api::Hex;
use sealpost_ledger::evidence::MAX_EVIDENCE_BYTES;
use sealpost_ledger::hash::sha256;
use sealpost_terminal::{Failure, Terminal, bytes, file_exists, file_failure};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sealpost-explorer offline -o verify.html
  sealpost-explorer offline -o notice.html --evidence notice.json --genesis genesis.json
Whoever opens the file should get the genesis from somebody they trust: the one in it is shown with its chain id.")]
pub(super) struct OfflineArgs {
    /// File to write; what is there already is not overwritten
    #[arg(short, long, value_name = "FILE", default_value = "sealpost-verify.html")]
    output: PathBuf,
    /// Evidence to put into it: whoever opens the file sees it checked
    #[arg(long, value_name = "FILE", requires = "genesis")]
    evidence: Option<PathBuf>,
    /// Genesis that comes with the evidence
    #[arg(long, value_name = "FILE", requires = "evidence")]
    genesis: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Written<'a> {
    file: &'a Path,
    bytes: usize,
    sha256: String,
}

pub(super) fn offline(args: &OfflineArgs, terminal: &Terminal) -> Result<(), Failure> {
    let html = match (&args.evidence, &args.genesis) {
        (Some(evidence), Some(genesis)) => {
            let (name, evidence) = (file_name(evidence), read(evidence)?);
            let evidence = Embedded { name: &name, text: &evidence };
            let genesis = read(genesis)?;
            let genesis = Embedded { name: "the one that came with this file", text: &genesis };
            with_evidence(&evidence, &genesis)
        }
        _ => OFFLINE.to_owned(),
    };
    write_new(&args.output, |file| file.write_all(html.as_bytes()))?;
    let written = Written {
        file: &args.output,
        bytes: html.len(),
        sha256: Hex::from(sha256(&[html.as_bytes()])).to_string(),
    };
    terminal.say(format_args!("{} ({})", args.output.display(), bytes(written.bytes as u64)));
    terminal.say(format_args!("sha256   {}", written.sha256));
    terminal.note("Open it in a browser, from disk and without a network: nothing leaves it.");
    terminal.emit("sealpost/explorer-offline/1", &written);
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error| file_failure("read", path, &error);
    let length = std::fs::metadata(path).map_err(failed)?.len();
    let limit = MAX_EVIDENCE_BYTES as u64;
    if length > limit {
        let (length, limit) = (bytes(length), bytes(limit));
        return Err(Failure::usage(format_args!("{}: {length}, the limit is {limit}", path.display())));
    }
    let text = std::fs::read(path).map_err(failed)?;
    String::from_utf8(text).map_err(|_| Failure::usage(format_args!("{} is not UTF-8", path.display())))
}

/// Writes a file that was not there. If that fails half way, the half is removed: it would be in the way of the next try.
fn write_new(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Failure> {
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => file_exists(path),
        _ => file_failure("write", path, &error),
    })?;
    write(&mut file).and_then(|()| file.sync_all()).map_err(|error| {
        drop(file);
        // What can't be removed either is told by the first failure.
        let _ = std::fs::remove_file(path);
        file_failure("write", path, &error)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_half_way_is_not_in_the_way_of_the_next_try() {
        let path = std::env::temp_dir().join(format!("sealpost-offline-{}.html", std::process::id()));
        let half = |file: &mut File| {
            file.write_all(b"half")?;
            Err(ErrorKind::StorageFull.into())
        };
        write_new(&path, half).unwrap_err();
        assert!(!path.exists());
        write_new(&path, |file| file.write_all(b"whole")).unwrap();
        // Another's file stays as it is.
        write_new(&path, half).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        std::fs::remove_file(&path).unwrap();
    }
}
