//! YAML as a tree in which every value knows where it was written.
//!
//! Overrides, variables and `--set` work on this tree, so that a value can be pointed at whatever way it came.
//! What the keys mean is not known here.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Location, Spanned};

use crate::problem::{Problem, ProblemKind, ProjectError};
use crate::source::{Place, Source};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What YAML can say. `raw` is how a scalar was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool { value: bool, raw: String },
    Integer { value: i64, raw: String },
    Float { value: f64, raw: String },
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key, its place, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

/// How deep a file may be nested. The deepest documented key is at 8.
const MAX_DEPTH: usize = 48;
/// How many values a file may have, aliases expanded.
const MAX_NODES: usize = 100_000;

impl Node {
    /// Reads one YAML document.
    pub(crate) fn parse(source: &Source) -> Result<Self, ProjectError> {
        Self::parse_part(source, 0)
    }

    /// Reads what follows the first `skip` bytes of the source.
    pub(crate) fn parse_part(source: &Source, skip: usize) -> Result<Self, ProjectError> {
        let text = &source.text()[skip..];
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: MAX_DEPTH,
                max_nodes: MAX_NODES,
                max_documents: 1,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: MAX_NODES,
                max_replay_stack_depth: MAX_DEPTH,
            },
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            with_snippet: false,
        };
        let raw: Raw = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| syntax(source, skip, &error))?;
        Ok(raw.place(source, skip))
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// A key and its value.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a map; of anything else, none.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The place of the value at `path`, or of the deepest thing on the way to it that exists.
    pub(crate) fn locate(&self, path: &[&str]) -> Place {
        let Some((first, rest)) = path.split_first() else { return self.place.clone() };
        if let Some(entry) = self.entry(first) {
            return match &entry.node.value {
                // A map begins at its first key; the key it belongs to says more.
                Value::Map(_) | Value::Null if rest.is_empty() => entry.place.clone(),
                Value::Map(_) if !rest.is_empty() && entry.node.get(rest[0]).is_none() => entry.place.clone(),
                _ => entry.node.locate(rest),
            };
        }
        if let (Value::List(items), Ok(index)) = (&self.value, first.parse::<usize>())
            && let Some(item) = items.get(index)
        {
            return item.locate(rest);
        }
        self.place.clone()
    }

    /// What it is, in words for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool { raw, .. } => format!("the boolean `{raw}`"),
            Value::Integer { raw, .. } | Value::Float { raw, .. } => format!("the number `{raw}`"),
            Value::Text(text) if text.len() > 40 || text.contains('\n') => "a text".to_owned(),
            Value::Text(text) => format!("the text `{text}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

fn syntax(source: &Source, skip: usize, error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::Error;
    let place = error.location().map(|at| Place::new(source, range(source, skip, at)));
    let problem = |message: String| Problem::new(ProblemKind::Syntax, message).at(place.clone());
    let mut cause = error.without_snippet();
    while let Error::AliasError { error, .. } = cause {
        cause = error;
    }
    match cause {
        Error::DuplicateMappingKey { key, .. } => {
            let name = key.as_ref().map_or_else(|| "a key".to_owned(), |key| format!("the key `{key}`"));
            return problem(format!("{name} is there twice")).help("keep one of them");
        }
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } | Error::MultipleDocuments { .. } => {
            return problem("there is more than one document".to_owned())
                .help("one file is one project: take away what follows the line `---`");
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            return problem("the file is too large or nested too deep, with its aliases expanded".to_owned())
                .help(format!("at most {MAX_NODES} values are read, nested {MAX_DEPTH} deep"));
        }
        _ => {}
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    // The place is shown by the snippet; the library puts it into the text as well.
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line =
        line.split_once(": ").filter(|(head, _)| head.starts_with("line ")).map_or(line, |(_, tail)| tail);
    let line = line.rsplit_once(" at line ").map_or(line, |(head, _)| head);
    let problem = problem(line.to_owned());
    let start = place.map(|place| place.range.start);
    if start.is_some_and(|start| has_tab(source.text(), start)) {
        problem.help("YAML is indented with spaces; replace the tab")
    } else if start.is_some_and(|start| bare_variable(source.text(), start)) {
        problem.help("inside `{…}` and `[…]` a variable needs quotes: `\"${VAR}\"`")
    } else {
        problem.help("the place is where reading stopped; the cause is there or in the line before: indentation, a bracket, a quote")
    }
}

/// Whether the line around `at` has a variable without quotes among braces or brackets, where YAML takes its `{` for its own.
fn bare_variable(text: &str, at: usize) -> bool {
    let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    line.match_indices("${").any(|(i, _)| {
        let before = &line[..i];
        before.contains(['{', '[']) && !before.ends_with(['"', '\''])
    })
}

/// Whether the line around `at` is indented with a tab.
fn has_tab(text: &str, at: usize) -> bool {
    let line = text[..at].rfind('\n').map_or(0, |i| i + 1);
    text[line..].chars().take_while(|c| matches!(c, ' ' | '\t')).any(|c| c == '\t')
}

/// The bytes of a location. Locations count characters as well; the library knows bytes for texts in memory.
fn range(source: &Source, skip: usize, at: Location) -> Range<usize> {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let span = at.span();
    let text = &source.text()[skip..];
    let start = match span.byte_offset() {
        Some(offset) => number(offset),
        None => text.char_indices().nth(number(span.offset())).map_or(text.len(), |(i, _)| i),
    };
    let len = span.byte_len().unwrap_or(span.len()).max(1);
    skip.saturating_add(start)..skip.saturating_add(start).saturating_add(number(len))
}

/// What the YAML library hands over.
struct Raw(Spanned<RawValue>);

enum RawValue {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn place(self, source: &Source, skip: usize) -> Node {
        let place = |at| Place::new(source, range(source, skip, at));
        let here = place(self.0.referenced);
        let written = place(self.0.defined);
        let raw = || source.text()[written.range.clone()].trim().to_owned();
        let value = match self.0.value {
            RawValue::Null => Value::Null,
            RawValue::Bool(value) => Value::Bool { value, raw: raw() },
            RawValue::Integer(value) => Value::Integer { value, raw: raw() },
            RawValue::Float(value) => Value::Float { value, raw: raw() },
            RawValue::Text(text) => Value::Text(text),
            RawValue::List(items) => {
                Value::List(items.into_iter().map(|item| item.place(source, skip)).collect())
            }
            RawValue::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| Entry {
                        place: place(key.referenced),
                        key: key.value,
                        node: node.place(source, skip),
                    })
                    .collect(),
            ),
        };
        Node { place: here, value }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
        RawValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        // Nothing in a release.yaml is that large; what is kept as text is kept as it was written.
        Ok(RawValue::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawValue, E> {
        let limit = if value < 0 { i64::MIN } else { i64::MAX };
        Ok(RawValue::Integer(i64::try_from(value).unwrap_or(limit)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawValue, E> {
        Ok(RawValue::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<RawValue, E> {
        Ok(RawValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<RawValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(RawValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<RawValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(RawValue::Map(entries))
    }
}
