//! The keys of `image`, as they are written.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::project::value::{EnvName, EnvText, Period};

/// Where an image comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageSpec {
    /// The Dockerfile, relative to this file's folder.
    pub(crate) dockerfile: Option<String>,
    /// The folder that is sent to the builder, relative to this file's folder. `.` by default.
    pub(crate) context: Option<String>,
    /// The stage to build. The last one by default.
    pub(crate) target: Option<String>,
    /// Build arguments. Never secrets: they can be read in the image. `${VAR}` is filled in.
    #[schemars(with = "Option<BTreeMap<String, Option<EnvText>>>")]
    pub(crate) args: Option<BTreeMap<EnvName, Option<EnvText>>>,
    /// What the Dockerfile reads with `RUN --mount=type=secret` and the image never has. Needs BuildKit.
    pub(crate) secrets: Option<Vec<BuildSecretSpec>>,
    /// SSH agents for `RUN --mount=type=ssh`: `default`, which is the agent of `SSH_AUTH_SOCK`, or `ID=SOCKET`. They sign and do nothing else. `${VAR}` is filled in. Needs BuildKit.
    pub(crate) ssh: Option<Vec<String>>,
    /// Further contexts for `FROM` and `COPY --from` by name: `docker-image://IMAGE`, the `https://` address of a Git repository or file, or a folder, whose `.dockerignore` counts. `${VAR}` is filled in. Needs Docker Engine 23 or later.
    pub(crate) contexts: Option<BTreeMap<String, String>>,
    /// Whose results are used instead of running steps again: `IMAGE` or `type=registry,ref=IMAGE`, or `type=local,src=FOLDER`, which need not be there yet. `${VAR}` is filled in. Needs BuildKit.
    pub(crate) cache_from: Option<Vec<String>>,
    /// Where the results of steps are left for later builds: `type=inline` in the image itself, `IMAGE` or `type=registry,ref=IMAGE,mode=max` in an image of its own, `type=local,dest=FOLDER,mode=max` in a folder. For the last two, and for folders in `cache_from`, the engine must keep its images in containerd. `${VAR}` is filled in. Needs BuildKit.
    pub(crate) cache_to: Option<Vec<String>>,
    /// The platform, `linux/amd64`. The builder's own by default.
    pub(crate) platform: Option<String>,
    /// Several platforms, for an image without a Dockerfile that runs on all of them.
    pub(crate) platforms: Option<Vec<String>>,
    /// An image that exists: `repository@sha256:…`. `${VAR}` is filled in.
    #[serde(rename = "ref")]
    pub(crate) reference: Option<String>,
    /// What an image without a Dockerfile is built on: `scratch`, which is nothing, `oci:FOLDER`, an OCI image layout, or an image of a registry, `repository@sha256:…` or `repository:tag`. `${VAR}` is filled in.
    pub(crate) base: Option<String>,
    /// What is put on the base, a layer each; the one that changes least comes first.
    pub(crate) layers: Option<Vec<LayerSpec>>,
    /// A program that cargo has built, as the last layer. On `scratch` the libraries it needs are the first one.
    pub(crate) rust: Option<RustSpec>,
    /// How layers are compressed. `gzip` by default.
    pub(crate) compression: Option<CompressionSpec>,
    /// Whose names the documents of the image have. `oci` by default.
    pub(crate) format: Option<FormatSpec>,
    /// What is started, in an image without a Dockerfile. The program of `rust` by default.
    pub(crate) entrypoint: Option<Vec<EnvText>>,
    /// Its default arguments, in an image without a Dockerfile.
    pub(crate) cmd: Option<Vec<EnvText>>,
    /// Environment variables of an image without a Dockerfile. Never secrets: they can be read in the image. `${VAR}` is filled in.
    #[schemars(with = "Option<BTreeMap<String, Option<EnvText>>>")]
    pub(crate) env: Option<BTreeMap<EnvName, Option<EnvText>>>,
    /// The user an image without a Dockerfile runs as: a name or a number, with an optional group behind a `:`.
    pub(crate) user: Option<EnvText>,
    /// The folder an image without a Dockerfile starts in.
    pub(crate) workdir: Option<String>,
    /// Ports an image without a Dockerfile says it listens on: `8080`, `53/udp`. For people; nothing is opened by it.
    pub(crate) ports: Option<Vec<EnvText>>,
    /// Labels of an image without a Dockerfile. `${VAR}` is filled in.
    #[schemars(with = "Option<BTreeMap<String, Option<EnvText>>>")]
    pub(crate) labels: Option<BTreeMap<EnvName, Option<EnvText>>>,
    /// The `Cargo.lock` that lists what is in the image, for its SBOM. By default that of the nearest folder above the first layer, or above the Dockerfile.
    pub(crate) lockfile: Option<String>,
    /// The signal that ends an image without a Dockerfile, `SIGTERM` or a number. The engine's own by default.
    pub(crate) stop_signal: Option<EnvText>,
    /// How Docker tells whether a container is well. Kubernetes does not look at it: `health` of the service is for that.
    pub(crate) healthcheck: Option<HealthcheckSpec>,
}

