//! View tags: how the recipient of a hidden slot finds it. One key agreement on secp256k1 and one hash per slot;
//! 255 of 256 slots of others fall out. Nothing else is derived from the shared point.

use super::keys::BundleSecret;
use crate::random::{NoRandomness, random};
use k256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use k256::elliptic_curve::subtle::Choice;
use k256::elliptic_curve::{BatchNormalize, PrimeField};
use k256::{AffinePoint, FieldBytes, NonZeroScalar, ProjectivePoint, Scalar};
use rayon::prelude::*;
use sealpost_ledger::hash::{Tag, tagged};
use sealpost_ledger::message::SlotRecipient;
use zeroize::Zeroizing;

/// Slots whose shared points are made affine together: one field inversion for all of them.
const BATCH: usize = 64;

/// The secret of a key bundle, ready to look for slots.
pub struct ViewKey {
    sequence: u64,
    secret: Zeroizing<NonZeroScalar>,
    public: [u8; 33],
}

/// What is seen of a hidden slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HiddenSlot {
    /// Its ephemeral key, SEC1 compressed.
    pub ephemeral: [u8; 33],
    /// Its view tag.
    pub view_tag: u8,
}

impl ViewKey {
    /// Of a bundle's secret.
    pub fn new(secret: &BundleSecret) -> Option<Self> {
        Some(Self {
            sequence: secret.sequence,
            secret: Zeroizing::new(scalar(secret.ecies())?),
            public: secret.ecies_public(),
        })
    }
    /// The number of the bundle.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl std::fmt::Debug for ViewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ViewKey({})", self.sequence)
    }
}

/// A fresh ephemeral key and its view tag for a recipient's key. `None` if it is no key.
pub(super) fn hide(key: &[u8; 33]) -> Result<Option<SlotRecipient>, NoRandomness> {
    let Some(point) = point(key) else { return Ok(None) };
    let secret = loop {
        if let Some(secret) = scalar(&*random::<32>()?) {
            break Zeroizing::new(secret);
        }
    };
    let ephemeral = compressed(&ProjectivePoint::mul_by_generator(&secret).to_affine());
    let shared = (ProjectivePoint::from(point) * **secret).to_affine();
    Ok(Some(SlotRecipient::Hidden { ephemeral, view_tag: view_tag(&shared, &ephemeral, key) }))
}

/// The slots that may be for one of the keys: their places among `slots`, ascending. On all cores.
pub fn candidates(keys: &[ViewKey], slots: &[HiddenSlot]) -> Vec<usize> {
    let batches = slots.par_chunks(BATCH).enumerate();
    batches
        .flat_map_iter(|(number, batch)| {
            let first = number.saturating_mul(BATCH);
            candidates_of(keys, batch).into_iter().map(move |at| first.saturating_add(at))
        })
        .collect()
}

/// As [`candidates`], on this core alone.
pub fn candidates_of(keys: &[ViewKey], slots: &[HiddenSlot]) -> Vec<usize> {
    let points: Vec<_> = slots.iter().map(|slot| point(&slot.ephemeral)).collect();
    let mut found = Vec::new();
    for key in keys {
        // A place without a point keeps its place; nobody's tag is compared with it.
        let shared: Vec<_> = points
            .iter()
            .map(|point| point.map_or(ProjectivePoint::GENERATOR, |point| point * **key.secret))
            .collect();
        let shared = <ProjectivePoint as BatchNormalize<[ProjectivePoint]>>::batch_normalize(&shared);
        for (at, ((slot, point), shared)) in slots.iter().zip(&points).zip(&shared).enumerate() {
            if point.is_some() && view_tag(shared, &slot.ephemeral, &key.public) == slot.view_tag {
                found.push(at);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The first byte of `H("view", shared point ‖ ephemeral ‖ recipient's key)`.
fn view_tag(shared: &AffinePoint, ephemeral: &[u8; 33], key: &[u8; 33]) -> u8 {
    let [first, ..] = tagged(Tag::View, &[&compressed(shared), ephemeral, key]);
    first
}

/// SEC1 compressed.
fn compressed(point: &AffinePoint) -> [u8; 33] {
    let mut bytes = [2_u8.saturating_add(point.y_is_odd().unwrap_u8()); 33];
    let (_, x) = bytes.split_at_mut(1);
    x.copy_from_slice(&point.x());
    bytes
}

/// The point of a SEC1 compressed key.
fn point(key: &[u8; 33]) -> Option<AffinePoint> {
    let (form, x) = key.split_first()?;
    let odd = match form {
        2 => Choice::from(0),
        3 => Choice::from(1),
        _ => return None,
    };
    AffinePoint::decompress(&FieldBytes::try_from(x).ok()?, odd).into_option()
}

fn scalar(bytes: &[u8; 32]) -> Option<NonZeroScalar> {
    let scalar: Option<Scalar> = Scalar::from_repr(FieldBytes::from(*bytes)).into_option();
    NonZeroScalar::new(scalar?).into_option()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_ledger::height::BlockHeight;

    fn hidden(secret: &BundleSecret) -> HiddenSlot {
        let key = secret.bundle(BlockHeight::FIRST).ecies;
        let Some(SlotRecipient::Hidden { ephemeral, view_tag }) = hide(&key).unwrap() else { unreachable!() };
        HiddenSlot { ephemeral, view_tag }
    }

    #[test]
    fn a_recipient_finds_every_slot_of_theirs_and_few_of_others() {
        let (bob, carol) = (BundleSecret::generate(1).unwrap(), BundleSecret::generate(1).unwrap());
        let keys = [ViewKey::new(&bob).unwrap()];
        let slots: Vec<_> = (0..400).map(|at| hidden(if at % 10 == 0 { &bob } else { &carol })).collect();
        let found = candidates(&keys, &slots);
        assert!((0..400).step_by(10).all(|at| found.contains(&at)));
        // 360 slots of others: 1.4 pass on average, 20 practically never do.
        assert!(found.len() < 60, "{} pass", found.len());
        assert_eq!(found, candidates_of(&keys, &slots));
    }

    #[test]
    fn what_is_no_point_is_nobodys() {
        let bob = BundleSecret::generate(1).unwrap();
        let slots: Vec<_> = (0..=255_u8)
            .flat_map(|view_tag| {
                [[0; 33], [2; 33], [0xff; 33]].map(|ephemeral| HiddenSlot { ephemeral, view_tag })
            })
            .filter(|slot| point(&slot.ephemeral).is_none())
            .collect();
        assert!(!slots.is_empty());
        assert_eq!(candidates(&[ViewKey::new(&bob).unwrap()], &slots), Vec::<usize>::new());
        assert_eq!(hide(&[0; 33]).unwrap(), None);
    }

    /// The number is from a second implementation, of a page of Python.
    #[test]
    fn the_tag_is_that_of_the_page() {
        let ephemeral = ProjectivePoint::mul_by_generator(&scalar(&[7; 32]).unwrap()).to_affine();
        let key = ProjectivePoint::mul_by_generator(&scalar(&[9; 32]).unwrap()).to_affine();
        let there = ProjectivePoint::from(key) * *scalar(&[7; 32]).unwrap();
        let back = ProjectivePoint::from(ephemeral) * *scalar(&[9; 32]).unwrap();
        assert_eq!(there, back);
        let tag = view_tag(&there.to_affine(), &compressed(&ephemeral), &compressed(&key));
        assert_eq!(tag, 0x3b);
    }
}
