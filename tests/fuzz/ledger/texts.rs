//! Texts that people give: genesis files, addresses, hashes, heights.

use sealpost_ledger::address::{Address, AddressPrefix};
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::{Script, Target};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{PublicKey, Signature};
use std::fmt::Display;
use std::str::FromStr;

pub(crate) fn targets() -> [Target; 3] {
    [
        Target::new("genesis", genesis_files, |bytes| {
            let Ok(genesis) = Genesis::parse(bytes) else { return false };
            // Another spelling of the same is the same network, and its own spelling is one.
            let again = Genesis::parse(genesis.to_json().as_bytes()).expect("its own spelling");
            assert_eq!((again.chain_id(), &again), (genesis.chain_id(), &genesis));
            let (limits, power) = (genesis.limits(), genesis.validators().total_power());
            assert!(limits.body_bytes <= limits.block_bytes / 2 && limits.slots > 0);
            assert!(genesis.strangers_bytes() <= u64::from(limits.block_bytes));
            assert!(genesis.validators().is_quorum(power) && !genesis.validators().is_quorum(power / 3 * 2));
            true
        }),
        Target::new("address_text", addresses, address),
        Target::new("hashes", hashes, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return false };
            let height = text.parse::<BlockHeight>();
            if let Ok(height) = height {
                assert_eq!(height.to_string().parse(), Ok(height));
            }
            let read = [
                has_one_spelling::<TransactionId>(text),
                has_one_spelling::<PublicKey>(text),
                has_one_spelling::<Signature>(text),
            ];
            read.contains(&true) || height.is_ok()
        }),
    ]
}

fn has_one_spelling<T: FromStr + Display>(text: &str) -> bool {
    let read = text.parse::<T>();
    read.is_ok_and(|value| {
        assert_eq!(value.to_string(), text);
        true
    })
}

fn genesis_files() -> Vec<Vec<u8>> {
    let (genesis, _) = examples::evidence();
    vec![
        include_bytes!("../../../genesis.json").to_vec(),
        genesis.to_json().into_bytes(),
        serde_json::to_vec(genesis.file()).expect("plain strings and numbers"),
    ]
}

fn prefix() -> AddressPrefix {
    AddressPrefix::new("seal").expect("a prefix")
}

/// An address as it is typed, or the key of one: a checksum is nothing that a fuzzer finds.
fn address(input: &[u8]) -> bool {
    let (Some((kind, rest)), prefix) = (input.split_first(), prefix()) else { return false };
    if kind % 2 == 0 {
        let Ok(text) = std::str::from_utf8(rest) else { return false };
        let read = Address::parse(text, &prefix);
        return read.is_ok_and(|address| {
            assert_eq!(address.to_text(&prefix), text.to_ascii_lowercase());
            assert!(address.key().is_on_curve());
            true
        });
    }
    let Some((key, edits)) = rest.split_first_chunk::<32>() else { return false };
    let address = Address::new(PublicKey::from_bytes(*key));
    let text = address.to_text(&prefix);
    assert_eq!(Address::parse(&text, &prefix).is_ok(), address.key().is_on_curve());
    let (mut edited, mut script) = (text.clone().into_bytes(), Script::new(edits));
    while !script.is_over() {
        script.edit(&mut edited);
    }
    let edited = String::from_utf8_lossy(&edited);
    if let Ok(other) = Address::parse(&edited, &prefix) {
        assert_eq!((other, edited.to_ascii_lowercase()), (address, text), "a changed address is one");
    }
    address.key().is_on_curve()
}

fn addresses() -> Vec<Vec<u8>> {
    let (_, evidence) = examples::evidence();
    let sender = evidence.message.transaction.sender();
    let text = sender.to_text(&prefix());
    let with = |kind: u8, rest: &[u8]| [&[kind], rest].concat();
    vec![
        with(0, text.as_bytes()),
        with(0, text.to_uppercase().as_bytes()),
        with(1, sender.as_bytes()),
        with(1, &[sender.as_bytes().as_slice(), &[3, 0, 4, 1, b'x']].concat()),
    ]
}

fn hashes() -> Vec<Vec<u8>> {
    let (genesis, evidence) = examples::evidence();
    let signed = &evidence.message.transaction;
    let texts =
        [genesis.chain_id().to_string(), signed.signature().to_string(), "7".into(), u64::MAX.to_string()];
    texts.into_iter().map(String::into_bytes).collect()
}
