//! Sending: designate, seal and sign a message, answer one. Everything signed is in the outbox before it
//! leaves.

use super::{ALREADY_ANSWERED, Wallet, WalletError, now_ms};
use crate::envelope::{Content, Recipient, SealRequest, Sealed, has_ml_kem, seal};
use crate::light::{Light, LightError, Proven};
use crate::outbox::{Listing, OutboxEntry, OutboxError, Parcel};
use crate::random::random;
use sealpost_api::{TransactionStatus, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::author::AuthorBlock;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::membership::Designate;
use sealpost_ledger::message::{Body, Message, Mode, Suite};
use sealpost_ledger::postage::Price;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};
use zeroize::Zeroizing;

/// Hears how many hashes were tried, and how many are expected; answers whether to go on.
pub type PostageProgress<'a> = &'a (dyn Fn(u64, u64) -> bool + Sync);

/// Blocks after which an unsent transaction is void, unless the network's window is shorter.
const EXPIRY_BLOCKS: u64 = 10_000;

/// What is to be sent.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Whom to.
    pub to: Vec<Address>,
    /// What it says.
    pub content: Content,
    /// Whether everybody sees who writes to whom.
    pub mode: Mode,
}

/// A signed message that has not been submitted.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The transaction.
    pub transaction: SignedTransaction,
    /// Its body.
    pub body: Option<Body>,
    /// Suite of the slots, if it is a message.
    pub suite: Option<Suite>,
    /// Key bundles used, in the order of the recipients.
    pub keys: Vec<KeysAt>,
    /// Who wrote it and to whom, if it is sealed.
    pub author: Option<AuthorBlock>,
    /// Expected hashes of the postage.
    pub work: u64,
    /// The draft that it was; given up when this is in the outbox.
    pub parcel: Option<Parcel>,
    /// Its text, if that went ahead in parts: nothing else here has it as a whole.
    pub whole_text: Option<Zeroizing<String>>,
}

/// What was proven of a recipient's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeysAt {
    /// Sequence number of the bundle.
    pub sequence: u64,
    /// The height at which they are the newest.
    pub proven: BlockHeight,
    /// The last height at which they are to be used.
    pub valid_until: BlockHeight,
    /// Whether the ML-KEM key among them is none, so that the message is in suite 1 for everybody.
    pub ml_kem_broken: bool,
}

/// How what was signed here stands.
#[derive(Debug, Default)]
pub struct Flushed {
    /// The entries, the oldest first, with what the node said of each that it did not take.
    pub entries: Vec<(OutboxEntry, Option<LightError>)>,
    /// Why each of the others can't be read.
    pub damaged: Vec<OutboxError>,
}

impl Prepared {
    /// Something that is no message, paid for before.
    pub(super) fn plain(transaction: SignedTransaction) -> Self {
        let (body, suite, keys, work) = (None, None, Vec::new(), 0);
        let (author, parcel, whole_text) = (None, None, None);
        Self { transaction, body, suite, keys, author, work, parcel, whole_text }
    }
}

/// A message that is encrypted, and neither paid for nor signed.
pub(super) struct SealedLetter {
    pub(super) message: Message,
    pub(super) body: Body,
    salt: [u8; 32],
    author: Option<AuthorBlock>,
    one_time: Option<SigningKey>,
}

impl SealedLetter {
    /// Who signs it: a key of its own if it hides its author, who is `identity`.
    pub(super) fn signer<'a>(&'a self, identity: &'a SigningKey) -> &'a SigningKey {
        self.one_time.as_ref().unwrap_or(identity)
    }
}

/// How far something that was sent has come.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its id.
    pub id: TransactionId,
    /// Its place, verified, if it was waited for.
    pub place: Option<Box<Proven>>,
    /// Bytes, body included.
    pub bytes: usize,
    /// Expected hashes of the postage.
    pub work: u64,
}

