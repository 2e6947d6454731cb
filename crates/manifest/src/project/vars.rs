//! `${VAR}`: filled in where it is documented, refused where somebody might expect it, left alone in texts that have
//! a `${…}` of their own (commands and the contents of config files).

use std::collections::BTreeMap;

use super::tree::{Node, Value};
use crate::problem::{Problem, ProblemKind};

/// Where variables are filled in. `*` stands for any key. The environment's own keys stand below `environment`
/// in a merged tree.
const FILLED: &[&[&str]] = &[
    &["registry"],
    &["environment", "context"],
    &["environment", "namespace"],
    &["environments", "*", "context"],
    &["environments", "*", "namespace"],
    &["environments", "*", "registry"],
    &["services", "*", "env", "*"],
    &["services", "*", "image", "ref"],
    &["services", "*", "image", "base"],
    &["services", "*", "image", "args", "*"],
    &["services", "*", "image", "secrets", "*", "file"],
    &["services", "*", "image", "ssh", "*"],
    &["services", "*", "image", "contexts", "*"],
    &["services", "*", "image", "cache_from", "*"],
    &["services", "*", "image", "cache_to", "*"],
    &["services", "*", "image", "env", "*"],
    &["services", "*", "image", "labels", "*"],
    &["services", "*", "ingress", "host"],
    &["services", "*", "verify", "*", "url"],
];

/// Keys of a service below which `${…}` belongs to somebody else.
const FOREIGN: &[&[&str]] = &[
    &["command"],
    &["args"],
    &["config", "data"],
    &["before"],
    &["shutdown", "command"],
    &["image", "entrypoint"],
    &["image", "cmd"],
    &["image", "healthcheck"],
    // `${platform}` of a layer.
    &["image", "layers", "*", "from"],
    &["verify", "*", "body"],
    &["verify", "*", "prometheus"],
    &["verify", "*", "job"],
    &["ingress", "annotations"],
    &["secrets"],
    &["policy"],
];

/// The variables a file names, with the values they had when it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(BTreeMap<String, Option<String>>);

enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
    Bad(&'a str),
}

/// Splits a text at its variables. `$${` is a literal `${`.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            pieces.push(Piece::Text(&rest[..at - 1]));
            pieces.push(Piece::Text("${"));
            rest = &rest[at + 2..];
            continue;
        }
        pieces.push(Piece::Text(&rest[..at]));
        let inside = &rest[at + 2..];
        let end = inside.find('}');
        let name = &inside[..end.unwrap_or(inside.len())];
        let good = end.is_some()
            && !name.is_empty()
            && !name.as_bytes()[0].is_ascii_digit()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        pieces.push(if good { Piece::Variable(name) } else { Piece::Bad(name) });
        rest = end.map_or("", |end| &inside[end + 1..]);
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn matches(pattern: &[&str], path: &[&str]) -> bool {
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(pattern, key)| *pattern == "*" || pattern == key)
}

/// The path inside the service, wherever the service stands.
fn in_service<'a, 'b>(path: &'a [&'b str]) -> Option<&'a [&'b str]> {
    match path {
        ["services", _, rest @ ..] | ["environments", _, "services", _, rest @ ..] => Some(rest),
        _ => None,
    }
}

fn is_filled(path: &[&str]) -> bool {
    let service = in_service(path).map(|rest| [&["services", "*"], rest].concat());
    let path = service.as_deref().unwrap_or(path);
    FILLED.iter().any(|pattern| matches(pattern, path))
}

fn is_foreign(path: &[&str]) -> bool {
    in_service(path).is_some_and(|rest| {
        FOREIGN.iter().any(|pattern| rest.len() >= pattern.len() && matches(pattern, &rest[..pattern.len()]))
    })
}

