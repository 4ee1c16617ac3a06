//! Files and texts that are too long for one message, drafts, and a wallet that is killed at any moment of
//! `send`: nothing typed is lost, nothing is sent twice, and a sender who lies about parts is refused.

use crate::world::{World, home_of};
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::Mode;
use sealpost_tests::{Server, json, program, run, run_with_input};
use sealpost_wallet::envelope::{Attachment, Content, Data, Letter, Part, Parts};
use sealpost_wallet::light::Light;
use sealpost_wallet::outbox::OutboxEntry;
use sealpost_wallet::profile::Profile;
use sealpost_wallet::{Draft, Wallet};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes that repeat nowhere near.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

pub(crate) fn folder_of(world: &World, wallet: &str) -> PathBuf {
    home_of(world).join("networks/world/wallets").join(wallet)
}

pub(crate) fn wallet_command(world: &World, wallet: &str, args: &[&str]) -> Command {
    let passphrase = world.path("passphrase");
    let mut command = Command::new(program("sealpost"));
    command.env("SEALPOST_HOME", home_of(world)).env_remove("SEALPOST_NODE");
    command.args(["-w", wallet, "--passphrase-file", &passphrase]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn many_megabytes_and_a_long_text_arrive_whole() {
    let world = World::new();
    let big = noise(11 << 20, 7);
    let small = b"small".to_vec();
    let text: String = (0..40_000).map(|n| format!("Zeile {n} – ")).collect();
    for (name, bytes) in [("plan.pdf", &big), ("small.txt", &small)] {
        fs::write(world.path(name), bytes).unwrap();
    }
    let passphrase = world.path("passphrase");
    let (plan, small_path) = (world.path("plan.pdf"), world.path("small.txt"));
    let send =
        ["-w", "alice", "--passphrase-file", &passphrase, "send", "bob", "-s", "Lift", "--attach", &plan];
    let send = [&send[..], &["-f", "-", "--attach", &small_path, "--json"]].concat();
    let sent = run_with_input("sealpost", home_of(&world), &send, &text);
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(sent.status.success(), "{said}");
    // Progress for programs: an object a line, the last one whole.
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |work: &str| events.iter().rfind(|event| event["work"] == work).unwrap().clone();
    for work in ["reading", "sending"] {
        let last = of(work);
        assert_eq!((last["event"].as_str(), &last["bytes"]), (Some("progress"), &last["of_bytes"]), "{last}");
    }
    let sent: Value = serde_json::from_slice(&sent.stdout).unwrap();
    let (id, count) = (sent["id"].as_str().unwrap(), sent["parts"]["count"].as_u64().unwrap());
    assert_eq!(sent["status"], "final");
    assert!(count > 180, "{sent}");

    // One thing on both sides, however many messages it took.
    let inbox = world.wallet("bob", &["inbox"]);
    let ids: Vec<_> = inbox["messages"].as_array().unwrap().iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, [id]);
    let outbox = world.wallet("alice", &["outbox"]);
    let messages: Vec<_> =
        outbox["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "message").collect();
    assert_eq!((messages.len(), messages[0]["parts"].as_u64()), (1, Some(count)), "{outbox}");
    assert!(outbox["drafts"].as_array().unwrap().is_empty());
    assert_eq!(world.wallet("alice", &["status", id])["parts"], count);
    assert_eq!(fs::read_dir(folder_of(&world, "alice").join("drafts")).unwrap().count(), 0);

    // A reader that is killed keeps what it has fetched, encrypted, and nothing elsewhere.
    let (saved, fetched) = (world.path("saved"), folder_of(&world, "bob").join("fetched"));
    let mut reader = wallet_command(&world, "bob", &["read", id, "-o", &saved]).spawn().unwrap();
    // One folder a letter, whose name tells nobody which.
    let kept = || {
        let letters = fs::read_dir(&fetched).into_iter().flatten().flatten();
        let files = letters.flat_map(|letter| fs::read_dir(letter.path()).into_iter().flatten().flatten());
        files.map(|file| file.path()).collect::<Vec<_>>()
    };
    until(&mut reader, || kept().len() > 8);
    reader.kill().unwrap();
    reader.wait().unwrap();
    assert!(kept().len() > 8 && !Path::new(&saved).join("plan.pdf").exists());
    for part in kept() {
        assert!(!part.to_str().unwrap().contains(id), "{}", part.display());
        let part = fs::read(part).unwrap();
        assert!(!part.windows(6).any(|window| window == b"Zeile "), "a part of the text lies there readable");
    }

    let read = world.wallet("bob", &["read", id, "-o", &saved]);
    assert_eq!((read["text"].as_str(), read["text_complete"].as_bool()), (Some(text.as_str()), Some(true)));
    assert!(fs::read(Path::new(&saved).join("plan.pdf")).unwrap() == big);
    assert_eq!(fs::read(Path::new(&saved).join("small.txt")).unwrap(), small);
    assert_eq!(fs::read_dir(&saved).unwrap().count(), 2 + leftovers(&saved));
    assert!(kept().is_empty());

    // Alice has what she wrote, whole; bob what he read.
    for name in ["alice", "bob"] {
        let thread = world.wallet(name, &["thread", id]);
        assert_eq!(thread["letters"][0]["text"].as_str(), Some(text.as_str()), "{name}");
    }

    // Nothing is overwritten, and a bound is a bound.
    let again = world.error("bob", &["read", id, "-o", &saved]);
    assert_eq!(again["code"], "file.exists");
    let bounded = world.exit("bob", &["read", id, "-o", &world.path("other"), "--attachment-limit", "1000"]);
    assert_eq!(bounded, 2);
}

/// Temporary files of a reader that was killed.
fn leftovers(folder: &str) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().starts_with(".sealpost-")).count()
}

