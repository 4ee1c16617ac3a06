//! The life of encryption keys with the real programs: what rotation, destruction and withdrawal do to messages,
//! and the alarm when somebody else publishes keys of an identity.

use crate::parcels::{self, folder_of, noise, until, wallet_command};
use crate::world::{World, home_of};
use sealpost_api::WaitFor;
use sealpost_tests::harness::liar::{Answer, Liar, error};
use sealpost_tests::harness::skip::skip;
use sealpost_tests::{Server, by_another_user, json, program, run};
use sealpost_wallet::Wallet;
use sealpost_wallet::envelope::Letter;
use sealpost_wallet::keystore::{Keystore, Secrets};
use sealpost_wallet::light::Light;
use sealpost_wallet::profile::Profile;
use sealpost_wallet::wallet::{Draft, KeyTerms, Standing};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Blocks for which a transaction may wait: the least that a genesis may say.
const WINDOW: u64 = 10;

pub(crate) fn quick_world() -> World {
    let world = World::with_genesis(|genesis| genesis["limits"]["expiry_window"] = WINDOW.into());
    // No days of grace: the window alone decides. And no archive, which keeps what was opened before.
    std::fs::write(world.path("wallet.toml"), "archive = \"off\"\n[keys]\ngrace_days = 0\n").unwrap();
    world
}

fn library(world: &World, name: &str) -> Wallet {
    let profile = Profile::open(home_of(world), "world").unwrap();
    Wallet::open(profile, name, "correct horse").unwrap()
}

async fn light(world: &World, wallet: &Wallet) -> Light {
    let head = wallet.profile().head().unwrap();
    Light::connect(&world.node.said("rpc"), wallet.genesis().clone(), head).await.unwrap()
}

/// A block for each message.
fn send(world: &World, text: &str) -> String {
    world.wallet("alice", &["send", "bob", "-m", text])["id"].as_str().unwrap().to_owned()
}

fn states(listed: &Value) -> Vec<(u64, String)> {
    let bundles = listed["bundles"].as_array().unwrap().iter();
    bundles.map(|b| (b["sequence"].as_u64().unwrap(), b["state"].as_str().unwrap().to_owned())).collect()
}

