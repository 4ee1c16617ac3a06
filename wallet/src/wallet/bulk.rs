//! A whole list of messages: sealed on all cores and handed in a hundred at a time, with several calls under way.
//! Each is in the outbox, with its place in the list, before it leaves. So the outbox alone tells what of a list is
//! done: after a crash the same list goes on where it stopped, and what was signed is submitted again, never
//! signed again.

use super::sending::{PostageProgress, SealedLetter, is_ml_kem_broken};
use super::{Draft, Prepared, Wallet, WalletError, now_ms};
use crate::envelope::Recipient;
use crate::light::{Light, LightError};
use crate::outbox::{OutboxEntry, OutboxError};
use crate::parcel;
use futures::stream::{self, StreamExt, TryStreamExt};
use rayon::prelude::*;
use sealpost_api::{Category, MAX_SUBMISSIONS, TransactionStatus, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::{Decode, Encode, decode, encode};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::postage::next_price;
use sealpost_ledger::transaction::{Payload, Transaction};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Messages of one call.
const IN_ONE_CALL: usize = 100;
const _: () = assert!(IN_ONE_CALL <= MAX_SUBMISSIONS as usize);
/// Calls under way at once: while some wait for their blocks, the next are sealed.
const UNDER_WAY: usize = 4;
/// Questions under way at once: for keys, and for what has become final.
const QUESTIONS: usize = 16;
/// Bytes of the transactions and bodies of one call. In hexadecimal they stay below the 4 MiB of a request.
const BYTES_IN_ONE_CALL: usize = 1_900_000;
/// Blocks by which the price is paid ahead at most: they make it two and a half times as much.
const MOST_AHEAD: u64 = 8;
/// First and longest pause after a node that is busy, or a price that has risen.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How often a busy node is asked again, or a block waited for, before the rest is left for later.
const PATIENCE: u32 = 12;

/// Names a list of messages: the hash of all that is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct ListId([u8; 32]);

/// Names the lines of a list as they are written: the hash of the names in it, not of what these stand for. Two lists
/// with the same lines differ if a contact, a group or a file that they name was changed in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
struct LinesId([u8; 32]);

impl std::fmt::Display for ListId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&const_hex::encode(self.0))
    }
}

/// Where a message stands in a list. What is named here is signed, and is not signed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
struct Place {
    list: ListId,
    /// How often the list had been sent on purpose before.
    round: u32,
    /// The message's number in the list, from 0.
    number: u32,
}

/// A message's place, and what the list was made from. Outboxes of earlier versions have places alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
struct WrittenPlace {
    place: Place,
    lines: LinesId,
}

/// A list of messages that are sent together.
#[derive(Debug, Clone)]
pub struct BulkList {
    id: ListId,
    lines: Option<LinesId>,
    messages: Vec<Draft>,
}

impl BulkList {
    /// A list. Its id is the hash of all that is in it: another word makes another list.
    pub fn new(messages: Vec<Draft>) -> Self {
        let mut hash = Sha256::new_with_prefix(b"sealpost list of messages");
        for Draft { to, content, mode } in &messages {
            let content = content.to_bytes();
            hash.update(encode(mode));
            hash.update(encode(to));
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(&content);
        }
        Self { id: ListId(hash.finalize().into()), lines: None, messages }
    }
    /// Says what the list was made from, a line for each message: the names of contacts, groups and files as somebody
    /// wrote them. So that what they stand for was changed is noticed when an interrupted list is given again.
    #[must_use]
    pub fn written(mut self, lines: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut hash = Sha256::new_with_prefix(b"sealpost lines of a list");
        for line in lines {
            let line = line.as_ref();
            hash.update((line.len() as u64).to_le_bytes());
            hash.update(line);
        }
        self.lines = Some(LinesId(hash.finalize().into()));
        self
    }
    /// Its id.
    pub const fn id(&self) -> ListId {
        self.id
    }
    /// The messages, in order.
    pub fn messages(&self) -> &[Draft] {
        &self.messages
    }
}

/// Whether a list is sent once more of which no message has still to reach a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// No: what was sent is sent.
    Never,
    /// Yes: every message anew. A list that was interrupted goes on first, whichever time it was.
    Again,
}

/// What is done if an interrupted list has the same lines, and what they name has changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Nothing is sent: what is out of the other list would go out a second time.
    Refuse,
    /// This list is sent all the same.
    Send,
}

