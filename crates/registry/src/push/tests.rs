//! Pushes against registries on this machine that fail as they are told.

mod elsewhere;
mod server;

use std::error::Error as _;
use std::fs;
use std::time::Duration;

use release_core::Secret;
use tempfile::TempDir;

use super::*;
use crate::patience::Pace;
use server::{Fault, Server, digest};

/// How large parts are here.
const PART: u64 = 100_000;

/// A layout with an image of two layers, one of them of several parts.
struct Image {
    dir: TempDir,
    digest: Digest,
    large: Vec<u8>,
}

fn write(dir: &Path, bytes: &[u8]) -> String {
    let name = digest(bytes);
    let folder = dir.join("blobs/sha256");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(&name[7..]), bytes).unwrap();
    name
}

fn descriptor(bytes: &[u8]) -> serde_json::Value {
    serde_json::json!({"mediaType": "any/thing", "digest": digest(bytes), "size": bytes.len()})
}

fn image() -> Image {
    let dir = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..350_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": descriptor(b"config"),
        "layers": [descriptor(&large), descriptor(b"small"), descriptor(b"small")],
    })
    .to_string();
    for blob in [&large[..], b"small", b"config"] {
        write(dir.path(), blob);
    }
    let digest = write(dir.path(), manifest.as_bytes()).parse().unwrap();
    Image { dir, digest, large }
}

fn registry() -> Registry {
    // Whichever test comes first installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut registry = Registry::new().unwrap();
    registry.clients.first_pause = Duration::from_millis(1);
    registry.pace = Pace {
        stall: Duration::from_secs(5),
        patience: Duration::from_secs(5),
        contact: Duration::from_secs(5),
        part: PART,
        whole: PART,
    };
    registry
}

/// A push of the image to a server, and everything seen of it.
struct Seen {
    outcome: String,
    events: Vec<PushEvent>,
}

impl Seen {
    fn resumed(&self) -> Vec<u64> {
        let at =
            |event: &PushEvent| if let PushEvent::BlobResumed { at, .. } = event { Some(*at) } else { None };
        self.events.iter().filter_map(at).collect()
    }
}

/// A push of the image.
fn push_of<'a>(
    image: &'a Image,
    repository: &'a Repository,
    tags: &'a [String],
    mount_from: &'a [MountFrom],
) -> Push<'a> {
    Push { layout: image.dir.path(), manifest: &image.digest, repository, tags, mount_from }
}

async fn push_with(registry: &Registry, server: &Server, image: &Image, mount: &[&str]) -> Seen {
    let repository: Repository = format!("{}/player", server.host).parse().unwrap();
    let mount_from: Vec<MountFrom> = mount
        .iter()
        .map(|path| format!("{}/{path}", server.host).parse::<Repository>().unwrap().into())
        .collect();
    let tags = ["v1".to_owned()];
    let push = push_of(image, &repository, &tags, &mount_from);
    let credentials = Credentials::Basic { username: "ci".into(), password: Secret::new("hunter2") };
    let mut events = Vec::new();
    let outcome = match registry.push(&push, Some(&credentials), &mut |event| events.push(event)).await {
        Ok(pushed) => {
            let world = server.world.lock().unwrap();
            assert_eq!(pushed.digest, image.digest);
            assert_eq!(digest(&world.manifests["v1"]), image.digest.as_str());
            assert!(world.blobs[&digest(&image.large)] == image.large);
            "pushed".to_owned()
        }
        Err(error) => {
            assert!(server.world.lock().unwrap().manifests.is_empty(), "a manifest is visible");
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            assert!(!text.contains("hunter2"));
            tidy(&text, server, image)
        }
    };
    Seen { outcome, events }
}

async fn push(server: &Server, image: &Image) -> Seen {
    push_with(&registry(), server, image, &[]).await
}

