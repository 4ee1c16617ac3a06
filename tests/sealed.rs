//! Sealed mode with the real programs: alice writes to bob and carol, nobody can see that, both find it, and a
//! stranger believes what is disclosed of it, and no more.

use crate::world::{World, home_of};
use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_api::{MailboxQuery, MailboxSide, Order, SealpostRpcClient, TagQuery, WaitFor};
use sealpost_ledger::address::{Address, AddressPrefix};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Mode;
use sealpost_ledger::receipt::{Answer, Receipt};
use sealpost_tests::{json, run};
use sealpost_wallet::envelope::Letter;
use sealpost_wallet::light::Light;
use sealpost_wallet::profile::Profile;
use sealpost_wallet::{Draft, Wallet};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Alice, bob and carol.
fn three() -> World {
    let world = World::new();
    let made = world.wallet("carol", &["new", "carol", "--mnemonic-out", &world.path("carol.words")]);
    world.wallet("carol", &["keys", "publish"]);
    json("sealpost", home_of(&world), &["contact", "add", "carol", made["address"].as_str().unwrap()]);
    world
}

fn address(world: &World, name: &str) -> String {
    world.wallet(name, &["address"])["address"].as_str().unwrap().to_owned()
}

/// What the node has of a transaction: all bytes, and the lists that it stands in.
#[tokio::main]
async fn seen_on_the_ledger(world: &World, id: &str) -> Vec<u8> {
    let client = HttpClientBuilder::default().build(world.node.said("rpc")).unwrap();
    let found = client.tx_get(id.parse().unwrap()).await.unwrap();
    let body = client.tx_body(id.parse().unwrap()).await.unwrap();
    for name in ["alice", "bob", "carol"] {
        for side in [MailboxSide::Received, MailboxSide::Sent] {
            let (address, order) = (address(world, name), Order::NewestFirst);
            let query = MailboxQuery { address, side, after: None, limit: None, order };
            let page = client.mailbox_list(query).await.unwrap();
            assert!(page.entries.iter().all(|entry| entry.view.id.to_string() != id), "{name} {side:?}");
        }
    }
    // Both slots are listed, for everybody alike, page by page.
    let all = TagQuery { from: BlockHeight::FIRST, to: None, after: None, limit: None };
    let all = client.mailbox_tags(all).await.unwrap();
    assert_eq!(all.tags.iter().filter(|tag| tag.id.to_string() == id).count(), 2);
    assert_eq!(all.next, None);
    let none = TagQuery { from: all.to, to: Some(BlockHeight::FIRST), after: None, limit: None };
    assert!(client.mailbox_tags(none).await.unwrap_err().to_string().contains("below from"));
    [found.transaction.0, body.0].concat()
}

fn codes(facts: &Value) -> Vec<&str> {
    facts["facts"].as_array().unwrap().iter().map(|fact| fact["code"].as_str().unwrap()).collect()
}

/// Carol, who can write whatever she wants, claims that bob has opened the message.
#[tokio::main]
async fn forged(world: &World, id: &str) {
    let profile = Profile::open(home_of(world), "world").unwrap();
    let carol = Wallet::open(profile.clone(), "carol", "correct horse").unwrap();
    let (genesis, head) = (profile.genesis().clone(), profile.head().unwrap());
    let light = Light::connect(&world.node.said("rpc"), genesis, head).await.unwrap();
    let answer = Answer::Opened { secret: [7; 32] };
    let answers = vec![Receipt { message: id.parse().unwrap(), slot: 0, answer }];
    let alice = profile.contacts().unwrap().resolve("alice").unwrap();
    for mode in [Mode::Open, Mode::Sealed] {
        let letter = Letter { answers: answers.clone(), ..Letter::default() };
        let draft = Draft { to: vec![alice], content: letter.into(), mode };
        let sent = carol.send(&light, &draft, WaitFor::Final, &|_, _| true).await.unwrap();
        world.wallet("alice", &["inbox"]);
        let read = world.wallet("alice", &["read", &sent.id.to_string()]);
        assert_eq!(read["receipts"][0]["confirmed"], false, "{mode:?}: {read}");
    }
}

