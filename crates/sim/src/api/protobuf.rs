//! Bodies in protobuf: clients with compiled types send them, as `kubectl create` and `kubectl auth` do.
//!
//! Only kinds that such commands make are known; for all others the answer is 415, as a server says that has no protobuf
//! of a kind. Answers are always JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::schema::builtin::{Code, Leaf, kinds, type_at};

/// What a body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// How deep messages may lie in each other: deeper than any type does.
const MAX_DEPTH: usize = 32;

/// The numbers of fields, a type a line. A `?` is a field that may be absent, so that its zero means something.
const NUMBERS: &str = include_str!("../../tables/protobuf.txt");

/// An object as JSON; nothing if it is none that is known.
pub(super) fn read(body: &[u8]) -> Option<Value> {
    let (mut type_meta, mut raw) = (&[][..], &[][..]);
    for field in Fields(body.strip_prefix(MAGIC)?) {
        match field? {
            (1, Wire::Bytes(bytes)) => type_meta = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut api_version, mut kind) = ("", "");
    for field in Fields(type_meta) {
        match field? {
            (1, Wire::Bytes(bytes)) => api_version = std::str::from_utf8(bytes).ok()?,
            (2, Wire::Bytes(bytes)) => kind = std::str::from_utf8(bytes).ok()?,
            _ => {}
        }
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let line = kinds().iter().find(|k| k.kind == kind && k.group == group && k.version == version)?;
    let mut object = message(line.shape, raw, 0)?;
    object.insert("apiVersion".to_owned(), json!(api_version));
    object.insert("kind".to_owned(), json!(kind));
    Some(Value::Object(object))
}

/// The name of a field, and whether its zero means something.
fn name_of(of: &str, number: u64) -> Option<(&'static str, bool)> {
    let line = NUMBERS.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(' '))?;
    line.split(' ').find_map(|word| {
        let (name, at) = word.split_once('=')?;
        (at.parse() == Ok(number)).then_some((name.trim_end_matches('?'), name.ends_with('?')))
    })
}

fn message(index: usize, bytes: &[u8], depth: usize) -> Option<Map<String, Value>> {
    if depth > MAX_DEPTH {
        return None;
    }
    let of = type_at(index);
    let mut object = Map::new();
    for field in Fields(bytes) {
        let (number, wire) = field?;
        let Some((name, keeps_zero)) = name_of(of.name, number) else {
            // What says nothing can be left out.
            if wire.is_zero() {
                continue;
            }
            return None;
        };
        let code = Code::of_type(index).field(name)?.code;
        if code.is_list() {
            let value = scalar(code.item(), wire, depth)?;
            let list = object.entry(name).or_insert_with(|| json!([]));
            list.as_array_mut()?.push(value);
        } else if code.is_map() {
            let (key, value) = entry(code.item(), wire, depth)?;
            let map = object.entry(name).or_insert_with(|| json!({}));
            map.as_object_mut()?.insert(key, value);
        } else if keeps_zero || !wire.is_zero() {
            object.insert(name.to_owned(), scalar(code, wire, depth)?);
        }
    }
    Some(object)
}

fn entry(code: Code, wire: Wire<'_>, depth: usize) -> Option<(String, Value)> {
    let Wire::Bytes(bytes) = wire else { return None };
    let mut key = String::new();
    let mut value = None;
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => key = String::from_utf8(bytes.to_vec()).ok()?,
            (2, wire) => value = scalar(code, wire, depth),
            _ => {}
        }
    }
    let empty = || scalar(code, Wire::Bytes(&[]), depth);
    Some((key, value.or_else(empty)?))
}

fn scalar(code: Code, wire: Wire<'_>, depth: usize) -> Option<Value> {
    match (code.leaf, wire) {
        (Leaf::Text, Wire::Bytes(bytes)) => Some(json!(std::str::from_utf8(bytes).ok()?)),
        (Leaf::Bytes, Wire::Bytes(bytes)) => Some(json!(STANDARD.encode(bytes))),
        (Leaf::Bool, Wire::Number(number)) => Some(json!(number != 0)),
        (Leaf::Int, Wire::Number(number)) => Some(json!(number.cast_signed())),
        (Leaf::Quantity, Wire::Bytes(bytes)) => match Fields(bytes).next() {
            Some(Some((1, Wire::Bytes(text)))) => Some(json!(std::str::from_utf8(text).ok()?)),
            _ => None,
        },
        (Leaf::IntOrText, Wire::Bytes(bytes)) => int_or_text(bytes),
        (Leaf::Type(index), Wire::Bytes(bytes)) => message(index, bytes, depth + 1).map(Value::Object),
        _ => None,
    }
}

fn int_or_text(bytes: &[u8]) -> Option<Value> {
    let (mut is_text, mut number, mut text) = (false, 0, "");
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(value)) => text = std::str::from_utf8(value).ok()?,
            _ => {}
        }
    }
    Some(if is_text { json!(text) } else { json!(number) })
}

/// One value as it is sent.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Wire<'_> {
    fn is_zero(self) -> bool {
        match self {
            Wire::Number(number) => number == 0,
            Wire::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

/// The fields of a message with their numbers; `None` where it is broken.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for (at, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.0 = &self.0[at + 1..];
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self, len: u64) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(head)
    }

    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.number()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.number()?),
            2 => {
                let len = self.number()?;
                Wire::Bytes(self.bytes(len)?)
            }
            // Floating point numbers do not occur in what is known.
            _ => return None,
        };
        Some((tag >> 3, wire))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map() {
        let mut body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x16".to_vec();
        body.extend(b"\x0a\x0a\x0a\x08settings\x12\x08\x0a\x01a\x12\x03b c");
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b c"}});
        assert_eq!(read(&body), Some(object));
    }

    #[test]
    fn what_is_broken_or_unknown_is_none() {
        for body in [&b"k8s\0"[..], b"", b"k8s\0\x0a\xff\x01", b"k8s\0\x0a\x08\x0a\x02v1\x12\x02No", b"{}"] {
            assert_eq!(read(body), None, "{body:?}");
        }
    }

    #[test]
    fn every_field_of_the_table_exists() {
        for line in NUMBERS.lines() {
            let (name, fields) = line.split_once(' ').expect("a type and its fields");
            let index = crate::schema::builtin::type_named(name).expect(name);
            for field in fields.split(' ') {
                let (field, number) = field.split_once('=').expect("a number");
                let field = field.trim_end_matches('?');
                assert!(Code::of_type(index).field(field).is_some(), "{name} has no {field}");
                assert!(number.parse::<u64>().is_ok(), "{number}");
            }
        }
    }
}