/// Waits until something is so, or the program has ended.
pub(crate) fn until(child: &mut Child, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() && child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < Duration::from_secs(300), "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_was_written_without_a_node_is_a_draft_with_its_files_until_it_is_sent_or_thrown_away() {
    let world = World::new();
    let plan = world.path("plan.pdf");
    let bytes = noise(300_000, 3);
    fs::write(&plan, &bytes).unwrap();
    let away =
        ["--node", "http://127.0.0.1:1", "send", "bob", "-m", "The lift", "-s", "House 7", "-a", &plan];
    let passphrase = world.path("passphrase");
    let flags = ["-w", "alice", "--passphrase-file", &passphrase];
    let failed = run("sealpost", home_of(&world), &[&flags[..], &away].concat());
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(3), "{said}");
    let id = said.split("send --draft ").nth(1).unwrap().split('`').next().unwrap().to_owned();

    // It needs neither the node nor the file any more.
    fs::remove_file(&plan).unwrap();
    let listed = world.wallet("alice", &["draft", "list"]);
    assert_eq!(listed["drafts"].as_array().unwrap().len(), 1);
    let shown = world.wallet("alice", &["draft", "show", &id]);
    assert_eq!((shown["text"].as_str(), shown["subject"].as_str()), (Some("The lift"), Some("House 7")));
    assert_eq!(shown["files"][0]["bytes"], 300_000);
    // Nobody sends what nobody has sent.
    let outbox = world.wallet("alice", &["outbox"]);
    assert_eq!(
        (outbox["drafts"].as_array().unwrap().len(), &outbox["drafts"][0]["signed"]),
        (1, &Value::from(0))
    );

    let sent = run("sealpost", home_of(&world), &[&flags[..], &["send", "--draft", &id, "--json"]].concat());
    assert!(sent.status.success(), "{sent:?}");
    let sent: Value = serde_json::from_slice(&sent.stdout).unwrap();
    let saved = world.path("saved");
    let read = world.wallet("bob", &["read", sent["id"].as_str().unwrap(), "-o", &saved]);
    assert_eq!(read["text"], "The lift");
    assert!(fs::read(Path::new(&saved).join("plan.pdf")).unwrap() == bytes);
    assert_eq!(world.error("alice", &["send", "--draft", &id])["code"], "draft.unknown");

    run(
        "sealpost",
        home_of(&world),
        &[&flags[..], &["--node", "http://127.0.0.1:1", "send", "bob", "-m", "x"]].concat(),
    );
    let other = world.wallet("alice", &["draft", "list"])["drafts"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.wallet("alice", &["draft", "discard", &other[..4]])["id"], other);
    assert_eq!(world.error("alice", &["draft", "show", &other])["code"], "draft.unknown");
    assert!(world.wallet("alice", &["outbox"])["drafts"].as_array().unwrap().is_empty());
}

