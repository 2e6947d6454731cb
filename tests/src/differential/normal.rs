//! What two servers cannot agree on, replaced by names in the order of its appearance.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The start of generated names in scripts.
pub(super) const GENERATED: &str = "gen-";
/// The alphabet of the five letters at their end.
const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
/// The first two numbers of the addresses of services.
const ADDRESSES: &str = "10.96.";
/// Words before resource versions in messages.
const BEFORE_VERSIONS: &[&str] = &[
    "ResourceVersion in the precondition (",
    "ResourceVersion in record (",
    "ResourceVersion in precondition: ",
    "ResourceVersion in object meta: ",
    "resource version: ",
    "current: ",
];
const TIMES: &[&str] = &["creationTimestamp", "deletionTimestamp", "time"];

/// The names given so far.
#[derive(Debug)]
pub(super) struct Names {
    namespace: String,
    given: BTreeMap<(&'static str, String), usize>,
    counts: BTreeMap<&'static str, usize>,
}

impl Names {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), given: BTreeMap::new(), counts: BTreeMap::new() }
    }

    fn name(&mut self, what: &'static str, text: &str) -> String {
        let key = (what, text.to_owned());
        if let Some(number) = self.given.get(&key) {
            return format!("{what}#{number}");
        }
        let count = self.counts.entry(what).or_default();
        *count += 1;
        let number = *count;
        self.given.insert(key, number);
        format!("{what}#{number}")
    }

    /// The numbers of all resource versions in the order of their values.
    pub(super) fn version_order(&self) -> Vec<usize> {
        let versions = self.given.iter().filter(|((what, _), _)| *what == "version");
        let mut versions: Vec<(u64, usize)> =
            versions.map(|((_, text), number)| (text.parse().unwrap_or(0), *number)).collect();
        versions.sort_unstable();
        versions.into_iter().map(|(_, number)| number).collect()
    }

    /// Gives names to everything in a value.
    pub(super) fn normalise(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => self.map(map),
            Value::Array(items) => items.iter_mut().for_each(|item| self.normalise(item)),
            Value::String(text) => *text = self.text(text),
            _ => {}
        }
    }

    fn map(&mut self, map: &mut Map<String, Value>) {
        let is_list = map.contains_key("items");
        let mut named = Map::new();
        // In the order of the names, whatever the order of the map: names are given in it.
        let fields: BTreeMap<String, Value> = std::mem::take(map).into_iter().collect();
        for (key, mut value) in fields {
            match &mut value {
                // Nothing, written down: whether it is depends on the types inside a server.
                Value::Null => continue,
                // Said twice is said.
                Value::Array(causes) if key == "causes" => {
                    let all = std::mem::take(causes);
                    for cause in all {
                        if !causes.contains(&cause) {
                            causes.push(cause);
                        }
                    }
                    // Managers stand in no order there.
                    if causes.iter().all(|cause| cause["reason"] == "FieldManagerConflict") {
                        causes.sort_by_key(Value::to_string);
                    }
                }
                // Those that say what becomes of dependents come from a map.
                Value::Array(finalizers)
                    if key == "finalizers"
                        && finalizers.iter().any(|f| *f == "orphan" || *f == "foregroundDeletion") =>
                {
                    finalizers.sort_by_key(Value::to_string);
                }
                _ => {}
            }
            match key.as_str() {
                "managedFields" => sort_owners(&mut value),
                "metadata" if is_list => list_metadata(&mut value),
                _ => {}
            }
            match (key.as_str(), &value) {
                // What was sent is quoted: nothing in it is news.
                ("message", Value::String(text)) if text.contains("error found in #") => {}
                ("resourceVersion", Value::String(text)) => value = json!(self.name("version", text)),
                (name, Value::String(_)) if TIMES.contains(&name) => value = json!("time"),
                ("nodePort", Value::Number(port)) if port.as_u64().is_some_and(|p| p >= 30_000) => {
                    value = json!(self.name("port", &port.to_string()));
                }
                _ => self.normalise(&mut value),
            }
            named.insert(self.text(&key), value);
        }
        *map = named;
    }

    fn text(&mut self, text: &str) -> String {
        // The test server keeps its objects under a prefix of its own.
        let mut text = text.replace(&self.namespace, "{ns}").replace("/bare/", "/registry/");
        for before in BEFORE_VERSIONS {
            text = self.replace(&text, "version", |whole, at| {
                let is_there = whole.get(..at)?.ends_with(before);
                is_there.then(|| whole[at..].bytes().take_while(u8::is_ascii_digit).count())
            });
        }
        text = self.replace(&text, "uid", |whole, at| is_uuid(whole.get(at..at + 36)?).then_some(36));
        text = self.replace(&text, "address", |whole, at| {
            let rest = whole.get(at..)?.strip_prefix(ADDRESSES)?;
            let length = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            (rest.get(..length)?.split('.').count() == 2).then_some(ADDRESSES.len() + length)
        });
        self.replace(&text, "generated", |whole, at| {
            let suffix = whole.get(at..)?.strip_prefix(GENERATED)?.get(..5)?;
            suffix.chars().all(|c| ALPHABET.contains(c)).then_some(GENERATED.len() + 5)
        })
    }

    /// Replaces what `found` finds at a position by its name.
    fn replace(
        &mut self,
        text: &str,
        what: &'static str,
        found: impl Fn(&str, usize) -> Option<usize>,
    ) -> String {
        let mut out = String::new();
        let (mut at, mut kept) = (0, 0);
        while at < text.len() {
            match found(text, at).filter(|length| *length > 0) {
                Some(length) => {
                    out.push_str(&text[kept..at]);
                    out.push_str(&self.name(what, &text[at..at + length]));
                    at += length;
                    kept = at;
                }
                None => at += 1,
            }
            while !text.is_char_boundary(at) {
                at += 1;
            }
        }
        out + &text[kept..]
    }
}

/// Owners in an order that does not depend on the times at which they wrote.
fn sort_owners(value: &mut Value) {
    if let Value::Array(entries) = value {
        entries.sort_by_key(|e| {
            (e["manager"].to_string(), e["operation"].to_string(), e["apiVersion"].to_string())
        });
    }
}

/// Others write to the same store: the revision of a list is at least that of everything in it, and no more can be said.
fn list_metadata(value: &mut Value) {
    if let Value::Object(map) = value {
        for (field, word) in [("resourceVersion", "revision"), ("continue", "token")] {
            if let Some(text) = map.get_mut(field).filter(|text| **text != "") {
                *text = json!(word);
            }
        }
    }
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}
