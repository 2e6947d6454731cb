//! The milestones of a step in the order that is determined: where one causes another, the order seen; else, the alphabet's.
//!
//! Two milestones depend on each other if controllers promise their order. A sequence is brought into the smallest order that keeps the
//! order of all that depend on each other; two histories with the same causes and effects therefore look the same, whatever else
//! happened to come first.

use std::collections::BTreeMap;

use serde_json::Value;

use super::log::Seen;
use super::names::Names;
use super::until::{is_going, is_ready, items};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A decision of the Deployment's controller: a ReplicaSet made or scaled.
    Decision,
    PodMade,
    PodReady,
    PodAsked,
    PodGone,
    /// A Deployment or a ReplicaSet is asked to go, or gone.
    Owner,
    /// The rollout is complete.
    Complete,
}

#[derive(Debug, Clone)]
struct Milestone {
    /// Which ReplicaSet it is about; None: the Deployment.
    set: Option<String>,
    what: What,
    text: String,
}

/// Which orders are promised here that are not promised in general.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Promises {
    /// Nothing new is made before the old is gone.
    recreate: bool,
    /// Owners wait for what they own.
    foreground: bool,
}

impl Promises {
    pub(super) fn of<'a>(mut seen: impl Iterator<Item = &'a Seen> + Clone) -> Self {
        let mut all = seen.clone();
        let has_finalizer = |finalizers: &Value| items(finalizers).any(|f| f == "foregroundDeletion");
        Self {
            recreate: seen.any(|seen| seen.object["spec"]["strategy"]["type"] == "Recreate"),
            foreground: all.any(|seen| has_finalizer(&seen.object["metadata"]["finalizers"])),
        }
    }

    fn ends_count(self) -> bool {
        self.recreate || self.foreground
    }

    /// Whether the order of two milestones means anything.
    fn orders(self, a: &Milestone, b: &Milestone) -> bool {
        let same_set = a.set == b.set;
        let either = |what: What| a.what == what || b.what == what;
        match (a.what, b.what) {
            (What::Decision | What::Complete, What::Decision | What::Complete | What::PodReady)
            | (What::PodReady, What::Decision | What::Complete)
            | (What::Owner, What::Owner)
            | (What::PodAsked, What::Complete)
            | (What::Complete, What::PodAsked) => true,
            _ if either(What::PodGone) && either(What::Decision) => self.recreate,
            _ if either(What::PodGone) => same_set && (either(What::PodAsked) || either(What::Owner)),
            _ => same_set || (a.set.is_none() && either(What::Owner)),
        }
    }
}

/// The milestones of a step. `before` holds what was there before each change, by kind and name.
pub(super) fn order(
    seen: &[Seen],
    before: &BTreeMap<(&'static str, String), Value>,
    names: &Names,
    promises: Promises,
) -> Vec<String> {
    let mut known = before.clone();
    let mut all = Vec::new();
    for seen in seen {
        let key = (seen.kind, seen.name().to_owned());
        let old = known.get(&key);
        all.extend(
            milestones(seen, old, names)
                .into_iter()
                .filter(|m| m.what != What::PodGone || promises.ends_count()),
        );
        if seen.gone {
            known.remove(&key);
        } else {
            known.insert(key, seen.object.clone());
        }
    }
    smallest(all, promises)
}

fn milestones(seen: &Seen, old: Option<&Value>, names: &Names) -> Vec<Milestone> {
    let new = &seen.object;
    let name = names.alias(seen.kind, seen.name());
    let mut all = Vec::new();
    let mut add = |set: Option<&str>, what: What, text: String| {
        all.push(Milestone { set: set.map(str::to_owned), what, text });
    };
    let asked = !seen.gone && is_going(new) && old.is_none_or(|old| !is_going(old));
    match seen.kind {
        "Pod" => {
            let set = name.strip_prefix("pod of ").unwrap_or(&name);
            if old.is_none() {
                add(Some(set), What::PodMade, format!("{name} made"));
            }
            if is_ready(new) && old.is_none_or(|old| !is_ready(old)) {
                add(Some(set), What::PodReady, format!("{name} ready"));
            }
            if asked {
                add(Some(set), What::PodAsked, format!("{name} asked to go"));
            }
            if seen.gone {
                add(Some(set), What::PodGone, format!("{name} gone"));
            }
        }
        "ReplicaSet" => {
            let size = |set: &Value| set["spec"]["replicas"].to_string();
            match old {
                None => add(Some(&name), What::Decision, format!("{name} made for {}", size(new))),
                Some(old) if size(old) != size(new) => {
                    add(Some(&name), What::Decision, format!("{name} scaled {} → {}", size(old), size(new)));
                }
                Some(_) => {}
            }
            if asked {
                add(Some(&name), What::Owner, format!("{name} asked to go"));
            }
            if seen.gone {
                add(Some(&name), What::Owner, format!("{name} gone"));
            }
        }
        "Deployment" => {
            let is_done = |web: &Value| {
                items(&web["status"]["conditions"]).any(|c| c["reason"] == "NewReplicaSetAvailable")
            };
            if is_done(new) && old.is_none_or(|old| !is_done(old)) {
                add(None, What::Complete, format!("{name} complete"));
            }
            if asked {
                add(None, What::Owner, format!("{name} asked to go"));
            }
            if seen.gone {
                add(None, What::Owner, format!("{name} gone"));
            }
        }
        _ => {}
    }
    all
}

/// The smallest of the sequences that keep the order of all that depend on each other.
fn smallest(mut left: Vec<Milestone>, promises: Promises) -> Vec<String> {
    let mut out = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_free = |at: &usize| !left[..*at].iter().any(|earlier| promises.orders(earlier, &left[*at]));
        let free = (0..left.len()).filter(is_free);
        let Some(next) = free.min_by(|a, b| left[*a].text.cmp(&left[*b].text)) else { break };
        out.push(left.remove(next).text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: What, set: &str, text: &str) -> Milestone {
        Milestone { set: Some(set.to_owned()), what, text: text.to_owned() }
    }

    #[test]
    fn only_chance_is_taken_out_of_an_order() {
        let asked = line(What::PodAsked, "rs-1", "asked");
        let scaled = line(What::Decision, "rs-2", "scaled");
        let ready = line(What::PodReady, "rs-2", "ready");
        let of =
            |list: &[&Milestone]| smallest(list.iter().map(|m| (*m).clone()).collect(), Promises::default());
        // The old pod and the new ReplicaSet have nothing to do with each other.
        assert_eq!(of(&[&asked, &scaled]), of(&[&scaled, &asked]));
        // A pod that is ready before its ReplicaSet is scaled is another story.
        assert_ne!(of(&[&ready, &scaled]), of(&[&scaled, &ready]));
    }
}
