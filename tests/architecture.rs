//! The import rule, checked on the sources themselves: who may name whom, and which room is the one home
//! of a foreign crate. It reads text, not types: comments, strings and test code are put aside first, and
//! what is left may name a crate (`ecies::`, `use ecies`) only where the tables below allow it.
//!
//! To move a home, change its line here in the same commit, and say why.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Our crates: folder, name in the code, and which others of ours each may name.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("ledger/", "sealpost_ledger", &[]),
    ("node/api/", "sealpost_api", &["sealpost_ledger"]),
    ("node/http/", "sealpost_http", &[]),
    ("node/terminal/", "sealpost_terminal", &["sealpost_ledger"]),
    ("wallet/", "sealpost_wallet", &["sealpost_ledger", "sealpost_api", "sealpost_terminal"]),
    (
        "explorer/",
        "sealpost_explorer",
        &["sealpost_ledger", "sealpost_api", "sealpost_http", "sealpost_terminal"],
    ),
    (
        "node/",
        "sealpost_node",
        &[
            "sealpost_ledger",
            "sealpost_api",
            "sealpost_http",
            "sealpost_terminal",
            "sealpost_wallet",
            "sealpost_explorer",
        ],
    ),
];

/// A crate and the only places that may name it. A place is a module: its file and the folder beside it.
const HOMES: &[(&str, &[&str])] = &[
    // The node plays wallet and explorer in its two showpieces alone.
    ("sealpost_wallet", &["wallet/", "node/src/cli/dev", "node/src/cli/demo", "node/src/cli/local"]),
    ("sealpost_explorer", &["explorer/", "node/src/cli/dev", "node/src/cli/demo", "node/src/cli/local"]),
    // Formats and proofs.
    ("bincode", &["ledger/src/codec"]),
    ("rs_merkle", &["ledger/src/merkle"]),
    ("jmt", &["ledger/src/state"]),
    ("borsh", &["ledger/src/state"]),
    ("anyhow", &["ledger/src/state"]),
    ("bech32", &["ledger/src/address"]),
    // Keys and encryption.
    // The envelope for the view tags of hidden slots: a key agreement that is no signature and no ECIES.
    ("k256", &["ledger/src/signature", "wallet/src/envelope"]),
    ("ecies", &["wallet/src/envelope"]),
    ("ml_kem", &["wallet/src/envelope"]),
    ("hkdf", &["wallet/src/envelope"]),
    ("chacha20poly1305", &["wallet/src/envelope", "wallet/src/keystore", "wallet/src/archive"]),
    ("argon2", &["wallet/src/keystore"]),
    ("bip32", &["wallet/src/mnemonic"]),
    ("bip39", &["wallet/src/mnemonic"]),
    // Disk and network.
    ("parity_db", &["node/src/store"]),
    ("crc32c", &["node/src/store"]),
    ("crc32fast", &["node/src/consensus/votes"]),
    ("nix", &["node/terminal/src/passphrase"]),
    (
        "rustix",
        &[
            "node/src/disk",
            "node/src/node/open_files",
            "node/src/process",
            "node/terminal/src/new_file",
            "wallet/src/hardening",
        ],
    ),
    ("metrics_process", &["node/src/metrics", "explorer/src/metrics"]),
    ("sd_notify", &["node/src/supervision"]),
    ("tikv_jemallocator", &["node/src/main"]),
    ("arc_malachitebft_app_channel", &["node/src/consensus"]),
    ("arc_malachitebft_signing", &["node/src/consensus"]),
    ("arc_malachitebft_sync", &["node/src/consensus"]),
    ("ractor", &["node/src/consensus/byzantine"]),
    // Networking proper in gossip; elsewhere its two value types, the key pair and the address.
    (
        "libp2p",
        &[
            "node/src/gossip",
            "node/src/consensus",
            "node/src/identity",
            "node/src/node",
            "node/src/home",
            "node/src/config",
            "node/src/cli",
        ],
    ),
    // The terminal.
    ("anstream", &["node/terminal/"]),
    ("textwrap", &["node/terminal/"]),
    ("terminal_size", &["node/terminal/"]),
    ("clap_complete", &["node/terminal/"]),
    ("clap_mangen", &["node/terminal/"]),
    ("etcetera", &["node/terminal/"]),
    ("rpassword", &["node/terminal/"]),
    ("tracing_subscriber", &["node/terminal/"]),
    ("indicatif", &["wallet/"]),
    ("mail_builder", &["wallet/src/mail"]),
    ("unicode_normalization", &["wallet/src/search"]),
    ("qrcode", &["wallet/"]),
    // The web.
    ("askama", &["explorer/", "wallet/src/certificate"]),
    ("rust_embed", &["explorer/"]),
    ("utoipa", &["explorer/src/api"]),
    ("utoipa_axum", &["explorer/src/api"]),
    // Tables that auditors take away, and lists of messages that a spreadsheet made.
    ("csv", &["explorer/src/api", "wallet/src/cli/send_many"]),
    ("governor", &["node/http/"]),
    ("hyper", &["node/http/"]),
    ("hyper_util", &["node/http/"]),
    ("tokio_io_timeout", &["node/http/"]),
];

