//! The keys of `release.yaml`, as they are written. They make both the parser and the JSON Schema.
//!
//! Defaults and rules between keys are not here: see `resolve.rs`.

mod image;

use std::collections::BTreeMap;
use std::fmt;

use release_core::{EnvironmentName, ProjectName, ServiceName};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::value::{
    Amounted, Anything, EnvName, EnvText, Folder, HttpPath, Needed, Period, Port, Replicas, Share, Statuses,
};
pub(crate) use image::{
    CompressionSpec, FormatSpec, HealthcheckSpec, ImageSpec, LayerSpec, PerPlatform, RustSpec,
};

/// One project: its services, and the environments they are released to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "release.yaml")]
pub(crate) struct ProjectSpec {
    /// The project's name. Objects in the cluster are labelled with it.
    #[schemars(with = "String", regex(pattern = "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"))]
    pub(crate) project: ProjectName,
    /// Where built images are pushed to: a registry and a path; each service gets its own repository below it. `${VAR}` is filled in.
    #[serde(rename = "registry")]
    pub(crate) _registry: Option<String>,
    /// Signs images when they are pushed.
    pub(crate) sign: Option<SignSpec>,
    /// What is said about images when they are pushed, signed with the key of `sign`. Nothing by default.
    pub(crate) attest: Option<Vec<SaidSpec>>,
    /// The services by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ServiceSpec>")]
    pub(crate) services: BTreeMap<ServiceName, ServiceSpec>,
    /// The environments by name. `local`, which is simulated on this machine, is there without being declared; what is declared for it counts there.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, EnvironmentSpec>")]
    pub(crate) environments: BTreeMap<EnvironmentName, EnvironmentSpec>,
}

/// Signs images when they are pushed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignSpec {
    /// The private key, ECDSA P-256 in PEM: a file relative to this file's folder, or `env://NAME` for a variable. Never the key itself.
    pub(crate) key: String,
}

/// What is said about an image.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SaidSpec {
    /// What is in it, as `CycloneDX`.
    Sbom,
    /// Where it comes from, as SLSA provenance.
    Provenance,
}

/// What images have to be like to be released.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicySpec {
    /// Every image must be signed. Checked before anything is written to the cluster, also of images that `--images` names.
    pub(crate) signed: Option<SignedSpec>,
}

/// Every image must be signed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedSpec {
    /// The public keys, one of which must have signed the image: files in PEM relative to this file's folder, or `env://NAME`.
    pub(crate) keys: Vec<String>,
    /// What must be said about the image, signed by one of the keys. Nothing by default.
    pub(crate) attested: Option<Vec<SaidSpec>>,
}

/// One place the project is released to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentSpec {
    /// The kubeconfig context. Without one it is given on the command line. `${VAR}` is filled in.
    pub(crate) context: Option<String>,
    /// The namespace, which exists already. It has to be given. `${VAR}` is filled in.
    pub(crate) namespace: Option<String>,
    /// Who decides whether a release may start. `auto` by default.
    pub(crate) gate: Option<GateSpec>,
    /// Another registry than the project's. `${VAR}` is filled in.
    #[serde(rename = "registry")]
    pub(crate) _registry: Option<String>,
    /// Secrets in the namespace with which nodes pull images.
    pub(crate) pull_secrets: Option<Vec<String>>,
    /// The UID of the cluster (of its namespace `kube-system`) or of the target namespace. Nothing is released anywhere else.
    pub(crate) cluster: Option<String>,
    /// What images have to be like to be released here.
    pub(crate) policy: Option<PolicySpec>,
    /// What is different here. Maps are merged key by key, an empty value (`key: null`) takes a key away; lists, `image`, `strategy` and `disruption` are replaced.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ServiceSpec>")]
    pub(crate) services: BTreeMap<ServiceName, ServiceSpec>,
}

/// Who decides whether a release may start.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GateSpec {
    /// Nobody has to.
    Auto,
    /// A person, with `--approve`.
    Manual,
    /// The service's own record of verified releases. Not part of this version.
    Earned,
}

