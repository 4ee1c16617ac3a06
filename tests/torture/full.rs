//! A full disk: a node works on a small file system until there is no room. It must stop with words, and after it was
//! given room go on with everything it had reported final.

use crate::Times;
use crate::mounted::Mounted;
use crate::station::{Station, end_of};
use sealpost_tests::harness::random::Random;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// The smallest file system on which a node comes to work, in MiB.
const SMALLEST: u64 = 24;
/// Sizes vary by as much.
const RANGE: usize = 24;
/// With that there is room again.
const ENOUGH: u64 = 512;
/// Bytes of a message, so that it does not take long.
const LONG: usize = 16_000;
/// Exit code of a node that something around it keeps from its work.
const UNAVAILABLE: i32 = 3;
const SIGBUS: i32 = 7;
/// Longest wait for a disk to fill, and for a node to stop.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run(times: Times) -> Result<String, String> {
    let mut random = Random::new(times.seed);
    let mut messages = 0;
    for number in 1..=times.count {
        let mib = SMALLEST + random.below(RANGE) as u64;
        let found = one(mib).await;
        messages += found.map_err(|why| format!("disk {number}, {mib} MiB: {why}"))?;
        println!("{number} full disks, {messages} messages final");
    }
    Ok(format!("{} full disks, {messages} messages reported final before, none lost", times.count))
}

async fn one(mib: u64) -> Result<usize, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let disk = Mounted::memory(mib, &folder.path().join("mounted"))?;
    let station = Station::new(&disk.folder);
    let mut node = station.start()?;
    let traffic = station.long_traffic(&node, LONG);
    let status = end_of(&mut node, PATIENCE).await;
    let status = status.ok_or_else(|| format!("the node did not stop within {PATIENCE:?}"))?;
    traffic.ended().await;
    let log = std::fs::read_to_string(station.log()).unwrap_or_default();
    // Files of the index are mapped: where there is no room for a page of them, the kernel ends the process. Either
    // way it has said why before.
    let ended = status.code() == Some(UNAVAILABLE) || status.signal() == Some(SIGBUS);
    if !ended || !log.contains("No space left on device") {
        return Err(format!("the node ended with {status} and said last:\n{}", station.last_said()));
    }
    disk.grow(ENOUGH)?;
    let node = station.start()?;
    station.keeps_all(&node).await?;
    let before = station.promised().len();
    let traffic = station.traffic(&node);
    station.promises(before, 1).await?;
    traffic.stop().await;
    node.stop();
    station.check()?;
    match before {
        0 => Err("no message became final before: nothing was tested".into()),
        before => Ok(before),
    }
}
