//! Objects as a stream of YAML documents, byte-identical for equal objects.
//!
//! A text is quoted whenever some reader could take it for something else: kubectl and Helm read YAML 1.1, where
//! `no` is a boolean, `0755` an octal number, `12:30` a sexagesimal one and `1e3` a float.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::Object;

/// Keys that come first wherever they are, in this order; the others follow alphabetically.
const FIRST: &[&str] = &["apiVersion", "kind", "metadata", "name", "namespace"];

/// The objects in the order given, each after a line `---`.
pub fn to_yaml(objects: &[Object]) -> String {
    objects.iter().map(|object| format!("---\n{}", value_to_yaml(object.value()))).collect()
}

/// One value as a YAML document, with the same care.
pub fn value_to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_map(map, 0, &mut out),
        Value::Array(items) if !items.is_empty() => write_list(items, 0, &mut out),
        other => {
            write_inline(other, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

/// A text as a YAML scalar in one line, quoted if it has to be.
pub(crate) fn scalar(text: &str) -> String {
    let mut out = String::new();
    write_text(text, &mut out);
    out
}

fn write_map(map: &Map<String, Value>, indent: usize, out: &mut String) {
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| (rank(key), *key));
    for (index, (key, value)) in entries.into_iter().enumerate() {
        // The first key of a map in a list stands behind the dash.
        if index > 0 || !out.ends_with("- ") {
            pad(indent, out);
        }
        write_text(key, out);
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                write_map(map, indent + 2, out);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                write_list(items, indent, out);
            }
            other => {
                out.push(' ');
                write_inline(other, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn write_list(items: &[Value], indent: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !out.ends_with("- ") {
            pad(indent, out);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => write_map(map, indent + 2, out),
            Value::Array(items) if !items.is_empty() => write_list(items, indent + 2, out),
            other => {
                write_inline(other, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A scalar or an empty collection; the lines of a block get `indent`. Without a line end.
fn write_inline(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::String(text) if is_block(text) => write_block(text, indent, out),
        Value::String(text) => write_text(text, out),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(out, "{value}");
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c => {
                let _ = match u32::from(c) {
                    code @ ..=0xff => write!(out, "\\x{code:02x}"),
                    code @ ..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
}

/// What may stand in a document as it is; white space other than the space is not counted.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{1fffe}'..='\u{1ffff}'
        )
        && u32::from(c) & 0xfffe != 0xfffe
}

/// Whether a text can stand without quotes and be nothing but a text for every reader.
fn is_plain(text: &str) -> bool {
    // Every sort of number and date of YAML 1.1 and 1.2 that starts with a digit is made of these.
    let numeric =
        |c: char| c.is_ascii_hexdigit() || matches!(c, 'x' | 'X' | 'o' | 'O' | '_' | '.' | ':' | '+' | '-');
    let Some(first) = text.chars().next() else { return false };
    let last = text.chars().next_back().unwrap_or(first);
    let inner = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | ':' | '+' | '=' | '%' | ' ')
    };
    let word = text.to_ascii_lowercase();
    (first.is_ascii_alphanumeric() || matches!(first, '_' | '/'))
        && last != ' '
        && last != ':'
        && text.chars().all(inner)
        && !text.contains(": ")
        && !(first.is_ascii_digit() && (text.chars().all(numeric) || text.as_bytes().get(4) == Some(&b'-')))
        && !matches!(
            word.as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null" | "nan" | "inf"
        )
}

/// Whether a text is better read over several lines, and survives it.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\t', '\n'])
        && text.chars().all(|c| is_printable(c) || matches!(c, '\n' | '\t'))
        && text.lines().all(|line| line.is_empty() || !line.trim().is_empty())
}

fn write_block(text: &str, indent: usize, out: &mut String) {
    let body = text.strip_suffix('\n');
    out.push_str(match body {
        None => "|-",
        Some(body) if body.ends_with('\n') => "|+",
        Some(_) => "|",
    });
    for line in body.unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn write(value: &Value) -> String {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": value});
        to_yaml(&[Object::new(object).unwrap()])
    }

    fn read(text: &str) -> Value {
        let options = serde_saphyr::options! { strict_booleans: true };
        let value: Value = serde_saphyr::from_str_with_options(text, options).expect(text);
        value["data"].clone()
    }

    #[test]
    fn texts_that_old_readers_take_for_something_else_are_quoted() {
        for text in [
            "",
            "~",
            "null",
            "Null",
            "y",
            "N",
            "yes",
            "No",
            "on",
            "OFF",
            "true",
            "False",
            "0755",
            "0o17",
            "0x1f",
            "0b101",
            "1e3",
            "1E-3",
            "1.5",
            "-1",
            "+1",
            ".5",
            "5.",
            "1_000",
            "12:30",
            "12:30:45.5",
            "2001-01-01",
            "2001-01-01T00:00:00Z",
            ".inf",
            "-.inf",
            ".nan",
            "nan",
            "=",
            "<<",
            "- a",
            "a: b",
            "a:",
            "a #b",
            "#a",
            " a",
            "a ",
            "@a",
            "`a",
            "%a",
            "!a",
            "&a",
            "*a",
            "?",
            "? a",
            "-",
            "---",
            "...",
            "[a]",
            "{a}",
            "'a'",
            "\"a",
            "|",
            ">",
            "a\tb",
            "\u{85}",
            "\u{feff}",
            "caf\u{e9}",
        ] {
            let yaml = write(&json!(text));
            assert!(yaml.contains("data: \""), "{yaml}");
            assert_eq!(read(&yaml), text, "{yaml}");
        }
    }

    #[test]
    fn plain_texts_stay_plain() {
        for text in [
            "100m",
            "128Mi",
            "25%",
            "a b",
            "/healthz",
            "r.io/a@sha256:0a",
            "http://a/b?c".trim_end_matches("?c"),
            "v1",
            "a=b",
            "_x",
        ] {
            assert!(write(&json!(text)).contains(&format!("data: {text}\n")), "{text}");
        }
    }

    #[test]
    fn lines_become_blocks_where_they_survive_it() {
        for (text, block) in [
            ("a\nb\n", true),
            ("a\nb", true),
            ("a\n\n\n", true),
            ("a\n  b\n\tc\n", true),
            ("a: [x\n# no comment\n", true),
            ("\na", false),
            ("  a\nb", false),
            ("a\n  \nb", false),
            ("a\r\nb", false),
            ("\n", false),
            ("a\n \n", false),
        ] {
            let yaml = write(&json!({"file": text, "next": "x"}));
            assert_eq!(yaml.contains("file: |"), block, "{yaml}");
            assert_eq!(read(&yaml)["file"], text, "{yaml}");
            assert_eq!(read(&yaml)["next"], "x", "{yaml}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![any::<String>(), "[a-z0-9:#|>. \\n\\t-]{0,12}", "[0-9a-fxo+:_.eE-]{1,8}",];
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in value()) {
            let yaml = write(&value);
            prop_assert_eq!(read(&yaml), value, "{}", yaml);
        }
    }
}
