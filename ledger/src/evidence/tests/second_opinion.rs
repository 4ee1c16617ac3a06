//! The same verdicts from `docs/verify_evidence.py`, which was written from `docs/protocol.md` and shares
//! no code with this crate.

use super::*;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// A folder of its own, which is removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sealpost-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
    fn with(&self, name: &str, file: &[u8]) -> PathBuf {
        let path = self.0.join(format!("{name}.json").replace('/', " "));
        std::fs::write(&path, file).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What `docs/verify_evidence.py`, which shares no code with this crate, says to a file: its exit code and its words.
/// `None` where there is no Python.
fn second_opinion(genesis: &Path, file: &Path) -> Option<(i32, String)> {
    second_opinion_to(genesis, file, "utf-8")
}

/// The same, on a terminal of this encoding.
fn second_opinion_to(genesis: &Path, file: &Path, encoding: &str) -> Option<(i32, String)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut python = std::process::Command::new("python3");
    python.env("LC_ALL", "C.UTF-8").env("PYTHONIOENCODING", encoding);
    python.arg(docs.join("verify_evidence.py")).arg(genesis).arg(file);
    let output = python.output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.is_empty(), "{}: {said}", file.display());
    Some((output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn skipped() {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "skipped: the second implementation needs python3").unwrap();
}

const fn exit_code<T>(judgement: &Result<T, EvidenceError>) -> i32 {
    match judgement {
        Ok(_) => 0,
        Err(EvidenceError::Refused(_)) => 1,
        Err(EvidenceError::NotEvidence(_)) => 2,
    }
}

/// What is said of keys and of answers inside, in the words that both use: the standing of each key, and how many
/// answers there are.
fn facts(findings: &Findings) -> (Vec<String>, usize) {
    let lines = findings.lines();
    let of = |code: &'static str| lines.iter().filter(move |line| line.code == code);
    let keys = of("key_used").chain(of("old_key_used"));
    let keys = keys.map(|line| line.fact.split_once(", published in ").unwrap().1.to_owned());
    (keys.collect(), of("sealed_answer").count())
}

fn facts_said(said: &str) -> (Vec<String>, usize) {
    let keys = said.lines().filter(|line| line.contains(" names key bundle "));
    let keys = keys.map(|line| line.split_once(", published in ").unwrap().1.to_owned());
    (keys.collect(), said.lines().filter(|line| line.starts_with("answer inside: ")).count())
}

/// What nobody can read is no answer, and least of all "no".
#[test]
fn where_nothing_was_checked_the_exit_code_says_so() {
    let folder = Folder::new("unread");
    let genesis = folder.with("genesis", genesis().to_json().as_bytes());
    let file = folder.with("evidence", evidence().to_json().as_bytes());
    let missing = folder.0.join("missing");
    for (genesis, file) in
        [(&missing, &file), (&genesis, &missing), (&folder.0, &file), (&genesis, &folder.0)]
    {
        let Some((code, said)) = second_opinion(genesis, file) else { return skipped() };
        assert_eq!(code, 2, "{said}");
    }
    // Also where the name, or what is wrong, can't be shown.
    let strange = folder.0.join(std::ffi::OsStr::from_bytes(b"g\xff.json"));
    let named = folder.with("named", "{\"chain_name\": \"\u{4e2d}\"}".as_bytes());
    for (genesis, file, encoding) in
        [(&strange, &file, "utf-8"), (&genesis, &strange, "utf-8"), (&named, &file, "ascii")]
    {
        let Some((code, said)) = second_opinion_to(genesis, file, encoding) else { return skipped() };
        assert_eq!(code, 2, "{said}");
    }
}

/// Genesis files that differ from a good one in one thing.
fn odd_genesis() -> Vec<(String, String)> {
    let good = genesis().to_json();
    let whole: serde_json::Value = serde_json::from_str(&good).unwrap();
    let mut odd = vec![
        ("as it is".to_owned(), good.clone()),
        ("in one line".to_owned(), whole.to_string()),
        (
            "a field twice".to_owned(),
            good.replacen("\"time_ms\"", "\"format\": \"sealpost-genesis/1\", \"time_ms\"", 1),
        ),
        ("nested".to_owned(), "[".repeat(100_000)),
        ("not UTF-8".to_owned(), "\u{feff}{}".to_owned()),
    ];
    let mut with = |place: &str, value: serde_json::Value| {
        let mut changed = whole.clone();
        let name = format!("{place}: {value:.40}");
        *changed.pointer_mut(place).unwrap() = value;
        odd.push((name, changed.to_string()));
    };
    let number = |value: i64| serde_json::Value::from(value);
    for (place, values) in [
        ("/time_ms", &[-1, 0][..]),
        ("/limits/block_bytes", &[65_535, 8_388_609]),
        ("/limits/body_bytes", &[1_023, 1_024, 4_194_305]),
        ("/limits/slots", &[0, 256, 257, 65_536]),
        ("/limits/expiry_window", &[9, 10_000_001]),
        ("/postage/floor", &[1 << 40, (1 << 40) + 1]),
        ("/postage/strangers_percent", &[0, 100, 101, 256]),
        ("/postage/member_quota_bytes", &[0, 4_294_967_295, 4_294_967_296]),
        ("/timing/block_interval_ms", &[0, 60_001]),
        ("/timing/heartbeat_ms", &[99, 86_400_001]),
        ("/timing/clock_drift_ms", &[99, 3_600_001]),
        ("/retention_blocks", &[-1, 0, 1]),
        ("/format", &[5]),
        ("/validators/0/power", &[0, i64::MAX]),
    ] {
        values.iter().for_each(|value| with(place, number(*value)));
    }
    with("/time_ms", 1.5.into());
    with("/time_ms", serde_json::Value::Null);
    with("/time_ms", true.into());
    let validator = |place: &str| whole.pointer(place).unwrap().clone();
    with("/validators", serde_json::json!([]));
    with("/validators/1", validator("/validators/0"));
    with("/validators/0/name", "".into());
    with("/validators/0/name", "\u{1d54a}".repeat(64).into());
    with("/validators/0/name", "x".repeat(65).into());
    with("/validators/0/name", "a\nb".into());
    with("/validators/0/public_key", "00".repeat(32).into());
    let key = validator("/validators/0/public_key").as_str().unwrap().to_owned();
    with("/validators/0/public_key", key.to_uppercase().into());
    with("/validators/0/public_key", format!(" {}", &key[1..]).into());
    with("/chain_name", "UPPER".into());
    with("/chain_name", "line\n".into());
    with("/chain_name", "x".repeat(65).into());
    with("/address_prefix", "".into());
    with("/limits", serde_json::json!([1_048_576, 65_536, 256, 64]));
    with("/limits", serde_json::json!({}));
    let carol = address(CAROL).to_text(genesis().prefix());
    let mut upper_with_kelvin = carol.to_uppercase();
    upper_with_kelvin = upper_with_kelvin.replacen('K', "\u{212a}", 1);
    let wrong_checksum =
        format!("{}{}", &carol[..carol.len() - 1], if carol.ends_with('q') { 'p' } else { 'q' });
    for members in [
        vec![],
        vec![carol.clone()],
        vec![carol.to_uppercase()],
        vec![carol.clone(), carol.to_uppercase()],
        vec![carol.replacen('s', "S", 1)],
        vec![upper_with_kelvin],
        vec![wrong_checksum],
        vec![carol.replacen("1", "11", 1)],
        vec![String::new()],
    ] {
        with("/members", members.into());
    }
    odd.push(("another field".to_owned(), whole.to_string().replacen('{', "{\"extra\":1,", 1)));
    odd.push(("minus nothing".to_owned(), {
        let mut changed = whole.clone();
        changed["retention_blocks"] = 0.into();
        changed.to_string().replacen("\"retention_blocks\":0", "\"retention_blocks\":-0", 1)
    }));
    odd
}

#[test]
fn a_second_implementation_takes_and_refuses_the_same_genesis_files() {
    let folder = Folder::new("genesis");
    let evidence = evidence();
    let file = folder.with("evidence", evidence.to_json().as_bytes());
    let files = odd_genesis();
    let opinions: Vec<_> = files
        .par_iter()
        .enumerate()
        .map(|(number, (name, text))| {
            let ours = match Genesis::parse(text.as_bytes()) {
                Ok(genesis) => exit_code(&evidence.check(&genesis)),
                Err(_) => 2,
            };
            let genesis = folder.with(&format!("genesis {number}"), text.as_bytes());
            (name, ours, second_opinion(&genesis, &file))
        })
        .collect();
    for code in 0..=2 {
        assert!(opinions.iter().any(|(_, ours, _)| *ours == code), "{code}");
    }
    for (name, ours, theirs) in opinions {
        let Some((theirs, said)) = theirs else { return skipped() };
        assert_eq!(ours, theirs, "{name}: {said}");
    }
}

/// The story with one number or one key changed, in the spelling of the format.
fn odd_numbers() -> Vec<(String, Vec<u8>)> {
    let file = evidence().to_json();
    let replaced = |what: &str, with: &str| {
        let changed = file.replacen(what, with, 1);
        assert_ne!(file, changed, "{what}");
        (with.to_owned(), changed.into_bytes())
    };
    let index =
        file.lines().find(|line| line.trim_start().starts_with("\"index\": ")).unwrap().trim_end_matches(',');
    let slot =
        file.lines().find(|line| line.trim_start().starts_with("\"slot\": ")).unwrap().trim_end_matches(',');
    let mut odd = vec![
        replaced(index.trim(), "\"index\": 4294967295"),
        replaced(index.trim(), "\"index\": 4294967296"),
        replaced(slot.trim(), "\"slot\": 65535"),
        replaced(slot.trim(), "\"slot\": 65536"),
        replaced("\"sealpost-evidence/1\"", "5"),
    ];
    let changed = with_change().to_json();
    let key = changed.lines().find(|line| line.contains("\"public_key\": ")).unwrap();
    let power = changed.lines().find(|line| line.contains("\"power\": ")).unwrap().trim();
    odd.push(("a key off the curve".into(), {
        let (name, _) = key.split_once(": ").unwrap();
        changed.replacen(key, &format!("{name}: \"{}\",", "00".repeat(32)), 1).into_bytes()
    }));
    for other in ["0", "9223372036854775807", "18446744073709551616"] {
        odd.push((
            format!("power {other}"),
            changed.replacen(power, &format!("\"power\": {other}"), 1).into_bytes(),
        ));
    }
    odd
}

/// Evidence of the transactions of each kind in place of the message, whole and cut short.
fn other_transactions() -> Vec<(String, Vec<u8>)> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let file = evidence().to_json();
    let own = URL_SAFE_NO_PAD.encode(evidence().message.transaction.to_bytes());
    let mut files = Vec::new();
    for transaction in crate::examples::transactions() {
        let (kind, bytes) = (transaction.payload().kind(), transaction.to_bytes());
        let bytes = [
            ("whole", bytes.as_slice()),
            ("cut", &bytes[..bytes.len() - 1]),
            ("long", &[&bytes[..], &[0]].concat()),
        ]
        .map(|(how, bytes)| (how, URL_SAFE_NO_PAD.encode(bytes)));
        for (how, bytes) in bytes {
            let changed = file.replacen(&own, &bytes, 1);
            files.push((format!("{kind}, {how}, {}", files.len()), changed.into_bytes()));
        }
    }
    files
}

