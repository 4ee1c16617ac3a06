//! Requests and answers in gzip, over HTTP. A request counts by its bytes as they are after unpacking: they are read
//! as they come out, and no further than the longest request there may be, so that a small request that unpacks to
//! a large one costs no more than any other. What is packed is bounded by the same number: there is gzip that
//! unpacks to nothing for ever.

use http_body_util::Limited;
use jsonrpsee::core::{BoxError, http_helpers::Body};
use jsonrpsee::server::{HttpRequest, HttpResponse};
use jsonrpsee::types::ErrorObjectOwned;
use sealpost_api::{ApiError, Category};
use serde_json::json;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::layer::util::{Identity, Stack};
use tower::{Layer, Service, ServiceBuilder};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;

/// Around the server: unpacking, its bounds, packing.
type Layers = Stack<RequestDecompressionLayer, Stack<BoundedLayer, Stack<CompressionLayer, Identity>>>;

/// What unpacks requests of at most `limit` bytes, and packs answers for those who ask for it. Hexadecimal text
/// shrinks to half of it even at the fastest level.
pub(super) fn layers(limit: u32) -> ServiceBuilder<Layers> {
    ServiceBuilder::new()
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(BoundedLayer { limit })
        .layer(RequestDecompressionLayer::new())
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

/// A service that reads no more than `limit` bytes of a packed request, and says in words what was wrong with one
/// that could not be unpacked.
#[derive(Debug, Clone)]
pub(super) struct Bounded<S> {
    inner: S,
    limit: u32,
}

impl<S, B> Service<HttpRequest> for Bounded<S>
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
    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let limit = self.limit;
        if !request.headers().contains_key("content-encoding") {
            let answer = self.inner.call(request);
            return Box::pin(async move { Ok(answer.await?.map(Body::new)) });
        }
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let answer = self.inner.call(request.map(|body| Body::new(Limited::new(body, most))));
        Box::pin(async move {
            let answer = answer.await?;
            // The server fails over HTTP for no other reason than a body that can't be read to its end.
            match answer.status().is_server_error() {
                true => unreadable(limit),
                false => Ok(answer.map(Body::new)),
            }
        })
    }
}

/// The answer to a request that is no gzip, or too long.
fn unreadable(limit: u32) -> Result<HttpResponse, BoxError> {
    let message =
        format!("the request is no gzip, or longer than {limit} bytes, which it may be when unpacked");
    let error = ApiError::new(Category::Input, "input.malformed", message)
        .help("send fewer transactions in one call, or nothing packed");
    let answer = json!({ "jsonrpc": "2.0", "id": null, "error": ErrorObjectOwned::from(error) });
    let response = HttpResponse::<()>::builder().status(400).header("content-type", "application/json");
    Ok(response.body(Body::from(answer.to_string()))?)
}
