//! The documents of an image: [configuration](https://github.com/opencontainers/image-spec/blob/main/config.md) and
//! [manifest](https://github.com/opencontainers/image-spec/blob/main/manifest.md).
//!
//! Keys are sorted, so that a document has one form whatever the JSON library is told elsewhere in the program.

use std::collections::BTreeMap;

use release_core::{Digest, Platform};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::base::Loaded;
use super::error::NativeError;
use super::layout::Descriptor;
use super::spec::{Compression, Format, Healthcheck, Layer, NativeBuild, Origin};

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
#[cfg(feature = "zstd")]
pub(crate) const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// The same documents as Docker named them before there was a specification.
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub(crate) const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// What an image says about its base, by the
/// [specification](https://github.com/opencontainers/image-spec/blob/main/annotations.md).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Who made the image, for its history.
const AUTHOR: &str = "release";

/// What a layer that is written here is.
pub(crate) fn layer_type(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip => LAYER_GZIP,
        #[cfg(feature = "zstd")]
        Compression::Zstd => LAYER_ZSTD,
    }
}

impl Format {
    /// What the format calls a kind of document that the specification knows by `media_type`.
    pub(crate) fn name(self, media_type: &'static str) -> &'static str {
        match (self, media_type) {
            (Self::Docker, INDEX) => DOCKER_INDEX,
            (Self::Docker, MANIFEST) => DOCKER_MANIFEST,
            (Self::Docker, CONFIG) => DOCKER_CONFIG,
            (Self::Docker, LAYER) => DOCKER_LAYER,
            (Self::Docker, LAYER_GZIP) => DOCKER_LAYER_GZIP,
            (_, other) => other,
        }
    }
}

/// The manifest.
pub(crate) fn manifest(
    format: Format,
    config: &Descriptor,
    layers: &[Descriptor],
    base: Option<&Origin>,
) -> Vec<u8> {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": format.name(MANIFEST),
        "config": config,
        "layers": layers,
    });
    if let Some(base) = base.filter(|_| format == Format::Oci) {
        manifest["annotations"] = json!({BASE_NAME: base.name, BASE_DIGEST: base.digest});
    }
    canonical(&manifest)
}

/// An index of images of one name, one a platform.
pub(crate) fn index(format: Format, images: &[(Descriptor, Platform)]) -> Vec<u8> {
    let manifests = images.iter().map(|(manifest, of)| {
        let mut item = json!(manifest);
        item["platform"] = platform(of);
        item
    });
    canonical(&json!({
        "schemaVersion": 2,
        "mediaType": format.name(INDEX),
        "manifests": manifests.collect::<Vec<Value>>(),
    }))
}

/// The platform of an index's entry.
pub(crate) fn platform(platform: &Platform) -> Value {
    let mut value = json!({"os": platform.os, "architecture": platform.architecture});
    if let Some(variant) = &platform.variant {
        value["variant"] = variant.as_str().into();
    }
    value
}

/// The configuration: the base's, and what the build says.
pub(crate) fn config(
    build: &NativeBuild,
    base: Option<&Loaded>,
    made: &[(Layer, Digest)],
) -> Result<Vec<u8>, NativeError> {
    let created = created(build.created)?;
    let mut root = base.map(|base| base.config.clone()).unwrap_or_default();
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut ids: Vec<Value> = list(root.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")));
    ids.extend(made.iter().map(|(_, id)| Value::from(id.as_str())));
    let mut history = list(root.get("history"));
    history.extend(made.iter().map(|(layer, _)| {
        json!({"created": created, "created_by": format!("{AUTHOR}: {} -> {}", layer.from, layer.to)})
    }));
    if let Value::Object(platform) = platform(&build.platform) {
        root.extend(platform);
    }
    root.insert("created".to_owned(), created.clone().into());
    root.insert("rootfs".to_owned(), json!({"type": "layers", "diff_ids": ids}));
    root.insert("history".to_owned(), history.into());
    let mut run = match root.remove("config") {
        Some(Value::Object(run)) => run,
        _ => Map::new(),
    };
    merge(build, &mut run);
    root.insert("config".to_owned(), Value::Object(run));
    Ok(canonical(&Value::Object(root)))
}

/// Puts what the build says over what the base says.
fn merge(build: &NativeBuild, run: &mut Map<String, Value>) {
    let config = &build.config;
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            run.insert(key.to_owned(), value);
        }
    };
    set("User", config.user.as_deref().map(Value::from));
    set("WorkingDir", config.workdir.as_deref().map(Value::from));
    set("StopSignal", config.stop_signal.as_deref().map(Value::from));
    set("Entrypoint", config.entrypoint.as_ref().map(|words| json!(words)));
    if config.entrypoint.is_some() {
        run.remove("Cmd");
    }
    if let Some(words) = &config.cmd {
        run.insert("Cmd".to_owned(), json!(words));
    }
    if !config.env.is_empty() {
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let mut pairs: Vec<String> = run
            .get("Env")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        pairs.retain(|pair| !config.env.contains_key(&name(pair)));
        pairs.extend(config.env.iter().map(|(name, value)| format!("{name}={value}")));
        run.insert("Env".to_owned(), json!(pairs));
    }
    if let Some(check) = &config.healthcheck {
        run.insert("Healthcheck".to_owned(), healthcheck(check));
    }
    let mut extend = |key: &str, more: Map<String, Value>| {
        if !more.is_empty()
            && let Value::Object(all) = run.entry(key).or_insert_with(|| json!({}))
        {
            all.extend(more);
        }
    };
    extend("ExposedPorts", config.ports.iter().map(|port| (port.to_string(), json!({}))).collect());
    extend("Labels", config.labels.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect());
}

/// A check in the words of [Docker's image specification](https://github.com/moby/docker-image-spec), times in nanoseconds.
fn healthcheck(check: &Healthcheck) -> Value {
    let words: Vec<&str> = std::iter::once("CMD").chain(check.command.iter().map(String::as_str)).collect();
    let mut value = json!({"Test": words});
    for (key, time) in [("Interval", check.every), ("Timeout", check.timeout), ("StartPeriod", check.startup)]
    {
        if let Some(nanos) = time.and_then(|time| u64::try_from(time.as_nanos()).ok()) {
            value[key] = nanos.into();
        }
    }
    if let Some(failures) = check.failures {
        value["Retries"] = failures.into();
    }
    value
}

/// A time as RFC 3339 has it.
fn created(seconds: u64) -> Result<String, NativeError> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|time| time.to_string())
        .ok_or_else(|| NativeError::Config {
            what: "time",
            text: seconds.to_string(),
            why: "no calendar has it",
        })
}

/// A document's bytes, its keys sorted at every level.
pub(crate) fn canonical(value: &Value) -> Vec<u8> {
    // Only maps with other keys than texts, and numbers JSON has no form for, can fail; a `Value` has neither.
    serde_json::to_vec(&Sorted(value)).unwrap_or_default()
}

struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let sorted: BTreeMap<&str, Sorted<'_>> =
                    map.iter().map(|(key, value)| (key.as_str(), Sorted(value))).collect();
                serializer.collect_map(sorted)
            }
            Value::Array(values) => serializer.collect_seq(values.iter().map(Sorted)),
            other => other.serialize(serializer),
        }
    }
}
