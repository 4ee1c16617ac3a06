//! Collecting: a letter's parts are fetched, each verified like any message, and put together. What was fetched
//! is kept encrypted in the wallet's folder until the whole is there, so that a crash costs no second fetch and
//! no plaintext lies where nobody asked for it.

use super::keeping::is_key_gone;
use super::{Incoming, Reading, Wallet, WalletError};
use crate::envelope::{Content, Letter, Part};
use crate::known::Kind;
use crate::light::{Light, LightError, Proven};
use crate::parcel::{Assembly, MAX_TEXT_BYTES, ParcelError, Piece, pieces};
use futures::stream::{self, StreamExt};
use sealpost_api::Category;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::Mode;
use sealpost_terminal::{create_private_folder, write_secret_file};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Parts that are fetched at once.
const AT_ONCE: usize = 4;

/// Hears what is fetched, how many bytes of it are there, and how many there will be.
pub type FetchHeard<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);

/// Fetches what of a letter came in parts.
pub struct Collector<'a> {
    wallet: &'a Wallet,
    light: &'a Light,
    reading: &'a Reading,
    /// As it was sent: the text of a reading from the archive is whole already, and the parts of its files are
    /// numbered after those of the text all the same.
    letter: Arc<Letter>,
    heard: FetchHeard<'a>,
    parcel: Option<[u8; 16]>,
    /// Bytes of parts that were taken up, from the node or from where they wait.
    taken: AtomicU64,
}

impl std::fmt::Debug for Collector<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Collector({})", self.reading.message.id())
    }
}

impl Wallet {
    /// Begins to fetch what of a letter came in parts.
    pub fn collector<'a>(
        &'a self,
        light: &'a Light,
        reading: &'a Reading,
        heard: FetchHeard<'a>,
    ) -> Collector<'a> {
        let letter = match Content::from_bytes(&reading.opened.content_bytes) {
            Ok(Content::Letter(letter)) => letter,
            _ => reading.letter.clone(),
        };
        let (letter, parcel, taken) = (Arc::new(letter), None, AtomicU64::new(0));
        Collector { wallet: self, light, reading, letter, heard, parcel, taken }
    }
    /// Whether a message is a part of something, and no letter. It is opened once to know that. One that can't
    /// be opened counts as a letter: nobody can hide a message by what it says of itself.
    pub async fn is_part(&self, light: &Light, incoming: &Incoming) -> Result<bool, WalletError> {
        let id = incoming.message.id();
        if let Some(kind) = self.known.get(&id) {
            return Ok(kind == Kind::Part);
        }
        let kind = match self.open_message(light, &incoming.message).await {
            Ok((Content::Part(_), _)) => Kind::Part,
            Ok((Content::Letter(_), _)) => Kind::Letter,
            Err(error) if is_key_gone(&error) => return Ok(false),
            Err(
                WalletError::Open(_) | WalletError::NotOurs { .. } | WalletError::Light(LightError::Node(_)),
            ) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        self.known.put(id, kind).map_err(WalletError::File)?;
        Ok(kind == Kind::Part)
    }
    fn fetched_folder(&self, letter: &TransactionId) -> Result<PathBuf, WalletError> {
        // By its name in the archive: an id would tell whose a sealed letter is.
        Ok(self.folder()?.join("fetched").join(self.archive.name(letter)))
    }
    /// Removes what was fetched of a letter, or of all of them.
    pub(super) fn forget_fetched(&self, letter: Option<&TransactionId>) -> Result<(), WalletError> {
        let folder = match letter {
            Some(letter) => self.fetched_folder(letter)?,
            None => self.folder()?.join("fetched"),
        };
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(WalletError::File(sealpost_terminal::file_failure("remove", &folder, &error)))
            }
            _ => Ok(()),
        }
    }
}

