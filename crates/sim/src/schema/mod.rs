//! What objects look like: the fields of each type, and how lists and maps in it are merged and owned.
//!
//! Two sources, one face: the table of built-in types, and the structural schemas of CustomResourceDefinitions.
//! Everything else (patches, server-side apply, unknown fields, OpenAPI documents) asks a [`Node`].

pub(crate) mod builtin;
pub(crate) mod check;
mod crd;
pub(crate) mod words;

use std::sync::Arc;

use serde_json::Value;

/// The shape of a whole object of one kind and version.
#[derive(Debug, Clone)]
pub enum Shape {
    /// The type of that index in the table of built-in types.
    Builtin(usize),
    /// The same, with the merge rules of old versions.
    Granular(usize),
    /// The `openAPIV3Schema` of a CustomResourceDefinition.
    Custom(Arc<Value>),
}

/// How the items of a list are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Items<'a> {
    /// The list is one value.
    Atomic,
    /// Each item is its own key.
    Set,
    /// Items are maps with these keys.
    Map(Keys<'a>),
}

/// The names of the fields that tell items of a list apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys<'a> {
    Builtin(&'static [&'static str]),
    Custom(&'a Value),
}

impl<'a> Keys<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a str> {
        let (fixed, custom) = match self {
            Keys::Builtin(keys) => (keys, None),
            Keys::Custom(keys) => (&[][..], keys.as_array()),
        };
        fixed.iter().copied().chain(custom.into_iter().flatten().filter_map(Value::as_str))
    }
}

/// The shape of one value inside an object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node<'a> {
    /// Anything: maps are merged by key, lists are one value.
    Any,
    /// A value of a built-in field.
    Builtin(builtin::Code),
    /// A value described by a custom schema.
    Custom(&'a Value),
    /// The metadata of a custom object, which is that of the built-in ones.
    Root(&'a Value),
}

/// What sort of value a shape allows, as far as merging goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Text, number or boolean.
    Scalar,
    /// A map with named fields.
    Struct { atomic: bool },
    /// A map with any keys.
    Map { atomic: bool },
    /// A list.
    List,
    /// Whatever the value is.
    Any,
}

impl Shape {
    /// The same, with the merge rules of old versions.
    pub(crate) fn granular(&self) -> Self {
        match self {
            Shape::Builtin(index) | Shape::Granular(index) => Shape::Granular(*index),
            Shape::Custom(schema) => Shape::Custom(Arc::clone(schema)),
        }
    }

    /// The shape of the whole.
    pub(crate) fn root(&self) -> Node<'_> {
        match self {
            Shape::Builtin(index) => Node::Builtin(builtin::Code::of_type(*index)),
            Shape::Granular(index) => Node::Builtin(builtin::Code::of_type(*index).granular()),
            Shape::Custom(schema) => Node::Root(schema),
        }
    }
}

impl<'a> Node<'a> {
    /// The sort of value.
    pub(crate) fn sort(self) -> Sort {
        match self {
            Node::Any => Sort::Any,
            Node::Builtin(code) => code.sort(),
            Node::Root(_) => Sort::Struct { atomic: false },
            Node::Custom(schema) => crd::sort(schema),
        }
    }

    /// The shape of a field, None if the type does not have it.
    pub(crate) fn field(self, name: &str) -> Option<Node<'a>> {
        match self {
            Node::Any => Some(Node::Any),
            Node::Builtin(code) => code.field(name).map(|f| Node::Builtin(f.code)),
            Node::Root(schema) => crd::root_field(schema, name),
            Node::Custom(schema) => crd::field(schema, name),
        }
    }

    /// Whether the type names this field itself, as opposed to allowing any key.
    pub(crate) fn names(self, name: &str) -> bool {
        match self {
            Node::Any => false,
            Node::Builtin(code) => code.names(name),
            Node::Root(schema) => {
                matches!(name, "apiVersion" | "kind" | "metadata") || schema["properties"].get(name).is_some()
            }
            Node::Custom(schema) => schema["properties"].get(name).is_some(),
        }
    }

    /// The shape of a list's items.
    pub(crate) fn item(self) -> Node<'a> {
        match self {
            Node::Any | Node::Root(_) => Node::Any,
            Node::Builtin(code) => Node::Builtin(code.item()),
            Node::Custom(schema) => schema.get("items").map_or(Node::Any, Node::Custom),
        }
    }

    /// How a list's items are told apart in server-side apply.
    pub(crate) fn items(self) -> Items<'a> {
        match self {
            Node::Builtin(code) => code.items(),
            Node::Custom(schema) => crd::items(schema),
            Node::Any | Node::Root(_) => Items::Atomic,
        }
    }

    /// The one key of a list in strategic merge patches.
    pub(crate) fn patch_key(self) -> Option<&'static str> {
        match self {
            Node::Builtin(code) => code.patch_key(),
            _ => None,
        }
    }

    /// The value a list's key has when an item does not say.
    pub(crate) fn default_of(self, field: &str) -> Option<Value> {
        match self {
            Node::Builtin(code) => {
                let is_old_port =
                    code.is_granular() && code.struct_type().is_some_and(|t| t.name == "core.v1.ServicePort");
                (field == "protocol" && !is_old_port).then(|| Value::from("TCP"))
            }
            Node::Custom(schema) => schema["properties"][field].get("default").cloned(),
            Node::Any | Node::Root(_) => None,
        }
    }
}
