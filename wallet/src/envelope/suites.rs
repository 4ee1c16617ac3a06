//! The suites: how a slot's shares become keys. ECIES and ML-KEM are named here and in
//! [`keys`](super::keys) only.

use hkdf::Hkdf;
use sealpost_ledger::codec::encode;
use sealpost_ledger::hash::ContextHash;
use sealpost_ledger::message::{ECIES_SHARE_BYTES, SlotRecipient};
use sha2::Sha256;
use zeroize::Zeroizing;

const SLOT_KEY: &[u8] = b"sealpost/v1/slot-key";
const WRAP_KEY: &[u8] = b"sealpost/v1/wrap-key";
const RECEIPT_SECRET: &[u8] = b"sealpost/v1/receipt-secret";
const BODY_KEY: &[u8] = b"sealpost/v1/body-key";

/// What the two shares of a slot are bound to.
pub(super) struct SlotBinding<'a> {
    pub(super) context: &'a ContextHash,
    pub(super) ecies_share: &'a [u8; ECIES_SHARE_BYTES],
    pub(super) ml_kem_share: Option<&'a [u8]>,
    pub(super) recipient: &'a SlotRecipient,
}

/// The keys of a slot.
pub(super) struct SlotKeys {
    /// Wraps the content key.
    pub(super) wrap: Zeroizing<[u8; 32]>,
    /// Is revealed in a receipt.
    pub(super) receipt: Zeroizing<[u8; 32]>,
}

impl SlotBinding<'_> {
    /// `slot key = HKDF-SHA256(share 1 ‖ share 2, info = label ‖ context ‖ ciphertexts ‖ recipient)`. Both
    /// shares and both ciphertexts enter, so that breaking one suite's half alone gives nothing.
    ///
    /// A key derived from both shares and both ciphertexts is the combiner of Giacon, Heuer and Poettering ("KEM
    /// Combiners", PKC 2018): with the hash as a random oracle it withstands chosen ciphertexts (IND-CCA) as
    /// long as one of the two does. The ciphertexts must be in it, or an attacker who broke one half could alter
    /// that half's ciphertext and learn from the answer. X-Wing may leave ML-KEM's out because it relies on more of
    /// ML-KEM; we need not. Both shares are 32 bytes, so that their concatenation has one reading.
    pub(super) fn keys(&self, share_1: &[u8; 32], share_2: Option<&[u8; 32]>) -> SlotKeys {
        // Room for both: a vector that grows leaves the first share behind, unwiped, where it was.
        let mut shares = Zeroizing::new(Vec::with_capacity(64));
        shares.extend_from_slice(share_1);
        shares.extend_from_slice(share_2.map_or(&[][..], |share| share));
        let info = [
            SLOT_KEY,
            self.context.as_bytes(),
            self.ecies_share,
            self.ml_kem_share.unwrap_or_default(),
            &encode(self.recipient),
        ]
        .concat();
        let slot_key = derive(&shares, &info);
        SlotKeys {
            wrap: derive(slot_key.as_ref(), WRAP_KEY),
            receipt: derive(slot_key.as_ref(), RECEIPT_SECRET),
        }
    }
}

/// The key of the body, from the content key and the context.
pub(super) fn body_key(content_key: &[u8; 32], context: &ContextHash) -> Zeroizing<[u8; 32]> {
    derive(content_key, &[BODY_KEY, context.as_bytes()].concat())
}

/// HKDF-SHA256 (RFC 5869) without salt, 32 bytes.
fn derive(input: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0_u8; 32]);
    // Fails only for more than 255 times 32 bytes.
    let expanded = Hkdf::<Sha256>::new(None, input).expand(info, key.as_mut());
    debug_assert!(expanded.is_ok());
    key
}

/// Encrypts a share to an ECIES key (SEC1 compressed). `None` if it is no key.
pub(super) fn ecies_wrap(key: &[u8; 33], share: &[u8; 32]) -> Option<[u8; ECIES_SHARE_BYTES]> {
    ecies::encrypt(key, share).ok()?.try_into().ok()
}

/// Decrypts a share.
pub(super) fn ecies_unwrap(secret: &[u8; 32], ciphertext: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let share = Zeroizing::new(ecies::decrypt(secret, ciphertext).ok()?);
    share.as_slice().try_into().ok().map(Zeroizing::new)
}
