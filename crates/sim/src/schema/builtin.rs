//! The table of built-in types, read from `tables/builtin.txt` once. How that was made is said in
//! `tables/generate.py`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Items, Keys, Sort};

static TABLE: LazyLock<Table> = LazyLock::new(|| read(include_str!("../../tables/builtin.txt")));

/// One kind as the table has it.
#[derive(Debug, Clone)]
pub(crate) struct KindLine {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) shape: usize,
}

/// One type.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) name: &'static str,
    pub(crate) atomic: bool,
    /// Sorted by name.
    pub(crate) fields: Vec<Field>,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) code: Code,
}

/// What is at the innermost of lists and maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    Text,
    Bool,
    Int,
    Number,
    Bytes,
    Quantity,
    Time,
    MicroTime,
    IntOrText,
    Any,
    Type(usize),
}

/// The type of a field: lists and maps of a leaf, and how the outermost list or map is merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code {
    /// `[` and `{` from outside in.
    wraps: &'static str,
    pub(crate) leaf: Leaf,
    how: How,
    /// Whether small types and maps are merged field by field, as they were in old versions.
    granular: bool,
}

/// How the outermost list or map of a field is merged.
#[derive(Debug, Clone, Copy, Default)]
struct How {
    set: bool,
    atomic: bool,
    keep: bool,
    keys: &'static [&'static str],
    patch: Option<&'static str>,
}

#[derive(Debug, Default)]
struct Table {
    kinds: Vec<KindLine>,
    types: Vec<Type>,
}

/// The kinds, older versions of a kind before newer ones.
pub(crate) fn kinds() -> &'static [KindLine] {
    &TABLE.kinds
}

/// One type by its index.
pub(crate) fn type_at(index: usize) -> &'static Type {
    &TABLE.types[index]
}

/// The index of a type by its name.
pub(crate) fn type_named(name: &str) -> Option<usize> {
    TABLE.types.iter().position(|t| t.name == name)
}

impl Type {
    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|f| f.name.cmp(name)).ok().map(|at| &self.fields[at])
    }
}

/// Fields that 1.20 does not know.
const NEWER: &[(&str, &str)] = &[
    ("apps.v1.StatefulSetSpec", "minReadySeconds"),
    ("apps.v1.StatefulSetSpec", "ordinals"),
    ("apps.v1.StatefulSetSpec", "persistentVolumeClaimRetentionPolicy"),
    ("apps.v1.StatefulSetStatus", "availableReplicas"),
    ("batch.v1.JobSpec", "completionMode"),
    ("batch.v1.JobSpec", "suspend"),
    ("batch.v1.JobSpec", "podFailurePolicy"),
    ("batch.v1.JobSpec", "podReplacementPolicy"),
    ("batch.v1.JobSpec", "successPolicy"),
    ("core.v1.PodSpec", "os"),
    ("core.v1.PodSpec", "hostUsers"),
    ("core.v1.PodSpec", "schedulingGates"),
    ("core.v1.PodSpec", "resourceClaims"),
    ("core.v1.PodSpec", "resources"),
    ("core.v1.Container", "resizePolicy"),
    ("core.v1.Container", "restartPolicy"),
    ("core.v1.Probe", "grpc"),
    ("core.v1.Probe", "terminationGracePeriodSeconds"),
    ("core.v1.LifecycleHandler", "sleep"),
    ("core.v1.ServiceSpec", "internalTrafficPolicy"),
    ("core.v1.ServiceSpec", "loadBalancerClass"),
    ("core.v1.ServiceSpec", "trafficDistribution"),
];

impl Code {
    /// A value of a type, not in a list.
    pub(crate) fn of_type(index: usize) -> Self {
        Self { wraps: "", leaf: Leaf::Type(index), how: How::default(), granular: false }
    }

    /// The same, merged as old versions did.
    pub(crate) fn granular(self) -> Self {
        Self { granular: true, ..self }
    }

    /// Whether it is merged as old versions did.
    pub(crate) fn is_granular(self) -> bool {
        self.granular
    }

    fn inner(self) -> Self {
        Self { wraps: self.wraps.get(1..).unwrap_or(""), how: How::default(), ..self }
    }

    pub(crate) fn is_list(self) -> bool {
        self.wraps.starts_with('[')
    }

    pub(crate) fn is_map(self) -> bool {
        self.wraps.starts_with('{')
    }

    pub(crate) fn sort(self) -> Sort {
        if self.is_list() {
            return Sort::List;
        }
        if self.is_map() {
            return Sort::Map { atomic: self.how.atomic && !self.granular };
        }
        match self.leaf {
            Leaf::Type(index) => {
                let of = type_at(index);
                let is_old_atomic = of.name == "meta.v1.LabelSelector";
                Sort::Struct { atomic: of.atomic && (!self.granular || is_old_atomic) }
            }
            Leaf::Any => Sort::Any,
            _ => Sort::Scalar,
        }
    }

