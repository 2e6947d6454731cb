//! Layouts that somebody else made.

use std::fs::{self, File};

use super::*;

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
