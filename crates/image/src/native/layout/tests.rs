//! Who may write to a layout, and what is none.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

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
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let layout = Layout::create(&folder).unwrap();
                    assert_eq!(writers.fetch_add(1, Ordering::SeqCst), 0, "round {round}");
                    std::thread::yield_now();
                    writers.fetch_sub(1, Ordering::SeqCst);
                    drop(layout);
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
    assert_eq!(shown(Layout::create(dir.path()).unwrap_err()), "`DIR` is not empty and no image layout");
    fs::write(dir.path().join("oci-layout"), "{\"imageLayoutVersion\":\"2.0.0\"}").unwrap();
    assert_eq!(
        shown(Layout::create(dir.path()).unwrap_err()),
        "`DIR/oci-layout` is not part of an image layout: its version is not 1"
    );
}

/// GHSA-r3h2-rgqf-9hv9 and CVE-2023-25153, in a layout somebody else made.
#[cfg(unix)]
#[test]
fn a_layout_that_leads_elsewhere_or_fills_memory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, r#"{"imageLayoutVersion":"1.0.0","manifests":[]}"#).unwrap();
    let folder = dir.path().join("layout");
    let layout = Layout::create(&folder).unwrap();
    let document = layout.put("application/json", b"{}").unwrap().digest;
    drop(layout);
    let shown = |error: LayoutError| error.to_string().replace(folder.to_str().unwrap(), "DIR");
    let file = format!("blobs/sha256/{}", document.hex());
    let reading = |name: &str| match name {
        "index.json" => index(&folder).map(|_| ()),
        "oci-layout" => check(&folder),
        _ => parse::<Value>(&folder, &document).map(|_| ()),
    };
    for name in ["index.json", "oci-layout", &*file] {
        let path = folder.join(name);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        let refused = format!("`DIR/{name}` is not part of an image layout: it is no plain file");
        assert_eq!(shown(reading(name).unwrap_err()), refused);
        fs::remove_file(&path).unwrap();
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let refused = format!("`DIR/{name}` is not part of an image layout: it has more than 4 MiB");
        assert_eq!(shown(reading(name).unwrap_err()), refused);
        fs::write(&path, good).unwrap();
        reading(name).unwrap();
    }
}
