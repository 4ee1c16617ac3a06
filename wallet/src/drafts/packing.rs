//! Packing: the files of a draft are copied in, a part at a time, and measured on the way. From then on the
//! draft needs nobody's files.

use super::{Ahead, Attached, DraftError, Held, Kept, Packed, Typed, malformed};
use crate::envelope::{Attachment, Content, Data, Letter, Part, Parts, SealError};
use crate::keystore::Keystore;
use crate::parcel::{Plan, Sizes, parts_of, plan};
use sealpost_ledger::codec::{Decode, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::{Body, Mode};
use sealpost_ledger::transaction::SignedTransaction;
use sealpost_terminal::{bytes, file_failure, write_secret_file};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes that encryption adds to a frame: nonce 24, tag 16.
const SEAL_BYTES: u64 = 40;

/// Why the files of a letter were not taken in. What was typed is kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum PackError {
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
    #[error("{path} changed while it was read")]
    Changed { path: String },
    #[error(
        "text and files: {} ({length} bytes), the limit is {} ({limit} bytes)", bytes(*length), bytes(*limit)
    )]
    TooLong { length: u64, limit: u64 },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Draft(#[from] DraftError),
}

/// A part as it goes to the node.
#[derive(Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
struct Signed {
    transaction: Vec<u8>,
    body: Vec<u8>,
}

impl Typed {
    /// What somebody typed just now.
    pub fn new(to: Vec<sealpost_ledger::address::Address>, subject: String, text: String) -> Self {
        let written_ms = crate::wallet::now_ms();
        let (mode, files) = (Mode::Open, Vec::new());
        Self { written_ms, to, mode, subject, text, reply_to: None, files, packed: None }
    }
    /// Number of its parts that go ahead; 0 before the files are taken in.
    pub fn parts(&self) -> u32 {
        let parts: u64 = self.ahead().map(|(ahead, chunk)| parts_of(ahead.length, chunk)).sum();
        u32::try_from(parts).unwrap_or(u32::MAX)
    }
    /// Bytes that go ahead.
    pub fn bytes_ahead(&self) -> u64 {
        self.ahead().map(|(ahead, _)| ahead.length).sum()
    }
    /// Length of each part, in the order of their numbers.
    pub fn part_lengths(&self) -> Vec<u64> {
        let of = |(ahead, chunk): (&Ahead, usize)| {
            let (length, chunk) = (ahead.length, chunk as u64);
            (0..parts_of(length, chunk as usize)).map(move |n| (length - n * chunk).min(chunk))
        };
        self.ahead().flat_map(of).collect()
    }
    fn ahead(&self) -> impl Iterator<Item = (&Ahead, usize)> {
        self.packed.iter().flat_map(|packed| {
            let files = packed.files.iter().filter_map(|held| match held {
                Held::Ahead(ahead) => Some(ahead),
                Held::Whole(_) => None,
            });
            let chunk = usize::try_from(packed.chunk).unwrap_or(usize::MAX);
            packed.text.iter().chain(files).map(move |ahead| (ahead, chunk))
        })
    }
    /// The letter, once its parts are signed. `None` if these are not its parts, or nothing is packed yet.
    pub fn to_letter(&self, parts: &[TransactionId]) -> Option<Letter> {
        let packed = self.packed.as_ref()?;
        let (mut rest, chunk) = (parts, usize::try_from(packed.chunk).ok()?);
        let mut take = |ahead: &Ahead| {
            let count = usize::try_from(parts_of(ahead.length, chunk)).ok()?;
            let (messages, after) = rest.split_at_checked(count)?;
            rest = after;
            Some(Parts { length: ahead.length, sha256: ahead.sha256, messages: messages.to_vec() })
        };
        let continued = match &packed.text {
            Some(ahead) => Some(take(ahead)?),
            None => None,
        };
        let files = self.files.iter().zip(&packed.files).map(|(file, held)| {
            let data = match held {
                Held::Whole(bytes) => Data::Whole(bytes.clone()),
                Held::Ahead(ahead) => Data::Parts(take(ahead)?),
            };
            Some(Attachment { name: file.name.clone(), data })
        });
        let attachments = files.collect::<Option<Vec<_>>>()?;
        let text = self.text.get(..usize::try_from(packed.head).ok()?)?.to_owned();
        let subject = self.subject.clone();
        rest.is_empty().then_some(Letter { subject, text, continued, attachments, ..Letter::default() })
    }
    /// Where the files are that are not taken in yet.
    pub fn needed(&self) -> impl Iterator<Item = &str> {
        let waiting = self.files.iter().filter(|_| self.packed.is_none());
        waiting.map(|file| file.path.as_str())
    }
}

