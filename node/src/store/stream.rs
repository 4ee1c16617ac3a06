//! A stream of frames over numbered segment files: appended at the end, read by place, walked on opening.
//!
//! What was cut off in the middle of writing is dropped on opening. Anything else that does not fit is
//! damage: it is named and nothing is dropped. Of segments that are followed by another, whose frames were durable
//! before that one began, only the heads may be looked at ([`Stream::open_places`]): a start does not take longer the
//! longer a ledger is, and payloads are checked when they are read, or one after another while
//! the node runs. Frames that were made durable by one sync are marked as
//! joined: a torn end may begin at any of them, though whole ones follow.
//!
//! The frames of a segment have its mark, that of its first frame: what a message says is taken for none of them.
//!
//! With the feature `test-no-fsync` a stream keeps what it was given in memory and hands it to the
//! operating system only now and then. That is what a node that acknowledges too early does, and leaving
//! out the fsync alone would not show it: the system's page cache outlives a killed process.

use super::StoreError;
use super::frame::{HEAD_BYTES, Head, Kind, Mark, contains_settled_head};
use sealpost_terminal::sync_folder;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A batch that has grown beyond this is handed to the system before its sync.
const PENDING_BYTES: usize = 8 * 1024 * 1024;
/// With `test-no-fsync`: so many bytes are held back.
const HELD_BACK_BYTES: usize = 256 * 1024;

/// Where a payload lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u64,
    pub(super) length: u32,
}

impl Place {
    /// The segment, and the byte in it after the payload.
    pub(super) fn end(self) -> (u32, u64) {
        (self.segment, self.offset.saturating_add(self.length.into()))
    }
    /// The place of the frame around the payload, as far as its beginning goes.
    pub(super) const fn frame(self) -> Self {
        Self { offset: self.offset.saturating_sub(HEAD_BYTES as u64), ..self }
    }
    /// A part of the payload.
    pub(super) fn part(self, start: u32, length: u32) -> Self {
        Self { offset: self.offset.saturating_add(start.into()), length, ..self }
    }
}

/// A frame met on the walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) height: u64,
}

/// What a walk reads of the frames of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Everything, checked against its sums.
    Whole,
    /// Their heads.
    Heads,
}

/// Whether a walk may cut off a torn end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TornEnd {
    /// Cut it off.
    Cut,
    /// Leave it until [`Stream::cut_torn`]: whoever knows more decides whether it is one.
    Later,
    /// Leave the file as it is and only stop there.
    Keep,
    /// As [`Keep`](Self::Keep), and of segments that are followed by another only the heads are looked at: for whoever
    /// counts, or reads each record later.
    Look,
    /// As [`Keep`](Self::Keep), and stop at any damage: what stands before it is wanted.
    Salvage,
}

impl TornEnd {
    pub(super) const fn writes(self) -> bool {
        matches!(self, TornEnd::Cut | TornEnd::Later)
    }
}

/// How a stream lies on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// A segment that has grown beyond this is followed by a new one.
    pub(super) segment_bytes: u64,
    /// Segments dropped from the front, all of them.
    pub(super) first: u32,
    /// Nothing beyond this is looked at.
    pub(super) until: Option<Extent>,
    /// What a file is whose first head can't be read, so that the mark of its frames is unknown.
    pub(super) unmarked: Unmarked,
}

impl Layout {
    /// A stream of which nothing was dropped, to be looked at to its end.
    pub(super) const fn new(segment_bytes: u64) -> Self {
        Self { segment_bytes, first: 0, until: None, unmarked: Unmarked::Damaged }
    }
}

/// How far a stream reaches on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// The last segment.
    segment: u32,
    /// Bytes in it.
    bytes: u64,
}

/// What a file is whose first head can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmarked {
    /// Never finished, unless a head stands in it: of whatever mark, and a message may have brought it.
    Damaged,
    /// Never finished, whatever stands in it: for a file whose loss is no loss of blocks.
    Unfinished,
}

#[derive(Debug)]
struct Segment {
    file: File,
    /// The mark of its frames, if it has any.
    mark: Option<Mark>,
}

#[derive(Debug)]
pub(super) struct Stream {
    dir: PathBuf,
    name: &'static str,
    /// A segment that has grown beyond this is followed by a new one.
    segment_bytes: u64,
    /// Number of the first segment: those before were dropped.
    first: u32,
    segments: VecDeque<Segment>,
    written: u64,
    pending: Vec<u8>,
    /// Whether a frame has been appended since the last sync.
    unsynced: bool,
    cut_bytes: u64,
    torn_at: Option<u64>,
    until: Option<Extent>,
    unmarked: Unmarked,
}