/// Parts of the node that never name one another: `node.rs` connects them.
const PARTS: &[&str] = &["mempool", "consensus", "gossip", "rpc", "sync"];

/// Words that may not stand in a place, and why.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("ledger/", "SystemTime", "the ledger has no clock: time is an argument"),
    ("ledger/", "Instant", "the ledger has no clock: time is an argument"),
    ("ledger/", "getrandom", "the ledger has no randomness: it is an argument"),
    ("ledger/", "rand", "the ledger has no randomness: it is an argument"),
    ("ledger/", "tokio", "the ledger is synchronous"),
    ("ledger/", "MerkleProof", "rs_merkle 1.5 accepts wrong proofs: check them with our own code"),
    ("node/src", "set_max_num_streams", "switches libp2p-yamux to the vulnerable yamux 0.12"),
    ("node/src", "set_max_buffer_size", "switches libp2p-yamux to the vulnerable yamux 0.12"),
    ("node/src", "set_receive_window_size", "switches libp2p-yamux to the vulnerable yamux 0.12"),
    ("node/src", "set_window_update_mode", "switches libp2p-yamux to the vulnerable yamux 0.12"),
];

/// Parts of `std` that the ledger, being pure, does without.
const IMPURE: &[&str] = &["fs", "net", "env", "process", "thread"];