    /// A field of a struct, or what is behind any key of a map.
    pub(crate) fn field(self, name: &str) -> Option<Field> {
        if self.is_map() {
            return Some(Field { name: "", required: false, code: self.inner() });
        }
        match self.leaf {
            _ if self.is_list() => None,
            Leaf::Type(index) => {
                let of = type_at(index);
                if self.granular && NEWER.contains(&(of.name, name)) {
                    return None;
                }
                let mut field = *of.field(name)?;
                field.code.granular = self.granular;
                Some(field)
            }
            Leaf::Any => Some(Field { name: "", required: false, code: self }),
            _ => None,
        }
    }

    pub(crate) fn names(self, name: &str) -> bool {
        match self.leaf {
            Leaf::Type(index) if self.wraps.is_empty() => type_at(index).field(name).is_some(),
            _ => false,
        }
    }

    /// The type, if it is one and not in a list or map.
    pub(crate) fn struct_type(self) -> Option<&'static Type> {
        match self.leaf {
            Leaf::Type(index) if self.wraps.is_empty() => Some(type_at(index)),
            _ => None,
        }
    }

    pub(crate) fn item(self) -> Self {
        self.inner()
    }

    pub(crate) fn items(self) -> Items<'static> {
        if self.how.set {
            Items::Set
        } else if self.how.keys.is_empty() {
            Items::Atomic
        } else {
            Items::Map(Keys::Builtin(self.how.keys))
        }
    }

    pub(crate) fn patch_key(self) -> Option<&'static str> {
        self.how.patch
    }

    /// Whether strategic merge patches merge a list of scalars.
    pub(crate) fn is_set(self) -> bool {
        self.how.set
    }

    /// Whether strategic merge patches may say which fields to keep.
    pub(crate) fn keeps(self) -> bool {
        self.how.keep
    }
}

fn read(text: &'static str) -> Table {
    let names: HashMap<&str, usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("T "))
        .enumerate()
        .map(|(index, line)| (line.split(' ').next().unwrap_or(line), index))
        .collect();
    let mut table = Table::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let first = words.next().unwrap_or_default();
        let rest: Vec<&'static str> = words.collect();
        match (first, &rest[..]) {
            ("K", [group, version, kind, plural, scope, name]) => table.kinds.push(KindLine {
                group: if *group == "\"\"" { "" } else { group },
                version,
                kind,
                plural,
                namespaced: *scope == "N",
                shape: names[name],
            }),
            ("T", [name, flags @ ..]) => {
                table.types.push(Type { name, atomic: flags.contains(&"atomic"), fields: Vec::new() });
            }
            (name, [code, how @ ..]) => {
                let field = read_field(name, code, how, &names);
                if let Some(of) = table.types.last_mut() {
                    of.fields.push(field);
                }
            }
            _ => {}
        }
    }
    for kind in &table.kinds {
        // Whole objects say what they are.
        let of = &mut table.types[kind.shape];
        for name in ["apiVersion", "kind"] {
            if !of.fields.iter().any(|f| f.name == name) {
                let code = Code { wraps: "", leaf: Leaf::Text, how: How::default(), granular: false };
                of.fields.push(Field { name, required: false, code });
            }
        }
    }
    for of in &mut table.types {
        of.fields.sort_by_key(|f| f.name);
    }
    table
}

fn read_field(
    name: &'static str,
    code: &'static str,
    how: &[&'static str],
    names: &HashMap<&str, usize>,
) -> Field {
    let required = code.starts_with('!');
    let code = code.trim_start_matches('!');
    let leaf = code.trim_start_matches(['[', '{']);
    let wraps = &code[..code.len() - leaf.len()];
    let leaf = match leaf {
        "s" => Leaf::Text,
        "b" => Leaf::Bool,
        "i" => Leaf::Int,
        "n" => Leaf::Number,
        "y" => Leaf::Bytes,
        "q" => Leaf::Quantity,
        "t" => Leaf::Time,
        "u" => Leaf::MicroTime,
        "x" => Leaf::IntOrText,
        "j" => Leaf::Any,
        other => Leaf::Type(names[other.trim_start_matches('@')]),
    };
    let mut out = How::default();
    for word in how {
        match word.split_once('=') {
            Some(("map", keys)) => {
                out.keys = Vec::leak(keys.split(',').collect());
                out.patch = out.patch.or(out.keys.first().copied());
            }
            Some(("patch", key)) => out.patch = Some(key),
            _ => match *word {
                "set" => out.set = true,
                "atomic" => out.atomic = true,
                "keep" => out.keep = true,
                _ => {}
            },
        }
    }
    Field { name, required, code: Code { wraps, leaf, how: out, granular: false } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let spec = Code::of_type(type_named("core.v1.ServiceSpec").unwrap());
        let ports = spec.field("ports").unwrap().code;
        assert_eq!(ports.items(), Items::Map(Keys::Builtin(&["port", "protocol"])));
        assert_eq!(ports.patch_key(), Some("port"));
        assert_eq!(spec.field("selector").unwrap().code.sort(), Sort::Map { atomic: true });
        assert!(spec.field("nothing").is_none());
        assert!(ports.item().names("targetPort"));
    }
}
