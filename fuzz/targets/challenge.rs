//! `WWW-Authenticate`, as anybody could send it.
#![no_main]

#[path = "../../crates/registry/src/challenge.rs"]
mod challenge;

use challenge::Challenge;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(Challenge::Bearer { realm, service, scope }) = Challenge::parse(text) {
        // Nothing is made up: every letter was in the header.
        let longest = realm.len().max(service.map_or(0, |s| s.len())).max(scope.map_or(0, |s| s.len()));
        assert!(longest <= text.len());
    }
});