fn expected(states: &[(u64, &str)]) -> Vec<(u64, String)> {
    states.iter().map(|(sequence, state)| (*sequence, (*state).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_under_way_is_read_within_the_grace_period_and_never_after_it() {
    let world = quick_world();
    // Alice has encrypted to bundle #1 when bob rotates.
    let alice = library(&world, "alice");
    let node = light(&world, &alice).await;
    let content = Letter { text: "under way".into(), ..Letter::default() }.into();
    let draft = Draft {
        to: vec![library(&world, "bob").address()],
        content,
        mode: sealpost_ledger::message::Mode::Open,
    };
    let (prepared, salt) = alice.prepare_message(&node, &draft, &|_, _| true).await.unwrap();
    let rotated = world.wallet("bob", &["keys", "rotate"]);
    assert_eq!(rotated["sequence"], 2);
    let sent = alice.send_message(&node, &prepared, &draft, salt, WaitFor::Final).await.unwrap();
    let old = sent.id.to_string();
    assert_eq!(world.wallet("bob", &["read", &old])["text"], "under way");
    let listed = world.wallet("bob", &["keys", "list"]);
    assert_eq!(states(&listed), expected(&[(2, "live"), (1, "in_grace")]));
    assert_eq!(world.wallet("bob", &["keys", "tend"])["destroyed"], serde_json::json!([]));

    let mut new = String::new();
    for number in 0..WINDOW {
        new = send(&world, &format!("number {number}"));
    }
    // Bob's wallet runs: it destroys by itself what is due.
    let passphrase = world.path("passphrase");
    let follow = ["-w", "bob", "--passphrase-file", &passphrase, "inbox", "--follow"];
    let following = Server::start("sealpost", home_of(&world), &follow, &world.dir.path().join("follow.log"));
    let listed = (0..1000).map(|_| world.wallet("bob", &["keys", "list"]));
    let destroyed = expected(&[(2, "live"), (1, "destroyed")]);
    assert!(listed.map(|listed| states(&listed)).any(|found| found == destroyed), "#1 is still there");
    drop(following);

    let gone = world.error("bob", &["read", &old]);
    assert_eq!((gone["code"].as_str(), gone["exit"].as_u64()), (Some("open.key_destroyed"), Some(1)));
    assert_eq!(world.wallet("bob", &["read", &new])["text"], format!("number {}", WINDOW - 1));
    let left: Vec<u64> = library(&world, "bob").bundles().iter().map(|bundle| bundle.sequence).collect();
    assert_eq!(left, [2]);
}

/// The same, with the archive that is on unless it is turned off.
pub(crate) fn quick_world_with_archive() -> World {
    let world = quick_world();
    std::fs::write(world.path("wallet.toml"), "[keys]\ngrace_days = 0\n").unwrap();
    world
}

/// Rotates bob's keys, and lets the grace period of those before pass.
pub(crate) fn outlive(world: &World) {
    world.wallet("bob", &["keys", "rotate"]);
    (0..=WINDOW).for_each(|_| drop(send(world, "x")));
}

/// A node that says of one message's body that it does not keep it any more.
fn withholds(world: &World, id: &str) -> Liar {
    let id = id.to_owned();
    Liar::before(&world.node.said("rpc"), move |call| {
        match call.method == "tx_body" && call.params["id"] == id.as_str() {
            true => error(2000, "tx.body_pruned"),
            false => Answer::Truth,
        }
    })
}

#[test]
fn letters_that_nobody_has_read_are_kept_before_their_secret_is_destroyed() {
    let world = quick_world_with_archive();
    let open = send(&world, "a notice");
    let sealed = world.wallet("alice", &["send", "bob", "--sealed", "-m", "between us"]);
    let sealed = sealed["id"].as_str().unwrap();
    outlive(&world);

    // As long as a node withholds one of them, its secret waits, and this is said.
    let liar = withholds(&world, &open);
    let passphrase = world.path("passphrase");
    let tend =
        ["-w", "bob", "--passphrase-file", &passphrase, "--node", liar.url(), "--json", "keys", "tend"];
    let output = run("sealpost", home_of(&world), &tend);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("key bundle #1 is past its grace period"), "{said}");
    let tended: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&tended["destroyed"], &tended["lost"]), (&serde_json::json!([]), &serde_json::json!(0)));
    let waits = &tended["postponed"][0];
    assert_eq!((waits["sequence"].as_u64(), waits["letters"].as_u64()), (Some(1), Some(1)), "{tended}");
    let held = |sequence| library(&world, "bob").bundles().iter().any(|bundle| bundle.sequence == sequence);
    assert!(held(1));

    let tended = world.wallet("bob", &["keys", "tend"]);
    assert_eq!(
        (&tended["destroyed"], &tended["postponed"]),
        (&serde_json::json!([1]), &serde_json::json!([]))
    );
    assert!(!held(1));
    // To keep them was not to read them.
    assert_eq!(world.wallet("bob", &["inbox", "--unread"])["messages"].as_array().unwrap().len(), 13);
    for (id, text) in [(open.as_str(), "a notice"), (sealed, "between us")] {
        let read = world.wallet("bob", &["read", id]);
        assert_eq!((read["text"].as_str(), read["source"].as_str()), (Some(text), Some("archive")), "{read}");
    }
}

#[test]
fn files_that_nobody_has_saved_outlive_the_secret_of_their_letter() {
    let world = quick_world_with_archive();
    let (file, bytes) = (world.path("plan.pdf"), noise(200_000, 3));
    std::fs::write(&file, &bytes).unwrap();
    let send = |mode: &[&str]| {
        let send = [&["send", "bob", "-m", "see the plan", "--attach", file.as_str()], mode].concat();
        world.wallet("alice", &send)["id"].as_str().unwrap().to_owned()
    };
    let both = || [send(&[]), send(&["--sealed"])];
    let kept_before = both();
    world.wallet("bob", &["sync"]);
    let ids = [kept_before, both()].concat();
    outlive(&world);
    let tended = world.wallet("bob", &["keys", "tend"]);
    assert_eq!((&tended["destroyed"], &tended["lost"]), (&serde_json::json!([1]), &serde_json::json!(0)));
    for id in ids {
        let out = world.path(&id);
        assert_eq!(world.wallet("bob", &["read", &id, "-o", &out])["source"], "archive");
        assert!(std::fs::read(format!("{out}/plan.pdf")).unwrap() == bytes, "{id}");
        // The letter itself needs no node.
        let away = world.wallet("bob", &["--node", "http://127.0.0.1:1", "read", &id]);
        assert_eq!((away["text"].as_str(), away["source"].as_str()), (Some("see the plan"), Some("archive")));
    }
}

