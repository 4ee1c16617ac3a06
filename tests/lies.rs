//! Wallets asking a node that lies, in every way that a node can: no lie is accepted, each is named, nothing of it is
//! believed later; and with an honest node beside it the command succeeds.

use crate::world::{World, home_of};
use sealpost_ledger::block::{Header, history_leaf};
use sealpost_ledger::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use sealpost_ledger::codec::encode;
use sealpost_ledger::hash::{BlockHash, HistoryRoot};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle;
use sealpost_ledger::signature::SigningKey;
use sealpost_tests::harness::liar::{Answer, Call, Liar, ask};
use sealpost_tests::{Server, json, run};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A world in which bob has answered a first message and not a second one, and has changed his keys in between.
struct Scene {
    world: World,
    first: String,
    second: String,
    receipt: String,
    /// The head after the first message, before the answer.
    early: u64,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let send = |text| world.wallet("alice", &["send", "bob", "-m", text]);
        let first = send("one");
        let given = world.wallet("bob", &["receipt", "give", first["id"].as_str().unwrap()]);
        world.wallet("bob", &["keys", "publish"]);
        let second = send("two");
        let id = |sent: &Value| sent["id"].as_str().unwrap().to_owned();
        Self {
            first: id(&first),
            second: id(&second),
            receipt: given["receipt"].as_str().unwrap().to_owned(),
            early: first["height"].as_u64().unwrap(),
            world,
        }
    }
    fn honest(&self) -> String {
        self.world.node.said("rpc")
    }
    fn ask(&self, method: &str, params: Value) -> Value {
        ask(&self.honest(), method, params).unwrap()
    }
    fn head_file(&self) -> PathBuf {
        home_of(&self.world).join("networks/world/head.json")
    }
    fn contradictions(&self) -> Vec<PathBuf> {
        let folder = home_of(&self.world).join("networks/world/contradictions");
        fs::read_dir(folder).map_or(Vec::new(), |files| files.map(|file| file.unwrap().path()).collect())
    }
    /// Whatever is kept is true.
    fn believes_no_lie(&self) {
        let Ok(kept) = fs::read(self.head_file()) else { return };
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        let block = self.ask("chain_header", json!({ "block": kept["height"] }));
        assert_eq!(kept["block"], block["view"]["hash"]);
        assert!(kept["validators"].is_null(), "{kept}");
    }
    /// A command that asks the liar alone ends with that exit code, that code and those words, and leaves nothing.
    fn refuses(&self, liar: &Liar, wallet: &str, args: &[&str], expected: (i64, &str), words: &str) {
        let told = liar.told();
        let error = self.world.error(wallet, &[&["--node", liar.url()], args].concat());
        assert!(liar.told() > told, "no lie was told: {args:?}: {error}");
        let found = (error["exit"].as_i64().unwrap(), error["code"].as_str().unwrap());
        assert_eq!(found, expected, "{args:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{words} is not in {error}");
        self.believes_no_lie();
        assert_eq!(self.contradictions(), Vec::<PathBuf>::new());
    }
    /// With an honest node beside the liar the command succeeds. Returns its answer and the warnings.
    fn succeeds(&self, liar: &Liar, wallet: &str, args: &[&str]) -> (Value, String) {
        let (told, passphrase, honest) = (liar.told(), self.world.path("passphrase"), self.honest());
        let nodes = ["--node", liar.url(), "--node", &honest, "--json"];
        let all = [&["-w", wallet, "--passphrase-file", &passphrase], &nodes[..], args].concat();
        let output = run("sealpost", home_of(&self.world), &all);
        let warnings = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {warnings}");
        assert!(liar.told() > told, "no lie was told: {args:?}");
        self.believes_no_lie();
        (serde_json::from_slice(&output.stdout).unwrap(), warnings)
    }
    /// And a warning names the liar.
    fn succeeds_with_warning(&self, liar: &Liar, wallet: &str, args: &[&str]) -> Value {
        let (answer, warnings) = self.succeeds(liar, wallet, args);
        let named = warnings.contains("sealpost/warning/1") && warnings.contains(liar.url());
        assert!(named, "{args:?}: {warnings}");
        answer
    }
    fn liar(&self, method: &'static str, lie: impl Fn(&Call<'_>) -> Answer + Send + Sync + 'static) -> Liar {
        Liar::before(&self.honest(), move |call| match call.method == method {
            true => lie(call),
            false => Answer::Truth,
        })
    }
}

