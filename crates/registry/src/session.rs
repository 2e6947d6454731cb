//! Requests to one repository: who we are is shown to the registry and to nobody else, and shown anew when it is forgotten.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use release_core::{Credentials, Repository};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::challenge::Challenge;
use crate::patience::{Pace, Patience};
use crate::registry::{Clients, Pass, address, bounded_body, may_pass, retry_after};
use crate::request::{Attempt, RegistryCode, RequestError};
use crate::token::{self, Wanted};

/// The longest a request can take at all. What ends a request that hangs is [`Pace::stall`].
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a running upload is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How often one request is sent with a new token: once because the old one ended, and once more because a token can be
/// taken back while it is on its way.
const RENEWALS: u32 = 2;

/// The largest list of reasons that is read.
const MAX_REASONS_BYTES: usize = 64 * 1024;

/// The largest warning the specification knows.
const MAX_WARNING_BYTES: usize = 4096;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Whether the answer may take long to arrive as a whole.
    pub(crate) long: bool,
}

impl Ask {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), long: false }
    }
}

/// Why there is no answer.
pub(crate) enum Trouble {
    /// Trying again may help.
    Passing(Attempt),
    /// It will not.
    Lasting(RequestError),
}

/// One repository's registry, and what it knows of us.
pub(crate) struct Session<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) repository: &'a Repository,
    pub(crate) pace: Pace,
    aim: Aim,
    credentials: Option<&'a Credentials>,
    /// What a token has to allow: scopes with spaces between them.
    scope: String,
    base: Url,
    shown: Mutex<Shown>,
    /// Whether the registry ever answered.
    reached: AtomicBool,
}

/// What is shown with a request.
struct Shown {
    pass: Pass,
    /// Counts renewals, so that of many uploads that are turned away one renews.
    turn: u64,
    /// When a token is better renewed, and where.
    renewal: Option<(Instant, Token)>,
}

#[derive(Clone)]
struct Token {
    realm: String,
    service: Option<String>,
}

/// What is meant to be done with the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    Push,
    Pull,
}

impl Aim {
    /// What a token has to allow.
    fn actions(self) -> &'static str {
        match self {
            Self::Push => "pull,push",
            Self::Pull => "pull",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Push => "push to",
            Self::Pull => "pull from",
        }
    }
}

impl<'a> Session<'a> {
    /// A session that may also read the repositories `also`.
    pub(crate) fn new(
        clients: &'a Clients,
        pace: Pace,
        repository: &'a Repository,
        aim: Aim,
        also: &[Repository],
        credentials: Option<&'a Credentials>,
    ) -> Result<Self, RequestError> {
        let mut scope = format!("repository:{}:{}", repository.path(), aim.actions());
        for from in also {
            let _ = write!(scope, " repository:{}:pull", from.path());
        }
        let base = address(repository, "").map_err(RequestError::Confirm)?;
        let shown = Mutex::new(Shown { pass: Pass::None, turn: 0, renewal: None });
        Ok(Self {
            clients,
            repository,
            pace,
            aim,
            credentials,
            scope,
            base,
            shown,
            reached: AtomicBool::new(false),
        })
    }

    /// Whether the registry ever answered.
    pub(crate) fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    pub(crate) fn registry(&self) -> &str {
        self.repository.registry()
    }

    /// An address below the repository's, such as `blobs/uploads/`.
    pub(crate) fn url(&self, below: &str) -> Result<Url, RequestError> {
        address(self.repository, below).map_err(RequestError::Confirm)
    }

    /// Where an answer's `Location` leads: it may be relative, and it may be elsewhere, but not past TLS.
    pub(crate) fn location(&self, answer: &Response) -> Result<Option<Url>, RequestError> {
        let Some(header) = answer.headers().get(reqwest::header::LOCATION) else { return Ok(None) };
        let url = header.to_str().ok().and_then(|text| answer.url().join(text).ok());
        let url = url.ok_or_else(|| self.malformed("a location"))?;
        let secure = url.scheme() == "https" || (url.scheme() == "http" && self.base.scheme() == "http");
        if secure {
            return Ok(Some(url));
        }
        let place = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        Err(RequestError::Insecure { registry: self.registry().to_owned(), what: "the upload", place })
    }