#[test]
fn the_sources_keep_the_import_rule() {
    let sources = read_all("rs");
    assert!(
        sources.len() > 60,
        "only {} sources found: is the test looking in the right place?",
        sources.len()
    );
    let broken = broken_in_sources(&sources);
    assert!(broken.is_empty(), "{} places break the import rule:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn the_manifests_keep_the_import_rule() {
    let manifests = read_all("toml");
    let broken: Vec<_> = CRATES
        .iter()
        .flat_map(|(folder, ..)| {
            let path = format!("{folder}Cargo.toml");
            let text = manifests.get(&path).unwrap_or_else(|| panic!("{path} is missing"));
            broken_in_manifest(&path, text)
        })
        .collect();
    assert!(broken.is_empty(), "the manifests break the import rule:\n{}", broken.join("\n"));
}

#[test]
fn every_home_exists() {
    let sources = read_all("rs");
    for (name, homes) in HOMES {
        for home in *homes {
            assert!(
                sources.keys().any(|path| lies_in(path, home)),
                "{home}, the home of {name}, is not there"
            );
        }
    }
}

/// The negative control: each kind of breach, planted in a small source, has to be found.
#[test]
fn planted_breaches_are_found() {
    let breaches = [
        ("wallet/src/inbox.rs", "use sealpost_node::store::Store;"),
        ("explorer/src/routes.rs", "fn f() { sealpost_wallet::open(); }"),
        ("node/src/rpc/wallet.rs", "use sealpost_wallet::Wallet;"),
        ("ledger/src/block.rs", "use sealpost_api::Block;"),
        ("ledger/src/block.rs", "fn f() { let _ = std::fs::read(\"x\"); }"),
        ("ledger/src/block.rs", "use std::{fmt, net::TcpStream};"),
        ("ledger/src/block.rs", "use std::time::SystemTime;"),
        ("ledger/src/block.rs", "let bytes = bincode::encode(x);"),
        ("ledger/src/merkle.rs", "use rs_merkle::MerkleProof;"),
        ("wallet/src/contacts.rs", "use {ecies as curve, std::fmt};"),
        ("node/src/rpc.rs", "use arc_malachitebft_app_channel::Channels;"),
        ("node/src/rpc.rs", "use crate::mempool::Mempool;"),
        ("node/src/mempool.rs", "use crate::{consensus::Handle, identity::Network};"),
        ("node/src/consensus/application.rs", "fn f(x: crate::gossip::Handle) {}"),
        ("node/src/gossip.rs", "config.set_max_num_streams(1);"),
        ("wallet/src/contacts.rs", "/* \" */ use argon2::Argon2; // \""),
        // Test code at the head of a file does not hide what follows it.
        ("wallet/src/contacts.rs", "#[cfg(test)]\nmod tests;\nuse argon2::Argon2;"),
    ];
    for (path, text) in breaches {
        let sources = BTreeMap::from([(path.to_owned(), text.to_owned())]);
        assert_eq!(broken_in_sources(&sources).len(), 1, "in {path}: {text}");
    }
    let manifest = "[dependencies]\nserde.workspace = true\nparity-db.workspace = true\nsealpost-node = { path = \"..\" }\n";
    assert_eq!(broken_in_manifest("wallet/Cargo.toml", manifest).len(), 2);
}

#[test]
fn what_only_looks_like_a_breach_is_left_alone() {
    let fine = [
        (
            "ledger/src/block.rs",
            "//! unlike bincode::encode\n/* std::fs */ const A: &str = \"use ecies::x\";",
        ),
        (
            "ledger/src/block.rs",
            "const A: &str = r#\"\"std::fs::read\"#; const Q: char = '\"'; fn f<'a>(x: &'a str) {}",
        ),
        ("ledger/src/block.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n"),
        ("ledger/src/block.rs", "use std::time::Duration; use crate::randomness::rand_core;"),
        ("node/src/mempool.rs", "use crate::mempool_limits::Limits; mod consensus_free {}"),
        ("node/src/node.rs", "use crate::{mempool, consensus, rpc};"),
        ("node/src/store/index.rs", "use parity_db::Db;"),
    ];
    for (path, text) in fine {
        let sources = BTreeMap::from([(path.to_owned(), text.to_owned())]);
        assert_eq!(broken_in_sources(&sources), Vec::<String>::new());
    }
    let sources = BTreeMap::from([
        ("ledger/src/lib.rs".to_owned(), "#[cfg(test)]\npub(crate) mod testing;".to_owned()),
        ("ledger/src/testing.rs".to_owned(), "use std::fs;".to_owned()),
        ("ledger/src/testing/files.rs".to_owned(), "use std::fs;".to_owned()),
    ]);
    assert_eq!(broken_in_sources(&sources), Vec::<String>::new());
}

// -- The rule ------------------------------------------------------------------------------------------

fn broken_in_sources(sources: &BTreeMap<String, String>) -> Vec<String> {
    let tests: Vec<_> = sources.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let mut broken = Vec::new();
    for (path, text) in sources {
        let Some((_, own, allowed)) = crate_of(path) else { continue };
        if tests.iter().any(|module| lies_in(path, module)) {
            continue;
        }
        let code = code_of(text);
        for (_, other, _) in CRATES {
            if other != own && !allowed.contains(other) && names_crate(&code, other) {
                broken.push(format!("{path} names {other}, which {own} may not"));
            }
        }
        for (name, homes) in HOMES {
            let known = !allowed.contains(name) && CRATES.iter().any(|(_, other, _)| other == name);
            if !known && !homes.iter().any(|home| lies_in(path, home)) && names_crate(&code, name) {
                broken.push(format!("{path} names {name}, whose home is {}", homes.join(", ")));
            }
        }
        for (place, word, reason) in FORBIDDEN {
            if lies_in(path, place) && words(&code).any(|(_, found)| found == *word) {
                broken.push(format!("{path} uses {word}: {reason}"));
            }
        }
        if own == &"sealpost_ledger" {
            for child in children(&code, "std").iter().filter(|child| IMPURE.contains(&child.as_str())) {
                broken.push(format!("{path} uses std::{child}: the ledger is pure"));
            }
        }
        if let Some(part) = PARTS.iter().find(|part| lies_in(path, &format!("node/src/{part}"))) {
            let named = children(&code, "crate");
            for other in
                PARTS.iter().filter(|other| *other != part && named.iter().any(|name| name == *other))
            {
                broken.push(format!("{path} names {other}: only node.rs connects the parts of the node"));
            }
        }
    }
    broken
}

fn broken_in_manifest(path: &str, text: &str) -> Vec<String> {
    let Some((folder, own, allowed)) = crate_of(path) else { return Vec::new() };
    let mut broken = Vec::new();
    for name in dependencies(text) {
        let ours = CRATES.iter().any(|(_, other, _)| *other == name);
        if ours && !allowed.contains(&name.as_str()) {
            broken.push(format!("{path} depends on {name}, which {own} may not"));
        }
        let home = HOMES.iter().find(|(foreign, _)| !ours && *foreign == name);
        if let Some((_, homes)) = home
            && !homes.iter().any(|home| crate_of(home).is_some_and(|(of, ..)| of == folder))
        {
            broken.push(format!("{path} depends on {name}, whose home is {}", homes.join(", ")));
        }
    }
    broken
}

/// The crate that a path lies in; the longest folder wins, since `node/api/` lies in `node/`.
fn crate_of(path: &str) -> Option<&'static (&'static str, &'static str, &'static [&'static str])> {
    CRATES.iter().filter(|(folder, ..)| path.starts_with(folder)).max_by_key(|(folder, ..)| folder.len())
}

/// Whether a file is the module or lies beneath it; a place that ends in `/` is a folder.
fn lies_in(path: &str, place: &str) -> bool {
    match path.strip_prefix(place) {
        Some(rest) => place.ends_with('/') || rest.starts_with('/') || rest == ".rs",
        None => false,
    }
}

/// Names under `[dependencies]`, as they are written in code. What a crate tests itself with is its own affair.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-");
        } else if inside && !line.starts_with('#') {
            let end = line.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'));
            let name = &line[..end.unwrap_or(0)];
            if !name.is_empty() {
                names.push(name.replace('-', "_"));
            }
        }
    }
    names
}

