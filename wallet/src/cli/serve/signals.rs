//! Ctrl-C and SIGTERM: the first asks to stop, the second ends the process.

use sealpost_terminal::{Exit, StopRequests, Terminal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Listens for the signals; what is returned becomes true with the first.
pub(super) fn listen(terminal: &Terminal) -> watch::Receiver<bool> {
    let (tell, asked) = watch::channel(false);
    let terminal = terminal.clone();
    tokio::spawn(async move {
        let requests = StopRequests::default();
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        loop {
            let exit = tokio::select! {
                Ok(()) = tokio::signal::ctrl_c() => Exit::Interrupted,
                Some(()) = terminate.recv() => Exit::Terminated,
                else => return,
            };
            requests.asked(&terminal, exit);
            let _ = tell.send(true);
        }
    });
    asked
}

/// Done when somebody asks to stop.
pub(super) async fn asked(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|asked| *asked).await.is_err() {
        // Nobody can ask any more: the system's own reaction to signals is in force.
        std::future::pending::<()>().await;
    }
}
