//! Scanning: how a wallet finds sealed messages. It looks at every hidden slot on the ledger with every secret it
//! still has, so that no node learns which are its own by a question for an address. What it found and how far
//! it came is kept in the wallet's folder, encrypted, so that the next scan goes on where this one ended.
//!
//! ```text
//!  mailbox_tags ─► view tags on all cores ─► 1 of 256, and ours ─► fetched and proven ─► opened, author checked
//! ```
//!
//! What a node can do: leave slots out, which another node shows to a scan that begins anew; and see which messages are
//! fetched, among which are one in 256 of everybody else's.

mod file;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod heard;
mod state;
#[cfg(test)]
mod tests;

pub use heard::Heard;
pub use state::{Found, FoundKind, HeldAnswer, ScanState};

use crate::envelope::{BundleSecret, Content, Opened, ViewKey, candidates, open_sealed, slot_for};
use crate::light::{Light, LightError, ListedSlot, Position, Proven, SlotPage};
use crate::wallet::{Wallet, WalletError, unless_damaged};
use file::ScanFile;
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, SlotRecipient};
use sealpost_ledger::receipt::{Answer, Receipt, receipt_commit};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How long a scan goes on before it writes down how far it is.
const KEEP_EVERY: Duration = Duration::from_secs(2);
/// Refused messages that are named; the others are counted.
const NAMED: usize = 20;
/// Messages without a body that are asked for again, and how long a program that goes on waits before it does so once
/// more: each question shows the node whose they are.
const UNREAD: usize = 8;
const UNREAD_EVERY: Duration = Duration::from_secs(600);

/// How far a scan is.
#[derive(Debug, Clone, Copy)]
pub struct ScanProgress {
    /// The height it has reached.
    pub height: BlockHeight,
    /// The height it goes to.
    pub to: BlockHeight,
    /// Hidden slots looked at.
    pub slots: u64,
    /// How many of them were ours.
    pub found: u64,
    /// Slots per second so far, all cores together, node and network included.
    pub per_second: f64,
}

/// What a scan did.
#[derive(Debug)]
pub struct ScanReport {
    /// How far it came.
    pub progress: ScanProgress,
    /// Messages to this wallet that break the rules, and why; the first of them.
    pub refused: Vec<(TransactionId, String)>,
    /// How many there are of those.
    pub refused_count: u64,
}

/// A scan that is under way.
struct Scan<'a> {
    wallet: &'a Wallet,
    light: &'a Light,
    keys: Arc<Vec<ViewKey>>,
    state: ScanState,
    file: ScanFile,
    report: ScanReport,
    started: Instant,
    kept: Instant,
}

impl Wallet {
    /// Looks at every hidden slot that was not looked at before, up to the newest block. `heard` is told how far
    /// it is.
    pub async fn scan(
        &self,
        light: &Light,
        heard: &(dyn Fn(&ScanProgress) + Sync),
    ) -> Result<ScanReport, WalletError> {
        self.scan_from(light, self.take_up_scan()?, heard).await
    }
    /// The same from the first block on, and keeps what was found: what one node left out, another may show. Scans that
    /// other programs have begun before do not count for it.
    pub async fn rescan(
        &self,
        light: &Light,
        heard: &(dyn Fn(&ScanProgress) + Sync),
    ) -> Result<ScanReport, WalletError> {
        self.scan_from(light, self.begin_anew()?, heard).await
    }
    async fn scan_from(
        &self,
        light: &Light,
        (mut state, file): (ScanState, ScanFile),
        heard: &(dyn Fn(&ScanProgress) + Sync),
    ) -> Result<ScanReport, WalletError> {
        let keys: Vec<_> = self.bundles().iter().filter_map(ViewKey::new).collect();
        let to = light.head().await?.map_or(BlockHeight::GENESIS, |header| header.height);
        self.begin(light, &mut state).await?;
        let height = state.looked.position.height;
        let progress = ScanProgress { height, to, slots: 0, found: 0, per_second: 0.0 };
        let report = ScanReport { progress, refused: Vec::new(), refused_count: 0 };
        let (started, kept) = (Instant::now(), Instant::now());
        let none = keys.is_empty();
        let mut scan = Scan { wallet: self, light, keys: Arc::new(keys), state, file, report, started, kept };
        // Without keys there is nothing to look with; when there are some, a scan begins where they were published.
        if !none {
            if self.may_look_again() {
                scan.look_again().await?;
            }
            scan.run(to, heard).await?;
        }
        Ok(scan.report)
    }
    /// Whether it is time to ask again for bodies that were not to be had.
    fn may_look_again(&self) -> bool {
        let mut looked = self.looked_again.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|looked| looked.elapsed() > UNREAD_EVERY);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }
    /// Goes back as far as a secret that no scan has used makes necessary.
    async fn begin(&self, light: &Light, state: &mut ScanState) -> Result<(), WalletError> {
        // A scan by a program that does not have the newest secrets yet must not count as one that used them.
        let looked = &mut state.looked;
        looked.secrets.retain(|known| self.bundles().iter().any(|secret| secret.sequence == *known));
        let sequences = self.bundles().iter().map(|secret| secret.sequence);
        let mut new: Vec<_> = sequences.filter(|sequence| !looked.secrets.contains(sequence)).collect();
        if new.is_empty() {
            return Ok(());
        }
        // Nobody encrypts to keys that are not published yet: those are new in a later scan.
        let Some(newest) = light.bundle(&self.address()).await? else { return Ok(()) };
        new.retain(|sequence| *sequence <= newest.bundle.sequence);
        let published = BlockHeight::new(newest.height.get().saturating_sub(1));
        let since = match new.as_slice() {
            [] => return Ok(()),
            [only] if *only == newest.bundle.sequence => Position::end_of(published),
            _ => Position::default(),
        };
        // A first scan begins where the keys do.
        looked.position = if looked.secrets.is_empty() { since } else { looked.position.min(since) };
        looked.secrets.extend(new);
        Ok(())
    }
}

