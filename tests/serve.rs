//! `sealpost serve` from outside: the Python example does the main job through it against a real node; whoever
//! does not show the token, or asks what can't be asked, is told so; and nothing is left when it stops.

use crate::answers::node_for_two;
use crate::keys;
use crate::parcels;
use crate::world::{World, home_of};
use sealpost_tests::harness::liar::{Answer, Liar, error};
use sealpost_tests::{Server, run};
use sealpost_wallet::envelope::Letter;
use sealpost_wallet::ledger::message::Mode;
use sealpost_wallet::light::Light;
use sealpost_wallet::outbox::OutboxEntry;
use sealpost_wallet::profile::Profile;
use sealpost_wallet::{Draft, Wallet};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn serve(world: &World, name: &str, more: &[&str]) -> Server {
    let passphrase = world.path("passphrase");
    let args = [&["-w", name, "--passphrase-file", &passphrase, "serve"], more].concat();
    let log = world.dir.path().join(format!("serve-{name}.log"));
    Server::start("sealpost", home_of(world), &args, &log)
}

/// A client that speaks the protocol by hand.
struct Client {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Client {
    fn connect(served: &Server) -> Self {
        let stream = UnixStream::connect(served.said("socket")).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Self { stream, lines }
    }
    fn authenticated(served: &Server) -> Self {
        let mut client = Self::connect(served);
        let token = fs::read_to_string(served.said("token_file")).unwrap();
        let welcome = client.ask("authenticate", &json!({ "token": token }));
        assert_eq!(welcome["schema"], "sealpost/serve-welcome/1");
        client
    }
    fn write(&mut self, line: &str) {
        writeln!(self.stream, "{line}").unwrap();
    }
    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
    fn request(&mut self, id: &Value, method: &str, params: &Value) {
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string());
    }
    fn answer(&mut self, method: &str, params: &Value) -> Value {
        self.request(&json!(1), method, params);
        self.read()
    }
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }
    /// The number and the code of the error that a question is answered with.
    fn refused(&mut self, method: &str, params: &Value) -> (i64, String) {
        let answer = self.answer(method, params);
        assert!(answer["result"].is_null(), "{method}: {answer}");
        code(&answer)
    }
    fn is_closed(&mut self) -> bool {
        matches!(self.lines.read(&mut [0]), Ok(0) | Err(_))
    }
}

fn code(answer: &Value) -> (i64, String) {
    let error = &answer["error"];
    assert_eq!(error["data"]["schema"], "sealpost/error/1", "{answer}");
    (error["code"].as_i64().unwrap(), error["data"]["code"].as_str().unwrap().to_owned())
}

fn python(args: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wallet/examples/serve_client.py");
    let mut command = Command::new("python3");
    command.arg(script).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_python_example_sends_reads_answers_and_proves() {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return crate::interop::absent("python3");
    }
    let world = World::new();
    let (alice, bob) = (serve(&world, "alice", &[]), serve(&world, "bob", &[]));
    let evidence = world.path("notice.json");
    let (socket, token) = (alice.said("socket"), alice.said("token_file"));
    let notice = python(&["notice", &socket, &token, "bob", &evidence]).spawn().unwrap();
    let answered = python(&["answer", &bob.said("socket"), &bob.said("token_file")]).output().unwrap();
    let said = String::from_utf8_lossy(&answered.stdout).into_owned();
    assert!(answered.status.success(), "{said}{}", String::from_utf8_lossy(&answered.stderr));
    assert!(said.starts_with("alice: Lift: The lift is out of service."), "{said}");
    let noticed = notice.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&noticed.stdout).into_owned();
    assert!(noticed.status.success(), "{said}{}", String::from_utf8_lossy(&noticed.stderr));
    assert!(said.contains("valid - "), "{said}");
    // A stranger: an empty home, no node, no wallet.
    let (elsewhere, genesis) = (tempfile::tempdir().unwrap(), world.path("node/genesis.json"));
    let verify = ["evidence", "verify", &evidence, "--genesis", &genesis];
    assert_eq!(run("sealpost", elsewhere.path(), &verify).status.code(), Some(0));
    // The example says what the wallet says.
    let nobody = python(&["notice", &socket, &token, "nobody", &evidence]).output().unwrap();
    assert!(String::from_utf8_lossy(&nobody.stderr).starts_with("contact.unknown: "), "{nobody:?}");
    assert!(!nobody.status.success());
}

