//! The explorer's pages over a real node: each answers with its facts, says plainly what is not there, and
//! never turns what somebody else wrote into markup.

use crate::world::{World, home_of};
use sealpost_ledger::certificate::{VoteKind, vote_digest};
use sealpost_ledger::equivocation::{Equivocation, SignedVote};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::SigningKey;
use sealpost_tests::harness::liar::{Answer, Liar, ask};
use sealpost_tests::harness::load::{Message, Messages};
use sealpost_tests::{LONGEST_SILENCE, Server, get, json as json_of, run};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A world with an explorer.
struct Site {
    world: World,
    explorer: Server,
    url: String,
}

impl Site {
    fn new() -> Self {
        let world = World::new();
        let node = world.node.said("rpc");
        let args = ["serve", "--node", &node, "--listen", "127.0.0.1:0"];
        let log = world.dir.path().join("explorer.log");
        let explorer = Server::start("sealpost-explorer", home_of(&world), &args, &log);
        let url = explorer.said("explorer");
        Self { world, explorer, url }
    }
    /// A page that must answer with a status, and be well-formed, strict and free of other places.
    fn page(&self, path: &str, status: u16) -> String {
        let (head, body) = get(&format!("{}{path}", self.url));
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}\n{body}");
        check_head(path, &head);
        if head.to_lowercase().contains("text/html") {
            check_page(path, &body);
        }
        body
    }
    fn address(&self, name: &str) -> String {
        self.world.wallet(name, &["address"])["address"].as_str().unwrap().to_owned()
    }
    fn send(&self, args: &[&str]) -> String {
        let sent = self.world.wallet("alice", &[&["send", "bob"], args].concat());
        sent["id"].as_str().unwrap().to_owned()
    }
}

fn check_head(path: &str, head: &str) {
    let head = head.to_lowercase();
    let policy = head.lines().find(|line| line.starts_with("content-security-policy:")).unwrap_or_default();
    for part in
        ["default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{path}: {part} is missing in {policy}");
    }
    assert!(!policy.contains("unsafe-") && !policy.contains("http"), "{path}: {policy}");
    for header in ["referrer-policy: no-referrer", "x-content-type-options: nosniff", "cache-control: "] {
        assert!(head.contains(header), "{path}: {header} is missing in {head}");
    }
}

/// What holds for every page: one first heading, tables with captions and scopes, nothing inline, nothing
/// from elsewhere, and every element closed where it should be.
fn check_page(path: &str, body: &str) {
    assert_eq!(body.matches("<h1").count(), 1, "{path}");
    assert!(body.contains("class=\"skip\"") && body.contains("<html lang=\"en\">"), "{path}");
    assert_eq!(body.matches("<table").count(), body.matches("<caption>").count(), "{path}");
    assert_eq!(body.matches("<th ").count(), body.matches("scope=\"").count(), "{path}");
    for foreign in ["http://", "https://", "//cdn", "javascript:"] {
        assert!(!body.contains(foreign), "{path} has {foreign}");
    }
    for script in body.split("<script").skip(1) {
        assert!(
            script.starts_with(" type=\"module\" src=\"/assets/") && script.contains("\"></script>"),
            "{path}"
        );
    }
    check_nesting(path, body);
    check_ids(path, body);
}

/// Elements without a content of their own.
const VOID: [&str; 6] = ["meta", "link", "input", "br", "line", "path"];

/// Every element that is opened is closed, in order.
fn check_nesting(path: &str, body: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in body.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("{path}: unfinished: {part}"));
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        let inline = |attribute: &str| attribute == "style" || attribute.starts_with("on");
        let attributes = tag.split('=').filter_map(|before| before.rsplit([' ', '"']).next());
        assert!(!attributes.clone().any(inline), "{path}: something inline in <{tag}>");
        if tag.starts_with('!') || VOID.contains(&name) || tag.ends_with('/') {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{path}: closed out of order");
        } else {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{path}: never closed: {open:?}");
}

