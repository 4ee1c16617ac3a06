//! What stands before the server: whether a request is for this node, and whom it comes from. What is inside finds the
//! [`Caller`] among a request's extensions.

use super::limits::{Caller, Meters, Way};
use super::refusals;
use jsonrpsee::core::BoxError;
use jsonrpsee::core::http_helpers::Body;
use jsonrpsee::server::{HttpRequest, HttpResponse, ws};
use sealpost_api::{ApiError, Category};
use sealpost_http::{Client, Count, Foreign, Incoming, Peer, Room, TooEarly};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// The status of an answer with which a connection becomes a WebSocket.
const SWITCHING_PROTOCOLS: u16 = 101;

/// The service of one connection.
#[derive(Debug, Clone)]
pub(super) struct Front<S> {
    pub(super) inner: S,
    pub(super) peer: Peer,
    pub(super) meters: Arc<Meters>,
    /// Longest message over a WebSocket, in bytes.
    pub(super) longest: usize,
}

impl<S, B> Service<HttpRequest<Incoming>> for Front<S>
where
    S: Service<HttpRequest, Response = HttpResponse<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }
    fn call(&mut self, mut request: HttpRequest<Incoming>) -> Self::Future {
        let Self { peer, meters, .. } = self;
        if let Err(foreign) = meters.names.check(request.headers()) {
            return Box::pin(std::future::ready(refused(&foreign)));
        }
        let client = Client::of(peer.address.ip(), request.headers(), &meters.trusted_proxies);
        let way = match ws::is_upgrade_request(&request) {
            true => Way::Socket,
            false => Way::Request,
        };
        // Its body would come after the answer, where messages are looked for.
        if way == Way::Socket && has_body(&request) {
            return Box::pin(std::future::ready(hasty(TooEarly)));
        }
        let flow = peer.flow.clone();
        let room = (way == Way::Socket).then(|| {
            let places = meters.requests.clone();
            Room { places, client, time: meters.request_time, longest: self.longest }
        });
        let answers = meters.answers.clone();
        request.extensions_mut().insert(Caller { client, flow: flow.clone(), way, answers });
        let answer = self.inner.call(request.map(Body::new));
        Box::pin(async move {
            let answer = answer.await?.map(Body::new);
            // Not before: what asks to become a WebSocket and is refused stays what it is, and another client's request
            // may come on it next.
            if answer.status().as_u16() == SWITCHING_PROTOCOLS
                && let Some(room) = room
                && let Err(early) = flow.become_socket(room)
            {
                return hasty(early);
            }
            Ok(answer)
        })
    }
}

/// Whether a request says that a body belongs to it.
fn has_body<B>(request: &HttpRequest<B>) -> bool {
    let headers = request.headers();
    let has_length = headers.get_all("content-length").iter().any(|length| length != "0");
    has_length || headers.contains_key("transfer-encoding")
}

/// The answer to a client that speaks before its turn.
fn hasty(early: TooEarly) -> Result<HttpResponse, BoxError> {
    let error = ApiError::new(Category::Input, "input.malformed", early);
    refusals::answer(400, error.help("wait for the answer 101 before the first message"))
}

/// The words that whoever runs this node looks for.
fn refused(foreign: &Foreign) -> Result<HttpResponse, BoxError> {
    let (code, setting) = match foreign {
        Foreign::Host(_) => ("rpc.host", "rpc.hosts"),
        Foreign::Origin(_) => ("rpc.origin", "rpc.origins"),
    };
    refusals::count(code);
    let help = format!("`{setting}` in node.toml names those that are answered");
    refusals::answer(403, ApiError::new(Category::Input, code, foreign).help(help))
}

/// Counts connections.
#[derive(Debug)]
pub(super) struct Counter;

/// Held as long as a connection is open.
#[derive(Debug)]
pub(super) struct Open;

impl Count for Counter {
    type Open = Open;
    fn opened(&self) -> Open {
        metrics::gauge!("sealpost_rpc_connections").increment(1.0);
        Open
    }
    fn refused(&self) {
        refusals::count("rpc.connections");
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("sealpost_rpc_connections").decrement(1.0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::rpc::{Limits, doors};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    const UPGRADE: &[u8] =
        b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

    /// What is answered to a request to become a WebSocket that the service inside answers with this status, and whether
    /// the connection is one then.
    async fn asked(inside: u16, request: &[u8]) -> (String, bool) {
        let limits = Limits::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stop, (peers, mut came)) = (CancellationToken::new(), mpsc::unbounded_channel());
        let _stop = stop.clone().drop_guard();
        tokio::spawn(async move {
            let meters = Arc::new(Meters::new(&limits, 1000, 1000));
            let service = |peer: &Peer| {
                peers.send(peer.clone()).unwrap();
                let inner = tower::service_fn(move |_: HttpRequest| async move {
                    Ok::<_, BoxError>(HttpResponse::builder().status(inside).body(Body::default()).unwrap())
                });
                Front { inner, peer: peer.clone(), meters: meters.clone(), longest: 1000 }
            };
            sealpost_http::serve(listener, &doors(&limits), Counter, stop, service).await;
        });
        client.write_all(request).await.unwrap();
        let mut status = [0; 12];
        client.read_exact(&mut status).await.unwrap();
        let peer = came.recv().await.unwrap();
        (String::from_utf8(status.to_vec()).unwrap(), peer.flow.is_socket())
    }

    #[tokio::test]
    async fn only_what_becomes_a_socket_is_counted_as_one() {
        assert_eq!(asked(101, UPGRADE).await, ("HTTP/1.1 101".to_owned(), true));
        assert_eq!(asked(403, UPGRADE).await, ("HTTP/1.1 403".to_owned(), false));
        assert_eq!(asked(200, b"GET / HTTP/1.1\r\n\r\n").await, ("HTTP/1.1 200".to_owned(), false));
        let with_body = [&UPGRADE[..UPGRADE.len() - 2], b"content-length: 1\r\n\r\n"].concat();
        assert_eq!(asked(101, &with_body).await, ("HTTP/1.1 400".to_owned(), false));
        let early = [UPGRADE, &[0x81, 0x80, 1, 2, 3, 4]].concat();
        assert_eq!(asked(101, &early).await, ("HTTP/1.1 400".to_owned(), false));
    }
}
