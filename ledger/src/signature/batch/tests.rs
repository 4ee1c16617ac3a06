#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::signature::{Signature, SigningKey};
use k256::elliptic_curve::point::AffineCoordinates;
use proptest::prelude::*;

fn signed(seed: u8, message: u8) -> Signed {
    let key = SigningKey::from_bytes(&[seed; 32]).unwrap();
    let digest = [message; 32];
    let signature = key.sign(&digest, &[0; 32]).unwrap();
    Signed { key: key.public_key(), digest, signature }
}

/// What single checks say.
fn first_bad(batch: &[Signed]) -> Option<usize> {
    batch.iter().position(|signed| signed.key.verify(&signed.digest, &signed.signature).is_err())
}

/// A batch has to say the same as single checks; and so has its sum, without their help.
fn agrees(batch: &[Signed]) -> Option<usize> {
    let expected = first_bad(batch);
    assert_eq!(verify_batch(batch).err().map(|bad| bad.index), expected);
    let claims = Claims::read(batch);
    let readable = claims.members.len();
    assert!(expected.is_none_or(|bad| bad <= readable));
    let holds = claims.hold(0..readable);
    assert_eq!(holds, expected.is_none_or(|bad| bad == readable));
    if !holds {
        let suspects = claims.suspects();
        assert!(suspects.len() <= SMALLEST_SUM && suspects.contains(&expected.unwrap()), "{suspects:?}");
    }
    expected
}

/// A signature with a chosen secret and a chosen nonce; `finish` makes s of the nonce and of `e` times the secret, both
/// with the signs that BIP-340 gives them.
fn by_hand(secret: Scalar, nonce: Scalar, finish: impl Fn(Scalar, Scalar) -> Scalar) -> Signed {
    let even = |scalar: Scalar| {
        let point = (ProjectivePoint::GENERATOR * scalar).to_affine();
        let scalar = if bool::from(point.y_is_odd()) { -scalar } else { scalar };
        (scalar, <[u8; 32]>::from(point.x()))
    };
    let ((secret, key), (nonce, r)) = (even(secret), even(nonce));
    let digest = [7; 32];
    let hash =
        hasher_tagged("BIP0340/challenge").chain_update(r).chain_update(key).chain_update(digest).finalize();
    let e: Scalar = Scalar::reduce(&hash);
    let s: [u8; 32] = finish(nonce, e * secret).to_bytes().into();
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(&s);
    Signed { key: PublicKey::from_bytes(key), digest, signature: Signature::from_bytes(signature) }
}

#[test]
fn a_good_batch_passes_and_a_bad_member_is_named() {
    let mut batch: Vec<_> = (1..20).map(|n| signed(n, n)).collect();
    assert_eq!(agrees(&batch), None);
    batch[7].digest[0] ^= 1;
    assert_eq!(agrees(&batch), Some(7));
}

#[test]
fn batches_of_every_small_size_pass_and_name_their_bad_member() {
    for size in 0..12 {
        let good: Vec<_> = (0..size).map(|n| signed(n % 5 + 1, n)).collect();
        assert_eq!(agrees(&good), None);
        for bad in 0..good.len() {
            let mut batch = good.clone();
            batch[bad].digest[31] ^= 0x80;
            assert_eq!(agrees(&batch), Some(bad));
        }
    }
}

#[test]
fn the_first_of_several_bad_ones_is_named_whether_it_can_be_read_or_not() {
    let good: Vec<_> = (1..18).map(|n| signed(n, n)).collect();
    let wrong = |batch: &mut Vec<Signed>, place: usize| batch[place].digest[0] ^= 1;
    let unreadable =
        |batch: &mut Vec<Signed>, place: usize| batch[place].key = PublicKey::from_bytes([0xff; 32]);
    for (first, second) in [(0, 16), (3, 4), (7, 8), (8, 9), (15, 16)] {
        let mut batch = good.clone();
        wrong(&mut batch, second);
        assert_eq!(agrees(&batch), Some(second));
        unreadable(&mut batch, first);
        assert_eq!(agrees(&batch), Some(first));
        wrong(&mut batch, first);
        assert_eq!(agrees(&batch), Some(first));
        let mut batch = good.clone();
        wrong(&mut batch, first);
        unreadable(&mut batch, second);
        assert_eq!(agrees(&batch), Some(first));
    }
    let mut all = good;
    all.iter_mut().for_each(|signed| signed.digest[0] ^= 1);
    assert_eq!(agrees(&all), Some(0));
}

#[test]
fn batches_beyond_the_largest_sum_name_their_bad_member() {
    let few: Vec<_> = (1..9).map(|n| signed(n, n)).collect();
    let mut batch: Vec<_> = few.iter().copied().cycle().take(LARGEST_SUM + 9).collect();
    assert_eq!(verify_batch(&batch), Ok(()));
    batch[LARGEST_SUM + 6].digest[0] ^= 1;
    assert_eq!(verify_batch(&batch), Err(BadBatch { index: LARGEST_SUM + 6 }));
    batch[LARGEST_SUM - 1].digest[0] ^= 1;
    assert_eq!(verify_batch(&batch), Err(BadBatch { index: LARGEST_SUM - 1 }));
}

