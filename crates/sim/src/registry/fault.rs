//! What can go wrong, and a rule for how often, when and where it does.

use std::time::Duration;

use http::StatusCode;
use release_core::MonoTime;

use super::access::matches;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The token of a request that carries bytes of a blob has just expired.
    TokenExpires,
    /// A download of a blob is shorter than the blob, and says so: only the digest tells.
    Truncated,
    /// One bit of a download is wrong.
    BitFlipped,
    /// A blob that has been accepted can only be seen after this time.
    Late(Duration),
    /// A manifest is accepted, and never seen again.
    Lost,
    /// A mount is answered so, whatever is there.
    Mount(MountAnswer),
    /// This long after a manifest was pushed to a tag, somebody else moves the tag.
    TagMoves(Duration),
    /// A read is redirected to the same path at this base (`scheme://host`).
    Redirect(String),
    /// A read is redirected to a host whose certificate nobody can trust.
    Untrusted,
    /// A request is answered so, and nothing is done.
    Busy {
        /// The status: 429, or one of the 5xx.
        status: u16,
        /// When to come back, if that is said.
        retry_after: Option<Duration>,
    },
    /// What was asked for is done, and the connection closes without an answer: the client cannot know.
    AnswerLost,
    /// The connection closes and nothing is done: neither the request nor the answer gets through.
    Partition,
    /// The connection breaks somewhere in the body: of the request if it has one, else of the answer.
    Reset,
}

impl Fault {
    /// Its name in the trace.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TokenExpires => "token-expires",
            Self::Truncated => "truncated",
            Self::BitFlipped => "bit-flipped",
            Self::Late(_) => "late",
            Self::Lost => "lost",
            Self::Mount(_) => "mount",
            Self::TagMoves(_) => "tag-moves",
            Self::Redirect(_) => "redirect",
            Self::Untrusted => "untrusted",
            Self::Busy { .. } => "busy",
            Self::AnswerLost => "answer-lost",
            Self::Partition => "partition",
            Self::Reset => "reset",
        }
    }
}

/// How a mount can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountAnswer {
    /// 202: upload it.
    Accepted,
    /// 400.
    BadRequest,
    /// 401, with a challenge where the registry has one.
    Unauthorized,
    /// 405.
    NotAllowed,
}

impl MountAnswer {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Accepted => StatusCode::ACCEPTED,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

/// Where a fault can strike. The default is everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Only in these repositories: a name, or a beginning followed by `*`.
    pub repository: Option<String>,
    /// Only at this tag, digest or upload, or those with this beginning, followed by `*`.
    pub reference: Option<String>,
}

impl Target {
    fn covers(&self, repository: &str, reference: &str) -> bool {
        let fits = |pattern: &Option<String>, name| pattern.as_deref().is_none_or(|p| matches(p, name));
        fits(&self.repository, repository) && fits(&self.reference, reference)
    }
}

/// A fault, and how often, when and where it strikes.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What goes wrong.
    pub fault: Fault,
    /// How likely it is whenever it could, from 0 to 1.
    pub rate: f64,
    /// Not before.
    pub from: MonoTime,
    /// Not at this time or later.
    pub until: Option<MonoTime>,
    /// Only here.
    pub target: Target,
    /// At most this often.
    pub times: Option<u32>,
}

impl Rule {
    /// A fault that strikes always and everywhere.
    pub fn always(fault: Fault) -> Self {
        Self { fault, rate: 1.0, from: MonoTime::ZERO, until: None, target: Target::default(), times: None }
    }

    /// A fault that strikes the first time it can, and never again.
    pub fn once(fault: Fault) -> Self {
        Self { times: Some(1), ..Self::always(fault) }
    }

    /// A fault that strikes with this likelihood.
    pub fn sometimes(fault: Fault, rate: f64) -> Self {
        Self { rate, ..Self::always(fault) }
    }

    pub(super) fn applies(&self, repository: &str, reference: &str, now: MonoTime) -> bool {
        self.times != Some(0)
            && now >= self.from
            && self.until.is_none_or(|until| now < until)
            && self.target.covers(repository, reference)
    }
}
