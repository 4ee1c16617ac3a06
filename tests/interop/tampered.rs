//! ECIES ciphertexts that somebody has tampered with, given to the crate that the wallet uses and to its twins: the same
//! verdict and the same plaintext from all. A few are sealed well around a key that is no key, so that only whoever does
//! not look at the key opens them.
//!
//! What is changed comes from a seed. The seals themselves do not, because the crate asks the system for their keys; so
//! a case that fails is told whole.

use super::{absent, script};
use hkdf::Hkdf;
use sealpost_tests::harness::random::Random;
use sha2::Sha256;
use std::io::Write;
use std::process::{Command, Stdio};

const SEED: u64 = 20_261_129;
/// Cases that are compared at least; and how many of them at least are opened, and refused.
const CASES: usize = 1_200;
const OPENED: usize = 60;
const REFUSED: usize = 1_000;

/// A ciphertext: ephemeral key, nonce, tag, body.
const KEY: usize = 65;
const NONCE: usize = KEY + 16;
const TAG: usize = NONCE + 16;

/// The prime of the field, and the order of the group.
const P: &str = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
const N: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
/// The point whose x is 1, and one whose y is 1: so small that the same number plus the prime fits, too.
const Y_OF_X_1: &str = "4218f20ae6c646b363db68605822fb14264ca8d2587fdd6fbc750d587e76a7ee";
const X_OF_Y_1: &str = "1fe1e5ef3fceb5c135ab7741333ce5a6e80d68167653f6b2b24bcbcfaaaff507";

const HYBRID: &str = "hybrid key";

struct Case {
    kind: &'static str,
    secret: Vec<u8>,
    ciphertext: Vec<u8>,
}

/// What came of a case: the plaintext, or a refusal.
type Verdict = Option<Vec<u8>>;

fn number(hex: &str) -> [u8; 32] {
    const_hex::decode(hex).unwrap().try_into().unwrap()
}

/// The sum of two numbers, big-endian, if it has room in 32 bytes.
fn sum(a: [u8; 32], b: [u8; 32]) -> Option<[u8; 32]> {
    let mut carry = 0;
    let mut sum = [0; 32];
    for at in (0..32).rev() {
        carry += u16::from(a[at]) + u16::from(b[at]);
        sum[at] = carry as u8;
        carry >>= 8;
    }
    (carry == 0).then_some(sum)
}

/// `a - b` for numbers of which the first is not less.
fn less(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut borrow = 0;
    let mut rest = [0; 32];
    for at in (0..32).rev() {
        let here = i16::from(a[at]) - i16::from(b[at]) - borrow;
        rest[at] = here as u8;
        borrow = i16::from(here < 0);
    }
    rest
}

/// The number 1, which is also the secret key at which the shared point is the ephemeral key itself, on the curve or off
/// it: what is sealed to it can be sealed well around anything.
fn one() -> [u8; 32] {
    let mut one = [0; 32];
    one[31] = 1;
    one
}

fn random_bytes(random: &mut Random, count: usize) -> Vec<u8> {
    (0..count).map(|_| random.next() as u8).collect()
}

/// A secret key: almost every number of 32 bytes is one.
fn secret(random: &mut Random) -> [u8; 32] {
    random_bytes(random, 32).try_into().unwrap()
}

fn seal(secret: &[u8; 32], text: &[u8]) -> Vec<u8> {
    let secret = ecies::SecretKey::parse_slice(secret).unwrap();
    ecies::encrypt(&ecies::PublicKey::from_secret_key(&secret).serialize(), text).unwrap()
}

/// The symmetric key for an ephemeral key and a shared point, as they are written.
fn symmetric_key(ephemeral: &[u8], shared: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, &[ephemeral, shared].concat()).expand(&[], &mut key).unwrap();
    key
}

/// Sealed to the secret key 1, the ephemeral key standing there as `written` and taken for `meant`.
fn sealed_to_one(written: &[u8], meant: &[u8], text: &[u8]) -> Vec<u8> {
    let sealed = ecies::symmetric::sym_encrypt(&symmetric_key(meant, meant), text).unwrap();
    [written, &sealed].concat()
}

/// A key of 65 bytes.
fn point(prefix: u8, x: [u8; 32], y: [u8; 32]) -> Vec<u8> {
    [&[prefix], &x[..], &y].concat()
}

/// Six for an even y, seven for an odd one: how a key that is written whole says it twice.
fn hybrid(key: &[u8]) -> u8 {
    6 + (key[KEY - 1] & 1)
}