impl Scan<'_> {
    async fn run(
        &mut self,
        to: BlockHeight,
        heard: &(dyn Fn(&ScanProgress) + Sync),
    ) -> Result<(), WalletError> {
        let mut page = self.light.hidden_slots(self.state.looked.position, to).await?;
        loop {
            let SlotPage { slots, more } = page;
            let last = slots.last().map(|listed| listed.at);
            let hidden: Vec<_> = slots.iter().map(|listed| listed.slot).collect();
            let keys = self.keys.clone();
            let looked = tokio::task::spawn_blocking(move || candidates(&keys, &hidden));
            // The next page comes while this one is looked at.
            let fetched = async {
                match last.filter(|_| more) {
                    Some(last) => self.light.hidden_slots(last, to).await.map(Some),
                    None => Ok(None),
                }
            };
            let (found, following) = tokio::join!(looked, fetched);
            let found = found.map_err(|error| WalletError::Scan { reason: error.to_string() })?;
            let found: Vec<_> = found.iter().filter_map(|at| slots.get(*at)).copied().collect();
            if let Err(error) = self.take_in(&found).await {
                // What was found before this page stays found.
                self.keep()?;
                return Err(error);
            }
            let end = Position::end_of(to).max(self.state.looked.position);
            self.state.looked.position = last.filter(|_| more).unwrap_or(end);
            self.count(slots.len());
            heard(&self.report.progress);
            if !more || self.kept.elapsed() > KEEP_EVERY {
                self.keep()?;
                self.kept = Instant::now();
            }
            match following? {
                Some(following) => page = following,
                None => return Ok(()),
            }
        }
    }
    fn keep(&mut self) -> Result<(), WalletError> {
        self.wallet.keep_scan(&mut self.state, &mut self.file)
    }
    fn count(&mut self, slots: usize) {
        let progress = &mut self.report.progress;
        progress.height = self.state.looked.position.height;
        progress.slots = progress.slots.saturating_add(slots as u64);
        progress.per_second = progress.slots as f64 / self.started.elapsed().as_secs_f64().max(1e-6);
    }
    /// Asks once more for bodies that were not to be had: the node may have withheld them, and the answers in them
    /// count only when they are read.
    async fn look_again(&mut self) -> Result<(), WalletError> {
        let bundles: Vec<_> = self.wallet.bundles().iter().map(|secret| secret.sequence).collect();
        let mut any = false;
        for mut found in self.state.unread(&bundles, UNREAD) {
            let Some(proven) = self.light.transaction(&found.id).await? else { continue };
            let body = match self.light.body(&proven).await {
                Err(LightError::Node(_)) => continue,
                body => body?,
            };
            found.kind = FoundKind::Broken;
            if let Some((author, kind)) = self.open(&proven, &body)? {
                (found.author, found.kind) = (author, kind);
            }
            self.state.turned_out(found);
            any = true;
        }
        if any {
            self.keep()?;
        }
        Ok(())
    }
    /// Fetches, proves and opens what may be ours.
    async fn take_in(&mut self, slots: &[ListedSlot]) -> Result<(), WalletError> {
        let mut before = None;
        for listed in slots {
            let known = self.state.found.iter().any(|found| found.id == listed.id);
            if before != Some(listed.id) && !known {
                self.take_in_message(listed).await?;
            }
            before = Some(listed.id);
        }
        Ok(())
    }
    async fn take_in_message(&mut self, listed: &ListedSlot) -> Result<(), WalletError> {
        let (light, secrets) = (self.light, self.wallet.bundles());
        let proven = light.transaction(&listed.id).await?;
        let proven = proven.ok_or_else(|| light.wrong_slot(listed, "it is not on the ledger"))?;
        let slot = proven.transaction.message().and_then(|message| message.slot(listed.number));
        let SlotRecipient::Hidden { ephemeral, view_tag } =
            slot.ok_or_else(|| light.wrong_slot(listed, "there is no such slot"))?.recipient
        else {
            return Err(light.wrong_slot(listed, "it names its recipient").into());
        };
        let at = proven.place();
        if (ephemeral, view_tag, at) != (listed.slot.ephemeral, listed.slot.view_tag, listed.at) {
            return Err(light.wrong_slot(listed, "it stands elsewhere or has another key").into());
        }
        let transaction = proven.transaction.transaction();
        // Asked for in any case: which of the messages that are looked at are this wallet's must not be seen.
        let body = light.body(&proven).await;
        let Ok(Some((slot, bundle))) = slot_for(transaction, secrets) else { return Ok(()) };
        let mut found = Found { id: listed.id, at, slot, bundle, author: None, kind: FoundKind::Unread };
        match body {
            // Another node may still have it.
            Err(LightError::Node(error)) if error.code == "tx.body_pruned" => {}
            body => match self.open(&proven, &body?)? {
                Some((author, kind)) => (found.author, found.kind) = (author, kind),
                None => return Ok(()),
            },
        }
        self.report.progress.found = self.report.progress.found.saturating_add(1);
        self.state.found.push(found);
        Ok(())
    }
    /// Opens a message that is ours, and says who wrote it and what it is; nothing if it breaks the rules, which is
    /// reported.
    fn open(
        &mut self,
        proven: &Proven,
        body: &Body,
    ) -> Result<Option<(Option<Address>, FoundKind)>, WalletError> {
        let (address, secrets) = (self.wallet.address(), self.wallet.bundles());
        match open_sealed(proven.transaction.transaction(), body, &address, secrets) {
            Ok((content, opened)) => {
                let author = opened.author.as_ref().map(|author| author.author);
                Ok(Some((author, self.read(proven, &content, &opened)?)))
            }
            Err(error) => {
                self.report.refused_count = self.report.refused_count.saturating_add(1);
                if self.report.refused.len() < NAMED {
                    self.report.refused.push((proven.id(), error.to_string()));
                }
                Ok(None)
            }
        }
    }
    /// Takes note of the answers in a letter, as far as they hold.
    fn read(
        &mut self,
        proven: &Proven,
        content: &Content,
        opened: &Opened,
    ) -> Result<FoundKind, WalletError> {
        let Content::Letter(letter) = content else { return Ok(FoundKind::Part) };
        let Some(author) = &opened.author else { return Ok(FoundKind::Letter) };
        let mut holds = false;
        for receipt in &letter.answers {
            if self.wallet.answer_holds(receipt, &author.author)? {
                self.state.answered(HeldAnswer { reply: proven.id(), at: proven.place(), receipt: *receipt });
                holds = true;
            }
        }
        // One that only claims receipts is to be looked at.
        Ok(if holds && letter.is_only_receipts() { FoundKind::Receipts } else { FoundKind::Letter })
    }
}