/// A stranger checks a file with the program and with the page's own implementation.
fn believed(world: &World, file: &str) -> Value {
    let genesis = world.path("node/genesis.json");
    let stranger = tempfile::tempdir().unwrap();
    let verified = json("sealpost", stranger.path(), &["evidence", "verify", file, "--genesis", &genesis]);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify_evidence.py");
    match Command::new("python3").arg(docs).args([&genesis, file]).output() {
        Ok(second) => {
            let said = String::from_utf8_lossy(&second.stdout).into_owned();
            assert!(second.status.success(), "{said}{}", String::from_utf8_lossy(&second.stderr));
            assert!(said.contains("written by key"), "{said}");
        }
        Err(error) => eprintln!("skipped: the second implementation needs python3: {error}"),
    }
    verified
}

#[test]
fn a_sealed_message_is_found_answered_and_believed_by_a_stranger() {
    let world = three();
    let sent = world.wallet("alice", &["send", "bob", "carol", "--sealed", "-m", "Meet me at noon"]);
    assert_eq!((sent["mode"].as_str(), sent["status"].as_str()), (Some("sealed"), Some("final")));
    let id = sent["id"].as_str().unwrap();

    // Nobody who takes part can be seen, on the ledger or on alice's disk.
    let bytes = seen_on_the_ledger(&world, id);
    for name in ["alice", "bob", "carol"] {
        let text = address(&world, name);
        let key =
            Address::parse(&text, &AddressPrefix::new(text.split('1').next().unwrap()).unwrap()).unwrap();
        assert!(!bytes.windows(32).any(|window| window == key.as_bytes()), "{name} stands on the ledger");
        let kept = find(home_of(&world), &format!("{id}.json")).expect("an entry in the outbox");
        let kept = fs::read_to_string(kept).unwrap();
        assert!(!kept.contains(&text), "{name} stands in the outbox");
    }
    let outbox = world.wallet("alice", &["outbox"]);
    let entry = outbox["entries"].as_array().unwrap().iter().find(|entry| entry["id"] == id).unwrap();
    assert_eq!(entry["to"].as_array().unwrap().len(), 2);

    // Both find it and learn who wrote it. Alice does not find it: it is not for her.
    for name in ["bob", "carol"] {
        let inbox = world.wallet(name, &["inbox"]);
        assert_eq!((inbox["scan"]["slots"].as_u64(), inbox["scan"]["found"].as_u64()), (Some(2), Some(1)));
        let message = &inbox["messages"][0];
        assert_eq!((message["id"].as_str(), message["contact"].as_str()), (Some(id), Some("alice")));
        let again = world.wallet(name, &["inbox"]);
        assert_eq!(
            (again["scan"]["slots"].as_u64(), again["messages"][0]["id"].as_str()),
            (Some(0), Some(id))
        );
        let kept = world.wallet(name, &["inbox", "--no-scan"]);
        assert_eq!((kept["scan"].is_null(), kept["messages"][0]["id"].as_str()), (true, Some(id)));
        let read = world.wallet(name, &["read", &id[..8]]);
        assert_eq!(
            (read["text"].as_str(), read["contact"].as_str()),
            (Some("Meet me at noon"), Some("alice"))
        );
        assert_eq!(read["to"].as_array().unwrap().len(), 2);
    }
    assert_eq!(world.wallet("alice", &["inbox"])["messages"].as_array().unwrap().len(), 0);
    assert_eq!(world.exit("alice", &["read", id]), 1);

    // Bob's receipt comes back in a sealed reply, carol's refusal too.
    let slots = |expected: [&str; 2]| {
        let status = world.wallet("alice", &["status", id]);
        let answers: Vec<_> =
            status["slots"].as_array().unwrap().iter().map(|slot| slot["answer"].as_str().unwrap()).collect();
        assert_eq!(answers, expected);
        status
    };
    slots(["hidden", "hidden"]);
    let receipt = world.wallet("bob", &["receipt", "give", id]);
    // Nobody else sees that; so the wallet itself says that it was answered.
    for again in [&["receipt", "give", id][..], &["refuse", id]] {
        assert_eq!(world.error("bob", again)["code"], "receipt.already_answered");
    }
    let about = ["evidence", "create", id, "--recipients", "bob", "-o", &world.path("about")];
    assert_eq!(world.error("alice", &about)["code"], "evidence.recipients_hidden");
    world.wallet("alice", &["inbox"]);
    let reply = receipt["receipt"].as_str().unwrap();
    let read = world.wallet("alice", &["read", reply]);
    assert_eq!(
        (read["receipts"][0]["answer"].as_str(), &read["receipts"][0]["confirmed"]),
        (Some("opened"), &true.into())
    );
    assert_eq!(world.error("alice", &["receipt", "give", reply])["code"], "receipt.of_receipts");
    told_from_letters(&world, id, reply);
    forged(&world, id);
    let status = slots(["opened", "hidden"]);
    assert_eq!(status["slots"][0]["contact"], "bob");
    assert_eq!(status["slots"][0]["receipt"], receipt["receipt"]);
    let mut follow = world.follow("alice", &["status", id, "--follow"]);
    assert_eq!(follow.next()["slots"][1]["answer"], "hidden");
    world.wallet("carol", &["refuse", id, "--reason", "unwanted"]);
    let change = follow.next();
    assert_eq!((change["contact"].as_str(), change["answer"].as_str()), (Some("carol"), Some("refused")));
    assert!(follow.ends_well());
    let status = slots(["opened", "refused"]);
    assert_eq!(status["slots"][1]["reason"], "unwanted");
    assert_eq!(status["from"], address(&world, "alice"));

    // An answer to it names nobody either, though nobody asked for that.
    let reply = world.wallet("bob", &["reply", id, "-m", "I come"]);
    assert_eq!((reply["mode"].as_str(), reply["to"][0]["name"].as_str()), (Some("sealed"), Some("alice")));

    disclosed(&world, id, receipt["receipt"].as_str().unwrap());

    // What scans have found is damaged: it is told and kept aside, and found again.
    let kept = find(home_of(&world), "alice").map(|folder| folder.join("scan")).unwrap();
    let mut damaged = fs::read(&kept).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&kept, &damaged).unwrap();
    assert_eq!(world.error("alice", &["inbox", "--no-scan"])["code"], "scan.damaged");
    world.wallet("alice", &["inbox"]);
    assert_eq!(fs::read(kept.with_file_name("scan.damaged")).unwrap(), damaged);
    slots(["opened", "refused"]);
}

