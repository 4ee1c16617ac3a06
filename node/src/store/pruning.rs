//! Which bodies may go: a pure decision over the segments of bodies. A network's genesis says for how many
//! blocks ordinary nodes keep bodies; a segment goes whole, once all its blocks are older than that.

use super::StoreError;
use super::durable::replace_file;
use sealpost_ledger::height::BlockHeight;
use std::fs;
use std::path::{Path, PathBuf};

/// A segment of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its number, counted from 0.
    pub(super) number: u32,
    /// The last height with a body in it; nothing if it is empty.
    pub(super) last: Option<BlockHeight>,
}

/// How far bodies were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dropped {
    /// Segments with smaller numbers are gone.
    pub(super) segments: u32,
    /// Bodies up to this height are gone.
    pub(super) height: BlockHeight,
}

/// Which segments of these may go, the oldest first; nothing if none may. The last one never does: it is
/// being written. `retention` is the number of blocks whose bodies are kept.
pub(super) fn droppable(segments: &[Segment], tip: BlockHeight, retention: u64) -> Option<Dropped> {
    let (_, closed) = segments.split_last()?;
    let newest_old = tip.get().checked_sub(retention).map(BlockHeight::new)?;
    let old = closed.iter().take_while(|segment| segment.last.is_none_or(|last| last <= newest_old));
    let old: Vec<_> = old.collect();
    let height = old.iter().filter_map(|segment| segment.last).max()?;
    Some(Dropped { segments: old.last()?.number.saturating_add(1), height })
}

/// The note of what was dropped. It is written before anything is deleted: a segment that is missing though
/// no note says so is damage.
#[derive(Debug)]
pub(super) struct Note {
    path: PathBuf,
}

impl Note {
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join("bodies-dropped") }
    }
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
    /// What was dropped so far.
    pub(super) fn read(&self) -> Result<Dropped, StoreError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Dropped::default()),
            Err(error) => return Err(StoreError::io("read", &self.path, error)),
        };
        parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| StoreError::Damaged {
            segment: self.path.clone(),
            offset: 0,
            height: None,
            what: "two numbers and their checksum are expected".into(),
        })
    }
    /// Says what is dropped from now on. It is durable when this returns.
    pub(super) fn write(&self, dropped: Dropped) -> Result<(), StoreError> {
        let written = replace_file(&self.path, text(dropped).as_bytes());
        written.map_err(|e| StoreError::io("write", &self.path, e))
    }
}

fn text(dropped: Dropped) -> String {
    let numbers = format!("{} {}", dropped.segments, dropped.height);
    format!("{numbers} {:08x}\n", crc32c::crc32c(numbers.as_bytes()))
}

fn parse(written: &str) -> Option<Dropped> {
    let mut words = written.split_whitespace();
    let segments = words.next()?.parse().ok()?;
    let dropped = Dropped { segments, height: BlockHeight::new(words.next()?.parse().ok()?) };
    (text(dropped) == written).then_some(dropped)
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing {
    //! For the fuzzer: the note of what was dropped.
    use super::{BlockHeight, Dropped, parse, text};

    pub(in crate::store) fn note() -> Vec<u8> {
        text(Dropped { segments: 3, height: BlockHeight::new(77) }).into_bytes()
    }
    pub(in crate::store) fn again(written: &[u8]) -> Option<Vec<u8>> {
        parse(std::str::from_utf8(written).ok()?).map(|dropped| text(dropped).into_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(number: u32, last: u64) -> Segment {
        Segment { number, last: (last > 0).then_some(BlockHeight::new(last)) }
    }

    #[test]
    fn a_segment_goes_when_its_last_block_is_old_and_not_before() {
        let segments = [segment(4, 10), segment(5, 20), segment(6, 30)];
        let droppable = |tip| droppable(&segments, BlockHeight::new(tip), 5);
        assert_eq!(droppable(14), None);
        assert_eq!(droppable(15), Some(Dropped { segments: 5, height: BlockHeight::new(10) }));
        assert_eq!(droppable(25), Some(Dropped { segments: 6, height: BlockHeight::new(20) }));
        assert_eq!(droppable(1000), droppable(25), "the last segment is being written");
        assert_eq!(super::droppable(&[], BlockHeight::new(9), 5), None);
    }

    #[test]
    fn a_note_reads_back_and_a_changed_one_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let note = Note::new(dir.path());
        assert_eq!(note.read().unwrap(), Dropped::default());
        let dropped = Dropped { segments: 3, height: BlockHeight::new(77) };
        note.write(dropped).unwrap();
        assert_eq!(note.read().unwrap(), dropped);
        let text = fs::read_to_string(&note.path).unwrap();
        fs::write(&note.path, text.replace("77", "78")).unwrap();
        assert!(matches!(note.read(), Err(StoreError::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn nothing_within_retention_goes_and_nothing_old_is_left_before_it(
            steps in prop::collection::vec(0_u64..9, 0..12), after in 0_u64..40, retention in 1_u64..40,
        ) {
            let mut last = 0;
            let segments: Vec<_> = (0..).zip(&steps).map(|(number, step)| {
                last += step;
                segment(number, if *step == 0 { 0 } else { last })
            }).collect();
            let tip = last + after;
            let dropped = droppable(&segments, BlockHeight::new(tip), retention).unwrap_or_default();
            prop_assert!(dropped.height.get() + retention <= tip || dropped == Dropped::default());
            let kept = segments.get(dropped.segments as usize..).unwrap();
            prop_assert!(segments.is_empty() || !kept.is_empty());
            for gone in segments.iter().take(dropped.segments as usize) {
                prop_assert!(gone.last.is_none_or(|last| last <= dropped.height));
            }
            if let [first, _, ..] = kept && let Some(last) = first.last {
                prop_assert!(last.get() + retention > tip);
            }
        }
    }
}
