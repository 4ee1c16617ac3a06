//! The explorer in a real browser, over a network of four validators: every page as it is seen, heard, printed and
//! operated, with scripts and without; and that nothing foreign ever becomes markup. What is looked at stands in
//! `tests/browser/`, which drives Chromium by `playwright-core` and holds pages against `axe-core`. `tests/run`
//! installs all three and names the packages in `SEALPOST_TEST_NODE_MODULES`; where they are absent the test says
//! so, and where `SEALPOST_REQUIRE_INTEROP` or `CI` is set it fails.

mod town;

use crate::interop::absent;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::liar::ask;
use sealpost_tests::harness::load::Messages;
use sealpost_tests::json;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};
use town::Town;

/// Words that would be elements, attributes and a dialog if anybody took them for markup, with what is hard to
/// show: a turn of the writing, something invisible, characters beyond 16 bits, marks on marks, an endless word.
fn hostile_text() -> String {
    let markup = "<evil-tag evil-attr=1>\"'><img src=evil onerror=alert(1)><script>alert(\"evil\")</script>";
    let marks = format!("Z{}", "\u{301}\u{326}\u{35c}".repeat(20));
    let word = "W".repeat(400);
    format!(
        "{markup} \u{202e}evil\u{2066} \u{200b}\u{0}\u{7} 🦭👩‍👩‍👧 𝔰𝔢𝔞𝔩 {marks} {word} </textarea> &lt;evil-tag&gt;"
    )
}

const HOSTILE_SUBJECT: &str = "<evil-tag evil-attr=1> \u{202e}evil 🦭 <script>alert('evil')</script>";
const HOSTILE_FILE: &str = "\"><img src=evil onerror=alert(1)><evil-tag>\u{202e}txt.exe";
/// Names of validators, 64 characters at most.
const HOSTILE_NAMES: [&str; 3] = [
    "<evil-tag evil-attr=1>\u{202e}<script>alert('evil')</script>",
    "\"><img src=evil onerror=alert(1)> 🦭 Z\u{301}\u{326}\u{35c}",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
];

/// Where the packages are, and the browser; or what is absent.
fn tools() -> Result<(PathBuf, PathBuf), &'static str> {
    let modules = env::var_os("SEALPOST_TEST_NODE_MODULES").map(PathBuf::from);
    let has =
        |modules: &PathBuf| ["playwright-core", "axe-core"].iter().all(|name| modules.join(name).exists());
    let modules = modules.filter(has).ok_or("playwright-core and axe-core")?;
    let path = env::var_os("PATH").unwrap_or_default();
    let browser = env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.exists());
    Ok((modules, browser.ok_or("chromium")?))
}

/// An empty folder for pictures: `target/browser`.
fn pictures() -> PathBuf {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().nth(3).unwrap().join("browser");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_explorer_holds_in_a_real_browser() {
    let (modules, browser) = match tools() {
        Ok(tools) => tools,
        Err(what) => return absent(what),
    };
    let town = Town::new("browser", &HOSTILE_NAMES);
    // A contact's name never leaves the wallet, and has nothing in it that could be markup.
    let bob = town.wallet("bob", &["address"])["address"].clone();
    let add = ["contact", "add", HOSTILE_SUBJECT, bob.as_str().unwrap()];
    assert_eq!(town.error(&add)["code"], "contact.name");
    let out = pictures();
    let mut plan = plan(&town, &out);
    plan["browser"] = browser.to_str().into();
    if let Some(only) = env::var_os("SEALPOST_BROWSER_ONLY").filter(|only| !only.is_empty()) {
        plan["only"] = only.to_str().unwrap().split(',').collect();
    }
    let result = drive(&town, &modules, &plan);

    // Past the test runner, which keeps what tests print: what was done, and where the pictures are.
    let (checks, pages) = (&result["checks"], &result["pages"]);
    let pictures = fs::read_dir(&out).unwrap().filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "png"))
    });
    let _ = writeln!(
        std::io::stderr(),
        "\nbrowser: {pages} pages, {checks} checks, the first page {} bytes, {} pictures in {}\nseconds: {}\n",
        result["bytes"],
        pictures.count(),
        out.display(),
        result["seconds"]
    );
    let failures = result["failures"].as_array().unwrap();
    let shown: Vec<String> = failures.iter().take(40).map(Value::to_string).collect();
    assert!(failures.is_empty(), "{} of {checks} checks failed:\n{}", failures.len(), shown.join("\n"));
    assert!(checks.as_u64().is_some_and(|count| count > 0), "nothing was looked at");
}

