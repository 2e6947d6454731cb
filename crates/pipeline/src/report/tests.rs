//! Words and lists that the report is made of.

use super::lists::{push, thin};
use super::words::{clean, cut, took};

#[test]
fn times_are_read_at_a_glance() {
    for (seconds, words) in [
        (0.0, "0.0s"),
        (4.21, "4.2s"),
        (192.0, "3m12s"),
        (3_900.0, "1h05m"),
        (-1.0, "-1.0s"),
        (f64::INFINITY, "0m00s"),
    ] {
        assert_eq!(took(seconds), words);
    }
}

#[test]
fn text_of_others_does_nothing() {
    for (text, shown) in [
        ("plain", "plain"),
        ("\u{1b}[1;31mred\u{1b}[0m", "red"),
        ("\u{1b}]0;title\u{7}x", "]0;title\u{fffd}x"),
        ("a\tb", "a    b"),
        ("a\u{202e}b", "a\u{fffd}b"),
        ("\u{1b}[", ""),
        ("über 日本", "über 日本"),
    ] {
        assert_eq!(clean(text), shown);
    }
    assert_eq!(cut("日本語テキスト", 4), "日本語…");
    assert_eq!(cut("one\ntwo", 10), "one");
    assert_eq!(cut("", 10), "");
}

#[test]
fn full_lists_give_up_what_may_go() {
    let mut list = Vec::new();
    let gone: u32 = (0..100).map(|n| thin(&mut list, 10, n, |n| n % 10 != 0)).sum();
    assert!(list.len() <= 10);
    assert_eq!(list.len() + gone as usize, 100);
    assert!(list.contains(&0));
    let mut list = vec![1, 2];
    assert_eq!((push(&mut list, 2, 3), list), (1, vec![1, 2]));
}
