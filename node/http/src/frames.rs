//! How far a WebSocket's messages have come, by the heads of its frames (RFC 6455, section 5.2): what they say is none of
//! the connection's business, where they end is. Whoever answers makes a task of each, and of a frame of two bytes as well
//! as of a long one.

use std::fmt;

/// The shortest frame, in bytes. Nobody here insists on the mask, which has four more.
const SHORTEST: usize = 2;
/// The most that a frame which is no part of a message may have, in bytes.
const MAX_CONTROL_BYTES: u64 = 125;
/// Longest head of a request to become a WebSocket that is looked at, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// What has passed of a WebSocket's frames, in one direction.
#[derive(Default)]
pub(crate) struct Frames {
    /// Of the present frame: its head as far as it is there, and how much of its content is still to come.
    head: Vec<u8>,
    rest: u64,
    /// Of the present message: its length as far as it is known, and whether another frame belongs to it.
    length: u64,
    is_amid: bool,
    /// The longest message so far.
    longest: u64,
    /// A frame had a head that none may have.
    is_broken: bool,
}

/// What a piece of a WebSocket's bytes ends.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// So many messages,
    pub(crate) messages: usize,
    /// of so many bytes together, also those that came before.
    pub(crate) bytes: u64,
    /// Bytes of the piece behind the last of them.
    pub(crate) behind: usize,
}

impl Frames {
    /// Passes over a piece.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> Ended {
        let mut ended = Ended { behind: bytes.len(), ..Ended::default() };
        loop {
            let content = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
            self.rest = self.rest.saturating_sub(u64::try_from(content).unwrap_or(u64::MAX));
            bytes = bytes.get(content..).unwrap_or_default();
            if content > 0 && self.rest == 0 {
                self.end(bytes.len(), &mut ended);
            }
            let Some((next, following)) = bytes.split_first() else { return ended };
            self.head.push(*next);
            bytes = following;
            if let Some(length) = content_length(&self.head) {
                self.rest = length;
                if self.is_control() {
                    self.is_broken |= length > MAX_CONTROL_BYTES || !self.is_final();
                } else {
                    self.length = self.length.saturating_add(length);
                    self.longest = self.longest.max(self.length);
                }
                if length == 0 {
                    self.end(bytes.len(), &mut ended);
                }
            }
        }
    }
    /// How many bytes may come so that no more messages than these end with them.
    pub(crate) fn reach(&self, messages: usize) -> usize {
        // What ends with the present frame is one of them.
        let behind = messages.saturating_sub(usize::from(self.rest > 0)).saturating_mul(SHORTEST);
        usize::try_from(self.rest).unwrap_or(usize::MAX).saturating_add(behind)
    }
    /// The present message's length, in bytes, as far as it has been announced.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }
    /// Whether all frames have been such as may come, of messages of so many bytes at most: behind another one the reader
    /// may look for the next frame elsewhere than here.
    pub(crate) fn hold(&self, longest: usize) -> bool {
        !self.is_broken && usize::try_from(self.longest).is_ok_and(|length| length <= longest)
    }
    /// The present frame has ended, and with its last frame a message. So much of the piece stands behind it.
    fn end(&mut self, behind: usize, ended: &mut Ended) {
        let (is_control, is_last) = (self.is_control(), self.is_final());
        self.head.clear();
        if is_control {
            return;
        }
        self.is_amid = !is_last;
        if is_last {
            let (messages, bytes) =
                (ended.messages.saturating_add(1), ended.bytes.saturating_add(self.length));
            *ended = Ended { messages, bytes, behind };
            self.length = 0;
        }
    }
    /// Whether the present frame is the last one of its message.
    fn is_final(&self) -> bool {
        self.head.first().is_some_and(|first| first & 0x80 != 0)
    }
    /// Close, ping and pong: no messages, and allowed between the frames of one.
    fn is_control(&self) -> bool {
        self.head.first().is_some_and(|first| (8..=10).contains(&(first & 0x0f)))
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("rest", &self.rest).field("is_amid", &self.is_amid).finish()
    }
}

/// The length of a frame's content, once its head is there whole.
fn content_length(head: &[u8]) -> Option<u64> {
    let [_, second, behind @ ..] = head else { return None };
    let mask = if second & 0x80 == 0 { 0_usize } else { 4 };
    let (length, size) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*behind.first_chunk()?)), 2_usize),
        127 => (u64::from_be_bytes(*behind.first_chunk()?), 8),
        short => (u64::from(short), 0),
    };
    (behind.len() >= size.saturating_add(mask)).then_some(length)
}

/// Looks for the empty line that ends a head of HTTP. Lines may end without a carriage return (RFC 9112, section 2.2), and
/// whoever reads the head takes the first empty one for its end.
#[derive(Debug, Default)]
pub(crate) struct EmptyLine([u8; 2]);

impl EmptyLine {
    /// Passes over bytes up to its end; gives what stands behind it, if it is there.
    pub(crate) fn find<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let Self([before, last]) = self;
        let mut bytes = bytes.iter();
        while let Some(byte) = bytes.next() {
            let line = [*before, *last, *byte];
            if line == *b"\n\r\n" || line.ends_with(b"\n\n") {
                return Some(bytes.as_slice());
            }
            (*before, *last) = (*last, *byte);
        }
        None
    }
}

/// What a client has said since something was last said to it: whether it is a head of a request and nothing behind it.
#[derive(Debug)]
pub(crate) enum Asked {
    /// No head is there yet.
    Partly(EmptyLine, usize),
    /// One, and nothing else.
    Once,
    /// More.
    Beyond,
}

