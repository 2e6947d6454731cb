//! What a run tells. The libraries' events are wrapped, the pipeline adds the frame.
//!
//! Writing is derived. Reading looks at `type` first: a type nobody here knows becomes [`Event::Unknown`], while a known type
//! with unreadable fields is an error. Half a story must not look like a whole one.

use std::collections::BTreeMap;

use release_cluster::{Action, State};
use release_core::{Cause, Digest, ImageRef, PinnedImage, Repository, ServiceName};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::PlannedChange;

/// One fact about a run of the tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "type", remote = "Self")]
pub enum Event {
    /// The run began.
    Started {
        /// The command, `deploy`.
        command: String,
        /// The project.
        project: String,
        /// The environment.
        environment: String,
        /// The context that is used.
        context: String,
        /// The namespace.
        namespace: String,
        /// What people call the version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Who or what asks, `ada@laptop`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
    },
    /// Something about a service's image.
    Image {
        /// The service.
        service: ServiceName,
        /// What.
        #[serde(flatten)]
        event: ImageEvent,
    },
    /// Every image is there. The answer of `build` and `push`.
    Prepared {
        /// The image of each service: the pinned one after a push, the engine's id after a build.
        images: BTreeMap<ServiceName, String>,
    },
    /// What will be done was worked out; nothing has been written yet.
    Planned {
        /// The number the release will have.
        release: u64,
        /// What applying changes.
        changes: Vec<PlannedChange>,
        /// Services that stay as they are.
        unchanged: Vec<ServiceName>,
        /// The release a rollback returns to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        baseline: Option<u64>,
    },
    /// Everything is as it should be already; nothing was written.
    NothingToDo {
        /// The release that runs.
        release: u64,
        /// Workloads that are not well although nothing has to change.
        unwell: Vec<Cause>,
    },
    /// A release began.
    ReleaseBegan {
        /// Its number.
        release: u64,
        /// What was asked for.
        action: Action,
        /// The image of each service.
        images: BTreeMap<ServiceName, PinnedImage>,
    },
    /// A release that another process left unfinished is taken up again.
    ReleaseResumed {
        /// Its number.
        release: u64,
        /// What was asked for when it began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<Action>,
    },
    /// A release that another process left unfinished gives way to a new one.
    ReleaseSuperseded {
        /// Its number.
        release: u64,
        /// The number of the new one.
        by: u64,
    },
    /// The connection to the cluster was lost for so long that the lock was, too; it is taken again.
    LockLost {
        /// The release that waits.
        release: u64,
    },
    /// The run was asked to stop, and did.
    Stopped {
        /// The release that is now half-way.
        release: u64,
        /// Where each service stands.
        phases: BTreeMap<ServiceName, release_rollout::Phase>,
    },
    /// A release ended.
    ReleaseEnded {
        /// Its number.
        release: u64,
        /// What was asked for.
        action: Action,
        /// How it ended.
        state: State,
        /// Why it did not end well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
        /// Why what ran before could not be restored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_restored: Option<Cause>,
        /// The service that failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ServiceName>,
        /// The release that runs now, if one does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        running: Option<u64>,
    },
    /// The command did not do what was asked. The last line, when there is one.
    Failed {
        /// What the process ends with.
        exit_code: u8,
        /// The message as people read it, with causes and hint.
        error: String,
    },
    /// An event of a later version of this program. Only ever read, never written.
    #[serde(skip)]
    Unknown {
        /// Its type; `image/TYPE` for one about an image.
        kind: String,
    },
    /// Something about the release's objects in the cluster.
    #[serde(skip)]
    Cluster(release_cluster::Event),
}

