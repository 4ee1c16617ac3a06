//! Whether a log of votes is as the engine wrote it.
//!
//! The engine cuts off what it can't read (arc-malachitebft-wal 0.8, `log.rs`; arc-malachitebft-engine 0.8,
//! `wal/thread.rs`): at once and without a word where a length leads beyond the end, as if a crash had cut a write short;
//! and where a checksum does not match, together with all that follows, so that it hangs then and has forgotten at its next
//! start. A disk that turns a bit would make a validator contradict votes that bind. So the log is looked at before the
//! engine opens it; and what a crash has really cut short is cut off here, because the engine takes zeros for an entry.

use super::super::codec::WireCodec;
use super::super::context::Sealpost;
use super::super::engine::{Input, decode_entry};
use sealpost_ledger::height::BlockHeight;
use thiserror::Error;

/// The only version that there is.
const VERSION: u32 = 1;

/// What is wrong with a log of votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VotesDamage {
    /// It ends within its beginning.
    #[error("it has lost its beginning")]
    Beginning,
    /// It begins with another number than 1.
    #[error("it begins with version {0} in the place of {VERSION}")]
    Version(u32),
    /// An entry does not match its checksum or its length, or can't be read.
    #[error("the entry at byte {at} is not as it was written")]
    Entry {
        /// Where the entry begins.
        at: usize,
    },
    /// An entry belongs to a later height than the log.
    #[error("the entry at byte {at} is about height {height}, and the log says that it ends at {log}")]
    Height {
        /// Where the entry begins.
        at: usize,
        /// The entry's height.
        height: BlockHeight,
        /// The log's.
        log: BlockHeight,
    },
}

/// One byte says whether an entry is compressed, which ours are not; 8 its length, 4 its CRC-32, both big-endian.
const ENTRY_FIELDS: [usize; 3] = [1, 9, 13];
/// Disks write so many bytes at once, or a multiple.
const SECTOR: usize = 512;

/// What is at the beginning of some bytes.
enum Entry<'a> {
    Whole {
        data: &'a [u8],
        after: &'a [u8],
    },
    /// A write that a crash has cut short: nobody has heard of what it says.
    CutShort,
    Damaged,
}

/// Checks a log: version, height, entries; and says how long it is without a write that a crash has cut short. Entries of
/// earlier heights than the log's are no damage: a crash while the engine begins the log of the next height leaves them
/// there.
pub(super) fn check(bytes: &[u8]) -> Result<usize, VotesDamage> {
    let (version, log, mut rest) = split_header(bytes)?;
    if version != VERSION {
        return Err(VotesDamage::Version(version));
    }
    loop {
        let at = bytes.len().saturating_sub(rest.len());
        match entry(rest, at) {
            Entry::CutShort => return Ok(at),
            Entry::Damaged => return Err(VotesDamage::Entry { at }),
            Entry::Whole { data, after } => {
                let said = said(data).ok_or(VotesDamage::Entry { at })?;
                if let Some(height) = height_of(&said).filter(|height| *height > log) {
                    return Err(VotesDamage::Height { at, height, log });
                }
                rest = after;
            }
        }
    }
}

/// The version and the height with which a log begins, both big-endian, and what follows.
pub(super) fn split_header(bytes: &[u8]) -> Result<(u32, BlockHeight, &[u8]), VotesDamage> {
    let (version, rest) = bytes.split_first_chunk::<4>().ok_or(VotesDamage::Beginning)?;
    let (height, rest) = rest.split_first_chunk::<8>().ok_or(VotesDamage::Beginning)?;
    Ok((u32::from_be_bytes(*version), BlockHeight::new(u64::from_be_bytes(*height)), rest))
}

/// What the log's bytes from `at` on begin with.
fn entry(bytes: &[u8], at: usize) -> Entry<'_> {
    // Room that a file system gave to a write that did not come.
    if bytes.iter().all(|byte| *byte == 0) {
        return Entry::CutShort;
    }
    let Some((compressed, rest)) = bytes.split_first() else { return Entry::CutShort };
    if *compressed != 0 {
        return Entry::Damaged;
    }
    let Some((length, rest)) = rest.split_first_chunk::<8>() else { return Entry::CutShort };
    let Some((crc, rest)) = rest.split_first_chunk::<4>() else { return Entry::CutShort };
    let (length, crc) = (u64::from_be_bytes(*length), u32::from_be_bytes(*crc));
    match usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) {
        Some((data, after)) if crc32fast::hash(data) == crc => Entry::Whole { data, after },
        Some((_, after)) if did_not_come(bytes, at, bytes.len().saturating_sub(after.len())) => {
            Entry::CutShort
        }
        Some(_) => Entry::Damaged,
        // All of it is there, and only its length is not.
        None if begins_with(rest, crc) => Entry::Damaged,
        None => Entry::CutShort,
    }
}

