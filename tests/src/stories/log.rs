//! What the watches of a story have shown, in the order of revisions.

use std::collections::BTreeMap;

use serde_json::Value;

/// One event of a watch.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Of which kind the object is.
    pub kind: &'static str,
    /// Whether it is gone.
    pub gone: bool,
    /// The object, as it is or was.
    pub object: Value,
}

impl Seen {
    pub(super) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    fn revision(&self) -> u64 {
        revision_of(&self.object)
    }
}

/// The revision of the last change: that of one store, and so comparable between kinds.
fn revision_of(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What was seen in one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chapter {
    /// The name of the step.
    pub step: &'static str,
    /// What was seen, in the order of revisions.
    pub seen: Vec<Seen>,
}

/// What was seen of a story.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    /// The namespace it happened in.
    pub namespace: String,
    /// The registry images came from.
    pub registry: String,
    /// The steps.
    pub chapters: Vec<Chapter>,
}

impl Log {
    /// A new step: what is seen from here on belongs to it.
    pub(super) fn begin(&mut self, step: &'static str) {
        self.chapters.push(Chapter { step, seen: Vec::new() });
    }

    pub(super) fn note(&mut self, seen: Seen) {
        if let Some(chapter) = self.chapters.last_mut() {
            chapter.seen.push(seen);
        }
    }

    /// Puts every step into the order of revisions: watches of different kinds run apart.
    pub(super) fn sort(&mut self) {
        for chapter in &mut self.chapters {
            chapter.seen.sort_by_key(Seen::revision);
        }
    }

    /// The objects that are there after all of it.
    pub(super) fn world(&self) -> World {
        let mut world = World::default();
        for seen in self.chapters.iter().flat_map(|chapter| &chapter.seen) {
            world.note(seen);
        }
        world
    }
}

/// The objects that are there.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    objects: BTreeMap<(&'static str, String), Value>,
}

impl World {
    pub(super) fn note(&mut self, seen: &Seen) {
        let key = (seen.kind, seen.name().to_owned());
        if seen.gone {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key, seen.object.clone());
        }
    }

    /// Whether this revision of an object has been seen, or the object is not there at all.
    pub(super) fn has_come_to(&self, kind: &'static str, name: &str, revision: u64) -> bool {
        self.get(kind, name).is_none_or(|object| revision_of(object) >= revision)
    }

    pub(super) fn get(&self, kind: &'static str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, name.to_owned()))
    }

    pub(super) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).map(|(_, object)| object)
    }
}
