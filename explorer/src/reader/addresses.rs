//! Addresses: their keys, lists, designations and membership.

use super::{ReadError, Reader};
use sealpost_api::verify::{verify_bundle, verify_designation, verify_member};
use sealpost_api::{BundleHistory, DesignationView, MailboxPage, MailboxQuery, MailboxSide, MemberView};
use sealpost_api::{Order, SealpostRpcClient};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::BundleRecord;

/// What the state under a block says of something, proven; nothing if it says that there is nothing.
pub(crate) struct Standing<T> {
    pub(crate) at: BlockHeight,
    pub(crate) found: Option<T>,
}

impl Reader {
    /// The key bundles of an address as the node lists them, the newest first.
    pub(crate) async fn bundles(
        &self,
        address: &str,
        before: Option<u64>,
    ) -> Result<BundleHistory, ReadError> {
        self.ask(self.client.directory_history(address.into(), before)).await
    }
    /// The newest key bundle of an address at a height (now, if none is given).
    pub(crate) async fn bundle_at(
        &self,
        address: &str,
        height: Option<BlockHeight>,
    ) -> Result<Standing<BundleRecord>, ReadError> {
        let parsed = self.address(address).await?;
        let (floor, what) = (self.floor(), format!("the keys of {address}"));
        let answer = self.ask(self.client.directory_bundle(address.into(), height)).await?;
        let header = match height {
            None => self.present(floor, &answer.at, &what).await?,
            Some(_) => self.verify_header(&answer.at).await?,
        };
        if height.is_some_and(|height| height != header.height) {
            return Err(ReadError::other(what));
        }
        let found = verify_bundle(&answer, &parsed, &header).map_err(ReadError::untrusted(what))?;
        Ok(Standing { at: header.height, found })
    }
    /// Where an address receives notices of a class.
    pub(crate) async fn designation(
        &self,
        address: &str,
        class: &str,
    ) -> Result<Standing<DesignationView>, ReadError> {
        let parsed = self.address(address).await?;
        let (floor, what) = (self.floor(), format!("the designation of {address}"));
        let answer = self.ask(self.client.directory_designation(address.into(), class.into(), None)).await?;
        let header = self.present(floor, &answer.at, &what).await?;
        let record =
            verify_designation(&answer, &parsed, class, &header).map_err(ReadError::untrusted(what))?;
        let genesis = self.genesis().await?;
        let found = record.map(|record| DesignationView {
            to: record.to.to_text(genesis.prefix()),
            transaction: record.transaction,
            height: record.height,
        });
        Ok(Standing { at: header.height, found })
    }
    /// Whether an address is a member.
    pub(crate) async fn membership(&self, address: &str) -> Result<Standing<MemberView>, ReadError> {
        let parsed = self.address(address).await?;
        let (floor, what) = (self.floor(), format!("the membership of {address}"));
        let answer = self.ask(self.client.member_status(address.into(), None)).await?;
        let header = self.present(floor, &answer.at, &what).await?;
        let record = verify_member(&answer, &parsed, &header).map_err(ReadError::untrusted(what))?;
        let found = record.map(|record| MemberView {
            status: record.status.name().into(),
            since: record.since,
            last_expiry: record.last_expiry,
        });
        Ok(Standing { at: header.height, found })
    }
    pub(crate) async fn list(
        &self,
        side: MailboxSide,
        address: &str,
        after: Option<String>,
    ) -> Result<MailboxPage, ReadError> {
        let query =
            MailboxQuery { address: address.into(), side, after, limit: None, order: Order::NewestFirst };
        self.ask(self.client.mailbox_list(query)).await
    }
}
