//! A node for tests: it answers as a test says, and knows nothing of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use sealpost_api::ApiError;
use sealpost_ledger::evidence::Evidence;
use sealpost_ledger::genesis::Genesis;
use serde_json::{Value, json};
use std::sync::Arc;

/// The evidence beside the protocol page, and the genesis it holds under.
pub(crate) fn example() -> (Arc<Genesis>, Evidence) {
    let genesis = Genesis::parse(include_bytes!("../../genesis.json")).unwrap();
    let evidence = Evidence::from_json(include_bytes!("../../docs/example.evidence.json")).unwrap();
    (Arc::new(genesis), evidence)
}

/// Starts one, and says where it is asked. It ends with the test.
pub(crate) async fn node<A>(answer: impl Fn(String, Value) -> A + Clone + Send + Sync + 'static) -> String
where
    A: Future<Output = Result<Value, ApiError>> + Send + 'static,
{
    let app = Router::new().fallback(async move |question: Bytes| {
        // What is no question is the beginning of a subscription.
        let Ok(question) = serde_json::from_slice::<Value>(&question) else {
            return ([(CONTENT_TYPE, "")], String::new());
        };
        let method = question["method"].as_str().unwrap().to_owned();
        let said = match answer(method, question["params"].clone()).await {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": question["id"], "result": result }),
            Err(error) => {
                let data = json!({ "code": error.code, "help": error.help });
                let number = error.category.number();
                let error = json!({ "code": number, "message": error.message, "data": data });
                json!({ "jsonrpc": "2.0", "id": question["id"], "error": error })
            }
        };
        ([(CONTENT_TYPE, "application/json")], said.to_string())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}
