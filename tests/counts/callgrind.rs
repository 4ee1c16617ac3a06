//! This program again, under callgrind: it counts while `operations::measured` runs, and writes a file each time that
//! is left.

use crate::operations::Times;
use crate::record::Record;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The function whose instructions are counted, with whatever it calls. A pattern would not do: of two options for the
/// same pattern callgrind 3.19 follows the first only.
const MEASURED: &str = "sealpost_counts::operations::measured";

/// A folder that goes when its owner does.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind lies in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs all operations and counts each.
pub(crate) fn count(times: Times) -> Result<Record, Box<dyn Error>> {
    let made_by = format!("{}, {}", compiler()?, said("valgrind", &["--version"])?.trim());
    let folder = Folder(std::env::temp_dir().join(format!("sealpost-counts-{}", std::process::id())));
    fs::create_dir_all(&folder.0)?;
    let out = folder.0.join("out");
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
        .args([format!("--toggle-collect={MEASURED}"), format!("--dump-after={MEASURED}")])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args(["run", times.word()])
        .output()?;
    if !output.status.success() {
        return Err(format!("under valgrind: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let names = String::from_utf8(output.stdout)?;
    let counts = names.lines().zip(1..).map(|(name, number)| {
        let file = folder.0.join(format!("out.{number}"));
        Ok((name.to_owned(), total(&file).map_err(|error| format!("{name}: {error}"))?))
    });
    let counts = counts.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    // One more would mean that the names stand at the wrong counts.
    let more = folder.0.join(format!("out.{}", counts.len() + 1));
    if more.exists() && total(&more)? != 0 {
        return Err("more was counted than was named".into());
    }
    Ok(Record { made_by, counts })
}

/// The instructions in one of callgrind's files.
fn total(file: &Path) -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.ok_or("the file has no total")?.trim().parse()?)
}

/// The compiler at hand, which has built this program, and for what.
fn compiler() -> Result<String, Box<dyn Error>> {
    let text = said("rustc", &["--version", "--verbose"])?;
    let version = text.lines().next().unwrap_or_default();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    Ok(format!("{version} for {host}"))
}

fn said(program: &str, words: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new(program).args(words).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