    /// Sends once, and again when the registry wants to know who we are, or has forgotten.
    pub(crate) async fn send(
        &self,
        ask: &Ask,
        body: impl Fn() -> Option<reqwest::Body>,
        sent: Option<&AtomicU64>,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Response, Trouble> {
        let ours = ask.url.origin() == self.base.origin();
        let mut renewals = 0;
        loop {
            let mut request = self.clients.of(&ask.url).request(ask.method.clone(), ask.url.clone());
            request = request.headers(ask.headers.clone());
            if let Some(body) = body() {
                request = request.body(body).timeout(LONGEST);
            } else if ask.long {
                request = request.timeout(LONGEST);
            }
            let mut turn = 0;
            if ours {
                let mut shown = self.shown.lock().await;
                self.keep_fresh(&mut shown).await;
                turn = shown.turn;
                request = shown.pass.show(request, self.credentials);
            }
            let answer = self.watch(request.send(), sent, progress).await?;
            self.reached.store(true, Ordering::Relaxed);
            // Whoever answers in another place, after a redirect, must not name where our secrets go.
            let theirs = answer.url().origin() != self.base.origin();
            if !ours || theirs || renewals == RENEWALS || answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            renewals += 1;
            self.renew(turn, answer).await.map_err(Trouble::Lasting)?;
        }
    }

    /// Sends something small, again and again while it may help.
    pub(crate) async fn persist(
        &self,
        ask: &Ask,
        body: Option<&Bytes>,
        patience: &mut Patience<'_>,
    ) -> Result<Response, RequestError> {
        loop {
            let bytes = || body.map(|bytes| reqwest::Body::from(bytes.clone()));
            let (attempt, after) = match self.send(ask, bytes, None, &mut |_| {}).await {
                Ok(answer) if may_pass(answer.status()) => {
                    let after = retry_after(&answer);
                    (self.attempt(answer).await, after)
                }
                Ok(answer) => return Ok(answer),
                Err(Trouble::Passing(attempt)) => (attempt, None),
                Err(Trouble::Lasting(error)) => return Err(error),
            };
            patience.wait(attempt, after).await?;
        }
    }

    /// An answer that may be another one later.
    pub(crate) async fn attempt(&self, answer: Response) -> Attempt {
        let status = answer.status().as_u16();
        Attempt::Status { status, codes: reasons(answer, self.registry()).await }
    }

    /// Waits for the answer while something moves.
    async fn watch(
        &self,
        answer: impl Future<Output = reqwest::Result<Response>>,
        sent: Option<&AtomicU64>,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Response, Trouble> {
        let mut answer = std::pin::pin!(answer);
        let mut last = 0;
        let mut moved = Instant::now();
        loop {
            match tokio::time::timeout(LOOK.min(self.pace.stall), &mut answer).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => return Err(Trouble::Passing(Attempt::Connection(error.without_url()))),
                Err(_) => {}
            }
            let now = sent.map_or(0, |sent| sent.load(Ordering::Relaxed));
            if now != last {
                last = now;
                moved = Instant::now();
                progress(now);
            } else if moved.elapsed() >= self.pace.stall {
                return Err(Trouble::Passing(Attempt::Stalled(self.pace.stall)));
            }
        }
    }

    /// Renews a token that is about to end. Failing is no failure yet: the registry will say so.
    async fn keep_fresh(&self, shown: &mut Shown) {
        let Some((_, token)) = shown.renewal.clone().filter(|(when, _)| Instant::now() >= *when) else {
            return;
        };
        if let Err(error) = self.fetch(shown, &token).await {
            tracing::debug!(registry = self.registry(), %error, "the token was not renewed");
            shown.renewal = None;
        }
    }

    /// Answers a challenge, unless another request has done it meanwhile.
    async fn renew(&self, turn: u64, answer: Response) -> Result<(), RequestError> {
        let headers = answer.headers().get_all(WWW_AUTHENTICATE);
        let asked = headers.iter().filter_map(|h| h.to_str().ok()).collect::<Vec<_>>().join(", ");
        let mut shown = self.shown.lock().await;
        if shown.turn != turn {
            return Ok(());
        }
        match Challenge::parse(&asked) {
            // A password that was turned away once is wrong.
            Some(Challenge::Basic)
                if matches!(self.credentials, Some(Credentials::Basic { .. }))
                    && matches!(shown.pass, Pass::None) =>
            {
                shown.pass = Pass::Basic;
                shown.turn += 1;
                Ok(())
            }
            // The scope that is asked for may be too narrow: a HEAD needs less than what follows.
            Some(Challenge::Bearer { realm, service, .. }) => {
                self.fetch(&mut shown, &Token { realm, service }).await
            }
            _ => {
                drop(shown);
                Err(self.unauthorized(reasons(answer, self.registry()).await))
            }
        }
    }

    async fn fetch(&self, shown: &mut Shown, at: &Token) -> Result<(), RequestError> {
        let wanted = Wanted {
            registry: self.registry(),
            realm: &at.realm,
            service: at.service.as_deref(),
            scope: &self.scope,
        };
        let token = token::fetch(self.clients, &wanted, self.credentials).await?;
        // Renewed when three quarters of its time are over: a request must not begin with a token that ends under way.
        shown.renewal = Some((Instant::now() + token.lifetime * 3 / 4, at.clone()));
        shown.pass = Pass::Token(token.secret);
        shown.turn += 1;
        Ok(())
    }

    pub(crate) fn unauthorized(&self, codes: Vec<RegistryCode>) -> RequestError {
        RequestError::Unauthorized {
            registry: self.registry().to_owned(),
            repository: self.repository.path().to_owned(),
            aim: self.aim.verb(),
            anonymous: self.credentials.is_none(),
            codes,
        }
    }

    pub(crate) fn malformed(&self, what: &'static str) -> RequestError {
        RequestError::Malformed { registry: self.registry().to_owned(), what }
    }

    /// What an answer nobody wanted means for good.
    pub(crate) async fn refused(&self, answer: Response, what: &str) -> RequestError {
        let status = answer.status();
        if status.is_redirection() {
            let to = answer.headers().get(reqwest::header::LOCATION).and_then(|to| to.to_str().ok());
            let to = to.and_then(|to| answer.url().join(to).ok());
            let place = to.map_or_else(
                || "nowhere".to_owned(),
                |to| {
                    if to.origin().is_tuple() {
                        to.origin().ascii_serialization()
                    } else {
                        format!("{}:", to.scheme())
                    }
                },
            );
            return RequestError::Redirect { registry: self.registry().to_owned(), place };
        }
        let codes = reasons(answer, self.registry()).await;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return self.unauthorized(codes);
        }
        let registry = self.registry().to_owned();
        RequestError::Refused { registry, what: what.to_owned(), status: status.as_u16(), codes }
    }
}

/// The registry's reasons, as far as it gives any.
pub(crate) async fn reasons(answer: Response, registry: &str) -> Vec<RegistryCode> {
    #[derive(Deserialize)]
    struct Reasons {
        errors: Vec<RegistryCode>,
    }
    let body: Bytes = bounded_body(answer, MAX_REASONS_BYTES, registry).await.unwrap_or_default().into();
    serde_json::from_slice::<Reasons>(&body).map(|reasons| reasons.errors).unwrap_or_default()
}

/// The sentences of `Warning` headers: `299 - "…"`. They are told, and never acted upon.
pub(crate) fn warnings(answer: &Response) -> Vec<String> {
    let all = answer.headers().get_all(reqwest::header::WARNING).iter();
    all.filter(|header| header.len() <= MAX_WARNING_BYTES)
        .filter_map(|header| header.to_str().ok()?.strip_prefix("299 "))
        .filter_map(|text| Some(text.split_once(' ')?.1.trim().trim_matches('"').replace("\\\"", "\"")))
        .collect()
}
