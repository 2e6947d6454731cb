//! Ctrl-C and SIGTERM are inputs: the first asks for a clean stop, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::exit::Exit;

/// A wish to stop, and the exit that tells which signal expressed it.
#[derive(Clone)]
pub(crate) struct Stop {
    token: CancellationToken,
    terminated: Arc<AtomicBool>,
}

impl Stop {
    /// Listens for signals from now on.
    pub(crate) fn listen() -> Self {
        let stop = Self { token: CancellationToken::new(), terminated: Arc::new(AtomicBool::new(false)) };
        for (kind, exit) in
            [(SignalKind::interrupt(), Exit::Interrupted), (SignalKind::terminate(), Exit::Terminated)]
        {
            let Ok(mut signals) = signal(kind) else { continue };
            let stop = stop.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if stop.token.is_cancelled() {
                        std::process::exit(i32::from(exit.code()));
                    }
                    stop.terminated.store(exit == Exit::Terminated, Ordering::SeqCst);
                    stop.token.cancel();
                }
            });
        }
        stop
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// How the process ends after the signal; Ctrl-C when there was none.
    pub(crate) fn exit(&self) -> Exit {
        if self.terminated.load(Ordering::SeqCst) { Exit::Terminated } else { Exit::Interrupted }
    }

    /// `work`, unless the wish to stop comes first. For work that leaves nothing half-done when dropped.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(Failure::Stopped { exit: self.exit() }),
            done = work => done,
        }
    }
}
