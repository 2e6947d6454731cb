//! Answers on stdout, in the form that was asked for.

use std::borrow::Cow;
use std::io::Write as _;

use serde::Serialize;

use crate::args::Format;
use crate::error::Failure;

/// Prints a value: as text made by `text`, as JSON or as YAML.
pub(crate) fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let out = match format {
        Format::Text => text(),
        Format::Json => {
            let mut json = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
            json.push('\n');
            json
        }
        Format::Yaml => {
            let value = serde_json::to_value(value).map_err(anyhow::Error::from)?;
            release_manifest::value_to_yaml(&value)
        }
    };
    emit(&out)
}

/// Writes to stdout. A reader that went away is no failure of ours; half an answer in a file is one.
pub(crate) fn emit(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::File {
            verb: "write",
            path: "the answer to standard output".to_owned(),
            hint: None,
            source,
        }),
        _ => Ok(()),
    }
}

/// Writes a line to stderr. A reader that went away must not end a release half-way, as `eprintln!` would.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", line.trim_end_matches('\n'));
}

/// A text of others as it can be shown: what would move the cursor, change colours or begin a line is written out.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(escaped).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// How wide the terminal is that the answer goes to; `None` when it goes elsewhere.
pub(crate) fn columns() -> Option<u16> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0)
}

/// A table with columns as wide as they need to be.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.len()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let head: Vec<Cow<'_, str>> = head.iter().map(|cell| Cow::Borrowed(*cell)).collect();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let pad = width.saturating_sub(cell.chars().count());
            line.push_str(cell);
            line.push_str(&" ".repeat(pad + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_do_not_reach_the_terminal_as_commands() {
        let rows = vec![vec!["\u{1b}]0;owned\u{7}\u{1b}[31ma\nfake".to_owned(), "ü".to_owned()]];
        assert_eq!(table(&["PATH", ""], &rows), "PATH\n\\u{1b}]0;owned\\u{7}\\u{1b}[31ma\\nfake  ü\n");
    }

    #[test]
    fn columns_line_up() {
        let rows =
            vec![vec!["player-api".to_owned(), "3/3".to_owned()], vec!["x".to_owned(), "1/12".to_owned()]];
        assert_eq!(
            table(&["SERVICE", "READY"], &rows),
            "SERVICE     READY\nplayer-api  3/3\nx           1/12\n"
        );
    }
}
