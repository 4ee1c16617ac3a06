//! Power cuts: a node works on a file system in a file. At a random moment its process is stopped, and the file is
//! copied: what the system had not yet written to it is not in the copy, as after a cut. The copy is mounted, and a
//! node started there must have everything that was reported final before.

use crate::Times;
use crate::mounted::Mounted;
use crate::station::Station;
use sealpost_tests::harness::random::Random;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Size of the file system.
const MIB: u64 = 1_024;
/// Longest time between two cuts.
const LONGEST_MS: usize = 600;
/// So often a copy is tried.
const COPIES: u32 = 50;
/// A node that has made a ledger of so many cuts begins anew, before its disk is full.
const CUTS_OF_ONE: u64 = 20;

pub(crate) async fn run(times: Times) -> Result<String, String> {
    let mut random = Random::new(times.seed);
    let (mut done, mut messages) = (0, 0);
    while done < times.count {
        let cuts = CUTS_OF_ONE.min(times.count - done);
        messages += one_ledger(cuts, &mut random).await.map_err(|why| format!("after {done} cuts: {why}"))?;
        done += cuts;
        println!("{done} power cuts, {messages} messages final");
    }
    Ok(format!("{done} power cuts, {messages} messages reported final before one, none lost"))
}

async fn one_ledger(cuts: u64, random: &mut Random) -> Result<usize, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let image = folder.path().join("disk");
    let disk = Mounted::image(&image, MIB, &folder.path().join("mounted"))?;
    let station = Station::new(&disk.folder);
    let node = station.start()?;
    let traffic = station.traffic(&node);
    for cut in 1..=cuts {
        let before = station.promised().len();
        tokio::time::sleep(Duration::from_millis(random.below(LONGEST_MS) as u64)).await;
        node.signal("STOP");
        // Each in a file of its own: a process that was started meanwhile with mounts of its own (`ip netns exec`) keeps an
        // earlier copy mounted, and the system goes on writing to it.
        let copy = folder.path().join(format!("copy-{cut}"));
        // What was promised is known by now; answers that come later are not asked for.
        let after = station.copied_to(&folder.path().join("after"));
        let copied = copy_at_once(&image, &copy);
        node.signal("CONT");
        copied?;
        let found = Mounted::open(&copy, after.home())?;
        let again = after.start().map_err(|why| format!("cut {cut}: {why}"))?;
        after.keeps_newest(&again).await.map_err(|why| format!("cut {cut}: {why}"))?;
        // All of the ledger at its end: that takes a while.
        if cut == cuts {
            after.keeps_all(&again).await.map_err(|why| format!("cut {cut}: {why}"))?;
        }
        again.stop();
        if cut == cuts {
            after.check().map_err(|why| format!("cut {cut}: {why}"))?;
        }
        drop(found);
        std::fs::remove_file(&copy).map_err(|error| error.to_string())?;
        if cut == cuts && after.promised().is_empty() {
            return Err(format!(
                "no message became final ({before} before the last cut): nothing was tested"
            ));
        }
    }
    traffic.stop().await;
    let promised = station.promised().len();
    node.stop();
    Ok(promised)
}

/// Copies the file of a file system as it was at one moment: the system itself may write to it now and then, and a copy
/// that it wrote into is no moment's, and made again.
fn copy_at_once(image: &Path, copy: &Path) -> Result<(), String> {
    let written =
        || std::fs::metadata(image).and_then(|about| about.modified()).map_err(|error| error.to_string());
    for _ in 0..COPIES {
        let before = written()?;
        let status = Command::new("cp").arg("--sparse=always").args([image, copy]).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err("the disk could not be copied".into());
        }
        if written()? == before {
            return Ok(());
        }
    }
    Err("the disk did not come to rest".into())
}
