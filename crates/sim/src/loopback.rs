//! Listening on this machine: loopback addresses only, many connections, and an end that lets requests finish.
//!
//! Shared by the cluster's listener and the registry's. Plain HTTP, which clients accept for loopback addresses, or TLS where
//! a listener has a certificate.

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
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// How long requests may take to end once the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// The most connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1_024;

/// The pause after a connection could not be accepted, so that a full table of files does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How long a client may take to agree on keys.
#[cfg(feature = "tls")]
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How a listener speaks with its clients.
#[derive(Clone)]
pub(crate) enum Wire {
    /// In plain HTTP/1.1.
    Plain,
    /// In what they agree on, HTTP/2 or 1.1, inside TLS.
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

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
    /// There is no certificate for it.
    #[cfg(feature = "tls")]
    #[error("cannot serve {address} over TLS")]
    Certificate {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: crate::CertificateError,
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
pub(crate) async fn accept<S, B>(
    listener: TcpListener,
    wire: Wire,
    service: S,
    mut stopped: watch::Receiver<()>,
) where
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
        let connection = wire.clone().serve(stream, service.clone(), graceful.watcher());
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

impl Wire {
    /// Serves one connection. One that ends in an error is what a fault looks like from here.
    async fn serve<S, B>(self, stream: TcpStream, service: S, watcher: Watcher)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Failed>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Failed>,
    {
        match self {
            Wire::Plain => {
                let mut plain = http1::Builder::new();
                plain.timer(TokioTimer::new());
                drop(watcher.watch(plain.serve_connection(TokioIo::new(stream), service)).await);
            }
            #[cfg(feature = "tls")]
            Wire::Tls(acceptor) => {
                let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
                    return;
                };
                let executor = hyper_util::rt::TokioExecutor::new();
                let mut either = hyper_util::server::conn::auto::Builder::new(executor);
                either.http1().timer(TokioTimer::new());
                either.http2().timer(TokioTimer::new());
                drop(
                    watcher.watch(either.serve_connection(TokioIo::new(stream), service).into_owned()).await,
                );
            }
        }
    }
}
