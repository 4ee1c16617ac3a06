//! What was sent, and how it stands: final with an answer or the silence of each recipient, waiting for its
//! block, or void because no block may contain it any more and none is said to.

use super::{Timeline, Wallet, WalletError};
use crate::envelope::{Content, Letter};
use crate::light::{Light, LightError};
use crate::outbox::{OutboxEntry, OutboxError};
use sealpost_api::MailboxSide;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// What the outbox keeps of a message, encrypted, for the one who sent it.
pub(super) struct Note {
    /// Salt of the commitment to the content.
    pub(super) salt: [u8; 32],
    /// The content as it was sent.
    pub(super) content: Zeroizing<Vec<u8>>,
}

/// How something that was sent stands.
#[derive(Debug)]
pub enum SentStanding {
    /// It is final.
    Final(Box<Timeline>),
    /// It was signed here and is in no block yet.
    Waiting {
        /// The last height whose block may contain it.
        expiry: BlockHeight,
        /// Addresses it is for.
        to: Vec<String>,
        /// When it was signed, milliseconds since 1970 UTC.
        signed_ms: u64,
    },
    /// It was signed here, no block may contain it any more, and some nodes do not say whether one does.
    Uncertain {
        /// The last height whose block may have contained it.
        expiry: BlockHeight,
        /// Addresses it is for.
        to: Vec<String>,
        /// When it was signed, milliseconds since 1970 UTC.
        signed_ms: u64,
    },
    /// It was signed here, no block may contain it any more, and every node says that none does.
    Void {
        /// The last height whose block might have contained it.
        expiry: BlockHeight,
        /// Addresses it was for.
        to: Vec<String>,
        /// When it was signed, milliseconds since 1970 UTC.
        signed_ms: u64,
    },
}

impl Wallet {
    /// How a message stands. What is in no block is known to the wallet that signed it alone.
    pub async fn standing(&self, light: &Light, id: &TransactionId) -> Result<SentStanding, WalletError> {
        // Asked for before: a block that comes in between is no reason to call a message void.
        let next = light.next_height().await?;
        match self.timeline(light, id).await {
            Err(WalletError::Unknown { .. }) => {}
            timeline => return Ok(SentStanding::Final(Box::new(timeline?))),
        }
        // Of other things than messages there is no more to say than whether they are final.
        let entry = self.outbox.get(id)?.filter(|entry| entry.kind == "message");
        let entry = entry.ok_or(WalletError::Unknown { id: *id })?;
        if let Some(height) = entry.height {
            return Err(light.was_final(id, height).into());
        }
        let transaction = entry.transaction().ok_or(WalletError::Unknown { id: *id })?;
        let (expiry, to) = (transaction.transaction().expiry, self.sent_to(&entry)?);
        let signed_ms = entry.signed_ms;
        if expiry >= next {
            return Ok(SentStanding::Waiting { expiry, to, signed_ms });
        }
        // Whoever is told that it is void sends it again: one node's word is too little where several are named.
        match light.transaction_of_any(id).await {
            Ok(None) => Ok(SentStanding::Void { expiry, to, signed_ms }),
            Ok(Some(_)) => Ok(SentStanding::Final(Box::new(self.timeline(light, id).await?))),
            Err(error @ LightError::Contradiction { .. }) => Err(error.into()),
            Err(_) => Ok(SentStanding::Uncertain { expiry, to, signed_ms }),
        }
    }
    /// The messages that this wallet sent, the newest first, `limit` at most: what it signed here, and what
    /// the ledger has of this identity.
    pub async fn sent(&self, light: &Light, limit: usize) -> Result<Vec<TransactionId>, WalletError> {
        let entries = self.outbox.read_all()?.entries;
        let mut here: BTreeSet<_> = entries.iter().map(|entry| entry.id).collect();
        let letters = entries.iter().filter_map(|entry| self.own_letter(entry).ok().flatten());
        here.extend(letters.flat_map(|letter| letter.parts().copied().collect::<Vec<_>>()));
        let messages = entries.iter().filter(|entry| entry.kind == "message");
        let mut sent: Vec<_> = messages.map(|entry| (entry.signed_ms, entry.id)).collect();
        let (mut after, mut found) = (None, 0_usize);
        loop {
            let page = self.page(light, MailboxSide::Sent, after).await?;
            for message in page.entries.iter().filter(|entry| entry.transaction.message().is_some()) {
                found = found.saturating_add(1);
                if !here.contains(&message.id()) {
                    sent.push((message.header.time_ms, message.id()));
                }
            }
            if !page.more || found >= limit {
                break;
            }
            after = page.next;
        }
        sent.sort_unstable_by(|a, b| b.cmp(a));
        sent.truncate(limit);
        Ok(sent.into_iter().map(|(_, id)| id).collect())
    }
    /// The letter that an entry is, if it is one whose text is kept here.
    pub(super) fn own_letter(&self, entry: &OutboxEntry) -> Result<Option<Letter>, WalletError> {
        let Some(note) = self.note(entry)? else { return Ok(None) };
        Ok(match Content::from_bytes(&note.content) {
            Ok(Content::Letter(letter)) => Some(letter),
            _ => None,
        })
    }
    /// What of something that was sent is kept for its sender, if it is.
    pub(super) fn note(&self, entry: &OutboxEntry) -> Result<Option<Note>, WalletError> {
        let Some(note) = &entry.note else { return Ok(None) };
        let note = self.open_entry(entry, "note", entry.id.as_bytes(), note.as_bytes())?;
        let split = note.split_first_chunk();
        Ok(split.map(|(salt, content)| Note { salt: *salt, content: Zeroizing::new(content.to_vec()) }))
    }
    /// Forgets what the outbox keeps of a message's content, but for which messages it answers. Whether there was
    /// something to forget.
    pub(super) fn forget_sent(&self, id: &TransactionId) -> Result<bool, WalletError> {
        let Some(entry) = self.outbox.get(id)?.filter(|entry| entry.note.is_some()) else { return Ok(false) };
        let answers = self.answers_note(&entry)?;
        Ok(self.outbox.change(id, |entry| {
            (entry.text, entry.answers) = (None, answers);
            entry.note.take().is_some()
        })?)
    }
    /// Opens what is encrypted in an entry. What does not open is wrong with this entry alone: neither with the
    /// keystore nor with the others.
    pub(super) fn open_entry(
        &self,
        entry: &OutboxEntry,
        field: &'static str,
        place: &[u8],
        note: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OutboxError> {
        let opened = self.keystore.open_note(place, note);
        opened.map_err(|_| OutboxError::Altered { id: entry.id, field })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::light::Proven;
    use crate::testing::{Home, header};
    use sealpost_ledger::message::Mode;

    #[test]
    fn what_was_forgotten_stays_forgotten_when_the_block_of_an_older_copy_is_noted() {
        let home = Home::new();
        let (alice, bob) = (home.wallet("alice"), home.wallet("bob"));
        let letter = Letter { text: "Lift".into(), ..Letter::default() };
        let transaction = alice.put_letter(&bob, Mode::Open, letter).transaction;
        let id = transaction.id();
        let mut older = alice.outbox.get(&id).unwrap().unwrap();
        assert!(older.note.is_some() && alice.forget(&id).unwrap());
        let proven = Proven { transaction, header: header(5), index: 0, first_seen_ms: None };
        alice.note_final(&mut older, &proven).unwrap();
        let kept = alice.outbox.get(&id).unwrap().unwrap();
        assert_eq!((kept.note, kept.height, older.height), (None, older.height, Some(BlockHeight::new(5))));
        assert!(!alice.forget(&id).unwrap());
    }
}