#[test]
fn a_second_implementation_agrees() {
    let folder = Folder::new("second");
    let network = folder.with("genesis", genesis().to_json().as_bytes());
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, evidence: Evidence| {
        files.push((name.to_owned(), evidence.to_json().into_bytes()));
    };
    add("story", evidence());
    add("change", with_change());
    add("two changes", twice_changed());
    add("a change untold", {
        let mut untold = twice_changed();
        untold.validator_changes.remove(0);
        untold
    });
    add("other message", {
        let block = STORY.0.block(STORY.1.receipts[0].block).block();
        let mut evidence = evidence();
        evidence.receipts = vec![STORY.0.proven(block.transactions()[1].id())];
        evidence
    });
    add("not the recipient", with_receipt(CAROL, opened(0)));
    add(
        "wrong secret",
        with_receipt(BOB, Receipt { answer: Answer::Opened { secret: [1; 32] }, ..opened(0) }),
    );
    add("unused block", {
        let mut extra = evidence();
        extra.blocks.insert(0, STORY.0.certified(BlockHeight::FIRST));
        extra
    });
    add("too few", {
        let mut few = evidence();
        recertify(&mut few, 1, &VALIDATORS[..2], genesis().validators());
        few
    });
    add("wrong signature", {
        let mut wrong = evidence();
        recertify(&mut wrong, 0, &VALIDATORS, genesis().validators());
        let signatures = &mut wrong.blocks[0].certificate.signatures;
        signatures[3].signature = signatures[2].signature;
        wrong
    });
    add("old absence", {
        let mut old = evidence();
        old.absences = vec![STORY.0.absence(STORY.1.message.transaction.id(), 1, STORY.1.receipts[0].block)];
        old
    });
    add("a key with a newer one", superseded());
    for (name, evidence, _) in false_newest() {
        add(name, evidence);
    }
    add("a change announced and ignored", ignored_change());
    for (name, evidence) in super::sealed::files() {
        add(&name, evidence);
    }
    for (name, evidence, _) in super::sealed::letters() {
        add(&name, evidence);
    }
    for (name, evidence) in super::standings() {
        add(name, evidence);
    }
    let file = evidence().to_json().into_bytes();
    files.push(("spelling".to_owned(), [file.as_slice(), b" "].concat()));
    // Changed bytes that both can read as JSON: digits and letters for others.
    for at in (0..file.len()).filter(|at| file[*at].is_ascii_alphanumeric()).step_by(file.len() / 40) {
        let mut changed = file.clone();
        changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
        files.push((format!("byte {at}"), changed));
    }
    files.extend(odd_numbers());
    files.extend(other_transactions());
    files.extend(super::nameless().into_iter().map(|(name, file)| (name, file.into_bytes())));
    let opinions: Vec<_> = files
        .par_iter()
        .enumerate()
        .map(|(number, (name, file))| {
            let path = folder.with(&format!("file {number}"), file);
            (name, judge(file), second_opinion(&network, &path))
        })
        .collect();
    for (name, ours, theirs) in opinions {
        let Some((code, said)) = theirs else { return skipped() };
        assert_eq!(exit_code(&ours), code, "{name}: {said}");
        if let Ok(findings) = ours {
            assert_eq!(facts(&findings), facts_said(&said), "{name}");
        }
    }
}
