//! Accepts connections: so many at once and no more, so many of each client, each with a time limit for the first word,
//! for the head of a request, so that nobody holds one by sending it a byte at a time, and for the reader of an answer,
//! so that nobody holds one by taking nothing. (Neither axum's own loop nor jsonrpsee's has these.)

use crate::connection::{Connection, Flow};
use crate::{Client, Full, Place, Places, is_trusted};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Most header lines of a request.
const MAX_HEADERS: usize = 64;
/// Largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Refused connections that are waited for at once, until the client has taken the refusal; others are just closed.
const REFUSALS: usize = 64;
/// Longest time for a client to take its refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// Pause after the system refused a connection, usually because too many files are open.
const PAUSE: Duration = Duration::from_millis(200);

/// Who is let in.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Connections at once; who comes after that waits.
    pub connections: usize,
    /// Connections of one client at once; those of trusted proxies are not counted.
    pub per_client: usize,
    /// So many of all are for programs on this machine ([`Client::is_here`]), and those are not counted by client; without
    /// a number they are clients like any other.
    pub reserve: Option<usize>,
    /// Proxies, whose connections are many clients': they bound them themselves.
    pub trusted_proxies: Vec<IpNet>,
    /// Calls that may be under way on one connection before it is read on ([`Flow::begin`]).
    pub calls_per_connection: usize,
    /// How long who is waited for.
    pub patience: Patience,
    /// What a client is told that has as many connections as it may.
    pub full_for_client: Refusal,
    /// What a client is told for whom no connection is left.
    pub full_for_all: Refusal,
}

/// How long clients are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the first byte of a connection.
    pub first: Duration,
    /// For the head of a request, and for the next one on the same connection.
    pub head: Duration,
    /// For a reader that takes nothing of what waits for it.
    pub taking: Duration,
    /// For the end of what is under way when the server stops.
    pub parting: Duration,
}

/// The answer to whoever is not let in, whatever was asked.
#[derive(Debug, Clone)]
pub struct Refusal(Arc<[u8]>);

impl Refusal {
    /// With a status such as `429 Too Many Requests`, the type of the body, and the body. It says to come back soon.
    pub fn new(status: &str, content_type: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
             cache-control: no-store\r\nretry-after: 5\r\nconnection: close\r\n\r\n{body}"
        );
        Self(text.into_bytes().into())
    }
}

/// Counts connections.
pub trait Count {
    /// What is held as long as a connection is open.
    type Open: Send + 'static;
    /// One was opened.
    fn opened(&self) -> Self::Open;
    /// One was refused.
    fn refused(&self);
}

/// A connection that was let in, for whoever answers on it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// What is under way on it.
    pub flow: Arc<Flow>,
}

/// Lets clients in until it is told to stop, gives each connection a service, and waits in the end until what is being
/// answered has been, or its time is over.
pub async fn serve<S, B>(
    listener: TcpListener,
    doors: &Doors,
    count: impl Count,
    stop: CancellationToken,
    service: impl Fn(&Peer) -> S,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let gate = Gate::new(doors);
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let (open, mut all_ended) = mpsc::channel::<()>(1);
    loop {
        // Who comes when all places are taken waits in the system's queue.
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                let place = gate.all.clone().acquire_owned().await.ok()?;
                Some((listener.accept().await, place))
            } => accepted,
        };
        let Some((accepted, place)) = accepted else { break };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let own = match gate.enter(address.ip(), doors) {
            Ok(own) => own,
            Err(full) => {
                count.refused();
                let refusal = match full {
                    Full::ForClient => &doors.full_for_client,
                    Full::ForAll => &doors.full_for_all,
                };
                refuse(stream, refusal.clone(), &refusals);
                continue;
            }
        };
        // An answer is not held back for what may follow it. Fails for who has gone already.
        let _ = stream.set_nodelay(true);
        let held = Box::new((place, own, count.opened()));
        let Patience { first, head, taking, parting } = doors.patience;
        let peer = Peer { address, flow: Flow::new(doors.calls_per_connection) };
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(head);
        builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
        let service = TowerToHyperService::new(service(&peer));
        let ending = stop.clone();
        let first = async move {
            // A connection that has said nothing yet is not idle to hyper, and would hold up the end.
            let _ = tokio::time::timeout(first, ending.cancelled()).await;
        };
        let stream = TokioIo::new(Connection::new(stream, peer.flow, first, taking, held));
        let connection = builder.serve_connection(stream, service).with_upgrades();
        let (stop, open) = (stop.clone(), open.clone());
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    match tokio::time::timeout(parting, connection).await {
                        Ok(ended) => ended,
                        Err(_) => Ok(()),
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke off");
            }
            drop(open);
        });
    }
    drop((listener, open));
    // Nothing is ever sent: it ends with the last connection.
    let _ = all_ended.recv().await;
}

/// What is counted at the door.
struct Gate {
    all: Arc<Semaphore>,
    /// Those who are not on this machine, if it has a reserve.
    strangers: Option<Arc<Semaphore>>,
    clients: Places,
}

impl Gate {
    fn new(doors: &Doors) -> Self {
        let all = doors.connections.min(Semaphore::MAX_PERMITS);
        let strangers = doors.reserve.map(|reserve| Arc::new(Semaphore::new(all.saturating_sub(reserve))));
        // Those of all are counted by the semaphores.
        let clients = Places::new(usize::MAX, doors.per_client);
        Self { all: Arc::new(Semaphore::new(all)), strangers, clients }
    }
    /// A place for a client's connection.
    fn enter(
        &self,
        peer: IpAddr,
        doors: &Doors,
    ) -> Result<(Option<Place>, Option<OwnedSemaphorePermit>), Full> {
        let (client, is_proxy) = (Client::new(peer), is_trusted(peer, &doors.trusted_proxies));
        if self.strangers.is_some() && client.is_here() && !is_proxy {
            return Ok((None, None));
        }
        let own = match is_proxy {
            true => None,
            false => Some(self.clients.enter(client)?),
        };
        let strangers = self.strangers.clone().map(Semaphore::try_acquire_owned);
        Ok((own, strangers.transpose().map_err(|_| Full::ForAll)?))
    }
}

/// Says why the connection is closed, and closes it. What the client sends meanwhile is thrown away: closed over unread
/// bytes, a connection ends with a reset, and the client may not see what was said.
fn refuse(mut stream: TcpStream, refusal: Refusal, refusals: &Arc<Semaphore>) {
    let Ok(waiting) = refusals.clone().try_acquire_owned() else { return };
    tokio::spawn(async move {
        let said = async {
            stream.write_all(&refusal.0).await?;
            stream.shutdown().await?;
            let mut ignored = [0; 1024];
            while stream.read(&mut ignored).await? > 0 {}
            std::io::Result::Ok(())
        };
        // Whoever broke off needs no reason.
        let _ = tokio::time::timeout(REFUSAL_TIME, said).await;
        drop(waiting);
    });
}

#[cfg(test)]
mod tests;
