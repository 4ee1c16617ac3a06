//! The steps themselves.

use super::super::local::LocalNetwork;
use super::Narrator;
use sealpost_api::WaitFor;
use sealpost_ledger::evidence::{Evidence, EvidenceError};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::Mode;
use sealpost_ledger::receipt::{Answer, Receipt, RefusalReason};
use sealpost_terminal::{Failure, bytes, short, short_address, write_atomically, write_secret_file};
use sealpost_wallet::envelope::{Attachment, Data, Letter};
use sealpost_wallet::light::SlotAnswer;
use sealpost_wallet::mnemonic::{Phrase, Words};
use sealpost_wallet::{Draft, Wallet, failure};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// The file that is attached: this repository's own first page.
const README: &[u8] = include_bytes!("../../../../README.md");
const PASSPHRASE: &str = "demo";
const TEXT: &str = "The lift in house 7 is out of service until Friday. Please confirm that you got this.";

/// What is left to talk about.
pub(super) struct Told {
    pub(super) message: TransactionId,
}

/// Free postage: nothing to show.
fn no_progress(_tried: u64, _expected: u64) -> bool {
    true
}

fn broken(what: &str) -> Failure {
    Failure::bug(format_args!("the demo's step did not hold: {what}"))
}

pub(super) async fn walk(
    network: &LocalNetwork,
    folder: &Path,
    narrator: &mut Narrator<'_>,
) -> Result<Told, Failure> {
    let (chain, rpc) = (network.genesis.chain_id(), network.rpc());
    narrator.held(
        "started",
        &format!("one validator, chain {}, rpc {rpc}", short(chain)),
        json!({ "chain": chain, "rpc": rpc, "explorer": network.explorer_url() }),
    );
    let (mut alice, mut bob) = (wallet(network, folder, "alice")?, wallet(network, folder, "bob")?);
    write_secret_file(&folder.join("passphrase"), format!("{PASSPHRASE}\n").as_bytes())?;
    let text = format!(
        "alice {} and bob {}, each with keys of their own",
        short_address(alice.address_text()),
        short_address(bob.address_text())
    );
    narrator.held("wallets", &text, json!({ "alice": alice.address_text(), "bob": bob.address_text() }));

    let light = network.light().await?;
    for wallet in [&mut alice, &mut bob] {
        wallet.publish_keys(&light, &no_progress).await.map_err(failure)?;
    }
    narrator.held("published", "both published encryption keys: ECIES and ML-KEM-768", Value::Null);

    let attachments = vec![Attachment { name: "README.md".into(), data: Data::Whole(README.to_vec()) }];
    let letter = Letter { subject: "Notice".into(), text: TEXT.into(), attachments, ..Letter::default() };
    let draft = Draft { to: vec![bob.address()], content: letter.into(), mode: Mode::Open };
    let (prepared, salt) = alice.prepare_message(&light, &draft, &no_progress).await.map_err(failure)?;
    let body = prepared.body.as_ref().map_or(0, |body| body.as_bytes().len() as u64);
    let text = format!(
        "\"{}…\" and README.md ({}), sealed to bob's proven keys: {} nobody else can read",
        TEXT.get(..36).unwrap_or(TEXT),
        bytes(README.len() as u64),
        bytes(body)
    );
    narrator.held(
        "sealed",
        &text,
        json!({ "body_bytes": body, "suite": prepared.suite.map(|suite| suite.number()) }),
    );

    let posted = Instant::now();
    let sent = alice.send_message(&light, &prepared, &draft, salt, WaitFor::Final).await.map_err(failure)?;
    let (id, place) = (sent.id, sent.place.ok_or_else(|| broken("the message is not final"))?);
    let height = place.header.height;
    let text = format!(
        "message {} in block {height}, signed by 1 of 1 validators, on disk; proven by alice herself",
        short(id)
    );
    let facts = json!({
        "message": id, "height": height, "block": place.header.hash(),
        "final_and_proven_ms": posted.elapsed().as_secs_f64() * 1e3,
    });
    narrator.held("final", &text, facts);

    let found = bob.inbox(&light, 10, &|_| {}).await.map_err(failure)?;
    let found = found.iter().find(|incoming| incoming.message.id() == id);
    let incoming = found.ok_or_else(|| broken("bob does not find the message"))?;
    if incoming.message.transaction.sender() != alice.address() {
        return Err(broken("the message is not alice's"));
    }
    narrator.held(
        "found",
        "bob finds it and checks certificate and Merkle path against the genesis",
        Value::Null,
    );

    let reading = bob.read(&light, &id).await.map_err(failure)?;
    let read = &reading.letter;
    if read.text != TEXT
        || read.attachments.first().is_none_or(|file| file.data != Data::Whole(README.to_vec()))
    {
        return Err(broken("what bob reads is not what alice wrote"));
    }
    narrator.held("opened", "bob reads the text, and README.md byte for byte", Value::Null);

    let answer = reading.opened.answer();
    let receipt = bob.answer(&light, id, reading.opened.slot, answer, &no_progress).await.map_err(failure)?;
    let timeline = alice.timeline(&light, &id).await.map_err(failure)?;
    if !matches!(timeline.slots.first().map(|slot| &slot.answer), Some(SlotAnswer::Answered { .. })) {
        return Err(broken("alice does not see the receipt"));
    }
    let text = format!("bob answers for it: receipt {}, and alice sees it", short(receipt.id));
    narrator.held("answered", &text, json!({ "receipt": receipt.id }));

    let evidence = alice.evidence(&light, &id, None, true, true).await.map_err(failure)?;
    let (evidence_path, genesis_path) = (folder.join("evidence.json"), folder.join("genesis.json"));
    write_atomically(&evidence_path, evidence.to_json().as_bytes())?;
    write_atomically(&genesis_path, network.genesis.to_json().as_bytes())?;
    let size = evidence.to_json().len() as u64;
    let text = format!("evidence.json, {}: one file that a stranger can check", bytes(size));
    narrator.held("exported", &text, json!({ "bytes": size, "file": evidence_path }));

    let (file, genesis) = (read_back(&evidence_path)?, read_back(&genesis_path)?);
    let genesis = Genesis::parse(&genesis).map_err(Failure::bug)?;
    let findings = verify(&file, &genesis).map_err(|error| broken(&error.to_string()))?;
    let lines: Vec<_> = findings.lines().iter().map(|line| format!("{} {}", line.label, line.fact)).collect();
    narrator.held(
        "verified",
        &format!("offline, from the two files alone: {} facts hold", lines.len()),
        json!({ "facts": lines }),
    );

    let (flipped, at) = flip(&file)?;
    let Err(refusal) = verify(&flipped, &genesis) else { return Err(broken("a changed file was accepted")) };
    let text = format!("one byte of it changed (at {at}): {refusal}");
    narrator.held("refused", &text, json!({ "at": at, "code": refusal.code() }));

    // A wallet would not sign that; the ledger is asked.
    let refused = Answer::Refused { reason: RefusalReason::Unwanted };
    let receipt = Receipt { message: id, slot: reading.opened.slot, answer: refused };
    let again = bob.answer_anyway(&light, receipt, &no_progress).await;
    let Err(no) = again.map_err(failure) else { return Err(broken("a second answer was accepted")) };
    narrator.held("kept", &format!("bob can't take it back: {no}"), json!({ "code": no.code }));
    Ok(Told { message: id })
}