// -- Reading Rust --------------------------------------------------------------------------------------

/// The source without comments, strings and the test module at its end.
fn code_of(text: &str) -> String {
    let code = blank(text);
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(").map(|at| at + from) {
        let rest = &code[at..];
        let attribute = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let is_test = words(attribute).any(|(_, word)| word == "test");
        let item =
            rest.lines().skip(1).map(str::trim).find(|line| !line.starts_with("#[") && !line.is_empty());
        let opens = item.is_some_and(|line| {
            (line.starts_with("mod ") || line.contains(" mod ")) && line.trim_end().ends_with('{')
        });
        if is_test && opens {
            return code[..at].to_owned();
        }
        from = at + 1;
    }
    code
}

/// Modules that a file declares for tests only: `#[cfg(test)] mod name;`.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let code = blank(text);
    let lines: Vec<_> = code.lines().map(str::trim).collect();
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let folder = match stem.rsplit_once('/') {
        Some((folder, "lib" | "main")) => folder,
        _ => stem,
    };
    let mut modules = Vec::new();
    for pair in lines.windows(2) {
        if let [attribute, item] = pair
            && attribute.starts_with("#[cfg(")
            && words(attribute).any(|(_, word)| word == "test")
            && let Some(name) = item.strip_suffix(';').and_then(|item| item.rsplit_once("mod "))
        {
            modules.push(format!("{folder}/{}", name.1));
        }
    }
    modules
}

