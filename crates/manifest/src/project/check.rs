//! Rules between services, and between a project and its environments.

use std::collections::{BTreeMap, BTreeSet};

use release_core::{Repository, ServiceName};

use super::spec::ProjectSpec;
use super::tree::Node;
use crate::problem::{Problem, ProblemKind, closest, listed};
use crate::{ImageSource, Need};

/// What is wrong whichever environment is chosen.
pub(crate) fn whole(spec: &ProjectSpec, tree: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    if spec.services.is_empty() {
        let problem = Problem::new(ProblemKind::MissingKey, "the project has no services").path("services");
        problems.push(
            problem.at(Some(tree.locate(&["services"]))).help("add one, or let `release init` propose one"),
        );
    }
    for (environment, over) in &spec.environments {
        for service in over.services.keys().filter(|name| !spec.services.contains_key(*name)) {
            let path = ["environments", environment.as_str(), "services", service.as_str()];
            let message =
                format!("environment `{environment}` overrides service `{service}`, which does not exist");
            problems.push(unknown(message, service.as_str(), &spec.services.keys(), &path, tree));
        }
    }
    let names = spec.services.keys().cloned().collect();
    let of = |service: &super::spec::ServiceSpec| -> Vec<Need> {
        service.needs.iter().flatten().map(|need| need.0.clone()).collect()
    };
    let all: Vec<_> = spec.services.iter().map(|(name, service)| (name, of(service))).collect();
    let graph = all.iter().map(|(name, needed)| (*name, needed.iter().collect())).collect();
    problems.extend(needs(&graph, &names, tree));
    problems
}

fn unknown<'a>(
    message: String,
    name: &str,
    known: &(impl Iterator<Item = &'a ServiceName> + Clone),
    path: &[&str],
    tree: &Node,
) -> Problem {
    let place = enclosing(tree, path);
    let problem = Problem::new(ProblemKind::UnknownName, message).path(path.join(".")).at(Some(place));
    let words = || known.clone().map(ServiceName::as_str);
    match closest(name, words()) {
        Some(close) => problem.help(format!("did you mean `{close}`?")),
        None => problem.help(format!("services here are {}", listed(words()))),
    }
}

/// The place of the key at the end of `path`; of a value, when it is in a list.
fn enclosing(tree: &Node, path: &[&str]) -> crate::Place {
    let mut node = tree;
    for (index, key) in path.iter().enumerate() {
        match node.entry(key) {
            Some(entry) if index + 1 == path.len() => return entry.place.clone(),
            Some(entry) => node = &entry.node,
            None => return node.locate(&path[index..]),
        }
    }
    node.place.clone()
}

/// Every need exists, and they do not go round in a circle.
pub(crate) fn needs(
    graph: &BTreeMap<&ServiceName, Vec<&Need>>,
    known: &BTreeSet<ServiceName>,
    tree: &Node,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (service, needed) in graph {
        for (index, need) in needed.iter().enumerate() {
            let Need::Own(need) = need else { continue };
            let at = index.to_string();
            let path = ["services", service.as_str(), "needs", &at];
            if need == *service {
                let problem =
                    Problem::new(ProblemKind::Conflict, format!("service `{service}` needs itself"));
                problems.push(
                    problem
                        .path(path.join("."))
                        .at(Some(enclosing(tree, &path)))
                        .help("take it out of `needs`"),
                );
            } else if !known.contains(need) {
                let message = format!("service `{service}` needs `{need}`, which does not exist");
                let problem = unknown(message, need.as_str(), &known.iter(), &path, tree);
                problems
                    .push(problem.help(format!("write `project/{need}` for a service of another project")));
            }
        }
    }
    if problems.is_empty()
        && let Some(circle) = find_circle(graph)
    {
        let path = ["services", circle[0].as_str(), "needs"];
        let mut names: Vec<_> = circle.iter().map(|name| format!("`{name}`")).collect();
        names.push(names[0].clone());
        let message = format!("services need one another in a circle: {}", names.join(" needs "));
        let problem = Problem::new(ProblemKind::Conflict, message).path(path.join("."));
        problems.push(problem.at(Some(tree.locate(&path))).help("take one of them out of `needs`"));
    }
    problems
}

/// Services on a circle, in the order in which they need one another, the alphabetically first one first.
fn find_circle<'a>(graph: &BTreeMap<&'a ServiceName, Vec<&'a Need>>) -> Option<Vec<&'a ServiceName>> {
    // Take away what needs nothing that is left, until nothing changes: what remains has a circle in it.
    let mut left: BTreeSet<&ServiceName> = graph.keys().copied().collect();
    let next = |name: &ServiceName, left: &BTreeSet<&'a ServiceName>| {
        graph.get(name).into_iter().flatten().find_map(|need| match need {
            Need::Own(need) => left.get(need).copied(),
            Need::Other { .. } => None,
        })
    };
    loop {
        let free: Vec<_> = left.iter().copied().filter(|name| next(name, &left).is_none()).collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
        }
    }
    let mut way = vec![*left.first()?];
    loop {
        let need = next(way[way.len() - 1], &left)?;
        if let Some(start) = way.iter().position(|name| *name == need) {
            let mut circle = way.split_off(start);
            let first = circle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
            circle.rotate_left(first);
            return Some(circle);
        }
        way.push(need);
    }
}

