//! From the tree to the structures of [`super::spec`], keeping place and path for every complaint.
//!
//! A serde deserializer over [`Node`]: the structures also make the JSON Schema, so the two cannot disagree.

use std::fmt::{self, Display};

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::tree::{Entry, Node, Value};
use crate::problem::{Problem, ProblemKind, ProjectError, closest, listed};
use crate::source::Place;

/// The newtype name under which [`super::value::EnvText`] asks for a scalar as it was written.
pub(crate) const AS_WRITTEN: &str = "$as-written";

/// Reads `node`, which stands at `path`.
pub(crate) fn decode<T: de::DeserializeOwned>(node: &Node, path: &str) -> Result<T, ProjectError> {
    T::deserialize(node).map_err(|fault| fault.into_problem(path, node).into())
}

/// A complaint on its way up, collecting where it happened.
#[derive(Debug)]
pub(crate) struct Fault {
    place: Option<Place>,
    path: Vec<String>,
    what: What,
}

#[derive(Debug)]
enum What {
    Custom(String),
    Type { expected: String },
    Unknown { found: String, known: &'static [&'static str], key: bool },
    Missing(&'static str),
}

impl Fault {
    fn new(what: What) -> Self {
        Self { place: None, path: Vec::new(), what }
    }

    /// The innermost place wins.
    fn at(mut self, place: &Place) -> Self {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    fn under(mut self, key: &str) -> Self {
        self.path.push(key.to_owned());
        self
    }

    fn into_problem(mut self, root: &str, node: &Node) -> Problem {
        self.path.reverse();
        let inner: Vec<_> = self.path.iter().map(String::as_str).collect();
        let path = [root].into_iter().filter(|root| !root.is_empty()).chain(inner.iter().copied());
        let path = path.collect::<Vec<_>>().join(".");
        let name = if path.is_empty() { "the file".to_owned() } else { format!("`{path}`") };
        let found = || find(node, &inner).map_or("nothing".to_owned(), Node::describe);
        let problem = match self.what {
            What::Custom(text) => Problem::new(
                ProblemKind::BadValue,
                if path.is_empty() { text } else { format!("{name}: {text}") },
            ),
            What::Type { expected } => {
                let problem = Problem::new(
                    ProblemKind::WrongType,
                    format!("{name} must be {expected}, and is {}", found()),
                );
                match find(node, &inner).map(|node| &node.value) {
                    Some(Value::Text(text)) if text.contains("${") => {
                        problem.help("variables are filled into texts only; use `--set` for other values")
                    }
                    Some(Value::Integer { raw, .. } | Value::Float { raw, .. } | Value::Bool { raw, .. })
                        if expected.contains("text") =>
                    {
                        problem.help(format!("put it in quotes: \"{raw}\""))
                    }
                    _ => problem,
                }
            }
            What::Unknown { found, known, key } => {
                let (kind, what) =
                    if key { (ProblemKind::UnknownKey, "key") } else { (ProblemKind::BadValue, "value") };
                let here = if key && path.is_empty() { String::new() } else { format!(" in {name}") };
                let problem = Problem::new(kind, format!("unknown {what} `{found}`{here}"));
                match closest(&found, known.iter().copied()) {
                    Some(known) => problem.help(format!("did you mean `{known}`?")),
                    None => problem.help(format!("{what}s here are {}", listed(known.iter().copied()))),
                }
            }
            What::Missing(key) => {
                let here = if path.is_empty() { String::new() } else { format!(" in {name}") };
                Problem::new(ProblemKind::MissingKey, format!("the key `{key}` is missing{here}"))
            }
        };
        problem.path(path).at(self.place)
    }
}

fn find<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    let Some((first, rest)) = path.split_first() else { return Some(node) };
    match &node.value {
        Value::List(items) => find(items.get(first.parse::<usize>().ok()?)?, rest),
        _ => find(node.get(first)?, rest),
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Custom(text) => f.write_str(text),
            What::Type { expected } => write!(f, "must be {expected}"),
            What::Unknown { found, .. } => write!(f, "unknown `{found}`"),
            What::Missing(key) => write!(f, "`{key}` is missing"),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: Display>(text: T) -> Self {
        Self::new(What::Custom(text.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // serde's own structures say which Rust type they are.
        let expected = match expected.to_string() {
            text if text.starts_with("struct ") => "a map".to_owned(),
            text if text.starts_with("enum ") || text == "a string" => "a text".to_owned(),
            text if matches!(text.as_str(), "u16" | "u32" | "u64" | "i64" | "usize") => {
                "a whole number".to_owned()
            }
            text if text == "a sequence" => "a list".to_owned(),
            text => text,
        };
        Self::new(What::Type { expected })
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let range = match expected.to_string().as_str() {
            "u16" => "a whole number from 0 to 65535".to_owned(),
            "u32" => "a whole number from 0 to 4294967295".to_owned(),
            other => other.to_owned(),
        };
        Self::custom(format!("must be {range}, and is {unexpected}"))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::Unknown { found: field.to_owned(), known, key: true })
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::Unknown { found: variant.to_owned(), known, key: false })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(What::Missing(field))
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool { value, .. } => visitor.visit_bool(*value),
            Value::Integer { value, .. } => match u64::try_from(*value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(*value),
            },
            Value::Float { value, .. } => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items { items, next: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { entries, next: 0 }),
        }
        .map_err(|fault| fault.at(&self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
        .map_err(|fault| fault.at(&self.place))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Bool { raw, .. } | Value::Integer { raw, .. } | Value::Float { raw, .. }
                if name == AS_WRITTEN =>
            {
                visitor.visit_borrowed_str(raw).map_err(|fault: Fault| fault.at(&self.place))
            }
            _ if name == AS_WRITTEN => self.deserialize_any(visitor),
            _ => visitor.visit_newtype_struct(self).map_err(|fault| fault.at(&self.place)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Text(text) => visitor.visit_enum(Word(text)),
            _ => Err(de::Error::invalid_type(Unexpected::Other("value"), &"a text")),
        }
        .map_err(|fault| fault.at(&self.place))
    }

    /// serde would read a list as the fields of a struct in their order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Map(_) => self.deserialize_any(visitor),
            _ => {
                Err(<Fault as de::Error>::invalid_type(Unexpected::Other("value"), &"a map").at(&self.place))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'de> {
    items: &'de [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        self.next += 1;
        let index = self.next - 1;
        seed.deserialize(item).map(Some).map_err(|fault| fault.at(&item.place).under(&index.to_string()))
    }
}

struct Entries<'de> {
    entries: &'de [Entry],
    next: usize,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.entries.get(self.next) else { return Ok(None) };
        let key = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault: Fault| fault.at(&entry.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.entries.get(self.next) else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        self.next += 1;
        seed.deserialize(&entry.node).map_err(|fault| {
            let place = match entry.node.value {
                // An empty map or a missing value has no text of its own to point at.
                Value::Map(_) | Value::Null => &entry.place,
                _ => &entry.node.place,
            };
            fault.at(place).under(&entry.key)
        })
    }
}

/// A text read as the name of a unit variant.
struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        Ok((seed.deserialize(self.0.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Fault> {
        Err(de::Error::custom(format!("`{}` needs a value", self.0)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(de::Error::custom(format!("`{}` needs a value", self.0)))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        Err(de::Error::custom(format!("`{}` needs a value", self.0)))
    }
}
