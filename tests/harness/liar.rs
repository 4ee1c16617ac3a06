//! A node that lies: a proxy in front of an honest one that passes questions on and answers as a rule says. Each lie is
//! counted, so that a test in which none was told fails.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use jsonrpsee::core::ClientError;
use jsonrpsee::core::client::ClientT;
use jsonrpsee::core::params::ObjectParams;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;

/// What the honest node says: a result, or an error object.
pub type Said = Result<Value, Value>;

/// The error that a node answers with: the number of its kind, and its code.
pub fn error(number: i32, code: &str) -> Answer {
    Answer::Error(
        json!({ "code": number, "message": format!("said to be {code}"), "data": { "code": code } }),
    )
}

/// How a question is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// As the honest node answers it.
    Truth,
    /// With another result.
    Lie(Value),
    /// With an error.
    Error(Value),
    /// The honest answer, to another question.
    OtherQuestion,
    /// Never.
    Silence,
    /// With something that has no end.
    Endless,
}

/// A question on its way through.
#[derive(Debug)]
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// Its parameters, named.
    pub params: &'a Value,
    /// What the honest node answers.
    pub said: &'a Said,
    honest: &'a str,
}

impl Call<'_> {
    /// Asks the honest node something else.
    pub fn honest(&self, method: &str, params: Value) -> Value {
        ask(self.honest, method, params).expect("an honest answer")
    }
}

type Rule = dyn Fn(&Call<'_>) -> Answer + Send + Sync;
/// Answers some methods by itself.
type Alone = dyn Fn(&str) -> Option<Answer> + Send + Sync;

/// A running proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct Liar {
    url: String,
    told: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

struct Proxy {
    honest: String,
    client: HttpClient,
    told: Arc<AtomicUsize>,
    alone: Box<Alone>,
    rule: Box<Rule>,
}

impl Liar {
    /// Begins to stand before an honest node.
    pub fn before(honest: &str, rule: impl Fn(&Call<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Self::begin(honest, Box::new(|_| None), Box::new(rule))
    }
    /// Answers the first questions of a method by itself, one after another: the honest node never hears of them. Of
    /// all other questions it tells the truth.
    pub fn instead_of(honest: &str, method: &'static str, answers: impl Into<Vec<Answer>>) -> Self {
        let mut answers = answers.into();
        answers.reverse();
        let answers = Mutex::new(answers);
        let alone = move |asked: &str| {
            if asked == method { answers.lock().expect("no panic").pop() } else { None }
        };
        Self::begin(honest, Box::new(alone), Box::new(|_| Answer::Truth))
    }
    fn begin(honest: &str, alone: Box<Alone>, rule: Box<Rule>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let told = Arc::new(AtomicUsize::new(0));
        let client = HttpClientBuilder::default().build(honest).expect("a URL");
        let proxy = Arc::new(Proxy { honest: honest.into(), client, told: told.clone(), alone, rule });
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port of this machine");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let app = Router::new().fallback(answer).with_state(proxy);
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, told, runtime: Some(runtime) }
    }
    /// Where it is asked.
    pub fn url(&self) -> &str {
        &self.url
    }
    /// Lies told so far.
    pub fn told(&self) -> usize {
        self.told.load(Ordering::Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Asks a node, and waits for the answer.
pub fn ask(url: &str, method: &str, params: Value) -> Said {
    let (url, method) = (url.to_owned(), method.to_owned());
    // A thread of its own: whoever asks may be inside a runtime.
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = HttpClientBuilder::default().build(&url).expect("a URL");
            pass_on(&client, &method, &params).await
        })
    });
    asking.join().expect("an answer")
}

async fn pass_on(client: &HttpClient, method: &str, params: &Value) -> Said {
    let mut named = ObjectParams::new();
    for (name, value) in params.as_object().into_iter().flatten() {
        named.insert(name, value).expect("JSON");
    }
    match client.request(method, named).await {
        Ok(result) => Ok(result),
        Err(ClientError::Call(error)) => Err(serde_json::to_value(error).expect("JSON")),
        Err(error) => panic!("the honest node can't be asked: {error}"),
    }
}

async fn answer(State(proxy): State<Arc<Proxy>>, question: Bytes) -> Response {
    // Subscriptions are not passed on.
    let Ok(question) = serde_json::from_slice::<Value>(&question) else {
        return Response::builder().status(400).body(Body::empty()).expect("a response");
    };
    let method = question["method"].as_str().expect("a method").to_owned();
    let (id, params) = (question["id"].clone(), question["params"].clone());
    let (said, answer) = match (proxy.alone)(&method) {
        Some(answer) => (Err(Value::Null), answer),
        None => {
            let said = pass_on(&proxy.client, &method, &params).await;
            let (asked, rule) = (said.clone(), proxy.clone());
            let answered = tokio::task::spawn_blocking(move || {
                (rule.rule)(&Call { method: &method, params: &params, said: &asked, honest: &rule.honest })
            });
            (said, answered.await.expect("a rule that does not fail"))
        }
    };
    if !matches!(answer, Answer::Truth) {
        proxy.told.fetch_add(1, Ordering::Relaxed);
    }
    let said = match answer {
        Answer::Truth => said,
        Answer::OtherQuestion => return respond(&json!(987_654_321), said),
        Answer::Lie(result) => Ok(result),
        Answer::Error(error) => Err(error),
        Answer::Silence => std::future::pending().await,
        Answer::Endless => {
            let begin = Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"result\":\"");
            let piece = Bytes::from(vec![b'a'; 64 << 10]);
            let pieces = std::iter::once(begin).chain(std::iter::repeat(piece));
            return typed(Body::from_stream(futures::stream::iter(pieces.map(Ok::<_, std::io::Error>))));
        }
    };
    respond(&id, said)
}

fn respond(id: &Value, said: Said) -> Response {
    let answer = match said {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    };
    typed(Body::from(answer.to_string()))
}

fn typed(body: Body) -> Response {
    Response::builder().header(CONTENT_TYPE, "application/json").body(body).expect("a response")
}
