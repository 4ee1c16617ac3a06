//! What was signed arrives once, whatever nodes say of it: every error tells that it is kept, and under which id.

use crate::parcels::{self, folder_of, until, wallet_command};
use crate::world::{World, home_of};
use sealpost_tests::harness::liar::{Answer, Liar, error};
use sealpost_tests::run;
use serde_json::Value;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name}: {value}"))
}

/// A command that asks these nodes.
fn at<'a>(nodes: &[&'a Liar], args: &[&'a str]) -> Vec<&'a str> {
    nodes.iter().flat_map(|node| ["--node", node.url()]).chain(args.iter().copied()).collect()
}

/// The entry of the outbox with that id, as a command with these arguments lists it.
fn entry(world: &World, args: &[&str], id: &str) -> Value {
    let listed = world.wallet("alice", args);
    let entries = listed["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["id"] == id).unwrap_or_else(|| panic!("{id}: {listed}")).clone()
}

/// What has come to bob.
fn came(world: &World) -> Vec<String> {
    let inbox = world.wallet("bob", &["inbox"]);
    inbox["messages"].as_array().unwrap().iter().map(|message| text(message, "id").to_owned()).collect()
}

/// An error that says what is kept, until when it may arrive, and that sending it anew doubles it.
fn tells_what_is_kept(error: &Value) -> &str {
    let (id, expiry) = (text(error, "id"), error["expiry"].as_u64().unwrap());
    assert!(text(error, "message").ends_with(&format!("kept in the outbox as {id}")), "{error}");
    let help = text(error, "help");
    assert!(help.contains("arrives twice") && help.contains(&format!("up to {expiry} ")), "{error}");
    id
}

#[test]
fn a_message_that_is_refused_is_kept_and_told_and_arrives_once() {
    let world = World::new();
    let refused = || error(3000, "tx.postage_too_low");
    let answers = [refused(), error(4000, "mempool.full"), refused()];
    let node = Liar::instead_of(&world.node.said("rpc"), "tx_submit", answers);
    let error = world.error("alice", &at(&[&node], &["send", "bob", "-m", "x"]));
    assert_eq!((text(&error, "code"), error["exit"].as_u64()), ("tx.postage_too_low", Some(5)));
    let id = tells_what_is_kept(&error);
    assert_eq!(world.wallet("alice", &["draft", "list"])["drafts"], Value::Array(Vec::new()));
    assert_eq!(came(&world), Vec::<String>::new());

    // A node that has no room refuses nothing.
    let busy = entry(&world, &at(&[&node], &["outbox"]), id);
    assert_eq!((text(&busy, "status"), busy["refused"].is_null()), ("waiting", true), "{busy}");
    assert!(text(&busy, "waiting").contains("mempool.full"), "{busy}");
    let again = entry(&world, &at(&[&node], &["outbox"]), id);
    assert_eq!((text(&again, "status"), again["waiting"].is_null()), ("refused", true), "{again}");
    assert_eq!(node.told(), 3);
    assert_eq!(entry(&world, &at(&[&node], &["outbox"]), id)["status"], "accepted");
    assert_eq!(world.follow("bob", &["inbox", "--follow"]).next()["id"], id);
    assert_eq!(entry(&world, &["outbox"], id)["status"], "final");
    assert_eq!(came(&world), [id]);
}

/// One node takes a message and can't say so, the next one refuses it: it is the refusal that is told.
#[test]
fn a_refusal_by_the_second_node_does_not_hide_that_the_first_may_have_taken_it() {
    let world = World::new();
    let honest = world.node.said("rpc");
    let mute = Liar::before(&honest, |call| match call.method {
        "tx_submit" => Answer::OtherQuestion,
        _ => Answer::Truth,
    });
    let dear = Liar::instead_of(&honest, "tx_submit", [error(3000, "tx.postage_too_low")]);
    let error = world.error("alice", &at(&[&mute, &dear], &["send", "bob", "-m", "x"]));
    assert_eq!(text(&error, "code"), "tx.postage_too_low", "{error}");
    assert_eq!(came(&world), [tells_what_is_kept(&error)]);
}

/// What answers for itself is signed anew when it is refused: a slot is answered once, whoever signs twice.
#[test]
fn a_receipt_that_was_refused_is_handed_in_again_and_signed_anew_if_need_be() {
    let world = World::new();
    let sent = world.wallet("alice", &["send", "bob", "-m", "x"]);
    let id = text(&sent, "id");
    let refused = || error(3000, "tx.postage_too_low");
    let node = Liar::instead_of(&world.node.said("rpc"), "tx_submit", [refused(), refused()]);
    let give = ["receipt", "give", id];
    let error = world.error("bob", &at(&[&node], &give));
    assert_eq!(text(&error, "code"), "tx.postage_too_low");
    tells_what_is_kept(&error);
    let given = world.wallet("bob", &at(&[&node], &give));
    assert_eq!(node.told(), 2);
    assert!(given["height"].is_u64(), "{given}");
    assert_eq!(world.wallet("alice", &["status", id])["slots"][0]["answer"], "opened");
}

#[test]
fn of_a_list_too_what_is_refused_is_told_to_be_kept() {
    let world = World::new();
    let path = world.path("list.jsonl");
    fs::write(&path, r#"{"to":["bob"],"text":"x"}"#).unwrap();
    let refusal = serde_json::json!({ "category": 3000, "code": "tx.version", "message": "unknown" });
    let answers = [Answer::Lie(serde_json::json!([{ "error": refusal }]))];
    let node = Liar::instead_of(&world.node.said("rpc"), "tx_submitMany", answers);
    let passphrase = world.path("passphrase");
    let send = ["-w", "alice", "--passphrase-file", &passphrase, "send-many", &path, "--json"];
    let output = run("sealpost", home_of(&world), &at(&[&node], &send));
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let result = &summary["results"][0];
    assert_eq!(text(result, "code"), "tx.version");
    let kept = format!("kept in the outbox as {}", text(result, "id"));
    assert!(text(result, "error").ends_with(&kept), "{summary}");
}

/// The program that listens to Ctrl-C is not ended by it any more: then it has to end by itself, whatever it waits for.
#[test]
fn ctrl_c_ends_a_send_that_waits_for_its_block_and_what_is_signed_is_kept_and_told() {
    let world = World::new();
    let node = Liar::instead_of(&world.node.said("rpc"), "tx_submit", [Answer::Silence]);
    let mut command = wallet_command(&world, "alice", &at(&[&node], &["--json", "send", "bob", "-m", "x"]));
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    until(&mut child, || node.told() > 0);
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let error: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(text(&error, "code"), "outbox.interrupted");
    let id = tells_what_is_kept(&error);
    assert_eq!(came(&world), Vec::<String>::new());
    world.wallet("alice", &["outbox"]);
    assert_eq!(world.wallet("alice", &["status", id])["status"].as_str(), Some("final"));
}

/// What is signed becomes void with time: no draft keeps it here, and none keeps another.
#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_can_not_be_read_keeps_nothing_here_and_can_be_thrown_away() {
    let world = World::new();
    let away = ["--node", "http://127.0.0.1:1", "send", "bob", "-m", "x"];
    (0..2).for_each(|_| drop(world.error("alice", &away)));
    let listed = world.wallet("alice", &["draft", "list"])["drafts"].clone();
    let [damaged, whole] = [0, 1].map(|at: usize| text(&listed[at], "id").to_owned());
    let drafts = folder_of(&world, "alice").join("drafts");
    fs::write(drafts.join(&damaged).join("letter"), "x").unwrap();
    let alice = parcels::Liar::new(&world, "alice").await;
    let signed = alice.put_out("signed, and not sent").await;

    // What is well is told before the error.
    let run = |args: &[&str]| {
        let mut command = wallet_command(&world, "alice", &[args, &["--json"]].concat());
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        (said, serde_json::from_slice::<Value>(&output.stderr).unwrap())
    };
    let (handed_in, error) = run(&["outbox"]);
    let named = text(&error, "message").contains(&damaged) && text(&error, "help").contains("draft discard");
    assert!(text(&error, "code") == "draft.malformed" && named, "{error}");
    assert!(handed_in["damaged"][0].as_str().unwrap().contains(&damaged), "{handed_in}");
    while came(&world).is_empty() {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(came(&world), [signed.as_str()]);
    let (listed, _) = run(&["draft", "list"]);
    let drafts = listed["drafts"].as_array().unwrap();
    assert_eq!((drafts.len(), text(&drafts[0], "id")), (1, whole.as_str()));
    assert!(listed["damaged"][0].as_str().unwrap().contains(&damaged), "{listed}");

    assert_eq!(text(&world.wallet("alice", &["draft", "discard", &damaged]), "id"), damaged);
    assert_eq!(world.wallet("alice", &["draft", "list"])["drafts"].as_array().unwrap().len(), 1);
    world.wallet("alice", &["outbox"]);
}