impl Wallet {
    /// Whether one message can go to so many recipients: to be asked before anything is typed or looked up.
    pub fn check_recipients(&self, count: usize) -> Result<(), WalletError> {
        let limit = self.genesis().limits().slots;
        if count > usize::from(limit) { Err(WalletError::TooManyRecipients { count, limit }) } else { Ok(()) }
    }
    /// Encrypts and signs a message. Nothing leaves this machine but questions for keys and postage.
    pub async fn prepare_message(
        &self,
        light: &Light,
        draft: &Draft,
        progress: PostageProgress<'_>,
    ) -> Result<(Prepared, [u8; 32]), WalletError> {
        self.check_recipients(draft.to.len())?;
        let expiry = self.expiry(light).await?;
        let mut recipients = Vec::with_capacity(draft.to.len());
        let mut keys = Vec::with_capacity(draft.to.len());
        for address in &draft.to {
            let (recipient, proven) = self.recipient(light, address).await?;
            let (sequence, valid_until) = (recipient.bundle.sequence, recipient.bundle.valid_until);
            let ml_kem_broken = is_ml_kem_broken(&recipient);
            keys.push(KeysAt { sequence, proven, valid_until, ml_kem_broken });
            recipients.push(recipient);
        }
        let sealed = self.seal_letter(draft, &recipients, expiry)?;
        let payload = Payload::Message(sealed.message.clone());
        let transaction = self.unpaid(sealed.signer(&self.identity), payload, expiry);
        let (transaction, work) =
            self.pay(light, transaction, sealed.body.as_bytes().len(), progress).await?;
        let (mut prepared, salt) = self.sign_letter(sealed, transaction, work)?;
        prepared.keys = keys;
        Ok((prepared, salt))
    }
    /// Encrypts a message. Asks nobody.
    pub(super) fn seal_letter(
        &self,
        draft: &Draft,
        recipients: &[Recipient],
        expiry: BlockHeight,
    ) -> Result<SealedLetter, WalletError> {
        let one_time = match draft.mode {
            Mode::Open => None,
            Mode::Sealed => Some(one_time_key()?),
        };
        let signer = one_time.as_ref().unwrap_or(&self.identity);
        let Sealed { message, body, salt, author } = seal(&SealRequest {
            chain: self.genesis().chain_id(),
            sender: Address::new(signer.public_key()),
            author: one_time.as_ref().map(|_| &self.identity),
            expiry,
            recipients,
            content: &draft.content,
            body_limit: self.genesis().limits().body_bytes,
        })?;
        Ok(SealedLetter { message, body, salt, author, one_time })
    }
    /// Signs an encrypted message that is paid for.
    pub(super) fn sign_letter(
        &self,
        sealed: SealedLetter,
        paid: Transaction,
        work: u64,
    ) -> Result<(Prepared, [u8; 32]), WalletError> {
        let transaction = sign(sealed.signer(&self.identity), paid)?;
        let SealedLetter { message, body, salt, author, .. } = sealed;
        let (body, suite) = (Some(body), Some(message.suite));
        Ok((Prepared { body, suite, author, work, ..Prepared::plain(transaction) }, salt))
    }
    /// Sends a message.
    pub async fn send(
        &self,
        light: &Light,
        draft: &Draft,
        wait: WaitFor,
        progress: PostageProgress<'_>,
    ) -> Result<Sent, WalletError> {
        let (prepared, salt) = self.prepare_message(light, draft, progress).await?;
        self.send_message(light, &prepared, draft, salt, wait).await
    }
    /// Sends a prepared message.
    pub async fn send_message(
        &self,
        light: &Light,
        prepared: &Prepared,
        draft: &Draft,
        salt: [u8; 32],
        wait: WaitFor,
    ) -> Result<Sent, WalletError> {
        let (to, note) = self.outbox_parts(prepared, draft, salt)?;
        self.send_prepared(light, prepared, to, Some(note), wait).await
    }
    /// Whom a message is to, and what disclosing it needs, as the outbox keeps them.
    pub(super) fn outbox_parts(
        &self,
        prepared: &Prepared,
        draft: &Draft,
        salt: [u8; 32],
    ) -> Result<(Vec<String>, Vec<u8>), WalletError> {
        // Whom a sealed message is to stands in the author block, which is encrypted on disk too.
        let to = match draft.mode {
            Mode::Open => draft.to.iter().map(|address| self.text(address)).collect(),
            Mode::Sealed => Vec::new(),
        };
        let note = [salt.as_slice(), &draft.content.to_bytes()].concat();
        let note = self.keystore.seal_note(prepared.transaction.id().as_bytes(), &note)?;
        Ok((to, note))
    }
    /// Says where notices of a class reach this wallet's identity. Final when this returns.
    pub async fn designate(
        &self,
        light: &Light,
        class: &str,
        to: Address,
        progress: PostageProgress<'_>,
    ) -> Result<Sent, WalletError> {
        let payload = Payload::Designate(Designate { class: class.to_owned(), to });
        self.send_plain(light, payload, progress).await
    }
    /// Sends something without a body, and waits until it is final.
    pub(super) async fn send_plain(
        &self,
        light: &Light,
        payload: Payload,
        progress: PostageProgress<'_>,
    ) -> Result<Sent, WalletError> {
        let prepared = self.prepare(light, payload, None, self.expiry(light).await?, progress).await?;
        self.send_prepared(light, &prepared, Vec::new(), None, WaitFor::Final).await
    }
    /// Submits again what the outbox holds and no block contains, and verifies what has become final.
    /// What can't be read keeps none of the others here.
    pub async fn flush_outbox(&self, light: &Light) -> Result<Flushed, WalletError> {
        let Listing { entries: listed, mut damaged } = self.outbox.read_all()?;
        let mut entries = Vec::with_capacity(listed.len());
        for mut entry in listed {
            let mut not_taken = None;
            if entry.height.is_none() {
                if let Some(proven) = light.transaction(&entry.id).await? {
                    self.note_final(&mut entry, &proven)?;
                } else {
                    let Some(transaction) = entry.transaction().filter(|signed| signed.id() == entry.id)
                    else {
                        damaged.push(self.outbox.malformed(&entry.id, "its transaction was altered"));
                        continue;
                    };
                    let submitted =
                        light.submit(&transaction, entry.body().as_ref(), WaitFor::Accepted).await;
                    match submitted {
                        Err(error @ LightError::Node(_)) => not_taken = Some(error),
                        other => {
                            other?;
                        }
                    }
                }
            }
            entries.push((entry, not_taken));
        }
        Ok(Flushed { entries, damaged })
    }