impl Kept {
    /// Whether the files are taken in.
    pub fn is_packed(&self) -> bool {
        self.letter.packed.is_some()
    }
    /// Takes the files in, up to `limit` bytes together with the text. `room` is the longest content of a
    /// message; `heard` is told how many bytes went.
    pub fn pack(
        &mut self,
        keystore: &Keystore,
        room: usize,
        limit: u64,
        heard: &dyn Fn(u64),
    ) -> Result<(), PackError> {
        if self.is_packed() {
            return Ok(());
        }
        // As long as they are now: they may have changed since the draft was typed.
        for file in &mut self.letter.files {
            file.length = measure(Path::new(&file.path))?;
        }
        self.take_in(keystore, room, limit, |draft, frames, plan| {
            let files = draft.letter.files.iter().zip(&plan.ahead);
            files.map(|(file, ahead)| read_in(frames, file, *ahead, plan.chunk, heard)).collect()
        })
    }
    /// The same with files whose contents are at hand, in the order of the letter's files.
    pub fn pack_given(
        &mut self,
        keystore: &Keystore,
        room: usize,
        limit: u64,
        contents: &[Vec<u8>],
    ) -> Result<(), PackError> {
        for (file, content) in self.letter.files.iter_mut().zip(contents) {
            file.length = content.len() as u64;
        }
        self.take_in(keystore, room, limit, |draft, frames, plan| {
            let files = draft.letter.files.iter().zip(contents).zip(&plan.ahead);
            let held = files.map(|((file, content), ahead)| match ahead {
                true => frames
                    .copy(&file.name, content.as_slice(), file.length, plan.chunk, &|_| {})
                    .map(Held::Ahead),
                false => Ok(Held::Whole(content.clone())),
            });
            held.collect()
        })
    }
    /// Plans what goes ahead, copies the text and, by `files`, the files, and remembers how.
    fn take_in(
        &mut self,
        keystore: &Keystore,
        room: usize,
        limit: u64,
        files: impl FnOnce(&Self, &mut Frames<'_>, &Plan) -> Result<Vec<Held>, PackError>,
    ) -> Result<(), PackError> {
        let lengths = self.letter.files.iter().map(|file| file.length);
        let length = lengths.fold(self.letter.text.len() as u64, u64::saturating_add);
        if length > limit {
            return Err(PackError::TooLong { length, limit });
        }
        let letter = &self.letter;
        let sizes = letter.files.iter().map(|file| (file.name.len(), file.length)).collect();
        let plan = plan(&Sizes { subject: letter.subject.len(), text: &letter.text, files: sizes }, room)?;
        let path = self.folder.join("bytes");
        let broken = |error: std::io::Error| PackError::from(malformed(&path, &error));
        let out = File::create(&path).map_err(broken)?;
        let mut frames = Frames { draft: self, keystore, out: BufWriter::new(out), number: 0 };
        let rest = letter.text.get(plan.head..).unwrap_or_default().as_bytes();
        let text = match rest {
            [] => None,
            rest => Some(frames.copy("the text", rest, rest.len() as u64, plan.chunk, &|_| {})?),
        };
        let held = files(self, &mut frames, &plan)?;
        let file = frames.out.into_inner().map_err(|error| broken(error.into_error()))?;
        file.sync_all().map_err(broken)?;
        let (chunk, head) = (plan.chunk as u64, plan.head as u64);
        self.letter.packed = Some(Packed { chunk, head, text, files: held });
        self.save(keystore)?;
        Ok(())
    }
    /// A part's content, from what was taken in.
    pub fn part(&self, keystore: &Keystore, number: u32) -> Result<Content, DraftError> {
        let path = self.folder.join("bytes");
        let broken = |reason: &dyn std::fmt::Display| malformed(&path, reason);
        let lengths = self.letter.part_lengths();
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let before = lengths.iter().take(at).map(|length| length.saturating_add(SEAL_BYTES)).sum();
        let length = lengths.get(at).ok_or_else(|| broken(&"it has no such part"))?;
        let mut file = File::open(&path).map_err(|error| broken(&error))?;
        file.seek(SeekFrom::Start(before)).map_err(|error| broken(&error))?;
        let length = usize::try_from(length.saturating_add(SEAL_BYTES)).map_err(|error| broken(&error))?;
        let mut sealed = vec![0; length];
        file.read_exact(&mut sealed).map_err(|error| broken(&error))?;
        let bytes = keystore.open_note(&self.about_frame(number), &sealed).map_err(|error| broken(&error))?;
        Ok(Content::Part(Part { parcel: self.id.to_bytes(), number, bytes: bytes.to_vec() }))
    }
    /// A part that was signed before.
    pub fn signed_part(&self, number: u32) -> Result<Option<(SignedTransaction, Body)>, DraftError> {
        let path = self.folder.join(format!("{number}.part"));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(malformed(&path, &error)),
        };
        let broken = |error| malformed(&path, &error);
        let signed: Signed = decode("part", &bytes, MAX_BYTES).map_err(broken)?;
        let transaction = SignedTransaction::from_bytes(&signed.transaction).map_err(broken)?;
        Ok(Some((transaction, Body::new(signed.body))))
    }
    /// Keeps a signed part, before it leaves.
    pub fn keep_part(&self, number: u32, part: &SignedTransaction, body: &Body) -> Result<(), DraftError> {
        let signed = Signed { transaction: part.to_bytes(), body: body.as_bytes().to_vec() };
        let path = self.folder.join(format!("{number}.part"));
        write_secret_file(&path, &encode(&signed)).map_err(DraftError::File)
    }
    fn about_frame(&self, number: u32) -> Vec<u8> {
        [b"frame".as_slice(), &self.id.to_bytes(), &number.to_le_bytes()].concat()
    }
}

