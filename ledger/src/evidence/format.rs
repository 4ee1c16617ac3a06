//! The evidence file as text: JSON with its fields in a fixed order, indented by two spaces, ended by one
//! line feed. Canonical bytes stand in base64url without padding, hashes in hexadecimal.
//!
//! A file is accepted only if writing what was read gives the same bytes again, so there is one spelling
//! of each evidence and no room for anything unchecked: no spaces, comments or second fields.

use super::{
    CertifiedHeader, Disclosure, Evidence, NewestBundle, ProvenAbsence, ProvenBundle, ProvenTransaction,
    ProvenValidators,
};
use crate::author::AuthorBlock;
use crate::block::Header;
use crate::certificate::CommitCertificate;
use crate::codec::{DecodeError, decode, encode};
use crate::hash::{ChainId, parse_hex32};
use crate::height::BlockHeight;
use crate::merkle::Node;
use crate::message::Body;
use crate::signature::PublicKey;
use crate::state::{BundleRecord, StateProof};
use crate::transaction::SignedTransaction;
use crate::validator::{Validator, ValidatorSet, ValidatorSetError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use thiserror::Error;

/// The evidence format of this page.
pub const EVIDENCE_FORMAT: &str = "sealpost-evidence/1";
/// An evidence file is no longer than this, in bytes (32 MiB).
pub const MAX_EVIDENCE_BYTES: usize = 32 * 1024 * 1024;
/// A bundle record is no longer than this, in bytes.
const MAX_RECORD_BYTES: usize = 4 * 1024;

/// Why a file is not an evidence file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotEvidence {
    /// Too long to be one.
    #[error("not an evidence file: {length} bytes, the limit is {MAX_EVIDENCE_BYTES}")]
    TooLong {
        /// Bytes given.
        length: usize,
    },
    /// Not JSON of the right shape; the reason names line, column and field.
    #[error("not an evidence file: {reason}")]
    Json {
        /// What the parser met.
        reason: String,
    },
    /// Another format, or a later version of this one.
    #[error("not an evidence file: its format is {found:?}, this program reads {EVIDENCE_FORMAT:?}")]
    Format {
        /// The format it names, shortened.
        found: String,
    },
    /// A field's bytes are not a value of its kind.
    #[error("not an evidence file: {field}: {source}")]
    Field {
        /// The field, as a path.
        field: String,
        /// Why.
        source: DecodeError,
    },
    /// Listed validators do not form a set.
    #[error("not an evidence file: {field}: {source}")]
    Validators {
        /// The field, as a path.
        field: String,
        /// Why.
        source: ValidatorSetError,
    },
    /// The right content in another spelling.
    #[error(
        "not an evidence file: it is not in its canonical spelling (byte {at} differs); \
         take the file as it was written"
    )]
    Spelling {
        /// The first byte that differs.
        at: usize,
    },
}

impl NotEvidence {
    /// The stable code of the cause.
    pub const fn code(&self) -> &'static str {
        match self {
            NotEvidence::TooLong { .. } => "evidence.too_long",
            NotEvidence::Json { .. } => "evidence.json",
            NotEvidence::Format { .. } => "evidence.format",
            NotEvidence::Field { .. } | NotEvidence::Validators { .. } => "evidence.field",
            NotEvidence::Spelling { .. } => "evidence.spelling",
        }
    }
}

