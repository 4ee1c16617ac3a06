//! What the fuzzer tries here (`tests/fuzz`): what peers and other validators say, what clients ask, what stands on this
//! node's own disk, and its settings. What is private has its targets beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::missing_panics_doc)]

use crate::cli;
use crate::config::NodeSettings;
use crate::store::testing::Chain;
use crate::wire::{
    Announcement, EncodedBlock, PeerAddresses, Request, Response, TransactionBatch, TransactionMessage,
};
use crate::{consensus, gossip, rpc, store};
use confique::{Config, Layer};
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::Target;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{GlobalArgs, load_config};

/// What is tried.
pub fn targets() -> Vec<Target> {
    let mut targets = vec![settings()];
    targets.extend(wire());
    targets.extend(consensus::fuzzing::targets());
    targets.extend(gossip::fuzzing::targets());
    targets.extend(store::fuzzing::targets());
    targets.extend(rpc::fuzzing::targets());
    targets
}

/// Bytes of a batch that are read at most here.
const BATCH_BYTES: usize = 1 << 20;

fn wire() -> [Target; 4] {
    [
        Target::decoder("peer_request", requests, |bytes| {
            Request::from_bytes(bytes).ok().map(|request| request.to_bytes())
        }),
        Target::decoder("peer_response", responses, |bytes| {
            let response = Response::from_bytes(bytes).ok()?;
            if let Response::Blocks(blocks) = &response {
                let again =
                    |block: &EncodedBlock| block.read().map_or(true, |read| read.to_bytes() == block.block);
                assert!(blocks.iter().all(again), "a block with two spellings");
            }
            Some(response.to_bytes())
        }),
        Target::decoder("announcement", announcements, |bytes| {
            Announcement::from_bytes(bytes).ok().map(|announcement| announcement.to_bytes())
        }),
        Target::decoder("transaction_batch", batches, |bytes| {
            let batch = TransactionBatch::from_bytes(bytes, BATCH_BYTES).ok()?;
            // What is said of it before it is read is true.
            assert_eq!(TransactionBatch::announced(bytes), Some(batch.count()));
            Some(batch.to_bytes())
        }),
    ]
}

fn requests() -> Vec<Vec<u8>> {
    let (from, after) = (BlockHeight::new(7), BlockHeight::new(9));
    let requests = [
        Request::Status,
        Request::Blocks { from, count: 3 },
        Request::Waiting,
        Request::Transactions(vec![TransactionId::from_bytes([3; 32]); 2]),
        Request::Proof { after },
        Request::Peers,
    ];
    requests.iter().map(Request::to_bytes).collect()
}

fn messages() -> Vec<TransactionMessage> {
    let chain = Chain::new("fuzz");
    [chain.message("x"), chain.bundle(1)].iter().map(TransactionMessage::from).collect()
}

fn responses() -> Vec<Vec<u8>> {
    let (_, evidence) = examples::evidence();
    let certificate = evidence.blocks[0].certificate.clone();
    let block = examples::KINDS.iter().find(|kind| kind.name == "block").unwrap().examples[0].clone();
    let (height, oldest) = (BlockHeight::new(9), BlockHeight::FIRST);
    let addresses = vec!["/ip4/198.51.100.1/tcp/7".to_owned()];
    let responses = [
        Response::Status { height, oldest },
        Response::Blocks(vec![EncodedBlock { block, certificate }]),
        Response::Waiting(vec![TransactionId::from_bytes([3; 32])]),
        Response::Transactions(messages()),
        Response::Busy,
        Response::Peers(vec![PeerAddresses { peer: "12D3".into(), addresses }]),
    ];
    responses.iter().map(Response::to_bytes).collect()
}

fn announcements() -> Vec<Vec<u8>> {
    let (_, evidence) = examples::evidence();
    let announce = |block: &sealpost_ledger::evidence::CertifiedHeader| {
        Announcement { header: block.header.clone(), certificate: block.certificate.clone() }.to_bytes()
    };
    evidence.blocks.iter().map(announce).collect()
}

fn batches() -> Vec<Vec<u8>> {
    let batch = |messages: Vec<TransactionMessage>| {
        // One after the other, behind their number.
        let one = |message: TransactionMessage| TransactionBatch::of_one(message).to_bytes()[8..].to_vec();
        let count = (messages.len() as u64).to_le_bytes().to_vec();
        std::iter::once(count).chain(messages.into_iter().map(one)).flatten().collect()
    };
    vec![batch(messages()), batch(messages().split_off(1))]
}

/// The settings' file, and what is made of the addresses in it.
fn settings() -> Target {
    let folder = tempfile::tempdir_in(store::fuzzing::memory()).unwrap();
    let path = folder.path().join("node.toml");
    let globals = GlobalArgs { config: Some(path.clone()), ..GlobalArgs::default() };
    let seeds = || {
        [
            "name = \"a\"\nmetrics = \"off\"\narchive = true\n[rpc]\nlisten = \"127.0.0.1:1\"\nrate = 0\n\
             trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\norigins = [\"https://a.example\"]\nhosts = [\"a.example\"]\n",
            "[p2p]\nlisten = [\"/ip4/0.0.0.0/tcp/1\", \"/ip6/::/udp/1/quic-v1\"]\nbootstrap = []\nmemory_mib = 9\n\
             [consensus]\npeers = [\"/dns/a/tcp/1\"]\n[mempool]\nbytes = 1\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    };
    Target::new("node_settings", seeds, move |bytes| {
        let _kept = &folder;
        std::fs::write(&path, bytes).unwrap();
        let none = <NodeSettings as Config>::Layer::empty();
        let Ok(settings) = load_config::<NodeSettings>("node", &globals, none) else { return false };
        cli::fuzzing::is_usable(&settings)
    })
}
