//! What holds for every page without a node behind it. With a live node they are tested in `tests/`.
#![allow(clippy::unwrap_used)]

use crate::{Limits, Settings, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    ask(address, path, "").await
}

/// A request with headers of its own, each with its line end.
async fn ask(address: std::net::SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn every_answer_is_strict_and_an_absent_node_is_said_plainly() {
    let node = "http://127.0.0.1:1".to_owned();
    let listen = "127.0.0.1:0".parse().unwrap();
    let settings = Settings { listen, node, genesis: None, limits: Limits::default() };
    let explorer = start(settings).await.unwrap();
    let cases = [
        ("/", 503),
        ("/blocks", 503),
        ("/block/1", 503),
        ("/validators", 503),
        ("/validators?after=x", 400),
        ("/block/nonsense", 400),
        ("/message/nonsense", 400),
        ("/tx/%3Cscript%3E", 400),
        ("/message/5d0c", 404),
        ("/search?q=5D0Cab", 503),
        ("/nowhere", 404),
        ("/network", 503),
        ("/postage", 503),
        ("/postage?blocks=7", 400),
        ("/?blocks=501", 400),
        ("/?blocks=%3Cscript%3E", 400),
        ("/block/1/tree?leaf=-1", 400),
        ("/validator/%3Cscript%3E", 400),
        ("/message/nonsense/body", 400),
        ("/live?after=x", 400),
        ("/glossary", 200),
        ("/assets/style.css", 404),
        ("/assets/style.000000000000.css", 404),
        ("/assets/..%2F..%2FCargo.toml", 404),
        ("/favicon.ico", 200),
        ("/livez", 200),
        ("/readyz", 503),
    ];
    for (path, status) in cases {
        let answer = get(explorer.address, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        for header in
            ["content-security-policy: default-src 'none'", "referrer-policy: no-referrer", "nosniff"]
        {
            assert!(head.contains(header), "{path}: {header} is missing in {head}");
        }
        assert!(!body.contains("127.0.0.1"), "{path} names the node: {body}");
        assert!(path != "/message/5d0c" || body.contains("whole id"), "{path}: {body}");
        assert!(!head.contains("unsafe-") && head.contains("trusted-types"), "{path}: {head}");
        let inline = body.replace("<script type=\"module\" src=\"/assets/", "");
        assert!(!inline.contains("<script") && !body.contains("style="), "{path}: {body}");
        assert!(!body.contains("https://") && !body.contains("src=\"http"), "{path}: {body}");
        if head.contains("text/html") {
            assert_eq!(body.matches("<h1").count(), 1, "{path}");
        }
    }
    explorer.stop().await;
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_their_hash_and_pages_are_asked_for_again() {
    let node = "http://127.0.0.1:1".to_owned();
    let listen = "127.0.0.1:0".parse().unwrap();
    let settings = Settings { listen, node, genesis: None, limits: Limits::default() };
    let explorer = start(settings).await.unwrap();
    for name in ["style.css", "site.js", "live.js"] {
        let answer = get(explorer.address, &crate::assets::url(name)).await;
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{name}: {head}");
        assert!(head.contains("cache-control: public, max-age=31536000, immutable"), "{name}: {head}");
    }
    let page = get(explorer.address, "/glossary").await;
    let head = page.split("\r\n\r\n").next().unwrap();
    assert!(head.to_lowercase().contains("cache-control: no-cache"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = ask(explorer.address, "/glossary", &format!("If-None-Match: \"other\", {tag}\r\n")).await;
    assert!(again.starts_with("HTTP/1.1 304") && again.ends_with("\r\n\r\n"), "{again}");
    let other = ask(explorer.address, "/glossary", "If-None-Match: W/\"other\"\r\n").await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    explorer.stop().await;
}

#[tokio::test]
async fn pages_that_keep_themselves_up_to_date_count_as_streams() {
    let node = "http://127.0.0.1:1".to_owned();
    let listen = "127.0.0.1:0".parse().unwrap();
    let limits = Limits { streams_per_client: 0, ..Limits::default() };
    let explorer = start(Settings { listen, node, genesis: None, limits }).await.unwrap();
    let answer = get(explorer.address, "/live").await;
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("explorer.streams"), "{answer}");
    explorer.stop().await;
}
