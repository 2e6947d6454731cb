//! `WWW-Authenticate`, as anybody could send it.
#![no_main]

#[path = "../../../crates/registry/src/challenge.rs"]
mod challenge;
#[path = "../checks/challenge.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
