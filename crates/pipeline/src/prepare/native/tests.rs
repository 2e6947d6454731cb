//! Bases from the simulated registry, over the real protocol.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;

use release_core::{Platform, Repository};
use release_image::{Base, Format, Layer, NativeBuild, RunConfig};
use release_manifest::{ByPlatform, ImageSource, NativeBase, NativeLayer};
use release_registry::{Push, Registry};
use release_sim::registry::{Access, Action, Config, Event as Seen, Grant, Server, serve};
use serde_json::Value;
use tempfile::TempDir;

use super::super::{Prepared, Until};
use super::*;
use crate::Event;

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// A project, and a registry with a base for two platforms as `bases/debian:13`.
struct World {
    root: TempDir,
    home: TempDir,
    server: Server,
    /// The digest of the base's index.
    base: Digest,
}

impl World {
    async fn new(config: Config) -> Self {
        // Whichever test comes first installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(root.path().join("system/etc")).unwrap();
        fs::write(root.path().join("system/etc/os-release"), "ID=debian\n").unwrap();
        fs::write(root.path().join("web"), "a program").unwrap();
        let server = serve(config).await.unwrap();
        let base = push_base(root.path(), &server, "bases/debian").await;
        Self { root, home, server, base }
    }

    /// The base, by `:TAG` or `@DIGEST`.
    fn at(&self, name: &str) -> String {
        format!("{}/bases/debian{name}", self.server.address())
    }

    fn pinned(&self) -> String {
        self.at(&format!("@{}", self.base))
    }

    /// Builds on a base for these platforms, and pushes.
    async fn push(
        &self,
        base: &str,
        platforms: &[&str],
    ) -> (Result<Prepared, PrepareError>, Vec<ImageEvent>) {
        let build = release_manifest::NativeBuild {
            base: NativeBase::Image(base.parse().unwrap()),
            layers: vec![NativeLayer { from: ByPlatform::Same("web".to_owned()), to: "/app/".to_owned() }],
            entrypoint: vec!["/app/web".to_owned()],
            platforms: platforms.iter().map(|platform| (*platform).to_owned()).collect(),
            ..release_manifest::NativeBuild::default()
        };
        let (project, service) = ("radio".parse().unwrap(), "web".parse::<ServiceName>().unwrap());
        let preparation = Preparation {
            root: self.root.path(),
            project: &project,
            registry: Some(format!("{}/radio", self.server.address()).parse().unwrap()),
            services: BTreeMap::from([(service, ImageSource::Native(Box::new(build)))]),
            revisions: BTreeMap::new(),
            version: Some("v1".to_owned()),
            cargo_target: "target".into(),
            images: Images::Cache(self.home.path().join("images")),
            bases: self.home.path().join("bases"),
            records: self.home.path().join("records"),
            no_cache: false,
            created: 0,
            attest: None,
        };
        let mut events = Vec::new();
        let mut tell = |event| {
            if let Event::Image { event, .. } = event {
                events.push(event);
            }
        };
        let prepared = preparation.run(Until::Pushed, &mut tell).await;
        (prepared, events)
    }

    /// What the registry was asked about the base since it was asked so much.
    fn asked(&self, since: usize) -> Vec<String> {
        self.server.with(|registry| {
            let line = |event: &Seen| match event {
                Seen::Answered { method, path, .. } => Some(format!("{method} {path}")),
                _ => None,
            };
            let all = registry.trace().events().filter_map(line);
            all.filter(|line| line.contains("/bases/")).skip(since).collect()
        })
    }

