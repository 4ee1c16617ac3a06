//! Randomness from the operating system. The one place of the wallet that asks for it.

use thiserror::Error;
use zeroize::Zeroizing;

/// The operating system gave no randomness.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the operating system gave no randomness: {0}; nothing was encrypted or signed")]
pub struct NoRandomness(pub(crate) String);

/// Fresh random bytes, wiped when dropped.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    getrandom::fill(bytes.as_mut()).map_err(|error| NoRandomness(error.to_string()))?;
    Ok(bytes)
}
