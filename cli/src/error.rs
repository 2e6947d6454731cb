//! Every failure becomes a message, its causes, a hint and an exit code, in one place.

use std::error::Error;
use std::fmt::Write as _;

use release_cluster::{ApiError, ConnectError, LockError, SurveyError};
use release_manifest::{Color, ProjectError, RenderError};
use release_pipeline::{ImageLockError, PlanError, PrepareError, RunError, TargetError};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The words on the command line do not fit together, or name something that does not exist.
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    /// A file cannot be read or written.
    #[error("cannot {verb} {path}")]
    File {
        verb: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Sources(#[from] release_manifest::sources::SourcesError),
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error("the image lock {path} cannot be used")]
    ImageLock {
        path: String,
        #[source]
        source: ImageLockError,
    },
    #[error("service `{service}` cannot be rendered")]
    Render {
        service: String,
        #[source]
        source: RenderError,
    },
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Survey(#[from] SurveyError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Run(#[from] RunError),
    /// The account lacks rights.
    #[error("the account may not, in namespace `{namespace}`: {}", missing.join(", "))]
    Rights { namespace: String, missing: Vec<String> },
    /// A service of another project is not healthy, or not there.
    #[error("{needed} is needed and is not healthy: {why}")]
    Need { needed: String, why: String },
    /// The environment's gate is closed.
    #[error("the gate of environment `{environment}` is manual; nothing was written")]
    Gate { environment: String },
    /// A check failed, or something is missing that a release needs.
    #[error("{message}")]
    Check { message: String },
    /// A signal came before anything was begun.
    #[error("stopped; nothing was changed in the cluster")]
    Stopped { code: u8 },
    /// Output could not be made; a defect of this program.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl Failure {
    /// The published exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Internal(_) => 1,
            Self::Usage { .. }
            | Self::File { .. }
            | Self::Sources(_)
            | Self::Project(_)
            | Self::ImageLock { .. } => 2,
            Self::Prepare(error) => match error {
                PrepareError::NoRegistry { .. } | PrepareError::Name { .. } => 2,
                PrepareError::Engine { .. } | PrepareError::Build { .. } => 3,
                PrepareError::Push { .. }
                | PrepareError::Credentials { .. }
                | PrepareError::Confirm { .. }
                | PrepareError::Registry(_) => 4,
            },
            Self::Render { .. } => 5,
            Self::Target(_) | Self::Survey(_) | Self::Api(_) | Self::Rights { .. } | Self::Need { .. } => 6,
            Self::Run(error) => match error {
                RunError::Lock(LockError::Held { .. }) | RunError::TakenOver { .. } => 11,
                RunError::Lock(LockError::Api { .. })
                | RunError::Store(_)
                | RunError::Plan(_)
                | RunError::NotResumable { .. }
                | RunError::Survey(_) => 6,
                RunError::Unsound(_) => 1,
                RunError::NothingToRestore | RunError::NotVerified { .. } => 2,
            },
            Self::Check { .. } => 9,
            Self::Gate { .. } => 10,
            Self::Stopped { code } => *code,
        }
    }

    /// What to do about it.
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Usage { hint, .. } => return hint.clone(),
            Self::Rights { namespace, .. } => {
                return Some(format!("`release doctor --rbac -n {namespace}` prints the Role that suffices"));
            }
            Self::Gate { environment } => {
                return Some(format!(
                    "look at the plan above, then run it again with --approve (environment {environment})"
                ));
            }
            Self::Target(error) => target_hint(error)?,
            Self::Prepare(PrepareError::Engine { .. }) => {
                "is the Docker Engine running? DOCKER_HOST and Docker contexts are honoured; `release doctor` looks"
            }
            Self::Prepare(PrepareError::NoRegistry { .. }) => {
                "name one in release.yaml: `registry: registry.example.com/team`"
            }
            Self::Prepare(PrepareError::Push { .. } | PrepareError::Confirm { .. }) => {
                "credentials come from ~/.docker/config.json and its helpers: `docker login` stores them"
            }
            Self::Run(RunError::Lock(LockError::Held { .. })) => {
                "wait for it, or give --lock-timeout; a holder that died is replaced after 15 s"
            }
            Self::Run(RunError::Plan(PlanError::Refused { causes })) => refused_hint(causes)?,
            Self::Run(RunError::NotResumable { .. }) => {
                "`release rollback` returns to the last verified release"
            }
            Self::Run(RunError::TakenOver { .. }) => "`release status` shows what the other process does",
            Self::Run(RunError::NothingToRestore) => "`release history` shows the releases there are",
            Self::File { .. }
            | Self::Sources(_)
            | Self::Project(_)
            | Self::ImageLock { .. }
            | Self::Render { .. }
            | Self::Prepare(_)
            | Self::Survey(_)
            | Self::Api(_)
            | Self::Run(_)
            | Self::Need { .. }
            | Self::Check { .. }
            | Self::Stopped { .. }
            | Self::Internal(_) => return None,
        };
        Some(text.to_owned())
    }

    /// The message as people read it.
    pub(crate) fn text(&self, color: Color) -> String {
        let mut text = match self {
            // Problems in the project file come with the place, marked.
            Self::Project(error) => return error.render(color),
            other => format!("error: {other}\n"),
        };
        let mut source = self.source();
        while let Some(cause) = source {
            let words = cause.to_string();
            if !text.contains(&words) {
                let _ = writeln!(text, "  caused by: {words}");
            }
            source = cause.source();
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "  hint: {hint}");
        }
        text
    }

    /// Prints the message on stderr; with `-o json` a JSON line on stdout too, so that a reader of the stream knows.
    pub(crate) fn print(&self, json: bool) {
        use std::io::IsTerminal as _;
        let color = std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        eprint!("{}", self.text(if color { Color::Always } else { Color::Never }));
        if json {
            let line = serde_json::json!({"v": 1, "type": "failed", "exitCode": self.exit_code(), "error": self.text(Color::Never).trim_end()});
            println!("{line}");
        }
    }
}

