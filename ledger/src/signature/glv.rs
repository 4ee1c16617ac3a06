//! Scalars in two halves of half the length: `k = k₁ + k₂·λ`, where λ times a point costs one multiplication
//! (the curve's endomorphism, after Gallant, Lambert and Vanstone).

use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::scalar::IsHigh;
use k256::{Scalar, U256};

/// A cube root of one modulo the group's order n: λ² + λ + 1 = 0.
const LAMBDA: U256 = U256::from_be_hex("5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72");

/// `-b₁`, for the short vectors (a₁, b₁) and (a₂, b₂) of the lattice of all (x, y) with x + yλ = 0 mod n.
const MINUS_B1: U256 = U256::from_be_hex("00000000000000000000000000000000e4437ed6010e88286f547fa90abfe4c3");
/// `-b₂`, modulo n.
const MINUS_B2: U256 = U256::from_be_hex("fffffffffffffffffffffffffffffffe8a280ac50774346dd765cda83db1562c");
/// `2^384 · b₂ / n`, rounded.
const G1: U256 = U256::from_be_hex("3086d221a7d46bcde86c90e49284eb153daa8a1471e8ca7fe893209a45dbb031");
/// `2^384 · -b₁ / n`, rounded.
const G2: U256 = U256::from_be_hex("e4437ed6010e88286f547fa90abfe4c4221208ac9df506c61571b4ae8ac47f71");

/// A short scalar: its sign, and its magnitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) negative: bool,
    pub(super) magnitude: u128,
}

impl Short {
    /// The scalar nearest to zero, if it is short enough.
    fn from_scalar(scalar: Scalar) -> Option<Self> {
        let negative = bool::from(scalar.is_high());
        let bytes: [u8; 32] = if negative { -scalar } else { scalar }.to_bytes().into();
        let ([high, low], []) = bytes.as_chunks::<16>() else { return None };
        let magnitude = u128::from_be_bytes(*low);
        (u128::from_be_bytes(*high) == 0).then_some(Self { negative, magnitude })
    }
    fn to_scalar(self) -> Scalar {
        let magnitude = Scalar::from(self.magnitude);
        if self.negative { -magnitude } else { magnitude }
    }
}

impl From<i64> for Short {
    fn from(value: i64) -> Self {
        Self { negative: value < 0, magnitude: value.unsigned_abs().into() }
    }
}

/// A scalar as `k₁ + k₂·λ` with short k₁ and k₂.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Halves(pub(super) Short, pub(super) Short);

impl Halves {
    /// Splits a scalar (Hankerson, Menezes and Vanstone, "Guide to Elliptic Curve Cryptography", algorithm
    /// 3.74, with divisions replaced by multiplications as in libsecp256k1's `secp256k1_scalar_split_lambda`,
    /// which has the proof that both halves are below 2^128). `None` never, therefore.
    pub(super) fn split(k: Scalar) -> Option<Self> {
        let c1 = rounded_product(k, &G1) * Scalar::reduce(&MINUS_B1);
        let c2 = rounded_product(k, &G2) * Scalar::reduce(&MINUS_B2);
        let k2 = c1 + c2;
        let k1 = k - k2 * Scalar::reduce(&LAMBDA);
        Some(Self(Short::from_scalar(k1)?, Short::from_scalar(k2)?))
    }
    /// The scalar that was split.
    pub(super) fn to_scalar(self) -> Scalar {
        self.0.to_scalar() + self.1.to_scalar() * Scalar::reduce(&LAMBDA)
    }
}

/// `k·g / 2^384`, rounded to the nearest.
fn rounded_product(k: Scalar, g: &U256) -> Scalar {
    let (_, high) = U256::from(k).widening_mul(g);
    Scalar::reduce(&high.shr_vartime(127).wrapping_add(&U256::ONE).shr_vartime(1))
}

#[cfg(test)]
mod tests;
