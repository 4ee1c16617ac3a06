//! Headers and certificates, whole blocks, who took part in them, and their place in history.

use super::{Certified, ReadError, Reader};
use sealpost_api::verify::{VerifyError, WholeBlock, verify_history, verify_range};
use sealpost_api::{BlockId, SealedHeader, SealpostRpcClient, Signer};
use sealpost_ledger::block::Header;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::PublicKey;
use sealpost_ledger::transaction::SignedTransaction;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// A final block with every transaction in it, all of it checked.
pub(crate) struct Block {
    pub(crate) header: Header,
    pub(crate) commit: Commit,
    pub(crate) transactions: Vec<SignedTransaction>,
}

/// Who made a block final, from its verified certificate.
pub(crate) struct Commit {
    pub(crate) round: u32,
    pub(crate) signers: Vec<Signer>,
    pub(crate) signed_power: u64,
    pub(crate) total_power: u64,
}

/// That a block stands in the history under a later one, checked.
pub(crate) struct History {
    pub(crate) head: BlockHeight,
    pub(crate) head_time_ms: u64,
    pub(crate) head_hash: BlockHash,
    pub(crate) path: Vec<String>,
}

/// What a validator did in some blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Participation {
    /// Blocks that it could sign.
    pub(crate) blocks: u32,
    /// Those whose certificate, as this node keeps it, has its signature.
    pub(crate) signed: u32,
    /// Those that it put together.
    pub(crate) proposed: u32,
}

impl Commit {
    /// How many signed.
    pub(crate) fn signed(&self) -> usize {
        self.signers.iter().filter(|signer| signer.signed).count()
    }
}

