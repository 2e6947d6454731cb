//! The registry on a loopback address, in real time, where any client finds it.
//!
//! Two listeners: the registry, and the storage host that some profiles redirect to; with the feature `tls` also one whose
//! certificate nobody can trust, for [`Fault::Untrusted`](super::Fault::Untrusted). Bodies go through the machine piece by
//! piece, in both directions; nothing is collected here. Plain HTTP, which clients accept for loopback addresses.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use release_core::MonoTime;
use tokio::sync::watch;

use super::answer::{Answer, Dropped};
use super::content::Content;
use super::exchange::{Begun, Exchange};
use super::machine::{Config, Registry};
use crate::loopback::{ServeError, Wire, accept, listen};

/// How much of a body nobody wants is read all the same, so that the client gets to see the answer.
const MAX_UNWANTED_BYTES: u64 = 256 * 1024 * 1024;

/// A registry that is being served. It stops when this is dropped: no new connections; requests that are under way may end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Shared,
    /// Closes when dropped, which is the sign to stop.
    _stop: watch::Sender<()>,
}

/// Serves a registry on a free port of 127.0.0.1. Needs to be called on a tokio runtime.
///
/// # Errors
/// When there is no free port.
pub async fn serve(config: Config) -> Result<Server, ServeError> {
    serve_at(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
}

/// Serves a registry on this loopback address. Needs to be called on a tokio runtime.
///
/// # Errors
/// When the address is taken, or is no loopback address.
pub async fn serve_at(config: Config, address: SocketAddr) -> Result<Server, ServeError> {
    let (listener, address) = listen(address).await?;
    let mut registry = Registry::new(config);
    let (storage, storage_address) = listen(SocketAddr::new(address.ip(), 0)).await?;
    registry.set_storage(format!("http://{storage_address}"));
    #[cfg(feature = "tls")]
    let (untrusted, acceptor) = {
        let (listener, address) = listen(SocketAddr::new(address.ip(), 0)).await?;
        // Whoever signed it is forgotten at once.
        let made = crate::certificate::make(address);
        let (acceptor, _) = made.map_err(|source| ServeError::Certificate { address, source })?;
        registry.set_untrusted(format!("https://{address}"));
        (listener, acceptor)
    };
    let shared = Shared { registry: Arc::new(Mutex::new(registry)), start: Instant::now() };
    let (stop, stopped) = watch::channel(());
    let answering = shared.clone();
    let service = service_fn(move |request| answering.clone().answer(request));
    tokio::spawn(accept(listener, Wire::Plain, service.clone(), stopped.clone()));
    #[cfg(feature = "tls")]
    tokio::spawn(accept(untrusted, Wire::Tls(acceptor), service.clone(), stopped.clone()));
    tokio::spawn(accept(storage, Wire::Plain, service, stopped));
    Ok(Server { address, shared, _stop: stop })
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The time on the registry's clock, which starts with the server.
    pub fn now(&self) -> MonoTime {
        self.shared.now()
    }

    /// Looks at, or changes, the registry. Requests wait meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&mut Registry) -> T) -> T {
        look(&mut self.shared.lock())
    }
}

/// The registry and its clock.
#[derive(Debug, Clone)]
struct Shared {
    registry: Arc<Mutex<Registry>>,
    start: Instant,
}

impl Shared {
    fn now(&self) -> MonoTime {
        MonoTime::from_origin(self.start.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // A test that panicked while it looked has not left anything half done.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Sending>, Dropped> {
        let (head, mut body) = request.into_parts();
        let begun = self.lock().begin(&head, self.now());
        let exchange = match begun {
            Begun::Dropped(dropped) => return Err(dropped),
            Begun::Answered(answer) => {
                // Who asks before sending need not send.
                if !head.headers.contains_key(EXPECT) {
                    discard(&mut body).await;
                }
                return Ok(Sending::response(answer));
            }
            Begun::Wants(exchange) => exchange,
        };
        let mut pending = Pending { shared: &self, exchange: Some(exchange) };
        while let Some(frame) = next_frame(&mut body).await {
            // The client is gone.
            let Ok(frame) = frame else { return Err(Dropped) };
            if let Some(piece) = frame.data_ref() {
                pending.piece(piece)?;
            }
            if pending.is_decided() {
                discard(&mut body).await;
                break;
            }
        }
        pending.finish().map(Sending::response)
    }
}

/// An exchange that is abandoned if it is not finished, whatever the reason.
struct Pending<'a> {
    shared: &'a Shared,
    exchange: Option<Exchange>,
}

impl Pending<'_> {
    fn piece(&mut self, piece: &[u8]) -> Result<(), Dropped> {
        let now = self.shared.now();
        let Some(exchange) = &mut self.exchange else { return Err(Dropped) };
        let taken = self.shared.lock().piece(exchange, piece, now);
        if taken.is_err() {
            self.exchange = None;
        }
        taken
    }

    fn is_decided(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::is_decided)
    }

    fn finish(mut self) -> Result<Answer, Dropped> {
        let exchange = self.exchange.take().ok_or(Dropped)?;
        self.shared.lock().finish(exchange, self.shared.now())
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.shared.lock().abandon(exchange, self.shared.now());
        }
    }
}

async fn next_frame(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Reads on, so that a client that sends first and listens later gets to see the answer.
async fn discard(body: &mut Incoming) {
    let mut left = MAX_UNWANTED_BYTES;
    while let Some(Ok(frame)) = next_frame(body).await {
        let len = frame.data_ref().map_or(0, |piece| piece.len() as u64);
        if len > left {
            return;
        }
        left -= len;
    }
}

/// A body that is sent piece by piece, and breaks where it is told to.
struct Sending {
    pieces: VecDeque<Bytes>,
    left: u64,
    breaks: bool,
}

impl Sending {
    fn response(answer: Answer) -> Response<Self> {
        let len = answer.response.body().len();
        let sent: Content = answer.body();
        let breaks = answer.breaks_after.is_some();
        let pieces = sent.pieces().iter().cloned().collect();
        answer.response.map(|_| Self { pieces, left: len, breaks })
    }
}

/// The connection breaks in the middle of a body, as it was told to.
type Broken = Dropped;

impl Body for Sending {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(match self.pieces.pop_front() {
            Some(piece) => {
                self.left -= piece.len() as u64;
                Some(Ok(Frame::data(piece)))
            }
            None if self.breaks => Some(Err(Dropped)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
