//! Claims about checking in two steps what is otherwise checked in one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::certificate::{CertificateError, CommitCertificate};
use crate::chain::{replay_block, verify_block};
use crate::genesis::GenesisFile;
use crate::hash::StateRoot;
use crate::message::Body;
use crate::signature::Signature;
use crate::state::MemoryState;
use crate::testing::{Chain, VALIDATORS, certify, genesis_file, story, validators};
use crate::transaction::SignedTransaction;

/// The tip and the state before a block of a chain.
fn before(chain: &Chain, index: usize) -> (Tip, MemoryState) {
    let (mut tip, founding) = Tip::genesis(chain.genesis.clone()).unwrap();
    let mut state = MemoryState::default();
    state.apply(&founding.update, &founding.changes);
    for block in &chain.blocks[..index] {
        if let Some(update) = block.verified().update() {
            state.apply(update, block.verified().changes());
        }
        state.add_transactions(block.block());
        tip = block.tip().clone();
    }
    (tip, state)
}

fn bare(block: &Block) -> Block {
    Block::new(block.header().clone(), block.transactions().to_vec(), Vec::new())
}

#[test]
fn two_steps_come_to_the_same_as_one() {
    let (chain, _) = story();
    for (index, block) in chain.blocks.iter().enumerate() {
        let (tip, state) = before(&chain, index);
        let id = chain.genesis.chain_id();
        let whole = block.block().as_ref().clone();
        let one = verify_block(&tip, &state, whole.clone(), None).unwrap();
        let one = one.commit(block.certificate().clone()).unwrap();
        let certificate = block.certificate().clone().verify_for(&id, tip.validators()).unwrap();
        let two = AuthenticBlock::verify(whole, &chain.genesis).unwrap().follow(&tip, &state, None).unwrap();
        let two = two.commit_verified(certificate.clone()).unwrap();
        let without = BareBlock::verify(bare(block.block()), &chain.genesis).unwrap();
        let without = without.replay(&tip, &state, certificate).unwrap();
        let replayed = replay_block(&tip, &state, bare(block.block()), block.certificate().clone()).unwrap();
        for other in [&two, &without, &replayed] {
            assert_eq!(other.tip().to_record(), one.tip().to_record());
            assert_eq!(other.certificate(), one.certificate());
        }
    }
}

#[test]
fn many_blocks_together_are_as_good_or_bad_as_each_by_itself() {
    let (chain, _) = story();
    let blocks: Vec<Block> = chain.blocks.iter().map(|block| block.block().as_ref().clone()).collect();
    let verdicts = |blocks: &[Block]| -> Vec<Option<BlockError>> {
        let many = AuthenticBlock::verify_many(blocks.to_vec(), &chain.genesis);
        let each = blocks.iter().map(|block| AuthenticBlock::verify(block.clone(), &chain.genesis));
        for (many, each) in many.iter().zip(each) {
            match (many, each) {
                (Ok(many), Ok(each)) => {
                    assert_eq!(many.block(), each.block());
                    assert_eq!(many.verified.len(), each.verified.len());
                    assert!(many.verified.iter().zip(&each.verified).all(|(a, b)| a.id() == b.id()));
                }
                (many, each) => assert_eq!(many.as_ref().err(), each.as_ref().err()),
            }
        }
        many.into_iter().map(Result::err).collect()
    };
    assert!(verdicts(&blocks).iter().all(Option::is_none));
    let full = blocks.iter().position(|block| !block.transactions().is_empty()).unwrap();
    // A signature of another transaction in one of them, and bodies missing in it.
    let mut forged = blocks.clone();
    let mut transactions = blocks[full].transactions().to_vec();
    transactions[0] =
        SignedTransaction::new(transactions[0].transaction().clone(), Signature::from_bytes([1; 64]));
    forged[full] = Block::new(blocks[full].header().clone(), transactions, blocks[full].bodies().to_vec());
    let named = verdicts(&forged);
    assert!(matches!(named[full], Some(BlockError::Transaction { index: 0, .. })));
    assert_eq!(named.iter().flatten().count(), 1);
    let whole = blocks.iter().position(|block| !block.bodies().is_empty()).unwrap();
    let mut without = blocks;
    without[whole] = bare(&without[whole]);
    assert!(matches!(verdicts(&without)[whole], Some(BlockError::Bodies { .. })));
}

