//! `.dockerignore`: the patterns, and the paths they are held against.
#![no_main]

use release_image::Ignore;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (patterns, paths) = text.split_once('\0').unwrap_or((text, "a/b/c"));
    let Ok(ignore) = Ignore::parse(patterns) else { return };
    for path in paths.split('\n').take(8).filter(|path| path.len() < 256) {
        // The same question has the same answer.
        assert_eq!(ignore.ignores(path), ignore.ignores(path));
        let _ = ignore.excepts_below(path);
    }
});