/// Number of parts that are signed in the folder of a draft; none in one that another process has just cleared away, as it
/// does when the letter is in the outbox.
pub(super) fn signed(folder: &Path) -> Result<u32, DraftError> {
    let unread = |error| DraftError::File(file_failure("read", folder, &error));
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(unread)?,
    };
    let mut parts = 0_u32;
    for entry in entries {
        let is_part = entry.map_err(unread)?.path().extension().is_some_and(|end| end == "part");
        parts = parts.saturating_add(is_part.into());
    }
    Ok(parts)
}

struct Frames<'a> {
    draft: &'a Kept,
    keystore: &'a Keystore,
    out: BufWriter<File>,
    number: u32,
}

impl Frames<'_> {
    /// Copies what has this length, in frames of `chunk` bytes.
    fn copy(
        &mut self,
        path: &str,
        mut input: impl Read,
        length: u64,
        chunk: usize,
        heard: &dyn Fn(u64),
    ) -> Result<Ahead, PackError> {
        let unread = |error: std::io::Error| unread(path, &error);
        let (mut hash, mut read) = (Sha256::new(), 0_u64);
        loop {
            let mut bytes = Zeroizing::new(Vec::with_capacity(chunk));
            input.by_ref().take(chunk as u64).read_to_end(&mut bytes).map_err(unread)?;
            read = read.saturating_add(bytes.len() as u64);
            if bytes.is_empty() || read > length {
                break;
            }
            hash.update(&bytes);
            let sealed = self.keystore.seal_note(&self.draft.about_frame(self.number), &bytes);
            let sealed = sealed.map_err(DraftError::from)?;
            let written = self.out.write_all(&sealed);
            written.map_err(|error| malformed(&self.draft.folder.join("bytes"), &error))?;
            self.number = self.number.saturating_add(1);
            heard(bytes.len() as u64);
        }
        if read != length {
            return Err(PackError::Changed { path: path.into() });
        }
        Ok(Ahead { length, sha256: hash.finalize().into() })
    }
}

/// Takes a file in from where it is.
fn read_in(
    frames: &mut Frames<'_>,
    file: &Attached,
    ahead: bool,
    chunk: usize,
    heard: &dyn Fn(u64),
) -> Result<Held, PackError> {
    let unread = |error: std::io::Error| unread(&file.path, &error);
    let mut input = File::open(&file.path).map_err(unread)?;
    let before = input.metadata().and_then(|file| file.modified()).map_err(unread)?;
    let held = if ahead {
        Held::Ahead(frames.copy(&file.path, &mut input, file.length, chunk, heard)?)
    } else {
        let bytes = whole(file, &mut input)?;
        heard(file.length);
        Held::Whole(bytes)
    };
    if input.metadata().and_then(|file| file.modified()).map_err(unread)? != before {
        return Err(PackError::Changed { path: file.path.clone() });
    }
    Ok(held)
}

fn whole(file: &Attached, input: &mut File) -> Result<Vec<u8>, PackError> {
    let mut bytes = Vec::new();
    let read = input.take(file.length.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| unread(&file.path, &error))?;
    if bytes.len() as u64 != file.length {
        return Err(PackError::Changed { path: file.path.clone() });
    }
    Ok(bytes)
}

/// Length of a file that can be sent: one with an end.
pub fn measure(path: &Path) -> Result<u64, PackError> {
    let shown = path.display().to_string();
    let found = fs::metadata(path).map_err(|error| unread(&shown, &error))?;
    match found.is_file() {
        true => Ok(found.len()),
        false => Err(PackError::File { path: shown, reason: "this is no file".into() }),
    }
}

fn unread(path: &str, error: &std::io::Error) -> PackError {
    PackError::File { path: path.into(), reason: error.to_string() }
}
