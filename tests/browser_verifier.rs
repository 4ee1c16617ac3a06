//! The checker for browsers against the ledger's own check: the same verdict, the same cause and the same
//! findings for thousands of good and broken files. What runs is the committed bundle
//! (`explorer/assets/verify.js`), in node; where there is no node the test says so, and where
//! `SEALPOST_REQUIRE_INTEROP` or `CI` is set it fails.

mod chain;
mod mutations;
mod stories;

use crate::interop::absent;
use crate::world::{World, home_of};
use sealpost_ledger::evidence::{Evidence, EvidenceError, FindingLine};
use sealpost_ledger::genesis::Genesis;
use sealpost_tests::{Server, get, json};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A file to be judged, and what it is to be judged against.
struct Case {
    name: String,
    genesis: Arc<[u8]>,
    file: Vec<u8>,
}

/// What a check says to a file. Reasons are in words of their own and are not compared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Judgement {
    verdict: String,
    code: Option<String>,
    message: Option<String>,
    chain: Option<String>,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
struct Line {
    code: String,
    label: String,
    fact: String,
    shows: String,
    does_not_show: String,
    etsi: Option<String>,
}

impl From<FindingLine> for Line {
    fn from(line: FindingLine) -> Self {
        let FindingLine { code, label, fact, shows, does_not_show, etsi } = line;
        let [code, label, shows, does_not_show] = [code, label, shows, does_not_show].map(String::from);
        Self { code, label, fact, shows, does_not_show, etsi: etsi.map(String::from) }
    }
}

fn judge(case: &Case) -> Judgement {
    let no = |verdict: &str, code: &str| Judgement {
        verdict: verdict.into(),
        code: Some(code.into()),
        message: None,
        chain: None,
        lines: Vec::new(),
    };
    let Ok(genesis) = Genesis::parse(&case.genesis) else { return no("not-genesis", "genesis") };
    let checked = Evidence::from_json(&case.file).map_err(EvidenceError::from);
    match checked.and_then(|evidence| evidence.check(&genesis)) {
        Ok(findings) => Judgement {
            verdict: "holds".into(),
            code: None,
            message: Some(findings.message().to_string()),
            chain: Some(findings.chain().to_string()),
            lines: findings.lines().into_iter().map(Line::from).collect(),
        },
        Err(error @ EvidenceError::Refused(_)) => no("refused", error.code()),
        Err(error @ EvidenceError::NotEvidence(_)) => no("not-evidence", error.code()),
    }
}

fn web(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../explorer").join(path)
}

fn node_is_there() -> bool {
    let version = Command::new("node").arg("--version").output();
    let major = version.ok().filter(|output| output.status.success()).and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.trim().strip_prefix('v')?.split('.').next()?.parse::<u32>().ok()
    });
    major.is_some_and(|major| major >= 20)
}

