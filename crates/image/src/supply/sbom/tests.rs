//! The document, and that it is the same every time.

use std::collections::BTreeMap;

use super::*;
use crate::supply::{cargo_packages, distribution_packages};

fn sbom() -> Sbom {
    let lock = r#"
        [[package]]
        name = "player"
        version = "0.3.0"
        dependencies = ["log"]

        [[package]]
        name = "log"
        version = "0.4.20"
        source = "registry+https://index.example.com"
        checksum = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "#;
    let mut packages = cargo_packages(lock, "Cargo.lock", &BTreeSet::new()).unwrap();
    let files = BTreeMap::from([
        ("etc/os-release".to_owned(), b"ID=alpine\nVERSION_ID=3.20.1\nPRETTY_NAME=\"Alpine\"".to_vec()),
        ("lib/apk/db/installed".to_owned(), b"P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n".to_vec()),
    ]);
    let (distribution, more) = distribution_packages(&files);
    packages.extend(more);
    let image = format!("registry.example.com/radio/player@sha256:{}", "b".repeat(64)).parse().unwrap();
    Sbom { image, created: None, distribution, packages }
}

#[test]
fn a_document_in_full() {
    let mut document = sbom().to_value();
    // The tool's version is in it, and so in the serial number.
    document["metadata"]["tools"]["components"][0]["version"] = "VERSION".into();
    document["serialNumber"] = "SERIAL".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn the_same_content_is_the_same_document() {
    let mut other = sbom();
    other.packages.reverse();
    other.packages.push(other.packages[0].clone());
    assert_eq!(canonical(&other.to_value()), canonical(&sbom().to_value()));
}

#[test]
fn the_serial_number_is_one_of_the_content() {
    let number = |sbom: &Sbom| sbom.to_value()["serialNumber"].as_str().unwrap().to_owned();
    let first = number(&sbom());
    let mut less = sbom();
    less.packages.pop();
    assert_ne!(number(&less), first);
    // The pattern of CycloneDX's schema; version 8, variant 10.
    let parts: Vec<&str> = first.strip_prefix("urn:uuid:").unwrap().split('-').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert!(parts[2].starts_with('8') && parts[3].starts_with(['8', '9', 'a', 'b']), "{first}");
}

#[test]
fn there_is_a_time_only_when_one_is_given() {
    let mut dated = sbom();
    assert_eq!(dated.to_value()["metadata"].get("timestamp"), None);
    dated.created = Some(1_700_000_000);
    assert_eq!(dated.to_value()["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
}

#[test]
fn every_reference_is_to_something_that_is_there_and_every_name_is_given_once() {
    let document = sbom().to_value();
    let names = |list: &Value, key: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    };
    let mut given = names(&document["components"], "bom-ref");
    given.push(document["metadata"]["component"]["bom-ref"].as_str().unwrap().to_owned());
    let distinct: BTreeSet<&String> = given.iter().collect();
    assert_eq!(distinct.len(), given.len());
    for item in document["dependencies"].as_array().unwrap() {
        let needs = item["dependsOn"].as_array().unwrap().iter().filter_map(Value::as_str);
        for name in needs.chain(item["ref"].as_str()) {
            assert!(given.iter().any(|known| known == name), "{name}");
        }
    }
}
