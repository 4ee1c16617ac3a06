//! Sums of many multiples of points, `Σ kᵢ·Pᵢ` for short kᵢ, by Pippenger's buckets: every scalar is cut into
//! digits, points with the same digit are added up before any is multiplied.
//! (N. Pippenger 1976; D. J. Bernstein, J. Doumen, T. Lange, J.-J. Oosterwijk, "Faster batch forgery
//! identification", INDOCRYPT 2012, section 4.)

use super::curve::{Point, Scratch, Segments};
use super::glv::Short;
use k256::ProjectivePoint;

/// A multiple of a point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) point: Point,
    pub(super) scalar: Short,
}

/// The sum of all terms.
pub(super) fn sum(terms: &[Term]) -> Option<ProjectivePoint> {
    sum_by(Digits::for_terms(terms.len()), terms)
}

/// Points put into buckets together, where a window has fewer: enough to share the inversions, few enough for the
/// second-level cache, and for allocations that don't go back and forth to the system.
const AT_ONCE: usize = 4096;

fn sum_by(digits: Digits, terms: &[Term]) -> Option<ProjectivePoint> {
    let table: Vec<i16> = terms.iter().flat_map(|term| digits.of(term.scalar)).collect();
    let mut scratch = Scratch::default();
    let mut buckets = Segments::new(Vec::new(), Vec::new());
    let together = AT_ONCE.checked_div(terms.len()).unwrap_or(0).max(1);
    for first in (0..digits.count).step_by(together) {
        let windows = together.min(digits.count.saturating_sub(first));
        let mut group = fill(digits, terms, &table, first, windows);
        group.add_up(&mut scratch);
        buckets.append(group);
    }
    combine(digits, buckets, &mut scratch)
}

/// Signed digits of a width: each scalar is `Σ dⱼ·2^(width·j)` with `|dⱼ| ≤ 2^(width - 1)`.
#[derive(Debug, Clone, Copy)]
struct Digits {
    width: u32,
    /// How many digits 128 bits and a carry take.
    count: usize,
}

impl Digits {
    fn new(width: u32) -> Self {
        Self { width, count: (128 / width.max(1)) as usize + 1 }
    }
    /// The width that was fastest for so many terms, in batches of 4 to 1,024 signatures by many and by few senders
    /// (`sealpost-bench signatures` measures them).
    fn for_terms(terms: usize) -> Self {
        Self::new(match terms {
            0..64 => 4,
            64..144 => 5,
            144..384 => 6,
            384..3072 => 8,
            _ => 9,
        })
    }
    /// The largest digit, and so the number of buckets per digit.
    fn buckets(self) -> usize {
        1_usize.wrapping_shl(self.width.saturating_sub(1))
    }
    /// The digits of a scalar, the lowest first.
    fn of(self, scalar: Short) -> impl Iterator<Item = i16> {
        let mut rest = scalar.magnitude;
        let mut carry = 0_i32;
        let base = 1_i32.wrapping_shl(self.width);
        (0..self.count).map(move |_| {
            let mut digit = (rest as i32 & base.wrapping_sub(1)).wrapping_add(carry);
            rest = rest.unbounded_shr(self.width);
            carry = i32::from(digit > base / 2);
            digit = digit.wrapping_sub(carry.wrapping_mul(base));
            (if scalar.negative { digit.wrapping_neg() } else { digit }) as i16
        })
    }
}

/// Sorts the points into buckets by their digits of `windows` windows from `first` on. Opposite points take the
/// places of those with negative digits.
fn fill(digits: Digits, terms: &[Term], table: &[i16], first: usize, windows: usize) -> Segments {
    let buckets = digits.buckets();
    // Yields each term's points with the number of their bucket, buckets of all windows in a row.
    let entries = || {
        terms.iter().zip(table.chunks(digits.count)).flat_map(move |(term, row)| {
            row.iter().skip(first).take(windows).enumerate().filter(|(_, digit)| **digit != 0).map(
                move |(window, digit)| {
                    let bucket = window
                        .wrapping_mul(buckets)
                        .wrapping_add(usize::from(digit.unsigned_abs()))
                        .wrapping_sub(1);
                    (bucket, term.point, *digit < 0)
                },
            )
        })
    };
    let mut lengths = vec![0_usize; windows.saturating_mul(buckets)];
    for (bucket, ..) in entries() {
        if let Some(length) = lengths.get_mut(bucket) {
            *length = length.saturating_add(1);
        }
    }
    let mut places: Vec<usize> = lengths
        .iter()
        .scan(0_usize, |next, length| {
            let place = *next;
            *next = next.saturating_add(*length);
            Some(place)
        })
        .collect();
    let Some(filler) = terms.first() else { return Segments::new(Vec::new(), lengths) };
    let mut points = vec![filler.point; lengths.iter().sum()];
    for (bucket, point, negative) in entries() {
        let Some(place) = places.get_mut(bucket) else { continue };
        if let Some(to) = points.get_mut(*place) {
            *to = if negative { point.negate() } else { point };
        }
        *place = place.saturating_add(1);
    }
    Segments::new(points, lengths)
}

/// Adds the buckets, each as often as its digit says, and the windows, each at its power of two.
///
/// The bucket of digit d stands in place d - 1. With `T_b` the sum of all buckets whose place has bit b set and T
/// that of all, a window is worth `T + Σ 2^b·T_b`. All those sums are found by adding neighbours: the odd places
/// of a level belong to its `T_b`, and its pairs are the places of the next level. So even these additions come
/// in large lots that share inversions.
fn combine(digits: Digits, mut places: Segments, scratch: &mut Scratch) -> Option<ProjectivePoint> {
    let bits = digits.width.saturating_sub(1) as usize;
    let mut odd = Segments::new(Vec::new(), Vec::new());
    for level in 0..bits {
        let mut here = places.odd();
        // One segment per window.
        here.join(1_usize.wrapping_shl(bits.saturating_sub(level).saturating_sub(1) as u32));
        odd.append(here);
        places.join(2);
        places.halve(scratch);
    }
    odd.add_up(scratch);
    let totals = places.sums()?;
    let odd = odd.sums()?;
    let mut sum = ProjectivePoint::IDENTITY;
    for (window, total) in totals.iter().enumerate().rev() {
        // Places have one bit less than digits have.
        sum.double_in_place();
        for level in (0..bits).rev() {
            sum.double_in_place();
            let at = level.saturating_mul(digits.count).saturating_add(window);
            if let Some(Some(point)) = odd.get(at) {
                sum += *point;
            }
        }
        if let Some(total) = total {
            sum += *total;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests;
