//! Addresses: their keys, lists, designations and membership.

use super::recent_state::Floor;
use super::{ReadError, Reader};
use sealpost_api::verify::{verify_bundle, verify_designation, verify_member};
use sealpost_api::{BundleHistory, DesignationView, MailboxPage, MailboxQuery, MailboxSide};
use sealpost_api::{Order, SealedHeader, SealpostRpcClient};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::{BundleRecord, MemberRecord};

/// What the state under a block says of something, proven; nothing if it says that there is nothing.
pub(crate) struct Standing<T> {
    pub(crate) header: Header,
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
        address: &Address,
        height: Option<BlockHeight>,
    ) -> Result<Standing<BundleRecord>, ReadError> {
        let (floor, text) = (self.floor(), self.written(address).await?);
        let what = format!("the keys of {text}");
        let answer = self.ask(self.client.directory_bundle(text, height)).await?;
        let header = self.asked_at(floor, height, &answer.at, &what).await?;
        let found = verify_bundle(&answer, address, &header).map_err(ReadError::untrusted(what))?;
        Ok(Standing { header, found })
    }
    /// Whether an address is a member at a height (now, if none is given).
    pub(crate) async fn membership(
        &self,
        address: &Address,
        height: Option<BlockHeight>,
    ) -> Result<Standing<MemberRecord>, ReadError> {
        let (floor, text) = (self.floor(), self.written(address).await?);
        let what = format!("the membership of {text}");
        let answer = self.ask(self.client.member_status(text, height)).await?;
        let header = self.asked_at(floor, height, &answer.at, &what).await?;
        let found = verify_member(&answer, address, &header).map_err(ReadError::untrusted(what))?;
        Ok(Standing { header, found })
    }
    /// Where an address receives notices of a class.
    pub(crate) async fn designation(
        &self,
        address: &Address,
        class: &str,
    ) -> Result<Standing<DesignationView>, ReadError> {
        let (floor, text) = (self.floor(), self.written(address).await?);
        let what = format!("the designation of {text}");
        let answer = self.ask(self.client.directory_designation(text, class.into(), None)).await?;
        let header = self.present(floor, &answer.at, &what).await?;
        let record =
            verify_designation(&answer, address, class, &header).map_err(ReadError::untrusted(what))?;
        let genesis = self.genesis().await?;
        let found = record.map(|record| DesignationView {
            to: record.to.to_text(genesis.prefix()),
            transaction: record.transaction,
            height: record.height,
        });
        Ok(Standing { header, found })
    }
    /// The header under which a state was asked for: that of the height, or one that is as new as it has to be.
    async fn asked_at(
        &self,
        floor: Floor,
        height: Option<BlockHeight>,
        told: &SealedHeader,
        what: &str,
    ) -> Result<Header, ReadError> {
        let Some(height) = height else { return self.present(floor, told, what).await };
        let header = self.verify_header(told).await?;
        if header.height == height { Ok(header) } else { Err(ReadError::other(what)) }
    }
    /// An address as it is written on this network.
    pub(super) async fn written(&self, address: &Address) -> Result<String, ReadError> {
        Ok(address.to_text(self.genesis().await?.prefix()))
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
