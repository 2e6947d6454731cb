//! Server-side apply: who owns which field, what an apply changes, and when two owners disagree.
//!
//! Pure functions of values and shapes. The rules are those of Kubernetes' structured merge: a manager owns the
//! fields it last applied or changed; an apply takes away what its manager alone had applied before and left out now.

mod compare;
mod managed;
mod merge;
mod reconcile;
mod remove;
mod set;
mod walk;

use jiff::Timestamp;
use serde_json::Value;

use managed::Owned;
pub(crate) use managed::{Managed, Manager, Operation, Owners};
use set::{Pe, Set, path_text};

use crate::schema::Node;
use crate::status::{Cause, Status};
use compare::{Comparison, compare};

/// Fields that nobody owns.
const STRIPPED: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// How many managers that only update are told apart.
const MAX_UPDATE_MANAGERS: usize = 10;

/// What a write is, as far as owners are concerned.
pub(crate) struct Writing<'a> {
    pub(crate) node: Node<'a>,
    pub(crate) manager: &'a Manager,
    /// `apiVersion` of the objects.
    pub(crate) api_version: &'a str,
    /// Top-level fields the endpoint does not write.
    pub(crate) ignored: &'a [&'a str],
    pub(crate) now: Timestamp,
    /// Whether messages say which object could not be read.
    pub(crate) names_failures: bool,
    /// Whether the rules are those of today: who applies an empty map owns it, and lists take the order of the
    /// configuration.
    pub(crate) modern: bool,
}

/// What became of an apply.
pub(crate) struct Applied {
    /// The merged object, None if it is as it was.
    pub(crate) object: Option<Value>,
}

