//! The journal: every final block, in order, on disk before anybody is told. It is the truth; all else in
//! the data directory can be made again from it.
//!
//! Headers, certificates and transactions stand in one stream, bodies in another. A block's bodies are
//! made durable first, so a block record on disk means that its bodies are there too. A run of blocks
//! costs one sync of each stream: all its bodies, then all its blocks.

use super::frame::Kind;
use super::pruning::{Dropped, Note, Segment, droppable};
use super::record::{
    BlockRecord, Parts, body_parts, decode_block, decode_bodies, decode_header, encode_block, encode_bodies,
    parts_at,
};
use super::stream::{Layout, Place, Stream, TornEnd};
use super::{SEGMENT_BYTES, StoreError};
use sealpost_ledger::block::{Block, Header};
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where a block's records lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPlace {
    pub(super) block: Place,
    pub(super) bodies: Option<Place>,
}

/// Where a new block's parts lie in their records.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// Each transaction, in order.
    pub(super) transactions: Parts,
    /// Each body, in order.
    pub(super) bodies: Parts,
}

/// Some transactions of a block.
#[derive(Debug)]
pub(super) struct SomeTransactions {
    /// The bytes of each.
    pub(super) bytes: Vec<Vec<u8>>,
    /// How many transactions the block has.
    pub(super) of: usize,
}

#[derive(Debug)]
pub(super) struct Journal {
    blocks: Stream,
    bodies: Stream,
    places: Vec<BlockPlace>,
    /// The last height with a body in each segment of bodies that is there.
    segments: Vec<Segment>,
    dropped: Dropped,
    note: Note,
    /// The first bodies whose block was never finished.
    unneeded: Option<Place>,
}

