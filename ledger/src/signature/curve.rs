//! Points of secp256k1 by their affine coordinates, for sums of very many of them: points are read in lots,
//! and sums of many pairs share one inversion.
//!
//! An addition costs six field multiplications here, where the complete formulas of `k256` take twelve and
//! more. Those need no cases; here equal and opposite points are cases of their own, which every addition
//! looks for, since whoever signs chooses the points. All inputs are public, so time may depend on them.
//!
//! Field elements of `k256` are reduced lazily: sums and negations raise an element's *magnitude*, products
//! take magnitudes of at most 8 and give 1. The coordinates of a [`Point`] have magnitude 1. Builds with
//! debug assertions, as tests are, count the magnitudes and refuse what goes beyond.

use k256::elliptic_curve::PrimeField;
use k256::elliptic_curve::hazmat::FieldArithmetic;
use k256::elliptic_curve::ops::Invert;
use k256::elliptic_curve::point::AffineCoordinates;
use k256::{AffinePoint, FieldBytes, Secp256k1, U256};

type FieldElement = <Secp256k1 as FieldArithmetic>::FieldElement;

/// A cube root of one: `λ·(x, y) = (β·x, y)` for the λ of [`super::glv`].
const BETA: U256 = U256::from_be_hex("7ae96a2b657c07106e64479eac3434e99cf0497512f58995c1396c28719501ee");

/// A point of the curve other than infinity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    x: FieldElement,
    y: FieldElement,
}

impl Point {
    /// The generator.
    pub(super) fn generator() -> Option<Self> {
        let affine = AffinePoint::GENERATOR;
        let x = FieldElement::from_repr(affine.x()).into_option()?;
        let y = FieldElement::from_repr(affine.y()).into_option()?;
        Some(Self { x, y })
    }
    /// As `k256` has it. `None` would mean that this is no point of the curve.
    pub(super) fn to_affine(self) -> Option<AffinePoint> {
        AffinePoint::from_coordinates(&self.x.to_bytes(), &self.y.to_bytes()).into_option()
    }
    /// `λ` times this point, for one multiplication.
    pub(super) fn endomorphism(self, beta: &Beta) -> Self {
        Self { x: self.x.mul(&beta.0), y: self.y }
    }
    /// The opposite point.
    pub(super) fn negate(self) -> Self {
        Self { x: self.x, y: self.y.negate(1).normalize_weak() }
    }
}

/// The constant [`BETA`], ready to multiply.
pub(super) struct Beta(FieldElement);

impl Beta {
    /// `None` never: the constant is below the modulus.
    pub(super) fn new() -> Option<Self> {
        FieldElement::from_repr(FieldBytes::from(<[u8; 32]>::from(BETA.to_be_bytes())))
            .into_option()
            .map(Self)
    }
}

/// How many square roots are drawn in step. One root is a chain of multiplications that each wait for the
/// last; two chains side by side keep the processor busy, more gain nothing. (13 against 19 ns for a squaring.)
const ROOTS_IN_STEP: usize = 2;

/// BIP-340's `lift_x` for many: the point with that x-coordinate (big-endian) and an even y, or `None` where there
/// is no such point or the number isn't below the field's modulus.
pub(super) fn lift_x(coordinates: &[[u8; 32]]) -> Vec<Option<Point>> {
    let mut points = Vec::with_capacity(coordinates.len());
    for lot in coordinates.chunks(ROOTS_IN_STEP) {
        let mut xs = [None; ROOTS_IN_STEP];
        for (x, bytes) in xs.iter_mut().zip(lot) {
            *x = FieldElement::from_repr(FieldBytes::from(*bytes)).into_option();
        }
        let squares = xs.map(|x| {
            let x = x.unwrap_or(FieldElement::ONE);
            x.square().mul(&x) + FieldElement::from_u64(7)
        });
        let roots = root_candidates(squares);
        for (((x, square), root), _) in xs.into_iter().zip(squares).zip(roots).zip(lot) {
            let is_root = bool::from((root.square().negate(1) + square).normalizes_to_zero());
            let root = root.normalize();
            let y = if bool::from(root.is_odd()) { root.negate(1).normalize_weak() } else { root };
            points.push(x.filter(|_| is_root).map(|x| Point { x, y }));
        }
    }
    points
}

