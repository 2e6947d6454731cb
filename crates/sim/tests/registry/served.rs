//! Over the loopback listener, in real time: `oci-client` as people use it, and the shell's own promises.

use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol, Config as ImageConfig, ImageLayer};
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE, OciDescriptor};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use release_sim::registry::{
    Access, Config, Digest, Event, Fault, Grant, Profile, Rule, ServeError, Server, User, serve, serve_at,
};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MIB: usize = 1024 * 1024;

/// The process's TLS provider, which clients want even where there is no TLS.
fn provider() {
    // The second of two tests that install it is told that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn oci(monolithic: bool) -> Client {
    provider();
    Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        use_monolithic_push: monolithic,
        ..ClientConfig::default()
    })
}

fn http() -> reqwest::Client {
    provider();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn noise(len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(len as u64);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

async fn served(config: Config) -> (Server, String) {
    let server = serve(config).await.unwrap();
    let base = format!("http://{}", server.address());
    (server, base)
}

/// Pushes and pulls an image with layers of these sizes.
async fn round_trip(server: &Server, client: &Client, auth: &RegistryAuth, sizes: &[usize]) {
    server.with(|registry| registry.create_repository("team/web").unwrap());
    let image: Reference = format!("{}/team/web:v1", server.address()).parse().unwrap();
    let layers: Vec<ImageLayer> = sizes
        .iter()
        .map(|size| ImageLayer::new(noise(*size), IMAGE_LAYER_MEDIA_TYPE.to_owned(), None))
        .collect();
    let config = ImageConfig::new(b"{}".to_vec(), IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None);
    client.push(&image, &layers, config, auth, None).await.unwrap();
    let pulled = client.pull(&image, auth, vec![IMAGE_LAYER_MEDIA_TYPE]).await.unwrap();
    // They come in the order in which they arrived.
    let same = layers.iter().all(|layer| pulled.layers.iter().any(|other| other.data == layer.data));
    assert!(same && pulled.layers.len() == layers.len());
    let digest = client.fetch_manifest_digest(&image, auth).await.unwrap();
    let known = server.with(|registry| registry.resolve("team/web", "v1").map(ToString::to_string));
    assert_eq!(known, Some(digest));
}

#[tokio::test]
async fn oci_client_pushes_and_pulls_in_chunks() {
    let (server, _) = served(Config::default()).await;
    round_trip(&server, &oci(false), &RegistryAuth::Anonymous, &[10, 9 * MIB, 1]).await;
}

#[tokio::test]
async fn oci_client_pushes_and_pulls_whole_blobs_whatever_the_profile() {
    // The one exception has a test of its own.
    for profile in Profile::ALL.into_iter().filter(|profile| !profile.open_root) {
        let access = Access::Restricted { users: vec![User::new("ci", "secret")], anonymous: vec![] };
        let (server, _) = served(Config { profile, access, ..Config::default() }).await;
        let auth = RegistryAuth::Basic("ci".into(), "secret".into());
        round_trip(&server, &oci(true), &auth, &[10, 2 * MIB]).await;
        let leaked = |event: &Event| matches!(event, Event::CredentialsLeaked { .. });
        assert!(!server.with(|registry| registry.trace().events().any(leaked)), "{}", profile.name);
    }
}

/// What the profiles are for: each of these has hurt users of some client.
#[tokio::test]
async fn oci_client_stumbles_over_real_quirks() {
    let access = Access::Restricted { users: vec![User::new("ci", "secret")], anonymous: vec![] };
    let (server, _) = served(Config { profile: Profile::OPEN_ROOT, access, ..Config::default() }).await;
    let image: Reference = format!("{}/team/web:v1", server.address()).parse().unwrap();
    let client = oci(true);
    client
        .store_auth_if_needed(
            &server.address().to_string(),
            &RegistryAuth::Basic("ci".into(), "secret".into()),
        )
        .await;
    assert!(client.push_blob(&image, noise(10), Digest::of(&noise(10)).as_str()).await.is_err());
    let (server, _) = served(Config { profile: Profile::ECR, ..Config::default() }).await;
    server.with(|registry| registry.create_repository("team/web").unwrap());
    let image: Reference = format!("{}/team/web:v1", server.address()).parse().unwrap();
    let bytes = noise(9 * MIB);
    let digest = Digest::of(&bytes).to_string();
    client.push_blob(&image, bytes.clone(), &digest).await.unwrap();
    server.with(|registry| assert!(registry.used_bytes() > bytes.len() as u64));
}

#[tokio::test]
async fn oci_client_mounts_lists_and_finds_referrers() {
    let (server, _) = served(Config::default()).await;
    let client = oci(true);
    round_trip(&server, &client, &RegistryAuth::Anonymous, &[10]).await;
    let [web, other] = ["team/web:v1", "team/other:v1"]
        .map(|name| format!("{}/{name}", server.address()).parse::<Reference>().unwrap());
    let digest = Digest::of(&noise(10)).to_string();
    client.mount_blob(&other, &web, &digest).await.unwrap();
    assert!(client.blob_exists(&other, &digest).await.unwrap());
    let tags = client.list_tags(&web, &RegistryAuth::Anonymous, None, None).await.unwrap();
    assert_eq!(tags.tags, ["v1"]);
    let subject = client.fetch_manifest_digest(&web, &RegistryAuth::Anonymous).await.unwrap();
    let pinned: Reference = format!("{}/team/web@{subject}", server.address()).parse().unwrap();
    assert!(client.pull_referrers(&pinned, None).await.unwrap().manifests.is_empty());
}

#[tokio::test]
async fn oci_client_notices_a_flipped_bit() {
    let (server, _) = served(Config::default()).await;
    let client = oci(true);
    round_trip(&server, &client, &RegistryAuth::Anonymous, &[MIB]).await;
    server.with(|registry| registry.add_rule(Rule::once(Fault::BitFlipped)));
    let image: Reference = format!("{}/team/web:v1", server.address()).parse().unwrap();
    let layer = OciDescriptor { digest: Digest::of(&noise(MIB)).to_string(), ..OciDescriptor::default() };
    let mut bytes = Vec::new();
    assert!(client.pull_blob(&image, &layer, &mut bytes).await.is_err());
    bytes.clear();
    client.pull_blob(&image, &layer, &mut bytes).await.unwrap();
    assert_eq!(bytes, noise(MIB));
}

/// Opens an upload; returns its URL.
async fn upload(http: &reqwest::Client, base: &str) -> String {
    let answer = http.post(format!("{base}/v2/a/blobs/uploads/")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    format!("{base}{}", answer.headers()["location"].to_str().unwrap())
}

/// How many bytes an upload has.
async fn progress(http: &reqwest::Client, location: &str) -> usize {
    let answer = http.get(location).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let range = answer.headers()["range"].to_str().unwrap();
    range.strip_prefix("0-").unwrap().parse::<usize>().unwrap() + 1
}

/// Waits until something is so, a few seconds at most.
async fn until(so: impl AsyncFn() -> bool) {
    for _ in 0..2_000 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it has never come to be");
}

#[tokio::test]
async fn a_large_blob_goes_through_in_pieces() {
    let (server, base) = served(Config::default()).await;
    let http = http();
    let bytes = noise(24 * MIB);
    let digest = Digest::of(&bytes);
    let location = upload(&http, &base).await;
    let answer = http.put(format!("{location}?digest={digest}")).body(bytes.clone()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert!(server.with(|registry| registry.used_bytes()) < 25 * MIB as u64);
    let answer = http.get(format!("{base}/v2/a/blobs/{digest}")).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(bytes.len() as u64));
    assert!(answer.bytes().await.unwrap() == bytes);
    let head = http.head(format!("{base}/v2/a/blobs/{digest}")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], bytes.len().to_string());
}

#[tokio::test]
async fn an_upload_that_broke_goes_on_at_the_exact_byte() {
    let (server, base) = served(Config::default()).await;
    let http = http();
    let bytes = noise(3 * MIB);
    let location = upload(&http, &base).await;
    server.with(|registry| registry.add_rule(Rule::once(Fault::Reset)));
    assert!(http.patch(&location).body(bytes.clone()).send().await.is_err());
    let have = progress(&http, &location).await;
    assert!(have < bytes.len());
    let answer = http
        .patch(&location)
        .header("content-range", format!("{have}-{}", bytes.len() - 1))
        .body(bytes[have..].to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let answer = http.put(format!("{location}?digest={}", Digest::of(&bytes))).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}

/// As `docker push` sends its layers.
#[tokio::test]
async fn a_body_of_unannounced_length_is_taken() {
    let (server, base) = served(Config::default()).await;
    let http = http();
    let location = upload(&http, &base).await;
    let path = location.strip_prefix(&base).unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in ["5\r\nhello\r\n", "1\r\n!\r\n", "0\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
    }
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 202") && said.contains("range: 0-5"), "{said}");
    let answer = http.put(format!("{location}?digest={}", Digest::of(b"hello!"))).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn what_a_client_sent_before_it_vanished_is_kept() {
    let (server, base) = served(Config::default()).await;
    let http = http();
    let location = upload(&http, &base).await;
    let path = location.strip_prefix(&base).unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!("PATCH {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n0123456789");
    stream.write_all(head.as_bytes()).await.unwrap();
    until(async || progress(&http, &location).await == 10).await;
    drop(stream);
    // The registry notices in its own time; until then nobody else may send.
    let taken = async || {
        let answer = http.patch(&location).header("content-range", "10-11").body("ab").send().await.unwrap();
        answer.status() == StatusCode::ACCEPTED
    };
    until(taken).await;
    let answer = http.put(format!("{location}?digest={}", Digest::of(b"0123456789ab"))).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_download_that_breaks_is_an_error_and_not_a_short_blob() {
    let (server, base) = served(Config::default()).await;
    let http = http();
    let bytes = noise(2 * MIB);
    let digest = Digest::of(&bytes);
    let location = upload(&http, &base).await;
    http.put(format!("{location}?digest={digest}")).body(bytes.clone()).send().await.unwrap();
    server.with(|registry| registry.add_rule(Rule::once(Fault::Reset)));
    let url = format!("{base}/v2/a/blobs/{digest}");
    let mut answer = http.get(&url).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(bytes.len() as u64));
    let mut received = Vec::new();
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(piece)) => received.extend_from_slice(&piece),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && received.len() < bytes.len());
    let range = format!("bytes={}-", received.len());
    let answer = http.get(&url).header("range", range).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    received.extend_from_slice(&answer.bytes().await.unwrap());
    assert!(received == bytes);
}

#[tokio::test]
async fn a_partition_is_a_connection_without_an_answer() {
    let (server, base) = served(Config::default()).await;
    server.with(|registry| registry.add_rule(Rule::once(Fault::Partition)));
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    // Closed or reset: nothing was said either way.
    let _ = stream.read_to_end(&mut said).await;
    assert!(said.is_empty());
    assert_eq!(http().get(format!("{base}/v2/")).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_is_seen_although_the_body_was_not_wanted() {
    let anonymous = vec![Grant::new("public/*", &[])];
    let access = Access::Restricted { users: vec![], anonymous };
    let (_server, base) = served(Config { access, ..Config::default() }).await;
    let body = noise(16 * MIB);
    let answer = http().put(format!("{base}/v2/a/manifests/v1")).body(body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(
        answer.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Bearer realm=\"http://127.0.0.1:")
    );
    let (_server, base) = served(Config::default()).await;
    let body = noise(16 * MIB);
    let answer = http().put(format!("{base}/v2/a/manifests/v1")).body(body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_listens_hears_the_answer() {
    let (server, _) = served(Config::default()).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let body = noise(32 * MIB);
    let head =
        format!("PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 413");
    // The same, found out only on the way.
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in body.chunks(MIB) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
        stream.write_all(piece).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_client_that_asks_first_need_not_send() {
    let access = Access::Restricted { users: vec![], anonymous: vec![] };
    let (server, _) = served(Config { access, ..Config::default() }).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head =
        "PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 401");
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_read_meets_a_certificate_nobody_trusts_once() {
    let (server, base) =
        served(Config { rules: vec![Rule::once(Fault::Untrusted)], ..Config::default() }).await;
    let url = format!("{base}/v2/a/manifests/v1");
    let error = http().get(&url).send().await.unwrap_err();
    let mut causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    assert!(causes.any(|cause| cause.to_string().contains("certificate")), "{error:?}");
    assert_eq!(http().get(&url).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let strikes = server.with(|registry| {
        let struck = |event: &&Event| matches!(event, Event::Struck { fault: "untrusted", .. });
        registry.trace().events().filter(struck).count()
    });
    assert_eq!(strikes, 1);
}

#[tokio::test]
async fn only_this_machine_is_served() {
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let refused = serve_at(Config::default(), address.parse().unwrap()).await;
        assert!(matches!(refused, Err(ServeError::NotLoopback { .. })), "{address}");
    }
    let (server, _) = served(Config::default()).await;
    assert!(server.address().ip().is_loopback());
    let taken = serve_at(Config::default(), server.address()).await;
    assert!(matches!(taken, Err(ServeError::Listen { .. })));
}

#[tokio::test]
async fn a_server_stops_when_it_is_dropped_and_lets_requests_end() {
    let (server, base) = served(Config::default()).await;
    let address = server.address();
    let location = upload(&http(), &base).await;
    let path = location.strip_prefix(&base).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("PATCH {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234");
    stream.write_all(head.as_bytes()).await.unwrap();
    until(async || progress(&http(), &location).await == 5).await;
    drop(server);
    until(async || TcpStream::connect(address).await.is_err()).await;
    stream.write_all(b"56789").await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 202") && said.contains("range: 0-9"), "{said}");
}
