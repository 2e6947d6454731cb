//! The cluster on a loopback address, in real time, where kubectl and any other tool finds it.
//!
//! Without authentication, in plain HTTP or (with the feature `tls`) over TLS: it is only served on this machine.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::Service as _;

use super::body::SimBody;
use super::clock::Clock;
use super::service::SimService;
use crate::loopback::{ServeError, Wire, accept, listen};
use crate::simulation::Simulation;

/// The name of cluster, user and context in a kubeconfig.
const CONTEXT: &str = "release-sim";

/// A cluster that is being served. It stops when this is dropped: watches end, requests that are under way may finish.
pub struct SimServer {
    address: SocketAddr,
    /// The certificate of the authority, as PEM; none for plain HTTP.
    authority: Option<String>,
    service: SimService<Simulation>,
    /// Closes when dropped, which is the sign to stop.
    _stop: watch::Sender<()>,
}

/// Serves a cluster on this loopback address (port 0 is any free one) and lets its time pass as real time does.
///
/// Its time goes on from where it stands. Tools that reckon with their own clock, as `kubectl describe` does for ages, want
/// a simulation that starts now. Needs to be called on a tokio runtime.
///
/// # Errors
/// When the address is taken, or is no loopback address.
pub async fn serve(simulation: Simulation, address: SocketAddr) -> Result<SimServer, ServeError> {
    let (listener, address) = listen(address).await?;
    Ok(start(simulation, listener, address, Wire::Plain, None))
}

/// As [`serve`], over TLS: HTTP/2 or HTTP/1.1, with a certificate of its own that [`SimServer::kubeconfig`] lets clients
/// check.
///
/// # Errors
/// As [`serve`], and when no certificate can be made.
#[cfg(feature = "tls")]
pub async fn serve_tls(simulation: Simulation, address: SocketAddr) -> Result<SimServer, ServeError> {
    let (listener, address) = listen(address).await?;
    let made = crate::certificate::make(address);
    let (acceptor, authority) = made.map_err(|source| ServeError::Certificate { address, source })?;
    Ok(start(simulation, listener, address, Wire::Tls(acceptor), Some(authority)))
}

fn start(
    simulation: Simulation,
    listener: TcpListener,
    address: SocketAddr,
    wire: Wire,
    authority: Option<String>,
) -> SimServer {
    let clock = Clock::starting_at(simulation.now());
    let service = SimService::new(simulation, clock);
    let (stop, stopped) = watch::channel(());
    tokio::spawn(until(stopped.clone(), service.clone().drive()));
    let (answering, ends) = (service.clone(), stopped.clone());
    let answer = service_fn(move |request| answer(answering.clone(), ends.clone(), request));
    tokio::spawn(accept(listener, wire, answer, stopped));
    SimServer { address, authority, service, _stop: stop }
}

impl SimServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address for clients.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate its own is checked with, as PEM; none for plain HTTP.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// The cluster, for programs in the same process: a service for their clients, and a look at the model.
    pub fn service(&self) -> &SimService<Simulation> {
        &self.service
    }

    /// A kubeconfig with one context that leads here.
    pub fn kubeconfig(&self) -> String {
        let url = self.url();
        // Everybody may do everything; but over TLS kubectl asks people for a name unless it has a token.
        let user = if self.authority.is_some() { "{token: anybody}" } else { "{}" };
        let authority = self
            .authority
            .as_ref()
            .map_or(String::new(), |pem| format!(", certificate-authority-data: {}", STANDARD.encode(pem)));
        format!(
            "apiVersion: v1
kind: Config
clusters:
- name: {CONTEXT}
  cluster: {{server: \"{url}\"{authority}}}
users:
- name: {CONTEXT}
  user: {user}
contexts:
- name: {CONTEXT}
  context: {{cluster: {CONTEXT}, user: {CONTEXT}, namespace: default}}
current-context: {CONTEXT}
"
        )
    }
}

impl fmt::Debug for SimServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimServer").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn until(mut stopped: watch::Receiver<()>, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        _ = stopped.changed() => {}
        () = work => {}
    }
}

async fn answer(
    mut service: SimService<Simulation>,
    stopped: watch::Receiver<()>,
    request: Request<Incoming>,
) -> Result<Response<Ending>, io::Error> {
    let response = service.call(request).await?;
    Ok(response.map(|body| Ending { body, stopped: Box::pin(gone(stopped)) }))
}

async fn gone(mut stopped: watch::Receiver<()>) {
    // Nothing is ever sent: a change is the end.
    let _ = stopped.changed().await;
}

/// A body that ends when the server stops; otherwise watches would keep it from stopping.
struct Ending {
    body: SimBody,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Body for Ending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => self.stopped.as_mut().poll(context).map(|()| None),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
