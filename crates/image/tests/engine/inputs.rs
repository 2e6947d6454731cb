//! What builds are given besides their context.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use release_core::ImageRef;
use release_image::{
    BuildAgent, BuildCache, BuildContext, BuildError, BuildEvent, BuildInputs, BuildSecret, BuiltImage,
    CacheSource, DockerfileBuild, Endpoint, Engine, SecretSource,
};

use crate::stack::{self, BUSYBOX, docker, docker_said, engine, fresh, try_docker, var};

/// A context with busybox and a Dockerfile that goes on with `steps`.
fn context(steps: &str) -> tempfile::TempDir {
    stack::context(&format!("{BUSYBOX}{steps}"))
}

fn build(context: &Path, tag: &str, inputs: BuildInputs) -> DockerfileBuild {
    DockerfileBuild { inputs, ..stack::build(context, tag) }
}

async fn run(build: &DockerfileBuild) -> (Result<BuiltImage, BuildError>, Vec<BuildEvent>) {
    let mut events = Vec::new();
    let ended = engine().await.build(build, &BTreeMap::new(), &mut |event| events.push(event)).await;
    (ended, events)
}

fn wrote(events: &[BuildEvent], line: &str) -> bool {
    events.contains(&BuildEvent::Output { line: line.to_owned() })
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_secret_is_readable_in_its_step_and_nowhere_else() {
    let secret = fresh("hunter2");
    // The step proves that it read the secret, and prints it, which is what must not be seen.
    let dir = context(&format!(
        "RUN --mount=type=secret,id=npm --mount=type=secret,id=token : {}; \
         /bin/busybox wc -c < /run/secrets/npm; /bin/busybox cat /run/secrets/npm; \
         /bin/busybox cmp /run/secrets/npm /run/secrets/token && echo both are the same\n\
         RUN /bin/busybox ls /run/secrets/npm || echo it is gone\n",
        fresh("secret")
    ));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &secret).unwrap();
    let secrets = ["npm", "token"]
        .map(|id| BuildSecret { id: id.into(), from: SecretSource::File(file.path().to_owned()) });
    let tag = "release-test/secret:v1";
    let build = build(dir.path(), tag, BuildInputs { secrets: secrets.into(), ..BuildInputs::default() });
    let (ended, events) = run(&build).await;
    let image = ended.unwrap();

    assert!(wrote(&events, &secret.len().to_string()), "{events:#?}");
    assert!(wrote(&events, "both are the same") || format!("{events:?}").contains("both are the same"));
    assert!(wrote(&events, "it is gone"), "{events:#?}");
    assert!(format!("{events:?}").contains("[secret "), "{events:#?}");
    assert!(!format!("{events:?}{image:?}{build:?}").contains(&secret), "{events:#?}");
    // Not packed: a text in a layer is a text in the archive.
    let archive = dir.path().join("image.tar");
    docker(&["save", tag, "-o", archive.to_str().unwrap()]);
    let saved = fs::read(&archive).unwrap();
    assert!(contains(&saved, "both are the same"), "the history is there");
    assert!(!contains(&saved, &secret));
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn the_words_of_a_failing_step_have_no_secret_in_them() {
    let secret = fresh("hunter2");
    let dir =
        context("RUN --mount=type=secret,id=npm echo it is $(/bin/busybox cat /run/secrets/npm); exit 3\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &secret).unwrap();
    let secrets = vec![BuildSecret { id: "npm".into(), from: SecretSource::File(file.path().to_owned()) }];
    let build =
        build(dir.path(), "release-test/secret-fails:v1", BuildInputs { secrets, ..BuildInputs::default() });
    let (ended, events) = run(&build).await;
    let error = ended.unwrap_err();
    let BuildError::Failed { output, exit_code, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*exit_code, &**output), (Some(3), &["it is [secret npm]".to_owned()][..]));
    assert!(!format!("{error:?}{events:?}").contains(&secret));
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_secret_that_is_not_given_is_named_by_the_build() {
    let dir = context("RUN --mount=type=secret,id=npm,required=true /bin/busybox true\n");
    let (ended, _) = run(&build(dir.path(), "release-test/no-secret:v1", BuildInputs::default())).await;
    let error = ended.unwrap_err();
    assert!(matches!(&error, BuildError::Failed { message, .. } if message.contains("npm")), "{error:?}");
}

/// OpenSSH's own agent with one key. It ends when this is dropped.
struct Agent {
    process: std::process::Child,
    folder: tempfile::TempDir,
}

impl Agent {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(folder.path().join("agent")).spawn().unwrap();
        let agent = Self { process, folder };
        let key = agent.folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "lent", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        while !agent.socket().exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        agent.add(&[key.to_str().unwrap()]);
        agent
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("agent")
    }

    /// Runs `ssh-add` against it.
    fn add(&self, arguments: &[&str]) -> String {
        let out =
            Command::new("ssh-add").args(arguments).env("SSH_AUTH_SOCK", self.socket()).output().unwrap();
        assert!(out.status.success(), "ssh-add {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Puts a program of this machine and the libraries it needs below `root`.
fn take_along(program: &str, root: &Path) {
    let listed = Command::new("ldd").arg(program).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    for path in libraries.chain([program]) {
        let to = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_step_signs_with_the_agent_and_cannot_change_it() {
    let agent = Agent::start();
    let dir = context(&format!(
        "COPY root /\nRUN --mount=type=ssh : {}; /usr/bin/ssh-add -l; \
         /usr/bin/ssh-add -T /key.pub && echo it signed; \
         /usr/bin/ssh-add -D || echo it was refused; /usr/bin/ssh-add -l\n",
        fresh("ssh")
    ));
    take_along("/usr/bin/ssh-add", &dir.path().join("root"));
    fs::copy(agent.folder.path().join("key.pub"), dir.path().join("root/key.pub")).unwrap();
    let agents = vec![BuildAgent { id: "default".into(), socket: Some(agent.socket()) }];
    let build = build(dir.path(), "release-test/ssh:v1", BuildInputs { agents, ..BuildInputs::default() });
    let (ended, events) = run(&build).await;
    ended.unwrap();
    let listed = agent.add(&["-l"]);
    assert!(listed.contains(" lent "), "{listed}");
    let times =
        events.iter().filter(|event| **event == BuildEvent::Output { line: listed.trim().to_owned() });
    assert_eq!(times.count(), 2, "{events:#?}");
    assert!(wrote(&events, "it signed") && wrote(&events, "it was refused"), "{events:#?}");
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_step_without_an_agent_says_which_one_it_wants() {
    let dir = context("RUN --mount=type=ssh,required=true /bin/busybox true\n");
    let (ended, _) = run(&build(dir.path(), "release-test/no-ssh:v1", BuildInputs::default())).await;
    let error = ended.unwrap_err();
    assert!(
        matches!(&error, BuildError::Failed { .. }) && error.to_string().contains("default"),
        "{error:?}"
    );
}

/// Makes the engine forget the steps whose command has this in it.
fn forget(mark: &str) {
    let format = "{{range .BuildCache}}{{.ID}} {{.Description}}\n{{end}}";
    // The engine looks at its images for this as well, and stumbles over those that other tests remove meanwhile.
    let records = (0..20).find_map(|_| try_docker(&["system", "df", "-v", "--format", format]).ok());
    for record in records.unwrap().lines().filter(|record| record.contains(mark)) {
        let filter = format!("id={}", record.split(' ').next().unwrap());
        docker(&["builder", "prune", "-a", "-f", "--filter", &filter]);
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_cache_in_an_image_is_used_by_an_engine_that_forgot() {
    let name = fresh("cache");
    let dir = context(&format!("RUN echo {name} > /word; echo the step was run\n"));
    let tag = format!("{}/{name}:v1", var("RELEASE_TEST_REGISTRY"));
    let image: ImageRef = tag.parse().unwrap();
    let inline = BuildInputs { cache_to: vec![BuildCache::Inline], ..BuildInputs::default() };
    let (ended, events) = run(&build(dir.path(), &tag, inline)).await;
    ended.unwrap();
    assert!(wrote(&events, "the step was run"), "{events:#?}");
    engine().await.push(&image, None, &mut |_| {}).await.unwrap();

    let with_cache = BuildInputs { cache_from: vec![CacheSource::Image(image)], ..BuildInputs::default() };
    for (inputs, runs) in [(BuildInputs::default(), true), (with_cache, false)] {
        docker(&["image", "rm", &tag]);
        forget(&name);
        let (ended, events) = run(&build(dir.path(), &tag, inputs)).await;
        ended.unwrap();
        assert_eq!(wrote(&events, "the step was run"), runs, "{events:#?}");
        let cached = |e: &BuildEvent| matches!(e, BuildEvent::Step { name, cached: true } if name.contains("RUN echo"));
        assert_eq!(events.iter().any(cached), !runs, "{events:#?}");
    }
}

/// Whether the engine takes further contexts: from 23.0 on.
async fn takes_contexts() -> bool {
    let major = engine().await.info().version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.unwrap() >= 23
}

/// Whether the engine keeps its images in containerd, and so can leave caches in registries.
fn keeps_images_in_containerd() -> bool {
    docker(&["info", "--format", "{{.DriverStatus}}"]).contains("io.containerd.snapshotter")
}

/// The refusal of caches, before anything is built.
fn assert_no_caches(error: Option<String>, events: &[BuildEvent]) {
    let error = error.unwrap();
    assert!(error.contains("has no caches of builds in registries and folders"), "{error}");
    assert_eq!(events, []);
}

/// The refusal of what the engine cannot do, or `None` when it was done.
async fn refusal(tag: &str, inputs: BuildInputs, steps: &str) -> (Option<String>, Vec<BuildEvent>) {
    let dir = context(steps);
    let (ended, events) = run(&build(dir.path(), tag, inputs)).await;
    (ended.err().map(|error| format!("{error}: {events:?}")), events)
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn further_contexts_are_folders_and_images() {
    // An image nobody can pull but from the registry, and a folder with an ignore file of its own.
    let name = fresh("context");
    let shared: ImageRef = format!("{}/{name}:v1", var("RELEASE_TEST_REGISTRY")).parse().unwrap();
    let dir = context(&format!("RUN echo {name} > /word\n"));
    run(&build(dir.path(), &shared.to_string(), BuildInputs::default())).await.0.unwrap();
    engine().await.push(&shared, None, &mut |_| {}).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [("kept", &*name), ("secret", "x"), (".dockerignore", "secret\n")] {
        fs::write(folder.path().join(file), text).unwrap();
    }
    let contexts = BTreeMap::from([
        ("shared".to_owned(), BuildContext::Address(format!("docker-image://{shared}"))),
        ("lib".to_owned(), BuildContext::Folder(folder.path().to_owned())),
    ]);
    let steps =
        "COPY --from=shared /word /from/word\nCOPY --from=lib . /from/\nRUN /bin/busybox tail -n 9 /from/*\n";
    let (error, events) =
        refusal("release-test/contexts:v1", BuildInputs { contexts, ..BuildInputs::default() }, steps).await;
    if takes_contexts().await {
        assert_eq!(error, None);
        let lines: Vec<_> = events
            .iter()
            .filter_map(|e| if let BuildEvent::Output { line } = e { Some(&**line) } else { None })
            .collect();
        assert_eq!(lines.join("|"), format!("==> /from/kept <==|{name}|==> /from/word <==|{name}"));
    } else {
        let error = error.unwrap();
        assert!(
            error.starts_with("further contexts of a build need a docker engine 23.0 or later"),
            "{error}"
        );
        assert_eq!(events, []);
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_cache_in_a_registry_is_used_by_an_engine_that_forgot() {
    let name = fresh("stored");
    let cache: ImageRef = format!("{}/{name}:cache", var("RELEASE_TEST_REGISTRY")).parse().unwrap();
    let steps = format!(
        "FROM base AS one\nRUN echo {name} > /word; echo the step was run\nFROM base\nCOPY --from=one /word /{name}\n"
    );
    let tag = "release-test/stored:v1";
    let cache_to = vec![BuildCache::Registry { image: cache.clone(), all_stages: true }];
    let (error, events) = refusal(tag, BuildInputs { cache_to, ..BuildInputs::default() }, &steps).await;
    if !keeps_images_in_containerd() {
        return assert_no_caches(error, &events);
    }
    assert_eq!(error, None);
    assert!(wrote(&events, "the step was run"), "{events:#?}");
    for (cache_from, runs) in [(Vec::new(), true), (vec![CacheSource::Image(cache)], false)] {
        docker(&["image", "rm", "-f", tag]);
        forget(&name);
        let (error, events) =
            refusal(tag, BuildInputs { cache_from, ..BuildInputs::default() }, &steps).await;
        assert_eq!(error, None);
        assert_eq!(wrote(&events, "the step was run"), runs, "{events:#?}");
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_cache_in_a_folder_is_used_by_an_engine_that_forgot_and_by_docker() {
    let name = fresh("kept");
    let tag = "release-test/kept:v1";
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("cache");
    let steps = format!("RUN echo {name} > /word; echo the step was run\n");
    let to = |path: &Path| vec![BuildCache::Folder { path: path.to_owned(), all_stages: true }];
    let from = |path: &Path| vec![CacheSource::Folder(path.to_owned())];
    // The folder is not there yet, which is told and no error.
    let inputs = BuildInputs { cache_from: from(&folder), cache_to: to(&folder), ..BuildInputs::default() };
    let (error, events) = refusal(tag, inputs, &steps).await;
    if !keeps_images_in_containerd() {
        return assert_no_caches(error, &events);
    }
    assert_eq!(error, None);
    assert!(wrote(&events, "the step was run"), "{events:#?}");
    let message = format!("there is no cache in `{}` yet", folder.display());
    assert!(events.contains(&BuildEvent::Notice { message }), "{events:#?}");
    let again = || {
        docker(&["image", "rm", "-f", tag]);
        forget(&name);
    };

    again();
    let inputs = BuildInputs { cache_from: from(&folder), cache_to: to(&folder), ..BuildInputs::default() };
    let (error, events) = refusal(tag, inputs, &steps).await;
    assert_eq!(error, None);
    assert!(!wrote(&events, "the step was run"), "{events:#?}");

    // A damaged one is told, and makes the build no worse than none.
    again();
    let damaged = place.path().join("damaged");
    assert!(Command::new("cp").arg("-a").arg(&folder).arg(&damaged).status().unwrap().success());
    for blob in fs::read_dir(damaged.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if !bytes.starts_with(b"{") {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    }
    let inputs = BuildInputs { cache_from: from(&damaged), ..BuildInputs::default() };
    let (error, events) = refusal(tag, inputs, &steps).await;
    assert_eq!(error, None);
    // The engine may still have the bytes themselves, and then asks for none.
    let told = format!("the cache in `{}` is not used: ", damaged.display());
    let is_told =
        |event: &BuildEvent| matches!(event, BuildEvent::Notice { message } if message.starts_with(&told));
    assert_eq!(events.iter().any(is_told), wrote(&events, "the step was run"), "{events:#?}");

    // Docker's own client finds it, and we find what that one leaves.
    let theirs = place.path().join("theirs");
    again();
    let dir = context(&steps);
    let (source, dest) =
        (format!("type=local,src={}", folder.display()), format!("type=local,dest={}", theirs.display()));
    let caches = ["--cache-from", &source, "--cache-to", &dest, dir.path().to_str().unwrap()];
    let build = ["buildx", "build", "--progress", "plain", "-t", tag].into_iter().chain(caches);
    let (_, said) = docker_said(&build.collect::<Vec<_>>()).unwrap();
    let ran = |line: &str| line.ends_with("the step was run") && !line.contains("RUN");
    assert!(said.contains("CACHED") && !said.lines().any(ran), "{said}");
    again();
    let inputs = BuildInputs { cache_from: from(&theirs), ..BuildInputs::default() };
    let (error, events) = refusal(tag, inputs, &steps).await;
    assert_eq!(error, None);
    assert!(!wrote(&events, "the step was run"), "{events:#?}");
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn only_what_the_dockerfile_copies_is_read() {
    for (copy, told) in [("COPY web /web\n", false), ("COPY . /all/\n", true)] {
        let dir = context(copy);
        fs::write(dir.path().join("web"), fresh("web")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let (ended, events) = run(&build(dir.path(), "release-test/copied:v1", BuildInputs::default())).await;
        ended.unwrap();
        let message = "`socket` is not sent: it is no file, folder or link".to_owned();
        assert_eq!(events.contains(&BuildEvent::Notice { message }), told, "{copy}: {events:#?}");
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn what_is_not_there_is_refused_before_anything_is_built() {
    let dir = context("");
    let none = BuildInputs::default;
    let gone = dir.path().join("gone");
    for (inputs, expected) in [
        (
            BuildInputs {
                contexts: BTreeMap::from([("lib".to_owned(), BuildContext::Folder(gone))]),
                ..none()
            },
            "context `lib` of the build cannot be read from",
        ),
        (
            BuildInputs {
                secrets: vec![BuildSecret {
                    id: "npm".into(),
                    from: SecretSource::File(dir.path().join("gone")),
                }],
                ..none()
            },
            "secret `npm` of the build cannot be read from",
        ),
    ] {
        let (ended, events) = run(&build(dir.path(), "release-test/refused:v1", inputs)).await;
        let error = ended.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(events, []);
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_build_that_is_given_up_stops_its_step() {
    let mark = fresh("given-up");
    let dir = context(&format!("RUN echo it began; : {mark}; /bin/busybox sleep 300; :\n"));
    let build = build(dir.path(), "release-test/given-up:v1", BuildInputs::default());
    let engine = engine().await;
    let (sender, mut began) = tokio::sync::mpsc::unbounded_channel();
    let nobody = BTreeMap::new();
    let mut tell = |event| sender.send(event).unwrap();
    let mut building = Box::pin(engine.build(&build, &nobody, &mut tell));
    loop {
        tokio::select! {
            ended = &mut building => panic!("{ended:?}"),
            event = began.recv() => {
                if event == Some(BuildEvent::Output { line: "it began".into() }) {
                    break;
                }
            }
        }
    }
    assert!(running(&mark));
    drop(building);
    for _ in 0..100 {
        if !running(&mark) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the step goes on");
}

/// Whether a process has this in its command line.
fn running(mark: &str) -> bool {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .any(|process| fs::read(process.path().join("cmdline")).is_ok_and(|line| contains(&line, mark)))
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn an_engine_behind_tcp_is_asked_in_the_same_way() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let socket = var("RELEASE_TEST_DOCKER_HOST").strip_prefix("unix://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let engine = Engine::connect(&Endpoint::new(&url).unwrap()).await.unwrap();
    let dir = context("RUN echo it was built\n");
    let mut build = build(dir.path(), "release-test/tcp:v1", BuildInputs::default());
    build.no_cache = true;
    let mut events = Vec::new();
    engine.build(&build, &BTreeMap::new(), &mut |event| events.push(event)).await.unwrap();
    assert!(wrote(&events, "it was built"), "{events:#?}");
}