/// A field element in a cache line of its own: a chain of squarings is a third slower, in some runs and not in
/// others, when elements come to lie across the border of two.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lane(FieldElement);

/// `a^((p + 1) / 4)` of each: the square root, where there is one, since p = 3 mod 4. The chain is the one of
/// libsecp256k1 (`secp256k1_fe_sqrt`): the exponent has three blocks of ones, 2, 22 and 223 long.
fn root_candidates<const N: usize>(a: [FieldElement; N]) -> [FieldElement; N] {
    let x1 = a.map(Lane);
    let x2 = power_and_times(x1, 1, &x1);
    let x3 = power_and_times(x2, 1, &x1);
    let x6 = power_and_times(x3, 3, &x3);
    let x9 = power_and_times(x6, 3, &x3);
    let x11 = power_and_times(x9, 2, &x2);
    let x22 = power_and_times(x11, 11, &x11);
    let x44 = power_and_times(x22, 22, &x22);
    let x88 = power_and_times(x44, 44, &x44);
    let x176 = power_and_times(x88, 88, &x88);
    let x220 = power_and_times(x176, 44, &x44);
    let x223 = power_and_times(x220, 3, &x3);
    power_and_times(power_and_times(x223, 23, &x22), 6, &x2).map(|Lane(x)| x.square().square())
}

/// `a^(2^squarings) · b` of each.
fn power_and_times<const N: usize>(mut a: [Lane; N], squarings: usize, b: &[Lane; N]) -> [Lane; N] {
    for _ in 0..squarings {
        // In place: moving the elements about costs a fifth more.
        for Lane(a) in &mut a {
            *a = a.square();
        }
    }
    for (Lane(a), Lane(b)) in a.iter_mut().zip(b) {
        *a = a.mul(b);
    }
    a
}

/// The line through two points, or the tangent where they are the same.
#[derive(Clone, Copy)]
struct Line {
    /// Difference in y, magnitude 3 at most.
    rise: FieldElement,
    /// Difference in x, never zero, magnitude 3 at most; its inverse, once [`invert_runs`] was there.
    run: FieldElement,
}

impl Line {
    /// `None` for opposite points: their line is vertical, their sum infinity.
    fn through(a: &Point, b: &Point) -> Option<Self> {
        let run = a.x.negate(1) + b.x;
        let rise = a.y.negate(1) + b.y;
        if !bool::from(run.normalizes_to_zero()) {
            return Some(Self { rise, run });
        }
        // With the same x, y is the same or opposite, and never zero: no point of this curve has order two.
        bool::from(rise.normalizes_to_zero())
            .then(|| Self { rise: a.x.square().mul_single(3), run: a.y.double() })
    }
    /// The sum of the two points the line goes through, once the run is inverted.
    fn sum(&self, a: &Point, b: &Point) -> Point {
        let slope = self.rise.mul(&self.run);
        let x = (slope.square() + (a.x + b.x).negate(2)).normalize_weak();
        let y = (slope.mul(&(a.x + x.negate(1))) + a.y.negate(1)).normalize_weak();
        Point { x, y }
    }
}

/// The lines of many additions, whose runs are inverted together: one inversion and three multiplications for each
/// (Montgomery's trick: H. Cohen, "A Course in Computational Algebraic Number Theory", algorithm 10.3.4).
#[derive(Default)]
struct Lines {
    /// With each line the product of all runs before it. `None` stands for a vertical line.
    lines: Vec<Option<(Line, FieldElement)>>,
    product: FieldElement,
}

