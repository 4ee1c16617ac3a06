//! What is told to whoever is not answered, in the form that errors have here, and counted.

use jsonrpsee::core::BoxError;
use jsonrpsee::core::http_helpers::Body;
use jsonrpsee::server::HttpResponse;
use jsonrpsee::types::ErrorObjectOwned;
use sealpost_api::{ApiError, Category};
use serde_json::json;

/// Counts a refusal by its code.
pub(super) fn count(code: &'static str) {
    metrics::counter!("sealpost_rpc_refusals_total", "code" => code).increment(1);
}

/// Too much is asked of this node now.
pub(super) fn busy(message: &str) -> ApiError {
    count("rpc.busy");
    ApiError::new(Category::Busy, "rpc.busy", message).help("ask again in a few seconds, or ask another node")
}

/// An error as the body of an answer over HTTP.
pub(super) fn body(error: ApiError) -> String {
    json!({ "jsonrpc": "2.0", "id": null, "error": ErrorObjectOwned::from(error) }).to_string()
}

/// An error as an answer over HTTP; whoever is told that this node is busy is told to come again.
pub(super) fn answer(status: u16, error: ApiError) -> Result<HttpResponse, BoxError> {
    let mut response =
        HttpResponse::<()>::builder().status(status).header("content-type", "application/json");
    if error.category == Category::Busy {
        response = response.header("retry-after", "5");
    }
    Ok(response.body(Body::from(body(error)))?)
}
