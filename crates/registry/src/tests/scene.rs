//! What the tests of the whole client have in common: images, layouts, and a registry's client in a hurry.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use release_core::{Credentials, Digest, Secret};
use release_sim::registry::{Access, Config, Profile, User};
use serde_json::{Value, json};

use super::origin::{Origin, Reply};
use crate::Registry;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) use release_layout::digest as sha256;

pub(crate) fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": sha256(bytes), "size": bytes.len()})
}

/// Bytes that do not repeat.
pub(crate) fn noise(seed: u32, len: u32) -> Vec<u8> {
    (0..len).map(|n| (n ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// An image, as its manifest and its blobs: layers, then the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) manifest: Vec<u8>,
    pub(crate) blobs: Vec<Vec<u8>>,
}

impl Image {
    pub(crate) fn new(architecture: &str) -> Self {
        let layers = vec![noise(1, 700_000), noise(2, 300_000), b"small".to_vec()];
        Self::of(layers, &json!({"os": "linux", "architecture": architecture}))
    }

    pub(crate) fn of(layers: Vec<Vec<u8>>, config: &Value) -> Self {
        let config = config.to_string().into_bytes();
        let kind = "application/vnd.oci.image.layer.v1.tar";
        let all: Vec<Value> = layers.iter().map(|layer| descriptor(kind, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": all,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        });
        let blobs = layers.into_iter().chain([config]).collect();
        Self { manifest: manifest.to_string().into_bytes(), blobs }
    }

    pub(crate) fn digest(&self) -> Digest {
        sha256(&self.manifest)
    }

    /// Every file a layout of it has, by digest.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let all = self.blobs.iter().chain([&self.manifest]);
        all.map(|blob| (sha256(blob).hex().to_owned(), blob.clone())).collect()
    }

    /// Writes the blobs of a layout.
    pub(crate) fn write(&self, dir: &Path) {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        for (name, bytes) in self.files() {
            fs::write(blobs.join(name), bytes).unwrap();
        }
    }

    /// What an honest server says of it.
    fn replies(&self) -> impl Iterator<Item = (String, Reply)> {
        let blob = |blob: &Vec<u8>| (format!("/v2/player/blobs/{}", sha256(blob)), Reply::ok(blob));
        let head = format!("200 OK\nContent-Type: {MANIFEST}");
        let names = ["v1".to_owned(), self.digest().to_string()];
        let manifest =
            move |name| (format!("/v2/player/manifests/{name}"), Reply::new(&head, &self.manifest));
        self.blobs.iter().map(blob).chain(names.into_iter().map(manifest))
    }

    /// Lets a server have it, after whatever else it says.
    pub(crate) fn at(&self, origin: &Origin) {
        self.replies().for_each(|(path, reply)| origin.says(&path, reply));
    }

    /// Lets a server have what of it it says nothing about.
    pub(crate) fn around(&self, origin: &Origin) {
        self.replies().for_each(|(path, reply)| origin.says_otherwise(&path, reply));
    }
}

/// The files below `blobs/sha256`.
pub(crate) fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir.join("blobs/sha256")).into_iter().flatten().flatten();
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// A client that does not wait long.
pub(crate) fn registry() -> Registry {
    // Whichever test comes first installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut registry = Registry::new().unwrap();
    registry.clients.first_pause = Duration::from_millis(1);
    registry.pace.patience = Duration::from_secs(5);
    registry
}

pub(crate) fn user() -> Credentials {
    Credentials::Basic { username: "ci".into(), password: Secret::new("hunter2") }
}

/// A registry that knows one user.
pub(crate) fn guarded(profile: Profile) -> Config {
    let access = Access::Restricted { users: vec![User::new("ci", "hunter2")], anonymous: vec![] };
    Config { profile, access, ..Config::default() }
}
