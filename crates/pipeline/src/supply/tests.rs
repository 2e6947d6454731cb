//! Signing and examining on the simulated registry, over the real protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use release_core::{PinnedImage, Platform, Repository, ServiceName};
use release_image::{Base, BuildOptions, Kind, Layer, Layout, NativeBuild, RunConfig, SIGNED, SigningKey};
use release_manifest::{ByPlatform, ImageSource, NativeLayer};
use release_registry::{Push, Registry};
use release_sim::registry::{Config, Profile, Server, serve};
use tempfile::TempDir;

use super::attach::Target;
use super::*;
use crate::event::ImageEvent;

const LOCK: &str = "[[package]]\nname = \"web\"\nversion = \"0.1.0\"\n";

const STATUS: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n";

/// A project with a lock file, an image of it in a layout and in a registry.
struct World {
    root: TempDir,
    layout: TempDir,
    server: Server,
    registry: Registry,
    image: PinnedImage,
}

impl World {
    async fn new(profile: Profile) -> Self {
        // Whichever test comes first installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (root, layout) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("Cargo.lock", LOCK);
        write("out/web", "a program");
        write("base/var/lib/dpkg/status", STATUS);
        let layer = |from: &str, to: &str| Layer { from: from.to_owned(), to: to.to_owned() };
        let build = NativeBuild {
            root: root.path().to_owned(),
            base: Base::Scratch,
            layers: vec![layer("base", "/"), layer("out/web", "/app/")],
            libraries_of: Vec::new(),
            programs: BTreeMap::new(),
            compression: release_image::Compression::Gzip,
            format: release_image::Format::Oci,
            platform: Platform::default(),
            config: RunConfig::default(),
            created: 0,
        };
        let open = Layout::create(layout.path()).unwrap();
        let image = build.build(&open, &BuildOptions::default(), &mut |_| {}).unwrap();
        drop(open);
        let server = serve(Config { profile, ..Config::default() }).await.unwrap();
        let repository: Repository = format!("{}/radio/web", server.address()).parse().unwrap();
        let registry = Registry::new().unwrap();
        let push = Push {
            layout: layout.path(),
            manifest: &image.manifest.digest,
            repository: &repository,
            tags: &["v1".to_owned()],
            mount_from: &[],
        };
        let image = registry.push(&push, None, &mut |_| {}).await.unwrap();
        Self { root, layout, server, registry, image }
    }

    /// What attaching told.
    async fn attach(&self, attest: &Attest) -> Vec<String> {
        self.attach_from(attest, Some(self.layout.path())).await
    }

    async fn attach_from(&self, attest: &Attest, layout: Option<&Path>) -> Vec<String> {
        let service: ServiceName = "web".parse().unwrap();
        let layers = [("base", "/"), ("out/web", "/app/")]
            .map(|(from, to)| NativeLayer { from: ByPlatform::Same(from.to_owned()), to: to.to_owned() });
        let source = ImageSource::Native(Box::new(release_manifest::NativeBuild {
            layers: layers.into(),
            ..release_manifest::NativeBuild::default()
        }));
        let target = Target {
            root: self.root.path(),
            service: &service,
            source: &source,
            image: &self.image,
            created: None,
            layout,
            base: None,
        };
        let mut told = Vec::new();
        let mut tell = |event| {
            if let ImageEvent::Attached { what, .. } = event {
                told.push(what);
            }
        };
        attest.attach(&self.registry, None, &target, &mut tell).await.unwrap();
        told
    }

    async fn examine(&self, keys: &[&SigningKey]) -> Examined {
        let keys: Vec<_> = keys.iter().map(|key| key.verifying_key()).collect();
        examine(&self.registry, None, &self.image, &keys).await.unwrap()
    }
}

fn attest(key: &SigningKey, said: &[Kind]) -> Attest {
    Attest {
        key: key.clone(),
        said: said.iter().copied().collect(),
        builder: Builder::of(&|_| None),
        sources: Some(Sources { url: None, commit: "0123abc".to_owned(), dirty: false }),
    }
}

/// What was proven, by which key, in which form.
fn claims(examined: &Examined) -> BTreeSet<(String, usize, Form)> {
    examined.proofs.iter().map(|proof| (proof.claim.clone(), proof.key, proof.form)).collect()
}

#[tokio::test]
async fn what_is_signed_is_found_whether_the_registry_lists_referrers_or_not() {
    for referrers in [true, false] {
        let world = World::new(Profile { referrers, ..Profile::PLAIN }).await;
        let key = SigningKey::generate();
        assert_eq!(world.examine(&[&key]).await, Examined::default());

        let both = attest(&key, &[Kind::Sbom, Kind::Provenance]);
        assert_eq!(world.attach(&both).await, ["signature", "sbom", "provenance", "signature"]);
        let examined = world.examine(&[&key]).await;
        let expected = [
            (SIGNED.to_owned(), 0, Form::Bundle),
            (SIGNED.to_owned(), 0, Form::Tag),
            (Kind::Sbom.predicate_type().to_owned(), 0, Form::Bundle),
            (Kind::Provenance.predicate_type().to_owned(), 0, Form::Bundle),
        ];
        assert_eq!(claims(&examined), BTreeSet::from(expected), "referrers: {referrers}");
        assert!(examined.rejected.is_empty(), "{:?}", examined.rejected);
    }
}

