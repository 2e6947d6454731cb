//! `.dockerignore`: patterns before the first NUL, paths they are held against after it. Every path has one fate.

use release_image::Ignore;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (patterns, paths) = text.split_once('\0').unwrap_or((text, "a/b/c"));
    let Ok(ignore) = Ignore::parse(patterns) else { return };
    for path in paths.split('\n').take(8).filter(|path| path.len() < 256) {
        assert_eq!(ignore.ignores(path), ignore.ignores(path));
        let _ = ignore.excepts_below(path);
    }
}
