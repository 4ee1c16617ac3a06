//! What machines do that break the rules. Each time they are tempted they do one thing or another, to some of the
//! others or to all of them.

use crate::counts::Kind;
use crate::judge::Broken as NotHeld;
use crate::machine::Waiting;
use crate::schedule::Broken;
use crate::world::World;
use bytes::Bytes;
use sealpost_ledger::block::Block;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_node::consensus::simulation::{Flaw, Message, Moment, said};
use sealpost_tests::harness::random::Random;
use std::collections::VecDeque;
use std::sync::Arc;

/// Messages that are remembered.
const REMEMBERED: usize = 64;

/// What was said, for those who say it again.
#[derive(Default)]
pub struct Recorded {
    messages: VecDeque<Message>,
    blocks: VecDeque<BlockHash>,
    last: Option<Arc<Block>>,
}

impl Recorded {
    /// Remembers some of what is said.
    pub fn keep(&mut self, message: &Message, random: &mut Random) {
        if let Some(block) = said(message).and_then(|said| said.block)
            && !self.blocks.contains(&block)
        {
            self.blocks.push_back(block);
            if self.blocks.len() > 6 {
                self.blocks.pop_front();
            }
        }
        if random.below(4) == 0 {
            self.messages.push_back(message.clone());
            if self.messages.len() > REMEMBERED {
                self.messages.pop_front();
            }
        }
    }
    /// A block has become final.
    pub fn keep_block(&mut self, block: &Arc<Block>) {
        self.last = Some(block.clone());
    }
}

