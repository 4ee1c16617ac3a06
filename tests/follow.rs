//! `inbox --follow` with the real programs: messages as they come, a node that goes and comes back, and a hook
//! that hears of each.

use crate::keys;
use crate::parcels::folder_of;
use crate::world::{World, home_of};
use sealpost_tests::{Server, program};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// No line takes longer, on the slowest machine.
const WITHIN: Duration = Duration::from_secs(120);

/// Lines of a stream as they come.
struct Lines(Receiver<String>);

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Self(lines)
    }
    fn next(&self) -> String {
        self.0.recv_timeout(WITHIN).expect("a line")
    }
    /// The next line that contains something.
    fn with(&self, words: &str) -> String {
        std::iter::repeat_with(|| self.next()).find(|line| line.contains(words)).unwrap()
    }
}

/// A running `inbox --follow`. It is killed when it is dropped.
struct Following {
    child: Child,
    out: Lines,
    err: Lines,
}

impl Following {
    fn start(world: &World, wallet: &str, args: &[&str]) -> Self {
        Self::command(world, wallet, &[&["inbox", "--follow"], args].concat())
    }
    fn command(world: &World, wallet: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program("sealpost"));
        command.env("SEALPOST_HOME", home_of(world)).env_remove("SEALPOST_NODE").env_remove("RUST_LOG");
        command.args(["-w", wallet, "--passphrase-file", &world.path("passphrase"), "--json"]).args(args);
        Self::of(command)
    }
    fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, err) = (Lines::of(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
        Self { child, out, err }
    }
    /// The id of the next message.
    fn message(&self) -> String {
        let entry: serde_json::Value = serde_json::from_str(&self.out.next()).unwrap();
        assert_eq!(entry["schema"], "sealpost/inbox-entry/1", "{entry}");
        entry["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(world: &World, text: &str) -> String {
    world.wallet("alice", &["send", "bob", "-m", text])["id"].as_str().unwrap().to_owned()
}

#[test]
fn messages_are_shown_once_each_as_they_come_and_none_is_missed_while_the_node_is_away() {
    let World { dir, node } = World::new();
    let rpc = node.said("rpc");
    let listen = rpc.strip_prefix("http://").unwrap().to_owned();
    let world = World { dir, node };
    let before = send(&world, "before");
    let following = Following::start(&world, "bob", &[]);
    assert_eq!(following.message(), before);
    let first = send(&world, "first");
    assert_eq!(following.message(), first);

    // The node dies; what comes while nobody listens is shown when it is back.
    let World { dir, node } = world;
    node.kill();
    following.err.with("the node is away");
    let mesh = "/ip4/127.0.0.1/tcp/0";
    let args = ["run", "--rpc", &listen, "--metrics", "off", "--p2p", "off", "--consensus", mesh];
    let node = Server::start("sealpost-node", dir.path(), &args, &dir.path().join("node.log"));
    let world = World { dir, node };
    let (second, third) = (send(&world, "second"), send(&world, "third"));
    assert_eq!([following.message(), following.message()], [second, third]);
}

#[test]
fn a_view_that_becomes_old_while_somebody_follows_is_warned_about() {
    let world = World::with_genesis(|genesis| genesis["timing"]["heartbeat_ms"] = 3_600_000.into());
    let (looks, does_not) = (["--max-age", "15s"], ["--max-age", "15s", "--no-scan"]);
    let sent = send(&world, "the newest block for an hour");
    let both = [Following::start(&world, "bob", &looks), Following::start(&world, "bob", &does_not)];
    for following in &both {
        assert_eq!(following.message(), sent);
        following.err.with("Newer blocks may be withheld");
    }
}

/// Silence of a recipient and silence of the node look alike.
#[test]
fn a_view_that_becomes_old_while_somebody_waits_for_answers_is_warned_about() {
    let world = World::with_genesis(|genesis| genesis["timing"]["heartbeat_ms"] = 3_600_000.into());
    let open = send(&world, "open");
    let sealed = world.wallet("alice", &["send", "bob", "--sealed", "-m", "the newest block for an hour"]);
    let both = [open.as_str(), sealed["id"].as_str().unwrap()]
        .map(|id| Following::command(&world, "alice", &["--max-age", "15s", "status", id, "--follow"]));
    for following in &both {
        following.err.with("Newer blocks may be withheld");
    }
}

#[test]
fn a_hook_hears_of_each_message_even_of_those_that_came_while_nobody_followed() {
    let world = World::new();
    let pipe = world.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Open for both, so that it does not end when a hook closes it.
    let heard = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let heard = Lines::of(heard);
    let say = r#"echo "$SEALPOST_MESSAGE $SEALPOST_CONTACT $SEALPOST_WALLET $(cat | tr '\n' '/')" > "$0""#;
    let hook = ["--exec", "sh", "--", "-c", say, &pipe];

    let before = send(&world, "before");
    let following = Following::start(&world, "bob", &hook);
    assert_eq!(following.message(), before);
    let first = send(&world, "first");
    assert_eq!(following.message(), first);
    // Nothing of the text, unless it is asked for; and nothing of what was there before.
    assert_eq!(heard.next(), format!("{first} alice bob "));
    drop(following);

    let (second, third) = (send(&world, "second"), send(&world, "third"));
    let with_text = [&["--exec-text"], &hook[..]].concat();
    let following = Following::start(&world, "bob", &with_text);
    // Several run at once, so that either may be the first to be heard.
    // What was told just before a kill may be told again, and is no matter here.
    let mut again = std::iter::repeat_with(|| heard.next()).filter(|line| !line.starts_with(&first));
    let mut lines = [again.next().unwrap(), again.next().unwrap()];
    lines.sort();
    let mut expected = [format!("{second} alice bob //second"), format!("{third} alice bob //third")];
    expected.sort();
    assert_eq!(lines, expected);
    let last = send(&world, "last");
    assert_eq!(heard.next(), format!("{last} alice bob //last"));
    drop(following);

    // A sealed one that another command has found meanwhile is told as well.
    let sealed = world.wallet("alice", &["send", "bob", "--sealed", "-m", "sealed"])["id"].clone();
    let sealed = sealed.as_str().unwrap().to_owned();
    assert_eq!(world.wallet("bob", &["inbox"])["messages"][0]["id"], sealed.as_str());
    let following = Following::start(&world, "bob", &with_text);
    let mut again = std::iter::repeat_with(|| heard.next()).filter(|line| !line.starts_with(&last));
    assert_eq!(again.next().unwrap(), format!("{sealed} alice bob //sealed"));
    // What goes on in parts is told to its end.
    let long = format!("{} to the end", "x".repeat(90_000));
    let long_id = send(&world, &long);
    assert_eq!(again.next().unwrap(), format!("{long_id} alice bob //{long}"));
    drop(following);

    // A hook of the settings that does not work is said, and the messages come all the same.
    let settings = format!("notify = [{:?}, \"x\"]\n", world.path("no-such-program"));
    std::fs::write(world.path("wallet.toml"), settings).unwrap();
    let following = Following::start(&world, "bob", &[]);
    let more = send(&world, "more");
    assert!((0..).map(|_| following.message()).any(|id| id == more));
    assert!(following.err.with("notify: ").contains("no-such-program"));
}

/// A pipe that what hooks say is read from; open for both, so that it does not end when a hook closes it.
fn pipe(path: &str) -> std::fs::File {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Says that it has begun, waits at a gate, and says that it has ended.
const WAITS: &str =
    r#"echo "began $SEALPOST_MESSAGE" > "$0"; read -r _ < "$0.gate"; echo "ended $SEALPOST_MESSAGE" > "$0""#;
const SAYS: &str = r#"echo "told $SEALPOST_MESSAGE" > "$0""#;

#[test]
fn a_message_whose_hook_was_cut_off_with_the_follower_is_told_again() {
    let world = World::new();
    let path = world.path("pipe");
    let (heard, _gate) = (Lines::of(pipe(&path)), pipe(&format!("{path}.gate")));
    let before = send(&world, "before");
    let following = Following::start(&world, "bob", &["--exec", "sh", "--", "-c", WAITS, &path]);
    assert_eq!(following.message(), before);
    let open = send(&world, "open");
    assert_eq!(heard.next(), format!("began {open}"));
    let sealed = world.wallet("alice", &["send", "bob", "--sealed", "-m", "sealed"])["id"].clone();
    let sealed = sealed.as_str().unwrap();
    assert_eq!(heard.next(), format!("began {sealed}"));
    drop(following);

    // The file tells nobody which messages those are.
    let kept =
        std::fs::read_to_string(home_of(&world).join("networks/world/wallets/bob/follow.json")).unwrap();
    assert!(kept.contains("under_way") && !kept.contains(&open) && !kept.contains(sealed), "{kept}");
    let following = Following::start(&world, "bob", &["--exec", "sh", "--", "-c", SAYS, &path]);
    let mut told = BTreeSet::new();
    // After a kill it may hear of one twice.
    while told.len() < 2 {
        told.insert(heard.next());
    }
    assert_eq!(told, BTreeSet::from([format!("told {open}"), format!("told {sealed}")]));
    let next = send(&world, "next");
    let mut further = std::iter::repeat_with(|| heard.next()).filter(|line| !told.contains(line));
    assert_eq!(further.next().unwrap(), format!("told {next}"));
    drop(following);
}

/// The list of sealed messages is shorter then: the keys of some are gone, and nothing kept them.
#[test]
fn a_hook_hears_of_a_sealed_message_after_what_scans_had_found_was_lost() {
    let world = keys::quick_world();
    let path = world.path("pipe");
    let heard = Lines::of(pipe(&path));
    let hook = ["--exec", "sh", "--", "-c", SAYS, &path];
    let sealed = |text| {
        let sent = world.wallet("alice", &["send", "bob", "--sealed", "-m", text]);
        sent["id"].as_str().unwrap().to_owned()
    };
    let before = send(&world, "before");
    let following = Following::start(&world, "bob", &hook);
    assert_eq!(following.message(), before);
    // When it hears of the second one, the first is behind it.
    for text in ["first", "second"] {
        let id = sealed(text);
        assert_eq!(heard.next(), format!("told {id}"));
    }
    drop(following);

    keys::outlive(&world);
    assert_eq!(world.wallet("bob", &["keys", "tend"])["destroyed"], serde_json::json!([1]));
    std::fs::write(folder_of(&world, "bob").join("scan"), "x").unwrap();
    let last = sealed("last");
    let _following = Following::start(&world, "bob", &hook);
    heard.with(&last);
}

#[test]
fn a_hook_that_runs_ends_before_a_follower_that_is_asked_to_stop() {
    let world = World::new();
    let path = world.path("pipe");
    let (heard, mut gate) = (Lines::of(pipe(&path)), pipe(&format!("{path}.gate")));
    let before = send(&world, "before");
    let mut following = Following::start(&world, "bob", &["--exec", "sh", "--", "-c", WAITS, &path]);
    assert_eq!(following.message(), before);
    let id = send(&world, "first");
    assert_eq!(heard.next(), format!("began {id}"));
    let pid = following.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    gate.write_all(b"go on\n").unwrap();
    assert_eq!(heard.next(), format!("ended {id}"));
    assert_eq!(following.child.wait().unwrap().code(), Some(143));

    // It was told, and is not told again.
    let following = Following::start(&world, "bob", &["--exec", "sh", "--", "-c", SAYS, &path]);
    (0..2).for_each(|_| drop(following.message()));
    let next = send(&world, "next");
    assert_eq!(heard.next(), format!("told {next}"));
}

#[test]
fn a_hook_that_fails_is_tried_again() {
    let world = World::new();
    let path = world.path("pipe");
    let heard = Lines::of(pipe(&path));
    let script = format!(r#"[ -e "$0.tried" ] || {{ touch "$0.tried"; exit 1; }}; {SAYS}"#);
    let before = send(&world, "before");
    let following = Following::start(&world, "bob", &["--exec", "sh", "--", "-c", &script, &path]);
    assert_eq!(following.message(), before);
    let id = send(&world, "first");
    assert!(following.err.with("notify: ").contains("again in"));
    assert_eq!(heard.next(), format!("told {id}"));
}

#[test]
fn a_hook_inherits_no_descriptor_of_the_passphrase() {
    let world = World::new();
    let path = world.path("pipe");
    let heard = Lines::of(pipe(&path));
    let before = send(&world, "before");
    let (program, home) = (program("sealpost"), home_of(&world).to_owned());
    let mut command = Command::new("sh");
    command.env("SEALPOST_HOME", home).env_remove("SEALPOST_NODE").env_remove("RUST_LOG");
    command.args(["-c", r#"exec "$@" 9< "$0""#, &world.path("passphrase")]).arg(program);
    command.args([
        "-w",
        "bob",
        "--passphrase-fd",
        "9",
        "--json",
        "inbox",
        "--follow",
        "--exec",
        "sh",
        "--",
        "-c",
    ]);
    command.args([r#"if [ -e /proc/self/fd/9 ]; then echo open; else echo closed; fi > "$0""#, &path]);
    let following = Following::of(command);
    assert_eq!(following.message(), before);
    send(&world, "first");
    assert_eq!(heard.next(), "closed");
}
