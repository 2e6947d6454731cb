//! Patterns and paths, as tables. What Docker itself sends is compared in `tests/engine.rs`.

use super::*;

/// Whether `path` is left out by the lines of `file`.
fn ignored(file: &str, path: &str) -> bool {
    Ignore::parse(file).expect(file).ignores(path)
}

fn check(cases: &[(&str, &str, bool)]) {
    for (file, path, expected) in cases {
        assert_eq!(ignored(file, path), *expected, "{path:?} under {file:?}");
    }
}

#[test]
fn plain_names_are_anchored_and_take_what_is_in_them() {
    check(&[
        ("", "a", false),
        ("a", "a", true),
        ("a", "b", false),
        ("a", "ab", false),
        ("ab", "a", false),
        ("a", "x/a", false),
        ("a", "a/x", true),
        ("a", "a/x/y", true),
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", true),
        ("a/b", "a", false),
        ("a/b", "b", false),
        ("A", "a", false),
        ("a.b", "axb", false),
        ("a+b", "a+b", true),
        ("a(b)|c$", "a(b)|c$", true),
        ("ü", "ü", true),
    ]);
}

#[test]
fn lines_are_cleaned_first() {
    check(&[
        ("/a", "a", true),
        ("/a", "x/a", false),
        ("./a", "a", true),
        ("a/", "a", true),
        ("a/", "a/x", true),
        ("a//b", "a/b", true),
        ("a/./b", "a/b", true),
        ("a/../b", "b", true),
        ("a/../b", "a", false),
        ("../a", "a", false),
        ("/../a", "a", true),
        (".", "a", false),
        ("..", "a", false),
        ("/", "a", false),
        ("  a  ", "a", true),
        ("\ta\r\n", "a", true),
        ("\u{feff}a", "a", true),
        ("# a\nb", "# a", false),
        ("#a", "#a", false),
        (" #a", "#a", true),
        ("\\#a", "#a", true),
        ("\n\n\na\n\n", "a", true),
        ("a b", "a b", true),
    ]);
}

#[test]
fn stars_and_question_marks_stay_within_a_part() {
    check(&[
        ("*", "a", true),
        ("*", "a/b", true),
        ("*", ".hidden", true),
        ("*.go", "a.go", true),
        ("*.go", ".go", true),
        ("*.go", "a.gox", false),
        ("*.go", "x/a.go", false),
        ("*/a", "x/a", true),
        ("*/a", "a", false),
        ("*/a", "x/y/a", false),
        ("*/*", "a", false),
        ("*/*", "a/b", true),
        ("a*b", "ab", true),
        ("a*b", "axxb", true),
        ("a*b", "a/b", false),
        ("a?", "ab", true),
        ("a?", "a", false),
        ("a?b", "a/b", false),
        ("?", "ü", true),
        ("a*", "a/b", true),
        ("a\\*", "a*", true),
        ("a\\*", "ab", false),
        ("a\\?", "a?", true),
    ]);
}

#[test]
fn double_stars_cross_parts() {
    check(&[
        ("**", "a", true),
        ("**", "a/b/c", true),
        ("**/a", "a", true),
        ("**/a", "x/a", true),
        ("**/a", "x/y/a", true),
        ("**/a", "xa", false),
        ("**/a", "x/a/y", true),
        ("**a", "xa", true),
        ("**a", "x/ya", true),
        ("**/*.go", "a.go", true),
        ("**/*.go", "x/y/a.go", true),
        ("**/*.go", "x/a.goo", false),
        ("**/a/b", "x/a/b", true),
        ("**/a/b", "x/a/y/b", false),
        ("a/**", "a", false),
        ("a/**", "a/b", true),
        ("a/**", "a/b/c", true),
        ("a/**", "ab", false),
        ("a**", "ab", true),
        ("a**", "a/b", true),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("a/**/b", "a/xb", false),
        ("**/a/**", "x/a/y", true),
        ("**/a/**", "x/a", false),
        ("**/a/**", "a/y", true),
        ("**/**", "a/b", true),
        ("a/**/*.md", "a/x.md", true),
        ("a/**/*.md", "a/x/y.md", true),
        ("a/**/*.md", "x.md", false),
        ("**/?", "x/y", true),
        ("**.md", "x/y.md", true),
    ]);
}

