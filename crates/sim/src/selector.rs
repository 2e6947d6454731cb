//! Label and field selectors.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object::Object;
use crate::status::Status;

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    Missing(String),
    Greater(String, i64),
    Less(String, i64),
}

/// A label selector; the default selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    rules: Vec<Rule>,
}

impl LabelSelector {
    /// Reads `a=b,c!=d,e in (f,g),!h`.
    ///
    /// # Errors
    ///
    /// 400 when it cannot be read.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let mut rules = Vec::new();
        for part in split_outside_brackets(text) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            // What is read too far is named by what stands there.
            let place = if part.contains("===") { "=" } else { part };
            rules.push(parse_rule(part).ok_or_else(|| unreadable(place))?);
        }
        Ok(Self { rules })
    }

    /// Reads a `LabelSelector` object (`matchLabels`, `matchExpressions`).
    pub fn of(selector: &Value) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            rules.push(Rule::In(key.clone(), BTreeSet::from([value])));
        }
        for rule in selector["matchExpressions"].as_array().into_iter().flatten() {
            let key = rule["key"].as_str().unwrap_or_default().to_owned();
            let values: BTreeSet<String> = rule["values"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect();
            rules.push(match rule["operator"].as_str().unwrap_or_default() {
                "NotIn" => Rule::NotIn(key, values),
                "Exists" => Rule::Exists(key),
                "DoesNotExist" => Rule::Missing(key),
                _ => Rule::In(key, values),
            });
        }
        Self { rules }
    }

    /// Reads a plain map of labels, as in a Service's selector.
    pub fn of_map(labels: &Value) -> Self {
        let rules = labels
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| Rule::In(k.clone(), BTreeSet::from([v.as_str().unwrap_or_default().to_owned()])))
            .collect();
        Self { rules }
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Value) -> bool {
        self.rules.iter().all(|rule| rule.matches(labels))
    }
}

impl Rule {
    fn matches(&self, labels: &Value) -> bool {
        let get = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Rule::In(key, values) => get(key).is_some_and(|v| values.contains(v)),
            Rule::NotIn(key, values) => get(key).is_none_or(|v| !values.contains(v)),
            Rule::Exists(key) => get(key).is_some(),
            Rule::Missing(key) => get(key).is_none(),
            Rule::Greater(key, than) => {
                get(key).and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v > *than)
            }
            Rule::Less(key, than) => get(key).and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v < *than),
        }
    }
}

/// Says where a requirement stops making sense.
fn unreadable(part: &str) -> Status {
    let mut words = part.split_whitespace();
    let (first, second, third) = (words.next().unwrap_or_default(), words.next(), words.next());
    let why = match (second, third) {
        (Some("in" | "notin"), Some(word)) => format!("found '{word}' expected: '('"),
        (Some(word), _) => format!("found '{word}', expected: '=', '!=', '==', 'in', notin'"),
        _ => format!("found '{first}', expected: identifier"),
    };
    Status::bad_request(format!("unable to parse requirement: {why}"))
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0_usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
}

fn parse_rule(part: &str) -> Option<Rule> {
    if let Some(key) = part.strip_prefix('!') {
        return is_key(key.trim()).then(|| Rule::Missing(key.trim().to_owned()));
    }
    let one = |key: &str, value: &str| {
        let (key, value) = (key.trim(), value.trim());
        let fine = is_key(key) && (value.is_empty() || (is_key(value) && !value.contains('/')));
        fine.then(|| (key.to_owned(), BTreeSet::from([value.to_owned()])))
    };
    if let Some((key, value)) = part.split_once("!=") {
        return one(key, value).map(|(key, values)| Rule::NotIn(key, values));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return one(key, value).map(|(key, values)| Rule::In(key, values));
    }
    if let Some((key, value)) = part.split_once('>') {
        return Some(Rule::Greater(key.trim().to_owned(), value.trim().parse().ok()?));
    }
    if let Some((key, value)) = part.split_once('<') {
        return Some(Rule::Less(key.trim().to_owned(), value.trim().parse().ok()?));
    }
    if let Some((head, list)) = part.split_once('(') {
        let values = list.strip_suffix(')')?.split(',').map(|v| v.trim().to_owned()).collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        let key = key.trim();
        return match operator {
            _ if !is_key(key) => None,
            "in" => Some(Rule::In(key.to_owned(), values)),
            "notin" => Some(Rule::NotIn(key.to_owned(), values)),
            _ => None,
        };
    }
    is_key(part).then(|| Rule::Exists(part.to_owned()))
}

