//! Counts and times the calls.

use jsonrpsee::MethodResponse;
use jsonrpsee::core::middleware::{Batch, Notification, RpcServiceT};
use jsonrpsee::types::Request;
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
            let response = inner.call(request).await;
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
