//! A network whose validators change, seen by those who trust nobody: a wallet's light client, the reader of
//! an evidence file, and both again with a node that lies.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::{Running, network};
use crate::consensus::testing::{key, key_bundle, sign, validator_set, validators_change};
use jsonrpsee::RpcModule;
use jsonrpsee::server::{ServerBuilder, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use sealpost_api::verify::{ValidatorHistory, VerifyError, verify_designation, verify_member};
use sealpost_api::{
    ApiError, BlockId, Hex, SealpostRpcClient, TransactionStatus, ValidatorsChanged, WaitFor,
};
use sealpost_ledger::address::Address;
use sealpost_ledger::evidence::Evidence;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{ContentCommit, KeyCommit, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::membership::{Designate, MemberChange, MemberStatus, member_approval};
use sealpost_ledger::message::{Body, Message, Mode, Slot, SlotRecipient, Suite};
use sealpost_ledger::receipt::receipt_commit;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, TRANSACTION_VERSION, Transaction};
use sealpost_ledger::validator::ValidatorSet;
use sealpost_wallet::light::{HeadFile, Light, LightError, LightOptions, Range};
use std::path::Path;
use std::sync::Arc;

const EXPIRY: BlockHeight = BlockHeight::new(500);

fn power(power: u64) -> ValidatorSet {
    validator_set(&[(1, power)])
}

/// Makes blocks up to a height.
async fn grow(node: &Running, genesis: &Genesis, seed: u8, until: u64) {
    for sequence in 1.. {
        let bundle = key_bundle(genesis, &key(seed), sequence, EXPIRY);
        let submitted = node.submit(&bundle, WaitFor::Final).await.unwrap();
        let TransactionStatus::Final(place) = submitted.status else { panic!("not final") };
        if place.height >= BlockHeight::new(until) {
            return;
        }
    }
}

/// A network that is decided by power 1, from height 10 on by power 5, from height 20 on by power 7.
async fn changed(dir: &Path, genesis: &Arc<Genesis>) -> Running {
    let node = Running::start(dir, genesis).await;
    for (from, to, effective) in [(1, 5, 10), (5, 7, 20)] {
        let change = validators_change(genesis, &power(from), &power(to), effective, &[1]);
        node.submit(&change, WaitFor::Final).await.unwrap();
        grow(&node, genesis, 10 + u8::try_from(to).unwrap(), effective + 2).await;
    }
    node
}

async fn message(node: &Running, genesis: &Genesis, sender: &SigningKey) -> TransactionId {
    let body = Body::new(vec![7; 64]);
    let recipient = SlotRecipient::Named { address: Address::new(key(15).public_key()), bundle: 1 };
    let slot = Slot {
        recipient,
        ecies_share: [1; 129],
        ml_kem_share: None,
        wrapped_key: [2; 48],
        receipt_commit: receipt_commit(&[9; 32]),
    };
    let payload = Payload::Message(Message {
        suite: Suite::Ecies,
        mode: Mode::Open,
        slots: vec![slot],
        key_commit: KeyCommit::from_bytes([4; 32]),
        content_commit: ContentCommit::from_bytes([5; 32]),
        body_hash: body.hash(),
        body_length: 64,
    });
    let (version, chain, sender_address) =
        (TRANSACTION_VERSION, genesis.chain_id(), Address::new(sender.public_key()));
    let transaction =
        Transaction { version, chain, sender: sender_address, expiry: EXPIRY, payload, nonce: 0 };
    let signed = transaction.sign(sender, &[0; 32]).unwrap();
    let (bytes, body) = (Hex(signed.to_bytes()), Hex(body.as_bytes().to_vec()));
    node.client.tx_submit(bytes, Some(body), Some(WaitFor::Final)).await.unwrap();
    signed.id()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_with_the_set_of_each_height_and_outlive_a_restart() {
    let (dir, genesis) = network();
    let node = changed(dir.path(), &genesis).await;
    node.stop().await;
    let node = Running::start(dir.path(), &genesis).await;
    for (height, expected) in [(1, 1), (9, 1), (10, 5), (19, 5), (20, 7), (21, 7)] {
        let height = BlockHeight::new(height);
        let told = node.client.chain_validators(Some(height)).await.unwrap();
        assert_eq!(told.hash, power(expected).hash(), "at {height}");
        let certificate = node.client.chain_certificate(BlockId::Height(height)).await.unwrap();
        assert_eq!((certificate.signed_power, certificate.total_power), (expected, expected));
    }
    let changes = node.client.chain_validator_changes(BlockHeight::GENESIS, None).await.unwrap();
    assert_eq!(changes.iter().map(|c| c.at.view.height.get()).collect::<Vec<_>>(), [9, 19]);
    let later = node.client.chain_validator_changes(BlockHeight::new(9), Some(1)).await.unwrap();
    assert_eq!(later, changes[1..]);
    let too_many = node.client.chain_validator_changes(BlockHeight::GENESIS, Some(101)).await.unwrap_err();
    assert_eq!(ApiError::from_client(&too_many).unwrap().code, "input.limit");

    let mut history = ValidatorHistory::new(genesis.clone());
    let sealed = node.client.chain_head().await.unwrap().unwrap();
    assert!(matches!(history.verify_header(&sealed), Err(VerifyError::UnknownValidators { .. })));
    for change in &changes {
        // Another set than the one its block announces is not taken in, even before any header names it.
        let mut forged = change.clone();
        forged.validators[0].power += 1;
        assert_eq!(history.extend(&forged), Err(VerifyError::OtherChange));
        history.extend(change).unwrap();
    }
    history.verify_header(&sealed).unwrap();
    // What is known is not learned twice, and reads back.
    assert_eq!(history.extend(&changes[1]), Err(VerifyError::ChangeOrder));
    let mut restored = ValidatorHistory::new(genesis.clone());
    restored.restore(&history.known()).unwrap();
    restored.verify_header(&sealed).unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_change_is_told_and_forged_or_second_ones_are_refused() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let (one, two) = (validator_set(&[(1, 1)]), validator_set(&[(1, 1), (2, 1)]));
    for (by, code) in [(&[][..], "approval.too_few"), (&[2], "approval.foreign")] {
        let forged = validators_change(&genesis, &one, &two, 100, by);
        assert_eq!(node.submit(&forged, WaitFor::Final).await.unwrap_err().code, code);
    }
    let stale = validators_change(&genesis, &validator_set(&[(1, 2)]), &two, 100, &[1]);
    assert_eq!(node.submit(&stale, WaitFor::Final).await.unwrap_err().code, "approval.signature");
    let change = validators_change(&genesis, &one, &two, 100, &[1]);
    node.submit(&change, WaitFor::Final).await.unwrap();
    let told = node.client.chain_validators(None).await.unwrap();
    let scheduled = told.scheduled.unwrap();
    assert_eq!((told.hash, scheduled.hash), (one.hash(), two.hash()));
    assert_eq!(scheduled.effective, BlockHeight::new(100));
    let second = validators_change(&genesis, &one, &validator_set(&[(1, 9)]), 90, &[1]);
    assert_eq!(node.submit(&second, WaitFor::Final).await.unwrap_err().code, "validator.change_pending");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_light_client_follows_the_changes_and_keeps_them() {
    let (dir, genesis) = network();
    let node = changed(dir.path(), &genesis).await;
    let file = dir.path().join("head.json");
    let light =
        Light::connect(&node.url, genesis.clone(), HeadFile::load(file.clone()).unwrap()).await.unwrap();
    let (identity, nobody) = (Address::new(key(15).public_key()), Address::new(key(99).public_key()));
    assert!(light.bundle(&identity).await.unwrap().is_some());
    assert!(light.bundle(&nobody).await.unwrap().is_none());
    drop(light);
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("\"effective\":10") && kept.contains("\"effective\":20"), "{kept}");
    // With what it kept it needs to be told nothing about changes.
    let lying = Liar::of(&node, Vec::new()).await;
    let head = HeadFile::load(file).unwrap();
    Light::connect(&lying.url, genesis.clone(), head).await.unwrap();
    lying.stop();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_was_away_for_several_changes_finds_its_way() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    grow(&node, &genesis, 9, 2).await;
    let (file, urls) = (dir.path().join("head.json"), [node.url.clone()]);
    let connect = || async {
        let head = HeadFile::load(file.clone()).unwrap();
        Light::connect_to(&urls, genesis.clone(), head, LightOptions::default()).await.unwrap()
    };
    let before = connect().await.newest().unwrap().height;
    for (from, to, effective) in [(1, 5, 10), (5, 7, 15), (7, 2, 20)] {
        let change = validators_change(&genesis, &power(from), &power(to), effective, &[1]);
        node.submit(&change, WaitFor::Final).await.unwrap();
        grow(&node, &genesis, 10 + u8::try_from(to).unwrap(), effective + 2).await;
    }
    let light = connect().await;
    assert!(light.newest().unwrap().height > before);
    // Every block of the time away too, whoever decided it.
    let mut range = Range::new(before, light.newest().unwrap().height);
    let mut heights = Vec::new();
    while let Some(blocks) = range.next_blocks(&light).await.unwrap() {
        heights.extend(blocks.iter().map(|block| block.header().height.get()));
    }
    assert_eq!(heights, (before.get()..=range.to().get()).collect::<Vec<_>>());
    assert_eq!(light.block(BlockHeight::new(12)).await.unwrap().header().height, BlockHeight::new(12));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_omits_or_forges_a_change_is_not_believed() {
    let (dir, genesis) = network();
    let node = changed(dir.path(), &genesis).await;
    let honest = node.client.chain_validator_changes(BlockHeight::GENESIS, None).await.unwrap();
    let mut forged = honest.clone();
    forged[1].validators[0].public_key = key(66).public_key();
    let mut other_certificate = honest.clone();
    other_certificate[1].at.certificate = other_certificate[0].at.certificate.clone();
    let no_change = ValidatorsChanged {
        at: node.client.chain_header(BlockId::Height(BlockHeight::new(3))).await.unwrap(),
        validators: honest[0].validators.clone(),
    };
    let lies = [
        Vec::new(),
        honest[..1].to_vec(),
        honest[1..].to_vec(),
        vec![honest[1].clone(), honest[0].clone()],
        vec![no_change],
        forged,
        other_certificate,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let lying = Liar::of(&node, lie).await;
        let refused = Light::connect(&lying.url, genesis.clone(), HeadFile::in_memory()).await.unwrap_err();
        assert!(matches!(refused, LightError::Untrusted { .. }), "lie {number}: {refused}");
        lying.stop();
    }
    let truthful = Liar::of(&node, honest).await;
    Light::connect(&truthful.url, genesis.clone(), HeadFile::in_memory()).await.unwrap();
    truthful.stop();
    node.stop().await;
}

/// A node that tells status and head of an honest one, and of the changes what it likes.
struct Liar {
    url: String,
    server: ServerHandle,
}

impl Liar {
    async fn of(honest: &Running, changes: Vec<ValidatorsChanged>) -> Self {
        let mut module = RpcModule::new(());
        let status = serde_json::to_value(honest.client.node_status().await.unwrap()).unwrap();
        let head = serde_json::to_value(honest.client.chain_head().await.unwrap()).unwrap();
        let changes = serde_json::to_value(changes).unwrap();
        for (method, answer) in
            [("node_status", status), ("chain_head", head), ("chain_validatorChanges", changes)]
        {
            let answer = move |_: jsonrpsee::types::Params<'_>, _: &(), _: &jsonrpsee::Extensions| {
                Ok::<_, ErrorObjectOwned>(answer.clone())
            };
            module.register_method(method, answer).unwrap();
        }
        let server = ServerBuilder::default().build("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        Self { url, server: server.start(module) }
    }
    fn stop(self) {
        self.server.stop().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_verifies_from_the_genesis_alone_before_between_and_after_changes() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let mut messages = vec![message(&node, &genesis, &key(31)).await];
    for (from, to, effective) in [(1, 5, 10), (5, 7, 20)] {
        let change = validators_change(&genesis, &power(from), &power(to), effective, &[1]);
        node.submit(&change, WaitFor::Final).await.unwrap();
        grow(&node, &genesis, 10 + u8::try_from(to).unwrap(), effective + 1).await;
        messages.push(message(&node, &genesis, &key(32 + u8::try_from(to).unwrap())).await);
    }
    for id in &messages {
        let json = node.client.evidence_get(*id, None, Some(true)).await.unwrap();
        let evidence = Evidence::from_json(json.as_bytes()).unwrap();
        evidence.check(&genesis).unwrap();
        let changes: Vec<_> = evidence.validator_changes.iter().map(|change| change.block.get()).collect();
        assert_eq!(changes, [9, 19]);
        let mut untold = evidence.clone();
        untold.validator_changes.remove(0);
        assert!(untold.check(&genesis).is_err());
    }
    // Up to a height before the changes, they are nobody's business.
    let early = node.client.evidence_get(messages[0], Some(BlockHeight::new(9)), None).await.unwrap();
    let early = Evidence::from_json(early.as_bytes()).unwrap();
    early.check(&genesis).unwrap();
    assert!(early.validator_changes.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_designations_are_proven() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let (owner, to) = (Address::new(key(40).public_key()), Address::new(key(41).public_key()));
    let content = Designate { class: "tax".into(), to };
    node.submit(&sign(&genesis, &key(40), EXPIRY, Payload::Designate(content)), WaitFor::Final)
        .await
        .unwrap();
    let (expiry, status) = (BlockHeight::new(300), MemberStatus::Admitted);
    let digest = member_approval(&genesis.chain_id(), &power(1).hash(), expiry, &owner, status);
    let approvals = vec![(0, key(1).sign(&digest, &[0; 32]).unwrap())];
    let admit = Payload::Member(MemberChange { address: owner, status, approvals });
    node.submit(&sign(&genesis, &key(9), expiry, admit), WaitFor::Final).await.unwrap();

    let history = ValidatorHistory::new(genesis.clone());
    let text = owner.to_text(genesis.prefix());
    for (class, expected) in [("tax", Some(to)), ("health", None)] {
        let answer = node.client.directory_designation(text.clone(), class.into(), None).await.unwrap();
        let (header, _) = history.verify_header(&answer.at).unwrap();
        let record = verify_designation(&answer, &owner, class, &header).unwrap();
        assert_eq!(record.map(|record| record.to), expected);
        // A proof for one class proves nothing about another.
        assert!(verify_designation(&answer, &owner, "other", &header).is_err() || expected.is_none());
    }
    for (address, expected) in [(owner, Some(true)), (to, None)] {
        let answer = node.client.member_status(address.to_text(genesis.prefix()), None).await.unwrap();
        let (header, _) = history.verify_header(&answer.at).unwrap();
        let record = verify_member(&answer, &address, &header).unwrap();
        assert_eq!(record.map(|record| record.is_member()), expected);
    }
    let wrong = node.client.directory_designation(text, "No".into(), None).await.unwrap_err();
    assert_eq!(ApiError::from_client(&wrong).unwrap().code, "input.class");
    node.stop().await;
}
