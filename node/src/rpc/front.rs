//! What stands before the server: whether a request is for this node, and whom it comes from. What is inside finds the
//! [`Caller`] among a request's extensions.

use super::limits::{Caller, Meters, Way};
use super::refusals;
use jsonrpsee::core::BoxError;
use jsonrpsee::core::http_helpers::Body;
use jsonrpsee::server::{HttpRequest, HttpResponse, ws};
use sealpost_api::{ApiError, Category};
use sealpost_http::{Client, Count, Foreign, Incoming, Peer, Room};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// The service of one connection.
#[derive(Debug, Clone)]
pub(super) struct Front<S> {
    pub(super) inner: S,
    pub(super) peer: Peer,
    pub(super) meters: Arc<Meters>,
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
        if way == Way::Socket {
            let places = meters.requests.clone();
            peer.flow.become_socket(Room { places, client, time: meters.request_time });
        }
        request.extensions_mut().insert(Caller { client, flow: peer.flow.clone(), way });
        let answer = self.inner.call(request.map(Body::new));
        Box::pin(async move { Ok(answer.await?.map(Body::new)) })
    }
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
