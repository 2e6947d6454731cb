//! What services are rendered to.

use std::collections::BTreeMap;

use release_core::PinnedImage;
use release_manifest::{Environment, ImageSource, Object, Project, RenderError, Source, render, to_yaml};

const MINIMAL: &str = include_str!("../examples/minimal.yaml");
const FULL: &str = include_str!("../examples/full.yaml");

fn environment(text: &str, name: &str) -> Environment {
    let vars = |name: &str| (name == "REGION").then(|| "eu-1".to_owned());
    Project::parse(&Source::new("release.yaml", text), &vars, &[])
        .and_then(|project| project.environment(name))
        .unwrap_or_else(|error| panic!("{}", error.render(release_manifest::Color::Never)))
}

fn image() -> PinnedImage {
    format!("registry.example.com/radio/player-api@sha256:{}", "ab".repeat(32)).parse().unwrap()
}

fn files() -> BTreeMap<String, Vec<u8>> {
    [("player.toml", b"[player]\nbitrate = 128\n".to_vec()), ("logo.bin", vec![0xff, 0, 1])]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .into()
}

fn objects(
    environment: &Environment,
    service: &str,
    files: BTreeMap<String, Vec<u8>>,
) -> Result<Vec<Object>, RenderError> {
    let service = &environment.services[&service.parse().unwrap()];
    render(service, &image(), &environment.render_context(files))
}

fn of_kind<'a>(objects: &'a [Object], kind: &str) -> &'a serde_json::Value {
    objects.iter().find(|object| object.kind() == kind).expect(kind).value()
}

#[test]
fn a_minimal_service() {
    let dev = environment(MINIMAL, "dev");
    insta::assert_snapshot!(to_yaml(&objects(&dev, "web", BTreeMap::new()).unwrap()));
}

#[test]
fn a_full_service() {
    let prod = environment(FULL, "prod");
    insta::assert_snapshot!(to_yaml(&objects(&prod, "player-api", files()).unwrap()));
}

#[test]
fn the_full_example_in_words() {
    insta::assert_debug_snapshot!(environment(FULL, "dev"));
}

#[test]
fn equal_input_renders_to_equal_bytes() {
    let render = || to_yaml(&objects(&environment(FULL, "prod"), "player-api", files()).unwrap());
    assert_eq!(render(), render());
}

#[test]
fn config_changes_the_template_and_scale_does_not() {
    let mut dev = environment(FULL, "dev");
    let name = "player-api".parse().unwrap();
    let template = |environment: &Environment, files| {
        let objects = objects(environment, "player-api", files).unwrap();
        of_kind(&objects, "Deployment")["spec"]["template"].clone()
    };
    let first = template(&dev, files());
    let mut other = files();
    other.insert("player.toml".to_owned(), b"[player]\nbitrate = 320\n".to_vec());
    assert_ne!(first, template(&dev, other));
    dev.services.get_mut(&name).unwrap().replicas = 17;
    assert_eq!(first, template(&dev, files()));
}

#[test]
fn an_autoscaler_owns_the_replicas() {
    let objects = objects(&environment(FULL, "prod"), "player-api", files()).unwrap();
    assert!(of_kind(&objects, "Deployment")["spec"].get("replicas").is_none());
    assert_eq!(of_kind(&objects, "HorizontalPodAutoscaler")["spec"]["minReplicas"], 12);
}

#[test]
fn selectors_do_not_depend_on_the_environment() {
    let selector = |name: &str| {
        let objects = objects(&environment(FULL, name), "player-api", files()).unwrap();
        of_kind(&objects, "Deployment")["spec"]["selector"].clone()
    };
    assert_eq!(selector("dev"), selector("prod"));
}

#[test]
fn nothing_is_written_that_means_nothing() {
    fn search(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Null => found.push(path.to_owned()),
            serde_json::Value::Object(map) => {
                // An `emptyDir` is told by the presence of its empty map.
                if map.is_empty() && !path.ends_with("/emptyDir") {
                    found.push(path.to_owned());
                }
                map.iter().for_each(|(key, value)| search(value, &format!("{path}/{key}"), found));
            }
            serde_json::Value::Array(items) => {
                if items.is_empty() {
                    found.push(path.to_owned());
                }
                for value in items {
                    search(value, path, found);
                }
            }
            _ => {}
        }
    }
    for (text, name, service, files) in
        [(MINIMAL, "dev", "web", BTreeMap::new()), (FULL, "prod", "player-api", files())]
    {
        for object in objects(&environment(text, name), service, files).unwrap() {
            let mut found = Vec::new();
            search(object.value(), "", &mut found);
            assert!(found.is_empty(), "{}: {found:?}", object.object_ref());
            assert!(object.value().get("status").is_none());
        }
    }
}

#[test]
fn config_that_does_not_fit_is_refused() {
    let dev = environment(FULL, "dev");
    let big = [("big.bin".to_owned(), vec![0; 1024 * 1024])].into();
    let named = [("a b".to_owned(), Vec::new())].into();
    let mut bare = environment(FULL, "dev");
    let service = bare.services.get_mut(&"player-api".parse().unwrap()).unwrap();
    service.config.as_mut().unwrap().data.clear();
    let mut twice = environment(FULL, "dev");
    let service = twice.services.get_mut(&"player-api".parse().unwrap()).unwrap();
    service.security.writable = vec!["/tmp".to_owned(), "/tmp".to_owned()];
    let errors = [
        objects(&dev, "player-api", big),
        objects(&dev, "player-api", named),
        objects(&bare, "player-api", BTreeMap::new()),
        objects(&twice, "player-api", files()),
    ];
    let texts: Vec<_> = errors.into_iter().map(|result| result.unwrap_err().to_string()).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn a_drain_command_takes_the_place_of_the_sleep_hook() {
    let mut dev = environment(MINIMAL, "dev");
    let service = dev.services.get_mut(&"web".parse().unwrap()).unwrap();
    service.shutdown.command = vec!["sleep".to_owned(), "5".to_owned()];
    let objects = objects(&dev, "web", BTreeMap::new()).unwrap();
    let container = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["lifecycle"], serde_json::json!({"preStop": {"exec": {"command": ["sleep", "5"]}}}));
}

#[test]
fn root_is_possible_and_visible() {
    let mut dev = environment(MINIMAL, "dev");
    dev.services.get_mut(&"web".parse().unwrap()).unwrap().security.root = true;
    let yaml = to_yaml(&objects(&dev, "web", BTreeMap::new()).unwrap());
    assert!(
        !yaml.contains("runAsNonRoot") && !yaml.contains("runAsUser") && !yaml.contains("drop:"),
        "{yaml}"
    );
    assert!(yaml.contains("allowPrivilegeEscalation: false"), "{yaml}");
}

#[test]
fn waves_follow_needs() {
    let dev = environment(FULL, "dev");
    let waves: Vec<Vec<_>> =
        dev.waves().into_iter().map(|wave| wave.into_iter().map(|name| name.to_string()).collect()).collect();
    assert_eq!(waves, [["programmes"], ["player-api"]]);
    assert!(matches!(dev.services[&"programmes".parse().unwrap()].image, ImageSource::Pinned(_)));
}
