//! Layers on top of one another: which files an image has in the end, and which it carries for nothing.
//!
//! The rules are those of the [OCI image specification](https://github.com/opencontainers/image-spec/blob/main/layer.md):
//! a later file replaces an earlier one, a whiteout takes one away with everything below it, an opaque folder everything that
//! earlier layers put into it. Links are not followed.

use std::collections::BTreeMap;

use super::archive::EntryKind;
use super::layer::{LayerContents, LayerEntry};

/// A file of an image that a later layer replaced or took away: its bytes are in the image and nobody can read them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wasted {
    /// The path.
    pub path: String,
    /// The layer that has it, from 0.
    pub layer: usize,
    /// The layer that hides it.
    pub hidden_by: usize,
    /// Whether it was taken away, or else replaced.
    pub removed: bool,
    /// Its size, in bytes.
    pub size: u64,
}

/// What an image has in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Every path, with the layer it comes from and the entry there.
    pub entries: BTreeMap<String, (usize, LayerEntry)>,
    /// What is hidden, by path.
    pub wasted: Vec<Wasted>,
}

impl Contents {
    /// Stacks the layers, the lowest first.
    pub fn stack(layers: &[LayerContents]) -> Self {
        let mut contents = Self::default();
        for (index, layer) in layers.iter().enumerate() {
            // A layer takes away from those below it, never from itself, wherever the whiteout stands in it.
            for folder in &layer.opaque {
                contents.remove_below(folder, index, true);
            }
            for path in &layer.gone {
                contents.remove(path, index, true);
                contents.remove_below(path, index, true);
            }
            for entry in &layer.entries {
                contents.put(index, entry);
            }
        }
        contents.wasted.sort();
        contents
    }

    /// The contents of kept files, those that are hidden left out.
    pub fn kept(&self, layers: &[LayerContents]) -> BTreeMap<String, Vec<u8>> {
        let visible = |(index, layer): (usize, &LayerContents)| {
            let mut kept = layer.kept.clone();
            kept.retain(|path, _| self.entries.get(path).is_some_and(|(from, _)| *from == index));
            kept
        };
        layers.iter().enumerate().flat_map(visible).collect()
    }

    /// The bytes that are in the image and cannot be read.
    pub fn wasted_bytes(&self) -> u64 {
        self.wasted.iter().map(|wasted| wasted.size).sum()
    }

    fn put(&mut self, layer: usize, entry: &LayerEntry) {
        if entry.path.is_empty() {
            return;
        }
        let folder = entry.kind == EntryKind::Folder;
        let was_folder = self.entries.get(&entry.path).is_some_and(|(_, old)| old.kind == EntryKind::Folder);
        if !(folder && was_folder) {
            self.remove(&entry.path, layer, false);
        }
        if !folder && was_folder {
            self.remove_below(&entry.path, layer, false);
        }
        self.entries.insert(entry.path.clone(), (layer, entry.clone()));
    }

    fn remove(&mut self, path: &str, by: usize, removed: bool) {
        if let Some((layer, entry)) = self.entries.remove(path) {
            self.waste(layer, &entry, by, removed);
        }
    }

    /// Takes away what is below a folder, the root being the empty path.
    fn remove_below(&mut self, folder: &str, by: usize, removed: bool) {
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below: Vec<String> = self
            .entries
            .range(start.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&start))
            .cloned()
            .collect();
        for path in below {
            self.remove(&path, by, removed);
        }
    }

    fn waste(&mut self, layer: usize, entry: &LayerEntry, hidden_by: usize, removed: bool) {
        // Within one layer a later entry of the same name is an odd archive, and still wasted bytes.
        if entry.kind == EntryKind::File && entry.size > 0 {
            let (path, size) = (entry.path.clone(), entry.size);
            self.wasted.push(Wasted { path, layer, hidden_by, removed, size });
        }
    }
}

#[cfg(test)]
mod tests;
