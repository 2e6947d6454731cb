//! Tokens: a password, or an identity token, exchanged for the right to read one repository.
//!
//! The two exchanges of the [distribution project](https://distribution.github.io/distribution/spec/auth/): a `GET` with
//! basic authentication or none, and for identity tokens the `POST` of OAuth 2. Nothing is kept here: whoever asks more than
//! once keeps the token.

use std::time::Duration;

use release_core::{Credentials, Secret};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use url::Url;

use crate::ConfirmError;
use crate::registry::{Clients, bounded_body, is_loopback};

/// The largest answer of a token service. Tokens have some 5 KiB.
const MAX_TOKEN_BYTES: usize = 256 * 1024;

/// How long a token is good for, in seconds, when its service does not say: the protocol's own default. It allows nothing
/// shorter.
const LIFETIME: u64 = 60;

/// What token services write into their logs about us.
const CLIENT_ID: &str = "release";

/// What a token is wanted for.
pub(crate) struct Wanted<'a> {
    /// The registry's host, for messages and to judge the realm.
    pub(crate) registry: &'a str,
    /// The token service's URL.
    pub(crate) realm: &'a str,
    /// The registry's name for itself.
    pub(crate) service: Option<&'a str>,
    /// What the token must allow; several scopes have a space between them.
    pub(crate) scope: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// A token, and how long it is good for.
pub(crate) struct Token {
    pub(crate) secret: Secret,
    pub(crate) lifetime: Duration,
}

/// Fetches a token.
pub(crate) async fn fetch(
    clients: &Clients,
    wanted: &Wanted<'_>,
    credentials: Option<&Credentials>,
) -> Result<Token, ConfirmError> {
    let url = place(wanted)?;
    let request = match credentials {
        Some(Credentials::IdentityToken(token)) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token");
            form.append_pair("client_id", CLIENT_ID);
            form.append_pair("refresh_token", token.expose());
            form.append_pair("scope", wanted.scope);
            form.extend_pairs(wanted.service.map(|service| ("service", service)));
            clients
                .of(&url)
                .post(url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.finish())
        }
        other => {
            let mut url = url;
            url.query_pairs_mut()
                .extend_pairs(wanted.scope.split(' ').map(|scope| ("scope", scope)))
                .extend_pairs(wanted.service.map(|service| ("service", service)));
            let request = clients.of(&url).get(url);
            match other {
                Some(Credentials::Basic { username, password }) => {
                    request.basic_auth(username, Some(password.expose()))
                }
                _ => request,
            }
        }
    };
    let answer = clients.send(request, wanted.registry).await?;
    let status = answer.status();
    if !status.is_success() {
        let status = status.as_u16();
        let registry = wanted.registry.to_owned();
        // Services say 400 to a wrong refresh token and 401 to a wrong password.
        return Err(if matches!(status, 400 | 401 | 403) {
            ConfirmError::Unauthorized { registry, anonymous: credentials.is_none() }
        } else {
            ConfirmError::Unexpected { registry, status }
        });
    }
    let body = bounded_body(answer, MAX_TOKEN_BYTES, wanted.registry).await?;
    let malformed = || ConfirmError::Malformed { registry: wanted.registry.to_owned(), what: "a token" };
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let lifetime = Duration::from_secs(answer.expires_in.map_or(LIFETIME, |seconds| seconds.max(LIFETIME)));
    token.map(|token| Token { secret: Secret::new(token), lifetime }).ok_or_else(malformed)
}

/// The realm as a URL. Secrets go over plain HTTP only within this machine, whatever a registry asks for.
fn place(wanted: &Wanted<'_>) -> Result<Url, ConfirmError> {
    let refused =
        || ConfirmError::Realm { registry: wanted.registry.to_owned(), realm: wanted.realm.to_owned() };
    let url = Url::parse(wanted.realm).map_err(|_| refused())?;
    let near = url.host_str().is_some_and(is_loopback) && is_loopback(wanted.registry);
    if url.scheme() == "https" || (url.scheme() == "http" && near) { Ok(url) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_go_where_others_can_read_them() {
        for (registry, realm, allowed) in [
            ("r.io", "https://auth.r.io/token", true),
            ("r.io", "http://auth.r.io/token", false),
            ("r.io", "http://127.0.0.1/token", false),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/token", true),
            ("127.0.0.1:5000", "http://r.io/token", false),
            ("r.io", "ftp://r.io", false),
            ("r.io", "/token", false),
        ] {
            let wanted = Wanted { registry, realm, service: None, scope: "" };
            assert_eq!(place(&wanted).is_ok(), allowed, "{registry} {realm}");
        }
    }
}
