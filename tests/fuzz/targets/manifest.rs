//! Manifests and indexes, as a registry could send them.
#![no_main]

#[path = "../checks/manifest.rs"]
mod check;
#[expect(dead_code, reason = "only what reads is called here")]
#[path = "../../../crates/registry/src/document.rs"]
mod document;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
