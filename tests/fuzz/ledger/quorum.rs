//! Certificates, and proofs that a validator signed twice: signatures stand ready, right and wrong ones, and the input
//! says which are taken. What is accepted and what is refused has to be what a slow count says.

use sealpost_ledger::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use sealpost_ledger::equivocation::{Equivocation, SignedVote};
use sealpost_ledger::fuzzing::{Script, Target};
use sealpost_ledger::hash::{BlockHash, ChainId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{Signature, SigningKey};
use sealpost_ledger::validator::{Validator, ValidatorSet};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const HEIGHT: BlockHeight = BlockHeight::new(7);
const POWERS: [u64; 5] = [1, 2, 3, 4, 5];

/// What somebody may have signed: kind, round, block.
type Said = (VoteKind, u32, Option<BlockHash>);

struct Signatures {
    set: ValidatorSet,
    said: Vec<Said>,
    /// By position in the set, and by what was said.
    of: Vec<Vec<Signature>>,
}

impl Signatures {
    fn make() -> Self {
        let keys: Vec<_> = (1..=5).map(|seed| SigningKey::from_bytes(&[seed; 32]).expect("a key")).collect();
        let validators = keys.iter().zip(POWERS);
        let validators = validators.map(|(key, power)| Validator { key: key.public_key(), power }).collect();
        let set = ValidatorSet::new(validators).expect("a set");
        let mut said = Vec::new();
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            for round in 0..2 {
                for block in [None, Some(block(1)), Some(block(2))] {
                    said.push((kind, round, block));
                }
            }
        }
        let of = set.validators().iter().map(|validator| {
            let key = keys.iter().find(|key| key.public_key() == validator.key).expect("one of them");
            let sign = |(kind, round, block): &Said| {
                let digest = vote_digest(&CHAIN, *kind, HEIGHT, *round, block.as_ref());
                key.sign(&digest, &[0; 32]).expect("a signature")
            };
            said.iter().map(sign).collect()
        });
        let of = of.collect();
        Self { set, said, of }
    }
    /// One of the signatures, and who gave it for what.
    fn pick(&self, script: &mut Script<'_>) -> (usize, Said, Signature) {
        let signer = script.choice(self.of.len());
        let said = usize::from(script.byte()) % self.said.len();
        let mut bytes = *self.of[signer][said].as_bytes();
        // Now and then with a bit turned over.
        let broken = script.byte();
        if broken >= 192 {
            bytes[usize::from(broken % 64)] ^= 1;
            return (usize::MAX, self.said[said], Signature::from_bytes(bytes));
        }
        (signer, self.said[said], Signature::from_bytes(bytes))
    }
}

const fn block(n: u8) -> BlockHash {
    BlockHash::from_bytes([n; 32])
}

pub(crate) fn target() -> Target {
    let all = Signatures::make();
    Target::new("signed_by_validators", seeds, move |input| {
        let mut script = Script::new(input);
        if script.byte() % 2 == 0 { certificate(&all, &mut script) } else { equivocation(&all, &mut script) }
    })
}

fn certificate(all: &Signatures, script: &mut Script<'_>) -> bool {
    let round = u32::from(script.byte() % 2);
    let (mut signatures, mut right, mut power, mut last) = (Vec::new(), true, 0, None);
    while !script.is_over() && signatures.len() < 8 {
        let (signer, said, signature) = all.pick(script);
        // Usually where it belongs.
        let place = script.byte();
        let validator = if place >= 224 { u16::from(place) } else { u16::from(place) % 5 };
        let position = usize::from(validator);
        right &= signer == position && said == (VoteKind::Precommit, round, Some(block(1)));
        right &= last.is_none_or(|last| last < position);
        last = Some(position);
        power += all.set.get(validator).map_or(0, |validator| validator.power);
        signatures.push(CommitSignature { validator, signature });
    }
    let certificate = CommitCertificate { height: HEIGHT, round, block: block(1), signatures };
    let accepted = certificate.verify(&CHAIN, HEIGHT, &block(1), &all.set).is_ok();
    assert_eq!(accepted, right && power * 3 > POWERS.iter().sum::<u64>() * 2, "{certificate:?}");
    assert!(certificate.verify(&CHAIN, HEIGHT, &block(2), &all.set).is_err());
    assert_eq!(CommitCertificate::from_bytes(&certificate.to_bytes()).as_ref(), Ok(&certificate));
    accepted
}

fn equivocation(all: &Signatures, script: &mut Script<'_>) -> bool {
    let who = script.choice(all.of.len());
    let (kind, round) = (all.said[script.choice(all.said.len())].0, u32::from(script.byte() % 2));
    let mut right = true;
    let mut votes = [0, 1].map(|_| {
        let (signer, (its_kind, its_round, block), signature) = all.pick(script);
        right &= (signer, its_kind, its_round) == (who, kind, round);
        SignedVote { block, signature }
    });
    votes.sort_by_key(|vote| vote.block);
    right &= votes[0].block != votes[1].block;
    let validator = all.set.validators()[who].key;
    let equivocation = Equivocation::votes(validator, HEIGHT, round, kind, votes);
    let accepted = equivocation.verify(&CHAIN, &all.set).is_ok();
    assert_eq!(accepted, right, "{equivocation:?}");
    assert_eq!(Equivocation::from_bytes(&equivocation.to_bytes()).as_ref(), Ok(&equivocation));
    accepted
}

fn seeds() -> Vec<Vec<u8>> {
    let commit = |signers: &[u8]| {
        // Precommit, round 0, block 1: the eighth of what is said.
        let one = |signer: &u8| [*signer, 0, 7, 0, *signer];
        [vec![0, 0], signers.iter().flat_map(one).collect()].concat()
    };
    vec![
        commit(&[0, 1, 2, 3, 4]),
        commit(&[2, 3, 4]),
        commit(&[0, 1]),
        vec![1, 2, 0, 0, 0, 0, 2, 0, 1, 0, 2, 0, 2, 0],
    ]
}
