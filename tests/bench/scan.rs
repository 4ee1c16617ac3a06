//! What looking for sealed messages costs: the bare key agreement on secp256k1 per message, and a wallet's scan per
//! message, in turns. Then the peak memory of scans of growing length, each in a process of its own, fed page by page
//! as a node would.

use crate::report::{Goal, Report, median};
use clap::Args;

use k256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use k256::elliptic_curve::subtle::Choice;
use k256::{AffinePoint, FieldBytes, NonZeroScalar, ProjectivePoint};
use sealpost_api::{SlotTag, TagPage};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_wallet::envelope::{BundleSecret, HiddenSlot, ViewKey, candidates, candidates_of};
use sealpost_wallet::scan::view_keys;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

/// Slots of one measurement.
const SLOTS: usize = 10_000;
/// Measurements of each kind, in turns.
const REPETITIONS: usize = 9;
/// Slots looked at together on one core, as the wallet does.
const BATCH: usize = 64;
/// Slots of a page.
const PAGE: usize = sealpost_api::MAX_TAGS as usize;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only scans so many slots, and prints the peak memory of this process
    #[arg(long, hide = true)]
    memory: Option<usize>,
}

/// Nothing is reported of a scan for its memory alone: its number is printed.
pub(crate) fn run(options: &Options) -> Option<Report> {
    if let Some(count) = options.memory {
        scan_pages(count);
        return None;
    }
    let slots = slots(SLOTS);
    let keys = view_keys(&[BundleSecret::generate(1).expect("randomness")]);
    let secret = NonZeroScalar::from_repr(FieldBytes::from([7; 32])).expect("a scalar");
    let points: Vec<_> = slots.iter().map(|slot| point(&slot.ephemeral)).collect();
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..REPETITIONS {
        times[0].push(time(|| points.iter().for_each(|point| bare(point, &secret))));
        times[1].push(time(|| slots.iter().for_each(|slot| bare(&point(&slot.ephemeral), &secret))));
        times[2].push(time(|| {
            slots.chunks(BATCH).for_each(|batch| drop(black_box(candidates_of(&keys, batch))))
        }));
        times[3].push(time(|| drop(black_box(candidates(&keys, &slots)))));
    }
    let [bare, parsed, scan, cores] = times.map(|mut times| median(&mut times) / SLOTS as f64 * 1e6);
    let title =
        format!("Scanning for sealed messages; medians of {REPETITIONS} in turns, {SLOTS} slots each.");
    let mut report = Report::new(title);
    report.row("bare key agreement, one core: a point times a secret, affine", bare, "µs per slot");
    report.row("the same, with the point read from its 33 bytes", parsed, "µs per slot");
    report.row("the wallet's scan, one core", scan, "µs per slot");
    report.goal("… against the bare key agreement", scan / bare, "", Goal::AtMost(1.25));
    report.row("the wallet's scan, all cores", cores, "µs per slot");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let most = 1.25 / threads as f64;
    report.goal("… against the bare key agreement on one", cores / bare, "", Goal::AtMost(most));
    for count in [10_000, 100_000, 1_000_000] {
        let program = std::env::current_exe().expect("a path");
        let output = Command::new(program).args(["scan", "--memory", &count.to_string()]).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let kib: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
        report.row(format!("peak memory of a scan of {count} slots"), kib / 1024.0, "MiB");
    }
    Some(report)
}

/// Seconds.
fn time(what: impl FnOnce()) -> f64 {
    let started = Instant::now();
    what();
    started.elapsed().as_secs_f64()
}

fn bare(point: &AffinePoint, secret: &NonZeroScalar) {
    black_box((ProjectivePoint::from(*point) * **secret).to_affine().x());
}

/// As many different ephemeral keys, with tags as chance has them.
fn slots(count: usize) -> Vec<HiddenSlot> {
    let mut point = ProjectivePoint::GENERATOR;
    let slots = (0..count).map(|number| {
        point += ProjectivePoint::GENERATOR;
        let affine = point.to_affine();
        let mut ephemeral = [2 + affine.y_is_odd().unwrap_u8(); 33];
        ephemeral[1..].copy_from_slice(&affine.x());
        HiddenSlot { ephemeral, view_tag: number as u8 }
    });
    slots.collect()
}

fn point(key: &[u8; 33]) -> AffinePoint {
    let x = FieldBytes::try_from(&key[1..]).expect("32 bytes");
    AffinePoint::decompress(&x, Choice::from(key[0] & 1)).expect("a point")
}

/// Scans so many slots, page by page, each from its JSON, and prints the peak memory of this process.
fn scan_pages(count: usize) {
    let keys: Vec<ViewKey> = view_keys(&[BundleSecret::generate(1).expect("randomness")]);
    let page = slots(PAGE);
    let mut found = 0;
    for number in 0..count.div_ceil(PAGE) {
        let tags = (0_u32..).zip(&page).map(|(index, slot)| SlotTag {
            height: BlockHeight::new(number as u64),
            index,
            id: TransactionId::from_bytes([number as u8; 32]),
            slot: 0,
            ephemeral: slot.ephemeral.to_vec().into(),
            view_tag: slot.view_tag,
        });
        let page = TagPage { tags: tags.collect(), to: BlockHeight::FIRST, next: None };
        let json = serde_json::to_vec(&page).expect("JSON");
        let page: TagPage = serde_json::from_slice(&json).expect("a page");
        let hidden = page.tags.iter().map(|tag| HiddenSlot {
            ephemeral: tag.ephemeral.as_bytes().try_into().expect("33 bytes"),
            view_tag: tag.view_tag,
        });
        found += candidates(&keys, &hidden.collect::<Vec<_>>()).len();
    }
    black_box(found);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown");
    println!("{}", peak.trim().trim_end_matches(" kB"));
}
