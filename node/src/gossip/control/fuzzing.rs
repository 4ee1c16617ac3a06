//! For the fuzzer: what is followed of a stream is the same however its bytes come in, and nothing that is said is
//! counted twice or not at all.

use super::{Course, Excess, Follower, GRAFT, PRUNE, Stop};
use sealpost_ledger::fuzzing::Target;

/// How a stream ends: as it was followed to, and what was paid on the way.
type End = (Result<Course, Stop>, Vec<u32>);

fn follow<'a>(pieces: impl Iterator<Item = &'a [u8]>, most: u32) -> End {
    let (mut follower, mut paid, mut left) = (Follower::new(), Vec::new(), most);
    for piece in pieces {
        let course = follower.follow(piece, &mut |length| {
            left = left.checked_sub(1).ok_or(Excess::Peer)?;
            paid.push(length);
            Ok(())
        });
        if course != Ok(Course::On) {
            return (course, paid);
        }
    }
    (Ok(Course::On), paid)
}

/// The first byte says how large the pieces are, and what may be said.
pub(in crate::gossip) fn followed() -> Target {
    Target::new("gossipsub_stream", streams, |input| {
        let Some((first, stream)) = input.split_first() else { return false };
        let most = u32::from(first >> 4);
        let whole = follow(std::iter::once(stream), most);
        let bytewise = follow(stream.chunks(1), most);
        assert_eq!(whole, bytewise, "byte by byte");
        assert_eq!(whole, follow(stream.chunks(usize::from(first & 15).max(2)), most), "piece by piece");
        assert!(whole.1.len() <= most as usize);
        let announced: u64 = whole.1.iter().map(|length| u64::from(*length)).sum();
        // The last may be cut off; those before it were there.
        let last = u64::from(whole.1.last().copied().unwrap_or(0));
        assert!(announced.saturating_sub(last) <= stream.len() as u64);
        !whole.1.is_empty()
    })
}

fn streams() -> Vec<Vec<u8>> {
    let chunk = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap_or(127)], bytes].concat();
    let line = |text: &str| chunk(text.as_bytes());
    let entry = |tag: u32| {
        let topic = [&[1 << 3 | 2, 3][..], b"abc"].concat();
        [&[u8::try_from(tag).unwrap_or(0)][..], &chunk(&topic)].concat()
    };
    let control = |entries: &[u8]| chunk(&[&[3 << 3 | 2][..], &chunk(entries)].concat());
    let hello = [line("/multistream/1.0.0\n"), line("/meshsub/1.2.0\n")].concat();
    let said = [control(&entry(GRAFT)), control(&[entry(PRUNE), entry(PRUNE)].concat())].concat();
    let published = chunk(&[&[2 << 3 | 2][..], &chunk(&[2 << 3 | 2, 2, 7, 7])].concat());
    vec![
        [&[0xf2][..], &hello, &said, &published].concat(),
        [&[0x13][..], &hello, &published, &said].concat(),
        [&[0xf4][..], &line("/multistream/1.0.0\n"), &line("/ipfs/id/1.0.0\n"), &[1, 2, 3]].concat(),
    ]
}
