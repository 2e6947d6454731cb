//! Every failure becomes a message, its causes, a hint and an exit code, in one place.

use std::error::Error;
use std::fmt::Write as _;

use release_cluster::{ApiError, ConnectError, LockError, Part, StoreError, SurveyError};
use release_core::{Cause, CauseKind};
use release_image::{BuildError, InputError, KeyError, LayoutError, NativeError, ProgramError, StoredError};
use release_manifest::{Color, ProjectError, RenderError};
use release_pipeline::{
    Event, ImageLockError, PlanError, PrepareError, RunError, SupplyError, TargetError, VerifyError,
};
use release_registry::{ConfirmError, PullError, PushError, RequestError};
use release_rehearsal::local::LocalError;

use crate::answer;
use crate::exit::Exit;

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
        hint: Option<&'static str>,
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
    /// A file is not what a run has told.
    #[error("{path} cannot be reported on")]
    Events {
        path: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A key cannot be used.
    #[error("{place} cannot be used to {}", if *signs { "sign" } else { "verify" })]
    Key {
        place: String,
        signs: bool,
        #[source]
        source: KeyError,
    },
    /// An image is not what it has to be, or that cannot be told.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A registry does not answer, or not as it should.
    #[error(transparent)]
    Registry(#[from] ConfirmError),
    /// An image cannot be looked into.
    #[error(transparent)]
    Stored(#[from] StoredError),
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
    /// The environment `local` cannot be used.
    #[error(transparent)]
    Local(#[from] LocalError),
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
    Gate { environment: String, planned: bool },
    /// A check failed, or something is missing that a release needs. The answer on stdout says which.
    #[error("{message}")]
    Check { message: String },
    /// A signal came before anything was begun.
    #[error("stopped; nothing was changed in the cluster")]
    Stopped { exit: Exit },
    /// Output could not be made; a defect of this program.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

const CREDENTIALS: &str =
    "credentials come from ~/.docker/config.json and its helpers: `docker login` stores them";

const OTHER_PROCESS: &str = "`release status` shows what the other process does";

const DEFECT: &str = "this is a defect of this program; please report it with the lines above";

const CREDENTIALS_FILE: &str =
    "repair the file, or point DOCKER_CONFIG at another folder; `docker login` writes it";

impl Failure {
    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Internal(_)
            | Self::Local(LocalError::Serve { .. } | LocalError::Client(_) | LocalError::Runtime(_)) => {
                Exit::Bug
            }
            Self::Usage { .. }
            | Self::File { .. }
            | Self::Sources(_)
            | Self::Project(_)
            | Self::ImageLock { .. }
            | Self::Local(
                LocalError::File { .. } | LocalError::Damaged { .. } | LocalError::Namespace { .. },
            )
            | Self::Key { .. }
            | Self::Stored(_)
            | Self::Events { .. } => Exit::Usage,
            Self::Local(LocalError::Busy { .. }) => Exit::Locked,
            Self::Registry(_) => Exit::Push,
            Self::Verify(error) => match error {
                VerifyError::Unmet(_) => Exit::Check,
                _ => Exit::Push,
            },
            Self::Prepare(error) => match error {
                PrepareError::NoRegistry { .. }
                | PrepareError::Name { .. }
                | PrepareError::Reserved { .. }
                | PrepareError::NoLayout { .. } => Exit::Usage,
                PrepareError::Engine { .. }
                | PrepareError::Build { .. }
                | PrepareError::BaseTag { .. }
                | PrepareError::Base { .. }
                | PrepareError::Assemble { .. } => Exit::Build,
                PrepareError::Push { .. }
                | PrepareError::Upload { .. }
                | PrepareError::Credentials { .. }
                | PrepareError::Confirm { .. }
                | PrepareError::Supply { .. }
                | PrepareError::Registry(_) => Exit::Push,
            },
            Self::Render { .. } => Exit::Render,
            Self::Target(_) | Self::Survey(_) | Self::Api(_) | Self::Rights { .. } | Self::Need { .. } => {
                Exit::Cluster
            }
            Self::Run(error) => match error {
                RunError::Lock(LockError::Held { .. })
                | RunError::TakenOver { .. }
                | RunError::Store(StoreError::Fenced { .. }) => Exit::Locked,
                RunError::Lock(LockError::Api { .. })
                | RunError::Store(_)
                | RunError::Plan(_)
                | RunError::NotResumable { .. }
                | RunError::Survey(_) => Exit::Cluster,
                RunError::Unsound(_) => Exit::Bug,
                RunError::NothingToRestore
                | RunError::NoSuchRelease { .. }
                | RunError::NotVerified { .. } => Exit::Usage,
            },
            Self::Check { .. } => Exit::Check,
            Self::Gate { .. } => Exit::Gate,
            Self::Stopped { exit } => *exit,
        }
    }

    /// What to do about it.
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Usage { hint, .. } => return hint.clone(),
            Self::Rights { namespace, .. } => {
                return Some(format!("`release doctor --rbac -n {namespace}` prints the Role that suffices"));
            }
            Self::File { hint, .. } => hint.as_ref().copied()?,
            Self::ImageLock { .. } => {
                "an image lock is what `release push` prints: `SERVICE REPOSITORY@sha256:…`, a line a service"
            }
            Self::Events { .. } => {
                "give what `-o json` printed, a line an event, or a page that `release report --html` made"
            }
            Self::Key { source, signs, .. } => key_hint(source, *signs),
            Self::Verify(VerifyError::Unmet(_)) => {
                "`release push` with `sign` in release.yaml signs what it builds; `release verify-image` shows everything that is attached; the environment's `policy` says which keys count"
            }
            Self::Prepare(PrepareError::Supply { source, .. }) => supply_hint(source)?,
            Self::Gate { planned: true, .. } => {
                "the plan above is what will be done; run it again with --approve to do it"
            }
            Self::Gate { planned: false, .. } => {
                "building ends with a push, which is a write: give --images FILE to see the plan first, or --approve to build and release"
            }
            Self::Target(TargetError::Connect(ConnectError::NoNamespace { namespace, context })) => {
                return Some(format!(
                    "a release never creates namespaces: `kubectl --context {context} create namespace {namespace}` does"
                ));
            }
            Self::Target(TargetError::Store(error)) | Self::Run(RunError::Store(error)) => {
                return store_hint(error);
            }
            Self::Target(error) => target_hint(error)?,
            Self::Local(error) => local_hint(error)?,
            Self::Prepare(PrepareError::Engine { .. }) => {
                "start the Docker Engine, or choose another with DOCKER_HOST or `docker context use`"
            }
            Self::Prepare(PrepareError::Build { source, .. }) => build_hint(source)?,
            Self::Prepare(PrepareError::Assemble { source: NativeError::Itself { .. }, .. }) => {
                "put the layout elsewhere, or add it to `.dockerignore`"
            }
            Self::Prepare(PrepareError::Assemble { source: NativeError::Layout(error), .. })
            | Self::Stored(StoredError::Layout(error)) => layout_hint(error)?,
            Self::Prepare(PrepareError::Assemble {
                source: NativeError::Program(ProgramError::Processor { .. }),
                ..
            }) => "build it for the image's platform: `cargo build --target`, and `rust: {target: …}`",
            Self::Prepare(PrepareError::Reserved { .. }) => "name another one with --version",
            Self::Prepare(PrepareError::NoRegistry { .. }) => {
                "name one in release.yaml: `registry: registry.example.com/team`"
            }
            Self::Verify(VerifyError::Resolve { source, .. })
            | Self::Registry(source)
            | Self::Prepare(PrepareError::Confirm { source, .. }) => confirm_hint(source)?,
            Self::Prepare(PrepareError::BaseTag { source, .. }) => base_hint(source)?,
            Self::Prepare(PrepareError::Base { source, .. }) => pull_hint(source)?,
            Self::Prepare(PrepareError::Push { .. }) => CREDENTIALS,
            Self::Prepare(PrepareError::Upload { source, .. }) => upload_hint(source)?,
            Self::Prepare(PrepareError::NoLayout { .. }) => {
                "name the services that are built from `base` and `layers`: `release build --layout DIR SERVICE…`"
            }
            Self::Verify(VerifyError::Credentials { .. })
            | Self::Prepare(PrepareError::Credentials { .. }) => CREDENTIALS_FILE,
            Self::Run(RunError::Lock(LockError::Held { .. })) => {
                "wait for it, or give --lock-timeout; a holder that died is replaced after 15 s"
            }
            Self::Run(RunError::Plan(PlanError::Refused { causes })) => refused_hint(causes)?,
            Self::Run(RunError::NotResumable { .. }) => {
                "`release rollback` returns to the last verified release"
            }
            Self::Run(RunError::TakenOver { .. }) => OTHER_PROCESS,
            Self::Run(
                RunError::NothingToRestore | RunError::NoSuchRelease { .. } | RunError::NotVerified { .. },
            ) => "`release history` shows the releases there are",
            Self::Sources(_)
            | Self::Project(_)
            | Self::Render { .. }
            | Self::Verify(_)
            | Self::Stored(_)
            | Self::Prepare(_)
            | Self::Survey(_)
            | Self::Api(_)
            | Self::Run(_)
            | Self::Need { .. }
            | Self::Check { .. }
            | Self::Stopped { .. } => return None,
            Self::Internal(_) => DEFECT,
        };
        Some(text.to_owned())
    }

    /// What led to it, without what was said already.
    fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let said = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // The parser shows the lines around the mistake, and lines of a kubeconfig have tokens in them.
            let words = if self.is_about_kubeconfig() { text.lines().next() } else { Some(text.trim_end()) };
            let words = words.unwrap_or_default();
            if !said.contains(words) && !causes.iter().any(|cause| cause.contains(words)) {
                causes.push(words.to_owned());
            }
            source = cause.source();
        }
        causes
    }

    fn is_about_kubeconfig(&self) -> bool {
        matches!(self, Self::Target(TargetError::Connect(ConnectError::Kubeconfig { .. })))
    }

    /// The message as people read it.
    pub(crate) fn text(&self, color: Color) -> String {
        let mut text = match self {
            // Problems in the project file come with the place, marked.
            Self::Project(error) => return error.render(color),
            other => format!("error: {}\n", shown(&other.to_string(), "\n")),
        };
        for cause in self.causes() {
            let _ = writeln!(text, "  caused by: {}", shown(&cause, "\n    "));
        }
        for line in self.last_words() {
            let _ = writeln!(text, "    | {line}");
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "  hint: {hint}");
        }
        text
    }

    /// What a build step that failed wrote last.
    fn last_words(&self) -> &[String] {
        match self {
            Self::Prepare(PrepareError::Build { source: BuildError::Failed { output, .. }, .. }) => output,
            _ => &[],
        }
    }

    /// Prints the message on stderr.
    pub(crate) fn print(&self) {
        answer::say(&self.text(color()));
    }

    /// What a reader of the events is told; nothing where the answer on stdout has said it already.
    pub(crate) fn event(&self) -> Option<Event> {
        let told = matches!(self, Self::Check { .. });
        (!told).then(|| Event::Failed {
            exit_code: self.exit().code(),
            error: self.text(Color::Never).trim_end().to_owned(),
        })
    }

    /// Message and causes in one line, and the hint, for a table.
    pub(crate) fn in_a_line(&self) -> (String, Option<String>) {
        let mut line = self.to_string();
        for cause in self.causes() {
            let _ = write!(line, "; {cause}");
        }
        let hint = match self {
            Self::Project(error) => error.problems.first().map(|problem| problem.help.join("; ")),
            other => other.hint(),
        };
        (line, hint.filter(|hint| !hint.is_empty()))
    }
}

