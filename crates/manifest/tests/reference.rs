//! `docs/reference/release-yaml.md`, made from the JSON Schema.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

use release_manifest::schema;
use serde_json::Value;

const REFRESH: &str = "UPDATE_DOCS=1 cargo nextest run -E 'test(reference)'";

#[test]
fn reference_of_release_yaml() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/release-yaml.md");
    let text = page(&schema());
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| !value.is_empty() && value != "0") {
        std::fs::write(&path, &text).expect("docs/reference can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "docs/reference/release-yaml.md is behind the code; refresh it with `{REFRESH}`");
}

/// Where a map of the schema is found: the first place wins.
struct Places<'a> {
    schema: &'a Value,
    /// Definition to path, `services.NAME.image`.
    paths: BTreeMap<&'a str, String>,
}

fn page(schema: &Value) -> String {
    let mut out = String::from(
        "# The keys of release.yaml\n\n\
         <!-- Made from the JSON Schema by a test of release-manifest. Do not edit. -->\n\n\
         `release schema` prints the same as a JSON Schema for editors. Every key that is not listed here is an error. A key\n\
         marked *not yet* is read and checked, and refused by name where it is used.\n",
    );
    let mut places = Places { schema, paths: BTreeMap::new() };
    let mut left = VecDeque::from([(String::new(), schema)]);
    let mut sections = Vec::new();
    while let Some((path, definition)) = left.pop_front() {
        for (key, property) in keys(definition) {
            for (inner, name) in targets(property) {
                let at = format!(
                    "{}{key}{inner}",
                    if path.is_empty() { String::new() } else { format!("{path}.") }
                );
                let definition = &schema["$defs"][name];
                for (name, definition) in maps(schema, name, definition) {
                    if !places.paths.contains_key(name) {
                        places.paths.insert(name, at.clone());
                        left.push_back((at.clone(), definition));
                    }
                }
            }
        }
        sections.push((path, definition));
    }
    for (path, definition) in sections {
        let title = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
        let _ = write!(out, "\n## {title}\n\n{}\n", text(&definition["description"]));
        out.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
        for (key, property) in keys(definition) {
            let required =
                definition["required"].as_array().is_some_and(|all| all.iter().any(|name| name == key));
            let (default, meaning) = split(text(&property["description"]), required);
            let _ = writeln!(out, "| `{key}` | {} | {default} | {meaning} |", places.kind(property));
        }
    }
    values(&mut out, schema, &places);
    out
}

