//! The payloads of the journal's records: parts with their lengths in front, so that one transaction or
//! one body can be read without the rest of its block.

use sealpost_ledger::block::{Block, Header};
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::codec::{DecodeError, MAX_BYTES, decode, encode};
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::SignedTransaction;

/// Where the parts of a record lie in its payload: start and length of each.
pub(super) type Parts = Vec<(u32, u32)>;

/// A block's record without bodies.
#[derive(Debug, Clone)]
pub(super) struct BlockRecord {
    pub(super) header: Header,
    pub(super) certificate: CommitCertificate,
    pub(super) transactions: Vec<SignedTransaction>,
}

/// The payload of a block record: header and certificate, then each transaction.
pub(super) fn encode_block(block: &Block, certificate: &CommitCertificate) -> (Vec<u8>, Parts) {
    let first = encode(&(block.header().clone(), certificate.clone()));
    let transactions = block.transactions().iter().map(SignedTransaction::as_bytes);
    join(&std::iter::once(first.as_slice()).chain(transactions).collect::<Vec<_>>())
}

/// Where the bodies of a block's messages lie in their record. The headers say their lengths, so nobody
/// needs the bodies for it.
pub(super) fn body_parts(transactions: &[SignedTransaction]) -> Parts {
    let lengths = transactions.iter().filter_map(SignedTransaction::message).map(|m| m.body_length);
    let lengths: Vec<_> = lengths.collect();
    let count = u32::try_from(lengths.len()).unwrap_or(u32::MAX);
    let mut start = count.saturating_mul(4).saturating_add(4);
    let place = |length: &u32| {
        let part = (start, *length);
        start = start.saturating_add(*length);
        part
    };
    lengths.iter().map(place).collect()
}

/// The payload of a bodies record.
pub(super) fn encode_bodies(bodies: &[Body]) -> (Vec<u8>, Parts) {
    join(bodies.iter().map(|body| body.as_bytes()).collect::<Vec<_>>().as_slice())
}

/// Reads a block record.
pub(super) fn decode_block(payload: &[u8]) -> Result<BlockRecord, DecodeError> {
    let parts = split(payload)?;
    let slices = slices(payload, &parts);
    let (first, rest) = slices.split_first().ok_or_else(|| malformed("no header"))?;
    let (header, certificate) = decode_header(first)?;
    let transactions = rest.iter().map(|bytes| SignedTransaction::from_bytes(bytes));
    Ok(BlockRecord { header, certificate, transactions: transactions.collect::<Result<_, _>>()? })
}

/// Reads a block record's first part.
pub(super) fn decode_header(first: &[u8]) -> Result<(Header, CommitCertificate), DecodeError> {
    decode("block record", first, MAX_BYTES)
}

/// Where the first parts of a record lie in it, by the bytes that it begins with: four for the number of all and four
/// for the length of each that is wanted.
pub(super) fn parts_at(lengths: &[u8]) -> Option<Parts> {
    let (count, lengths) = lengths.split_first_chunk()?;
    let mut start = u32::from_le_bytes(*count).checked_mul(4)?.checked_add(4)?;
    let (lengths, _) = lengths.as_chunks();
    let part = |length: &[u8; 4]| {
        let part = (start, u32::from_le_bytes(*length));
        start = start.checked_add(part.1)?;
        Some(part)
    };
    lengths.iter().map(part).collect()
}

/// Reads a bodies record.
pub(super) fn decode_bodies(payload: &[u8]) -> Result<Vec<Body>, DecodeError> {
    let parts = split(payload)?;
    Ok(slices(payload, &parts).into_iter().map(|bytes| Body::new(bytes.to_vec())).collect())
}

fn join<P: AsRef<[u8]>>(parts: &[P]) -> (Vec<u8>, Parts) {
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut payload = length(parts.len()).to_le_bytes().to_vec();
    for part in parts {
        payload.extend_from_slice(&length(part.as_ref().len()).to_le_bytes());
    }
    let mut places = Parts::with_capacity(parts.len());
    for part in parts {
        places.push((length(payload.len()), length(part.as_ref().len())));
        payload.extend_from_slice(part.as_ref());
    }
    (payload, places)
}

fn split(payload: &[u8]) -> Result<Parts, DecodeError> {
    let (count, _) = payload.split_first_chunk().ok_or_else(|| malformed("no count"))?;
    let lengths = u64::from(u32::from_le_bytes(*count)).saturating_mul(4).saturating_add(4);
    let lengths = usize::try_from(lengths).ok().and_then(|end| payload.get(..end));
    let parts = lengths.and_then(parts_at).ok_or_else(|| malformed("lengths"))?;
    let end = match parts.last() {
        Some((start, length)) => u64::from(*start).saturating_add((*length).into()),
        None => 4,
    };
    if end != payload.len() as u64 {
        return Err(malformed("its parts do not fill it"));
    }
    Ok(parts)
}

fn slices<'a>(payload: &'a [u8], parts: &Parts) -> Vec<&'a [u8]> {
    let place = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let slice = |(start, length): &(u32, u32)| {
        payload.get(place(*start)..place(*start).saturating_add(place(*length))).unwrap_or_default()
    };
    parts.iter().map(slice).collect()
}

fn malformed(reason: &str) -> DecodeError {
    DecodeError::Malformed { what: "journal record", reason: reason.into() }
}