impl Wallet {
    /// Whether an answer from that author is one to a sealed message of ours: the slot is theirs, and what it
    /// reveals matches the slot's commitment. Of a message whose entry in the outbox is damaged nobody can say so, and no
    /// scan waits for that to be mended.
    pub(crate) fn answer_holds(&self, receipt: &Receipt, author: &Address) -> Result<bool, WalletError> {
        let entry = self.outbox().get(&receipt.message).map_err(WalletError::from);
        let Some(entry) = unless_damaged(entry)? else { return Ok(false) };
        let Some(block) = unless_damaged(self.authorship(&entry))? else { return Ok(false) };
        let Some(transaction) = entry.transaction() else { return Ok(false) };
        let slot = transaction.message().and_then(|message| message.slot(receipt.slot));
        let theirs = block.recipients.get(usize::from(receipt.slot)) == Some(author);
        Ok(match (slot, receipt.answer) {
            (Some(slot), Answer::Opened { secret }) => {
                theirs && receipt_commit(&secret) == slot.receipt_commit
            }
            (Some(_), Answer::Refused { .. }) => theirs,
            (None, _) => false,
        })
    }
}

/// Which secrets a scan uses: those that are still there. For those who scan without a wallet.
pub fn view_keys(secrets: &[BundleSecret]) -> Vec<ViewKey> {
    secrets.iter().filter_map(ViewKey::new).collect()
}