/// Names in place of digests and addresses.
fn tidy(text: &str, server: &Server, image: &Image) -> String {
    let mut text = text.replace(&server.host, "HOST").replace(image.dir.path().to_str().unwrap(), "DIR");
    for (digest, name) in [
        (digest(&image.large), "LARGE"),
        (digest(b"small"), "SMALL"),
        (digest(b"config"), "CONFIG"),
        (image.digest.to_string(), "MANIFEST"),
    ] {
        text = text
            .replace(&digest, name)
            .replace(&digest.replace(':', "%3A"), name)
            .replace(&digest[7..], name);
    }
    text
}

fn log(server: &Server, image: &Image) -> Vec<String> {
    server.world.lock().unwrap().log.iter().map(|line| tidy(line, server, image)).collect()
}

fn count(log: &[String], method: &str) -> usize {
    log.iter().filter(|line| line.starts_with(method)).count()
}

#[tokio::test]
async fn blobs_go_before_the_configuration_and_that_before_the_manifest() {
    let (server, image) = (Server::start().await, image());
    let seen = push(&server, &image).await;
    assert_eq!(seen.outcome, "pushed");
    let log = log(&server, &image);
    let at = |line: &str| {
        log.iter().position(|l| l.starts_with(line)).unwrap_or_else(|| panic!("{line}: {log:#?}"))
    };
    let config = at("POST /v2/player/blobs/uploads/?mount=CONFIG");
    let put = log.iter().filter(|l| l.starts_with("PUT")).map(|l| at(l)).collect::<Vec<_>>();
    assert_eq!(put.len(), 4);
    assert!(put[0] < config && put[1] < config && config < put[2] && put[2] < put[3], "{log:#?}");
    assert!(log[put[3]].starts_with("PUT /v2/player/manifests/v1"));
    assert_eq!(log.last().unwrap(), "HEAD /v2/player/manifests/MANIFEST");
    let parts: Vec<_> =
        log.iter().filter(|l| l.starts_with("PATCH")).map(|l| l.split('[').nth(1).unwrap()).collect();
    assert_eq!(parts, ["0-99999]", "100000-199999]", "200000-299999]", "300000-349999]"]);
    assert_eq!(server.world.lock().unwrap().received, image.large.len() + 11);
    let kinds: Vec<_> = seen.events.iter().filter(|e| !matches!(e, PushEvent::Progress { .. })).collect();
    assert_eq!(kinds.len(), 5, "{kinds:#?}");
    assert!(matches!(kinds.last(), Some(PushEvent::Confirmed { .. })));
}

#[tokio::test]
async fn what_is_there_costs_one_question() {
    let (server, image) = (Server::start().await, image());
    push(&server, &image).await;
    server.world.lock().unwrap().log.clear();
    let seen = push(&server, &image).await;
    assert_eq!(log(&server, &image), ["GET /v2/player/manifests/v1"]);
    assert_eq!(seen.events.len(), 2);
    // Another name for the same image needs no blob to be looked for.
    server.world.lock().unwrap().manifests.remove("v1");
    server.world.lock().unwrap().log.clear();
    push(&server, &image).await;
    assert_eq!(
        log(&server, &image),
        [
            "GET /v2/player/manifests/v1",
            "HEAD /v2/player/manifests/MANIFEST",
            "PUT /v2/player/manifests/v1",
            "HEAD /v2/player/manifests/MANIFEST",
        ]
    );
}

#[tokio::test]
async fn a_reset_costs_what_had_not_arrived() {
    let (server, image) = (Server::start().await, image());
    server.fail("PATCH /v2/player/blobs/uploads/u1?state=99999", Fault::Cut(30_000));
    server.fail("PATCH /v2/player/blobs/uploads/u2?state=99999", Fault::Cut(30_000));
    let seen = push(&server, &image).await;
    assert_eq!(seen.outcome, "pushed");
    assert_eq!(seen.resumed(), [130_000]);
    assert_eq!(server.world.lock().unwrap().received, image.large.len() + 11, "every byte arrived once");
}

#[tokio::test]
async fn a_lost_answer_is_found_out_and_nothing_is_sent_twice() {
    for on in ["PATCH", "PUT /v2/player/blobs", "PUT /v2/player/manifests"] {
        let (server, image) = (Server::start().await, image());
        server.fail(on, Fault::LoseAnswer);
        let seen = push(&server, &image).await;
        assert_eq!(seen.outcome, "pushed", "{on}");
        assert_eq!(server.world.lock().unwrap().received, image.large.len() + 11, "{on}");
    }
}