/// A text with names of others in it, as it can be shown; its lines begin with `indent`, which has the line's end.
fn shown(text: &str, indent: &str) -> String {
    text.split('\n').map(answer::visible).collect::<Vec<_>>().join(indent)
}

/// Whether stderr shows colours.
pub(crate) fn color() -> Color {
    use std::io::IsTerminal as _;
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stderr().is_terminal() { Color::Always } else { Color::Never }
}

/// The way out of a record or journal that cannot be used.
fn store_hint(error: &StoreError) -> Option<String> {
    let (part, object) = match error {
        StoreError::Damaged { part, object, .. } => (part, object),
        StoreError::Newer { .. } => {
            return Some("use the version of `release` that wrote it, or a later one".to_owned());
        }
        StoreError::Fenced { .. } => return Some(OTHER_PROCESS.to_owned()),
        StoreError::NoSuchRelease { .. } => {
            return Some("`release history` shows the releases there are".to_owned());
        }
        StoreError::Api(_) => return None,
    };
    let gives_up = match part {
        Part::Record => "forgets this release; the others are not touched",
        Part::Journal => {
            "gives it up, while nothing is released: the next release starts from the last verified one"
        }
        Part::Events => "gives them up; the release itself is not touched",
    };
    let namespace = object.namespace.as_deref().unwrap_or_default();
    Some(format!("`kubectl -n {namespace} delete configmap {}` {gives_up}", object.name))
}

