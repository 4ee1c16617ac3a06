//! Claims about every decoder of the ledger: whatever bytes come in, nothing panics, and what decodes
//! encodes back to the same bytes. Each is fed with noise and with real values that were damaged, since
//! noise alone rarely gets past the first field.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::codec::MAX_BYTES;
use crate::examples::{KINDS, Kind, transactions};
use crate::transaction::SignedTransaction;
use proptest::prelude::*;

#[test]
fn a_real_value_reads_back_and_no_shorter_or_longer_input_does() {
    for Kind { name, examples, again } in KINDS.iter() {
        for bytes in examples {
            assert_eq!(again(bytes).as_ref(), Some(bytes), "{name}");
            let longer = [bytes.as_slice(), &[0]].concat();
            assert_eq!(again(&longer), None, "{name}");
            for length in 0..bytes.len() {
                assert_eq!(again(&bytes[..length]), None, "{name} cut to {length}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic_and_have_one_reading(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for Kind { name, again, .. } in KINDS.iter() {
            if let Some(written) = again(&bytes) {
                prop_assert_eq!(&written, &bytes, "{}", name);
            }
        }
    }

    #[test]
    fn damaged_values_never_panic_and_have_one_reading(
        which in any::<prop::sample::Index>(),
        example in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let Kind { name, examples, again } = which.get(&KINDS);
        let mut bytes = example.get(examples).clone();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len().max(1));
            match how {
                0 => bytes.insert(at, byte),
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                // Small numbers are what tags and lengths are made of.
                2 => if let Some(place) = bytes.get_mut(at) { *place = byte % 8 },
                _ => if let Some(place) = bytes.get_mut(at) { *place = byte },
            }
        }
        if let Some(written) = again(&bytes) {
            prop_assert_eq!(&written, &bytes, "{}", name);
        }
    }
}

#[test]
fn hostile_lengths_and_tags_never_panic() {
    // Eight bytes of every value at every place: where a length or a tag stands, it becomes absurd.
    for Kind { name, examples, again } in KINDS.iter() {
        for bytes in examples {
            for at in 0..bytes.len().saturating_sub(7).min(700) {
                for word in [u64::MAX, 1 << 63, 1 << 32, MAX_BYTES as u64, 0] {
                    let mut hostile = bytes.clone();
                    hostile[at..at + 8].copy_from_slice(&word.to_le_bytes());
                    if let Some(written) = again(&hostile) {
                        assert_eq!(written, hostile, "{name} at {at}");
                    }
                }
            }
        }
    }
}

/// The decoder's bound counts values as large as they are in memory. If the largest block of the smallest
/// transactions went beyond it, two builds could disagree about a block.
#[test]
fn the_bound_of_the_decoder_is_beyond_every_block_that_the_rules_allow() {
    let smallest = transactions().iter().map(|t| t.to_bytes().len()).min().unwrap();
    let largest_block = 8 << 20;
    assert!(largest_block / smallest * size_of::<SignedTransaction>() < MAX_BYTES);
}
