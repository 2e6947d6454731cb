//! Pulls from registries on this machine: honest ones, unsteady ones and hostile ones.

use std::error::Error as _;
use std::fs;
use std::time::Duration;

use release_sim::registry::{Config, Event, Fault, Profile, Rule, Server, Target, serve};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::Push;
use crate::patience::Pace;
use crate::tests::origin::{Origin, Reply};
use crate::tests::scene::{
    INDEX, Image, MANIFEST, descriptor, files, guarded, noise, registry, sha256, user,
};

/// What came of a pull.
struct Seen {
    outcome: Result<Pulled, PullError>,
    events: Vec<PullEvent>,
}

impl Seen {
    fn resumed(&self) -> Vec<u64> {
        let at =
            |event: &PullEvent| if let PullEvent::BlobResumed { at, .. } = event { Some(*at) } else { None };
        self.events.iter().filter_map(at).collect()
    }

    /// The error and its causes.
    fn refusal(&self, host: &str) -> String {
        let Err(error) = &self.outcome else { return "pulled".to_owned() };
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        assert!(!format!("{text}{error:?}").contains("hunter2"));
        text.replace(host, "HOST")
    }
}

async fn pull_with(
    registry: &Registry,
    image: &str,
    platform: Option<&str>,
    dir: &Path,
    limits: Limits,
) -> Seen {
    let reference = image.parse().unwrap();
    let platform = platform.map(|text| text.parse().unwrap());
    let pull = Pull { reference: &reference, platform: platform.as_ref(), layout: dir, limits };
    let mut events = Vec::new();
    let outcome = registry.pull(&pull, Some(&user()), &mut |event| events.push(event)).await;
    Seen { outcome, events }
}

async fn pull(image: &str, dir: &Path) -> Seen {
    pull_with(&registry(), image, None, dir, Limits::default()).await
}

fn index(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("index.json")).unwrap()).unwrap()
}

/// A simulated registry that has the image.
async fn simulated(image: &Image, config: Config) -> Server {
    let server = serve(config).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    image.write(dir.path());
    let repository = format!("{}/player", server.address()).parse().unwrap();
    server.with(|registry| registry.create_repository("player")).unwrap();
    let push = Push {
        layout: dir.path(),
        manifest: &image.digest(),
        repository: &repository,
        tags: &["v1".to_owned()],
        mount_from: &[],
    };
    registry().push(&push, Some(&user()), &mut |_| {}).await.unwrap();
    server
}

#[tokio::test]
async fn an_image_arrives_as_a_layout_byte_for_byte() {
    let (origin, image, dir) = (Origin::start().await, Image::new("amd64"), tempfile::tempdir().unwrap());
    image.at(&origin);
    let name = format!("{}/player:v1", origin.host);
    let seen = pull(&name, dir.path()).await;
    let pulled = seen.outcome.unwrap();
    assert_eq!(pulled.image.to_string(), format!("{}/player@{}", origin.host, image.digest()));
    assert_eq!(pulled.manifest, image.digest());
    assert_eq!(files(dir.path()), image.files());
    let entry = json!({
        "mediaType": MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
        "annotations": {"org.opencontainers.image.ref.name": name},
    });
    assert_eq!(index(dir.path()), json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}));
    let marker = fs::read_to_string(dir.path().join("oci-layout")).unwrap();
    assert_eq!(marker, r#"{"imageLayoutVersion":"1.0.0"}"#);
    assert!(matches!(seen.events.last(), Some(PullEvent::Pulled { .. })));
}

