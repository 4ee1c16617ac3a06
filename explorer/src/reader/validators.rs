//! The validators in office, how the set changed, and who was caught saying two things at once.

use super::{ReadError, Reader};
use sealpost_api::verify::verify_equivocation;
use sealpost_api::{
    BlockId, EquivocationView, NamedValidator, SealpostRpcClient, Validators, ValidatorsChanged,
};
use sealpost_ledger::block::Header;
use sealpost_ledger::height::BlockHeight;

/// An equivocation with the validator's name in the genesis, and whether both signatures were checked.
pub(crate) struct Witnessed {
    pub(crate) view: EquivocationView,
    pub(crate) proven: bool,
}

/// A page of equivocations.
pub(crate) struct Equivocations {
    pub(crate) entries: Vec<Witnessed>,
    pub(crate) next: Option<u64>,
}

/// Changes of the set on one page.
const CHANGES: u32 = 25;

impl Reader {
    /// The validators that decide the next block, as the last verified header names them.
    pub(crate) async fn validators(&self) -> Result<Validators, ReadError> {
        let height = self.status().await?.height;
        let next = height.saturating_add(1);
        let told = self.ask(self.client.chain_validators(Some(next))).await?;
        let expected = match height {
            BlockHeight::GENESIS => self.genesis().await?.validators().hash(),
            height => self.certified(BlockId::Height(height)).await?.0.next_validators_hash,
        };
        match NamedValidator::set(&told.validators) {
            Ok(set) if set.hash() == expected && told.height == next => Ok(self.named(told).await?),
            _ => Err(ReadError::other(format_args!("the validators of block {}", told.height))),
        }
    }
    /// The same with the names of the genesis, whatever the node calls them.
    async fn named(&self, mut told: Validators) -> Result<Validators, ReadError> {
        let genesis = self.genesis().await?;
        for validator in &mut told.validators {
            validator.name = genesis.validator_name(&validator.public_key).map(Into::into);
        }
        Ok(told)
    }
    /// A page of equivocations, those of validators in office verified.
    pub(crate) async fn equivocations(
        &self,
        after: Option<u64>,
        in_office: &Validators,
    ) -> Result<Equivocations, ReadError> {
        let page = self.ask(self.client.chain_equivocations(after, None)).await?;
        let (genesis, set) = (self.genesis().await?, NamedValidator::set(&in_office.validators).ok());
        let next = page.next.filter(|_| page.more);
        let witnessed = move |mut view: EquivocationView| {
            // Neither signature covers a name, whatever the node says beside them.
            view.name = genesis.validator_name(&view.validator).map(Into::into);
            let known = set.as_ref().filter(|set| set.find(&view.validator).is_some());
            if let Some(set) = known {
                verify_equivocation(&view, &genesis, set)
                    .map_err(ReadError::untrusted(format_args!("equivocation {}", view.number)))?;
            }
            Ok(Witnessed { proven: known.is_some(), view })
        };
        let entries = move || page.entries.into_iter().map(witnessed).collect::<Result<_, ReadError>>();
        Ok(Equivocations { entries: self.check(entries).await??, next })
    }
    /// A page of changes of the set in blocks after a height, the oldest first, each with the header that
    /// announced it, and whether there may be more.
    pub(crate) async fn changes_of_validators(
        &self,
        after: BlockHeight,
    ) -> Result<(Vec<(Header, ValidatorsChanged)>, bool), ReadError> {
        let page = self.proven_changes(after, CHANGES).await?;
        let more = page.len() == CHANGES as usize;
        Ok((page, more))
    }
    /// Whether the validators of the genesis decide the block after the newest one still; by its header.
    pub(crate) async fn founders_decide(&self) -> Result<bool, ReadError> {
        let founders = self.genesis().await?.validators().hash();
        Ok(match self.last_block().await? {
            Some(last) => last.header.next_validators_hash == founders,
            None => true,
        })
    }
}
