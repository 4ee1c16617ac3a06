//! Transactions and the ladder they climb: [`Transaction`] (words), [`SignedTransaction`] (words and a
//! signature nobody has checked), [`VerifiedTransaction`] (structure, chain, signature and body hold).
//! Whether it may enter a given block is the chain's question: expiry, postage, repetition, receipts.

use crate::address::Address;
use crate::codec::{Decode, DecodeError, Encode, de, decode, enc, encode, error, impl_borrow_decode};
use crate::genesis::Genesis;
use crate::hash::{ChainId, Tag, TransactionId, tagged};
use crate::height::BlockHeight;
use crate::key_bundle::{KeyBundle, ML_KEM_KEY_BYTES, Revoke};
use crate::membership::{Designate, MAX_CLASS_BYTES, MemberChange, ValidatorsChange, is_class};
use crate::merkle::{Node, leaf_hash};
use crate::message::{Body, ML_KEM_CIPHERTEXT_BYTES, Message, Mode, SlotRecipient, Suite};
use crate::postage;
use crate::receipt::Receipt;
use crate::signature::{BadBatch, PublicKey, Signature, Signed, SigningKey, verify_batch};
use crate::validator::{ValidatorSet, ValidatorSetError};
use enc::write::Writer;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use thiserror::Error;

/// The transaction format of this page.
pub const TRANSACTION_VERSION: u16 = 1;
/// No transaction without its body is longer than this, in bytes.
pub const MAX_TRANSACTION_BYTES: usize = 512 * 1024;

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Payload {
    /// Sends a message; the only one with a body beside it.
    Message(Message),
    /// Answers a message.
    Receipt(Receipt),
    /// Publishes encryption keys.
    KeyBundle(KeyBundle),
    /// Withdraws encryption keys.
    Revoke(Revoke),
    /// Says where notices of a class are received.
    Designate(Designate),
    /// Changes the validators.
    Validators(ValidatorsChange),
    /// Changes the members.
    Member(MemberChange),
}

impl Payload {
    /// Its name in RPC, logs and pages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Payload::Message(_) => "message",
            Payload::Receipt(_) => "receipt",
            Payload::KeyBundle(_) => "key_bundle",
            Payload::Revoke(_) => "revoke",
            Payload::Designate(_) => "designate",
            Payload::Validators(_) => "validators",
            Payload::Member(_) => "member",
        }
    }
}

/// A transaction before it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Transaction {
    /// [`TRANSACTION_VERSION`].
    pub version: u16,
    /// The network it is for.
    pub chain: ChainId,
    /// Who signs.
    pub sender: Address,
    /// Last height whose block may contain it.
    pub expiry: BlockHeight,
    /// What it does.
    pub payload: Payload,
    /// Postage work; see [`postage`].
    pub nonce: u64,
}

impl Transaction {
    /// The hash that names the transaction and that its sender signs.
    pub fn id(&self) -> TransactionId {
        id_of(&encode(self))
    }
    /// What postage work is done over: the hash of everything with nonce zero.
    pub fn postage_hash(&self) -> [u8; 32] {
        let mut bytes = encode(self);
        let nonce_at = bytes.len().saturating_sub(8);
        for byte in bytes.iter_mut().skip(nonce_at) {
            *byte = 0;
        }
        tagged(Tag::Postage, &[&bytes])
    }
    /// Bytes that postage is charged for, once it is signed and stands beside a body of that length.
    pub fn charged_bytes(&self, body_length: usize) -> usize {
        encode(self).len().saturating_add(64).saturating_add(body_length)
    }
    /// Signs. See [`SigningKey::sign`] for `aux_rand`.
    ///
    /// # Errors
    /// If `key` is not the sender's.
    pub fn sign(self, key: &SigningKey, aux_rand: &[u8; 32]) -> Result<SignedTransaction, TransactionError> {
        if key.public_key() != *self.sender.key() {
            return Err(TransactionError::Signature);
        }
        let encoded = encode(&self);
        let id = id_of(&encoded);
        let signature = key.sign(id.as_bytes(), aux_rand).map_err(|_| TransactionError::Signature)?;
        Ok(SignedTransaction::join(self, encoded, id, signature))
    }
}