/// No id twice, and every label and reference leads to one.
fn check_ids(path: &str, body: &str) {
    let values = |attribute: &str| -> Vec<String> {
        let with = format!(" {attribute}=\"");
        body.split(with.as_str()).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let mut ids = values("id");
    ids.sort();
    let unique = ids.windows(2).all(|pair| pair[0] != pair[1]);
    assert!(unique, "{path}: an id stands twice: {ids:?}");
    for reference in values("for").iter().chain(&values("aria-labelledby")).flat_map(|ids| ids.split(' ')) {
        assert!(ids.iter().any(|id| id == reference), "{path}: {reference} is referred to and missing");
    }
}

fn assert_all(path: &str, page: &str, words: &[&str]) {
    for words in words {
        assert!(page.contains(words), "{path}: {words} is missing in {page}");
    }
}

#[test]
fn each_page_answers_with_its_facts() {
    let site = Site::new();
    let (alice, bob) = (site.address("alice"), site.address("bob"));
    let answered = site.send(&["-m", "one"]);
    site.world.wallet("bob", &["receipt", "give", &answered]);
    let silent = site.send(&["-m", "two"]);
    let receipt = site.world.wallet("alice", &["status", &answered]);
    assert_eq!(receipt["slots"][0]["answer"], "opened");

    let home = site.page("/", 200);
    let facts = [
        "Network world",
        "Finality",
        "1 of 1 signed the last block",
        &answered,
        &silent,
        "<svg",
        "Receipts returned",
    ];
    assert_all("/", &home, &facts);
    for range in [50, 200, 500] {
        let page = site.page(&format!("/?blocks={range}"), 200);
        assert!(page.contains(&format!("?blocks={range}#numbers\" aria-current=\"true\"")), "{page}");
    }
    assert_all("/blocks", &site.page("/blocks", 200), &["/block/1\"", "Signatures"]);

    // The message that was answered, and the one that was not.
    let page = site.page(&format!("/message/{answered}"), 200);
    let facts = [
        "Signed by the sender",
        "First seen here",
        "Committed by 1 of 1 validators",
        "Nobody can know",
        "Opened by",
        "Still in the history under today",
        "Encrypted body kept",
        "It does not show",
        "2: ECIES on secp256k1 and ML-KEM-768",
        "ML-KEM-768 1088 bytes",
        "The newest key bundle of each",
        &format!("/message/{answered}/check"),
        &format!("/message/{answered}/evidence.html"),
    ];
    assert_all("message", &page, &facts);
    let page = site.page(&format!("/message/{silent}"), 200);
    assert_all("message", &page, &["No answer of", "Silence for", "proof of absence"]);

    // Its body, in pieces and whole.
    let page = site.page(&format!("/message/{silent}?hex=0"), 200);
    assert_all("hex", &page, &["<details open>", "000000", "Offset and bytes"]);
    site.page(&format!("/message/{silent}?hex=100000000"), 404);
    let head = raw(&site.url, &format!("/message/{silent}/body"));
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("immutable"), "{head}");

    // Its block, the tree over it, its receipt.
    let place = page_between(&site.page(&format!("/message/{silent}"), 200), "/tree?leaf=", "\"");
    let block = page_between(&site.page(&format!("/message/{silent}"), 200), "\"/block/", "\"");
    let path = format!("/block/{block}");
    let facts = [
        "transactions root",
        "Who made it final",
        "None is left out",
        "In the history",
        &silent,
        "history root",
    ];
    let page = site.page(&path, 200);
    assert_all(&path, &page, &facts);
    let hash = page_between(&page, "<code class=\"whole\">", "<");
    assert_eq!(site.page(&format!("/block/{hash}"), 200).contains(&silent), page.contains(&silent));
    let path = format!("/block/{block}/tree?leaf={place}");
    assert_all(
        &path,
        &site.page(&path, 200),
        &["role=\"img\"", "The same way, from the leaf upwards", &silent],
    );
    site.page(&format!("/block/{block}/tree?leaf=99"), 404);

    // People.
    let page = site.page(&format!("/address/{bob}"), 200);
    let facts =
        [&answered, &silent, "1 of 2 slots answered (50 %)", "Number 1", "opened after", "Membership"];
    assert_all("bob", &page, &facts);
    // The feed that it names, for readers of feeds and for people.
    let feed = format!("/api/v1/addresses/{bob}/feed.atom");
    assert_eq!(page.matches(&format!("href=\"{feed}\"")).count(), 2, "{page}");
    assert!(site.page(&feed, 200).contains(&answered));
    let page = site.page(&format!("/address/{bob}?answer=silent"), 200);
    assert!(page.contains(&silent) && !section(&page, "received").contains(&answered), "{page}");
    let page = site.page(&format!("/address/{alice}?kind=key_bundle"), 200);
    assert!(!section(&page, "sent").contains(&silent) && page.contains("key bundle"), "{page}");
    let page = site.page(&format!("/address/{alice}?class=heating"), 200);
    assert_all("class", &page, &["heating", "it never named another address"]);

    // The network.
    let page = site.page("/validators", 200);
    let key = page_between(&page, "/validator/", "\"");
    assert_all("/validators", &page, &["1 in office, with power 1 together", "Put together"]);
    let page = site.page(&format!("/validator/{key}"), 200);
    assert_all("/validator", &page, &["decides the next block", "Its last blocks", "<svg"]);
    assert_all(
        "/network",
        &site.page("/network", 200),
        &["Changes of the validators", "Expiry window", "seal"],
    );
    let page = site.page("/postage?bytes=5000", 200);
    assert_all("/postage", &page, &["(your size)", "How the price moved", "Expected hashes"]);
    for (path, words) in [("/glossary", "Merkle tree"), ("/about", "What it can't know")] {
        assert_all(path, &site.page(path, 200), &[words]);
    }
    drop(site.explorer);
}