/// The letter is sent to the new keys, and some of its parts were sent to those before. `meanwhile` happens before the
/// first keys are due to be destroyed.
fn rotated_amid_the_parts(mode: &[&str], rotations: u64, meanwhile: impl Fn(&World)) {
    let world = quick_world_with_archive();
    let (file, bytes) = (world.path("plan.pdf"), noise(2 << 20, 5));
    std::fs::write(&file, &bytes).unwrap();
    let sending = [&["send", "bob", "-m", "see the plan", "--attach", &file], mode].concat();
    let mut child = wallet_command(&world, "alice", &sending).spawn().unwrap();
    let drafts = folder_of(&world, "alice").join("drafts");
    let signed = || {
        let folders = std::fs::read_dir(&drafts).into_iter().flatten().flatten();
        let files =
            folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten());
        files.filter(|file| file.path().extension().is_some_and(|end| end == "part")).count()
    };
    until(&mut child, || signed() > 3);
    child.kill().unwrap();
    child.wait().unwrap();
    // A file of the outbox that can't be read does not keep keys from being replaced.
    let outbox = folder_of(&world, "bob").join("outbox");
    let damaged = outbox.join(format!("{}.json", "7".repeat(64)));
    std::fs::write(&damaged, "{").unwrap();
    for newest in 2..2 + rotations {
        assert_eq!(world.wallet("bob", &["keys", "rotate"])["sequence"], newest);
    }
    world.wallet("alice", &["outbox"]);
    let id = world.wallet("bob", &["inbox"])["messages"][0]["id"].as_str().unwrap().to_owned();
    meanwhile(&world);
    (0..=WINDOW).for_each(|_| drop(self::send(&world, "x")));
    let tended = world.wallet("bob", &["keys", "tend"]);
    assert_eq!((&tended["destroyed"], &tended["lost"]), (&serde_json::json!([1]), &serde_json::json!(0)));
    let out = world.path("saved");
    world.wallet("bob", &["read", &id, "-o", &out]);
    assert!(std::fs::read(format!("{out}/plan.pdf")).unwrap() == bytes);
}

#[test]
fn a_rotation_amid_the_parts_of_a_letter_costs_none_of_them() {
    rotated_amid_the_parts(&[], 1, |_| {});
}

#[test]
fn nor_of_a_sealed_one_that_is_in_the_archive_and_was_not_read() {
    rotated_amid_the_parts(&["--sealed"], 1, |world| {
        world.exit("bob", &["sync"]);
    });
}

#[test]
fn nor_of_one_to_keys_that_are_newer_by_several_rotations() {
    rotated_amid_the_parts(&[], 2, |world| {
        // As if the second keys had been superseded much later than the first.
        let mut keystore =
            Keystore::open(&folder_of(world, "bob").join("keystore.json"), "correct horse").unwrap();
        let change = |secrets: &mut Secrets| {
            secrets.publication_mut(2).unwrap().superseded.as_mut().unwrap().time_ms *= 2;
        };
        keystore.change(change).unwrap();
    });
}

/// No node can help where the sender lied: such files keep no secret, and fill no disk.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_which_a_sender_lied_are_not_waited_for() {
    let world = quick_world_with_archive();
    let alice = parcels::Liar::new(&world, "alice").await;
    let (one, two) = (alice.part(0, b"one").await, alice.part(1, b"two").await);
    for _ in 0..2 {
        alice.letter(6, b"onetwi", &[one, two]).await;
    }
    outlive(&world);
    let tended = world.wallet("bob", &["keys", "tend"]);
    assert_eq!((&tended["destroyed"], &tended["lost"]), (&serde_json::json!([1]), &serde_json::json!(0)));
    assert_eq!(std::fs::read_dir(folder_of(&world, "bob").join("fetched")).unwrap().count(), 0);
}

/// A scan that puts aside what scans had found says so, whichever command it is of.
#[test]
fn tending_says_that_what_scans_had_found_could_not_be_read() {
    let world = quick_world_with_archive();
    world.wallet("alice", &["send", "bob", "--sealed", "-m", "between us"]);
    world.wallet("bob", &["inbox"]);
    std::fs::write(folder_of(&world, "bob").join("scan"), "x").unwrap();
    outlive(&world);
    let passphrase = world.path("passphrase");
    let tend = ["-w", "bob", "--passphrase-file", &passphrase, "keys", "tend"];
    let output = run("sealpost", home_of(&world), &tend);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("scan.damaged"), "{said}");
}

