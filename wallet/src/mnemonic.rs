//! The mnemonic: 12 or 24 words (BIP-39) that restore an identity key (BIP-32). They do not restore old
//! messages: encryption keys are random and never come from these words.

use crate::random::{NoRandomness, random};
use bip32::{DerivationPath, XPrv};
use bip39::{Language, Mnemonic};
use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::signature::SigningKey;
use thiserror::Error;
use zeroize::Zeroizing;

/// "seal" as a number below 2^31: our coin type (SLIP-44, unregistered).
const COIN_TYPE: u32 = 0x7365_616c;
/// Prefix of the main network's addresses; all others derive under the test coin type 1'.
const MAIN_PREFIX: &str = "seal";

/// How many words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Words {
    /// 128 bits of entropy.
    #[default]
    Twelve,
    /// 256 bits of entropy.
    TwentyFour,
}

/// The words of an identity.
#[derive(Clone)]
pub struct Phrase(Mnemonic);

/// Why words are no mnemonic.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum PhraseError {
    #[error("mnemonic: {count} words given, 12 or 24 are expected")]
    Count { count: usize },
    #[error("mnemonic: word {position} is not in the English list; check its spelling")]
    Word { position: usize },
    #[error("mnemonic: the checksum does not match; a word is wrong, or two are exchanged")]
    Checksum,
    #[error("mnemonic: no key can be derived from it")]
    Derivation,
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl Phrase {
    /// New words.
    pub fn generate(words: Words) -> Result<Self, PhraseError> {
        let entropy = random::<32>()?;
        let used = match words {
            Words::Twelve => entropy.get(..16),
            Words::TwentyFour => entropy.get(..),
        };
        let mnemonic = Mnemonic::from_entropy(used.unwrap_or_default());
        mnemonic.map(Self).map_err(|_| PhraseError::Derivation)
    }
    /// Reads words; spacing and case don't matter.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        // Room for all of it at once: a growing buffer leaves unwiped copies behind.
        let mut plain = Zeroizing::new(String::with_capacity(text.len()));
        for word in text.split_whitespace() {
            if !plain.is_empty() {
                plain.push(' ');
            }
            plain.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        }
        let count = plain.split(' ').filter(|word| !word.is_empty()).count();
        if !matches!(count, 12 | 24) {
            return Err(PhraseError::Count { count });
        }
        Mnemonic::parse_in_normalized(Language::English, &plain).map(Self).map_err(|error| match error {
            bip39::Error::UnknownWord(index) => PhraseError::Word { position: index.saturating_add(1) },
            _ => PhraseError::Checksum,
        })
    }
    /// The words, separated by spaces.
    pub fn text(&self) -> Zeroizing<String> {
        let length: usize = self.0.words().map(|word| word.len().saturating_add(1)).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        for word in self.0.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }
    /// The identity key on the network with that prefix: `m/44'/coin'/0'/0/0` (BIP-44's shape).
    pub fn identity(&self, prefix: &AddressPrefix) -> Result<SigningKey, PhraseError> {
        let coin = if prefix.as_str() == MAIN_PREFIX { COIN_TYPE } else { 1 };
        let path: DerivationPath =
            format!("m/44'/{coin}'/0'/0/0").parse().map_err(|_| PhraseError::Derivation)?;
        let seed = Zeroizing::new(self.0.to_seed(""));
        let key = XPrv::derive_from_path(seed.as_ref(), &path).map_err(|_| PhraseError::Derivation)?;
        let secret = Zeroizing::new(<[u8; 32]>::from(key.private_key().to_bytes()));
        SigningKey::from_bytes(&secret).map_err(|_| PhraseError::Derivation)
    }
}

impl std::fmt::Debug for Phrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Phrase(…)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEST: &str = "test test test test test test test test test test test junk";

    #[test]
    fn words_come_back_and_mean_the_same_key() {
        let prefix = AddressPrefix::new("sealdev").unwrap();
        for words in [Words::Twelve, Words::TwentyFour] {
            let phrase = Phrase::generate(words).unwrap();
            let again = Phrase::parse(&phrase.text().to_uppercase()).unwrap();
            let key = |phrase: &Phrase| phrase.identity(&prefix).unwrap().public_key();
            assert_eq!(key(&phrase), key(&again));
        }
    }

    #[test]
    fn main_and_test_networks_have_different_keys() {
        let phrase = Phrase::parse(TEST).unwrap();
        let key = |prefix| phrase.identity(&AddressPrefix::new(prefix).unwrap()).unwrap().public_key();
        assert_ne!(key("seal"), key("sealdev"));
        assert_eq!(key("sealtest"), key("sealdev"));
    }

    #[test]
    fn wrong_words_are_named() {
        assert_eq!(Phrase::parse("test test").unwrap_err(), PhraseError::Count { count: 2 });
        let unknown = TEST.replacen("test", "tset", 1);
        assert_eq!(Phrase::parse(&unknown).unwrap_err(), PhraseError::Word { position: 1 });
        assert_eq!(Phrase::parse(&TEST.replace("junk", "test")).unwrap_err(), PhraseError::Checksum);
    }
}
