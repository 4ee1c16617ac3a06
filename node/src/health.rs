//! How the node is, in a few numbers that RPC, metrics and readiness share.

use std::fmt;
use std::sync::Arc;

/// How the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether it decides blocks with other validators.
    pub deciding: bool,
    /// Whether it is behind the others, or does not know yet.
    pub syncing: bool,
    /// The highest block that others claim to have.
    pub target: u64,
    /// Connected peers.
    pub peers: usize,
    /// Whether it needs peers to be of use: nobody but a network's only validator does without.
    pub needs_peers: bool,
}

/// Tells how the node is, at any time.
#[derive(Clone)]
pub struct HealthSource(Arc<dyn Fn() -> Health + Send + Sync>);

impl HealthSource {
    /// Wraps what looks.
    pub fn new(look: impl Fn() -> Health + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
    /// How the node is now.
    pub fn now(&self) -> Health {
        (self.0)()
    }
}

impl fmt::Debug for HealthSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}
