//! What a validator that keeps its key and breaks the rules can say: a second vote, a second block, a block that is
//! wrong. Everything is signed as it should be, or nobody would look at it.

use super::replica::{Message, Moment, Replica, encoded};
use crate::consensus::Disk;
use crate::consensus::codec::WireCodec;
use crate::consensus::context::{BlockValue, Contents, Sealpost};
use crate::consensus::engine::{Codec, NilOrVal, Round, SignedConsensusMsg, Signer};
use crate::consensus::proposals;
use bytes::Bytes;
use futures::FutureExt;
use sealpost_ledger::block::{Block, transaction_root};
use sealpost_ledger::chain;
use sealpost_ledger::hash::{BlockHash, HistoryRoot, StateRoot, ValidatorsHash};
use sealpost_ledger::height::BlockHeight;

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// Nothing: only that its proposer has made another one, too.
    Rival,
    /// It names another state than its transactions make.
    State,
    /// It names another history.
    History,
    /// It does not follow the last block.
    Parent,
    /// It is of a time far ahead.
    Future,
    /// It is older than its parent.
    Past,
    /// It names other validators for the height after.
    NextValidators,
    /// It names the time of one and the hash of another: its bytes are not those that were announced.
    OtherBytes,
    /// A transaction stands in it twice, or again.
    Repeated,
    /// It claims another height.
    Height,
    /// Its header says that another validator made it.
    AnothersName,
    /// The same, and its opening is for a later turn of its proposer, in which it would be proposed again.
    AnothersNameAgain,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Flaw::Rival,
        Flaw::State,
        Flaw::History,
        Flaw::Parent,
        Flaw::Future,
        Flaw::Past,
        Flaw::NextValidators,
        Flaw::OtherBytes,
        Flaw::Repeated,
        Flaw::Height,
        Flaw::AnothersName,
        Flaw::AnothersNameAgain,
    ];
}

