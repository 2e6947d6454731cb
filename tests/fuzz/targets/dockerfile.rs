//! Dockerfiles, as far as they are read for warnings.
#![no_main]

#[path = "../checks/dockerfile.rs"]
mod check;
#[path = "../../../crates/image/src/lint.rs"]
mod lint;

use lint::{bases, lint};

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
