//! Who is asking, and may they: challenges, and the token service.
//!
//! The token service follows the distribution project's [description](https://distribution.github.io/distribution/spec/auth/):
//! `GET` with basic authentication or none, `POST` with a password or a refresh token. A token is given to everybody whose
//! password is right; what it allows is what was asked for and is granted, which can be nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::header::WWW_AUTHENTICATE;
use http::{Method, Response, StatusCode};
use release_core::MonoTime;
use serde_json::json;

use super::access::{Access, Action, Grant, User, allows};
use super::answer::{Code, Draft, Refusal, Reply};
use super::content::Content;
use super::dispatch::Opened;
use super::exchange::{About, Call, Plan};
use super::fault::Fault;
use super::machine::Registry;
use super::profile::Scheme;
use super::route::Params;
use super::token::{Scope, Token};

/// What the registry calls itself in challenges.
const SERVICE: &str = "release-sim";

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principal {
    /// Somebody who has not said.
    Anonymous,
    /// A user.
    User(String),
}

/// What a request needs, repository by repository.
pub(super) type Needs<'a> = [(&'a str, &'a [Action])];

impl Registry {
    /// `GET /v2/`: 200 to everybody who is known.
    pub(super) fn root(&mut self, call: &Call<'_>) -> Reply {
        if !matches!(*call.method, Method::GET | Method::HEAD) {
            return Err(Refusal::new(Code::Unsupported));
        }
        if !self.profile.open_root {
            self.identify(call)?;
        }
        Ok(Draft::new(StatusCode::OK).json("application/json", &json!({})))
    }

    /// Who is asking, whatever they may do.
    pub(super) fn identify(&self, call: &Call<'_>) -> Result<Principal, Refusal> {
        let Access::Restricted { users, .. } = &self.access else { return Ok(Principal::Anonymous) };
        let challenge = |error| self.challenge(call, &[], error);
        match (self.profile.scheme, call.authorization()) {
            (Scheme::Basic, Some((scheme, value))) if scheme == "basic" => self
                .user_of(value)
                .map(|user| Principal::User(user.name.clone()))
                .ok_or_else(|| challenge(None)),
            (Scheme::Bearer(_), Some((scheme, value))) if scheme == "bearer" => self
                .tokens
                .get(value, call.now)
                .map(|token| principal(token.user.as_ref()))
                .ok_or_else(|| challenge(Some("invalid_token"))),
            // Where there are users, one has to say who one is: that is how clients find out that they can.
            (_, None) if !self.needs_token() && users.is_empty() => Ok(Principal::Anonymous),
            _ => Err(challenge(None)),
        }
    }

    /// Lets a request in if it may do what it needs to.
    pub(super) fn admit(&self, call: &Call<'_>, needs: &Needs<'_>) -> Result<Principal, Refusal> {
        let Access::Restricted { anonymous, .. } = &self.access else { return Ok(Principal::Anonymous) };
        if call.authorization().is_none() {
            let granted = covers(needs, |name, action| allows(anonymous, name, action));
            return if granted && !self.needs_token() {
                Ok(Principal::Anonymous)
            } else {
                Err(self.challenge(call, needs, None))
            };
        }
        let principal = match self.identify(call) {
            Ok(principal) => principal,
            // The same error, and what to ask for.
            Err(_) if self.is_bearer(call) => return Err(self.challenge(call, needs, Some("invalid_token"))),
            Err(_) => return Err(self.challenge(call, needs, None)),
        };
        if let Scheme::Bearer(_) = self.profile.scheme {
            return if self.token_covers(call, needs) {
                Ok(principal)
            } else {
                Err(self.challenge(call, needs, Some("insufficient_scope")))
            };
        }
        if covers(needs, |name, action| self.may(&principal, name, action)) {
            Ok(principal)
        } else {
            Err(Refusal::new(Code::Denied))
        }
    }

    /// Whether somebody is granted something, whatever their token says.
    pub(super) fn may(&self, principal: &Principal, repository: &str, action: Action) -> bool {
        matches!(self.access, Access::Open) || allows(self.grants(principal), repository, action)
    }

    /// Whether the token of a request allows everything it needs. True where there are no tokens.
    pub(super) fn token_covers(&self, call: &Call<'_>, needs: &Needs<'_>) -> bool {
        let (Access::Restricted { .. }, Scheme::Bearer(_)) = (&self.access, self.profile.scheme) else {
            return true;
        };
        let token = call.authorization().and_then(|(_, text)| self.tokens.get(text, call.now));
        let Some(token) = token else {
            return !self.needs_token()
                && covers(needs, |name, action| self.may(&Principal::Anonymous, name, action));
        };
        covers(needs, |name, action| {
            token.scopes.iter().any(|scope| scope.repository == name && scope.actions.contains(&action))
        })
    }