/// Sends a message that no wallet made, and waits until it is final.
fn submit(node: &str, message: &Message) {
    let params = json!({ "transaction": message.transaction, "body": message.body, "wait": "final" });
    let submitted = ask(node, "tx_submit", params);
    assert!(submitted.is_ok(), "{submitted:?}");
}

fn genesis_of(world: &World) -> Genesis {
    Genesis::parse(&fs::read(world.path("node/genesis.json")).unwrap()).unwrap()
}

/// A page asks the node about the slots it shows, and says of how many they are.
#[test]
fn a_message_to_many_is_shown_in_pieces_and_each_costs_a_bounded_number_of_questions() {
    const RECIPIENTS: u8 = 60;
    let world = World::with_genesis(|genesis| {
        // No block comes meanwhile: what a page asks stays the same.
        genesis["timing"]["heartbeat_ms"] = 3_600_000.into();
    });
    let node = world.node.said("rpc");
    let message = Messages::to_many(genesis_of(&world), RECIPIENTS).make(BlockHeight::new(1000));
    submit(&node, &message);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let counting = Liar::before(&node, move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Answer::Truth
    });
    let args = ["serve", "--node", counting.url(), "--listen", "127.0.0.1:0"];
    let log = world.dir.path().join("explorer.log");
    let explorer = Server::start("sealpost-explorer", home_of(&world), &args, &log);
    let path = format!("/message/{}", message.id);
    let page = |query: &str| get(&format!("{}{path}{query}", explorer.said("explorer")));
    for (query, shown, answers, links) in [
        ("", "slots 0 to 24", 25, vec!["?from=25#"]),
        ("?from=25", "slots 25 to 49", 25, vec!["?from=0#", "?from=50#"]),
        ("?from=50", "slots 50 to 59", 10, vec!["?from=25#"]),
    ] {
        asked.store(0, Ordering::Relaxed);
        let (head, page) = page(query);
        assert!(head.starts_with("HTTP/1.1 200"), "{query}: {head}\n{page}");
        check_page(query, &page);
        assert_all(query, &page, &[&format!("{shown}, counted from 0, of 60"), "receipts for 0 of all 60"]);
        assert_eq!(page.matches("No answer of").count(), answers, "{query}: {page}");
        let to: Vec<_> =
            ["?from=0#", "?from=25#", "?from=50#"].into_iter().filter(|to| page.contains(to)).collect();
        assert_eq!(to, links, "{query}");
        // One question for each slot shown, 8 for keys, and those for the message, its block and history.
        let asked = asked.load(Ordering::Relaxed);
        assert!(asked <= answers + 20, "{query}: {asked} questions");
    }
    for (query, status) in [("?from=60", 404), ("?from=4294967295", 404), ("?from=x", 400), ("?from=-1", 400)]
    {
        let (head, body) = page(query);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{query}: {head}\n{body}");
    }
}

