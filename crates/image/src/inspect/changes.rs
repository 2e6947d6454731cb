//! What differs between two images: files added, removed and changed.

use std::collections::BTreeMap;

use super::archive::EntryKind;
use super::layer::LayerEntry;
use super::stack::Contents;

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The second image has it, the first has not.
    Added,
    /// The first image has it, the second has not.
    Removed,
    /// Both have it, with other content, another size, other permissions, another target or of another kind.
    Changed,
}

/// A path that differs. Folders that are on both sides do in their permissions only; owners and times are not
/// compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: String,
    /// How it differs.
    pub difference: Difference,
    /// What it is in the second image; in the first, when it was removed.
    pub kind: EntryKind,
    /// Its size in the first image, in bytes.
    pub before: Option<u64>,
    /// Its size in the second image, in bytes.
    pub after: Option<u64>,
    /// Its permission bits in both, where they are all that differs.
    pub modes: Option<(u32, u32)>,
    /// The layer of the second image that has it, from 0; of the first, when it was removed.
    pub layer: usize,
}

/// Everything that differs, by path. Files are compared by digest where both were hashed, else by size.
pub fn changes(before: &Contents, after: &Contents) -> Vec<Change> {
    let mut all: BTreeMap<&str, Change> = BTreeMap::new();
    for (path, (layer, entry)) in &after.entries {
        let old = before.entries.get(path).map(|(_, old)| old);
        let difference = match old {
            None => Difference::Added,
            Some(old) if differs(old, entry) => Difference::Changed,
            Some(_) => continue,
        };
        let change = Change {
            path: path.clone(),
            difference,
            kind: entry.kind,
            before: old.map(|old| old.size),
            after: Some(entry.size),
            modes: old.filter(|old| !says_other(old, entry)).map(|old| (old.mode, entry.mode)),
            layer: *layer,
        };
        all.insert(path, change);
    }
    for (path, (layer, entry)) in &before.entries {
        if !after.entries.contains_key(path) {
            let change = Change {
                path: path.clone(),
                difference: Difference::Removed,
                kind: entry.kind,
                before: Some(entry.size),
                after: None,
                modes: None,
                layer: *layer,
            };
            all.insert(path, change);
        }
    }
    all.into_values().collect()
}

fn differs(old: &LayerEntry, new: &LayerEntry) -> bool {
    // The bits of a link mean nothing.
    says_other(old, new) || (old.mode != new.mode && new.kind != EntryKind::Link)
}

/// Whether what is there differs, and not only who may use it.
fn says_other(old: &LayerEntry, new: &LayerEntry) -> bool {
    let content = match (&old.digest, &new.digest) {
        (Some(old), Some(new)) => old != new,
        _ => old.size != new.size,
    };
    old.kind != new.kind || old.link != new.link || content
}
