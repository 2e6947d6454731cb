//! The same files give the same image: whoever builds it, where, on which day, and on how many processors.
//!
//! The digests are a snapshot: two runs on two machines, both green, have built the same bytes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::folder::check;

/// How one of the builds differs from the others.
#[derive(Clone, Copy)]
struct Circumstances {
    /// Of the folder that is built from, below the test's own.
    checkout: &'static str,
    /// Of the files as they are checked out, and of the build.
    umask: u32,
    /// When the files were changed, in days since 1970.
    day: u64,
    /// Whether the files were made from the last to the first.
    reversed: bool,
    /// The user they belong to, as far as the one who runs the tests may give them away.
    owner: u32,
    /// Who builds, if it is not who runs the tests. Only root can be somebody else.
    user: Option<u32>,
    /// Whether the build has to do with one processor.
    one_processor: bool,
    locale: &'static str,
}

const USUAL: Circumstances = Circumstances {
    checkout: "a",
    umask: 0o022,
    day: 20_000,
    reversed: false,
    owner: 0,
    user: None,
    one_processor: false,
    locale: "C",
};

fn yaml(compression: &str) -> String {
    format!(
        "project: radio\nservices:\n  web:\n    image: {{base: scratch, layers: [{{from: site, to: /srv/}}, \
         {{from: web, to: /}}], entrypoint: [/web], user: 65532, platform: linux/amd64, compression: {compression}}}\n"
    )
}

/// Enough files for several blocks that are compressed apart: with many processors, at the same time.
fn files() -> Vec<(String, String, bool)> {
    let mut files = vec![
        ("web".to_owned(), "a program ".repeat(200_000), true),
        ("site/ü.txt".to_owned(), "not ascii".to_owned(), false),
        ("site/empty".to_owned(), String::new(), false),
    ];
    for n in 0..120_u64 {
        let folder = if n % 3 == 0 { "site/a" } else { "site" };
        let words = (0..4_000).map(|word| format!("{} ", (word * word * (n + 7)) % 9_973));
        files.push((format!("{folder}/{n}.html"), words.collect(), n % 10 == 0));
    }
    files
}

fn check_out(root: &Path, of: &Circumstances, compression: &str) {
    let mut files = files();
    if of.reversed {
        files.reverse();
    }
    fs::create_dir_all(root.join("site/a")).unwrap();
    fs::write(root.join("release.yaml"), yaml(compression)).unwrap();
    for (name, text, executable) in files {
        let path = root.join(name);
        fs::write(&path, text).unwrap();
        let mode = if executable { 0o777 } else { 0o666 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode & !of.umask)).unwrap();
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(24 * 60 * 60 * of.day);
        fs::File::open(&path).unwrap().set_modified(changed).unwrap();
        give(&path, of.owner);
    }
    for folder in ["site", "site/a"].map(|folder| root.join(folder)) {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777 & !of.umask)).unwrap();
        give(&folder, of.owner);
    }
}

/// Gives something away, as far as whoever runs the tests may.
fn give(path: &Path, user: u32) {
    match std::os::unix::fs::chown(path, Some(user), Some(user)) {
        Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => panic!("{error}"),
        _ => {}
    }
}

/// Everything in the layout: names, which are digests, and sizes.
fn build(of: &Circumstances, compression: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join(of.checkout);
    check_out(&root, of, compression);
    let on = if of.one_processor { "taskset -c 0" } else { "" };
    let script = format!("umask {:o} && exec {on} \"$0\" \"$@\"", of.umask);
    let program = lent(dir.path(), &root, of.user);
    let mut build = Command::new("/bin/sh");
    if let Some(user) = of.user {
        build.uid(user).gid(user);
    }
    let output = build
        .args(["-c", &script])
        .arg(program)
        .args(["build", "--layout", "out", "-q"])
        .current_dir(&root)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", dir.path().join("home"))
        .env("LC_ALL", of.locale)
        .env("TZ", if of.reversed { "Asia/Tokyo" } else { "UTC" })
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut blobs: Vec<String> = fs::read_dir(root.join("out/blobs/sha256"))
        .unwrap()
        .map(|blob| blob.unwrap())
        .map(|blob| format!("{} {}\n", blob.file_name().display(), blob.metadata().unwrap().len()))
        .collect();
    blobs.sort();
    format!("{}\n{}", fs::read_to_string(root.join("out/index.json")).unwrap(), blobs.concat())
}

/// The program, where `user` may run it, in a folder where they may build.
fn lent(dir: &Path, root: &Path, user: Option<u32>) -> PathBuf {
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_release"));
    let Some(user) = user else { return ours };
    for folder in [dir, root] {
        std::os::unix::fs::chown(folder, Some(user), Some(user)).unwrap();
    }
    let theirs = dir.join("release");
    if fs::hard_link(&ours, &theirs).is_err() {
        fs::copy(&ours, &theirs).unwrap();
    }
    theirs
}

#[test]
fn the_image_is_the_same_whoever_builds_it_where_and_when() {
    let usual = USUAL;
    let mut others = vec![
        ("another folder, another day", Circumstances { checkout: "b/much deeper/c", day: 3, ..usual }),
        ("umask 077", Circumstances { umask: 0o077, ..usual }),
        ("umask 002", Circumstances { umask: 0o002, ..usual }),
        ("another order of the folders", Circumstances { reversed: true, ..usual }),
        ("another owner", Circumstances { owner: 65_532, ..usual }),
        ("one processor", Circumstances { one_processor: true, ..usual }),
        ("another language", Circumstances { locale: "tr_TR.UTF-8", ..usual }),
    ];
    let root = fs::metadata("/proc/self").is_ok_and(|of_ours| of_ours.uid() == 0);
    if root {
        let user = Some(65_532);
        others.push(("another user", Circumstances { user, owner: 65_532, umask: 0o077, ..usual }));
    } else {
        println!("only root can build as somebody else: left out");
    }
    let mut golden = Vec::new();
    for compression in ["gzip", "zstd"] {
        let first = build(&usual, compression);
        for (what, circumstances) in &others {
            assert_eq!(build(circumstances, compression), first, "{compression}: {what}");
        }
        golden.push(format!("{compression}\n{first}"));
    }
    check("same", &golden.concat());
}
