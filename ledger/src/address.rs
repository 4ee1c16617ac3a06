//! Addresses. An address *is* an identity key, written so that people can copy it: bech32m (BIP-350)
//! over a version byte and the 32-byte x-only key, under the network's own prefix. Nobody can swap the
//! key behind an address, and an address of one network can't be used on another by mistake.

use crate::codec::{Decode, Encode};
use crate::signature::PublicKey;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use std::fmt;
use thiserror::Error;

/// The only address version there is.
const VERSION: u8 = 0;

/// Who signs: an identity on the ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Address(PublicKey);

/// The human-readable prefix of a network's addresses: 1 to 16 lower-case letters or digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddressPrefix(Hrp);

/// Why a text is not an address of this network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Not bech32m at all.
    #[error("address {text:?}: not a bech32m text; it should read {prefix}1… (64 characters)")]
    NotBech32m {
        /// What was given, shortened.
        text: String,
        /// The network's prefix.
        prefix: String,
    },
    /// A character was changed, lost or swapped.
    #[error("address {text:?}: its checksum does not match; compare it with the original")]
    Checksum {
        /// What was given, shortened.
        text: String,
    },
    /// An address of another network.
    #[error("address {text:?}: it belongs to a network with prefix {found:?}, this one uses {expected:?}")]
    OtherNetwork {
        /// What was given, shortened.
        text: String,
        /// The prefix it has.
        found: String,
        /// The prefix it needs.
        expected: String,
    },
    /// A version from the future.
    #[error("address version {version} is unknown to this program; a newer one may read it")]
    UnknownVersion {
        /// The version byte.
        version: u8,
    },
    /// Wrong number of bytes.
    #[error("address holds {length} bytes, it should hold 33")]
    Length {
        /// Bytes found.
        length: usize,
    },
    /// No point has this x-coordinate.
    #[error("address holds a key that is not on the curve")]
    NotAKey,
    /// Not usable as a prefix.
    #[error("address prefix {text:?}: 1 to 16 lower-case letters or digits are allowed")]
    Prefix {
        /// What was given, shortened.
        text: String,
    },
}

impl AddressPrefix {
    /// Checks a prefix.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        let plain = (1..=16).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let refused = || AddressError::Prefix { text: shorten(text) };
        if !plain {
            return Err(refused());
        }
        Hrp::parse(text).map(Self).map_err(|_| refused())
    }
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Address {
    /// The address of an identity key.
    pub const fn new(key: PublicKey) -> Self {
        Self(key)
    }
    /// The identity key.
    pub const fn key(&self) -> &PublicKey {
        &self.0
    }
    /// The 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
    /// Writes the address as people see it, lower case.
    pub fn to_text(&self, prefix: &AddressPrefix) -> String {
        let mut bytes = Vec::with_capacity(33);
        bytes.push(VERSION);
        bytes.extend_from_slice(self.as_bytes());
        // 33 bytes under a prefix of at most 16 characters are within bech32m's 90.
        bech32::encode::<Bech32m>(prefix.0, &bytes).unwrap_or_default()
    }
    /// Reads an address of the network with this prefix. All upper case is accepted (QR codes use it),
    /// mixed case is not.
    pub fn parse(text: &str, prefix: &AddressPrefix) -> Result<Self, AddressError> {
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| {
            match bech32::primitives::decode::UncheckedHrpstring::new(text) {
                Ok(_) => AddressError::Checksum { text: shorten(text) },
                Err(_) => {
                    AddressError::NotBech32m { text: shorten(text), prefix: prefix.as_str().to_owned() }
                }
            }
        })?;
        if checked.hrp() != prefix.0 {
            return Err(AddressError::OtherNetwork {
                text: shorten(text),
                found: checked.hrp().to_lowercase(),
                expected: prefix.as_str().to_owned(),
            });
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let (version, key) = bytes.split_first().ok_or(AddressError::Length { length: 0 })?;
        if *version != VERSION {
            return Err(AddressError::UnknownVersion { version: *version });
        }
        let key = <[u8; 32]>::try_from(key).map_err(|_| AddressError::Length { length: bytes.len() })?;
        let key = PublicKey::from_bytes(key);
        if !key.is_on_curve() {
            return Err(AddressError::NotAKey);
        }
        let address = Self(key);
        // 33 bytes leave one bit over. What stands there, and even a group more, is passed over above; taken as
        // it comes, one address would have several texts, each with a checksum that matches.
        if address.to_text(prefix) != text.to_ascii_lowercase() {
            return Err(AddressError::NotBech32m { text: shorten(text), prefix: prefix.as_str().to_owned() });
        }
        Ok(address)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.0)
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::signature::SigningKey;

    fn sample() -> (Address, AddressPrefix) {
        let key = SigningKey::from_bytes(&[3; 32]).unwrap().public_key();
        (Address::new(key), AddressPrefix::new("seal").unwrap())
    }

    #[test]
    fn an_address_reads_back_in_both_cases() {
        let (address, prefix) = sample();
        let text = address.to_text(&prefix);
        assert_eq!(text.len(), 64);
        assert_eq!(Address::parse(&text, &prefix), Ok(address));
        assert_eq!(Address::parse(&text.to_uppercase(), &prefix), Ok(address));
    }

    #[test]
    fn a_changed_character_is_found() {
        let (address, prefix) = sample();
        let text = address.to_text(&prefix);
        for (at, c) in text.char_indices().skip(5) {
            let other = if c == 'q' { 'p' } else { 'q' };
            let mut changed = text.clone();
            changed.replace_range(at..=at, &other.to_string());
            assert!(matches!(Address::parse(&changed, &prefix), Err(AddressError::Checksum { .. })), "{at}");
        }
    }

    #[test]
    fn an_address_has_one_spelling() {
        let prefix = AddressPrefix::new("sealdev").unwrap();
        let text = "sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rc7828d47";
        assert_eq!(Address::parse(text, &prefix).unwrap().to_text(&prefix), text);
        // The bit that belongs to no byte set, and a group of bits more: all with checksums that match.
        for other in [
            "sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rcl6uncgv",
            "sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rc7q90c87a",
            "sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rc7pcevjr0",
        ] {
            assert!(
                matches!(Address::parse(other, &prefix), Err(AddressError::NotBech32m { .. })),
                "{other}"
            );
        }
    }

    #[test]
    fn an_address_of_another_network_is_refused_by_name() {
        let (address, prefix) = sample();
        let text = address.to_text(&AddressPrefix::new("sealdev").unwrap());
        assert!(matches!(Address::parse(&text, &prefix), Err(AddressError::OtherNetwork { .. })));
    }
}