fn wallet(network: &LocalNetwork, folder: &Path, name: &str) -> Result<Wallet, Failure> {
    let profile = network.profile(folder)?;
    if profile.wallets().map_err(failure)?.iter().any(|known| known == name) {
        return Wallet::open(profile, name, PASSPHRASE).map_err(failure);
    }
    let phrase = Phrase::generate(Words::Twelve).map_err(failure)?;
    let wallet = Wallet::create(profile.clone(), name, &phrase, PASSPHRASE, false).map_err(failure)?;
    let mut contacts = profile.contacts().map_err(failure)?;
    contacts.add(name, wallet.address()).map_err(failure)?;
    Ok(wallet)
}

fn read_back(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::unavailable("file.io", format_args!("{}: {error}", path.display())))
}

fn verify(file: &[u8], genesis: &Genesis) -> Result<sealpost_ledger::evidence::Findings, EvidenceError> {
    Evidence::from_json(file)?.check(genesis)
}

/// The file with one letter of the message's signature exchanged for another.
fn flip(file: &[u8]) -> Result<(Vec<u8>, usize), Failure> {
    let mark = b"\"transaction\": \"";
    let missing = || broken("the evidence has no transaction");
    let start = file.windows(mark.len()).position(|window| window == mark).ok_or_else(missing)?;
    let start = start.saturating_add(mark.len());
    let length = file.iter().skip(start).position(|byte| *byte == b'"').ok_or_else(missing)?;
    // The signature stands at the end.
    let at = start.saturating_add(length).saturating_sub(20);
    let mut changed = file.to_vec();
    let byte = changed.get_mut(at).ok_or_else(missing)?;
    *byte = if *byte == b'A' { b'B' } else { b'A' };
    Ok((changed, at))
}
