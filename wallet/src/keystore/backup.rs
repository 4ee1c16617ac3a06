//! The format of a backup: named entries in one file, encrypted under a passphrase in pieces of 64 KiB, so that
//! neither writing nor reading takes more memory than that, however much a wallet has sent.
//!
//! ```text
//!  header, one line of JSON: format, kdf, cost, salt, cipher, prefix
//!  pieces: XChaCha20-Poly1305(key, prefix (19) ‖ number (4, big-endian) ‖ last (1), header line, ≤ 65,536 bytes)
//!  inside: name and length as one line of JSON, then the bytes; again and again
//! ```
//!
//! A piece that is missing, doubled, exchanged or cut off is noticed: number and end are in the nonce (STREAM,
//! Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015).

use super::crypt::{CIPHER, COST, Cost, KDF};
use crate::random::{NoRandomness, random};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};
use thiserror::Error;
use zeroize::Zeroizing;

const FORMAT: &str = "sealpost-backup/1";
const PIECE: usize = 64 * 1024;
const TAG: usize = 16;
/// The header and the line before an entry are no longer.
const MAX_LINE: usize = 4096;
/// Nor is an entry.
const MAX_ENTRY: u64 = 4 << 30;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    kdf: String,
    cost: Cost,
    #[serde(with = "const_hex::serde")]
    salt: [u8; 16],
    cipher: String,
    #[serde(with = "const_hex::serde")]
    prefix: [u8; 19],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    bytes: u64,
}