#[tokio::test]
async fn failures_that_may_pass_are_outlasted() {
    let unknown = "404 Not Found\n\n{\"errors\":[{\"code\":\"BLOB_UPLOAD_UNKNOWN\"}]}";
    for (on, answer) in [
        ("GET /v2/player/manifests", "503 Service Unavailable\nRetry-After: 0"),
        ("HEAD /v2/player/manifests", "502 Bad Gateway"),
        ("POST", "429 Too Many Requests\nRetry-After: 0"),
        ("PATCH", "500 Internal Server Error"),
        ("PATCH", "408 Request Timeout"),
        ("PATCH", unknown),
        ("PATCH", "416 Range Not Satisfiable"),
        ("PUT /v2/player/blobs", "503 Service Unavailable"),
        ("PUT /v2/player/blobs", unknown),
        ("PUT /v2/player/blobs", "400 Bad Request\n\n{\"errors\":[{\"code\":\"DIGEST_INVALID\"}]}"),
        ("PUT /v2/player/manifests", "504 Gateway Timeout"),
    ] {
        let (server, image) = (Server::start().await, image());
        server.fail(on, Fault::Answer(answer.to_owned()));
        let seen = push(&server, &image).await;
        assert_eq!(seen.outcome, "pushed", "{on} {answer}");
    }
}

#[tokio::test]
async fn what_is_refused_for_good_says_why() {
    let denied = "403 Forbidden\n\n{\"errors\":[{\"code\":\"DENIED\",\"message\":\"quota exceeded\"}]}";
    let invalid = "400 Bad Request\n\n{\"errors\":[{\"code\":\"MANIFEST_INVALID\",\"message\":\"too old\"}]}";
    let other = format!("201 Created\nDocker-Content-Digest: sha256:{}", "b".repeat(64));
    let insecure = "202 Accepted\nLocation: ftp://r.example.com/upload";
    let mut seen = Vec::new();
    for (on, answer) in [
        ("POST", denied),
        ("HEAD /v2/player/manifests/sha256", "405 Method Not Allowed"),
        ("POST", "202 Accepted"),
        ("POST", "404 Not Found\n\n{\"errors\":[{\"code\":\"NAME_UNKNOWN\"}]}"),
        ("POST", insecure),
        ("PUT /v2/player/manifests", invalid),
        ("PUT /v2/player/manifests", &other),
        ("PUT /v2/player/manifests", "201 Created\nDocker-Content-Digest: nonsense"),
    ] {
        let (server, image) = (Server::start().await, image());
        for _ in 0..8 {
            server.fail(on, Fault::Answer(answer.to_owned()));
        }
        let outcome = push(&server, &image).await.outcome.replace("LARGE", "BLOB").replace("SMALL", "BLOB");
        seen.push(format!("{on}\n  {outcome}"));
    }
    insta::assert_snapshot!("refused", seen.join("\n"));
}

#[tokio::test]
async fn giving_up_takes_as_long_as_it_may_and_says_what_came_last() {
    let (server, image) = (Server::start().await, image());
    let mut registry = registry();
    registry.pace.patience = Duration::from_millis(50);
    for _ in 0..50 {
        server.fail("GET", Fault::Answer("503 Service Unavailable".to_owned()));
    }
    let seen = push_with(&registry, &server, &image, &[]).await;
    assert_eq!(
        seen.outcome,
        "registry HOST failed at a question about manifest v1: no progress in 0s: it answered with status 503"
    );
    // A registry that wants more time than there is, is not waited for.
    let (server, image) = (Server::start().await, self::image());
    server.fail("GET", Fault::Answer("429 Too Many Requests\nRetry-After: 3600".to_owned()));
    let seen = push_with(&self::registry(), &server, &image, &[]).await;
    assert_eq!(
        seen.outcome,
        "registry HOST wants 3600s of rest before a question about manifest v1; it is waited for 5s at most: it answered with status 429"
    );
}

