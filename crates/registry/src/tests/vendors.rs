//! Each vendor's registry, as far as it can be simulated: push, push again, mount, pull, referrers.
//!
//! Twice: as a registry at an address nobody knows, where the client has to find out by itself, and with the client's own
//! profile for that vendor.

use std::collections::BTreeMap;
use std::path::Path;

use release_core::{Digest, ImageRef, Repository};
use release_sim::registry::{Event, Profile, Server, serve};
use serde_json::json;

use super::scene::{Image, files, guarded, noise, registry, user};
use crate::{Artifact, ArtifactPart, Limits, MountFrom, Pull, Push, PushEvent, Registry};

/// A vendor's registry, and a client for it.
struct Bench {
    server: Server,
    registry: Registry,
    what: String,
}

impl Bench {
    async fn new(simulated: Profile, known_as: Option<&'static str>) -> Self {
        let server = serve(guarded(simulated)).await.unwrap();
        for name in ["team/web", "team/base"] {
            server.with(|registry| registry.create_repository(name)).unwrap();
        }
        let mut registry = registry();
        (registry.pace.part, registry.pace.whole) = (100_000, 100_000);
        registry.vendor = known_as;
        Self { server, registry, what: format!("{} as {known_as:?}", simulated.name) }
    }

    fn repository(&self, path: &str) -> Repository {
        format!("{}/{path}", self.server.address()).parse().unwrap()
    }

    /// How many requests were answered so far.
    fn requests(&self) -> usize {
        self.server.with(|registry| {
            registry.trace().events().filter(|e| matches!(e, Event::Answered { .. })).count()
        })
    }

    async fn push(&self, dir: &Path, digest: &Digest, to: &str, mount: &[Repository]) -> Vec<PushEvent> {
        let push = Push {
            layout: dir,
            manifest: digest,
            repository: &self.repository(to),
            tags: &["v1".to_owned()],
            mount_from: &mount.iter().cloned().map(MountFrom::from).collect::<Vec<_>>(),
        };
        let mut events = Vec::new();
        let pushed = self.registry.push(&push, Some(&user()), &mut |event| events.push(event)).await;
        assert_eq!(pushed.unwrap_or_else(|error| panic!("{}: {error}", self.what)).digest, *digest);
        events
    }

    async fn pull(&self, from: &str) -> BTreeMap<String, Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let reference: ImageRef = format!("{}:v1", self.repository(from)).parse().unwrap();
        let pull =
            Pull { reference: &reference, platform: None, layout: dir.path(), limits: Limits::default() };
        let pulled = self.registry.pull(&pull, Some(&user()), &mut |_| {}).await;
        pulled.unwrap_or_else(|error| panic!("{}: {error}", self.what));
        files(dir.path())
    }
}

