//! What a transaction may be, behind its signature: the input is a transaction without one, and whoever fuzzes signs it.
//! What is accepted has to keep the rules as the protocol page words them.

use sealpost_ledger::address::Address;
use sealpost_ledger::codec::{MAX_BYTES, decode, encode};
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::Target;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::message::{Body, Message, Mode, SlotRecipient, Suite};
use sealpost_ledger::signature::{Signature, SigningKey};
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};
use sealpost_ledger::validator::Validator;
use std::collections::BTreeSet;

const BODY: &[u8] = &[0xe7; 48];

pub(crate) fn target() -> Target {
    let (genesis, _) = examples::evidence();
    let key = SigningKey::from_bytes(&[1; 32]).expect("a key");
    Target::new("transaction_rules", seeds, move |input| {
        let Ok(mut transaction) = decode::<Transaction>("transaction", input, MAX_BYTES) else {
            return false;
        };
        transaction.sender = Address::new(key.public_key());
        // The hashes are nothing that a fuzzer guesses.
        let body = match &mut transaction.payload {
            Payload::Message(message) => {
                let body = Body::new(BODY);
                message.body_hash = body.hash();
                Some(body)
            }
            _ => None,
        };
        let unsigned = SignedTransaction::new(transaction.clone(), Signature::from_bytes([1; 64]));
        assert!(unsigned.verify(body.clone(), &genesis).is_err(), "nobody signed it");
        let signed = transaction.clone().sign(&key, &[0; 32]).expect("its own key");
        let accepted = signed.clone().verify(body.clone(), &genesis).is_ok();
        let holds = keeps_the_rules(&transaction, body.as_ref(), &genesis);
        assert_eq!(accepted, holds, "{transaction:?}");
        assert!(signed.message().is_none() || signed.clone().verify(None, &genesis).is_err(), "no body");
        accepted
    })
}

/// All rules of a transaction that need no ledger, once more and slowly.
fn keeps_the_rules(transaction: &Transaction, body: Option<&Body>, genesis: &Genesis) -> bool {
    let Transaction { version, chain, payload, .. } = transaction;
    let length = encode(transaction).len() + 64;
    *version == TRANSACTION_VERSION
        && *chain == genesis.chain_id()
        && length <= 512 * 1024
        && match payload {
            Payload::Message(message) => is_message(message, body, genesis),
            Payload::KeyBundle(bundle) => {
                let x = <[u8; 32]>::try_from(&bundle.ecies[1..]).expect("33 bytes");
                bundle.ml_kem.as_ref().is_none_or(|key| key.len() == 1184)
                    && [2, 3].contains(&bundle.ecies[0])
                    && sealpost_ledger::signature::PublicKey::from_bytes(x).is_on_curve()
            }
            Payload::Designate(designate) => sealpost_ledger::membership::is_class(&designate.class),
            Payload::Validators(change) => is_list(&change.validators),
            Payload::Receipt(_) | Payload::Revoke(_) | Payload::Member(_) => true,
        }
}

/// Ascending keys, each with power, not too many and not too much. Whether the keys are points is asked later.
fn is_list(validators: &[Validator]) -> bool {
    let total: u128 = validators.iter().map(|validator| u128::from(validator.power)).sum();
    (1..=1000).contains(&validators.len())
        && validators.iter().all(|validator| validator.power > 0)
        && validators.is_sorted_by(|a, b| a.key < b.key)
        && total < 1 << 63
}

fn is_message(message: &Message, body: Option<&Body>, genesis: &Genesis) -> bool {
    let limits = genesis.limits();
    let mut whom = BTreeSet::new();
    let slots = message.slots.iter().all(|slot| {
        let suited = match (message.suite, &slot.ml_kem_share) {
            (Suite::Ecies, share) => share.is_none(),
            (Suite::EciesMlKem768, share) => share.as_ref().is_some_and(|share| share.len() == 1088),
        };
        let (named, new) = match &slot.recipient {
            // Whatever the bundle: nobody is written to twice.
            SlotRecipient::Named { address, .. } => (true, whom.insert((address.as_bytes().to_vec(), 0))),
            SlotRecipient::Hidden { ephemeral, view_tag } => {
                (false, whom.insert((ephemeral.to_vec(), *view_tag)))
            }
        };
        suited && new && named == (message.mode == Mode::Open)
    });
    slots
        && (1..=usize::from(limits.slots)).contains(&message.slots.len())
        && message.body_length <= limits.body_bytes
        && body.is_some_and(|body| body.as_bytes().len() == message.body_length as usize)
}

fn seeds() -> Vec<Vec<u8>> {
    let transactions = examples::transactions();
    transactions.iter().map(|signed| encode(signed.transaction())).collect()
}