impl Journal {
    /// Opens the journal and finds every frame. With [`TornEnd::Later`] what was never finished stays until
    /// [`cut_unfinished`](Self::cut_unfinished); with [`TornEnd::Keep`] it stays, and every byte is looked at; with
    /// [`TornEnd::Look`] it stays too.
    pub(super) fn open(dir: &Path, segment_bytes: u64, torn: TornEnd) -> Result<Self, StoreError> {
        Self::open_noted(dir, segment_bytes, torn, Note::new(dir).read()?)
    }
    /// As [`open`](Self::open), with what the note of dropped bodies says, or should.
    pub(super) fn open_noted(
        dir: &Path,
        segment_bytes: u64,
        torn: TornEnd,
        dropped: Dropped,
    ) -> Result<Self, StoreError> {
        let looking = if torn == TornEnd::Cut { TornEnd::Later } else { torn };
        let mut journal = Self::look(dir, segment_bytes, looking, dropped, || {})?;
        if torn == TornEnd::Cut {
            journal.cut_unfinished()?;
        }
        Ok(journal)
    }
    /// What the note of dropped bodies has to say, by the bodies that are there, if it can't be read or is missing. Files
    /// are only ever written behind their last record: what is not before the first record of the first file went whole,
    /// or never came. Nothing if the note is sound, none is needed, or the first record of the bodies can't be read; nor if
    /// none was ever written, by what is kept here, and bodies are missing: they are lost, and can be fetched again.
    /// `retention` is the number of blocks whose bodies are kept; none in an archive, which keeps all.
    pub(super) fn note_anew(dir: &Path, retention: Option<u64>) -> Result<Option<Dropped>, StoreError> {
        let missing = match Note::new(dir).read() {
            Ok(dropped) if dropped != Dropped::default() => return Ok(None),
            Ok(_) => true,
            Err(StoreError::Damaged { .. }) => false,
            Err(error) => return Err(error),
        };
        let segments = Stream::first_number(dir, "bodies")?;
        let none = Dropped { segments, height: BlockHeight::GENESIS };
        let journal = Self::look(dir, SEGMENT_BYTES, TornEnd::Salvage, none, || {})?;
        let before_first = journal.places.iter().take_while(|place| place.bodies.is_none()).count();
        let height = BlockHeight::new(before_first as u64);
        let first = journal.places.iter().find_map(|place| place.bodies).or(journal.unneeded);
        let has_bodies = first.is_some();
        let is_first =
            first.map(Place::frame).is_none_or(|first| (first.segment, first.offset) == (segments, 0));
        if !is_first || !has_bodies && journal.bodies.bytes() > 0 {
            return Ok(None);
        }
        if !missing {
            return Ok(Some(Dropped { segments, height }));
        }
        let Some(retention) = retention else { return Ok(None) };
        let newest_old = BlockHeight::new(journal.height().get().saturating_sub(retention));
        if journal.has_messages(newest_old.saturating_add(1), height) {
            return Ok(None);
        }
        // A network that is young has no note, and its first blocks may have no messages.
        if segments == 0 && !(has_bodies && journal.has_messages(BlockHeight::FIRST, height)) {
            return Ok(None);
        }
        Ok(Some(Dropped { segments, height }))
    }
    /// Whether any of these blocks has messages, as far as they can be read.
    fn has_messages(&self, first: BlockHeight, last: BlockHeight) -> bool {
        let records = (first.get()..=last.get()).map(|height| self.record(BlockHeight::new(height)));
        let mut records = records.map_while(|record| record.ok().flatten());
        records.any(|record| record.transactions.iter().any(|transaction| transaction.message().is_some()))
    }
    /// Finds every frame. A node may be at work on the files if nothing may be written: what it does in between is
    /// `meanwhile`.
    fn look(
        dir: &Path,
        segment_bytes: u64,
        torn: TornEnd,
        dropped: Dropped,
        meanwhile: impl FnOnce(),
    ) -> Result<Self, StoreError> {
        let note = Note::new(dir);
        if torn == TornEnd::Later {
            Stream::remove_dropped(dir, "bodies", dropped.segments)?;
        }
        // Before the bodies: those of a block are written first, so a block that is there by now has them.
        let until = if torn.writes() { None } else { Some(Stream::extent(dir, "headers")?) };
        let mut bodies_at = Vec::<(u64, Place)>::new();
        let layout = Layout { first: dropped.segments, ..Layout::new(segment_bytes) };
        let bodies = Stream::open_places(dir, "bodies", layout, torn, |found| {
            let earlier = found.height <= dropped.height.get();
            if found.kind != Kind::Bodies
                || earlier
                || bodies_at.last().is_some_and(|(last, _)| *last >= found.height)
            {
                return Err(out_of_order(dir, "bodies", found.place, found.height));
            }
            bodies_at.push((found.height, found.place));
            Ok(())
        })?;
        let mut heights = bodies_at.iter().copied().peekable();
        let mut places = Vec::new();
        meanwhile();
        let layout = Layout { until, ..Layout::new(segment_bytes) };
        let blocks = Stream::open_places(dir, "headers", layout, torn, |found| {
            let expected = (places.len() as u64).saturating_add(1);
            if found.kind != Kind::Block || found.height != expected {
                return Err(out_of_order(dir, "headers", found.place, found.height));
            }
            let bodies = heights.next_if(|(height, _)| *height == found.height).map(|(_, place)| place);
            places.push(BlockPlace { block: found.place, bodies });
            Ok(())
        })?;
        let segments = Vec::new();
        let mut journal = Self { blocks, bodies, places, segments, dropped, note, unneeded: None };
        let tip = journal.height().get();
        // A torn end of the bodies is one only if no block needs it.
        if journal.bodies.cut_bytes() > 0 && torn != TornEnd::Salvage {
            let last = bodies_at.last().map_or(dropped.height.get(), |(height, _)| *height);
            journal.check_no_bodies_needed(last.saturating_add(1)..=tip)?;
        }
        journal.unneeded = bodies_at.iter().find(|(height, _)| *height > tip).map(|(_, place)| *place);
        journal.segments =
            journal.bodies.numbers()?.into_iter().map(|number| Segment { number, last: None }).collect();
        for (height, place) in bodies_at.into_iter().filter(|(height, _)| *height <= tip) {
            journal.note_bodies(BlockHeight::new(height), place);
        }
        Ok(journal)
    }
    /// Cuts off what was never finished: records, and bodies whose block was not written any more.
    pub(super) fn cut_unfinished(&mut self) -> Result<(), StoreError> {
        self.blocks.cut_torn()?;
        self.bodies.cut_torn()?;
        let Some(place) = self.unneeded.take() else { return Ok(()) };
        self.bodies.cut(place)?;
        // The last segment is being written. One that went, if it were still counted, would make it an older one.
        self.segments.retain(|segment| segment.number <= place.segment);
        Ok(())
    }
    /// The error for a journal that ends too early: a block that it has not was on disk once.
    pub(super) fn ends_early(&self, known: BlockHeight) -> StoreError {
        let (segment, offset) = self.blocks_end(self.height());
        let end = self.height();
        StoreError::Damaged {
            segment: self.blocks.path(segment),
            offset,
            height: Some(end.saturating_add(1).get()),
            what: format!(
                "the journal ends at block {end}, and block {known} was on disk once: the index knows it"
            ),
        }
    }
    fn note_bodies(&mut self, height: BlockHeight, place: Place) {
        match self.segments.iter_mut().rev().find(|segment| segment.number == place.segment) {
            Some(segment) => segment.last = Some(height),
            None => self.segments.push(Segment { number: place.segment, last: Some(height) }),
        }
    }
    /// Bodies up to this height are not kept any more.
    pub(super) const fn dropped(&self) -> BlockHeight {
        self.dropped.height
    }
    /// Where the records of blocks end at a height: segment, and byte in it.
    pub(super) fn blocks_end(&self, height: BlockHeight) -> (u32, u64) {
        self.place(height).map_or((0, 0), |place| place.block.end())
    }
    /// Where the records of bodies end at a height.
    pub(super) fn bodies_end(&self, height: BlockHeight) -> (u32, u64) {
        let count = usize::try_from(height.get()).unwrap_or(usize::MAX);
        let last = self.places.iter().take(count).rev().find_map(|place| place.bodies);
        last.map_or((self.dropped.segments, 0), Place::end)
    }
    /// The files there are, each with its number: of blocks, and of bodies.
    pub(super) fn files(&self) -> Result<[Vec<(u32, PathBuf)>; 2], StoreError> {
        let files = |stream: &Stream| -> Result<Vec<_>, StoreError> {
            Ok(stream.numbers()?.into_iter().map(|number| (number, stream.path(number))).collect())
        };
        Ok([files(&self.blocks)?, files(&self.bodies)?])
    }
    /// Drops the segments whose bodies are all older than the last `retention` blocks. Looks at one number
    /// when there is nothing to do. Returns whether anything went.
    pub(super) fn drop_old_bodies(&mut self, retention: u64) -> Result<bool, StoreError> {
        let Some(dropped) = droppable(&self.segments, self.height(), retention) else { return Ok(false) };
        self.note.write(dropped)?;
        self.dropped = dropped;
        self.segments.retain(|segment| segment.number >= dropped.segments);
        self.bodies.drop_before(dropped.segments)?;
        Ok(true)
    }
    fn check_no_bodies_needed(&self, heights: std::ops::RangeInclusive<u64>) -> Result<(), StoreError> {
        for height in heights.map(BlockHeight::new) {
            let record = self.record(height)?;
            if record.is_some_and(|record| record.transactions.iter().any(|t| t.message().is_some())) {
                let what = "the bodies of the block, at the end of their stream";
                return Err(self.bodies.damaged_end(height.get(), what.into()));
            }
        }
        Ok(())
    }
    /// Height of the last block.
    pub(super) fn height(&self) -> BlockHeight {
        BlockHeight::new(self.places.len() as u64)
    }
    /// Bytes cut off on opening.
    pub(super) const fn cut_bytes(&self) -> u64 {
        self.blocks.cut_bytes().saturating_add(self.bodies.cut_bytes())
    }
    /// Bytes of block records, and of bodies.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.blocks.bytes(), self.bodies.bytes())
    }
    /// Where a block lies.
    pub(super) fn place(&self, height: BlockHeight) -> Option<BlockPlace> {
        let index = usize::try_from(height.previous()?.get()).ok()?;
        self.places.get(index).copied()
    }
    /// Notes that blocks up to a height come without their bodies, before any of them is written: a crash in
    /// between leaves a note that reaches beyond the last block. Older bodies go; they are as much out of
    /// retention as those that never came.
    fn drop_up_to(&mut self, height: BlockHeight) -> Result<(), StoreError> {
        let mut segments = self.dropped.segments;
        if self.segments.iter().any(|segment| segment.last.is_some()) {
            segments = self.bodies.begin_segment()?;
        }
        let dropped = Dropped { segments, height };
        self.note.write(dropped)?;
        self.dropped = dropped;
        self.segments.retain(|segment| segment.number >= segments);
        self.bodies.drop_before(segments)
    }
    /// Writes the next blocks. They are durable when this returns. Whether a block may come without its
    /// bodies is the caller's question.
    pub(super) fn append<'a>(
        &mut self,
        blocks: impl IntoIterator<Item = (&'a Block, &'a CommitCertificate)> + Clone,
    ) -> Result<Vec<Written>, StoreError> {
        let bodiless = blocks.clone().into_iter().map(|(block, _)| block).filter(|block| !block.is_whole());
        if let Some(height) = bodiless.map(Block::height).max().filter(|height| *height > self.dropped()) {
            self.drop_up_to(height)?;
        }
        let (mut written, mut records) = (Vec::new(), Vec::new());
        for (block, certificate) in blocks {
            let height = block.height().get();
            let (payload, mut transactions) = encode_block(block, certificate);
            transactions.remove(0);
            let mut place = None;
            if block.height() > self.dropped() && !block.bodies().is_empty() {
                let (payload, _) = encode_bodies(block.bodies());
                place = Some(self.bodies.append(Kind::Bodies, height, &payload)?);
            }
            written.push(Written { transactions, bodies: body_parts(block.transactions()) });
            records.push((height, payload, place));
        }
        if records.iter().any(|(_, _, bodies)| bodies.is_some()) {
            self.bodies.sync()?;
        }
        let mut places = Vec::with_capacity(records.len());
        for (height, payload, bodies) in records {
            places.push(BlockPlace { block: self.blocks.append(Kind::Block, height, &payload)?, bodies });
        }
        self.blocks.sync()?;
        for place in places {
            self.places.push(place);
            if let Some(bodies) = place.bodies {
                self.note_bodies(self.height(), bodies);
            }
        }
        Ok(written)
    }
    /// The places of a block's parts, as [`append`](Self::append) gave it.
    pub(super) fn written(block: &Block, certificate: &CommitCertificate) -> Written {
        let (_, mut transactions) = encode_block(block, certificate);
        transactions.remove(0);
        Written { transactions, bodies: body_parts(block.transactions()) }
    }
    /// A block's record.
    pub(super) fn record(&self, height: BlockHeight) -> Result<Option<BlockRecord>, StoreError> {
        let Some(place) = self.place(height) else { return Ok(None) };
        let payload = self.blocks.read_checked(place.block)?;
        decode_block(&payload).map(Some).map_err(|e| self.blocks.damaged(place.block, e.to_string()))
    }
    /// Header and certificate of a block, without reading the rest of its record. The certificate names the
    /// header's hash, so that neither is taken for good when a byte of it was damaged.
    pub(super) fn header(
        &self,
        height: BlockHeight,
    ) -> Result<Option<(Header, CommitCertificate)>, StoreError> {
        let Some(BlockPlace { block: place, .. }) = self.place(height) else { return Ok(None) };
        let damaged = || self.blocks.damaged(place, format!("the header of block {height}"));
        let (parts, _) = self.parts(place, 1)?;
        let first = parts.first().copied().ok_or_else(damaged)?;
        let first = self.blocks.read(place.part(first.0, first.1))?;
        let (header, certificate) = decode_header(&first).map_err(|_| damaged())?;
        if header.height != height || certificate.block != header.hash() {
            return Err(damaged());
        }
        Ok(Some((header, certificate)))
    }
    /// The bytes of some of a block's transactions, and how many it has. They are not checked against the record's
    /// sum, which would need all of it.
    pub(super) fn some_transactions(
        &self,
        height: BlockHeight,
        numbers: Range<usize>,
    ) -> Result<Option<SomeTransactions>, StoreError> {
        let Some(BlockPlace { block: place, .. }) = self.place(height) else { return Ok(None) };
        // Header and certificate come first.
        let (parts, count) = self.parts(place, numbers.end.saturating_add(1))?;
        let (parts, of) = (parts.get(1..).unwrap_or_default(), count.saturating_sub(1));
        let wanted = parts.get(numbers.start..).unwrap_or_default();
        let (Some((start, _)), Some(last)) = (wanted.first(), wanted.last()) else {
            return Ok(Some(SomeTransactions { bytes: Vec::new(), of }));
        };
        let length = last.0.saturating_add(last.1).saturating_sub(*start);
        let bytes = self.blocks.read(place.part(*start, length))?;
        let one = |(at, length): &(u32, u32)| {
            let at = usize::try_from(at.saturating_sub(*start)).unwrap_or(usize::MAX);
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            bytes.get(at..at.saturating_add(length)).unwrap_or_default().to_vec()
        };
        Ok(Some(SomeTransactions { bytes: wanted.iter().map(one).collect(), of }))
    }
    /// Where the first parts of a block's record lie in it, `most` at most and never beyond its end; and how many
    /// parts it has. Only their lengths are read.
    fn parts(&self, place: Place, most: usize) -> Result<(Parts, usize), StoreError> {
        let damaged = || self.blocks.damaged(place, "the lengths of a record".into());
        let count = self.blocks.read(place.part(0, 4.min(place.length)))?;
        let count = u32::from_le_bytes(count.try_into().map_err(|_| damaged())?);
        let wanted = u32::try_from(most).unwrap_or(u32::MAX).min(count);
        let lengths = wanted.checked_mul(4).and_then(|n| n.checked_add(4)).filter(|n| *n <= place.length);
        let lengths = self.blocks.read(place.part(0, lengths.ok_or_else(damaged)?))?;
        let parts = parts_at(&lengths).ok_or_else(damaged)?;
        let end =
            parts.last().map_or(0, |(start, length)| u64::from(*start).saturating_add((*length).into()));
        if end > place.length.into() {
            return Err(damaged());
        }
        Ok((parts, usize::try_from(count).unwrap_or(usize::MAX)))
    }
    /// Reads all that lies on disk of a block and checks it against its sums. Returns the block's record, and the
    /// bytes that were read; nothing if there is no such block.
    pub(super) fn check_sums(&self, height: BlockHeight) -> Result<Option<(BlockRecord, u64)>, StoreError> {
        let Some(place) = self.place(height) else { return Ok(None) };
        let payload = self.blocks.read_checked(place.block)?;
        let mut bytes = payload.len() as u64;
        let record = decode_block(&payload).map_err(|e| self.blocks.damaged(place.block, e.to_string()))?;
        if let Some(bodies) = place.bodies.filter(|_| height > self.dropped()) {
            bytes = bytes.saturating_add(self.bodies.read_checked(bodies)?.len() as u64);
        }
        Ok(Some((record, bytes)))
    }
    /// A block with its bodies; nothing if those are not kept any more.
    pub(super) fn block(
        &self,
        height: BlockHeight,
    ) -> Result<Option<(Block, CommitCertificate)>, StoreError> {
        let Some(place) = self.place(height).filter(|_| height > self.dropped()) else { return Ok(None) };
        let Some(record) = self.record(height)? else { return Ok(None) };
        let bodies = match place.bodies {
            None => Vec::new(),
            Some(at) => {
                let payload = self.bodies.read_checked(at)?;
                decode_bodies(&payload).map_err(|e| self.bodies.damaged(at, e.to_string()))?
            }
        };
        let messages = record.transactions.iter().filter(|t| t.message().is_some()).count();
        if messages != bodies.len() {
            let what = format!("block {height} has {messages} messages, {} bodies are there", bodies.len());
            return Err(self.bodies.damaged(place.bodies.unwrap_or(place.block), what));
        }
        Ok(Some((Block::new(record.header, record.transactions, bodies), record.certificate)))
    }
    /// A block with its bodies, or without any if those are not kept any more.
    pub(super) fn block_as_kept(
        &self,
        height: BlockHeight,
    ) -> Result<Option<(Block, CommitCertificate)>, StoreError> {
        if height > self.dropped() {
            return self.block(height);
        }
        let record = self.record(height)?;
        Ok(record.map(|r| (Block::new(r.header, r.transactions, Vec::new()), r.certificate)))
    }
    /// One transaction's bytes.
    pub(super) fn transaction(
        &self,
        height: BlockHeight,
        part: (u32, u32),
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(place) = self.place(height) else { return Ok(None) };
        self.blocks.read(place.block.part(part.0, part.1)).map(Some)
    }
    /// One body.
    pub(super) fn body(&self, height: BlockHeight, part: (u32, u32)) -> Result<Option<Body>, StoreError> {
        if height <= self.dropped() {
            return Ok(None);
        }
        let Some(place) = self.place(height).and_then(|place| place.bodies) else { return Ok(None) };
        self.bodies.read(place.part(part.0, part.1)).map(|bytes| Some(Body::new(bytes)))
    }
    /// The error for a block that is not what the rules allow.
    pub(super) fn damaged(&self, height: BlockHeight, what: String) -> StoreError {
        let Some(place) = self.place(height) else {
            return StoreError::Fatal { reason: format!("block {height} is not in the journal") };
        };
        let (segment, offset) = (self.blocks.path(place.block.segment), place.block.offset);
        StoreError::Damaged { segment, offset, height: Some(height.get()), what }
    }
}

