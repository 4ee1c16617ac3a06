//! Keeping: letters go to the archive when they are opened, come back from it when their keys are gone, and
//! are found there, in conversations and by words. Nothing here asks a node but [`Wallet::catch_up`].

use super::reading::{the_one, whole_id};
use super::sending::text_place;
use super::{Reading, Wallet, WalletError, now_ms};
use crate::archive::{Archive, ArchiveError, Facts, Mark, Record, Way};
use crate::envelope::{Content, OpenError, Opened};
use crate::letters::{Kept, Links};
use crate::light::{Light, LightError, Proven};
use crate::outbox::OutboxEntry;
use crate::search::{Found, Query};
use sealpost_ledger::author::AuthorBlock;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::receipt::Answer;

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
    pub(super) fn is_settled(&self, id: &TransactionId) -> Result<bool, WalletError> {
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
