//! How a node answers while something is done to it: a client of its own asks for the node's status, or whether it is
//! alive, again and again, and keeps how long each answer took.

use super::stand_in::Answers;
use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_api::SealpostRpcClient;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Pause between an answer and the next question, where what the questions cost does not matter.
pub const OFTEN: Duration = Duration::from_millis(5);
/// A node that takes longer to say that it is alive is not well, on a machine however slow.
const ALIVE_WITHIN: Duration = Duration::from_secs(60);

/// Questions that go on until they are stopped.
#[derive(Debug)]
pub struct Pulse {
    stop: Arc<Notify>,
    asking: JoinHandle<Result<Vec<Duration>, String>>,
}

impl Pulse {
    /// Begins to ask, with that pause between an answer and the next question. Each answer has to come within that time.
    pub fn start(rpc: &str, within: Duration, pause: Duration) -> Self {
        let client = HttpClientBuilder::default().request_timeout(within).build(rpc).expect("a URL");
        Self::of(pause, move || {
            let client = client.clone();
            async move { client.node_status().await.map(drop).map_err(|error| error.to_string()) }
        })
    }
    /// Begins to ask the address for metrics and health, as whatever supervises a node does. Each answer has to come
    /// within a minute.
    pub fn of_health(metrics: &str, pause: Duration) -> Self {
        let address = metrics.to_owned();
        Self::of(pause, move || {
            let address = address.clone();
            async move {
                match tokio::time::timeout(ALIVE_WITHIN, is_alive(&address)).await {
                    Ok(Ok(true)) => Ok(()),
                    Ok(Ok(false)) => Err("the node is not alive, it says".to_owned()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("no answer in time".to_owned()),
                }
            }
        })
    }
    fn of<F>(pause: Duration, ask: impl (Fn() -> F) + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let asking = tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let since = Instant::now();
                ask().await?;
                took.push(since.elapsed());
                tokio::select! {
                    () = stopped.notified() => return Ok(took),
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
        Self { stop, asking }
    }
    /// Asks no more. An error if a question found no answer in time.
    pub async fn stop(self) -> Result<Answers, String> {
        self.stop.notify_one();
        let mut took = self.asking.await.map_err(|error| error.to_string())??;
        took.sort();
        Ok(Answers { count: took.len(), took })
    }
}

/// Whether `/livez` says that the node is alive.
async fn is_alive(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /livez HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