/// Why a file is no backup, or can't be made one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum StreamError {
    #[error("it can't be read or written: {0}")]
    Io(String),
    #[error("what is in it can't be written: {0}")]
    Output(String),
    #[error("it is no backup of a wallet: {0}")]
    Malformed(String),
    #[error("{field} is {found}, which this program does not accept")]
    Unsupported { field: &'static str, found: String },
    #[error("the passphrase does not open it, or it was altered")]
    Passphrase,
    #[error("it was altered or cut off, {piece} pieces of 64 KiB from its beginning")]
    Altered { piece: u32 },
    #[error("it would be longer than a backup may be")]
    TooLong,
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// Cipher, position and what every piece is bound to.
struct Pieces {
    cipher: XChaCha20Poly1305,
    prefix: [u8; 19],
    header: Vec<u8>,
    number: u32,
}

impl Pieces {
    fn nonce(&self, last: bool) -> XNonce {
        let mut nonce = [0_u8; 24];
        let parts = [self.prefix.as_slice(), &self.number.to_be_bytes(), &[u8::from(last)]].concat();
        nonce.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        nonce.into()
    }
}

/// Writes a backup.
pub(crate) struct BackupWriter<W: Write> {
    output: W,
    pieces: Pieces,
    waiting: Zeroizing<Vec<u8>>,
}

impl<W: Write> BackupWriter<W> {
    /// Begins one.
    pub(crate) fn new(mut output: W, passphrase: &str) -> Result<Self, StreamError> {
        let header = Header {
            format: FORMAT.into(),
            kdf: KDF.into(),
            cost: COST,
            salt: *random::<16>()?,
            cipher: CIPHER.into(),
            prefix: *random::<19>()?,
        };
        let key = header.stretch(passphrase)?;
        let mut line =
            serde_json::to_vec(&header).map_err(|error| StreamError::Malformed(error.to_string()))?;
        line.push(b'\n');
        output.write_all(&line)?;
        let pieces = Pieces {
            cipher: XChaCha20Poly1305::new((&*key).into()),
            prefix: header.prefix,
            header: line,
            number: 0,
        };
        Ok(Self { output, pieces, waiting: Zeroizing::new(Vec::with_capacity(PIECE)) })
    }
    /// Adds an entry, whose length must be known before.
    pub(crate) fn entry(
        &mut self,
        name: &str,
        bytes: u64,
        content: &mut dyn Read,
    ) -> Result<(), StreamError> {
        if bytes > MAX_ENTRY || name.len() > MAX_LINE / 2 {
            return Err(StreamError::TooLong);
        }
        let mut line = serde_json::to_vec(&Entry { name: name.into(), bytes })
            .map_err(|error| StreamError::Malformed(error.to_string()))?;
        line.push(b'\n');
        self.add(&line)?;
        let mut content = content.take(bytes);
        let mut left = bytes;
        let mut buffer = Zeroizing::new(vec![0_u8; PIECE]);
        while left > 0 {
            let read = content.read(&mut buffer)?;
            if read == 0 {
                return Err(StreamError::Io(format!(
                    "{name} became shorter while it was read; run this again"
                )));
            }
            self.add(buffer.get(..read).unwrap_or_default())?;
            left = left.saturating_sub(read as u64);
        }
        Ok(())
    }
    /// Ends it.
    pub(crate) fn finish(mut self) -> Result<W, StreamError> {
        self.write_piece(true)?;
        Ok(self.output)
    }
    fn add(&mut self, mut bytes: &[u8]) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            if self.waiting.len() == PIECE {
                self.write_piece(false)?;
            }
            let room = PIECE.saturating_sub(self.waiting.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.waiting.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }
    fn write_piece(&mut self, last: bool) -> Result<(), StreamError> {
        let payload = Payload { msg: &self.waiting, aad: &self.pieces.header };
        let piece = self.pieces.cipher.encrypt(&self.pieces.nonce(last), payload);
        self.output.write_all(&piece.map_err(|_| StreamError::TooLong)?)?;
        self.pieces.number = self.pieces.number.checked_add(1).ok_or(StreamError::TooLong)?;
        self.waiting.clear();
        Ok(())
    }
}

impl Header {
    fn stretch(&self, passphrase: &str) -> Result<Zeroizing<[u8; 32]>, StreamError> {
        let stretched = self.cost.stretch(&self.salt, passphrase);
        stretched.map_err(|found| StreamError::Unsupported { field: "cost", found })
    }
    fn check(&self) -> Result<(), StreamError> {
        let unsupported = |field, found: &str| Err(StreamError::Unsupported { field, found: found.into() });
        if self.format != FORMAT {
            return unsupported("format", &self.format);
        }
        if self.kdf != KDF {
            return unsupported("kdf", &self.kdf);
        }
        if self.cipher != CIPHER {
            return unsupported("cipher", &self.cipher);
        }
        match self.cost.out_of_bounds() {
            Some((field, found)) => unsupported(field, &found),
            None => Ok(()),
        }
    }
}

/// Reads a backup. Nothing it returns was altered; that nothing is missing is known at its end.
pub(crate) struct BackupReader<R: BufRead> {
    input: R,
    pieces: Pieces,
    piece: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
}

/// What opens a backup's pieces, so that it can be read twice and the passphrase be stretched once.
#[derive(Clone)]
pub(crate) struct BackupKey(Zeroizing<[u8; 32]>);

impl<R: BufRead> BackupReader<R> {
    /// Stretches the passphrase for the backup that begins here.
    pub(crate) fn key(mut input: R, passphrase: &str) -> Result<BackupKey, StreamError> {
        read_header(&mut input)?.0.stretch(passphrase).map(BackupKey)
    }
    /// Opens a backup.
    pub(crate) fn new(mut input: R, key: &BackupKey) -> Result<Self, StreamError> {
        let (Header { prefix, .. }, header) = read_header(&mut input)?;
        let cipher = XChaCha20Poly1305::new((&*key.0).into());
        let pieces = Pieces { cipher, prefix, header, number: 0 };
        let (piece, at, ended) = (Zeroizing::new(Vec::new()), 0, false);
        let mut reader = Self { input, pieces, piece, at, ended };
        // A first piece that does not open is far more often a wrong passphrase than an altered file.
        reader.next_piece().map_err(|error| match error {
            StreamError::Altered { piece: 0 } => StreamError::Passphrase,
            error => error,
        })?;
        Ok(reader)
    }
    /// The next entry: its name, its length and its bytes. Nothing at the proven end.
    pub(crate) fn next_entry(&mut self) -> Result<Option<(String, u64)>, StreamError> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0_u8];
            match self.read_some(&mut byte)? {
                0 if line.is_empty() => return Ok(None),
                0 => return Err(StreamError::Malformed("it ends within an entry".into())),
                _ if byte == *b"\n" => break,
                _ if line.len() >= MAX_LINE => {
                    return Err(StreamError::Malformed("the name of an entry is too long".into()));
                }
                _ => line.extend_from_slice(&byte),
            }
        }
        let Entry { name, bytes } =
            serde_json::from_slice(&line).map_err(|error| StreamError::Malformed(error.to_string()))?;
        if bytes > MAX_ENTRY {
            return Err(StreamError::TooLong);
        }
        Ok(Some((name, bytes)))
    }
    /// Reads the bytes of the entry that was named last, all of them.
    pub(crate) fn content(&mut self, bytes: u64, output: &mut dyn Write) -> Result<(), StreamError> {
        let mut left = bytes;
        let mut buffer = Zeroizing::new(vec![0_u8; PIECE]);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.read_some(buffer.get_mut(..most).unwrap_or_default())?;
            if read == 0 {
                return Err(StreamError::Malformed("it ends within an entry".into()));
            }
            let written = output.write_all(buffer.get(..read).unwrap_or_default());
            // No fault of the backup.
            written.map_err(|error| StreamError::Output(error.to_string()))?;
            left = left.saturating_sub(read as u64);
        }
        Ok(())
    }

    fn read_some(&mut self, to: &mut [u8]) -> Result<usize, StreamError> {
        while self.at == self.piece.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_piece()?;
        }
        let from = self.piece.get(self.at..).unwrap_or_default();
        let read = from.len().min(to.len());
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        self.at = self.at.saturating_add(read);
        Ok(read)
    }
    fn next_piece(&mut self) -> Result<(), StreamError> {
        let altered = StreamError::Altered { piece: self.pieces.number };
        let mut ciphertext = Vec::with_capacity(PIECE.saturating_add(TAG));
        let most = PIECE.saturating_add(TAG) as u64;
        self.input.by_ref().take(most).read_to_end(&mut ciphertext)?;
        let last = self.input.fill_buf()?.is_empty();
        let payload = Payload { msg: &ciphertext, aad: &self.pieces.header };
        let piece = self.pieces.cipher.decrypt(&self.pieces.nonce(last), payload);
        self.piece = Zeroizing::new(piece.map_err(|_| altered)?);
        (self.at, self.ended) = (0, last);
        self.pieces.number = self.pieces.number.checked_add(1).ok_or(StreamError::TooLong)?;
        Ok(())
    }
}

