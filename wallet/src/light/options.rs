//! How nodes are asked: for how long, for how much postage, where proofs of contradiction are kept, and who hears what
//! happens meanwhile.

use super::LightError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for an answer unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// Expected hashes that are accepted as postage unless told otherwise: some minutes of work.
pub const MAX_POSTAGE: u64 = 1 << 33;

/// What is to be told while nodes are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something a node said does not hold; another node is asked.
    Lie(LightError),
    /// One of several nodes does not answer any more: what it says is not compared with what the others say.
    Away(LightError),
    /// A node is passed over, or what the nodes agree on: for those who want to know.
    Detail(String),
}

/// Who hears [`Notice`]s.
#[derive(Clone, Default)]
pub struct Listener(Option<Arc<Hear>>);

type Hear = dyn Fn(&Notice) + Send + Sync;

impl Listener {
    /// Calls that.
    pub fn new(hear: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }
    pub(super) fn tell(&self, notice: &Notice) {
        if let Some(hear) = &self.0 {
            hear(notice);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener(somebody)" } else { "Listener(nobody)" })
    }
}

/// How nodes are asked.
#[derive(Debug, Clone)]
pub struct LightOptions {
    /// Longest wait for an answer.
    pub patience: Duration,
    /// Expected hashes that are accepted as postage of one transaction.
    pub max_postage: u64,
    /// Folder in which proofs of contradiction are kept; nowhere if none is given.
    pub contradictions: Option<PathBuf>,
    /// Who hears what happens meanwhile.
    pub listener: Listener,
}

impl Default for LightOptions {
    fn default() -> Self {
        Self {
            patience: PATIENCE,
            max_postage: MAX_POSTAGE,
            contradictions: None,
            listener: Listener::default(),
        }
    }
}