#[test]
fn errors_that_cancel_without_weights_are_caught() {
    // s of one raised and s of the other lowered by the same amount keeps the plain sum.
    let mut batch: Vec<_> = (1..6).map(|n| signed(n, n)).collect();
    let shift = |signature: &mut Signature, by: Scalar| {
        let s = Scalar::from_repr(FieldBytes::try_from(&signature.0[32..]).unwrap()).unwrap() + by;
        signature.0[32..].copy_from_slice(&s.to_repr());
    };
    shift(&mut batch[1].signature, Scalar::ONE);
    shift(&mut batch[2].signature, -Scalar::ONE);
    assert_eq!(agrees(&batch), Some(1));
}

#[test]
fn keys_and_nonces_that_are_equal_opposite_or_images_of_one_another_pass_when_right() {
    let lambda = Halves(Short::from(0), Short::from(1)).to_scalar();
    let scalars = [Scalar::ONE, -Scalar::ONE, Scalar::from(2_u64), lambda, lambda.square(), -lambda];
    let mut batch: Vec<_> = scalars
        .iter()
        .flat_map(|secret| {
            scalars.iter().map(|nonce| by_hand(*secret, *nonce, |nonce, product| nonce + product))
        })
        .collect();
    batch.extend(batch.clone());
    assert_eq!(agrees(&batch), None);
    // The key is the generator, and so is the nonce.
    assert_eq!(batch[0].key.as_bytes(), &batch[0].signature.0[..32]);
    for bad in [0, 1, 35, 36, 71] {
        let mut batch = batch.clone();
        batch[bad].signature.0[63] ^= 1;
        assert_eq!(agrees(&batch), Some(bad));
    }
}

#[test]
fn wrong_signatures_that_a_careless_sum_would_take_are_refused() {
    let good: Vec<_> = (1..6).map(|n| signed(n, n)).collect();
    let (secret, nonce) = (Scalar::from(5_u64), Scalar::from(11_u64));
    type Finish = fn(Scalar, Scalar) -> Scalar;
    let careless: [(&str, Finish); 5] = [
        ("R with an odd y", |nonce, product| product - nonce),
        ("R at infinity", |_, product| product),
        ("s of zero", |_, _| Scalar::ZERO),
        ("the key with an odd y", |nonce, product| nonce - product),
        ("s of the opposite", |nonce, product| -(nonce + product)),
    ];
    for (what, finish) in careless {
        for place in 0..good.len() {
            let mut batch = good.clone();
            batch.insert(place, by_hand(secret, nonce, finish));
            assert_eq!(agrees(&batch), Some(place), "{what}");
        }
        // Twice, and next to a right one with the same points.
        let right = by_hand(secret, nonce, |nonce, product| nonce + product);
        let wrong = by_hand(secret, nonce, finish);
        assert_eq!(agrees(&[right, wrong, wrong, right]), Some(1), "{what}");
    }
}

#[test]
fn numbers_that_are_too_large_are_refused() {
    let order =
        const_hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
    let modulus =
        const_hex::decode("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f").unwrap();
    let good: Vec<_> = (1..6).map(|n| signed(n, n)).collect();
    for large in [&order, &modulus, &vec![0xff; 32]] {
        for part in [0..32, 32..64] {
            let mut batch = good.clone();
            batch[3].signature.0[part].copy_from_slice(large);
            assert_eq!(agrees(&batch), Some(3));
        }
        let mut batch = good.clone();
        batch[2].key.0.copy_from_slice(large);
        assert_eq!(agrees(&batch), Some(2));
    }
}

#[test]
fn weights_are_all_different_and_depend_on_every_part_of_the_batch() {
    let batch: Vec<_> = (1..6).map(|n| signed(n, n)).collect();
    let of = |batch: &[Signed]| weights(batch).take(64).map(|Weight { u, v }| (u, v)).collect::<Vec<_>>();
    let plain = of(&batch);
    assert_eq!(plain[0], (1, 0));
    assert_eq!(plain, of(&batch));
    assert_eq!(plain.iter().flat_map(|(u, v)| [u, v]).collect::<std::collections::HashSet<_>>().len(), 128);
    let changes: [fn(&mut Signed); 4] =
        [|s| s.key.0[31] ^= 1, |s| s.digest[31] ^= 1, |s| s.signature.0[0] ^= 1, |s| s.signature.0[63] ^= 1];
    for change in changes {
        let mut batch = batch.clone();
        change(&mut batch[4]);
        assert!(plain.iter().zip(of(&batch)).skip(1).all(|(a, b)| *a != b));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_batch_agrees_with_single_checks(
        members in prop::collection::vec((1_u8..5, 0_u8..5), 3..12),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..128, 1_u8..), 0..3),
        swap in prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        let mut batch: Vec<_> = members.into_iter().map(|(seed, message)| signed(seed, message)).collect();
        for (member, byte, mask) in flips {
            let member = member.get_mut(&mut batch);
            match byte {
                0..64 => member.signature.0[byte] ^= mask,
                64..96 => member.digest[byte - 64] ^= mask,
                _ => member.key.0[byte - 96] ^= mask,
            }
        }
        if let Some((a, b)) = swap {
            let (a, b) = (a.index(batch.len()), b.index(batch.len()));
            let signature = batch[a].signature;
            batch[a].signature = batch[b].signature;
            batch[b].signature = signature;
        }
        agrees(&batch);
    }
}