/// The id of a transaction's canonical bytes.
fn id_of(encoded: &[u8]) -> TransactionId {
    TransactionId::from_bytes(tagged(Tag::Transaction, &[encoded]))
}

/// A transaction and a signature that nobody has checked yet. Cloning it copies a reference; it is encoded once,
/// when it is made or read.
#[derive(Debug, Clone)]
pub struct SignedTransaction(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    transaction: Transaction,
    signature: Signature,
    id: TransactionId,
    /// Canonical bytes of both.
    encoded: Box<[u8]>,
    /// Its leaf, from the first time that it is asked for. Proposing, checking and storing a block each need it; 2 of
    /// 100 of the time of a node that catches up, for 40 bytes (`sealpost-bench sync`, perf).
    leaf: OnceLock<Node>,
}

/// Two are the same if their canonical bytes are, since all of a transaction is in them; whether the leaf was asked for is
/// no part of it.
impl PartialEq for SignedTransaction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.encoded == other.0.encoded
    }
}

impl Eq for SignedTransaction {}

impl Encode for SignedTransaction {
    fn encode<E: enc::Encoder>(&self, encoder: &mut E) -> Result<(), error::EncodeError> {
        encoder.writer().write(&self.0.encoded)
    }
}

impl<C> Decode<C> for SignedTransaction {
    fn decode<D: de::Decoder<Context = C>>(decoder: &mut D) -> Result<Self, error::DecodeError> {
        let transaction = Transaction::decode(decoder)?;
        let signature = Signature::decode(decoder)?;
        // Id and bytes are made anew, never taken from what was read.
        Ok(Self::new(transaction, signature))
    }
}

impl_borrow_decode!(SignedTransaction);

impl SignedTransaction {
    /// Joins a transaction with a signature made elsewhere.
    pub fn new(transaction: Transaction, signature: Signature) -> Self {
        let encoded = encode(&transaction);
        let id = id_of(&encoded);
        Self::join(transaction, encoded, id, signature)
    }
    fn join(transaction: Transaction, mut encoded: Vec<u8>, id: TransactionId, signature: Signature) -> Self {
        encoded.reserve_exact(Signature::BYTES);
        encoded.extend_from_slice(signature.as_bytes());
        let encoded = encoded.into_boxed_slice();
        Self(Arc::new(Parts { transaction, signature, id, encoded, leaf: OnceLock::new() }))
    }
    /// Reads a transaction from its canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("transaction", bytes, MAX_TRANSACTION_BYTES)
    }
    /// The name of the transaction whose canonical bytes these are, without reading them: there may be no such
    /// transaction. Nothing if no transaction has so few bytes, or so many.
    pub fn id_in(bytes: &[u8]) -> Option<TransactionId> {
        let (unsigned, _) = bytes.split_last_chunk::<{ Signature::BYTES }>()?;
        (bytes.len() <= MAX_TRANSACTION_BYTES).then(|| id_of(unsigned))
    }
    /// Who signed the transaction whose canonical bytes these are, without reading the rest of them, or so it says.
    pub fn sender_in(bytes: &[u8]) -> Option<Address> {
        // Behind the version and the chain, which have always the same length.
        let behind = bytes.get(size_of::<u16>().saturating_add(size_of::<ChainId>())..)?;
        behind.first_chunk().map(|key| Address::new(PublicKey::from_bytes(*key)))
    }
    /// Its canonical bytes, without a body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.encoded
    }
    /// A copy of its canonical bytes, without a body.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.encoded.to_vec()
    }
    /// Its name.
    pub fn id(&self) -> TransactionId {
        self.0.id
    }
    /// What is signed.
    pub fn transaction(&self) -> &Transaction {
        &self.0.transaction
    }
    /// The signature.
    pub fn signature(&self) -> &Signature {
        &self.0.signature
    }
    /// What it does.
    pub fn payload(&self) -> &Payload {
        &self.0.transaction.payload
    }
    /// Who signed, if the signature holds.
    pub fn sender(&self) -> Address {
        self.0.transaction.sender
    }
    /// The message payload, if it is a message.
    pub fn message(&self) -> Option<&Message> {
        match &self.0.transaction.payload {
            Payload::Message(message) => Some(message),
            _ => None,
        }
    }
    /// Its leaf in the block's Merkle tree: header and signature, not the body.
    pub fn leaf(&self) -> Node {
        *self.0.leaf.get_or_init(|| leaf_hash(&self.0.encoded))
    }
    /// The signature check, to be made alone or in a batch.
    pub fn signed(&self) -> Signed {
        let Parts { transaction, signature, id, .. } = &*self.0;
        Signed { key: *transaction.sender.key(), digest: id.to_bytes(), signature: *signature }
    }
    /// Checks structure, chain, body and signature: everything that does not depend on the chain's state.
    pub fn verify(
        self,
        body: Option<Body>,
        genesis: &Genesis,
    ) -> Result<VerifiedTransaction, TransactionError> {
        let bytes = self.check(body.as_ref(), genesis)?;
        let signed = self.signed();
        signed.key.verify(&signed.digest, &signed.signature).map_err(|_| TransactionError::Signature)?;
        Ok(VerifiedTransaction { transaction: self, body, bytes })
    }
    /// Everything [`verify`](Self::verify) checks but the signature. Returns the bytes it is charged for.
    fn check(&self, body: Option<&Body>, genesis: &Genesis) -> Result<usize, TransactionError> {
        let bytes = self.check_header(genesis)?;
        match self.message() {
            Some(message) => check_body(message, body)?,
            None if body.is_some() => {
                return Err(TransactionError::UnexpectedBody { kind: self.payload().kind() });
            }
            None => {}
        }
        Ok(bytes)
    }
    /// Everything but signature and body. Returns the bytes it is charged for: a message's header says how
    /// long its body is.
    fn check_header(&self, genesis: &Genesis) -> Result<usize, TransactionError> {
        let Transaction { version, chain, payload, .. } = self.transaction();
        if *version != TRANSACTION_VERSION {
            return Err(TransactionError::Version { version: *version });
        }
        if *chain != genesis.chain_id() {
            return Err(TransactionError::OtherChain { found: *chain, expected: genesis.chain_id() });
        }
        match payload {
            Payload::Message(message) => check_message(message, genesis)?,
            Payload::KeyBundle(bundle) => check_bundle(bundle)?,
            Payload::Designate(designate) => check_class(&designate.class)?,
            Payload::Validators(change) => check_validators(change)?,
            Payload::Receipt(_) | Payload::Revoke(_) | Payload::Member(_) => {}
        }
        let header = self.as_bytes().len();
        if header > MAX_TRANSACTION_BYTES {
            return Err(TransactionError::TooLong { length: header });
        }
        let body =
            self.message().map_or(0, |message| usize::try_from(message.body_length).unwrap_or(usize::MAX));
        Ok(header.saturating_add(body))
    }
}

