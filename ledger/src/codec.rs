//! The one canonical encoding of the ledger: bincode 2 with fixed-width little-endian integers.
//!
//! Two rules make it safe for consensus. Decoding is bounded: lengths that are announced and not there make the process
//! set aside [`MAX_BYTES`] at most, which it gives back at once, however little was read. And every value has exactly one encoding: a decoder refuses trailing bytes, then
//! encodes what it read and compares, so that no two byte strings mean the same transaction.
//!
//! bincode is named in this file only (see `docs/adr/0002-bincode.md` for why it is kept, and the way out).

pub use bincode::{BorrowDecode, Decode, Encode, de, enc, error, impl_borrow_decode};
use thiserror::Error;

/// No value on the wire or on disk may be longer than this, in bytes (16 MiB).
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

type Config = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<MAX_BYTES>,
>;

const CONFIG: Config =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<MAX_BYTES>();

/// Why bytes are not a value of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The input exceeds the caller's bound.
    #[error("{what}: {length} bytes, the limit is {limit}")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The bytes do not follow the format.
    #[error("{what}: malformed ({reason})")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What the decoder met.
        reason: String,
    },
    /// A valid value is followed by more bytes.
    #[error("{what}: {extra} bytes follow its end")]
    Trailing {
        /// What was being read.
        what: &'static str,
        /// Bytes left over.
        extra: usize,
    },
    /// The bytes decode, but are not the one encoding of that value.
    #[error("{what}: not in canonical form")]
    NotCanonical {
        /// What was being read.
        what: &'static str,
    },
}

/// Encodes a value.
///
/// The derived encoders of this crate write to memory and cannot fail; a value beyond [`MAX_BYTES`]
/// can be encoded and is refused by every decoder.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    // Writing to a Vec fails only if an `Encode` implementation says so, and none here does.
    bincode::encode_to_vec(value, CONFIG).unwrap_or_default()
}

/// Decodes exactly one value of at most `limit` bytes.
///
/// `what` names it in errors. Fails on longer input, malformed or trailing bytes, and on any encoding but
/// the canonical one.
pub fn decode<T: Decode<()> + Encode>(
    what: &'static str,
    bytes: &[u8],
    limit: usize,
) -> Result<T, DecodeError> {
    let limit = limit.min(MAX_BYTES);
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { what, length: bytes.len(), limit });
    }
    let (value, read) = bincode::decode_from_slice::<T, Config>(bytes, CONFIG)
        .map_err(|e| DecodeError::Malformed { what, reason: e.to_string() })?;
    if read != bytes.len() {
        return Err(DecodeError::Trailing { what, extra: bytes.len().saturating_sub(read) });
    }
    if encode(&value) != bytes {
        return Err(DecodeError::NotCanonical { what });
    }
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_little_endian_and_fixed() {
        assert_eq!(encode(&0x0102_u32), [2, 1, 0, 0]);
        assert_eq!(encode(&vec![7_u8]), [1, 0, 0, 0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn a_huge_length_is_an_error_not_an_allocation() {
        let bytes = u64::MAX.to_le_bytes();
        assert!(matches!(decode::<Vec<u8>>("v", &bytes, 64), Err(DecodeError::Malformed { .. })));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(decode::<u16>("n", &[1, 0, 9], 8), Err(DecodeError::Trailing { what: "n", extra: 1 }));
    }

    #[test]
    fn input_beyond_the_limit_is_refused_unread() {
        assert_eq!(
            decode::<u64>("n", &[0; 9], 8),
            Err(DecodeError::TooLong { what: "n", length: 9, limit: 8 })
        );
    }
}
