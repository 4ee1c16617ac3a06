//! Frames: how one record lies in a journal file. A frame says its own length, so that a file can be
//! walked, and carries two CRC32C sums: one over its head, so that a damaged length is not taken for a
//! torn end, and one over its payload.
//!
//! It begins with the mark of its file, drawn when the file was begun: whoever sends a message does not know it, and can
//! write nothing into it that looks like a frame of that file.

/// Bytes before the payload.
pub(super) const HEAD_BYTES: usize = 25;
/// No payload is longer: the longest block with room to spare.
pub(super) const MAX_PAYLOAD_BYTES: u32 = 64 * 1024 * 1024;

/// What each frame of a file begins with.
pub(super) type Mark = [u8; 4];
/// The mark of each file of a snapshot. Journals that were begun by earlier versions have it, too.
pub(super) const SNAPSHOT_MARK: Mark = *b"SPJ1";

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Header, certificate and transactions of a block.
    Block,
    /// The bodies of a block's messages.
    Bodies,
    /// A block that is not decided yet, as earlier versions wrote it.
    Proposal,
    /// Two conflicting statements of a validator.
    Equivocation,
    /// An entry of the state, in a snapshot.
    Entry,
    /// A block that is not decided yet: in which round it was proposed, and whether this node made it.
    ProposalOfRound,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Kind::Block => 1,
            Kind::Bodies => 2,
            Kind::Proposal => 3,
            Kind::Equivocation => 4,
            Kind::Entry => 5,
            Kind::ProposalOfRound => 6,
        }
    }
    const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Kind::Block),
            2 => Some(Kind::Bodies),
            3 => Some(Kind::Proposal),
            4 => Some(Kind::Equivocation),
            5 => Some(Kind::Entry),
            6 => Some(Kind::ProposalOfRound),
            _ => None,
        }
    }
}

/// Set in the kind's byte of a joined frame.
const JOINED: u8 = 0x80;

/// The beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) mark: Mark,
    pub(super) kind: Kind,
    /// Written before the frame in front of it was durable. After a crash any of the frames that were
    /// written together may be missing, in whatever order the disk took them.
    pub(super) joined: bool,
    pub(super) length: u32,
    pub(super) height: u64,
    checksum: u32,
}

impl Head {
    /// The head of a payload. `None` if it is too long to be one.
    pub(super) fn of(mark: Mark, kind: Kind, joined: bool, height: u64, payload: &[u8]) -> Option<Self> {
        let length = u32::try_from(payload.len()).ok().filter(|length| *length <= MAX_PAYLOAD_BYTES)?;
        Some(Self { mark, kind, joined, length, height, checksum: crc32c::crc32c(payload) })
    }
    /// Writes the head.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend_from_slice(&self.mark);
        bytes.push(self.kind.number() | if self.joined { JOINED } else { 0 });
        bytes.extend_from_slice(&self.length.to_le_bytes());
        bytes.extend_from_slice(&self.height.to_le_bytes());
        bytes.extend_from_slice(&self.checksum.to_le_bytes());
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }
    /// Reads a head, whatever its mark. `None` if the bytes are none, or a damaged one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.get(..HEAD_BYTES)?.split_at_checked(HEAD_BYTES.saturating_sub(4))?;
        let (mark, rest) = body.split_first_chunk()?;
        let (number, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (height, rest) = rest.split_first_chunk()?;
        let head = Self {
            mark: *mark,
            kind: Kind::of(*number & !JOINED)?,
            joined: *number & JOINED != 0,
            length: u32::from_le_bytes(*length),
            height: u64::from_le_bytes(*height),
            checksum: u32::from_le_bytes(rest.try_into().ok()?),
        };
        // The sum comes last: all places of a long end may have to be tried.
        let fits = head.length <= MAX_PAYLOAD_BYTES
            && crc32c::crc32c(body) == u32::from_le_bytes(sum.try_into().ok()?);
        fits.then_some(head)
    }
    /// Whether a payload is the one this head was written for.
    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        u32::try_from(payload.len()).is_ok_and(|length| length == self.length)
            && crc32c::crc32c(payload) == self.checksum
    }
}

/// Whether an undamaged head that is not joined, with this mark if the file's is known, stands anywhere in these bytes:
/// then all before it was durable once, and is no torn end.
pub(super) fn contains_settled_head(bytes: &[u8], mark: Option<Mark>) -> bool {
    let settled = |window: &[u8]| Head::parse(window).is_some_and(|head| !head.joined);
    bytes
        .windows(HEAD_BYTES)
        .any(|window| mark.is_none_or(|mark| window.starts_with(&mark)) && settled(window))
}
