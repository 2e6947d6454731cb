//! Builds from Dockerfiles, what ignore files leave out of them, and pushes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use release_core::{Credentials, ImageRef, Secret};
use release_image::{BuildError, BuildEvent, PushError};

use crate::stack::{BUSYBOX, build, context, docker, engine, fresh, var};

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn arguments_target_and_labels_reach_the_image() {
    let engine = engine().await;
    assert!(engine.info().buildkit, "{:?}", engine.info());
    let text = fresh("text");
    let dir = context(&format!(
        "{BUSYBOX}ARG WORD\nRUN echo \"the word is $WORD\"; echo $WORD > /word\nFROM base AS last\nRUN exit 7\n"
    ));
    let mut build = build(dir.path(), "release-test/args:v1");
    build.args.insert("WORD".into(), text.clone());
    build.labels.insert("org.example.word".into(), text.clone());
    build.target = Some("base".into());
    let mut events = Vec::new();
    let image = engine.build(&build, &BTreeMap::new(), &mut |event| events.push(event)).await.unwrap();

    assert!(events.contains(&BuildEvent::Output { line: format!("the word is {text}") }), "{events:#?}");
    assert!(
        events.iter().any(|e| matches!(e, BuildEvent::Step { name, .. } if name.contains("COPY busybox")))
    );
    let format = "{{.Id}} {{index .Config.Labels \"org.example.word\"}}";
    let kept = docker(&["image", "inspect", "-f", format, "docker.io/release-test/args:v1"]);
    assert_eq!(kept, format!("{} {text}", image.id));

    events.clear();
    let again = engine.build(&build, &BTreeMap::new(), &mut |event| events.push(event)).await.unwrap();
    assert_eq!(again, image);
    assert!(
        events.iter().any(|e| matches!(e, BuildEvent::Step { name, cached: true } if name.contains("RUN"))),
        "{events:#?}"
    );
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_failing_step_is_named_with_its_last_words() {
    let engine = engine().await;
    let dir = context(&format!(
        "{BUSYBOX}RUN for i in $(/bin/busybox seq 100); do echo line $i; done; : {}; exit 7\n",
        fresh("bad")
    ));
    let error = engine
        .build(&build(dir.path(), "release-test/fail:v1"), &BTreeMap::new(), &mut |_| {})
        .await
        .unwrap_err();
    let BuildError::Failed { step, exit_code, output, message } = error else { panic!("{error:?}") };
    assert_eq!(exit_code, Some(7), "{message}");
    assert!(step.as_ref().is_some_and(|step| step.contains("RUN for i in")), "{step:?}");
    assert_eq!(output.len(), BuildError::OUTPUT_LINES);
    // The two streams of a step are not ordered among themselves.
    assert_eq!(output.last().unwrap(), "line 100");
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn what_the_builder_refuses_is_told() {
    let engine = engine().await;
    for (dockerfile, target, expected) in [
        ("FROM scratch\nFLY away\n", None, "unknown instruction"),
        ("FROM scratch\nCOPY nothing /\n", None, "nothing"),
        ("FROM scratch\n", Some("gone"), "gone"),
    ] {
        let dir = context(dockerfile);
        let mut build = build(dir.path(), "release-test/wrong:v1");
        build.target = target.map(str::to_owned);
        let error = engine.build(&build, &BTreeMap::new(), &mut |_| {}).await.unwrap_err();
        let BuildError::Failed { message, exit_code, .. } = &error else { panic!("{error:?}") };
        assert!(message.to_lowercase().contains(expected), "{message}");
        assert_eq!(*exit_code, None);
    }
}

/// Each case is one `.dockerignore`.
const CASES: &[&str] = &[
    "",
    "a",
    "/a",
    "a/",
    "./a",
    "a/.",
    "a//b",
    "a/../b",
    "../a",
    "/../a",
    ".",
    "..",
    "/",
    "  a  ",
    "#a",
    " #a",
    "\\#a",
    "*",
    "*.go",
    "*/a",
    "*/*",
    "*/*/*",
    "a*",
    "a?",
    "?",
    "a?b",
    "a/*",
    "a\\*",
    "**",
    "**/a",
    "**a",
    "**/*.go",
    "**/a/b",
    "a/**",
    "a**",
    "a/**/b",
    "**/a/**",
    "**/**",
    "a/**/*.md",
    "**/?",
    "**.md",
    "[ab]",
    "[^a]",
    "[a-b]*",
    "[\\]]",
    "a[.]b",
    "a.b",
    "a+b",
    "a(b)",
    "a$",
    "*\n!a",
    "*\n!a/b",
    "!a\n*",
    "*\n!a\na",
    "*.md\n!README.md",
    "a\n!a/b",
    "a/b/c\n!a/b",
    "*\n! a",
    "*\n!/a",
    "*\n!./a/",
    "\\!a",
    "*.md\n!R*.md\nRELEASE.md",
    "**\n!x/y",
    "x/**\n!x/y/a",
    "\u{feff}a",
    "a\r\nb\r\n",
    "A",
    "ü",
    "a b",
    "**/.hidden",
    ".*",
    "x/y/../a",
    "*\n!x\nx/y",
    "**/b/c",
    "x/*/b",
    // The builder needs them and takes them along only if they are not ignored.
    "Dockerfile",
    ".dockerignore",
    "Dockerfile\n.dockerignore",
    "*\n!Dockerfile",
    "Docker*\n!Dockerfile",
    // With a wildcard below an ignored folder.
    "*\n!**/*.go",
    "x\n!x/**/b",
    "a\n!**/d",
];

/// A tree with something for each rule to hit and to miss.
const FILES: &[&str] = &[
    "a/b/c/d",
    "a/b/x.md",
    "a/a.go",
    "a/x.md",
    "a/xb",
    "ab",
    "abc",
    "b",
    "a.b",
    "a+b",
    "a(b)",
    "a$",
    "axb",
    "a*",
    "]",
    "#a",
    "!a",
    "a b",
    "ü",
    "README.md",
    "RELEASE.md",
    "x.md",
    "x.go",
    ".hidden",
    "x/.hidden",
    "x/a",
    "x/y/a/b",
    "x/y/x.go",
    "x/y/b",
    "x/b/c",
    "z",
];

/// Builds the same context with `docker build` and with us, both with BuildKit, and compares what `COPY . /` got.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn ignore_files_mean_what_docker_takes_them_for() {
    let parts = CASES.chunks(CASES.len().div_ceil(4)).enumerate();
    let comparing: Vec<_> = parts.map(|(number, cases)| tokio::spawn(differences(number, cases))).collect();
    let mut differences = Vec::new();
    for part in comparing {
        differences.extend(part.await.unwrap());
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), CASES.len(), differences.join("\n"));
}

