//! Which pods are selected by whom: kept up to date from changes, so that nobody has to look at all pods of a
//! namespace when one changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;
use serde_json::Value;

use super::cursor::News;
use super::key::Key;
use crate::object::{Object, Place};
use crate::resource::PODS;
use crate::selector::LabelSelector;
use crate::store::{Store, What};

/// A label with its value: selectors are found by one they demand.
type Pair = (String, String);

#[derive(Debug, Clone, Default)]
pub(crate) struct Selected {
    selectors: BTreeMap<Key, (LabelSelector, Option<Pair>)>,
    /// Selectors by namespace and one label they demand; under None those that demand no value.
    index: BTreeMap<(Arc<str>, Option<Pair>), BTreeSet<Key>>,
    /// The pods by namespace and each of their labels; kept once there is a selector.
    labelled: BTreeMap<(Arc<str>, Pair), BTreeSet<Arc<str>>>,
    /// By name, with their places in the store.
    pods: HashMap<Key, BTreeMap<Arc<str>, Place>>,
    /// Who selects the pod at a place.
    by_pod: HashMap<Place, BTreeSet<Key>>,
}

impl Selected {
    /// Takes a selector up. `labels` is a map of labels it demands.
    pub(crate) fn insert(&mut self, store: &Store, key: Key, selector: LabelSelector, labels: &Value) {
        self.remove(&key);
        if self.selectors.is_empty() {
            self.labelled.clear();
            store.list(&PODS, None).for_each(|pod| self.label(pod));
        }
        let pair = labels.as_object().and_then(|map| map.iter().next());
        let pair = pair.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()));
        self.index.entry((Arc::clone(&key.namespace), pair.clone())).or_default().insert(key.clone());
        let mut chosen = BTreeMap::new();
        let candidates: Vec<&Arc<Object>> = match &pair {
            Some(pair) => {
                let names = self.labelled.get(&(Arc::clone(&key.namespace), pair.clone()));
                let names = names.into_iter().flatten();
                names.filter_map(|name| store.get(&PODS, &key.namespace, name)).collect()
            }
            None => store.list(&PODS, Some(&key.namespace)).collect(),
        };
        for pod in candidates {
            if selector.matches(pod.labels()) {
                chosen.insert(Arc::clone(&pod.name), pod.place);
                self.by_pod.entry(pod.place).or_default().insert(key.clone());
            }
        }
        self.pods.insert(key.clone(), chosen);
        self.selectors.insert(key, (selector, pair));
    }

    fn label(&mut self, pod: &Object) {
        for place in places(pod) {
            self.labelled.entry(place).or_default().insert(Arc::clone(&pod.name));
        }
    }

    fn unlabel(&mut self, pod: &Object) {
        for place in places(pod) {
            let Some(names) = self.labelled.get_mut(&place) else { continue };
            names.remove(&pod.name);
            if names.is_empty() {
                self.labelled.remove(&place);
            }
        }
    }

    /// Forgets a selector.
    pub(crate) fn remove(&mut self, key: &Key) {
        let Some((_, pair)) = self.selectors.remove(key) else { return };
        let place = (Arc::clone(&key.namespace), pair);
        if let Some(keys) = self.index.get_mut(&place) {
            keys.remove(key);
            if keys.is_empty() {
                self.index.remove(&place);
            }
        }
        for place in self.pods.remove(key).unwrap_or_default().into_values() {
            if let Some(keys) = self.by_pod.get_mut(&place) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_pod.remove(&place);
                }
            }
        }
    }

    /// Whether nobody selects anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.selectors.is_empty()
    }

    /// Takes note of what happened to a pod, and shows everybody who selects it or did so before.
    pub(crate) fn note(&mut self, news: News<'_>, mut touched: impl FnMut(&Key)) {
        if self.is_empty() {
            return;
        }
        let pod = news.object;
        let is_labelled_as_before = news
            .before
            .is_some_and(|before| !news.changed("metadata") || before.labels() == news.object.labels());
        if news.what == What::Modified && is_labelled_as_before {
            self.by_pod.get(&pod.place).into_iter().flatten().for_each(touched);
            return;
        }
        if let Some(before) = news.before.filter(|_| news.what != What::Added) {
            self.unlabel(before);
        }
        if news.what != What::Deleted {
            self.label(news.object);
        }
        let before = self.by_pod.remove(&pod.place).unwrap_or_default();
        let after = if news.what == What::Deleted { BTreeSet::new() } else { self.who_selects(news.object) };
        for key in before.difference(&after) {
            self.pods.get_mut(key).map(|names| names.remove(&pod.name));
            touched(key);
        }
        for key in &after {
            self.pods.entry(key.clone()).or_default().insert(Arc::clone(&pod.name), pod.place);
            touched(key);
        }
        if !after.is_empty() {
            self.by_pod.insert(pod.place, after);
        }
    }

    fn who_selects(&self, pod: &Object) -> BTreeSet<Key> {
        let labels = pod.labels();
        let pairs = labels.as_object().into_iter().flatten();
        let pairs = pairs.map(|(k, v)| Some((k.clone(), v.as_str().unwrap_or_default().to_owned())));
        pairs
            .chain([None])
            .filter_map(|pair| self.index.get(&(Arc::clone(&pod.namespace), pair)))
            .flatten()
            .filter(|key| self.selectors.get(key).is_some_and(|(selector, _)| selector.matches(labels)))
            .cloned()
            .collect()
    }

    /// The pods somebody selects, by name.
    pub(crate) fn pods<'a>(
        &'a self,
        store: &'a Store,
        key: &'a Key,
    ) -> impl Iterator<Item = &'a Arc<Object>> {
        let chosen = self.pods.get(key).into_iter().flatten();
        chosen.filter_map(|(name, place)| store.in_place(&PODS, *place).filter(|pod| pod.name == *name))
    }
}

fn places(pod: &Object) -> impl Iterator<Item = (Arc<str>, Pair)> {
    let labels = pod.labels().as_object().into_iter().flatten();
    labels.map(|(key, value)| {
        let pair = (key.clone(), value.as_str().unwrap_or_default().to_owned());
        (Arc::clone(&pod.namespace), pair)
    })
}
