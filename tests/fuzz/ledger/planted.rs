//! The negative control: a decoder with a mistake of the kind that the others are searched for. It reads a flag as true
//! whatever byte but 0 stands there, and nobody compares. The fuzzer has to find it, behind a kind, a length and
//! the beginning of the content, each of which it has to get right first.

use sealpost_ledger::fuzzing::Target;

const SEED: &[u8] = b"SPX1\x01\x00\x00\x00\x04\x00\x00\x00abcd\x00";

pub(crate) fn target() -> Target {
    Target::decoder("planted", || vec![SEED.to_vec()], |bytes| read(bytes).map(|read| write(&read)))
}

struct Read {
    kind: u32,
    content: Vec<u8>,
    flag: bool,
}

fn read(bytes: &[u8]) -> Option<Read> {
    let rest = bytes.strip_prefix(b"SPX1")?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (content, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let kind = u32::from_le_bytes(*kind);
    let flag = match kind {
        0x5e41_9057 => lenient(content, rest)?,
        _ => strict(rest)?,
    };
    Some(Read { kind, content: content.to_vec(), flag })
}

fn strict(rest: &[u8]) -> Option<bool> {
    match rest {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

/// The mistake: behind one beginning of the content, the flag has 255 spellings.
#[inline(never)]
fn lenient(content: &[u8], rest: &[u8]) -> Option<bool> {
    if content.first_chunk().is_none_or(|first| u32::from_le_bytes(*first) != u32::from_le_bytes(*b"post")) {
        return strict(rest);
    }
    match rest {
        [byte] => Some(*byte != 0),
        _ => None,
    }
}

fn write(read: &Read) -> Vec<u8> {
    let length = u32::try_from(read.content.len()).expect("it was read from as many");
    let kind = read.kind.to_le_bytes();
    [b"SPX1".as_slice(), &kind, &length.to_le_bytes(), &read.content, &[u8::from(read.flag)]].concat()
}
