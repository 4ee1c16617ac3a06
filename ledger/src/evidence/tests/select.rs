//! Claims about evidence of which parts were left out.

use super::*;

#[track_caller]
fn holds(evidence: &Evidence) -> Vec<&'static str> {
    let findings = judge(evidence.to_json().as_bytes()).unwrap();
    findings.list().iter().map(Finding::code).collect()
}

#[test]
fn whatever_is_left_out_the_rest_holds_and_no_block_is_idle() {
    for kept in 0_u8..64 {
        let part = |part: SlotPart, slot: u16| {
            let bit = match part {
                SlotPart::Receipt => 0,
                SlotPart::Key => 2,
                SlotPart::Absence => 4,
            };
            kept >> (bit + slot) & 1 == 1
        };
        for whole in [evidence(), with_change(), twice_changed()] {
            let before = (whole.receipts.len(), whole.keys.len(), whole.absences.len());
            let kept_of = whole.keeping(part);
            holds(&kept_of);
            let after = (kept_of.receipts.len(), kept_of.keys.len(), kept_of.absences.len());
            assert!(after.0 <= before.0 && after.1 <= before.1 && after.2 <= before.2);
        }
    }
}

#[test]
fn one_recipients_part_names_no_answer_of_another() {
    let carol = evidence().keeping(|_, slot| slot == 1);
    assert!(holds(&carol).contains(&"unanswered") && !holds(&carol).contains(&"opened"));
    assert_eq!(carol.blocks.len(), 2);
    let bob = evidence().keeping(|_, slot| slot == 0);
    assert!(holds(&bob).contains(&"opened") && !holds(&bob).contains(&"unanswered"));
}

#[test]
fn all_got_the_same_is_found_where_there_are_several() {
    let findings = judge(evidence().to_json().as_bytes()).unwrap();
    let message = evidence().message.transaction.message().unwrap().clone();
    let line = findings.lines().into_iter().find(|line| line.code == "same_for_all").unwrap();
    for hash in
        [message.body_hash.to_string(), message.key_commit.to_string(), message.content_commit.to_string()]
    {
        assert!(line.fact.contains(&hash), "{}", line.fact);
    }
    assert!(line.fact.starts_with("2 recipients"), "{}", line.fact);
}

#[test]
fn the_proof_of_a_silence_is_small_too() {
    // One recipient, suite 1, all four validators: under 4 KiB beside body and content.
    let mut chain = Chain::new();
    chain.signers = VALIDATORS.map(key).into();
    let bundle = chain.bundle(BOB);
    chain.add(vec![(bundle, None)]);
    let (message, body) = chain.message(&[BOB]);
    let id = message.id();
    let sent = chain.add(vec![(message, Some(body))]);
    let until = chain.add(Vec::new());
    let evidence = Evidence {
        chain: chain.genesis.chain_id(),
        blocks: [sent, until].map(|height| chain.certified(height)).to_vec(),
        validator_changes: Vec::new(),
        message: chain.proven(id),
        receipts: Vec::new(),
        keys: vec![chain.key_proof(0, BOB, sent)],
        absences: vec![chain.absence(id, 0, until)],
        body: None,
        disclosure: None,
    };
    assert!(evidence.check(&chain.genesis).is_ok());
    assert!(evidence.to_json().len() < 4096, "{} bytes", evidence.to_json().len());
    let plain = evidence.keeping(|part, _| part == SlotPart::Key);
    assert!(plain.to_json().len() < 3072, "{} bytes", plain.to_json().len());
}