#[test]
fn on_a_network_with_postage_a_parcel_pays_for_each_part_and_does_not_raise_its_own_price() {
    const FLOOR: u64 = 500;
    let world = World::with_genesis(|genesis| {
        genesis["postage"] =
            serde_json::json!({ "floor": FLOOR, "strangers_percent": 25, "member_quota_bytes": 0 });
    });
    let file = world.path("plan.pdf");
    let bytes = noise(700_000, 11);
    fs::write(&file, &bytes).unwrap();
    let passphrase = world.path("passphrase");
    let dry = ["-w", "alice", "--passphrase-file", &passphrase, "send", "bob", "-m", "x", "--attach", &file];
    let dry = [&dry[..], &["--dry-run"]].concat();
    let said = run("sealpost", home_of(&world), &dry);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("Parts    12, ") && said.contains("expected hashes for all of them"), "{said}");
    assert!(world.wallet("alice", &["draft", "list"])["drafts"].as_array().unwrap().is_empty());

    let sent = world.wallet("alice", &["send", "bob", "-m", "x", "--attach", &file]);
    let work = sent["parts"]["work"].as_u64().unwrap();
    assert!(sent["status"] == "final" && work >= 12 * 62 * FLOOR, "{sent}");
    assert_eq!(world.wallet("alice", &["postage"])["price"], FLOOR);
    let saved = world.path("saved");
    world.wallet("bob", &["read", sent["id"].as_str().unwrap(), "-o", &saved]);
    assert!(fs::read(Path::new(&saved).join("plan.pdf")).unwrap() == bytes);
}

