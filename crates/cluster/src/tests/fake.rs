//! An API server in process: answers from its store of objects, unless the script says that something goes wrong.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tower::BoxError;

use super::store_of_objects::Objects;
use crate::api::Api;
use crate::{Clock, Cluster};

/// What goes wrong with a request.
#[derive(Clone)]
pub(super) enum Act {
    /// This is answered; nothing is done.
    Answer(u16, String),
    /// As [`Act::Answer`], with a `Retry-After`.
    Later(u16, &'static str),
    /// The connection is refused.
    Refuse,
    /// The connection dies before anything is done.
    DieBefore,
    /// It is done, and the connection dies.
    DieAfter,
    /// Nothing is done and no answer comes.
    Hang,
    /// It is done, and the answer comes late.
    Slow(Duration),
    /// The answer never stops.
    Endless,
    /// A watch that brings these lines and stays open, or ends.
    Watch { lines: Vec<Value>, ends: bool },
}

impl Act {
    /// What an API server answers when it says no.
    pub(super) fn status(code: u16, reason: &str, message: &str) -> Self {
        Self::Answer(code, status(code, reason, message).to_string())
    }
}

/// The body of a refusal.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": message})
}

struct Rule {
    method: &'static str,
    part: &'static str,
    skip: usize,
    times: usize,
    act: Act,
}

#[derive(Default)]
struct Script {
    rules: Vec<Rule>,
    /// Every request and when it came.
    log: Vec<(Duration, String)>,
    /// From this request on nothing is answered: the process that asks is about to be killed.
    dies_at: Option<usize>,
    asked: usize,
}

/// The server, and what it saw.
#[derive(Clone)]
pub(super) struct Fake {
    script: Arc<Mutex<Script>>,
    objects: Arc<Mutex<Objects>>,
    changed: Arc<Notify>,
    died: Arc<Notify>,
    began: Instant,
    clock: Clock,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panicked while holding it")
}