/// The properties of a map, in the order of their names: the order of the schema depends on the build.
fn keys(definition: &Value) -> BTreeMap<&str, &Value> {
    definition["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
        .collect()
}

fn reference(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// The definitions a property leads to, and what is written between the key and theirs.
fn targets(property: &Value) -> Vec<(&'static str, &str)> {
    let mut found = Vec::new();
    found.extend(reference(property).map(|name| ("", name)));
    found.extend(reference(&property["additionalProperties"]).map(|name| (".NAME", name)));
    found.extend(reference(&property["items"]).map(|name| ("[]", name)));
    for choice in property["anyOf"].as_array().into_iter().flatten() {
        found.extend(targets(choice));
    }
    found
}

/// The definition itself when it is a map, else the maps it may be.
fn maps<'a>(schema: &'a Value, name: &'a str, definition: &'a Value) -> Vec<(&'a str, &'a Value)> {
    if definition["properties"].is_object() {
        return vec![(name, definition)];
    }
    let choices = definition["anyOf"].as_array().into_iter().flatten().filter_map(reference);
    choices.flat_map(|name| maps(schema, name, &schema["$defs"][name])).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The default out of a description, and the rest of it.
fn split(description: &str, required: bool) -> (String, String) {
    let mut default = if required { "required".to_owned() } else { String::new() };
    let mut meaning = Vec::new();
    for sentence in description.trim_end_matches('.').split(". ") {
        if sentence.contains(" by default") {
            default = sentence.replacen(" by default", "", 1);
        } else if sentence == "Not part of this version" {
            default.push_str("*not yet*");
        } else {
            meaning.push(sentence);
        }
    }
    let meaning = meaning.join(". ");
    (default, if meaning.is_empty() { String::new() } else { format!("{meaning}.") }.replace('|', "\\|"))
}

impl Places<'_> {
    /// The type of a property, in words.
    fn kind(&self, property: &Value) -> String {
        if let Some(name) = reference(property) {
            return self.named(name);
        }
        let choices: Vec<_> = property["anyOf"].as_array().into_iter().flatten().collect();
        if !choices.is_empty() {
            let kinds: Vec<_> = choices
                .iter()
                .filter(|choice| choice["type"] != "null")
                .map(|choice| self.kind(choice))
                .collect();
            return kinds.join(" or ");
        }
        let kinds: Vec<&str> = match &property["type"] {
            Value::Array(all) => all.iter().map(text).filter(|kind| *kind != "null").collect(),
            one => vec![text(one)],
        };
        match kinds.as_slice() {
            ["array"] => format!("list of {}", self.kind(&property["items"])),
            ["object"] => format!("map from name to {}", self.kind(&property["additionalProperties"])),
            ["string"] => "text".to_owned(),
            ["integer"] => "number".to_owned(),
            ["boolean"] => "`true` or `false`".to_owned(),
            other => panic!("{other:?} has no words"),
        }
    }

    fn named(&self, name: &str) -> String {
        if name == "Anything" {
            return "anything".to_owned();
        }
        let definition = &self.schema["$defs"][name];
        if let Some(path) = self.paths.get(name) {
            return format!("[map](#{})", slug(path));
        }
        if definition["anyOf"]
            .as_array()
            .is_some_and(|all| all.iter().any(|choice| reference(choice).is_some()))
        {
            return self.kind(definition);
        }
        let title = title(name);
        format!("[{title}](#{})", slug(&title))
    }
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// What a simple type is called.
fn title(name: &str) -> String {
    match name {
        "Amounted" => "quantity",
        "CompressionSpec" => "compression",
        "EnvText" => "text or number",
        "Folder" => "folder",
        "FormatSpec" => "format",
        "GateSpec" => "gate",
        "HttpPath" => "path",
        "Needed" => "service",
        "PerPlatform" => "text, or one a platform",
        "Period" => "duration",
        "Port" => "port",
        "Replicas" => "pods",
        "RollbackSpec" => "rollback",
        "SaidSpec" => "claim",
        "Share" => "number or share",
        "Statuses" => "status codes",
        "StrategyName" => "strategy",
        other => panic!("`{other}` has no title"),
    }
    .to_owned()
}

fn values(out: &mut String, schema: &Value, places: &Places<'_>) {
    out.push_str("\n## Values\n");
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten().collect::<BTreeMap<_, _>>() {
        let is_map = places.paths.contains_key(name.as_str());
        let leads_on =
            definition["anyOf"].as_array().is_some_and(|all| all.iter().any(|it| reference(it).is_some()));
        if is_map || leads_on || name == "Anything" {
            continue;
        }
        let mut description = text(&definition["description"]).trim_end_matches('.').to_owned();
        if let Some(first) = description.get(..1).map(str::to_uppercase) {
            description.replace_range(..1, &first);
        }
        let _ = write!(out, "\n### {}\n\n{description}.\n", title(name));
        if let Some(pattern) = definition["pattern"].as_str() {
            let _ = writeln!(out, "It matches `{pattern}`.");
        }
        if let (Some(least), Some(most)) = (definition["minimum"].as_u64(), definition["maximum"].as_u64()) {
            let _ = writeln!(out, "From {least} to {most}.");
        }
        let words: Vec<_> = definition["oneOf"].as_array().into_iter().flatten().collect();
        if !words.is_empty() {
            out.push_str("\n| word | meaning |\n|---|---|\n");
        }
        for word in words {
            let meaning = text(&word["description"]).replace("Not part of this version.", "*Not yet.*");
            let _ = writeln!(out, "| `{}` | {meaning} |", text(&word["const"]));
        }
    }
}