#[test]
fn classes_choose_one_character() {
    check(&[
        ("[ab]", "a", true),
        ("[ab]", "c", false),
        ("[a-c]x", "bx", true),
        ("[a-c]x", "dx", false),
        ("[^a]", "b", true),
        ("[^a]", "a", false),
        ("[a-cx-z]", "y", true),
        ("[!a]", "!", true),
        ("[\\]]", "]", true),
        ("[\\-]", "-", true),
        ("a[.]b", "a.b", true),
        ("a]", "a]", true),
        ("**/[0-9]*", "x/1a", true),
    ]);
}

#[test]
fn exceptions_let_through_what_came_before() {
    check(&[
        ("*\n!a", "a", false),
        ("*\n!a", "b", true),
        ("!a\n*", "a", true),
        ("*\n!a\na", "a", true),
        ("*.md\n!README.md", "README.md", false),
        ("*.md\n!README.md", "x.md", true),
        ("a\n!a/b", "a/b", false),
        ("a\n!a/b", "a/c", true),
        ("a\n!a/b", "a/b/c", false),
        ("a/b/c\n!a/b", "a/b/c", true),
        ("*\n!**/*.go", "x/y.go", false),
        ("*\n! a", "a", false),
        ("*\n!/a", "a", false),
        ("*\n!./a/", "a/b", false),
        ("\\!a", "!a", true),
        ("*.md\n!R*.md\nRELEASE.md", "RELEASE.md", true),
        ("*.md\n!R*.md\nRELEASE.md", "README.md", false),
    ]);
}

#[test]
fn lines_that_are_no_patterns_are_named() {
    for (file, expected) in [
        ("a\n!", "line 2: `!` needs a pattern behind it"),
        ("[", "line 1: `[` is no pattern: a `[` without its `]`, an empty range, or a `\\` at the end"),
        ("[]", "line 1: `[]` is no pattern: a `[` without its `]`, an empty range, or a `\\` at the end"),
        ("[]a]", "line 1: `[]a]` is no pattern: a `[` without its `]`, an empty range, or a `\\` at the end"),
        ("[a-", "line 1: `[a-` is no pattern: a `[` without its `]`, an empty range, or a `\\` at the end"),
        ("[-a]", "line 1: `[-a]` is no pattern: a `[` without its `]`, an empty range, or a `\\` at the end"),
        (
            "[z-a]",
            "line 1: `[z-a]` is no pattern: a `[` without its `]`, an empty range, or a `\\` at the end",
        ),
        ("\na\\", "line 2: `a\\` is no pattern: a `[` without its `]`, an empty range, or a `\\` at the end"),
    ] {
        assert_eq!(Ignore::parse(file).unwrap_err().to_string(), expected);
    }
}

#[test]
fn only_folders_that_may_hold_an_exception_are_looked_into() {
    for (file, folder, expected) in [
        ("a", "a", false),
        ("a\n!a/b", "a", true),
        ("a\n!a/b/c", "a/b", true),
        ("a\nx\n!a/b", "x", false),
        ("*\n!**/keep", "a", true),
        ("*\n!a*/keep", "ab", true),
        ("*\n!a*/keep", "b", false),
        ("*\n!ab", "a", false),
        ("*\n!a/b/*.go", "a", true),
        ("*\n!a/b/*.go", "c", false),
    ] {
        assert_eq!(Ignore::parse(file).unwrap().excepts_below(folder), expected, "{folder} under {file:?}");
    }
}

#[test]
fn a_hostile_pattern_is_slow_for_nobody() {
    // Backtracking would need more steps than there are atoms.
    let file = "a*".repeat(60) + "b";
    assert!(!ignored(&file, &"a".repeat(400)));
}