/// A field selector; the default selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<(String, bool, String)>,
}

impl FieldSelector {
    /// Reads `a.b=c,d.e!=f`.
    ///
    /// # Errors
    ///
    /// 400 when it cannot be read.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let mut terms = Vec::new();
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (field, true, value)
            } else {
                let why = format!("invalid selector: '{text}'; can't understand '{part}'");
                return Err(Status::bad_request(why));
            };
            terms.push((field.to_owned(), equal, value.to_owned()));
        }
        Ok(Self { terms })
    }

    /// Selects the object with that name.
    pub fn name(name: &str) -> Self {
        Self { terms: vec![("metadata.name".to_owned(), true, name.to_owned())] }
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The first field that objects of the kind cannot be selected by.
    pub(crate) fn unsupported(&self, plural: &str, custom: &[String]) -> Option<&str> {
        let known = |field: &str| {
            matches!(field, "metadata.name" | "metadata.namespace")
                || FIELDS.iter().any(|(of, fields)| *of == plural && fields.contains(&field))
                || custom.iter().any(|f| f.trim_start_matches('.') == field)
        };
        self.terms.iter().map(|(field, ..)| field.as_str()).find(|field| !known(field))
    }

    /// Whether objects of the kind can be selected by fields of their own.
    pub(crate) fn has_own(plural: &str) -> bool {
        FIELDS.iter().any(|(of, _)| *of == plural)
    }

    /// Whether the object is selected.
    pub fn matches(&self, object: &Object) -> bool {
        self.terms.iter().all(|(field, equal, value)| (field_of(object, field) == *value) == *equal)
    }
}

/// By which fields objects can be selected, besides their name and namespace.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
    ),
    (
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reportingController",
        ],
    ),
    ("secrets", &["type"]),
    ("namespaces", &["status.phase"]),
    ("nodes", &["spec.unschedulable"]),
    ("replicationcontrollers", &["status.replicas"]),
    ("replicasets", &["status.replicas"]),
    ("jobs", &["status.successful"]),
    ("services", &["spec.clusterIP", "spec.type"]),
];

fn field_of(object: &Object, field: &str) -> String {
    match field {
        "metadata.name" => return object.name().to_owned(),
        "metadata.namespace" => return object.namespace().to_owned(),
        "status.successful" => return object["status"]["succeeded"].as_i64().unwrap_or(0).to_string(),
        "source" if object["source"]["component"].is_string() => {
            return object["source"]["component"].as_str().unwrap_or_default().to_owned();
        }
        "source" | "reportingController" => {
            return object["reportingComponent"].as_str().unwrap_or_default().to_owned();
        }
        "spec.unschedulable" | "spec.hostNetwork" => {
            let (section, key) = field.split_once('.').unwrap_or((field, ""));
            return object[section][key].as_bool().unwrap_or(false).to_string();
        }
        _ => {}
    }
    let field = field.strip_prefix("regarding.").map_or(field.to_owned(), |f| format!("involvedObject.{f}"));
    let mut parts = field.trim_start_matches('.').split('.');
    let mut value = &object[parts.next().unwrap_or_default()];
    for part in parts {
        value = &value[part];
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels() {
        let labels = json!({"app": "web", "tier": "front", "n": "3"});
        let selects = |text: &str| LabelSelector::parse(text).unwrap().matches(&labels);
        for text in [
            "",
            "app=web",
            "app==web",
            "app!=db",
            "x!=y",
            "app in (db, web)",
            "x notin (a)",
            "app",
            "!x",
            "n>2",
            "app=web,tier in (front)",
        ] {
            assert!(selects(text), "{text}");
        }
        for text in ["app=db", "app!=web", "app in (db)", "app notin (web,db)", "x", "!app", "n<3", "x="] {
            assert!(!selects(text), "{text}");
        }
        for text in ["a b", "app in web", "=x", "a=b=c"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn selector_objects() {
        let selector = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "c", "operator": "NotIn", "values": ["d"]}, {"key": "e", "operator": "Exists"}]});
        let selector = LabelSelector::of(&selector);
        assert!(selector.matches(&json!({"a": "b", "e": ""})));
        assert!(!selector.matches(&json!({"a": "b", "c": "d", "e": ""})));
        assert!(!selector.matches(&json!({"a": "b"})));
    }
}