#[tokio::test]
async fn a_registry_that_falls_silent_is_left_and_asked_again() {
    let (server, image) = (Server::start().await, image());
    let mut registry = registry();
    registry.pace.stall = Duration::from_millis(300);
    server.fail("PATCH", Fault::Silence);
    server.fail("POST", Fault::Silence);
    server.fail("POST", Fault::Silence);
    let seen = push_with(&registry, &server, &image, &[]).await;
    assert_eq!(seen.outcome, "pushed");
}

#[tokio::test]
async fn a_token_for_everything_is_fetched_once_and_again_when_it_is_forgotten() {
    let (server, image) = (Server::start().await, image());
    server.world.lock().unwrap().guarded = true;
    server.fail("PATCH", Fault::Forget);
    server.fail("PUT /v2/player/blobs", Fault::Forget);
    let seen = push_with(&registry(), &server, &image, &["other"]).await;
    assert_eq!(seen.outcome, "pushed");
    let log = log(&server, &image);
    let tokens: Vec<_> = log.iter().filter(|line| line.starts_with("GET /token")).collect();
    assert!((2..=3).contains(&tokens.len()), "{log:#?}");
    assert_eq!(
        tokens[0],
        "GET /token?scope=repository%3Aplayer%3Apull%2Cpush&scope=repository%3Aother%3Apull&service=s"
    );
    let world = server.world.lock().unwrap();
    assert!(world.shown.iter().zip(&world.log).all(|(shown, line)| {
        // The password goes to the token service only.
        shown.starts_with("Basic") == line.starts_with("GET /token")
    }));
}

#[tokio::test]
async fn wrong_credentials_are_wrong_at_once() {
    for challenge in ["Basic realm=\"r\"", "Negotiate"] {
        let (server, image) = (Server::start().await, image());
        for _ in 0..9 {
            server.fail("GET", Fault::Answer(format!("401 Unauthorized\nWWW-Authenticate: {challenge}")));
        }
        let seen = push(&server, &image).await;
        assert_eq!(seen.outcome, "registry HOST does not let this user push to `player`");
        assert!(log(&server, &image).len() <= 2);
    }
}

#[tokio::test]
async fn authorization_never_goes_to_another_host() {
    let (server, image, other) = (Server::start().await, image(), Server::start().await);
    server.world.lock().unwrap().guarded = true;
    server.world.lock().unwrap().elsewhere = format!("http://{}", other.host);
    let mut registry = registry();
    registry.pace.patience = Duration::from_millis(100);
    let seen = push_with(&registry, &server, &image, &[]).await;
    // The other host knows of no upload, so nothing comes of it; what matters is what it was shown.
    assert!(seen.outcome.contains("no progress"), "{}", seen.outcome);
    let world = other.world.lock().unwrap();
    assert!(!world.shown.is_empty());
    assert!(world.shown.iter().all(String::is_empty), "{:?}", world.shown);
}

#[tokio::test]
async fn blobs_of_other_repositories_are_taken_over_and_a_refusal_is_no_failure() {
    let (server, image) = (Server::start().await, image());
    let seen = push_with(&registry(), &server, &image, &["other"]).await;
    assert_eq!(seen.outcome, "pushed");
    let mounted = |event: &&PushEvent| matches!(event, PushEvent::BlobMounted { .. });
    assert_eq!(seen.events.iter().filter(mounted).count(), 1, "{:#?}", seen.events);
    assert_eq!(server.world.lock().unwrap().received, image.large.len() + 5);
}

#[tokio::test]
async fn registries_that_do_not_keep_parts_get_the_whole() {
    let (server, image) = (Server::start().await, image());
    server.world.lock().unwrap().forgetful = true;
    assert_eq!(push(&server, &image).await.outcome, "pushed");
    assert_eq!(count(&log(&server, &image), "PATCH"), 1);
    for answer in ["405 Method Not Allowed", "400 Bad Request", "501 Not Implemented"] {
        let (server, image) = (Server::start().await, self::image());
        server.fail("PATCH", Fault::Answer(answer.to_owned()));
        assert_eq!(push(&server, &image).await.outcome, "pushed", "{answer}");
    }
}

