#![allow(clippy::unwrap_used)]

use super::*;
use k256::elliptic_curve::group::CurveAffine;
use k256::elliptic_curve::point::DecompressPoint;
use k256::elliptic_curve::subtle::Choice;
use k256::{ProjectivePoint, Scalar};
use proptest::prelude::*;

/// The point that is so many times the generator; negative for opposites, never zero.
fn multiple(times: i64) -> Point {
    let affine = (ProjectivePoint::GENERATOR * Scalar::from(times.unsigned_abs())).to_affine();
    let [point] = lift_x(&[affine.x().into()]).try_into().unwrap();
    let point: Point = point.unwrap();
    let odd = bool::from(affine.y_is_odd());
    if odd == (times < 0) { point } else { point.negate() }
}

fn sum_of(times: i64) -> ProjectivePoint {
    let point = ProjectivePoint::GENERATOR * Scalar::from(times.unsigned_abs());
    if times < 0 { -point } else { point }
}

#[test]
fn the_generator_and_its_image_under_the_endomorphism_are_as_k256_has_them() {
    let generator = Point::generator().unwrap();
    assert_eq!(generator.to_affine().unwrap(), AffinePoint::GENERATOR);
    assert_eq!(generator.negate().to_affine().unwrap(), -AffinePoint::GENERATOR);
    let image = generator.endomorphism(&Beta::new().unwrap()).to_affine().unwrap();
    assert_eq!(ProjectivePoint::from(image), ProjectivePoint::GENERATOR.endomorphism());
}

fn lifts_as_k256_does(coordinates: &[[u8; 32]]) {
    for (bytes, point) in coordinates.iter().zip(lift_x(coordinates)) {
        let expected = AffinePoint::decompress(&FieldBytes::from(*bytes), Choice::from(0)).into_option();
        assert_eq!(point.map(|point| point.to_affine().unwrap()), expected, "{bytes:02x?}");
    }
}

#[test]
fn coordinates_at_the_edges_are_lifted_or_refused() {
    let modulus =
        const_hex::decode_to_array("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f")
            .unwrap();
    let near = |bytes: [u8; 32], difference: i8| {
        let mut bytes = bytes;
        let last = bytes.last_mut().unwrap();
        *last = last.wrapping_add_signed(difference);
        bytes
    };
    let mut edges: Vec<_> = (-8..8).map(|difference| near(modulus, difference)).collect();
    edges.extend((0..8).map(|difference| near([0; 32], difference)));
    edges.push([0xff; 32]);
    lifts_as_k256_does(&edges);
    assert!(lift_x(&[modulus, [0xff; 32]]).iter().all(Option::is_none));
    assert!(lift_x(&[]).is_empty());
}

#[test]
fn sums_of_segments_know_equal_and_opposite_points() {
    let segments: [&[i64]; 12] = [
        &[],
        &[5],
        &[1, 1],
        &[1, -1],
        &[1, -1, 2],
        &[3, 1, -1],
        &[1, 2, 3],
        &[1, 2, -3, 0x7fff_ffff],
        &[1, 1, -2, 5],
        &[7; 9],
        &[1, -1, 2, -2],
        &[4, -1, -1, -2],
    ];
    let points = segments.iter().flat_map(|segment| segment.iter().map(|times| multiple(*times))).collect();
    let mut sums = Segments::new(points, segments.iter().map(|segment| segment.len()).collect());
    sums.add_up(&mut Scratch::default());
    for (segment, sum) in segments.iter().zip(sums.sums().unwrap()) {
        let sum = sum.unwrap_or(AffinePoint::identity());
        assert_eq!(ProjectivePoint::from(sum), sum_of(segment.iter().sum()), "{segment:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_coordinates_are_lifted_as_k256_does(coordinates in prop::collection::vec(any::<[u8; 32]>(), 0..7)) {
        lifts_as_k256_does(&coordinates);
    }
    #[test]
    fn any_segments_add_up(
        segments in prop::collection::vec(
            prop::collection::vec((1_i64..6, any::<bool>()).prop_map(|(n, minus)| if minus { -n } else { n }), 0..9),
            0..9,
        )
    ) {
        let points = segments.iter().flatten().map(|times| multiple(*times)).collect();
        let mut sums = Segments::new(points, segments.iter().map(Vec::len).collect());
        sums.add_up(&mut Scratch::default());
        for (segment, sum) in segments.iter().zip(sums.sums().unwrap()) {
            let sum = sum.unwrap_or(AffinePoint::identity());
            prop_assert_eq!(ProjectivePoint::from(sum), sum_of(segment.iter().sum()));
        }
    }
}
