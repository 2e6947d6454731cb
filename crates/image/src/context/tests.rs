//! What is sent, in which order and how, and what is refused.

use std::fmt::Write as _;

use futures::StreamExt as _;

use super::*;

/// A context with these files; a name that ends in `/` is a folder, `a -> b` a link.
fn context(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name.split(" -> ").next().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some((_, target)) = name.split_once(" -> ") {
            std::os::unix::fs::symlink(target, path).unwrap();
        } else if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::write(path, text).unwrap();
        }
    }
    dir
}

async fn bytes(root: &Path, dockerfile: &str) -> Result<Vec<u8>, BuildError> {
    let paths = Paths { context: root.canonicalize().unwrap(), dockerfile: dockerfile.into() };
    let trouble = Trouble::default();
    let stream = stream(list(paths).await?, &trouble);
    let mut stream = std::pin::pin!(stream);
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(_) => return Err(trouble.take().unwrap().into()),
        }
    }
    Ok(all)
}

/// What is in the stream: type, mode, owner, time, size, name, and where links go.
async fn shown(root: &Path, dockerfile: &str) -> String {
    let bytes = match bytes(root, dockerfile).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let causes = std::iter::successors(std::error::Error::source(&error), |e| e.source());
            let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
            return text.replace(&format!("{}/", root.canonicalize().unwrap().display()), "");
        }
    };
    let mut text = String::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => 'd',
            tar::EntryType::Symlink => 'l',
            _ => '-',
        };
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let (mode, time) = (header.mode().unwrap(), header.mtime().unwrap());
        let name = entry.path().unwrap().display().to_string();
        write!(text, "{kind} {mode:o} {uid}:{gid} {time} {:>3} {name}", entry.size()).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            write!(text, " -> {}", target.display()).unwrap();
        }
        text.push('\n');
    }
    text
}

