//! What the fuzzer tries of envelopes: contents, plaintexts, and whole messages with anything changed in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::content::{from_plaintext, to_plaintext};
use super::{
    Attachment, BundleSecret, Content, Data, Letter, Part, Parts, Recipient, SealRequest, open, open_sealed,
    padded_length, seal, slot_for,
};
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::{MAX_BYTES, decode, encode};
use sealpost_ledger::fuzzing::{Script, Target};
use sealpost_ledger::hash::{ChainId, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Message};
use sealpost_ledger::receipt::{Answer, Receipt, RefusalReason};
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, TRANSACTION_VERSION, Transaction};

/// What is tried.
pub(crate) fn targets() -> Vec<Target> {
    let [with_names, hidden] = [false, true].map(Letters::write);
    vec![
        Target::decoder(
            "content",
            || contents().iter().map(Content::to_bytes).collect(),
            |bytes| Content::from_bytes(bytes).ok().map(|content| content.to_bytes()),
        ),
        Target::new("plaintext", plaintexts, plaintext),
        Target::new("envelope", changes, move |input| with_names.change(&mut Script::new(input))),
        Target::new("sealed_envelope", changes, move |input| hidden.change(&mut Script::new(input))),
    ]
}

fn contents() -> Vec<Content> {
    let message = TransactionId::from_bytes([3; 32]);
    let parts = Parts { length: 7000, sha256: [4; 32], messages: vec![message] };
    let attachments = vec![
        Attachment { name: "plan.pdf".into(), data: Data::Whole(vec![7; 30]) },
        Attachment { name: "film".into(), data: Data::Parts(parts.clone()) },
    ];
    let answers = [Answer::Opened { secret: [5; 32] }, Answer::Refused { reason: RefusalReason::Unwanted }]
        .map(|answer| Receipt { message, slot: 1, answer });
    let letter = Letter {
        subject: "Lift".into(),
        text: "The lift is out of service ☃".into(),
        reply_to: Some(message),
        continued: Some(parts),
        answers: answers.to_vec(),
        attachments,
    };
    let plain = Letter { text: "Meet me at noon".into(), ..Letter::default() };
    vec![letter.into(), plain.into(), Content::Part(Part { parcel: [6; 16], number: 2, bytes: vec![8; 20] })]
}

/// The first byte is the length of the author block.
fn plaintext(input: &[u8]) -> bool {
    let Some((author, plaintext)) = input.split_first() else { return false };
    let Ok(plain) = from_plaintext(plaintext, usize::from(*author)) else { return false };
    assert_eq!(plain.author.len(), usize::from(*author));
    assert_eq!(plaintext.len(), padded_length(36 + plain.content.len() + plain.author.len()));
    assert_eq!(*to_plaintext(&plain.salt, plain.content, plain.author), plaintext);
    true
}

fn plaintexts() -> Vec<Vec<u8>> {
    let contents = contents();
    let one = |(content, author): (&Content, u8)| {
        let plaintext = to_plaintext(&[9; 32], &content.to_bytes(), &vec![1; author.into()]);
        [&[author], plaintext.as_slice()].concat()
    };
    contents.iter().zip([0, 0, 136]).map(one).collect()
}

/// A message to two people, from the side of the first.
struct Letters {
    transaction: Transaction,
    body: Body,
    content: Content,
    reader: Address,
    secrets: Vec<BundleSecret>,
    sealed: bool,
}

/// Keys that are the same each time.
fn secret(seed: u8) -> BundleSecret {
    let (ecies, ml_kem) = (const_hex::encode([seed; 32]), const_hex::encode([seed; 64]));
    let json = serde_json::json!({ "sequence": 3, "ecies": ecies, "ml_kem_seed": ml_kem });
    serde_json::from_value(json).unwrap()
}