const UNTRUSTED: (i64, &str) = (6, "node.untrusted");
const SEND: &[&str] = &["send", "bob", "-m", "x", "--dry-run"];

/// The honest answer with something else in it.
fn altered(call: &Call<'_>, alter: impl FnOnce(&mut Value)) -> Answer {
    let mut result = call.said.clone().expect("an answer that can be altered");
    alter(&mut result);
    Answer::Lie(result)
}

/// The text with the digit at a place changed.
fn flip(text: &mut Value, at: usize) {
    let mut digits = text.as_str().unwrap().as_bytes().to_vec();
    digits[at] = if digits[at] == b'0' { b'1' } else { b'0' };
    *text = String::from_utf8(digits).unwrap().into();
}

fn address_of(scene: &Scene, name: &str) -> String {
    scene.world.wallet(name, &["address"])["address"].as_str().unwrap().to_owned()
}

#[test]
fn the_keys_of_another_altered_keys_and_keys_of_before_are_refused() {
    let scene = Scene::new();
    let (alice, early) = (address_of(&scene, "alice"), scene.early);
    let of_another = scene.liar("directory_bundle", move |call| {
        Answer::Lie(call.honest("directory_bundle", json!({ "address": alice })))
    });
    let altered_key = scene.liar("directory_bundle", |call| {
        altered(call, |answer| {
            let middle = answer["record"].as_str().unwrap().len() / 2;
            flip(&mut answer["record"], middle);
        })
    });
    let newest_withheld = scene.liar("directory_bundle", move |call| {
        let asked = json!({ "address": call.params["address"], "at_height": early });
        Answer::Lie(call.honest("directory_bundle", asked))
    });
    let no_keys = scene.liar("directory_bundle", |call| {
        let asked = json!({ "address": call.params["address"], "at_height": 1 });
        Answer::Lie(call.honest("directory_bundle", asked))
    });
    let without_proof = scene.liar("directory_bundle", |call| {
        altered(call, |answer| {
            answer["record"] = Value::Null;
            answer["view"] = Value::Null;
        })
    });
    for (liar, words) in [
        (&of_another, "said about the keys of"),
        (&altered_key, "said about the keys of"),
        (&newest_withheld, "but it has shown block"),
        (&no_keys, "but it has shown block"),
        (&without_proof, "said about the keys of"),
    ] {
        scene.refuses(liar, "alice", SEND, UNTRUSTED, words);
        let sent = scene.succeeds_with_warning(liar, "alice", SEND);
        assert_eq!(sent["to"][0]["bundle"], 2, "{words}");
    }
    // A node that has shown blocks can't say that there is none.
    let none = json!({ "code": 2000, "message": "none", "data": { "code": "block.none" } });
    let nothing_yet = scene.liar("directory_bundle", move |_| Answer::Error(none.clone()));
    scene.refuses(&nothing_yet, "alice", SEND, (3, "node.behind"), "is behind");
    assert_eq!(scene.succeeds(&nothing_yet, "alice", SEND).0["to"][0]["bundle"], 2);
}

#[test]
fn forged_and_withheld_receipts_are_refused() {
    let scene = Scene::new();
    let (first, second, receipt, early) =
        (scene.first.clone(), scene.second.clone(), scene.receipt.clone(), scene.early);
    // For the second message, which nobody has answered, the receipt of the first one.
    let of_another = {
        let (second, receipt) = (second.clone(), receipt.clone());
        scene.liar("tx_receipts", move |_| {
            Answer::Lie(json!([{ "id": receipt, "message": second, "slot": 0, "answer": "opened" }]))
        })
    };
    // Nobody's at all.
    let not_there = {
        let (second, nothing) = (second.clone(), "77".repeat(32));
        scene.liar("tx_receipts", move |_| {
            Answer::Lie(json!([{ "id": nothing, "message": second, "slot": 0, "answer": "opened" }]))
        })
    };
    // A receipt that says something else than what was signed.
    let changed = {
        let receipt = receipt.clone();
        scene.liar("tx_get", move |call| match call.params["id"] == receipt {
            true => altered(call, |found| flip(&mut found["transaction"], 300)),
            false => Answer::Truth,
        })
    };
    // The silence of before.
    let withheld = Liar::before(&scene.honest(), move |call| match call.method {
        "tx_receipts" => Answer::Lie(json!([])),
        "proof_absence" => {
            let asked = json!({ "id": call.params["id"], "slot": 0, "at_height": early });
            Answer::Lie(call.honest("proof_absence", asked))
        }
        _ => Answer::Truth,
    });
    for (liar, id, words, answer) in [
        (&of_another, &second, "does not answer this slot", "silent"),
        (&not_there, &second, "the receipt is not on the ledger", "silent"),
        (&changed, &first, "said about transaction", "opened"),
        (&withheld, &first, "but it has shown block", "opened"),
    ] {
        scene.refuses(liar, "alice", &["status", id], UNTRUSTED, words);
        let status = scene.succeeds_with_warning(liar, "alice", &["status", id]);
        assert_eq!(status["slots"][0]["answer"], answer, "{words}");
    }
}

