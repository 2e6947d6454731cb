//! A package that is in an image, whoever packed it, and its [package URL](https://github.com/package-url/purl-spec).

use std::fmt::Write as _;

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its package URL. Identifies it in an SBOM.
    pub purl: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is a program of the project's own, or else something it is made with.
    pub own: bool,
    /// The SHA-256 of the archive it came in, as hexadecimal digits.
    pub sha256: Option<String>,
    /// Its licence, as its packagers wrote it.
    pub licence: Option<String>,
    /// Where it was found: the lock file, or the path of a database in the image.
    pub found_in: String,
    /// The package URLs of what it needs, as far as its lock file says.
    pub needs: Vec<String>,
}

/// Puts a package URL together. Qualifiers without a value are left out; the others have to be sorted by name.
pub(crate) fn purl(
    kind: &str,
    namespace: &[&str],
    name: &str,
    version: &str,
    more: &[(&str, &str)],
) -> String {
    let mut purl = format!("pkg:{kind}");
    for part in namespace.iter().chain([&name]) {
        let _ = write!(purl, "/{}", escaped(part));
    }
    if !version.is_empty() {
        let _ = write!(purl, "@{}", escaped(version));
    }
    let given = more.iter().filter(|(_, value)| !value.is_empty());
    for (index, (key, value)) in given.enumerate() {
        let _ = write!(purl, "{}{key}={}", if index == 0 { '?' } else { '&' }, escaped(value));
    }
    purl
}

/// Everything but letters, digits and a few marks as `%XX`. A colon stays: the specification says so.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most are examples of the specification.
    #[test]
    fn package_urls_are_those_of_the_specification() {
        for (found, expected) in [
            (purl("cargo", &[], "rand", "0.7.2", &[]), "pkg:cargo/rand@0.7.2"),
            (
                purl("deb", &["debian"], "curl", "7.50.3-1", &[("arch", "i386"), ("distro", "jessie")]),
                "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie",
            ),
            (
                purl("deb", &["debian"], "libstdc++6", "1:12.2.0-14+deb12u1", &[("arch", "")]),
                "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1",
            ),
            (
                purl(
                    "oci",
                    &[],
                    "debian",
                    "sha256:244fd47e",
                    &[("repository_url", "docker.io/library/debian")],
                ),
                "pkg:oci/debian@sha256:244fd47e?repository_url=docker.io%2Flibrary%2Fdebian",
            ),
        ] {
            assert_eq!(found, expected);
        }
    }
}
