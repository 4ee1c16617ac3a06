//! What is proved with the real programs: that all got the same, who answered, who was silent, and how a stranger
//! is told of it on paper.

use crate::world::{World, home_of};
use sealpost_tests::{json, run};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A world with carol in it, and bob and carol as a group.
fn world() -> World {
    let world = World::new();
    let words = world.path("carol.words");
    let made = world.wallet("carol", &["new", "carol", "--mnemonic-out", &words]);
    world.wallet("carol", &["keys", "publish"]);
    json("sealpost", home_of(&world), &["contact", "add", "carol", made["address"].as_str().unwrap()]);
    let group = json("sealpost", home_of(&world), &["contact", "group", "add", "residents", "bob", "carol"]);
    assert_eq!(group["members"][1]["name"], "carol");
    world
}

fn send(world: &World, to: &str, text: &str) -> String {
    let sent = world.wallet("alice", &["send", to, "-m", text]);
    sent["id"].as_str().unwrap().to_owned()
}

/// What a command says in JSON on standard output, and its exit code, however it ends.
fn told(world: &World, name: &str, args: &[&str]) -> (serde_json::Value, i32) {
    let passphrase = world.path("passphrase");
    let args = [&["-w", name, "--passphrase-file", &passphrase, "--json"], args].concat();
    let output = run("sealpost", home_of(world), &args);
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {output:?}"));
    (told, output.status.code().unwrap())
}

fn codes(facts: &serde_json::Value) -> Vec<&str> {
    facts.as_array().unwrap().iter().map(|fact| fact["code"].as_str().unwrap()).collect()
}

/// What `docs/verify_evidence.py` says to a file, and its exit code.
fn second_opinion(genesis: &str, file: &str) -> (String, i32) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify_evidence.py");
    let output = Command::new("python3").arg(script).args([genesis, file]).output().expect("python3 runs");
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

#[test]
fn a_group_gets_one_message_and_that_it_is_the_same_for_all_is_shown() {
    let world = world();
    let home = home_of(&world);
    let sent = world.wallet("alice", &["send", "@residents", "-m", "The lift is out of service"]);
    let to: Vec<_> = sent["to"].as_array().unwrap().iter().map(|to| to["name"].as_str().unwrap()).collect();
    assert_eq!(to, ["bob", "carol"]);
    let id = sent["id"].as_str().unwrap();
    for name in ["bob", "carol"] {
        assert_eq!(world.wallet(name, &["read", id])["text"], "The lift is out of service");
    }
    let same = &world.wallet("alice", &["status", id])["same_for_all"];
    assert_eq!(same["recipients"], 2);
    for hash in ["body_hash", "key_commit", "content_commit"] {
        assert_eq!(same[hash].as_str().unwrap().len(), 64, "{same}");
    }
    let twice = world.wallet("alice", &["send", "residents", "bob", "-m", "x", "--dry-run"]);
    assert_eq!(twice["to"].as_array().unwrap().len(), 2);
    let alone = send(&world, "bob", "x");
    assert!(world.wallet("alice", &["status", &alone])["same_for_all"].is_null());

    // Names that could be taken for one another, and a contact that a group needs.
    let bob = json("sealpost", home, &["contact", "show", "bob"])["address"].as_str().unwrap().to_owned();
    for (args, code) in [
        (&["contact", "add", "resident5", &bob][..], "contact.known"),
        (&["contact", "group", "add", "b0b", "carol"], "contact.look_alike"),
        (&["contact", "group", "add", "bob", "carol"], "contact.exists"),
        (&["contact", "show", "residents"], "contact.is_group"),
        (&["contact", "remove", "bob"], "contact.in_group"),
        (&["contact", "group", "show", "board"], "contact.no_group"),
    ] {
        let error = world.error("alice", args);
        assert_eq!((error["code"].as_str(), error["exit"].as_u64()), (Some(code), Some(2)), "{error}");
    }
    json("sealpost", home, &["contact", "group", "remove", "residents", "bob"]);
    json("sealpost", home, &["contact", "remove", "bob"]);
    json("sealpost", home, &["contact", "group", "remove", "residents"]);
    assert_eq!(json("sealpost", home, &["contact", "group", "list"])["groups"].as_array().unwrap().len(), 0);
}

