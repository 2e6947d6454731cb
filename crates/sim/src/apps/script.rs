//! What the application in a container image does, as it is written in YAML.

use serde::Deserialize;

use super::span::Span;

/// The behaviour of one image, or of one container of it.
///
/// Times are durations (`2s`) or ranges a value is drawn from (`1s..4s`), counted from the start of the container
/// unless a field says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Which references it is for: a whole one, a digest (`sha256:…`), or a pattern with `*`. Empty: all.
    pub image: String,
    /// Only for containers of that name.
    pub container: Option<String>,
    /// How the image is pulled.
    pub pull: Pull,
    /// The container is made but its process cannot be started, as when the command is not in the image.
    pub cannot_start: Option<CannotStart>,
    /// Until it listens on its ports; 0 if absent.
    pub start: Span,
    /// When it says that it is ready, apart from listening.
    pub ready: Ready,
    /// When it ends by itself.
    pub exit: Option<Exit>,
    /// How much memory it takes. More than the container's limit ends it.
    pub memory: Option<Memory>,
    /// Environment variables without which it ends at once with code 1.
    pub needs_env: Vec<String>,
    /// It writes to its root file system, and ends with code 1 where that is read-only.
    pub writes_root: bool,
    /// It opens no port at all.
    pub deaf: bool,
    /// What it writes to its log.
    pub log: Vec<LogLine>,
    /// What it answers, the first path that fits; `200 ok` for all others.
    pub http: Vec<Route>,
    /// How it ends when it is told to.
    pub stop: Stop,
}

/// How an image is pulled.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pull {
    /// How long it takes.
    pub takes: Span,
    /// The size of the image in bytes, as events report it.
    pub size: u64,
    /// The digest a tag stands for; made from the reference if absent.
    pub digest: Option<String>,
    /// It fails.
    pub fails: Option<PullError>,
    /// It fails so many times per pod and then works; always if absent.
    pub times: Option<u32>,
}

impl Default for Pull {
    fn default() -> Self {
        Self { takes: Span::millis(1000), size: 2_131_788, digest: None, fails: None, times: None }
    }
}

/// Why a pull fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullError {
    /// The registry does not have it.
    NotFound,
    /// The registry wants other credentials: 401.
    Unauthorized,
    /// The registry does not answer in time.
    Timeout,
    /// The image is for another processor.
    WrongPlatform,
}

/// A process that cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CannotStart {
    /// The command that is not in the image.
    pub command: String,
}

/// When an application is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ready {
    /// So long after it listens.
    pub after: Span,
    /// It stays ready so long; for ever if absent.
    pub up: Option<Span>,
    /// And is not ready so long before the next time; for ever if absent.
    pub down: Option<Span>,
    /// It never is.
    pub never: bool,
    /// What a readiness probe is answered while it is not; 503 if absent.
    pub refusal: Option<u16>,
}

/// The end of an application by itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exit {
    /// So long after the start of the container.
    pub after: Span,
    /// With this code.
    pub code: i32,
    /// Only in the first so many runs of a pod's container; in all if absent.
    pub runs: Option<u32>,
    /// The text in its termination message.
    pub message: Option<String>,
}

impl Default for Exit {
    fn default() -> Self {
        Self { after: Span::default(), code: 1, runs: None, message: None }
    }
}

/// Memory that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// MiB at the start.
    pub start_mib: u64,
    /// MiB that come with every minute.
    #[serde(default)]
    pub per_minute_mib: u64,
}

/// A line in the log. With neither field it is written at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogLine {
    /// The text.
    pub line: String,
    /// Written again and again.
    pub every: Option<Span>,
    /// Written when the application ends by itself.
    pub at_exit: bool,
}

/// What one path answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// The path, or a pattern with `*`.
    pub path: String,
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
    /// How long the answer takes.
    pub latency: Span,
    /// The part of requests that fail, from 0 to 1.
    pub error_rate: f64,
    /// The status code of those.
    pub error_status: u16,
    /// Only from so long after the start of the container.
    pub from: Option<Span>,
    /// Only until so long after the start of the container.
    pub until: Option<Span>,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            path: "*".to_owned(),
            status: 200,
            body: "ok".to_owned(),
            latency: Span::millis(5),
            error_rate: 0.0,
            error_status: 500,
            from: None,
            until: None,
        }
    }
}

/// How an application ends on SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// How long it takes.
    pub takes: Span,
    /// The exit code.
    pub code: i32,
    /// It does not end before it is killed.
    pub ignores_sigterm: bool,
}

impl Default for Stop {
    fn default() -> Self {
        Self { takes: Span::millis(500), code: 0, ignores_sigterm: false }
    }
}
