//! ECIES, as a slot carries it, against its twins in Python (`eciespy`) and JavaScript (`eciesjs`), in both
//! directions. `tests/run` installs them and names them in `SEALPOST_TEST_PYTHON` and
//! `SEALPOST_TEST_NODE_MODULES`; where they are absent the test says so, and where `SEALPOST_REQUIRE_INTEROP`
//! or `CI` is set it fails.

use sealpost_tests::harness::skip::{all_is_required, is_set, say};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

mod tampered;

const SHARE: [u8; 32] = [0xa7; 32];
const SECRET: [u8; 32] = [0x11; 32];

fn public() -> [u8; 33] {
    let secret = ecies::SecretKey::parse_slice(&SECRET).unwrap();
    ecies::PublicKey::from_secret_key(&secret).serialize_compressed()
}

/// Runs a twin: it opens `ours` and seals the share to our key, both in hexadecimal, a line each.
fn check(mut twin: Command) {
    let ours = ecies::encrypt(&public(), &SHARE).unwrap();
    assert_eq!(ours.len(), sealpost_ledger::message::ECIES_SHARE_BYTES);
    let mut child = twin.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (secret, ours) = (const_hex::encode(SECRET), const_hex::encode(&ours));
    let public = const_hex::encode(public());
    writeln!(child.stdin.take().unwrap(), "{secret} {public} {ours} {}", const_hex::encode(SHARE)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{twin:?} failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let (opened, theirs) = text.trim().split_once(' ').unwrap();
    assert_eq!(const_hex::decode(opened).unwrap(), SHARE, "the twin opens another share");
    let theirs = const_hex::decode(theirs).unwrap();
    assert_eq!(theirs.len(), sealpost_ledger::message::ECIES_SHARE_BYTES);
    assert_eq!(ecies::decrypt(&SECRET, &theirs).unwrap(), SHARE, "we open another share");
}

/// Says that a foreign implementation is not there.
pub(crate) fn absent(what: &str) {
    let required = is_set("SEALPOST_REQUIRE_INTEROP") || all_is_required();
    assert!(!required, "{what} is absent, and must not be: `bash tests/run tests` installs it");
    say(&format!("not checked against {what}: `bash tests/run tests` installs it"));
}

pub(crate) fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name)
}

#[test]
fn eciespy_opens_ours_and_we_open_its() {
    match std::env::var_os("SEALPOST_TEST_PYTHON") {
        Some(python) => {
            let mut twin = Command::new(python);
            twin.arg(script("ecies_twin.py"));
            check(twin);
        }
        None => absent("eciespy"),
    }
}

#[test]
fn eciesjs_opens_ours_and_we_open_its() {
    match std::env::var_os("SEALPOST_TEST_NODE_MODULES") {
        Some(modules) => {
            let mut twin = Command::new("node");
            twin.arg(script("ecies_twin.cjs")).env("NODE_PATH", modules);
            check(twin);
        }
        None => absent("eciesjs"),
    }
}