/// Something that was changed at random.
fn change(random: &mut Random, ciphertext: &mut Vec<u8>, other: &[u8]) {
    let at = |random: &mut Random, length: usize| random.below(length.max(1));
    match random.below(7) {
        0 => {
            let at = at(random, ciphertext.len());
            ciphertext.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (random.next() % 8));
        }
        1 => {
            let at = at(random, ciphertext.len());
            ciphertext.truncate(at);
        }
        2 => {
            let count = 1 + random.below(40);
            let more = random_bytes(random, count);
            ciphertext.extend_from_slice(&more);
        }
        3 => {
            let at = at(random, ciphertext.len());
            ciphertext.insert(at, random.next() as u8);
        }
        4 => {
            let at = at(random, ciphertext.len());
            ciphertext.drain(at..(at + 1).min(ciphertext.len()));
        }
        5 => {
            let places = [0..1, 1..33, 33..KEY, 0..KEY, KEY..NONCE, NONCE..TAG, TAG..other.len()];
            let place = places[random.below(places.len())].clone();
            if let Some(here) = ciphertext.get_mut(place.clone()) {
                here.copy_from_slice(&other[place]);
            }
        }
        _ => {
            let (from, to) = (at(random, ciphertext.len()), at(random, ciphertext.len()));
            if from != to {
                ciphertext.swap(from, to);
            }
        }
    }
}

/// All cases.
fn cases() -> Vec<Case> {
    let mut random = Random::new(SEED);
    let mut cases = Vec::new();
    untouched(&mut random, &mut cases);
    changed_bytes(&mut random, &mut cases);
    other_lengths(&mut random, &mut cases);
    other_keys(&mut random, &mut cases);
    wrong_secrets(&mut random, &mut cases);
    for _ in 0..400 {
        let secret = secret(&mut random);
        let mut ciphertext = seal(&secret, &random_bytes(&mut random, 32));
        let other = seal(&secret, &random_bytes(&mut random, 32));
        for _ in 0..=random.below(3) {
            change(&mut random, &mut ciphertext, &other);
        }
        cases.push(Case { kind: "changed at random", secret: secret.to_vec(), ciphertext });
    }
    cases
}

/// Good ones, of any length, to any key.
fn untouched(random: &mut Random, cases: &mut Vec<Case>) {
    let largest = less(number(N), one());
    for length in [0, 1, 15, 16, 17, 31, 32, 33, 64, 255, 1_000] {
        for secret in [one(), largest, secret(random), secret(random), secret(random)] {
            let ciphertext = seal(&secret, &random_bytes(random, length));
            let kind = if length == 0 { "nothing sealed" } else { "untouched" };
            cases.push(Case { kind, secret: secret.to_vec(), ciphertext });
        }
    }
}

/// Each byte of a share's ciphertext changed, and parts of it replaced.
fn changed_bytes(random: &mut Random, cases: &mut Vec<Case>) {
    let secret = secret(random);
    let good = seal(&secret, &random_bytes(random, 32));
    let other = seal(&secret, &random_bytes(random, 32));
    for at in 0..good.len() {
        let mut ciphertext = good.clone();
        ciphertext[at] ^= 1 << (random.next() % 8);
        let kind = match at {
            0 => "prefix of the key",
            1..33 => "x of the key",
            33..KEY => "y of the key",
            KEY..NONCE => "nonce",
            NONCE..TAG => "tag",
            _ => "body",
        };
        cases.push(Case { kind, secret: secret.to_vec(), ciphertext });
    }
    for (kind, place) in [
        ("another's key", 0..KEY),
        ("another's nonce", KEY..NONCE),
        ("another's tag", NONCE..TAG),
        ("another's body", TAG..good.len()),
    ] {
        for bytes in [other[place.clone()].to_vec(), vec![0; place.len()], vec![0xff; place.len()]] {
            let mut ciphertext = good.clone();
            ciphertext[place.clone()].copy_from_slice(&bytes);
            cases.push(Case { kind, secret: secret.to_vec(), ciphertext });
        }
    }
    // As the twins' older versions, and other programs, have them: the tag at the end; the tag first.
    let (key, nonce, tag, body) = (&good[..KEY], &good[KEY..NONCE], &good[NONCE..TAG], &good[TAG..]);
    for parts in [[key, nonce, body, tag], [key, tag, nonce, body], [nonce, key, tag, body]] {
        cases.push(Case { kind: "another order", secret: secret.to_vec(), ciphertext: parts.concat() });
    }
}