#[test]
fn a_parcel_whose_node_dies_on_the_way_goes_on_with_another_node() {
    let World { dir, node } = World::new();
    let home = dir.path();
    let (passphrase, file) = (home.join("passphrase"), home.join("plan.pdf"));
    let bytes = noise(3 << 20, 13);
    fs::write(&file, &bytes).unwrap();
    let alice = ["-w", "alice", "--passphrase-file", passphrase.to_str().unwrap()];
    let mut command = Command::new(program("sealpost"));
    command.env("SEALPOST_HOME", home).env_remove("SEALPOST_NODE").args(alice);
    command.args(["send", "bob", "-m", "x", "--attach", file.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let drafts = home.join("networks/world/wallets/alice/drafts");
    let signed = || {
        let folders = fs::read_dir(&drafts).unwrap().flatten().map(|entry| entry.path());
        let files = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        files.filter(|file| file.path().extension().is_some_and(|end| end == "part")).count()
    };
    until(&mut child, || signed() > 5);
    node.kill();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("parts are on the ledger") && said.contains("sealpost outbox"), "{said}");
    let node = Server::node(home);
    let url = node.said("rpc");
    let outbox = json("sealpost", home, &[&alice[..], &["--node", &url, "outbox"]].concat());
    assert!(outbox["drafts"].as_array().unwrap().is_empty(), "{outbox}");
    let bob = ["-w", "bob", "--passphrase-file", passphrase.to_str().unwrap(), "--node", &url];
    let inbox = json("sealpost", home, &[&bob[..], &["inbox"]].concat());
    let messages = inbox["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{inbox}");
    let saved = home.join("saved");
    let read = ["read", messages[0]["id"].as_str().unwrap(), "-o", saved.to_str().unwrap()];
    json("sealpost", home, &[&bob[..], &read].concat());
    assert!(fs::read(saved.join("plan.pdf")).unwrap() == bytes);
}

/// Parts of drafts of a wallet that are signed.
fn signed_parts(wallet: &Path) -> usize {
    let folders = fs::read_dir(wallet.join("drafts")).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    files.filter(|file| file.path().extension().is_some_and(|end| end == "part")).count()
}

/// A `send` of a large file to bob by alice that was killed on its way: most parts are not signed yet.
fn killed_on_its_way(world: &World) {
    let file = world.path("plan.pdf");
    fs::write(&file, noise(5 << 20, 17)).unwrap();
    let args = ["send", "bob", "-m", "x", "--attach", &file];
    let mut child = wallet_command(world, "alice", &args).spawn().unwrap();
    until(&mut child, || signed_parts(&folder_of(world, "alice")) > 2);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn letters_of_bob(world: &World) -> usize {
    world.wallet("bob", &["inbox"])["messages"].as_array().unwrap().len()
}

#[test]
fn ctrl_c_ends_an_outbox_that_goes_on_with_a_parcel() {
    let world = World::new();
    killed_on_its_way(&world);
    let folder = folder_of(&world, "alice");
    let before = signed_parts(&folder);
    let mut child = wallet_command(&world, "alice", &["outbox"]).spawn().unwrap();
    until(&mut child, || signed_parts(&folder) > before + 2);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(signed_parts(&folder) > before && letters_of_bob(&world) == 0);
    // Nothing is lost by that.
    assert!(world.wallet("alice", &["outbox"])["drafts"].as_array().unwrap().is_empty());
    assert_eq!(letters_of_bob(&world), 1);
}

#[test]
fn a_parcel_that_comes_back_with_a_backup_is_not_sent_a_second_time_by_itself() {
    let world = World::new();
    killed_on_its_way(&world);
    let backup = world.path("alice.backup");
    world.wallet("alice", &["backup", &backup]);
    world.wallet("alice", &["outbox"]);
    assert_eq!(letters_of_bob(&world), 1);

    let elsewhere = tempfile::tempdir().unwrap();
    let passphrase = world.path("passphrase");
    let alice = |args: &[&str]| {
        json("sealpost", elsewhere.path(), &[&["--passphrase-file", &passphrase], args].concat())
    };
    let back = alice(&["restore-backup", &backup]);
    let draft = back["drafts"][0].clone();
    assert!(draft["restored"] == true && draft["signed"].as_u64() > Some(2), "{back}");
    assert_eq!(alice(&["outbox"])["drafts"][0]["id"], draft["id"]);
    assert_eq!(letters_of_bob(&world), 1);
    // On purpose it is.
    alice(&["send", "--draft", draft["id"].as_str().unwrap()]);
    assert_eq!(letters_of_bob(&world), 2);
}

/// What was found on the disk after a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// Nothing yet: the text was still with whoever typed it.
    Nothing,
    /// A draft, of which nothing is signed.
    Draft,
    /// A draft with some of its parts signed.
    Parcel,
    /// A signed letter that is not final as far as the wallet knows.
    Outbox,
    /// A letter that is final.
    Final,
}

/// When a `send` is killed.
enum Moment {
    /// So long after its start.
    After(Duration),
    /// As soon as the disk shows this, or a later state.
    Seen(Found),
}

struct Killing<'a> {
    world: &'a World,
    /// What lay in outbox and drafts before.
    before: BTreeSet<PathBuf>,
    drafts: PathBuf,
    outbox: PathBuf,
}

