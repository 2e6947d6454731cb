//! The registry as a state machine: heads, pieces of bodies and the time go in, answers come out.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use release_core::MonoTime;

use super::access::Access;
use super::answer::{Answer, Code, Dropped, Refusal, Reply};
use super::content::Content;
use super::dice::Dice;
use super::digest::{Digest, hex};
use super::dispatch::{Opened, about, edge_refuses};
use super::exchange::{About, Begun, Call, Exchange, Plan};
use super::fault::{Fault, Rule};
use super::profile::Profile;
use super::route::{Route, is_name};
use super::store::Store;
use super::token::Tokens;
use super::trace::{Event, Trace};
use super::uploads::Uploads;

/// What a registry keeps at most unless it is told otherwise: 1 GiB.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Where a body of unannounced length breaks at the latest, if it is that long.
const UNANNOUNCED_BYTES: u64 = 1024 * 1024;

/// A host whose certificate nobody can trust, where none is served.
const UNTRUSTED: &str = "https://untrusted.invalid";

/// The largest form for the token service. Refresh tokens have some KiB.
const MAX_FORM_BYTES: usize = 64 * 1024;

/// What a [`Registry`] is like. The default is empty, open to all, and does what the specification says.
#[derive(Debug, Clone)]
pub struct Config {
    /// In which ways it differs from the specification.
    pub profile: Profile,
    /// Who may do what.
    pub access: Access,
    /// What goes wrong.
    pub rules: Vec<Rule>,
    /// Where upload ids, tokens and faults are drawn from.
    pub seed: u64,
    /// How many bytes it keeps, uploads included.
    pub max_bytes: u64,
    /// Where challenges send clients for a token; `None` for the registry's own token service. Anything else is how one finds
    /// out to whom a client shows its password.
    pub realm: Option<String>,
    /// The storage host that downloads are redirected to by some profiles, as `http://HOST`. [`serve`](super::serve())
    /// opens one if there is none.
    pub storage: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: Profile::PLAIN,
            access: Access::Open,
            rules: Vec::new(),
            seed: 0,
            max_bytes: MAX_BYTES,
            realm: None,
            storage: None,
        }
    }
}

/// An OCI registry in memory.
#[derive(Debug)]
pub struct Registry {
    pub(super) profile: Profile,
    pub(super) access: Access,
    pub(super) store: Store,
    pub(super) uploads: Uploads,
    pub(super) tokens: Tokens,
    pub(super) dice: Dice,
    pub(super) rng: fastrand::Rng,
    pub(super) realm: Option<String>,
    pub(super) storage: Option<String>,
    /// A host whose certificate nobody can trust.
    pub(super) untrusted: String,
    /// What only the registry knows: it signs addresses.
    pub(super) secret: u64,
    /// When the present window of anonymous pulls began, and how many there were.
    pub(super) pulls: Option<(MonoTime, u32)>,
    /// Tags that somebody else will move: when, and which.
    pub(super) moves: Vec<(MonoTime, String, String)>,
    trace: Trace,
}

/// Why a repository was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryError {
    /// No repository can have this name.
    #[error("no repository can be called `{name}`")]
    Name {
        /// The name.
        name: String,
    },
    /// The registry keeps as much as it may.
    #[error("there is no room for repository `{name}`")]
    Full {
        /// The name.
        name: String,
    },
}

impl Registry {
    /// An empty registry.
    pub fn new(config: Config) -> Self {
        let mut rng = fastrand::Rng::with_seed(config.seed);
        Self {
            profile: config.profile,
            access: config.access,
            store: Store::new(config.max_bytes),
            uploads: Uploads::default(),
            tokens: Tokens::default(),
            dice: Dice::new(config.rules, config.seed),
            secret: rng.u64(..),
            rng,
            realm: config.realm,
            storage: config.storage,
            untrusted: UNTRUSTED.to_owned(),
            pulls: None,
            moves: Vec::new(),
            trace: Trace::default(),
        }
    }