/// The names in the stream alone, in order.
async fn names(root: &Path, dockerfile: &str) -> Vec<String> {
    let bytes = bytes(root, dockerfile).await.unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive.entries().unwrap();
    entries.map(|e| e.unwrap().path().unwrap().display().to_string()).collect()
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn everything_has_its_place_and_nothing_tells_who_made_it() {
    let long = format!("deep/{}/file", "folder-with-a-long-name/".repeat(6));
    let files = [
        ("Dockerfile", "FROM scratch\n"),
        ("run.sh", "#!/bin/sh\n"),
        ("b/two", "22"),
        ("b/one", "1"),
        ("b.txt", "beside b"),
        ("empty/", ""),
        ("link -> b/one", ""),
        ("out -> /etc/passwd", ""),
        ("dangling -> nowhere", ""),
        (&long, "x"),
    ];
    let dir = context(&files);
    for (name, mode) in [("", 0o755), ("b", 0o755), ("empty", 0o700), ("run.sh", 0o755)] {
        set_mode(&dir.path().join(name), mode);
    }
    for name in ["Dockerfile", "b/two", "b/one", "b.txt", &long] {
        set_mode(&dir.path().join(name), 0o644);
    }
    for folder in Path::new(&long).ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()) {
        set_mode(&dir.path().join(folder), 0o755);
    }
    insta::assert_snapshot!(shown(dir.path(), "Dockerfile").await);

    let again = context(&files.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(names(again.path(), "Dockerfile").await, names(dir.path(), "Dockerfile").await);
}

#[tokio::test]
async fn ignored_files_stay_at_home() {
    let dir = context(&[
        ("Dockerfile", ""),
        (".dockerignore", "*\n!src/**/*.rs\n!only/this\n"),
        ("src/a.rs", ""),
        ("src/a.o", ""),
        ("src/deep/b.rs", ""),
        ("only/this", ""),
        ("only/that", ""),
        ("target/x.rs", ""),
        ("empty/", ""),
    ]);
    let expected =
        [".dockerignore", "Dockerfile", "only", "only/this", "src", "src/a.rs", "src/deep", "src/deep/b.rs"];
    let names: Vec<_> = names(dir.path(), "Dockerfile").await;
    assert_eq!(names.iter().map(|n| n.trim_end_matches('/')).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_dockerfile_can_have_an_ignore_file_of_its_own() {
    let dir = context(&[
        ("docker/web.Dockerfile", ""),
        ("docker/web.Dockerfile.dockerignore", "*\n!web\n"),
        (".dockerignore", "web\n"),
        ("web", ""),
        ("other", ""),
    ]);
    let names: Vec<_> = names(dir.path(), "docker/web.Dockerfile").await;
    let expected = ["docker", "docker/web.Dockerfile", "docker/web.Dockerfile.dockerignore", "web"];
    assert_eq!(names.iter().map(|n| n.trim_end_matches('/')).collect::<Vec<_>>(), expected);
}

/// Files in a tree with everything that rules can hit.
fn tree() -> tempfile::TempDir {
    context(&[
        ("Dockerfile", ""),
        (".dockerignore", ""),
        ("a/b/c.rs", ""),
        ("a/b/d.md", ""),
        ("a/e.rs", ""),
        ("f[1]", ""),
        ("conf.d/web -> ../etc/web", ""),
        ("conf.d/own", ""),
        ("etc/web", ""),
        ("etc/db", ""),
        ("out -> /etc/hostname", ""),
        ("round -> round/x", ""),
        ("here -> .", ""),
        ("lib -> a/b", ""),
    ])
}

/// What is sent when these paths are asked for, and these are left out.
#[test]
fn what_is_asked_for_is_sent_with_the_folders_it_lies_in_and_without_what_is_ignored() {
    let dir = tree();
    for (includes, excludes, expected) in [
        (&["a/b"][..], &[][..], "a a/b a/b/c.rs a/b/d.md"),
        (&["a/b"], &["**/*.md"], "a a/b a/b/c.rs"),
        (&["a"], &["a/b", "!a/b/c.rs"], "a a/b a/b/c.rs a/e.rs"),
        (&["*/*.rs"], &[], "a a/e.rs"),
        (&["**/*.rs"], &[], "a a/b a/b/c.rs a/e.rs"),
        (&["f\\[1]"], &[], "f[1]"),
        (&["Dockerfile"], &["*"], ""),
        (&["gone"], &[], ""),
        // An exception lets through what is ignored, not what nobody asked for.
        (&["etc"], &["*", "!a", "!etc/db"], "etc etc/db"),
    ] {
        let includes = includes.iter().map(|text| (*text).to_owned()).collect();
        let excludes: Vec<_> = excludes.iter().map(|text| (*text).to_owned()).collect();
        let rules = Rules::new(&includes, &excludes).unwrap();
        let listing = walk(dir.path(), &rules).unwrap();
        let sent: Vec<String> = listing.entries.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(sent.join(" "), expected, "{includes:?} without {excludes:?}");
        // The same rules, asked one path at a time: folders that something is in are sent besides.
        let everything = walk(dir.path(), &Rules::default()).unwrap().entries;
        let alone = everything.iter().map(|path| path.display().to_string()).filter(|path| rules.send(path));
        assert!(alone.clone().all(|path| sent.contains(&path)), "{:?}", alone.collect::<Vec<_>>());
    }
}

#[test]
fn links_on_the_way_are_followed() {
    let dir = tree();
    for (asked, expected) in [
        (&["a/b"][..], "a/b"),
        (&["./a/../a/e.rs", "/etc/"], "a/e.rs etc"),
        (&["lib/c.rs"], "a/b/c.rs lib"),
        (&["lib/*.rs"], "a/b/*.rs lib"),
        (&["conf.d/*"], "conf.d/* etc/web"),
        (&["conf.d"], "conf.d"),
        (&["c*/w*"], "c*/w*"),
        (&["out"], "etc/hostname out"),
        (&["gone/x"], "gone/x"),
        (&["a", "."], ""),
        (&["here"], ""),
        (&["here/etc"], "etc here"),
        (&["../etc"], "etc"),
    ] {
        let asked: Vec<_> = asked.iter().map(|text| (*text).to_owned()).collect();
        let followed: Vec<_> = follow(dir.path(), &asked).into_iter().collect();
        assert_eq!(followed.join(" "), expected, "{asked:?}");
    }
    // A circle ends, and what else is asked for is still there.
    let followed = follow(dir.path(), &["round".to_owned(), "a".to_owned()]);
    assert!(followed.contains("a") && followed.contains("round"), "{followed:?}");
}

#[tokio::test]
async fn what_is_no_file_is_skipped_and_said_so() {
    let dir = context(&[("Dockerfile", "")]);
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let paths = Paths { context: dir.path().to_owned(), dockerfile: "Dockerfile".into() };
    let listing = list(paths).await.unwrap();
    assert_eq!(listing.skipped, ["socket"]);
    assert_eq!(listing.entries, [Path::new("Dockerfile")]);
}

#[tokio::test]
async fn a_file_that_goes_away_breaks_the_stream_off() {
    let dir = context(&[("Dockerfile", ""), ("a", "")]);
    let paths = Paths { context: dir.path().to_owned(), dockerfile: "Dockerfile".into() };
    let listing = list(paths).await.unwrap();
    fs::remove_file(dir.path().join("a")).unwrap();
    let trouble = Trouble::default();
    let pieces = stream(listing, &trouble);
    let pieces: Vec<_> = pieces.collect().await;
    assert!(pieces.last().unwrap().is_err());
    assert!(matches!(trouble.take(), Some(ContextError::Read { path, .. }) if path.ends_with("a")));
}

#[test]
fn a_file_that_shrinks_is_an_error_and_one_that_grows_is_cut() {
    let dir = context(&[("file", "12345")]);
    let read = |left| {
        let mut exact = Exact::new(File::open(dir.path().join("file")).unwrap(), left);
        let mut text = String::new();
        let result = exact.read_to_string(&mut text);
        (result.is_ok(), exact.failed.map(|error| error.kind()), text)
    };
    assert_eq!(read(3), (true, None, "123".to_owned()));
    assert_eq!(read(5), (true, None, "12345".to_owned()));
    assert_eq!(read(6).1, Some(io::ErrorKind::UnexpectedEof));
}

#[tokio::test]
async fn a_broken_ignore_file_is_named() {
    let dir = context(&[("Dockerfile", ""), (".dockerignore", "a\n[\n")]);
    insta::assert_snapshot!(shown(dir.path(), "Dockerfile").await);
}

#[tokio::test]
async fn an_ignore_file_that_is_a_pipe_is_not_waited_for() {
    let dir = context(&[("Dockerfile", "")]);
    let pipe = dir.path().join(".dockerignore");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(
        shown(dir.path(), "Dockerfile").await,
        "cannot send the build context: cannot read `.dockerignore`: it is not a file"
    );
}

#[tokio::test]
async fn a_stream_that_nobody_takes_ends() {
    let big = "x".repeat(4 * PIECES * PIECE_BYTES);
    let dir = context(&[("Dockerfile", ""), ("big", &big)]);
    let paths = Paths { context: dir.path().to_owned(), dockerfile: "Dockerfile".into() };
    let trouble = Trouble::default();
    let pieces = stream(list(paths).await.unwrap(), &trouble);
    drop(pieces);
    // The reading thread holds the other half of `trouble` until it ends; a runtime waits for it when it is dropped.
    while Arc::strong_count(&trouble.0) > 1 {
        tokio::task::yield_now().await;
    }
    assert!(trouble.take().is_none());
}