    /// A 401 that says how to go on.
    pub(super) fn challenge(&self, call: &Call<'_>, needs: &Needs<'_>, error: Option<&str>) -> Refusal {
        let value = match self.profile.scheme {
            Scheme::Basic => format!(r#"Basic realm="{SERVICE}""#),
            Scheme::Bearer(_) => {
                let realm = self.realm.clone().unwrap_or_else(|| format!("{}/token", call.base));
                let mut value = format!(r#"Bearer realm="{realm}",service="{SERVICE}""#);
                let scopes: Vec<String> =
                    needs.iter().map(|(name, actions)| Scope::text(name, actions)).collect();
                if !scopes.is_empty() {
                    value = format!(r#"{value},scope="{}""#, scopes.join(" "));
                }
                error.map_or(value.clone(), |error| format!(r#"{value},error="{error}""#))
            }
        };
        Refusal::new(Code::Unauthorized).header(WWW_AUTHENTICATE, value)
    }

    /// Perhaps the token of this request has just expired.
    pub(super) fn maybe_expire_token(&mut self, call: &Call<'_>, about: &About) {
        let Some((_, text)) = call.authorization() else { return };
        let expires = |fault: &Fault| *fault == Fault::TokenExpires;
        if self.tokens.get(text, call.now).is_some()
            && self.strike(expires, &about.repository, &about.reference, call.now).is_some()
        {
            self.tokens.expire(text);
        }
    }

    /// `GET /token`, or the beginning of `POST /token`.
    pub(super) fn open_token(&mut self, call: &Call<'_>) -> Result<Opened, Refusal> {
        match *call.method {
            Method::GET => self.give_token(call).map(Opened::Reply),
            Method::POST => Ok(Opened::Body(Plan::Token { body: BytesMut::new() })),
            _ => Err(Refusal::new(Code::Unsupported)),
        }
    }

    fn give_token(&mut self, call: &Call<'_>) -> Reply {
        let user = match call.authorization() {
            None => None,
            Some((scheme, value)) => {
                let known = self.user_of(value).filter(|_| scheme == "basic").map(|user| user.name.clone());
                Some(known.ok_or_else(|| {
                    Refusal::new(Code::Unauthorized)
                        .header(WWW_AUTHENTICATE, format!(r#"Basic realm="{SERVICE}""#))
                })?)
            }
        };
        let offline = call.params.get("offline_token") == Some("true");
        let scopes: Vec<Scope> = call.params.all("scope").flat_map(Scope::parse_all).collect();
        Ok(self.issue(user, &scopes, offline, call.now))
    }

    /// `POST /token`, with its form.
    pub(super) fn exchange_token(&mut self, form: &[u8], now: MonoTime) -> Response<Content> {
        let form = Params::parse(form);
        let get = |name| form.get(name).unwrap_or_default();
        let user = match get("grant_type") {
            "password" => self.user(get("username"), get("password")).map(|user| user.name.clone()),
            "refresh_token" => self.tokens.refresher(get("refresh_token")).map(ToOwned::to_owned),
            _ => return oauth_error("unsupported_grant_type"),
        };
        let Some(user) = user else { return oauth_error("invalid_grant") };
        let scopes: Vec<Scope> = form.all("scope").flat_map(Scope::parse_all).collect();
        self.issue(Some(user), &scopes, get("access_type") == "offline", now)
    }

    fn issue(
        &mut self,
        user: Option<String>,
        asked: &[Scope],
        offline: bool,
        now: MonoTime,
    ) -> Response<Content> {
        let Scheme::Bearer(life) = self.profile.scheme else { return oauth_error("invalid_request") };
        let who = principal(user.as_ref());
        let granted = |scope: &Scope| Scope {
            repository: scope.repository.clone(),
            actions: scope
                .actions
                .iter()
                .copied()
                .filter(|action| self.may(&who, &scope.repository, *action))
                .collect(),
        };
        let scopes = asked.iter().map(granted).collect();
        let text = self.random_id();
        self.tokens.add(text.clone(), Token { user: user.clone(), scopes, expires: now + life }, now);
        let mut body = json!({ "token": text, "access_token": text, "expires_in": life.as_secs() });
        if let Some(user) = user.filter(|_| offline) {
            let refresh = self.random_id();
            body["refresh_token"] = json!(refresh);
            self.tokens.add_refresh(refresh, user);
        }
        Draft::new(StatusCode::OK).json("application/json", &body)
    }

    fn is_bearer(&self, call: &Call<'_>) -> bool {
        matches!(self.profile.scheme, Scheme::Bearer(_))
            && call.authorization().is_some_and(|(scheme, _)| scheme == "bearer")
    }

    fn needs_token(&self) -> bool {
        self.profile.anonymous_tokens && matches!(self.profile.scheme, Scheme::Bearer(_))
    }

    fn grants(&self, principal: &Principal) -> &[Grant] {
        let Access::Restricted { users, anonymous } = &self.access else { return &[] };
        match principal {
            Principal::Anonymous => anonymous,
            Principal::User(name) => {
                users.iter().find(|user| user.name == *name).map_or(&[], |user| &user.grants)
            }
        }
    }

    fn user(&self, name: &str, password: &str) -> Option<&User> {
        let Access::Restricted { users, .. } = &self.access else { return None };
        users.iter().find(|user| user.name == name && user.password.expose() == password)
    }

    /// The user of a basic authentication.
    fn user_of(&self, encoded: &str) -> Option<&User> {
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        self.user(name, password)
    }
}

fn principal(user: Option<&String>) -> Principal {
    user.map_or(Principal::Anonymous, |name| Principal::User(name.clone()))
}

fn covers(needs: &Needs<'_>, allowed: impl Fn(&str, Action) -> bool) -> bool {
    needs.iter().all(|(name, actions)| actions.iter().all(|action| allowed(name, *action)))
}

/// The token service's errors, in the words of OAuth 2.
fn oauth_error(error: &str) -> Response<Content> {
    Draft::new(StatusCode::BAD_REQUEST).json("application/json", &json!({ "error": error }))
}
