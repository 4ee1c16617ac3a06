//! `docs/errors.md` names every error code in the sources, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// First words of the codes. A quoted `word.word` that begins with another one is no code.
const KINDS: &[&str] = &[
    "tx",
    "receipt",
    "bundle",
    "mempool",
    "block",
    "input",
    "node",
    "internal",
    "store",
    "consensus",
    "rpc",
    "metrics",
    "explorer",
    "validator",
    "approval",
    "member",
    "wallet",
    "network",
    "contact",
    "recipient",
    "open",
    "passphrase",
    "evidence",
    "confirm",
    "snapshot",
    "p2p",
];
/// Names of files, settings and metrics that look like codes.
const NO_CODES: &[&str] = &[
    "consensus.wal",
    "consensus.peers",
    "node.toml",
    "p2p.allow",
    "p2p.block",
    "p2p.bootstrap",
    "p2p.external",
    "validator.key",
    "network.key",
    "rpc.subscriptions",
    "rpc.connections",
    "evidence.json",
    "block.html",
    "message.html",
];

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs" || name == "tests");
        if path.is_dir() && !is_test {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

/// Every `"word.word"` of a text whose first word is a kind of error.
fn codes(text: &str, quote: char) -> BTreeSet<String> {
    let is_code = |word: &&str| {
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        word.split_once('.').is_some_and(|(kind, rest)| KINDS.contains(&kind) && plain(rest))
    };
    text.split(quote).filter(is_code).map(str::to_owned).collect()
}

#[test]
fn the_page_of_errors_names_every_code_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut texts = Vec::new();
    for room in ["ledger/src", "node/src", "node/api/src", "node/terminal/src", "wallet/src", "explorer/src"]
    {
        sources(&root.join(room), &mut texts);
    }
    let mut used: BTreeSet<String> = texts.iter().flat_map(|text| codes(text, '"')).collect();
    NO_CODES.iter().for_each(|name| {
        used.remove(*name);
    });
    // A code that is also a file's name.
    used.insert("evidence.json".into());
    let named = codes(&fs::read_to_string(root.join("docs/errors.md")).unwrap(), '`');
    let missing: Vec<_> = used.difference(&named).collect();
    let stale: Vec<_> = named.difference(&used).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "missing in docs/errors.md: {missing:?}; stale: {stale:?}"
    );
}
