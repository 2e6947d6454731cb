//! The hash of a pod template: it names a ReplicaSet. Stable and short; not the number a real cluster computes,
//! which depends on how Go prints structures.

use serde_json::Value;

/// The alphabet of hashes: no vowels, no look-alikes.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// FNV-1a, 32 bits.
struct Fnv(u32);

impl Fnv {
    fn new() -> Self {
        Self(0x811c_9dc5)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                self.byte(b'{');
                // The order in which fields were written must not matter.
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort_unstable();
                for key in keys {
                    self.bytes(key.as_bytes());
                    self.byte(b':');
                    self.value(&map[key]);
                }
                self.byte(b'}');
            }
            Value::Array(list) => {
                self.byte(b'[');
                for item in list {
                    self.value(item);
                    self.byte(b',');
                }
                self.byte(b']');
            }
            Value::String(text) => {
                self.byte(b'"');
                self.bytes(text.as_bytes());
                self.byte(b'"');
            }
            Value::Number(number) => self.bytes(number.to_string().as_bytes()),
            Value::Bool(yes) => self.byte(if *yes { b't' } else { b'f' }),
            Value::Null => self.byte(b'n'),
        }
    }
}

/// The hash of a template, and of how often its name was taken.
pub(crate) fn of_template(template: &Value, collisions: Option<i64>) -> String {
    let mut hash = Fnv::new();
    hash.value(template);
    if let Some(collisions) = collisions {
        hash.bytes(&collisions.to_le_bytes());
    }
    let letter = |byte: u8| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]);
    hash.0.to_string().bytes().map(letter).collect()
}

/// Whether two pod templates are the same but for the label that holds the hash.
pub(crate) fn same_template(a: &Value, b: &Value, hash_label: &str) -> bool {
    let same_labels = is_covered(&a["metadata"]["labels"], &b["metadata"]["labels"], hash_label)
        && is_covered(&b["metadata"]["labels"], &a["metadata"]["labels"], hash_label);
    let others = ["creationTimestamp", "labels"];
    let same_rest = |a: &Value, b: &Value| {
        let fields = a.as_object().into_iter().flatten();
        fields
            .filter(|(key, value)| !others.contains(&key.as_str()) && !is_nothing(value))
            .all(|(key, value)| b[key] == *value)
    };
    same_labels
        && same_rest(&a["metadata"], &b["metadata"])
        && same_rest(&b["metadata"], &a["metadata"])
        && a["spec"] == b["spec"]
}

fn is_covered(a: &Value, b: &Value, but: &str) -> bool {
    a.as_object().into_iter().flatten().all(|(key, value)| key == but || b[key] == *value)
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hashes_ignore_the_order_of_fields_and_count_collisions() {
        let a = json!({"spec": {"a": 1, "b": [true, null]}});
        let b: Value = serde_json::from_str(r#"{"spec": {"b": [true, null], "a": 1}}"#).unwrap();
        assert_eq!(of_template(&a, None), of_template(&b, None));
        assert_ne!(of_template(&a, None), of_template(&a, Some(1)));
        assert!(of_template(&a, None).bytes().all(|c| ALPHABET.contains(&c)));
    }

    #[test]
    fn templates_are_compared_without_their_hash() {
        let a = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"x": 1}});
        let b = json!({"metadata": {"labels": {"app": "web", "pod-template-hash": "b"}}, "spec": {"x": 1}});
        assert!(same_template(&a, &b, "pod-template-hash"));
        let c = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"x": 2}});
        assert!(!same_template(&a, &c, "pod-template-hash"));
    }
}
