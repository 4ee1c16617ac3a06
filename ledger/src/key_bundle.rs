//! The key directory's payloads: an identity publishes the encryption keys others should use, and
//! withdraws them. The ledger is the directory; it has no other owner.

use crate::codec::{Decode, Encode};
use crate::height::BlockHeight;

/// Length of an ML-KEM-768 encapsulation key (FIPS 203, table 3).
pub const ML_KEM_KEY_BYTES: usize = 1184;

/// Encryption keys of an identity. A new bundle supersedes the one before.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeyBundle {
    /// 1 for the first bundle of an identity, then one more each time.
    pub sequence: u64,
    /// ECIES key, SEC1 compressed.
    pub ecies: [u8; 33],
    /// ML-KEM-768 key: exactly [`ML_KEM_KEY_BYTES`], or absent.
    pub ml_kem: Option<Vec<u8>>,
    /// Last height at which senders should use it.
    pub valid_until: BlockHeight,
}

/// Withdraws a bundle: from that height on, senders should not use it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Revoke {
    /// Which bundle.
    pub sequence: u64,
    /// From when.
    pub from: BlockHeight,
}