impl<D: Disk> Replica<D> {
    /// A vote at the same place as one of this validator's own that says something else: for `other`, or for nothing
    /// if the vote is for that already.
    pub fn contradict(&self, message: &Message, other: Option<BlockHash>) -> Option<Message> {
        let SignedConsensusMsg::Vote(mut vote) = WireCodec.decode(message.bytes().clone()).ok()? else {
            return None;
        };
        let other = other.map_or(NilOrVal::Nil, NilOrVal::Val);
        vote.message.block = if vote.message.block == other { NilOrVal::Nil } else { other };
        let signed = self.host.signer.sign_vote(vote.message).now_or_never()?.ok()?;
        Some(Message::Consensus(encoded(&SignedConsensusMsg::<Sealpost>::Vote(signed)).ok()?))
    }
    /// The parts of an empty block for the next height in the name of the validator whose turn is first there, under this
    /// one's own opening for a turn that may never come; and the block. Whoever is named is not to take it for its own.
    pub fn propose_for_another(&mut self, at: Moment<'_>) -> Option<(BlockHash, Vec<Message>)> {
        let application = &mut self.host.application;
        let (height, own) = (application.next_height(), self.host.signer.public_key());
        let validators = application.params().validator_set;
        let proposer = |round| validators.proposer(height, Round::new(round)).map(|found| found.address().0);
        let named = proposer(0).filter(|named| *named != own)?;
        let turn = (1..=8).find(|round| proposer(*round) == Some(own))?;
        let tip = application.tip().clone();
        let empty = chain::propose(&tip, application.disk(), Vec::new(), at.clock_ms, named).ok()?.block;
        let parts = application.stream(height, Round::new(turn), Round::Nil, empty.block());
        let messages: Option<_> = parts.iter().map(|part| encoded(part).ok().map(Message::Part)).collect();
        Some((empty.block().hash(), messages?))
    }
    /// Another block in place of one that this validator proposes: its parts, and the proposal last. `told` are final
    /// transactions that may be told again.
    pub fn propose_otherwise(
        &mut self,
        message: &Message,
        flaw: Flaw,
        told: &Block,
        at: Moment<'_>,
    ) -> Option<Vec<Message>> {
        let SignedConsensusMsg::Proposal(mut proposal) = WireCodec.decode(message.bytes().clone()).ok()?
        else {
            return None;
        };
        let (height, round) = (proposal.message.height, proposal.message.round);
        let application = &mut self.host.application;
        if height != application.next_height() {
            return None;
        }
        let tip = application.tip().clone();
        let candidates = at.pool.candidates(1 << 20, 1 << 20);
        let key = self.host.signer.public_key();
        let clock_ms = at.clock_ms.saturating_add(1);
        let honest = chain::propose(&tip, application.disk(), candidates, clock_ms, key).ok()?;
        let block = honest.block.block();
        let (header, mut transactions, mut bodies) =
            (block.header().clone(), block.transactions().to_vec(), block.bodies().to_vec());
        let mut header = header;
        match flaw {
            Flaw::Rival | Flaw::OtherBytes => {}
            Flaw::State => header.state_root = StateRoot::from_bytes([7; 32]),
            Flaw::History => header.history_root = HistoryRoot::from_bytes([7; 32]),
            Flaw::Parent => header.parent = BlockHash::from_bytes([7; 32]),
            Flaw::Future => header.time_ms = header.time_ms.saturating_add(3_600_000),
            Flaw::Past => header.time_ms = tip.time_ms().saturating_sub(1),
            Flaw::NextValidators => header.next_validators_hash = ValidatorsHash::from_bytes([7; 32]),
            Flaw::AnothersName | Flaw::AnothersNameAgain => {
                let next = round.as_u32().map(|round| Round::new(round.saturating_add(1)))?;
                header.proposer = application.params().validator_set.proposer(height, next)?.address().0;
            }
            Flaw::Height => header.height = BlockHeight::new(header.height.get().saturating_add(1)),
            Flaw::Repeated => {
                // With its body, if it has one: nothing else is to be wrong.
                for (transaction, body) in told.with_bodies().take(1).chain(block.with_bodies().take(1)) {
                    transactions.push(transaction.clone());
                    bodies.extend(body.cloned());
                }
                let leaves: Vec<_> = transactions.iter().map(|transaction| transaction.leaf()).collect();
                header.transaction_count = u32::try_from(transactions.len()).ok()?;
                header.tx_root = transaction_root(&leaves);
            }
        }
        let flawed = Block::new(header, transactions, bodies);
        let mut parts = match flaw {
            Flaw::AnothersNameAgain => {
                // Whoever it names has a turn before that one.
                let (first, validators) = (round.as_u32()?, application.params().validator_set);
                let is_own = |turn: &u32| {
                    let proposer = validators.proposer(height, Round::new(*turn));
                    proposer.is_some_and(|proposer| proposer.address().0 == key)
                };
                let again = (first.saturating_add(2)..=first.saturating_add(10)).find(is_own)?;
                application.stream(height, Round::new(again), Round::new(again.checked_sub(1)?), &flawed)
            }
            _ => application.stream(height, round, Round::Nil, &flawed),
        };
        proposal.message.value = BlockValue(flawed.hash());
        proposal.message.valid_round = Round::Nil;
        if flaw == Flaw::OtherBytes {
            // The opening announces the flawed block, and the pieces of another one.
            let bytes = Bytes::from(told.to_bytes());
            let (signer, contents) = (&self.host.signer, Contents::of(&bytes));
            let opened = signer.sign_parts(height, round.as_u32()?, None, flawed.hash(), contents);
            parts = proposals::parts(opened.ok()?, &bytes);
        }
        let signed = self.host.signer.sign_proposal(proposal.message).now_or_never()?.ok()?;
        let mut messages = Vec::new();
        for part in &parts {
            messages.push(Message::Part(encoded(part).ok()?));
        }
        messages.push(Message::Consensus(encoded(&SignedConsensusMsg::<Sealpost>::Proposal(signed)).ok()?));
        Some(messages)
    }
}
