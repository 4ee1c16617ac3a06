//! Ctrl-C and SIGTERM.

use sealpost_terminal::{Exit, StopRequests, Terminal};
use std::sync::Arc;
use tokio::sync::Notify;

/// Listens for the signals; the returned notice comes with the first, the second ends the process.
pub(super) fn listen(terminal: &Terminal) -> Arc<Notify> {
    let (notice, terminal) = (Arc::new(Notify::new()), terminal.clone());
    let told = notice.clone();
    tokio::spawn(async move {
        let requests = StopRequests::default();
        loop {
            let exit = next().await;
            requests.asked(&terminal, exit);
            told.notify_one();
        }
    });
    notice
}

#[cfg(unix)]
async fn next() -> Exit {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return interrupt().await;
    };
    tokio::select! {
        exit = interrupt() => exit,
        _ = terminate.recv() => Exit::Terminated,
    }
}

#[cfg(not(unix))]
async fn next() -> Exit {
    interrupt().await
}

async fn interrupt() -> Exit {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the system's own reaction to Ctrl-C stays in force.
        std::future::pending::<()>().await;
    }
    Exit::Interrupted
}
