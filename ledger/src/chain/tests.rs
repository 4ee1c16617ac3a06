//! Claims about how a block follows a tip.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::hash::{ChainId, TransactionRoot, ValidatorsHash};
use crate::message::Body;
use crate::testing::{ALICE, BOB, Chain, VALIDATORS, certify, key, story, validators};
use crate::transaction::verify_all;
use proptest::prelude::*;

/// What a voter says to a block.
fn judge(chain: &Chain, block: Block) -> Result<VerifiedBlock, BlockError> {
    let now = chain.tip.time_ms() + 1000;
    match verify_block(&chain.tip, &chain.state, block, Some(now)) {
        Ok(verified) => Ok(verified),
        Err(VerifyError::Invalid(error)) => Err(error),
        Err(VerifyError::View(error)) => panic!("{error}"),
    }
}

/// A chain, and an honest next block with two messages and a key bundle.
fn next_block() -> (Chain, Block) {
    let mut chain = Chain::new();
    chain.add(vec![(chain.bundle(BOB), None)]);
    let (first, body) = chain.message(&[BOB]);
    let (second, second_body) = chain.message(&[BOB, ALICE]);
    let bundle = chain.bundle(ALICE);
    let candidates = [(first, Some(body)), (bundle, None), (second, Some(second_body))];
    let candidates = candidates.map(|(t, body)| t.verify(body, &chain.genesis).unwrap());
    let now = chain.tip.time_ms() + 1000;
    let proposer = key(VALIDATORS[1]).public_key();
    let proposal = propose(&chain.tip, &chain.state, candidates, now, proposer).unwrap();
    let block = proposal.block.block().as_ref().clone();
    (chain, block)
}

#[test]
fn voters_agree_with_the_proposer() {
    let (chain, block) = next_block();
    let now = chain.tip.time_ms() + 1000;
    let candidates = block.with_bodies().map(|(t, body)| (t.clone(), body.cloned())).collect();
    let candidates = verify_all(candidates, &chain.genesis).unwrap();
    let proposal = propose(&chain.tip, &chain.state, candidates, now, block.header().proposer).unwrap().block;
    let verified = judge(&chain, block).unwrap();
    assert_eq!(verified.block(), proposal.block());
    assert_eq!(verified.changes(), proposal.changes());
    assert_eq!(verified.update(), proposal.update());
    assert_eq!(verified.tip().to_record(), proposal.tip().to_record());
}

#[test]
fn a_block_reads_back_from_its_bytes() {
    let (_, block) = next_block();
    assert_eq!(Block::from_bytes(&block.to_bytes()), Ok(block));
}

