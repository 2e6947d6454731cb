//! Text that problems are reported in: a file, or what was typed after `--set`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::problem::{Problem, ProblemKind, ProjectError};

/// A text and the name people know it by. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// How long a `release.yaml` may be, in bytes. Real ones have a few kilobytes; the limit keeps a mistaken
    /// path (a dump, a device) from being read as configuration.
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// `name` is shown before line and column, `release.yaml`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into().into(), text: text.into().into() }
    }

    /// Bytes as they were read.
    ///
    /// # Errors
    /// When they are not UTF-8 or more than [`Source::MAX_BYTES`].
    pub fn from_bytes(name: impl Into<String>, bytes: &[u8]) -> Result<Self, ProjectError> {
        let name = name.into();
        check_size(&name, bytes.len())?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text)),
            Err(error) => {
                let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
                let (line, column) = line_column(&good, good.len());
                let message = format!(
                    "{name} is not UTF-8: the first byte that is not is in line {line}, column {column}"
                );
                Err(Problem::new(ProblemKind::Syntax, message)
                    .help("save the file in the encoding UTF-8")
                    .into())
            }
        }
    }

    pub(crate) fn check_size(&self) -> Result<(), ProjectError> {
        check_size(&self.name, self.text.len())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn check_size(name: &str, bytes: usize) -> Result<(), ProjectError> {
    if bytes <= Source::MAX_BYTES {
        return Ok(());
    }
    let message = format!("{name} has more than {} bytes, and is not read", Source::MAX_BYTES);
    Err(Problem::new(ProblemKind::Syntax, message).help("is it the right file?").into())
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({}, {} bytes)", self.name, self.text.len())
    }
}

/// A part of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it is.
    pub source: Source,
    /// Which bytes. Always inside the text and on character boundaries.
    pub range: Range<usize>,
}

impl Place {
    /// The bytes of `range`, cut to what the text has.
    pub(crate) fn new(source: &Source, range: Range<usize>) -> Self {
        let text = source.text();
        let fit = |at: usize| {
            let mut at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = fit(range.start);
        Self { source: source.clone(), range: start..fit(range.end).max(start) }
    }

    /// Line and column of its begin, both counted from 1, columns in characters.
    pub fn line_column(&self) -> (usize, usize) {
        line_column(self.source.text(), self.range.start)
    }

    /// The part of it that lies in its first line, at least one character where there is one.
    pub(crate) fn first_line(&self) -> Range<usize> {
        let text = &self.source.text()[self.range.clone()];
        let end = text.find('\n').unwrap_or(text.len());
        let len = text[..end].trim_end().len();
        if len > 0 {
            return self.range.start..self.range.start + len;
        }
        let next = self.source.text()[self.range.start..].chars().next().map_or(0, char::len_utf8);
        self.range.start..self.range.start + next
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.name())
    }
}

fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
