//! The same files give the same image: whoever builds it, where, on which day, and on how many processors.
//!
//! The digests are a snapshot: two runs on two machines, both green, have built the same bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
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
        match std::os::unix::fs::chown(&path, Some(of.owner), Some(of.owner)) {
            Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => panic!("{error}"),
            _ => {}
        }
    }
    for folder in ["site", "site/a"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o777 & !of.umask)).unwrap();
    }
}

/// Everything in the layout: names, which are digests, and sizes.
fn build(of: &Circumstances, compression: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join(of.checkout);
    check_out(&root, of, compression);
    let on = if of.one_processor { "taskset -c 0" } else { "" };
    let script = format!("umask {:o} && exec {on} \"$0\" \"$@\"", of.umask);
    let output = Command::new("/bin/sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_release"), "build", "--layout", "out", "-q"])
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

#[test]
fn the_image_is_the_same_whoever_builds_it_where_and_when() {
    let usual = USUAL;
    let others = [
        ("another folder, another day", Circumstances { checkout: "b/much deeper/c", day: 3, ..usual }),
        ("umask 077", Circumstances { umask: 0o077, ..usual }),
        ("umask 002", Circumstances { umask: 0o002, ..usual }),
        ("another order of the folders", Circumstances { reversed: true, ..usual }),
        ("another owner", Circumstances { owner: 65_532, ..usual }),
        ("one processor", Circumstances { one_processor: true, ..usual }),
        ("another language", Circumstances { locale: "tr_TR.UTF-8", ..usual }),
    ];
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