/// Whether an entry that ends after `length` of these bytes was written in part: from the end of a field on, or from a
/// sector's beginning, there are zeros and nothing else.
fn did_not_come(bytes: &[u8], at: usize, length: usize) -> bool {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    let sector = at.saturating_add(written).next_multiple_of(SECTOR).saturating_sub(at);
    ENTRY_FIELDS.into_iter().chain([sector]).any(|from| written <= from && from < length)
}

/// Whether some first bytes, one at least, have that checksum.
fn begins_with(bytes: &[u8], crc: u32) -> bool {
    let mut hasher = crc32fast::Hasher::new();
    bytes.iter().any(|byte| {
        hasher.update(&[*byte]);
        hasher.clone().finalize() == crc
    })
}

/// What an entry says. The engine's decoder believes the lengths and rounds that it reads; so they are looked at before.
fn said(data: &[u8]) -> Option<Input<Sealpost>> {
    const TIMEOUT: u8 = 2;
    let (kind, rest) = data.split_first()?;
    let (number, after) = if *kind == TIMEOUT { rest.get(1..)? } else { rest }.split_first_chunk::<8>()?;
    let number = i64::from_be_bytes(*number);
    let is_right = match *kind {
        // A timeout is a byte for its step, and a round.
        TIMEOUT => number <= u32::MAX.into() && after.is_empty(),
        _ => usize::try_from(number) == Ok(after.len()),
    };
    is_right.then(|| decode_entry::<Sealpost, _, _>(&WireCodec, data).ok())?
}