/// A reply that carries a receipt and nothing else is no letter that waits to be read, and the lists know it.
fn told_from_letters(world: &World, id: &str, reply: &str) {
    let inbox = world.wallet("alice", &["inbox", "--no-scan"]);
    let newest = &inbox["messages"][0];
    assert_eq!(
        (newest["id"].as_str(), newest["only_receipts"].as_bool(), newest["unread"].as_bool()),
        (Some(reply), Some(true), Some(false))
    );
    assert_eq!(world.wallet("bob", &["inbox", "--no-scan"])["messages"][0]["only_receipts"], false);
    for (name, list, with) in [("alice", "got", "bob"), ("bob", "given", "alice")] {
        let listed = world.wallet(name, &["receipt", "list", &format!("--{list}")]);
        let [entry] = listed[list].as_array().unwrap().as_slice() else { panic!("{listed}") };
        let texts = ["message", "receipt", "contact", "answer"].map(|key| entry[key].as_str().unwrap());
        assert_eq!((texts, &entry["sealed"]), ([id, reply, with, "opened"], &true.into()), "{name}");
        assert!(entry["height"].is_u64(), "{entry}");
    }
    for name in ["alice", "bob"] {
        let thread = world.wallet(name, &["thread", id]);
        let [letter, answer] = thread["letters"].as_array().unwrap().as_slice() else { panic!("{thread}") };
        assert!(letter["receipts"].is_null(), "{thread}");
        let receipt = &answer["receipts"][0];
        assert_eq!((receipt["message"].as_str(), &receipt["confirmed"]), (Some(id), &true.into()), "{name}");
    }
}

