//! The sections of an object by name: the three that nearly every object has at places of their own, the others in a list.
//! Another version with another status is three pointers.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::section::Section;

/// The names of sections many objects have; they cost no memory.
const COMMON: &[&str] = &[
    "data",
    "binaryData",
    "type",
    "immutable",
    "rules",
    "roleRef",
    "subjects",
    "secrets",
    "subsets",
    "endpoints",
    "ports",
    "addressType",
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "eventTime",
    "reportingComponent",
    "reportingInstance",
    "revision",
    "provisioner",
    "value",
    "webhooks",
    "automountServiceAccountToken",
    "imagePullSecrets",
];

/// The sections by name. A kind without a name among the three has it empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sections {
    metadata: Option<Section>,
    spec: Option<Section>,
    status: Option<Section>,
    /// In alphabetical order.
    others: Vec<(Cow<'static, str>, Section)>,
}

impl Sections {
    /// Of a whole object, without what says its kind.
    pub(super) fn of(map: Map<String, Value>) -> Self {
        let mut sections = Self::default();
        for (name, value) in map {
            sections.set(&name, Section::new(value));
        }
        sections.others.shrink_to_fit();
        sections
    }

    #[inline]
    pub(super) fn get(&self, name: &str) -> Option<&Section> {
        match name {
            "metadata" => self.metadata.as_ref(),
            "spec" => self.spec.as_ref(),
            "status" => self.status.as_ref(),
            _ => self.others.iter().find(|(key, _)| key == name).map(|(_, section)| section),
        }
    }

    #[inline]
    pub(super) fn set(&mut self, name: &str, section: Section) {
        match name {
            "metadata" => self.metadata = Some(section),
            "spec" => self.spec = Some(section),
            "status" => self.status = Some(section),
            _ => match self.place(name) {
                Ok(at) => self.others[at].1 = section,
                Err(at) => self.others.insert(at, (known(name), section)),
            },
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        match name {
            "metadata" => self.metadata = None,
            "spec" => self.spec = None,
            "status" => self.status = None,
            _ => self.others.retain(|(key, _)| key != name),
        }
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.others.binary_search_by(|(key, _)| key.as_ref().cmp(name))
    }

    /// All of them in alphabetical order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Section)> {
        let others = |from: &str, to: &str| {
            let place = |name: &str| self.place(name).unwrap_or_else(|at| at);
            let to = if to.is_empty() { self.others.len() } else { place(to) };
            self.others[place(from)..to].iter().map(|(key, section)| (key.as_ref(), section))
        };
        let one = |name, section| Option::into_iter(section).map(move |section| (name, section));
        others("", "metadata")
            .chain(one("metadata", self.metadata.as_ref()))
            .chain(others("metadata", "spec"))
            .chain(one("spec", self.spec.as_ref()))
            .chain(others("spec", "status"))
            .chain(one("status", self.status.as_ref()))
            .chain(others("status", ""))
    }

    /// All of them, in no order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Section)> {
        let three =
            [("metadata", &mut self.metadata), ("spec", &mut self.spec), ("status", &mut self.status)];
        let three = three.into_iter().filter_map(|(name, section)| Some((name, section.as_mut()?)));
        three.chain(self.others.iter_mut().map(|(key, section)| (&**key, section)))
    }
}

fn known(name: &str) -> Cow<'static, str> {
    match COMMON.iter().find(|common| **common == name) {
        Some(common) => Cow::Borrowed(common),
        None => Cow::Owned(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sections_are_told_in_alphabetical_order() {
        let names = ["zebra", "status", "spec", "metadata", "data", "ports", "spoon", "apple"];
        let mut sections = Sections::default();
        for name in names {
            sections.set(name, Section::new(json!({"of": name})));
        }
        let told: Vec<_> = sections.iter().map(|(name, section)| (name, section["of"].as_str())).collect();
        let mut want = names.map(|name| (name, Some(name)));
        want.sort_unstable();
        assert_eq!(told, want);
        for name in names {
            assert_eq!(sections.get(name).map(|section| &section["of"]), Some(&json!(name)));
            sections.remove(name);
        }
        assert_eq!(sections, Sections::default());
    }
}
