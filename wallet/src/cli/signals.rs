//! Ctrl-C and SIGTERM. Commands that go on until they are told to stop: the first asks to stop, the second ends the
//! process. Commands that come to an end: Ctrl-C ends them, whatever they wait for.

use sealpost_terminal::{Exit, Failure, StopRequests, Terminal};
use tokio::sync::watch;

/// What was asked: nothing yet, or to stop, with the exit code that says by what.
pub(super) type Stop = watch::Receiver<Option<Exit>>;

/// Listens for the signals.
pub(super) fn listen(terminal: &Terminal) -> Stop {
    let (tell, asked) = watch::channel(None);
    let terminal = terminal.clone();
    tokio::spawn(async move {
        let requests = StopRequests::default();
        let Some(mut signals) = Signals::new() else { return };
        while let Some(exit) = signals.next().await {
            requests.asked(&terminal, exit);
            let _ = tell.send(Some(exit));
        }
    });
    asked
}

/// Done when somebody asks to stop.
pub(super) async fn asked(mut stop: Stop) -> Exit {
    if let Ok(asked) = stop.wait_for(Option::is_some).await
        && let Some(exit) = *asked
    {
        return exit;
    }
    // Nobody can ask any more: the system's own reaction to signals is in force.
    std::future::pending().await
}

/// Does something, or as much of it as there is time for until Ctrl-C. Once anything listens to that signal the system
/// does not end the process by it any more: so all of a command is to stand here, not only the part that has its own
/// words for having been stopped. These come first.
pub(super) async fn unless_stopped<T>(
    work: impl Future<Output = Result<T, Failure>>,
    stopped: &str,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "outbox.interrupted", stopped)),
    }
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).ok().map(Self)
    }
    async fn next(&mut self) -> Option<Exit> {
        tokio::select! {
            Ok(()) = tokio::signal::ctrl_c() => Some(Exit::Interrupted),
            Some(()) = self.0.recv() => Some(Exit::Terminated),
            else => None,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Option<Self> {
        Some(Self)
    }
    async fn next(&mut self) -> Option<Exit> {
        tokio::signal::ctrl_c().await.ok().map(|()| Exit::Interrupted)
    }
}