/// Each who knows the message can show a stranger who wrote it and to whom; the receipt by its reply.
fn disclosed(world: &World, id: &str, reply: &str) {
    let shown = |name: &str, id: &str| {
        let file = world.path(&format!("{name}-{}.json", &id[..8]));
        world.wallet(name, &["evidence", "create", id, "-o", &file, "--disclose", "--with-body"]);
        believed(world, &file)
    };
    for name in ["alice", "bob"] {
        let verified = shown(name, id);
        assert!(codes(&verified).ends_with(&["content_disclosed", "authored"]), "{verified}");
        assert!(verified.to_string().contains(&address(world, "alice")));
    }
    let verified = shown("alice", reply);
    assert_eq!(codes(&verified).last(), Some(&"sealed_answer"), "{verified}");
    assert!(verified.to_string().contains(&format!("slot 0 of message {id}: opened")), "{verified}");
    // Without disclosing, nothing of that is in it.
    let file = world.path("bare.json");
    world.wallet("alice", &["evidence", "create", id, "-o", &file]);
    let genesis = world.path("node/genesis.json");
    let verified = run("sealpost", home_of(world), &["evidence", "verify", &file, "--genesis", &genesis]);
    assert!(verified.status.success());
    assert!(!String::from_utf8_lossy(&verified.stdout).contains(&address(world, "alice")));
}

#[test]
fn a_pause_comes_before_anything_is_signed_and_needs_sealed_mode() {
    let world = World::new();
    assert_eq!(world.exit("alice", &["send", "bob", "--delay", "1s", "-m", "x"]), 2);
    assert_eq!(world.exit("alice", &["send", "bob", "--sealed", "--delay", "2d", "-m", "x"]), 2);
    let sent = world.wallet("alice", &["send", "bob", "--sealed", "--delay", "1s", "-m", "x"]);
    assert_eq!(sent["status"], "final");
    assert_eq!(world.wallet("bob", &["inbox"])["messages"][0]["id"], sent["id"]);

    // Who has had keys since later only has nothing to look for in what is older.
    world.wallet("carol", &["new", "carol", "--mnemonic-out", &world.path("carol.words")]);
    assert_eq!(world.wallet("carol", &["inbox"])["scan"]["slots"], 0);
    world.wallet("carol", &["keys", "publish"]);
    assert_eq!(world.wallet("carol", &["inbox"])["scan"]["slots"], 0);
    // New keys are looked for from their publication on, and what came before stays found.
    world.wallet("bob", &["keys", "publish"]);
    let sent = world.wallet("alice", &["send", "bob", "--sealed", "-m", "y"]);
    let inbox = world.wallet("bob", &["inbox"]);
    assert_eq!((inbox["scan"]["slots"].as_u64(), inbox["messages"].as_array().unwrap().len()), (Some(1), 2));
    assert_eq!(inbox["messages"][0]["id"], sent["id"]);
}

/// A file beneath a folder, by its name.
fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|found| found == name) {
            return Some(path);
        }
        if let Some(found) = path.is_dir().then(|| find(&path, name)).flatten() {
            return Some(found);
        }
    }
    None
}

/// A draft remembers whether it hides its recipients; what is asked for when it is sent counts all the same.
#[test]
fn a_draft_that_was_kept_open_is_sent_sealed_if_that_is_asked_for_or_not_at_all() {
    let world = World::new();
    let passphrase = world.path("passphrase");
    let kept = |args: &[&str]| {
        let away = ["-w", "alice", "--passphrase-file", &passphrase, "--node", "http://127.0.0.1:1", "send"];
        let output = run("sealpost", home_of(&world), &[&away[..], args].concat());
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let drafts = world.wallet("alice", &["draft", "list"]);
        drafts["drafts"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned()
    };
    let draft = kept(&["bob", "-m", "noon"]);
    let sent = world.wallet("alice", &["send", "--draft", &draft, "--sealed"]);
    assert_eq!((sent["mode"].as_str(), sent["status"].as_str()), (Some("sealed"), Some("final")), "{sent}");
    fs::write(world.path("long.txt"), "a long text ".repeat(20_000)).unwrap();
    let draft = kept(&["bob", "-f", &world.path("long.txt")]);
    let sent = world.wallet("alice", &["send", "--draft", &draft, "--sealed"]);
    assert!(sent["mode"] == "sealed" && sent["parts"]["count"].as_u64() > Some(1), "{sent}");
    // Its files are cut for open messages.
    fs::write(world.path("plan.pdf"), vec![7; 200_000]).unwrap();
    let draft = kept(&["bob", "-m", "noon", "--attach", &world.path("plan.pdf")]);
    let error = world.error("alice", &["send", "--draft", &draft, "--sealed"]);
    assert_eq!((error["code"].as_str(), error["exit"].as_u64()), (Some("draft.open"), Some(2)), "{error}");
    assert_eq!(world.wallet("bob", &["inbox"])["messages"].as_array().unwrap().len(), 2);
}
