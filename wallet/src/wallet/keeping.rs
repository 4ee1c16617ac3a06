//! Keeping: letters go to the archive when they are opened, come back from it when their keys are gone, and
//! are found there, in conversations and by words. Nothing here asks a node but [`Wallet::catch_up`].

use super::reading::{the_one, whole_id};
use super::sending::text_place;
use super::{Incoming, Reading, Wallet, WalletError, now_ms};
use crate::archive::{Archive, ArchiveError, Facts, Mark, Record, Way};
use crate::envelope::{Content, OpenError, Opened};
use crate::letters::{Kept, Links};
use crate::light::{Light, LightError, Proven};
use crate::outbox::OutboxEntry;
use crate::search::{Found, Query};
use sealpost_ledger::author::AuthorBlock;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::SlotRecipient;
use sealpost_ledger::receipt::Answer;
use std::collections::BTreeMap;

/// Bytes of files that are fetched at most for letters whose secret is about to be destroyed: nobody is to fill a disk by
/// sending what nobody wants to read.
const LAST_FILES_BYTES: u64 = 256 << 20;

/// Where a reading is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the ledger, opened with a key just now.
    Ledger,
    /// From the archive.
    Archive {
        /// When it was kept, milliseconds since 1970 UTC.
        kept_ms: u64,
    },
}

/// What became of everything that came and was sent, and was not in the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Letters that are kept now and were not before.
    pub kept: usize,
    /// Messages whose key is gone.
    pub gone: usize,
    /// Messages that break the envelope's rules, or whose body the node does not have, and sent ones of which archive or
    /// outbox is damaged.
    pub unreadable: usize,
}