fn check_message(message: &Message, genesis: &Genesis) -> Result<(), TransactionError> {
    let limits = genesis.limits();
    let slots = message.slots.len();
    if slots == 0 || slots > usize::from(limits.slots) {
        return Err(TransactionError::Slots { slots, limit: limits.slots });
    }
    for (number, slot) in message.slots.iter().enumerate() {
        let kem = slot.ml_kem_share.as_ref().map(Vec::len);
        let expected = match message.suite {
            Suite::Ecies => None,
            Suite::EciesMlKem768 => Some(ML_KEM_CIPHERTEXT_BYTES),
        };
        if kem != expected {
            return Err(TransactionError::SlotSuite { slot: number, suite: message.suite.number() });
        }
        let named = matches!(slot.recipient, SlotRecipient::Named { .. });
        if named != (message.mode == Mode::Open) {
            return Err(TransactionError::SlotMode { slot: number });
        }
        let repeated =
            message.slots.iter().take(number).any(|earlier| match (&earlier.recipient, &slot.recipient) {
                (SlotRecipient::Named { address: a, .. }, SlotRecipient::Named { address: b, .. }) => a == b,
                (a, b) => a == b,
            });
        if repeated {
            return Err(TransactionError::RepeatedRecipient { slot: number });
        }
    }
    if message.body_length > limits.body_bytes {
        let length = usize::try_from(message.body_length).unwrap_or(usize::MAX);
        return Err(TransactionError::BodyTooLong { length, limit: limits.body_bytes });
    }
    Ok(())
}

