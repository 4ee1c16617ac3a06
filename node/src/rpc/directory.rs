//! The key directory, designations and members.

use super::chain::seal;
use super::transaction::bundle_record_view;
use super::{Failure, Reader};
use crate::store::{FoundState, StoreError};
use sealpost_api::{
    ApiError, BlockId, BundleAnswer, BundleHistory, Category, DEFAULT_PAGE, DesignationAnswer,
    DesignationView, Hex, MemberAnswer, MemberView, SealedHeader,
};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::membership::{MAX_CLASS_BYTES, is_class};
use sealpost_ledger::state::{LedgerView, StateKey, StateProof, StateRecord};

/// A state entry, if there is one, and the proof of that.
pub(super) type ProvenEntry = (Option<StateRecord>, StateProof);

/// A state entry under a header: decoded, and in the bytes that are proven.
struct Entry {
    at: SealedHeader,
    found: Option<StateRecord>,
    record: Option<Hex>,
    proof: Hex,
}

impl Reader {
    /// The height a proof is asked for: the newest, if none is given.
    pub(super) fn proof_height(&self, at: Option<BlockHeight>) -> Result<BlockHeight, Failure> {
        let at = at.unwrap_or_else(|| self.store.tip().height());
        if at == BlockHeight::GENESIS {
            let message = "there is no final block yet, so nothing can be proven";
            return Err(ApiError::new(Category::NotFound, "block.none", message)
                .help("ask again after the first block")
                .into());
        }
        self.height(BlockId::Height(at))
    }
    /// A state entry after a height, and its proof.
    pub(super) fn prove(&self, key: &StateKey, at: BlockHeight) -> Result<ProvenEntry, Failure> {
        match self.prove_if_kept(key, at)? {
            Some(proven) => Ok(proven),
            None => Err(self.state_dropped(at)?.into()),
        }
    }
    /// The same; nothing if this node has dropped the state of then.
    pub(super) fn prove_if_kept(
        &self,
        key: &StateKey,
        at: BlockHeight,
    ) -> Result<Option<ProvenEntry>, Failure> {
        match self.store.prove(key, at)? {
            FoundState::Proven(proven) => Ok(Some(*proven)),
            FoundState::Dropped => Ok(None),
            FoundState::Unknown => {
                Err(ApiError::new(Category::Internal, "internal.store", "a final state is missing here")
                    .into())
            }
        }
    }
    fn state_dropped(&self, at: BlockHeight) -> Result<ApiError, Failure> {
        let oldest = self.store.oldest_state_height()?;
        let text = format!("this node proves states from height {oldest} on, not that of {at} any more");
        Ok(ApiError::new(Category::NotFound, "block.state_dropped", text).help(
            "leave the height out for the newest, whose entries say at which height they came to be, or ask an archive",
        ))
    }
    /// A state entry, as every answer about one gives it.
    fn entry(&self, key: &StateKey, at: Option<BlockHeight>) -> Result<Entry, Failure> {
        let at = self.proof_height(at)?;
        let (found, proof) = self.prove(key, at)?;
        let (header, certificate) = self.raw_header(at)?;
        let record = found.as_ref().map(|record| record.to_bytes().into());
        Ok(Entry { at: seal(&header, &certificate), found, record, proof: proof.to_bytes().into() })
    }
    pub(super) fn bundle(&self, address: &str, at: Option<BlockHeight>) -> Result<BundleAnswer, Failure> {
        let address = self.address(address)?;
        let Entry { at, found, record, proof } = self.entry(&StateKey::Directory(address), at)?;
        let view = match &found {
            Some(StateRecord::Bundle(record)) => Some(bundle_record_view(record)),
            _ => None,
        };
        Ok(BundleAnswer { at, record, proof, view })
    }
    pub(super) fn designation(
        &self,
        address: &str,
        class: String,
        at: Option<BlockHeight>,
    ) -> Result<DesignationAnswer, Failure> {
        let address = self.address(address)?;
        if !is_class(&class) {
            let shown: String = class.chars().take(MAX_CLASS_BYTES).collect();
            let text =
                format!("class: {shown:?}; 1 to {MAX_CLASS_BYTES} of a-z, 0-9, dot and hyphen are one");
            return Err(ApiError::new(Category::Input, "input.class", text).into());
        }
        let Entry { at, found, record, proof } = self.entry(&StateKey::Designation(address, class), at)?;
        let view = match &found {
            Some(StateRecord::Designation(record)) => Some(DesignationView {
                to: self.text(&record.to),
                transaction: record.transaction,
                height: record.height,
            }),
            _ => None,
        };
        Ok(DesignationAnswer { at, record, proof, view })
    }
    pub(super) fn member(&self, address: &str, at: Option<BlockHeight>) -> Result<MemberAnswer, Failure> {
        let address = self.address(address)?;
        let Entry { at, found, record, proof } = self.entry(&StateKey::Member(address), at)?;
        let view = match &found {
            Some(StateRecord::Member(record)) => Some(MemberView {
                status: record.status.name().into(),
                since: record.since,
                last_expiry: record.last_expiry,
            }),
            _ => None,
        };
        Ok(MemberAnswer { at, record, proof, view })
    }
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, Failure> {
        Ok(self.store.record(key).map_err(StoreError::from)?)
    }
    pub(super) fn bundles(&self, address: &str, before: Option<u64>) -> Result<BundleHistory, Failure> {
        let address = self.address(address)?;
        let newest = match self.record(&StateKey::Directory(address))? {
            Some(StateRecord::Bundle(record)) => record.bundle.sequence,
            _ => return Ok(BundleHistory { bundles: Vec::new(), next: None }),
        };
        let mut sequence = before.map_or(newest, |before| newest.min(before.saturating_sub(1)));
        let mut bundles = Vec::new();
        while sequence > 0 && bundles.len() < DEFAULT_PAGE as usize {
            let record = self.record(&StateKey::Bundle(address, sequence))?;
            if let Some(StateRecord::Bundle(record)) = record {
                bundles.push(bundle_record_view(&record));
            }
            sequence = sequence.saturating_sub(1);
        }
        Ok(BundleHistory { bundles, next: (sequence > 0).then(|| sequence.saturating_add(1)) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{PoolAnswer, PoolQuery, PoolSizes, Wiring, start, submissions};
    use crate::health::{Health, HealthSource};
    use crate::store::testing::Chain;
    use crate::store::{Store, StoreOptions};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{mpsc, watch};
    use tokio_util::sync::CancellationToken;

    /// What connects the RPC with a node that is nothing but a ledger.
    fn alone(store: &Store) -> Wiring {
        let (queries, mut asked) = mpsc::channel(100);
        tokio::spawn(async move {
            while let Some(PoolQuery { ids, reply }) = asked.recv().await {
                let _gone = reply.send(vec![PoolAnswer { waiting: false, first_seen_ms: None }; ids.len()]);
            }
        });
        let health = Health { deciding: true, syncing: false, target: 0, peers: 0, needs_peers: false };
        Wiring {
            submissions: submissions(1, 1).0,
            queries,
            pool: watch::channel(PoolSizes::default()).1,
            head: watch::channel(store.tip().height()).1,
            health: HealthSource::new(move || health),
            roster: None,
            stop: CancellationToken::new(),
        }
    }

    /// Two versions of the state are all that this node keeps, and the bodies of two blocks: those of the message are long
    /// gone.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_explorer_shows_an_old_message_without_the_state_of_its_block_and_without_its_body() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::keeping("old", 2));
        let options = StoreOptions { state_versions: 2, segment_bytes: 100, ..StoreOptions::default() };
        let store = Store::open(dir.path(), chain.genesis.clone(), options).unwrap().0;
        let message = chain.message("The lift is out of service");
        let id = message.id();
        let mut blocks = vec![vec![message.clone()], vec![chain.receipt(&message)]];
        let later = |number| vec![chain.bundle(number), chain.message(&format!("message {number}"))];
        blocks.extend((1..=6).map(later));
        for transactions in blocks {
            store.append(&chain.next(&store, transactions)).unwrap();
        }
        assert!(store.body(&id).unwrap().kept().is_none(), "the body was dropped");
        let any = ([127, 0, 0, 1], 0).into();
        let wiring = alone(&store);
        let rpc = start(any, &crate::rpc::Limits::default(), store, wiring).await.unwrap();
        let explorer = sealpost_explorer::start(sealpost_explorer::Settings {
            listen: any,
            node: format!("http://{}", rpc.address),
            genesis: Some(chain.genesis.clone()),
            limits: sealpost_explorer::Limits::default(),
        });
        let explorer = explorer.await.unwrap();
        let get = async |path: &str| {
            let mut stream = tokio::net::TcpStream::connect(explorer.address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            answer
        };
        let page = get(&format!("/message/{id}")).await;
        let evidence = format!("/message/{id}/evidence");
        let facts = ["Final", "Opened by", &evidence, "does not prove the state after block 1 any more"];
        for fact in facts {
            assert!(page.contains(fact), "{fact}: {page}");
        }
        assert!(!page.contains("The newest key bundle of each"), "{page}");
        let answer = get(&evidence).await;
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let kept = sealpost_ledger::evidence::Evidence::from_json(json.as_bytes()).unwrap();
        kept.check(&chain.genesis).unwrap();
        assert!(kept.body.is_none() && kept.receipts.len() == 1);
        assert!(get(&format!("/message/{id}/check")).await.contains("embedded-evidence"));
        explorer.stop().await;
        rpc.stop().await;
    }
}