/// In which of these cases the two differ, and how.
async fn differences(number: usize, cases: &[&str]) -> Vec<String> {
    let engine = engine().await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    for file in FILES {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::write(root.join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    let tag = format!("release-test/ignore-{number}:v1");
    let mut differences = Vec::new();
    for case in cases {
        fs::write(root.join(".dockerignore"), case).unwrap();
        let theirs = theirs(&root, &dir.path().join("theirs.tar"));
        let built = engine.build(&build(&root, &tag), &BTreeMap::new(), &mut |_| {}).await;
        built.unwrap_or_else(|e| panic!("{case:?}: {e:?}"));
        let ours = ours(&tag, &dir.path().join("ours.tar"));
        if ours != theirs {
            let only = |these: &[String], those: &[String]| -> Vec<String> {
                these.iter().filter(|name| !those.contains(name)).cloned().collect()
            };
            let (ours, theirs) = (only(&ours, &theirs), only(&theirs, &ours));
            differences.push(format!("{case:?}: only ours {ours:?}, only docker's {theirs:?}"));
        }
    }
    differences
}

/// The names of what `docker build` makes of `root`.
fn theirs(root: &Path, to: &Path) -> Vec<String> {
    docker(&["build", "-q", "-o", &format!("type=tar,dest={}", to.display()), root.to_str().unwrap()]);
    names(fs::File::open(to).unwrap())
}

/// The names in the layers of an image.
fn ours(image: &str, to: &Path) -> Vec<String> {
    docker(&["save", "-o", to.to_str().unwrap(), image]);
    let read = |name: &str| {
        let mut archive = tar::Archive::new(fs::File::open(to).unwrap());
        let mut entries = archive.entries().unwrap().map(Result::unwrap);
        let mut entry = entries.find(|entry| entry.path().unwrap() == Path::new(name)).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let manifest: serde_json::Value = serde_json::from_slice(&read("manifest.json")).unwrap();
    let layers = manifest[0]["Layers"].as_array().unwrap();
    let layers = layers.iter().map(|layer| read(layer.as_str().unwrap()));
    let unpacked = layers.map(|bytes| {
        let mut unpacked = Vec::new();
        match flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut unpacked) {
            Ok(_) => unpacked,
            Err(_) => bytes,
        }
    });
    unpacked.flat_map(|layer| names(&*layer)).collect()
}

fn names(archive: impl Read) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_push_gives_the_digest_the_registry_has() {
    let engine = engine().await;
    let dir = context(&format!("FROM scratch\nLABEL fresh={}\nCOPY busybox /\n", fresh("push")));
    let tag = format!("{}/{}:v1", var("RELEASE_TEST_REGISTRY"), fresh("push"));
    let image: ImageRef = tag.parse().unwrap();
    engine.build(&build(dir.path(), &tag), &BTreeMap::new(), &mut |_| {}).await.unwrap();
    let mut events = Vec::new();
    let pinned = engine.push(&image, None, &mut |event| events.push(event)).await.unwrap();
    assert_eq!(pinned.repository, image.repository);
    let known = docker(&["image", "inspect", "-f", "{{join .RepoDigests \" \"}}", &tag]);
    assert!(known.contains(&pinned.to_string()), "{known} {pinned}");
    assert!(!events.is_empty());
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_push_needs_the_right_password() {
    let engine = engine().await;
    let registry = var("RELEASE_TEST_AUTH_REGISTRY");
    let dir = context(&format!("FROM scratch\nLABEL fresh={}\nCOPY busybox /\n", fresh("auth")));
    let tag = format!("{registry}/{}:v1", fresh("auth"));
    let image: ImageRef = tag.parse().unwrap();
    engine.build(&build(dir.path(), &tag), &BTreeMap::new(), &mut |_| {}).await.unwrap();
    let basic = |password: String| Credentials::Basic {
        username: var("RELEASE_TEST_AUTH_USER"),
        password: Secret::new(password),
    };
    for (credentials, nobody) in [(None, true), (Some(basic("wrong".into())), false)] {
        let error = engine.push(&image, credentials.as_ref(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(&error, PushError::Denied { anonymous, .. } if *anonymous == nobody), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("wrong"));
    }
    let right = basic(var("RELEASE_TEST_AUTH_PASSWORD"));
    let pinned = engine.push(&image, Some(&right), &mut |_| {}).await.unwrap();
    assert_eq!(pinned.repository.registry(), registry);
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_base_in_a_private_registry_needs_the_credentials() {
    let engine = engine().await;
    let registry = var("RELEASE_TEST_AUTH_REGISTRY");
    let base = format!("{registry}/{}:v1", fresh("base"));
    let dir = context(&format!("FROM scratch\nLABEL fresh={}\nCOPY busybox /\n", fresh("base")));
    engine.build(&build(dir.path(), &base), &BTreeMap::new(), &mut |_| {}).await.unwrap();
    let right = Credentials::Basic {
        username: var("RELEASE_TEST_AUTH_USER"),
        password: Secret::new(var("RELEASE_TEST_AUTH_PASSWORD")),
    };
    engine.push(&base.parse().unwrap(), Some(&right), &mut |_| {}).await.unwrap();
    docker(&["image", "rm", &base]);

    let dir = context(&format!("FROM {base}\nLABEL fresh={}\n", fresh("on-base")));
    let build = build(dir.path(), "release-test/private-base:v1");
    assert_eq!(build.images().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), [&*base]);
    let error = engine.build(&build, &BTreeMap::new(), &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, BuildError::Failed { .. }), "{error:?}");
    engine.build(&build, &BTreeMap::from([(registry, right)]), &mut |_| {}).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_push_to_nobody_says_so() {
    let engine = engine().await;
    let dir = context("FROM scratch\nCOPY busybox /\n");
    let tag = "127.0.0.1:1/nobody:v1";
    engine.build(&build(dir.path(), tag), &BTreeMap::new(), &mut |_| {}).await.unwrap();
    let error = engine.push(&tag.parse().unwrap(), None, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, PushError::Unreachable { .. }), "{error:?}");
    let error =
        engine.push(&"127.0.0.1:1/never-built:v1".parse().unwrap(), None, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, PushError::Failed { .. }), "{error:?}");
}
