//! Messages that no node has to see, for the tests of this crate.
#![allow(clippy::unwrap_used)]

use super::{Draft, Prepared, Reading, Wallet};
use crate::envelope::{Content, Letter, Opened, Recipient, open_sealed};
use crate::light::Proven;
use crate::outbox::OutboxEntry;
use crate::testing::header;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Mode;
use sealpost_ledger::transaction::Payload;

impl Wallet {
    /// As others write to it.
    pub(crate) fn as_recipient(&self) -> Recipient {
        let bundle = self.bundles().last().unwrap().bundle(BlockHeight::new(100));
        Recipient { address: self.address, bundle }
    }
    /// Signs a letter and puts it into the outbox, as sending does before anything leaves.
    pub(crate) fn put_letter(&self, to: &Wallet, mode: Mode, letter: Letter) -> Prepared {
        let draft = Draft { to: vec![to.address], content: letter.into(), mode };
        let expiry = BlockHeight::new(50);
        let sealed = self.seal_letter(&draft, &[to.as_recipient()], expiry).unwrap();
        let payload = Payload::Message(sealed.message.clone());
        let transaction = self.unpaid(sealed.signer(&self.identity), payload, expiry);
        let (prepared, salt) = self.sign_letter(sealed, transaction, 0).unwrap();
        let (to, note) = self.outbox_parts(&prepared, &draft, salt).unwrap();
        let body = prepared.body.as_ref();
        let mut entry = OutboxEntry::new(&prepared.transaction, body, to, 1, Some(note));
        self.put_out(&prepared, &mut entry).unwrap();
        prepared
    }
    /// Opens a sealed letter that another wallet has put into its outbox.
    pub(crate) fn open_put(&self, letter: &Prepared) -> (Letter, Opened) {
        let (transaction, body) = (letter.transaction.transaction(), letter.body.as_ref().unwrap());
        let (content, opened) = open_sealed(transaction, body, &self.address, self.bundles()).unwrap();
        let Content::Letter(letter) = content else { unreachable!() };
        (letter, opened)
    }
    /// Keeps it, as if it stood in a block.
    pub(crate) fn keep_put(&self, put: &Prepared, height: u64) {
        let (letter, opened) = self.open_put(put);
        let (transaction, header) = (put.transaction.clone(), header(height));
        let message = Proven { transaction, header, index: 0, first_seen_ms: None };
        assert!(self.keep(&Reading { message, letter, opened }, None).unwrap());
    }
}
