//! The inputs the fuzz targets keep, for what is read of projects and of images: see `tests/fuzz`.

#[path = "../../../tests/fuzz/checks/dockerfile.rs"]
mod dockerfile;
#[path = "../../../tests/fuzz/checks/ignore.rs"]
mod ignore;
#[path = "../../../tests/fuzz/checks/layer.rs"]
mod layer;
#[path = "../../../tests/fuzz/checks/replay.rs"]
mod replay;

use release_image::{bases, lint};

#[test]
fn kept_seeds_of_dockerfiles_are_read_as_they_should() {
    replay::replay("dockerfile", dockerfile::check);
}

#[test]
fn kept_seeds_of_ignore_files_are_read_as_they_should() {
    replay::replay("ignore", ignore::check);
}

#[test]
fn kept_seeds_of_layers_are_read_as_they_should() {
    replay::replay("layer", layer::check);
}