#[test]
fn search_leads_to_what_is_meant() {
    let site = Site::new();
    let bob = site.address("bob");
    let id = site.send(&["-m", "one"]);
    let leads = |wanted: &str, to: &str| {
        let (head, page) = get(&format!("{}/search?q={wanted}", site.url));
        assert!(head.contains(&format!("location: {to}")), "{wanted}: {head} {page}");
    };
    leads("1", "/block/1");
    leads(&id, &format!("/tx/{id}"));
    leads(&id[..12], &format!("/tx/{id}"));
    leads(&id[..12].to_uppercase(), &format!("/tx/{id}"));
    leads(&bob, &format!("/address/{bob}"));
    leads(&format!("sealpost:{bob}%3Fname=Bob"), &format!("/address/{bob}"));
    leads(&format!("%7B%22address%22:%22{}%22%7D", bob.to_uppercase()), &format!("/address/{bob}"));
    let block = site.page("/block/1", 200);
    let hash = page_between(&block, "<code class=\"whole\">", "<");
    leads(&hash, &format!("/block/{hash}"));
    let key = page_between(&site.page("/validators", 200), "/validator/", "\"");
    leads(&key, &format!("/validator/{key}"));
    assert!(site.page("/search?q=00000000000000000000", 404).contains("whole id"));
    site.page("/search?q=", 400);
    site.page(&format!("/search?q={}", "a".repeat(9000)), 400);
}

#[test]
fn a_beginning_that_several_have_leads_to_a_list_of_them() {
    let site = Site::new();
    let alike = Messages::new(genesis_of(&site.world)).alike(BlockHeight::new(1000));
    for message in &alike {
        submit(&site.world.node.said("rpc"), message);
    }
    let [one, other] = alike.map(|message| message.id.to_string());
    let path = format!("/search?q={}", &one[..4]);
    let page = site.page(&path, 200);
    let links = [one, other].map(|id| format!("<a href=\"/tx/{id}\">"));
    assert_all(&path, &page, &["What begins with", " found", &links[0], &links[1]]);
}

#[test]
fn what_is_not_there_and_what_makes_no_sense_is_said_plainly() {
    let site = Site::new();
    let nobody = "00".repeat(32);
    let id = site.send(&["-m", "one"]);
    let unknown = [
        format!("/message/{nobody}"),
        format!("/tx/{nobody}"),
        format!("/message/{nobody}/body"),
        format!("/message/{nobody}/evidence"),
        format!("/block/{nobody}"),
        format!("/validator/{nobody}"),
        "/block/99999999".into(),
        "/block/99999999/tree".into(),
        "/nowhere".into(),
        format!("/message/{}", &id[..8]),
    ];
    for path in &unknown {
        site.page(path, 404);
    }
    let alice = site.address("alice");
    let malformed = [
        "/block/one".to_owned(),
        "/block/-1".into(),
        "/block/1?from=x".into(),
        "/block/1/tree?leaf=x".into(),
        "/message/zz".into(),
        "/tx/zz".into(),
        "/address/nobody".into(),
        format!("/address/{alice}?answer=loud"),
        format!("/address/{alice}?kind=x"),
        format!("/address/{alice}?received=x"),
        format!("/address/{alice}?class=%20"),
        "/blocks?before=x".into(),
        "/validators?after=x".into(),
        "/validator/x".into(),
        "/network?after=x".into(),
        "/postage?bytes=0".into(),
        "/postage?bytes=9999999999999999999999".into(),
        "/?blocks=51".into(),
    ];
    for path in &malformed {
        site.page(path, 400);
    }
}