impl Fake {
    pub(super) fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let began = Instant::now();
        Self {
            script: Arc::default(),
            objects: Arc::default(),
            changed: Arc::default(),
            died: Arc::default(),
            began,
            clock: Clock::with_wall(move || wall(began.elapsed())),
        }
    }

    /// The next `times` requests like `what` (method and a part of path and query: `PUT leases`) go wrong like this.
    pub(super) fn on(&self, what: &'static str, times: usize, act: Act) {
        self.after(what, 0, times, act);
    }

    /// As [`Fake::on`], after `skip` such requests went well.
    pub(super) fn after(&self, what: &'static str, skip: usize, times: usize, act: Act) {
        let (method, part) = what.split_once(' ').expect("a method and a part of the path");
        open(&self.script).rules.push(Rule { method, part, skip, times, act });
    }

    /// Everything goes well from now on.
    pub(super) fn heal(&self) {
        open(&self.script).rules.clear();
    }

    /// The request with this number, counted from now on, is carried out and not answered, nor is any later one.
    pub(super) fn dies_at(&self, request: Option<usize>) {
        let mut script = open(&self.script);
        script.asked = 0;
        script.dies_at = request;
    }

    /// Ends when the request of [`Fake::dies_at`] was carried out.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    /// Every request as `PUT leases/x`, watches as `WATCH pods`, dry runs as `TRY deployments/web`.
    pub(super) fn log(&self) -> Vec<String> {
        open(&self.script).log.iter().map(|(_, line)| line.clone()).collect()
    }

    /// When each request like `line` came.
    pub(super) fn times(&self, line: &str) -> Vec<Duration> {
        open(&self.script).log.iter().filter(|(_, seen)| seen == line).map(|(at, _)| *at).collect()
    }

    pub(super) fn forget_log(&self) {
        open(&self.script).log.clear();
    }

    /// Changes an object behind everybody's back, as a controller or another process would.
    pub(super) fn put(&self, object: Value) {
        open(&self.objects).put(object);
        self.changed.notify_waiters();
    }

    pub(super) fn delete(&self, path: &str) {
        open(&self.objects).delete(path);
        self.changed.notify_waiters();
    }

    /// The object at `configmaps/x`.
    pub(super) fn object(&self, path: &str) -> Option<Value> {
        open(&self.objects).get(path)
    }

    /// Every state of every object, in the order in which they came to be.
    pub(super) fn history(&self) -> Vec<(String, Value)> {
        open(&self.objects).history()
    }

    pub(super) fn api(&self) -> Api {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { fake.answer(request).await }
        });
        Api::new(kube::Client::new(service, "radio"), self.clock.clone())
    }

    /// A connection to namespace `radio`.
    pub(super) fn cluster(&self) -> Cluster {
        let api = self.api();
        Cluster::from_client(api.client, "radio", "fake", api.clock).expect("a client")
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Answer>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let path = parts.uri.path_and_query().expect("a path").as_str().to_owned();
        let method = if path.contains("watch=true") { "WATCH" } else { parts.method.as_str() };
        let (act, dies) = self.note(method, &path);
        if dies {
            self.done(method, &path, &body);
            self.died.notify_one();
            return std::future::pending().await;
        }
        let lost = |kind| Err(std::io::Error::new(kind, "the connection is gone").into());
        match act {
            None => Ok(self.done(method, &path, &body)),
            Some(Act::Answer(code, text)) => Ok(respond(code, None, whole(text))),
            Some(Act::Later(code, after)) => {
                let text = status(code, "TooManyRequests", "later").to_string();
                Ok(respond(code, Some(after), whole(text)))
            }
            Some(Act::Refuse) => lost(std::io::ErrorKind::ConnectionRefused),
            Some(Act::DieBefore) => lost(std::io::ErrorKind::ConnectionReset),
            Some(Act::DieAfter) => {
                self.done(method, &path, &body);
                lost(std::io::ErrorKind::ConnectionReset)
            }
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::Slow(for_)) => {
                let response = self.done(method, &path, &body);
                sleep(for_).await;
                Ok(response)
            }
            Some(Act::Endless) => {
                let chunk = Bytes::from(vec![b' '; 1 << 20]);
                let frames = stream::repeat_with(move || Ok::<_, BoxError>(Frame::data(chunk.clone())));
                Ok(respond(200, None, StreamBody::new(frames.boxed())))
            }
            Some(Act::Watch { lines, ends }) => Ok(respond(200, None, scripted(lines, ends))),
        }
    }

    /// Writes a request down, and finds out what goes wrong with it and whether it is the last one.
    fn note(&self, method: &str, path: &str) -> (Option<Act>, bool) {
        let mut script = open(&self.script);
        script.log.push((self.began.elapsed(), line(method, path)));
        if method != "WATCH" {
            script.asked += 1;
        }
        let dies = script.dies_at.is_some_and(|at| script.asked >= at);
        let fits = |rule: &&mut Rule| rule.times > 0 && rule.method == method && path.contains(rule.part);
        for rule in script.rules.iter_mut().filter(fits) {
            if rule.skip == 0 {
                rule.times -= 1;
                return (Some(rule.act.clone()), dies);
            }
            rule.skip -= 1;
        }
        (None, dies)
    }

    fn done(&self, method: &str, path: &str, body: &Value) -> Response<Answer> {
        if method == "WATCH" {
            return respond(200, None, self.watch(path));
        }
        let now = wall(self.began.elapsed()).to_string();
        let (code, answer, rolls_out) = open(&self.objects).request(method, path, body, &now);
        self.changed.notify_waiters();
        if let Some(path) = rolls_out {
            let fake = self.clone();
            tokio::spawn(async move {
                sleep(ROLLOUT).await;
                let now = wall(fake.began.elapsed()).to_string();
                open(&fake.objects).roll_out(&path, &now);
                fake.changed.notify_waiters();
            });
        }
        respond(code, None, whole(answer.to_string()))
    }

    /// Events since the asked version, until the asked time is over.
    fn watch(&self, path: &str) -> Answer {
        let number = |key: &str| {
            let value = path.split(['?', '&']).find_map(|pair| pair.strip_prefix(key));
            value.and_then(|value| value.parse::<u64>().ok())
        };
        let from = number("resourceVersion=").unwrap_or(0);
        let ends = Instant::now() + Duration::from_secs(number("timeoutSeconds=").unwrap_or(290));
        let (fake, path) = (self.clone(), path.to_owned());
        StreamBody::new(
            stream::unfold(from, move |from| {
                let (fake, path) = (fake.clone(), path.clone());
                async move {
                    loop {
                        let changed = fake.changed.notified();
                        let next = open(&fake.objects).event_after(&path, from);
                        if let Some((version, event)) = next {
                            return Some((Ok::<_, BoxError>(Frame::data(text(&event))), version));
                        }
                        tokio::select! { () = changed => {}, () = sleep_until(ends) => return None }
                    }
                }
            })
            .boxed(),
        )
    }
}

/// How long the cluster needs to replace a Deployment's pods.
pub(super) const ROLLOUT: Duration = Duration::from_secs(3);

/// The time of day of all clocks.
fn wall(since: Duration) -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time") + since
}

/// A body that comes in pieces.
type Answer = StreamBody<BoxStream<'static, Result<Frame<Bytes>, BoxError>>>;

fn whole(text: String) -> Answer {
    StreamBody::new(stream::iter([Ok(Frame::data(Bytes::from(text)))]).boxed())
}

fn text(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

fn scripted(lines: Vec<Value>, ends: bool) -> Answer {
    let lines = stream::iter(lines).map(|line| Ok::<_, BoxError>(Frame::data(text(&line))));
    let rest = stream::once(async move {
        if !ends {
            std::future::pending::<()>().await;
        }
    })
    .filter_map(|()| std::future::ready(None));
    StreamBody::new(lines.chain(rest).boxed())
}

fn respond(code: u16, retry_after: Option<&str>, body: Answer) -> Response<Answer> {
    let mut response = Response::builder().status(code).header("content-type", "application/json");
    if let Some(after) = retry_after {
        response = response.header("retry-after", after);
    }
    response.body(body).expect("a response")
}

/// A request in a few words.
fn line(method: &str, path: &str) -> String {
    let (bare, query) = path.split_once('?').unwrap_or((path, ""));
    let method = if query.contains("dryRun") { "TRY" } else { method };
    let what = bare.split_once("/namespaces/radio/").map_or(bare, |(_, what)| what);
    format!("{method} {what}")
}