impl World {
    /// Whether a machine breaks the rules this time.
    pub(crate) fn is_tempted(&mut self, which: usize) -> bool {
        let machine = &self.machines[which];
        !machine.honest && machine.zeal > 0 && self.random.below(100) < machine.zeal
    }
    /// Something that a machine which breaks the rules would have said.
    pub(crate) fn misbehave(&mut self, which: usize, message: Message) -> Result<(), NotHeld> {
        let everybody: Vec<usize> = (0..self.machines.len()).filter(|other| *other != which).collect();
        if !self.is_tempted(which) {
            for to in everybody {
                self.send(which, to, &message);
            }
            return Ok(());
        }
        let said = said(&message);
        let some = self.random.some_of(&everybody);
        let rest: Vec<usize> = everybody.iter().copied().filter(|to| !some.contains(to)).collect();
        // What binds its speaker is the best to lie with.
        let choice = if said.is_some() { self.random.below(16) } else { self.random.below(6) };
        match (choice, said) {
            (0, _) => self.counts.one(Kind::Misdeed, "messages withheld from all"),
            (1, _) => {
                self.counts.one(Kind::Misdeed, "messages withheld from some");
                for to in some {
                    self.send(which, to, &message);
                }
            }
            (2, _) => {
                let again = self.random.below(self.recorded.messages.len().max(1));
                if let Some(old) = self.recorded.messages.get(again).cloned() {
                    self.counts.one(Kind::Misdeed, "messages of others said again");
                    for to in &everybody {
                        self.send(which, *to, &old);
                    }
                }
                for to in everybody {
                    self.send(which, to, &message);
                }
            }
            (3, _) => {
                self.counts.one(Kind::Misdeed, "garbled messages");
                let garbled = self.garble(&message);
                for to in everybody {
                    self.send(which, to, &garbled);
                }
            }
            (_, Some(said)) if said.kind == "proposal" => {
                let flaw = match self.schedule.broken {
                    Some(Broken::Clock) => Flaw::Future,
                    _ => Flaw::ALL[self.random.below(Flaw::ALL.len())],
                };
                let other = self.other_proposal(which, &message, flaw);
                // Those who hear of the other block may be some, or all.
                let (deceived, others) =
                    if self.random.below(2) == 0 { (everybody, Vec::new()) } else { (some, rest) };
                if let Some(other) = other {
                    self.counts.one(Kind::Misdeed, name_of(flaw));
                    if matches!(flaw, Flaw::AnothersName | Flaw::AnothersNameAgain) {
                        let named = other.iter().find_map(announced);
                        self.judge.foist(named);
                    }
                    for to in deceived {
                        for message in &other {
                            self.send(which, to, message);
                        }
                    }
                }
                for to in others {
                    self.send(which, to, &message);
                }
            }
            (_, Some(_)) => {
                let known = self.recorded.blocks.len();
                let block = (known > 0).then(|| self.recorded.blocks[self.random.below(known)]);
                let other = self.machines[which].replica.as_ref();
                let other = other.and_then(|replica| replica.contradict(&message, block));
                for to in rest {
                    self.send(which, to, &message);
                }
                if let Some(other) = other {
                    self.counts.one(Kind::Misdeed, "double votes");
                    let both = self.random.below(2) == 0;
                    for to in some {
                        self.send(which, to, &other);
                        if both {
                            self.send(which, to, &message);
                        }
                    }
                }
            }
            _ => {
                self.counts.one(Kind::Misdeed, "messages withheld from some");
                for to in rest {
                    self.send(which, to, &message);
                }
            }
        }
        Ok(())
    }
    /// A machine that breaks the rules has a final block, and sends the next one in the name of whoever is to make it.
    pub(crate) fn foist(&mut self, which: usize) {
        // The controls do one thing alone.
        if self.schedule.broken.is_some() || !self.is_tempted(which) {
            return;
        }
        let (now, clock_ms) = (self.now, self.clock_ms(which));
        let machine = &mut self.machines[which];
        let at = Moment { now, clock_ms, pool: &Waiting(&machine.pool) };
        let made = machine.replica.as_mut().and_then(|replica| replica.propose_for_another(at));
        let Some((block, parts)) = made else { return };
        self.counts.one(Kind::Misdeed, "blocks sent early in another's name");
        self.judge.foist(Some(block));
        for to in (0..self.machines.len()).filter(|to| *to != which) {
            for part in &parts {
                self.send(which, to, part);
            }
        }
    }
    fn other_proposal(&mut self, which: usize, message: &Message, flaw: Flaw) -> Option<Vec<Message>> {
        let told = self.recorded.last.clone()?;
        let (now, clock_ms) = (self.now, self.clock_ms(which));
        let machine = &mut self.machines[which];
        let at = Moment { now, clock_ms, pool: &Waiting(&machine.pool) };
        machine.replica.as_mut()?.propose_otherwise(message, flaw, &told, at)
    }
    fn garble(&mut self, message: &Message) -> Message {
        let mut bytes = message.bytes().to_vec();
        match self.random.below(3) {
            0 => bytes.truncate(self.random.below(bytes.len().max(1))),
            1 if !bytes.is_empty() => {
                let at = self.random.below(bytes.len());
                bytes[at] ^= 1 << self.random.below(8);
            }
            _ => bytes = (0..self.random.below(300)).map(|_| self.random.next() as u8).collect(),
        }
        message.with(bytes)
    }
    /// What a liar answers to whoever catches up.
    pub(crate) fn false_history(&mut self, which: usize, from: BlockHeight, honest: &Bytes) -> Bytes {
        self.counts.one(Kind::Misdeed, "false answers to validators that catch up");
        let other = self.machines[which].replica.as_ref();
        match (self.random.below(3), other) {
            (0, Some(replica)) => {
                let other = BlockHeight::new(from.get().saturating_sub(1).max(1));
                replica.history(other, 3).unwrap_or_default()
            }
            (1, _) => Bytes::new(),
            _ => {
                let mut bytes = honest.to_vec();
                let at = self.random.below(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.random.below(8);
                }
                bytes.into()
            }
        }
    }
}

/// The block that a proposal is for.
fn announced(message: &Message) -> Option<BlockHash> {
    said(message)?.block
}

const fn name_of(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Rival => "second blocks of a round",
        Flaw::State => "blocks with a false state",
        Flaw::History => "blocks with a false history",
        Flaw::Parent => "blocks with a false parent",
        Flaw::Future => "blocks of the far future",
        Flaw::Past => "blocks older than their parent",
        Flaw::NextValidators => "blocks with false validators",
        Flaw::OtherBytes => "blocks other than announced",
        Flaw::Repeated => "blocks that repeat transactions",
        Flaw::Height => "blocks of another height",
        Flaw::AnothersName => "blocks in another's name",
        Flaw::AnothersNameAgain => "blocks in another's name, said to come again",
    }
}