/// A list that this process alone works on.
#[derive(Debug)]
pub struct BulkRun<'a> {
    list: &'a BulkList,
    repeat: Repeat,
    round: u32,
    /// What was signed of it before: by its number in the list.
    before: BTreeMap<u32, TransactionId>,
    /// Recipients whose ML-KEM key is none, and their bundles.
    broken: Mutex<BTreeMap<Address, u64>>,
    // Let go when this is dropped, or when the process dies.
    _lock: File,
}

impl BulkRun<'_> {
    /// How many messages of it were signed before.
    pub fn signed_before(&self) -> usize {
        self.before.len()
    }
    /// Recipients whose published ML-KEM key is none, with the number of their bundle: what was sealed to them in this
    /// run is in suite 1.
    pub fn broken_keys(&self) -> Vec<(Address, u64)> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.iter().map(|(address, sequence)| (*address, *sequence)).collect()
    }
}

/// How far a message of a list has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkState {
    /// It was final before this run.
    Before(BlockHeight),
    /// It is final, as verified here.
    Final(BlockHeight),
    /// The node has it.
    Accepted,
}

/// What became of a message of a list.
#[derive(Debug)]
pub struct BulkResult {
    /// Its number in the list, from 0.
    pub number: u32,
    /// Its id, if it was signed.
    pub id: Option<TransactionId>,
    /// How far it has come, or why it has not. What concerns one message stops none of the others.
    pub state: Result<BulkState, WalletError>,
}

/// Hears what became of each message.
pub type BulkHeard<'a> = &'a (dyn Fn(BulkResult) + Sync);

/// What all calls of one run have in common.
struct Course<'a> {
    light: &'a Light,
    run: &'a BulkRun<'a>,
    wait: WaitFor,
    postage: PostageProgress<'a>,
    heard: BulkHeard<'a>,
}

impl Course<'_> {
    fn tell(&self, number: u32, id: Option<TransactionId>, state: Result<BulkState, WalletError>) {
        (self.heard)(BulkResult { number, id, state });
    }
    fn message(&self, number: u32) -> Option<&Draft> {
        self.run.list.messages.get(usize::try_from(number).ok()?)
    }
}

/// What is signed of a list in one round: by its number in the list.
type Round = BTreeMap<u32, OutboxEntry>;

/// What the outbox has of a list, by rounds, and of others with the same lines.
#[derive(Debug, Default)]
struct Signed {
    own: BTreeMap<u32, Round>,
    alike: BTreeMap<(ListId, u32), Round>,
}

/// A message with its place in the list.
type Numbered<T> = (u32, T);