#[test]
fn evidence_that_leaves_an_answer_out_is_refused() {
    let scene = Scene::new();
    let (first, early) = (scene.first.clone(), scene.early);
    // True when the message was new: nobody had answered.
    let old = scene.liar("evidence_get", move |call| {
        Answer::Lie(call.honest("evidence_get", json!({ "id": call.params["id"], "until": early })))
    });
    let of_another = {
        let second = scene.second.clone();
        scene.liar("evidence_get", move |call| {
            Answer::Lie(call.honest("evidence_get", json!({ "id": second })))
        })
    };
    for (number, (liar, words)) in
        [(&old, "the silence of slot 0 up to block"), (&of_another, "about another message")]
            .into_iter()
            .enumerate()
    {
        let file = scene.world.path(&format!("{number}.json"));
        let args = ["evidence", "create", &first, "-o", &file];
        scene.refuses(liar, "alice", &args, UNTRUSTED, words);
        assert!(!Path::new(&file).exists());
        let made = scene.succeeds_with_warning(liar, "alice", &args);
        let facts = made["facts"].to_string();
        assert!(facts.contains("opened"), "{facts}");
    }
}

#[test]
fn a_range_with_proof_shows_every_message_and_no_omission_passes() {
    let scene = Scene::new();
    let ids = [scene.first.as_str(), scene.second.as_str()];
    let complete = scene.world.wallet("bob", &["inbox", "--complete"]);
    let found: Vec<_> = complete["messages"].as_array().unwrap().iter().map(|m| m["id"].as_str()).collect();
    assert_eq!(found, ids.map(Some));
    let (to, count) = (complete["to"].as_u64().unwrap(), complete["transactions"].as_u64().unwrap());
    assert!(count >= 6, "two messages, a receipt, three bundles: {complete}");
    let head = scene.ask("chain_header", json!({ "block": to }));
    assert_eq!(complete["block"], head["view"]["hash"]);
    let from = scene.early + 1;
    let rest = scene.world.wallet("bob", &["inbox", "--complete", "--from", &from.to_string()]);
    assert_eq!((rest["messages"].as_array().unwrap().len(), rest["from"].as_u64()), (1, Some(from)));

    // The plain list can be shortened, and nobody sees it. That is why the other one exists.
    let shortened = scene.liar("mailbox_list", |call| altered(call, |page| page["entries"] = json!([])));
    let inbox = scene.world.wallet("bob", &["--node", shortened.url(), "inbox"]);
    assert_eq!((inbox["messages"].as_array().unwrap().len(), shortened.told()), (0, 1));

    let blocks = |page: &mut Value| page["blocks"].as_array().unwrap().len();
    let at = move |block: &Value| !block["transactions"].as_array().unwrap().is_empty();
    let omitted = scene.liar("chain_transactions", move |call| {
        altered(call, |page| {
            let block = page["blocks"].as_array_mut().unwrap().iter_mut().rfind(|block| at(block)).unwrap();
            block["transactions"].as_array_mut().unwrap().pop();
        })
    });
    let exchanged = scene.liar("chain_transactions", move |call| {
        altered(call, |page| {
            let all = page["blocks"].as_array_mut().unwrap();
            let other = all.iter().find(|block| at(block)).unwrap()["transactions"][0].clone();
            all.iter_mut().rfind(|block| at(block)).unwrap()["transactions"][0] = other;
        })
    });
    let changed = scene.liar("chain_transactions", move |call| {
        altered(call, |page| {
            let block = page["blocks"].as_array_mut().unwrap().iter_mut().rfind(|block| at(block)).unwrap();
            flip(&mut block["transactions"][0], 300);
        })
    });
    // The header says that nothing was in the block: but it is another header then.
    let emptied = scene.liar("chain_transactions", move |call| {
        altered(call, |page| {
            let count = blocks(page);
            let block = &mut page["blocks"][count - 2];
            let mut header = Header::from_bytes(&hex(&block["header"])).unwrap();
            header.transaction_count = 0;
            header.tx_root = sealpost_ledger::block::transaction_root(&[]);
            block["header"] = const_hex::encode(encode(&header)).into();
            block["transactions"] = json!([]);
        })
    });
    let skipped = scene.liar("chain_transactions", move |call| {
        altered(call, |page| {
            let count = blocks(page);
            page["blocks"].as_array_mut().unwrap().remove(count - 2);
        })
    });
    // The end of the chain, up to which everything is shown, is not where it is said to be.
    let shorter = scene.liar("chain_transactions", move |call| {
        let from = call.params["from"].as_u64().unwrap();
        match from < to {
            true => {
                Answer::Lie(call.honest("chain_transactions", json!({ "from": from, "limit": to - from })))
            }
            false => Answer::Lie(json!({ "blocks": [], "certificate": "", "next": null })),
        }
    });
    let unsigned = scene.liar("chain_transactions", |call| {
        altered(call, |page| {
            let last = page["certificate"].as_str().unwrap().len() - 2;
            flip(&mut page["certificate"], last);
        })
    });
    for (liar, words) in [
        (&omitted, "transactions, and"),
        (&exchanged, "omitted, added or altered"),
        (&changed, "said about the transactions of the blocks from 1 on"),
        (&emptied, "is missing"),
        (&skipped, "is missing"),
        (&unsigned, "signature of validator 0"),
    ] {
        scene.refuses(liar, "bob", &["inbox", "--complete"], UNTRUSTED, words);
        let complete = scene.succeeds_with_warning(liar, "bob", &["inbox", "--complete"]);
        assert_eq!(complete["messages"].as_array().unwrap().len(), 2, "{words}");
    }
    // What was complete before the lie is told, with the way to go on after it: the two together miss nothing.
    scene.succeeds_with_warning(&shorter, "bob", &["inbox", "--complete"]);
    let passphrase = scene.world.path("passphrase");
    let flags = ["-w", "bob", "--passphrase-file", &passphrase, "--node", shorter.url(), "--json"];
    let stopped = run("sealpost", home_of(&scene.world), &[&flags[..], &["inbox", "--complete"]].concat());
    assert_eq!(stopped.status.code(), Some(6), "{stopped:?}");
    let error: Value = serde_json::from_slice(&stopped.stderr).unwrap();
    assert!(error["message"].as_str().unwrap().contains("is missing"), "{error}");
    let next = error["next"].as_u64().unwrap();
    assert!(next > 1 && error["help"].as_str().unwrap().contains(&format!("--from {next}")), "{error}");
    let begun: Value = serde_json::from_slice(&stopped.stdout).unwrap();
    let last = scene.ask("chain_header", json!({ "block": next - 1 }));
    assert_eq!((begun["to"].as_u64(), &begun["block"]), (Some(next - 1), &last["view"]["hash"]), "{begun}");
    let rest = scene.world.wallet("bob", &["inbox", "--complete", "--from", &next.to_string()]);
    let parts = [&begun, &rest].map(|part| part["messages"].as_array().unwrap().clone());
    assert!(!parts[0].is_empty(), "{begun}");
    let found: Vec<_> = parts.iter().flatten().map(|message| message["id"].as_str()).collect();
    assert_eq!(found, ids.map(Some));
}

