//! A notice that may have to be proved later: two wallets, a message, its answer, and the evidence that a stranger
//! checks with the genesis alone. Run it against a node:
//!
//!     cargo run -p sealpost-wallet --example notice -- FOLDER genesis.json http://127.0.0.1:17325

use sealpost_wallet::envelope::Letter;
use sealpost_wallet::ledger::evidence::Evidence;
use sealpost_wallet::ledger::genesis::Genesis;
use sealpost_wallet::ledger::message::Mode;
use sealpost_wallet::light::{Light, SlotAnswer};
use sealpost_wallet::mnemonic::{Phrase, Words};
use sealpost_wallet::profile::Profile;
use sealpost_wallet::{Draft, WaitFor, Wallet};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// The whole job; what it returns is the evidence file.
pub async fn notice(folder: &Path, genesis: &Path, node: &str) -> Result<String, Box<dyn Error>> {
    // Everything is checked against the genesis: it comes from somebody you trust, not from the node.
    let genesis = Arc::new(Genesis::parse(&std::fs::read(genesis)?)?);
    let profile = Profile::create(folder, genesis.clone())?;
    let light = Light::connect(node, genesis.clone(), profile.head()?).await?;

    // Hears how far the search for a stamp is, and says whether to go on.
    let progress = |_tried: u64, _expected: u64| true;

    // The words restore the identity. Show them to their owner once, and keep them nowhere else.
    let mut alice =
        Wallet::create(profile.clone(), "alice", &Phrase::generate(Words::Twelve)?, "horse", false)?;
    let mut bob = Wallet::create(profile, "bob", &Phrase::generate(Words::Twelve)?, "battery", false)?;
    alice.publish_keys(&light, &progress).await?;
    bob.publish_keys(&light, &progress).await?;

    // Alice writes. What is signed is in her outbox before it leaves.
    let letter =
        Letter { subject: "Lift".into(), text: "The lift is out of service.".into(), ..Letter::default() };
    let draft = Draft { to: vec![bob.address()], content: letter.into(), mode: Mode::Open };
    let sent = alice.send(&light, &draft, WaitFor::Final, &progress).await?;

    // Bob finds and reads it, which nobody is told; that he opened it he says by an act of his own.
    let inbox = bob.inbox(&light, 10, &|_found| {}).await?;
    let reading = bob.read(&light, &inbox.first().ok_or("nothing has come")?.message.id()).await?;
    let (slot, answer) = (reading.opened.slot, reading.opened.answer());
    bob.answer(&light, sent.id, slot, answer, &progress).await?;

    // Alice sees it, proven, and makes the file that shows it to others.
    let timeline = alice.timeline(&light, &sent.id).await?;
    let answered =
        matches!(timeline.slots.first().map(|slot| &slot.answer), Some(SlotAnswer::Answered { .. }));
    if !answered {
        return Err("Bob's answer is not there".into());
    }
    let evidence = alice.evidence(&light, &sent.id, None, false, true).await?.to_json();

    // A stranger checks the file: no node, no wallet.
    let findings = Evidence::from_json(evidence.as_bytes())?.check(&genesis)?;
    assert_eq!(findings.message(), sent.id);
    Ok(evidence)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, genesis, node] = arguments.as_slice() else {
        return Err("give a folder, the genesis and a node's address".into());
    };
    let evidence = notice(Path::new(folder), Path::new(genesis), node).await?;
    std::fs::write(Path::new(folder).join("notice.evidence.json"), evidence)?;
    Ok(())
}