async fn story(simulated: Profile, known_as: Option<&'static str>) {
    let bench = Bench::new(simulated, known_as).await;
    let what = &bench.what;
    let image =
        Image::of(vec![noise(1, 350_000), noise(2, 1000)], &json!({"os": "linux", "architecture": "amd64"}));
    let dir = tempfile::tempdir().unwrap();
    image.write(dir.path());
    bench.push(dir.path(), &image.digest(), "team/base", &[]).await;
    assert_eq!(bench.pull("team/base").await, image.files(), "{what}");

    let before = bench.requests();
    let events = bench.push(dir.path(), &image.digest(), "team/base", &[]).await;
    assert!(
        matches!(&events[..], [PushEvent::ManifestExists { .. }, PushEvent::Confirmed { .. }]),
        "{what}: {events:?}"
    );
    // One question, and what it takes to be let in.
    assert!(bench.requests() - before <= 3, "{what}: {}", bench.requests() - before);

    let from = [bench.repository("team/base")];
    let events = bench.push(dir.path(), &image.digest(), "team/web", &from).await;
    assert_eq!(bench.pull("team/web").await, image.files(), "{what}");
    let mounted = events.iter().filter(|event| matches!(event, PushEvent::BlobMounted { .. })).count();
    let mounts = simulated.name != "ecr" && known_as != Some("ecr-public");
    assert_eq!(mounted, if mounts { 3 } else { 0 }, "{what}: {events:?}");

    let subject = bench.repository("team/base").at(image.digest());
    let bytes = b"{\"bill\":\"of materials\"}";
    let part = ArtifactPart { media_type: "application/spdx+json", bytes, annotations: BTreeMap::new() };
    let artifact = Artifact {
        subject: &subject,
        artifact_type: "application/spdx+json",
        parts: &[part],
        annotations: BTreeMap::from([("made-by".to_owned(), "a test".to_owned())]),
    };
    let mut attached = Vec::new();
    for _ in 0..2 {
        attached.push(
            bench
                .registry
                .attach(&artifact, Some(&user()), &mut |_| {})
                .await
                .unwrap_or_else(|e| panic!("{what}: {e}")),
        );
    }
    assert_eq!(attached[0], attached[1], "the same artifact is the same every time");
    for (wanted, expected) in [(None, 1), (Some("application/spdx+json"), 1), (Some("another/type"), 0)] {
        let found = bench.registry.referrers(&subject, wanted, Some(&user())).await.unwrap();
        assert_eq!(found.len(), expected, "{what}: {wanted:?} {found:?}");
        assert!(
            found
                .iter()
                .all(|one| one.digest == attached[0].digest && one.annotations["made-by"] == "a test")
        );
    }
    bench.server.with(|registry| {
        let leaked = |event: &Event| matches!(event, Event::CredentialsLeaked { .. });
        assert!(!registry.trace().events().any(leaked), "{what}: {}", registry.trace());
    });
}

/// A test a vendor: the simulation's profile, and the client's.
macro_rules! vendors {
    ($($name:ident: $simulated:expr, $known_as:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            story($simulated, None).await;
            if let Some(known_as) = $known_as {
                story($simulated, Some(known_as)).await;
            }
        }
    )*};
}

vendors! {
    a_plain_registry_takes_and_gives_images: Profile::PLAIN, None;
    ecr_takes_and_gives_images: Profile::ECR, Some("ecr");
    ecr_public_takes_and_gives_images: Profile::ECR, Some("ecr-public");
    ghcr_takes_and_gives_images: Profile::GHCR, Some("ghcr");
    google_takes_and_gives_images: Profile::GAR, Some("google");
    docker_hub_takes_and_gives_images: Profile::DOCKER_HUB, Some("docker-hub");
    harbor_takes_and_gives_images: Profile::HARBOR, None;
    quay_takes_and_gives_images: Profile::QUAY, Some("quay");
    gitlab_takes_and_gives_images: Profile::GITLAB, Some("gitlab");
    a_registry_behind_cloudflare_takes_and_gives_images: Profile::CLOUDFLARE, None;
    a_registry_with_an_open_root_takes_and_gives_images: Profile::OPEN_ROOT, None;
    a_registry_before_1_1_takes_and_gives_images: Profile::BEFORE_1_1, None;
}

#[test]
fn every_profile_of_the_simulation_has_its_test() {
    let source = include_str!("vendors.rs");
    for profile in Profile::ALL {
        let constant = profile.name.to_uppercase().replace(['-', '.'], "_");
        assert!(source.contains(&format!("Profile::{constant}, ")), "{constant}");
    }
}

/// GitHub's limit at an address nobody knows: 416 where a part has more than 4 MiB, however often it is asked.
#[tokio::test]
async fn a_registry_that_finds_parts_too_large_without_saying_so_gets_smaller_ones() {
    let mut bench = Bench::new(Profile::GHCR, None).await;
    (bench.registry.pace.part, bench.registry.pace.whole) = (8 * 1024 * 1024, 8 * 1024 * 1024);
    bench.registry.pace.patience = std::time::Duration::from_secs(60);
    let image = Image::of(vec![noise(3, 9_000_000)], &json!({"os": "linux", "architecture": "amd64"}));
    let dir = tempfile::tempdir().unwrap();
    image.write(dir.path());
    let events = bench.push(dir.path(), &image.digest(), "team/base", &[]).await;
    assert!(events.iter().any(|event| matches!(event, PushEvent::BlobUploaded { size: 9_000_000, .. })));
}
