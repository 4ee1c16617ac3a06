//! What the fuzzer tries of the keystore and of backups. Stretching a passphrase takes a fifth of a second, so the key
//! is there already; and behind the encryption, which nobody gets through, whatever may stand there is tried too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::backup::fuzzing as backup;
use super::crypt::encrypt;
use super::{CIPHER, COST, Encrypted, FORMAT, File, Header, KDF, Secrets, aad, check, decipher};
use crate::envelope::BundleSecret;
use sealpost_ledger::fuzzing::Target;
use std::path::Path;

const KEY: [u8; 32] = [7; 32];
const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// What is tried.
pub(crate) fn targets() -> Vec<Target> {
    vec![
        Target::new("keystore", || vec![keystore(FORMAT), keystore(super::FORMER)], open),
        Target::decoder(
            "secrets",
            || vec![secrets().to_json().unwrap().to_vec()],
            |bytes| {
                // Not decoded canonically: it is this program's own writing, behind an encryption. But it is kept whole.
                let secrets: Secrets = serde_json::from_slice(bytes).ok()?;
                let written = secrets.to_json().unwrap();
                let again: Secrets = serde_json::from_slice(&written).unwrap();
                assert_eq!(*again.to_json().unwrap(), *written);
                Some(bytes.to_vec())
            },
        ),
        Target::new("backup", backup::files, backup::open),
        Target::new("backup_entries", backup::entries, backup::inside),
    ]
}

fn header(format: &str) -> Header {
    Header {
        format: format.into(),
        kdf: KDF.into(),
        cost: COST,
        salt: [1; 16],
        cipher: CIPHER.into(),
        address: "seal1x".into(),
        created: "2026-01-01".into(),
    }
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::new(WORDS.into(), false).unwrap();
    secrets.add(BundleSecret::generate(3).unwrap());
    secrets
}

fn keystore(format: &str) -> Vec<u8> {
    let header = header(format);
    let plaintext = secrets().to_json().unwrap();
    let Encrypted { nonce, ciphertext } = encrypt(&KEY, &aad(&header), &plaintext).unwrap().unwrap();
    serde_json::to_vec_pretty(&File { header, nonce, ciphertext }).unwrap()
}

/// What opens has the header that it was written with: nobody weakens it.
fn open(bytes: &[u8]) -> bool {
    let path = Path::new("keystore");
    let Ok(file) = serde_json::from_slice::<File>(bytes) else { return false };
    if check(path, &file.header).is_err() {
        return false;
    }
    let Ok(secrets) = decipher(path, &file, &KEY) else { return true };
    assert_eq!(secrets.mnemonic, WORDS);
    assert!([FORMAT, super::FORMER].iter().any(|format| aad(&header(format)) == aad(&file.header)));
    true
}
