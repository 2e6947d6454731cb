//! Builds after builds: what did not change costs nothing, and what did is never overlooked. The judge is always a build that
//! knows of none before it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::tests::{build_of, sample};
use super::*;

/// A project, a layout and records.
struct Bench {
    dir: TempDir,
}

/// When everything on disk is an hour old.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

impl Bench {
    /// Some 0.8 MB in 150 files, and one of 3.2 MB.
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        for n in 0..150 {
            bench.write(&format!("tree/{:02}/{n}.js", n / 10), &sample(4000 + n * 16));
        }
        bench.write("tree/large.bin", &sample(3_200_000));
        bench
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("project").join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn build(&self) -> NativeBuild {
        build_of(&self.dir.path().join("project"), &[("tree", "/srv")])
    }

    fn records(&self) -> PathBuf {
        self.dir.path().join("records")
    }

    /// Builds as `release` does it: named and swept. The digest of the layer, whether its blob was there, and the work.
    fn run_with(&self, now: fn() -> SystemTime, anew: bool) -> (Digest, bool, Work) {
        let layout = Layout::create(&self.dir.path().join("layout")).unwrap();
        let options =
            BuildOptions { threads: Some(2), records: Some(self.records()), anew, ..BuildOptions::default() };
        let mut seen = None;
        let build = self.build();
        let image = build.build_as_of(now, &layout, &options, &mut |event| {
            if let NativeEvent::Layer { reused, work, .. } = event {
                seen = Some((reused, work));
            }
        });
        let image = image.unwrap();
        layout.name(&image, &build.platform, "web", None).unwrap();
        layout.sweep().unwrap();
        let (found, size) = layout::hash(&layout.blob(&image.layers[0].digest)).unwrap();
        assert_eq!((&found, size), (&image.layers[0].digest, image.layers[0].size), "the blob is sound");
        let (reused, work) = seen.unwrap();
        (image.manifest.digest, reused, work)
    }

    fn run(&self, now: fn() -> SystemTime) -> (Digest, bool, Work) {
        self.run_with(now, false)
    }

    /// What a build says that knows of none before it.
    fn judge(&self) -> Digest {
        let layout = self.dir.path().join("judge");
        let layout = Layout::create(&layout).unwrap();
        self.build().build(&layout, &BuildOptions::default(), &mut |_| {}).unwrap().manifest.digest
    }

    fn blob(&self) -> PathBuf {
        let blobs = fs::read_dir(self.dir.path().join("layout/blobs/sha256")).unwrap();
        blobs.map(|entry| entry.unwrap().path()).max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
    }
}

#[test]
fn what_did_not_change_is_neither_read_nor_compressed() {
    let bench = Bench::new();
    let (first, reused, work) = bench.run(later);
    assert!(
        !reused && work.blocks >= 4 && work.read == work.blocks && work.compressed == work.blocks,
        "{work:?}"
    );
    let nothing = Work { read: 0, compressed: 0, ..work };
    assert_eq!(bench.run(later), (first.clone(), true, nothing));
    assert_eq!(first, bench.judge());
}

#[test]
fn one_changed_file_costs_its_block_however_its_size_changes() {
    let bench = Bench::new();
    let (_, _, whole) = bench.run(later);
    for (path, bytes) in [
        ("tree/12/120.js", sample(4000 + 120 * 16 + 1)),
        ("tree/12/120.js", sample(90_000)),
        ("tree/12/120.js", Vec::new()),
        ("tree/03/new.js", sample(3000)),
    ] {
        bench.write(path, &bytes);
        let (digest, _, work) = bench.run(later);
        assert_eq!(digest, bench.judge(), "{path} {}", bytes.len());
        assert!((1..=3).contains(&work.read) && work.compressed <= work.read, "{work:?} of {whole:?}");
    }
    fs::remove_file(bench.path("tree/11/110.js")).unwrap();
    let (digest, _, work) = bench.run(later);
    assert_eq!(digest, bench.judge());
    assert!(work.read <= 3, "{work:?}");
    fs::OpenOptions::new()
        .append(true)
        .open(bench.path("tree/large.bin"))
        .unwrap()
        .set_len(3_200_001)
        .unwrap();
    let (digest, _, work) = bench.run(later);
    assert_eq!(digest, bench.judge());
    assert!(work.read <= 4 && work.compressed <= 2, "what is behind its header is where it was: {work:?}");
}

#[test]
fn files_that_were_touched_are_read_and_not_compressed() {
    let bench = Bench::new();
    let (first, _, whole) = bench.run(later);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for folder in fs::read_dir(bench.path("tree")).unwrap() {
        let Ok(files) = fs::read_dir(folder.unwrap().path()) else { continue };
        for file in files {
            let file = fs::File::options().write(true).open(file.unwrap().path()).unwrap();
            file.set_modified(old).unwrap();
        }
    }
    let (digest, reused, work) = bench.run(later);
    assert_eq!((digest, reused, work.compressed), (first, true, 0));
    assert!(work.read > 0 && work.blocks == whole.blocks, "{work:?}");
    assert_eq!(bench.run(later).2.read, 0, "once");
}

#[test]
fn another_checkout_is_read_and_not_compressed() {
    let bench = Bench::new();
    let (first, ..) = bench.run(later);
    let copied = Command::new("cp").arg("-r").args([bench.path(""), bench.dir.path().join("new")]).status();
    assert!(copied.unwrap().success());
    fs::rename(bench.path(""), bench.dir.path().join("old")).unwrap();
    fs::rename(bench.dir.path().join("new"), bench.path("")).unwrap();
    let (digest, reused, work) = bench.run(later);
    assert_eq!((digest, reused, work.compressed, work.read), (first, true, 0, work.blocks));
}

