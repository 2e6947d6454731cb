//! Whether a registry answers, and takes our credentials: `GET /v2/`, by the
//! [specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#determining-support).
//!
//! Nothing is said about what may be pushed: only a push can tell.

use release_core::{Credentials, Repository};
use reqwest::{Method, Response, StatusCode};

use crate::ConfirmError;
use crate::registry::{Pass, Question, Registry, address};

/// The longest name of a software that is told.
const MAX_SOFTWARE_BYTES: usize = 60;

/// A registry that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// What it says it is: its `Server`, such as `nginx`.
    pub software: Option<String>,
    /// Whom it let in.
    pub guest: Guest,
}

/// Whom a registry lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guest {
    /// It asks nobody who he is.
    Anybody,
    /// It asked, and lets people without credentials in. What they may do is little.
    Anonymous,
    /// It took the credentials.
    Known,
}

impl Registry {
    /// Asks the registry of a repository whether it is one, and shows the credentials if it wants to know them. Asks without
    /// pauses; how long it may take is the caller's business.
    ///
    /// # Errors
    /// When it does not answer, does not let us in, or is none.
    pub async fn greet(
        &self,
        repository: &Repository,
        credentials: Option<&Credentials>,
    ) -> Result<Greeting, ConfirmError> {
        let mut url = address(repository, "")?;
        url.set_path("/v2/");
        let clients = self.clients.without_pauses();
        let mut asked = Question { clients: &clients, repository, url, credentials, pass: Pass::None };
        let answer = asked.answer(&Method::GET).await?;
        match answer.status() {
            status if status.is_success() => {
                let guest = match (&asked.pass, credentials) {
                    (Pass::None, _) => Guest::Anybody,
                    (_, None) => Guest::Anonymous,
                    (_, Some(_)) => Guest::Known,
                };
                Ok(Greeting { software: software(&answer), guest })
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(asked.unauthorized()),
            status => {
                let registry = repository.registry().to_owned();
                Err(ConfirmError::Unexpected { registry, status: status.as_u16() })
            }
        }
    }
}

/// What an answer says it was made by; visible ASCII is all that a header can have here.
fn software(answer: &Response) -> Option<String> {
    let text = answer.headers().get(reqwest::header::SERVER)?.to_str().ok()?.trim();
    (!text.is_empty() && text.len() <= MAX_SOFTWARE_BYTES).then(|| text.to_owned())
}
