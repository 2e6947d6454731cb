//! Unknown and mistyped fields of objects.