impl Wallet {
    /// Where `inbox --follow` notes how far its hook has come.
    pub(crate) fn follow_path(&self) -> Result<std::path::PathBuf, WalletError> {
        Ok(self.folder()?.join("follow.json"))
    }
    /// The archive.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }
    /// Keeps a letter that was opened, unless it was forgotten on purpose. Whether it is kept now. `whole_text`
    /// is the text of one that goes on in parts: without it such a letter is not kept.
    pub fn keep(&self, reading: &Reading, whole_text: Option<String>) -> Result<bool, WalletError> {
        let id = reading.message.id();
        if self.archive.marked(&id)? == Some(Mark::Forgotten) {
            return Ok(false);
        }
        if self.archive.keeps(&id)? {
            return Ok(true);
        }
        if reading.letter.continued.is_some() && whole_text.is_none() {
            return Ok(false);
        }
        let Answer::Opened { secret } = reading.opened.answer() else { return Ok(false) };
        let facts = Facts {
            way: Way::Came,
            author: reading.author(),
            to: reading.recipients(),
            header: reading.message.header.clone(),
            index: reading.message.index,
            slot: reading.opened.slot,
            salt: reading.opened.salt,
            content: reading.opened.content_bytes.clone(),
            author_block: reading.opened.author.as_ref().map(AuthorBlock::to_bytes),
            whole_text,
            receipt_secret: Some(secret),
            kept_ms: now_ms(),
        };
        let Some(record) = Record::new(reading.message.transaction.clone(), facts) else { return Ok(false) };
        self.archive.put(&record)?;
        Ok(true)
    }
    /// A letter that came, from the archive.
    pub fn recall(&self, id: &TransactionId) -> Result<Option<(Reading, Source)>, WalletError> {
        let Some(Record { transaction, letter, facts }) = self.archive.get(id)? else { return Ok(None) };
        let Some(secret) = facts.receipt_secret else { return Ok(None) };
        let message = Proven { transaction, header: facts.header, index: facts.index, first_seen_ms: None };
        let author = facts.author_block.and_then(|block| AuthorBlock::from_bytes(&block).ok());
        let opened = Opened::recalled(facts.content, facts.salt, facts.slot, author, secret);
        Ok(Some((Reading { message, letter, opened }, Source::Archive { kept_ms: facts.kept_ms })))
    }
    /// Opens a message, or takes it from the archive if its key is gone or no node has its body any more.
    pub async fn read_or_recall(
        &self,
        light: &Light,
        id: &TransactionId,
    ) -> Result<(Reading, Source), WalletError> {
        self.or_recalled(id, self.read(light, id).await)
    }
    /// A reading, or from the archive what could not be read.
    pub(super) fn or_recalled(
        &self,
        id: &TransactionId,
        read: Result<Reading, WalletError>,
    ) -> Result<(Reading, Source), WalletError> {
        let error = match read {
            Ok(reading) => return Ok((reading, Source::Ledger)),
            Err(error) => error,
        };
        let recalled = if is_gone(&error) { self.recall(id)? } else { None };
        recalled.ok_or(error)
    }
    /// A letter that is here, whichever way it went.
    pub fn letter(&self, id: &TransactionId) -> Result<Option<Kept>, WalletError> {
        if let Some(record) = self.archive.get(id)? {
            return Ok(Some(record.into()));
        }
        match self.outbox.get(id)? {
            Some(entry) => self.sent_letter(&entry),
            None => Ok(None),
        }
    }
    /// All letters that are here, in no order, one in memory at a time.
    pub fn letters(&self) -> Result<impl Iterator<Item = Result<Kept, WalletError>> + '_, WalletError> {
        let archived = self.archive.records()?.map(|record| Ok(record?.into()));
        let sent = self.outbox.ids()?.into_iter().filter(|id| !self.archive.has_file(id));
        let sent = sent.map(|id| self.outbox.get(&id)?.map_or(Ok(None), |entry| self.sent_letter(&entry)));
        Ok(archived.chain(sent.filter_map(Result::transpose)))
    }
    /// How the letters here answer one another, and how many can't be read.
    pub fn links(&self) -> Result<(Links, usize), WalletError> {
        let (mut links, mut unreadable) = (Links::default(), 0_usize);
        for kept in self.letters()? {
            match kept {
                Ok(kept) => links.add(&kept),
                Err(error) => unreadable = skipped(unreadable, error)?,
            }
        }
        Ok((links, unreadable))
    }
    /// Letters that contain all words, the newest first, `enough` at most.
    pub fn search(&self, query: &Query, enough: usize) -> Result<Found, WalletError> {
        let contacts = self.profile.contacts()?;
        let mut found = Found::new(enough);
        for kept in self.letters()? {
            match kept {
                Ok(kept) => found.look_at(query, &kept, &|address| {
                    contacts.name_of(address).map_or_else(|| self.text(address), str::to_owned)
                }),
                Err(error) => found.unreadable = skipped(found.unreadable, error)?,
            }
        }
        Ok(found)
    }
    /// Forgets a letter: out of the archive, and what the outbox remembers of its content. Whether there
    /// was something to forget.
    pub fn forget(&self, id: &TransactionId) -> Result<bool, WalletError> {
        let forgotten = self.archive.forget(id)?;
        self.forget_fetched(Some(id))?;
        Ok(self.forget_sent(id)? || forgotten)
    }
    /// Removes every letter from the archive, and gives it another key: copies of the files are useless to
    /// whoever gets this wallet later.
    pub fn renew_archive(&mut self) -> Result<(), WalletError> {
        let key = self.archive.renewed_key()?;
        self.keystore.change(|secrets| secrets.archive = Some(key.clone()))?;
        self.forget_fetched(None)?;
        self.archive.empty(key).map_err(WalletError::from)
    }
    /// Opens and keeps every letter that came (of sealed ones those that scans have found), and places every letter
    /// that was sent, as far as they are not in the archive; without open ones that are older than `from`. Nobody is
    /// told, and nothing counts as read by it. `heard` is told how many messages were found.
    pub async fn catch_up(
        &self,
        light: &Light,
        from: Option<BlockHeight>,
        heard: &(dyn Fn(usize) + Sync),
    ) -> Result<CaughtUp, WalletError> {
        let next = light.next_height().await?;
        let mut caught_up = CaughtUp::default();
        let open = self.inbox_down_to(light, usize::MAX, from, heard).await?;
        // Of sealed ones nothing is asked that is known here: each question shows whose they are.
        let mut sealed = Vec::new();
        for found in self.sealed_letters()? {
            if !self.is_settled(&found.id)? {
                sealed.push(found);
            }
        }
        for incoming in open.into_iter().chain(self.proven_letters(light, sealed).await?) {
            if self.is_settled(&incoming.message.id())? {
                continue;
            }
            match self.keep_incoming(light, incoming.message).await {
                Ok(kept) => caught_up.kept = caught_up.kept.saturating_add(kept.into()),
                Err(WalletError::OnlyAPart { .. }) => {}
                Err(error) if is_key_gone(&error) => {
                    caught_up.gone = caught_up.gone.saturating_add(1);
                }
                Err(error)
                    if is_gone(&error) || matches!(error, WalletError::Open(_) | WalletError::Parcel(_)) =>
                {
                    caught_up.unreadable = caught_up.unreadable.saturating_add(1);
                }
                Err(error) => return Err(error),
            }
        }
        self.archive.set_caught_up(next)?;
        for id in self.outbox.ids()? {
            match self.keep_sent(light, &id).await {
                Ok(kept) => caught_up.kept = caught_up.kept.saturating_add(kept.into()),
                Err(error) => caught_up.unreadable = skipped(caught_up.unreadable, error)?,
            }
        }
        Ok(caught_up)
    }
    /// Opens and keeps everything that came to bundles whose secrets are about to be destroyed, as far as it is not
    /// kept: also what a node did not show when the wallet caught up, and the files of what nobody has read. How many
    /// letters to each could not be kept.
    pub(super) async fn keep_last_letters(
        &self,
        light: &Light,
        bundles: &[u64],
    ) -> Result<BTreeMap<u64, usize>, WalletError> {
        self.scan(light, &|_| {}).await?;
        let (mut missing, mut room) = (BTreeMap::new(), LAST_FILES_BYTES);
        // First, so that each is looked at once: of sealed ones that are kept nothing is asked but for their files.
        for found in self.sealed_letters()?.into_iter().filter(|found| bundles.contains(&found.bundle)) {
            if let Some((reading, _)) = self.recall(&found.id)?
                && !is_kept(self.keep_files(light, &reading, &mut room).await)?
            {
                count(&mut missing, found.bundle);
            }
        }
        for (bundle, incoming) in self.sent_to_bundles(light, bundles).await? {
            let kept = match incoming {
                Some(Incoming { message, .. }) => self.keep_last_letter(light, message, &mut room).await,
                None => Ok(false),
            };
            if !is_kept(kept)? {
                count(&mut missing, bundle);
            }
        }
        // Parts go ahead: those of a letter to the next keys may have been sent to these.
        let next = bundles.iter().map(|bundle| bundle.saturating_add(1));
        let next: Vec<u64> = next.filter(|bundle| !bundles.contains(bundle)).collect();
        for (bundle, incoming) in self.sent_to_bundles(light, &next).await? {
            let Some(Incoming { message, .. }) = incoming else { continue };
            let kept = match self.read_or_recall(light, &message.id()).await {
                Ok((reading, _)) => self.keep_files(light, &reading, &mut room).await,
                Err(error) => Err(error),
            };
            if !is_kept(kept)? {
                count(&mut missing, bundle.saturating_sub(1));
            }
        }
        Ok(missing)
    }
    async fn keep_last_letter(
        &self,
        light: &Light,
        message: Proven,
        room: &mut u64,
    ) -> Result<bool, WalletError> {
        let id = message.id();
        if self.is_settled(&id)? {
            return match self.recall(&id)? {
                Some((reading, _)) => self.keep_files(light, &reading, room).await,
                None => Ok(true),
            };
        }
        let reading = self.read_proven(light, message).await?;
        let whole = self.whole_text(light, &reading).await?;
        Ok(self.keep(&reading, whole)? && self.keep_files(light, &reading, room).await?)
    }
    /// Fetches what of an unread letter's files came in parts, up to `room` bytes, which it takes. They wait, encrypted,
    /// until somebody saves them.
    async fn keep_files(
        &self,
        light: &Light,
        reading: &Reading,
        room: &mut u64,
    ) -> Result<bool, WalletError> {
        if self.archive.marked(&reading.message.id())?.is_some() {
            return Ok(true);
        }
        self.collector(light, reading, &|_, _, _| {}).keep(room).await?;
        Ok(true)
    }
    /// How many of the letters to bundles have neither been read here nor kept, as far as this wallet knows. Sealed ones
    /// count that scans have found.
    pub async fn unread_to(&self, light: &Light, bundles: &[u64]) -> Result<usize, WalletError> {
        let mut unread = 0_usize;
        for (_, incoming) in self.sent_to_bundles(light, bundles).await? {
            let is_read = match &incoming {
                Some(Incoming { only_receipts: true, .. }) => true,
                Some(Incoming { message, .. }) => {
                    let id = message.id();
                    self.archive.marked(&id)?.is_some() || self.archive.keeps(&id)?
                }
                None => false,
            };
            unread = unread.saturating_add((!is_read).into());
        }
        Ok(unread)
    }
    /// The letters that came to bundles, each with its bundle's number; sealed ones as far as scans have found them, and
    /// without the letter if the node does not have it.
    async fn sent_to_bundles(
        &self,
        light: &Light,
        bundles: &[u64],
    ) -> Result<Vec<(u64, Option<Incoming>)>, WalletError> {
        // Nobody encrypts to keys before they are published. Of one whose block is not known, everything is looked at.
        let secrets = self.keystore.secrets();
        let published = bundles
            .iter()
            .map(|bundle| Some(secrets.publication(*bundle)?.published?.height))
            .min()
            .flatten();
        let mut sent = Vec::new();
        for incoming in self.inbox_down_to(light, usize::MAX, published, &|_| {}).await? {
            let slot = incoming.message.transaction.message().and_then(|message| message.slot(incoming.slot));
            if let Some(SlotRecipient::Named { bundle, .. }) = slot.map(|slot| slot.recipient)
                && bundles.contains(&bundle)
            {
                sent.push((bundle, Some(incoming)));
            }
        }
        // Of sealed ones nothing is asked that is settled here: each question shows whose they are.
        for found in self.sealed_letters()?.into_iter().filter(|found| bundles.contains(&found.bundle)) {
            if !self.is_settled(&found.id)? {
                sent.push((found.bundle, self.came(light, &found.id).await?));
            }
        }
        Ok(sent)
    }
    /// Opens a message that came, and keeps it if it is a letter. Whether it is kept now.
    async fn keep_incoming(&self, light: &Light, message: Proven) -> Result<bool, WalletError> {
        let reading = self.read_proven(light, message).await?;
        let whole = self.whole_text(light, &reading).await?;
        self.keep(&reading, whole)
    }
    /// The text of a letter that goes on in parts, fetched and put together; nothing of any other letter.
    pub(crate) async fn whole_text(
        &self,
        light: &Light,
        reading: &Reading,
    ) -> Result<Option<String>, WalletError> {
        match reading.letter.continued {
            Some(_) => self.collector(light, reading, &|_, _, _| {}).text().await,
            None => Ok(None),
        }
    }
    /// Whether a message is kept, or was forgotten on purpose.
    fn is_settled(&self, id: &TransactionId) -> Result<bool, WalletError> {
        Ok(self.archive.marked(id)? == Some(Mark::Forgotten) || self.archive.keeps(id)?)
    }
    /// Keeps a letter that was sent, once it stands in a block. Whether it is kept now and was not before.
    pub async fn keep_sent(&self, light: &Light, id: &TransactionId) -> Result<bool, WalletError> {
        if self.is_settled(id)? {
            return Ok(false);
        }
        let Some(entry) = self.outbox.get(id)?.filter(|entry| entry.kind == "message") else {
            return Ok(false);
        };
        let Some(note) = self.note(&entry)? else { return Ok(false) };
        if !matches!(Content::from_bytes(&note.content), Ok(Content::Letter(_))) {
            return Ok(false);
        }
        let Some(message) = light.transaction(id).await? else { return Ok(false) };
        let author_block = self.authorship(&entry)?.map(|block| block.to_bytes());
        let facts = Facts {
            way: Way::Went,
            author: self.address,
            to: self.sent_to_addresses(&entry)?,
            header: message.header,
            index: message.index,
            slot: 0,
            salt: note.salt,
            content: note.content.to_vec(),
            author_block,
            whole_text: self.kept_text(&entry)?,
            receipt_secret: None,
            kept_ms: now_ms(),
        };
        let Some(record) = Record::new(message.transaction, facts) else { return Ok(false) };
        self.archive.put(&record)?;
        Ok(true)
    }
    /// The id that a text means among the letters here: whole, or the beginning of one.
    pub fn resolve_kept(&self, text: &str) -> Result<TransactionId, WalletError> {
        match whole_id(text)? {
            Some(id) => Ok(id),
            None => self.resolve_among(&self.links()?.0, text),
        }
    }
    /// The same, among letters that were read before.
    pub fn resolve_among(&self, links: &Links, text: &str) -> Result<TransactionId, WalletError> {
        if let Some(id) = whole_id(text)? {
            return Ok(id);
        }
        the_one(text, &links.beginning(text))?.ok_or_else(|| WalletError::NotKept { text: text.into() })
    }

    fn sent_letter(&self, entry: &OutboxEntry) -> Result<Option<Kept>, WalletError> {
        if entry.kind != "message" {
            return Ok(None);
        }
        let Some(mut letter) = self.own_letter(entry)? else { return Ok(None) };
        if let Some(text) = self.kept_text(entry)? {
            (letter.text, letter.continued) = (text, None);
        }
        Ok(Some(Kept::sent(entry, self.sent_to_addresses(entry)?, self.address, letter)))
    }
    /// The text of a letter that went ahead in parts.
    fn kept_text(&self, entry: &OutboxEntry) -> Result<Option<String>, WalletError> {
        let Some(text) = &entry.text else { return Ok(None) };
        let text = self.open_entry(entry, "text", &text_place(&entry.id), text.as_bytes())?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }
}