#[test]
fn a_group_that_is_too_large_for_a_message_is_named_with_its_limit() {
    use sealpost_ledger::address::{Address, AddressPrefix};
    use sealpost_ledger::signature::SigningKey;
    let world = World::new();
    let genesis = fs::read(world.path("node/genesis.json")).unwrap();
    let genesis: serde_json::Value = serde_json::from_slice(&genesis).unwrap();
    let limit = usize::try_from(genesis["limits"]["slots"].as_u64().unwrap()).unwrap();
    let prefix = AddressPrefix::new(genesis["address_prefix"].as_str().unwrap()).unwrap();
    let address = |n: usize| {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        Address::new(SigningKey::from_bytes(&seed).unwrap().public_key()).to_text(&prefix)
    };
    let members: Vec<String> = (1..=limit + 1).map(address).collect();
    let add: Vec<&str> =
        ["contact", "group", "add", "town"].into_iter().chain(members.iter().map(String::as_str)).collect();
    json("sealpost", home_of(&world), &add);
    let error = world.error("alice", &["send", "@town", "-m", "x"]);
    assert_eq!(
        (error["code"].as_str(), error["exit"].as_u64()),
        (Some("message.too_many_recipients"), Some(2))
    );
    let said = error["message"].as_str().unwrap();
    for words in [(limit + 1).to_string(), limit.to_string(), "limits.slots".into()] {
        assert!(said.contains(&words), "{said}");
    }
    assert!(error["help"].as_str().unwrap().contains("2 messages"), "{error}");
}

