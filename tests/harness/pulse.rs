//! How a node answers while something is done to it: a client of its own asks for the node's status every few
//! milliseconds, and keeps how long each answer took.

use super::stand_in::Answers;
use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_api::SealpostRpcClient;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Pause between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(5);
/// A node that takes longer is not well.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Questions that go on until they are stopped.
#[derive(Debug)]
pub struct Pulse {
    stop: Arc<Notify>,
    asking: JoinHandle<Result<Vec<Duration>, String>>,
}

impl Pulse {
    /// Begins to ask.
    pub fn start(rpc: &str) -> Self {
        let client = HttpClientBuilder::default().request_timeout(ANSWER_WITHIN).build(rpc).expect("a URL");
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let asking = tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let since = Instant::now();
                client.node_status().await.map_err(|error| error.to_string())?;
                took.push(since.elapsed());
                tokio::select! {
                    () = stopped.notified() => return Ok(took),
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        });
        Self { stop, asking }
    }
    /// Asks no more. An error if a question found no answer within five seconds.
    pub async fn stop(self) -> Result<Answers, String> {
        self.stop.notify_one();
        let mut took = self.asking.await.map_err(|error| error.to_string())??;
        took.sort();
        Ok(Answers { count: took.len(), took })
    }
}