/// One deployable part of the project.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceSpec {
    /// Where its image comes from: `dockerfile`, `ref`, or `base` with `layers` or `rust`.
    pub(crate) image: Option<ImageSpec>,
    /// Replaces the image's entrypoint.
    pub(crate) command: Option<Vec<EnvText>>,
    /// Replaces the image's default arguments.
    pub(crate) args: Option<Vec<EnvText>>,
    /// The port it listens on.
    pub(crate) port: Option<Port>,
    /// How many pods. 1 by default; with `autoscale` the autoscaler owns the number.
    pub(crate) replicas: Option<Replicas>,
    /// What a pod asks the scheduler for.
    pub(crate) resources: Option<ResourcesSpec>,
    /// Environment variables. Never secrets. `${VAR}` is filled in.
    #[schemars(with = "Option<BTreeMap<String, Option<EnvText>>>")]
    pub(crate) env: Option<BTreeMap<EnvName, Option<EnvText>>>,
    /// Files the service finds in a folder. Config and code roll back together.
    pub(crate) config: Option<ConfigSpec>,
    /// How the cluster tells whether a pod is well.
    pub(crate) health: Option<HealthSpec>,
    /// Migrations and the like, before the new version starts. Not part of this version.
    pub(crate) before: Option<BTreeMap<String, BeforeSpec>>,
    /// Who must be healthy first.
    pub(crate) needs: Option<Vec<Needed>>,
    /// How a new version replaces the old one: its name, or a map with its settings. `rolling` by default.
    pub(crate) strategy: Option<StrategySpec>,
    /// Checks of a new version, during the soak.
    pub(crate) verify: Option<Vec<VerifySpec>>,
    /// A folder of own manifests. Not part of this version.
    pub(crate) manifests: Option<String>,
    /// How it is reached from outside.
    pub(crate) ingress: Option<IngressSpec>,
    /// How many pods a node drain may take away at a time.
    pub(crate) disruption: Option<DisruptionSpec>,
    /// Lets a HorizontalPodAutoscaler decide how many pods there are.
    pub(crate) autoscale: Option<AutoscaleSpec>,
    /// How a pod ends.
    pub(crate) shutdown: Option<ShutdownSpec>,
    /// What a pod may do to its node.
    pub(crate) security: Option<SecuritySpec>,
    /// Secrets. Not part of this version.
    pub(crate) secrets: Option<Anything>,
    /// Promotion policy. Not part of this version.
    pub(crate) policy: Option<Anything>,
}

/// What a pod asks the scheduler for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourcesSpec {
    /// Requested CPU, `100m`.
    pub(crate) cpu: Option<Amounted>,
    /// CPU limit, for namespaces whose quota wants one. None by default: a limit slows down the start.
    pub(crate) cpu_limit: Option<Amounted>,
    /// Requested memory, which is also the limit, `128Mi`.
    pub(crate) memory: Option<Amounted>,
}

/// Files the service finds in a folder.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigSpec {
    /// A folder, relative to this file's folder. Its files are taken, not its subfolders.
    pub(crate) files: Option<String>,
    /// Files by name, written here. They win over files of the same name in the folder.
    pub(crate) data: Option<BTreeMap<String, Option<String>>>,
    /// Where the container finds them. `/config` by default.
    pub(crate) mount: Option<Folder>,
}

/// How the cluster tells whether a pod is well.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthSpec {
    /// The path that answers 200 when the pod can serve. Without it an open port is enough.
    pub(crate) http: Option<HttpPath>,
    /// Another port than the service's.
    pub(crate) port: Option<Port>,
    /// The path of a liveness check. None by default.
    pub(crate) live: Option<HttpPath>,
    /// Time between two checks. `5s` by default.
    pub(crate) every: Option<Period>,
    /// How long an answer may take. `2s` by default.
    pub(crate) timeout: Option<Period>,
    /// How many bad answers in a row make a pod unready. 3 by default.
    pub(crate) failures: Option<u32>,
    /// How long the process may take to answer for the first time. `60s` by default.
    pub(crate) startup: Option<Period>,
}

/// Something that is done before the new version starts. Not part of this version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeforeSpec {
    /// What is run, in the new image.
    #[serde(rename = "command")]
    pub(crate) _command: Vec<String>,
    /// Whether the old version can run after it.
    #[serde(rename = "rollback")]
    pub(crate) _rollback: Option<RollbackSpec>,
    /// How long it may take.
    #[serde(rename = "deadline")]
    pub(crate) _deadline: Option<Period>,
}

/// Whether the old version can run after a migration.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RollbackSpec {
    /// It can.
    Safe,
    /// It cannot.
    Unsafe,
}

/// How a new version replaces the old one.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub(crate) enum StrategySpec {
    /// With its default settings.
    Name(StrategyName),
    /// With settings.
    Map(StrategyMap),
}

/// The strategies.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StrategyName {
    /// Pods are replaced step by step.
    Rolling,
    /// All old pods end before the first new one starts. Not part of this version.
    Recreate,
    /// Two full sets, and a switch. Not part of this version.
    BlueGreen,
    /// A growing share of the traffic. Not part of this version.
    Canary,
    /// A chosen part of the users. Not part of this version.
    Ab,
}

/// A strategy with settings: exactly one key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct StrategyMap {
    /// Pods are replaced step by step.
    pub(crate) rolling: Option<RollingSpec>,
    /// Not part of this version.
    pub(crate) recreate: Option<Anything>,
    /// Not part of this version.
    pub(crate) blue_green: Option<Anything>,
    /// Not part of this version.
    pub(crate) canary: Option<Anything>,
    /// Not part of this version.
    pub(crate) ab: Option<Anything>,
}

