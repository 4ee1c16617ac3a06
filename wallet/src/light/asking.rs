//! Asking in turn: the next node when one gives no answer that holds; which error is told if none does; and the
//! keeping of what proves a contradiction.

use super::node::{Node, Standing};
use super::{Change, Light, LightError, Notice};
use sealpost_api::verify::ValidatorHistory;
use sealpost_ledger::hash::TransactionId;

impl Light {
    /// What a node said does not hold with something else it said; of several nodes the first is named.
    pub(super) fn untrusted(&self, what: impl Into<String>, reason: impl ToString) -> LightError {
        LightError::Untrusted { url: self.url().into(), what: what.into(), reason: reason.to_string() }
    }
    /// The error of a transaction that was called final and is not shown.
    pub(crate) fn not_final(&self, id: &TransactionId) -> LightError {
        let reason = "it calls it final, and shows no such transaction";
        self.untrusted(format!("the submission of {id}"), reason)
    }
    /// The nodes, those first that are to be relied on.
    pub(super) fn in_order(&self) -> Vec<&Node> {
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| node.standing());
        nodes
    }
    /// Asks the nodes in turn until one gives an answer that holds.
    pub(super) async fn through<'a, T, F, A>(&'a self, ask: F) -> Result<T, LightError>
    where
        F: Fn(&'a Node) -> A,
        A: Future<Output = Result<T, LightError>>,
    {
        let mut errors: Vec<(&Node, LightError)> = Vec::new();
        for node in self.in_order() {
            match ask(node).await {
                Ok(answer) => {
                    errors.iter().for_each(|(node, error)| self.hear(node, error));
                    return Ok(answer);
                }
                Err(error) if error.is_contradiction() => return Err(self.keep(error).await),
                Err(error) => errors.push((node, error)),
            }
        }
        Err(self.worst(errors).await)
    }
    /// Of the errors of all nodes the one to tell; the others are heard.
    pub(super) async fn worst(&self, mut errors: Vec<(&Node, LightError)>) -> LightError {
        errors.sort_by_key(|(_, error)| std::cmp::Reverse(error.weight()));
        errors.iter().skip(1).for_each(|(node, error)| self.take_note(node, error, false));
        match errors.into_iter().next() {
            Some((_, error)) if error.is_contradiction() => self.keep(error).await,
            Some((_, error)) => error,
            // There is always a node.
            None => LightError::TooManyNodes { given: 0 },
        }
    }
    /// Remembers how a node stands after an error, while another one answered, and tells of it.
    pub(super) fn hear(&self, node: &Node, error: &LightError) {
        self.take_note(node, error, true);
    }
    fn take_note(&self, node: &Node, error: &LightError, another_answered: bool) {
        let standing = match error {
            LightError::Untrusted { .. } | LightError::OtherChain { .. } => Standing::Lying,
            LightError::Unreachable { .. } => Standing::Away,
            LightError::Behind { .. } => Standing::Behind,
            _ => Standing::Good,
        };
        let is_news = node.standing() < standing;
        if is_news {
            node.set_standing(standing);
        }
        match standing {
            Standing::Lying => self.options.listener.tell(&Notice::Lie(error.clone())),
            Standing::Away if is_news && another_answered => {
                self.options.listener.tell(&Notice::Away(error.clone()));
            }
            Standing::Good => self.tell_detail(format!("the node at {} said: {error}", node.url())),
            _ => self.tell_detail(error.to_string()),
        }
    }
    pub(super) fn tell_detail(&self, text: String) {
        self.options.listener.tell(&Notice::Detail(text));
    }
    /// Keeps the proof that an error holds: completed, so that the genesis suffices to check it.
    pub(super) async fn keep(&self, error: LightError) -> LightError {
        let LightError::Contradiction { mut proof, .. } = error else { return error };
        for statement in proof.statements_mut() {
            let founders = ValidatorHistory::new(self.genesis().clone());
            if statement.under(&founders).is_ok() {
                continue;
            }
            for node in self.in_order() {
                let mut history = founders.clone();
                let changes = node.changes(&mut history, Some(statement.height())).await;
                if let Ok(changes) = changes
                    && statement.under(&history).is_ok()
                {
                    statement.set_changes(changes.into_iter().map(Change::from).collect());
                    break;
                }
            }
        }
        let Some(folder) = &self.options.contradictions else {
            return LightError::Contradiction { proof, file: None };
        };
        match proof.keep(folder) {
            Ok(file) => LightError::Contradiction { proof, file: Some(file) },
            Err(failure) => {
                let text = format!("the proof could not be kept ({failure}): {}", proof.to_json());
                self.options.listener.tell(&Notice::Lie(LightError::Head(text)));
                LightError::Contradiction { proof, file: None }
            }
        }
    }
}
