//! What is counted. Input is fixed and made before; what an operation returns is dropped after.

use crate::story::{Story, genesis, message, signatures};
use sealpost_ledger::block::Block;
use sealpost_ledger::chain::{verify_block, verify_block_knowing};
use sealpost_ledger::codec::encode;
use sealpost_ledger::evidence::Evidence;
use sealpost_ledger::merkle::{
    SUBTREE_LEAVES, path, path_by_subtrees, root, subtree_roots, verify_inclusion,
};
use sealpost_ledger::signature::verify_batch;
use sealpost_ledger::state::prove;
use sealpost_ledger::transaction::{Known, SignedTransaction};
use std::convert::Infallible;
use std::error::Error;
use std::hint::black_box;

/// How often an operation is done while it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// As it is recorded.
    Once,
    /// As the negative control has it.
    Twice,
}

impl Times {
    /// The argument that says so.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Times::Once => "once",
            Times::Twice => "twice",
        }
    }
    /// Says the operation's name, and does it under the eyes of callgrind. It has to succeed: what fails early is cheap.
    ///
    /// It is done once before, uncounted, so that tables which are made once only are there, and memory of the sizes
    /// that it asks for lies where the allocator looks first.
    fn count<I: Clone, T, E: Error + 'static>(
        self,
        name: &str,
        input: I,
        work: impl Fn(I) -> Result<T, E>,
    ) -> Result<(), Box<dyn Error>> {
        self.count_new(name, || fine(input.clone()), work)
    }
    /// The same, for what remembers things once they were asked for: each time with an input that is made anew.
    fn count_new<I, M: Error + 'static, T, E: Error + 'static>(
        self,
        name: &str,
        input: impl Fn() -> Result<I, M>,
        work: impl Fn(I) -> Result<T, E>,
    ) -> Result<(), Box<dyn Error>> {
        println!("{name}");
        drop(black_box(work(input()?)));
        let mut inputs = match self {
            Times::Once => vec![input()?],
            Times::Twice => vec![input()?, input()?],
        };
        let mut results = Vec::with_capacity(inputs.len());
        measured(&mut || {
            while let Some(input) = inputs.pop() {
                results.push(black_box(work(black_box(input))));
            }
        });
        for result in results {
            result.map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    }
}

/// Callgrind counts while this runs; it knows it by its name.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    // Something to come back for: a call in the last place would become a jump, and callgrind not see the end.
    black_box(());
}

/// What an operation that can't fail returns.
fn fine<T>(value: T) -> Result<T, Infallible> {
    Ok(value)
}

/// An option as a result.
fn some<T>(value: Option<T>) -> Result<T, std::fmt::Error> {
    value.ok_or(std::fmt::Error)
}

/// Does all of it, and prints the name of each operation before.
pub(crate) fn run(times: Times) -> Result<(), Box<dyn Error>> {
    // Callgrind switches counting for one thread: work that would be shared among threads stays on this one.
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global()?;
    // The keys of the standard library's hash maps differ from run to run, and so does the order in which those of the
    // story leave memory behind. That makes less than half a percent of most counts, but would make 20 of the smallest:
    // what needs no story comes before it, and is the same to the last instruction, or nearly.
    code_transaction(times)?;
    check_signatures(times)?;
    let story = Story::tell()?;
    code_block(times, &story)?;
    apply(times, &story)?;
    include(times, &story)?;
    prove_absence(times, &story)?;
    check_evidence(times, &story)
}

fn check_signatures(times: Times) -> Result<(), Box<dyn Error>> {
    let batch = signatures(256, 256)?;
    let one = batch.first().ok_or("no signature")?;
    times.count("check one signature", one, |one| one.key.verify(&one.digest, &one.signature))?;
    times.count("check 256 signatures by 256 senders", &batch, |batch| verify_batch(batch))?;
    let few = signatures(256, 8)?;
    times.count("check 256 signatures by 8 senders", &few, |few| verify_batch(few))
}

fn code_transaction(times: Times) -> Result<(), Box<dyn Error>> {
    let (one, _) = message(&genesis()?, 0)?;
    times.count("encode a transaction", one.transaction(), |one| fine(encode(one)))?;
    times.count("decode a transaction", one.as_bytes(), SignedTransaction::from_bytes)
}

fn code_block(times: Times, story: &Story) -> Result<(), Box<dyn Error>> {
    let block = &story.messages.block;
    times.count("encode a block of 200 messages", block, |block| fine(block.to_bytes()))?;
    times.count("decode a block of 200 messages", &block.to_bytes(), |bytes| Block::from_bytes(bytes))
}

fn apply(times: Times, story: &Story) -> Result<(), Box<dyn Error>> {
    for (name, before) in
        [("a block of 200 messages", &story.messages), ("a block of 100 receipts", &story.receipts)]
    {
        let (tip, state, bytes) = (&before.tip, &before.state, before.block.to_bytes());
        let read = || Block::from_bytes(&bytes);
        times.count_new(&format!("apply {name}"), read, |block| verify_block(tip, state, block, None))?;
        let known: Known = before.verified.iter().map(|one| (one.id(), one.clone())).collect();
        times.count_new(&format!("apply {name}, verified before"), read, |block| {
            verify_block_knowing(tip, state, block, None, &known)
        })?;
    }
    Ok(())
}

/// Inclusion in a block.
fn include(times: Times, story: &Story) -> Result<(), Box<dyn Error>> {
    const INDEX: usize = 77;
    let leaves = story.messages.block.leaves();
    times.count("make an inclusion path from 200 leaves", &leaves, |leaves| some(path(leaves, INDEX)))?;
    times.count("make the roots of subtrees of 200 leaves", &leaves, |leaves| fine(subtree_roots(leaves)))?;
    let (near, roots) = (
        leaves.chunks(SUBTREE_LEAVES).nth(INDEX / SUBTREE_LEAVES).ok_or("no leaves")?,
        subtree_roots(&leaves),
    );
    times.count("make an inclusion path by subtrees", (near, &roots), |(near, roots)| {
        some(path_by_subtrees(near, roots, INDEX))
    })?;
    let (size, leaf) = (leaves.len() as u64, leaves.get(INDEX).ok_or("no leaf")?);
    let (root, nodes) = (root(&leaves), some(path(&leaves, INDEX))?);
    times.count("check an inclusion path", &nodes, |nodes| {
        verify_inclusion(&root, size, INDEX as u64, leaf, nodes)
    })
}

/// That a message has no answer.
fn prove_absence(times: Times, story: &Story) -> Result<(), Box<dyn Error>> {
    let (key, tip) = (story.unanswered_slot(), &story.tip);
    times
        .count("prove that an entry is absent", &key, |key| prove(&story.state, tip.state_version(), key))?;
    let (record, proof) = prove(&story.state, tip.state_version(), &key)?;
    assert_eq!(record, None, "the control of the proof");
    times.count("check that an entry is absent", &proof, |proof| proof.verify_absent(&tip.state_root(), &key))
}

fn check_evidence(times: Times, story: &Story) -> Result<(), Box<dyn Error>> {
    for (name, evidence) in [("an answer", story.answer()?), ("silence", story.silence()?)] {
        let (text, genesis) = (evidence.to_json(), story.tip.genesis_file());
        times.count(&format!("read evidence of {name}"), text.as_bytes(), Evidence::from_json)?;
        let read = || Evidence::from_json(text.as_bytes());
        times.count_new(&format!("check evidence of {name}"), read, |evidence| evidence.check(genesis))?;
    }
    Ok(())
}