fn hex(text: &Value) -> Vec<u8> {
    const_hex::decode(text.as_str().unwrap()).unwrap()
}

#[test]
fn old_heads_other_chains_and_wrong_headers_are_refused() {
    let scene = Scene::new();
    let early = scene.early;
    // Known from before: the newest head.
    scene.world.wallet("alice", &["status", &scene.second]);
    let stale = scene
        .liar("chain_head", move |call| Answer::Lie(call.honest("chain_header", json!({ "block": early }))));
    scene.refuses(&stale, "alice", &["inbox"], (3, "node.behind"), &format!("has reached block {early}"));
    // No lie that can be proven: it may have been away. The other node is asked.
    scene.succeeds(&stale, "alice", &["inbox"]);

    // Nothing is known from before: the other node shows that there is more.
    fs::remove_file(scene.head_file()).unwrap();
    let withheld = Liar::before(&scene.honest(), move |call| match call.method {
        "chain_head" => Answer::Lie(call.honest("chain_header", json!({ "block": early }))),
        "directory_bundle" => {
            let asked = json!({ "address": call.params["address"], "at_height": early });
            Answer::Lie(call.honest("directory_bundle", asked))
        }
        _ => Answer::Truth,
    });
    assert_eq!(scene.succeeds(&withheld, "alice", SEND).0["to"][0]["bundle"], 2);

    let wrong_chain =
        scene.liar("node_status", |call| altered(call, |status| status["chain"] = "ab".repeat(32).into()));
    scene.refuses(&wrong_chain, "alice", &["inbox"], (6, "node.other_chain"), "is on chain abab");
    scene.succeeds_with_warning(&wrong_chain, "alice", &["inbox"]);

    let other = tempfile::tempdir().unwrap();
    json("sealpost-node", other.path(), &["init", "--new-network", "other"]);
    let foreign = Server::node(other.path());
    let elsewhere = foreign.said("rpc");
    let args = ["network", "add", "--genesis", "node/genesis.json", "--node", &elsewhere];
    let genesis = other.path().join("node/genesis.json");
    let args = args.map(|arg| if arg == "node/genesis.json" { genesis.to_str().unwrap() } else { arg });
    json("sealpost", other.path(), &args);
    fs::write(other.path().join("passphrase"), "correct horse\n").unwrap();
    make_private(&other.path().join("passphrase"));
    let passphrase = other.path().join("passphrase").to_str().unwrap().to_owned();
    let words = other.path().join("words").to_str().unwrap().to_owned();
    let carol = ["--passphrase-file", &passphrase, "new", "carol", "--mnemonic-out", &words];
    json("sealpost", other.path(), &carol);
    json("sealpost", other.path(), &["--passphrase-file", &passphrase, "keys", "publish"]);
    let foreign_head =
        scene.liar("chain_head", move |_| Answer::Lie(ask(&elsewhere, "chain_head", json!({})).unwrap()));
    scene.refuses(&foreign_head, "alice", &["inbox"], UNTRUSTED, "of another chain");
    scene.succeeds_with_warning(&foreign_head, "alice", &["inbox"]);

    // The one validator's signature is the quorum; without it the certificate is one short.
    let unsigned = scene.liar("chain_head", |call| {
        altered(call, |head| {
            let mut certificate = CommitCertificate::from_bytes(&hex(&head["certificate"])).unwrap();
            certificate.signatures.pop();
            head["certificate"] = const_hex::encode(certificate.to_bytes()).into();
        })
    });
    scene.refuses(&unsigned, "alice", &["inbox"], UNTRUSTED, "validators with power 0 of 1 signed");
    scene.succeeds_with_warning(&unsigned, "alice", &["inbox"]);
    let time_changed = scene.liar("chain_head", |call| {
        altered(call, |head| {
            let mut header = Header::from_bytes(&hex(&head["header"])).unwrap();
            header.time_ms += 1;
            head["header"] = const_hex::encode(encode(&header)).into();
        })
    });
    scene.refuses(&time_changed, "alice", &["inbox"], UNTRUSTED, "the certificate is for block");
    let wrong_height = scene.liar("chain_header", move |call| {
        let other = call.params["block"].as_u64().unwrap() - 1;
        Answer::Lie(call.honest("chain_header", json!({ "block": other })))
    });
    scene.refuses(&wrong_height, "alice", &["status", &scene.first], UNTRUSTED, "it is block");
    scene.succeeds_with_warning(&wrong_height, "alice", &["status", &scene.first]);
}

