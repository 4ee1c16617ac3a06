#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::envelope::BundleSecret;

fn secrets() -> Secrets {
    let mut secrets = Secrets::new("twelve words".into(), false).unwrap();
    secrets.add(BundleSecret::generate(1).unwrap());
    secrets
}

fn keystore() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keystore.json");
    Keystore::create(&path, "sealdev1x", "2026-11-24T00:00:00Z", secrets(), "correct horse").unwrap();
    (dir, path)
}

fn sequences(keystore: &Keystore) -> Vec<u64> {
    keystore.secrets().bundles.iter().map(|bundle| bundle.sequence).collect()
}

#[test]
fn the_passphrase_opens_and_another_does_not() {
    let (_dir, path) = keystore();
    assert_eq!(Keystore::open(&path, "correct horse").unwrap().secrets().mnemonic, "twelve words");
    assert_eq!(
        Keystore::open(&path, "correct hors").unwrap_err(),
        KeystoreError::Passphrase { path: path.clone() }
    );
}

#[test]
fn a_keystore_takes_the_place_of_no_other() {
    let (_dir, path) = keystore();
    let other = Secrets::new("other words".into(), false).unwrap();
    let error =
        Keystore::create(&path, "sealdev1y", "2026-11-24T00:00:00Z", other, "battery staple").unwrap_err();
    assert!(matches!(error, KeystoreError::File(failure) if failure.code == "file.exists"));
    assert_eq!(Keystore::open(&path, "correct horse").unwrap().secrets().mnemonic, "twelve words");
}

#[test]
fn a_change_is_there_after_opening_again() {
    let (_dir, path) = keystore();
    let mut keystore = Keystore::open(&path, "correct horse").unwrap();
    keystore.change(|secrets| secrets.add(BundleSecret::generate(2).unwrap())).unwrap();
    assert_eq!(sequences(&Keystore::open(&path, "correct horse").unwrap()), [1, 2]);
}

#[test]
fn two_programs_with_one_wallet_lose_no_secret() {
    let (_dir, path) = keystore();
    let mut one = Keystore::open(&path, "correct horse").unwrap();
    let mut other = Keystore::open(&path, "correct horse").unwrap();
    one.change(|secrets| secrets.add(BundleSecret::generate(2).unwrap())).unwrap();
    other.change(|secrets| secrets.forget(&[1])).unwrap();
    assert_eq!(sequences(&other), [2]);
    assert_eq!(sequences(&Keystore::open(&path, "correct horse").unwrap()), [2]);
    one.change_passphrase("battery staple").unwrap();
    let error = other.change(|secrets| secrets.forget(&[2])).unwrap_err();
    assert_eq!(error, KeystoreError::OtherPassphrase { path: path.clone() });
    assert_eq!(sequences(&Keystore::open(&path, "battery staple").unwrap()), [2]);
}

#[test]
fn an_altered_header_or_a_greedy_or_weak_cost_is_refused() {
    let (_dir, path) = keystore();
    let text = std::fs::read_to_string(&path).unwrap();
    let altered = |from: &str, to: &str| {
        assert!(text.contains(from));
        write_secret_file(&path, text.replace(from, to).as_bytes()).unwrap();
        Keystore::open(&path, "correct horse").unwrap_err()
    };
    assert!(matches!(altered("sealdev1x", "sealdev1y"), KeystoreError::Passphrase { .. }));
    let field = |error| match error {
        KeystoreError::Unsupported { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(altered("\"memory_kib\": 65536", "\"memory_kib\": 4294967295")), "cost.memory_kib");
    assert_eq!(field(altered("\"passes\": 3", "\"passes\": 1")), "cost.passes");
    assert_eq!(field(altered(FORMAT, "sealpost-keystore/3")), "format");
}

#[test]
fn a_note_is_bound_to_its_place_and_outlives_the_passphrase() {
    let (_dir, path) = keystore();
    let mut keystore = Keystore::open(&path, "correct horse").unwrap();
    let note = keystore.seal_note(b"here", b"salt").unwrap();
    assert_eq!(keystore.open_note(b"here", &note).unwrap().as_slice(), b"salt");
    assert!(keystore.open_note(b"there", &note).is_err());
    keystore.change_passphrase("battery staple").unwrap();
    let again = Keystore::open(&path, "battery staple").unwrap();
    assert_eq!(again.open_note(b"here", &note).unwrap().as_slice(), b"salt");
}

#[test]
fn another_passphrase_has_another_salt_and_the_old_one_opens_nothing() {
    let (dir, path) = keystore();
    let before = load(&path).unwrap().header.salt;
    Keystore::open(&path, "correct horse").unwrap().change_passphrase("battery staple").unwrap();
    assert_ne!(load(&path).unwrap().header.salt, before);
    assert!(matches!(Keystore::open(&path, "correct horse"), Err(KeystoreError::Passphrase { .. })));
    assert_eq!(sequences(&Keystore::open(&path, "battery staple").unwrap()), [1]);
    let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["keystore.json", "keystore.lock"]);
}

#[test]
fn what_a_killed_writer_left_goes_with_the_next_change_and_nothing_else_does() {
    let (dir, path) = keystore();
    let (torn, foreign) = (dir.path().join(".sealpost-torn"), dir.path().join(".sealpost-draft"));
    std::fs::copy(&path, &torn).unwrap();
    std::fs::write(&foreign, "{}").unwrap();
    Keystore::open(&path, "correct horse").unwrap().change(|secrets| secrets.forget(&[1])).unwrap();
    assert!(!torn.exists() && foreign.exists());
}

/// As the first format had it: no publications, no key of its own for notes.
#[test]
fn a_keystore_of_the_first_format_is_read_and_keeps_its_notes() {
    let (_dir, path) = keystore();
    let mut former = Keystore::open(&path, "correct horse").unwrap();
    former.header.format = FORMER.into();
    former.secrets.publications.clear();
    former.secrets.note_key = None;
    former.save().unwrap();
    let note = former.seal_note(b"here", b"salt").unwrap();
    assert!(!Keystore::parameters_of(&path).unwrap().newest);
    let mut keystore = Keystore::open(&path, "correct horse").unwrap();
    assert_eq!(keystore.secrets().publications.len(), 1);
    keystore.change_passphrase("battery staple").unwrap();
    assert!(Keystore::parameters_of(&path).unwrap().newest);
    let keystore = Keystore::open(&path, "battery staple").unwrap();
    assert_eq!(keystore.open_note(b"here", &note).unwrap().as_slice(), b"salt");
}

#[test]
fn the_hash_of_keys_does_not_depend_on_their_last_height() {
    let secret = BundleSecret::generate(1).unwrap();
    let of = |height| KeysHash::of(&secret.bundle(sealpost_ledger::height::BlockHeight::new(height)));
    assert_eq!(of(1), of(2));
    assert_ne!(of(1), KeysHash::of(&BundleSecret::generate(1).unwrap().bundle(Default::default())));
}
