//! One top-level field of an object, shared by all versions that have it.
//!
//! Most are JSON. What kubelets and controllers write all the time is kept as the facts it is made of, or as another
//! section and what is different; it becomes JSON when somebody reads it as JSON: a watcher, a request, a test. Nobody can
//! tell the difference from outside.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

/// Facts that a section can be made of.
pub(crate) trait Facts: Any + fmt::Debug + Send + Sync {
    /// What they are in JSON; the same facts give the same JSON.
    fn to_value(&self) -> Value;

    /// A field they always have: what lacks it says something else.
    fn mark(&self) -> &'static str;
}

/// What somebody reads out of a section again and again.
pub(crate) trait Reading: Any + Send + Sync {
    /// Reads it; from the same section always the same.
    fn of(section: &Section) -> Self;
}

/// One top-level field of an object; it reads as JSON.
#[derive(Clone)]
pub struct Section(Arc<Content>);

/// What was read of a section by whoever read it first. A section never changes, so that it holds as long as the section is there.
type Read = OnceLock<Box<Arc<dyn Any + Send + Sync>>>;

/// The JSON of what is none, once somebody has read it; most of it nobody ever reads.
type Made = OnceLock<Box<Value>>;

enum Content {
    Json {
        value: Value,
        read: Read,
    },
    Facts {
        json: Made,
        facts: Box<dyn Facts>,
    },
    /// Another one, but for these fields; Null for one that is not there. That one is none of this kind.
    Changed {
        json: Made,
        base: Section,
        fields: Vec<(&'static str, Value)>,
        read: Read,
    },
}

impl Section {
    /// A section of JSON.
    pub(crate) fn new(value: Value) -> Self {
        Self(Arc::new(Content::Json { value, read: Read::new() }))
    }

    /// A section of facts.
    pub(crate) fn of(facts: impl Facts) -> Self {
        Self(Arc::new(Content::Facts { json: Made::new(), facts: Box::new(facts) }))
    }

    /// The same section but for some fields; Null takes one away.
    pub(crate) fn with(&self, changes: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let (base, known) = self.parts();
        let mut fields: Vec<(&'static str, Value)> = Vec::with_capacity(known.len() + 2);
        for (name, value) in changes {
            match fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = value,
                None => fields.push((name, value)),
            }
        }
        for (name, value) in known {
            if !fields.iter().any(|(changed, _)| changed == name) {
                fields.push((*name, value.clone()));
            }
        }
        let (json, base, read) = (Made::new(), base.clone(), Read::new());
        Self(Arc::new(Content::Changed { json, base, fields, read }))
    }

    /// One of its fields, Null if it is not there; the rest does not become JSON for that.
    #[inline]
    pub(crate) fn field(&self, name: &str) -> &Value {
        match &*self.0 {
            Content::Json { value, .. } => &value[name],
            Content::Facts { .. } => &(**self)[name],
            Content::Changed { base, fields, .. } => {
                let changed = fields.iter().find(|(known, _)| *known == name);
                changed.map_or_else(|| base.field(name), |(_, value)| value)
            }
        }
    }

    /// Whether a field is certainly the same as that of another section.
    #[inline]
    pub(crate) fn shares_field(&self, other: &Self, name: &str) -> bool {
        let ((base, ours), (base_of_other, theirs)) = (self.parts(), other.parts());
        base.is(base_of_other) && !ours.iter().chain(theirs).any(|(changed, _)| *changed == name)
    }

    /// The section it was changed from, or itself.
    pub(crate) fn base(&self) -> &Self {
        self.parts().0
    }

