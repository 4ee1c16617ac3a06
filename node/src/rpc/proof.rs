//! Proofs: inclusion, absence, history, consistency.

use super::chain::seal;
use super::transaction::hex_path;
use super::{Failure, Reader};
use crate::store::StoreError;
use sealpost_api::{
    AbsenceProof, ApiError, BlockId, Category, ConsistencyProof, HistoryProof, InclusionProof,
};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle::{Node, history_consistency, history_path};
use sealpost_ledger::state::{StateKey, ViewError};

impl Reader {
    pub(super) fn inclusion(&self, id: &TransactionId) -> Result<InclusionProof, Failure> {
        let located = self.located(id)?;
        let (header, certificate) = self.raw_header(located.height)?;
        Ok(InclusionProof {
            at: seal(&header, &certificate),
            index: located.index,
            tree_size: header.transaction_count,
            path: hex_path(self.path(&located, &header)?),
        })
    }
    pub(super) fn absence(
        &self,
        id: &TransactionId,
        slot: u16,
        at: Option<BlockHeight>,
    ) -> Result<AbsenceProof, Failure> {
        let (located, message) = self.located_message(id)?;
        if message.slot(slot).is_none() {
            let text = format!("slot: {slot} asked for, the message has {}", message.slots.len());
            return Err(ApiError::new(Category::Input, "input.slot", text).into());
        }
        let at = self.proof_height(at)?;
        if at < located.height {
            let text = format!("at_height: the message became final later, at {}", located.height);
            return Err(ApiError::new(Category::Input, "input.at_height", text).into());
        }
        let (record, proof) = self.prove(&StateKey::Receipt(*id, slot), at)?;
        if record.is_some() {
            let text = format!("slot {slot} is answered at height {at}, so no absence can be proven");
            return Err(ApiError::new(Category::NotFound, "receipt.present", text)
                .help("ask for an earlier height, or for the receipt: tx_receipts")
                .into());
        }
        let (header, certificate) = self.raw_header(at)?;
        Ok(AbsenceProof { at: seal(&header, &certificate), proof: proof.to_bytes().into() })
    }
    pub(super) fn history(&self, block: BlockId, head: Option<BlockHeight>) -> Result<HistoryProof, Failure> {
        let height = self.height(block)?;
        let head = self.proof_height(head)?;
        if head <= height {
            let text = format!("head: block {head} has no later history with block {height} in it");
            return Err(ApiError::new(Category::Input, "input.head", text)
                .help("a block stands in the history of the blocks after it")
                .into());
        }
        let (index, size) = (height.get().saturating_sub(1), head.get().saturating_sub(1));
        let path = history_path(size, index, &|level, index| self.subtree(level, index))?;
        let (block, certificate) = self.raw_header(height)?;
        let block = seal(&block, &certificate);
        let (head, certificate) = self.raw_header(head)?;
        Ok(HistoryProof { block, head: seal(&head, &certificate), path: hex_path(path) })
    }
    pub(super) fn consistency(
        &self,
        from: BlockHeight,
        to: BlockHeight,
    ) -> Result<ConsistencyProof, Failure> {
        self.height(BlockId::Height(from))?;
        self.height(BlockId::Height(to))?;
        if from > to {
            let text = format!("from: {from} is later than to: {to}");
            return Err(ApiError::new(Category::Input, "input.from", text).into());
        }
        let (first, second) = (from.get().saturating_sub(1), to.get().saturating_sub(1));
        let path = history_consistency(first, second, &|level, index| self.subtree(level, index))?;
        Ok(ConsistencyProof { from, to, path: hex_path(path) })
    }
    fn subtree(&self, level: u8, index: u64) -> Result<Node, Failure> {
        let missing = || ViewError::new(format_args!("the history tree lacks subtree {level}/{index}"));
        Ok(self.store.subtree(level, index)?.ok_or_else(|| StoreError::View(missing()))?)
    }
}
