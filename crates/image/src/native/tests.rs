//! Whole builds: the same bytes from different machines, read back by another reader, and what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use release_core::Platform;
use tempfile::TempDir;

use super::*;

#[cfg(target_os = "linux")]
mod programs;

/// A project whose files are made in the given order, with these modes.
fn project(files: &[(&str, &str, bool)], mode: (u32, u32)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text, executable) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        set_mode(&path, if *executable { mode.1 } else { mode.0 });
    }
    dir
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

const FILES: &[(&str, &str, bool)] = &[
    ("target/release/player", "a program", true),
    ("site/index.html", "<html>", false),
    ("site/a/b.css", "b", false),
    ("site/a-b.css", "a-b", false),
    ("site/a.css", "a", false),
    ("site/é.txt", "not ascii", false),
    ("site/run.sh", "#!/bin/sh", true),
    ("site/debug.map", "ignored", false),
    (".dockerignore", "target\n**/*.map\n", false),
];

fn layers(layers: &[(&str, &str)]) -> Vec<Layer> {
    layers.iter().map(|(from, to)| Layer { from: (*from).to_owned(), to: (*to).to_owned() }).collect()
}

pub(super) fn build_of(root: &Path, of: &[(&str, &str)]) -> NativeBuild {
    NativeBuild {
        root: root.to_owned(),
        base: Base::Scratch,
        layers: layers(of),
        libraries_of: Vec::new(),
        programs: BTreeMap::new(),
        compression: Compression::Gzip,
        format: Format::Oci,
        platform: "linux/amd64".parse().unwrap(),
        config: RunConfig {
            entrypoint: Some(vec!["/app/player".to_owned()]),
            cmd: Some(vec!["--serve".to_owned()]),
            env: BTreeMap::from([("LOG".to_owned(), "info".to_owned())]),
            user: Some("65532:65532".to_owned()),
            workdir: Some("/app".to_owned()),
            ports: BTreeSet::from([Port { number: 8080, protocol: Protocol::Tcp }]),
            labels: BTreeMap::from([("org.opencontainers.image.title".to_owned(), "player".to_owned())]),
            stop_signal: Some("SIGTERM".to_owned()),
            healthcheck: None,
        },
        created: 0,
    }
}

/// Bytes that compress somewhat and never repeat at the same distance.
pub(super) fn sample(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|at| if at % 3 == 0 { next() } else { (at / 100).to_le_bytes()[0] }).collect()
}

const BOTH: &[(&str, &str)] = &[("site", "/srv/www"), ("target/release/player", "/app/")];

fn run(build: &NativeBuild, layout: &Path) -> Result<NativeImage, NativeError> {
    let layout = Layout::create(layout)?;
    build.build(&layout, &BuildOptions::default(), &mut |_| {})
}

/// Every entry of a layer, a line each, as the `tar` crate reads it.
fn listing(layout: &Path, blob: &Descriptor) -> String {
    let file = fs::File::open(layout.join("blobs/sha256").join(blob.digest.hex())).unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut lines = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let header = entry.header().clone();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
        let link = entry.link_name().unwrap().map(|to| format!(" -> {}", to.display())).unwrap_or_default();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let shown = if text.len() > 20 { format!("{} bytes", text.len()) } else { text };
        let (mode, time) = (header.mode().unwrap(), header.mtime().unwrap());
        writeln!(lines, "{mode:04o} {time} {path}{link} {shown}").unwrap();
    }
    lines
}

