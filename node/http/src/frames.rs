//! How far a WebSocket's messages have come, by the heads of its frames (RFC 6455, section 5.2): what they say is none of
//! the connection's business, where they end is. Whoever answers makes a task of each, and of a frame of two bytes as well
//! as of a long one.

use std::fmt;

/// The shortest frame, in bytes. Nobody here insists on the mask, which has four more.
const SHORTEST: usize = 2;
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
}

impl Frames {
    /// Passes over bytes; how many messages they end.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> usize {
        let mut ended = 0_usize;
        loop {
            let content = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
            self.rest = self.rest.saturating_sub(u64::try_from(content).unwrap_or(u64::MAX));
            bytes = bytes.get(content..).unwrap_or_default();
            if content > 0 && self.rest == 0 {
                ended = ended.saturating_add(self.end());
            }
            let Some((next, following)) = bytes.split_first() else { return ended };
            self.head.push(*next);
            bytes = following;
            if let Some(length) = content_length(&self.head) {
                self.rest = length;
                if !self.is_control() {
                    self.length = self.length.saturating_add(length);
                }
                if length == 0 {
                    ended = ended.saturating_add(self.end());
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
    /// Whether nothing has begun that has not ended.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.head.is_empty() && !self.is_amid
    }
    /// The present message's length, in bytes, as far as it has been announced.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }
    /// The present frame has ended; how many messages with it.
    fn end(&mut self) -> usize {
        let is_control = self.is_control();
        let is_last = self.head.first().is_some_and(|first| first & 0x80 != 0);
        self.head.clear();
        if is_control {
            return 0;
        }
        self.is_amid = !is_last;
        if is_last {
            self.length = 0;
        }
        usize::from(is_last)
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

/// Looks for the empty line that ends a head of HTTP.
#[derive(Debug, Default)]
pub(crate) struct EmptyLine([u8; 2]);

impl EmptyLine {
    /// Passes over bytes up to its end; gives what stands behind it, if it is there.
    pub(crate) fn find<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let Self([before, last]) = self;
        let mut bytes = bytes.iter();
        while let Some(byte) = bytes.next() {
            if [*before, *last, *byte] == *b"\n\r\n" {
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
                    let now = passed.pass(piece);
                    assert!(now <= 1 || piece.len() > may);
                    ended += now;
                }
                assert_eq!(ended, *messages, "{:?} in pieces of {pieces}", bytes.first());
            }
            assert!(passed.is_between_messages());
        }
    }

    #[test]
    fn within_reach_no_more_messages_end_than_may() {
        let short = [0x81, 0x00].repeat(1000);
        let mut passed = Frames::default();
        for may in 1..20 {
            assert_eq!(passed.pass(short.get(..passed.reach(may)).unwrap()), may);
        }
        // Of a frame that has begun the end is one.
        let mut passed = Frames::default();
        let long = [frame(0x82, 90, None), short].concat();
        assert_eq!(passed.pass(long.get(..10).unwrap()), 0);
        assert!(!passed.is_between_messages() && passed.length() == 90);
        let reach = passed.reach(5);
        assert_eq!(reach, 82 + 4 * 2);
        assert_eq!(passed.pass(long.get(10..10 + reach).unwrap()), 5);
    }

    #[test]
    fn a_message_is_as_long_as_its_frames_together() {
        let mut passed = Frames::default();
        passed.pass(&frame(0x01, 1000, None));
        passed.pass(&frame(0x89, 100, None));
        passed.pass(&frame(0x00, 500, None));
        assert_eq!((passed.length(), passed.is_between_messages()), (1500, false));
        assert_eq!(passed.pass(&frame(0x80, 1, None)), 1);
        assert_eq!((passed.length(), passed.is_between_messages()), (0, true));
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
    }
}
