//! `docs/reference/events.md`, made from the doc comments and the samples.

use std::fmt::Write as _;

use crate::source::{Item, Variant, camel, item, kebab};
use crate::{line, samples};

const FRAME: &str = include_str!("../../src/event.rs");
const PLAN: &str = include_str!("../../src/plan.rs");
const CLUSTER: &str = include_str!("../../../cluster/src/event.rs");
const RECORD: &str = include_str!("../../../cluster/src/record.rs");
const ASSESS: &str = include_str!("../../../core/src/assess.rs");
const OBJECT: &str = include_str!("../../../core/src/object.rs");
const EFFECT: &str = include_str!("../../../rollout/src/effect.rs");
const RELEASE: &str = include_str!("../../../rollout/src/release.rs");
const ENVELOPE: &str = include_str!("../../src/envelope.rs");

/// What is inside events: the name in the code, the heading, where it is. Listed in the order in which a reader meets them.
const PARTS: &[(&str, &str, &str)] = &[
    ("struct ObjectRef", "object", OBJECT),
    ("struct PlannedChange", "change", PLAN),
    ("enum Verb", "verb", PLAN),
    ("enum Action", "action", RECORD),
    ("enum State", "state", RECORD),
    ("enum Phase", "phase", RELEASE),
    ("enum Version", "version", EFFECT),
    ("struct EffectId", "effect", EFFECT),
    ("struct Cause", "cause", ASSESS),
    ("enum Certainty", "certainty", ASSESS),
    ("struct Evidence", "evidence", ASSESS),
    ("struct Readiness", "readiness", ASSESS),
    ("enum Verdict", "verdict", ASSESS),
    ("struct Capture", "capture", CLUSTER),
    ("struct LogTail", "log", CLUSTER),
];