impl Letters {
    fn write(sealed: bool) -> Self {
        let [key, one_time, bob, carol] =
            [1, 9, 2, 3].map(|seed| SigningKey::from_bytes(&[seed; 32]).unwrap());
        let [alice, nobody, reader, other] =
            [&key, &one_time, &bob, &carol].map(|key| Address::new(key.public_key()));
        let recipients = [(reader, 2), (other, 3)].map(|(address, seed)| {
            let mut bundle = secret(seed).bundle(BlockHeight::new(100));
            if !sealed {
                bundle.ml_kem = None;
            }
            Recipient { address, bundle }
        });
        let content = contents().remove(0);
        let (chain, expiry) = (ChainId::from_bytes([4; 32]), BlockHeight::new(50));
        let (sender, author) = if sealed { (nobody, Some(&key)) } else { (alice, None) };
        let request = SealRequest {
            chain,
            sender,
            author,
            expiry,
            recipients: &recipients,
            content: &content,
            body_limit: 65_536,
        };
        let made = seal(&request).unwrap();
        let payload = Payload::Message(made.message);
        let transaction =
            Transaction { version: TRANSACTION_VERSION, chain, sender, expiry, payload, nonce: 0 };
        let secrets = vec![secret(2)];
        Self { transaction, body: made.body, content, reader, secrets, sealed }
    }
    /// Changes something and opens it. What opens says what was written, by whom, to whom, whole.
    fn change(&self, script: &mut Script<'_>) -> bool {
        let (mut transaction, mut body) = (self.transaction.clone(), self.body.as_bytes().to_vec());
        let mut slot = 0;
        while !script.is_over() {
            match script.byte() % 8 {
                0 => script.edit(&mut body),
                1 => slot = u16::from(script.byte()),
                2 => transaction.expiry = BlockHeight::new(script.byte().into()),
                3 => transaction.nonce = script.byte().into(),
                4 => transaction.chain = ChainId::from_bytes([script.byte(); 32]),
                5 => transaction.version = script.byte().into(),
                _ => {
                    let mut bytes = encode(&transaction.payload);
                    script.edit(&mut bytes);
                    if let Ok(payload) = decode("payload", &bytes, MAX_BYTES) {
                        transaction.payload = payload;
                    }
                }
            }
        }
        let body = Body::new(body);
        // The body's hash is nothing that a fuzzer guesses; a liar would set it right.
        if let Payload::Message(message) = &mut transaction.payload {
            message.body_hash = body.hash();
        }
        let opened = match self.sealed {
            false => open(&transaction, &body, slot, &self.secrets),
            true => {
                drop(slot_for(&transaction, &self.secrets));
                open_sealed(&transaction, &body, &self.reader, &self.secrets)
            }
        };
        let Ok((content, opened)) = opened else { return false };
        let (Some(was), Some(is)) = (message(&self.transaction), message(&transaction)) else {
            unreachable!("what opens is a message")
        };
        assert_eq!((&content, opened.content_bytes), (&self.content, self.content.to_bytes()));
        assert_eq!((is.key_commit, is.content_commit), (was.key_commit, was.content_commit));
        assert_eq!(is.slots.get(usize::from(opened.slot)), was.slots.first(), "the slot");
        assert_eq!(opened.author.is_some(), self.sealed);
        let context = |one: &Transaction| (one.version, one.chain, one.sender, one.expiry);
        assert_eq!(context(&transaction), context(&self.transaction));
        assert_eq!(is.body_hash, self.body.hash(), "the body");
        true
    }
}

fn message(transaction: &Transaction) -> Option<&Message> {
    match &transaction.payload {
        Payload::Message(message) => Some(message),
        _ => None,
    }
}

fn changes() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![3, 7],
        vec![0, 9, 0, 4, 1, 255],
        vec![1, 1],
        vec![2, 9],
        vec![4, 9],
        vec![5, 9],
        vec![6, 60, 0, 4, 2, 1, 2],
        vec![6, 90, 1, 2, 2, 1, 2],
        vec![6, 12, 0, 3, 2],
    ]
}