#[tokio::test]
async fn signing_again_attaches_nothing() {
    let world = World::new(Profile::PLAIN).await;
    let key = SigningKey::generate();
    let all = attest(&key, &[Kind::Sbom, Kind::Provenance]);
    world.attach(&all).await;
    let before = world.server.with(|registry| registry.used_bytes());
    assert_eq!(world.attach(&all).await, <[&str; 0]>::default());
    // Another run of the pipeline made the same bytes: the first one made the image.
    let mut again = all.clone();
    again.builder = Builder { id: "https://ci.example.com".to_owned(), invocation: None };
    assert_eq!(world.attach(&again).await, <[&str; 0]>::default());
    assert_eq!(world.server.with(|registry| registry.used_bytes()), before);
    // A better list is added.
    std::fs::write(world.root.path().join("Cargo.lock"), LOCK.replace("0.1.0", "0.2.0")).unwrap();
    assert_eq!(world.attach(&all).await, ["sbom"]);
}

#[tokio::test]
async fn the_sbom_and_the_provenance_say_what_is_in_the_image_and_where_it_comes_from() {
    let world = World::new(Profile::PLAIN).await;
    let key = SigningKey::generate();
    // From the registry, as it is for images from Dockerfiles.
    world.attach_from(&attest(&key, &[Kind::Sbom, Kind::Provenance]), None).await;
    let examined = world.examine(&[&key]).await;
    let said = |kind: Kind| {
        &examined.proofs.iter().find(|proof| proof.claim == kind.predicate_type()).unwrap().predicate
    };
    let components = said(Kind::Sbom)["components"].as_array().unwrap();
    let purls: Vec<&str> = components.iter().filter_map(|component| component["purl"].as_str()).collect();
    assert_eq!(purls, ["pkg:cargo/web@0.1.0", "pkg:deb/debian/libc6@2.36-9?arch=amd64"]);
    let definition = &said(Kind::Provenance)["buildDefinition"];
    assert_eq!(definition["externalParameters"]["layers"][1]["from"], "out/web");
    let names: Vec<&str> = definition["resolvedDependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|material| material["name"].as_str())
        .collect();
    assert_eq!(names, ["source", "Cargo.lock"]);
}

#[tokio::test]
async fn signatures_of_several_keys_live_side_by_side() {
    let world = World::new(Profile::PLAIN).await;
    let (old, new) = (SigningKey::generate(), SigningKey::generate());
    world.attach(&attest(&old, &[])).await;
    assert_eq!(world.attach(&attest(&new, &[])).await, ["signature", "signature"]);
    let both = |key| [(SIGNED.to_owned(), key, Form::Bundle), (SIGNED.to_owned(), key, Form::Tag)];
    let examined = world.examine(&[&old, &new]).await;
    assert_eq!(claims(&examined), both(0).into_iter().chain(both(1)).collect());
    // Who trusts one of them is shown that the others count for nothing.
    let examined = world.examine(&[&new]).await;
    assert_eq!(claims(&examined), BTreeSet::from(both(0)));
    assert_eq!(examined.rejected.len(), 2, "{:?}", examined.rejected);
}

#[tokio::test]
async fn a_signature_of_another_image_proves_nothing_where_it_is_put() {
    let world = World::new(Profile::PLAIN).await;
    let key = SigningKey::generate();
    let elsewhere = PinnedImage {
        digest: release_core::Digest::from_sha256([7; 32]),
        repository: world.image.repository.clone(),
    };
    // A good bundle about another image, attached to this one.
    let subject =
        release_image::Stored::open(world.layout.path()).unwrap().descriptor(&world.image.digest).unwrap();
    let statement = release_image::Statement::signed(elsewhere);
    let attachment = release_image::Attachment::sign(&statement, &subject, &key);
    let scratch = tempfile::tempdir().unwrap();
    let manifest = attachment.store(&Layout::create(scratch.path()).unwrap()).unwrap();
    let push = Push {
        layout: scratch.path(),
        manifest: &manifest.digest,
        repository: &world.image.repository,
        tags: &[],
        mount_from: &[],
    };
    world.registry.push(&push, None, &mut |_| {}).await.unwrap();
    let examined = world.examine(&[&key]).await;
    assert_eq!(examined.proofs, []);
    assert_eq!(examined.rejected[0].why, "it is about another image");
}

#[tokio::test]
async fn a_policy_lets_through_what_a_trusted_key_has_signed_and_nothing_else() {
    let world = World::new(Profile::PLAIN).await;
    let (ours, theirs) = (SigningKey::generate(), SigningKey::generate());
    let policy = |key: &SigningKey, attested: &[Kind]| Policy {
        keys: vec![NamedKey { name: "release.pub".to_owned(), key: key.verifying_key() }],
        attested: attested.iter().copied().collect(),
    };
    let refused = |result: Result<Vec<Claim>, VerifyError>| match result {
        Err(VerifyError::Unmet(unmet)) => unmet.missing,
        other => panic!("{other:?}"),
    };
    let mut verifier = Verifier::new().unwrap();
    let unsigned = verifier.enforce(&world.image, &policy(&ours, &[])).await;
    assert_eq!(refused(unsigned), ["signature"]);
    world.attach(&attest(&ours, &[Kind::Sbom])).await;
    let claims = verifier.enforce(&world.image, &policy(&ours, &[Kind::Sbom])).await.unwrap();
    assert!(claims.iter().any(|claim| claim.name == "sbom"), "{claims:?}");
    let other_key = verifier.enforce(&world.image, &policy(&theirs, &[])).await;
    assert_eq!(refused(other_key), ["signature"]);
    let more = verifier.enforce(&world.image, &policy(&ours, &[Kind::Provenance])).await;
    assert_eq!(refused(more), ["provenance"]);
}