impl Reader {
    /// A block's header and certificate, under the validators of its height, and the one that was asked for.
    pub(crate) async fn certified(&self, block: BlockId) -> Result<Certified, ReadError> {
        if let BlockId::Height(height) = block
            && let Some(kept) = self.kept_header(height)
        {
            return Ok(kept);
        }
        let told = self.ask(self.client.chain_header(block)).await?;
        let sealed = self.verify_sealed(&told).await?;
        let asked_for = match block {
            BlockId::Height(height) => sealed.0.height == height,
            BlockId::Hash(hash) => sealed.0.hash() == hash,
        };
        if asked_for { Ok(sealed) } else { Err(ReadError::other("the block")) }
    }
    pub(crate) async fn header_at(&self, height: BlockHeight) -> Result<Header, ReadError> {
        Ok(self.certified(BlockId::Height(height)).await?.0.clone())
    }
    /// Headers from a height on, each verified: at most `limit`, which the node bounds to
    /// [`MAX_HEADERS`](sealpost_api::MAX_HEADERS). Those that are kept are not asked for again.
    pub(crate) async fn headers(&self, from: BlockHeight, limit: u32) -> Result<Vec<Certified>, ReadError> {
        let wanted = (from.get()..).take(limit as usize).map(BlockHeight::new);
        let mut found: Vec<Certified> = wanted.map_while(|height| self.kept_header(height)).collect();
        // A node ends an answer before it is too long: what follows is asked for again.
        loop {
            let missing = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
            if missing == 0 {
                return Ok(found);
            }
            let next = from.saturating_add(found.len() as u64);
            let told = self.ask(self.client.chain_headers(next, missing)).await?;
            if told.is_empty() {
                return Ok(found);
            }
            for (expected, told) in (next.get()..).zip(told.into_iter().take(missing as usize)) {
                let sealed = self.verify_sealed(&told).await?;
                if sealed.0.height.get() != expected {
                    let expected = BlockHeight::new(expected);
                    return Err(ReadError::untrusted("headers")(VerifyError::MissingBlock { expected }));
                }
                found.push(sealed);
            }
        }
    }
    /// A block with all of its transactions.
    pub(crate) async fn block(&self, block: BlockId) -> Result<Block, ReadError> {
        let (sealed, whole) = self.certified_whole(block).await?;
        let (header, transactions) = whole.into_parts();
        Ok(Block { header, commit: self.commit(&sealed).await?, transactions })
    }
    /// Every transaction of a block.
    pub(crate) async fn complete_block(&self, block: BlockId) -> Result<WholeBlock, ReadError> {
        Ok(self.certified_whole(block).await?.1)
    }
    /// A block's own certificate, and all that is in it. What does not exist is told by the question for the header.
    async fn certified_whole(&self, block: BlockId) -> Result<(Certified, WholeBlock), ReadError> {
        let sealed = self.certified(block).await?;
        match self.read_whole(sealed.0.height, 1).await?.into_iter().next() {
            Some(whole) if *whole.header() == sealed.0 => Ok((sealed, whole)),
            _ => Err(ReadError::other(format_args!("block {}", sealed.0.height))),
        }
    }
    /// Blocks from a height on with every transaction in them, none left out: as many as one answer of the node holds,
    /// `limit` at most.
    pub(crate) async fn read_whole(
        &self,
        from: BlockHeight,
        limit: u32,
    ) -> Result<Vec<WholeBlock>, ReadError> {
        let page = self.ask(self.client.chain_transactions(from, Some(limit))).await?;
        let what = format!("the blocks from {from} on");
        self.check_signed(what, move |history| verify_range(&page, from, None, history)).await
    }
    /// Who made the block at a height final.
    pub(crate) async fn commit_at(&self, height: BlockHeight) -> Result<Commit, ReadError> {
        self.commit(&self.certified(BlockId::Height(height)).await?).await
    }
    /// Who made the block of a verified header final.
    pub(crate) async fn commit(&self, sealed: &Certified) -> Result<Commit, ReadError> {
        let genesis = self.genesis().await?;
        let history = self.history(&genesis);
        let (header, certificate) = &**sealed;
        let set = history.at(header.height);
        let signers = Signer::all(set, certificate, &genesis);
        let (round, signed_power) = (certificate.round, Signer::signed_power(&signers));
        Ok(Commit { round, signers, signed_power, total_power: set.total_power() })
    }
    /// What each validator did in some blocks, by its key.
    pub(crate) async fn participation(
        &self,
        blocks: &[Certified],
    ) -> Result<BTreeMap<PublicKey, Participation>, ReadError> {
        let genesis = self.genesis().await?;
        Ok(count_participation(blocks, &genesis, &self.history(&genesis)))
    }
    /// That a block stands in the history under the newest block; nothing if it is the newest itself.
    pub(crate) async fn history_proof(&self, header: &Header) -> Result<Option<History>, ReadError> {
        let floor = self.floor();
        let mut told = self.ask(self.client.proof_history(BlockId::Height(header.height), None)).await;
        if let Err(ReadError::Malformed(_)) = told {
            // The newest block stands in no history yet; but a newer one may have come between the questions.
            if self.status().await?.height <= header.height {
                return Ok(None);
            }
            told = self.ask(self.client.proof_history(BlockId::Height(header.height), None)).await;
        }
        let proof = told?;
        let what = format!("block {} in history", header.height);
        let head = self.present(floor, &proof.head, &what).await?;
        verify_history(&proof, &header.hash(), header.height, &head).map_err(ReadError::untrusted(what))?;
        Ok(Some(History {
            head: head.height,
            head_time_ms: head.time_ms,
            head_hash: head.hash(),
            path: proof.path.iter().map(ToString::to_string).collect(),
        }))
    }
    pub(super) async fn verify_header(&self, sealed: &SealedHeader) -> Result<Header, ReadError> {
        Ok(self.verify_sealed(sealed).await?.0.clone())
    }
    /// Header and certificate, under the validators of their height. What holds is kept, and is not checked again: of
    /// a header that is known the certificate that was checked before is as good as another.
    pub(crate) async fn verify_sealed(&self, sealed: &SealedHeader) -> Result<Certified, ReadError> {
        if let Some(kept) = self.kept_header(sealed.view.height)
            && kept.0.hash() == sealed.view.hash
            && Header::from_bytes(sealed.header.as_bytes()).is_ok_and(|told| told == kept.0)
        {
            return Ok(kept);
        }
        let (what, told) = (format!("block {}", sealed.view.height), sealed.clone());
        let verified = self.check_signed(what.clone(), move |history| history.verify_header(&told)).await?;
        // The decoded fields must be those of the bytes that were signed.
        if verified.0.hash() != sealed.view.hash || verified.0.height != sealed.view.height {
            return Err(ReadError::other(what));
        }
        let (height, kept) = (verified.0.height, Arc::new(verified));
        self.headers.lock().unwrap_or_else(PoisonError::into_inner).insert(height, kept.clone(), 1);
        Ok(kept)
    }
    fn kept_header(&self, height: BlockHeight) -> Option<Certified> {
        let kept = self.headers.lock().unwrap_or_else(PoisonError::into_inner).get(height);
        let found = usize::from(kept.is_some());
        self.counts.headers().add(found, 1_usize.saturating_sub(found));
        kept
    }
}

fn count_participation(
    blocks: &[Certified],
    genesis: &Genesis,
    history: &sealpost_api::verify::ValidatorHistory,
) -> BTreeMap<PublicKey, Participation> {
    let mut counted: BTreeMap<PublicKey, Participation> = BTreeMap::new();
    for sealed in blocks {
        let (header, certificate) = &**sealed;
        for signer in Signer::all(history.at(header.height), certificate, genesis) {
            let entry = counted.entry(signer.public_key).or_default();
            entry.blocks = entry.blocks.saturating_add(1);
            entry.signed = entry.signed.saturating_add(u32::from(signer.signed));
            entry.proposed = entry.proposed.saturating_add(u32::from(signer.public_key == header.proposer));
        }
    }
    counted
}
