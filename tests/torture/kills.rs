//! kill -9: at random moments while messages come in, right after one was reported final, and while the node starts.

use crate::Times;
use crate::station::{Station, end_of};
use sealpost_tests::harness::random::Random;
use std::time::Duration;

/// The node lives no longer than this.
const LONGEST_LIFE_MS: usize = 400;
/// One of so many is killed on its way up.
const WHILE_STARTING: usize = 5;
/// A start takes about so long.
const START_MS: usize = 150;
/// The whole ledger is checked after so many kills.
const CHECK_EVERY: u64 = 50;

pub(crate) async fn run(times: Times) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let station = Station::new(&folder.path().join("home"));
    let mut random = Random::new(times.seed);
    let (mut starting, mut checks) = (0_u64, 0_u64);
    for number in 1..=times.count {
        let after = |why: String| format!("after {number} kills: {why}");
        if random.below(WHILE_STARTING) == 0 {
            let node = station.launch(&["--p2p", "off"]);
            tokio::time::sleep(Duration::from_millis(random.below(START_MS) as u64)).await;
            // Dropped is killed.
            drop(node);
            starting += 1;
            continue;
        }
        let mut node = station.start().map_err(after)?;
        station.keeps_newest(&node).await.map_err(after)?;
        let before = station.promised().len();
        let traffic = station.traffic(&node);
        if random.below(2) == 0 {
            // At once, so that the last promise is as fresh as can be.
            tokio::select! {
                promised = station.promises(before, 1) => promised.map_err(after)?,
                status = end_of(&mut node, Duration::MAX) => {
                    return Err(after(format!("the node ended by itself, {status:?}:\n{}", station.last_said())));
                }
            }
        } else {
            tokio::time::sleep(Duration::from_millis(random.below(LONGEST_LIFE_MS) as u64)).await;
        }
        node.kill();
        traffic.ended().await;
        if number % CHECK_EVERY == 0 {
            station.check().map_err(after)?;
            checks += 1;
            println!("{number} kills, {} messages final", station.promised().len());
        }
    }
    let node = station.start()?;
    station.keeps_all(&node).await?;
    node.stop();
    station.check()?;
    let messages = station.promised().len();
    if messages == 0 {
        return Err("no message became final: nothing was tested".into());
    }
    Ok(format!(
        "{} kills, {starting} of them while starting, {} whole checks, {messages} messages reported final, none lost",
        times.count,
        checks + 1
    ))
}