/// Cut off at each byte; longer than they should be.
fn other_lengths(random: &mut Random, cases: &mut Vec<Case>) {
    for length in [0, 32] {
        let secret = secret(random);
        let good = seal(&secret, &random_bytes(random, length));
        for end in 0..good.len() {
            cases.push(Case { kind: "cut off", secret: secret.to_vec(), ciphertext: good[..end].to_vec() });
        }
        for more in 1..=33 {
            let more = if more % 2 == 0 { vec![0; more] } else { random_bytes(random, more) };
            let ciphertext = [&good[..], &more].concat();
            cases.push(Case { kind: "made longer", secret: secret.to_vec(), ciphertext });
            let ciphertext = [&more[..], &good].concat();
            cases.push(Case { kind: "made longer at its beginning", secret: secret.to_vec(), ciphertext });
        }
    }
}

/// Keys that are written otherwise, and keys that are none.
fn other_keys(random: &mut Random, cases: &mut Vec<Case>) {
    let secret = secret(random);
    let good = seal(&secret, &random_bytes(random, 32));
    for prefix in 0..=255 {
        let mut ciphertext = good.clone();
        ciphertext[0] = prefix;
        let kind = match prefix {
            4 => "untouched",
            _ if prefix == hybrid(&good) => HYBRID,
            _ => "prefix of the key",
        };
        cases.push(Case { kind, secret: secret.to_vec(), ciphertext });
    }
    let even = 2 + (good[KEY - 1] & 1);
    for (kind, key) in [
        ("compressed key", [&[even], &good[1..33]].concat()),
        ("compressed key", [&[even ^ 1], &good[1..33]].concat()),
        ("compressed key, filled up", [&[even], &good[1..33], &[0; 32]].concat()),
        ("key without its prefix", good[1..KEY].to_vec()),
        ("x alone", good[1..33].to_vec()),
        ("infinity", vec![0]),
    ] {
        cases.push(Case { kind, secret: secret.to_vec(), ciphertext: [&key[..], &good[KEY..]].concat() });
    }
    let x: [u8; 32] = good[1..33].try_into().unwrap();
    let y: [u8; 32] = good[33..KEY].try_into().unwrap();
    let mut negated = good.clone();
    negated[33..KEY].copy_from_slice(&less(number(P), y));
    cases.push(Case { kind: "negated key", secret: secret.to_vec(), ciphertext: negated });

    let mut to_one = |kind, written: &[u8], meant: &[u8]| {
        let ciphertext = sealed_to_one(written, meant, &random_bytes(random, 32));
        cases.push(Case { kind, secret: one().to_vec(), ciphertext });
    };
    let (small_x, small_y) = (point(4, one(), number(Y_OF_X_1)), point(4, number(X_OF_Y_1), one()));
    for key in [&small_x, &small_y, &good[..KEY].to_vec()] {
        to_one("key of a stranger", key, key);
        let mut written = key.clone();
        for prefix in [hybrid(key), hybrid(key) ^ 1] {
            written[0] = prefix;
            let kind = if prefix == hybrid(key) { HYBRID } else { "hybrid key that contradicts itself" };
            to_one(kind, &written, key);
            to_one("hybrid key, not read", &written, &written);
        }
    }
    let beyond = sum(one(), number(P)).unwrap();
    for (written, meant) in
        [(point(4, beyond, number(Y_OF_X_1)), small_x), (point(4, number(X_OF_Y_1), beyond), small_y)]
    {
        to_one("coordinate beyond the prime", &written, &meant);
        to_one("coordinate beyond the prime, not reduced", &written, &written);
    }
    let zero = [0; 32];
    for key in [
        point(4, zero, zero),
        point(0, zero, zero),
        point(4, number(P), number(P)),
        point(4, [0xff; 32], [0xff; 32]),
    ] {
        to_one("infinity", &key, &key);
    }
    for key in [point(4, y, x), point(4, x, one()), point(4, zero, one()), point(4, one(), zero)] {
        to_one("off the curve", &key, &key);
    }
    for _ in 0..40 {
        let key = point(
            4,
            random_bytes(random, 32).try_into().unwrap(),
            random_bytes(random, 32).try_into().unwrap(),
        );
        let ciphertext = sealed_to_one(&key, &key, &random_bytes(random, 32));
        cases.push(Case { kind: "off the curve", secret: one().to_vec(), ciphertext });
    }
}

