//! Which paths have to be sent so that those which are asked for can be used: links lead to others.
//!
//! The builder asks for `COPY conf.d/* .`, and where `conf.d` or what is in it is a link, it has to have what that links to as well.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::ignore::names;

/// How many paths are followed for one folder. Who has more links than this, or a circle of them, gets everything sent.
const MAX_PATHS: usize = 10_000;

/// The longest path there can be, as on Linux. A link into itself makes ever longer ones.
const MAX_PATH_BYTES: usize = 4096;

/// `asked`, as patterns, and everything that links on the way lead to. Nothing is everything: so it is when a path is the folder
/// itself. A link that leads out of `root` is one that leads nowhere.
pub(crate) fn follow(root: &Path, asked: &[String]) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<String> = asked.iter().map(|path| clean(path)).collect();
    while let Some(path) = open.pop() {
        if path.is_empty() || seen.len() >= MAX_PATHS {
            return BTreeSet::new();
        }
        if path.len() > MAX_PATH_BYTES || !seen.insert(path.clone()) {
            continue;
        }
        let mut links = Vec::new();
        wanted.insert(step(root, &path, &mut links));
        open.extend(links.iter().map(|link| clean(link)));
    }
    wanted
}

/// Goes along `path` up to its end or the first link. Puts into `links` where the rest is, and returns how far it came.
fn step(root: &Path, path: &str, links: &mut Vec<String>) -> String {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let mut start = 0;
    for end in ends {
        let (here, part, rest) = (&path[..end], &path[start..end], &path[end..]);
        let folder = path[..start].trim_end_matches('/');
        if part.contains(['*', '?', '[', '\\']) {
            let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
            let entries = entries.filter_map(|entry| entry.file_name().into_string().ok());
            let meant =
                entries.filter(|name| names(part, name)).filter_map(|name| target(root, folder, &name));
            links.extend(meant.map(|target| format!("{target}{rest}")));
        } else if let Some(target) = target(root, folder, part) {
            links.push(format!("{target}{rest}"));
            return here.to_owned();
        }
        start = end + 1;
    }
    path.to_owned()
}

/// Where `name` in `folder` leads, from the root; `None` when it is no link.
fn target(root: &Path, folder: &str, name: &str) -> Option<String> {
    let target = fs::read_link(root.join(folder).join(name)).ok()?;
    let target = target.to_str()?;
    // The root of what is sent is the root of all paths.
    Some(if target.starts_with('/') { target.to_owned() } else { format!("{folder}/{target}") })
}

/// The path without `.`, `..` and `/` at its ends. Above the root there is nothing but the root.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
