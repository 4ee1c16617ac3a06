#![allow(clippy::unwrap_used)]

use super::*;
use k256::ProjectivePoint;
use k256::elliptic_curve::Field;
use proptest::prelude::*;

fn lambda() -> Scalar {
    Scalar::reduce(&LAMBDA)
}

#[test]
fn lambda_is_a_cube_root_of_one_and_multiplies_as_the_endomorphism_does() {
    assert_eq!(lambda().square() + lambda() + Scalar::ONE, Scalar::ZERO);
    assert_eq!(ProjectivePoint::GENERATOR * lambda(), ProjectivePoint::GENERATOR.endomorphism());
}

#[test]
fn scalars_at_the_edges_split() {
    let power = |bits: u64| Scalar::from(2_u64).pow_vartime([bits]);
    let edges =
        [Scalar::ZERO, lambda(), lambda().square(), power(63), power(64), power(127), power(128), power(255)];
    for scalar in
        edges.into_iter().flat_map(|k| [k, -k, k + Scalar::ONE, k - Scalar::ONE, k.invert().unwrap_or(k)])
    {
        // Both halves below 2^128: split would give nothing otherwise.
        assert_eq!(Halves::split(scalar).unwrap().to_scalar(), scalar, "{scalar:?}");
    }
}

#[test]
fn signed_words_keep_their_value() {
    for word in [0, 1, -1, i64::MAX, i64::MIN] {
        let expected =
            if word < 0 { -Scalar::from(word.unsigned_abs()) } else { Scalar::from(word.unsigned_abs()) };
        assert_eq!(Short::from(word).to_scalar(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_scalar_splits(bytes: [u8; 32]) {
        let scalar: Scalar = Scalar::reduce(&U256::from_be_slice(&bytes));
        prop_assert_eq!(Halves::split(scalar).unwrap().to_scalar(), scalar);
    }
}
