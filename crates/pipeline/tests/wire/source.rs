//! Reads the doc comments of an enum or a struct from its source, as `rustfmt` leaves it.

/// An enum or a struct.
pub(crate) struct Item {
    pub(crate) doc: String,
    /// Variants of an enum; one without a name for a struct.
    pub(crate) variants: Vec<Variant>,
}

/// A variant.
#[derive(Default)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) fields: Vec<Field>,
}

/// A field.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) kind: String,
    /// Whether it may be absent.
    pub(crate) optional: bool,
}

/// The item of that name.
///
/// # Panics
/// When the text has none: then the reader of this file moved it.
pub(crate) fn item(text: &str, head: &str) -> Item {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| *line == format!("pub {head} {{")).expect(head);
    let doc = doc_before(&lines, start);
    let mut variants = Vec::new();
    let mut current = Variant::default();
    let is_struct = head.starts_with("struct");
    let (outer, inner) = if is_struct { ("", "    ") } else { ("    ", "        ") };
    for (index, line) in lines.iter().enumerate().skip(start + 1).take_while(|(_, line)| **line != "}") {
        let Some(words) = line.strip_prefix(inner).filter(|words| !words.starts_with([' ', '/', '#'])) else {
            let Some(words) = line.strip_prefix(outer).filter(|words| !is_struct && !words.starts_with(' '))
            else {
                continue;
            };
            if let Some(name) =
                words.strip_suffix(" {").or_else(|| words.strip_suffix(',')).filter(|_| *words != *"},")
            {
                current =
                    Variant { name: name.to_owned(), doc: doc_before(&lines, index), fields: Vec::new() };
                if !words.ends_with('{') {
                    variants.push(std::mem::take(&mut current));
                }
            } else if words == "}," {
                variants.push(std::mem::take(&mut current));
            }
            continue;
        };
        if let Some((name, kind)) = words.trim_end_matches(',').split_once(": ") {
            let attributes =
                lines[..index].iter().rev().take_while(|line| line.trim_start().starts_with('#'));
            let optional = kind.starts_with("Option<")
                || attributes.clone().any(|line| line.contains("skip_serializing_if"));
            let flat = attributes.clone().any(|line| line.contains("flatten"));
            if !flat {
                current.fields.push(Field {
                    name: name.trim_start_matches("pub ").to_owned(),
                    doc: doc_before(&lines, index),
                    kind: kind.to_owned(),
                    optional,
                });
            }
        }
    }
    if is_struct {
        variants.push(current);
    }
    Item { doc, variants }
}

fn doc_before(lines: &[&str], index: usize) -> String {
    let mut doc: Vec<&str> = lines[..index]
        .iter()
        .rev()
        .map(|line| line.trim_start())
        .take_while(|line| line.starts_with("///") || line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("///"))
        .map(str::trim)
        .collect();
    doc.reverse();
    doc.retain(|line| !line.is_empty());
    doc.join(" ").trim().to_owned()
}

/// `ReleaseEnded` as `release-ended`.
pub(crate) fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// `not_restored` as `notRestored`.
pub(crate) fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut chars = part.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(chars.as_str());
    }
    out
}
