//! What holds for every page without a node behind it. With a live node they are tested in `tests/`.
#![allow(clippy::unwrap_used)]

use crate::{Limits, Settings, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
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
        ("/search?q=5D0Cab", 404),
        ("/nowhere", 404),
        ("/glossary", 200),
        ("/style.css", 200),
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
        assert!(status != 404 || path == "/nowhere" || body.contains("whole id"), "{path}: {body}");
        assert!(!head.contains("unsafe-"), "{path}: {head}");
        assert!(!body.contains("<script") && !body.contains("style="), "{path}: {body}");
        assert!(!body.contains("https://") && !body.contains("src=\"http"), "{path}: {body}");
        if head.contains("text/html") {
            assert_eq!(body.matches("<h1").count(), 1, "{path}");
        }
    }
    explorer.stop().await;
}
