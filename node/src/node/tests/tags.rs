//! The hidden slots of sealed messages, asked of a whole node.

use super::*;
use sealpost_api::{SlotTag, TagQuery};
use sealpost_ledger::hash::{ContentCommit, KeyCommit, ReceiptCommit};
use sealpost_ledger::message::{Body, Message, Mode, Slot, SlotRecipient, Suite};
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};

/// A sealed message with so many slots, and its body of so many bytes. What is in it is a filler.
pub(super) fn sealed(genesis: &Genesis, seed: u8, slots: u8, length: u32) -> (SignedTransaction, Body) {
    let body = Body::new(vec![seed; length as usize]);
    let slots = (0..slots).map(|number| Slot {
        recipient: SlotRecipient::Hidden { ephemeral: [number; 33], view_tag: seed },
        ecies_share: [0x11; 129],
        ml_kem_share: None,
        wrapped_key: [0x22; 48],
        receipt_commit: ReceiptCommit::from_bytes([1; 32]),
    });
    let message = Message {
        suite: Suite::Ecies,
        mode: Mode::Sealed,
        slots: slots.collect(),
        key_commit: KeyCommit::from_bytes([2; 32]),
        content_commit: ContentCommit::from_bytes([3; 32]),
        body_hash: body.hash(),
        body_length: length,
    };
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain: genesis.chain_id(),
        sender: Address::new(key(seed).public_key()),
        expiry: BlockHeight::new(100),
        payload: Payload::Message(message),
        nonce: 0,
    };
    (transaction.sign(&key(seed), &[0; 32]).unwrap(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_slots_are_listed_in_pages_that_hold_whole_messages() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let mut expected = Vec::new();
    for (seed, slots) in [(50, 1), (51, 3), (52, 1)] {
        // Between them stands what has no hidden slots.
        let bundle = key_bundle(&genesis, &key(seed), 1, BlockHeight::new(100));
        node.submit(&bundle, WaitFor::Final).await.unwrap();
        let (transaction, body) = sealed(&genesis, seed, slots, 48);
        expected.extend((0..u16::from(slots)).map(|slot| (transaction.id(), slot)));
        let (bytes, body) = (Hex(transaction.to_bytes()), Hex(body.as_bytes().to_vec()));
        node.client.tx_submit(bytes, Some(body), Some(WaitFor::Final)).await.unwrap();
    }
    let ask = |from: u64, to: Option<u64>, after: Option<String>, limit: u32| {
        let (from, to) = (BlockHeight::new(from), to.map(BlockHeight::new));
        let query = TagQuery { from, to, after, limit: Some(limit) };
        async { node.client.mailbox_tags(query).await.unwrap() }
    };
    let (mut pages, mut all, mut after): (Vec<usize>, Vec<SlotTag>, _) = Default::default();
    loop {
        let page = ask(1, None, after, 2).await;
        pages.push(page.tags.len());
        all.extend(page.tags);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // The first page ends with the message that goes beyond its two slots.
    assert_eq!(pages, [4, 1]);
    assert_eq!(all.iter().map(|tag| (tag.id, tag.slot)).collect::<Vec<_>>(), expected);
    assert_eq!((all[2].ephemeral.clone(), all[2].view_tag), (Hex(vec![1; 33]), 51));

    // Ranges, and going on behind a place.
    let second = all[1].height.get();
    assert_eq!(ask(second, Some(second), None, 100).await.tags.len(), 3);
    assert_eq!(ask(1, Some(second - 1), None, 100).await.tags.len(), 1);
    assert_eq!(ask(1, None, Some(format!("{second}-{}", all[1].index)), 100).await.tags.len(), 1);
    assert_eq!(ask(all[4].height.get() + 1, None, None, 100).await.tags, []);
    node.stop().await;
}