impl<'de> Deserialize<'de> for StrategySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrategyVisitor;

        impl<'de> Visitor<'de> for StrategyVisitor {
            type Value = StrategySpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a strategy or a map with its settings")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<StrategySpec, E> {
                StrategyName::deserialize(StrDeserializer::new(name)).map(StrategySpec::Name)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StrategySpec, A::Error> {
                StrategyMap::deserialize(MapAccessDeserializer::new(map)).map(StrategySpec::Map)
            }
        }

        deserializer.deserialize_any(StrategyVisitor)
    }
}

/// Settings of the strategy `rolling`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollingSpec {
    /// How long the new version is watched after it became ready. `0s` by default: the checks run once.
    pub(crate) soak: Option<Period>,
    /// How long it may take to become ready. `5m` by default.
    pub(crate) deadline: Option<Period>,
    /// How many pods more than wanted there may be meanwhile. 1 for up to 3 replicas, else `25%`.
    pub(crate) max_surge: Option<Share>,
    /// How many pods may be missing meanwhile. 0 for up to 3 replicas, else `10%`.
    pub(crate) max_unavailable: Option<Share>,
}

/// A check of a new version: exactly one of `http`, `url`, `prometheus` and `job`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifySpec {
    /// A path that every pod of the new version is asked for.
    pub(crate) http: Option<HttpPath>,
    /// A whole address, `https://…`. `${VAR}` is filled in.
    pub(crate) url: Option<String>,
    /// A query. Not part of this version.
    pub(crate) prometheus: Option<Anything>,
    /// A Job. Not part of this version.
    pub(crate) job: Option<Anything>,
    /// What it is called in reports. The path or address by default.
    pub(crate) name: Option<String>,
    /// Another port than the service's, for `http`.
    pub(crate) port: Option<Port>,
    /// Good status codes. `200-299` by default.
    pub(crate) status: Option<Statuses>,
    /// A text the body must contain.
    pub(crate) body: Option<String>,
    /// How long a good answer may take. No bound by default.
    pub(crate) latency: Option<Period>,
    /// Time from an answer to the next attempt. `2s` by default.
    pub(crate) every: Option<Period>,
    /// When an attempt is given up. `5s` by default.
    pub(crate) timeout: Option<Period>,
    /// How many bad answers in a row are tolerated. 2 by default.
    pub(crate) tolerate: Option<u32>,
    /// How long to wait for a first good answer when none is to be had. `30s` by default.
    pub(crate) patience: Option<Period>,
}

/// How a service is reached from outside.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IngressSpec {
    /// The host name. `${VAR}` is filled in.
    pub(crate) host: Option<String>,
    /// The path prefix. `/` by default.
    pub(crate) path: Option<HttpPath>,
    /// The ingress class. The cluster's default by default.
    pub(crate) class: Option<String>,
    /// The Secret with the certificate.
    pub(crate) tls: Option<String>,
    /// What the ingress controller wants to be told.
    pub(crate) annotations: Option<BTreeMap<String, Option<String>>>,
}

/// How many pods a node drain may take away at a time. One of the two keys; `max_unavailable: 1` by default.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DisruptionSpec {
    /// So many may be missing.
    pub(crate) max_unavailable: Option<Share>,
    /// So many must stay.
    pub(crate) min_available: Option<Share>,
}

/// A HorizontalPodAutoscaler.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AutoscaleSpec {
    /// The least number of pods. `replicas` by default.
    pub(crate) min: Option<Replicas>,
    /// The greatest number of pods.
    pub(crate) max: Option<Replicas>,
    /// Wanted CPU use, in percent of the request. 80 by default, when `memory` is not given.
    pub(crate) cpu: Option<u32>,
    /// Wanted memory use, in percent of the request.
    pub(crate) memory: Option<u32>,
}

/// How a pod ends.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShutdownSpec {
    /// How long it goes on serving after it was told to end. `5s` by default, `0s` for not at all. Needs Kubernetes 1.30, or a `command`.
    pub(crate) drain: Option<Period>,
    /// A command in the image to run for the drain instead, `[sleep, "5"]`.
    pub(crate) command: Option<Vec<EnvText>>,
    /// How long it may take altogether before it is killed. The drain and 25 s by default.
    pub(crate) grace: Option<Period>,
}

/// What a pod may do to its node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecuritySpec {
    /// The numeric user the process runs as. 65532 by default.
    pub(crate) user: Option<u32>,
    /// Lets the process run as the image says, root included.
    pub(crate) root: Option<bool>,
    /// Whether the image's own files cannot be written. `true` by default.
    pub(crate) read_only: Option<bool>,
    /// Folders that can be written all the same. `[/tmp]` by default.
    pub(crate) writable: Option<Vec<Folder>>,
}

/// The JSON Schema (draft 2020-12) of `release.yaml`, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(ProjectSpec).to_value()
}