/// Replaces comments, strings and characters by spaces; line breaks stay.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match (at(i), at(i + 1)) {
            ('/', '/') => (i..chars.len()).find(|&j| at(j) == '\n').unwrap_or(chars.len()),
            ('/', '*') => end_of_comment(&chars, i),
            ('"', _) => end_of_string(&chars, i + 1),
            ('r', '"' | '#') if !is_word(at(i.wrapping_sub(1))) => {
                end_of_raw_string(&chars, i + 1).unwrap_or(i + 1)
            }
            // A character, not a lifetime: it is closed after one sign, or escaped.
            ('\'', '\\') => (i + 3..chars.len()).find(|&j| at(j) == '\'').map_or(chars.len(), |j| j + 1),
            ('\'', _) if at(i + 2) == '\'' => i + 3,
            _ => i + 1,
        };
        if end == i + 1 {
            out.push(at(i));
        } else {
            out.extend(chars[i..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        }
        i = end;
    }
    out
}

fn end_of_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') if depth == 1 => return i + 2,
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn end_of_raw_string(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start..].iter().take_while(|&&c| c == '#').count();
    if chars.get(start + hashes) != Some(&'"') {
        return None; // r#type: a raw name
    }
    let closes = |j: usize| chars[j] == '"' && (1..=hashes).all(|k| chars.get(j + k) == Some(&'#'));
    Some((start + hashes + 1..chars.len()).find(|&j| closes(j)).map_or(chars.len(), |j| j + hashes + 1))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every word with its place.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(|word| {
        // Both are slices of one string.
        (word.as_ptr() as usize - code.as_ptr() as usize, word)
    })
}

/// Whether a crate is named as a path (`name::`) or imported whole (`use name;`, `use name as x`).
fn names_crate(code: &str, name: &str) -> bool {
    words(code).filter(|(_, word)| *word == name).any(|(at, _)| {
        let (before, after) = (code[..at].trim_end(), code[at + name.len()..].trim_start());
        let inside_a_path =
            before.ends_with("::") && !before.trim_end_matches("::").ends_with([' ', '(', '<', '&']);
        let imported = ["use", "crate", "use {"].iter().any(|word| before.ends_with(word));
        !inside_a_path && (after.starts_with("::") || imported)
    })
}

/// The names that directly follow `root::`, in groups too: `root::{a, b::c}` gives a and b.
fn children(code: &str, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in words(code).filter(|(_, word)| *word == root) {
        let Some(rest) = code[at + root.len()..].trim_start().strip_prefix("::") else { continue };
        let rest = rest.trim_start();
        let mut depth = 0;
        let mut expects_name = true;
        for (place, c) in rest.char_indices() {
            match c {
                '{' => (depth, expects_name) = (depth + 1, depth == 0),
                '}' => depth -= 1,
                ',' => expects_name = depth == 1,
                c if is_word(c) && expects_name => {
                    let name: String = rest[place..].chars().take_while(|&c| is_word(c)).collect();
                    found.push(name);
                    expects_name = false;
                }
                _ => {}
            }
            if depth == 0 && !expects_name {
                break;
            }
        }
    }
    found
}

// -- Reading the repository ----------------------------------------------------------------------------

/// Every file of this kind beneath the crates' folders, by its path from the root.
fn read_all(extension: &str) -> BTreeMap<String, String> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned();
    let mut files = BTreeMap::new();
    let mut folders: Vec<PathBuf> =
        ["ledger", "node", "wallet", "explorer"].map(|name| root.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "node_modules" && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let relative =
                    path.strip_prefix(&root).expect("beneath the root").to_string_lossy().into_owned();
                files.insert(relative, fs::read_to_string(&path).expect("readable text"));
            }
        }
    }
    files
}
