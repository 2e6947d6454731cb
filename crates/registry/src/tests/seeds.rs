//! The inputs the fuzz targets keep, for what a registry sends: see `tests/fuzz`.

#[path = "../../../../tests/fuzz/checks/challenge.rs"]
mod challenge;
#[path = "../../../../tests/fuzz/checks/manifest.rs"]
mod manifest;
#[path = "../../../../tests/fuzz/checks/replay.rs"]
mod replay;

#[test]
fn kept_seeds_of_challenges_are_read_as_they_should() {
    replay::replay("challenge", challenge::check);
}

#[test]
fn kept_seeds_of_manifests_are_read_as_they_should() {
    replay::replay("manifest", manifest::check);
}