fn make_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn altered_bodies_answers_to_other_questions_and_prices_out_of_reach_are_refused() {
    let scene = Scene::new();
    let (first, second) = (scene.first.clone(), scene.second.clone());
    let body = scene.liar("tx_body", |call| altered(call, |body| flip(body, 40)));
    scene.refuses(&body, "bob", &["read", &first], UNTRUSTED, "it has another hash");
    assert_eq!(scene.succeeds_with_warning(&body, "bob", &["read", &first])["text"], "one");

    let other = scene.liar("tx_get", move |call| Answer::Lie(call.honest("tx_get", json!({ "id": second }))));
    scene.refuses(&other, "bob", &["read", &first], UNTRUSTED, "it is another transaction");
    assert_eq!(scene.succeeds_with_warning(&other, "bob", &["read", &first])["text"], "one");
    let misplaced = scene.liar("tx_get", |call| {
        altered(call, |found| {
            let height = found["place"]["height"].as_u64().unwrap();
            found["place"]["height"] = (height - 1).into();
        })
    });
    scene.refuses(&misplaced, "bob", &["read", &first], UNTRUSTED, "said about transaction");
    let another_answer = scene.liar("tx_get", |_| Answer::OtherQuestion);
    scene.refuses(&another_answer, "bob", &["read", &first], (3, "node.unreachable"), "987654321");

    // Called final, and not shown.
    let unknown = json!({ "code": 2000, "message": "unknown", "data": { "code": "tx.unknown" } });
    let not_final = scene.liar("tx_get", move |_| Answer::Error(unknown.clone()));
    let send = ["send", "bob", "-m", "x"];
    scene.refuses(&not_final, "alice", &send, UNTRUSTED, "it calls it final, and shows no such transaction");
    assert_eq!(scene.succeeds(&not_final, "alice", &send).0["status"], "final");

    // Grinding for a price that the head does not name would take hours, and do nothing.
    let dear = scene.liar("postage_price", |call| {
        altered(call, |quote| {
            quote["price"] = (1_u64 << 50).into();
            quote["price_after"] = (1_u64 << 50).into();
        })
    });
    scene.refuses(&dear, "alice", SEND, UNTRUSTED, "hashes per KiB; after block");
    scene.succeeds_with_warning(&dear, "alice", SEND);
    // A price that is true, but more than was accepted: not the node's fault.
    let limited = scene.world.error("alice", &[&["--max-postage", "1"], SEND].concat());
    assert_eq!((limited["code"].as_str(), limited["exit"].as_u64()), (Some("postage.too_high"), Some(5)));
    assert!(limited["help"].as_str().unwrap().contains("--max-postage"), "{limited}");
    assert_eq!(limited["limit"], 1);
}