/// Good ones, and the secret key of somebody else, or none.
fn wrong_secrets(random: &mut Random, cases: &mut Vec<Case>) {
    for _ in 0..20 {
        let secret = secret(random);
        let ciphertext = seal(&secret, &random_bytes(random, 32));
        // The second has the same x in every product.
        for wrong in [self::secret(random), less(number(N), secret)] {
            cases.push(Case { kind: "wrong secret", secret: wrong.to_vec(), ciphertext: ciphertext.clone() });
        }
    }
    let ciphertext = seal(&one(), &random_bytes(random, 32));
    let beyond = sum(number(N), one()).unwrap();
    for wrong in [
        vec![],
        vec![1],
        one()[1..].to_vec(),
        [&[0], &one()[..]].concat(),
        [&one()[..], &[0]].concat(),
        vec![0; 32],
        number(N).to_vec(),
        beyond.to_vec(),
        vec![0xff; 32],
    ] {
        cases.push(Case { kind: "no secret", secret: wrong, ciphertext: ciphertext.clone() });
    }
}

/// What the crate says that the wallet uses.
fn ours(case: &Case) -> Verdict {
    ecies::decrypt(&case.secret, &case.ciphertext).ok()
}

/// What a twin says of all cases, in one process.
fn theirs(mut twin: Command, cases: &[Case]) -> Vec<Verdict> {
    let mut child = twin.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = String::new();
    for case in cases {
        lines += &format!("{} {}\n", const_hex::encode(&case.secret), const_hex::encode(&case.ciphertext));
    }
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{twin:?} failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<_> = text
        .lines()
        .map(|line| match line.split_once(' ') {
            Some(("opened", text)) => Some(const_hex::decode(text).unwrap()),
            _ => {
                assert_eq!(line, "refused");
                None
            }
        })
        .collect();
    assert_eq!(verdicts.len(), cases.len());
    verdicts
}

/// The cases at which two are not of one mind.
fn differences<'a>(cases: &'a [Case], ours: &[Verdict], theirs: &[Verdict]) -> Vec<&'a Case> {
    let pairs = cases.iter().zip(ours.iter().zip(theirs));
    pairs.filter(|(_, (ours, theirs))| ours != theirs).map(|(case, _)| case).collect()
}

/// Whether nothing is wrong but that the key stands there in X9.62's hybrid form, whose prefixes 6 and 7 say whether y is
/// even although it is there. libsecp256k1 reads that, the others do not.
fn is_hybrid(case: &Case) -> bool {
    let key = case.ciphertext.get(..KEY);
    key.is_some_and(|key| key[0] == hybrid(key)) && takes_every_prefix(case).is_some()
}

/// Compares all cases. Hybrid keys are the only thing that a twin may take and we not. Refusing them is right, as the
/// protocol page has one way of writing a key; taking them opens nothing to anybody, because it is the same point.
fn the_twins_agree(name: &str, twin: Command, takes_hybrid_keys: bool) {
    let cases = cases();
    let theirs = theirs(twin, &cases);
    let hybrid = |case: &&Case| takes_hybrid_keys && is_hybrid(case);
    let hybrids = cases.iter().filter(hybrid).count();
    assert_eq!(hybrids > 0, takes_hybrid_keys);
    let expected: Vec<_> =
        cases.iter().map(|case| if hybrid(&case) { takes_every_prefix(case) } else { ours(case) }).collect();
    if let Some(Case { kind, secret, ciphertext }) = differences(&cases, &expected, &theirs).first() {
        let (secret, ciphertext) = (const_hex::encode(secret), const_hex::encode(ciphertext));
        panic!("{name} and we differ: {kind}, secret {secret}, ciphertext {ciphertext}");
    }
    let opened = cases.iter().filter(|case| ours(case).is_some()).count();
    let refused = cases.len() - opened - hybrids;
    println!(
        "{} compared with {name}: {opened} opened and {refused} refused by both, {hybrids} refused by us alone",
        cases.len()
    );
    assert!(cases.len() >= CASES && opened >= OPENED && refused >= REFUSED, "too few were compared");
}

#[test]
fn eciespy_says_the_same_of_what_was_tampered_with() {
    let Some(python) = std::env::var_os("SEALPOST_TEST_PYTHON") else { return absent("eciespy") };
    let mut twin = Command::new(python);
    twin.arg(script("ecies_open.py"));
    the_twins_agree("eciespy", twin, true);
}