fn key_hint(error: &KeyError, signs: bool) -> &'static str {
    match (error, signs) {
        (KeyError::Encrypted { .. }, _) => {
            "decrypt it (`openssl pkey -in KEY -out PLAIN`), or make a new pair with `release key generate`; cosign's own encrypted keys cannot be read"
        }
        (_, true) => "an ECDSA P-256 private key in PEM is needed: `release key generate` makes a pair",
        (_, false) => {
            "an ECDSA P-256 public key in PEM is needed: `openssl pkey -in KEY.pem -pubout` prints that of a private one"
        }
    }
}

fn local_hint(error: &LocalError) -> Option<&'static str> {
    Some(match error {
        LocalError::Busy { .. } => "the environment `local` is used by one command at a time",
        LocalError::Damaged { .. } => {
            "`release deploy --env local --reset` starts over; what was released there is forgotten"
        }
        LocalError::Namespace { .. } => "name another one in the project file, or with -n",
        LocalError::Client(_) | LocalError::Runtime(_) => DEFECT,
        LocalError::Serve { .. } | LocalError::File { .. } => return None,
    })
}

fn build_hint(error: &BuildError) -> Option<&'static str> {
    match error {
        BuildError::Input(error) => match error {
            InputError::SecretFile { .. } | InputError::SecretVariable { .. } => {
                Some("the service's `image.secrets` in release.yaml says where each secret is")
            }
            InputError::NoAgent { .. } | InputError::Agent { .. } => Some(
                "start an agent and give it the key: `eval $(ssh-agent); ssh-add`; the service's `image.ssh` in release.yaml says which agents are lent",
            ),
            InputError::ContextFolder { .. } => Some(
                "the service's `image.contexts` in release.yaml names the folder, relative to the project file",
            ),
            InputError::Cache(LayoutError::Foreign { .. } | LayoutError::Form { .. }) => Some(
                "give `cache_to` a folder of its own, one that is not there yet: a cache takes the place of everything in it",
            ),
            InputError::Cache(_) => Some(
                "a folder with a cache can be deleted: the next build is only slower, and makes a new one",
            ),
            InputError::SecretSize { .. }
            | InputError::Context { .. }
            | InputError::TwoCaches
            | InputError::Twice { .. } => None,
        },
        BuildError::NoCaches { .. } => {
            Some("write `cache_to: [type=inline]`, or turn on the engine's containerd image store")
        }
        BuildError::NoBuildKit { .. } => {
            Some("choose an engine with BuildKit with DOCKER_HOST or `docker context use`")
        }
        _ => None,
    }
}