impl Wallet {
    /// Takes up a list: finds out what of it was signed before, and keeps other processes of this wallet from working
    /// on any list meanwhile.
    ///
    /// # Errors
    /// When another process does, or the outbox or the head that was verified last can't be read.
    pub fn take_list<'a>(&self, list: &'a BulkList, repeat: Repeat) -> Result<BulkRun<'a>, WalletError> {
        let lock = self.lock_lists()?;
        self.run(list, repeat, self.signed_of(list)?.own, lock)
    }
    /// Settles with the ledger what the outbox alone can't know: whether what was signed before is final, so that a
    /// list that goes once more begins anew, and whether an interrupted one has the same lines. To be done before
    /// [`send_list`](Self::send_list).
    ///
    /// # Errors
    /// When an interrupted list has the same lines, and `changed` says that this is not to be sent then; when no node
    /// answers, or the outbox can't be read or written.
    pub async fn settle_list<'a>(
        &self,
        light: &Light,
        run: BulkRun<'a>,
        changed: Changed,
    ) -> Result<BulkRun<'a>, WalletError> {
        let BulkRun { list, repeat, _lock: lock, .. } = run;
        let Signed { mut own, mut alike } = self.signed_of(list)?;
        if repeat == Repeat::Again {
            self.note_blocks(light, own.values_mut().flat_map(Round::values_mut)).await?;
        }
        // A message for each line: there are as many in each.
        let messages = list.messages.len();
        let reached = self.profile.head()?.height();
        let last_own = last_over(own.values(), messages, reached);
        let run = self.run(list, repeat, own, lock)?;
        // Whoever has begun this one goes on with it, and sends nothing twice by that.
        if run.before.is_empty() && changed == Changed::Refuse {
            self.note_blocks(light, alike.values_mut().flat_map(Round::values_mut)).await?;
            let reached = self.profile.head()?.height();
            let last = last_own.max(last_over(alike.values(), messages, reached));
            // Whoever has sent all of these lines since has settled what an earlier round left.
            let mut open = alike.values().filter(|other| !is_over(other, messages, reached));
            if let Some(other) = open.find(|other| begun(other) > last) {
                return Err(WalletError::ListChanged { signed: other.len(), messages });
            }
        }
        Ok(run)
    }
    fn run<'a>(
        &self,
        list: &'a BulkList,
        repeat: Repeat,
        mut rounds: BTreeMap<u32, Round>,
        lock: File,
    ) -> Result<BulkRun<'a>, WalletError> {
        let (mut round, mut signed) = rounds.pop_last().unwrap_or_default();
        if repeat == Repeat::Again && is_over(&signed, list.messages.len(), self.profile.head()?.height()) {
            (round, signed) = (round.saturating_add(1), Round::new());
        }
        let before = signed.into_iter().map(|(number, entry)| (number, entry.id)).collect();
        Ok(BulkRun { list, repeat, round, before, broken: Mutex::default(), _lock: lock })
    }
    fn signed_of(&self, list: &BulkList) -> Result<Signed, WalletError> {
        let mut signed = Signed::default();
        for entry in self.outbox.list()? {
            let Some((place, lines)) = self.place_of(&entry)? else { continue };
            let Place { list: id, round, number } = place;
            if id == list.id {
                signed.own.entry(round).or_default().insert(number, entry);
            } else if lines.is_some() && lines == list.lines {
                signed.alike.entry((id, round)).or_default().insert(number, entry);
            }
        }
        Ok(signed)
    }
    /// Notes which of some entries are final: whoever did not wait for it has not noted that.
    async fn note_blocks(
        &self,
        light: &Light,
        entries: impl Iterator<Item = &mut OutboxEntry>,
    ) -> Result<(), WalletError> {
        let questions = entries.filter(|entry| entry.height.is_none()).map(|entry| async move {
            if let Some(proven) = light.transaction(&entry.id).await? {
                self.note_final(entry, &proven)?;
            }
            Ok::<_, WalletError>(())
        });
        let questions: Vec<_> = questions.collect();
        stream::iter(questions).buffer_unordered(QUESTIONS).try_collect::<()>().await
    }
    fn place_of(&self, entry: &OutboxEntry) -> Result<Option<(Place, Option<LinesId>)>, WalletError> {
        let Some(note) = &entry.bulk else { return Ok(None) };
        let note = self.open_entry(entry, "bulk", &list_place(&entry.id), note.as_bytes())?;
        Ok(read_place(&note))
    }
    fn lock_lists(&self) -> Result<File, WalletError> {
        let (file, path) = self.lock_file("send-many.lock")?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OutboxError::Busy.into()),
            Err(TryLockError::Error(error)) => {
                Err(WalletError::File(sealpost_terminal::file_failure("lock", &path, &error)))
            }
        }
    }
    /// Sends what of a list is not final yet. `heard` is told once of each message that this comes to. Dropping the
    /// future loses nothing that was signed, and the list goes on when it is taken up again.
    ///
    /// # Errors
    /// What concerns all messages: no node answers, or what it says does not hold; the outbox can't be written.
    pub async fn send_list(
        &self,
        light: &Light,
        run: &BulkRun<'_>,
        wait: WaitFor,
        postage: PostageProgress<'_>,
        heard: BulkHeard<'_>,
    ) -> Result<(), WalletError> {
        let course = &Course { light, run, wait, postage, heard };
        let count = u32::try_from(run.list.messages.len()).unwrap_or(u32::MAX);
        let numbers: Vec<u32> = (0..count).collect();
        let calls: Vec<_> =
            numbers.chunks(IN_ONE_CALL).map(|numbers| self.send_some(course, numbers)).collect();
        stream::iter(calls).buffer_unordered(UNDER_WAY).try_collect::<()>().await
    }
    async fn send_some(&self, course: &Course<'_>, numbers: &[u32]) -> Result<(), WalletError> {
        let (mut ready, mut new) = (Vec::new(), Vec::new());
        for number in numbers {
            match course.run.before.get(number) {
                None => new.push(*number),
                Some(id) => ready.extend(self.signed_earlier(course, *number, id).await?),
            }
        }
        if !new.is_empty() {
            ready.extend(self.sign_some(course, &new).await?);
        }
        for call in calls(ready) {
            self.hand_in(course, call).await?;
        }
        Ok(())
    }
    /// What was signed in an earlier run, if it still has to reach a block.
    async fn signed_earlier(
        &self,
        course: &Course<'_>,
        number: u32,
        id: &TransactionId,
    ) -> Result<Option<Numbered<OutboxEntry>>, WalletError> {
        let Some(mut entry) = self.outbox.get(id)? else { return Ok(None) };
        if entry.height.is_none() {
            // Asked for before: a block that comes in between is no reason to call a message void.
            let next = course.light.next_height().await?;
            match course.light.transaction(id).await? {
                Some(proven) => {
                    self.note_final(&mut entry, &proven)?;
                }
                None => {
                    let Some(expiry) = entry.expiry().filter(|expiry| *expiry < next) else {
                        return Ok(Some((number, entry)));
                    };
                    match course.light.transaction_of_any(id).await {
                        // Signed again it might arrive twice, if a node withholds the first.
                        Ok(None) => {
                            course.tell(number, Some(*id), Err(WalletError::Void { id: *id, expiry }))
                        }
                        Ok(Some(proven)) => {
                            self.note_final(&mut entry, &proven)?;
                        }
                        Err(error @ LightError::Contradiction { .. }) => return Err(error.into()),
                        Err(source) => {
                            course.tell(number, Some(*id), Err(self.undelivered(&entry, source)));
                        }
                    }
                }
            }
        }
        if let Some(height) = entry.height {
            course.tell(number, Some(*id), Ok(BulkState::Before(height)));
        }
        Ok(None)
    }
    /// Seals, pays and signs, and puts into the outbox. One question for the price and one for each recipient's keys.
    async fn sign_some(
        &self,
        course: &Course<'_>,
        numbers: &[u32],
    ) -> Result<Vec<Numbered<OutboxEntry>>, WalletError> {
        let light = course.light;
        let expiry = self.expiry(light).await?;
        let messages: Vec<_> = numbers.iter().filter_map(|n| Some((*n, course.message(*n)?))).collect();
        let addresses = messages.iter().flat_map(|(_, draft)| draft.to.iter().copied()).collect();
        let keys = self.keys_of(light, addresses).await?;
        let broken = keys.values().flatten().filter(|recipient| is_ml_kem_broken(recipient));
        let broken = broken.map(|recipient| (recipient.address, recipient.bundle.sequence));
        course.run.broken.lock().unwrap_or_else(PoisonError::into_inner).extend(broken);
        let sealed: Vec<_> = messages
            .par_iter()
            .map(|(number, draft)| {
                let recipients = draft.to.iter().map(|address| match keys.get(address) {
                    Some(found) => found.clone(),
                    None => Err(WalletError::NoKeys { address: self.text(address) }),
                });
                let recipients = recipients.collect::<Result<Vec<_>, _>>();
                (*number, *draft, recipients.and_then(|to| self.seal_letter(draft, &to, expiry)))
            })
            .collect();
        // The price is one for all sizes; it may rise before the block that takes them.
        let quote = light.postage(1024).await?;
        let sizes = sealed.iter().filter_map(|(_, draft, sealed)| {
            let body = sealed.as_ref().ok()?.body.as_bytes().len();
            Some(body.saturating_add(parcel::beside(draft.to.len())))
        });
        let bytes = sizes.sum::<usize>();
        let price = self.price_ahead(course, quote.price.max(quote.price_after), bytes);
        let mut paid = Vec::with_capacity(sealed.len());
        for (number, draft, sealed) in sealed {
            match sealed {
                Ok(sealed) => match self.pay_for(course, &sealed, expiry, price).await? {
                    Ok((transaction, work)) => paid.push((number, draft, sealed, transaction, work)),
                    Err(error) => course.tell(number, None, Err(error)),
                },
                Err(error) => course.tell(number, None, Err(error)),
            }
        }
        // Each is a file that is written through to the disk: most of the time of small messages goes there.
        let kept = paid.into_par_iter().map(|(number, draft, sealed, transaction, work)| {
            let (prepared, salt) = self.sign_letter(sealed, transaction, work)?;
            let (to, note) = self.outbox_parts(&prepared, draft, salt)?;
            let Prepared { transaction, body, .. } = &prepared;
            let mut entry = OutboxEntry::new(transaction, body.as_ref(), to, now_ms(), Some(note));
            let place = Place { list: course.run.list.id, round: course.run.round, number };
            let place = match course.run.list.lines {
                Some(lines) => encode(&WrittenPlace { place, lines }),
                None => encode(&place),
            };
            entry.bulk = Some(self.keystore.seal_note(&list_place(&entry.id), &place)?.into());
            self.put_out(&prepared, &mut entry)?;
            Ok::<_, WalletError>((number, entry))
        });
        kept.collect()
    }
    /// The newest keys of each recipient, or why there are none that can be used.
    async fn keys_of(
        &self,
        light: &Light,
        addresses: BTreeSet<Address>,
    ) -> Result<BTreeMap<Address, Result<Recipient, WalletError>>, WalletError> {
        let questions = addresses.into_iter().map(|address| async move {
            match self.recipient(light, &address).await {
                // This concerns all of them.
                Err(error @ WalletError::Light(_)) => Err(error),
                found => Ok((address, found.map(|(recipient, _)| recipient))),
            }
        });
        stream::iter(questions).buffer_unordered(QUESTIONS).try_collect().await
    }
    /// The price that is paid: that of now, raised by as many full blocks as the calls under way fill. Otherwise what
    /// is signed last would wait until the price falls, which on a quiet network it does slowly.
    fn price_ahead(&self, course: &Course<'_>, price: u64, bytes_of_call: usize) -> u64 {
        let (limits, rules) = (self.genesis().limits(), self.genesis().postage());
        let block = u64::from(limits.block_bytes);
        let room = (block / 100).saturating_mul(u64::from(rules.strangers_percent)).max(1);
        let calls = course.run.list.messages.len().div_ceil(IN_ONE_CALL).min(UNDER_WAY);
        let blocks = (bytes_of_call.saturating_mul(calls) as u64 / room).min(MOST_AHEAD);
        (0..blocks).fold(price, |price, _| next_price(price, block, block, rules.floor))
    }
    /// The outer error concerns all messages, the inner one this message.
    async fn pay_for(
        &self,
        course: &Course<'_>,
        sealed: &SealedLetter,
        expiry: BlockHeight,
        price: u64,
    ) -> Result<Result<(Transaction, u64), WalletError>, WalletError> {
        let payload = Payload::Message(sealed.message.clone());
        let transaction = self.unpaid(sealed.signer(&self.identity), payload, expiry);
        let body_bytes = sealed.body.as_bytes().len();
        match self.pay_at(price, course.light, transaction, body_bytes, course.postage).await {
            Err(WalletError::Stopped) => Err(WalletError::Stopped),
            paid => Ok(paid),
        }
    }
    /// Hands in a call's messages, again for as long as the node is busy or their price has risen, within patience.
    async fn hand_in(
        &self,
        course: &Course<'_>,
        mut call: Vec<Numbered<OutboxEntry>>,
    ) -> Result<(), WalletError> {
        let (mut pause, mut patience) = (PAUSES.0, PATIENCE);
        loop {
            let transactions = call.iter().map(|(_, entry)| {
                let malformed = || OutboxError::Malformed {
                    path: format!("{}.json", entry.id).into(),
                    reason: "it has no transaction".into(),
                };
                Ok((entry.transaction().ok_or_else(malformed)?, entry.body()))
            });
            let transactions = transactions.collect::<Result<Vec<_>, OutboxError>>()?;
            let answers = course.light.submit_many(&transactions, course.wait).await?;
            patience = patience.saturating_sub(1);
            let (mut left, mut over) = (Vec::new(), Vec::new());
            for ((number, entry), answer) in call.into_iter().zip(answers) {
                let id = entry.id;
                match answer {
                    Ok(TransactionStatus::Final(_)) => over.push((number, entry)),
                    Ok(_) if course.wait == WaitFor::Accepted => {
                        course.tell(number, Some(id), Ok(BulkState::Accepted));
                    }
                    Ok(_) => left.push((number, entry, super::parcels::no_block())),
                    Err(source) if may_pass(&source) => left.push((number, entry, source)),
                    Err(source) => course.tell(number, Some(id), Err(self.undelivered(&entry, source))),
                }
            }
            let proofs = over.into_iter().map(|(number, entry)| self.confirm(course, number, entry));
            stream::iter(proofs).buffer_unordered(QUESTIONS).try_collect::<()>().await?;
            if left.is_empty() || patience == 0 {
                for (number, entry, source) in left {
                    course.tell(number, Some(entry.id), Err(self.undelivered(&entry, source)));
                }
                return Ok(());
            }
            call = left.into_iter().map(|(number, entry, _)| (number, entry)).collect();
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSES.1);
        }
    }
    /// Not because the node says that it is final, but because it is proven.
    async fn confirm(
        &self,
        course: &Course<'_>,
        number: u32,
        mut entry: OutboxEntry,
    ) -> Result<(), WalletError> {
        let proven = course.light.transaction(&entry.id).await;
        let proven = proven.and_then(|proven| proven.ok_or_else(|| course.light.not_final(&entry.id)));
        let proven = proven.map_err(|error| self.undelivered(&entry, error))?;
        self.note_final(&mut entry, &proven)?;
        course.tell(number, Some(entry.id), Ok(BulkState::Final(proven.header.height)));
        Ok(())
    }
}

