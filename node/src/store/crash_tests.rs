//! A process that is killed while it appends: what it acknowledged must be there. Built with
//! `test-no-fsync` the same test must see a loss, or it would prove nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use super::testing::Chain;
use super::{Store, StoreError};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const DIR: &str = "SEALPOST_CRASH_TEST_DIR";
const ACKNOWLEDGED: &str = "acknowledged ";

/// Not a test by itself: the process that is killed.
#[test]
#[ignore = "started by the test below"]
fn writer_that_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let chain = Chain::new("one");
    let (store, _) = Store::open(Path::new(&dir), chain.genesis.clone(), Default::default()).unwrap();
    loop {
        // By turns one block, and a run with one sync.
        match store.tip().height().get() % 2 {
            0 => chain.grow(&store, 1),
            _ => store.append_many(&chain.run(&store, 3)).unwrap(),
        }
        println!("{ACKNOWLEDGED}{}", store.tip().height());
        std::io::stdout().flush().unwrap();
    }
}

/// Starts the writer, kills it right after an acknowledgement, and returns the height it acknowledged.
fn kill_after(dir: &Path, blocks: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "store::crash_tests::writer_that_is_killed"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let heights = lines.filter_map(|line| line.split_once(ACKNOWLEDGED)?.1.parse::<u64>().ok());
    let last = heights.take(usize::try_from(blocks).unwrap()).last().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    last
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let (mut dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    for round in 1..=5 {
        let acknowledged = kill_after(dir.path(), 3 + round);
        let opened = Store::open(dir.path(), chain.genesis.clone(), Default::default());
        if cfg!(feature = "test-no-fsync") {
            match opened {
                Ok((store, _)) => {
                    let kept = store.tip().height().get();
                    assert!(kept < acknowledged, "kept {kept} of {acknowledged}: the loss was not seen");
                }
                // The index has reached the disk, and knows what the journal has lost.
                Err(StoreError::Damaged { .. }) => dir = TempDir::new().unwrap(),
                Err(error) => panic!("{error}"),
            }
        } else {
            let kept = opened.unwrap().0.tip().height().get();
            assert!(kept >= acknowledged, "kept {kept} of {acknowledged}");
        }
    }
    if cfg!(not(feature = "test-no-fsync")) {
        super::check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
    }
}
