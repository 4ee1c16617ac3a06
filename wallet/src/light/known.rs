//! What the light client has verified, whoever said it: headers with who showed them, the validators from the
//! genesis on, the newest head. Two certified headers that contradict each other are noticed here.

use super::{Contradiction, HeadFile, LightError};
use sealpost_api::Hex;
use sealpost_api::verify::ValidatorHistory;
use sealpost_ledger::block::Header;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Headers kept in memory.
const MAX_HEADERS: usize = 4096;

/// A header with its certificate, and who showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The node that showed it.
    pub said_by: String,
    /// When, in milliseconds since 1970 UTC by the clock of whoever was told.
    pub said_ms: u64,
    /// Canonical bytes of the header.
    pub header: Hex,
    /// Canonical bytes of the certificate.
    pub certificate: Hex,
}

#[derive(Debug)]
pub(super) struct Known {
    genesis: Arc<Genesis>,
    headers: Mutex<BTreeMap<BlockHeight, (Header, Statement)>>,
    validators: Mutex<ValidatorHistory>,
    newest: Mutex<Option<Header>>,
    pub(super) head: HeadFile,
}

impl Known {
    /// Begins with the genesis and what was kept.
    pub(super) fn new(genesis: Arc<Genesis>, head: HeadFile) -> Result<Self, LightError> {
        let mut validators = ValidatorHistory::new(genesis.clone());
        validators.restore(head.known_sets()).map_err(|error| LightError::Head(error.to_string()))?;
        Ok(Self {
            genesis,
            headers: Mutex::default(),
            validators: Mutex::new(validators),
            newest: Mutex::default(),
            head,
        })
    }
    pub(super) const fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }
    pub(super) fn validators(&self) -> MutexGuard<'_, ValidatorHistory> {
        self.validators.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// A verified header.
    pub(super) fn header(&self, height: BlockHeight) -> Option<Header> {
        self.headers().get(&height).map(|(header, _)| header.clone())
    }
    /// A verified header as it was shown.
    pub(super) fn statement(&self, header: &Header) -> Option<Statement> {
        let headers = self.headers();
        headers.get(&header.height).filter(|(known, _)| known == header).map(|(_, shown)| shown.clone())
    }
    /// Takes in a verified header, unless another one of its height was verified before.
    pub(super) fn take_in(&self, header: &Header, shown: Statement) -> Result<(), Box<Contradiction>> {
        let mut headers = self.headers();
        let before = match headers.get(&header.height) {
            Some((known, _)) if known == header => return Ok(()),
            Some((_, before)) => Some(before.clone()),
            None => self.head.contradicts(header),
        };
        if let Some(before) = before {
            return Err(Box::new(Contradiction::new(&self.genesis, before, shown, None)));
        }
        // However long the ledger is: what is forgotten is asked for again.
        if headers.len() >= MAX_HEADERS {
            headers.clear();
        }
        headers.insert(header.height, (header.clone(), shown));
        Ok(())
    }
    /// The newest header that was verified since this program began.
    pub(super) fn newest(&self) -> Option<Header> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// The height of the newest header that was verified, now or before.
    pub(super) fn reached(&self) -> BlockHeight {
        let newest = self.newest().map_or(BlockHeight::GENESIS, |header| header.height);
        newest.max(self.head.height())
    }
    pub(super) fn set_newest(&self, header: &Header) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref().is_none_or(|known| known.height < header.height) {
            *newest = Some(header.clone());
        }
    }
    fn headers(&self) -> MutexGuard<'_, BTreeMap<BlockHeight, (Header, Statement)>> {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
