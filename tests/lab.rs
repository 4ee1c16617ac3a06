//! The lab itself: does it join, does each fault do what it says, and does its counter prove it?

use sealpost_tests::Server;
use sealpost_tests::harness::faults::{FaultKind, Faults};
use sealpost_tests::harness::namespace::{Lab, Wire, ready};
use sealpost_tests::harness::stand_in::{self, ask, pour};
use std::sync::Arc;
use std::time::Duration;

/// Long enough for an answer between namespaces on a busy machine.
const SOON: Duration = Duration::from_millis(500);

/// Not a test: the program that the others start in a namespace.
#[test]
#[ignore = "started by the other tests with a role in its environment"]
fn stand_in() {
    stand_in::play();
}

fn answering(lab: &Lab, folder: &tempfile::TempDir) -> Vec<Server> {
    let log = |member| folder.path().join(format!("{member}.log"));
    let starting: Vec<_> =
        (0..lab.members()).map(|member| stand_in::answer_at(lab, member, &log(member))).collect();
    starting.into_iter().map(sealpost_tests::Starting::ready).collect()
}

#[test]
fn each_fault_of_the_network_does_what_it_says_and_counts_it() {
    if !ready("each_fault_of_the_network_does_what_it_says_and_counts_it") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let lab = Arc::new(Lab::new(3, Wire::Bridge));
    let _answering = answering(&lab, &folder);
    let asked = |from, to| ask(&lab, from, to, 3, SOON).count;
    let mut faults = Faults::new(lab.clone());
    assert_eq!((asked(Some(0), 1), asked(Some(2), 0), asked(None, 2)), (3, 3, 3));

    faults.part(&[0, 1], &[2]);
    assert_eq!((asked(Some(0), 2), asked(Some(2), 1)), (0, 0), "parted members hear one another");
    assert_eq!((asked(Some(0), 1), asked(None, 2)), (3, 3), "the partition parts those of one side");
    assert!(faults.heal()[0].hits >= 6);
    assert_eq!(asked(Some(0), 2), 3, "the partition has not ended");

    faults.deafen(&[0], &[1]);
    assert_eq!((asked(Some(1), 0), asked(Some(2), 0), asked(Some(1), 2)), (0, 3, 3));
    assert!(faults.heal()[0].hits >= 3);

    faults.lose(&[1], 30);
    let answers = ask(&lab, Some(0), 1, 100, Duration::from_millis(20)).count;
    assert!((30..95).contains(&answers), "{answers} of 100 questions answered at a loss of 30 %");
    assert!(faults.heal()[0].hits > 5);

    faults.slow(&[0], 2000);
    let took = pour(&lab, 0, 1, 250_000);
    assert!(took > Duration::from_millis(700), "two megabits took {took:?} at two megabits a second");
    assert!(faults.heal()[0].hits > 0);
    assert_eq!(asked(Some(0), 1), 3);

    // Nobody speaks meanwhile: as good as no fault.
    faults.part(&[0], &[1]);
    assert_eq!(faults.heal()[0].hits, 0);
    let kinds: Vec<(FaultKind, u64)> =
        faults.tally().iter().map(|(kind, (times, _))| (*kind, *times)).collect();
    let expected =
        [FaultKind::Loss, FaultKind::Partition, FaultKind::OneWay, FaultKind::Slow].map(|k| (k, 1));
    assert_eq!(kinds, expected);
}

#[test]
fn the_switch_keeps_frames_between_members_and_not_those_of_the_test() {
    if !ready("the_switch_keeps_frames_between_members_and_not_those_of_the_test") {
        return;
    }
    let (folder, delay) = (tempfile::tempdir().unwrap(), Duration::from_millis(40));
    let lab = Arc::new(Lab::new(2, Wire::Delayed(delay)));
    let _answering = answering(&lab, &folder);
    let mut faults = Faults::new(lab.clone());
    let kept = ask(&lab, Some(0), 1, 5, SOON);
    assert_eq!(kept.count, 5);
    assert!(kept.percentile(0) >= 2 * delay, "{kept:?}");
    let passed = ask(&lab, None, 1, 5, SOON);
    assert_eq!(passed.count, 5);
    assert!(passed.percentile(0) < delay, "{passed:?}");
    assert!(lab.switch().unwrap().counters().kept >= 10);

    faults.delay(2 * delay);
    assert!(ask(&lab, Some(0), 1, 2, SOON).percentile(0) >= 4 * delay);
    let ended = faults.heal();
    assert_eq!((ended[0].kind, ended[0].hits >= 4), (FaultKind::Late, true), "{ended:?}");
    assert!(ask(&lab, Some(0), 1, 5, SOON).percentile(0) < delay);

    // The faults of the other wire work here too.
    faults.part(&[0], &[1]);
    assert_eq!(ask(&lab, Some(0), 1, 2, SOON).count, 0);
    assert!(faults.heal()[0].hits >= 2);
}

#[test]
fn nothing_is_left_of_a_lab_nor_of_what_ran_in_it() {
    if !ready("nothing_is_left_of_a_lab_nor_of_what_ran_in_it") {
        return;
    }
    let lab = Lab::new(1, Wire::Bridge);
    let namespace = lab.namespace(0);
    let mut inside = lab.command(0, "sleep").arg("1000").spawn().unwrap();
    // Its process is the command itself once that has entered the namespace.
    let there = || std::fs::read_to_string(format!("/proc/{}/comm", inside.id())).unwrap_or_default();
    while there().trim() != "sleep" {
        std::thread::yield_now();
    }
    let path = std::path::Path::new("/run/netns").join(namespace);
    assert!(path.exists());
    drop(lab);
    assert!(!path.exists());
    assert!(!inside.wait().unwrap().success());
}