#[test]
fn a_certificate_makes_only_the_block_final_that_it_was_verified_for() {
    let (chain, _) = story();
    let (first, second) = (&chain.blocks[0], &chain.blocks[1]);
    let (tip, state) = before(&chain, 0);
    let id = chain.genesis.chain_id();
    let verified = || verify_block(&tip, &state, first.block().as_ref().clone(), None).unwrap();
    let set = tip.validators();
    let of_second = second.certificate().clone().verify_for(&id, set).unwrap();
    let refused = verified().commit_verified(of_second).unwrap_err();
    assert!(matches!(refused, CertificateError::OtherBlock { .. }));
    // Signed by others, who are a set too, and verified under theirs.
    let (others, seeds) = (validators(&[41, 42, 43]), [41, 42, 43]);
    let theirs = certify(first.block().header(), &seeds, &others).verify_for(&id, &others).unwrap();
    let refused = verified().commit_verified(theirs).unwrap_err();
    assert!(matches!(refused, CertificateError::Elsewhere { .. }));
    // Too few, or a signature that is none: there is nothing to hand over.
    let few = certify(first.block().header(), &VALIDATORS[..2], set);
    assert!(matches!(few.clone().verify_for(&id, set), Err(CertificateError::TooFew { .. })));
    let mut broken = first.certificate().clone();
    broken.signatures[0].signature = broken.signatures[1].signature;
    assert!(matches!(broken.clone().verify_for(&id, set), Err(CertificateError::Signature { .. })));
    let elsewhere = crate::hash::ChainId::from_bytes([7; 32]);
    // Many at once are judged as each by itself.
    let good = [first.certificate().clone(), second.certificate().clone()];
    let all = CommitCertificate::verify_many_for(good.to_vec(), &id, set);
    assert!(all.len() == 2 && all.iter().all(Result::is_ok));
    let [a, b] = good;
    let judged = CommitCertificate::verify_many_for(vec![a, few.clone(), b, broken.clone()], &id, set);
    assert!(matches!(
        &judged[..],
        [Ok(_), Err(CertificateError::TooFew { .. }), Ok(_), Err(CertificateError::Signature { .. })]
    ));
    let foreign = first.certificate().clone().verify_for(&elsewhere, set);
    assert!(matches!(foreign, Err(CertificateError::Signature { .. })));
}

#[test]
fn neither_step_lets_through_what_the_other_is_for() {
    let (chain, _) = story();
    let block = chain.blocks[1].block().as_ref().clone();
    let (tip, state) = before(&chain, 1);
    // The first: a forged signature, a missing body, another body, bodies where nobody looks.
    let mut forged = block.transactions().to_vec();
    forged[0] = SignedTransaction::new(forged[0].transaction().clone(), Signature::from_bytes([1; 64]));
    let with = |transactions, bodies| Block::new(block.header().clone(), transactions, bodies);
    let bodies = block.bodies().to_vec();
    let mut other = bodies.clone();
    other[0] = Body::new(b"another".to_vec());
    for (transactions, bodies) in [
        (forged.clone(), bodies.clone()),
        (block.transactions().to_vec(), bodies[1..].to_vec()),
        (block.transactions().to_vec(), other),
    ] {
        AuthenticBlock::verify(with(transactions, bodies), &chain.genesis).unwrap_err();
    }
    BareBlock::verify(with(forged, Vec::new()), &chain.genesis).unwrap_err();
    BareBlock::verify(block.clone(), &chain.genesis).unwrap_err();
    // The second: a header that lies about the state, or hides a transaction, and a wrong place.
    let mut header = block.header().clone();
    header.state_root = StateRoot::from_bytes([3; 32]);
    let lying = Block::new(header, block.transactions().to_vec(), bodies.clone());
    let lying = AuthenticBlock::verify(lying, &chain.genesis).unwrap();
    let refused = lying.follow(&tip, &state, None).unwrap_err();
    assert!(matches!(refused, VerifyError::Invalid(BlockError::Field { field: "state_root", .. })));
    let hidden = AuthenticBlock::verify(with(Vec::new(), Vec::new()), &chain.genesis).unwrap();
    let refused = hidden.follow(&tip, &state, None).unwrap_err();
    assert!(matches!(refused, VerifyError::Invalid(BlockError::Field { .. })));
    let (early, founding) = before(&chain, 0);
    let authentic = AuthenticBlock::verify(block, &chain.genesis).unwrap();
    authentic.follow(&early, &founding, None).unwrap_err();
}

#[test]
fn a_block_checked_under_another_genesis_is_refused() {
    let (chain, _) = story();
    let other = Chain::with(GenesisFile { chain_name: "other".into(), ..genesis_file() });
    let block = chain.blocks[0].block();
    // Without transactions nothing in it is of a network but its header.
    let empty = Block::new(block.header().clone(), Vec::new(), Vec::new());
    let (tip, state) = before(&chain, 0);
    let authentic = AuthenticBlock::verify(empty, &other.genesis).unwrap();
    authentic.follow(&tip, &state, None).unwrap_err();
    AuthenticBlock::verify(block.as_ref().clone(), &other.genesis).unwrap_err();
}
