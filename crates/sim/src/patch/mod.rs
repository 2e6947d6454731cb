//! Patches as pure functions of values: JSON patch, merge patch, strategic merge patch.

mod json;
mod merge;
mod strategic;

pub(crate) use json::json_patch;
pub(crate) use merge::merge_patch;
pub(crate) use strategic::strategic_patch;