#[test]
fn hostile_words_never_become_markup() {
    let site = Site::new();
    let evil = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%20onload%3D%22x";
    let alice = site.address("alice");
    let paths = [
        format!("/search?q={evil}"),
        format!("/search?q=%E2%80%AE{evil}"),
        format!("/message/{evil}"),
        format!("/tx/{evil}"),
        format!("/address/{evil}"),
        format!("/block/{evil}"),
        format!("/validator/{evil}"),
        format!("/postage?bytes={evil}"),
        format!("/address/{alice}?answer={evil}"),
        format!("/address/{alice}?class={evil}"),
        format!("/address/{alice}?received={evil}"),
        format!("/?blocks={evil}"),
    ];
    for path in &paths {
        // Each is refused, as a page that holds what every page holds: no script but ours, nothing inline.
        let page = site.page(path, 400);
        assert!(!page.contains("alert(1)</") && !page.contains("\" onload"), "{path}: {page}");
        assert!(!page.contains('\u{202e}'), "{path}: a mark that turns the writing is obeyed");
    }
    // A network whose own name is hostile.
    let world =
        World::with_genesis(|genesis| genesis["validators"][0]["name"] = "<b>\u{202e}evil</b>".into());
    let node = world.node.said("rpc");
    let args = ["serve", "--node", &node, "--listen", "127.0.0.1:0"];
    let log = world.dir.path().join("explorer.log");
    let explorer = Server::start("sealpost-explorer", home_of(&world), &args, &log);
    for path in ["/", "/validators", "/block/1", "/network"] {
        let (_, page) = get(&format!("{}{path}", explorer.said("explorer")));
        assert!(!page.contains("<b>") && !page.contains('\u{202e}'), "{path}: {page}");
        check_page(path, &page);
    }
}

/// How the answer to one method is changed before the explorer sees it.
type Change = fn(&mut Value);

#[test]
fn no_lie_of_a_node_is_shown() {
    let site = Site::new();
    let (alice, bob) = (site.address("alice"), site.address("bob"));
    let silent = site.send(&["-m", "one"]);
    let answered = site.send(&["-m", "two"]);
    site.world.wallet("bob", &["receipt", "give", &answered]);
    let message = format!("/message/{answered}");
    let block = format!("/block/{}", page_between(&site.page(&message, 200), "\"/block/", "\""));
    let tree = format!("{block}/tree");
    let body = format!("{message}/body");
    let (alice, bob) = (format!("/address/{alice}"), format!("/address/{bob}"));
    let waiting = format!("/message/{silent}");
    let checked = format!("{message}/check");
    let file = format!("{message}/evidence");
    let lies: [(&str, &str, Change); 16] = [
        (&checked, "evidence_get", |said| of_another_text(said)),
        (&file, "evidence_get", |said| of_another_text(said)),
        ("/validators", "chain_validators", |said| said["height"] = 1.into()),
        (&block, "chain_transactions", |said| said["blocks"][0]["transactions"] = json!([])),
        (&tree, "chain_transactions", |said| {
            let first = said["blocks"][0]["transactions"][0].clone();
            said["blocks"][0]["transactions"].as_array_mut().unwrap().push(first);
        }),
        ("/", "chain_transactions", |said| said["certificate"] = "00".into()),
        (&block, "chain_header", |said| said["view"]["height"] = 1.into()),
        (&block, "proof_history", |said| said["path"].as_array_mut().unwrap().push("00".repeat(32).into())),
        (&message, "tx_get", |said| said["place"]["index"] = 7.into()),
        // The receipt is left out, and again when it is asked for by itself.
        (&message, "tx_receipts", |said| *said = json!([])),
        (&body, "tx_body", |said| *said = "00ff".into()),
        (&waiting, "proof_absence", |said| said["proof"] = "00".into()),
        (&waiting, "directory_bundle", |said| said["record"] = Value::Null),
        (&alice, "member_status", |said| said["record"] = "00".into()),
        (&bob, "mailbox_list", |said| said["entries"][0]["view"]["id"] = "00".repeat(32).into()),
        ("/validators", "chain_validators", |said| said["validators"][0]["power"] = 1000.into()),
    ];
    for (path, method, change) in lies {
        let honest = site.world.node.said("rpc");
        let liar = Liar::before(&honest, move |call| {
            let mut said = call.said.clone().unwrap_or_default();
            match call.method {
                asked if asked == method => change(&mut said),
                "tx_get" if method == "tx_receipts" => {
                    said["view"]["payload"]["slots"][0]["receipt"] = Value::Null
                }
                _ => return Answer::Truth,
            }
            Answer::Lie(said)
        });
        let args = ["serve", "--node", liar.url(), "--listen", "127.0.0.1:0"];
        let log = site.world.dir.path().join("misled.log");
        let misled = Server::start("sealpost-explorer", home_of(&site.world), &args, &log);
        let (head, page) = get(&format!("{}{path}", misled.said("explorer")));
        assert!(liar.told() > 0, "{path}: {method} was not asked");
        assert!(head.starts_with("HTTP/1.1 502"), "{path}, {method}: {head}\n{page}");
        check_page(path, &page);
    }
}

