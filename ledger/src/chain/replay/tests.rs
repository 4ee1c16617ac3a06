//! Claims about running final blocks again without their bodies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::block::Header;
use crate::chain::verify_block;
use crate::hash::StateRoot;
use crate::state::MemoryState;
use crate::testing::{VALIDATORS, certify, story};

/// A block without its bodies, under another header if need be.
fn bare(block: &Block, change: impl FnOnce(&mut Header)) -> Block {
    let mut header = block.header().clone();
    change(&mut header);
    Block::new(header, block.transactions().to_vec(), Vec::new())
}

#[test]
fn a_chain_without_bodies_comes_to_the_same_tips() {
    let (chain, _) = story();
    let (mut tip, founding) = Tip::genesis(chain.genesis.clone()).unwrap();
    let mut state = MemoryState::default();
    state.apply(&founding.update, &founding.changes);
    for block in &chain.blocks {
        let bare = bare(block.block(), |_| {});
        let replayed = replay_block(&tip, &state, bare, block.certificate().clone()).unwrap();
        assert_eq!(replayed.tip().to_record(), block.tip().to_record());
        assert_eq!(replayed.verified().update(), block.verified().update());
        if let Some(update) = replayed.verified().update() {
            state.apply(update, replayed.verified().changes());
        }
        state.add_transactions(replayed.block());
        tip = replayed.tip().clone();
    }
}

#[test]
fn a_message_is_charged_for_its_body_whether_it_is_there_or_not() {
    let (chain, _) = story();
    for block in &chain.blocks {
        let bare = verify_headers(block.block().transactions().to_vec(), &chain.genesis).unwrap();
        for (bare, (transaction, body)) in bare.iter().zip(block.block().with_bodies()) {
            let whole = transaction.clone().verify(body.cloned(), &chain.genesis).unwrap();
            assert_eq!(bare.bytes(), whole.bytes());
        }
    }
}

#[test]
fn without_bodies_everything_else_is_still_checked() {
    let (chain, _) = story();
    let (tip, founding) = Tip::genesis(chain.genesis.clone()).unwrap();
    let mut state = MemoryState::default();
    state.apply(&founding.update, &founding.changes);
    let first = &chain.blocks[0];
    let certificate = first.certificate().clone();
    // Its bodies are not looked at, so it must have none; a new block needs them.
    let with = &chain.blocks[1];
    let after = first.tip();
    let mut later = state.clone();
    later.apply(first.verified().update().unwrap(), first.verified().changes());
    later.add_transactions(first.block());
    let whole = with.block().as_ref().clone();
    let refused = replay_block(after, &later, whole, with.certificate().clone()).unwrap_err();
    assert!(matches!(refused, ReplayError::Verify(VerifyError::Invalid(BlockError::Bodies { .. }))));
    let new = verify_block(after, &later, bare(with.block(), |_| {}), None).unwrap_err();
    assert!(matches!(new, VerifyError::Invalid(BlockError::Bodies { messages: 3, bodies: 0 })));
    // A header that nobody signed, a state that is another one, too few signers.
    let other = bare(first.block(), |header| header.time_ms += 1);
    let unsigned = replay_block(&tip, &state, other, certificate.clone()).unwrap_err();
    assert!(matches!(unsigned, ReplayError::Certificate(CertificateError::OtherBlock { .. })));
    let other = bare(first.block(), |header| header.state_root = StateRoot::from_bytes([1; 32]));
    let signed = certify(other.header(), &VALIDATORS[..3], tip.validators());
    let wrong_state = replay_block(&tip, &state, other, signed).unwrap_err();
    assert!(matches!(wrong_state, ReplayError::Verify(VerifyError::Invalid(BlockError::Field { .. }))));
    let few = certify(first.block().header(), &VALIDATORS[..2], tip.validators());
    let few = replay_block(&tip, &state, bare(first.block(), |_| {}), few).unwrap_err();
    assert!(matches!(few, ReplayError::Certificate(CertificateError::TooFew { .. })));
}