    pub(super) async fn expiry(&self, light: &Light) -> Result<BlockHeight, WalletError> {
        Ok(self.expiry_from(light.next_height().await?))
    }
    /// The last height for something whose first possible block is `next`.
    pub(super) fn expiry_from(&self, next: BlockHeight) -> BlockHeight {
        next.saturating_add(self.genesis().limits().expiry_window.min(EXPIRY_BLOCKS))
    }
    /// A recipient's newest keys, and the height at which they are proven to be that.
    pub(super) async fn recipient(
        &self,
        light: &Light,
        address: &Address,
    ) -> Result<(Recipient, BlockHeight), WalletError> {
        let now = light.bundle_now(address).await?;
        let proven = now.and_then(|now| now.record.map(|record| (record, now.at.height)));
        let (record, at) = proven.ok_or_else(|| WalletError::NoKeys { address: self.text(address) })?;
        let next = at.saturating_add(1);
        if let Some(from) = record.revoked_from.filter(|from| *from <= next) {
            let (sequence, from) = (record.bundle.sequence, from.get());
            return Err(WalletError::KeysRevoked { address: self.text(address), sequence, from });
        }
        if record.bundle.valid_until < next {
            let valid_until = record.bundle.valid_until.get();
            return Err(WalletError::KeysExpired { address: self.text(address), valid_until });
        }
        Ok((Recipient { address: *address, bundle: record.bundle }, at))
    }
    /// Pays and signs as this identity.
    pub(super) async fn prepare(
        &self,
        light: &Light,
        payload: Payload,
        body: Option<Body>,
        expiry: BlockHeight,
        progress: PostageProgress<'_>,
    ) -> Result<Prepared, WalletError> {
        let transaction = self.unpaid(&self.identity, payload, expiry);
        let length = body.as_ref().map_or(0, |body| body.as_bytes().len());
        let (transaction, work) = self.pay(light, transaction, length, progress).await?;
        Ok(Prepared { body, work, ..Prepared::plain(sign(&self.identity, transaction)?) })
    }
    pub(super) fn unpaid(&self, signer: &SigningKey, payload: Payload, expiry: BlockHeight) -> Transaction {
        Transaction {
            version: TRANSACTION_VERSION,
            chain: self.genesis().chain_id(),
            sender: Address::new(signer.public_key()),
            expiry,
            payload,
            nonce: 0,
        }
    }
    /// Pays for a transaction with a body of so many bytes, at the price of now. Also returns the expected hashes.
    async fn pay(
        &self,
        light: &Light,
        transaction: Transaction,
        body_bytes: usize,
        progress: PostageProgress<'_>,
    ) -> Result<(Transaction, u64), WalletError> {
        let quote = light.postage(transaction.charged_bytes(body_bytes) as u64).await?;
        // The price may rise before the block that takes it.
        self.pay_at(quote.price.max(quote.price_after), light, transaction, body_bytes, progress).await
    }
    /// As [`pay`](Self::pay), at a given price.
    pub(super) async fn pay_at(
        &self,
        price: Price,
        light: &Light,
        transaction: Transaction,
        body_bytes: usize,
        progress: PostageProgress<'_>,
    ) -> Result<(Transaction, u64), WalletError> {
        let work = sealpost_ledger::postage::work(price, transaction.charged_bytes(body_bytes));
        light.accept_postage(work)?;
        let paid = crate::postage::search(transaction, work, |tried| progress(tried, work)).await;
        Ok((paid.ok_or(WalletError::Stopped)?, work))
    }
    /// Puts something signed into the outbox, and then gives up the draft that it was.
    pub(super) fn put_out(&self, prepared: &Prepared, entry: &mut OutboxEntry) -> Result<(), WalletError> {
        entry.parcel = prepared.parcel;
        entry.author = self.author_note(prepared)?;
        if let Some(text) = &prepared.whole_text {
            entry.text = Some(self.keystore.seal_note(&text_place(&entry.id), text.as_bytes())?.into());
        }
        self.outbox.put(entry)?;
        match prepared.parcel {
            Some(parcel) => Ok(self.drafts.forget(parcel.draft)?),
            None => Ok(()),
        }
    }
    pub(super) async fn send_prepared(
        &self,
        light: &Light,
        prepared: &Prepared,
        to: Vec<String>,
        note: Option<Vec<u8>>,
        wait: WaitFor,
    ) -> Result<Sent, WalletError> {
        let entry = self.keep_prepared(prepared, to, note)?;
        let sent = self.send_kept(light, entry, wait).await?;
        Ok(Sent { work: prepared.work, ..sent })
    }
    /// Makes an entry of something signed, and puts it into the outbox.
    pub(super) fn keep_prepared(
        &self,
        prepared: &Prepared,
        to: Vec<String>,
        note: Option<Vec<u8>>,
    ) -> Result<OutboxEntry, WalletError> {
        let Prepared { transaction, body, .. } = prepared;
        let mut entry = OutboxEntry::new(transaction, body.as_ref(), to, now_ms(), note);
        self.put_out(prepared, &mut entry).map_err(|error| self.undelivered(&entry, error))?;
        Ok(entry)
    }
    /// Submits what the outbox has, and notes the height of its block once that is proven.
    pub(super) async fn send_kept(
        &self,
        light: &Light,
        mut entry: OutboxEntry,
        wait: WaitFor,
    ) -> Result<Sent, WalletError> {
        let submitted = self.submit_kept(light, &mut entry, wait).await;
        let place = submitted.map_err(|error| self.undelivered(&entry, error))?;
        Ok(Sent { id: entry.id, place, bytes: entry.bytes(), work: 0 })
    }
    async fn submit_kept(
        &self,
        light: &Light,
        entry: &mut OutboxEntry,
        wait: WaitFor,
    ) -> Result<Option<Box<Proven>>, WalletError> {
        let id = entry.id;
        let transaction = entry.transaction().ok_or(WalletError::Unknown { id })?;
        let submitted = light.submit(&transaction, entry.body().as_ref(), wait).await?;
        let TransactionStatus::Final(_) = submitted.status else { return Ok(None) };
        // Not because the node says so, but because it is proven.
        let proven = light.transaction(&id).await?.ok_or_else(|| light.not_final(&id))?;
        self.note_final(entry, &proven)?;
        Ok(Some(Box::new(proven)))
    }
    /// Notes in the outbox which block is proven to contain an entry. That alone: what was forgotten since the entry was
    /// read stays forgotten.
    pub(super) fn note_final(&self, entry: &mut OutboxEntry, proven: &Proven) -> Result<(), WalletError> {
        entry.height = Some(proven.header.height);
        self.outbox.change(&entry.id, |kept| {
            kept.height = Some(proven.header.height);
            true
        })?;
        Ok(())
    }
    /// An error of something that the outbox may have. If it has it, that is told with every error but one: a node
    /// that took it may have said that it did not, and what is refused now may be taken when the price has fallen.
    /// Whoever signs it anew sends it twice. Only of a second answer nothing can come.
    pub(super) fn undelivered(&self, entry: &OutboxEntry, error: impl Into<WalletError>) -> WalletError {
        let (id, source) = (entry.id, error.into());
        let may_arrive = source.refusal().is_none_or(|refusal| refusal.code != ALREADY_ANSWERED);
        match entry.expiry().filter(|_| may_arrive && self.outbox.has(&id)) {
            Some(expiry) => WalletError::Undelivered { id, expiry, source: Box::new(source) },
            None => source,
        }
    }
}

/// Whether a recipient's ML-KEM key is none: what is sealed to it, and to others with it, is in suite 1.
pub(super) fn is_ml_kem_broken(recipient: &Recipient) -> bool {
    recipient.bundle.ml_kem.is_some() && !has_ml_kem(&recipient.bundle)
}

fn sign(signer: &SigningKey, transaction: Transaction) -> Result<SignedTransaction, WalletError> {
    let aux = random::<32>()?;
    transaction.sign(signer, &aux).map_err(|_| WalletError::Signing)
}

/// A key that signs one sealed message, and is kept nowhere.
fn one_time_key() -> Result<SigningKey, WalletError> {
    loop {
        // All but one in 2^128 numbers are secret keys.
        if let Ok(key) = SigningKey::from_bytes(&*random::<32>()?) {
            return Ok(key);
        }
    }
}

/// What the kept text of a message is bound to.
pub(super) fn text_place(id: &TransactionId) -> Vec<u8> {
    [id.as_bytes().as_slice(), b"text"].concat()
}