#[test]
fn many_messages_are_answered_at_once_and_only_when_somebody_says_so() {
    let world = world();
    let ids = ["one", "two", "three"].map(|text| send(&world, "@residents", text));
    let not_bobs = send(&world, "carol", "four");

    // Nobody to ask: nothing is answered.
    let error = world.error("bob", &["receipt", "give", "--all"]);
    assert_eq!((error["code"].as_str(), error["exit"].as_u64()), (Some("input.nobody_to_ask"), Some(4)));
    assert!(world.wallet("bob", &["receipt", "list"])["given"].as_array().unwrap().is_empty());

    // One that can't be answered stops none of the others.
    let (given, exit) = told(&world, "bob", &["receipt", "give", &not_bobs, &ids[0], &ids[0]]);
    let outcomes = |given: &serde_json::Value| -> Vec<String> {
        let answers = given["answers"].as_array().unwrap();
        answers.iter().map(|answer| answer["outcome"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((outcomes(&given), exit), (vec!["failed".into(), "opened".into()], 1), "{given}");
    assert_eq!(given["answers"][0]["code"], "open.not_for_us");

    // A part of them now, the others in the next run, and then there are none.
    let (given, exit) = told(&world, "bob", &["receipt", "give", "--all", "--yes", "-n", "1"]);
    assert_eq!((outcomes(&given), exit, given["more"].as_bool()), (vec!["opened".into()], 0, Some(true)));
    let (given, exit) = told(&world, "bob", &["receipt", "give", "--all", "--yes"]);
    assert_eq!((outcomes(&given), exit, given["more"].as_bool()), (vec!["opened".into()], 0, Some(false)));
    let (given, exit) = told(&world, "bob", &["receipt", "give", "--all", "--yes"]);
    assert_eq!((given["answers"].as_array().unwrap().len(), exit), (0, 0));
    let (again, exit) = told(&world, "bob", &["receipt", "give", &ids[1], &ids[2]]);
    assert_eq!((outcomes(&again), exit), (vec!["already_answered".into(); 2], 0));

    world.wallet("carol", &["refuse", &ids[2], "--reason", "unwanted"]);
    let given = world.wallet("bob", &["receipt", "list", "--given"]);
    assert_eq!(given["given"].as_array().unwrap().len(), 3);
    assert_eq!((&given["given"][0]["contact"], &given["got"]), (&"alice".into(), &serde_json::json!([])));
    let got = world.wallet("alice", &["receipt", "list", "--got"]);
    let got = got["got"].as_array().unwrap();
    assert_eq!(got.len(), 4, "{got:?}");
    let carols = got.iter().find(|entry| entry["contact"] == "carol").unwrap();
    assert_eq!((&carols["answer"], &carols["reason"]), (&"refused".into(), &"unwanted".into()));

    // Her timeline has them all, the newest message first.
    let sent = world.wallet("alice", &["sent"]);
    let messages = sent["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 4);
    assert_eq!(messages[0]["id"], not_bobs.as_str());
    let answers: Vec<_> = messages[1]["slots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| slot["answer"].as_str().unwrap())
        .collect();
    assert_eq!(answers, ["opened", "refused"]);
    for one in [["sent", &ids[0]], ["outbox", &ids[0]], ["status", &ids[0]]] {
        let shown = world.wallet("alice", &one);
        assert_eq!(
            (&shown["slots"][0]["answer"], &shown["slots"][1]["answer"]),
            (&"opened".into(), &"silent".into())
        );
    }
}

#[test]
fn silence_is_proved_up_to_a_height_and_both_programs_agree() {
    let world = world();
    let home = home_of(&world);
    let genesis = world.path("node/genesis.json");
    let id = send(&world, "@residents", "Please confirm");
    world.wallet("bob", &["receipt", "give", &id]);
    let status = world.wallet("alice", &["status", &id]);
    let until = status["slots"][1]["height"].as_u64().unwrap().to_string();

    // By default answers alone; with the silence if it is asked for; with the silence alone.
    let file = |name: &str| world.path(&format!("{name}.json"));
    let create = |name: &str, args: &[&str]| {
        let made = world.wallet("alice", &[&["evidence"], args, &["-o", &file(name)]].concat());
        assert_eq!(
            run("sealpost", home, &["evidence", "verify", &file(name), "--genesis", &genesis]).status.code(),
            Some(0)
        );
        assert_eq!(second_opinion(&genesis, &file(name)).1, 0, "{name}");
        codes(&made["facts"]).join(" ")
    };
    let start = "signed in_block committed same_for_all";
    assert_eq!(create("plain", &["create", &id]), format!("{start} key_used key_used opened"));
    assert_eq!(
        create("whole", &["create", &id, "--absent-receipt", "--body", "--disclose"]),
        format!("{start} key_used key_used opened unanswered body_attached content_disclosed")
    );
    assert_eq!(create("bob", &["create", &id, "--recipients", "bob"]), format!("{start} key_used opened"));
    assert_eq!(
        create("silence", &["absence", &id, "--until", &until]),
        format!("{start} key_used unanswered")
    );
    let said = second_opinion(&genesis, &file("silence")).0;
    assert!(said.contains(&format!("slot 1 not answered up to block {until}")), "{said}");
    assert!(said.contains("one body, one key and one content for all 2 recipients"), "{said}");
    // A file is smaller than another one that says more.
    let size = |name: &str| fs::metadata(file(name)).unwrap().len();
    assert!(size("silence") < size("plain") && size("plain") < size("whole"));

    // She answers: the silence before stands, and there is none now.
    world.wallet("carol", &["receipt", "give", &id]);
    assert_eq!(
        create("before", &["absence", &id, "--until", &until]),
        format!("{start} key_used unanswered")
    );
    for (args, code, exit) in [
        (&["evidence", "absence", &id][..], "evidence.no_silence", 1),
        (&["evidence", "absence", &id, "--until", &until, "--recipients", "bob"], "evidence.no_silence", 1),
        (&["evidence", "create", &id, "--recipients", "alice"], "evidence.no_recipient", 2),
        (&["evidence", "create", &id, "--recipients", "nobody"], "contact.unknown", 2),
        (&["evidence", "create", &id, "--until", "1"], "input.until", 2),
    ] {
        let error = world.error("alice", args);
        assert_eq!((error["code"].as_str(), error["exit"].as_u64()), (Some(code), Some(exit)), "{args:?}");
    }
}

#[test]
fn a_stranger_is_shown_a_certificate_on_a_page_that_loads_nothing() {
    let world = world();
    let genesis = world.path("node/genesis.json");
    let text = "Dear <b>all</b> & \u{202e}sundry, see https://example.org/";
    let id = send(&world, "@residents", text);
    world.wallet("bob", &["receipt", "give", &id]);
    let file = world.path("notice.json");
    world.wallet("alice", &["evidence", "create", &id, "--disclose", "--absent-receipt", "-o", &file]);

    // A stranger: no node, no wallet, no network known.
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger =
        |args: &[&str]| run("sealpost", elsewhere.path(), &[args, &["--genesis", &genesis]].concat());
    let page = elsewhere.path().join("notice.html");
    let html = page.to_str().unwrap();
    let shown = stranger(&["evidence", "show", &file, "--html", html]);
    assert!(shown.status.success() && String::from_utf8_lossy(&shown.stdout).contains("VALID"), "{shown:?}");
    // A key of the file, as an error names it, does not write on the stranger's screen.
    let painted = elsewhere.path().join("painted.json");
    let key = r#""\u001b[2K\rVALID\u001b[8m":0,"#;
    fs::write(&painted, fs::read_to_string(&file).unwrap().replacen('{', &format!("{{{key}"), 1)).unwrap();
    for color in ["always", "never"] {
        let shown = stranger(&["evidence", "verify", painted.to_str().unwrap(), "--color", color]);
        let said = String::from_utf8(shown.stderr).unwrap();
        assert_eq!(shown.status.code(), Some(2), "{said}");
        assert!(said.contains("\\u{1b}[2K\\u{d}VALID") && !said.contains("\x1b[2K"), "{said:?}");
    }
    let page = fs::read_to_string(&page).unwrap();
    let sum = Command::new("sha256sum").arg(&file).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap();
    for words in
        [&id, sum.split(' ').next().unwrap(), "Dear &#60;b&#62;all&#60;/b&#62; &#38; \\u{202e}sundry"]
    {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    for kind in ["<script", "<link", "<img", "<iframe", "src=", "href=", "url(", "@import", "\u{202e}"] {
        assert!(!page.contains(kind), "{kind} in {page}");
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(html).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "what it says is for whoever has the file");

    let text = stranger(&["evidence", "show", &file]);
    let text = String::from_utf8(text.stdout).unwrap();
    for words in [
        &id,
        "same for all",
        "no answer up to block",
        "does not show",
        "ContentHandover",
        "sha256sum notice.json",
    ] {
        assert!(text.contains(words), "{words} is missing in {text}");
    }
    assert_eq!(
        stranger(&["evidence", "show", &file, "--html", html]).status.code(),
        Some(2),
        "kept as it is"
    );
    // What does not hold gets no page.
    let changed = world.path("changed.json");
    fs::write(&changed, fs::read_to_string(&file).unwrap().replacen("\"index\": 0", "\"index\": 1", 1))
        .unwrap();
    let none = elsewhere.path().join("none.html");
    let refused = stranger(&["evidence", "show", &changed, "--html", none.to_str().unwrap()]);
    assert_eq!((refused.status.code(), none.exists()), (Some(1), false));
}

/// As in `sealpost status ID --follow | head -1`.
#[test]
fn a_message_is_not_followed_for_nobody() {
    let world = world();
    let id = send(&world, "@residents", "Please confirm");
    let mut follow = world.follow("alice", &["status", &id, "--follow"]);
    assert_eq!(follow.next()["slots"][1]["answer"], "silent");
    follow.leave();
    // One of two.
    world.wallet("bob", &["receipt", "give", &id]);
    assert!(follow.ends_well());
}

#[test]
fn a_message_is_followed_until_everybody_has_answered() {
    let world = world();
    let id = send(&world, "@residents", "Please confirm");
    world.wallet("bob", &["receipt", "give", &id]);
    let mut follow = world.follow("alice", &["status", &id, "--follow"]);
    let first = follow.next();
    assert_eq!(
        (&first["schema"], &first["slots"][1]["answer"]),
        (&"sealpost/status/1".into(), &"silent".into())
    );
    world.wallet("carol", &["receipt", "give", &id]);
    let change = follow.next();
    assert_eq!(
        (&change["schema"], &change["id"], &change["contact"], &change["answer"]),
        (&"sealpost/status-change/1".into(), &id.as_str().into(), &"carol".into(), &"opened".into())
    );
    assert!(follow.ends_well());
}
