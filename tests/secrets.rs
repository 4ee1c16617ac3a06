//! What is done with a wallet's secrets, with the real programs: passphrase, backup and its way back, removal.

use crate::world::{World, failed, home_of, secret};
use sealpost_tests::{json, program, run};
use sealpost_wallet::keystore::Keystore;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Every file beneath a folder with what is in it.
fn listing(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn code(error: &serde_json::Value) -> (&str, u64) {
    (error["code"].as_str().unwrap(), error["exit"].as_u64().unwrap())
}

#[test]
fn a_wallet_comes_back_whole_from_its_backup() {
    let world = World::new();
    let id = world.wallet("alice", &["send", "bob", "-m", "keep this"])["id"].as_str().unwrap().to_owned();
    let (bob, alice) = (world.path("bob.backup"), world.path("alice.backup"));
    world.wallet("bob", &["contact", "group", "add", "residents", "alice", "bob"]);
    let made = world.wallet("bob", &["backup", &bob]);
    assert_eq!((made["bundles"].clone(), made["contacts"].as_u64()), (serde_json::json!([1]), Some(2)));
    assert_eq!(made["groups"], 1);
    secret(Path::new(&world.path("other")), "battery staple\n");
    world.wallet("alice", &["backup", &alice, "--backup-passphrase-file", &world.path("other")]);
    assert_eq!(code(&world.error("bob", &["backup", &bob])), ("file.exists", 2));

    // A dry run checks everything and writes nothing, in a home of its own or in this one.
    let networks = world.dir.path().join("networks");
    let before = listing(&networks);
    let whole = world.wallet("bob", &["restore-backup", &bob, "--dry-run"]);
    assert_eq!((&whole["restored"], &whole["outbox"]), (&serde_json::Value::Null, &made["outbox"]));
    assert!(listing(&networks) == before);
    let elsewhere = tempfile::tempdir().unwrap();
    let passphrase = world.path("passphrase");
    json(
        "sealpost",
        elsewhere.path(),
        &["--passphrase-file", &passphrase, "restore-backup", &bob, "--dry-run"],
    );
    assert!(listing(elsewhere.path()).is_empty());

    // Wiped, restored, and it reads.
    assert_eq!(world.exit("bob", &["--no-input", "remove", "bob"]), 4);
    world.wallet("bob", &["-y", "remove", "bob"]);
    assert_eq!(code(&world.error("bob", &["read", &id])), ("wallet.missing", 2));
    let back = world.wallet("bob", &["restore-backup", &bob]);
    assert_eq!((back["restored"].as_str(), back["contacts_kept"].as_u64()), (Some("bob"), Some(2)));
    assert_eq!(world.wallet("bob", &["read", &id])["text"], "keep this");
    assert_eq!(world.wallet("bob", &["keys", "list"])["alarm"], serde_json::Value::Null);
    assert_eq!(code(&world.error("bob", &["restore-backup", &bob])), ("wallet.exists", 2));

    // On a new machine, under a passphrase of the backup alone: what alice wrote can still be disclosed.
    let other = ["--passphrase-file", &world.path("other")];
    let back = json("sealpost", elsewhere.path(), &[&other[..], &["restore-backup", &alice]].concat());
    assert_eq!((back["contacts_added"].as_u64(), back["groups_added"].as_u64()), (Some(2), Some(1)));
    let groups = json(
        "sealpost",
        elsewhere.path(),
        &[&other[..], &["contact", "group", "show", "residents"]].concat(),
    );
    assert_eq!(groups["members"].as_array().unwrap().len(), 2);
    let evidence = elsewhere.path().join("notice.json");
    let create = ["evidence", "create", &id, "--disclose", "-o", evidence.to_str().unwrap()];
    json("sealpost", elsewhere.path(), &[&other[..], &create].concat());
    assert!(fs::read_to_string(&evidence).unwrap().contains("disclosure"));
}

#[test]
fn a_backup_that_was_altered_or_opened_with_another_passphrase_restores_nothing() {
    let world = World::new();
    (0..3).for_each(|_| drop(world.wallet("bob", &["send", "alice", "-m", "a long way"])));
    fs::write(world.path("big"), vec![7; 50_000]).unwrap();
    (0..3).for_each(|_| drop(world.wallet("bob", &["send", "alice", "--attach", &world.path("big")])));
    let file = world.path("bob.backup");
    world.wallet("bob", &["backup", &file]);
    secret(Path::new(&world.path("wrong")), "wrong\n");
    let wrong = world.path("wrong");
    let elsewhere = tempfile::tempdir().unwrap();
    let restore = |file: &str, passphrase: &str| {
        let error = failed(elsewhere.path(), &["--passphrase-file", passphrase, "restore-backup", file]);
        assert!(listing(elsewhere.path()).is_empty(), "{error}");
        (error["code"].as_str().unwrap().to_owned(), error["exit"].as_u64().unwrap())
    };
    let passphrase = world.path("passphrase");
    assert_eq!(restore(&file, &wrong), ("passphrase.wrong".into(), 4));
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.len() > 200_000, "more than one piece");
    let altered = world.path("altered");
    let mut changed = bytes.clone();
    changed[150_000] ^= 1;
    fs::write(&altered, &changed).unwrap();
    assert_eq!(restore(&altered, &passphrase), ("backup.altered".into(), 2));
    fs::write(&altered, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(restore(&altered, &passphrase), ("backup.altered".into(), 2));
    fs::write(&altered, b"{}\n").unwrap();
    assert_eq!(restore(&altered, &passphrase), ("backup.malformed".into(), 2));
}

#[test]
fn a_new_passphrase_opens_the_wallet_and_all_it_wrote_and_the_old_one_nothing() {
    let world = World::new();
    let id = world.wallet("bob", &["send", "alice", "-m", "mine"])["id"].as_str().unwrap().to_owned();
    secret(Path::new(&world.path("new")), "battery staple\n");
    let new = world.path("new");
    assert_eq!(world.exit("bob", &["--no-input", "passphrase"]), 4);
    world.wallet("bob", &["passphrase", "--new-passphrase-file", &new]);
    assert_eq!(code(&world.error("bob", &["keys", "list"])), ("passphrase.wrong", 4));
    let bob = ["-w", "bob", "--passphrase-file", &new];
    let evidence = world.path("mine.json");
    let create = ["evidence", "create", &id, "--disclose", "-o", &evidence];
    json("sealpost", home_of(&world), &[&bob[..], &create].concat());
    let wallet = world.dir.path().join("networks/world/wallets/bob");
    let files: Vec<_> = listing(&wallet).into_keys().filter(|path| path.parent() == Some(&wallet)).collect();
    assert_eq!(files, ["keystore.json", "keystore.lock", "outbox.lock"].map(|name| wallet.join(name)));
}

#[test]
fn a_change_of_passphrase_that_is_killed_leaves_one_good_file() {
    let world = World::new();
    secret(Path::new(&world.path("new")), "battery staple\n");
    let keystore = world.dir.path().join("networks/world/wallets/bob/keystore.json");
    let passphrases = [("passphrase", "correct horse"), ("new", "battery staple")];
    let mut now = 0;
    for round in 0..16 {
        let (old, new) = (world.path(passphrases[now].0), world.path(passphrases[1 - now].0));
        let mut changing = Command::new(program("sealpost"))
            .args(["-w", "bob", "--passphrase-file", &old, "passphrase", "--new-passphrase-file", &new])
            .env("SEALPOST_HOME", home_of(&world))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moment is what is varied here; nothing is expected of it.
        std::thread::sleep(Duration::from_millis(round * 50));
        let _ = changing.kill();
        changing.wait().unwrap();
        let opening = [0, 1].map(|index| Keystore::open(&keystore, passphrases[index].1).is_ok());
        assert_ne!(opening[0], opening[1], "round {round}: {opening:?}");
        now = usize::from(opening[1]);
    }
}

#[test]
fn words_are_shown_to_a_person_only_and_the_wallet_in_use_is_chosen() {
    let world = World::new();
    assert_eq!(code(&world.error("bob", &["--no-input", "mnemonic", "show"])), ("input.nobody_to_ask", 4));
    let unnamed = |args: &[&str]| run("sealpost", home_of(&world), args).status.code();
    assert_eq!(unnamed(&["address"]), Some(2));
    assert_eq!(unnamed(&["use", "carol"]), Some(2));
    json("sealpost", home_of(&world), &["use", "bob"]);
    assert_eq!(json("sealpost", home_of(&world), &["address"])["wallet"], "bob");
    world.wallet("bob", &["-y", "remove", "bob"]);
    // Gone: the only one left is meant again.
    assert_eq!(json("sealpost", home_of(&world), &["address"])["wallet"], "alice");
}