impl Evidence {
    /// Reads a file. Says nothing yet about whether it holds; that is [`Evidence::check`].
    pub fn from_json(json: &[u8]) -> Result<Self, NotEvidence> {
        if json.len() > MAX_EVIDENCE_BYTES {
            return Err(NotEvidence::TooLong { length: json.len() });
        }
        let Object(file) = serde_json::from_slice::<Object<File>>(json)
            .map_err(|e| NotEvidence::Json { reason: e.to_string() })?;
        if file.format != EVIDENCE_FORMAT {
            return Err(NotEvidence::Format { found: file.format.chars().take(64).collect() });
        }
        let evidence = file.read()?;
        let canonical = evidence.to_json();
        if canonical.as_bytes() != json {
            let same = canonical.bytes().zip(json).take_while(|(a, b)| a == *b).count();
            return Err(NotEvidence::Spelling { at: same });
        }
        Ok(evidence)
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        // Plain strings and numbers: writing them cannot fail.
        let mut text = serde_json::to_string_pretty(&File::of(self)).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// The fields in the order in which they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    chain: ChainId,
    #[serde(deserialize_with = "objects")]
    blocks: Vec<BlockEntry>,
    #[serde(deserialize_with = "objects")]
    validator_changes: Vec<ValidatorsEntry>,
    #[serde(deserialize_with = "object")]
    message: TransactionEntry,
    #[serde(deserialize_with = "objects")]
    receipts: Vec<TransactionEntry>,
    #[serde(deserialize_with = "objects")]
    keys: Vec<KeyEntry>,
    #[serde(deserialize_with = "objects")]
    absences: Vec<AbsenceEntry>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    body: Option<Base64>,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "optional_object")]
    disclosure: Option<DisclosureEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockEntry {
    header: Base64,
    certificate: Base64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidatorsEntry {
    block: BlockHeight,
    #[serde(deserialize_with = "objects")]
    validators: Vec<ValidatorEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidatorEntry {
    public_key: PublicKey,
    power: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TransactionEntry {
    block: BlockHeight,
    index: u32,
    path: Vec<Hex32>,
    transaction: Base64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    slot: u16,
    block: BlockHeight,
    record: Base64,
    proof: Base64,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "optional_object")]
    newest: Option<NewestEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewestEntry {
    record: Base64,
    proof: Base64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AbsenceEntry {
    slot: u16,
    block: BlockHeight,
    proof: Base64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DisclosureEntry {
    salt: Hex32,
    content: Base64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<Base64>,
}

/// Fields with their names. serde takes a list of them without names for the same; the format does not know it, and a
/// person who reads it could not tell what is what.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Named<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Named<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        d.deserialize_map(Named(PhantomData)).map(Self)
    }
}

fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Object::deserialize(d).map(|Object(value)| value)
}

fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(d).map(|found| found.map(|Object(value)| value))
}

fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    let entries = Vec::<Object<T>>::deserialize(d)?;
    Ok(entries.into_iter().map(|Object(value)| value).collect())
}

/// Bytes, written as base64url without padding (RFC 4648, section 5).
struct Base64(Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let reason = |e| D::Error::custom(format!("expected base64url without padding: {e}"));
        URL_SAFE_NO_PAD.decode(text).map(Self).map_err(reason)
    }
}

/// 32 bytes, written in hexadecimal.
struct Hex32([u8; 32]);

impl Serialize for Hex32 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&const_hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Hex32 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        parse_hex32("node or salt", &text).map(Self).map_err(D::Error::custom)
    }
}

impl File {
    fn of(evidence: &Evidence) -> Self {
        Self {
            format: EVIDENCE_FORMAT.to_owned(),
            chain: evidence.chain,
            blocks: evidence.blocks.iter().map(BlockEntry::of).collect(),
            validator_changes: evidence.validator_changes.iter().map(ValidatorsEntry::of).collect(),
            message: TransactionEntry::of(&evidence.message),
            receipts: evidence.receipts.iter().map(TransactionEntry::of).collect(),
            keys: evidence.keys.iter().map(KeyEntry::of).collect(),
            absences: evidence.absences.iter().map(AbsenceEntry::of).collect(),
            body: evidence.body.as_ref().map(|body| Base64(body.as_bytes().to_vec())),
            disclosure: evidence.disclosure.as_ref().map(DisclosureEntry::of),
        }
    }

    fn read(self) -> Result<Evidence, NotEvidence> {
        Ok(Evidence {
            chain: self.chain,
            blocks: each("blocks", self.blocks, BlockEntry::read)?,
            validator_changes: each("validator_changes", self.validator_changes, ValidatorsEntry::read)?,
            message: self.message.read("message")?,
            receipts: each("receipts", self.receipts, TransactionEntry::read)?,
            keys: each("keys", self.keys, KeyEntry::read)?,
            absences: each("absences", self.absences, AbsenceEntry::read)?,
            body: self.body.map(|bytes| Body::new(bytes.0)),
            disclosure: self.disclosure.map(DisclosureEntry::read).transpose()?,
        })
    }
}

/// Reads the entries of a list, each under its path.
fn each<E, T>(
    field: &str,
    entries: Vec<E>,
    read: impl Fn(E, &str) -> Result<T, NotEvidence>,
) -> Result<Vec<T>, NotEvidence> {
    entries.into_iter().enumerate().map(|(index, entry)| read(entry, &format!("{field}[{index}]"))).collect()
}

