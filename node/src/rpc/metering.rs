//! Counts and times the calls, and gives the library's own complaint about parameters a stable code.

use jsonrpsee::MethodResponse;
use jsonrpsee::core::middleware::{Batch, Notification, RpcServiceT};
use jsonrpsee::types::error::INVALID_PARAMS_CODE;
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned, Id, Request};
use sealpost_api::{ApiError, Category};
use serde_json::Value;
use std::future::Future;
use std::time::Instant;

/// A service that counts and times what the service inside answers.
#[derive(Debug, Clone)]
pub(super) struct Metered<S> {
    inner: S,
}

impl<S> Metered<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> RpcServiceT for Metered<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse> + Send + Sync + Clone + 'static,
{
    type MethodResponse = S::MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = S::BatchResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = Self::MethodResponse> + Send + 'a {
        let inner = self.inner.clone();
        async move {
            let (method, started) = (request.method_name().to_owned(), Instant::now());
            let id = request.id().clone().into_owned();
            let response = explained(id, inner.call(request).await);
            let code = response.as_error_code().unwrap_or(0);
            // Whatever a client makes up must not become a label.
            let unknown = code == jsonrpsee::types::error::METHOD_NOT_FOUND_CODE;
            let method = if unknown { "unknown".to_owned() } else { method };
            metrics::counter!("sealpost_rpc_requests_total", "method" => method.clone(), "code" => code.to_string())
                .increment(1);
            metrics::histogram!("sealpost_rpc_duration_seconds", "method" => method)
                .record(started.elapsed());
            response
        }
    }
    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        self.inner.batch(batch)
    }
    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

/// Parameters that can't be read are refused before any method of ours sees them. The number stays the one
/// that JSON-RPC has for it; code, help and the reason in words are added.
fn explained(id: Id<'static>, response: MethodResponse) -> MethodResponse {
    if response.as_error_code() != Some(INVALID_PARAMS_CODE) {
        return response;
    }
    let said = serde_json::from_str::<Value>(response.as_json().get()).unwrap_or_default();
    let reason = said.pointer("/error/data").and_then(Value::as_str).unwrap_or("they can't be read");
    let error = ApiError::new(Category::Input, "input.malformed", format_args!("parameters: {reason}"))
        .help("the methods and their named parameters stand in the documentation of sealpost-api");
    let error = ErrorObjectOwned::from(error);
    MethodResponse::error(id, ErrorObject::owned(INVALID_PARAMS_CODE, error.message(), error.data()))
}