#[tokio::test]
async fn parts_are_as_large_as_the_registry_wants() {
    let (server, image) = (Server::start().await, image());
    let started = "202 Accepted\nLocation: /v2/player/blobs/uploads/u1\nOCI-Chunk-Min-Length: 200000";
    // A mount and an upload for each of two layers.
    for _ in 0..4 {
        server.fail("POST", Fault::Answer(started.to_owned()));
    }
    push(&server, &image).await;
    // The session of that answer does not exist, so the upload begins anew; what was learnt stays.
    let log = log(&server, &image);
    assert!(log.iter().any(|line| line.contains("[0-199999]")), "{log:#?}");
}

#[tokio::test]
async fn a_proxy_that_finds_parts_too_large_gets_smaller_ones() {
    let (server, image) = (Server::start().await, image());
    let mut registry = registry();
    (registry.pace.part, registry.pace.whole) = (10_000_000, 10_000_000);
    server.fail("PUT /v2/player/blobs/uploads/", Fault::Answer("413 Payload Too Large".to_owned()));
    assert_eq!(push_with(&registry, &server, &image, &[]).await.outcome, "pushed");
    assert_eq!(count(&log(&server, &image), "PATCH"), 1);
}

#[tokio::test]
async fn a_damaged_blob_never_arrives() {
    let (server, image) = (Server::start().await, image());
    let name = digest(&image.large);
    let path = image.dir.path().join("blobs/sha256").join(&name[7..]);
    let mut bytes = image.large.clone();
    bytes[123_456] ^= 1;
    fs::write(path, bytes).unwrap();
    let seen = push(&server, &image).await;
    assert_eq!(
        seen.outcome,
        "`DIR/blobs/sha256/LARGE` is damaged: its bytes are not those its name stands for"
    );
    assert!(!server.world.lock().unwrap().blobs.contains_key(&name));
}

#[tokio::test]
async fn a_layout_that_is_not_sound_is_not_pushed() {
    let server = Server::start().await;
    let mut seen = Vec::new();
    let mut check = async |what: &str, change: fn(&Image) -> Option<String>| {
        let mut image = image();
        if let Some(manifest) = change(&image) {
            image.digest = write(image.dir.path(), manifest.as_bytes()).parse().unwrap();
        }
        seen.push(format!("{what}\n  {}", push(&server, &image).await.outcome));
    };
    check("no manifest", |image| {
        fs::remove_file(image.dir.path().join("blobs/sha256").join(image.digest.hex())).unwrap();
        None
    })
    .await;
    check("another manifest", |image| {
        fs::write(image.dir.path().join("blobs/sha256").join(image.digest.hex()), "{}").unwrap();
        None
    })
    .await;
    check("an index without its images", |_| {
        let child = descriptor(b"nobody wrote this");
        Some(format!("{{\"schemaVersion\":2,\"manifests\":[{child}]}}"))
    })
    .await;
    check("an index of something else", |image| {
        let child = descriptor(
            &fs::read(image.dir.path().join("blobs/sha256").join(&digest(b"small")[7..])).unwrap(),
        );
        Some(format!("{{\"schemaVersion\":2,\"manifests\":[{child}]}}"))
    })
    .await;
    check("both", |_| {
        let config = descriptor(b"config");
        Some(format!("{{\"schemaVersion\":2,\"manifests\":[],\"layers\":[],\"config\":{config}}}"))
    })
    .await;
    check("no JSON", |_| Some("layers".to_owned())).await;
    check("a digest that is a path", |_| {
        Some("{\"schemaVersion\":2,\"layers\":[],\"config\":{\"mediaType\":\"any/thing\",\"digest\":\"sha256:../../etc/passwd\",\"size\":1}}".to_owned())
    })
    .await;
    check("a foreign layer", |_| {
        let mut layer = descriptor(b"small");
        layer["urls"] = serde_json::json!(["https://example.com/layer"]);
        Some(format!("{{\"schemaVersion\":2,\"layers\":[{layer}],\"config\":{}}}", descriptor(b"config")))
    })
    .await;
    check("another size", |_| {
        let mut config = descriptor(b"config");
        config["size"] = 7.into();
        Some(format!("{{\"schemaVersion\":2,\"layers\":[],\"config\":{config}}}"))
    })
    .await;
    check("a blob that is missing", |_| {
        Some(format!("{{\"schemaVersion\":2,\"layers\":[],\"config\":{}}}", descriptor(b"nobody wrote this")))
    })
    .await;
    #[cfg(unix)]
    check("a link", |image| {
        let path = image.dir.path().join("blobs/sha256").join(&digest(b"config")[7..]);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        Some(format!("{{\"schemaVersion\":2,\"layers\":[],\"config\":{}}}", descriptor(b"config")))
    })
    .await;
    insta::assert_snapshot!("unsound", seen.join("\n"));
}

