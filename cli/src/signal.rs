//! Ctrl-C and SIGTERM are inputs: the first asks for a clean stop, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A wish to stop, and the exit code that tells which signal expressed it.
#[derive(Clone)]
pub(crate) struct Stop {
    token: CancellationToken,
    code: Arc<AtomicU8>,
}

impl Stop {
    /// Listens for signals from now on.
    pub(crate) fn listen() -> Self {
        let stop = Self { token: CancellationToken::new(), code: Arc::new(AtomicU8::new(130)) };
        for (kind, code) in [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143)] {
            let Ok(mut signals) = signal(kind) else { continue };
            let stop = stop.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if stop.token.is_cancelled() {
                        std::process::exit(i32::from(code));
                    }
                    stop.code.store(code, Ordering::SeqCst);
                    stop.token.cancel();
                }
            });
        }
        stop
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    pub(crate) fn code(&self) -> u8 {
        self.code.load(Ordering::SeqCst)
    }

    /// `work`, unless the wish to stop comes first. For work that leaves nothing half-done when dropped.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => None,
            done = work => Some(done),
        }
    }
}
