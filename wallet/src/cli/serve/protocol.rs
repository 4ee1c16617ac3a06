//! JSON-RPC 2.0, one object per line: what a client may send and what it gets. Batches and notifications of
//! clients are refused: every question is answered, and several may be asked at a time.

use sealpost_terminal::{Exit, Failure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Errors of the protocol, by the numbers that JSON-RPC gives them. All others have the exit code that the
/// command would have.
const MALFORMED: i32 = -32700;
const NO_REQUEST: i32 = -32600;
const NO_METHOD: i32 = -32601;
const PARAMETERS: i32 = -32602;

/// Longest id of a request, in bytes.
const MAX_ID_BYTES: usize = 128;

/// A question.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Value,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Refusal {
    number: i32,
    failure: Box<Failure>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { number: failure.exit.code().into(), failure: Box::new(failure) }
    }
}

impl Refusal {
    fn new(number: i32, code: &'static str, message: impl std::fmt::Display) -> Self {
        Self { number, failure: Box::new(Failure::new(Exit::Usage, code, message)) }
    }
    /// There is no such method.
    pub(super) fn no_method(method: &str) -> Self {
        let method: String = method.chars().take(64).collect();
        Self::new(NO_METHOD, "serve.method", format_args!("method: there is none named {method:?}"))
            .help("docs/serve.md lists them; `authenticate` answers with their names")
    }
    fn help(mut self, help: &str) -> Self {
        self.failure.help = Some(help.into());
        self
    }
    #[cfg(test)]
    pub(super) fn code(&self) -> (i32, &str) {
        (self.number, &self.failure.code)
    }
}

/// Reads a line.
pub(super) fn request(line: &[u8]) -> Result<Request, (Value, Refusal)> {
    let malformed = |error| Refusal::new(MALFORMED, "serve.malformed", format_args!("not JSON: {error}"));
    let value: Value = serde_json::from_slice(line).map_err(|error| (Value::Null, malformed(error)))?;
    let Value::Object(mut fields) = value else {
        return Err((Value::Null, no_request("one object per line is expected; no batches")));
    };
    let id = fields.remove("id").filter(is_id).unwrap_or_default();
    let refused = |what: &str| (id.clone(), no_request(what));
    if id.is_null() {
        return Err(refused("id: a number, or a text of 1 to 128 bytes, is expected"));
    }
    if fields.remove("jsonrpc") != Some(json!("2.0")) {
        return Err(refused("jsonrpc: \"2.0\" is expected"));
    }
    let Some(Value::String(method)) = fields.remove("method") else {
        return Err(refused("method: a text is expected"));
    };
    let params = fields.remove("params").unwrap_or_else(|| Value::Object(Map::new()));
    if !params.is_object() {
        return Err(refused("params: an object with named parameters is expected"));
    }
    match fields.keys().next() {
        None => Ok(Request { id, method, params }),
        Some(key) => {
            let key: String = key.chars().take(64).collect();
            Err(refused(&format!("{key:?} is no key of a request")))
        }
    }
}

/// It can be asked, but not now.
pub(super) fn no_such_moment(what: &str) -> Refusal {
    no_request(what)
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::String(text) => (1..=MAX_ID_BYTES).contains(&text.len()),
        _ => false,
    }
}

fn no_request(what: &str) -> Refusal {
    Refusal::new(NO_REQUEST, "serve.request", what)
}

/// Reads the parameters of a method.
pub(super) fn parameters<T: DeserializeOwned>(params: Value) -> Result<T, Refusal> {
    serde_json::from_value(params)
        .map_err(|error| Refusal::new(PARAMETERS, "serve.parameters", format_args!("params: {error}")))
}

/// A result, named by its schema as the commands' JSON is.
#[derive(Serialize)]
struct Tagged<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    value: &'a T,
}

/// A result with its schema.
pub(super) fn tagged<T: Serialize>(schema: &str, value: &T) -> Result<Value, Refusal> {
    serde_json::to_value(Tagged { schema, value }).map_err(|error| Failure::bug(error).into())
}

/// The line with an answer.
pub(super) fn response(id: &Value, answer: Result<Value, Refusal>) -> Vec<u8> {
    let response = match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(Refusal { number, failure }) => {
            // The same object as a command prints.
            let data: Value = serde_json::from_str(&failure.to_json()).unwrap_or_default();
            let error = json!({ "code": number, "message": failure.message, "data": data });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    };
    line(&response)
}

/// The line with something that nobody asked for at this moment.
pub(super) fn notification(method: &str, params: Value) -> Vec<u8> {
    line(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
}

/// What a refusal looks like in a notification.
pub(super) fn refusal_data(refusal: &Refusal) -> Value {
    serde_json::from_str(&refusal.failure.to_json()).unwrap_or_default()
}

fn line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// For the fuzzer: a line of a program is answered, whatever it is, in one line that is JSON.
#[cfg(feature = "fuzzing")]
#[allow(clippy::unwrap_used)]
pub(in crate::cli) fn fuzz(line: &[u8]) -> bool {
    let (id, answer) = match request(line) {
        Ok(Request { id, method, .. }) => (id, Err(Refusal::no_method(&method))),
        Err((id, refusal)) => (id, Err(refusal)),
    };
    let answer = response(&id, answer);
    assert!(answer.iter().filter(|byte| **byte == b'\n').count() == 1 && answer.ends_with(b"\n"));
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer.get("id"), Some(&id));
    !id.is_null()
}
