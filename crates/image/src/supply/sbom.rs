//! What is in an image, as a [CycloneDX 1.6](https://cyclonedx.org/docs/1.6/json/) document.
//!
//! The same image and packages give the same document: its serial number is made from its content, and there is a time in it
//! only when one is given. It says of itself that it may not be complete: of files that no package database or lock file
//! knows, nothing is said.

use std::collections::BTreeSet;

use jiff::Timestamp;
use release_core::PinnedImage;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::distribution::Distribution;
use super::package::{Package, purl};
use crate::native::json::canonical;

/// Who made the document.
const TOOL: &str = "release";

/// The namespace of our own properties.
const FOUND_IN: &str = "release:found-in";

/// Everything that is known to be in an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Sbom {
    /// The image.
    pub image: PinnedImage,
    /// When it was made, in seconds since 1970: `SOURCE_DATE_EPOCH`, if that is given.
    pub created: Option<u64>,
    /// What it is based on.
    pub distribution: Option<Distribution>,
    /// Its packages.
    pub packages: Vec<Package>,
}

impl Sbom {
    /// The document.
    pub fn to_value(&self) -> Value {
        let image = self.image_component();
        let mut packages: Vec<&Package> = self.packages.iter().collect();
        packages.sort();
        packages.dedup_by(|a, b| a.purl == b.purl);
        let known: BTreeSet<&str> = packages.iter().map(|package| &*package.purl).collect();
        let components = packages.iter().map(|package| component(package));
        let components: Vec<Value> = self.operating_system().into_iter().chain(components).collect();
        let mut dependencies = vec![json!({"ref": image["bom-ref"], "dependsOn": Self::roots(&packages)})];
        dependencies.extend(packages.iter().map(|package| {
            let needs: Vec<&String> = package.needs.iter().filter(|need| known.contains(&***need)).collect();
            json!({"ref": package.purl, "dependsOn": needs})
        }));
        let mut metadata = json!({
            "tools": {"components": [
                {"type": "application", "name": TOOL, "version": env!("CARGO_PKG_VERSION")},
            ]},
            "component": image,
        });
        if let Some(time) = self.created.and_then(time) {
            metadata["timestamp"] = time.into();
        }
        let mut document = json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": metadata,
            "components": components,
            "dependencies": dependencies,
            "compositions": [{"aggregate": "unknown", "assemblies": [metadata["component"]["bom-ref"]]}],
        });
        document["serialNumber"] = serial_number(&document).into();
        document
    }

    fn image_component(&self) -> Value {
        let repository = self.image.repository.to_string();
        let name = repository.rsplit('/').next().unwrap_or(&repository);
        let purl = purl("oci", &[], name, self.image.digest.as_str(), &[("repository_url", &repository)]);
        json!({
            "type": "container",
            "bom-ref": purl,
            "name": repository,
            "version": self.image.digest.as_str(),
            "purl": purl,
            "hashes": [{"alg": "SHA-256", "content": self.image.digest.hex()}],
        })
    }

    fn operating_system(&self) -> Option<Value> {
        let Distribution { id, version, name } = self.distribution.as_ref().filter(|it| !it.id.is_empty())?;
        let mut value = json!({
            "type": "operating-system",
            "bom-ref": format!("os:{id}-{version}"),
            "name": id,
            "version": version,
        });
        if !name.is_empty() {
            value["description"] = name.as_str().into();
        }
        Some(value)
    }

    /// What the image itself consists of: packages that no other package needs.
    fn roots<'a>(packages: &[&'a Package]) -> Vec<&'a str> {
        let needed: BTreeSet<&str> =
            packages.iter().flat_map(|package| &package.needs).map(String::as_str).collect();
        packages.iter().map(|package| &*package.purl).filter(|purl| !needed.contains(purl)).collect()
    }
}

fn component(package: &Package) -> Value {
    let mut value = json!({
        "type": if package.own { "application" } else { "library" },
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "properties": [{"name": FOUND_IN, "value": package.found_in}],
    });
    if let Some(digits) = &package.sha256 {
        value["hashes"] = json!([{"alg": "SHA-256", "content": digits}]);
    }
    if let Some(licence) = &package.licence {
        // A name, not an expression: distributions write what no parser of SPDX accepts.
        value["licenses"] = json!([{"license": {"name": licence}}]);
    }
    value
}

fn time(seconds: u64) -> Option<String> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok().map(|time| time.to_string())
}

/// A [version 8 UUID](https://www.rfc-editor.org/rfc/rfc9562#section-5.8) of the content.
fn serial_number(document: &Value) -> String {
    let hash: [u8; 32] = Sha256::digest(canonical(document)).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests;
