//! Comparing heads. Every node is asked for its head; the highest is taken if its history contains what was verified
//! before and the heads of all the others. Where it does not, and both are signed, that is a contradiction.

use super::head::Head;
use super::node::{Node, Standing};
use super::{Contradiction, Light, LightError, OtherHistory};
use futures::stream::{FuturesUnordered, StreamExt};
use sealpost_api::{BlockId, SealpostRpcClient, verify};
use sealpost_ledger::block::Header;
use sealpost_ledger::height::BlockHeight;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much longer than the first that answers the others are waited for.
const OTHERS: Duration = Duration::from_secs(5);

type Greeted<'a> = (&'a Node, Option<Header>);

impl Light {
    /// Verifies the nodes' heads, that they agree, and that their history contains the head known before; what is
    /// the newest then is known from then on.
    pub async fn sync_head(&self) -> Result<Option<Header>, LightError> {
        let (mut heads, mut errors) = (Vec::new(), Vec::new());
        for (node, answer) in self.greet_all().await {
            match answer {
                Ok(head) => heads.push((node, head)),
                Err(error) => errors.push((node, error)),
            }
        }
        loop {
            let best = heads.iter().enumerate().rev().max_by_key(|(_, (_, head))| height(head.as_ref()));
            let Some((at, (node, head))) = best.map(|(at, (node, head))| (at, (*node, head.clone()))) else {
                return Err(self.worst(errors).await);
            };
            let Some(head) = head else { break };
            match self.check_head(node, &head, &heads).await {
                Ok(()) => break,
                Err(error) => errors.push((node, error)),
            }
            heads.remove(at);
        }
        let best = heads.iter().map(|(_, head)| height(head.as_ref())).max().unwrap_or_default();
        for (node, head) in &heads {
            if node.standing() != Standing::Lying {
                let behind = height(head.as_ref()) < best;
                node.set_standing(if behind { Standing::Behind } else { Standing::Good });
            }
        }
        if let Some(at) = errors.iter().position(|(_, error)| error.is_contradiction()) {
            return Err(self.keep(errors.swap_remove(at).1).await);
        }
        for (node, error) in &errors {
            self.hear(node, error);
        }
        if self.nodes.len() > 1 {
            let (answered, all) = (heads.len(), self.nodes.len());
            self.tell_detail(format!("{answered} of {all} nodes agree; the newest block is {best}"));
        }
        let head = heads.into_iter().find_map(|(_, head)| head.filter(|head| head.height == best));
        if let Some(header) = head.as_ref().filter(|head| head.height > self.known.head.height()) {
            let shown = self.known.statement(header);
            let sets = self.known.validators().known();
            self.known.head.set(Head { height: header.height, block: header.hash(), shown }, sets)?;
        }
        Ok(head)
    }
    /// Asks every node; those that take much longer than the first are not waited for.
    async fn greet_all(&self) -> Vec<(&Node, Result<Option<Header>, LightError>)> {
        let mut asked: FuturesUnordered<_> =
            self.nodes.iter().enumerate().map(|(at, node)| async move { (at, node.greet().await) }).collect();
        let mut answers: Vec<_> = self.nodes.iter().map(|node| (node, None)).collect();
        let mut until = None;
        loop {
            let next = match until {
                None => asked.next().await,
                Some(until) => timeout_at(until, asked.next()).await.unwrap_or_default(),
            };
            let Some((at, answer)) = next else { break };
            if answer.is_ok() {
                until.get_or_insert_with(|| Instant::now() + OTHERS);
            }
            if let Some((_, slot)) = answers.get_mut(at) {
                *slot = Some(answer);
            }
        }
        let late = |node: &Node| LightError::Unreachable {
            url: node.url().into(),
            reason: format!("no answer within {} s of another node's", OTHERS.as_secs()),
        };
        answers.into_iter().map(|(node, answer)| (node, answer.unwrap_or_else(|| Err(late(node))))).collect()
    }
    /// That the history of a node's head contains the head known before and the heads of the others.
    async fn check_head(&self, node: &Node, head: &Header, all: &[Greeted<'_>]) -> Result<(), LightError> {
        if let Some(known) = self.known.head.get() {
            node.check_history(&known, head).await?;
        }
        for (_, other) in all {
            if let Some(other) = other.as_ref().filter(|other| *other != head) {
                let shown = self.known.statement(other);
                let other = Head { height: other.height, block: other.hash(), shown };
                node.check_history(&other, head).await?;
            }
        }
        Ok(())
    }
}

fn height(head: Option<&Header>) -> BlockHeight {
    head.map_or(BlockHeight::GENESIS, |head| head.height)
}

impl Node {
    /// That the history of a verified head contains an earlier block, or is that block.
    async fn check_history(&self, earlier: &Head, head: &Header) -> Result<(), LightError> {
        let what = format!("the history of block {}", head.height);
        if earlier.height == head.height {
            if earlier.block == head.hash() {
                return Ok(());
            }
            // With both headers at hand it was noticed before.
            let reason = format!("{} was final at this height before", earlier.block);
            return Err(self.untrusted(format!("block {}", head.height), reason));
        }
        let call = self.client.proof_history(BlockId::Height(earlier.height), Some(head.height));
        let proof = self.ask(call).await?;
        let Err(error) = verify::verify_history(&proof, &earlier.block, earlier.height, head) else {
            return Ok(());
        };
        let told = Header::from_bytes(proof.block.header.as_bytes()).ok().filter(|told| {
            let block = told.hash();
            block != earlier.block && verify::verify_history(&proof, &block, earlier.height, head).is_ok()
        });
        if let (Some(told), Some(before), Some(after)) =
            (told, earlier.shown.clone(), self.known.statement(head))
        {
            let history = OtherHistory { block: told.hash(), path: proof.path };
            let proof = Contradiction::new(self.genesis(), before, after, Some(history));
            return Err(LightError::Contradiction { proof: Box::new(proof), file: None });
        }
        Err(self.untrusted(what, format!("block {} is not in it: {error}", earlier.block)))
    }
}
