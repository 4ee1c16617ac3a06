//! The part of a block's checks that needs no state: structure, bodies and signatures of its transactions.
//! Whoever catches up makes it for many blocks at once, on all cores, before they are run one after another.
//! The types carry what was checked: [`AuthenticBlock`] has its bodies, [`BareBlock`] has none, and only a
//! verified certificate makes that one final.

use super::{
    BlockError, CommittedBlock, ReplayError, Tip, VerifiedBlock, VerifyError, check_header, execute, expect,
};
use crate::block::Block;
use crate::certificate::VerifiedCertificate;
use crate::genesis::Genesis;
use crate::hash::ChainId;
use crate::state::LedgerView;
use crate::transaction::{Known, VerifiedTransaction, verify_all_knowing, verify_headers};

/// A block whose transactions are well-formed and signed, each message with its body. Nothing is known of
/// its header, nor whether its transactions may stand in it.
#[derive(Debug, Clone)]
pub struct AuthenticBlock {
    block: Block,
    verified: Vec<VerifiedTransaction>,
    chain: ChainId,
}

impl AuthenticBlock {
    /// Checks the transactions of a block, their signatures in batches over all cores.
    pub fn verify(block: Block, genesis: &Genesis) -> Result<Self, BlockError> {
        Self::verify_knowing(block, genesis, &Known::new())
    }
    /// As [`verify`](Self::verify), but for the transactions that were verified before: those that are the same to
    /// the last byte, body included, are taken as they are.
    pub fn verify_knowing(block: Block, genesis: &Genesis, known: &Known) -> Result<Self, BlockError> {
        if !block.is_whole() {
            return Err(wrong_bodies(&block));
        }
        let candidates = block.with_bodies().map(|(t, body)| (t.clone(), body.cloned())).collect();
        let verified = verify_all_knowing(candidates, genesis, known)
            .map_err(|(index, source)| BlockError::Transaction { index, source })?;
        Ok(Self { block, verified, chain: genesis.chain_id() })
    }
    /// As [`verify`](Self::verify), for many blocks: the signatures of all are checked together, where each costs less.
    pub fn verify_many(blocks: Vec<Block>, genesis: &Genesis) -> Vec<Result<Self, BlockError>> {
        Self::verify_many_knowing(blocks, genesis, &Known::new())
    }
    /// As [`verify_many`](Self::verify_many), but for the transactions that were verified before.
    pub fn verify_many_knowing(
        blocks: Vec<Block>,
        genesis: &Genesis,
        known: &Known,
    ) -> Vec<Result<Self, BlockError>> {
        use rayon::prelude::*;
        let candidates = blocks.iter().flat_map(Block::with_bodies);
        let candidates = candidates.map(|(t, body)| (t.clone(), body.cloned())).collect();
        if blocks.iter().all(Block::is_whole)
            && let Ok(verified) = verify_all_knowing(candidates, genesis, known)
        {
            let mut verified = verified.into_iter();
            let mut authentic = |block: Block| {
                let verified = verified.by_ref().take(block.transactions().len()).collect();
                Ok(Self { block, verified, chain: genesis.chain_id() })
            };
            return blocks.into_iter().map(&mut authentic).collect();
        }
        // Something is wrong with one of them: each by itself shows which.
        blocks.into_par_iter().map(|block| Self::verify_knowing(block, genesis, known)).collect()
    }
    /// The block.
    pub const fn block(&self) -> &Block {
        &self.block
    }
    /// Checks everything else: what [`verify_block`](super::verify_block) checks besides.
    pub fn follow<V: LedgerView>(
        self,
        tip: &Tip,
        view: &V,
        now_ms: Option<u64>,
    ) -> Result<VerifiedBlock, VerifyError> {
        check_header(tip, &self.block, now_ms)?;
        self.run(tip, view)
    }
    /// The rest, for a block whose header follows the tip.
    pub(super) fn run<V: LedgerView>(self, tip: &Tip, view: &V) -> Result<VerifiedBlock, VerifyError> {
        // Its transactions were checked under the limits of a genesis: that of this tip.
        expect("chain", self.chain, tip.genesis.chain_id())?;
        execute(tip, view, self.block, &self.verified)
    }
}

/// A final block without the bodies of its messages, whose transactions are well-formed and signed.
#[derive(Debug, Clone)]
pub struct BareBlock {
    block: Block,
    verified: Vec<VerifiedTransaction>,
    chain: ChainId,
}

impl BareBlock {
    /// Checks the transactions of a block. One that has bodies is refused: here nobody would look at them.
    pub fn verify(block: Block, genesis: &Genesis) -> Result<Self, BlockError> {
        if !block.bodies().is_empty() {
            return Err(wrong_bodies(&block));
        }
        let verified = verify_headers(block.transactions().to_vec(), genesis)
            .map_err(|(index, source)| BlockError::Transaction { index, source })?;
        Ok(Self { block, verified, chain: genesis.chain_id() })
    }
    /// The block.
    pub const fn block(&self) -> &Block {
        &self.block
    }
    /// Checks everything else: what [`replay_block`](super::replay_block) checks besides. The certificate is
    /// asked for because it alone says that the bodies were there.
    pub fn replay<V: LedgerView>(
        self,
        tip: &Tip,
        view: &V,
        certificate: VerifiedCertificate,
    ) -> Result<CommittedBlock, ReplayError> {
        check_header(tip, &self.block, None).map_err(VerifyError::from)?;
        Ok(self.run(tip, view)?.commit_verified(certificate)?)
    }
    /// Runs a block whose header follows the tip. What comes of it lacks its bodies until a certificate
    /// vouches for them.
    pub(super) fn run<V: LedgerView>(self, tip: &Tip, view: &V) -> Result<VerifiedBlock, VerifyError> {
        expect("chain", self.chain, tip.genesis.chain_id())?;
        execute(tip, view, self.block, &self.verified)
    }
}

fn wrong_bodies(block: &Block) -> BlockError {
    BlockError::Bodies { messages: block.message_count(), bodies: block.bodies().len() }
}

#[cfg(test)]
mod tests;