/// Calls `visit` for every text.
fn each_text(node: &Node, path: &mut Vec<String>, visit: &mut dyn FnMut(&[&str], &Node, &str)) {
    match &node.value {
        Value::Text(text) => {
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            visit(&path, node, text);
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                each_text(item, path, visit);
                path.pop();
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                path.push(entry.key.clone());
                each_text(&entry.node, path, visit);
                path.pop();
            }
        }
        Value::Null | Value::Bool { .. } | Value::Integer { .. } | Value::Float { .. } => {}
    }
}

/// Complains about variables where they are not filled in, and about what looks like one and is not.
pub(crate) fn misplaced(tree: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    each_text(tree, &mut Vec::new(), &mut |path, node, text| {
        if is_foreign(path) {
            return;
        }
        for piece in pieces(text) {
            let problem = match piece {
                Piece::Text(_) => continue,
                Piece::Variable(_) if is_filled(path) => continue,
                Piece::Variable(name) => Problem::new(
                    ProblemKind::Variable,
                    format!("`${{{name}}}` is not filled in here, in `{}`", path.join(".")),
                )
                .help("variables are filled into registry, context, namespace, env, image (ref, base, args, env, labels, file of secrets, ssh, contexts, cache_from, cache_to), ingress.host and verify url; elsewhere use `--set`"),
                Piece::Bad(name) => Problem::new(
                    ProblemKind::Variable,
                    format!("`${{{name}` in `{}` is not a variable: write `${{NAME}}` with letters, digits and `_`", path.join(".")),
                )
                .help("write `$${` for a literal `${`"),
            };
            problems.push(problem.path(path.join(".")).at(Some(node.place.clone())));
        }
    });
    problems
}

impl Variables {
    /// Asks `vars` for every variable the tree names, once.
    pub(crate) fn collect(tree: &Node, vars: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut found = BTreeMap::new();
        each_text(tree, &mut Vec::new(), &mut |path, _, text| {
            if is_filled(path) {
                for piece in pieces(text) {
                    if let Piece::Variable(name) = piece {
                        found.entry(name.to_owned()).or_insert_with(|| vars(name));
                    }
                }
            }
        });
        Self(found)
    }

    /// Puts the values in, at paths that `wanted` accepts.
    pub(crate) fn fill(&self, tree: &mut Node, wanted: impl Fn(&[&str]) -> bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.fill_below(tree, &mut Vec::new(), &wanted, &mut problems);
        problems
    }

    /// The text with its variables filled in, or the name of one that has no value.
    fn filled(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Variable(name) | Piece::Bad(name) => match self.0.get(name) {
                    Some(Some(value)) => filled.push_str(value),
                    Some(None) | None => return Err(name.to_owned()),
                },
            }
        }
        Ok(filled)
    }

    fn fill_below(
        &self,
        node: &mut Node,
        path: &mut Vec<String>,
        wanted: &dyn Fn(&[&str]) -> bool,
        problems: &mut Vec<Problem>,
    ) {
        match &mut node.value {
            Value::Text(text) if text.contains("${") => {
                let keys: Vec<_> = path.iter().map(String::as_str).collect();
                if !is_filled(&keys) || !wanted(&keys) {
                    return;
                }
                match self.filled(text) {
                    Ok(filled) => *text = filled,
                    Err(name) => problems.push(
                        Problem::new(ProblemKind::Variable, format!("the variable `{name}` has no value"))
                            .path(keys.join("."))
                            .at(Some(node.place.clone()))
                            .help(format!("set it in the environment of this command: `{name}=… release …`"))
                            .help("or write `$${` if a literal `${` is meant"),
                    ),
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(index.to_string());
                    self.fill_below(item, path, wanted, problems);
                    path.pop();
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    path.push(entry.key.clone());
                    self.fill_below(&mut entry.node, path, wanted, problems);
                    path.pop();
                }
            }
            Value::Text(_)
            | Value::Null
            | Value::Bool { .. }
            | Value::Integer { .. }
            | Value::Float { .. } => {}
        }
    }
}