/// The proof covers the key that signed twice, and no name that a node writes beside it.
#[test]
fn a_validator_is_called_as_in_the_genesis_whatever_its_node_says() {
    let site = Site::new();
    let secret = fs::read_to_string(site.world.path("node/validator.key")).unwrap();
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(secret.trim().as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    let (key, chain) = (SigningKey::from_bytes(&bytes).unwrap(), genesis_of(&site.world).chain_id());
    let votes = [None, Some(BlockHash::from_bytes([7; 32]))].map(|block| {
        let digest = vote_digest(&chain, VoteKind::Precommit, BlockHeight::FIRST, 0, block.as_ref());
        SignedVote { block, signature: key.sign(&digest, &[0; 32]).unwrap() }
    });
    let twice = Equivocation::votes(key.public_key(), BlockHeight::FIRST, 0, VoteKind::Precommit, votes);
    let [first, second] = twice.blocks();
    let hex: String = twice.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let told = json!({ "entries": [{
        "number": 1, "equivocation": hex, "validator": key.public_key(), "name": "mallory", "height": 1, "round": 0,
        "kind": "precommit", "first": first, "second": second,
    }], "next": 1, "more": false });
    let liar = Liar::before(&site.world.node.said("rpc"), move |call| match call.method {
        "chain_equivocations" => Answer::Lie(told.clone()),
        _ => Answer::Truth,
    });
    let args = ["serve", "--node", liar.url(), "--listen", "127.0.0.1:0"];
    let log = site.world.dir.path().join("misled.log");
    let misled = Server::start("sealpost-explorer", home_of(&site.world), &args, &log);
    for path in ["/validators".to_owned(), format!("/validator/{}", key.public_key())] {
        let (head, page) = get(&format!("{}{path}", misled.said("explorer")));
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}\n{page}");
        assert_all(&path, &page, &["both signatures hold", "validator-1"]);
        assert!(!page.contains("mallory"), "{path}: {page}");
    }
    assert!(liar.told() > 0);
}

