#![allow(clippy::unwrap_used)]

use super::super::curve::{Beta, lift_x};
use super::*;
use k256::Scalar;
use k256::elliptic_curve::Field;
use k256::elliptic_curve::point::AffineCoordinates;
use proptest::prelude::*;

const WIDTHS: std::ops::RangeInclusive<u32> = 2..=10;

fn scalar(short: Short) -> Scalar {
    let magnitude = Scalar::from(short.magnitude);
    if short.negative { -magnitude } else { magnitude }
}

/// Points that are equal or opposite to one another, or become so when added: small multiples of the generator, and
/// their images under the endomorphism, which add up to infinity.
fn point(number: u64) -> Point {
    let times = Scalar::from(number / 4 + 1);
    let affine = (ProjectivePoint::GENERATOR * times).to_affine();
    let mut point: Point = lift_x(&[affine.x().into()]).pop().flatten().unwrap();
    if number & 1 == 1 {
        point = point.negate();
    }
    if number & 2 == 2 {
        point = point.endomorphism(&Beta::new().unwrap());
    }
    point
}

fn naive(terms: &[Term]) -> ProjectivePoint {
    terms
        .iter()
        .map(|term| ProjectivePoint::from(term.point.to_affine().unwrap()) * scalar(term.scalar))
        .sum()
}

fn edges() -> Vec<Short> {
    let powers = [0, 1, 2, 7, 8, 9, 62, 63, 64, 65, 120, 126, 127].map(|bits| 1_u128 << bits);
    let magnitudes =
        powers.into_iter().flat_map(|power| [power - 1, power, power + 1]).chain([u128::MAX, u128::MAX - 1]);
    magnitudes.flat_map(|magnitude| [false, true].map(|negative| Short { negative, magnitude })).collect()
}

fn short() -> impl Strategy<Value = Short> {
    let random = (any::<u128>(), 0_u32..128, any::<bool>())
        .prop_map(|(magnitude, shift, negative)| Short { negative, magnitude: magnitude >> shift });
    prop_oneof![random, prop::sample::select(edges())]
}

#[test]
fn digits_of_any_width_stand_for_the_scalar() {
    for (short, width) in edges().into_iter().flat_map(|short| WIDTHS.map(move |width| (short, width))) {
        let digits = Digits::new(width);
        let mut sum = Scalar::ZERO;
        let all: Vec<_> = digits.of(short).collect();
        assert_eq!(all.len(), digits.count);
        for digit in all.into_iter().rev() {
            assert!(
                usize::from(digit.unsigned_abs()) <= digits.buckets(),
                "{digit} of {short:?} in width {width}"
            );
            sum *= Scalar::from(2_u64).pow_vartime([u64::from(width)]);
            sum += scalar(Short { negative: digit < 0, magnitude: digit.unsigned_abs().into() });
        }
        assert_eq!(sum, scalar(short), "{short:?} in width {width}");
    }
}

#[test]
fn scalars_at_the_edges_multiply() {
    for scalar in edges() {
        let terms = [Term { point: point(0), scalar }];
        assert_eq!(sum(&terms).unwrap(), naive(&terms), "{scalar:?}");
    }
    assert_eq!(sum(&[]).unwrap(), ProjectivePoint::IDENTITY);
}

#[test]
fn many_copies_of_a_point_and_its_opposite_in_one_bucket_add_up() {
    let scalar = Short { negative: false, magnitude: 3 };
    for copies in [2_u64, 3, 7, 64, 200] {
        let same: Vec<_> = (0..copies).map(|_| Term { point: point(0), scalar }).collect();
        assert_eq!(sum(&same).unwrap(), ProjectivePoint::GENERATOR * Scalar::from(3 * copies));
        let opposite: Vec<_> = (0..2 * copies).map(|n| Term { point: point(n & 1), scalar }).collect();
        assert_eq!(sum(&opposite).unwrap(), ProjectivePoint::IDENTITY);
    }
}

#[test]
fn windows_in_several_groups_add_up() {
    let terms: Vec<_> = edges()
        .into_iter()
        .cycle()
        .zip(0_u64..)
        .take(AT_ONCE / 3)
        .map(|(scalar, n)| Term { point: point(n % 13), scalar })
        .collect();
    assert_eq!(sum(&terms).unwrap(), naive(&terms));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_terms_add_up_in_any_width(
        terms in prop::collection::vec((0_u64..24, short()), 0..24),
        width in WIDTHS,
    ) {
        let terms: Vec<_> = terms.into_iter().map(|(n, scalar)| Term { point: point(n), scalar }).collect();
        prop_assert_eq!(sum_by(Digits::new(width), &terms).unwrap(), naive(&terms));
    }
}