impl<'a> Killing<'a> {
    fn new(world: &'a World) -> Self {
        let folder = folder_of(world, "alice");
        let (drafts, outbox) = (folder.join("drafts"), folder.join("outbox"));
        let list = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let before = list(&outbox).chain(list(&drafts)).collect();
        Self { world, before, drafts, outbox }
    }
    /// What the disk shows now.
    fn found(&self) -> Found {
        let paths = fs::read_dir(&self.outbox).unwrap().flatten().map(|entry| entry.path());
        if let Some(is_final) =
            paths.filter(|path| !self.before.contains(path)).find_map(|path| letter(&path))
        {
            return if is_final { Found::Final } else { Found::Outbox };
        }
        let mut found = Found::Nothing;
        for folder in fs::read_dir(&self.drafts).unwrap().flatten().map(|entry| entry.path()) {
            if !self.before.contains(&folder) && folder.join("letter").exists() {
                let files = fs::read_dir(&folder).into_iter().flatten().flatten();
                let is_part = |path: PathBuf| path.extension().is_some_and(|end| end == "part");
                let signed = files.filter(|entry| is_part(entry.path())).count();
                found = found.max(if signed > 0 { Found::Parcel } else { Found::Draft });
            }
        }
        found
    }
    /// Starts `send`, kills it, and says what it left.
    fn kill(&self, text: &str, file: Option<&str>, moment: &Moment) -> Found {
        let mut args = vec!["send", "bob", "-f", "-"];
        args.extend(file.iter().flat_map(|file| ["--attach", *file]));
        let mut child = wallet_command(self.world, "alice", &args).spawn().unwrap();
        // It may be dead before it reads.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        match moment {
            Moment::After(time) => std::thread::sleep(*time),
            Moment::Seen(state) => until(&mut child, || self.found() >= *state),
        }
        child.kill().unwrap();
        child.wait().unwrap();
        self.found()
    }
}

/// Whether a message of the outbox is known to be final; nothing if it is no whole entry of a message.
fn letter(path: &Path) -> Option<bool> {
    let json: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (path.extension()? == "json" && json["kind"] == "message").then(|| !json["height"].is_null())
}

/// What a person does after a crash: `outbox` goes on with what has begun to leave, `send --draft` with what has not.
fn recover(world: &World) {
    let outbox = world.wallet("alice", &["outbox"]);
    for draft in outbox["drafts"].as_array().unwrap() {
        assert_eq!(draft["signed"], 0, "the outbox left a parcel behind: {outbox}");
        world.wallet("alice", &["send", "--draft", draft["id"].as_str().unwrap()]);
    }
}