#[test]
fn an_image_is_what_was_asked_for() {
    let project = project(FILES, (0o644, 0o755));
    #[cfg(unix)]
    std::os::unix::fs::symlink("index.html", project.path().join("site/home.html")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut build = build_of(project.path(), BOTH);
    build.created = 1_700_000_000;
    let image = run(&build, out.path()).unwrap();
    insta::assert_snapshot!(listing(out.path(), &image.layers[0]));
    insta::assert_snapshot!(listing(out.path(), &image.layers[1]));
    let text = |blob: &Descriptor| {
        fs::read_to_string(out.path().join("blobs/sha256").join(blob.digest.hex())).unwrap()
    };
    insta::assert_snapshot!(text(&image.config));
    insta::assert_snapshot!(text(&image.manifest));
}

#[test]
fn the_digest_is_the_same_wherever_it_is_built() {
    let digest = |files: &[(&str, &str, bool)], mode, threads, created: fn(&Path)| {
        let project = project(files, mode);
        created(project.path());
        let out = tempfile::tempdir().unwrap();
        let layout = Layout::create(out.path()).unwrap();
        let options = BuildOptions { threads: Some(threads), ..BuildOptions::default() };
        build_of(project.path(), BOTH).build(&layout, &options, &mut |_| {}).unwrap().manifest.digest
    };
    let reversed: Vec<_> = FILES.iter().rev().copied().collect();
    let first = digest(FILES, (0o644, 0o755), 1, |_| {});
    assert_eq!(digest(&reversed, (0o644, 0o755), 4, |_| {}), first, "another order of the folder");
    assert_eq!(digest(FILES, (0o600, 0o700), 2, |_| {}), first, "umask 077");
    assert_eq!(digest(FILES, (0o664, 0o775), 3, |_| {}), first, "umask 002");
    let older = |root: &Path| {
        let file = fs::File::options().write(true).open(root.join("site/a.css")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        set_mode(&root.join("site/a"), 0o700);
    };
    assert_eq!(digest(FILES, (0o644, 0o755), 2, older), first, "other times, other folders' modes");
    assert_eq!(digest(FILES, (0o644, 0o755), 2, of_somebody_else), first, "another owner");
    // The golden value: an update of a library that changes a byte has to be noticed.
    insta::assert_snapshot!(first);
    let mut other = FILES.to_vec();
    other[0].2 = false;
    assert_ne!(digest(&other, (0o644, 0o755), 1, |_| {}), first, "the executable bit is kept");
}

/// Gives everything to another user, as far as the one who runs the tests may.
#[cfg(unix)]
fn of_somebody_else(root: &Path) {
    for path in ["site", "site/a.css", "target/release/player"] {
        match std::os::unix::fs::chown(root.join(path), Some(65532), Some(65532)) {
            Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => panic!("{path}: {error}"),
            _ => {}
        }
    }
}

#[test]
fn names_that_do_not_fit_come_back_whole() {
    let deep = format!("site/{}/{}", "d".repeat(120), "f".repeat(200));
    let split = format!("site/{}/{}", "p".repeat(120), "f".repeat(60));
    let project = project(&[(&deep, "deep", false), (&split, "split", false)], (0o644, 0o755));
    #[cfg(unix)]
    std::os::unix::fs::symlink("t".repeat(150), project.path().join("site/link")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let image = run(&build_of(project.path(), &[("site", "/")]), out.path()).unwrap();
    let listing = listing(out.path(), &image.layers[0]);
    for expected in [
        format!("0644 0 {} deep\n", &deep[5..]),
        format!("0644 0 {} split\n", &split[5..]),
        format!("0777 0 link -> {} \n", "t".repeat(150)),
    ] {
        assert!(listing.contains(&expected), "{expected}\n{listing}");
    }
}

#[test]
fn large_files_pass_through_small_memory_and_come_back() {
    let project = project(&[("site/small", "s", false)], (0o644, 0o755));
    let bytes: Vec<u8> = (0..400_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    fs::write(project.path().join("site/large"), &bytes).unwrap();
    let out = tempfile::tempdir().unwrap();
    let image = run(&build_of(project.path(), &[("site", "/")]), out.path()).unwrap();
    let file = fs::File::open(out.path().join("blobs/sha256").join(image.layers[0].digest.hex())).unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut entry = archive.entries().unwrap().map(Result::unwrap).next().unwrap();
    let mut back = Vec::new();
    entry.read_to_end(&mut back).unwrap();
    assert!(back == bytes);
}

#[cfg(unix)]
#[test]
fn what_cannot_be_in_an_image_is_refused_with_its_name() {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    let project = project(FILES, (0o644, 0o755));
    let root = project.path().canonicalize().unwrap();
    let put = |path: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let _socket = std::os::unix::net::UnixListener::bind(put("sock/s")).unwrap();
    fs::write(put("white/.wh.gone"), "").unwrap();
    symlink("/etc", put("out")).unwrap();
    symlink("nowhere", put("dangling")).unwrap();
    fs::write(root.join("white2").join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap_or_default();
    fs::create_dir_all(root.join("bytes")).unwrap();
    fs::write(root.join("bytes").join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    symlink("www", put("links/lib")).unwrap();
    let mut seen = String::new();
    for of in [
        &[("sock", "/")][..],
        &[("white", "/")],
        &[("site/index.html", "/.wh.x")],
        &[("out", "/")],
        &[("..", "/")],
        &[("/etc/passwd", "/")],
        &[("", "/")],
        &[("missing", "/")],
        &[("dangling", "/")],
        &[("bytes", "/")],
        &[("site", "srv")],
        &[("site", "/a/../b")],
        &[("site/a.css", "/")],
        &[("site/a.css", "")],
        &[("site/a.css", "/x"), ("site", "/x")],
        &[("site", "/x"), ("site/a.css", "/x")],
        &[("links", "/"), ("site", "/lib")],
        &[("links", "/"), ("site/a.css", "/lib/a.css")],
        &[("site", "/x"), ("site/index.html", "/x/a.css/y")],
    ] {
        let out = tempfile::tempdir().unwrap();
        let shown = match run(&build_of(&root, of), out.path()) {
            Ok(image) => format!("built\n{}", listing(out.path(), image.layers.last().unwrap())),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|c| format!(": {c}")).unwrap_or_default();
                format!("{error}{cause}").replace(root.to_str().unwrap(), "ROOT")
            }
        };
        writeln!(seen, "{of:?}\n  {}", shown.replace('\n', "\n  ")).unwrap();
    }
    insta::assert_snapshot!("refused", seen);
}

#[test]
fn values_no_runtime_would_take_are_refused() {
    let mut seen = String::new();
    let mut check = |change: fn(&mut NativeBuild)| {
        let mut build = build_of(Path::new("/nowhere"), &[]);
        change(&mut build);
        writeln!(seen, "{}", build.check().unwrap_err()).unwrap();
    };
    check(|build| build.created = u64::MAX);
    check(|build| build.config.env = BTreeMap::from([("A=B".to_owned(), String::new())]));
    check(|build| build.config.env = BTreeMap::from([("A".to_owned(), "\0".to_owned())]));
    check(|build| build.config.workdir = Some("app".to_owned()));
    check(|build| build.config.user = Some("a b".to_owned()));
    check(|build| build.config.stop_signal = Some("term".to_owned()));
    check(|build| build.config.stop_signal = Some("SIG".to_owned()));
    check(|build| build.config.entrypoint = Some(vec![String::new()]));
    insta::assert_snapshot!(seen);
    for signal in ["9", "SIGTERM", "SIGRTMIN+3"] {
        let mut build = build_of(Path::new("/nowhere"), &[]);
        build.config.stop_signal = Some(signal.to_owned());
        build.check().unwrap();
    }
}

#[test]
fn a_build_can_be_ended_and_leaves_nothing_behind() {
    let project = project(FILES, (0o644, 0o755));
    let out = tempfile::tempdir().unwrap();
    let options = BuildOptions::default();
    options.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    let layout = Layout::create(out.path()).unwrap();
    let error = build_of(project.path(), BOTH).build(&layout, &options, &mut |_| {}).unwrap_err();
    assert!(matches!(error, NativeError::Cancelled), "{error}");
    assert_eq!(fs::read_dir(out.path().join("blobs/sha256")).unwrap().count(), 0);
}

#[test]
fn blobs_are_used_again_repaired_and_swept() {
    let project = project(FILES, (0o644, 0o755));
    let out = tempfile::tempdir().unwrap();
    let layout = Layout::create(out.path()).unwrap();
    let build = build_of(project.path(), BOTH);
    let reused = || {
        let mut all = Vec::new();
        let image = build
            .build(&layout, &BuildOptions::default(), &mut |event| {
                if let NativeEvent::Layer { reused, .. } = event {
                    all.push(reused);
                }
            })
            .unwrap();
        (image, all)
    };
    let (image, first) = reused();
    assert_eq!(first, [false, false]);
    assert_eq!(reused().1, [true, true]);
    fs::write(layout.blob(&image.layers[0].digest), "broken").unwrap();
    assert_eq!(reused().1, [false, true]);
    layout.name(&image, &build.platform, "player", Some(&"r.io/player:v1".parse().unwrap())).unwrap();
    layout.name(&image, &build.platform, "player", Some(&"r.io/player:v2".parse().unwrap())).unwrap();
    layout.name(&image, &build.platform, "other", None).unwrap();
    insta::assert_snapshot!(fs::read_to_string(out.path().join("index.json")).unwrap());
    fs::write(out.path().join("blobs/sha256/.partial-x"), "left").unwrap();
    let stray = layout.put("text/plain", b"nobody needs me").unwrap();
    fs::write(out.path().join("blobs/sha256/notes"), "not ours").unwrap();
    assert_eq!(layout.sweep().unwrap(), 4 + stray.size);
    assert!(!layout.blob(&stray.digest).exists());
    for blob in image.layers.iter().chain([&image.config, &image.manifest]) {
        assert!(layout.blob(&blob.digest).exists());
    }
    assert!(out.path().join("blobs/sha256/notes").exists());
}

/// A base with `/lib` as a link, `/tmp` and `/app`, and what a layer on it looks like.
#[cfg(unix)]
#[test]
fn layers_on_a_base_leave_its_folders_alone() {
    let project = project(FILES, (0o644, 0o755));
    let root = project.path();
    for folder in ["base/tmp", "base/app", "base/usr/lib"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::os::unix::fs::symlink("usr/lib", root.join("base/lib")).unwrap();
    let base_dir = tempfile::tempdir().unwrap();
    let base = {
        let layout = Layout::create(base_dir.path()).unwrap();
        let build = build_of(root, &[("base", "/")]);
        let image = build.build(&layout, &BuildOptions::default(), &mut |_| {}).unwrap();
        layout.name(&image, &build.platform, "base", None).unwrap();
        image
    };
    let on = |of: &[(&str, &str)], manifest: Option<Digest>| {
        let mut build = build_of(root, of);
        build.base = Base::Layout { dir: base_dir.path().to_owned(), manifest, origin: None };
        build.config = RunConfig {
            entrypoint: Some(vec!["/app/new".to_owned()]),
            env: BTreeMap::from([("LOG".to_owned(), "debug".to_owned())]),
            labels: BTreeMap::from([("added".to_owned(), "yes".to_owned())]),
            ..RunConfig::default()
        };
        build
    };
    let out = tempfile::tempdir().unwrap();
    let image = run(&on(&[("site/a", "/app/static"), ("site/a.css", "/tmp/")], None), out.path()).unwrap();
    assert_eq!(image.layers[0], base.layers[0]);
    insta::assert_snapshot!(listing(out.path(), &image.layers[1]));
    insta::assert_snapshot!(listing(out.path(), &image.layers[2]));
    insta::assert_snapshot!(
        fs::read_to_string(out.path().join("blobs/sha256").join(image.config.digest.hex())).unwrap()
    );

    let refused = |build: &NativeBuild| {
        let out = tempfile::tempdir().unwrap();
        let error = run(build, out.path()).unwrap_err();
        error.to_string().replace(base_dir.path().to_str().unwrap(), "BASE")
    };
    let mut seen = String::new();
    let other: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
    writeln!(seen, "{}", refused(&on(&[("site/a.css", "/lib/")], None))).unwrap();
    writeln!(seen, "{}", refused(&on(&[], Some(other)))).unwrap();
    let mut arm = on(&[], None);
    arm.platform = "linux/arm64".parse().unwrap();
    writeln!(seen, "{}", refused(&arm)).unwrap();
    let blob = base_dir.path().join("blobs/sha256").join(base.layers[0].digest.hex());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[30] ^= 1;
    fs::write(&blob, bytes).unwrap();
    writeln!(seen, "{}", refused(&on(&[], None))).unwrap();
    fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &blob).unwrap();
    writeln!(seen, "{}", refused(&on(&[], None))).unwrap();
    insta::assert_snapshot!(seen);
}

/// A table of what `.dockerignore` means for a path that a layer names.
#[test]
fn a_path_that_is_named_is_meant() {
    let everything = "a-b.css a.css a/b.css debug.map index.html run.sh é.txt";
    for (ignore, from, expected) in [
        ("", "site", everything),
        ("site", "site", everything),
        ("site/**", "site", "`site` has nothing in it that `.dockerignore` lets through"),
        ("site\nsite/a", "site/a", "b.css"),
        ("site\n**/*.css", "site", "debug.map index.html run.sh é.txt"),
        ("site/a", "site", "a-b.css a.css debug.map index.html run.sh é.txt"),
        ("target", "target/release/player", "(itself)"),
        ("target", "target", "release/player"),
        ("target\n**/player", "target", "`target` has nothing in it that `.dockerignore` lets through"),
        ("**\n!site/a.css", "site", "a.css"),
        ("*\n!site", "site", everything),
        ("target\n!target/release/player", "target", "release/player"),
        ("site\n!site/a.css", ".", ".dockerignore site/a.css target/release/player"),
    ] {
        let project = project(FILES, (0o644, 0o755));
        fs::write(project.path().join(".dockerignore"), ignore).unwrap();
        let root = project.path().canonicalize().unwrap();
        let found = match walk::walk(&root, from, &walk::ignore(&root).unwrap(), Path::new("/nowhere")) {
            Ok(found) => found,
            Err(error) => {
                assert_eq!(error.to_string(), expected, "{ignore:?} {from}");
                continue;
            }
        };
        let files: BTreeSet<&str> = found
            .iter()
            .filter(|found| matches!(found.kind, plan::Kind::File { .. }))
            .map(|found| if found.path.is_empty() { "(itself)" } else { &found.path })
            .collect();
        assert_eq!(files.into_iter().collect::<Vec<_>>().join(" "), expected, "{ignore:?} {from}");
    }
}

#[test]
fn everything_an_image_can_say_about_running_it() {
    let project = project(FILES, (0o644, 0o755));
    let out = tempfile::tempdir().unwrap();
    let mut build = build_of(project.path(), &[("site/a.css", "/a.css")]);
    build.format = Format::Docker;
    build.config.ports.insert(Port { number: 53, protocol: Protocol::Udp });
    build.config.healthcheck = Some(Healthcheck {
        command: vec!["/app/player".to_owned(), "healthy".to_owned()],
        every: Some(std::time::Duration::from_secs(5)),
        timeout: Some(std::time::Duration::from_millis(2500)),
        startup: None,
        failures: Some(3),
    });
    let image = run(&build, out.path()).unwrap();
    let text = |blob: &Descriptor| {
        fs::read_to_string(out.path().join("blobs/sha256").join(blob.digest.hex())).unwrap()
    };
    insta::assert_snapshot!(text(&image.config));
    insta::assert_snapshot!(text(&image.manifest));
    assert_eq!(image.manifest.media_type, "application/vnd.docker.distribution.manifest.v2+json");
}

#[cfg(feature = "zstd")]
#[test]
fn a_layer_in_zstd_is_read_by_the_reference_and_is_a_base_for_others() {
    let project = project(FILES, (0o644, 0o755));
    let out = tempfile::tempdir().unwrap();
    let mut build = build_of(project.path(), BOTH);
    build.compression = Compression::Zstd;
    let image = run(&build, out.path()).unwrap();
    assert_eq!(image.layers[0].media_type, "application/vnd.oci.image.layer.v1.tar+zstd");
    let names = |blob: &Path| {
        let file = fs::File::open(blob).unwrap();
        let mut archive = tar::Archive::new(zstd::stream::read::Decoder::new(file).unwrap());
        let path = |entry: std::io::Result<tar::Entry<'_, _>>| entry.unwrap().path().unwrap().into_owned();
        archive.entries().unwrap().map(path).collect::<Vec<_>>()
    };
    let blob = |blob: &Descriptor| out.path().join("blobs/sha256").join(blob.digest.hex());
    assert!(names(&blob(&image.layers[0])).contains(&"srv/www/a.css".into()));
    Layout::create(out.path()).unwrap().name(&image, &build.platform, "v1", None).unwrap();

    let mut on = build_of(project.path(), &[("site/a.css", "/srv/www/new.css")]);
    on.base = Base::Layout { dir: out.path().to_owned(), manifest: None, origin: None };
    let second = tempfile::tempdir().unwrap();
    let layered = run(&on, second.path()).unwrap();
    assert_eq!(layered.layers[..2], image.layers);
    assert_eq!(
        listing(second.path(), &layered.layers[2]),
        "0644 0 srv/www/new.css a\n",
        "its folders are known"
    );
}

/// The base of the second build is not read: it is not even there any more.
#[cfg(unix)]
#[test]
fn a_base_that_was_read_is_not_read_again() {
    let project = project(FILES, (0o644, 0o755));
    let [base, out, records] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let image = run(&build_of(project.path(), &[("site", "/srv")]), base.path()).unwrap();
    Layout::create(base.path()).unwrap().name(&image, &"linux/amd64".parse().unwrap(), "v1", None).unwrap();
    let mut build = build_of(project.path(), &[("site/a.css", "/srv/b.css")]);
    build.base = Base::Layout { dir: base.path().to_owned(), manifest: None, origin: None };
    let options = BuildOptions { records: Some(records.path().to_owned()), ..BuildOptions::default() };
    let layout = Layout::create(out.path()).unwrap();
    let again = || build.build(&layout, &options, &mut |_| {});
    let first = again().unwrap();
    fs::remove_file(base.path().join("blobs/sha256").join(image.layers[0].digest.hex())).unwrap();
    assert_eq!(again().unwrap(), first);
    // But for a blob of the layout that is not what it was.
    fs::write(layout.blob(&image.layers[0].digest), "x").unwrap();
    again().unwrap_err();
}

#[test]
fn several_platforms_are_an_index_and_each_can_be_a_base() {
    let project = project(FILES, (0o644, 0o755));
    let out = tempfile::tempdir().unwrap();
    let layout = Layout::create(out.path()).unwrap();
    let mut images = Vec::new();
    for platform in ["linux/amd64", "linux/arm64"] {
        let mut build = build_of(project.path(), &[("site", "/srv")]);
        build.platform = platform.parse().unwrap();
        let image = build.build(&layout, &BuildOptions::default(), &mut |_| {}).unwrap();
        layout.name(&image, &build.platform, platform, None).unwrap();
        images.push((image.manifest, build.platform));
    }
    let index = layout.index(&images, Format::Oci).unwrap();
    insta::assert_snapshot!(fs::read_to_string(layout.blob(&index.digest)).unwrap());
    layout.name_index(&index, "all", None).unwrap();
    layout.sweep().unwrap();
    for (manifest, _) in &images {
        assert!(layout.blob(&manifest.digest).exists());
    }
    let mut on = build_of(project.path(), &[("site/a.css", "/srv/new.css")]);
    on.base = Base::Layout { dir: out.path().to_owned(), manifest: None, origin: None };
    on.platform = "linux/arm64".parse().unwrap();
    let second = tempfile::tempdir().unwrap();
    assert_eq!(run(&on, second.path()).unwrap().layers.len(), 2);
    on.platform = "linux/riscv64".parse().unwrap();
    let error = run(&on, second.path()).unwrap_err();
    assert!(matches!(error, NativeError::BaseChoice { found: 0, .. }), "{error}");
}

#[test]
fn a_layout_never_becomes_a_part_of_its_image() {
    let project = project(FILES, (0o644, 0o755));
    let build = build_of(project.path(), &[(".", "/app/")]);
    let inside = project.path().join("site/out");
    let error = run(&build, &inside).unwrap_err().to_string();
    assert_eq!(error, "the image layout `site/out` lies in `.`, which the image is made from");
    fs::write(project.path().join(".dockerignore"), "site/out\n").unwrap();
    let first = run(&build, &inside).unwrap();
    assert_eq!(run(&build, &inside).unwrap(), first);
}
