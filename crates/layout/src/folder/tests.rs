//! Who may write to a layout, and what is none.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{digest, read};

#[test]
fn a_layout_that_many_make_at_once_has_one_writer_at_a_time() {
    for round in 0..200 {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("layout");
        if round % 2 == 0 {
            // What a run that was killed leaves behind is nobody's.
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(".partial-x"), "{").unwrap();
        }
        let (start, writers) = (Barrier::new(8), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (folder, start, writers) = (&folder, &start, &writers);
                scope.spawn(move || {
                    start.wait();
                    let mut layout = Unlocked::at(folder).unwrap();
                    // Half of them wait in the system, half try again and again.
                    let ours = loop {
                        if n % 2 == 0 {
                            break layout.lock().unwrap();
                        }
                        match layout.try_lock().unwrap() {
                            TryLock::Locked(ours) => break ours,
                            TryLock::Busy(still) => layout = still,
                        }
                        std::thread::yield_now();
                    };
                    assert_eq!(writers.fetch_add(1, Ordering::SeqCst), 0, "round {round}");
                    std::thread::yield_now();
                    writers.fetch_sub(1, Ordering::SeqCst);
                    drop(ours);
                });
            }
        });
    }
}

#[test]
fn a_folder_with_other_things_in_it_is_no_layout() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("README"), "").unwrap();
    let shown = |error: LayoutError| error.to_string().replace(dir.path().to_str().unwrap(), "DIR");
    assert_eq!(shown(Unlocked::at(dir.path()).unwrap_err()), "`DIR` is not empty and no image layout");
    fs::write(dir.path().join("oci-layout"), "{\"imageLayoutVersion\":\"2.0.0\"}").unwrap();
    assert_eq!(
        shown(Unlocked::at(dir.path()).unwrap_err()),
        "`DIR/oci-layout` is not part of an image layout: its version is not 1"
    );
}

/// GHSA-r3h2-rgqf-9hv9, in a folder somebody else prepared: blobs would land wherever a link leads.
#[cfg(unix)]
#[test]
fn folders_that_lead_elsewhere_are_not_written_to() {
    for link in ["blobs", "blobs/sha256"] {
        let dir = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (dir.path().join("layout"), dir.path().join("elsewhere"));
        fs::create_dir_all(elsewhere.join("sha256")).unwrap();
        drop(Unlocked::at(&folder).unwrap());
        let link = folder.join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        let error = Unlocked::at(&folder).unwrap().lock().unwrap_err().to_string();
        assert!(error.ends_with("is not part of an image layout: it is no folder"), "{error}");
        assert!(error.contains(link.to_str().unwrap()), "{error}");
    }
}

#[test]
fn what_a_killed_run_left_is_gone_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    drop(Unlocked::at(&layout).unwrap().lock().unwrap());
    let left = blobs(&layout).join(".partial-1");
    fs::write(&left, "half").unwrap();
    drop(Unlocked::at(&layout).unwrap().lock().unwrap());
    assert!(!left.exists());
}

#[test]
fn a_sweep_takes_what_nobody_needs_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Unlocked::at(&dir.path().join("layout")).unwrap().lock().unwrap();
    let (needed, other) = (digest(b"needed"), digest(b"other"));
    folder.put(&needed, b"needed").unwrap();
    folder.put(&other, b"other").unwrap();
    for name in [".partial-1", "a note of somebody"] {
        fs::write(blobs(folder.dir()).join(name), "left").unwrap();
    }
    let freed = folder.sweep(|digest| *digest == needed).unwrap();
    assert_eq!(freed, 9);
    assert_eq!(read(&folder.blob(&needed)).unwrap(), b"needed");
    assert!(!folder.blob(&other).exists() && !blobs(folder.dir()).join(".partial-1").exists());
    assert!(blobs(folder.dir()).join("a note of somebody").exists());
}
