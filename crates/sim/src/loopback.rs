//! Listening on this machine: loopback addresses only, many connections, and an end that lets requests finish.
//!
//! Shared by the cluster's listener and the registry's. Plain HTTP, which clients accept for loopback addresses.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// How long requests may take to end once the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// The most connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1_024;

/// The pause after a connection could not be accepted, so that a full table of files does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Why something cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It would be open to other machines.
    #[error("a simulation is only served on loopback addresses, not on {address}")]
    NotLoopback {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The address is not to be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Listens, and says where; port 0 is any free one.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback { address });
    }
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Any error of an answer.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Accepts connections until the other end of `stopped` is gone; then lets those that are there end.
pub(crate) async fn accept<S, B>(listener: TcpListener, service: S, mut stopped: watch::Receiver<()>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Failed>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Failed>,
{
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            // Nobody closes it.
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            next = next => next,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Answers are small and many; waiting to fill packets would slow every test down.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = graceful.watch(connection);
        // A connection that ends in an error is what a fault looks like from here.
        tokio::spawn(async move {
            drop(connection.await);
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}