fn target_hint(error: &TargetError) -> Option<&'static str> {
    Some(match error {
        TargetError::Connect(error) => match error {
            ConnectError::Kubeconfig { .. } | ConnectError::NoContext { .. } => {
                "the environment's `context` must be one of the kubeconfig (KUBECONFIG, else ~/.kube/config)"
            }
            ConnectError::NoNamespace { .. } => {
                "create it: `kubectl create namespace …`; a release never creates namespaces"
            }
            ConnectError::NotIdentified { .. } => "`release doctor --rbac` prints the Role that suffices",
            ConnectError::Unauthorized { .. } => "the credentials in the kubeconfig may have expired",
            ConnectError::Unreachable { .. } => "is the cluster up, and the network (VPN?) open?",
            ConnectError::InCluster { .. } => "name a context in the environment, or give --context",
            ConnectError::Client { .. } => return None,
        },
        TargetError::Wrong { .. } => {
            "this is another cluster than the one released to before: check `context` and the kubeconfig"
        }
        TargetError::NotRecorded { .. } => {
            "a first release needs the environment's own context, or the cluster's UID as `cluster:` in the environment"
        }
        TargetError::Store(_) => return None,
    })
}

fn refused_hint(causes: &[release_core::Cause]) -> Option<&'static str> {
    let words: String = causes.iter().map(|cause| cause.summary.as_str()).collect();
    if words.contains("conflict") {
        Some("another tool or person owns these fields; --force-conflicts takes them over")
    } else if words.contains("immutable") {
        Some(
            "immutable fields cannot be changed in place: give the service a new name, or delete the object first",
        )
    } else if words.contains("preStop.sleep") {
        Some(
            "Kubernetes before 1.30 cannot sleep in preStop: set `shutdown: {drain: 0s}`, or `shutdown: {command: […]}` with a sleep of the image's own",
        )
    } else if words.contains("forbidden") {
        Some("`release doctor --rbac` prints the Role that suffices")
    } else {
        None
    }
}