/// Whether every message of a round is final, or void. While one may still reach a block the round goes on: whoever
/// gives an interrupted list again, with everything that stood in the command before, means no further round.
fn is_over(signed: &Round, messages: usize, reached: BlockHeight) -> bool {
    let is_void = |entry: &OutboxEntry| entry.expiry().is_none_or(|expiry| expiry <= reached);
    signed.len() >= messages && signed.values().all(|entry| entry.height.is_some() || is_void(entry))
}

/// When a round was begun: in the order of the ledger, and by this machine's clock only within one block.
fn begun(signed: &Round) -> Option<(BlockHeight, u64)> {
    signed.values().map(|entry| (entry.expiry().unwrap_or(BlockHeight::GENESIS), entry.signed_ms)).min()
}

/// When the last of some rounds was begun that are over.
fn last_over<'a>(
    rounds: impl Iterator<Item = &'a Round>,
    messages: usize,
    reached: BlockHeight,
) -> Option<(BlockHeight, u64)> {
    rounds.filter(|round| is_over(round, messages, reached)).filter_map(begun).max()
}

/// A message's place in its list, and the lines that this was made from, if they were noted. What can't be read is of a
/// version to come, and of no list that is known here.
fn read_place(note: &[u8]) -> Option<(Place, Option<LinesId>)> {
    if let Ok(WrittenPlace { place, lines }) = decode("place in a list", note, note.len()) {
        return Some((place, Some(lines)));
    }
    decode("place in a list", note, note.len()).ok().map(|place| (place, None))
}

