//! A service as it is meant in one environment: every default filled in, every value checked.
//!
//! This is what rendering reads. It comes out of `release.yaml` ([`crate::Project::environment`]) or is written
//! in code ([`Service::new`]). Nothing here knows YAML or Kubernetes objects.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use release_core::{PinnedImage, ProjectName, ServiceName};

use crate::{DockerBuild, NativeBuild, Quantity};

/// One deployable part of a project in one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name, and that of its Deployment, Service and ServiceAccount.
    pub name: ServiceName,
    /// Where its image comes from. Rendering does not read it: it is given the pinned image.
    pub image: ImageSource,
    /// Replaces the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Replaces the image's default arguments when not empty.
    pub args: Vec<String>,
    /// The port it listens on. Without one there is no Kubernetes Service, no probe and no drain.
    pub port: Option<u16>,
    /// How many pods. Not rendered when [`Service::autoscale`] is set: the autoscaler owns the number then.
    pub replicas: u32,
    /// What a pod asks the scheduler for.
    pub resources: Resources,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Files the service finds in a folder.
    pub config: Option<Config>,
    /// How the kubelet tells whether it is well.
    pub health: Health,
    /// Who must be healthy first.
    pub needs: Vec<Need>,
    /// How a new version replaces the old one.
    pub rolling: Rolling,
    /// Checks of a new version.
    pub verify: Vec<HttpCheck>,
    /// How it is reached from outside.
    pub ingress: Option<Ingress>,
    /// How many pods a node drain may take away at a time.
    pub disruption: Option<Disruption>,
    /// Who decides how many pods there are.
    pub autoscale: Option<Autoscale>,
    /// How a pod ends.
    pub shutdown: Shutdown,
    /// What a pod may do to its node.
    pub security: Security,
}

impl Service {
    /// A service with every default: one replica, no port, locked down.
    pub fn new(name: ServiceName, image: ImageSource) -> Self {
        Self {
            name,
            image,
            command: Vec::new(),
            args: Vec::new(),
            port: None,
            replicas: 1,
            resources: Resources::default(),
            env: BTreeMap::new(),
            config: None,
            health: Health::default(),
            needs: Vec::new(),
            rolling: Rolling::default(),
            verify: Vec::new(),
            ingress: None,
            disruption: None,
            autoscale: None,
            shutdown: Shutdown::default(),
            security: Security::default(),
        }
    }
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// It is built from a Dockerfile.
    Dockerfile(DockerBuild),
    /// It is put together from files, without a Dockerfile and without a daemon.
    Native(Box<NativeBuild>),
    /// It exists.
    Pinned(PinnedImage),
}

impl ImageSource {
    /// Whether there is something to build, and so something to push.
    pub fn is_built(&self) -> bool {
        match self {
            Self::Dockerfile(_) | Self::Native(_) => true,
            Self::Pinned(_) => false,
        }
    }
}

/// What a pod asks the scheduler for. The memory request is its limit as well; the CPU has no limit unless
/// one is given, because throttling a service that starts makes it miss its probes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// Requested CPU.
    pub cpu: Option<Quantity>,
    /// CPU limit, for namespaces whose quota wants one.
    pub cpu_limit: Option<Quantity>,
    /// Requested memory and its limit.
    pub memory: Option<Quantity>,
}

/// Files in a ConfigMap whose name is a hash of them: config and code roll back together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A folder, relative to that of `release.yaml`. Whoever renders reads it.
    pub files: Option<String>,
    /// Files by name, written in `release.yaml`. They win over files of the same name in the folder.
    pub data: BTreeMap<String, String>,
    /// Where the container finds them.
    pub mount: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { files: None, data: BTreeMap::new(), mount: Self::MOUNT.to_owned() }
    }
}

impl Config {
    /// Where the container finds its files unless told otherwise.
    pub const MOUNT: &'static str = "/config";
}

/// How the kubelet tells whether a pod is well. With a port and no path, an open port is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Path of the readiness check.
    pub http: Option<String>,
    /// Port of the checks, when it is not the service's.
    pub port: Option<u16>,
    /// Path of a liveness check. There is none by default: a liveness check that looks at more than the process
    /// itself turns an overload into an outage.
    pub live: Option<String>,
    /// Time between two checks.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How many bad answers in a row make the pod unready.
    pub failures: u32,
    /// How long the process may take to answer for the first time.
    pub startup: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            http: None,
            port: None,
            live: None,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            failures: 3,
            startup: Duration::from_secs(60),
        }
    }
}

