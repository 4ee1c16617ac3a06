//! Letters that are kept, with the real programs: they are found, shown in conversations, answered, exported
//! and forgotten; they outlive their keys if that is wanted; and nothing of them lies about in clear.

use crate::interop::{absent, script};
use crate::world::{World, home_of};
use sealpost_tests::{json, program, run};
use sealpost_wallet::keystore::Keystore;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CANARY: &str = "Kanarienvogel-7f3a9c";

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// What a rotation does once the grace period is over.
fn destroy_keys(world: &World, wallet: &str) {
    let folder = home_of(world).join(format!("networks/world/wallets/{wallet}"));
    let mut keystore = Keystore::open(&folder.join("keystore.json"), "correct horse").unwrap();
    keystore.change(|secrets| secrets.bundles.clear()).unwrap();
}

fn code(error: &serde_json::Value) -> (&str, u64) {
    (error["code"].as_str().unwrap(), error["exit"].as_u64().unwrap())
}

#[test]
fn a_conversation_is_shown_whole_searched_and_counted() {
    let world = World::new();
    let first = world.wallet("alice", &["send", "bob", "-s", "Aufzug", "-m", "Der Lift steht still"]);
    let first = first["id"].as_str().unwrap();
    let stray = world.wallet("alice", &["send", "bob", "-m", "Something else"]);
    let inbox = world.wallet("bob", &["inbox"]);
    assert_eq!(
        (inbox["messages"][0]["unread"].as_bool(), inbox["messages"][1]["unread"].as_bool()),
        (Some(true), Some(true))
    );
    assert!(inbox["messages"][1]["subject"].is_null());

    // Bob answers, which opens the letter; alice adds to it.
    let answer = world.wallet("bob", &["reply", &first[..8], "-m", "Wir kommen nach Zürich"]);
    assert_eq!(answer["to"][0]["name"], "alice");
    let answer = answer["id"].as_str().unwrap();
    let added = world.wallet("alice", &["reply", answer, "-m", "Danke"]);
    let added = added["id"].as_str().unwrap();
    let unread = world.wallet("bob", &["inbox", "--unread"]);
    let unread: Vec<_> =
        unread["messages"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(unread, [added, stray["id"].as_str().unwrap()]);

    // Both see the same, from whichever letter they begin.
    for (wallet, of) in [("alice", first), ("bob", &added[..6])] {
        let thread = world.wallet(wallet, &["thread", of]);
        let letters = thread["letters"].as_array().unwrap();
        let ids: Vec<_> = letters.iter().map(|letter| letter["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [first, answer, added], "{thread}");
        assert_eq!(
            (letters[1]["subject"].as_str(), letters[1]["reply_to"].as_str()),
            (Some("Re: Aufzug"), Some(first))
        );
        assert_eq!(letters[2]["subject"], "Re: Aufzug");
        assert!(letters.iter().all(|letter| letter["height"].is_u64()), "{thread}");
        let own =
            if wallet == "alice" { ["sent", "received", "sent"] } else { ["received", "sent", "received"] };
        assert_eq!(
            letters.iter().map(|letter| letter["direction"].as_str().unwrap()).collect::<Vec<_>>(),
            own
        );
        assert!(thread["missing"].as_array().unwrap().is_empty());
    }
    // What was shown counts as read; the stray letter was only opened, and is still to be read.
    let unread = world.wallet("bob", &["inbox", "--unread"]);
    assert_eq!(unread["messages"].as_array().unwrap().len(), 1);
    world.wallet("bob", &["mark", "unread", first]);
    world.wallet("bob", &["mark", "read", stray["id"].as_str().unwrap()]);
    let unread = world.wallet("bob", &["inbox", "--unread"]);
    assert_eq!(
        (unread["messages"].as_array().unwrap().len(), &unread["messages"][0]["id"]),
        (1, &first.into())
    );
    assert_eq!(unread["messages"][0]["subject"], "Aufzug");
    assert!(
        world.wallet("bob", &["inbox", "--since", "2099-01-01"])["messages"].as_array().unwrap().is_empty()
    );
    assert_eq!(
        world.wallet("bob", &["inbox", "--since", "1d", "-n", "2"])["messages"].as_array().unwrap().len(),
        2
    );

    let found = world.wallet("bob", &["search", "ZURICH", "kommen"]);
    assert_eq!((found["matching"].as_u64(), &found["hits"][0]["id"]), (Some(1), &answer.into()), "{found}");
    let found = world.wallet("bob", &["search", "alice"]);
    assert_eq!(found["matching"], 4, "{found}");
    assert_eq!(world.exit("bob", &["search", "Basel"]), 1);

    // All of it without a node; and from a wallet that keeps nothing, nothing.
    let away = ["--node", "http://127.0.0.1:1"];
    assert_eq!(
        world.wallet("bob", &[&away[..], &["thread", first]].concat())["letters"].as_array().unwrap().len(),
        3
    );
    let read = world.wallet("bob", &[&away[..], &["read", &first[..10]]].concat());
    assert_eq!(
        (read["text"].as_str(), read["source"].as_str()),
        (Some("Der Lift steht still"), Some("archive"))
    );
    assert_eq!(code(&world.error("bob", &["--archive", "off", "sync"])), ("archive.off", 2));
}

#[test]
fn a_kept_letter_outlives_its_key_and_one_that_is_not_kept_does_not() {
    let world = World::new();
    let send =
        |text: &str| world.wallet("alice", &["send", "bob", "-m", text])["id"].as_str().unwrap().to_owned();
    // Bob's wallet is from before there were archives.
    let folder = home_of(&world).join("networks/world/wallets/bob");
    let mut keystore = Keystore::open(&folder.join("keystore.json"), "correct horse").unwrap();
    keystore.change(|secrets| secrets.archive = None).unwrap();
    let (kept, not_kept, unseen) = (send("kept"), send("not kept"), send("unseen"));
    assert_eq!(world.wallet("bob", &["read", &kept])["source"], "ledger");
    assert_eq!(world.wallet("bob", &["--archive", "off", "read", &not_kept])["text"], "not kept");
    destroy_keys(&world, "bob");
    let read = world.wallet("bob", &["read", &kept]);
    assert_eq!((read["text"].as_str(), read["source"].as_str()), (Some("kept"), Some("archive")));
    assert!(read["kept"].is_string());
    for gone in [&not_kept, &unseen] {
        assert_eq!(code(&world.error("bob", &["read", gone])), ("open.key_gone", 1));
    }
    let synced = world.wallet("bob", &["sync"]);
    assert_eq!((synced["kept"].as_u64(), synced["gone"].as_u64()), (Some(0), Some(2)));

    // It still answers for itself, and can be disclosed.
    world.wallet("bob", &["receipt", "give", &kept]);
    assert_eq!(world.wallet("alice", &["status", &kept])["slots"][0]["answer"], "opened");
    let evidence = world.path("kept.json");
    world.wallet("bob", &["evidence", "create", &kept, "--disclose", "-o", &evidence]);
    let verify = ["evidence", "verify", &evidence, "--genesis", &world.path("node/genesis.json")];
    assert!(run("sealpost", home_of(&world), &verify).status.success());

    // Until it is forgotten. What alice sent she forgets by herself.
    assert_eq!(world.exit("bob", &["--no-input", "forget", &kept]), 4);
    assert_eq!(world.wallet("bob", &["--yes", "forget", &kept])["forgotten"][0], kept.as_str());
    assert_eq!(code(&world.error("bob", &["read", &kept])), ("open.key_gone", 1));
    assert_eq!(code(&world.error("bob", &["thread", &kept])), ("archive.unknown", 1));
    assert_eq!(world.wallet("alice", &["search", "kept"])["matching"], 2);
    assert_eq!(
        world.wallet("alice", &["--yes", "forget", "--all"])["forgotten"].as_array().unwrap().len(),
        3
    );
    assert_eq!(world.exit("alice", &["search", "kept"]), 1);
    assert_eq!(world.wallet("alice", &["sync"])["kept"], 0);
    assert_eq!(
        world.exit("alice", &["evidence", "create", &kept, "--disclose", "-o", &world.path("no.json")]),
        1
    );
    let later = send("later");
    assert_eq!(world.wallet("alice", &["thread", &later])["letters"][0]["text"], "later");
}

#[test]
fn a_letter_that_is_damaged_in_the_archive_is_kept_anew_while_it_can_be_opened() {
    let world = World::new();
    let sent = world.wallet("alice", &["send", "bob", "-m", "a notice"]);
    let id = sent["id"].as_str().unwrap();
    world.wallet("bob", &["read", id]);
    let folder = home_of(&world).join("networks/world/wallets/bob/archive");
    let mut letters =
        files(&folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "letter"));
    let letter = letters.next().unwrap();
    let mut bytes = fs::read(&letter).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&letter, bytes).unwrap();
    assert_eq!(world.wallet("bob", &["sync", "--all"])["kept"], 1);
    destroy_keys(&world, "bob");
    let read = world.wallet("bob", &["read", id]);
    assert_eq!((read["text"].as_str(), read["source"].as_str()), (Some("a notice"), Some("archive")));
}

#[test]
fn nothing_of_a_letter_lies_about_in_clear() {
    let world = World::new();
    let home = home_of(&world).to_owned();
    // Beside the home: alice's own file is hers to keep.
    let outside = tempfile::tempdir().unwrap();
    let attached = outside.path().join(format!("{CANARY}.txt"));
    fs::write(&attached, format!("{CANARY} in a file")).unwrap();
    let passphrase = world.path("passphrase");
    let mut logs = Vec::new();
    let mut traced = |wallet: &str, args: &[&str]| {
        let global = ["--log", "trace", "-w", wallet, "--passphrase-file", &passphrase];
        let output = run("sealpost", &home, &[&global[..], args].concat());
        assert!(output.status.success(), "{args:?}: {output:?}");
        logs.extend(output.stderr);
        output.stdout
    };
    let attached = attached.to_str().unwrap();
    let subject = format!("{CANARY} as subject");
    traced("alice", &["send", "bob", "-s", &subject, "-m", CANARY, "--attach", attached]);
    let id = world.wallet("bob", &["inbox"])["messages"][0]["id"].as_str().unwrap().to_owned();
    assert!(String::from_utf8(traced("bob", &["read", &id])).unwrap().contains(CANARY));
    traced("bob", &["reply", &id, "-m", CANARY]);
    traced("alice", &["sync"]);
    for wallet in ["alice", "bob"] {
        assert!(String::from_utf8(traced(wallet, &["search", CANARY])).unwrap().contains(CANARY));
        assert!(String::from_utf8(traced(wallet, &["thread", &id])).unwrap().contains(CANARY));
    }
    // The control: what is exported is found by the same search.
    let exported = outside.path().join("mail");
    traced("bob", &["export", "all", "--eml", exported.to_str().unwrap()]);
    let in_clear = |folder: &Path| {
        let holds = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        files(folder).into_iter().filter(|path| holds(&fs::read(path).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(in_clear(&exported).len(), 2);
    assert_eq!(in_clear(&home), Vec::<PathBuf>::new());
    assert!(!String::from_utf8_lossy(&logs).contains(CANARY));
    // What is kept does not tell which message it is.
    let archives =
        files(&home).into_iter().filter(|path| path.extension().is_some_and(|end| end == "letter"));
    let archives: Vec<_> = archives.collect();
    assert_eq!(archives.len(), 4);
    assert!(archives.iter().all(|path| !path.to_str().unwrap().contains(&id)));
    use std::os::unix::fs::PermissionsExt;
    for path in archives.iter().chain(&files(&exported)) {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

/// What Python's own library reads in exported letters.
fn read_by_python(kind: &str, path: &str) -> Option<Vec<serde_json::Value>> {
    let python = std::env::var_os("SEALPOST_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(python).arg(script("read_mail.py")).args([kind, path]).output();
    let Ok(output) = output else {
        absent("Python");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn exported_letters_are_read_by_another_program() {
    let world = World::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let name = "Pläne für «Haus 7».bin";
    fs::write(world.path(name), &bytes).unwrap();
    let text = format!(
        "From here on:\n>From there\n\n.\nGrüße, 世界 {}\n--\nlast line without an end",
        "long ".repeat(400)
    );
    let subject = "Re: Aufzug in Zürich\r\nX-Injected: yes";
    let attach = world.path(name);
    let sent = world.wallet("alice", &["send", "bob", "-s", subject, "-m", &text, "--attach", &attach]);
    let id = sent["id"].as_str().unwrap();
    let answer = world.wallet("bob", &["reply", id, "-m", "Danke"]);
    let answer_id = answer["id"].as_str().unwrap();
    world.wallet("alice", &["send", "bob", "-m", "of another conversation"]);
    let chain = json("sealpost", home_of(&world), &["network", "show"])["chain"].clone();

    let (mbox, eml) = (world.path("mail.mbox"), world.path("mail"));
    let done = world.wallet("bob", &["export", "thread", id, "--mbox", &mbox]);
    assert_eq!(done["letters"], 2);
    assert_eq!(code(&world.error("bob", &["export", "thread", id, "--mbox", &mbox])), ("file.exists", 2));
    assert_eq!(code(&world.error("bob", &["export", "all"])), ("input.usage", 2));
    assert_eq!(world.wallet("bob", &["export", "all", "--eml", &eml])["letters"], 3);
    assert_eq!(code(&world.error("bob", &["export", "all", "--eml", &eml])), ("file.exists", 2));
    let (Some(of_mbox), Some(of_eml)) = (read_by_python("mbox", &mbox), read_by_python("eml", &eml)) else {
        return;
    };
    assert_eq!((of_mbox.len(), of_eml.len()), (2, 3));
    for letters in [&of_mbox, &of_eml] {
        let (first, second) = (&letters[0], &letters[1]);
        assert!(letters.iter().all(|letter| letter["defects"].as_array().unwrap().is_empty()), "{letters:?}");
        assert_eq!(first["subject"], "Re: Aufzug in Zürich  X-Injected: yes");
        assert!(first["injected"].is_null());
        let read = first["text"].as_str().unwrap().replace("\r\n", "\n");
        assert_eq!(read.trim_end(), text);
        assert_eq!(first["files"], serde_json::json!([[name, bytes]]));
        assert_eq!((first["id"].as_str(), &first["chain"]), (Some(id), &chain));
        assert_eq!(first["block"].as_str().unwrap(), sent["height"].as_u64().unwrap().to_string());
        let time = sent["time"].as_str().unwrap();
        assert_eq!(first["time"].as_str().unwrap(), format!("{}+00:00", &time[..19]));
        assert_eq!(
            (first["people"][0][0].as_str(), first["people"][1][0].as_str()),
            (Some("alice"), Some("bob"))
        );
        let address = world.wallet("alice", &["address"])["address"].as_str().unwrap().to_owned();
        assert_eq!(first["people"][0][1], format!("{address}@world.sealpost.invalid"));
        assert_eq!(
            (first["direction"].as_str(), second["direction"].as_str()),
            (Some("received"), Some("sent"))
        );
        assert!(first["verified"].as_str().unwrap().starts_with("yes"));
        assert_eq!(second["in_reply_to"], first["message_id"]);
        assert_eq!((&second["references"], &second["id"]), (&first["message_id"], &answer_id.into()));
        assert_eq!(second["subject"], "Re: Aufzug in Zürich  X-Injected: yes");
    }
}

#[test]
fn a_mistyped_name_colours_pipes_and_pages() {
    let world = World::new();
    let home = home_of(&world);
    let mistyped = world.error("alice", &["send", "bbo", "-m", "x"]);
    assert_eq!(
        (code(&mistyped), mistyped["help"].as_str()),
        (("contact.unknown", 2), Some("did you mean bob?"))
    );

    // Into a pipe ids go whole.
    let sent = world.wallet("alice", &["send", "bob", "-m", "x"]);
    let id = sent["id"].as_str().unwrap();
    let passphrase = world.path("passphrase");
    for (wallet, command) in [("bob", "inbox"), ("alice", "outbox")] {
        let listed = run("sealpost", home, &["-w", wallet, "--passphrase-file", &passphrase, command]);
        assert!(String::from_utf8_lossy(&listed.stdout).contains(id), "{listed:?}");
    }

    // Colours are there when they are forced, and NO_COLOR takes them away all the same.
    let coloured = |no_color: &[(&str, &str)]| {
        let mut command = Command::new(program("sealpost"));
        command.env("SEALPOST_HOME", home).env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
        let output =
            command.envs(no_color.iter().copied()).args(["contact", "show", "nobody"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        output.stderr.contains(&0x1b)
    };
    assert!(coloured(&[]) && !coloured(&[("NO_COLOR", "1")]));

    // The archive is turned off in the settings, and on again by a flag; a slip there is named.
    fs::write(home.join("wallet.toml"), "archive = \"off\"\nnotify = [\"notify-send\", \"New message\"]\n")
        .unwrap();
    assert_eq!(code(&world.error("bob", &["sync"])), ("archive.off", 2));
    assert_eq!(world.wallet("bob", &["--archive", "on", "sync"])["kept"], 1);
    fs::write(home.join("wallet.toml"), "archive = \"maybe\"\n").unwrap();
    let slip = world.error("bob", &["sync"]);
    assert!(slip["exit"] == 2 && slip["message"].as_str().unwrap().contains("maybe"), "{slip}");

    let pages = world.path("pages");
    assert!(run("sealpost", home, &["man", "--dir", &pages]).status.success());
    let completions = run("sealpost", home, &["completions", "bash"]);
    let completions = String::from_utf8(completions.stdout).unwrap();
    for command in ["thread", "search", "reply", "sync", "mark", "forget", "export"] {
        assert!(Path::new(&pages).join(format!("sealpost-{command}.1")).exists(), "{command}");
        assert!(completions.contains(&format!("sealpost__subcmd__{command}")), "{command}");
    }
}

/// `sync` keeps what no list of open messages names, and what is longer than one message.
#[test]
fn sealed_letters_and_long_ones_are_synced_too() {
    let world = World::new();
    world.wallet("alice", &["send", "bob", "--sealed", "-m", "between us alone"]);
    let long = world.path("long.txt");
    fs::write(&long, format!("{}the very end", "A long story. ".repeat(6_000))).unwrap();
    let sent = world.wallet("alice", &["send", "bob", "-f", &long]);
    assert!(sent["parts"]["count"].as_u64() > Some(0), "{sent}");
    assert_eq!(world.wallet("bob", &["sync"])["kept"], 2);
    assert_eq!(world.wallet("bob", &["sync"])["kept"], 0);
    for words in ["between us alone", "the very end"] {
        assert_eq!(world.wallet("bob", &["search", words])["matching"], 1, "{words}");
    }
}
