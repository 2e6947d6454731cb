//! Manifests and indexes, as a registry could send them.
#![no_main]

#[path = "../checks/manifest.rs"]
mod check;
#[expect(dead_code, reason = "only what reads is called here")]
#[path = "../../../crates/registry/src/document.rs"]
mod document;
#[path = "../../../crates/registry/src/pull/platform.rs"]
mod platform;

pub(crate) use platform::Platform;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