#[test]
fn answers_are_those_of_the_commands() {
    let world = World::new();
    let served = serve(&world, "alice", &[]);
    let mut alice = Client::authenticated(&served);
    let file = json!([{ "name": "plan.txt", "base64": "SGVsbG8=" }]);
    let draft = json!({ "to": ["bob"], "subject": "Plan", "attachments": file, "dry_run": true });
    assert_eq!(alice.ask("send", &draft)["status"], "prepared");
    let note = json!({ "to": ["alice"], "subject": "Plan", "text": "to myself", "attachments": file });
    let sent = alice.ask("send", &note);
    let id = sent["id"].as_str().unwrap().to_owned();
    let short = json!({ "id": &id[..8] });
    assert_eq!(alice.ask("read", &short), world.wallet("alice", &["read", &id]));
    let taken = alice.ask("read_attachment", &json!({ "id": id, "number": 0 }));
    assert_eq!((&taken["name"], &taken["base64"]), (&json!("plan.txt"), &json!("SGVsbG8=")));
    assert_eq!(alice.ask("inbox", &json!({ "scan": false })), world.wallet("alice", &["inbox", "--no-scan"]));
    assert_eq!(alice.ask("address", &json!({})), world.wallet("alice", &["address"]));
    assert_eq!(alice.ask("contact_list", &json!({})), world.wallet("alice", &["contact", "list"]));
    assert_eq!(alice.ask("keys_list", &json!({})), world.wallet("alice", &["keys", "list"]));
    assert_eq!(alice.ask("refuse", &json!({ "id": id, "reason": "unwanted" }))["reason"], "unwanted");
    let status = alice.ask("status", &json!({ "id": id }));
    assert_eq!(status["slots"][0]["answer"], "refused");
    assert_eq!(status, world.wallet("alice", &["status", &id]));
    assert_eq!(alice.ask("outbox", &json!({})), world.wallet("alice", &["outbox"]));
    // New keys, and what was sent to the old ones is still read.
    assert_eq!(alice.ask("keys_publish", &json!({}))["sequence"], 2);
    assert_eq!(alice.ask("read", &short)["text"], "to myself");
    let made = alice.ask("evidence_create", &json!({ "id": id, "body": true }));
    assert_eq!(alice.ask("evidence_verify", &json!({ "evidence": made["evidence"] }))["valid"], true);
    let changed = made["evidence"].as_str().unwrap().replacen("\"index\": 0", "\"index\": 1", 1);
    assert_eq!(alice.refused("evidence_verify", &json!({ "evidence": changed })).0, 1);
    assert_eq!(alice.refused("evidence_verify", &json!({ "evidence": "{}" })).0, 2);
}