fn check_body(message: &Message, body: Option<&Body>) -> Result<(), TransactionError> {
    let body = body.ok_or(TransactionError::BodyMissing)?;
    let length = body.as_bytes().len();
    if u64::from(message.body_length) != length as u64 || body.hash() != message.body_hash {
        return Err(TransactionError::OtherBody);
    }
    Ok(())
}

fn check_bundle(bundle: &KeyBundle) -> Result<(), TransactionError> {
    if bundle.ml_kem.as_ref().is_some_and(|key| key.len() != ML_KEM_KEY_BYTES) {
        return Err(TransactionError::BundleKey { key: "ml_kem" });
    }
    let (parity, x) = bundle.ecies.split_first().ok_or(TransactionError::BundleKey { key: "ecies" })?;
    let x = <[u8; 32]>::try_from(x).map_err(|_| TransactionError::BundleKey { key: "ecies" })?;
    if !matches!(parity, 2 | 3) || !PublicKey::from_bytes(x).is_on_curve() {
        return Err(TransactionError::BundleKey { key: "ecies" });
    }
    Ok(())
}

fn check_class(class: &str) -> Result<(), TransactionError> {
    if is_class(class) {
        return Ok(());
    }
    Err(TransactionError::Class { class: class.chars().take(MAX_CLASS_BYTES).collect() })
}

/// The list is one of a set, and stands in the one order in which it is approved and hashed. Whether each key is a point
/// on the curve is looked at once the present set has approved: before, the answer would cost its sender nothing.
fn check_validators(change: &ValidatorsChange) -> Result<(), TransactionError> {
    if ValidatorSet::check_cheaply(change.validators.clone())? != change.validators {
        return Err(TransactionError::ValidatorsOrder);
    }
    Ok(())
}

/// A transaction whose structure, chain, body and signature hold. Only [`SignedTransaction::verify`] and
/// [`verify_all`] make one.
#[derive(Debug, Clone)]
pub struct VerifiedTransaction {
    transaction: SignedTransaction,
    body: Option<Body>,
    bytes: usize,
}

impl VerifiedTransaction {
    /// Its name.
    pub fn id(&self) -> TransactionId {
        self.transaction.id()
    }
    /// The signed transaction.
    pub const fn signed(&self) -> &SignedTransaction {
        &self.transaction
    }
    /// Its body, if it is a message.
    pub const fn body(&self) -> Option<&Body> {
        self.body.as_ref()
    }
    /// Header, signature and body, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
    /// Whether its nonce pays for its size at that price.
    pub fn is_paid(&self, price: postage::Price) -> bool {
        let transaction = self.transaction.transaction();
        let work = postage::work(price, self.bytes);
        work <= 1 || postage::is_paid(&transaction.postage_hash(), transaction.nonce, work)
    }
    /// The highest price at which its nonce pays for its size.
    pub fn pays_up_to(&self) -> postage::Price {
        let transaction = self.transaction.transaction();
        postage::pays_up_to(&transaction.postage_hash(), transaction.nonce, self.bytes)
    }
}

/// Verifies many transactions, their signatures in batches over all cores. On failure names the first
/// bad one.
pub fn verify_all(
    transactions: Vec<(SignedTransaction, Option<Body>)>,
    genesis: &Genesis,
) -> Result<Vec<VerifiedTransaction>, (usize, TransactionError)> {
    verify_all_knowing(transactions, genesis, &Known::new())
}

/// Transactions that were verified before, by their ids.
pub type Known = HashMap<TransactionId, VerifiedTransaction>;

/// As [`verify_all`], but for those that were verified before on the same chain and are the same to the last byte,
/// signature and body included: they hold still.
pub fn verify_all_knowing(
    transactions: Vec<(SignedTransaction, Option<Body>)>,
    genesis: &Genesis,
    known: &Known,
) -> Result<Vec<VerifiedTransaction>, (usize, TransactionError)> {
    let checked = check_all(transactions, genesis, known).into_iter().enumerate();
    let checked = checked
        .map(|(number, checked)| checked.map_err(|error| (number, error)))
        .collect::<Result<Vec<_>, _>>()?;
    verify_signatures(unknown(checked.iter().enumerate()).collect())?;
    Ok(checked.into_iter().map(|checked| checked.transaction).collect())
}