    /// A document of the image, from its layout.
    fn document(&self, digest: &str) -> Value {
        let path = self.home.path().join("images/blobs/sha256").join(digest.trim_start_matches("sha256:"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

async fn push_base(root: &Path, server: &Server, path: &str) -> Digest {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path()).unwrap();
    let mut images = Vec::new();
    for platform in PLATFORMS {
        let build = NativeBuild {
            root: root.to_owned(),
            base: Base::Scratch,
            layers: vec![Layer { from: "system".to_owned(), to: "/".to_owned() }],
            libraries_of: Vec::new(),
            programs: BTreeMap::new(),
            compression: release_image::Compression::Gzip,
            format: Format::Oci,
            platform: platform.parse().unwrap(),
            config: RunConfig { user: Some("nobody".to_owned()), ..RunConfig::default() },
            created: 0,
        };
        let image = build.build(&layout, &BuildOptions::default(), &mut |_| {}).unwrap();
        images.push((image.manifest, build.platform));
    }
    let index = layout.index(&images, Format::Oci).unwrap();
    drop(layout);
    let repository: Repository = format!("{}/{path}", server.address()).parse().unwrap();
    let (manifest, tags) = (&index.digest, &["13".to_owned()]);
    let push = Push { layout: dir.path(), manifest, repository: &repository, tags, mount_from: &[] };
    Registry::new().unwrap().push(&push, None, &mut |_| {}).await.unwrap();
    index.digest
}

/// What is said about the base: what it is, and how much of it was fetched.
fn pulled(events: &[ImageEvent]) -> Vec<(String, bool)> {
    let of = |event: &ImageEvent| match event {
        ImageEvent::BasePulled { reference, fetched, .. } => Some((reference.to_string(), *fetched > 0)),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

fn text(error: &PrepareError, host: &str) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.replace(host, "HOST")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_on_a_base_of_a_registry_for_every_platform() {
    let world = World::new(Config::default()).await;
    let (prepared, events) = world.push(&world.at(":13"), &PLATFORMS).await;
    let image = prepared.unwrap().pinned.into_values().next().unwrap();
    assert_eq!(pulled(&events), [(world.pinned(), true)]);
    let index = world.document(image.digest.as_str());
    for (item, platform) in index["manifests"].as_array().unwrap().iter().zip(PLATFORMS) {
        let of: Platform = platform.parse().unwrap();
        assert_eq!(item["platform"]["architecture"], of.architecture.as_str());
        let manifest = world.document(item["digest"].as_str().unwrap());
        assert_eq!(manifest["annotations"]["org.opencontainers.image.base.name"], world.at(":13"));
        assert_eq!(manifest["annotations"]["org.opencontainers.image.base.digest"], world.base.as_str());
        let config = world.document(manifest["config"]["digest"].as_str().unwrap());
        assert_eq!(config["architecture"], of.architecture.as_str());
        assert_eq!(config["config"]["User"], "nobody", "what the base says counts");
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    }
    // The base's layer is taken over from where it is.
    let mounted = |event: &ImageEvent| matches!(event, ImageEvent::BlobMounted { from, .. } if from.path() == "bases/debian");
    assert_eq!(events.iter().filter(|event| mounted(event)).count(), 1, "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_is_here_costs_no_request_with_a_digest_and_one_with_a_tag() {
    let world = World::new(Config::default()).await;
    let first = world.push(&world.pinned(), &[PLATFORMS[0]]).await.0.unwrap();
    let asked = world.asked(0).len();
    let (second, events) = world.push(&world.pinned(), &[PLATFORMS[0]]).await;
    assert_eq!(second.unwrap(), first);
    assert_eq!(pulled(&events), [(world.pinned(), false)]);
    assert_eq!(world.asked(asked), Vec::<String>::new());
    world.push(&world.at(":13"), &[PLATFORMS[0]]).await.0.unwrap();
    assert_eq!(world.asked(asked), ["HEAD /v2/bases/debian/manifests/13"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_of_a_base_is_repaired() {
    let world = World::new(Config::default()).await;
    let first = world.push(&world.pinned(), &[PLATFORMS[0]]).await.0.unwrap();
    // What is left is the copy, with another byte in its layer: the largest of its files is the one that is copied.
    fs::remove_dir_all(world.home.path().join("images")).unwrap();
    fs::remove_dir_all(world.home.path().join("records")).unwrap();
    let image = first.pinned.values().next().unwrap();
    let layer = {
        let blobs = world.home.path().join("bases/blobs/sha256");
        let gzip = |path: &PathBuf| fs::read(path).unwrap().starts_with(&[0x1f, 0x8b]);
        fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().path()).find(gzip).unwrap()
    };
    let mut bytes = fs::read(&layer).unwrap();
    bytes[20] ^= 1;
    fs::write(&layer, &bytes).unwrap();
    let (second, events) = world.push(&world.pinned(), &[PLATFORMS[0]]).await;
    assert_eq!(second.unwrap().pinned.values().next().unwrap(), image);
    assert_eq!(pulled(&events), [(world.pinned(), false), (world.pinned(), true)]);
    assert_ne!(fs::read(&layer).unwrap(), bytes);
    // And so is its index: what it named is asked for again.
    fs::write(world.home.path().join("bases/index.json"), "{").unwrap();
    let third = world.push(&world.pinned(), &[PLATFORMS[0]]).await.0;
    assert_eq!(third.unwrap().pinned.values().next().unwrap(), image);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_cannot_be_had_is_named_with_the_reason() {
    let world = World::new(Config::default()).await;
    let host = world.server.address().to_string();
    let check = async |base: &str, platform: &str| {
        let error = world.push(base, &[platform]).await.0.unwrap_err();
        text(&error, &host).replace(world.base.as_str(), "DIGEST")
    };
    let mut seen = vec![
        check(&world.at(":12"), PLATFORMS[0]).await,
        check(&world.at(&format!("@sha256:{}", "a".repeat(64))), PLATFORMS[0]).await,
        check(&world.at(":13"), "linux/s390x").await,
        check(&world.pinned(), "linux/s390x").await,
    ];
    let everybody = vec![Grant::new("radio/*", &[Action::Pull, Action::Push])];
    let closed = Access::Restricted { users: Vec::new(), anonymous: everybody };
    let guarded = serve(Config { access: closed, ..Config::default() }).await.unwrap();
    for name in [":13".to_owned(), format!("@{}", world.base)] {
        let base = format!("{}/bases/debian{name}", guarded.address());
        let error = world.push(&base, &[PLATFORMS[0]]).await.0.unwrap_err();
        seen.push(text(&error, &guarded.address().to_string()).replace(world.base.as_str(), "DIGEST"));
    }
    insta::assert_snapshot!(seen.join("\n"));
}
