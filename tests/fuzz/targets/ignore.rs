//! `.dockerignore`: the patterns, and the paths they are held against.
#![no_main]

#[path = "../checks/ignore.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
