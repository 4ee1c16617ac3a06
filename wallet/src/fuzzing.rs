//! What the fuzzer tries here (`tests/fuzz`). What is private has its targets beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use crate::contacts::Contacts;
use crate::light::{CONTRADICTION_FORMAT, Contradiction};
use crate::mnemonic::Phrase;
use crate::{archive, cli, envelope, keystore, scan};
use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::Target;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What is tried.
pub fn targets() -> Vec<Target> {
    let mut targets = vec![phrase(), contacts(), contradiction()];
    targets.extend(envelope::fuzzing::targets());
    targets.extend(keystore::fuzzing::targets());
    targets.extend(archive::fuzzing::targets());
    targets.extend(scan::fuzzing::targets());
    targets.extend(cli::fuzzing::targets());
    targets
}

/// Where files are fast.
pub(crate) fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.into() } else { std::env::temp_dir() }
}

/// A file that only its owner may read, as the wallet's files are.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.unwrap().write_all(bytes).unwrap();
}

/// Words that people type: what is read, reads back, and gives an identity.
fn phrase() -> Target {
    let prefix = AddressPrefix::new("seal").unwrap();
    let words =
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    let seeds = move || {
        let twice = format!("{}art", "abandon ".repeat(23));
        [words.to_owned(), words.to_uppercase(), twice].map(String::into_bytes).to_vec()
    };
    Target::new("phrase", seeds, move |bytes| {
        let Ok(phrase) =
            std::str::from_utf8(bytes).map_err(drop).and_then(|text| Phrase::parse(text).map_err(drop))
        else {
            return false;
        };
        let text = phrase.text();
        assert_eq!(*Phrase::parse(&text).unwrap().text(), *text);
        // Stretching the words is slow, and the same for all: once in a while.
        assert!(!bytes.len().is_multiple_of(16) || phrase.identity(&prefix).is_ok());
        true
    })
}

/// A book of contacts: whatever was read, each name means its address, and the book can be written again.
fn contacts() -> Target {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let (genesis, evidence) = examples::evidence();
    let prefix = genesis.prefix().clone();
    let address = evidence.message.transaction.sender().to_text(&prefix);
    let seeds = move || {
        [
            format!(r#"{{"contacts":{{"bob":"{address}"}}}}"#),
            format!(r#"{{"contacts":{{"bob":"{address}"}},"groups":{{"all":["{address}"],"none":[]}}}}"#),
        ]
        .map(String::into_bytes)
        .to_vec()
    };
    Target::new("contacts", seeds, move |bytes| {
        let path = folder.path().join("contacts.json");
        write_private(&path, bytes);
        let Ok(book) = Contacts::load(&path, &prefix) else { return false };
        for (name, address) in book.list() {
            assert_eq!(book.resolve(name).unwrap(), *address);
            assert_eq!(book.resolve(&name.to_uppercase()).unwrap(), *address);
            assert!(book.nearest(name).len() <= 3);
        }
        true
    })
}

/// Proof that two blocks were final where there may be one. Nobody here can sign, so nothing is one.
fn contradiction() -> Target {
    let (genesis, evidence) = examples::evidence();
    let [one, other] = [0, 1].map(|n| evidence.blocks.get(n).unwrap());
    let statement = |block: &sealpost_ledger::evidence::CertifiedHeader| {
        let (header, certificate) =
            (sealpost_ledger::codec::encode(&block.header), block.certificate.to_bytes());
        serde_json::json!({
            "said_by": "http://one", "said_ms": 7, "header": const_hex::encode(header),
            "certificate": const_hex::encode(certificate), "validator_changes": [],
        })
    };
    let file = serde_json::json!({
        "format": CONTRADICTION_FORMAT, "network": genesis.chain_name(), "chain": genesis.chain_id(),
        "statements": [statement(one), statement(other)],
        "history": { "block": one.header.hash(), "path": ["00".repeat(32)] },
    });
    let seeds = move || vec![file.to_string().into_bytes()];
    Target::new("contradiction", seeds, move |bytes| {
        let Ok(file) = Contradiction::from_json(bytes) else { return false };
        assert_eq!(Contradiction::from_json(file.to_json().as_bytes()).unwrap(), file);
        assert!(file.verify(&genesis).is_err(), "nobody signed two blocks");
        true
    })
}