#[test]
fn several_questions_are_at_work_and_errors_have_their_codes() {
    let world = World::new();
    let served = serve(&world, "alice", &[]);
    let mut client = Client::authenticated(&served);
    for id in 0..40 {
        client.request(&json!(id), "postage", &json!({}));
    }
    let mut ids: Vec<i64> = (0..40).map(|_| client.read()["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..40).collect::<Vec<_>>());
    let is = |number: i64, code: &str| (number, code.to_owned());
    assert_eq!(client.refused("mnemonic", &json!({})), is(-32601, "serve.method"));
    assert_eq!(client.refused("send", &json!({ "text": "x" })), is(-32602, "serve.parameters"));
    assert_eq!(client.refused("inbox", &json!({ "limits": 1 })), is(-32602, "serve.parameters"));
    assert_eq!(client.refused("inbox", &json!({ "limit": 0 })), is(2, "input.usage"));
    let empty = json!({ "to": ["bob"], "text": " " });
    assert_eq!(client.refused("send", &empty), is(2, "message.empty"));
    assert_eq!(client.refused("send", &json!({ "to": ["eve"], "text": "x" })), is(2, "contact.unknown"));
    let long = json!({ "to": ["bob"], "text": "x".repeat(70_000), "dry_run": true });
    assert_eq!(client.ask("send", &long)["parts"]["count"], 2);
    assert_eq!(client.ask("outbox", &json!({}))["drafts"], json!([]));
    // Of what could not begin to leave nothing is kept: who asked for it knows.
    let endless = json!({ "to": ["bob"], "subject": "x".repeat(70_000), "text": "x" });
    assert_eq!(client.refused("send", &endless), is(2, "message.too_long"));
    let keyless = json!({ "to": ["eve"], "text": "x".repeat(70_000) });
    let made = world.wallet("eve", &["new", "eve", "--mnemonic-out", &world.path("eve.words")]);
    client.ask("contact_add", &json!({ "name": "eve", "address": made["address"] }));
    assert_eq!(client.refused("send", &keyless), is(1, "recipient.no_keys"));
    assert_eq!(client.ask("outbox", &json!({}))["drafts"], json!([]));
    client.ask("contact_remove", &json!({ "name": "eve" }));
    assert_eq!(client.refused("read", &json!({ "id": "ab".repeat(32) })), is(1, "tx.unknown"));
    client.write("nonsense");
    assert_eq!(code(&client.read()), is(-32700, "serve.malformed"));
    client.write(r#"{"jsonrpc":"2.0","id":"a","method":"inbox","params":[]}"#);
    assert_eq!(client.read()["id"], "a");
    // The connection is as good as before.
    assert_eq!(client.ask("inbox", &json!({}))["messages"], json!([]));
    // A node that is away is named, and the connection is none the worse.
    let World { dir: _home, node } = world;
    node.kill();
    assert_eq!(client.refused("postage", &json!({})), is(3, "node.unreachable"));
    assert_eq!(client.ask("contact_show", &json!({ "name": "bob" }))["name"], "bob");
}

#[test]
fn nobody_gets_in_without_the_token_and_nothing_is_left_of_it() {
    let world = World::new();
    let served = serve(&world, "alice", &[]);
    let (socket, token) = (served.said("socket"), served.said("token_file"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = Path::new(&socket).parent().unwrap();
    assert_eq!((mode(Path::new(&socket)), mode(Path::new(&token)), mode(folder)), (0o600, 0o600, 0o700));
    let locked = (4, "serve.token".to_owned());
    let mut stranger = Client::connect(&served);
    assert_eq!(stranger.refused("inbox", &json!({})), locked);
    assert!(stranger.is_closed());
    let mut stranger = Client::connect(&served);
    assert_eq!(stranger.refused("authenticate", &json!({ "token": "00".repeat(32) })), locked);
    assert!(stranger.is_closed());
    let mut stranger = Client::connect(&served);
    stranger.stream.write_all(&[b'x'; 5000]).unwrap();
    assert!(stranger.is_closed());
    // A line that is too long, from one who may ask.
    let mut client = Client::authenticated(&served);
    let mut writer = client.stream.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        let _ = writer.write_all(&vec![b'x'; 9 << 20]);
    });
    assert_eq!(code(&client.read()), (2, "serve.too_long".to_owned()));
    assert!(client.is_closed());
    flood.join().unwrap();
    // Too many at a time.
    let all: Vec<_> = (0..16).map(|_| Client::authenticated(&served)).collect();
    let mut more = Client::connect(&served);
    assert_eq!(code(&more.read()), (3, "serve.busy".to_owned()));
    drop(all);
    // A second one for the same wallet.
    let passphrase = world.path("passphrase");
    let again = ["-w", "alice", "--passphrase-file", &passphrase, "serve", "--json"];
    let second = run("sealpost", home_of(&world), &again);
    assert_eq!(second.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&second.stderr).contains("serve.running"), "{second:?}");
    // A folder that others may enter.
    let open = world.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let args = ["-w", "bob", "--passphrase-file", &passphrase, "serve", "--folder", &open];
    assert_eq!(run("sealpost", home_of(&world), &args).status.code(), Some(2));
    // What is asked before the end is answered, and socket and token go.
    let mut last = loop {
        // Until the server has seen that the others are gone.
        let mut client = Client::connect(&served);
        let token = fs::read_to_string(&token).unwrap();
        client.request(&json!(1), "authenticate", &json!({ "token": token }));
        if client.read()["error"].is_null() {
            break client;
        }
    };
    last.request(&json!("last"), "send", &json!({ "to": ["bob"], "text": "the last one" }));
    last.request(&json!("follow"), "inbox_follow", &json!({}));
    let first = last.read();
    assert!(first["error"].is_null(), "{first}");
    assert!(served.stop().success());
    assert!(!Path::new(&socket).exists() && !Path::new(&token).exists());
    assert!(last.read()["result"].is_object());
    // One that was killed is no hindrance to the next.
    serve(&world, "alice", &[]).kill();
    assert!(Path::new(&socket).exists());
    let next = serve(&world, "alice", &[]);
    assert!(Client::authenticated(&next).ask("outbox", &json!({}))["entries"].is_array());
}

/// What takes several steps in the wallet is one question here, too.
#[test]
fn sealed_letters_and_letters_in_parts_are_found_read_and_answered() {
    let world = World::new();
    let (alices, bobs) = (serve(&world, "alice", &[]), serve(&world, "bob", &[]));
    let (mut alice, mut bob) = (Client::authenticated(&alices), Client::authenticated(&bobs));
    let follows = bob.ask("inbox_follow", &json!({ "scan": false }));
    assert_eq!(follows["schema"], "sealpost/inbox-follow/1");
    let hidden = json!({ "to": ["bob"], "text": "between us", "sealed": true });
    let sent = alice.ask("send", &hidden);
    assert_eq!((&sent["mode"], &sent["status"]), (&json!("sealed"), &json!("final")));
    let id = json!({ "id": sent["id"] });
    assert_eq!(bob.ask("inbox", &json!({ "scan": false }))["messages"], json!([]));
    let found = bob.ask("inbox", &json!({}));
    assert_eq!((&found["scan"]["found"], &found["messages"][0]["id"]), (&json!(1), &sent["id"]));
    assert_eq!(found["messages"][0]["contact"], "alice");
    let letter = bob.ask("read", &id);
    assert_eq!((&letter["text"], &letter["sealed"]), (&json!("between us"), &json!(true)));
    // It was kept when it was opened, as the command does.
    assert_eq!(world.wallet("bob", &["search", "between"])["matching"], 1);
    assert_eq!(alice.ask("status", &id)["slots"][0]["answer"], "hidden");
    bob.ask("receipt_give", &id);
    assert_eq!(alice.ask("status", &id)["slots"][0]["answer"], "opened");
    // What does not fit into one message goes in parts.
    let (long, file) = ("A long story. ".repeat(6_000), "x".repeat(100_000));
    let base64 = format!("{}eA==", "eHh4".repeat(33_333));
    let attached = json!([{ "name": "file.bin", "base64": base64 }]);
    let sent = alice.ask("send", &json!({ "to": ["bob"], "text": long, "attachments": attached }));
    assert!(sent["status"] == "final" && sent["parts"]["count"].as_u64().unwrap() > 1, "{sent}");
    // Parts are told to nobody.
    let told = bob.read();
    assert_eq!((&told["method"], &told["params"]["id"]), (&json!("inbox_entry"), &sent["id"]));
    assert_eq!(bob.ask("inbox", &json!({}))["messages"].as_array().unwrap().len(), 2);
    let letter = bob.ask("read", &json!({ "id": sent["id"] }));
    assert_eq!((letter["text"].as_str(), &letter["text_complete"]), (Some(long.as_str()), &json!(true)));
    assert_eq!(letter["attachments"], json!([{ "name": "file.bin", "bytes": file.len() }]));
    // In pieces, and at once.
    let mut piece = |offset: usize, length: Option<usize>| {
        let piece = json!({ "id": sent["id"], "number": 0, "offset": offset, "length": length });
        let taken = bob.ask("read_attachment", &piece);
        assert_eq!((&taken["bytes"], &taken["offset"]), (&json!(file.len()), &json!(offset)));
        taken["base64"].as_str().unwrap().to_owned()
    };
    assert_eq!(piece(0, Some(3)), "eHh4");
    assert_eq!(piece(99_999, Some(3)), "eA==");
    assert_eq!(piece(100_000, None), "");
    assert_eq!(piece(0, None), base64);
    let beyond = json!({ "id": sent["id"], "number": 0, "offset": 100_001 });
    assert_eq!(bob.refused("read_attachment", &beyond), (2, "input.usage".into()));
    let none = json!({ "id": sent["id"], "number": 1 });
    assert_eq!(bob.refused("read_attachment", &none), (1, "attachment.none".into()));
    // Without a node, what was kept is still read.
    let World { dir: _home, node } = world;
    node.kill();
    assert_eq!(bob.read()["method"], "inbox_ended");
    let kept = bob.ask("read", &id);
    assert_eq!((&kept["text"], &kept["source"]), (&json!("between us"), &json!("archive")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_receipt_is_given_for_a_letter_whose_parts_are_not_here() {
    let world = World::new();
    let alice = parcels::Liar::new(&world, "alice").await;
    let one = alice.part(0, b"one").await;
    let nowhere = sealpost_ledger::hash::TransactionId::from_bytes([7; 32]);
    let (whole, missing) =
        (alice.letter(3, b"one", &[one]).await, alice.letter(6, b"onetwo", &[one, nowhere]).await);
    let bobs = serve(&world, "bob", &[]);
    let mut bob = Client::authenticated(&bobs);
    let refused = bob.refused("receipt_give", &json!({ "id": missing }));
    assert_eq!(refused, (1, "receipt.incomplete".into()));
    assert_eq!(bob.ask("receipt_give", &json!({ "id": whole }))["answer"], "opened");
    let alone = json!({ "id": missing, "without_parts": true });
    assert_eq!(bob.ask("receipt_give", &alone)["answer"], "opened");
}

/// A program that scans with keys of before passes nothing over: what was sealed to newer ones is found.
#[test]
fn keys_that_another_program_rotates_hide_no_sealed_letter() {
    let world = World::new();
    let bobs = serve(&world, "bob", &[]);
    let mut bob = Client::authenticated(&bobs);
    assert_eq!(bob.ask("inbox", &json!({}))["messages"], json!([]));
    world.wallet("bob", &["keys", "rotate"]);
    let sent = world.wallet("alice", &["send", "bob", "--sealed", "-m", "to the newest keys"]);
    assert_eq!(sent["to"][0]["bundle"], 2);
    // By the program that opened the wallet before, and by one that opens it after that has looked.
    assert_eq!(bob.ask("inbox", &json!({}))["messages"][0]["id"], sent["id"]);
    assert_eq!(world.wallet("bob", &["inbox"])["messages"][0]["id"], sent["id"]);
    assert_eq!(bob.ask("read", &json!({ "id": sent["id"] }))["text"], "to the newest keys");
}

/// Before a secret is destroyed letters are kept that came to it, and that may take long.
#[test]
fn questions_are_answered_while_last_letters_are_fetched() {
    let world = keys::quick_world_with_archive();
    world.wallet("alice", &["send", "bob", "-m", "unread"]);
    keys::outlive(&world);
    let slow = Liar::before(&world.node.said("rpc"), |call| match call.method {
        "tx_body" => Answer::Silence,
        _ => Answer::Truth,
    });
    let bobs = serve(&world, "bob", &["--node", slow.url()]);
    let mut bob = Client::authenticated(&bobs);
    while slow.told() == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    bob.ask("address", &json!({}));
    // The node has not answered yet, and was not given up.
    let log = fs::read_to_string(world.path("serve-bob.log")).unwrap();
    assert!(!log.contains("the keys were not looked after"), "{log}");
}

/// Of sealed messages no node tells, and a program that follows hears of them all the same: each once.
#[test]
fn sealed_letters_are_told_to_whoever_follows() {
    let world = World::new();
    let before = world.wallet("alice", &["send", "bob", "--sealed", "-m", "before"]);
    let bobs = serve(&world, "bob", &[]);
    let mut bob = Client::authenticated(&bobs);
    bob.ask("inbox_follow", &json!({}));
    for text in ["one", "two"] {
        let sent = world.wallet("alice", &["send", "bob", "--sealed", "-m", text]);
        let told = bob.read();
        let entry = &told["params"];
        assert_eq!((&told["method"], &entry["id"]), (&json!("inbox_entry"), &sent["id"]), "{text}");
        assert_eq!((&entry["sealed"], &entry["contact"]), (&json!(true), &json!("alice")));
    }
    let messages = bob.ask("inbox", &json!({}))["messages"].as_array().unwrap().clone();
    assert_eq!((messages.len(), &messages[2]["id"]), (3, &before["id"]));
    // When the node is gone, all of it is at its end, and can be begun again.
    let World { dir: _home, node } = world;
    node.kill();
    assert_eq!(bob.read()["method"], "inbox_ended");
    // Once, for all that was followed.
    assert_eq!(bob.refused("inbox_follow", &json!({})), (3, "node.unreachable".into()));
}

#[test]
fn who_follows_from_a_height_hears_of_sealed_letters_that_were_found_before() {
    let world = World::new();
    let sent = world.wallet("alice", &["send", "bob", "--sealed", "-m", "before"]);
    let bobs = serve(&world, "bob", &[]);
    let mut bob = Client::authenticated(&bobs);
    bob.ask("inbox_follow", &json!({ "from": sent["height"] }));
    assert_eq!(bob.read()["params"]["id"], sent["id"]);
}

/// A wallet that is told how old a view may be says of its answers that theirs is older.
#[test]
fn an_old_view_is_named_in_the_answers_that_rest_on_it() {
    let world = World::new();
    let served = serve(&world, "alice", &["--max-age", "1s"]);
    let mut alice = Client::authenticated(&served);
    loop {
        let quote = alice.ask("postage", &json!({}));
        if let Some(view) = quote.get("old_view") {
            assert_eq!(view["max_age_seconds"], 1);
            break;
        }
    }
    assert!(alice.ask("address", &json!({})).get("old_view").is_none());
}

/// A node that shows no new blocks any more ends no subscription.
#[test]
fn a_view_that_becomes_old_is_told_to_whoever_follows() {
    let world = World::with_genesis(|genesis| genesis["timing"]["heartbeat_ms"] = 3_600_000.into());
    let bobs = serve(&world, "bob", &["--max-age", "20s"]);
    world.wallet("alice", &["send", "bob", "-m", "the newest block for an hour"]);
    let mut bob = Client::authenticated(&bobs);
    let followed = bob.ask("inbox_follow", &json!({ "scan": false }));
    assert!(followed.get("old_view").is_none(), "{followed}");
    let told = bob.read();
    assert_eq!(
        (told["method"].as_str(), &told["params"]["old_view"]["max_age_seconds"]),
        (Some("inbox_view"), &20.into())
    );
    world.wallet("alice", &["send", "bob", "-m", "a newer one"]);
    let both = [bob.read(), bob.read()];
    let view = both.iter().find(|told| told["method"] == "inbox_view").unwrap();
    assert!(view["params"]["old_view"].is_null(), "{view}");
}

/// Whoever sends again what goes on by itself sends it twice: so that has a code of its own, whatever went wrong.
#[test]
fn a_letter_that_was_signed_and_not_delivered_is_told_apart_from_one_that_was_not_sent() {
    let world = World::new();
    let answers = [Answer::OtherQuestion, error(3000, "tx.postage_too_low")];
    let node = Liar::instead_of(&world.node.said("rpc"), "tx_submit", answers);
    let served = serve(&world, "alice", &["--node", node.url()]);
    let mut alice = Client::authenticated(&served);
    // What is to be looked after at the start is over when this is answered: it would send the first letter, too.
    alice.ask("keys_list", &json!({}));
    let expected = [(3, "node.unreachable"), (5, "tx.postage_too_low")];
    let kept = expected.map(|(number, reason)| {
        let letter = json!({ "to": ["bob"], "text": reason });
        let answer = alice.answer("send", &letter);
        assert_eq!(code(&answer), (number, "outbox.kept".into()), "{answer}");
        let told = &answer["error"]["data"];
        assert_eq!(told["reason"], reason);
        assert!(told["help"].as_str().unwrap().contains("don't send it again"), "{told}");
        told["id"].as_str().unwrap().to_owned()
    });
    assert_eq!(node.told(), 2);
    // They go on by themselves, or as soon as somebody asks how they stand.
    let listed = alice.ask("outbox", &json!({}));
    let entries = listed["entries"].as_array().unwrap();
    assert!(kept.iter().all(|id| entries.iter().any(|entry| entry["id"] == id.as_str())), "{listed}");
    let mut bob = world.follow("bob", &["inbox", "--follow"]);
    assert_ne!(bob.next()["id"], bob.next()["id"]);
    assert_eq!(world.wallet("bob", &["inbox"])["messages"].as_array().unwrap().len(), 2);
    // Nothing is signed before the node is asked for keys.
    let World { dir: _home, node: honest } = world;
    honest.kill();
    assert_ne!(alice.refused("send", &json!({ "to": ["bob"], "text": "x" })).1, "outbox.kept");
}

/// A connection answers several questions at a time.
#[test]
fn of_two_answers_that_are_asked_for_at_once_one_is_signed() {
    let world = World::new();
    let sent = world.wallet("alice", &["send", "bob", "--sealed", "-m", "x"]);
    world.wallet("bob", &["inbox"]);
    let node = node_for_two(&world);
    let served = serve(&world, "bob", &["--node", node.url()]);
    let mut bob = Client::authenticated(&served);
    // What is to be looked after at the start is over when this is answered.
    bob.ask("keys_list", &json!({}));
    let id = json!({ "id": sent["id"] });
    bob.request(&json!(1), "receipt_give", &id);
    bob.request(&json!(2), "refuse", &id);
    let both = [bob.read(), bob.read()];
    let refused: Vec<_> = both.iter().filter(|answer| answer["result"].is_null()).collect();
    let [refused] = refused.as_slice() else { panic!("{both:?}") };
    assert_eq!(code(refused), (5, "receipt.already_answered".into()));
}

#[tokio::test]
async fn what_waits_in_the_outbox_is_sent_by_the_wallet_that_is_served() {
    let world = World::new();
    let profile = Profile::open(home_of(&world), "world").unwrap();
    let (url, head) = (world.node.said("rpc"), profile.head().unwrap());
    let light = Light::connect(&url, profile.genesis().clone(), head).await.unwrap();
    let bob = profile.contacts().unwrap().resolve("bob").unwrap();
    let alice = Wallet::open(profile, "alice", "correct horse").unwrap();
    let letter = Letter { text: "signed, and not sent".into(), ..Letter::default() };
    let draft = Draft { to: vec![bob], content: letter.into(), mode: Mode::Open };
    let (prepared, _) = alice.prepare_message(&light, &draft, &|_, _| true).await.unwrap();
    let (transaction, body) = (&prepared.transaction, prepared.body.as_ref());
    alice.outbox().put(&OutboxEntry::new(transaction, body, Vec::new(), 0, None)).unwrap();
    // One that can't be read keeps nothing else here, and is named.
    let outbox = alice.profile().wallet_folder("alice").unwrap().join("outbox");
    let damaged = "0".repeat(64);
    fs::write(outbox.join(format!("{damaged}.json")), "{").unwrap();
    let mut came = light.follow(&bob, light.next_height().await.unwrap()).await.unwrap();
    let served = serve(&world, "alice", &[]);
    assert_eq!(came.next(&light).await.unwrap().unwrap().id(), transaction.id());
    let listed = Client::authenticated(&served).ask("outbox", &json!({}));
    let entries = listed["entries"].as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["id"] == transaction.id().to_string()), "{listed}");
    assert!(listed["damaged"][0].as_str().unwrap().contains(&damaged), "{listed}");
    // What could be told stands before the error.
    let mut command = parcels::wallet_command(&world, "alice", &["outbox", "--json"]);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(&transaction.id().to_string()), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(told["code"], "outbox.malformed");
    assert!(!told["help"].as_str().unwrap().contains("mnemonic"), "{told}");
}
