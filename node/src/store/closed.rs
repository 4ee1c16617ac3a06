//! Waiting for a store's end. Whoever stops a node asks for it before the parts that share the store end:
//! work that was handed to other threads may outlive the part that asked for it.

use super::Store;
use tokio::sync::watch;

/// The end of a store: the last clone of it is dropped, everything is closed and the directory is free.
/// Holds the store open no longer than its clones do.
#[derive(Debug)]
pub struct Closed(watch::Receiver<()>);

impl Closed {
    /// Waits for it.
    pub async fn wait(mut self) {
        // Nothing is ever sent: it is the sender's end that tells.
        while self.0.changed().await.is_ok() {}
    }
}

impl Store {
    /// The end of this store, to be waited for.
    pub fn closed(&self) -> Closed {
        Closed(self.0.open.subscribe())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::Chain;
    use super::super::{StoreError, StoreOptions};
    use super::*;
    use futures::FutureExt;
    use tempfile::TempDir;

    #[tokio::test]
    async fn a_store_is_closed_when_its_last_clone_is_gone_and_not_before() {
        let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
        let open = || Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default());
        let (store, _) = open().unwrap();
        let (clone, mut closed) = (store.clone(), Box::pin(store.closed().wait()));
        drop(store);
        assert!(closed.as_mut().now_or_never().is_none());
        assert!(matches!(open(), Err(StoreError::Locked { .. })));
        let last = std::thread::spawn(move || drop(clone));
        closed.await;
        open().unwrap();
        last.join().unwrap();
    }
}