/// Verifies transactions that have nothing to do with one another, as [`verify_all_knowing`] does, and says of each what
/// became of it, in order. A few bad signatures among many cost little more than none.
pub fn verify_each(
    transactions: Vec<(SignedTransaction, Option<Body>)>,
    genesis: &Genesis,
    known: &Known,
) -> Vec<Result<VerifiedTransaction, TransactionError>> {
    use rayon::prelude::*;
    let checked = check_all(transactions, genesis, known);
    let formed = checked.iter().enumerate().filter_map(|(n, checked)| Some((n, checked.as_ref().ok()?)));
    let unknown: Vec<_> = unknown(formed).collect();
    let bad: HashSet<usize> = unknown.par_chunks(batch_size(unknown.len())).flat_map_iter(all_bad).collect();
    let each = checked.into_iter().enumerate();
    each.map(|(number, checked)| match bad.contains(&number) {
        true => Err(TransactionError::Signature),
        false => checked.map(|checked| checked.transaction),
    })
    .collect()
}

/// A transaction whose signature alone is open, unless it was verified before.
struct CheckedTransaction {
    transaction: VerifiedTransaction,
    is_known: bool,
}

/// Checks everything but signatures, on all cores, in the order that was given: which fault is named must not depend on
/// which core was faster.
fn check_all(
    transactions: Vec<(SignedTransaction, Option<Body>)>,
    genesis: &Genesis,
    known: &Known,
) -> Vec<Result<CheckedTransaction, TransactionError>> {
    use rayon::prelude::*;
    let check = |(transaction, body): (SignedTransaction, Option<Body>)| {
        // An id does not name the signature, nor does it prove that a body is the right one.
        let same = |known: &&VerifiedTransaction| {
            known.transaction == transaction
                && known.body == body
                && transaction.transaction().chain == genesis.chain_id()
        };
        if let Some(known) = known.get(&transaction.id()).filter(same) {
            return Ok(CheckedTransaction { transaction: known.clone(), is_known: true });
        }
        let bytes = transaction.check(body.as_ref(), genesis)?;
        let transaction = VerifiedTransaction { transaction, body, bytes };
        Ok(CheckedTransaction { transaction, is_known: false })
    };
    transactions.into_par_iter().with_min_len(SMALLEST_SHARE).map(check).collect()
}

/// Those whose signature is to be checked.
fn unknown<'a>(
    checked: impl Iterator<Item = (usize, &'a CheckedTransaction)>,
) -> impl Iterator<Item = (usize, &'a VerifiedTransaction)> {
    checked.filter(|(_, checked)| !checked.is_known).map(|(number, checked)| (number, &checked.transaction))
}

/// Verifies the transactions of a final block whose bodies are not kept any more: its certificate vouches
/// for those. For the chain's own use: anywhere else a verified message has its body.
pub(crate) fn verify_headers(
    transactions: Vec<SignedTransaction>,
    genesis: &Genesis,
) -> Result<Vec<VerifiedTransaction>, (usize, TransactionError)> {
    let checked = transactions.into_iter().enumerate().map(|(index, transaction)| {
        let bytes = transaction.check_header(genesis).map_err(|e| (index, e))?;
        Ok(VerifiedTransaction { transaction, body: None, bytes })
    });
    let checked = checked.collect::<Result<Vec<_>, _>>()?;
    verify_signatures(checked.iter().enumerate().collect())?;
    Ok(checked)
}

/// Checks signatures, each of a transaction with its number. Names the first bad one.
fn verify_signatures(checked: Vec<(usize, &VerifiedTransaction)>) -> Result<(), (usize, TransactionError)> {
    use rayon::prelude::*;
    let bad = checked
        .par_chunks(batch_size(checked.len()))
        .find_map_first(|members| first_bad(members).map(|(number, _)| number));
    bad.map_or(Ok(()), |number| Err((number, TransactionError::Signature)))
}

/// The numbers of all whose signature is none.
fn all_bad(members: &[(usize, &VerifiedTransaction)]) -> Vec<usize> {
    let (mut bad, mut rest) = (Vec::new(), members);
    // The first bad one is named, and all before it are good: what follows it is a batch of its own.
    while bad.len() < MOST_BATCHES {
        let Some((number, place)) = first_bad(rest) else { return bad };
        bad.push(number);
        rest = rest.get(place.saturating_add(1)..).unwrap_or_default();
    }
    bad.extend(rest.iter().filter_map(|one| first_bad(std::slice::from_ref(one))).map(|(number, _)| number));
    bad
}

