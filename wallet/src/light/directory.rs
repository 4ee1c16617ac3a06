//! The key directory, proven: the newest bundle of an identity, under which head that is so, and the bundles
//! before it by the transactions that published them.

use super::node::Node;
use super::{Light, LightError, Proven};
use sealpost_api::{SealpostRpcClient, verify};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::state::BundleRecord;
use sealpost_ledger::transaction::Payload;

/// The newest key bundle of an identity, and the head it is proven under.
#[derive(Debug, Clone)]
pub struct BundleNow {
    /// The bundle; nothing if the identity has published none.
    pub record: Option<BundleRecord>,
    /// The head.
    pub at: Header,
}

impl Light {
    /// The newest key bundle of an identity, proven present or absent under a head not older than any
    /// verified before.
    pub async fn bundle(&self, address: &Address) -> Result<Option<BundleRecord>, LightError> {
        Ok(self.bundle_now(address).await?.and_then(|now| now.record))
    }
    /// The same with that head; nothing before the first block.
    pub async fn bundle_now(&self, address: &Address) -> Result<Option<BundleNow>, LightError> {
        self.through(|node| node.bundle_now(address)).await
    }
    /// The bundles of an identity by the transactions that published them, the newest first, `most` of
    /// them. Each is proven to stand on the ledger.
    pub async fn bundle_history(
        &self,
        address: &Address,
        most: usize,
    ) -> Result<Vec<(KeyBundle, Proven)>, LightError> {
        self.through(|node| node.bundle_history(address, most)).await
    }
}

impl Node {
    async fn bundle_now(&self, address: &Address) -> Result<Option<BundleNow>, LightError> {
        let text = address.to_text(self.genesis().prefix());
        let (what, floor) = (format!("the keys of {text}"), self.floor());
        let Some(answer) = self.ask_present(self.client.directory_bundle(text, None), floor).await? else {
            return Ok(None);
        };
        let at = self.recent_header(&answer.at, &what, floor).await?;
        let record =
            verify::verify_bundle(&answer, address, &at).map_err(|error| self.untrusted(what, error))?;
        Ok(Some(BundleNow { record, at }))
    }
    async fn bundle_history(
        &self,
        address: &Address,
        most: usize,
    ) -> Result<Vec<(KeyBundle, Proven)>, LightError> {
        let text = address.to_text(self.genesis().prefix());
        let (mut found, mut before) = (Vec::new(), None);
        while found.len() < most {
            let page = self.ask(self.client.directory_history(text.clone(), before)).await?;
            for view in page.bundles.iter().take(most.saturating_sub(found.len())) {
                let what = || format!("key bundle #{} of {text}", view.sequence);
                let id = view.transaction.ok_or_else(|| self.untrusted(what(), "it is not final"))?;
                let proven = match self.transaction(&id).await {
                    Err(error) if error.is_unknown() => {
                        return Err(self.untrusted(what(), "it is not on the ledger"));
                    }
                    proven => proven?,
                };
                let bundle = match &proven.transaction.transaction().payload {
                    Payload::KeyBundle(bundle) if proven.transaction.sender() == *address => bundle.clone(),
                    _ => return Err(self.untrusted(what(), format!("{id} did not publish it"))),
                };
                // Without a gap, as the ledger numbers them.
                let follows = |(last, _): &(KeyBundle, _)| last.sequence == bundle.sequence.saturating_add(1);
                if bundle.sequence != view.sequence || !found.last().is_none_or(follows) {
                    return Err(self.untrusted(what(), format!("{id} published #{}", bundle.sequence)));
                }
                found.push((bundle, proven));
            }
            match page.next {
                Some(next) if !page.bundles.is_empty() => before = Some(next),
                _ => break,
            }
        }
        Ok(found)
    }
}