#[tokio::test]
async fn warnings_of_the_registry_are_told() {
    let (server, image) = (Server::start().await, image());
    let warning = "404 Not Found\nWarning: 299 - \"this registry closes on friday\"";
    server.fail("GET /v2/player/manifests", Fault::Answer(warning.to_owned()));
    let seen = push(&server, &image).await;
    let message = "this registry closes on friday".to_owned();
    assert!(seen.events.contains(&PushEvent::Warning { message }), "{:#?}", seen.events);
}

/// A second image: one layer and the configuration are others.
fn changed(image: &Image) -> Digest {
    for blob in [&b"another layer"[..], b"another config"] {
        write(image.dir.path(), blob);
    }
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": descriptor(b"another config"),
        "layers": [descriptor(&image.large), descriptor(b"small"), descriptor(b"another layer")],
    });
    write(image.dir.path(), manifest.to_string().as_bytes()).parse().unwrap()
}

#[tokio::test]
async fn one_changed_layer_costs_seven_requests() {
    let (server, mut image) = (Server::start().await, image());
    push(&server, &image).await;
    server.world.lock().unwrap().log.clear();
    image.digest = changed(&image);
    assert_eq!(push(&server, &image).await.outcome, "pushed");
    let log: Vec<_> = log(&server, &image)
        .iter()
        .map(|line| line.split(['?', '[']).next().unwrap().trim_end().replace(char::is_numeric, ""))
        .collect();
    insta::assert_snapshot!("seven", log.join("\n"));
}

#[tokio::test]
async fn a_tag_that_promises_too_much_is_found_out() {
    let (server, mut image) = (Server::start().await, image());
    push(&server, &image).await;
    // The registry lost a blob, and does not know it.
    server.world.lock().unwrap().lenient = true;
    server.world.lock().unwrap().blobs.remove(&digest(b"small"));
    image.digest = changed(&image);
    assert_eq!(push(&server, &image).await.outcome, "pushed");
    assert!(server.world.lock().unwrap().blobs.contains_key(&digest(b"small")));
}

#[tokio::test]
async fn an_index_goes_after_its_images_and_each_blob_once() {
    let (server, mut image) = (Server::start().await, image());
    let (one, two) = (image.digest.clone(), changed(&image));
    let child = |digest: &Digest| {
        let size = fs::metadata(image.dir.path().join("blobs/sha256").join(digest.hex())).unwrap().len();
        serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size})
    };
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [child(&one), child(&two)]}).to_string();
    image.digest = write(image.dir.path(), index.as_bytes()).parse().unwrap();
    let seen = push(&server, &image).await;
    assert_eq!(seen.outcome, "pushed");
    let pushed: Vec<_> = seen
        .events
        .iter()
        .filter_map(|event| {
            if let PushEvent::ManifestPushed { reference } = event { Some(reference.as_str()) } else { None }
        })
        .collect();
    assert_eq!(pushed, [one.as_str(), two.as_str(), "v1"]);
    assert_eq!(server.world.lock().unwrap().received, image.large.len() + 11 + 13 + 14, "shared blobs once");
    server.world.lock().unwrap().log.clear();
    push(&server, &image).await;
    assert_eq!(log(&server, &image), ["GET /v2/player/manifests/v1"]);
}