/// One letter more of a bundle.
fn count(missing: &mut BTreeMap<u64, usize>, bundle: u64) {
    let letters = missing.entry(bundle).or_default();
    *letters = letters.saturating_add(1);
}

/// What came of keeping a letter, if that says something of the letter. What can't be opened breaks the rules: nobody can,
/// with any key. What goes on for longer than letters may, or is not to be had as a whole, is not kept.
fn is_kept(kept: Result<bool, WalletError>) -> Result<bool, WalletError> {
    match kept {
        Err(WalletError::OnlyAPart { .. } | WalletError::Open(_)) => Ok(true),
        Err(error) if is_key_gone(&error) => Ok(true),
        Err(
            WalletError::Light(LightError::Node(_))
            | WalletError::Parcel(_)
            | WalletError::Archive(ArchiveError::TooLong { .. }),
        ) => Ok(false),
        kept => kept,
    }
}

/// Whether the key of a message is not here, or not any more.
pub(super) fn is_key_gone(error: &WalletError) -> bool {
    matches!(
        error,
        WalletError::Open(OpenError::KeyGone { .. })
            | WalletError::KeyDestroyed { .. }
            | WalletError::KeyNeverHere { .. }
    )
}

/// Whether a message can't be opened any more, though nobody is to blame for it.
fn is_gone(error: &WalletError) -> bool {
    match error {
        error if is_key_gone(error) => true,
        WalletError::Light(LightError::Node(error)) => error.code == "tx.body_pruned",
        _ => false,
    }
}

/// One letter that can't be read does not hide the others; a disk that fails does.
pub(crate) fn skipped(count: usize, error: WalletError) -> Result<usize, WalletError> {
    match error {
        WalletError::Archive(
            ArchiveError::Damaged { .. } | ArchiveError::Format { .. } | ArchiveError::Record { .. },
        ) => Ok(count.saturating_add(1)),
        WalletError::Outbox(error) if error.is_of_one_entry() => Ok(count.saturating_add(1)),
        error => Err(error),
    }
}
