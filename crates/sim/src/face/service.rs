//! Requests in, answers and streams out.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;

use super::body::SimBody;
use super::changes::Changes;
use super::clock::Clock;
use crate::api::{self, Answer, MAX_BODY, Model, Replica, Reply};
use crate::status::Status;

/// Any error of a request's body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A simulated cluster as a `tower::Service`. Clones are the same cluster.
///
/// A request is carried out the moment its body is there; after that it does not matter whether anybody still waits
/// for the answer.
///
/// With a model that has controllers, [`SimService::drive`] must run somewhere.
#[derive(Debug)]
pub struct SimService<M> {
    shared: Arc<Shared<M>>,
}

#[derive(Debug)]
pub(super) struct Shared<M> {
    model: Mutex<M>,
    clock: Clock,
    /// The revision after the last request; watches wait for it to change.
    revision: Changes,
}

impl<M> Clone for SimService<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: Model> SimService<M> {
    /// Serves a model; time goes on from `clock`.
    pub fn new(model: M, clock: Clock) -> Self {
        let revision = Changes::new(model.server().store().revision());
        Self { shared: Arc::new(Shared { model: Mutex::new(model), clock, revision }) }
    }

    /// Looks at the model or changes it, as controllers and tests in the same process do. Watches see the changes.
    pub fn with<T>(&self, look: impl FnOnce(&mut M, Timestamp) -> T) -> T {
        self.shared.with(look)
    }

    /// What time it is in the cluster.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Lets the model's own things happen when they are due: runs for ever, beside the requests.
    pub async fn drive(self) {
        loop {
            // What the model did itself is no news to it; what came in meanwhile is.
            let look = |model: &mut M, now| (model.advance(now), model.server().store().revision());
            let (next, seen) = self.shared.with(look);
            let next = next.map(|at| self.shared.clock.instant(at));
            tokio::select! {
                biased;
                () = self.shared.revision.after(seen) => {}
                () = sleep_until(next) => {}
            }
        }
    }

    fn answer(&self, parts: &http::request::Parts, body: &Bytes, replica: Replica) -> Reply {
        self.shared.with(|model, now| {
            let request = api::Request {
                method: &parts.method,
                path: parts.uri.path(),
                query: parts.uri.query().unwrap_or_default(),
                headers: &parts.headers,
                body,
            };
            let reply = api::respond_as(model, now, request, replica);
            model.answered(now);
            reply
        })
    }
}

pub(super) async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl<M: Model> Shared<M> {
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut M, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut model = self.lock();
        let out = look(&mut model, now);
        let revision = model.server().store().revision();
        drop(model);
        self.revision.set(revision);
        out
    }

    /// When it will be that late on tokio's clock.
    pub(super) fn instant(&self, at: Timestamp) -> tokio::time::Instant {
        self.clock.instant(at)
    }

    pub(super) fn changes(&self) -> &Changes {
        &self.revision
    }

    /// A panic in one request must not end the others: the model is whole between its methods.
    fn lock(&self) -> MutexGuard<'_, M> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M, B> tower::Service<Request<B>> for SimService<M>
where
    M: Model,
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BodyError>,
{
    type Response = Response<SimBody>;
    /// A connection that is refused or reset; only faults do that.
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<SimBody>, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            // One byte more than is allowed, so that what is too long is told from what is just long enough.
            let limited = Limited::new(body, MAX_BODY + 1);
            let bytes = match limited.collect().await {
                Ok(collected) => collected.to_bytes(),
                Err(error) if error.is::<LengthLimitError>() => {
                    return Ok(whole(api::too_large().into()));
                }
                Err(error) => {
                    let text = format!("reading the body: {error}");
                    return Ok(whole(Status::bad_request(text).into()));
                }
            };
            let meddling = service.shared.with(|model, now| model.meddle(now, &parts));
            if meddling.unreachable {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            if let Some(status) = meddling.refused {
                tokio::time::sleep(meddling.slower).await;
                return Ok(whole(status.into()));
            }
            let reply = service.answer(&parts, &bytes, meddling.replica);
            if !meddling.slower.is_zero() {
                tokio::time::sleep(meddling.slower).await;
            }
            if meddling.answer_lost {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Ok(match reply {
                Reply::Answer(answer) => {
                    if !answer.after.is_zero() {
                        tokio::time::sleep(answer.after).await;
                    }
                    whole(answer)
                }
                Reply::Watch(watch) => {
                    let mut response =
                        Response::new(SimBody::stream(&service.shared, *watch, meddling.watch));
                    let json = HeaderValue::from_static("application/json");
                    response.headers_mut().insert(header::CONTENT_TYPE, json);
                    response
                }
            })
        })
    }
}

fn whole(answer: Answer) -> Response<SimBody> {
    let mut response = Response::new(SimBody::whole(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    *headers = answer.headers;
    if !answer.content_type.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    }
    for warning in &answer.warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
            headers.append(header::WARNING, value);
        }
    }
    if let Some(seconds) = answer.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
