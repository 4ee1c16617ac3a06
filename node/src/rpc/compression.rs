//! Requests and answers in gzip, over HTTP. A request counts by its bytes as they are after unpacking: they are read
//! as they come out ([`receiving`](super::receiving)), and no further than the longest request there may be, so that a
//! small request that unpacks to a large one costs no more than any other. What is packed is bounded by the same
//! number: there is gzip that unpacks to nothing for ever.

use super::receiving::{Packed, ReceivingLayer};
use http_body_util::Limited;
use jsonrpsee::core::http_helpers::Body;
use jsonrpsee::server::HttpRequest;
use std::task::{Context, Poll};
use tower::layer::util::{Identity, Stack};
use tower::{Layer, Service, ServiceBuilder};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;

/// Around the server: receiving, unpacking, its bounds, packing.
type Layers = Stack<
    ReceivingLayer,
    Stack<RequestDecompressionLayer, Stack<BoundedLayer, Stack<CompressionLayer, Identity>>>,
>;

/// What unpacks requests, and packs answers for those who ask for it. Hexadecimal text shrinks to half of it even at
/// the fastest level.
pub(super) fn layers(receiving: ReceivingLayer) -> ServiceBuilder<Layers> {
    ServiceBuilder::new()
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(BoundedLayer { limit: receiving.limit })
        .layer(RequestDecompressionLayer::new())
        .layer(receiving)
}

/// Makes [`Bounded`].
#[derive(Debug, Clone, Copy)]
pub(super) struct BoundedLayer {
    limit: u32,
}

impl<S> Layer<S> for BoundedLayer {
    type Service = Bounded<S>;
    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded { inner, limit: self.limit }
    }
}

/// A service that reads no more than `limit` bytes of a packed request.
#[derive(Debug, Clone)]
pub(super) struct Bounded<S> {
    inner: S,
    limit: u32,
}

impl<S: Service<HttpRequest>> Service<HttpRequest> for Bounded<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }
    fn call(&mut self, mut request: HttpRequest) -> Self::Future {
        if !request.headers().contains_key("content-encoding") {
            return self.inner.call(request);
        }
        request.extensions_mut().insert(Packed);
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        self.inner.call(request.map(|body| Body::new(Limited::new(body, most))))
    }
}