/// Something that must be healthy first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// A service of this project; it is released before.
    Own(ServiceName),
    /// A service of another project in the same namespace; it is looked at, not released.
    Other {
        /// That project.
        project: ProjectName,
        /// Its service.
        service: ServiceName,
    },
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(service) => write!(f, "{service}"),
            Self::Other { project, service } => write!(f, "{project}/{service}"),
        }
    }
}

/// A number of pods, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// That many.
    Count(u32),
    /// That many of a hundred.
    Percent(u32),
}

/// Replacement of pods step by step, by the Deployment's own controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolling {
    /// How long the new version is watched after it became ready. Zero: the checks run once.
    pub soak: Duration,
    /// How long it may take to become ready.
    pub deadline: Duration,
    /// How many pods more than wanted there may be meanwhile. `None`: 1 up to [`Rolling::SMALL`] replicas, else 25 %.
    pub max_surge: Option<Amount>,
    /// How many pods may be missing meanwhile. `None`: 0 up to [`Rolling::SMALL`] replicas, else 10 %.
    pub max_unavailable: Option<Amount>,
}

impl Rolling {
    /// Up to this many replicas the loss of one is felt, and none may be missing.
    pub const SMALL: u32 = 3;
}

impl Default for Rolling {
    fn default() -> Self {
        Self {
            soak: Duration::ZERO,
            deadline: Duration::from_secs(300),
            max_surge: None,
            max_unavailable: None,
        }
    }
}

/// A request whose answer decides whether a version is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// Unique in the service.
    pub name: String,
    /// Who is asked.
    pub target: CheckTarget,
    /// Good status codes.
    pub status: Vec<RangeInclusive<u16>>,
    /// A text the body must contain.
    pub body: Option<String>,
    /// How long a good answer may take.
    pub latency: Option<Duration>,
    /// Time from an answer to the next attempt.
    pub every: Duration,
    /// When an attempt is given up.
    pub timeout: Duration,
    /// How many bad answers in a row are tolerated.
    pub tolerate: u32,
    /// How long to wait for a first good answer when none is to be had.
    pub patience: Duration,
}

/// Who is asked by a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckTarget {
    /// Every pod of the new version.
    Pod {
        /// The path, starting with `/`.
        path: String,
        /// The pod's port.
        port: u16,
    },
    /// Whatever answers there.
    Url(String),
}

/// How a service is reached from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingress {
    /// The host name.
    pub host: String,
    /// The path prefix.
    pub path: String,
    /// The ingress class; the cluster's default when `None`.
    pub class: Option<String>,
    /// The Secret with the certificate.
    pub tls: Option<String>,
    /// What the ingress controller wants to be told.
    pub annotations: BTreeMap<String, String>,
}

/// How many pods a node drain may take away at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disruption {
    /// So many may be missing.
    MaxUnavailable(Amount),
    /// So many must stay.
    MinAvailable(Amount),
}

/// A HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autoscale {
    /// The least number of pods.
    pub min: u32,
    /// The greatest number of pods.
    pub max: u32,
    /// Wanted CPU use, in percent of the request.
    pub cpu_percent: Option<u32>,
    /// Wanted memory use, in percent of the request.
    pub memory_percent: Option<u32>,
}

/// How a pod ends. Between the decision to end it and the moment every load balancer knows, requests still
/// arrive; a process that stops at once answers them with 502.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long it goes on serving after it was told to end. Rendered as a `sleep` hook, which needs no shell in
    /// the image and Kubernetes 1.30 or later.
    pub drain: Duration,
    /// A command in the image that is run instead of the `sleep` hook. It should take about [`Shutdown::drain`].
    pub command: Vec<String>,
    /// How long it may take altogether before it is killed. `None`: the drain and [`Shutdown::AFTER_DRAIN`].
    pub grace: Option<Duration>,
}

impl Shutdown {
    /// What a process gets to finish its requests after the drain; with the default drain it adds up to
    /// Kubernetes' own default of 30 seconds.
    pub const AFTER_DRAIN: Duration = Duration::from_secs(25);
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain: Duration::from_secs(5), command: Vec::new(), grace: None }
    }
}

/// What a pod may do to its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// The numeric user the process runs as. It has to be given because Kubernetes cannot tell whether an image
    /// with a named user runs as root, and refuses to start it.
    pub user: u32,
    /// Lets the process run as the image says, root included, with the runtime's default capabilities.
    pub root: bool,
    /// Whether the image's own files cannot be written.
    pub read_only: bool,
    /// Folders that can be written all the same; they are empty when the pod starts.
    pub writable: Vec<String>,
}

impl Default for Security {
    fn default() -> Self {
        // 65532 is the user `nonroot` of the distroless images.
        Self { user: 65532, root: false, read_only: true, writable: vec!["/tmp".to_owned()] }
    }
}
