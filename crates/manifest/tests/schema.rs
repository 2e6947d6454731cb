//! The JSON Schema says what the parser does.

use std::collections::BTreeSet;

use release_manifest::{Color, Project, Source, schema};
use serde_json::Value;

/// Every documented key, those of later versions included: it parses, whatever can be released.
const DOCUMENTED: &str = include_str!("../examples/documented.yaml");

fn parse(text: &str) -> Project {
    Project::parse(&Source::new("release.yaml", text), &|_| None, &[])
        .unwrap_or_else(|error| panic!("{}", error.render(Color::Never)))
}

#[test]
fn every_documented_key_parses() {
    for text in [DOCUMENTED, include_str!("../examples/minimal.yaml"), include_str!("../examples/full.yaml")]
    {
        parse(text);
    }
}

#[test]
fn every_map_is_closed_and_every_key_described() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut maps = 0;
    for (name, definition) in definitions(&schema) {
        let Some(properties) = definition["properties"].as_object() else { continue };
        maps += 1;
        assert_eq!(definition["additionalProperties"], false, "{name}");
        for (key, property) in properties {
            assert!(property["description"].is_string(), "{name}.{key} has no description: {property}");
        }
    }
    assert!(maps > 10, "{maps} maps");
}

fn definitions(schema: &Value) -> Vec<(String, &Value)> {
    let inner = schema["$defs"].as_object().into_iter().flatten();
    inner.map(|(name, value)| (name.clone(), value)).chain([("release.yaml".to_owned(), schema)]).collect()
}

/// The keys the parser lists when it meets one that nobody knows.
fn accepted(text: &str) -> BTreeSet<String> {
    let error = Project::parse(&Source::new("release.yaml", text), &|_| None, &[]).expect_err(text);
    let help = &error.problems[0].help[0];
    help.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_schema_has_exactly_the_keys_the_parser_accepts() {
    let schema = schema();
    let service = |inside: &str| format!("project: p\nservices: {{s: {{{inside}}}}}\n");
    for (definition, text) in [
        ("release.yaml", "project: p\nqqq: 1\n".to_owned()),
        ("EnvironmentSpec", "project: p\nenvironments: {e: {qqq: 1}}\n".to_owned()),
        ("SignSpec", "project: p\nsign: {key: k, qqq: 1}\n".to_owned()),
        ("PolicySpec", "project: p\nenvironments: {e: {policy: {qqq: 1}}}\n".to_owned()),
        ("SignedSpec", "project: p\nenvironments: {e: {policy: {signed: {keys: [], qqq: 1}}}}\n".to_owned()),
        ("ServiceSpec", service("qqq: 1")),
        ("ImageSpec", service("image: {qqq: 1}")),
        ("BuildSecretSpec", service("image: {secrets: [{qqq: 1}]}")),
        ("LayerSpec", service("image: {layers: [{qqq: 1}]}")),
        ("RustSpec", service("image: {rust: {qqq: 1}}")),
        ("HealthcheckSpec", service("image: {healthcheck: {qqq: 1}}")),
        ("ResourcesSpec", service("resources: {qqq: 1}")),
        ("ConfigSpec", service("config: {qqq: 1}")),
        ("HealthSpec", service("health: {qqq: 1}")),
        ("BeforeSpec", service("before: {m: {qqq: 1}}")),
        ("StrategyMap", service("strategy: {qqq: 1}")),
        ("RollingSpec", service("strategy: {rolling: {qqq: 1}}")),
        ("VerifySpec", service("verify: [{qqq: 1}]")),
        ("IngressSpec", service("ingress: {qqq: 1}")),
        ("DisruptionSpec", service("disruption: {qqq: 1}")),
        ("AutoscaleSpec", service("autoscale: {qqq: 1}")),
        ("ShutdownSpec", service("shutdown: {qqq: 1}")),
        ("SecuritySpec", service("security: {qqq: 1}")),
    ] {
        let all = definitions(&schema);
        let (_, found) = all.iter().find(|(name, _)| name == definition).expect(definition);
        let keys: BTreeSet<String> =
            found["properties"].as_object().expect(definition).keys().cloned().collect();
        assert_eq!(keys, accepted(&text), "{definition}");
    }
    let maps = definitions(&schema).iter().filter(|(_, value)| value["properties"].is_object()).count();
    assert_eq!(maps, 23, "a map of the schema is not compared above");
}

#[test]
fn the_schema_as_editors_get_it() {
    // The order of keys depends on what else is in the build.
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(schema()) });
}
