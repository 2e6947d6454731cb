//! Pushes to real registries, which `tests/run` brings up.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use release_core::{Credentials, Digest, Repository, Secret};
use release_registry::{Limits, MountFrom, Pull, Push, PushEvent, Registry};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn registry() -> Registry {
    // Whichever test comes first installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Registry::new().unwrap()
}

fn fresh(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{name}-{}", now.as_nanos())
}

fn write(dir: &Path, bytes: &[u8]) -> Digest {
    let digest = Digest::from_sha256(Sha256::digest(bytes).into());
    let folder = dir.join("blobs/sha256");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(digest.hex()), bytes).unwrap();
    digest
}

/// An image with one layer of `size` bytes that no registry has.
fn image(dir: &Path, size: usize) -> Digest {
    let seed = fresh("layer").into_bytes();
    let mut layer = Vec::with_capacity(size + 32);
    let mut block = Sha256::digest(&seed);
    while layer.len() < size {
        layer.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    layer.truncate(size);
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest::from_sha256(Sha256::digest(&layer).into())]},
    })
    .to_string();
    let descriptor = |kind: &str, bytes: &[u8]| serde_json::json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": write(dir, bytes), "size": bytes.len()});
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config.as_bytes()),
        "layers": [descriptor("layer.v1.tar", &layer)],
    });
    write(dir, manifest.to_string().as_bytes())
}

async fn push(
    repository: &str,
    dir: &Path,
    digest: &Digest,
    credentials: Option<&Credentials>,
    mount: &[MountFrom],
) -> Vec<PushEvent> {
    let repository: Repository = repository.parse().unwrap();
    let tags = ["v1".to_owned()];
    let push =
        Push { layout: dir, manifest: digest, repository: &repository, tags: &tags, mount_from: mount };
    let mut events = Vec::new();
    let pushed = registry().push(&push, credentials, &mut |event| events.push(event)).await.unwrap();
    assert_eq!(pushed.digest, *digest);
    let tag = format!("{repository}:v1").parse().unwrap();
    assert_eq!(registry().resolve(&tag, credentials).await.unwrap(), *digest);
    events
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_real_registry_takes_an_image_in_parts_and_mounts_it_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let digest = image(dir.path(), 40_000_000);
    let (host, name) = (var("RELEASE_TEST_REGISTRY"), fresh("push"));
    let first = format!("{host}/{name}");
    let events = push(&first, dir.path(), &digest, None, &[]).await;
    let uploaded = |event: &&PushEvent| matches!(event, PushEvent::BlobUploaded { .. });
    assert_eq!(events.iter().filter(uploaded).count(), 2);
    let events = push(&first, dir.path(), &digest, None, &[]).await;
    assert!(
        matches!(&events[..], [PushEvent::ManifestExists { .. }, PushEvent::Confirmed { .. }]),
        "{events:?}"
    );
    let events = push(
        &format!("{host}/{name}/copy"),
        dir.path(),
        &digest,
        None,
        &[first.parse::<Repository>().unwrap().into()],
    )
    .await;
    let mounted = |event: &&PushEvent| matches!(event, PushEvent::BlobMounted { .. });
    assert_eq!(events.iter().filter(mounted).count(), 2, "{events:?}");
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_real_registry_with_a_password_takes_an_image() {
    let dir = tempfile::tempdir().unwrap();
    let digest = image(dir.path(), 1000);
    let credentials = Credentials::Basic {
        username: var("RELEASE_TEST_AUTH_USER"),
        password: Secret::new(var("RELEASE_TEST_AUTH_PASSWORD")),
    };
    let repository = format!("{}/{}", var("RELEASE_TEST_AUTH_REGISTRY"), fresh("push"));
    push(&repository, dir.path(), &digest, Some(&credentials), &[]).await;
}

/// Passes everything on to the registry, and breaks the connection once, after `cut` bytes of requests.
async fn unsteady(to: String, cut: u64) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let passed = Arc::new(AtomicU64::new(0));
    let count = passed.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (to, count) = (to.clone(), count.clone());
            tokio::spawn(async move {
                let server = TcpStream::connect(to).await.unwrap();
                let (mut client_read, mut client_write) = client.into_split();
                let (mut server_read, mut server_write) = server.into_split();
                let back = tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut server_read, &mut client_write).await;
                });
                let mut buffer = vec![0; 65536];
                while let Ok(n @ 1..) = client_read.read(&mut buffer).await {
                    let before = count.fetch_add(n as u64, Ordering::Relaxed);
                    if before < cut && before + n as u64 >= cut {
                        break;
                    }
                    if server_write.write_all(&buffer[..n]).await.is_err() {
                        break;
                    }
                }
                back.abort();
            });
        }
    });
    (host, passed)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_real_registry_has_everything_after_the_connection_broke() {
    const SIZE: u64 = 50_000_000;
    for cut in [3_000_000, 30_000_000, SIZE] {
        let dir = tempfile::tempdir().unwrap();
        let digest = image(dir.path(), usize::try_from(SIZE).unwrap());
        let (host, passed) = unsteady(var("RELEASE_TEST_REGISTRY"), cut).await;
        let events = push(&format!("{host}/{}", fresh("push")), dir.path(), &digest, None, &[]).await;
        let resumed: Vec<_> = events
            .iter()
            .filter_map(|event| if let PushEvent::BlobResumed { at, .. } = event { Some(*at) } else { None })
            .collect();
        let again = passed.load(Ordering::Relaxed).saturating_sub(SIZE);
        println!("cut at {cut}: resumed at {resumed:?}, {again} bytes more than the image");
        // Even a registry that keeps nothing of a broken upload is sent no more than twice.
        assert!(again < SIZE + 1_000_000, "{again}");
    }
}

