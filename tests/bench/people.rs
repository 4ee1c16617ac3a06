//! Messages among a few thousand people, signed for real. What they leave out is encryption, whose output looks
//! random anyway.

use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{ChainId, ContentCommit, KeyCommit};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::message::{Body, Message, Mode, Slot, SlotRecipient, Suite};
use sealpost_ledger::postage::{Price, is_paid, work};
use sealpost_ledger::receipt::{Answer, Receipt, receipt_commit};
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};
use std::ops::Range;

/// People on a ledger, unless told otherwise. Each sends and receives.
pub(crate) const PEOPLE: u64 = 4_096;
/// What a slot's recipient reveals in a receipt.
const RECEIPT_SECRET: [u8; 32] = [9; 32];

/// A transaction, with its body if it is a message.
pub(crate) type WithBody = (SignedTransaction, Option<Body>);

/// Who writes to whom on a chain.
pub(crate) struct People {
    chain: ChainId,
    keys: Vec<SigningKey>,
    addresses: Vec<Address>,
    /// What their messages pay.
    price: Price,
}

impl People {
    pub(crate) fn new(genesis: &Genesis, count: u64) -> Self {
        Self::of(genesis, 0..count)
    }
    /// Certain people: each has a number, and the same keys whenever it is named.
    pub(crate) fn of(genesis: &Genesis, people: Range<u64>) -> Self {
        let keys: Vec<_> = people.map(person).collect();
        let addresses = keys.iter().map(|key| Address::new(key.public_key())).collect();
        Self { chain: genesis.chain_id(), keys, addresses, price: 0 }
    }
    /// The same people, whose messages and receipts pay up to that price.
    pub(crate) fn paying(self, price: Price) -> Self {
        Self { price, ..self }
    }
    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }
    fn count(&self) -> u64 {
        self.addresses.len() as u64
    }
    fn recipient(&self, message: u64) -> u64 {
        (message / self.count() + message * 7 + 1) % self.count()
    }
    fn sign(&self, sender: u64, payload: Payload, body: usize, expiry: BlockHeight) -> SignedTransaction {
        let (key, sender) = (&self.keys[sender as usize], self.addresses[sender as usize]);
        let (version, chain) = (TRANSACTION_VERSION, self.chain);
        let mut transaction = Transaction { version, chain, sender, expiry, payload, nonce: 0 };
        let work = work(self.price, transaction.charged_bytes(body));
        if work > 1 {
            let hash = transaction.postage_hash();
            transaction.nonce = (0..).find(|nonce| is_paid(&hash, *nonce, work)).expect("a nonce that pays");
        }
        transaction.sign(key, &[0; 32]).expect("signed")
    }
    /// A person's first keys. Any point on the curve is one; nobody opens these messages.
    pub(crate) fn bundle(&self, person: u64, expiry: BlockHeight) -> WithBody {
        let mut ecies = [2; 33];
        ecies[1..].copy_from_slice(self.addresses[person as usize].key().as_bytes());
        let valid_until = BlockHeight::new(1_000_000_000);
        let bundle = KeyBundle { sequence: 1, ecies, ml_kem: None, valid_until };
        (self.sign(person, Payload::KeyBundle(bundle), 0, expiry), None)
    }
    /// A message, by its number.
    pub(crate) fn message(&self, number: u64, body_bytes: usize, expiry: BlockHeight) -> WithBody {
        let body: Vec<u8> = number.to_le_bytes().into_iter().cycle().take(body_bytes).collect();
        let body = Body::new(body);
        let address = self.addresses[self.recipient(number) as usize];
        let slot = Slot {
            recipient: SlotRecipient::Named { address, bundle: 1 },
            ecies_share: [1; _],
            ml_kem_share: None,
            wrapped_key: [2; _],
            receipt_commit: receipt_commit(&RECEIPT_SECRET),
        };
        let message = Message {
            suite: Suite::Ecies,
            mode: Mode::Open,
            slots: vec![slot],
            key_commit: KeyCommit::from_bytes([4; 32]),
            content_commit: ContentCommit::from_bytes([5; 32]),
            body_hash: body.hash(),
            body_length: u32::try_from(body_bytes).expect("a short body"),
        };
        let sender = number % self.count();
        (self.sign(sender, Payload::Message(message), body_bytes, expiry), Some(body))
    }
    /// The answer of its recipient to a message.
    pub(crate) fn receipt(&self, number: u64, message: &SignedTransaction, expiry: BlockHeight) -> WithBody {
        let answer = Answer::Opened { secret: RECEIPT_SECRET };
        let receipt = Receipt { message: message.id(), slot: 0, answer };
        (self.sign(self.recipient(number), Payload::Receipt(receipt), 0, expiry), None)
    }
}

fn person(number: u64) -> SigningKey {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(number + 1).to_le_bytes());
    SigningKey::from_bytes(&secret).expect("a key")
}
