//! A small HTTP client that shows everything of an answer, and reads streams of events.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for an event that must come.
const SOON: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
    /// The content type without its parameters.
    pub(crate) fn kind(&self) -> &str {
        self.header("content-type").split(';').next().unwrap()
    }
}

fn begin(url: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> (Reply, BufReader<TcpStream>) {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // HTTP/1.0: nothing comes in chunks.
    let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    stream.write_all((request + "\r\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        // Several of one name mean what one with all their values does (RFC 9110, section 5.3).
        let all = headers.entry(name.to_lowercase());
        all.and_modify(|values| *values = format!("{values}, {value}")).or_insert_with(|| value.to_owned());
    }
    (Reply { status, headers, body: Vec::new() }, reader)
}

pub(crate) fn request(url: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let (mut reply, mut reader) = begin(url, method, path, headers);
    reader.read_to_end(&mut reply.body).unwrap();
    reply
}

pub(crate) fn get(url: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    request(url, "GET", path, headers)
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: serde_json::Value,
}

/// A stream of events; it is closed when it is dropped.
pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    /// Opens a stream, or says why it was not opened.
    pub(crate) fn open(url: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self, Reply> {
        let (mut reply, mut reader) = begin(url, "GET", path, headers);
        if reply.status == 200 {
            assert_eq!(reply.kind(), "text/event-stream");
            return Ok(Self(reader));
        }
        reader.read_to_end(&mut reply.body).unwrap();
        Err(reply)
    }
    /// The next event.
    pub(crate) fn next(&mut self) -> Event {
        let mut event = Event { id: String::new(), name: String::new(), data: serde_json::Value::Null };
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => event.id = id.into(),
                Some(("event", name)) => event.name = name.into(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                None if line == "\n" && !event.name.is_empty() => return event,
                // Signs of life, and when to come back.
                _ => {}
            }
        }
    }
    /// Everything up to the event that says that this height has been told.
    pub(crate) fn until(&mut self, height: u64) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next();
            let done = event.name == "head" && event.data["height"].as_u64().unwrap() >= height;
            events.push(event);
            if done {
                return events;
            }
        }
    }
}