impl Collector<'_> {
    /// The text, whole. `None` if it goes on for longer than a text may.
    pub async fn text(&mut self) -> Result<Option<String>, WalletError> {
        let mut text = self.reading.letter.text.clone();
        if self.reading.letter.continued.is_none() {
            return Ok(Some(text));
        }
        let letter = Arc::clone(&self.letter);
        let Some(piece) = pieces(&letter).into_iter().find(|piece| piece.attachment.is_none()) else {
            return Ok(Some(text));
        };
        let room = MAX_TEXT_BYTES.saturating_sub(text.len() as u64);
        let rest = match self.collect(&piece, room, Vec::new()).await {
            Err(WalletError::Parcel(ParcelError::TooLong { .. })) => return Ok(None),
            rest => rest?,
        };
        let rest = String::from_utf8(rest).map_err(|_| ParcelError::NotText { what: piece.what })?;
        text.push_str(&rest);
        Ok(Some(text))
    }
    /// Writes an attachment that came in parts: of at most `limit` bytes, verified when this returns.
    pub async fn file<W: Write>(&mut self, attachment: usize, limit: u64, out: W) -> Result<W, WalletError> {
        let letter = Arc::clone(&self.letter);
        let pieces = pieces(&letter);
        let piece = pieces.into_iter().find(|piece| piece.attachment == Some(attachment));
        let piece = piece.ok_or_else(|| WalletError::Unknown { id: self.reading.message.id() })?;
        self.collect(&piece, limit, out).await
    }
    /// The messages that it came in.
    pub(super) fn messages(&self) -> Vec<TransactionId> {
        pieces(&self.letter).iter().flat_map(|piece| piece.parts.messages.iter().copied()).collect()
    }
    /// Fetches and verifies everything that came in parts, each piece of at most `limit` bytes. Nothing of it stays that
    /// was not being collected before, but for what an interrupted fetch left.
    pub(super) async fn verify(mut self, limit: u64) -> Result<(), WalletError> {
        if pieces(&self.letter).is_empty() {
            return Ok(());
        }
        let waits = self.wallet.fetched_folder(&self.reading.message.id())?.exists();
        let verified = self.verify_pieces(limit).await;
        if !waits && !verified.as_ref().is_err_and(may_go_on) {
            self.forget()?;
        }
        verified
    }
    async fn verify_pieces(&mut self, limit: u64) -> Result<(), WalletError> {
        let letter = Arc::clone(&self.letter);
        for piece in &pieces(&letter) {
            if piece.attachment.is_some() {
                self.collect(piece, limit, std::io::sink()).await?;
            } else if self.text().await?.is_none() {
                let (what, length, limit) = (piece.what.clone(), piece.parts.length, MAX_TEXT_BYTES);
                return Err(ParcelError::TooLong { what, length, limit }.into());
            }
        }
        Ok(())
    }
    /// Fetches and verifies the files that came in parts, of at most `room` bytes together, which they take of it however
    /// that ends: many letters may name the same parts. They stay, encrypted, until they are saved. Those of which the
    /// sender lied are none.
    pub(super) async fn keep(mut self, room: &mut u64) -> Result<(), WalletError> {
        let letter = Arc::clone(&self.letter);
        for piece in pieces(&letter).iter().filter(|piece| piece.attachment.is_some()) {
            let collected = self.collect(piece, *room, std::io::sink()).await;
            *room = room.saturating_sub(self.taken.swap(0, Ordering::Relaxed));
            match collected {
                Err(WalletError::Parcel(error)) if error.is_lie() => {}
                collected => drop(collected?),
            }
        }
        Ok(())
    }
    /// Everything is where it should be: what was kept of the parts is not needed any more.
    pub fn forget(self) -> Result<(), WalletError> {
        self.wallet.forget_fetched(Some(&self.reading.message.id()))
    }

    /// Fetches a piece. Nothing stays of one of which the sender lied: no later fetch makes it whole.
    async fn collect<W: Write>(&mut self, piece: &Piece<'_>, limit: u64, out: W) -> Result<W, WalletError> {
        let collected = self.assemble(piece, limit, out).await;
        if let Err(WalletError::Parcel(error)) = &collected
            && error.is_lie()
        {
            self.forget_piece(piece)?;
        }
        collected
    }
    fn forget_piece(&self, piece: &Piece<'_>) -> Result<(), WalletError> {
        let folder = self.wallet.fetched_folder(&self.reading.message.id())?;
        for (number, _) in (piece.first..).zip(&piece.parts.messages) {
            let path = folder.join(number.to_string());
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(WalletError::File(sealpost_terminal::file_failure("remove", &path, &error)));
                }
                _ => {}
            }
        }
        // Unless something else of the letter waits in it.
        let _waits = std::fs::remove_dir(&folder);
        Ok(())
    }
    async fn assemble<W: Write>(&mut self, piece: &Piece<'_>, limit: u64, out: W) -> Result<W, WalletError> {
        let part_limit = usize::try_from(self.wallet.genesis().limits().body_bytes).unwrap_or(usize::MAX);
        let mut assembly = Assembly::begin(piece, limit, part_limit, self.parcel, out)?;
        let folder = self.wallet.fetched_folder(&self.reading.message.id())?;
        create_private_folder(&folder).map_err(WalletError::File)?;
        {
            let collector = &*self;
            let numbered = (0_usize..).zip(&piece.parts.messages);
            let fetching = numbered.map(|(at, id)| collector.part(piece, at, *id));
            let mut fetching = std::pin::pin!(stream::iter(fetching).buffered(AT_ONCE));
            while let Some(part) = fetching.next().await {
                assembly.add(part?)?;
                (collector.heard)(&piece.what, assembly.length(), piece.parts.length);
            }
        }
        let (out, parcel) = assembly.finish()?;
        self.parcel = parcel;
        Ok(out)
    }
    /// A part: the one that was fetched before, or from the node.
    async fn part(&self, piece: &Piece<'_>, at: usize, id: TransactionId) -> Result<Content, WalletError> {
        let content = self.kept_part(piece, at, id).await?;
        if let Content::Part(Part { bytes, .. }) = &content {
            self.taken.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(content)
    }
    async fn kept_part(
        &self,
        piece: &Piece<'_>,
        at: usize,
        id: TransactionId,
    ) -> Result<Content, WalletError> {
        let number = u32::try_from(at).unwrap_or(u32::MAX).saturating_add(piece.first);
        let path = self.wallet.fetched_folder(&self.reading.message.id())?.join(number.to_string());
        let about = [b"fetched".as_slice(), id.as_bytes()].concat();
        let kept = std::fs::read(&path).ok();
        let kept = kept.and_then(|sealed| self.wallet.keystore.open_note(&about, &sealed).ok());
        if let Some(content) = kept.and_then(|bytes| Content::from_bytes(&bytes).ok()) {
            return Ok(content);
        }
        let content = self.fetch(piece, at, id).await?;
        let sealed = self.wallet.keystore.seal_note(&about, &content.to_bytes())?;
        write_secret_file(&path, &sealed).map_err(WalletError::File)?;
        Ok(content)
    }
    async fn fetch(&self, piece: &Piece<'_>, at: usize, id: TransactionId) -> Result<Content, WalletError> {
        let (what, number, of) = (piece.what.clone(), at.saturating_add(1), piece.parts.messages.len());
        let missing = |reason: String| ParcelError::Missing { what: what.clone(), number, of, id, reason };
        let foreign =
            |fault: &str| ParcelError::Foreign { what: what.clone(), number, of, id, fault: fault.into() };
        let found = self.light.transaction(&id).await?;
        let message = found.ok_or_else(|| missing("it is not final on this node".into()))?;
        let letter = &self.reading.message;
        let header = message.transaction.message().ok_or_else(|| foreign("is no message"))?;
        if mode_of(letter) != Some(header.mode) {
            return Err(foreign("is sealed where the letter is open, or the other way round").into());
        }
        let other_sender = || foreign("is of another sender");
        if header.mode == Mode::Open && message.transaction.sender() != letter.transaction.sender() {
            return Err(other_sender().into());
        }
        let (content, opened) = match self.wallet.open_message(self.light, &message).await {
            Err(WalletError::NotOurs { .. }) => return Err(foreign("is not for this wallet").into()),
            Err(WalletError::Light(LightError::Node(error))) if error.category == Category::NotFound => {
                return Err(missing(error.message).into());
            }
            Err(error) if is_key_gone(&error) => return Err(missing(error.to_string()).into()),
            Err(WalletError::Open(error)) => {
                return Err(foreign(&format!("can't be opened: {error}")).into());
            }
            opened => opened?,
        };
        // Each sealed message is signed by a key of its own; the author stands inside.
        if opened.author.is_some_and(|block| block.author != self.reading.author()) {
            return Err(other_sender().into());
        }
        // Of sealed ones a scan remembers it, encrypted.
        if matches!(content, Content::Part(_)) && header.mode == Mode::Open {
            // The next list of the inbox need not open it again.
            self.wallet.known.put(id, Kind::Part).map_err(WalletError::File)?;
        }
        Ok(content)
    }
}

/// Whether what was fetched before an error is of use to a later fetch: one that was interrupted, or whose node does not
/// have everything.
fn may_go_on(error: &WalletError) -> bool {
    match error {
        WalletError::Parcel(error) => !error.is_lie() && !matches!(error, ParcelError::TooLong { .. }),
        _ => true,
    }
}

fn mode_of(message: &Proven) -> Option<Mode> {
    message.transaction.message().map(|message| message.mode)
}
