//! Tables, as `kubectl get` prints them: columns chosen by the server.

mod cells;
mod columns;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::path::Place;
use crate::object::Object;

/// A table of objects. Rows carry the metadata of their objects if wanted, columns their descriptions.
pub(super) fn table(
    place: &Place,
    now: Timestamp,
    objects: &[&Object],
    metadata: &Value,
    with_metadata: bool,
    with_columns: bool,
) -> Value {
    let columns = columns::of(place);
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = columns.iter().map(|c| c.cell(now, object)).collect();
            let mut row = json!({"cells": cells});
            if with_metadata {
                let metadata = serde_json::to_value(crate::object::Metadata(object)).unwrap_or_default();
                row["object"] = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata});
            }
            row
        })
        .collect();
    let definitions: Vec<Value> =
        if with_columns { columns.iter().map(columns::Column::describe).collect() } else { Vec::new() };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows})
}
