//! Pages end by their bytes and not only by their entries: whatever stands on the ledger, an answer with them is sent.

use super::PAGE_BYTES;
use serde::Serialize;
use std::io::{self, Write};

/// Entries of a page, and how long they are in the answer.
pub(super) struct Page<T> {
    pub(super) entries: Vec<T>,
    most: usize,
    bytes: usize,
}

impl<T: Serialize> Page<T> {
    /// With so many entries at most.
    pub(super) fn new(most: usize) -> Self {
        Self { entries: Vec::new(), most, bytes: 0 }
    }
    /// Whether nothing more belongs on it; never before the first entry.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.most || self.bytes >= PAGE_BYTES
    }
    pub(super) fn push(&mut self, entry: T) {
        self.bytes = self.bytes.saturating_add(json_bytes(&entry));
        self.entries.push(entry);
    }
}

/// How long something is as JSON.
fn json_bytes(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        // What can't be written is in no answer.
        Err(_) => 0,
    }
}

struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(most: usize, lengths: impl IntoIterator<Item = usize>) -> usize {
        let mut page = Page::new(most);
        for length in lengths {
            if page.is_full() {
                break;
            }
            page.push("a".repeat(length));
        }
        page.entries.len()
    }

    #[test]
    fn a_page_ends_with_the_entry_that_fills_it() {
        assert_eq!(page(3, [1; 10]), 3);
        assert_eq!(page(3, [1; 2]), 2);
        assert_eq!(page(100, [PAGE_BYTES / 4; 10]), 4);
        // With the quotation marks it is not one byte too short.
        assert_eq!(page(100, [PAGE_BYTES - 2, 1]), 1);
        assert_eq!(page(100, [PAGE_BYTES - 3, 1, 1]), 2);
        // One at least, however long.
        assert_eq!(page(100, [PAGE_BYTES * 2, 1]), 1);
    }
}