    /// The section it is made from, which may be itself, and the fields that are others.
    #[inline]
    fn parts(&self) -> (&Self, &[(&'static str, Value)]) {
        match &*self.0 {
            Content::Changed { base, fields, .. } => (base, fields),
            Content::Json { .. } | Content::Facts { .. } => (self, &[]),
        }
    }

    /// What it says to somebody who asks often. The first one to ask has it read once; others have it read every time.
    #[inline]
    pub(crate) fn reading<T: Reading>(&self) -> Arc<T> {
        let make = || Arc::new(T::of(self));
        let read = match &*self.0 {
            Content::Json { read, .. } | Content::Changed { read, .. } => read,
            Content::Facts { .. } => return make(),
        };
        let known = read.get_or_init(|| Box::new(make()));
        Arc::downcast(Arc::clone(known)).unwrap_or_else(|_| make())
    }

    /// The facts, if it is made of some of this type.
    #[inline]
    pub(crate) fn facts<T: Facts>(&self) -> Option<&T> {
        match &*self.0 {
            Content::Json { .. } | Content::Changed { .. } => None,
            Content::Facts { facts, .. } => (&**facts as &dyn Any).downcast_ref(),
        }
    }

    /// Whether it says the same as these facts.
    pub(crate) fn says<T: Facts + PartialEq>(&self, facts: &T) -> bool {
        match self.facts::<T>() {
            Some(known) => known == facts,
            None => !self.field(facts.mark()).is_null() && **self == facts.to_value(),
        }
    }

    /// Whether both are one and the same, which costs nothing to find out. Others may say the same.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Section {
    type Target = Value;

    fn deref(&self) -> &Value {
        match &*self.0 {
            Content::Json { value, .. } => value,
            Content::Facts { json, facts } => json.get_or_init(|| Box::new(facts.to_value())),
            Content::Changed { json, base, fields, .. } => {
                json.get_or_init(|| Box::new(changed(base, fields)))
            }
        }
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        if self.is(other) {
            return true;
        }
        let ((base, ours), (base_of_other, theirs)) = (self.parts(), other.parts());
        if base.is(base_of_other) {
            let mut names = ours.iter().chain(theirs).map(|(name, _)| *name);
            return names.all(|name| self.field(name) == other.field(name));
        }
        **self == **other
    }
}

impl Eq for Section {}

fn changed(base: &Value, fields: &[(&'static str, Value)]) -> Value {
    let mut map = base.as_object().cloned().unwrap_or_default();
    for (name, value) in fields {
        if value.is_null() {
            map.remove(*name);
        } else {
            map.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_changed_section_reads_like_one_that_was_written_out() {
        let base = Section::new(json!({"a": 1, "b": {"c": 2}, "d": 3}));
        let changed =
            base.with([("a", json!(7)), ("d", Value::Null)]).with([("e", json!([])), ("a", json!(8))]);
        assert_eq!(*changed, json!({"a": 8, "b": {"c": 2}, "e": []}));
        assert_eq!((changed.field("a"), changed.field("d")), (&json!(8), &Value::Null));
        assert_eq!(changed.field("b"), &json!({"c": 2}));
        assert_eq!(changed, Section::new(json!({"a": 8, "b": {"c": 2}, "e": []})));
    }

    #[test]
    fn sections_are_equal_when_they_say_the_same() {
        let base = Section::new(json!({"a": 1}));
        for (changes, want) in [
            (vec![], true),
            (vec![("a", json!(1))], true),
            (vec![("a", json!(2))], false),
            (vec![("b", Value::Null)], true),
            (vec![("b", json!(0))], false),
        ] {
            assert_eq!(base == base.with(changes.clone()), want, "{changes:?}");
            let copy = Section::new((*base).clone());
            assert_eq!(copy == base.with(changes.clone()), want, "{changes:?}");
        }
    }

    #[test]
    fn what_was_read_holds_for_this_section_alone() {
        struct Sum(i64);
        impl Reading for Sum {
            fn of(section: &Section) -> Self {
                Self(section.field("a").as_i64().unwrap() + section.field("b").as_i64().unwrap())
            }
        }
        struct Text(String);
        impl Reading for Text {
            fn of(section: &Section) -> Self {
                Self(section.field("a").to_string())
            }
        }
        let base = Section::new(json!({"a": 1, "b": 2}));
        let (first, again) = (base.reading::<Sum>(), base.clone().reading::<Sum>());
        assert!(Arc::ptr_eq(&first, &again), "it is read once");
        assert_eq!(base.reading::<Text>().0, "1", "another one may read it, too");
        let changed = base.with([("a", json!(5))]);
        assert_eq!((base.reading::<Sum>().0, changed.reading::<Sum>().0), (3, 7));
        assert_eq!(changed.with([("b", json!(0))]).reading::<Sum>().0, 5);
    }

    #[derive(Debug, PartialEq)]
    struct Count(u64);

    impl Facts for Count {
        fn to_value(&self) -> Value {
            json!({"count": self.0})
        }

        fn mark(&self) -> &'static str {
            "count"
        }
    }

    #[test]
    fn facts_are_found_by_their_type_and_read_as_json() {
        let section = Section::of(Count(3));
        assert_eq!(section.facts::<Count>(), Some(&Count(3)));
        assert_eq!(*section, json!({"count": 3}));
        assert!(Section::new(json!({"count": 3})).facts::<Count>().is_none());
        assert_eq!(*section.with([("more", json!(1))]), json!({"count": 3, "more": 1}));
    }
}