/// Runs the script, and does on the ledger what it asks for, until it has its result.
fn drive(town: &Town, modules: &Path, plan: &Value) -> Value {
    let path = town.path("plan.json");
    fs::write(&path, plan.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/run.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(path).env("SEALPOST_TEST_NODE_MODULES", modules);
    let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut answers, lines) = (script.stdin.take().unwrap(), BufReader::new(script.stdout.take().unwrap()));
    for line in lines.lines() {
        let said: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if said["done"] == true {
            assert!(script.wait().unwrap().success());
            return said;
        }
        assert_eq!(said["ask"], "send", "{said}");
        let sent = town.wallet("alice", &["send", "bob", "-m", said["text"].as_str().unwrap()]);
        writeln!(answers, "{}", json!({ "id": sent["id"], "height": sent["height"] })).unwrap();
    }
    panic!("the script ended without a result: {:?}", script.wait());
}

/// What there is to see: makes messages of every kind, answers, keys, and evidence that holds and that does not.
fn plan(town: &Town, out: &Path) -> Value {
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let send = |args: &[&str]| id(&town.wallet("alice", &[&["send"], args].concat()));
    let open = send(&["bob", "carol", "-s", "The lift", "-m", "The lift is out of service"]);
    let receipt = town.wallet("bob", &["receipt", "give", &open])["receipt"].clone();
    town.wallet("carol", &["refuse", &open, "--reason", "unwanted"]);
    let keys = id(&town.wallet("bob", &["keys", "rotate"]));
    let designation = id(&town.wallet("alice", &["designate", "heating", "bob"]));
    let silent = send(&["bob", "-m", "Nobody answers this"]);
    let sealed = send(&["bob", "carol", "--sealed", "-m", "Between us"]);
    let long = town.path("long.bin");
    fs::write(&long, (0..400_000_u32).map(|at| (at % 251) as u8).collect::<Vec<u8>>()).unwrap();
    let long = send(&["bob", "-s", "In parts", "-m", "attached", "-a", long.to_str().unwrap()]);

    let (file, text) = (town.path(HOSTILE_FILE), town.path("hostile.txt"));
    fs::write(&file, "evil").unwrap();
    fs::write(&text, hostile_text()).unwrap();
    let (file, text) = (file.to_str().unwrap(), text.to_str().unwrap());
    let hostile = send(&["bob", "-s", HOSTILE_SUBJECT, "-f", text, "-a", file]);

    let (messages, expiry) = (Messages::new(town.network.genesis().clone()), BlockHeight::new(1000));
    let alike = messages.alike(expiry);
    // In one call, so that they come into one block, which is fuller than the others.
    let more = [messages.make(expiry), messages.make(expiry)];
    let several = alike.iter().chain(&more);
    let several: Vec<_> =
        several.map(|one| json!({ "transaction": one.transaction, "body": one.body })).collect();
    let params = json!({ "transactions": several, "wait": "final" });
    ask(&town.network.said(0, "rpc"), "tx_submitMany", params).unwrap();
    let alike: String = alike[0].id.to_string().chars().take(4).collect();
    let blocks = town.api("/blocks?limit=100");
    let blocks = blocks["data"]["items"].as_array().unwrap().iter();
    let fullest = blocks.max_by_key(|block| block["transaction_count"].as_u64()).unwrap().clone();
    assert!(fullest["transaction_count"].as_u64().is_some_and(|count| count > 2), "{fullest}");
    let height = fullest["height"].to_string();
    let address = |name: &str| town.wallet(name, &["address"])["address"].as_str().unwrap().to_owned();
    let (alice, bob) = (address("alice"), address("bob"));
    let search = |query: &str, path: &str, heading: &str, status: u16| json!({ "query": query, "path": path, "heading": heading, "status": status });
    let card = json!({ "address": bob, "name": hostile_text() }).to_string();
    let (block, nowhere) = (fullest["hash"].as_str().unwrap(), "0f".repeat(32));
    json!({
        "url": town.url(),
        "out": out,
        "messages": { "open": open, "silent": silent, "sealed": sealed, "long": long, "hostile": hostile },
        "transactions": { "receipt": receipt, "keys": keys, "designation": designation },
        "addresses": { "alice": alice, "bob": bob },
        "block": { "height": fullest["height"] },
        "validator": town.network.genesis().file().validators[0].public_key.to_string(),
        "nobody": "00".repeat(32),
        "alike": alike,
        "hostile": {
            "text": hostile_text(),
            "file": HOSTILE_FILE,
            "shown": [
                "<evil-tag evil-attr=1>", "<script>alert(\"evil\")</script>", "<script>alert('evil')</script>",
                "onerror=alert(1)", "\\u{202e}evil", "\\u{200b}", "🦭", "𝔰𝔢𝔞𝔩", "Z\u{301}\u{326}\u{35c}", "WWWW",
                "&lt;evil-tag&gt;",
            ],
        },
        "searches": [
            search(&open, &format!("/message/{open}"), "Message", 200),
            search(&open[..16], &format!("/message/{open}"), "Message", 200),
            search(receipt.as_str().unwrap(), &format!("/tx/{}", receipt.as_str().unwrap()), "Transaction", 200),
            search(&height, &format!("/block/{height}"), "Block", 200),
            search(block, &format!("/block/{block}"), "Block", 200),
            search(&bob, &format!("/address/{bob}"), "Address", 200),
            search(&format!("sealpost:{bob}?name=%3Cevil-tag%3E"), &format!("/address/{bob}"), "Address", 200),
            search(&card, &format!("/address/{bob}"), "Address", 200),
            search(&alike, "/search", "What begins with", 200),
            search("nonsense", "/search", "", 400),
            search(&hostile_text(), "/search", "", 400),
            search(&nowhere, &format!("/tx/{nowhere}"), "", 404),
        ],
        "evidence": evidence(town, &open, &hostile),
    })
}