    /// Answers a request whose body is here already.
    ///
    /// # Errors
    /// When a fault closes the connection.
    pub fn handle(&mut self, request: Request<Bytes>, now: MonoTime) -> Result<Answer, Dropped> {
        let (mut head, body) = request.into_parts();
        head.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(body.len()));
        match self.begin(&head, now) {
            Begun::Answered(answer) => Ok(answer),
            Begun::Dropped(dropped) => Err(dropped),
            Begun::Wants(mut exchange) => {
                self.piece(&mut exchange, &body, now)?;
                self.finish(exchange, now)
            }
        }
    }

    /// Takes the head of a request.
    pub fn begin(&mut self, head: &Parts, now: MonoTime) -> Begun {
        self.catch_up(now);
        let call = Call::new(head, now);
        let route = Route::parse(call.path);
        let about = about(&call, route.as_ref().and_then(|route| route.as_ref().ok()));
        if self.strikes(&Fault::Partition, &about, now) {
            return Begun::Dropped(self.dropped(&about, now));
        }
        let opened = match route {
            None => {
                Err(Refusal::new(Code::Unsupported).status(StatusCode::NOT_FOUND).says("nothing is here"))
            }
            Some(route) => route.and_then(|route| self.open(&call, &route, &about)),
        };
        let response = match opened {
            Ok(Opened::Reply(response)) => response,
            Err(refusal) => refusal.into_response(),
            Ok(Opened::Body(plan)) => {
                let resets = call.has_body() && self.strikes(&Fault::Reset, &about, now);
                let breaks_at = resets.then(|| self.dice.below(call.length().unwrap_or(UNANNOUNCED_BYTES)));
                return Begun::Wants(Exchange { about, plan, received: 0, breaks_at, decided: None });
            }
        };
        match self.answered(&about, response, now) {
            Ok(answer) => Begun::Answered(answer),
            Err(dropped) => Begun::Dropped(dropped),
        }
    }

    /// Takes the next piece of a body.
    ///
    /// # Errors
    /// When a fault breaks the connection. What came before is kept, as a registry does.
    pub fn piece(&mut self, exchange: &mut Exchange, piece: &[u8], now: MonoTime) -> Result<(), Dropped> {
        let room = exchange.breaks_at.map_or(u64::MAX, |at| at.saturating_sub(exchange.received));
        let len = usize::try_from(room).unwrap_or(usize::MAX).min(piece.len());
        exchange.received += len as u64;
        if exchange.decided.is_none() {
            exchange.decided = self.take(exchange, &piece[..len], now).err();
        }
        if len == piece.len() {
            return Ok(());
        }
        self.release(&std::mem::replace(&mut exchange.plan, Plan::Nothing), now);
        Err(self.dropped(&exchange.about, now))
    }

    /// The body has ended: does what the request asks for.
    ///
    /// # Errors
    /// When a fault loses the answer. What was asked for is done all the same.
    pub fn finish(&mut self, exchange: Exchange, now: MonoTime) -> Result<Answer, Dropped> {
        let Exchange { about, plan, received, decided, .. } = exchange;
        self.release(&plan, now);
        let response = match (decided, plan) {
            (Some(response), _) => *response,
            (None, plan) => self.conclude(plan, received, now).unwrap_or_else(Refusal::into_response),
        };
        self.answered(&about, response, now)
    }

    /// The client has gone in the middle of a body. What came before is kept, as a registry does.
    pub fn abandon(&mut self, exchange: Exchange, now: MonoTime) {
        let Exchange { about, plan, .. } = exchange;
        self.release(&plan, now);
        self.dropped(&about, now);
    }

    /// Creates a repository, as profiles that do not create them on push need.
    ///
    /// # Errors
    /// When there is no room, or no repository can have this name.
    pub fn create_repository(&mut self, name: &str) -> Result<(), RepositoryError> {
        if !is_name(name) {
            return Err(RepositoryError::Name { name: name.to_owned() });
        }
        self.store.create(name).map_err(|_| RepositoryError::Full { name: name.to_owned() })
    }

    /// The digest a tag names now.
    pub fn resolve(&self, repository: &str, tag: &str) -> Option<&Digest> {
        self.store.repository(repository)?.tag(tag)
    }

    /// How many bytes are kept, uploads included.
    pub fn used_bytes(&self) -> u64 {
        self.store.used()
    }

    /// What happened.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Adds something that goes wrong from now on.
    pub fn add_rule(&mut self, rule: Rule) {
        self.dice.add(rule);
    }

    /// Nothing goes wrong from now on.
    pub fn clear_rules(&mut self) {
        self.dice.clear();
    }

    /// Says where the storage host is.
    pub(super) fn set_storage(&mut self, base: String) {
        self.storage.get_or_insert(base);
    }

    /// Says where the host is whose certificate nobody can trust.
    #[cfg(feature = "tls")]
    pub(super) fn set_untrusted(&mut self, base: String) {
        self.untrusted = base;
    }

    /// Does what has become due since the last request.
    fn catch_up(&mut self, now: MonoTime) {
        let Self { uploads, store, .. } = self;
        uploads.expire(now, |bytes| store.give_back(bytes));
        self.move_tags(now);
    }

    /// Draws a fault, and writes down that it struck.
    pub(super) fn strike(
        &mut self,
        kind: impl Fn(&Fault) -> bool,
        repository: &str,
        reference: &str,
        now: MonoTime,
    ) -> Option<Fault> {
        let fault = self.dice.draw(kind, (repository, reference), now)?;
        let (repository, reference) = (repository.to_owned(), reference.to_owned());
        self.note(Event::Struck { fault: fault.name(), repository, reference }, now);
        Some(fault)
    }

    /// Draws this fault.
    fn strikes(&mut self, fault: &Fault, about: &About, now: MonoTime) -> bool {
        self.strike(|other| other == fault, &about.repository, &about.reference, now).is_some()
    }

    pub(super) fn note(&mut self, event: Event, now: MonoTime) {
        self.trace.push(now, event);
    }

    /// A text that nobody can guess, of 32 digits.
    pub(super) fn random_id(&mut self) -> String {
        hex(&self.rng.u128(..).to_be_bytes())
    }

    /// Takes a piece; an error is the answer.
    fn take(
        &mut self,
        exchange: &mut Exchange,
        piece: &[u8],
        now: MonoTime,
    ) -> Result<(), Box<Response<Content>>> {
        if self.profile.max_request_bytes.is_some_and(|max| exchange.received > max) {
            return Err(Box::new(edge_refuses()));
        }
        let taken = match &mut exchange.plan {
            Plan::Append(append) => self.append(append, piece, now),
            Plan::Manifest(push) => self.grow_manifest(push, piece),
            Plan::Token { body } if body.len() + piece.len() > MAX_FORM_BYTES => {
                Err(Refusal::new(Code::SizeInvalid).status(StatusCode::PAYLOAD_TOO_LARGE))
            }
            Plan::Token { body } => {
                body.extend_from_slice(piece);
                Ok(())
            }
            Plan::Nothing => Ok(()),
        };
        taken.map_err(|refusal| Box::new(refusal.into_response()))
    }

    fn conclude(&mut self, plan: Plan, received: u64, now: MonoTime) -> Reply {
        match plan {
            Plan::Append(append) => self.finish_append(append, received, now),
            Plan::Manifest(push) => self.put_manifest(push, now),
            Plan::Token { body } => Ok(self.exchange_token(&body, now)),
            Plan::Nothing => Err(Refusal::new(Code::BlobUploadInvalid)),
        }
    }

    /// Lets others at the upload that a body belongs to.
    fn release(&mut self, plan: &Plan, now: MonoTime) {
        if let Plan::Append(append) = plan {
            self.uploads.release(&append.id, now);
        }
    }

    /// Sends an answer, unless it is lost.
    fn answered(
        &mut self,
        about: &About,
        mut response: Response<Content>,
        now: MonoTime,
    ) -> Result<Answer, Dropped> {
        if self.strikes(&Fault::AnswerLost, about, now) {
            return Err(self.dropped(about, now));
        }
        let warning = self.profile.warning.map(|warning| format!("299 - \"{warning}\""));
        if let Some(Ok(value)) = warning.map(HeaderValue::try_from) {
            response.headers_mut().insert(HeaderName::from_static("warning"), value);
        }
        let status = response.status();
        if about.method == Method::HEAD {
            response = response.map(|_| Content::default());
        }
        let downloads = about.method == Method::GET && status.is_success() && !response.body().is_empty();
        let resets = downloads && self.strikes(&Fault::Reset, about, now);
        let breaks_after = resets.then(|| self.dice.below(response.body().len()));
        let (method, path) = (about.method.to_string(), about.path.clone());
        let credentials = about.credentials;
        self.note(Event::Answered { method, path, status: status.as_u16(), credentials }, now);
        Ok(Answer { response, breaks_after })
    }

    fn dropped(&mut self, about: &About, now: MonoTime) -> Dropped {
        self.note(Event::Dropped { method: about.method.to_string(), path: about.path.clone() }, now);
        Dropped
    }
}