#[tokio::test]
async fn what_is_there_is_checked_and_not_fetched_again() {
    let (origin, image, dir) = (Origin::start().await, Image::new("amd64"), tempfile::tempdir().unwrap());
    image.at(&origin);
    let name = format!("{}/player:v1", origin.host);
    pull(&name, dir.path()).await.outcome.unwrap();
    let asked = origin.log().len();
    pull(&name, dir.path()).await.outcome.unwrap();
    assert_eq!(origin.log()[asked..], ["GET /v2/player/manifests/v1"]);
    let pinned = format!("{}/player@{}", origin.host, image.digest());
    pull(&pinned, dir.path()).await.outcome.unwrap();
    assert_eq!(origin.log().len(), asked + 1, "an image with a digest costs nothing");
    // Damaged, replaced by a link, and cut off.
    let paths: Vec<_> =
        image.blobs[..3].iter().map(|b| dir.path().join("blobs/sha256").join(sha256(b).hex())).collect();
    let mut bytes = image.blobs[0].clone();
    bytes[123] ^= 1;
    fs::write(&paths[0], bytes).unwrap();
    fs::write(&paths[1], b"short").unwrap();
    fs::remove_file(&paths[2]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", &paths[2]).unwrap();
    pull(&pinned, dir.path()).await.outcome.unwrap();
    assert_eq!(origin.log().len(), asked + 4);
    assert_eq!(files(dir.path()), image.files());
    assert!(paths.iter().all(|path| fs::symlink_metadata(path).unwrap().is_file()));
    assert_eq!(index(dir.path())["manifests"].as_array().unwrap().len(), 2, "one entry a name");
}

#[tokio::test]
async fn an_index_gives_the_platform_that_is_wanted_or_all() {
    let (origin, images) = (Origin::start().await, [Image::new("amd64"), Image::new("arm64")]);
    let child = |image: &Image, architecture: &str| {
        let mut child = descriptor(MANIFEST, &image.manifest);
        child["platform"] = json!({"os": "linux", "architecture": architecture});
        child
    };
    let document = |second: &str| {
        json!({"schemaVersion": 2, "manifests": [child(&images[0], "amd64"), child(&images[1], second)]})
            .to_string()
    };
    let (honest, lying) = (document("arm64"), document("s390x"));
    for image in &images {
        image.at(&origin);
    }
    for (name, text) in [("many", &honest), ("lying", &lying)] {
        let head = format!("200 OK\nContent-Type: {INDEX}");
        origin.says(&format!("/v2/player/manifests/{name}"), Reply::new(&head, text.as_bytes()));
    }
    let at = |name: &str| format!("{}/player:{name}", origin.host);
    let (dir, limits) = (tempfile::tempdir().unwrap(), Limits::default());
    for (index, platform) in ["linux/amd64", "linux/arm64"].into_iter().enumerate() {
        let seen = pull_with(&registry(), &at("many"), Some(platform), dir.path(), limits).await;
        let pulled = seen.outcome.unwrap();
        assert_eq!(
            (pulled.image.digest, pulled.manifest),
            (sha256(honest.as_bytes()), images[index].digest())
        );
    }
    let entries = index(dir.path())["manifests"].clone();
    assert_eq!(entries[0]["platform"], json!({"os": "linux", "architecture": "amd64"}));
    assert_eq!(entries[1]["digest"], json!(images[1].digest()));
    let all = tempfile::tempdir().unwrap();
    let pulled = pull(&at("many"), all.path()).await.outcome.unwrap();
    assert_eq!(pulled.manifest, sha256(honest.as_bytes()));
    assert_eq!(files(all.path()).len(), 3 + 2 + 2 + 1, "shared layers once");
    for (name, platform, expected) in [
        ("many", "linux/s390x", "is not for linux/s390x, but for linux/amd64, linux/arm64"),
        ("lying", "linux/s390x", "is not for linux/s390x, but for linux/arm64"),
        ("v1", "linux/s390x", "is not for linux/s390x, but for linux/amd64"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let seen = pull_with(&registry(), &at(name), Some(platform), dir.path(), limits).await;
        let refusal = seen.refusal(&origin.host);
        assert!(refusal.ends_with(expected), "{refusal}");
        assert!(!dir.path().join("index.json").exists());
    }
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let image = Image::new("amd64");
    for profile in [Profile::PLAIN, Profile::DOCKER_HUB, Profile::ECR] {
        let server = simulated(&image, guarded(profile)).await;
        let dir = tempfile::tempdir().unwrap();
        let blobs = Target { reference: Some("sha256:*".to_owned()), ..Target::default() };
        let resets = Rule { times: Some(3), target: blobs, ..Rule::always(Fault::Reset) };
        server.with(|registry| registry.add_rule(resets));
        let seen = pull(&format!("{}/player:v1", server.address()), dir.path()).await;
        assert!(seen.outcome.is_ok(), "{}: {:?}", profile.name, seen.outcome);
        assert_eq!(files(dir.path()), image.files(), "{}", profile.name);
        assert!(seen.resumed().iter().any(|at| *at > 0), "{}: {:?}", profile.name, seen.resumed());
        server.with(|registry| {
            let leaked = |event: &Event| matches!(event, Event::CredentialsLeaked { .. });
            assert!(!registry.trace().events().any(leaked), "{}", registry.trace());
        });
    }
}

#[tokio::test]
async fn damage_on_the_way_is_noticed_and_repaired() {
    let image = Image::new("amd64");
    let busy = Fault::Busy { status: 503, retry_after: Some(Duration::ZERO) };
    for fault in [Fault::BitFlipped, Fault::Truncated, Fault::Partition, Fault::AnswerLost, busy] {
        let server = simulated(&image, guarded(Profile::PLAIN)).await;
        let dir = tempfile::tempdir().unwrap();
        server.with(|registry| registry.add_rule(Rule { times: Some(2), ..Rule::always(fault.clone()) }));
        let seen = pull(&format!("{}/player:v1", server.address()), dir.path()).await;
        assert!(seen.outcome.is_ok(), "{fault:?}: {:?}", seen.outcome);
        assert_eq!(files(dir.path()), image.files(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_registry_that_knows_no_ranges_is_asked_for_the_whole() {
    let (origin, image, dir) = (Origin::start().await, Image::new("amd64"), tempfile::tempdir().unwrap());
    let large = &image.blobs[0];
    let path = format!("/v2/player/blobs/{}", sha256(large));
    let cut = |bytes: &[u8]| Reply { announced: Some(bytes.len() + 1000), ..Reply::ok(bytes) };
    origin.says(&path, cut(&large[..100_000]));
    origin.says(&path, cut(&large[..200_000]));
    // It begins elsewhere than it was asked to.
    origin.says(&path, Reply::new("206 Partial Content\nContent-Range: bytes 5-9/700000", b"wrong"));
    image.at(&origin);
    let seen = pull(&format!("{}/player:v1", origin.host), dir.path()).await;
    seen.outcome.as_ref().unwrap();
    assert_eq!(files(dir.path()), image.files());
    assert_eq!(seen.resumed(), [100_000, 200_000, 0]);
    let ranges: Vec<_> =
        origin.log().iter().filter_map(|line| Some(line.split_once(" bytes=")?.1.to_owned())).collect();
    assert_eq!(ranges, ["100000-", "200000-"]);
}

#[tokio::test]
async fn a_download_that_stalls_is_taken_up_again() {
    let (origin, image, dir) = (Origin::start().await, Image::new("amd64"), tempfile::tempdir().unwrap());
    image.at(&origin);
    let mut registry = registry();
    registry.pace = Pace { stall: Duration::from_millis(200), ..registry.pace };
    // Somebody who accepts, sends a little and falls silent: a listener between us and the origin.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (host, behind) = (listener.local_addr().unwrap(), origin.host.clone());
    tokio::spawn(async move {
        let mut count = 0;
        while let Ok((mut client, _)) = listener.accept().await {
            count += 1;
            let (silent, behind) = (count == 2, behind.clone());
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(behind).await.unwrap();
                if silent {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let seen = pull_with(&registry, &format!("{host}/player:v1"), None, dir.path(), Limits::default()).await;
    seen.outcome.as_ref().unwrap();
    assert_eq!(files(dir.path()), image.files());
}

#[tokio::test]
async fn nothing_is_visible_of_an_image_that_is_not_there_as_a_whole() {
    let (origin, image, dir) = (Origin::start().await, Image::new("amd64"), tempfile::tempdir().unwrap());
    let mut bytes = image.blobs[1].clone();
    bytes[0] ^= 1;
    origin.says(&format!("/v2/player/blobs/{}", sha256(&image.blobs[1])), Reply::ok(&bytes));
    for blob in [0, 2, 3] {
        let bytes = &image.blobs[blob];
        origin.says(&format!("/v2/player/blobs/{}", sha256(bytes)), Reply::ok(bytes));
    }
    origin.says("/v2/player/manifests/v1", Reply::ok(&image.manifest));
    let seen = pull(&format!("{}/player:v1", origin.host), dir.path()).await;
    assert!(matches!(seen.outcome, Err(PullError::OtherDigest { .. })), "{:?}", seen.outcome);
    assert!(!dir.path().join("index.json").exists());
    let right = image.files();
    assert!(
        files(dir.path()).iter().all(|(name, bytes)| right.get(name) == Some(bytes)),
        "only whole files are left"
    );
}

#[tokio::test]
async fn a_pull_that_is_dropped_leaves_nothing_half_done() {
    let (origin, image, dir) = (Origin::start().await, Image::new("amd64"), tempfile::tempdir().unwrap());
    let large = &image.blobs[0];
    let slow = Reply { announced: None, ..Reply::ok(&large[..1000]) };
    origin.says(&format!("/v2/player/blobs/{}", sha256(large)), slow);
    image.at(&origin);
    let name = format!("{}/player:v1", origin.host);
    let _ = tokio::time::timeout(Duration::from_millis(20), pull(&name, dir.path())).await;
    // The writer's thread may have to end first.
    for _ in 0..100 {
        if files(dir.path()).keys().all(|name| name.len() == 64) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(files(dir.path()).keys().all(|name| name.len() == 64), "{:?}", files(dir.path()).keys());
    pull(&name, dir.path()).await.outcome.unwrap();
    assert_eq!(files(dir.path()), image.files());
}

#[tokio::test]
async fn two_pulls_into_one_layout_wait_for_each_other() {
    let (origin, image, dir) = (Origin::start().await, Image::new("amd64"), tempfile::tempdir().unwrap());
    image.at(&origin);
    let name = format!("{}/player:v1", origin.host);
    let (one, two) = tokio::join!(pull(&name, dir.path()), pull(&name, dir.path()));
    assert!(one.outcome.is_ok() && two.outcome.is_ok());
    assert_eq!(origin.log().len(), 1 + 4 + 1, "the second one finds everything");
}

/// A layout folder that is something else.
#[tokio::test]
async fn a_folder_with_other_things_is_left_alone() {
    let (origin, image) = (Origin::start().await, Image::new("amd64"));
    image.at(&origin);
    let name = format!("{}/player:v1", origin.host);
    let check = async |write: fn(&TempDir)| {
        let dir = tempfile::tempdir().unwrap();
        write(&dir);
        pull(&name, dir.path()).await.refusal(&origin.host).replace(dir.path().to_str().unwrap(), "DIR")
    };
    let foreign = check(|dir| fs::write(dir.path().join("thesis.txt"), "years of work").unwrap()).await;
    assert_eq!(foreign, "`DIR` is not empty and no image layout");
    let version =
        check(|dir| fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap())
            .await;
    assert_eq!(version, "`DIR/oci-layout` is not part of an image layout: its version is not 1");
    #[cfg(unix)]
    {
        let link = check(|dir| {
            fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
            std::os::unix::fs::symlink("/tmp", dir.path().join("blobs")).unwrap();
        })
        .await;
        assert_eq!(link, "`DIR/blobs` is not part of an image layout: it is no folder");
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_fetched() {
    let (origin, image) = (Origin::start().await, Image::new("amd64"));
    image.at(&origin);
    let limits = Limits::default();
    let check = async |limits: Limits| {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("{}/player:v1", origin.host);
        let seen = pull_with(&registry(), &name, None, dir.path(), limits).await;
        assert!(files(dir.path()).is_empty());
        let refusal = seen.refusal(&origin.host).replace(image.digest().as_str(), "MANIFEST");
        image.blobs.iter().fold(refusal, |text, blob| text.replace(sha256(blob).as_str(), "BLOB"))
    };
    let manifest = check(Limits { manifest_bytes: 100, ..limits }).await;
    assert_eq!(manifest, "registry HOST sends a manifest of more than 100 bytes");
    assert_eq!(check(Limits { layers: 2, ..limits }).await, "MANIFEST has more than 2 layers");
    assert_eq!(check(Limits { total_bytes: 900_000, ..limits }).await, "BLOB has more than 900000 bytes");
}

#[tokio::test]
async fn a_cache_keeps_what_was_pulled_last_and_believes_sizes_if_it_may() {
    let origin = Origin::start().await;
    // They share their first layer.
    let images: Vec<Image> = (3..6)
        .map(|n| Image::of(vec![noise(1, 400_000), noise(n, 300_000)], &json!({"os": "linux", "number": n})))
        .collect();
    for image in &images {
        image.at(&origin);
    }
    let dir = tempfile::tempdir().unwrap();
    let pull = async |image: &Image, cache: Cache| {
        let reference = format!("{}/player@{}", origin.host, image.digest()).parse().unwrap();
        let pull =
            Pull { reference: &reference, platform: None, layout: dir.path(), limits: Limits::default() };
        let mut fetched = 0;
        let mut tell = |event| fetched += u32::from(matches!(event, PullEvent::BlobPulled { .. }));
        registry().pull_cached(&pull, cache, Some(&user()), &mut tell).await.unwrap();
        fetched
    };
    let here = || -> Vec<bool> {
        let files = files(dir.path());
        let complete = |image: &Image| image.files().keys().all(|name| files.contains_key(name));
        images.iter().map(complete).collect()
    };
    let cache = Cache { most_bytes: 1_100_000, believe: true };
    assert_eq!((pull(&images[0], cache).await, pull(&images[1], cache).await), (3, 2));
    assert_eq!(pull(&images[0], cache).await, 0, "and is the one that was used last");
    fs::write(dir.path().join("blobs/sha256/.partial-of-a-run-that-was-killed"), "x").unwrap();
    assert_eq!(pull(&images[2], cache).await, 2);
    assert_eq!(here(), [true, false, true]);
    assert_eq!(index(dir.path())["manifests"].as_array().unwrap().len(), 2);
    let mut left = images[0].files();
    left.extend(images[2].files());
    assert_eq!(files(dir.path()), left, "nothing else is there");
    // Another byte, and the same size.
    let path = dir.path().join("blobs/sha256").join(sha256(&images[2].blobs[0]).hex());
    let mut bytes = images[2].blobs[0].clone();
    bytes[7] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(pull(&images[2], cache).await, 0);
    assert_eq!(pull(&images[2], Cache { believe: false, ..cache }).await, 1);
    assert_eq!(fs::read(&path).unwrap(), images[2].blobs[0]);
    fs::write(&path, "short").unwrap();
    let small = Cache { most_bytes: 1, ..cache };
    assert_eq!(pull(&images[2], small).await, 1);
    assert_eq!(here(), [false, false, true], "the last one stays, however large it is");
}

#[tokio::test]
async fn what_an_index_offers_is_found_again_after_a_sweep() {
    let (origin, image, dir) = (Origin::start().await, Image::new("amd64"), tempfile::tempdir().unwrap());
    image.at(&origin);
    let mut child = descriptor(MANIFEST, &image.manifest);
    child["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let many = json!({"schemaVersion": 2, "manifests": [child]}).to_string();
    let digest = sha256(many.as_bytes());
    let head = format!("200 OK\nContent-Type: {INDEX}");
    origin.says(&format!("/v2/player/manifests/{digest}"), Reply::new(&head, many.as_bytes()));
    let reference = format!("{}/player@{digest}", origin.host).parse().unwrap();
    let platform = "linux/amd64".parse().unwrap();
    let pull = Pull {
        reference: &reference,
        platform: Some(&platform),
        layout: dir.path(),
        limits: Limits::default(),
    };
    let cache = Cache { most_bytes: 1, believe: true };
    for _ in 0..2 {
        registry().pull_cached(&pull, cache, Some(&user()), &mut |_| {}).await.unwrap();
    }
    let asked = origin.log().iter().filter(|line| line.contains("/manifests/")).count();
    assert_eq!(asked, 2, "the index and the manifest, once each: {:?}", origin.log());
}