#[test]
fn nodes_that_do_not_answer_or_never_end_cost_a_bounded_time() {
    let scene = Scene::new();
    for (answer, words) in
        [(Answer::Silence, "no answer within 2 s"), (Answer::Endless, "longer than 33554432 bytes")]
    {
        let liar = scene.liar("chain_head", move |_| answer.clone());
        let args = ["--timeout", if words.starts_with("no answer") { "2s" } else { "60s" }, "inbox"];
        scene.refuses(&liar, "bob", &args, (3, "node.unreachable"), words);
        let found = scene.succeeds(&liar, "bob", &args).0;
        assert_eq!(found["messages"].as_array().unwrap().len(), 2);
    }
    // None answers: that is said of one that might have.
    let error =
        scene.world.error("bob", &["--node", "http://127.0.0.1:1", "--node", "http://127.0.0.1:2", "inbox"]);
    assert_eq!((error["code"].as_str(), error["exit"].as_u64()), (Some("node.unreachable"), Some(3)));
}

#[test]
fn several_nodes_are_saved_and_one_that_is_away_costs_a_warning() {
    let scene = Scene::new();
    let (home, honest) = (home_of(&scene.world), scene.honest());
    let genesis = scene.world.path("node/genesis.json");
    let away = "http://127.0.0.1:1";
    let add = ["network", "add", "--genesis", &genesis, "--node", away, "--node", &honest];
    let output = run("sealpost", home, &add);
    assert!(output.status.success(), "{output:?}");
    let shown = json("sealpost", home, &["network", "show"]);
    assert_eq!((&shown["node"], &shown["nodes"]), (&json!(away), &json!([away, honest])));
    // Saved, given by the environment, given by the settings.
    let settings = home.join("two.toml");
    fs::write(&settings, format!("node = [{away:?}, {honest:?}]\n")).unwrap();
    let passphrase = scene.world.path("passphrase");
    let bob = ["-w", "bob", "--passphrase-file", &passphrase];
    for extra in [&[][..], &["--config", settings.to_str().unwrap()]] {
        let output = run("sealpost", home, &[&bob[..], extra, &["-v", "inbox"]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.contains("1 of 2 nodes agree"), "{said}");
        assert!(said.contains(&format!("the node at {away} can't be asked")), "{said}");
    }
    let warned = run("sealpost", home, &[&bob[..], &["inbox"]].concat());
    let said = String::from_utf8(warned.stderr).unwrap();
    assert!(warned.status.success() && said.matches("is not compared").count() == 1, "{said}");
    let doctor = json("sealpost", home, &[&bob[..], &["doctor"]].concat());
    let nodes = doctor["checks"].as_array().unwrap().iter().filter(|check| check["name"] == "node");
    assert_eq!(nodes.map(|check| &check["state"]).collect::<Vec<_>>(), ["ok", "warn"]);
}

#[test]
fn an_old_view_is_warned_about_and_named_in_every_answer() {
    let scene = Scene::new();
    let passphrase = scene.world.path("passphrase");
    let warned = |args: &[&str]| {
        let all = [&["-w", "alice", "--passphrase-file", &passphrase, "--json"], args].concat();
        let output = run("sealpost", home_of(&scene.world), &all);
        assert!(output.status.success(), "{output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        (answer, String::from_utf8(output.stderr).unwrap())
    };
    let (answer, warnings) = warned(&["inbox"]);
    assert!(answer["old_view"].is_null() && warnings.is_empty(), "{answer} {warnings}");
    let (answer, warnings) = warned(&[&["--max-age", "1ms"], SEND].concat());
    assert_eq!(answer["old_view"]["max_age_seconds"], 0, "{answer}");
    assert!(answer["old_view"]["height"].as_u64() >= Some(scene.early), "{answer}");
    assert!(
        warnings.contains("Newer blocks may be withheld") && warnings.contains("superseded"),
        "{warnings}"
    );
    let (_, warnings) = warned(&["--max-age", "1ms", "inbox"]);
    assert!(!warnings.contains("superseded"), "{warnings}");
}

// -- Contradictions: the node holds the validator's key ------------------------------------------------------

/// The key of the network's one validator.
fn validator(scene: &Scene) -> SigningKey {
    let text = fs::read_to_string(home_of(&scene.world).join("node/validator.key")).unwrap();
    SigningKey::from_bytes(&const_hex::decode_to_array(text.trim()).unwrap()).unwrap()
}

/// A header signed by the validator, as the RPC tells it.
fn sealed(header: &Header, key: &SigningKey, view: &Value) -> Value {
    let (height, block) = (header.height, header.hash());
    let digest = vote_digest(&header.chain, VoteKind::Precommit, height, 0, Some(&block));
    let signature = CommitSignature { validator: 0, signature: key.sign(&digest, &[0; 32]).unwrap() };
    let certificate = CommitCertificate { height, round: 0, block, signatures: vec![signature] };
    let mut view = view.clone();
    (view["height"], view["hash"]) = (height.get().into(), block.to_string().into());
    json!({
        "header": const_hex::encode(encode(header)),
        "certificate": const_hex::encode(certificate.to_bytes()),
        "view": view,
    })
}

/// Checks a kept proof as a stranger, with the genesis alone; and that an altered one proves nothing.
fn check_proof(scene: &Scene, file: &Path) -> Value {
    let genesis = scene.world.path("node/genesis.json");
    let stranger = tempfile::tempdir().unwrap();
    let verify =
        |file: &str| ["--genesis", &genesis, "network", "contradictions", "verify", file].map(str::to_owned);
    let verified = verify(file.to_str().unwrap());
    let verified: Vec<_> = verified.iter().map(String::as_str).collect();
    let shown = json("sealpost", stranger.path(), &verified);
    let text = fs::read_to_string(file).unwrap();
    let altered = stranger.path().join("altered.json");
    for (alter, exit) in
        [("\"header\": \"", 1), ("\"certificate\": \"", 1), ("\"chain\": \"", 1), ("\"format\": \"", 2)]
    {
        let at = text.find(alter).unwrap() + alter.len() + 30.min(alter.len());
        let digit = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
        fs::write(&altered, format!("{}{digit}{}", &text[..at], &text[at + 1..])).unwrap();
        let args = verify(altered.to_str().unwrap());
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        assert_eq!(run("sealpost", stranger.path(), &args).status.code(), Some(exit), "{alter}");
    }
    shown
}

#[test]
fn two_signed_blocks_of_one_height_are_proof_and_the_proof_is_kept() {
    let scene = Scene::new();
    let key = validator(&scene);
    scene.world.wallet("alice", &["inbox"]);
    let kept: Value = serde_json::from_slice(&fs::read(scene.head_file()).unwrap()).unwrap();
    let head = scene.ask("chain_header", json!({ "block": kept["height"] }));
    let mut header = Header::from_bytes(&hex(&head["header"])).unwrap();
    header.time_ms += 1;
    let forged = sealed(&header, &key, &head["view"]);
    let liar = scene.liar("chain_head", move |_| Answer::Lie(forged.clone()));
    // The honest head stands in the file of heads, or is shown by the other node, which may have got on meanwhile.
    let mut files = Vec::new();
    for nodes in [vec![liar.url().to_owned()], vec![liar.url().to_owned(), scene.honest()]] {
        let before = fs::read(scene.head_file()).unwrap_or_default();
        let nodes: Vec<_> = nodes.iter().flat_map(|url| ["--node", url]).collect();
        let error = scene.world.error("alice", &[&nodes[..], &["inbox"]].concat());
        assert_eq!(
            (error["code"].as_str(), error["exit"].as_u64()),
            (Some("network.contradiction"), Some(6))
        );
        assert!(error["message"].as_str().unwrap().contains("contradicts itself"), "{error}");
        let file = PathBuf::from(error["file"].as_str().unwrap());
        assert!(error["message"].as_str().unwrap().contains(file.to_str().unwrap()), "{error}");
        let shown = check_proof(&scene, &file);
        assert_eq!(shown["heights"][0], header.height.get());
        let same_height = shown["heights"][0] == shown["heights"][1];
        assert!(same_height || files.len() == 1, "{shown}");
        assert_eq!(shown["signed_both"].as_array().unwrap().len(), usize::from(same_height));
        // Nothing of it is believed.
        assert_eq!(fs::read(scene.head_file()).unwrap_or_default(), before);
        files.push((file.clone(), fs::read(&file).unwrap()));
        let _none_the_second_time = fs::remove_file(scene.head_file());
    }
    for (file, bytes) in &files {
        assert_eq!(&fs::read(file).unwrap(), bytes, "{} was written over", file.display());
    }
    let listed = json("sealpost", home_of(&scene.world), &["network", "contradictions"]);
    assert_eq!(listed["contradictions"].as_array().unwrap().len(), scene.contradictions().len());
    assert!(listed["contradictions"][0]["valid"].as_bool().unwrap(), "{listed}");
    scene.world.wallet("alice", &["inbox"]);
}

#[test]
fn a_signed_history_without_a_block_that_was_final_is_proof() {
    let scene = Scene::new();
    let key = validator(&scene);
    scene.world.wallet("alice", &["inbox"]);
    let kept: Value = serde_json::from_slice(&fs::read(scene.head_file()).unwrap()).unwrap();
    let known = kept["height"].as_u64().unwrap();
    let all = scene.ask("chain_headers", json!({ "from": 1, "limit": known }));
    let headers =
        all.as_array().unwrap().iter().map(|sealed| Header::from_bytes(&hex(&sealed["header"])).unwrap());
    let headers: Vec<_> = headers.collect();
    let (mut replaced, view) = (headers.last().unwrap().clone(), all[0]["view"].clone());
    replaced.time_ms += 1;
    let mut leaves: Vec<_> = headers.iter().map(|header| history_leaf(&header.hash())).collect();
    *leaves.last_mut().unwrap() = history_leaf(&replaced.hash());
    let mut head = replaced.clone();
    head.height = BlockHeight::new(known + 1);
    head.parent = replaced.hash();
    head.history_root = HistoryRoot::from_bytes(merkle::root(&leaves));
    let path = merkle::path(&leaves, leaves.len() - 1).unwrap();
    let path: Vec<_> = path.iter().map(const_hex::encode).collect();
    let block = BlockHash::to_string(&replaced.hash());
    let (replaced, head) = (sealed(&replaced, &key, &view), sealed(&head, &key, &view));
    let liar = Liar::before(&scene.honest(), move |call| match call.method {
        "chain_head" => Answer::Lie(head.clone()),
        "proof_history" => Answer::Lie(json!({ "block": replaced, "head": head, "path": path })),
        _ => Answer::Truth,
    });
    let error = scene.world.error("alice", &["--node", liar.url(), "inbox"]);
    assert_eq!((error["code"].as_str(), error["exit"].as_u64()), (Some("network.contradiction"), Some(6)));
    let file = PathBuf::from(error["file"].as_str().unwrap());
    let shown = check_proof(&scene, &file);
    assert_eq!(shown["heights"], json!([known, known + 1]));
    assert!(fs::read_to_string(&file).unwrap().contains(&block));
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(scene.head_file()).unwrap()).unwrap(), kept);

    // The same lie with a path that leads nowhere proves nothing but that this node is not to be relied on.
    let liar = scene.liar("proof_history", |call| altered(call, |proof| proof["path"] = json!([])));
    scene.world.wallet("alice", &["send", "bob", "-m", "so that there is a later head"]);
    let mut early = kept.clone();
    early["shown"] = Value::Null;
    fs::write(scene.head_file(), serde_json::to_vec(&early).unwrap()).unwrap();
    let error = scene.world.error("alice", &["--node", liar.url(), "inbox"]);
    assert_eq!((error["code"].as_str(), liar.told()), (Some("node.untrusted"), 1), "{error}");
}