impl Stream {
    /// Opens the stream and shows every whole frame in it with its payload.
    pub(super) fn open(
        dir: &Path,
        name: &'static str,
        layout: Layout,
        torn: TornEnd,
        visit: impl FnMut(Found, &[u8]) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        Self::open_reading(dir, name, layout, torn, Reading::Whole, visit)
    }
    /// Opens the stream and shows where every frame in it is. Of segments that are followed by another only the heads
    /// are looked at, unless nothing may be cut off: whoever asks for that wants to know all, or says so.
    pub(super) fn open_places(
        dir: &Path,
        name: &'static str,
        layout: Layout,
        torn: TornEnd,
        mut visit: impl FnMut(Found) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let closed = match torn {
            TornEnd::Cut | TornEnd::Later | TornEnd::Look => Reading::Heads,
            TornEnd::Keep | TornEnd::Salvage => Reading::Whole,
        };
        Self::open_reading(dir, name, layout, torn, closed, |found, _| visit(found))
    }
    fn open_reading(
        dir: &Path,
        name: &'static str,
        layout: Layout,
        torn: TornEnd,
        closed: Reading,
        mut visit: impl FnMut(Found, &[u8]) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let (segments, pending) = Default::default();
        let Layout { segment_bytes, first, until, unmarked } = layout;
        let mut stream = Self {
            dir: dir.into(),
            name,
            segment_bytes,
            first,
            segments,
            written: 0,
            pending,
            unsynced: false,
            cut_bytes: 0,
            torn_at: None,
            until,
            unmarked,
        };
        let mut numbers = stream.numbers()?;
        numbers.retain(|number| until.is_none_or(|until| *number <= until.segment));
        for (expected, number) in (first..).zip(&numbers) {
            if *number != expected {
                if torn == TornEnd::Salvage {
                    break;
                }
                let place = Place { segment: expected, offset: 0, length: 0 };
                return Err(stream.damaged(place, "the file is missing, a later one is there".into()));
            }
            let path = stream.path(*number);
            let file = OpenOptions::new().read(true).append(torn.writes()).open(&path);
            let file = file.map_err(|e| StoreError::io("open", &path, e))?;
            stream.segments.push_back(Segment { file, mark: None });
        }
        for (segment, index) in (first..).zip(0..stream.segments.len()) {
            let reading = if segment == stream.last_number() { Reading::Whole } else { closed };
            let mut mark = None;
            let walked = stream.walk(segment, torn, reading, &mut mark, &mut visit);
            if let Some(segment) = stream.segments.get_mut(index) {
                segment.mark = mark;
            }
            match walked {
                Err(StoreError::Damaged { .. }) if torn == TornEnd::Salvage => break,
                walked => walked?,
            }
        }
        if stream.segments.is_empty() && torn.writes() {
            stream.add_segment()?;
        }
        if torn.writes() && !cfg!(feature = "test-no-fsync") {
            // Whoever wrote the end may have been killed before its sync, or the sync failed. It is taken for safe from
            // now on, and told as final. The same goes for whoever made the file.
            stream.sync_file()?;
            stream.sync_folder()?;
        }
        Ok(stream)
    }
    /// Deletes the segments before `first`, as far as they are there. The last one is never among them.
    pub(super) fn drop_before(&mut self, first: u32) -> Result<(), StoreError> {
        let first = first.min(self.last_number());
        while self.first < first {
            let path = self.path(self.first);
            self.segments.pop_front();
            self.first = self.first.saturating_add(1);
            std::fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
        self.sync_folder()
    }
    /// Goes on in a new segment. Returns its number.
    pub(super) fn begin_segment(&mut self) -> Result<u32, StoreError> {
        self.flush()?;
        self.sync_file()?;
        self.add_segment()?;
        self.unsynced = false;
        Ok(self.last_number())
    }
    /// Deletes what an interrupted dropping left.
    pub(super) fn remove_dropped(dir: &Path, name: &'static str, first: u32) -> Result<(), StoreError> {
        for number in numbers(dir, name)?.into_iter().filter(|number| *number < first) {
            let path = segment_path(dir, name, number);
            std::fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
        Ok(())
    }
    /// How far a stream reaches now. Whoever writes it may go on meanwhile.
    pub(super) fn extent(dir: &Path, name: &'static str) -> Result<Extent, StoreError> {
        let Some(segment) = numbers(dir, name)?.pop() else { return Ok(Extent { segment: 0, bytes: 0 }) };
        let path = segment_path(dir, name, segment);
        let bytes = std::fs::metadata(&path).map_err(|e| StoreError::io("read", &path, e))?.len();
        Ok(Extent { segment, bytes })
    }
    /// Number of the first segment there is; 0 if there is none.
    pub(super) fn first_number(dir: &Path, name: &str) -> Result<u32, StoreError> {
        Ok(numbers(dir, name)?.first().copied().unwrap_or(0))
    }
    /// Numbers of the segments there are.
    pub(super) fn numbers(&self) -> Result<Vec<u32>, StoreError> {
        Ok(numbers(&self.dir, self.name)?.into_iter().filter(|number| *number >= self.first).collect())
    }
    /// Bytes of a torn end that were cut off on opening.
    pub(super) const fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }
    /// Cuts off the torn end that opening left.
    pub(super) fn cut_torn(&mut self) -> Result<(), StoreError> {
        self.torn_at.take().map_or(Ok(()), |offset| self.set_length(offset))
    }
    /// Path of a segment.
    pub(super) fn path(&self, segment: u32) -> PathBuf {
        segment_path(&self.dir, self.name, segment)
    }
    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        let earlier = self.segments.iter().rev().skip(1);
        let earlier: u64 = earlier.filter_map(|segment| segment.file.metadata().ok()).map(|m| m.len()).sum();
        earlier.saturating_add(self.end())
    }
    /// Appends a frame. It is durable after the next [`sync`](Self::sync).
    pub(super) fn append(&mut self, kind: Kind, height: u64, payload: &[u8]) -> Result<Place, StoreError> {
        if self.end() > self.segment_bytes {
            self.begin_segment()?;
        }
        let head = Head::of(self.mark()?, kind, self.unsynced, height, payload)
            .ok_or(StoreError::TooLong { length: payload.len(), limit: super::frame::MAX_PAYLOAD_BYTES })?;
        let segment = self.last_number();
        let offset = self.end().saturating_add(HEAD_BYTES as u64);
        self.pending.extend_from_slice(&head.to_bytes());
        self.pending.extend_from_slice(payload);
        self.unsynced = true;
        if self.pending.len() > PENDING_BYTES {
            self.flush()?;
        }
        Ok(Place { segment, offset, length: head.length })
    }
    /// Makes everything appended so far durable.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.unsynced = false;
        if cfg!(feature = "test-no-fsync") {
            return if self.pending.len() > HELD_BACK_BYTES { self.flush() } else { Ok(()) };
        }
        self.flush()?;
        self.sync_file()
    }
    /// Reads a payload or a part of one.
    pub(super) fn read(&self, place: Place) -> Result<Vec<u8>, StoreError> {
        let path = || self.path(place.segment);
        let length = usize::try_from(place.length).unwrap_or(usize::MAX);
        let last = place.segment == self.last_number();
        if last && place.offset >= self.written {
            let start = usize::try_from(place.offset.saturating_sub(self.written)).unwrap_or(usize::MAX);
            let bytes = self.pending.get(start..start.saturating_add(length));
            return bytes.map(<[u8]>::to_vec).ok_or_else(|| self.damaged(place, "no such place".into()));
        }
        let index = place.segment.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let Segment { file, .. } = index
            .and_then(|index| self.segments.get(index))
            .ok_or_else(|| self.damaged(place, "segment missing".into()))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, place.offset).map_err(|e| StoreError::io("read", &path(), e))?;
        Ok(bytes)
    }
    /// Reads a whole payload and checks it against its frame.
    pub(super) fn read_checked(&self, place: Place) -> Result<Vec<u8>, StoreError> {
        let head_bytes = u32::try_from(HEAD_BYTES).unwrap_or(0);
        let start = place.offset.saturating_sub(HEAD_BYTES as u64);
        let whole = Place { offset: start, length: place.length.saturating_add(head_bytes), ..place };
        let mut bytes = self.read(whole)?;
        let payload = bytes.split_off(HEAD_BYTES.min(bytes.len()));
        let head = Head::parse(&bytes).ok_or_else(|| self.damaged(whole, "the frame's head".into()))?;
        if !head.matches(&payload) {
            return Err(self.damaged(whole, format!("the record of height {}", head.height)));
        }
        Ok(payload)
    }
    /// Drops the frame at `place` and all after it.
    pub(super) fn cut(&mut self, place: Place) -> Result<(), StoreError> {
        self.flush()?;
        // From the back: a crash in between leaves no gap.
        while self.segments.len() > 1 && self.last_number() > place.segment {
            let path = self.last_path();
            std::fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
            self.segments.pop_back();
        }
        self.sync_folder()?;
        let offset = place.offset.saturating_sub(HEAD_BYTES as u64);
        self.set_length(offset)
    }
    /// Drops every frame of the last segment.
    pub(super) fn clear(&mut self) -> Result<(), StoreError> {
        self.pending.clear();
        self.set_length(0)
    }
    /// The error for a place where the stream is not as it was written.
    pub(super) fn damaged(&self, place: Place, what: String) -> StoreError {
        StoreError::Damaged { segment: self.path(place.segment), offset: place.offset, height: None, what }
    }

    /// The error for an end that opening took for a torn one and that is none.
    pub(super) fn damaged_end(&self, height: u64, what: String) -> StoreError {
        let offset = self.torn_at.unwrap_or(self.written);
        StoreError::Damaged { segment: self.last_path(), offset, height: Some(height), what }
    }

    /// Number of the segment that is being written, or will be.
    fn last_number(&self) -> u32 {
        let later = u32::try_from(self.segments.len()).unwrap_or(u32::MAX).saturating_sub(1);
        self.first.saturating_add(later)
    }
    fn end(&self) -> u64 {
        self.written.saturating_add(self.pending.len() as u64)
    }
    fn last_path(&self) -> PathBuf {
        self.path(self.last_number())
    }
    fn add_segment(&mut self) -> Result<(), StoreError> {
        let next = u32::from(!self.segments.is_empty());
        let path = self.path(self.last_number().saturating_add(next));
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path);
        let file = file.map_err(|e| StoreError::io("create", &path, e))?;
        self.segments.push_back(Segment { file, mark: None });
        self.written = 0;
        self.sync_folder()
    }
    /// The mark of the segment that is being written; drawn if it has no frames yet.
    fn mark(&mut self) -> Result<Mark, StoreError> {
        if let Some(mark) = self.segments.back().and_then(|segment| segment.mark) {
            return Ok(mark);
        }
        let mut mark = Mark::default();
        getrandom::fill(&mut mark).map_err(StoreError::fatal)?;
        if let Some(segment) = self.segments.back_mut() {
            segment.mark = Some(mark);
        }
        Ok(mark)
    }
    fn sync_folder(&self) -> Result<(), StoreError> {
        sync_folder(&self.dir).map_err(|e| StoreError::io("sync", &self.dir, e))
    }
    fn flush(&mut self) -> Result<(), StoreError> {
        let path = self.last_path();
        let Some(Segment { file, .. }) = self.segments.back_mut() else { return Ok(()) };
        let pending = std::mem::take(&mut self.pending);
        if let Err(error) = file.write_all(&pending) {
            // Half a frame may be there (the disk is full). Nobody was told of it, and nothing may be
            // written behind it; if it can't be taken back now, the next start cuts it off.
            let _ = file.set_len(self.written);
            return Err(StoreError::io("write", &path, error));
        }
        self.written = self.written.saturating_add(pending.len() as u64);
        Ok(())
    }
    fn sync_file(&self) -> Result<(), StoreError> {
        let Some(Segment { file, .. }) = self.segments.back() else { return Ok(()) };
        let started = Instant::now();
        file.sync_data().map_err(|e| StoreError::io("sync", &self.last_path(), e))?;
        metrics::histogram!("sealpost_journal_fsync_seconds").record(started.elapsed());
        Ok(())
    }
    fn set_length(&mut self, length: u64) -> Result<(), StoreError> {
        let path = self.last_path();
        let Some(Segment { file, .. }) = self.segments.back() else { return Ok(()) };
        file.set_len(length).and_then(|()| file.sync_all()).map_err(|e| StoreError::io("cut", &path, e))?;
        self.written = length;
        Ok(())
    }
    fn walk(
        &mut self,
        segment: u32,
        torn: TornEnd,
        reading: Reading,
        mark: &mut Option<Mark>,
        visit: &mut impl FnMut(Found, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let path = self.path(segment);
        let io = |e| StoreError::io("read", &path, e);
        let file = File::open(&path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let until = self.until.filter(|until| until.segment == segment);
        let end = until.map_or(length, |until| until.bytes.min(length));
        let buffer = match reading {
            Reading::Whole => 1 << 20,
            // Small frames are skipped within it, large ones over it.
            Reading::Heads => 4 << 10,
        };
        let mut reader = BufReader::with_capacity(buffer, file);
        let mut offset = 0_u64;
        let mut payload = Vec::new();
        self.written = end;
        while offset < end {
            let left = end.saturating_sub(offset);
            let mut head_bytes = vec![0; HEAD_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX))];
            reader.read_exact(&mut head_bytes).map_err(io)?;
            let place = Place { segment, offset, length: 0 };
            let Some(head) =
                Head::parse(&head_bytes).filter(|head| mark.is_none_or(|mark| mark == head.mark))
            else {
                let unread = left.saturating_sub(head_bytes.len() as u64);
                let mut rest = head_bytes.split_off(1.min(head_bytes.len()));
                reader.take(unread).read_to_end(&mut rest).map_err(io)?;
                if contains_settled_head(&rest, *mark) {
                    if mark.is_some() || self.unmarked == Unmarked::Damaged {
                        return Err(self.damaged(place, "a frame's head".into()));
                    }
                    tracing::warn!(file = %path.display(), bytes = left, "its first record can't be read; it is taken for empty");
                }
                return self.end_torn(place, left, torn, "a frame's head");
            };
            *mark = Some(head.mark);
            let frame = (HEAD_BYTES as u64).saturating_add(head.length.into());
            if frame > left {
                return self.end_torn(place, left, torn, "an incomplete record");
            }
            let payload_at = offset.saturating_add(HEAD_BYTES as u64);
            let found = Found {
                place: Place { segment, offset: payload_at, length: head.length },
                kind: head.kind,
                height: head.height,
            };
            if reading == Reading::Heads {
                reader.seek_relative(head.length.into()).map_err(io)?;
                visit(found, &[])?;
                offset = offset.saturating_add(frame);
                continue;
            }
            payload.resize(usize::try_from(head.length).unwrap_or(usize::MAX), 0);
            reader.read_exact(&mut payload).map_err(io)?;
            if !head.matches(&payload) {
                let mut rest = Vec::new();
                reader.take(left.saturating_sub(frame)).read_to_end(&mut rest).map_err(io)?;
                if !contains_settled_head(&rest, *mark) {
                    return self.end_torn(place, left, torn, "the last records");
                }
                return Err(StoreError::Damaged {
                    segment: path,
                    offset,
                    height: Some(head.height),
                    what: "a record's checksum".into(),
                });
            }
            visit(found, &payload)?;
            offset = offset.saturating_add(frame);
        }
        Ok(())
    }
    /// Ends the walk at a frame that was never finished. Only the last segment can have one.
    fn end_torn(&mut self, place: Place, left: u64, torn: TornEnd, what: &str) -> Result<(), StoreError> {
        if place.segment != self.last_number() {
            return Err(self.damaged(place, what.into()));
        }
        self.cut_bytes = left;
        match torn {
            TornEnd::Cut => self.set_length(place.offset),
            TornEnd::Later | TornEnd::Keep | TornEnd::Look | TornEnd::Salvage => {
                self.torn_at = Some(place.offset);
                Ok(())
            }
        }
    }
}

fn segment_path(dir: &Path, name: &str, number: u32) -> PathBuf {
    dir.join(format!("{name}-{:06}.log", number.saturating_add(1)))
}

/// Numbers of a stream's segments in a folder, ascending.
fn numbers(dir: &Path, name: &str) -> Result<Vec<u32>, StoreError> {
    let io = |e| StoreError::io("read", dir, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let file = entry.map_err(io)?.file_name();
        let number = file.to_str().and_then(|text| {
            let digits = text.strip_prefix(name)?.strip_prefix('-')?.strip_suffix(".log")?;
            digits.parse::<u32>().ok()?.checked_sub(1)
        });
        // Only what this program would have named so.
        found.extend(number.filter(|number| segment_path(dir, name, *number).file_name() == Some(&file)));
    }
    found.sort_unstable();
    Ok(found)
}

impl Drop for Stream {
    /// A clean end loses nothing, not even with `test-no-fsync`.
    fn drop(&mut self) {
        if !self.pending.is_empty()
            && let Err(error) = self.flush().and_then(|()| self.sync_file())
        {
            tracing::error!(%error, "the end of the journal could not be written");
        }
    }
}