#[test]
fn a_wallet_killed_at_any_moment_of_send_loses_nothing_and_sends_nothing_twice() {
    let world = World::new();
    let file = world.path("plan.pdf");
    let bytes = noise(400_000, 5);
    fs::write(&file, &bytes).unwrap();
    // How long a `send` takes here, with and without a file that goes ahead in parts.
    let mut durations = Vec::new();
    for file in [None, Some(file.as_str())] {
        let started = Instant::now();
        let attach = file.iter().flat_map(|file| ["--attach", *file]);
        let args: Vec<_> = ["send", "bob", "-m", "before"].into_iter().chain(attach).collect();
        assert!(wallet_command(&world, "alice", &args).status().unwrap().success());
        durations.push(started.elapsed());
    }
    // Spread evenly over the run, and aimed at each state of the disk.
    let spread = (0..24_u32).map(|n| (n % 2 == 1, n / 2)).map(|(with_file, n)| {
        let time = durations[usize::from(with_file)];
        (with_file, Moment::After(time * n / 11))
    });
    let aimed = [Found::Draft, Found::Parcel, Found::Outbox].into_iter().flat_map(|state| {
        let plain = (state != Found::Parcel).then_some((false, Moment::Seen(state)));
        [Some((true, Moment::Seen(state))), plain, Some((true, Moment::Seen(state)))]
    });
    let moments: Vec<_> = spread.chain(aimed.flatten()).collect();

    let mut phases: BTreeMap<Found, usize> = BTreeMap::new();
    let mut kept = BTreeMap::new();
    for (number, (with_file, moment)) in moments.iter().enumerate() {
        let text = format!("notice number {number}");
        let file = with_file.then_some(file.as_str());
        let found = Killing::new(&world).kill(&text, file, moment);
        *phases.entry(found).or_default() += 1;
        kept.insert(text, found);
        recover(&world);
    }
    for phase in [Found::Nothing, Found::Draft, Found::Parcel, Found::Outbox] {
        assert!(phases.contains_key(&phase), "no kill came upon {phase:?}: {phases:?}");
    }

    assert!(world.wallet("alice", &["outbox"])["drafts"].as_array().unwrap().is_empty());
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    let inbox = world.wallet("bob", &["inbox", "-n", "500"]);
    for message in inbox["messages"].as_array().unwrap() {
        let read = world.wallet("bob", &["read", message["id"].as_str().unwrap()]);
        *arrived.entry(read["text"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(arrived.remove("before"), Some(2));
    for (text, found) in &kept {
        let expected = usize::from(*found != Found::Nothing);
        let times = arrived.remove(text).unwrap_or(0);
        assert_eq!(times, expected, "{text:?} was found as {found:?} and arrived {times} times");
    }
    assert!(arrived.is_empty(), "{arrived:?}");
    println!("kills by what they left: {phases:?}");
    assert_eq!(fs::read_dir(folder_of(&world, "alice").join("drafts")).unwrap().count(), 0);

    // The parts that outlived a crash make the file that was attached.
    let last = inbox["messages"].as_array().unwrap()[0]["id"].as_str().unwrap();
    let saved = world.path("saved");
    world.wallet("bob", &["read", last, "-o", &saved]);
    assert!(fs::read(Path::new(&saved).join("plan.pdf")).unwrap() == bytes);
}

/// As after a crash between the two steps: the letter is in the outbox, and the draft is still there.
#[test]
fn a_draft_whose_letter_is_in_the_outbox_is_not_sent_again() {
    let world = World::new();
    let away = world.error("alice", &["--node", "http://127.0.0.1:1", "send", "bob", "-m", "x"]);
    assert_eq!(away["code"], "node.unreachable");
    let drafts = folder_of(&world, "alice").join("drafts");
    let id = world.wallet("alice", &["draft", "list"])["drafts"][0]["id"].as_str().unwrap().to_owned();
    let letter = drafts.join(&id).join("letter");
    let copy = fs::read(&letter).unwrap();
    let restore = || {
        fs::create_dir_all(letter.parent().unwrap()).unwrap();
        fs::write(&letter, &copy).unwrap();
    };
    world.wallet("alice", &["send", "--draft", &id]);
    restore();
    assert_eq!(world.error("alice", &["send", "--draft", &id])["code"], "draft.unknown");
    restore();
    assert!(world.wallet("alice", &["draft", "list"])["drafts"].as_array().unwrap().is_empty());
    assert!(!letter.exists());
    restore();
    world.wallet("alice", &["outbox"]);
    assert!(!letter.exists());
    assert_eq!(world.wallet("bob", &["inbox"])["messages"].as_array().unwrap().len(), 1);
}

/// A sender who makes whatever he likes with the library.
pub(crate) struct Liar {
    wallet: Wallet,
    light: Light,
    bob: Address,
}

impl Liar {
    pub(crate) async fn new(world: &World, name: &str) -> Self {
        let profile = Profile::open(home_of(world), "world").unwrap();
        let bob = profile.contacts().unwrap().resolve("bob").unwrap();
        let head = profile.head().unwrap();
        let light = Light::connect(&world.node.said("rpc"), profile.genesis().clone(), head).await.unwrap();
        Self { wallet: Wallet::open(profile, name, "correct horse").unwrap(), light, bob }
    }
    async fn send(&self, content: impl Into<Content>) -> TransactionId {
        let draft = Draft { to: vec![self.bob], content: content.into(), mode: Mode::Open };
        self.wallet.send(&self.light, &draft, sealpost_api::WaitFor::Final, &|_, _| true).await.unwrap().id
    }
    /// Signs a letter and puts it into the outbox: nothing of it leaves.
    pub(crate) async fn put_out(&self, text: &str) -> String {
        let letter = Letter { text: text.into(), ..Letter::default() };
        let draft = Draft { to: vec![self.bob], content: letter.into(), mode: Mode::Open };
        let (prepared, _) = self.wallet.prepare_message(&self.light, &draft, &|_, _| true).await.unwrap();
        let (transaction, body) = (&prepared.transaction, prepared.body.as_ref());
        self.wallet.outbox().put(&OutboxEntry::new(transaction, body, Vec::new(), 0, None)).unwrap();
        transaction.id().to_string()
    }
    pub(crate) async fn part(&self, number: u32, bytes: &[u8]) -> TransactionId {
        self.send(Content::Part(Part { parcel: [1; 16], number, bytes: bytes.to_vec() })).await
    }
    pub(crate) async fn letter(&self, length: u64, whole: &[u8], messages: &[TransactionId]) -> String {
        let parts = Parts { length, sha256: Sha256::digest(whole).into(), messages: messages.to_vec() };
        let attachments = vec![Attachment { name: "../plan.pdf".into(), data: Data::Parts(parts) }];
        self.send(Letter { text: "see the plan".into(), attachments, ..Letter::default() }).await.to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_who_lies_about_parts_is_refused_and_nothing_is_saved() {
    let world = World::new();
    let words = world.path("carol.words");
    world.wallet("carol", &["new", "carol", "--mnemonic-out", &words]);
    let (alice, carol) = (Liar::new(&world, "alice").await, Liar::new(&world, "carol").await);
    let (one, two) = (alice.part(0, b"one").await, alice.part(1, b"two").await);
    let foreign = carol.part(1, b"two").await;
    let plain = alice.send(Letter { text: "a notice".into(), ..Letter::default() }).await;
    let nowhere = TransactionId::from_bytes([7; 32]);

    let honest = alice.letter(6, b"onetwo", &[one, two]).await;
    let saved = world.path("saved");
    world.wallet("bob", &["read", &honest, "-o", &saved]);
    assert_eq!(fs::read(Path::new(&saved).join("plan.pdf")).unwrap(), b"onetwo");
    assert!(!Path::new(&world.path("plan.pdf")).exists());

    // What the lie is; the length and the bytes that are announced; the parts; what is said; how it ends.
    type Lie<'a> = (&'a str, u64, &'a [u8], Vec<TransactionId>, (&'a str, i32));
    let lies: Vec<Lie<'_>> = vec![
        ("another sender's part", 6, b"onetwo", vec![one, foreign], ("part 2 of 2", 6)),
        ("a letter for a part", 6, b"onetwo", vec![one, plain], ("is a letter", 6)),
        ("another order", 6, b"twoone", vec![two, one], ("has number 1 where 0 is due", 6)),
        ("a part twice", 6, b"oneone", vec![one, one], ("has number 0 where 1 is due", 6)),
        ("another hash", 6, b"onetwi", vec![one, two], ("SHA-256", 6)),
        ("longer", 7, b"onetwo!", vec![one, two], ("6 bytes together, 7 were announced", 6)),
        ("shorter", 5, b"onetw", vec![one, two], ("makes 6 bytes, and 5 were announced", 6)),
        ("without end", u64::MAX, b"onetwo", vec![one, two], ("the limit is", 2)),
        ("missing", 6, b"onetwo", vec![one, nowhere], ("part 2 of 2 is missing", 1)),
    ];
    for (number, (lie, length, whole, messages, (words, exit))) in lies.into_iter().enumerate() {
        let id = alice.letter(length, whole, &messages).await;
        let folder = world.path(&format!("saved-{number}"));
        let passphrase = world.path("passphrase");
        let args = ["-w", "bob", "--passphrase-file", &passphrase, "read", &id, "-o", &folder];
        let read = run("sealpost", home_of(&world), &args);
        let said = String::from_utf8_lossy(&read.stderr).into_owned();
        assert_eq!(read.status.code(), Some(exit), "{lie}: {said}");
        assert!(said.contains(words), "{lie}: {said}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{lie}");
    }
    // A letter that calls another letter its part does not hide it.
    let inbox = json(
        "sealpost",
        home_of(&world),
        &["-w", "bob", "--passphrase-file", &world.path("passphrase"), "inbox"],
    );
    let listed = |id: &TransactionId| {
        inbox["messages"].as_array().unwrap().iter().any(|message| message["id"] == id.to_string())
    };
    assert!(listed(&plain) && !listed(&one) && !listed(&two) && !listed(&foreign), "{inbox}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_gets_no_receipt_before_all_its_parts_are_here() {
    let world = World::new();
    let alice = Liar::new(&world, "alice").await;
    let (one, two) = (alice.part(0, b"one").await, alice.part(1, b"two").await);
    let nowhere = TransactionId::from_bytes([7; 32]);
    let whole = alice.letter(6, b"onetwo", &[one, two]).await;
    let missing = alice.letter(6, b"onetwo", &[one, nowhere]).await;
    let broken = alice.letter(6, b"onetwi", &[one, two]).await;
    let long = alice.letter(u64::MAX, b"onetwo", &[one, two]).await;
    for (id, words) in
        [(&missing, "plan.pdf: part 2 of 2 is missing"), (&broken, "SHA-256"), (&long, "the limit is")]
    {
        let error = world.error("bob", &["receipt", "give", id]);
        assert_eq!((error["code"].as_str(), error["exit"].as_u64()), (Some("receipt.incomplete"), Some(1)));
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        assert!(error["help"].as_str().unwrap().contains("--without-parts"), "{error}");
    }
    // All of them at once: the one that is whole gets its receipt, and of the others it is said why they get none.
    let passphrase = world.path("passphrase");
    let args = ["-w", "bob", "--passphrase-file", &passphrase, "--json", "-y", "receipt", "give", "--all"];
    let all = run("sealpost", home_of(&world), &args);
    assert_eq!(all.status.code(), Some(1), "{}", String::from_utf8_lossy(&all.stderr));
    let given: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    let outcome = |id: &String| {
        let of = given["answers"].as_array().unwrap().iter().find(|answer| answer["message"] == id.as_str());
        (of.unwrap()["outcome"].as_str().unwrap(), of.unwrap()["code"].as_str())
    };
    assert_eq!(outcome(&whole), ("opened", None));
    for id in [&missing, &broken, &long] {
        assert_eq!(outcome(id), ("failed", Some("receipt.incomplete")));
    }
    let answer = |id: &str| world.wallet("alice", &["status", id])["slots"][0]["answer"].clone();
    assert_eq!((answer(&whole), answer(&missing)), ("opened".into(), "silent".into()));
    // What was fetched to be verified alone is not left behind.
    let named =
        Wallet::open(Profile::open(home_of(&world), "world").unwrap(), "bob", "correct horse").unwrap();
    let name = named.archive().name(&whole.parse().unwrap());
    assert!(!folder_of(&world, "bob").join("fetched").join(name).exists());
    // Whoever knows it and answers all the same, or refuses, may.
    world.wallet("bob", &["receipt", "give", &missing, "--without-parts"]);
    world.wallet("bob", &["refuse", &broken]);
    assert_eq!((answer(&missing), answer(&broken)), ("opened".into(), "refused".into()));
}