#[test]
fn eciesjs_says_the_same_of_what_was_tampered_with() {
    let Some(modules) = std::env::var_os("SEALPOST_TEST_NODE_MODULES") else { return absent("eciesjs") };
    let mut twin = Command::new("node");
    twin.arg(script("ecies_open.cjs")).env("NODE_PATH", modules);
    the_twins_agree("eciesjs", twin, false);
}

/// Somebody who leaves something out.
type Careless = fn(&Case) -> Verdict;

fn with(case: &Case, ciphertext: Vec<u8>) -> Verdict {
    ours(&Case { kind: case.kind, secret: case.secret.clone(), ciphertext })
}

fn takes_every_prefix(case: &Case) -> Verdict {
    let mut ciphertext = case.ciphertext.clone();
    ciphertext.iter_mut().take(1).for_each(|prefix| *prefix = 4);
    with(case, ciphertext)
}

fn reduces_coordinates(case: &Case) -> Verdict {
    let mut ciphertext = case.ciphertext.clone();
    for place in [1..33, 33..KEY] {
        let coordinate = ciphertext.get_mut(place)?;
        let value: [u8; 32] = (&*coordinate).try_into().unwrap();
        if value >= number(P) {
            coordinate.copy_from_slice(&less(value, number(P)));
        }
    }
    with(case, ciphertext)
}

fn takes_points_off_the_curve(case: &Case) -> Verdict {
    let (key, sealed) = case.ciphertext.split_at_checked(KEY)?;
    if case.secret != one() || key[0] != 4 {
        return ours(case);
    }
    ecies::symmetric::sym_decrypt(&symmetric_key(key, key), sealed)
}

fn takes_compressed_keys(case: &Case) -> Verdict {
    let (key, sealed) = case.ciphertext.split_at_checked(33)?;
    match ecies::PublicKey::parse_slice(key, None) {
        Ok(key) => with(case, [&key.serialize()[..], sealed].concat()),
        Err(_) => ours(case),
    }
}

fn leaves_what_is_too_much(case: &Case) -> Verdict {
    ours(case).or_else(|| with(case, case.ciphertext.get(..TAG + 32)?.to_vec()))
}

fn does_not_look_at_the_tag(case: &Case) -> Verdict {
    let key = ecies::PublicKey::parse_slice(case.ciphertext.get(..KEY)?, None);
    ours(case).or_else(|| key.is_ok().then(|| case.ciphertext.get(TAG..).unwrap_or_default().to_vec()))
}

fn reduces_secrets(case: &Case) -> Verdict {
    let secret: [u8; 32] = case.secret.as_slice().try_into().ok()?;
    let secret = if secret > number(N) { less(secret, number(N)) } else { secret };
    ours(&Case { kind: case.kind, secret: secret.to_vec(), ciphertext: case.ciphertext.clone() })
}

fn does_not_open_nothing(case: &Case) -> Verdict {
    ours(case).filter(|text| !text.is_empty())
}

fn opens_another_text(case: &Case) -> Verdict {
    ours(case).map(|text| text.iter().map(|byte| !byte).collect())
}

#[test]
fn who_leaves_something_out_is_noticed() {
    let cases = cases();
    let ours: Vec<_> = cases.iter().map(ours).collect();
    assert!(differences(&cases, &ours, &ours).is_empty());
    let careless: [(Careless, &[&str]); 9] = [
        (takes_every_prefix, &[HYBRID, "prefix of the key", "hybrid key that contradicts itself"]),
        (reduces_coordinates, &["coordinate beyond the prime"]),
        (takes_points_off_the_curve, &["off the curve", "infinity"]),
        (takes_compressed_keys, &["compressed key"]),
        (leaves_what_is_too_much, &["made longer"]),
        (does_not_look_at_the_tag, &["tag", "body", "nonce", "wrong secret"]),
        (reduces_secrets, &["no secret"]),
        (does_not_open_nothing, &["nothing sealed"]),
        (opens_another_text, &["untouched"]),
    ];
    for (number, (careless, kinds)) in careless.into_iter().enumerate() {
        let theirs: Vec<_> = cases.iter().map(careless).collect();
        let noticed = differences(&cases, &ours, &theirs);
        for kind in kinds {
            assert!(noticed.iter().any(|case| case.kind == *kind), "the careless number {number}: {kind}");
        }
    }
}
