//! Packages that a distribution installed: [dpkg's database](https://manpages.debian.org/dpkg-query) and
//! [apk's](https://wiki.alpinelinux.org/wiki/Apk_spec), as they lie in an image.
//!
//! Images without a package manager (distroless) keep a file a package in `status.d`. RPM's database is not read.

use std::collections::BTreeMap;

use super::package::{Package, purl};

/// The distribution an image is made of, as its `os-release` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    /// `debian`, `alpine`.
    pub id: String,
    /// `12`, `3.20.1`.
    pub version: String,
    /// As people read it.
    pub name: String,
}

/// Whether a file of an image is read for packages.
pub fn is_package_database(path: &str) -> bool {
    matches!(
        path,
        "var/lib/dpkg/status"
            | "lib/apk/db/installed"
            | "usr/lib/apk/db/installed"
            | "etc/os-release"
            | "usr/lib/os-release"
    ) || is_status_file(path)
}

fn is_status_file(path: &str) -> bool {
    path.strip_prefix("var/lib/dpkg/status.d/")
        .is_some_and(|name| !name.contains('/') && !name.ends_with(".md5sums"))
}

/// The distribution and its packages, from the contents of the files [`is_package_database`] names.
pub fn distribution_packages(files: &BTreeMap<String, Vec<u8>>) -> (Option<Distribution>, Vec<Package>) {
    let release = files.get("etc/os-release").or_else(|| files.get("usr/lib/os-release"));
    let distribution = release.map(|bytes| os_release(&String::from_utf8_lossy(bytes)));
    let known = distribution.clone().unwrap_or_default();
    let mut packages = Vec::new();
    for (path, bytes) in files {
        let text = String::from_utf8_lossy(bytes);
        let found_in = format!("/{path}");
        if path == "var/lib/dpkg/status" || is_status_file(path) {
            packages.extend(dpkg(&text, &found_in, &known));
        } else if path.ends_with("lib/apk/db/installed") {
            packages.extend(apk(&text, &found_in, &known));
        }
    }
    packages.sort();
    packages.dedup_by(|a, b| a.purl == b.purl);
    (distribution, packages)
}

/// `KEY=value`, in quotes or not.
fn os_release(text: &str) -> Distribution {
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        lines.next().unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    Distribution { id: value("ID").to_lowercase(), version: value("VERSION_ID"), name: value("PRETTY_NAME") }
}

/// `debian-12`, as package URLs have it.
fn distro(distribution: &Distribution) -> String {
    match (&*distribution.id, &*distribution.version) {
        ("", _) => String::new(),
        (id, "") => id.to_owned(),
        (id, version) => format!("{id}-{version}"),
    }
}

/// Paragraphs of `Field: value`; continuation lines begin with a blank.
fn paragraphs(text: &str) -> impl Iterator<Item = BTreeMap<&str, &str>> {
    // A line with nothing but blanks ends a paragraph, too.
    let mut lines = text.lines().peekable();
    std::iter::from_fn(move || {
        while lines.next_if(|line| line.trim().is_empty()).is_some() {}
        lines.peek()?;
        let mut fields = BTreeMap::new();
        while let Some(line) = lines.next_if(|line| !line.trim().is_empty()) {
            if !line.starts_with([' ', '\t'])
                && let Some((field, value)) = line.split_once(':')
            {
                fields.entry(field).or_insert(value.trim());
            }
        }
        Some(fields)
    })
}

fn dpkg(text: &str, found_in: &str, distribution: &Distribution) -> Vec<Package> {
    let namespace = if distribution.id.is_empty() { "debian" } else { &distribution.id };
    let distro = distro(distribution);
    paragraphs(text)
        .filter_map(|fields| {
            let (name, version) = (*fields.get("Package")?, *fields.get("Version")?);
            // What was removed leaves its configuration, and a paragraph. Files of `status.d` have no status.
            let installed = fields.get("Status").is_none_or(|status| status.ends_with(" installed"));
            let architecture = fields.get("Architecture").copied().unwrap_or_default();
            let qualifiers = [("arch", architecture), ("distro", &*distro)];
            installed.then(|| Package {
                purl: purl("deb", &[namespace], name, version, &qualifiers),
                name: name.to_owned(),
                version: version.to_owned(),
                own: false,
                sha256: None,
                licence: None,
                found_in: found_in.to_owned(),
                needs: Vec::new(),
            })
        })
        .collect()
}

fn apk(text: &str, found_in: &str, distribution: &Distribution) -> Vec<Package> {
    let namespace = if distribution.id.is_empty() { "alpine" } else { &distribution.id };
    let distro = distro(distribution);
    paragraphs(text)
        .filter_map(|fields| {
            let (name, version) = (*fields.get("P")?, *fields.get("V")?);
            let architecture = fields.get("A").copied().unwrap_or_default();
            let qualifiers = [("arch", architecture), ("distro", &*distro)];
            Some(Package {
                purl: purl("apk", &[namespace], name, version, &qualifiers),
                name: name.to_owned(),
                version: version.to_owned(),
                own: false,
                sha256: None,
                licence: fields.get("L").filter(|text| !text.is_empty()).map(|text| (*text).to_owned()),
                found_in: found_in.to_owned(),
                needs: Vec::new(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> (Option<Distribution>, Vec<String>) {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let (distribution, packages) = distribution_packages(&files);
        let shown = |package: Package| format!("{} in {}", package.purl, package.found_in);
        (distribution, packages.into_iter().map(shown).collect())
    }

    #[test]
    fn debian_with_and_without_a_package_manager() {
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\
                      Description: the library\n of everything\n Version: 9\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
        let release = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        let (distribution, packages) = read(&[("etc/os-release", release), ("var/lib/dpkg/status", status)]);
        assert_eq!(distribution.unwrap().name, "Debian GNU/Linux 12 (bookworm)");
        let expected = "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12 in /var/lib/dpkg/status";
        assert_eq!(packages, [expected]);

        let distroless = "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n";
        let (distribution, packages) = read(&[
            ("var/lib/dpkg/status.d/base", distroless),
            ("var/lib/dpkg/status.d/base.md5sums", "Package: no\nVersion: 0\n"),
        ]);
        assert_eq!(distribution, None);
        assert_eq!(packages, ["pkg:deb/debian/base-files@12.4?arch=amd64 in /var/lib/dpkg/status.d/base"]);
    }

    #[test]
    fn alpine() {
        let installed = "C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\nF:lib\nR:ld.so\n\n\
                         P:zlib\nV:1.3.1-r1\nA:x86_64\nL:Zlib\n";
        let release = "ID=alpine\nVERSION_ID=3.20.1\n";
        let (_, packages) = read(&[("usr/lib/os-release", release), ("lib/apk/db/installed", installed)]);
        let expected = [
            "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1 in /lib/apk/db/installed",
            "pkg:apk/alpine/zlib@1.3.1-r1?arch=x86_64&distro=alpine-3.20.1 in /lib/apk/db/installed",
        ];
        assert_eq!(packages, expected);
    }

    #[test]
    fn only_databases_are_read() {
        for (path, expected) in [
            ("var/lib/dpkg/status", true),
            ("var/lib/dpkg/status.d/tzdata", true),
            ("var/lib/dpkg/status.d/tzdata.md5sums", false),
            ("var/lib/dpkg/status-old", false),
            ("home/var/lib/dpkg/status", false),
            ("usr/lib/apk/db/installed", true),
        ] {
            assert_eq!(is_package_database(path), expected, "{path}");
        }
    }
}
