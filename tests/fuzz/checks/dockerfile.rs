//! Dockerfiles: warnings are about lines that are there, in their order, and two looks agree.
//!
//! What stands before the first NUL is the stage that is built.

use super::{bases, lint};

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (target, text) = text.split_once('\0').map_or((None, text), |(target, text)| (Some(target), text));
    let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
    for has_ignore_file in [false, true] {
        let found = lint(text, target, has_ignore_file);
        assert!(found.iter().all(|lint| (1..=lines).contains(&lint.line)), "{found:?}");
        assert!(found.is_sorted_by_key(|lint| lint.line), "{found:?}");
        assert_eq!(found, lint(text, target, has_ignore_file));
    }
    for image in bases(text) {
        assert_eq!(image.to_string().parse().as_ref(), Ok(&image));
    }
}
