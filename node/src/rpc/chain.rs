//! Blocks, headers, certificates, validators.

use super::page::Page;
use super::{Failure, Reader};
use sealpost_api::{
    ApiError, BlockId, BlockPage, Category, CertificateView, DEFAULT_PAGE, HeaderView, MAX_HEADERS, MAX_PAGE,
    NamedValidator, Scheduled, SealedHeader, Signer, TransactionSummary, Validators, ValidatorsChanged,
};
use sealpost_ledger::block::Header;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::codec::encode;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::SignedTransaction;
use sealpost_ledger::validator::Validator;

fn missing() -> ApiError {
    ApiError::new(Category::Internal, "internal.store", "a final block is missing here")
}

pub(super) fn seal(header: &Header, certificate: &CommitCertificate) -> SealedHeader {
    SealedHeader {
        header: encode(header).into(),
        certificate: encode(certificate).into(),
        view: HeaderView {
            hash: header.hash(),
            version: header.version,
            chain: header.chain,
            height: header.height,
            time_ms: header.time_ms,
            parent: header.parent,
            transaction_count: header.transaction_count,
            tx_root: header.tx_root,
            history_root: header.history_root,
            state_root: header.state_root,
            validators_hash: header.validators_hash,
            next_validators_hash: header.next_validators_hash,
            postage_price: header.postage_price,
            proposer: header.proposer,
        },
    }
}

/// The number of entries asked for, within what a page may hold.
pub(super) fn page_size(limit: Option<u32>, most: u32) -> Result<u32, ApiError> {
    match limit {
        None => Ok(DEFAULT_PAGE.min(most)),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => {
            let message = format!("limit: {limit} asked for, 1 to {most} are allowed");
            Err(ApiError::new(Category::Input, "input.limit", message))
        }
    }
}

impl Reader {
    /// The height of a final block.
    pub(super) fn height(&self, block: BlockId) -> Result<BlockHeight, Failure> {
        let unknown = |what: String| {
            let tip = self.store.tip().height();
            let message = format!("block: {what} is not final on this node, whose last block is {tip}");
            ApiError::new(Category::NotFound, "block.unknown", message)
        };
        match block {
            BlockId::Height(height) if height == BlockHeight::GENESIS => {
                let help = "blocks begin at height 1; height 0 stands for the genesis: ask chain_genesis";
                Err(unknown("height 0".into()).help(help).into())
            }
            BlockId::Height(height) if height <= self.store.tip().height() => Ok(height),
            BlockId::Height(height) => Err(unknown(format!("height {height}")).into()),
            BlockId::Hash(hash) => {
                let found = self.store.height_of(&hash)?;
                found.ok_or_else(|| unknown(hash.to_string()).into())
            }
        }
    }
    /// Header and certificate of a height known to be final.
    pub(super) fn raw_header(&self, height: BlockHeight) -> Result<(Header, CommitCertificate), Failure> {
        Ok(self.store.header(height)?.ok_or_else(missing)?)
    }
    pub(super) fn bare_block(
        &self,
        height: BlockHeight,
    ) -> Result<(Header, Vec<SignedTransaction>, CommitCertificate), Failure> {
        Ok(self.store.bare_block(height)?.ok_or_else(missing)?)
    }
    pub(super) fn header(&self, block: BlockId) -> Result<SealedHeader, Failure> {
        let (header, certificate) = self.raw_header(self.height(block)?)?;
        Ok(seal(&header, &certificate))
    }
    pub(super) fn head(&self) -> Result<Option<SealedHeader>, Failure> {
        match self.store.tip().height() {
            BlockHeight::GENESIS => Ok(None),
            height => self.header(BlockId::Height(height)).map(Some),
        }
    }
    pub(super) fn headers(&self, from: BlockHeight, limit: u32) -> Result<Vec<SealedHeader>, Failure> {
        let limit = page_size(Some(limit), MAX_HEADERS)?;
        let last = self.store.tip().height();
        let first = from.max(BlockHeight::FIRST).get();
        let (mut heights, mut page) = (first..=last.get(), Page::new(limit as usize));
        while !page.is_full()
            && let Some(height) = heights.next()
        {
            page.push(self.header(BlockId::Height(BlockHeight::new(height)))?);
        }
        Ok(page.entries)
    }
    pub(super) fn block(
        &self,
        block: BlockId,
        from: Option<u32>,
        limit: Option<u32>,
    ) -> Result<BlockPage, Failure> {
        let limit = page_size(limit, MAX_PAGE)?;
        let height = self.height(block)?;
        let (header, certificate) = self.raw_header(height)?;
        let from = from.unwrap_or(0);
        let all = self.store.transactions(height)?.unwrap_or_default();
        let page = (0_u32..).zip(&all).skip(from as usize).take(limit as usize);
        let transactions = page.map(|(index, transaction)| self.summary(index, transaction)).collect();
        let end = from.saturating_add(limit);
        let next = (end < header.transaction_count).then_some(end);
        Ok(BlockPage { sealed: seal(&header, &certificate), transactions, next })
    }
    fn summary(&self, index: u32, transaction: &SignedTransaction) -> TransactionSummary {
        let body = transaction.message().map_or(0, |message| u64::from(message.body_length));
        TransactionSummary {
            id: transaction.id(),
            index,
            kind: transaction.payload().kind().into(),
            sender: self.text(&transaction.sender()),
            bytes: (transaction.as_bytes().len() as u64).saturating_add(body),
        }
    }
    pub(super) fn certificate(&self, block: BlockId) -> Result<CertificateView, Failure> {
        let height = self.height(block)?;
        let (_, certificate) = self.raw_header(height)?;
        let set = self.store.validators(height)?;
        let validators = Signer::all(&set, &certificate, &self.genesis);
        Ok(CertificateView {
            certificate: encode(&certificate).into(),
            height: certificate.height,
            block: certificate.block,
            round: certificate.round,
            total_power: set.total_power(),
            signed_power: Signer::signed_power(&validators),
            validators,
        })
    }
    pub(super) fn validators(&self, height: Option<BlockHeight>) -> Result<Validators, Failure> {
        let tip = self.store.tip();
        let height = match height {
            None => tip.next_height(),
            Some(height) if height == tip.next_height() => height,
            Some(height) => self.height(BlockId::Height(height))?,
        };
        let set = self.store.validators(height)?;
        let scheduled = tip.scheduled().filter(|_| height == tip.next_height()).map(|scheduled| Scheduled {
            effective: scheduled.effective,
            hash: scheduled.validators.hash(),
            validators: self.named(scheduled.validators.validators()),
        });
        Ok(Validators { height, hash: set.hash(), validators: self.named(set.validators()), scheduled })
    }
    pub(super) fn validator_changes(
        &self,
        after: BlockHeight,
        limit: Option<u32>,
    ) -> Result<Vec<ValidatorsChanged>, Failure> {
        let limit = page_size(limit, MAX_PAGE)? as usize;
        let changes = self.store.validator_changes(after, limit)?.into_iter().map(|(height, set)| {
            let at = self.header(BlockId::Height(height))?;
            Ok(ValidatorsChanged { at, validators: self.named(set.validators()) })
        });
        changes.collect()
    }
    /// Validators, with the names that the genesis gives them.
    pub(super) fn named(&self, validators: &[Validator]) -> Vec<NamedValidator> {
        let named = validators.iter().map(|validator| NamedValidator {
            name: self.genesis.validator_name(&validator.key).map(Into::into),
            public_key: validator.key,
            power: validator.power,
        });
        named.collect()
    }
}
