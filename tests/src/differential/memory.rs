//! What one server has shown of its objects during a script: what later operations refer to.
//!
//! | placeholder | stands for |
//! |---|---|
//! | `<rv:PATH>` | the newest resource version seen of the object |
//! | `<old:PATH>` | the one before it |
//! | `<since:PATH>` | the same, or where the script started |
//! | `<uid:PATH>` | its uid |
//! | `<list>` | the resource version of the newest list |
//! | `<token>` | the continue token of the newest list |
//! | `<start>` | the resource version at which the script started |
//! | `<generated>` | the newest generated name |

use std::collections::BTreeMap;

use serde_json::Value;

use super::operation::Body;

/// What stands in for something that was never seen.
const NO_UID: &str = "00000000-0000-4000-8000-000000000000";

#[derive(Debug, Default)]
struct Seen {
    versions: Vec<String>,
    uid: String,
    object: Value,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) namespace: String,
    pub(super) start: String,
    objects: BTreeMap<String, Seen>,
    list: String,
    token: String,
    generated: String,
}

impl Memory {
    pub(super) fn new(namespace: &str, start: &str) -> Self {
        Self { namespace: namespace.to_owned(), start: start.to_owned(), ..Self::default() }
    }

    /// The text with everything it refers to.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            let found = after.split_once('>').and_then(|(name, left)| Some((self.look_up(name)?, left)));
            out.push_str(before);
            if let Some((value, left)) = found {
                out.push_str(&value);
                rest = left;
            } else {
                out.push('<');
                rest = after;
            }
        }
        (out + rest).replace("{ns}", &self.namespace)
    }

    fn look_up(&self, name: &str) -> Option<String> {
        let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
        Some(match name.split_once(':') {
            None => match name {
                "list" => or(&self.list, &self.start),
                "token" => self.token.clone(),
                "start" => self.start.clone(),
                "generated" => or(&self.generated, "gen-none"),
                _ => return None,
            },
            Some((what @ ("rv" | "old" | "since" | "uid"), path)) => {
                let seen = self.objects.get(path);
                let version = |back: usize| {
                    let versions = seen.map(|s| &s.versions[..]).unwrap_or_default();
                    versions.len().checked_sub(back).and_then(|at| versions.get(at)).cloned()
                };
                match what {
                    "rv" => version(1).unwrap_or_else(|| "1".to_owned()),
                    "since" => version(2).unwrap_or_else(|| self.start.clone()),
                    "old" => version(2).unwrap_or_else(|| "1".to_owned()),
                    _ => or(seen.map(|s| &*s.uid).unwrap_or_default(), NO_UID),
                }
            }
            Some(_) => return None,
        })
    }

    fn fill_value(&self, value: &mut Value) {
        match value {
            Value::String(text) if text.contains(['<', '{']) => *text = self.fill(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill_value(item)),
            Value::Object(map) => map.values_mut().for_each(|item| self.fill_value(item)),
            _ => {}
        }
    }

    /// The bytes of a body.
    pub(super) fn body(&self, body: &Body) -> Vec<u8> {
        let mut value = match body {
            Body::Nothing => return Vec::new(),
            Body::Value(value) => value.clone(),
            Body::Last { object, edits } => {
                let name = object.rsplit('/').next().unwrap_or_default();
                let mut value = match self.objects.get(object) {
                    Some(seen) => seen.object.clone(),
                    None => serde_json::json!({"metadata": {"name": name}}),
                };
                for (pointer, new) in edits {
                    edit(&mut value, pointer, new);
                }
                value
            }
        };
        self.fill_value(&mut value);
        value.to_string().into_bytes()
    }

    /// Notes what an answer to a request for `path` shows.
    pub(super) fn note(&mut self, path: &str, answer: &Value) {
        let metadata = &answer["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if answer["items"].is_array() {
            self.list = text(&metadata["resourceVersion"]);
            if metadata["continue"].is_string() {
                self.token = text(&metadata["continue"]);
            }
            return;
        }
        let (uid, name) = (text(&metadata["uid"]), text(&metadata["name"]));
        if uid.is_empty() || name.is_empty() {
            return;
        }
        let path = path.split('?').next().unwrap_or_default();
        let path = path.strip_suffix("/status").unwrap_or(path);
        let path = path.strip_suffix("/scale").unwrap_or(path);
        let own = format!("/{}", name.replace(&self.namespace, "{ns}"));
        let path = if path.ends_with(&own) { path.to_owned() } else { format!("{path}{own}") };
        if metadata["generateName"].is_string() {
            self.generated = name;
        }
        let seen = self.objects.entry(path).or_default();
        let version = text(&metadata["resourceVersion"]);
        if !version.is_empty() && seen.versions.last() != Some(&version) {
            seen.versions.push(version);
        }
        seen.uid = uid;
        if answer["kind"] != "Scale" {
            seen.object = answer.clone();
        }
    }
}

/// Puts a value at a JSON pointer, making the maps on the way; null removes what is there.
fn edit(value: &mut Value, pointer: &str, new: &Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap_or_default();
    let mut place = value;
    for step in parent.split('/').skip(1).map(unescape) {
        place = match place {
            Value::Array(items) => match step.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
                Some(item) => item,
                None => return,
            },
            // There is no item of a list that is not there.
            Value::Object(map) if step.parse::<usize>().is_err() => {
                map.entry(step).or_insert_with(|| serde_json::json!({}))
            }
            _ => return,
        };
    }
    let last = unescape(last);
    match place {
        Value::Object(map) if new.is_null() => drop(map.remove(&last)),
        Value::Object(map) => drop(map.insert(last, new.clone())),
        Value::Array(items) => match last.parse::<usize>() {
            Ok(at) if at < items.len() => {
                if new.is_null() {
                    items.remove(at);
                } else {
                    items[at] = new.clone();
                }
            }
            _ => items.push(new.clone()),
        },
        _ => {}
    }
}

fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}