/// The first whose signature is none: its number, and its place.
fn first_bad(members: &[(usize, &VerifiedTransaction)]) -> Option<(usize, usize)> {
    let batch: Vec<Signed> = members.iter().map(|(_, t)| t.transaction.signed()).collect();
    let BadBatch { index } = verify_batch(&batch).err()?;
    members.get(index).map(|(number, _)| (*number, index))
}

/// Into how large batches so many signatures go.
fn batch_size(count: usize) -> usize {
    count.div_ceil(rayon::current_num_threads()).clamp(SMALLEST_BATCH, LARGEST_BATCH)
}

/// Transactions whose other checks are worth another core: fewer are checked in less time than that needs to wake up.
const SMALLEST_SHARE: usize = 64;
/// Signatures checked together: the more, the less each costs, but no core is to be idle.
const SMALLEST_BATCH: usize = 64;
const LARGEST_BATCH: usize = 1_024;
/// Bad signatures of a batch from which on the rest of it is checked one by one: a batch costs a third of that, if there
/// is none in it.
const MOST_BATCHES: usize = 4;

/// Why a transaction is refused, whatever the chain's state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum TransactionError {
    #[error("version {version} is unknown, this network speaks version {TRANSACTION_VERSION}")]
    Version { version: u16 },
    #[error("chain: the transaction is for chain {found}, this is {expected}")]
    OtherChain { found: ChainId, expected: ChainId },
    #[error("slots: {slots} given, 1 to {limit} are allowed (genesis: limits.slots)")]
    Slots { slots: usize, limit: u16 },
    #[error("slot {slot}: its ML-KEM ciphertext does not fit suite {suite}")]
    SlotSuite { slot: usize, suite: u8 },
    #[error("slot {slot}: open messages name their recipients, sealed ones hide them")]
    SlotMode { slot: usize },
    #[error("slot {slot}: its recipient already has a slot")]
    RepeatedRecipient { slot: usize },
    #[error("body: missing; a message is submitted together with its body")]
    BodyMissing,
    #[error("body: {length} bytes, the limit is {limit} (genesis: limits.body_bytes)")]
    BodyTooLong { length: usize, limit: u32 },
    #[error("body: its length or hash is not the one in the header")]
    OtherBody,
    #[error("body: a {kind} has none")]
    UnexpectedBody { kind: &'static str },
    #[error("key bundle: {key} is not a key of its kind")]
    BundleKey { key: &'static str },
    #[error("class: {class:?} is none; 1 to {MAX_CLASS_BYTES} of a-z, 0-9, dot and hyphen are one")]
    Class { class: String },
    #[error(transparent)]
    Validators(#[from] ValidatorSetError),
    #[error("validators: they are not ordered by key")]
    ValidatorsOrder,
    #[error("transaction: {length} bytes without body, the limit is {MAX_TRANSACTION_BYTES}")]
    TooLong { length: usize },
    #[error("signature: it does not match the sender and the transaction")]
    Signature,
}

impl TransactionError {
    /// The stable code of the refusal, the same in RPC, REST and commands.
    pub const fn code(&self) -> &'static str {
        match self {
            TransactionError::Version { .. } => "tx.version",
            TransactionError::OtherChain { .. } => "tx.other_chain",
            TransactionError::Slots { .. } => "tx.slots",
            TransactionError::SlotSuite { .. } | TransactionError::SlotMode { .. } => "tx.slot",
            TransactionError::RepeatedRecipient { .. } => "tx.repeated_recipient",
            TransactionError::BodyMissing => "tx.body_missing",
            TransactionError::BodyTooLong { .. } => "tx.body_too_long",
            TransactionError::OtherBody => "tx.other_body",
            TransactionError::UnexpectedBody { .. } => "tx.unexpected_body",
            TransactionError::BundleKey { .. } => "tx.bundle_key",
            TransactionError::Class { .. } => "tx.class",
            TransactionError::Validators(_) | TransactionError::ValidatorsOrder => "tx.validators",
            TransactionError::TooLong { .. } => "tx.too_long",
            TransactionError::Signature => "tx.signature",
        }
    }
}

#[cfg(test)]
mod tests;