#[test]
fn a_secret_does_not_wait_for_ever_for_a_letter_that_is_withheld() {
    let world = quick_world_with_archive();
    let id = send(&world, "withheld");
    outlive(&world);
    let liar = withholds(&world, &id);
    let tend = ["--node", liar.url(), "keys", "tend"];
    assert_eq!(world.wallet("bob", &tend)["postponed"][0]["letters"], 1);
    // As if it had waited for decades.
    let path = home_of(&world).join("networks/world/wallets/bob/keystore.json");
    let mut keystore = Keystore::open(&path, "correct horse").unwrap();
    let change = |secrets: &mut Secrets| {
        secrets.publication_mut(1).unwrap().postponed.as_mut().unwrap().time_ms = 0;
    };
    keystore.change(change).unwrap();
    let tended = world.wallet("bob", &tend);
    assert_eq!((&tended["destroyed"], &tended["lost"]), (&serde_json::json!([1]), &serde_json::json!(1)));
    assert_eq!(world.error("bob", &["read", &id])["code"], "open.key_destroyed");
}

#[test]
fn a_wallet_that_keeps_nothing_says_how_many_unread_letters_go_with_a_secret() {
    let world = quick_world();
    let (read, _unread) = (send(&world, "read"), send(&world, "unread"));
    world.wallet("bob", &["read", &read]);
    outlive(&world);
    let passphrase = world.path("passphrase");
    let tend = ["-w", "bob", "--passphrase-file", &passphrase, "keys", "tend"];
    let output = run("sealpost", home_of(&world), &tend);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 letter that nobody has read here"), "{said}");
    assert_eq!(library(&world, "bob").bundles().len(), 1);
}

