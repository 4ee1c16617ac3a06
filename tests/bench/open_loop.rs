//! HTTP requests at a fixed rate, whatever the answers take: a request's time counts from when it was due, so that a
//! server that falls behind can't hide it by making its clients wait.

use futures::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// One request of a load.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// What kind of page it is; times are told by kind.
    pub(crate) kind: &'static str,
    /// Path and query.
    pub(crate) path: String,
    /// The client that a proxy would name.
    pub(crate) client: String,
}

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) kind: &'static str,
    /// From when it was due until its last byte was there.
    pub(crate) took: Duration,
    /// How late it was sent, because every connection was busy.
    pub(crate) late: Duration,
    pub(crate) status: u16,
    pub(crate) bytes: usize,
}

/// Sends all requests at so many a second over so many connections that are kept open.
pub(crate) async fn send(
    host: &str,
    plan: Vec<Planned>,
    per_second: f64,
    connections: usize,
) -> Vec<Answered> {
    let plan = Arc::new(plan);
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now() + Duration::from_millis(50);
    let workers = (0..connections).map(|_| {
        let (plan, next, host) = (plan.clone(), next.clone(), host.to_owned());
        tokio::spawn(async move {
            let mut connection = connect(&host).await;
            let mut answered = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(planned) = plan.get(number) else { return answered };
                let due = start + Duration::from_secs_f64(number as f64 / per_second);
                tokio::time::sleep_until(due.into()).await;
                let late = due.elapsed();
                if connection.ready().await.is_err() {
                    connection = connect(&host).await;
                }
                let (status, bytes) = ask(&mut connection, &host, planned).await;
                answered.push(Answered { kind: planned.kind, took: due.elapsed(), late, status, bytes });
            }
        })
    });
    let done = join_all(workers.collect::<Vec<_>>()).await;
    done.into_iter().flat_map(|worker| worker.expect("a sender that ends")).collect()
}

/// Opens a connection for requests of one kind of body.
pub(crate) async fn connect<B>(host: &str) -> SendRequest<B>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let stream = TcpStream::connect(host).await.expect("a server that listens");
    stream.set_nodelay(true).expect("a TCP socket");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    // Ends when the server or the sender closes it.
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// Status and bytes of the answer's body; status 0 if the connection broke.
async fn ask(connection: &mut SendRequest<Empty<Bytes>>, host: &str, planned: &Planned) -> (u16, usize) {
    let request = Request::builder()
        .method(Method::GET)
        .uri(&planned.path)
        .header("host", host)
        .header("accept-encoding", "gzip")
        .header("x-forwarded-for", &planned.client)
        .body(Empty::new())
        .expect("a request");
    let Ok(response) = connection.send_request(request).await else { return (0, 0) };
    let status = response.status().as_u16();
    match response.into_body().collect().await {
        Ok(body) => (status, body.to_bytes().len()),
        Err(_) => (0, 0),
    }
}
