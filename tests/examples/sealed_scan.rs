//! What looking for sealed messages costs: `cargo run --release -p sealpost-tests --example sealed_scan`.
//!
//! In one run, in turns: the bare key agreement on secp256k1 per message, and a wallet's scan per message, both on
//! one core. Then the peak memory of scans of growing length, each in a process of its own, fed page by page as a
//! node would.

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
use std::time::{Duration, Instant};

/// Slots of one measurement.
const SLOTS: usize = 10_000;
/// Measurements of each kind, in turns.
const REPETITIONS: usize = 9;
/// Slots looked at together on one core, as the wallet does.
const BATCH: usize = 64;
/// Slots of a page.
const PAGE: usize = sealpost_api::MAX_TAGS as usize;

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--memory") {
        return scan_pages(args.next().and_then(|count| count.parse().ok()).expect("a number"));
    }
    let slots = slots(SLOTS);
    let keys = view_keys(&[BundleSecret::generate(1).expect("randomness")]);
    let secret = NonZeroScalar::from_repr(FieldBytes::from([7; 32])).expect("a scalar");
    let points: Vec<_> = slots.iter().map(|slot| point(&slot.ephemeral)).collect();
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..REPETITIONS {
        times[0].push(time(|| points.iter().for_each(|point| bare(point, &secret))));
        times[1].push(time(|| slots.iter().for_each(|slot| bare(&point(&slot.ephemeral), &secret))));
        times[2].push(time(|| {
            slots.chunks(BATCH).for_each(|batch| drop(black_box(candidates_of(&keys, batch))))
        }));
        times[3].push(time(|| drop(black_box(candidates(&keys, &slots)))));
    }
    let [bare, parsed, scan, cores] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64() / SLOTS as f64 * 1e6
    });
    println!(
        "| median of {REPETITIONS} repetitions in turns, {SLOTS} slots each | µs per slot | against the first |"
    );
    println!("|---|---|---|");
    for (name, value) in [
        ("bare key agreement, one core: a point times a secret, affine", bare),
        ("the same, with the point read from its 33 bytes", parsed),
        ("the wallet's scan, one core", scan),
    ] {
        println!("| {name} | {value:.2} | {:.2} |", value / bare);
    }
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    println!("| the wallet's scan, {threads} cores | {cores:.2} | {:.2} |", cores / bare);
    println!("\n| slots scanned, page by page | peak memory |\n|---|---|");
    for count in [10_000, 100_000, 1_000_000] {
        let program = std::env::current_exe().expect("a path");
        let output = Command::new(program).args(["--memory", &count.to_string()]).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        println!("| {count} | {} |", String::from_utf8_lossy(&output.stdout).trim());
    }
}

fn time(what: impl FnOnce()) -> Duration {
    let started = Instant::now();
    what();
    started.elapsed()
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
    println!("{}", peak.trim());
}
