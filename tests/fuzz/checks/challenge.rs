//! `WWW-Authenticate`, as anybody could send it: nothing is made up, and two readings agree.

use crate::challenge::Challenge;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let found = Challenge::parse(text);
    assert_eq!(found, Challenge::parse(text));
    let Some(Challenge::Bearer { realm, service, scope }) = found else { return };
    for value in [Some(realm), service, scope].into_iter().flatten() {
        assert!(value.len() <= text.len(), "every letter was in the header");
        assert!(value.chars().all(|letter| text.contains(letter)));
    }
}