fn out_of_order(dir: &Path, stream: &str, place: Place, height: u64) -> StoreError {
    StoreError::Damaged {
        segment: dir.join(format!("{stream}-{:06}.log", place.segment.saturating_add(1))),
        offset: place.offset,
        height: Some(height),
        what: "a record out of order".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::Chain;
    use super::super::{Store, StoreOptions};
    use super::*;
    use tempfile::TempDir;

    /// A node that catches up writes thousands of blocks between the two walks.
    #[test]
    #[cfg_attr(feature = "test-no-fsync", ignore = "a running node of that build has nothing on disk")]
    fn blocks_that_come_while_a_running_nodes_journal_is_looked_at_do_not_look_like_damage() {
        let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
        let options = StoreOptions { segment_bytes: 400, ..StoreOptions::default() };
        let (store, _) = Store::open(dir.path(), chain.genesis.clone(), options).unwrap();
        chain.grow(&store, 5);
        let journal = dir.path().join("journal");
        let meanwhile = || chain.grow(&store, 9);
        let looked = Journal::look(&journal, 400, TornEnd::Keep, Dropped::default(), meanwhile).unwrap();
        assert_eq!(looked.height().get(), 5);
        for height in (1..=5).map(BlockHeight::new) {
            looked.block(height).unwrap().unwrap();
        }
        let now = Journal::open(&journal, 400, TornEnd::Look).unwrap();
        assert_eq!(now.height().get(), 14);
    }
}
