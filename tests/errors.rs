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
    "archive",
    "network",
    "contact",
    "recipient",
    "open",
    "passphrase",
    "evidence",
    "message",
    "postage",
    "outbox",
    "head",
    "mnemonic",
    "keystore",
    "backup",
    "file",
    "system",
    "confirm",
    "snapshot",
    "p2p",
    "serve",
    "draft",
    "parcel",
    "scan",
];
/// Names of files, settings and metrics that look like codes.
const NO_CODES: &[&str] = &[
    "consensus.wal",
    "consensus.peers",
    "node.toml",
    "wallet.toml",
    "p2p.allow",
    "p2p.block",
    "p2p.bootstrap",
    "p2p.external",
    "validator.key",
    "network.key",
    "rpc.subscriptions",
    "rpc.connections_per_client",
    "rpc.trusted_proxies",
    "rpc.hosts",
    "rpc.origins",
    "evidence.json",
    "head.json",
    "keystore.json",
    "keystore.lock",
    "outbox.lock",
    "scan.lock",
    "postage.floor",
    "postage.strangers_percent",
    "block.html",
    "head.html",
    "message.html",
    "network.html",
    "postage.html",
    "validator.html",
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

/// How a code is handed over: everything between these and the next quote is on the way to it.
const CONSTRUCTORS: &[&str] = &[
    "Failure::new(",
    "Failure::no(",
    "Failure::locked(",
    "Failure::refused(",
    "Failure::untrusted(",
    "Failure::unavailable(",
    "ApiError::new(",
    "Self::new(Exit::",
    "plain(Exit::",
];

/// What is given as a code to a constructor of an error, whatever it looks like.
fn given(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for constructor in CONSTRUCTORS {
        for rest in text.split(constructor).skip(1) {
            // `Exit::No, "code"`, `Category::Input, "code"` or `"code"`; a variable says nothing here.
            let rest = rest.trim_start();
            let rest = if rest.starts_with('"') {
                rest
            } else {
                rest.split_once(',').map_or("", |(kind, rest)| {
                    match kind.chars().all(|c| c.is_alphanumeric() || c == ':') {
                        true => rest.trim_start(),
                        false => "",
                    }
                })
            };
            if let Some(code) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                found.insert(code.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_code_given_to_an_error_has_a_kind_and_stands_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/errors.md")).unwrap();
    let mut texts = Vec::new();
    for room in
        ["node/src", "node/api/src", "node/http/src", "node/terminal/src", "wallet/src", "explorer/src"]
    {
        sources(&root.join(room), &mut texts);
    }
    // Tests make up their own; a command that has said everything has no code.
    let product = texts.iter().map(|text| text.split("#[cfg(test)]").next().unwrap_or_default());
    let codes: BTreeSet<String> = product.flat_map(given).collect();
    // What the search must not lose sight of.
    assert!(codes.contains("message.empty") && codes.contains("input.usage"), "{codes:?}");
    let unnamed: Vec<_> =
        codes.iter().filter(|code| !code.contains('.') || !page.contains(&format!("| `{code}` |"))).collect();
    assert!(unnamed.is_empty(), "not in docs/errors.md, or without a kind: {unnamed:?}");
}

#[test]
fn the_page_of_errors_names_every_code_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut texts = Vec::new();
    for room in [
        "ledger/src",
        "node/src",
        "node/api/src",
        "node/http/src",
        "node/terminal/src",
        "wallet/src",
        "explorer/src",
    ] {
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