impl Event {
    /// Every type of event of the frame, as `type` has it.
    pub const TYPES: &'static [&'static str] = &[
        "started",
        "image",
        "prepared",
        "planned",
        "nothing-to-do",
        "release-began",
        "release-resumed",
        "release-superseded",
        "lock-lost",
        "stopped",
        "release-ended",
        "failed",
    ];

    /// Every type of event about objects in the cluster, as `type` has it.
    pub const CLUSTER_TYPES: &'static [&'static str] = &[
        "lock-awaited",
        "lock-taken",
        "phase-entered",
        "object-applied",
        "object-deleted",
        "write-refused",
        "outcome-unknown",
        "progress",
        "cause-suspected",
        "cause-found",
        "workload-ready",
        "checked",
        "captured",
        "watch-troubled",
    ];
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // It has its own `type`.
            Self::Cluster(event) => event.serialize(serializer),
            own => Self::serialize(own, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let Some(kind) = value["type"].as_str().map(str::to_owned) else {
            return Err(D::Error::missing_field("type"));
        };
        let image = value["image"].as_str().filter(|_| kind == "image");
        if let Some(image) = image.filter(|image| !ImageEvent::TYPES.contains(image)) {
            return Ok(Self::Unknown { kind: format!("image/{image}") });
        }
        let read = if Self::TYPES.contains(&&*kind) {
            Self::deserialize(value)
        } else if Self::CLUSTER_TYPES.contains(&&*kind) {
            release_cluster::Event::deserialize(value).map(Self::Cluster)
        } else {
            return Ok(Self::Unknown { kind });
        };
        read.map_err(|error| D::Error::custom(format!("event `{kind}`: {error}")))
    }
}

/// Something about an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "image")]
pub enum ImageEvent {
    /// Building began.
    BuildBegan {
        /// The Dockerfile.
        dockerfile: String,
    },
    /// A step of the build began, or was found in the cache.
    Step {
        /// As the Dockerfile has it.
        name: String,
        /// Whether the cache had it.
        cached: bool,
    },
    /// The build printed something. May be dropped.
    Output {
        /// A line.
        line: String,
    },
    /// Something people should know about the build, for instance that the engine has no BuildKit.
    Notice {
        /// What.
        message: String,
    },
    /// Putting an image together without a Dockerfile began.
    AssemblyBegan {
        /// How many layers it has.
        layers: u64,
    },
    /// A part of the base is on its way here. May be dropped.
    Pulling {
        /// What happens to it.
        doing: String,
        /// Bytes that are here.
        received: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The base is here, for every platform that is built.
    BasePulled {
        /// As the project names it.
        base: ImageRef,
        /// What that stands for now.
        reference: PinnedImage,
        /// How many bytes of layers had to be fetched; 0 when all of them were here.
        fetched: u64,
    },
    /// A layer is complete.
    LayerBuilt {
        /// What it is made from.
        from: String,
        /// How many files, folders and links it has.
        entries: u64,
        /// Its digest, as the registry will know it.
        digest: Digest,
        /// Its size, compressed.
        size: u64,
        /// Whether an earlier build had made the same.
        reused: bool,
    },
    /// The image was built.
    Built {
        /// The engine's id of it.
        id: String,
    },
    /// A layer is on its way to the registry. May be dropped.
    Pushing {
        /// What happens to it, in the engine's words.
        doing: String,
        /// Bytes sent.
        sent: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// A part of the image was there already.
    BlobExists {
        /// Which.
        digest: Digest,
        /// Its size.
        size: u64,
    },
    /// The registry took a part of the image over from another of its repositories.
    BlobMounted {
        /// Which.
        digest: Digest,
        /// Where it was.
        from: Repository,
    },
    /// The upload of a part was interrupted and goes on.
    BlobResumed {
        /// Which.
        digest: Digest,
        /// From which byte; 0 when the registry had kept nothing.
        offset: u64,
    },
    /// A part of the image arrived.
    BlobUploaded {
        /// Which.
        digest: Digest,
        /// Its size.
        size: u64,
    },
    /// The registry has the image.
    Pushed {
        /// As which.
        reference: PinnedImage,
    },
    /// The registry was asked for exactly this digest and has it.
    Confirmed {
        /// Which.
        reference: PinnedImage,
    },
    /// Something that is said about the image was signed and attached to it.
    Attached {
        /// What: `signature`, `sbom`, `provenance`.
        what: String,
        /// The manifest of the artifact.
        artifact: Digest,
    },
    /// What the environment wants of images was proven.
    Verified {
        /// Which.
        reference: PinnedImage,
        /// What was proven: `signature`, `sbom`, `provenance`.
        claims: Vec<String>,
        /// The keys that signed it.
        keys: Vec<String>,
    },
}

impl ImageEvent {
    /// Every type of event about an image, as `image` has it.
    pub const TYPES: &'static [&'static str] = &[
        "build-began",
        "step",
        "output",
        "notice",
        "assembly-began",
        "pulling",
        "base-pulled",
        "layer-built",
        "built",
        "pushing",
        "blob-exists",
        "blob-mounted",
        "blob-resumed",
        "blob-uploaded",
        "pushed",
        "confirmed",
        "attached",
        "verified",
    ];
}