/// What the bundle says to each file, in their order.
fn bundle_judges(cases: &[Case]) -> Vec<Judgement> {
    #[derive(Serialize)]
    struct Asked {
        file: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        genesis: Option<String>,
    }
    let dir = tempfile::tempdir().unwrap();
    let (asked, said) = (dir.path().join("asked"), dir.path().join("said"));
    let standard = |bytes: &[u8]| mutations::to_base64(bytes).replace('-', "+").replace('_', "/");
    let mut out = BufWriter::new(File::create(&asked).unwrap());
    let mut given: &[u8] = &[];
    for case in cases {
        // A genesis counts until another one is given.
        let genesis = (*case.genesis != *given).then(|| standard(&case.genesis));
        given = &case.genesis;
        let line = Asked { file: standard(&case.file), genesis };
        serde_json::to_writer(&mut out, &line).unwrap();
        writeln!(out).unwrap();
    }
    out.flush().unwrap();
    let genesis = web("../genesis.json");
    let mut node = Command::new("node");
    node.arg(web("web/test/verify-cli.mjs")).arg(genesis);
    node.stdin(File::open(&asked).unwrap()).stdout(File::create(&said).unwrap()).stderr(Stdio::piped());
    let output = node.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = fs::read_to_string(said).unwrap();
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Where the two disagree, in words.
fn differences(cases: &[Case], ours: &[Judgement], theirs: &[Judgement]) -> Vec<String> {
    assert_eq!((cases.len(), ours.len()), (ours.len(), theirs.len()), "an answer to each file");
    let compared = cases.iter().zip(ours).zip(theirs).filter(|((_, ours), theirs)| ours != theirs);
    compared
        .map(|((case, ours), theirs)| format!("{}:\n    ledger  {ours:?}\n    browser {theirs:?}", case.name))
        .collect()
}

/// Judges all files by both, insists that there is no difference, and counts the verdicts and their causes.
fn compare(what: &str, cases: &[Case]) -> (Vec<Judgement>, BTreeMap<String, usize>) {
    let (ours, theirs): (Vec<_>, _) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| bundle_judges(cases));
        (cases.iter().map(judge).collect(), theirs.join().unwrap())
    });
    let mut counts = BTreeMap::new();
    for judgement in &ours {
        *counts.entry(judgement.verdict.clone()).or_insert(0) += 1;
        *counts.entry(judgement.code.clone().unwrap_or_else(|| "-".into())).or_insert(0) += 1;
    }
    let different = differences(cases, &ours, &theirs);
    // Past the test runner, which keeps what tests print: the numbers are what this test is for.
    let _ = writeln!(
        std::io::stderr(),
        "\n{what}: {} files, {} differences: {counts:?}\n",
        cases.len(),
        different.len()
    );
    let shown = different.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(different.is_empty(), "{} of {} differ:\n{shown}", different.len(), cases.len());
    (ours, counts)
}

fn case(name: String, genesis: &Genesis, file: Vec<u8>) -> Case {
    Case { name, genesis: genesis.to_json().into_bytes().into(), file }
}

/// Every code with which the ledger refuses evidence, as its sources name them.
fn all_codes() -> BTreeSet<String> {
    let sources = ["refusal.rs", "format.rs"].map(|file| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger/src/evidence").join(file))
            .unwrap()
    });
    let codes = sources.iter().flat_map(|source| source.split("=> \"").skip(1));
    let codes = codes.filter_map(|rest| rest.split('"').next()).filter(|code| code.starts_with("evidence."));
    codes.map(String::from).collect()
}

