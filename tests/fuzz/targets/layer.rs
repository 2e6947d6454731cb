//! Layers: archives of files, packed or not.
#![no_main]

#[path = "../checks/layer.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