fn at<T>(place: &str, field: &str, value: Result<T, DecodeError>) -> Result<T, NotEvidence> {
    value.map_err(|source| NotEvidence::Field { field: format!("{place}.{field}"), source })
}

impl BlockEntry {
    fn of(block: &CertifiedHeader) -> Self {
        Self { header: Base64(encode(&block.header)), certificate: Base64(block.certificate.to_bytes()) }
    }
    fn read(self, place: &str) -> Result<CertifiedHeader, NotEvidence> {
        let header = at(place, "header", Header::from_bytes(&self.header.0))?;
        let certificate = at(place, "certificate", CommitCertificate::from_bytes(&self.certificate.0))?;
        Ok(CertifiedHeader { header, certificate })
    }
}

impl ValidatorsEntry {
    fn of(change: &ProvenValidators) -> Self {
        let validators = change.validators.validators().iter();
        let validators = validators.map(|v| ValidatorEntry { public_key: v.key, power: v.power });
        Self { block: change.block, validators: validators.collect() }
    }
    fn read(self, place: &str) -> Result<ProvenValidators, NotEvidence> {
        let validators = self.validators.into_iter();
        let validators = validators.map(|v| Validator { key: v.public_key, power: v.power }).collect();
        let validators = ValidatorSet::new(validators)
            .map_err(|source| NotEvidence::Validators { field: format!("{place}.validators"), source })?;
        Ok(ProvenValidators { block: self.block, validators })
    }
}

impl TransactionEntry {
    fn of(proven: &ProvenTransaction) -> Self {
        Self {
            block: proven.block,
            index: proven.index,
            path: proven.path.iter().copied().map(Hex32).collect(),
            transaction: Base64(proven.transaction.to_bytes()),
        }
    }
    fn read(self, place: &str) -> Result<ProvenTransaction, NotEvidence> {
        let transaction = at(place, "transaction", SignedTransaction::from_bytes(&self.transaction.0))?;
        let path: Vec<Node> = self.path.into_iter().map(|node| node.0).collect();
        Ok(ProvenTransaction { block: self.block, index: self.index, path, transaction })
    }
}

impl KeyEntry {
    fn of(key: &ProvenBundle) -> Self {
        let spell =
            |record: &BundleRecord, proof: &StateProof| (Base64(encode(record)), Base64(proof.to_bytes()));
        let newest = key.newest.as_ref().map(|newest| {
            let (record, proof) = spell(&newest.record, &newest.proof);
            NewestEntry { record, proof }
        });
        let (record, proof) = spell(&key.record, &key.proof);
        Self { slot: key.slot, block: key.block, record, proof, newest }
    }
    fn read(self, place: &str) -> Result<ProvenBundle, NotEvidence> {
        let read =
            |place: &str, record: Base64, proof: Base64| -> Result<(BundleRecord, StateProof), NotEvidence> {
                let record = at(place, "record", decode("bundle record", &record.0, MAX_RECORD_BYTES))?;
                Ok((record, at(place, "proof", StateProof::from_bytes(&proof.0))?))
            };
        let newest = self.newest.map(|newest| {
            let (record, proof) = read(&format!("{place}.newest"), newest.record, newest.proof)?;
            Ok(NewestBundle { record, proof })
        });
        let (record, proof) = read(place, self.record, self.proof)?;
        Ok(ProvenBundle { slot: self.slot, block: self.block, record, proof, newest: newest.transpose()? })
    }
}

impl AbsenceEntry {
    fn of(absence: &ProvenAbsence) -> Self {
        Self { slot: absence.slot, block: absence.block, proof: Base64(absence.proof.to_bytes()) }
    }
    fn read(self, place: &str) -> Result<ProvenAbsence, NotEvidence> {
        let proof = at(place, "proof", StateProof::from_bytes(&self.proof.0))?;
        Ok(ProvenAbsence { slot: self.slot, block: self.block, proof })
    }
}

impl DisclosureEntry {
    fn of(disclosure: &Disclosure) -> Self {
        Self {
            salt: Hex32(disclosure.salt),
            content: Base64(disclosure.content.clone()),
            author: disclosure.author.as_ref().map(|author| Base64(author.to_bytes())),
        }
    }
    fn read(self) -> Result<Disclosure, NotEvidence> {
        let author = self.author.map(|bytes| AuthorBlock::from_bytes(&bytes.0)).transpose();
        let author = at("disclosure", "author", author)?;
        Ok(Disclosure { salt: self.salt.0, content: self.content.0, author })
    }
}