#[test]
fn both_checks_say_the_same_to_thousands_of_files() {
    if !node_is_there() {
        return absent("the browser's checker, which needs node 20 or newer");
    }
    let (good, forged) = (stories::good(), stories::forged());
    let (mut cases, mut changed_files) = (Vec::new(), Vec::new());
    for (seed, story) in (1_u64..).zip(&good) {
        let file = story.evidence.to_json();
        assert!(story.evidence.check(&story.genesis).is_ok(), "{} is a good one", story.name);
        let original = cases.len();
        cases.push(case(story.name.clone(), &story.genesis, file.clone().into_bytes()));
        let wrong = good.iter().find(|other| other.genesis.chain_id() != story.genesis.chain_id()).unwrap();
        cases.push(case(format!("{}, another's genesis", story.name), &wrong.genesis, file.into_bytes()));
        let text = story.evidence.to_json();
        let changed = mutations::of_text(&text, seed, seed == 1).into_iter();
        for (what, file) in changed.chain(mutations::of_bytes(&text, seed)) {
            changed_files.push((original, cases.len()));
            cases.push(case(format!("{}: {what}", story.name), &story.genesis, file));
        }
    }
    for story in &forged {
        cases.push(case(story.name.clone(), &story.genesis, story.evidence.to_json().into_bytes()));
    }
    for story in stories::letters() {
        cases.push(case(story.name, &story.genesis, story.evidence.to_json().into_bytes()));
    }
    for story in &good {
        for (name, file) in nameless(&story.evidence.to_json()) {
            cases.push(case(format!("{}: {name}", story.name), &story.genesis, file.into_bytes()));
        }
    }
    let long = [good[0].evidence.to_json().into_bytes(), vec![b' '; 32 << 20]].concat();
    cases.push(case("too long".into(), &good[0].genesis, long));

    let (judgements, counts) = compare("good and broken evidence", &cases);
    // What still holds after a change is other evidence, such as that without its body, and says something
    // else.
    let holding: Vec<_> =
        changed_files.iter().filter(|(_, changed)| judgements[*changed].verdict == "holds").collect();
    assert!(holding.len() < 20, "{} of {}", holding.len(), changed_files.len());
    for (original, changed) in holding {
        assert_ne!(judgements[*original].lines, judgements[*changed].lines, "{}", cases[*changed].name);
    }
    assert!(cases.len() >= 2000, "{}", cases.len());
    assert!(
        counts["holds"] >= 20 && counts["refused"] >= 1000 && counts["not-evidence"] >= 1000,
        "{counts:?}"
    );
    // Every way in which the ledger refuses evidence was met.
    let missed: Vec<_> = all_codes().into_iter().filter(|code| !counts.contains_key(code)).collect();
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn both_read_the_same_genesis() {
    if !node_is_there() {
        return absent("the browser's checker, which needs node 20 or newer");
    }
    let story = stories::good().remove(0);
    let file: Arc<str> = story.evidence.to_json().into();
    let genesis = story.genesis.to_json();
    let mut cases = vec![Case {
        name: "as it is".into(),
        genesis: genesis.clone().into_bytes().into(),
        file: file.as_bytes().into(),
    }];
    for (name, changed) in
        mutations::of_text(&genesis, 7, true).into_iter().chain(mutations::of_bytes(&genesis, 8))
    {
        cases.push(Case { name, genesis: changed.into(), file: file.as_bytes().into() });
    }
    for (name, changed) in odd_genesis(&genesis) {
        cases.push(Case { name, genesis: changed.into_bytes().into(), file: file.as_bytes().into() });
    }
    // The file is short enough to change every byte of it.
    for at in 0..genesis.len() {
        for other in [b'1', b'b', b' ', b'"'] {
            let mut changed = genesis.clone().into_bytes();
            if std::mem::replace(&mut changed[at], other) == other {
                continue;
            }
            let name = format!("byte {at} as {:?}", char::from(other));
            cases.push(Case { name, genesis: changed.into(), file: file.as_bytes().into() });
        }
    }
    let (_, counts) = compare("genesis files", &cases);
    // Another genesis is another chain; another spelling of the same is not.
    assert!(counts["holds"] >= 10 && counts["evidence.other_chain"] >= 100 && counts["not-genesis"] >= 1000);
}

/// The file with a list in the place of one of its objects, once for each kind of object in it.
fn nameless(file: &str) -> Vec<(String, String)> {
    let whole: serde_json::Value = serde_json::from_str(file).unwrap();
    let proven = "block index path transaction";
    let places = [
        ("", "format chain blocks validator_changes message receipts keys absences"),
        ("/blocks/0", "header certificate"),
        ("/validator_changes/0", "block validators"),
        ("/validator_changes/0/validators/0", "public_key power"),
        ("/message", proven),
        ("/receipts/0", proven),
        ("/keys/0", "slot block record proof"),
        ("/keys/0/newest", "record proof"),
        ("/absences/0", "slot block proof"),
        ("/disclosure", "salt content"),
    ];
    let there = places.into_iter().filter(|(place, _)| whole.pointer(place).is_some());
    let changed = there.map(|(place, names)| {
        let mut changed = whole.clone();
        let object = changed.pointer_mut(place).unwrap();
        *object = names.split(' ').map(|name| object[name].take()).collect();
        (format!("a list for {place:?}"), format!("{}\n", serde_json::to_string_pretty(&changed).unwrap()))
    });
    changed.collect()
}

/// Genesis files that readers of JSON and of addresses are apt to take differently.
fn odd_genesis(genesis: &str) -> Vec<(String, String)> {
    let whole: serde_json::Value = serde_json::from_str(genesis).unwrap();
    let mut odd = Vec::new();
    // An address with its spare bit set, with a group of bits more, of another network, and in mixed case.
    for member in [
        "sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rc7828d47",
        "SEALDEV1QQDCF32K0VFXGSYET5LDT246Q4JAW8SCX3SYSX0LNSTLT6W4M5RC7828D47",
        "Sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rc7828d47",
        "sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rcl6uncgv",
        "sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rc7q90c87a",
        "sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rc7pcevjr0",
        "seal1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rc7828d47",
    ] {
        for members in [vec![member], vec![member, member]] {
            let mut changed = whole.clone();
            changed["members"] = members.clone().into();
            odd.push((format!("members {members:?}"), changed.to_string()));
        }
    }
    // Fields without their names.
    let nameless = |value: &serde_json::Value, names: &str| -> serde_json::Value {
        names.split(' ').map(|name| value[name].clone()).collect()
    };
    for (part, names) in [
        ("limits", "block_bytes body_bytes slots expiry_window"),
        ("postage", "floor strangers_percent member_quota_bytes"),
        ("timing", "block_interval_ms heartbeat_ms clock_drift_ms"),
    ] {
        let mut changed = whole.clone();
        changed[part] = nameless(&whole[part], names);
        odd.push((format!("{part} without names"), changed.to_string()));
    }
    let mut changed = whole.clone();
    changed["validators"][0] = nameless(&whole["validators"][0], "name public_key power");
    odd.push(("a validator without names".into(), changed.to_string()));
    let names =
        "format chain_name address_prefix time_ms validators limits postage timing members retention_blocks";
    odd.push(("all without names".into(), nameless(&whole, names).to_string()));
    odd
}

#[test]
fn a_wrong_verdict_is_noticed() {
    if !node_is_there() {
        return absent("the browser's checker, which needs node 20 or newer");
    }
    let good = stories::good();
    let text = good[0].evidence.to_json();
    let broken = text.replacen("\"index\": 1", "\"index\": 0", 1);
    assert_ne!(text, broken);
    let cases = |first: &str| {
        [first, &text].map(|text| case("control".into(), &good[0].genesis, text.as_bytes().to_vec()))
    };
    let (asked, ours) = (cases(&broken), cases(&broken).each_ref().map(judge));
    assert_eq!((ours[0].verdict.as_str(), ours[1].verdict.as_str()), ("refused", "holds"));
    assert_eq!(differences(&asked, &ours, &bundle_judges(&asked)), Vec::<String>::new());
    // A checker that takes the broken file for the good one, one that finds another cause, and one that reads
    // another fact.
    assert_eq!(differences(&asked, &ours, &bundle_judges(&cases(&text))).len(), 1);
    let mut theirs = bundle_judges(&asked);
    theirs[0].code = Some("evidence.signature".into());
    theirs[1].lines[1].fact.push('0');
    assert_eq!(differences(&asked, &ours, &theirs).len(), 2);
}

#[test]
fn evidence_of_the_real_programs_is_judged_the_same() {
    if !node_is_there() {
        return absent("the browser's checker, which needs node 20 or newer");
    }
    let world = World::new();
    let genesis = fs::read(world.path("node/genesis.json")).unwrap();
    let made = world.wallet("carol", &["new", "carol", "--mnemonic-out", &world.path("carol.words")]);
    world.wallet("carol", &["keys", "publish"]);
    json("sealpost", home_of(&world), &["contact", "add", "carol", made["address"].as_str().unwrap()]);
    let send = |args: &[&str]| {
        let sent = world.wallet("alice", &[&["send"], args, &["--wait", "final"]].concat());
        sent["id"].as_str().unwrap().to_owned()
    };
    let open = send(&["bob", "carol", "-m", "The lift is out of service"]);
    let refused = send(&["bob", "-m", "unwanted"]);
    let sealed = send(&["bob", "carol", "--sealed", "-m", "Between us"]);
    world.wallet("bob", &["receipt", "give", &open]);
    world.wallet("bob", &["refuse", &refused, "--reason", "unwanted"]);
    let whole = ["--absent-receipt", "--body", "--disclose"];
    let mut cases = Vec::new();
    for (name, id, args) in [
        ("open", &open, &[][..]),
        ("open, whole", &open, &whole),
        ("open, carol", &open, &["--recipients", "carol", "--absent-receipt"]),
        ("refused", &refused, &whole),
        ("sealed", &sealed, &[]),
        ("sealed, disclosed", &sealed, &["--body", "--disclose"]),
    ] {
        let file = world.path(&format!("{}.json", cases.len()));
        world.wallet("alice", &[&["evidence", "create", id, "-o", &file], args].concat());
        let text = fs::read_to_string(&file).unwrap();
        let mut add = |name: String, file: Vec<u8>| {
            cases.push(Case { name, genesis: genesis.clone().into(), file });
        };
        add(name.into(), text.clone().into_bytes());
        for (what, file) in mutations::of_bytes(&text, 5) {
            add(format!("{name}: {what}"), file);
        }
    }
    let (_, counts) = compare("evidence of real programs", &cases);
    assert!(counts["holds"] >= 6 && counts["refused"] >= 100, "{counts:?}");
    handed_out(&world, &open);
}

/// What an explorer hands out: a message's evidence with its checker, as a page and as a file.
fn handed_out(world: &World, id: &str) {
    let args = ["serve", "--node", &world.node.said("rpc"), "--listen", "127.0.0.1:0"];
    let log = world.dir.path().join("explorer.log");
    let explorer = Server::start("sealpost-explorer", home_of(world), &args, &log);
    let url = explorer.said("explorer");
    let (head, alone) = get(&format!("{url}/verify/offline.html"));
    assert!(
        head.contains("attachment")
            && alone == fs::read_to_string(web("assets/verify-offline.html")).unwrap()
    );
    let (head, genesis) = get(&format!("{url}/genesis.json"));
    assert!(head.starts_with("HTTP/1.1 200") && Genesis::parse(genesis.as_bytes()).is_ok(), "{head}");
    let (_, evidence) = get(&format!("{url}/message/{id}/evidence"));
    let (head, file) = get(&format!("{url}/message/{id}/evidence.html"));
    assert!(head.contains(&format!("attachment; filename=\"{id}.evidence.html\"")), "{head}");
    let (head, page) = get(&format!("{url}/message/{id}/check"));
    assert!(head.contains("connect-src 'none'"), "{head}");
    for text in [&file, &page] {
        assert_eq!(embedded(text, "embedded-evidence"), evidence);
        assert_eq!(embedded(text, "embedded-genesis"), genesis);
    }

    let kept = world.dir.path().join("kept.html");
    fs::write(&kept, &file).unwrap();
    let broken = world.dir.path().join("broken.html");
    let changed = file.replacen(r#"\"index\": 0"#, r#"\"index\": 1"#, 1);
    assert_ne!(changed, file);
    fs::write(&broken, changed).unwrap();
    for (address, said) in [
        (format!("{url}/message/{id}/check"), "The evidence holds"),
        (format!("file://{}", kept.display()), "The evidence holds"),
        (format!("file://{}", broken.display()), "The evidence does not hold. Step "),
    ] {
        let Some(shown) = in_a_browser(&address) else { return };
        assert!(shown.contains(said), "{address}: {shown}");
    }
}

/// The text of a file that a page carries.
fn embedded(page: &str, id: &str) -> String {
    let begins = format!("<script type=\"application/json\" id=\"{id}\">");
    let (_, rest) = page.split_once(&begins).unwrap();
    let data: serde_json::Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    data["text"].as_str().unwrap().to_owned()
}

/// What a page shows once its script has run, if there is a browser. Nothing but the page is fetched.
fn in_a_browser(address: &str) -> Option<String> {
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("chromium");
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]);
    browser.args(["--disable-background-networking", "--disable-component-update", "--dump-dom"]);
    // The page shows each step before it goes on: all of that is waited for, in the page's own time.
    browser.arg("--virtual-time-budget=600000");
    browser.arg(format!("--user-data-dir={}", profile.path().display())).arg(address);
    let Ok(output) = browser.output() else {
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: the checker was not run in a browser: there is no chromium\n"
        );
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let (_, shown) = shown.split_once("<div id=\"verifier\">").unwrap();
    Some(shown.to_owned())
}

#[test]
fn the_bundles_own_tests_pass() {
    if !node_is_there() {
        return absent("the browser's checker, which needs node 20 or newer");
    }
    let output = Command::new("node").arg("--test").arg(web("web/test/verifier.test.mjs")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