fn confirm_hint(error: &ConfirmError) -> Option<&'static str> {
    Some(match error {
        ConfirmError::NotFound { .. } => {
            "was it pushed to this registry, and not deleted since? `release push` pushes and prints what is there"
        }
        ConfirmError::Unauthorized { .. } => CREDENTIALS,
        ConfirmError::Unreachable { .. } => {
            "is the registry's name right, is it up, and is the network (VPN, proxy) open?"
        }
        _ => return None,
    })
}

fn base_hint(error: &ConfirmError) -> Option<&'static str> {
    Some(match error {
        ConfirmError::NotFound { .. } => {
            "is the base's name right, and does the registry still have the tag?"
        }
        ConfirmError::Unreachable { .. } => {
            "a tag is asked for at every build; a base with its digest, `repository@sha256:…`, is not once it was pulled"
        }
        _ => return confirm_hint(error),
    })
}

fn layout_hint(error: &LayoutError) -> Option<&'static str> {
    Some(match error {
        LayoutError::Form { .. } | LayoutError::Corrupt { .. } => {
            "delete the layout's folder: whoever wrote it, `release build --layout` or another tool, writes it again"
        }
        LayoutError::Foreign { .. } => "name a folder that is empty or not there",
        LayoutError::Read { .. } | LayoutError::Write { .. } => return None,
    })
}

