//! From a `release.yaml` and its images to the project as it shall be.

use std::collections::{BTreeMap, BTreeSet};

use release_core::{PinnedImage, ServiceName};
use release_manifest::{Environment, Project, Source};
use release_pipeline::{DesireError, Desired, desire};

const YAML: &str = "
project: radio
registry: registry.example.com/radio
services:
  web:
    image: {dockerfile: Dockerfile}
    port: 8080
    needs: [api, tv/guide]
    config: {files: config/web}
    verify: [{http: /healthz}, {url: 'https://radio.example.com/'}]
    strategy: {rolling: {soak: 45s}}
  api:
    image: {dockerfile: api/Dockerfile}
    port: 9000
environments:
  dev: {context: kind-dev, namespace: radio-dev}
";

fn dev() -> Environment {
    let project = Project::parse(&Source::new("release.yaml", YAML), &|_| None, &[]);
    project.and_then(|project| project.environment("dev")).unwrap_or_else(|error| panic!("{error}"))
}

fn name(text: &str) -> ServiceName {
    text.parse().expect("a name")
}

fn images(services: &[&str]) -> BTreeMap<ServiceName, PinnedImage> {
    let image = |service: &str| format!("registry.example.com/radio/{service}@sha256:{}", "a".repeat(64));
    services.iter().map(|service| (name(service), image(service).parse().expect("an image"))).collect()
}

fn desired(images: &BTreeMap<ServiceName, PinnedImage>, only: &[&str]) -> Result<Desired, DesireError> {
    let files = BTreeMap::from([(name("web"), BTreeMap::from([("a.toml".to_owned(), b"x = 1\n".to_vec())]))]);
    desire(&dev(), images, &files, &only.iter().map(|service| name(service)).collect())
}

#[test]
fn a_project_in_words() {
    let desired = desired(&images(&["web", "api"]), &[]).expect("it can be rendered");
    let mut words = String::new();
    for (name, service) in &desired.services {
        let record = &service.record;
        let objects: Vec<_> = record.objects.iter().map(ToString::to_string).collect();
        let needs: Vec<_> = record.needs.iter().map(ToString::to_string).collect();
        let checks: Vec<_> =
            record.checks.iter().map(|(name, check)| format!("{name}: {:?}", check.http.target)).collect();
        words.push_str(&[name.to_string(), record.image.to_string(), objects.join(", ")].join("\n  "));
        words.push_str(
            &[String::new(), needs.join(", "), checks.join("; "), format!("{:?}", record.soak)].join("\n  "),
        );
        words.push('\n');
        let bodies: Vec<_> = service.objects.iter().map(|(object, _)| object.clone()).collect();
        assert_eq!(bodies, record.objects, "the record names what is applied, in that order");
    }
    insta::assert_snapshot!(words);
}

#[test]
fn the_same_input_has_the_same_content() {
    let images = images(&["web", "api"]);
    let once = desired(&images, &[]).expect("it can be rendered");
    assert_eq!(once, desired(&images, &[]).expect("it can be rendered"));
    let files = BTreeMap::from([(name("web"), BTreeMap::from([("a.toml".to_owned(), b"x = 2\n".to_vec())]))]);
    let other = desire(&dev(), &images, &files, &BTreeSet::new()).expect("it can be rendered");
    assert_ne!(once.content(), other.content(), "config files are content");
    let error = desire(&dev(), &images, &BTreeMap::new(), &BTreeSet::new()).expect_err("there are no files");
    assert_eq!(error.to_string(), "service `web` cannot be rendered");
}

#[test]
fn services_that_were_not_asked_for_need_no_image() {
    let desired = desired(&images(&["web"]), &["web"]).expect("it can be rendered");
    assert_eq!(desired.services.keys().map(ServiceName::as_str).collect::<Vec<_>>(), ["web"]);
}

#[test]
fn a_service_without_an_image_is_named() {
    let error = desired(&images(&["web"]), &[]).expect_err("there is no image");
    assert_eq!(
        error.to_string(),
        "there is no image for service `api`: it is neither in the image lock nor pinned in release.yaml"
    );
}
