//! Reads requests whole before anything is done with them, and keeps count of the memory that they and their answers
//! take up. A request has a time in which it has to come, its bytes are counted as they come (what a header announces
//! costs nobody anything), and those of its answer until the client has taken them.

use super::limits::{Caller, Meters, no_room};
use super::refusals;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use jsonrpsee::core::BoxError;
use jsonrpsee::core::http_helpers::Body;
use jsonrpsee::server::http::response::too_large;
use jsonrpsee::server::{HttpRequest, HttpResponse};
use sealpost_api::{ApiError, Category};
use sealpost_http::{Client, Full, Place, Places};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{Layer, Service};

/// Makes [`Receiving`].
#[derive(Debug, Clone)]
pub(super) struct ReceivingLayer {
    pub(super) meters: Arc<Meters>,
    /// Longest request, in bytes.
    pub(super) limit: u32,
}

impl<S> Layer<S> for ReceivingLayer {
    type Service = Receiving<S>;
    fn layer(&self, inner: S) -> Receiving<S> {
        Receiving { inner, rules: self.clone() }
    }
}

/// A service that is given requests which are there already.
#[derive(Debug, Clone)]
pub(super) struct Receiving<S> {
    inner: S,
    rules: ReceivingLayer,
}

/// Set for requests that came packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed;

/// Why a request is not there.
#[derive(Debug)]
enum Unread {
    TooLong,
    NoRoom(Full),
    Broken,
}

impl<S, B> Service<HttpRequest<B>> for Receiving<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }
    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        // What asks for nothing has nothing to be read, and what is to become a WebSocket has to stay as it is.
        let caller = request.extensions().get::<Caller>().cloned();
        let Some(caller) = caller.filter(|_| request.method() == "POST") else {
            return Box::pin(self.inner.call(request.map(Body::new)));
        };
        let (mut inner, rules) = (self.inner.clone(), self.rules.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let length =
                parts.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
            if length.is_some_and(|length: u64| length > rules.limit.into()) {
                return Ok(too_large(rules.limit));
            }
            let reading = read(body, rules.limit, &rules.meters.requests, caller.client);
            let (bytes, held) = match tokio::time::timeout(rules.meters.request_time, reading).await {
                Ok(Ok(read)) => read,
                Ok(Err(Unread::NoRoom(full))) => return refusals::answer(503, no_room(full, "requests")),
                Ok(Err(Unread::TooLong)) if parts.extensions.get::<Packed>().is_none() => {
                    return Ok(too_large(rules.limit));
                }
                Ok(Err(Unread::TooLong | Unread::Broken)) => return unreadable(rules.limit),
                Err(_) => return slow(rules.meters.request_time),
            };
            let answer = inner.call(HttpRequest::from_parts(parts, Body::from(bytes))).await?;
            drop(held);
            kept(answer, &rules.meters.answers, caller.client).await
        })
    }
}

/// Reads to the end, counting.
async fn read<B>(body: B, limit: u32, room: &Places, client: Client) -> Result<(Vec<u8>, Place), Unread>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX)));
    let mut held = room.take(client, 0).map_err(Unread::NoRoom)?;
    // Together in one place: a client that sends single bytes would make each as costly as hundreds.
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
            true => Unread::TooLong,
            false => Unread::Broken,
        })?;
        if let Ok(data) = frame.into_data() {
            held.grow(data.len()).map_err(Unread::NoRoom)?;
            bytes.extend_from_slice(&data);
        }
    }
    Ok((bytes, held))
}

/// An answer whose bytes hold places until the last of them is gone, wherever they wait.
struct Kept {
    bytes: Bytes,
    _held: Place,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

async fn kept(answer: HttpResponse, room: &Places, client: Client) -> Result<HttpResponse, BoxError> {
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await?.to_bytes();
    match room.take(client, bytes.len()) {
        Ok(held) => {
            let bytes = Bytes::from_owner(Kept { bytes, _held: held });
            Ok(HttpResponse::from_parts(parts, Body::new(http_body_util::Full::new(bytes))))
        }
        Err(full) => refusals::answer(503, no_room(full, "answers")),
    }
}

/// The answer to a request that is no gzip, or too long.
fn unreadable(limit: u32) -> Result<HttpResponse, BoxError> {
    let message =
        format!("the request is no gzip, or longer than {limit} bytes, which it may be when unpacked");
    let error = ApiError::new(Category::Input, "input.malformed", message)
        .help("send fewer transactions in one call, or nothing packed");
    refusals::answer(400, error)
}

/// The answer to a request that does not come.
fn slow(time: Duration) -> Result<HttpResponse, BoxError> {
    refusals::count("rpc.slow");
    let message = format!("the request was not there within {} s", time.as_secs());
    let error =
        ApiError::new(Category::Input, "rpc.slow", message).help("send fewer transactions in one call");
    refusals::answer(408, error)
}
