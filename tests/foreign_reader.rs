//! An independent reader of the envelope, `interop/open_message.py`, written from docs/protocol.md with PyPI
//! packages alone: it opens what our code sealed, in both suites, and refuses what our code refuses, for the
//! same reason. `tests/run` installs the packages and names their Python in `SEALPOST_TEST_PYTHON`.

use crate::interop::{absent, script};
use chacha20poly1305::aead::{Aead, Payload as AeadPayload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::encode;
use sealpost_ledger::hash::{ChainId, ContentCommit, ContextHash, KeyCommit, ReceiptCommit};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{
    Body, Message, MessageContext, Mode, Slot, SlotRecipient, Suite, content_commit, key_commit,
};
use sealpost_ledger::receipt::{Answer, receipt_commit};
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};
use sealpost_wallet::envelope::{
    Attachment, BundleSecret, Content, ContentError, Data, Letter, OpenError, Part, Parts, Recipient,
    SealRequest, open, seal,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The foreign program, asked line by line.
struct Reader {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    /// Starts it; nothing if its packages are not there, which is said aloud.
    fn start() -> Option<Self> {
        let python = std::env::var_os("SEALPOST_TEST_PYTHON");
        let has_packages = |python: &std::ffi::OsString| {
            let import = "import ecies, coincurve, Crypto.Cipher.ChaCha20_Poly1305\n\
                          import cryptography.hazmat.primitives.asymmetric.mlkem";
            Command::new(python).args(["-c", import]).output().is_ok_and(|output| output.status.success())
        };
        let Some(python) = python.filter(has_packages) else {
            absent("the Python packages eciespy and cryptography");
            return None;
        };
        let mut command = Command::new(python);
        command.arg(script("open_message.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { child, questions, answers: BufReader::new(answers) })
    }
    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
    fn open(&mut self, case: &Case) -> Value {
        let keys = serde_json::to_value(&case.secret).unwrap();
        let key = |name: &str| keys[name].as_str().unwrap().trim_start_matches("0x").to_owned();
        self.ask(&json!({
            "transaction": const_hex::encode(case.transaction.to_bytes()),
            "body": const_hex::encode(case.body.as_bytes()),
            "slot": case.slot,
            "ecies": key("ecies"),
            "ml_kem_seed": key("ml_kem_seed"),
        }))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is given to both readers.
struct Case {
    transaction: SignedTransaction,
    body: Body,
    slot: u16,
    secret: BundleSecret,
}

/// What our own code says of it, in the foreign reader's words.
fn ours(case: &Case) -> Value {
    let secrets = std::slice::from_ref(&case.secret);
    let refused = match open(case.transaction.transaction(), &case.body, case.slot, secrets) {
        Ok((content, opened)) => {
            let Answer::Opened { secret } = opened.answer() else { unreachable!() };
            assert_eq!(content.to_bytes(), opened.content_bytes);
            return json!({
                "id": case.transaction.id().to_string(),
                "salt": const_hex::encode(opened.salt),
                "receipt_secret": const_hex::encode(secret),
                "content": const_hex::encode(&opened.content_bytes),
                "letter": described(&content),
            });
        }
        Err(OpenError::NotForUs) => "not_for_us",
        Err(OpenError::OtherBody) => "body_hash",
        Err(OpenError::Slot { .. }) => "slot",
        Err(OpenError::KeyCommit) => "key_commit",
        Err(OpenError::ReceiptCommit { .. }) => "receipt_commit",
        Err(OpenError::Body) => "body",
        Err(OpenError::Content(ContentError::Short | ContentError::Padding)) => "padding",
        Err(OpenError::ContentCommit) => "content_commit",
        Err(OpenError::Content(ContentError::Content(_))) => "content",
        Err(error) => panic!("no word for {error}"),
    };
    json!({ "refused": refused })
}

fn described(content: &Content) -> Value {
    let parts = |parts: &Parts| {
        let messages: Vec<_> = parts.messages.iter().map(ToString::to_string).collect();
        json!({ "length": parts.length, "sha256": const_hex::encode(parts.sha256), "messages": messages })
    };
    match content {
        Content::Part(part) => json!({
            "parcel": const_hex::encode(part.parcel), "number": part.number, "bytes": part.bytes.len(),
        }),
        Content::Letter(letter) => {
            let attachments = letter.attachments.iter().map(|file| match &file.data {
                Data::Whole(bytes) => json!({
                    "name": file.name, "bytes": bytes.len(),
                    "sha256": const_hex::encode(Sha256::digest(bytes)),
                }),
                Data::Parts(data) => json!({ "name": file.name, "parts": parts(data) }),
            });
            json!({
                "subject": letter.subject, "text": letter.text,
                "continued": letter.continued.as_ref().map(parts),
                "reply_to": letter.reply_to.map(|id| id.to_string()),
                "answers": [],
                "attachments": attachments.collect::<Vec<_>>(),
            })
        }
    }
}

const CHAIN: [u8; 32] = [4; 32];

fn alice() -> SigningKey {
    SigningKey::from_bytes(&[1; 32]).unwrap()
}

fn address(key: &SigningKey) -> Address {
    Address::new(key.public_key())
}

fn bob() -> Address {
    address(&SigningKey::from_bytes(&[2; 32]).unwrap())
}

fn signed(message: Message) -> SignedTransaction {
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain: ChainId::from_bytes(CHAIN),
        sender: address(&alice()),
        expiry: BlockHeight::new(50),
        payload: Payload::Message(message),
        nonce: 7,
    };
    transaction.sign(&alice(), &[0; 32]).unwrap()
}

/// A letter that has everything in it.
fn letter() -> Content {
    let parts = |id: u8| Parts {
        length: 100_000,
        sha256: [id; 32],
        messages: vec![signed_id(id), signed_id(id.wrapping_add(1))],
    };
    let file = |name: &str, data| Attachment { name: name.into(), data };
    Letter {
        subject: "Aufzug außer Betrieb".into(),
        text: "The lift is out of service.\n".repeat(90),
        continued: Some(parts(3)),
        reply_to: Some(signed_id(9)),
        answers: Vec::new(),
        attachments: vec![
            file("plan.pdf", Data::Whole(vec![7; 3000])),
            file("film.mp4", Data::Parts(parts(5))),
        ],
    }
    .into()
}

fn signed_id(byte: u8) -> sealpost_ledger::hash::TransactionId {
    sealpost_ledger::hash::TransactionId::from_bytes([byte; 32])
}

/// A message to carol and bob, for bob's eyes.
fn sealed(suite: Suite, content: &Content) -> Case {
    let carol = BundleSecret::generate(3).unwrap();
    let secret = BundleSecret::generate(3).unwrap();
    let to = |address, secret: &BundleSecret| {
        let mut bundle = secret.bundle(BlockHeight::new(100));
        if suite == Suite::Ecies {
            bundle.ml_kem = None;
        }
        Recipient { address, bundle }
    };
    let recipients = [to(address(&SigningKey::from_bytes(&[3; 32]).unwrap()), &carol), to(bob(), &secret)];
    let request = SealRequest {
        chain: ChainId::from_bytes(CHAIN),
        sender: address(&alice()),
        author: None,
        expiry: BlockHeight::new(50),
        recipients: &recipients,
        content,
        body_limit: 65_536,
    };
    let made = seal(&request).unwrap();
    assert_eq!(made.message.suite, suite);
    Case { transaction: signed(made.message), body: made.body, slot: 1, secret }
}

fn message(case: &Case) -> Message {
    case.transaction.message().unwrap().clone()
}

/// The case with another message, truly signed.
fn changed(case: &Case, change: impl FnOnce(&mut Message)) -> Case {
    let mut message = message(case);
    change(&mut message);
    Case {
        transaction: signed(message),
        body: case.body.clone(),
        slot: case.slot,
        secret: case.secret.clone(),
    }
}

fn with_body(case: &Case, bytes: Vec<u8>) -> Case {
    let body = Body::new(bytes);
    let (hash, length) = (body.hash(), u32::try_from(body.as_bytes().len()).unwrap());
    let mut case = changed(case, |message| (message.body_hash, message.body_length) = (hash, length));
    case.body = body;
    case
}

#[test]
fn a_foreign_program_opens_both_suites_from_the_page_alone() {
    let Some(mut reader) = Reader::start() else { return };
    let part = Content::Part(Part { parcel: [6; 16], number: 2, bytes: vec![1; 700] });
    for suite in [Suite::Ecies, Suite::EciesMlKem768] {
        for content in [letter(), Letter::default().into(), part.clone()] {
            let case = sealed(suite, &content);
            let found = reader.open(&case);
            assert_eq!(found, ours(&case));
            assert_eq!(found["letter"], described(&content));
            let receipt: [u8; 32] =
                const_hex::decode_to_array(found["receipt_secret"].as_str().unwrap()).unwrap();
            assert_eq!(receipt_commit(&receipt), message(&case).slots[1].receipt_commit);
        }
    }
}

#[test]
fn a_foreign_program_refuses_what_ours_refuses_for_the_same_reason() {
    let Some(mut reader) = Reader::start() else { return };
    let mut agree = |name: &str, case: &Case, expected: &str| {
        let refused = json!({ "refused": expected });
        assert_eq!(ours(case), refused, "ours on {name}");
        assert_eq!(reader.open(case), refused, "the foreign reader on {name}");
    };
    for suite in [Suite::Ecies, Suite::EciesMlKem768] {
        let good = sealed(suite, &letter());
        let flipped = |at: usize| {
            let mut bytes = good.body.as_bytes().to_vec();
            bytes[at] ^= 1;
            bytes
        };
        let swapped = Case { body: Body::new(flipped(30)), ..changed(&good, |_| ()) };
        agree("another body", &swapped, "body_hash");
        agree("an altered body that is signed", &with_body(&good, flipped(30)), "body");
        agree("an altered nonce that is signed", &with_body(&good, flipped(0)), "body");
        agree("a body shorter than its nonce", &with_body(&good, vec![1; 20]), "body");
        let share = changed(&good, |message| message.slots[1].ecies_share[100] ^= 1);
        agree("an altered ECIES share", &share, "slot");
        if suite == Suite::EciesMlKem768 {
            let share = changed(&good, |message| message.slots[1].ml_kem_share.as_mut().unwrap()[9] ^= 1);
            agree("an altered ML-KEM share", &share, "slot");
        }
        let wrapped = changed(&good, |message| message.slots[1].wrapped_key[3] ^= 1);
        agree("an altered wrapped key", &wrapped, "slot");
        let others = changed(&good, |message| message.slots.swap(0, 1));
        agree("the other recipient's slot", &others, "slot");
        let other = Case { secret: BundleSecret::generate(3).unwrap(), ..changed(&good, |_| ()) };
        agree("other keys", &other, "slot");
        let lifted = changed(&good, |message| message.slots.truncate(1));
        agree("no such slot", &lifted, "not_for_us");
        let commit = |message: &mut Message| message.key_commit = KeyCommit::from_bytes([8; 32]);
        agree("another key commitment", &changed(&good, commit), "key_commit");
        agree("the same, with a broken body", &changed(&with_body(&good, flipped(30)), commit), "key_commit");
        let receipt =
            |message: &mut Message| message.slots[1].receipt_commit = ReceiptCommit::from_bytes([8; 32]);
        agree("another receipt commitment", &changed(&good, receipt), "receipt_commit");
        let both = changed(&changed(&good, receipt), commit);
        agree("both", &both, "key_commit");
        let content = changed(&good, |message| message.content_commit = ContentCommit::from_bytes([8; 32]));
        agree("another content commitment", &content, "slot");
    }
    // A sender who breaks the rules throughout.
    let (salt, content) = ([5; 32], letter().to_bytes());
    let commit = content_commit(&salt, &content);
    let plain = plaintext(&salt, &content);
    let good = forged(&plain, commit);
    assert_eq!(ours(&good)["letter"], described(&letter()), "the forger knows the rules");
    let mut marked = plain.clone();
    *marked.last_mut().unwrap() = 1;
    agree("padding that is not zero", &forged(&marked, commit), "padding");
    agree("too much padding", &forged(&[&plain[..], &[0; 64]].concat(), commit), "padding");
    agree("a plaintext without its header", &forged(&plain[..35], commit), "padding");
    let mut long = plain.clone();
    long[32..36].fill(0xff);
    agree("a length beyond the plaintext", &forged(&long, commit), "padding");
    agree("other words than committed", &forged(&plaintext(&salt, b"other"), commit), "content_commit");
    let garbage = [7; 40];
    let committed = content_commit(&salt, &garbage);
    agree("no content", &forged(&plaintext(&salt, &garbage), committed), "content");
}

#[test]
fn a_foreign_program_checks_signatures_and_disclosures() {
    let Some(mut reader) = Reader::start() else { return };
    let case = sealed(Suite::EciesMlKem768, &letter());
    let mut bytes = case.transaction.to_bytes();
    let opened = ours(&case);
    let question = |bytes: &[u8], content: &Value| json!({ "transaction": const_hex::encode(bytes), "salt": opened["salt"], "content": content });
    let shown = reader.ask(&question(&bytes, &opened["content"]));
    assert_eq!(shown, json!({ "id": opened["id"], "letter": opened["letter"] }));
    let other = json!(const_hex::encode(Content::from(Letter::default()).to_bytes()));
    assert_eq!(reader.ask(&question(&bytes, &other)), json!({ "refused": "content_commit" }));
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(reader.ask(&question(&bytes, &opened["content"])), json!({ "refused": "signature" }));
    bytes.push(0);
    assert_eq!(reader.ask(&question(&bytes, &opened["content"])), json!({ "refused": "malformed" }));
}

// -- A third implementation, which can break the rules inside --------------------------------------------

fn plaintext(salt: &[u8; 32], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    let mut plain = [&salt[..], &length, content].concat();
    plain.resize(sealpost_wallet::envelope::padded_length(plain.len()), 0);
    plain
}

fn derive(input: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, input).expand(&info.concat(), &mut key).unwrap();
    key
}

fn encrypt(key: &[u8; 32], nonce: [u8; 24], context: &ContextHash, plain: &[u8]) -> Vec<u8> {
    let payload = AeadPayload { msg: plain, aad: context.as_bytes() };
    XChaCha20Poly1305::new(key.into()).encrypt(&XNonce::from(nonce), payload).unwrap()
}

/// A message of suite 1 to bob with this plaintext and this commitment, and everything else in order.
fn forged(plain: &[u8], content_commit: ContentCommit) -> Case {
    let secret = BundleSecret::generate(3).unwrap();
    let recipient = SlotRecipient::Named { address: bob(), bundle: 3 };
    let context = MessageContext {
        version: TRANSACTION_VERSION,
        chain: ChainId::from_bytes(CHAIN),
        sender: address(&alice()),
        expiry: BlockHeight::new(50),
        suite: Suite::Ecies,
        mode: Mode::Open,
        recipients: vec![recipient],
        content_commit,
    };
    let hash = context.hash();
    let (content_key, share) = ([11; 32], [12; 32]);
    let ecies_share: [u8; 129] =
        ecies::encrypt(&secret.bundle(BlockHeight::new(100)).ecies, &share).unwrap().try_into().unwrap();
    let bound = [b"sealpost/v1/slot-key", &hash.as_bytes()[..], &ecies_share, &encode(&recipient)];
    let slot_key = derive(&share, &bound);
    let wrap = derive(&slot_key, &[b"sealpost/v1/wrap-key"]);
    let slot = Slot {
        recipient,
        ecies_share,
        ml_kem_share: None,
        wrapped_key: encrypt(&wrap, [0; 24], &hash, &content_key).try_into().unwrap(),
        receipt_commit: receipt_commit(&derive(&slot_key, &[b"sealpost/v1/receipt-secret"])),
    };
    let body_key = derive(&content_key, &[b"sealpost/v1/body-key", hash.as_bytes()]);
    let body = Body::new([&[13; 24][..], &encrypt(&body_key, [13; 24], &hash, plain)].concat());
    let message = Message {
        suite: Suite::Ecies,
        mode: Mode::Open,
        slots: vec![slot],
        key_commit: key_commit(&hash, &content_key),
        content_commit,
        body_hash: body.hash(),
        body_length: u32::try_from(body.as_bytes().len()).unwrap(),
    };
    Case { transaction: signed(message), body, slot: 0, secret }
}