impl Lines {
    fn clear(&mut self) {
        self.lines.clear();
        self.product = FieldElement::ONE;
    }
    fn push(&mut self, line: Option<Line>) {
        let before = self.product;
        if let Some(line) = &line {
            self.product = before.mul(&line.run);
        }
        self.lines.push(line.map(|line| (line, before)));
    }
    /// Replaces each run by its inverse.
    fn invert_runs(&mut self) {
        // No factor is zero, so neither is the product.
        let mut inverse = Invert::invert_vartime(&self.product).unwrap_or(FieldElement::ZERO);
        for (line, before) in self.lines.iter_mut().flatten().rev() {
            let run = line.run;
            line.run = inverse.mul(before);
            inverse = inverse.mul(&run);
        }
    }
}

/// Room for additions, used again and again: asking the system for it each time costs a twentieth of all.
#[derive(Default)]
pub(super) struct Scratch {
    lines: Lines,
    sums: Vec<Point>,
    lengths: Vec<usize>,
}

/// Points in a row of segments; what counts is the sum of each segment. An empty segment stands for infinity.
#[derive(Clone)]
pub(super) struct Segments {
    points: Vec<Point>,
    lengths: Vec<usize>,
}

impl Segments {
    /// Points in order, and how many of them belong to each segment.
    pub(super) fn new(points: Vec<Point>, lengths: Vec<usize>) -> Self {
        Self { points, lengths }
    }
    /// The segments of both, one after the other.
    pub(super) fn append(&mut self, mut other: Self) {
        self.points.append(&mut other.points);
        self.lengths.append(&mut other.lengths);
    }
    /// The segments in odd places, counted from zero.
    pub(super) fn odd(&self) -> Self {
        let segments = || self.iter().skip(1).step_by(2);
        Self::new(segments().flatten().copied().collect(), segments().map(<[Point]>::len).collect())
    }
    /// The sums, after [`Self::add_up`], as `k256` has points; infinity as `None`. None at all would mean that one
    /// of them is no point of the curve.
    pub(super) fn sums(&self) -> Option<Vec<Option<AffinePoint>>> {
        self.iter()
            .map(|segment| segment.first().map(|point| point.to_affine()).map_or(Some(None), |p| p.map(Some)))
            .collect()
    }
    fn iter(&self) -> impl Iterator<Item = &[Point]> {
        let mut rest = self.points.as_slice();
        self.lengths.iter().map(move |length| {
            let (segment, tail) = rest.split_at_checked(*length).unwrap_or((rest, &[]));
            rest = tail;
            segment
        })
    }
    /// Makes each `count` segments one, by standing next to one another.
    pub(super) fn join(&mut self, count: usize) {
        self.lengths = self.lengths.chunks(count.max(1)).map(|lengths| lengths.iter().sum()).collect();
    }
    /// Adds up every segment until it has one point, or none.
    pub(super) fn add_up(&mut self, scratch: &mut Scratch) {
        while self.lengths.iter().any(|length| *length > 1) {
            self.halve(scratch);
        }
    }
    /// Adds the points of every segment pair by pair.
    pub(super) fn halve(&mut self, scratch: &mut Scratch) {
        let Scratch { lines, sums, lengths } = scratch;
        lines.clear();
        sums.clear();
        lengths.clear();
        for segment in self.iter() {
            segment.as_chunks::<2>().0.iter().for_each(|[a, b]| lines.push(Line::through(a, b)));
        }
        lines.invert_runs();
        let mut lines = lines.lines.iter();
        for segment in self.iter() {
            let (pairs, last) = segment.as_chunks::<2>();
            let before = sums.len();
            for ([a, b], line) in pairs.iter().zip(&mut lines) {
                sums.extend(line.as_ref().map(|(line, _)| line.sum(a, b)));
            }
            sums.extend(last);
            lengths.push(sums.len().saturating_sub(before));
        }
        std::mem::swap(&mut self.points, sums);
        std::mem::swap(&mut self.lengths, lengths);
    }
}

#[cfg(test)]
mod tests;