/// Evidence that holds, and files that do not hold with the code that the ledger's own check gives.
fn evidence(town: &Town, open: &str, hostile: &str) -> Value {
    let make = |id: &str, name: &str| {
        let file = town.path(name).to_str().unwrap().to_owned();
        town.wallet("alice", &["evidence", "create", id, "--disclose", "--body", "-o", &file]);
        file
    };
    let (good, hostile) = (make(open, "good.json"), make(hostile, "hostile.json"));
    let genesis = town.genesis();
    let other = town.path("other.json");
    let text = fs::read_to_string(&genesis).unwrap();
    fs::write(&other, text.replacen("\"chain_name\":\"browser\"", "\"chain_name\":\"another\"", 1)).unwrap();
    let other = other.to_str().unwrap().to_owned();

    let text = fs::read_to_string(&good).unwrap();
    // A character in the middle of a long text: of a certificate, of the body.
    let flip = |key: &str| {
        let at = text.find(&format!("\"{key}\": \"")).unwrap() + key.len() + 100;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let broken = [
        ("index", text.replacen("\"index\": 0", "\"index\": 1", 1), &genesis),
        ("certificate", flip("certificate"), &genesis),
        ("body", flip("body"), &genesis),
        ("cut", text[..text.len() / 2].to_owned(), &genesis),
        ("words", "This is no evidence.\n".to_owned(), &genesis),
        ("chain", text.clone(), &other),
    ];
    let broken = broken.map(|(name, text, genesis)| {
        let file = town.path(&format!("broken-{name}.json")).to_str().unwrap().to_owned();
        fs::write(&file, text).unwrap();
        let error = town.error(&["evidence", "verify", &file, "--genesis", genesis]);
        json!({ "file": file, "genesis": genesis, "code": error["code"] })
    });
    let printable = town.path("printable.html").to_str().unwrap().to_owned();
    let show = ["evidence", "show", &hostile, "--html", &printable, "--genesis", &genesis];
    json("sealpost", town.home(), &show);
    json!({ "good": good, "hostile": hostile, "genesis": genesis, "broken": broken, "printable": printable })
}
