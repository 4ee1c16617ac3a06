//! A message is answered once. Of a sealed one the ledger shows nobody that there is an answer, so its recipient's wallet
//! alone can keep him from a second one that says something else.

use crate::parcels::{folder_of, wallet_command};
use crate::world::World;
use sealpost_tests::harness::liar::{Answer, Liar, ask, error};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

const ANSWERED: &str = "receipt.already_answered";

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name}: {value}"))
}

/// A letter from alice that bob has found.
fn letter(world: &World, more: &[&str]) -> String {
    let sent = world.wallet("alice", &[&["send", "bob", "-m", "x"], more].concat());
    world.wallet("bob", &["inbox"]);
    text(&sent, "id").to_owned()
}

/// What bob's outbox has of answers: messages but for his keys.
fn replies(world: &World) -> Vec<String> {
    let listed = world.wallet("bob", &["outbox"]);
    let entries = listed["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] != "key_bundle");
    entries.map(|entry| text(entry, "id").to_owned()).collect()
}

/// How alice's letter stands with bob.
fn standing(world: &World, id: &str) -> String {
    world.wallet("alice", &["inbox"]);
    text(&world.wallet("alice", &["status", id])["slots"][0], "answer").to_owned()
}

fn file(world: &World, reply: &str) -> PathBuf {
    folder_of(world, "bob").join("outbox").join(format!("{reply}.json"))
}

/// Takes the block out of an entry of bob's outbox, as if he had been killed before it was noted.
fn forget_block(world: &World, reply: &str) {
    let mut entry: Value = serde_json::from_slice(&fs::read(file(world, reply)).unwrap()).unwrap();
    entry["height"] = Value::Null;
    fs::write(file(world, reply), entry.to_string()).unwrap();
}

/// Neither in one way nor in the other.
fn is_answered(world: &World, id: &str) {
    for again in [&["receipt", "give", id][..], &["refuse", id]] {
        assert_eq!(world.error("bob", again)["code"], ANSWERED, "{again:?}");
    }
    let all = world.wallet("bob", &["receipt", "give", "--all", "--yes"]);
    assert_eq!(all["answers"], json!([]), "{all}");
}

#[test]
fn a_refusal_that_no_node_took_is_neither_contradicted_nor_told_as_opened() {
    let world = World::new();
    for sealed in [&["--sealed"][..], &[]] {
        let id = letter(&world, sealed);
        let node = Liar::instead_of(&world.node.said("rpc"), "tx_submit", [error(4000, "mempool.full")]);
        let refuse = ["refuse", &id, "--reason", "unwanted"];
        let kept = world.error("bob", &[&["--node", node.url()], &refuse[..]].concat());
        assert_eq!((text(&kept, "code"), node.told()), ("mempool.full", 1), "{kept}");
        is_answered(&world, &id);
        let given = world.wallet("bob", &refuse);
        assert_eq!((&given["receipt"], text(&given, "answer")), (&kept["id"], "refused"));
        assert_eq!(standing(&world, &id), "refused");
    }
    assert_eq!(replies(&world).len(), 2);
}

#[test]
fn an_answer_of_which_no_block_is_noted_stands_when_its_time_is_over_and_one_that_never_arrived_does_not() {
    let world = World::with_genesis(|genesis| {
        genesis["limits"]["expiry_window"] = 20.into();
        genesis["timing"]["heartbeat_ms"] = 300.into();
    });
    let (id, other) = (letter(&world, &["--sealed"]), letter(&world, &["--sealed"]));
    let given = world.wallet("bob", &["receipt", "give", &id]);
    forget_block(&world, text(&given, "receipt"));
    let node = Liar::instead_of(&world.node.said("rpc"), "tx_submit", [error(4000, "mempool.full")]);
    let kept = world.error("bob", &["--node", node.url(), "receipt", "give", &other]);
    let over = kept["expiry"].as_u64().unwrap();
    let height = || ask(&world.node.said("rpc"), "node_status", json!({})).unwrap()["height"].as_u64();
    while height().unwrap() <= over {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(world.error("bob", &["refuse", &id])["code"], ANSWERED);
    forget_block(&world, text(&given, "receipt"));
    // Whoever can't ask all nodes does not know.
    let away = ["--node", &world.node.said("rpc"), "--node", "http://127.0.0.1:1", "refuse", &other];
    assert_eq!(world.exit("bob", &away), 3);
    assert_eq!(replies(&world).len(), 2);
    world.wallet("bob", &["refuse", &other]);
    is_answered(&world, &id);
    assert_eq!((standing(&world, &id), standing(&world, &other)), ("opened".into(), "refused".into()));
}

/// The first was not paid enough for and the second was: it is the second that counts.
#[test]
fn a_message_is_not_answered_a_third_time_because_the_first_answer_never_arrived() {
    let world = World::new();
    let id = letter(&world, &["--sealed"]);
    let refused = || error(3000, "tx.postage_too_low");
    let node = Liar::instead_of(&world.node.said("rpc"), "tx_submit", [refused(), refused()]);
    let give = ["--node", node.url(), "receipt", "give", &id];
    assert_eq!(world.error("bob", &give)["code"], "tx.postage_too_low");
    assert!(world.wallet("bob", &give)["height"].is_u64());
    assert_eq!(node.told(), 2);
    assert_eq!(world.error("bob", &give)["code"], ANSWERED);
    assert_eq!(replies(&world).len(), 2);
}

#[test]
fn an_entry_that_can_not_be_read_may_be_the_answer_to_any_sealed_message_and_to_no_open_one() {
    let world = World::new();
    let id = letter(&world, &["--sealed"]);
    let reply = text(&world.wallet("bob", &["receipt", "give", &id]), "receipt").to_owned();
    let open = letter(&world, &[]);
    let whole = fs::read_to_string(file(&world, &reply)).unwrap();
    let at = whole.find("\"note\": \"").unwrap() + 20;
    let digit = if whole.as_bytes()[at] == b'0' { "1" } else { "0" };
    let mut altered = whole.clone();
    altered.replace_range(at..=at, digit);
    fs::write(file(&world, &reply), altered).unwrap();
    for answer in [&["receipt", "give", &id][..], &["refuse", &id]] {
        assert_eq!(world.error("bob", answer)["code"], "outbox.altered");
    }
    let all = ["--json", "receipt", "give", "--all", "--yes"];
    let output = wallet_command(&world, "bob", &all).stdout(Stdio::piped()).output().unwrap();
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let outcome = |id: &str| {
        let found = all["answers"].as_array().unwrap().iter().find(|outcome| outcome["message"] == id);
        let found = found.unwrap_or_else(|| panic!("{id}: {all}"));
        (text(found, "outcome").to_owned(), found["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(outcome(&id), ("failed".into(), "outbox.altered".into()));
    assert_eq!(outcome(&open), ("opened".into(), String::new()));
    fs::write(file(&world, &reply), whole).unwrap();
    is_answered(&world, &id);
}

#[test]
fn what_was_answered_is_known_when_its_text_is_forgotten() {
    let world = World::new();
    let id = letter(&world, &["--sealed"]);
    let reply = text(&world.wallet("bob", &["receipt", "give", &id]), "receipt").to_owned();
    let forgotten = world.wallet("bob", &["forget", "--all", "--yes"]);
    assert!(forgotten["forgotten"].as_array().unwrap().contains(&json!(reply)), "{forgotten}");
    assert!(!fs::read_to_string(file(&world, &reply)).unwrap().contains("\"note\": \""));
    is_answered(&world, &id);
    let listed = world.wallet("bob", &["receipt", "list", "--given"]);
    assert_eq!(listed["given"][0]["receipt"], reply, "{listed}");
    let again = world.wallet("bob", &["forget", &reply, "--yes"]);
    assert_eq!(again["unknown"], json!([reply]));
}

/// A node that tells the price when two have asked for it, or one has waited in vain for another.
pub(crate) fn node_for_two(world: &World) -> Liar {
    let (asked, told) = (Mutex::new(0), Condvar::new());
    Liar::before(&world.node.said("rpc"), move |call| {
        if call.method == "postage_price" {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            told.notify_all();
            let _ = told.wait_timeout_while(asked, Duration::from_secs(4), |asked| *asked < 2).unwrap();
        }
        Answer::Truth
    })
}

#[test]
fn of_two_programs_that_answer_at_once_one_does() {
    let world = World::new();
    let id = letter(&world, &["--sealed"]);
    let node = node_for_two(&world);
    let begin = |args: &[&str]| {
        let args = [&["--node", node.url(), "--json"], args].concat();
        wallet_command(&world, "bob", &args).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [begin(&["receipt", "give", &id]), begin(&["refuse", &id])];
    let ended = both.map(|child| child.wait_with_output().unwrap());
    let failed: Vec<_> = ended.iter().filter(|output| !output.status.success()).collect();
    let [failed] = failed.as_slice() else { panic!("{ended:?}") };
    let told: Value = serde_json::from_slice(&failed.stderr).unwrap();
    assert_eq!(told["code"], ANSWERED, "{told}");
    assert_eq!(replies(&world).len(), 1);
}