#[test]
fn every_field_of_the_header_is_checked() {
    let (chain, block) = next_block();
    let refused = |change: fn(&mut Header)| {
        let mut header = block.header().clone();
        change(&mut header);
        let block = Block::new(header, block.transactions().to_vec(), block.bodies().to_vec());
        judge(&chain, block).unwrap_err()
    };
    let field = |error| match error {
        BlockError::Field { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(refused(|h| h.version = 2), BlockError::Version(2));
    assert_eq!(field(refused(|h| h.chain = ChainId::from_bytes([0; 32]))), "chain");
    assert_eq!(field(refused(|h| h.height = BlockHeight::new(3))), "height");
    assert_eq!(field(refused(|h| h.parent = BlockHash::from_bytes([0; 32]))), "parent");
    assert_eq!(field(refused(|h| h.transaction_count += 1)), "transaction_count");
    assert_eq!(field(refused(|h| h.tx_root = TransactionRoot::from_bytes([0; 32]))), "tx_root");
    assert_eq!(field(refused(|h| h.history_root = HistoryRoot::from_bytes([0; 32]))), "history_root");
    assert_eq!(field(refused(|h| h.state_root = StateRoot::from_bytes([0; 32]))), "state_root");
    assert_eq!(
        field(refused(|h| h.validators_hash = ValidatorsHash::from_bytes([0; 32]))),
        "validators_hash"
    );
    let next = refused(|h| h.next_validators_hash = ValidatorsHash::from_bytes([0; 32]));
    assert_eq!(field(next), "next_validators_hash");
    assert_eq!(field(refused(|h| h.postage_price += 1)), "postage_price");
    let stranger = refused(|h| h.proposer = key(ALICE).public_key());
    assert!(matches!(stranger, BlockError::Proposer(_)));
    assert!(matches!(refused(|h| h.time_ms -= 1001), BlockError::TimeBackwards { .. }));
    assert!(matches!(refused(|h| h.time_ms += 5001), BlockError::TimeAhead { .. }));
}

#[test]
fn a_clock_decides_nothing_about_a_final_block() {
    let (chain, block) = next_block();
    assert!(verify_block(&chain.tip, &chain.state, block.clone(), Some(0)).is_err());
    assert!(verify_block(&chain.tip, &chain.state, block, None).is_ok());
}

#[test]
fn bodies_are_all_there_in_order_and_unchanged() {
    let (chain, block) = next_block();
    let refused = |bodies: Vec<Body>| {
        judge(&chain, Block::new(block.header().clone(), block.transactions().to_vec(), bodies)).unwrap_err()
    };
    let bodies = block.bodies().to_vec();
    assert_eq!(refused(bodies[..1].to_vec()), BlockError::Bodies { messages: 2, bodies: 1 });
    let three = [bodies.clone(), bodies[..1].to_vec()].concat();
    assert_eq!(refused(three), BlockError::Bodies { messages: 2, bodies: 3 });
    let changed = refused(vec![bodies[0].clone(), Body::new(vec![0; 48])]);
    assert_eq!(changed, BlockError::Transaction { index: 2, source: TransactionError::OtherBody });
}

#[test]
fn transactions_do_not_move_repeat_or_vanish() {
    let (chain, block) = next_block();
    let transactions = block.transactions();
    let block_of = |header: &Header, order: &[usize]| {
        let chosen: Vec<_> = order.iter().map(|i| transactions[*i].clone()).collect();
        let bodies = order.iter().filter_map(|i| [Some(0), None, Some(1)][*i]);
        let bodies = bodies.map(|body: usize| block.bodies()[body].clone()).collect();
        Block::new(header.clone(), chosen, bodies)
    };
    for order in [&[1, 0, 2][..], &[0, 1], &[0, 1, 2, 1]] {
        let error = judge(&chain, block_of(block.header(), order)).unwrap_err();
        assert!(matches!(error, BlockError::Field { .. }), "{order:?}: {error}");
    }
    let repeated = [0, 1, 2, 0];
    let leaves: Vec<_> = repeated.iter().map(|i| transactions[*i].leaf()).collect();
    let header =
        Header { transaction_count: 4, tx_root: transaction_root(&leaves), ..block.header().clone() };
    let source = Refusal::Repeated { id: transactions[0].id() };
    let error = judge(&chain, block_of(&header, &repeated)).unwrap_err();
    assert_eq!(error, BlockError::Refused { index: 3, source });
}

#[test]
fn only_the_deciding_validators_make_a_block_final() {
    let (chain, block) = next_block();
    let verified = judge(&chain, block).unwrap();
    let header = verified.block().header().clone();
    let strangers = certify(&header, &[1, 2, 3], &validators(&[1, 2, 3]));
    assert!(verified.clone().commit(strangers).is_err());
    let good = certify(&header, &VALIDATORS[1..], chain.tip.validators());
    assert!(verified.commit(good).is_ok());
}

#[test]
fn a_tip_survives_being_stored() {
    let (chain, _) = story();
    let restored = Tip::restore(chain.genesis.clone(), chain.tip.to_record()).unwrap();
    assert_eq!(restored.to_record(), chain.tip.to_record());
    assert_eq!(restored.history().root(), chain.tip.history().root());
}

#[test]
fn every_block_is_in_the_history_of_the_last() {
    let (chain, _) = story();
    let leaves: Vec<_> = chain.blocks.iter().map(|block| history_leaf(&block.block().hash())).collect();
    for (earlier, block) in chain.blocks.iter().enumerate() {
        let header = block.block().header();
        assert_eq!(header.history_root.to_bytes(), crate::merkle::root(&leaves[..earlier]));
        assert_eq!(header.history_size(), earlier as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_block_with_a_changed_byte_is_malformed_or_refused(at in any::<prop::sample::Index>(), mask in 1_u8..) {
        let (chain, block) = next_block();
        let mut bytes = block.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        if let Ok(changed) = Block::from_bytes(&bytes) {
            // The proposer's clock and name are its own to choose, within bounds; they change the hash.
            match judge(&chain, changed) {
                Ok(verified) => prop_assert!(verified.block().hash() != block.hash()),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}
