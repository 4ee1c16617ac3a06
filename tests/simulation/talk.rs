//! What machines tell one another: what validators say, transactions, how far they are, and blocks of the past.

use crate::counts::Kind;
use crate::disk::Disk;
use crate::judge::Broken as NotHeld;
use crate::trace::fact;
use crate::world::{ASKED, Event, World};
use bytes::Bytes;
use sealpost_node::consensus::Disk as _;
use sealpost_node::consensus::simulation::{Message, Replica, Said, said};
use sealpost_node::store::Maker;
use sealpost_node::wire::TransactionMessage;
use std::sync::Arc;

impl World {
    /// What a machine says to all others; one that breaks the rules may say something else.
    pub(crate) fn publish(&mut self, which: usize, message: Message) -> Result<(), NotHeld> {
        if let Some(said) = said(&message) {
            let block = said.block.map_or(0, |block| fact(block.as_bytes()));
            self.note(&[3, which as u64, said.height.get(), said.round.into(), block], || {
                let block = said.block.map_or("none".to_owned(), |block| block.to_string());
                format!("{which} says {} {}/{} {block:.10}", said.kind, said.height, said.round)
            });
            self.clear_foisted(which, said);
            if self.machines[which].honest {
                self.counts.one(Kind::Work, "votes and proposals of honest validators");
                self.check_foisted(which, said)?;
                self.judge.check_said(said)?;
            }
        }
        self.recorded.keep(&message, &mut self.random);
        if !self.machines[which].honest && self.machines[which].zeal > 0 {
            return self.misbehave(which, message);
        }
        self.tell_others(which, |from, to| Event::Message { from, to, message: message.clone() });
        Ok(())
    }
    /// A block that was made in another's name may have been made by that one, too, the same to the last byte: then
    /// whoever made it, be it the second machine with that key, has it marked so on its disk before it proposes it.
    fn clear_foisted(&mut self, which: usize, said: Said) {
        let Some(block) = said.block.filter(|block| self.judge.is_foisted(block)) else { return };
        let kept = self.machines[which].disk.proposals_at(said.height);
        if kept.iter().any(|kept| kept.block.hash() == block && kept.maker == Maker::Own) {
            self.judge.clear(&block);
        }
    }
    /// Else it is nobody's.
    fn check_foisted(&self, which: usize, said: Said) -> Result<(), NotHeld> {
        let Some(block) = said.block.filter(|block| self.judge.is_foisted(block)) else { return Ok(()) };
        Err(format!("node {which} says {} for {block}, which another made in a name not its own", said.kind))
    }
    pub(crate) fn tell_others(&mut self, from: usize, event: impl Fn(usize, usize) -> Event) {
        for to in (0..self.machines.len()).filter(|to| *to != from) {
            self.carry(from, to, &event);
        }
    }
    pub(crate) fn carry(&mut self, from: usize, to: usize, event: impl Fn(usize, usize) -> Event) {
        for after in self.network.carry(from, to, &mut self.random, &mut self.counts) {
            self.after(after, event(from, to));
        }
    }
    pub(crate) fn send(&mut self, from: usize, to: usize, message: &Message) {
        self.carry(from, to, |from, to| Event::Message { from, to, message: message.clone() });
    }

    /// A transaction reaches a machine, which tells the others if it is new.
    pub(crate) fn tell(&mut self, to: usize, told: &Arc<TransactionMessage>) -> Result<(), NotHeld> {
        if self.machines[to].replica.is_none() {
            return Ok(());
        }
        let id = told.transaction.id();
        let genesis = &self.genesis;
        let verified = self
            .verified
            .entry(id)
            .or_insert_with(|| told.transaction.clone().verify(told.body.clone(), genesis).ok());
        let Some(verified) = verified.clone() else { return Ok(()) };
        if self.machines[to].admit(verified) {
            self.counts.one(Kind::Work, "transactions taken into a mempool");
            self.tell_others(to, |_, to| Event::Transaction { to, told: told.clone() });
        }
        self.judge.check_mempool(to, &self.machines[to].pool)?;
        self.arm(to);
        Ok(())
    }
    pub(crate) fn answer(&mut self, which: usize, to: usize, question: &Bytes) -> Result<(), NotHeld> {
        let Some(replica) = &self.machines[which].replica else { return Ok(()) };
        let Some((from, count)) = Replica::<Disk>::asked(question) else { return Ok(()) };
        let Ok(mut answer) = replica.history(from, count.min(ASKED)) else { return Ok(()) };
        if self.is_tempted(which) {
            answer = self.false_history(which, from, &answer);
        }
        self.carry(which, to, |from, to| Event::Answer { from, to, answer: answer.clone() });
        Ok(())
    }
}