#[test]
fn an_edit_of_the_same_size_is_seen_though_its_time_is_set_back() {
    let bench = Bench::new();
    let (first, ..) = bench.run(later);
    let path = bench.path("tree/10/100.js");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] ^= 1;
    fs::write(&path, &bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let (digest, ..) = bench.run(later);
    assert_ne!(digest, first);
    assert_eq!(digest, bench.judge());
    // Another file in its place, with the same name, size and time: a restored backup.
    bytes[7] ^= 1;
    let beside = bench.path("tree/10/beside");
    fs::write(&beside, &bytes).unwrap();
    fs::File::options().write(true).open(&beside).unwrap().set_modified(modified).unwrap();
    fs::rename(&beside, &path).unwrap();
    assert_eq!(bench.run(later).0, first);
}

/// The clock of a file system stands still for milliseconds: an edit of the same size can leave every stamp as it was.
#[test]
fn a_file_as_young_as_the_look_is_read_the_next_time() {
    let bench = Bench::new();
    let (first, ..) = bench.run(SystemTime::now);
    let (again, reused, work) = bench.run(SystemTime::now);
    assert_eq!((again, reused, work.compressed), (first, true, 0));
    assert_eq!(work.read, work.blocks, "everything is seconds old");
    for round in 0..4 {
        let mut bytes = sample(4000 + 100 * 16);
        bytes[9] = round;
        bench.write("tree/10/100.js", &bytes);
        let (digest, ..) = bench.run(SystemTime::now);
        bytes[9] = 255 - round;
        bench.write("tree/10/100.js", &bytes);
        let (other, ..) = bench.run(SystemTime::now);
        assert_ne!(digest, other);
        assert_eq!(other, bench.judge());
    }
}

#[test]
fn a_damaged_or_lost_blob_or_record_is_made_anew() {
    let bench = Bench::new();
    let (first, _, whole) = bench.run(later);
    let blob = bench.blob();
    let good = fs::read(&blob).unwrap();
    // Whole again, and once more with a file changed, when blocks are taken out of the damaged blob.
    for (at, change) in
        [(good.len() / 2, None), (good.len() - 1, None), (good.len() / 2, Some("tree/10/100.js"))]
    {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(bench.blob(), &bad).unwrap();
        if let Some(path) = change {
            bench.write(path, b"changed");
        }
        let (digest, _, work) = bench.run(later);
        assert_eq!(digest, bench.judge());
        assert!(work.compressed >= 1 || at == good.len() - 1, "{work:?}");
        assert!(work.compressed <= 3, "only what was damaged: {work:?}");
    }
    bench.write("tree/10/100.js", &sample(4000 + 100 * 16));
    assert_eq!(bench.run(later).0, first);
    fs::remove_file(bench.blob()).unwrap();
    assert_eq!(bench.run(later), (first.clone(), false, whole));
    fs::write(bench.blob(), &good[..good.len() / 3]).unwrap();
    assert_eq!(bench.run(later).0, first);
    for record in fs::read_dir(bench.records()).unwrap() {
        fs::write(record.unwrap().path(), "{}\nnonsense").unwrap();
    }
    assert_eq!(bench.run(later), (first.clone(), true, whole), "the blob is there, and nobody knows");
    assert_eq!(bench.run_with(later, true), (first.clone(), true, whole), "nobody wants to know");
    assert_eq!(bench.run(later).2.read, 0);
}

#[test]
fn builds_that_share_records_do_not_disturb_one_another() {
    let bench = Bench::new();
    let build = |layout: &str| {
        let layout = Layout::create(&bench.dir.path().join(layout)).unwrap();
        let options = BuildOptions { records: Some(bench.records()), ..BuildOptions::default() };
        bench.build().build_as_of(later, &layout, &options, &mut |_| {}).unwrap().manifest.digest
    };
    let digests: BTreeSet<Digest> = std::thread::scope(|scope| {
        let runs: Vec<_> = ["a", "b", "a", "c"].map(|layout| scope.spawn(move || build(layout))).into();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(digests, BTreeSet::from([bench.judge()]));
}

/// Many edits of every kind, one after the other.
#[test]
fn whatever_is_done_to_the_files_the_next_build_is_right() {
    let bench = Bench { dir: tempfile::tempdir().unwrap() };
    let mut random = fastrand::Rng::with_seed(7);
    let name = |random: &mut fastrand::Rng| format!("tree/{}/{}.txt", random.u8(..6), random.u8(..40));
    for _ in 0..30 {
        bench.write(&name(&mut random), &sample(random.usize(..4_000)));
    }
    for step in 0..20 {
        for _ in 0..random.usize(1..4) {
            let path = bench.path(&name(&mut random));
            let there = fs::read(&path).ok();
            match (random.u8(..7), there) {
                (0, Some(_)) => fs::remove_file(&path).unwrap(),
                (1, Some(mut bytes)) if !bytes.is_empty() => {
                    bytes[0] ^= 1;
                    fs::write(&path, bytes).unwrap();
                }
                (2, Some(_)) => {
                    let to = bench.path(&name(&mut random));
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::rename(&path, to).unwrap();
                }
                (3, Some(_)) => set_executable(&path, random.bool()),
                (4, Some(bytes)) => fs::write(&path, bytes).unwrap(),
                _ => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(&path, sample(random.usize(..40_000))).unwrap();
                }
            }
        }
        // What is called an hour old has to be older than a tick of the file system's clock.
        std::thread::sleep(Duration::from_millis(15));
        let now = if random.bool() { later } else { SystemTime::now };
        assert_eq!(bench.run(now).0, bench.judge(), "step {step}");
    }
}

fn set_executable(path: &Path, executable: bool) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 })).unwrap();
}