impl Default for Asked {
    fn default() -> Self {
        Self::Partly(EmptyLine::default(), 0)
    }
}

impl Asked {
    /// Takes down what has come.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        match self {
            Self::Partly(line, heard) => {
                *heard = heard.saturating_add(bytes.len());
                match line.find(bytes) {
                    Some([]) => *self = Self::Once,
                    Some(_) => *self = Self::Beyond,
                    // Looking at what is no such head takes time.
                    None if *heard > MAX_HEAD_BYTES => *self = Self::Beyond,
                    None => {}
                }
            }
            Self::Once if !bytes.is_empty() => *self = Self::Beyond,
            Self::Once | Self::Beyond => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A frame with that first byte and so much content, masked or not.
    fn frame(first: u8, length: usize, mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(bit | u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(bit | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(bit | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
        frame.extend(std::iter::repeat_n(0x81, length));
        frame
    }

    #[test]
    fn messages_end_where_their_last_frame_does_however_the_bytes_come() {
        let mask = Some([1, 2, 3, 4]);
        let frames = [
            (frame(0x81, 0, mask), 1),
            (frame(0x82, 125, mask), 1),
            (frame(0x81, 126, None), 1),
            (frame(0x01, 70_000, mask), 0),
            // Between the frames of a message.
            (frame(0x89, 5, mask), 0),
            (frame(0x8a, 0, None), 0),
            (frame(0x80, 300, mask), 1),
            (frame(0x88, 2, mask), 0),
        ];
        for pieces in [1, 2, 3, 7, 1000, usize::MAX] {
            let mut passed = Frames::default();
            for (bytes, messages) in &frames {
                let mut ended = 0;
                for piece in bytes.chunks(pieces) {
                    // Never more than was said.
                    let may = passed.reach(1);
                    let now = passed.pass(piece).messages;
                    assert!(now <= 1 || piece.len() > may);
                    ended += now;
                }
                assert_eq!(ended, *messages, "{:?} in pieces of {pieces}", bytes.first());
            }
            assert_eq!(passed.length(), 0);
        }
    }

    #[test]
    fn within_reach_no_more_messages_end_than_may() {
        let short = [0x81, 0x00].repeat(1000);
        let mut passed = Frames::default();
        for may in 1..20 {
            assert_eq!(passed.pass(short.get(..passed.reach(may)).unwrap()).messages, may);
        }
        // Of a frame that has begun the end is one.
        let mut passed = Frames::default();
        let long = [frame(0x82, 90, None), short].concat();
        assert_eq!(passed.pass(long.get(..10).unwrap()).messages, 0);
        assert_eq!(passed.length(), 90);
        let reach = passed.reach(5);
        assert_eq!(reach, 82 + 4 * 2);
        assert_eq!(passed.pass(long.get(10..10 + reach).unwrap()).messages, 5);
    }

    #[test]
    fn a_message_is_as_long_as_its_frames_together() {
        let mut passed = Frames::default();
        passed.pass(&frame(0x01, 1000, None));
        passed.pass(&frame(0x89, 100, None));
        passed.pass(&frame(0x00, 500, None));
        assert_eq!(passed.length(), 1500);
        // What has come of the next one stands behind it.
        let last = [frame(0x80, 1, None), vec![0x81, 126, 1, 0, b'a']].concat();
        assert_eq!(passed.pass(&last), Ended { messages: 1, bytes: 1501, behind: 5 });
        assert_eq!(passed.length(), 256);
    }

    #[test]
    fn what_no_reader_reads_on_after_is_noticed() {
        let holds = |frames: &[Vec<u8>]| {
            let mut passed = Frames::default();
            for frame in frames {
                passed.pass(frame);
            }
            passed.hold(1000)
        };
        assert!(holds(&[frame(0x01, 900, None), frame(0x80, 100, None), frame(0x82, 1000, None)]));
        // Also when the message that is too long has ended in the same piece.
        assert!(!holds(&[frame(0x01, 1000, None), [frame(0x80, 1, None), frame(0x82, 0, None)].concat()]));
        assert!(holds(&[frame(0x89, 125, None), frame(0x88, 2, None)]));
        assert!(!holds(&[frame(0x89, 126, None)]));
        assert!(!holds(&[frame(0x0a, 0, None)]));
    }

    #[test]
    fn a_request_alone_is_told_from_one_with_something_behind_it() {
        let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let alone = |bytes: &[u8], pieces| {
            let mut asked = Asked::default();
            bytes.chunks(pieces).for_each(|piece| asked.hear(piece));
            matches!(asked, Asked::Once)
        };
        for pieces in [1, 2, 3, 1000] {
            assert!(alone(head, pieces));
            assert!(!alone(head.get(..head.len() - 1).unwrap(), pieces));
            assert!(!alone(&[head.as_slice(), b"\x81\x00"].concat(), pieces));
            assert!(!alone(&[head.as_slice(), head].concat(), pieces));
        }
        assert!(!alone(&vec![b'a'; 100 << 10], 1000));
        // Without carriage returns: what follows must not be taken for more of the head.
        let bare = b"GET / HTTP/1.1\nhost: a\n\n";
        assert!(alone(bare, 1000));
        assert!(!alone(&[bare.as_slice(), b"\x82\xfe\x03\xe8\x01\x02\x03\x04\n\r\n"].concat(), 1000));
    }
}