fn events() -> [(&'static str, Item); 3] {
    [
        ("frame", item(FRAME, "enum Event")),
        ("image", item(FRAME, "enum ImageEvent")),
        ("cluster", item(CLUSTER, "enum Event")),
    ]
}

/// Every type of event that the code has, in its order; `image/TYPE` for those about an image.
pub(crate) fn types() -> Vec<String> {
    let [(_, frame), (_, image), (_, cluster)] = events();
    let mut types = Vec::new();
    for variant in &frame.variants {
        match variant.name.as_str() {
            "Image" => {
                types.extend(image.variants.iter().map(|inner| format!("image/{}", kebab(&inner.name))));
            }
            // Only read.
            "Unknown" => {}
            name if name.contains('(') => {
                types.extend(cluster.variants.iter().map(|inner| kebab(&inner.name)));
            }
            name => types.push(kebab(name)),
        }
    }
    types
}

/// Every word of the closed lists in events, with the list it is of.
pub(crate) fn words() -> Vec<(&'static str, String)> {
    let enums = PARTS.iter().filter(|(head, _, _)| head.starts_with("enum"));
    enums
        .flat_map(|(head, name, text)| {
            item(text, head).variants.into_iter().map(move |variant| (*name, kebab(&variant.name)))
        })
        .collect()
}

/// The whole page.
pub(crate) fn page() -> String {
    let mut out = String::from(
        "# Events: the output of `-o json`\n\n<!-- Made from the code by a test of release-pipeline. Do not edit. -->\n\n",
    );
    for text in ENVELOPE.lines().map_while(|text| text.strip_prefix("//!")).skip(2) {
        let text = text.trim_start();
        out.push_str(&plain(text));
        out.push('\n');
    }
    out.push_str("\nThe last line of a run that did not do what was asked is `failed`; a run that began a release ends with `release-ended` or `stopped`. `build` and `push` end with `prepared`.\n");
    let [(_, frame), (_, image), (_, cluster)] = events();
    for variant in &frame.variants {
        match variant.name.as_str() {
            "Image" => {
                let _ = write!(
                    out,
                    "\n## `image`\n\n{} `service` names the service, `image` which of these it is.\n",
                    plain(&variant.doc)
                );
                for inner in &image.variants {
                    section(&mut out, "###", &format!("image/{}", kebab(&inner.name)), inner);
                }
            }
            "Unknown" => {}
            name if name.contains('(') => {
                for inner in &cluster.variants {
                    section(&mut out, "##", &kebab(&inner.name), inner);
                }
            }
            name => section(&mut out, "##", &kebab(name), variant),
        }
    }
    out.push_str("\n## What is inside\n");
    for (head, name, text) in PARTS {
        part(&mut out, name, &item(text, head));
    }
    causes(&mut out);
    out
}

fn section(out: &mut String, level: &str, kind: &str, variant: &Variant) {
    let title = kind.trim_start_matches("image/");
    let _ = write!(out, "\n{level} `{title}`\n\n{}\n", plain(&variant.doc));
    keys(out, variant);
    let sample = samples::all().into_iter().find(|envelope| samples::kind(&envelope.event) == kind);
    if let Some(sample) = sample {
        let _ = write!(out, "\n```json\n{}\n```\n", line(&sample));
    }
}

fn keys(out: &mut String, variant: &Variant) {
    if variant.fields.is_empty() {
        return;
    }
    out.push_str("\n| key | value | meaning |\n|---|---|---|\n");
    for field in &variant.fields {
        let absent = if field.optional { ", or absent" } else { "" };
        let name = camel(&field.name);
        let _ = writeln!(
            out,
            "| `{name}` | {}{absent} | {} |",
            value(&field.kind),
            plain(&field.doc).replace('|', "\\|")
        );
    }
}

fn part(out: &mut String, name: &str, item: &Item) {
    let _ = write!(out, "\n### {name}\n\n{}\n", plain(&item.doc));
    let tag = match name {
        "action" => Some("do"),
        "verdict" => Some("verdict"),
        _ => None,
    };
    if let Some(tag) = tag {
        let _ = write!(out, "\nThe key `{tag}` says which:\n");
    }
    if let [only] = item.variants.as_slice()
        && only.name.is_empty()
    {
        keys(out, only);
        return;
    }
    out.push_str("\n| word | meaning |\n|---|---|\n");
    for variant in &item.variants {
        let keys: Vec<_> = variant
            .fields
            .iter()
            .map(|field| format!("`{}`: {}", camel(&field.name), plain(&field.doc)))
            .collect();
        let keys = if keys.is_empty() { String::new() } else { format!(" With {}", keys.join(" ")) };
        let _ = writeln!(out, "| `{}` | {}{keys} |", kebab(&variant.name), plain(&variant.doc));
    }
}

/// The list of causes is written by a macro: `/// doc` above `Name = "word";`.
fn causes(out: &mut String) {
    out.push_str(
        "\n### kind\n\nThe root cause in a word, in a [cause](#cause).\n\n| word | meaning |\n|---|---|\n",
    );
    let mut doc = String::new();
    for text in ASSESS.lines().skip_while(|text| *text != "kinds! {").take_while(|text| *text != "}") {
        let text = text.trim();
        if let Some(words) = text.strip_prefix("/// ") {
            words.clone_into(&mut doc);
        } else if let Some((_, word)) = text.trim_end_matches(';').split_once(" = ") {
            let _ = writeln!(out, "| `{}` | {doc} |", word.trim_matches('"'));
        }
    }
}

/// The type of a field in the words of JSON.
fn value(kind: &str) -> String {
    if let Some(inner) = kind.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return value(inner);
    }
    if let Some(inner) = kind.strip_prefix("Vec<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("list: {}", value(inner));
    }
    if let Some(inner) = kind.strip_prefix("BTreeMap<").and_then(|rest| rest.strip_suffix('>')) {
        let (key, inner) = inner.split_once(", ").unwrap_or((inner, ""));
        return format!("map from {} to {}", value(key), value(inner));
    }
    let last = kind.rsplit("::").next().unwrap_or(kind);
    match last {
        "String" => "text".to_owned(),
        "ServiceName" => "service name".to_owned(),
        "PinnedImage" => "`REPOSITORY@DIGEST`".to_owned(),
        "ImageRef" => "`REPOSITORY:TAG` or `REPOSITORY@DIGEST`".to_owned(),
        "Digest" => "`sha256:…`".to_owned(),
        "Repository" => "`REGISTRY/PATH`".to_owned(),
        "bool" => "`true` or `false`".to_owned(),
        "u8" | "u32" | "u64" | "i64" => "number".to_owned(),
        "Duration" => "`{secs, nanos}`".to_owned(),
        "CauseKind" => "[kind](#kind)".to_owned(),
        other => match PARTS.iter().find(|(head, _, _)| head.split(' ').nth(1) == Some(other)) {
            Some((_, name, _)) => format!("[{name}](#{name})"),
            None => panic!("`{other}` has no place in PARTS"),
        },
    }
}

/// Links of rustdoc as plain code.
fn plain(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`").replace("see `Event`", "see below")
}