const fn height_of(said: &Input<Sealpost>) -> Option<BlockHeight> {
    match said {
        Input::Vote(vote) => Some(vote.message.height.0),
        Input::Proposal(proposal) => Some(proposal.message.height.0),
        Input::ProposedValue(value, _) => Some(value.height.0),
        Input::PolkaCertificate(certificate) => Some(certificate.height.0),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::{NO_VOTES, check_wal};
    use super::*;
    use crate::consensus::ConsensusError;
    use crate::consensus::context::{Address, BlockValue, Height, Proposal, Vote};
    use crate::consensus::engine::{NilOrVal, Round, Signer, VoteType, encode_entry};
    use crate::consensus::signer::VoteSigner;
    use crate::consensus::testing::{genesis, key};
    use arc_malachitebft_app_channel::app::wal::Log;
    use proptest::prelude::*;
    use sealpost_ledger::hash::BlockHash;
    use std::sync::Arc;

    const LOG: BlockHeight = BlockHeight::new(9);

    /// What a validator says of a height, as the engine encodes it.
    fn entries(height: BlockHeight) -> Vec<Vec<u8>> {
        let signer = VoteSigner::new(genesis(&[key(1)]).chain_id(), Arc::new(key(1)));
        let (height, round, voter) = (Height(height), Round::ZERO, Address(key(1).public_key()));
        let block = BlockHash::from_bytes([5; 32]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let vote = |kind| {
            let vote = Vote { kind, height, round, block: NilOrVal::Val(block), voter };
            Input::Vote(runtime.block_on(signer.sign_vote(vote)).unwrap())
        };
        let proposal =
            Proposal { height, round, value: BlockValue(block), valid_round: Round::Nil, proposer: voter };
        let proposal = Input::Proposal(runtime.block_on(signer.sign_proposal(proposal)).unwrap());
        let encoded = |input| {
            let mut bytes = Vec::new();
            encode_entry::<Sealpost, _, _>(input, &WireCodec, &mut bytes).unwrap();
            bytes
        };
        [proposal, vote(VoteType::Prevote), vote(VoteType::Precommit)].into_iter().map(encoded).collect()
    }

    /// A log as the engine's own code writes it.
    fn written(log: BlockHeight, entries: &[Vec<u8>]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("consensus.wal");
        let mut written = Log::open(&path).unwrap();
        written.reset(log.get()).unwrap();
        entries.iter().for_each(|entry| written.append(entry).unwrap());
        written.flush().unwrap();
        drop(written);
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_the_engine_wrote_is_sound_and_any_bit_that_turns_is_found() {
        let whole = written(LOG, &entries(LOG));
        assert_eq!(check(&whole), Ok(whole.len()));
        assert_eq!(check(&NO_VOTES), Ok(NO_VOTES.len()));
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut turned = whole.clone();
            turned[at] ^= 1 << bit;
            let height = u64::from_be_bytes(turned[4..12].try_into().unwrap());
            // A log that seems to be about a later height than the chain is come to keeps the validator from voting.
            assert_eq!(check(&turned).is_ok(), height > LOG.get(), "bit {bit} of byte {at}");
        }
    }

    /// A crash cuts the last entry short, or comes before the entries of the height before are cut off. Whatever is left
    /// the engine reads to its end: it would hang on what it can't read.
    #[test]
    fn what_a_crash_leaves_is_no_damage_and_the_engine_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let wal = dir.path().join("consensus.wal");
        let is_read = |bytes: &[u8]| {
            std::fs::write(&wal, bytes).unwrap();
            check_wal(&wal).unwrap_or_else(|error| panic!("{} bytes: {error}", bytes.len()));
            let mut log = Log::open(&wal).unwrap();
            for entry in log.iter().unwrap() {
                decode_entry::<Sealpost, _, _>(&WireCodec, &entry.unwrap()[..]).unwrap();
            }
            log.len()
        };
        let entries = entries(LOG);
        let (whole, ends) = (written(LOG, &entries), ends(&entries));
        for length in NO_VOTES.len()..=whole.len() {
            let complete = ends.iter().filter(|end| **end <= length).count();
            assert_eq!(is_read(&whole[..length]), complete, "{length}");
            // Or it has the room of the file system's next block already.
            let mut room = whole[..length].to_vec();
            room.extend([0; 4096]);
            let at_field = ends.iter().chain([&NO_VOTES.len()]).any(|begin| {
                length.checked_sub(*begin).is_some_and(|into| into == 0 || ENTRY_FIELDS.contains(&into))
            });
            if at_field || length.is_multiple_of(SECTOR) {
                assert_eq!(is_read(&room), complete, "{length} and zeros");
            }
        }
        for length in 0..NO_VOTES.len() {
            assert_eq!(check(&whole[..length]), Err(VotesDamage::Beginning));
        }
        let next = LOG.next().unwrap();
        assert_eq!(is_read(&written(next, &entries)), entries.len());
        let found = check(&written(LOG, &super::tests::entries(next)));
        assert_eq!(found, Err(VotesDamage::Height { at: NO_VOTES.len(), height: next, log: LOG }));
    }

    /// Where each of these entries ends in a log.
    fn ends(entries: &[Vec<u8>]) -> Vec<usize> {
        let mut end = NO_VOTES.len();
        let mut ends = Vec::new();
        for entry in entries {
            end += ENTRY_FIELDS[2] + entry.len();
            ends.push(end);
        }
        ends
    }

    #[test]
    fn a_damaged_log_is_refused_by_its_name_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let wal = dir.path().join("consensus.wal");
        let mut bytes = written(LOG, &entries(LOG));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&wal, &bytes).unwrap();
        let refused = check_wal(&wal).unwrap_err();
        assert!(
            matches!(refused, ConsensusError::WalDamaged { damage: VotesDamage::Entry { .. }, .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains(wal.to_str().unwrap()), "{refused}");
        assert_eq!(std::fs::read(&wal).unwrap(), bytes);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            begins_well in any::<bool>(),
        ) {
            let header: &[u8] = if begins_well { &NO_VOTES } else { &[] };
            let _ = check(&[header, &bytes].concat());
        }
        /// With a right checksum they reach the engine's decoder, which believes what it reads.
        #[test]
        fn arbitrary_entries_do_not_panic(
            kind in prop_oneof![Just(1_u8), Just(2), Just(4), Just(8), any::<u8>()],
            entry in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = check(&written(LOG, &[[&[kind], &entry[..]].concat()]));
        }
    }
}