/// A registry of our own, which can be ended and started again with what it has.
struct Own {
    dir: tempfile::TempDir,
    host: String,
    child: Child,
}

impl Own {
    async fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = free.local_addr().unwrap().to_string();
        drop(free);
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}}}\nhttp: {{addr: '{host}', secret: 'not one'}}\n",
            dir.path().display()
        );
        fs::write(dir.path().join("config.yml"), config).unwrap();
        let child = Self::spawn(dir.path());
        let own = Self { dir, host, child };
        own.ready().await;
        own
    }

    fn spawn(dir: &Path) -> Child {
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(dir.join("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("docker-registry, of the Debian package of that name")
    }

    async fn ready(&self) {
        for _ in 0..600 {
            if TcpStream::connect(&self.host).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the registry does not listen");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry: tests/run"]
async fn a_registry_that_is_killed_and_started_again_gets_everything() {
    const SIZE: usize = 60_000_000;
    let (layout, mut own) = (tempfile::tempdir().unwrap(), Own::start().await);
    let digest = image(layout.path(), SIZE);
    let repository: Repository = format!("{}/restart", own.host).parse().unwrap();
    let (host, dir, manifest) = (own.host.clone(), layout.path().to_owned(), digest.clone());
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let pushing = tokio::spawn(async move {
        let tags = ["v1".to_owned()];
        let push =
            Push { layout: &dir, manifest: &manifest, repository: &repository, tags: &tags, mount_from: &[] };
        let mut resumed = Vec::new();
        let mut tell = |event| match event {
            PushEvent::Progress { sent, .. } => count.store(sent, Ordering::Relaxed),
            PushEvent::BlobResumed { at, .. } => resumed.push(at),
            _ => {}
        };
        registry().push(&push, None, &mut tell).await.unwrap();
        resumed
    });
    while sent.load(Ordering::Relaxed) < 10_000_000 {
        assert!(!pushing.is_finished(), "it was too fast to be interrupted");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    own.kill();
    assert!(!own.dir.path().join("data/docker/registry/v2/repositories/restart/_manifests").exists());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    own.child = Own::spawn(own.dir.path());
    let resumed = pushing.await.unwrap();
    // From which byte is the registry's choice: distribution 2.8 gives an upload up whose last part broke off in the middle.
    println!("went on at {resumed:?}");
    assert!(!resumed.is_empty());
    let copy = tempfile::tempdir().unwrap();
    let reference = format!("{host}/restart:v1").parse().unwrap();
    let pull = Pull { reference: &reference, platform: None, layout: copy.path(), limits: Limits::default() };
    registry().pull(&pull, None, &mut |_| {}).await.unwrap();
    for entry in fs::read_dir(layout.path().join("blobs/sha256")).unwrap() {
        let name = entry.unwrap().file_name();
        let at = |dir: &Path| fs::read(dir.join("blobs/sha256").join(&name)).unwrap();
        assert!(at(layout.path()) == at(copy.path()), "{name:?}");
    }
}

#[tokio::test]
#[ignore = "needs docker-registry and skopeo: tests/run"]
async fn skopeo_reads_what_we_push_and_we_read_what_skopeo_copies() {
    let (layout, own) = (tempfile::tempdir().unwrap(), Own::start().await);
    let digest = image(layout.path(), 3_000_000);
    push(&format!("{}/ours", own.host), layout.path(), &digest, None, &[]).await;
    let skopeo = |arguments: &[&str]| {
        let output = Command::new("skopeo")
            .args(arguments)
            .output()
            .expect("skopeo, of the Debian package of that name");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let ours = format!("docker://{}/ours:v1", own.host);
    let seen = skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &ours]);
    assert_eq!(seen.trim(), digest.as_str());
    let theirs = format!("docker://{}/theirs:v1", own.host);
    skopeo(&[
        "copy",
        "--insecure-policy",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        &ours,
        &theirs,
    ]);
    let copy = tempfile::tempdir().unwrap();
    let reference = format!("{}/theirs:v1", own.host).parse().unwrap();
    let pull = Pull { reference: &reference, platform: None, layout: copy.path(), limits: Limits::default() };
    let pulled = registry().pull(&pull, None, &mut |_| {}).await.unwrap();
    assert_eq!(pulled.image.digest, digest);
    // And what we pulled is a layout for others, too.
    let archive = copy.path().join("image.tar");
    let from = format!("oci:{}", copy.path().display());
    skopeo(&["copy", "--insecure-policy", &from, &format!("oci-archive:{}", archive.display())]);
}

/// Where a way to a registry breaks, once.
#[derive(Clone, Copy)]
enum Cut {
    /// After so many bytes for the registry: in the middle of a part.
    Inside(u64),
    /// Behind the so-manieth answer that says `202 Accepted`: between two parts.
    Behind(usize),
}

/// A way to a registry that breaks once, and how many bytes it carried there.
async fn breaking(registry: &str, cut: Cut) -> (String, Arc<AtomicU64>) {
    let (listener, registry) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), registry.to_owned());
    let (host, sent) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicU64::new(0)));
    let (count, whole) = (sent.clone(), Arc::new(AtomicBool::new(true)));
    let accepted = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (count, whole, accepted) = (count.clone(), whole.clone(), accepted.clone());
            let mut server = TcpStream::connect(&registry).await.unwrap();
            tokio::spawn(async move {
                let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
                loop {
                    tokio::select! {
                        read = client.read(&mut up) => {
                            let Ok(n @ 1..) = read else { return };
                            let so_far = count.fetch_add(n as u64, Ordering::Relaxed);
                            let here = matches!(cut, Cut::Inside(at) if so_far >= at);
                            if (here && whole.swap(false, Ordering::Relaxed)) || server.write_all(&up[..n]).await.is_err() {
                                return;
                            }
                        }
                        read = server.read(&mut down) => {
                            let Ok(n @ 1..) = read else { return };
                            let answers = usize::from(down[..n].starts_with(b"HTTP/1.1 202"));
                            let so_far = accepted.fetch_add(answers, Ordering::Relaxed) + answers;
                            if client.write_all(&down[..n]).await.is_err() {
                                return;
                            }
                            if matches!(cut, Cut::Behind(at) if so_far >= at) && whole.swap(false, Ordering::Relaxed) {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    (host, sent)
}

/// What the Docker registry 2.8 makes of a connection that breaks. A part that was cut is on its disk, and the address it has
/// given out for the upload tells of fewer bytes: whatever is asked there next, it calls the upload invalid and removes it. So
/// only what breaks between two parts costs nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry: tests/run"]
async fn a_connection_that_breaks_between_parts_costs_nothing_and_within_one_the_docker_registry_starts_over()
{
    const SIZE: usize = 60_000_000;
    let (layout, own) = (tempfile::tempdir().unwrap(), Own::start().await);
    let digest = image(layout.path(), SIZE);
    for (name, cut, resumed, most) in [
        ("between", Cut::Behind(4), &[][..], SIZE as u64 + 100_000),
        ("within", Cut::Inside(40_000_000), &[0][..], SIZE as u64 + 50_000_000),
    ] {
        let (host, sent) = breaking(&own.host, cut).await;
        let events = push(&format!("{host}/{name}"), layout.path(), &digest, None, &[]).await;
        let seen: Vec<u64> = events
            .iter()
            .filter_map(|event| if let PushEvent::BlobResumed { at, .. } = event { Some(*at) } else { None })
            .collect();
        assert_eq!(seen, resumed, "{name}");
        assert!(sent.load(Ordering::Relaxed) <= most, "{name}: {sent:?}");
    }
}