impl Writing<'_> {
    /// Notes what a write that was no apply changed.
    pub(crate) fn update(&self, live: &Value, new: &Value, managed: &mut Managed) -> Result<(), String> {
        if !self.modern {
            // A list with two items of one key could not be read.
            walk::to_set(self.node, live, true)?;
            walk::to_set(self.node, new, true)?;
        }
        self.reconcile(live, managed);
        let changed = self.compare(live, new)?;
        self.take(managed, &changed, None);
        let mut set = changed.modified.union(&changed.added);
        if set.is_empty() {
            return Ok(());
        }
        if let Some(kept) = managed.get(self.manager) {
            set = set.union(&kept.set);
        }
        managed.insert(self.manager.clone(), self.owned(set));
        managed.cap(MAX_UPDATE_MANAGERS);
        Ok(())
    }

    /// Merges a configuration into the live object.
    pub(crate) fn apply(
        &self,
        live: &Value,
        config: &Value,
        managed: &mut Managed,
        force: bool,
    ) -> Result<Applied, Status> {
        let what = |e: String| self.typed_failure(config, &e);
        let whole = walk::to_set(self.node, config, self.modern).map_err(what)?;
        let mut set = whole.clone();
        self.strip(&mut set);
        self.reconcile(live, managed);
        let merged = merge::merge(self.node, live, config, self.modern).map_err(what)?;
        let last = managed.get(self.manager).map(|owned| owned.set.clone());
        let time = managed.get(self.manager).and_then(|owned| owned.time.clone());
        managed.insert(self.manager.clone(), Owned { time, ..self.owned(set) });
        let last_set = last.clone();
        let pruned = self.prune(&merged, managed, last, &whole).map_err(what)?;
        let changed = self.compare(live, &pruned).map_err(what)?;
        if !force {
            let conflicts = self.conflicts(managed, &changed);
            if !conflicts.is_empty() {
                return Err(conflict_status(&conflicts));
            }
        }
        self.take(managed, &changed, Some(self.manager));
        if managed.get(self.manager).is_some_and(|owned| owned.set.is_empty()) {
            managed.remove(self.manager);
        }
        let is_same = same(live, &pruned);
        if let Some(owned) = managed.get_mut(self.manager)
            && !(is_same && last_set.as_ref() == Some(&owned.set))
        {
            owned.time = Some(crate::time::seconds(self.now));
        }
        Ok(Applied { object: if is_same { None } else { Some(pruned) } })
    }

    fn reconcile(&self, live: &Value, managed: &mut Managed) {
        if !self.modern {
            managed.change(|_, owned| owned.set = reconcile::reconcile(self.node, live, &owned.set));
        }
    }

    fn owned(&self, set: Set) -> Owned {
        Owned { set, api_version: self.api_version.to_owned(), time: Some(crate::time::seconds(self.now)) }
    }

    fn compare(&self, live: &Value, new: &Value) -> Result<Comparison, String> {
        let mut changed = compare(self.node, live, new)?;
        for set in [&mut changed.added, &mut changed.modified, &mut changed.removed] {
            self.strip(set);
        }
        Ok(changed)
    }

    fn strip(&self, set: &mut Set) {
        if set.is_empty() {
            return;
        }
        for path in STRIPPED {
            let path: Vec<Pe> = path.iter().map(|&f| Pe::field(f)).collect();
            set.take_member(&path);
        }
        for field in self.ignored {
            set.take_all(&Pe::field(field));
        }
    }

    fn conflicts<'m>(&self, managed: &'m Managed, changed: &Comparison) -> Vec<(&'m Manager, Vec<Vec<Pe>>)> {
        let written = changed.modified.union(&changed.added);
        managed
            .iter()
            .filter(|(manager, _)| *manager != self.manager)
            .map(|(manager, owned)| (manager, owned.set.intersection(&written).paths()))
            .filter(|(_, paths)| !paths.is_empty())
            .collect()
    }

    /// Whoever owned what is written or removed now, does no longer.
    fn take(&self, managed: &mut Managed, changed: &Comparison, except: Option<&Manager>) {
        let written = changed.modified.union(&changed.added);
        managed.change(|manager, owned| {
            if except == Some(manager) {
                return;
            }
            let is_own = manager == self.manager;
            if !is_own && !written.is_empty() {
                owned.set = owned.set.difference(&written);
            }
            if !changed.removed.is_empty() {
                owned.set = owned.set.difference(&changed.removed);
            }
        });
    }

    /// Takes away what this manager applied before, did not now, and nobody else owns. `whole` is what it applies now,
    /// with the names nobody owns.
    fn prune(
        &self,
        merged: &Value,
        managed: &Managed,
        last: Option<Set>,
        whole: &Set,
    ) -> Result<Value, String> {
        let Some(last) = last.filter(|last| !last.is_empty()) else { return Ok(merged.clone()) };
        // Structs go with the last of their fields; before, what had been filled in there stayed.
        let named = |set: &Set| if self.modern { set.with_named(self.node) } else { set.clone() };
        let last = named(&last);
        let pruned = remove::remove(self.node, merged, &last, !self.modern);
        let everything = named(&walk::to_set(self.node, merged, true)?);
        let mut owned = whole.clone();
        for (_, other) in managed.iter() {
            owned = owned.union(&other.set);
        }
        let kept = named(&walk::to_set(self.node, &pruned, true)?);
        let kept = kept.union(&named(&owned));
        let pruned = remove::remove(self.node, merged, &everything.difference(&kept), !self.modern);
        let kept = named(&walk::to_set(self.node, &pruned, true)?);
        Ok(remove::remove(self.node, merged, &everything.difference(&kept).intersection(&last), !self.modern))
    }

    fn typed_failure(&self, config: &Value, why: &str) -> Status {
        let text = |field: &str| config["metadata"][field].as_str().unwrap_or_default().to_owned();
        let kind = config["kind"].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        let of = if namespace.is_empty() { format!("/{name}") } else { format!("{namespace}/{name}") };
        let what = format!("({of}; {}, Kind={kind})", self.api_version);
        let what = if self.names_failures { format!(" {what}") } else { String::new() };
        Status::internal(format!("failed to create typed patch object{what}: {why}"))
    }
}

/// Whether both say the same, but for what the server alone writes.
fn same(a: &Value, b: &Value) -> bool {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return a == b };
    let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
    keys.into_iter().all(|key| match key.as_str() {
        "apiVersion" | "kind" => true,
        "metadata" => {
            let clean = |v: Option<&Value>| {
                let mut v = v.cloned().unwrap_or(Value::Null);
                if let Value::Object(map) = &mut v {
                    for field in ["managedFields", "resourceVersion"] {
                        map.remove(field);
                    }
                }
                v
            };
            clean(a.get(key)) == clean(b.get(key))
        }
        _ => a.get(key) == b.get(key),
    })
}

fn conflict_status(conflicts: &[(&Manager, Vec<Vec<Pe>>)]) -> Status {
    let count: usize = conflicts.iter().map(|(_, paths)| paths.len()).sum();
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (manager, paths) in conflicts {
        lines.push(format!("conflicts with {}:", manager.words()));
        for path in paths {
            let path = path_text(path);
            lines.push(format!("- {path}"));
            causes.push(Cause::new(
                "FieldManagerConflict",
                path,
                format!("conflict with {}", manager.words()),
            ));
        }
    }
    let list = match &causes[..] {
        [one] => format!("{}: {}", one.message, one.field),
        _ => lines.join("\n"),
    };
    let s = if count == 1 { "" } else { "s" };
    let mut status = Status::new(409, "Conflict", format!("Apply failed with {count} conflict{s}: {list}"));
    status.details.causes = causes;
    status
}