fn pull_hint(error: &PullError) -> Option<&'static str> {
    Some(match error {
        PullError::Request(RequestError::Unauthorized { .. }) => CREDENTIALS,
        PullError::Request(RequestError::Confirm(error)) => return base_hint(error),
        PullError::NotFound { .. } => "is the base's name right, and does the registry still have it?",
        PullError::NoPlatform { .. } => {
            "`platform` and `platforms` say what an image is built for; its base has to be for the same"
        }
        PullError::Layout(
            LayoutError::Foreign { .. } | LayoutError::Form { .. } | LayoutError::Corrupt { .. },
        ) => "the folder is a cache and may be deleted",
        _ => return None,
    })
}

fn supply_hint(error: &SupplyError) -> Option<&'static str> {
    match error {
        SupplyError::Attach { source, .. } => upload_hint(source),
        SupplyError::File { .. } | SupplyError::Lockfile { .. } => {
            Some("`image: {lockfile: …}` names another lock file")
        }
        _ => None,
    }
}

fn upload_hint(error: &PushError) -> Option<&'static str> {
    match error {
        PushError::Request(RequestError::Unauthorized { .. }) => Some(CREDENTIALS),
        PushError::Request(RequestError::GaveUp { reached: false, .. }) => Some(
            "is the registry's name right, is it up, and is the network (VPN, proxy) open? nothing was sent",
        ),
        PushError::Request(RequestError::GaveUp { .. } | RequestError::Later { .. }) => {
            Some("what arrived is kept: the same command goes on where this one stopped")
        }
        PushError::Request(RequestError::Confirm(error)) => confirm_hint(error),
        PushError::Read { .. } | PushError::Corrupt { .. } => {
            Some("the same command builds what is missing or damaged again")
        }
        _ => None,
    }
}

fn target_hint(error: &TargetError) -> Option<&'static str> {
    Some(match error {
        TargetError::Connect(error) => match error {
            ConnectError::Kubeconfig { .. } | ConnectError::NoContext { .. } => {
                "the environment's `context` must be one of the kubeconfig (KUBECONFIG, else ~/.kube/config)"
            }
            ConnectError::NotIdentified { .. } => "`release doctor --rbac` prints the Role that suffices",
            ConnectError::Unauthorized { .. } => "the credentials in the kubeconfig may have expired",
            ConnectError::Unreachable { .. } => "is the cluster up, and the network (VPN?) open?",
            ConnectError::InCluster { .. } => "name a context in the environment, or give --context",
            ConnectError::NoNamespace { .. } | ConnectError::Client { .. } => return None,
        },
        TargetError::Wrong { .. } => {
            "this is not the cluster that is meant: check the environment's `context` and `cluster`, and the kubeconfig"
        }
        TargetError::NotRecorded { .. } => {
            "a first release needs the environment's own context, or the cluster's UID as `cluster:` in the environment"
        }
        // Told by `store_hint`.
        TargetError::Store(_) => return None,
    })
}

/// Reads kinds and reasons; the server's words only where it has no code for what it means.
fn refused_hint(causes: &[Cause]) -> Option<&'static str> {
    let said = |reason: &str, word: &str| {
        let evidence = causes.iter().flat_map(|cause| &cause.evidence);
        evidence.into_iter().any(|seen| seen.reason.as_deref() == Some(reason) && seen.message.contains(word))
    };
    let kind = |kind: CauseKind| causes.iter().any(|cause| cause.kind == kind);
    if causes.iter().any(|cause| cause.summary.contains(" belongs to ")) {
        return Some(
            "give each its own namespace, or its services other names; nothing of another's is touched",
        );
    }
    if said("Conflict", "") {
        Some("another tool or person owns these fields; --force-conflicts takes them over")
    } else if said("Invalid", "immutable") {
        Some(
            "immutable fields cannot be changed in place: give the service a new name, or delete the object first",
        )
    } else if causes.iter().any(|cause| cause.summary.contains("preStop.sleep")) {
        Some(
            "Kubernetes before 1.30 cannot sleep in preStop: set `shutdown: {drain: 0s}`, or `shutdown: {command: […]}` with a sleep of the image's own",
        )
    } else if kind(CauseKind::Quota) {
        Some("the namespace's ResourceQuota does not allow it: ask for less, or for more quota")
    } else if kind(CauseKind::Admission) {
        Some("a policy of the cluster refuses it; what it wants is said above")
    } else if said("Forbidden", "") {
        Some("`release doctor --rbac` prints the Role that suffices")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
