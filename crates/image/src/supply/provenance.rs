//! Where an image comes from, as [SLSA provenance v1](https://slsa.dev/spec/v1.0/provenance).
//!
//! Whoever asks for it knows the build; here it only gets its form. Two kinds of builds are described in
//! `docs/design/supply-chain.md`, under the addresses that are their build types. No time is in it unless one is given: what is
//! built from the same inputs by the same invocation has the same provenance.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Where the kinds of builds are described.
const BUILD_TYPES: &str = "https://github.com/release-tool/release/blob/main/docs/design/supply-chain.md";

/// How an image was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildType {
    /// From files, without a daemon.
    Native,
    /// From a Dockerfile, by a Docker Engine.
    Dockerfile,
}

impl BuildType {
    /// Its address.
    pub fn uri(self) -> String {
        let anchor = match self {
            Self::Native => "native-build-v1",
            Self::Dockerfile => "dockerfile-build-v1",
        };
        format!("{BUILD_TYPES}#{anchor}")
    }
}

/// Something a build was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// What it is to the build: `source`, `base`, or the path of a file.
    pub name: String,
    /// Its address, if it has one: `git+https://…`, a package URL.
    pub uri: Option<String>,
    /// Its digests by algorithm: `sha256`, `gitCommit`.
    pub digest: BTreeMap<String, String>,
    /// What else is known: `dirty` when there were changes that nobody committed.
    pub annotations: BTreeMap<String, String>,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Provenance {
    /// How it was built.
    pub build_type: BuildType,
    /// What whoever asked for the build decided: service, layers, Dockerfile, arguments. Never secrets.
    pub external: Map<String, Value>,
    /// What the builder decided.
    pub internal: Map<String, Value>,
    /// What it was made from, as far as it is known.
    pub materials: Vec<Material>,
    /// Who built it: the address of the runner.
    pub builder: String,
    /// The address of the run, where there is one.
    pub invocation: Option<String>,
    /// When it was built, in seconds since 1970: `SOURCE_DATE_EPOCH`, if that is given.
    pub created: Option<u64>,
}

impl Provenance {
    /// The predicate.
    pub fn to_value(&self) -> Value {
        let materials = self.materials.iter().map(|material| {
            let mut value = json!({"name": material.name, "digest": material.digest});
            if let Some(uri) = &material.uri {
                value["uri"] = uri.as_str().into();
            }
            if !material.annotations.is_empty() {
                value["annotations"] = json!(material.annotations);
            }
            value
        });
        let mut metadata = Map::new();
        if let Some(invocation) = &self.invocation {
            metadata.insert("invocationId".to_owned(), invocation.as_str().into());
        }
        let time = |seconds: u64| Timestamp::from_second(i64::try_from(seconds).ok()?).ok();
        if let Some(time) = self.created.and_then(time) {
            metadata.insert("finishedOn".to_owned(), time.to_string().into());
        }
        json!({
            "buildDefinition": {
                "buildType": self.build_type.uri(),
                "externalParameters": self.external,
                "internalParameters": self.internal,
                "resolvedDependencies": materials.collect::<Vec<_>>(),
            },
            "runDetails": {
                "builder": {"id": self.builder, "version": {"release": env!("CARGO_PKG_VERSION")}},
                "metadata": metadata,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provenance() -> Provenance {
        let Value::Object(external) = json!({
            "service": "player",
            "layers": [{"from": "target/release/player", "to": "/app/"}],
        }) else {
            unreachable!("it is an object")
        };
        Provenance {
            build_type: BuildType::Native,
            external,
            internal: Map::new(),
            materials: vec![Material {
                name: "source".to_owned(),
                uri: Some("git+https://git.example.com/radio".to_owned()),
                digest: BTreeMap::from([("gitCommit".to_owned(), "0123abc".to_owned())]),
                annotations: BTreeMap::from([("dirty".to_owned(), "true".to_owned())]),
            }],
            builder: "https://git.example.com/radio/-/runners/7".to_owned(),
            invocation: Some("https://git.example.com/radio/-/jobs/42".to_owned()),
            created: Some(1_700_000_000),
        }
    }

    #[test]
    fn a_predicate_in_full() {
        let mut value = provenance().to_value();
        value["runDetails"]["builder"]["version"]["release"] = "VERSION".into();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let unknown = Provenance { invocation: None, created: None, ..provenance() };
        assert_eq!(unknown.to_value()["runDetails"]["metadata"], json!({}));
    }

    /// The address of a build type leads to its description.
    #[test]
    fn the_kinds_of_builds_are_described() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/design/supply-chain.md");
        let text = std::fs::read_to_string(path).expect("the document");
        for kind in [BuildType::Native, BuildType::Dockerfile] {
            let uri = kind.uri();
            let anchor = uri.rsplit('#').next().unwrap_or_default();
            let headings = text.lines().filter_map(|line| line.strip_prefix("### "));
            let mut anchors = headings.map(|line| line.to_lowercase().replace(' ', "-"));
            assert!(anchors.any(|heading| heading == anchor), "no heading for {uri}");
        }
    }
}