#[test]
fn an_archival_wallet_destroys_nothing_until_it_is_told_otherwise() {
    let world = quick_world();
    let id = send(&world, "old");
    assert_eq!(world.exit("bob", &["--no-input", "keys", "archival", "on"]), 4);
    assert_eq!(world.wallet("bob", &["-y", "keys", "archival", "on"])["changed"], true);
    world.wallet("bob", &["keys", "rotate"]);
    (0..=WINDOW).for_each(|_| drop(send(&world, "x")));
    assert_eq!(world.wallet("bob", &["keys", "tend"])["destroyed"], serde_json::json!([]));
    assert_eq!(world.wallet("bob", &["read", &id])["text"], "old");
    assert_eq!(world.wallet("bob", &["-y", "keys", "archival", "off"])["archival"], false);
    assert_eq!(world.wallet("bob", &["keys", "tend"])["destroyed"], serde_json::json!([1]));
    assert_eq!(world.exit("bob", &["read", &id]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_wallet_rotates_old_keys_by_itself_and_young_ones_not() {
    let world = World::new();
    let mut bob = library(&world, "bob");
    let node = light(&world, &bob).await;
    let young = bob.tend(&node, &KeyTerms::default(), &|_, _| true).await.unwrap();
    assert!(young.rotated.is_none() && young.destroyed.is_empty() && young.own.due.is_empty());
    let terms = KeyTerms { rotate_after: Some(Duration::ZERO), ..KeyTerms::default() };
    let old = bob.tend(&node, &terms, &|_, _| true).await.unwrap();
    assert_eq!(old.rotated.map(|rotated| rotated.sequence), Some(2));
    assert_eq!(bob.own_keys(&node, &KeyTerms::default()).await.unwrap().standing, Standing::Ours);
    let sent = world.wallet("alice", &["send", "bob", "-m", "x"]);
    assert_eq!(sent["to"][0]["bundle"], 2);
    assert!(sent["to"][0]["proven_at"].is_u64(), "{sent}");
}

/// A second home with alice's identity, restored from her words.
fn copy(world: &World) -> (tempfile::TempDir, Value) {
    let dir = tempfile::tempdir().unwrap();
    let (genesis, words) = (world.path("node/genesis.json"), world.path("alice.words"));
    let node = world.node.said("rpc");
    json("sealpost", dir.path(), &["network", "add", "--genesis", &genesis, "--node", &node]);
    let passphrase = world.path("passphrase");
    let restore = ["--passphrase-file", &passphrase, "restore", "alice", "--mnemonic-file", &words];
    let restored = json("sealpost", dir.path(), &restore);
    (dir, restored)
}

fn in_copy(world: &World, home: &Path, args: &[&str]) -> (i32, String, String) {
    let passphrase = world.path("passphrase");
    let args = [&["--passphrase-file", &passphrase, "--json"], args].concat();
    let output = run("sealpost", home, &args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_second_copy_that_publishes_keys_is_an_alarm_and_there_is_a_way_out() {
    let world = World::new();
    let id = world.wallet("bob", &["send", "alice", "-m", "before"])["id"].as_str().unwrap().to_owned();
    let (copy, restored) = copy(&world);
    assert_eq!(restored["published"], 1);
    // The words open nothing that was sent before, and the copy says so.
    let (code, _, error) = in_copy(&world, copy.path(), &["read", &id]);
    assert!(code == 1 && error.contains("open.key_never_here"), "{error}");
    let (code, _, told) = in_copy(&world, copy.path(), &["inbox"]);
    assert!(code == 0 && told.contains("restored from its words"), "{told}");
    let (code, _, error) = in_copy(&world, copy.path(), &["keys", "rotate"]);
    assert_eq!(code, 0, "{error}");

    // The first copy notices, whatever it does, and publishes nothing of its own against the other.
    let passphrase = world.path("passphrase");
    let alice = |args: &[&str]| {
        let args = [&["-w", "alice", "--passphrase-file", &passphrase, "--json"], args].concat();
        let output = run("sealpost", home_of(&world), &args);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for command in [&["keys", "list"][..], &["keys", "rotate"], &["keys", "publish"], &["keys", "tend"]] {
        let (code, error) = alice(command);
        assert!(code == 6 && error.contains("bundle.foreign"), "{command:?}: {error}");
        assert!(error.contains("keys revoke") && error.contains("another copy"), "{error}");
    }
    for command in [&["inbox"][..], &["send", "bob", "-m", "x", "--dry-run"]] {
        let (code, error) = alice(command);
        assert!(code == 0 && error.contains("YOUR KEYS WERE CHANGED"), "{command:?}: {error}");
    }
    assert_eq!(alice(&["doctor"]).0, 6);

    // Withdrawn: nobody writes to the stranger's keys, and the other copy hears of it in its turn.
    assert_eq!(world.wallet("alice", &["keys", "revoke"])["sequence"], 2);
    assert_eq!(in_copy(&world, copy.path(), &["keys", "list"]).0, 6);
    let rotated = world.wallet("alice", &["keys", "rotate"]);
    assert_eq!(rotated["sequence"], 3);
    let listed = world.wallet("alice", &["keys", "list"]);
    assert_eq!(states(&listed), expected(&[(3, "live"), (2, "elsewhere"), (1, "in_grace")]));
    assert_eq!(world.wallet("alice", &["read", &id])["text"], "before");
    let (code, _, _) = in_copy(&world, copy.path(), &["keys", "rotate"]);
    assert_eq!(code, 6);
    let (code, out, error) = in_copy(&world, copy.path(), &["keys", "rotate", "--take-back"]);
    assert!(code == 0 && out.contains("\"sequence\":4"), "{out}{error}");
}

#[test]
fn a_rotation_that_is_killed_at_any_moment_loses_no_secret_and_raises_no_alarm() {
    let world = World::new();
    let passphrase = world.path("passphrase");
    let args = ["-w", "bob", "--passphrase-file", &passphrase, "keys", "rotate"];
    let mut killed = 0;
    for round in 0..16 {
        let mut rotating = Command::new(program("sealpost"))
            .args(args)
            .env("SEALPOST_HOME", home_of(&world))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moment is what is varied here; nothing is expected of it.
        std::thread::sleep(Duration::from_millis(round * 60));
        killed += u32::from(rotating.try_wait().unwrap().is_none());
        let _ = rotating.kill();
        rotating.wait().unwrap();
        let listed = world.wallet("bob", &["keys", "list"]);
        for bundle in listed["bundles"].as_array().unwrap() {
            assert!(bundle["ours"] == true && bundle["secret_here"] == true, "round {round}: {listed}");
        }
        assert_eq!(listed["alarm"], Value::Null);
        let id = send(&world, "are you there?");
        assert_eq!(world.wallet("bob", &["read", &id])["text"], "are you there?");
    }
    assert!(killed > 0, "no run was killed on its way");
    world.wallet("bob", &["keys", "rotate"]);
    let listed = world.wallet("bob", &["keys", "list"]);
    assert_eq!(states(&listed)[0].1, "live", "{listed}");
}

#[test]
fn no_core_is_dumped_of_a_wallet_that_waits_for_its_passphrase() {
    let world = World::new();
    let pipe = world.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut waiting = Command::new(program("sealpost"))
        .args(["-w", "bob", "--passphrase-file", &pipe, "keys", "list"])
        .env("SEALPOST_HOME", home_of(&world))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Opens when the wallet has opened its end: it waits for the passphrase now.
    let writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let [limits, status] = ["limits", "status"]
        .map(|file| std::fs::read_to_string(format!("/proc/{}/{file}", waiting.id())).unwrap());
    std::io::Write::write_all(&mut &writer, b"correct horse\n").unwrap();
    drop(writer);
    assert!(waiting.wait().unwrap().success());
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let numbers: Vec<&str> = core.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(numbers, ["0", "0"], "{limits}");

    let checks = world.wallet("bob", &["doctor"]);
    let states: Vec<_> = checks["checks"].as_array().unwrap().iter().collect();
    let state = |name: &str| states.iter().find(|check| check["name"] == name).map(|check| &check["state"]);
    for name in ["core dumps", "permissions", "keystore", "node", "clock", "own entry", "keys", "outbox"] {
        assert_eq!(state(name).and_then(Value::as_str), Some("ok"), "{name}: {checks}");
    }
    assert_eq!(checks["healthy"], true);
    assert_eq!(world.exit("bob", &["--node", "http://127.0.0.1:1", "doctor"]), 3);

    // Its memory is locked if it says so; and it can be where nothing forbids it.
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    let locked = locked.trim() != "0 kB";
    let memory = states.iter().find(|check| check["name"] == "memory").unwrap();
    assert_eq!(memory["text"].as_str().unwrap().starts_with("locked"), locked, "{memory}, {status}");
    let unlimited = limits.lines().any(|line| {
        line.strip_prefix("Max locked memory").is_some_and(|limits| limits.trim().starts_with("unlimited"))
    });
    assert!(locked || !unlimited, "{limits}");
}

#[test]
fn another_process_of_its_user_does_not_look_into_a_wallet() {
    const TEST: &str = "another_process_of_its_user_does_not_look_into_a_wallet";
    let dir = tempfile::tempdir().unwrap();
    let (home, copy, pipe) =
        (dir.path().join("home"), dir.path().join("sealpost"), dir.path().join("passphrase"));
    let by_user = |program: &Path| {
        let mut command = by_another_user(program);
        command.env("SEALPOST_HOME", &home).stdout(Stdio::null());
        command
    };
    if !by_user(Path::new("true")).status().is_ok_and(|status| status.success()) {
        return skip(TEST, "this user can't become another one (root, and setpriv)");
    }
    std::fs::create_dir(&home).unwrap();
    std::fs::copy(program("sealpost"), &copy).unwrap();
    json("sealpost-node", &home, &["init", "--new-network", "private"]);
    let genesis = home.join("node/genesis.json");
    json("sealpost", &home, &["network", "add", "--genesis", genesis.to_str().unwrap()]);
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().unwrap().success());
    let given = Command::new("chown").args(["-R", "65534:65534"]).arg(dir.path()).status();
    assert!(given.unwrap().success());
    // What one process may read of another only if it may also look into its memory.
    let looks_into = |id: u32| {
        let looked = by_user(Path::new("cat")).arg(format!("/proc/{id}/environ")).output().unwrap();
        assert!(looked.status.success() || looked.stderr.ends_with(b"Permission denied\n"), "{looked:?}");
        looked.status.success()
    };
    let mut waiting = by_user(&copy)
        .arg("--passphrase-file")
        .arg(&pipe)
        .args(["new", "carol", "--mnemonic-out"])
        .arg(home.join("words"))
        .spawn()
        .unwrap();
    let writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let seen = looks_into(waiting.id());
    std::io::Write::write_all(&mut &writer, b"correct horse\n").unwrap();
    drop(writer);
    assert!(waiting.wait().unwrap().success());
    assert!(!seen, "another process can look into the wallet");

    let mut other = by_user(Path::new("sleep")).arg("600").spawn().unwrap();
    // It is that user's once it is that program.
    let since = Instant::now();
    while std::fs::read_to_string(format!("/proc/{}/comm", other.id())).unwrap() != "sleep\n" {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not become what it was to be");
        std::thread::yield_now();
    }
    let seen = looks_into(other.id());
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(seen, "nobody looks into anything here");
}