/// A secret of a build from a Dockerfile: exactly one of `file` and `env`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuildSecretSpec {
    /// What the Dockerfile calls it: `RUN --mount=type=secret,id=ID` finds it in `/run/secrets/ID`.
    pub(crate) id: String,
    /// The file it is in, relative to this file's folder or absolute. `${VAR}` is filled in.
    pub(crate) file: Option<String>,
    /// The name of the environment variable it is in. Never the secret itself.
    pub(crate) env: Option<String>,
}

/// One layer of an image without a Dockerfile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LayerSpec {
    /// A file or folder, relative to this file's folder. Of a folder, what is in it is taken, except what `.dockerignore` leaves out. With `platforms`, `${platform}` in it stands for `linux/amd64`, or it is a map with a path a platform.
    pub(crate) from: PerPlatform,
    /// Where it goes in the image. A file goes into the folder when this ends in `/`, and becomes this otherwise.
    pub(crate) to: String,
}

/// A program that cargo has built, from the folder cargo builds in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RustSpec {
    /// The name of the program.
    pub(crate) bin: String,
    /// The profile it was built with. `release` by default.
    pub(crate) profile: Option<String>,
    /// What it was built for with `--target`, `x86_64-unknown-linux-musl`; with `platforms`, a map with one a platform.
    pub(crate) target: Option<PerPlatform>,
    /// The folder it goes to. `/app/` by default.
    pub(crate) to: Option<String>,
}

/// How Docker tells whether a container is well. What is not given is the engine's default.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthcheckSpec {
    /// A program in the image and its arguments; there is no shell.
    pub(crate) command: Vec<EnvText>,
    /// Time between two checks.
    pub(crate) every: Option<Period>,
    /// How long a check may take.
    pub(crate) timeout: Option<Period>,
    /// How long failures do not count after the start.
    pub(crate) startup: Option<Period>,
    /// How many failures in a row make a container unhealthy.
    pub(crate) failures: Option<u32>,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CompressionSpec {
    /// Everything that runs images reads it.
    Gzip,
    /// Faster and smaller; read by containerd from 1.5 and Docker Engine from 23.
    Zstd,
}

/// Whose names the documents of an image have.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FormatSpec {
    /// Those of the OCI image specification.
    Oci,
    /// Docker's own, for registries and tools from before 2017.
    Docker,
}

/// One text for all platforms, or one for each.
#[derive(Debug, Clone, JsonSchema)]
#[serde(untagged)]
pub(crate) enum PerPlatform {
    /// For all.
    Same(String),
    /// By platform.
    Each(BTreeMap<String, String>),
}

impl<'de> Deserialize<'de> for PerPlatform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PerPlatformVisitor;

        impl<'de> Visitor<'de> for PerPlatformVisitor {
            type Value = PerPlatform;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a map with a text for each platform")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PerPlatform, E> {
                Ok(PerPlatform::Same(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PerPlatform, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(PerPlatform::Each)
            }
        }

        deserializer.deserialize_any(PerPlatformVisitor)
    }
}