/// What is built has to go somewhere.
pub(crate) fn registry_needed<'a>(
    registry: Option<&Repository>,
    mut images: impl Iterator<Item = &'a ImageSource>,
    tree: &Node,
    problems: &mut Vec<Problem>,
) {
    let built = images.any(ImageSource::is_built);
    if built && registry.is_none() && tree.entry("registry").is_none() {
        let problem = Problem::new(
            ProblemKind::MissingKey,
            "`registry` is missing: built images must be pushed somewhere",
        );
        problems
            .push(problem.path("registry").help("add a line such as `registry: registry.example.com/radio`"));
    }
}

/// The environment's namespace; its own name by default would be a guess, so it has to be given.
pub(crate) fn namespace(
    given: Option<&str>,
    environment: &str,
    tree: &Node,
    problems: &mut Vec<Problem>,
) -> String {
    let mut complain = |keys: &[&str], problem: Problem| {
        problems
            .push(problem.path(format!("environments.{environment}.namespace")).at(Some(tree.locate(keys))));
    };
    let Some(namespace) = given else {
        let message = format!("environment `{environment}` has no `namespace`");
        let problem = Problem::new(ProblemKind::MissingKey, message);
        complain(&["environment"], problem.help("add `namespace: …`; it must exist in the cluster already"));
        return String::new();
    };
    let good = (1..=63).contains(&namespace.len())
        && namespace.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !namespace.starts_with('-')
        && !namespace.ends_with('-');
    if !good {
        let message = format!("`{namespace}` cannot name a namespace");
        let help = "up to 63 lower-case letters, digits and `-`, starting and ending with a letter or digit";
        complain(&["environment", "namespace"], Problem::new(ProblemKind::BadValue, message).help(help));
    }
    namespace.to_owned()
}

/// Texts that look like secrets: in `env` they would be readable in the manifests, in the record and in reports, as
/// build arguments or variables of an image in the image.
pub(crate) fn inline_secrets<'a>(
    services: impl Iterator<Item = (&'a ServiceName, &'a ImageSource, Option<&'a BTreeMap<String, String>>)>,
    tree: &Node,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, image, env) in services {
        let mut search = |keys: &[&str], texts: &BTreeMap<String, String>, what: &str, help: [&str; 2]| {
            for (key, _) in texts.iter().filter(|(key, value)| looks_secret(key, value)) {
                let path = [&["services", name.as_str()], keys, &[key]].concat();
                let message = format!("{what} `{key}` of service `{name}` looks like a secret");
                let problem = Problem::new(ProblemKind::InlineSecret, message).path(path.join("."));
                problems.push(problem.at(Some(enclosing(tree, &path))).help(help[0]).help(help[1]));
            }
        };
        if let Some(env) = env {
            let help = [
                "it would be readable in the manifests and in the release's record",
                "keep it in a Secret of the cluster, and let the service read that",
            ];
            search(&["env"], env, "env", help);
        }
        let help = [
            "whoever can pull the image can read it",
            "give it to the service when it runs, or keep it out of the build",
        ];
        match image {
            ImageSource::Dockerfile(build) => {
                search(&["image", "args"], &build.args, "build argument", help);
            }
            ImageSource::Native(build) => search(&["image", "env"], &build.env, "variable", help),
            ImageSource::Pinned(_) => {}
        }
    }
    problems
}

fn looks_secret(key: &str, value: &str) -> bool {
    const WORDS: &[&str] =
        &["PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "CREDENTIAL", "CREDENTIALS", "PASSPHRASE"];
    const PAIRS: &[&str] = &["API_KEY", "PRIVATE_KEY", "ACCESS_KEY", "SECRET_KEY"];
    // `TOKEN_FILE` and the like say where a secret is, not what it is.
    const ABOUT: &[&str] = &["FILE", "PATH", "URL", "NAME", "DIR", "TTL", "EXPIRY", "LIFETIME", "HEADER"];
    let key = key.to_ascii_uppercase().replace(['-', '.'], "_");
    let words: Vec<_> = key.split('_').collect();
    let about = words.last().is_some_and(|last| ABOUT.contains(last));
    let plain = value.is_empty() || value.parse::<f64>().is_ok() || matches!(value, "true" | "false");
    let named = words.iter().any(|word| WORDS.contains(word)) || PAIRS.iter().any(|pair| key.contains(pair));
    named && !about && !plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_settings_about_secrets() {
        for (key, value, expected) in [
            ("DB_PASSWORD", "hunter2", true),
            ("API_KEY", "abc", true),
            ("github.token", "abc", true),
            ("DB_PASSWORD_FILE", "/run/secrets/db", false),
            ("TOKEN_TTL", "5m", false),
            ("TOKENS", "3", false),
            ("REQUIRE_PASSWORD", "true", false),
            ("PASSWORD_LENGTH", "12", false),
            ("PASSWORD", "", false),
            ("LOG", "info", false),
        ] {
            assert_eq!(looks_secret(key, value), expected, "{key}={value}");
        }
    }
}