/// What "proven" is worth is said at the foot of each page, those about errors too.
#[test]
fn the_genesis_comes_from_the_settings_and_without_one_every_page_says_that_it_is_the_node_s_word() {
    let world = World::new();
    let node = world.node.said("rpc");
    let start = |log: &str| {
        let args = ["serve", "--node", &node, "--listen", "127.0.0.1:0"];
        Server::start("sealpost-explorer", home_of(&world), &args, &world.dir.path().join(log))
    };
    let settings = world.dir.path().join("explorer.toml");
    for (given, said) in
        [(false, "is the word of the node behind this page"), (true, "was checked against the genesis;")]
    {
        if given {
            fs::write(&settings, format!("genesis = {:?}\n", world.path("node/genesis.json"))).unwrap();
        }
        let explorer = start(if given { "own.log" } else { "node.log" });
        for path in ["/", "/validators", "/glossary", "/api", "/nowhere", "/block/x"] {
            let (_, page) = get(&format!("{}{path}", explorer.said("explorer")));
            assert_all(path, &page, &[said]);
            assert_eq!(page.contains("is the word of the node"), !given, "{path}: {page}");
        }
        assert!(explorer.stop().success());
    }
    // One that is named and can't be read is not left out in silence.
    fs::write(&settings, "genesis = \"/nowhere/genesis.json\"\n").unwrap();
    let refused =
        run("sealpost-explorer", home_of(&world), &["serve", "--node", &node, "--listen", "127.0.0.1:0"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && error.contains("/nowhere/genesis.json"), "{error}");
}

/// Evidence is told as the text of its file.
fn of_another_text(said: &mut Value) {
    *said = said.as_str().unwrap().replacen("\"index\": 0", "\"index\": 1", 1).into();
}

#[test]
fn a_new_block_arrives_while_the_page_is_open() {
    let site = Site::new();
    let host = site.url.strip_prefix("http://").unwrap();
    let listen = |after: &str, last: &str| {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(LONGEST_SILENCE)).unwrap();
        write!(stream, "GET /live{after} HTTP/1.1\r\nHost: {host}\r\n{last}\r\n").unwrap();
        BufReader::new(stream)
    };
    let mut open = listen("", "");
    let head = until(&mut open, |line| line.is_empty());
    assert!(
        head.iter().any(|line| line.to_lowercase().contains("content-type: text/event-stream")),
        "{head:?}"
    );
    let id = site.send(&["-m", "one"]);
    // One event has all of a block, so that none of it is told again to a browser that comes back behind it; its id is
    // the height that a browser comes back with.
    let seen = until(&mut open, |line| line.contains(&id));
    let data: Value = serde_json::from_str(seen.last().unwrap().strip_prefix("data: ").unwrap()).unwrap();
    assert!(data["head"].as_str().unwrap().contains("<dl"), "{data}");
    assert!(data["entries"].as_str().unwrap().contains(&id), "{data}");
    let event = [seen, until(&mut open, |line| line.is_empty())].concat();
    let event = event.rsplit(|line| line.is_empty()).nth(1).unwrap();
    let height = event.iter().find_map(|line| line.strip_prefix("id: ")).unwrap();
    assert!(data["block"].as_str().unwrap().contains(&format!("/block/{height}\"")), "{data}");
    let height: u64 = height.parse().unwrap();
    // Whoever comes back is told what it missed, by either way of saying where it was.
    let before = format!("?after={}", height - 1);
    until(&mut listen(&before, ""), |line| line.contains(&id));
    let last = format!("Last-Event-ID: {}\r\n", height - 1);
    until(&mut listen("?after=0", &last), |line| line.contains(&id));
    // The end of the explorer ends the connection.
    assert!(site.explorer.stop().success());
    let mut rest = String::new();
    let _ = open.read_to_string(&mut rest);
}

/// Reads lines until one fits; the lines, that one the last.
fn until(stream: &mut BufReader<TcpStream>, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the stream ended: {lines:?}");
        let line = line.trim_end().to_owned();
        lines.push(line.clone());
        if fits(&line) {
            return lines;
        }
    }
}

/// The head of an answer whose body is no text.
fn raw(url: &str, path: &str) -> String {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(LONGEST_SILENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    String::from_utf8(answer[..end].to_vec()).unwrap()
}

/// What stands between two texts, the first time.
fn page_between(page: &str, before: &str, after: &str) -> String {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("{before} is missing in {page}"));
    rest.split(after).next().unwrap().to_owned()
}

/// The part of an address's page that lists one side.
fn section(page: &str, side: &str) -> String {
    page_between(page, &format!("<section aria-labelledby=\"{side}\">"), "</section>")
}

/// What the command writes is what the explorer serves, and nothing there is overwritten.
#[test]
fn the_checker_is_written_to_a_file_without_an_explorer() {
    let site = Site::new();
    let (home, id) = (home_of(&site.world), site.send(&["-m", "to be checked"]));
    let file = |name: &str| site.world.path(name);
    let write = |args: &[&str]| run("sealpost-explorer", home, &[&["offline", "-o"], args].concat());
    let plain = file("verify.html");
    let written = json_of("sealpost-explorer", home, &["offline", "-o", &plain]);
    let served = get(&format!("{}/verify/offline.html", site.url)).1;
    assert!(fs::read_to_string(&plain).unwrap() == served);
    assert_eq!(written["bytes"], served.len());
    let again = write(&[&plain]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(fs::read_to_string(&plain).unwrap() == served);

    let (evidence, genesis) = (file("notice.json"), file("node/genesis.json"));
    site.world.wallet("alice", &["evidence", "create", &id, "-o", &evidence]);
    let notice = file("notice.html");
    let made = write(&[&notice, "--evidence", &evidence, "--genesis", &genesis]);
    assert!(made.status.success(), "{made:?}");
    let notice = fs::read_to_string(&notice).unwrap();
    assert!(notice.contains("id=\"embedded-evidence\"") && notice.contains("notice.json"));
    assert_eq!(write(&[&file("half.html"), "--evidence", &evidence]).status.code(), Some(2));
}
