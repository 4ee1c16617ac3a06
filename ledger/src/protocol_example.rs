//! The worked example of `docs/protocol.md`, made again from the code and compared with what stands
//! there. Each structure is written field by field and compared with what the codec makes of it, so the
//! page can't drift from the code. `SEALPOST_WRITE_EXAMPLE=1 cargo test -p sealpost-ledger example`
//! writes page and evidence file anew: on purpose, and only when the protocol changes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::address::Address;
use crate::certificate::CommitCertificate;
use crate::codec::encode;
use crate::evidence::{Disclosure, Evidence};
use crate::genesis::{DEVELOPMENT_VALIDATOR, Genesis};
use crate::hash::{Tag, tagged};
use crate::height::BlockHeight;
use crate::message::{Message, SlotRecipient};
use crate::receipt::{Answer, Receipt};
use crate::signature::SigningKey;
use crate::state::{StateKey, StateRecord};
use crate::testing::{ALICE, BOB, CONTENT, Chain, SALT, address};
use crate::transaction::{Payload, SignedTransaction};
use std::fmt::Write as _;
use std::path::PathBuf;

const BEGIN: &str = "<!-- example: begin -->\n";
const END: &str = "<!-- example: end -->";

/// A structure in bytes, field by field.
struct Layout {
    fields: Vec<(&'static str, Vec<u8>)>,
}

impl Layout {
    fn of<const N: usize>(fields: [(&'static str, Vec<u8>); N]) -> Self {
        Self { fields: fields.into() }
    }
    /// Adds the structure to the page, after comparing it with its canonical bytes.
    fn write(self, page: &mut String, title: &str, canonical: &[u8]) {
        let bytes: Vec<u8> = self.fields.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(bytes, canonical, "{title}");
        writeln!(page, "{title}: {} bytes\n", bytes.len()).unwrap();
        page.push_str("```text\noffset  field                   bytes\n");
        let mut offset = 0;
        for (name, bytes) in self.fields {
            let hex = const_hex::encode(&bytes);
            let lines = hex.as_bytes().chunks(64).map(|chunk| String::from_utf8(chunk.to_vec()).unwrap());
            for (number, line) in lines.enumerate() {
                match number {
                    0 => writeln!(page, "{offset:>6}  {name:<22}  {line}").unwrap(),
                    _ => writeln!(page, "{:32}{line}", "").unwrap(),
                }
            }
            offset += bytes.len();
        }
        page.push_str("```\n\n");
    }
}

fn values(page: &mut String, list: &[(&str, String)]) {
    page.push_str("```text\n");
    for (name, value) in list {
        writeln!(page, "{name:<28}  {value}").unwrap();
    }
    page.push_str("```\n\n");
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes(), value.as_bytes()].concat()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    const_hex::encode(bytes)
}

fn genesis_layout(page: &mut String, genesis: &Genesis) {
    let (file, limits) = (genesis.file(), genesis.limits());
    let (postage, timing, validator) = (genesis.postage(), genesis.timing(), &genesis.file().validators[0]);
    let layout = Layout::of([
        ("format", text(&file.format)),
        ("chain_name", text(&file.chain_name)),
        ("address_prefix", text(&file.address_prefix)),
        ("time_ms", file.time_ms.to_le_bytes().into()),
        ("validators: count", 1_u64.to_le_bytes().into()),
        ("  name", text(&validator.name)),
        ("  public_key", validator.public_key.as_bytes().into()),
        ("  power", validator.power.to_le_bytes().into()),
        ("limits.block_bytes", limits.block_bytes.to_le_bytes().into()),
        ("limits.body_bytes", limits.body_bytes.to_le_bytes().into()),
        ("limits.slots", limits.slots.to_le_bytes().into()),
        ("limits.expiry_window", limits.expiry_window.to_le_bytes().into()),
        ("postage.floor", postage.floor.to_le_bytes().into()),
        ("  .strangers_percent", postage.strangers_percent.to_le_bytes().into()),
        ("  .member_quota_bytes", postage.member_quota_bytes.to_le_bytes().into()),
        ("timing.block_interval", timing.block_interval_ms.to_le_bytes().into()),
        ("timing.heartbeat_ms", timing.heartbeat_ms.to_le_bytes().into()),
        ("timing.clock_drift_ms", timing.clock_drift_ms.to_le_bytes().into()),
        ("members: count", 0_u64.to_le_bytes().into()),
        ("retention_blocks", file.retention_blocks.to_le_bytes().into()),
    ]);
    layout.write(page, "Genesis", &encode(file));
    assert_eq!(genesis.chain_id().to_bytes(), tagged(Tag::Genesis, &[&encode(file)]));
    values(page, &[("chain id", genesis.chain_id().to_string())]);
}

/// A transaction whose payload has these fields.
fn transaction_layout(
    page: &mut String,
    title: &str,
    signed: &SignedTransaction,
    payload: Vec<(&'static str, Vec<u8>)>,
) {
    let t = signed.transaction();
    let mut layout = Layout::of([
        ("version", t.version.to_le_bytes().into()),
        ("chain", t.chain.as_bytes().into()),
        ("sender", t.sender.as_bytes().into()),
        ("expiry", t.expiry.get().to_le_bytes().into()),
    ]);
    layout.fields.extend(payload);
    layout.fields.push(("nonce", t.nonce.to_le_bytes().into()));
    layout.fields.push(("signature", signed.signature().as_bytes().into()));
    layout.write(page, title, &signed.to_bytes());
    values(
        page,
        &[
            ("id (what is signed)", signed.id().to_string()),
            ("postage hash", hex(t.postage_hash())),
            ("leaf in the block's tree", hex(signed.leaf())),
        ],
    );
}

fn message_fields(message: &Message) -> Vec<(&'static str, Vec<u8>)> {
    let slot = &message.slots[0];
    let SlotRecipient::Named { address, bundle } = slot.recipient else { unreachable!() };
    vec![
        ("payload: Message", 0_u32.to_le_bytes().into()),
        ("suite: Ecies", 0_u32.to_le_bytes().into()),
        ("mode: Open", 0_u32.to_le_bytes().into()),
        ("slots: count", 1_u64.to_le_bytes().into()),
        ("  recipient: Named", 0_u32.to_le_bytes().into()),
        ("    address", address.as_bytes().into()),
        ("    bundle", bundle.to_le_bytes().into()),
        ("  ecies_share", slot.ecies_share.into()),
        ("  ml_kem_share: None", vec![0]),
        ("  wrapped_key", slot.wrapped_key.into()),
        ("  receipt_commit", slot.receipt_commit.as_bytes().into()),
        ("key_commit", message.key_commit.as_bytes().into()),
        ("content_commit", message.content_commit.as_bytes().into()),
        ("body_hash", message.body_hash.as_bytes().into()),
        ("body_length", message.body_length.to_le_bytes().into()),
    ]
}

fn header_layout(page: &mut String, chain: &Chain, height: BlockHeight) {
    let block = chain.block(height).block();
    let h = block.header();
    let layout = Layout::of([
        ("version", h.version.to_le_bytes().into()),
        ("chain", h.chain.as_bytes().into()),
        ("height", h.height.get().to_le_bytes().into()),
        ("time_ms", h.time_ms.to_le_bytes().into()),
        ("parent", h.parent.as_bytes().into()),
        ("transaction_count", h.transaction_count.to_le_bytes().into()),
        ("tx_root", h.tx_root.as_bytes().into()),
        ("history_root", h.history_root.as_bytes().into()),
        ("state_root", h.state_root.as_bytes().into()),
        ("validators_hash", h.validators_hash.as_bytes().into()),
        ("next_validators_hash", h.next_validators_hash.as_bytes().into()),
        ("postage_price", h.postage_price.to_le_bytes().into()),
        ("proposer", h.proposer.as_bytes().into()),
    ]);
    layout.write(page, &format!("Header of block {height}"), &encode(h));
    values(page, &[("block hash", h.hash().to_string())]);
}

fn certificate_layout(page: &mut String, certificate: &CommitCertificate) {
    let commit = certificate.signatures[0];
    let layout = Layout::of([
        ("height", certificate.height.get().to_le_bytes().into()),
        ("round", certificate.round.to_le_bytes().into()),
        ("block", certificate.block.as_bytes().into()),
        ("signatures: count", 1_u64.to_le_bytes().into()),
        ("  validator", commit.validator.to_le_bytes().into()),
        ("  signature", commit.signature.as_bytes().into()),
    ]);
    layout.write(page, &format!("Certificate of block {}", certificate.height), &certificate.to_bytes());
}

/// A precommit is signed over exactly these bytes, under the vote tag.
fn vote_layout(page: &mut String, chain: &Chain, certificate: &CommitCertificate) {
    let fields = [
        ("chain", chain.genesis.chain_id().as_bytes().to_vec()),
        ("kind: precommit", vec![2]),
        ("height", certificate.height.get().to_le_bytes().into()),
        ("round", certificate.round.to_le_bytes().into()),
        ("block present", vec![1]),
        ("block", certificate.block.as_bytes().into()),
    ];
    let preimage: Vec<u8> = fields.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let digest = tagged(Tag::Vote, &[&preimage]);
    let key = chain.genesis.validators().get(0).unwrap().key;
    key.verify(&digest, &certificate.signatures[0].signature).unwrap();
    Layout::of(fields).write(page, "Vote (a precommit), before hashing", &preimage);
    values(page, &[("digest that is signed", hex(digest))]);
}

fn state_entries(page: &mut String, chain: &Chain, height: BlockHeight) {
    let block = chain.block(height);
    writeln!(page, "State entries that block {height} writes\n").unwrap();
    for (key, record) in block.verified().changes() {
        let name = match key {
            StateKey::Chain => "chain",
            StateKey::Directory(_) => "newest bundle",
            StateKey::Bundle(..) => "bundle by number",
            StateKey::Receipt(..) => "receipt",
            StateKey::Member(_) => "member",
            StateKey::Validators => "change of validators",
            StateKey::Designation(..) => "designation",
        };
        let value = record.to_bytes();
        assert_eq!(StateRecord::from_bytes(&value).as_ref(), Ok(record));
        values(
            page,
            &[
                ("entry", name.to_owned()),
                ("key bytes", hex(encode(key))),
                ("key hash (place in the tree)", hex(key.hash())),
                ("value", hex(value)),
            ],
        );
    }
}

/// The chain of the example, its evidence, and the page's section.
fn example() -> (Evidence, String) {
    let mut chain = Chain::development();
    let mut page = String::new();
    page.push_str("### The network\n\n");
    genesis_layout(&mut page, &chain.genesis.clone());
    let validator = SigningKey::development(DEVELOPMENT_VALIDATOR).unwrap().public_key();
    let prefix = chain.genesis.prefix().clone();
    values(
        &mut page,
        &[
            ("validator's public key", validator.to_string()),
            ("validators hash", chain.genesis.validators().hash().to_string()),
            ("Alice: secret key", hex([ALICE; 32])),
            ("Alice: public key", address(ALICE).key().to_string()),
            ("Alice: address", address(ALICE).to_text(&prefix)),
            ("Bob: secret key", hex([BOB; 32])),
            ("Bob: public key", address(BOB).key().to_string()),
            ("Bob: address", address(BOB).to_text(&prefix)),
            ("state root of the genesis", chain.tip.state_root().to_string()),
        ],
    );

    page.push_str("### Block 1: Bob publishes a key\n\n");
    let bundle = chain.bundle(BOB);
    let Payload::KeyBundle(keys) = bundle.payload() else { unreachable!() };
    let fields = vec![
        ("payload: KeyBundle", 2_u32.to_le_bytes().to_vec()),
        ("sequence", keys.sequence.to_le_bytes().into()),
        ("ecies", keys.ecies.into()),
        ("ml_kem: None", vec![0]),
        ("valid_until", keys.valid_until.get().to_le_bytes().into()),
    ];
    transaction_layout(&mut page, "Transaction", &bundle, fields);
    let first = chain.add(vec![(bundle, None)]);
    header_layout(&mut page, &chain, first);
    state_entries(&mut page, &chain, first);

    page.push_str("### Block 2: Alice writes to Bob\n\n");
    page.push_str(
        "Ciphertexts are fillers here: the ledger never looks inside them. The body is the byte `e7`, \
         48 times; the content is the ASCII text below.\n\n",
    );
    let (message, body) = chain.message(&[BOB]);
    let fields = message_fields(message.message().unwrap());
    transaction_layout(&mut page, "Transaction", &message, fields);
    values(
        &mut page,
        &[
            ("salt", hex(SALT)),
            ("content", String::from_utf8(CONTENT.to_vec()).unwrap()),
            ("receipt secret of slot 0", hex(crate::testing::SECRETS[0])),
        ],
    );
    let sent = chain.add(vec![(message.clone(), Some(body.clone()))]);
    header_layout(&mut page, &chain, sent);
    vote_layout(&mut page, &chain, chain.block(sent).certificate());
    certificate_layout(&mut page, chain.block(sent).certificate());

    page.push_str("### Block 3: Bob says that he opened it\n\n");
    let receipt = chain.opened(BOB, message.id(), 0);
    let Payload::Receipt(Receipt { message: answered, slot, answer }) = receipt.payload() else {
        unreachable!()
    };
    let Answer::Opened { secret } = answer else { unreachable!() };
    let fields = vec![
        ("payload: Receipt", 1_u32.to_le_bytes().to_vec()),
        ("message", answered.as_bytes().into()),
        ("slot", slot.to_le_bytes().into()),
        ("answer: Opened", 0_u32.to_le_bytes().into()),
        ("  secret", secret.to_vec()),
    ];
    transaction_layout(&mut page, "Transaction", &receipt, fields);
    let receipt_id = receipt.id();
    let answered = chain.add(vec![(receipt, None)]);
    header_layout(&mut page, &chain, answered);
    state_entries(&mut page, &chain, answered);

    let evidence = Evidence {
        chain: chain.genesis.chain_id(),
        blocks: [sent, answered].map(|height| chain.certified(height)).to_vec(),
        validator_changes: Vec::new(),
        message: chain.proven(message.id()),
        receipts: vec![chain.proven(receipt_id)],
        keys: vec![chain.key_proof(0, BOB, sent)],
        absences: Vec::new(),
        body: Some(body),
        disclosure: Some(Disclosure { salt: SALT, content: CONTENT.to_vec(), author: None }),
    };
    assert_eq!(evidence.message.transaction.sender(), Address::new(*address(ALICE).key()));
    evidence.check(&chain.genesis).unwrap();
    (evidence, page)
}

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// Compares a file with what it should hold, or writes it if that is asked for.
fn compare(name: &str, expected: &str) {
    let path = docs(name);
    if std::env::var_os("SEALPOST_WRITE_EXAMPLE").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    let first = found.lines().zip(expected.lines()).position(|(a, b)| a != b);
    assert!(
        found == expected,
        "docs/{name} is not what the code makes, from line {first:?} on; see this file's head"
    );
}

#[test]
fn the_example_in_the_protocol_page_is_what_the_code_makes() {
    let (_, example) = example();
    let page = std::fs::read_to_string(docs("protocol.md")).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    compare("protocol.md", &format!("{before}{BEGIN}\n{example}{END}{after}"));
}

#[test]
fn the_example_evidence_is_what_the_code_makes_and_holds() {
    let (evidence, _) = example();
    compare("example.evidence.json", &evidence.to_json());
    let file = std::fs::read(docs("example.evidence.json")).unwrap();
    let genesis = Genesis::parse(include_bytes!("../../genesis.json")).unwrap();
    assert!(Evidence::from_json(&file).unwrap().check(&genesis).is_ok());
}

#[test]
fn evidence_is_small() {
    // One recipient, suite 1, four validators: under 4 KiB beside body and content.
    let (mut evidence, _) = example();
    for block in &mut evidence.blocks {
        let signature = block.certificate.signatures[0];
        block.certificate.signatures = vec![signature; 4];
    }
    (evidence.body, evidence.disclosure) = (None, None);
    assert!(evidence.to_json().len() < 4096, "{} bytes", evidence.to_json().len());
}