fn read_header(input: &mut impl BufRead) -> Result<(Header, Vec<u8>), StreamError> {
    let mut line = Vec::new();
    input.take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
    let header: Header =
        serde_json::from_slice(&line).map_err(|error| StreamError::Malformed(error.to_string()))?;
    header.check()?;
    Ok((header, line))
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backup(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = BackupWriter::new(Vec::new(), "correct horse").unwrap();
        for (name, content) in entries {
            writer.entry(name, content.len() as u64, &mut &content[..]).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8], key: &BackupKey) -> Result<Vec<(String, Vec<u8>)>, StreamError> {
        let mut reader = BackupReader::new(bytes, key)?;
        let mut found = Vec::new();
        while let Some((name, length)) = reader.next_entry()? {
            let mut content = Vec::new();
            reader.content(length, &mut content)?;
            found.push((name, content));
        }
        Ok(found)
    }

    fn open(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, StreamError> {
        read(bytes, &BackupReader::key(bytes, "correct horse")?)
    }

    #[test]
    fn what_was_put_in_comes_out_whatever_its_length() {
        for length in [0, 1, PIECE - 100, PIECE, PIECE + 1, 3 * PIECE] {
            let long = vec![7; length];
            let entries = [("a", b"one".as_slice()), ("b/c", &long), ("d", b"")];
            let found = open(&backup(&entries)).unwrap();
            let expected = entries.map(|(name, content)| (name.to_owned(), content.to_vec()));
            assert_eq!(found, expected);
        }
        assert_eq!(open(&backup(&[])).unwrap(), []);
    }

    #[test]
    fn another_passphrase_opens_nothing() {
        let bytes = backup(&[("a", b"one")]);
        let key = BackupReader::key(&bytes[..], "correct hors").unwrap();
        assert_eq!(read(&bytes, &key).unwrap_err(), StreamError::Passphrase);
    }

    #[test]
    fn pieces_that_are_left_out_exchanged_or_cut_off_are_noticed() {
        let bytes = backup(&[("a", &vec![7; 3 * PIECE])]);
        let start = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let whole = PIECE + TAG;
        let second = start + whole..start + 2 * whole;
        let without = [&bytes[..second.start], &bytes[second.end..]].concat();
        assert_eq!(open(&without).unwrap_err(), StreamError::Altered { piece: 1 });
        let cut = &bytes[..start + 2 * whole];
        assert_eq!(open(cut).unwrap_err(), StreamError::Altered { piece: 1 });
        let doubled = [&bytes[..second.end], &bytes[second.start..]].concat();
        assert_eq!(open(&doubled).unwrap_err(), StreamError::Altered { piece: 2 });
        assert_eq!(open(&bytes[..start]).unwrap_err(), StreamError::Passphrase);
    }

    #[test]
    fn a_file_that_is_greedy_weak_or_no_backup_is_refused_before_anything_is_stretched() {
        let text = backup(&[("a", b"one")]);
        let altered = |from: &str, to: &str| {
            let at = text.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            open(&[&text[..at], to.as_bytes(), &text[at + from.len()..]].concat()).unwrap_err()
        };
        let unsupported = |error| matches!(error, StreamError::Unsupported { .. });
        assert!(unsupported(altered("\"memory_kib\":65536", "\"memory_kib\":4294967295")));
        assert!(unsupported(altered("\"passes\":3", "\"passes\":1")));
        assert!(unsupported(altered(FORMAT, "sealpost-backup/2")));
        assert!(matches!(open(b"").unwrap_err(), StreamError::Malformed(_)));
        assert!(matches!(open(&vec![b'a'; 100_000]).unwrap_err(), StreamError::Malformed(_)));
    }

    proptest! {
        // The passphrase is stretched for each header that still holds.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_changed_byte_anywhere_is_noticed(at in any::<prop::sample::Index>(), mask in 1_u8..) {
            let mut bytes = backup(&[("a", b"one"), ("b", &[7; 100])]);
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            prop_assert!(open(&bytes).is_err());
        }

        #[test]
        fn foreign_bytes_end_in_an_error(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(open(&bytes).is_err());
        }
    }
}