/// What the place of a message in its list is bound to.
fn list_place(id: &TransactionId) -> Vec<u8> {
    [id.as_bytes().as_slice(), b"list"].concat()
}

/// Whether the same transaction may be taken later: the node has no room, or the price may fall again.
fn may_pass(error: &LightError) -> bool {
    matches!(error, LightError::Node(error)
        if error.category == Category::Busy || error.code == "tx.postage_too_low")
}

/// Messages in calls that a node reads, in their order.
fn calls(messages: Vec<Numbered<OutboxEntry>>) -> Vec<Vec<Numbered<OutboxEntry>>> {
    let (mut calls, mut call, mut together) = (Vec::new(), Vec::new(), 0_usize);
    for (number, entry) in messages {
        let bytes = entry.bytes();
        if !call.is_empty()
            && (together.saturating_add(bytes) > BYTES_IN_ONE_CALL || call.len() >= IN_ONE_CALL)
        {
            calls.push(std::mem::take(&mut call));
            together = 0;
        }
        together = together.saturating_add(bytes);
        call.push((number, entry));
    }
    if !call.is_empty() {
        calls.push(call);
    }
    calls
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::envelope::Letter;
    use sealpost_ledger::message::Mode;

    fn list(text: &str) -> BulkList {
        let letter = Letter { text: text.into(), ..Letter::default() };
        BulkList::new(vec![Draft { to: Vec::new(), content: letter.into(), mode: Mode::Open }])
    }

    #[test]
    fn the_same_lines_are_known_again_though_what_they_name_has_changed() {
        let [one, other] = ["before", "after"].map(|text| list(text).written(["notice.txt"]));
        assert!(one.id != other.id && one.lines == other.lines);
        assert_ne!(one.lines, list("before").written(["notice", ".txt"]).lines);
        assert_eq!(one.id, list("before").id);
    }

    #[test]
    fn places_are_read_with_and_without_the_lines_that_their_list_was_made_from() {
        let place = Place { list: list("x").id, round: 3, number: 70_000 };
        let lines = LinesId([7; 32]);
        assert_eq!(read_place(&encode(&WrittenPlace { place, lines })), Some((place, Some(lines))));
        // As an earlier version has written it.
        assert_eq!(read_place(&encode(&place)), Some((place, None)));
        assert_eq!(read_place(b"of a version to come"), None);
    }
}
