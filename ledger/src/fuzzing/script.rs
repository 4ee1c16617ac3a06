//! Inputs as scripts: real values stand ready, and the input says what is changed in them. Behind a hash or a signature a
//! fuzzer gets nowhere by changing bytes of the whole.
#![allow(clippy::indexing_slicing)]

/// What is edited grows no longer than this: a short script could double it thirty times.
const MOST_BYTES: usize = 64 * 1024;

/// Takes an input apart, byte by byte. At its end everything is zero.
#[derive(Debug)]
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// Of an input.
    pub const fn new(input: &'a [u8]) -> Self {
        Self(input)
    }
    /// Whether there is more.
    pub const fn is_over(&self) -> bool {
        self.0.is_empty()
    }
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }
    /// The next two bytes as a number.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }
    /// One of so many; the first if there are none.
    pub fn choice(&mut self, count: usize) -> usize {
        usize::from(self.short()) % count.max(1)
    }
    /// The next bytes, as many as the next byte says and there are.
    pub fn some(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte()).min(self.0.len());
        let (some, rest) = self.0.split_at(count);
        self.0 = rest;
        some
    }
    /// Changes bytes in place: cuts, repeats, overwrites or inserts, at a place of the script's choice.
    pub fn edit(&mut self, bytes: &mut Vec<u8>) {
        let at = self.choice(bytes.len() + 1);
        match self.byte() % 5 {
            0 => bytes.truncate(at),
            1 => {
                let room = MOST_BYTES.saturating_sub(bytes.len());
                let tail: Vec<_> = bytes[at..].iter().take(room).copied().collect();
                bytes.extend(tail);
            }
            2 => {
                let some = self.some();
                bytes.splice(at..at, some.iter().copied());
            }
            3 => {
                let end = bytes.len().min(at + usize::from(self.byte()));
                bytes.drain(at..end);
            }
            _ => bytes[at..].iter_mut().zip(self.some()).for_each(|(place, byte)| *place = *byte),
        }
    }
}
