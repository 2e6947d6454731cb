//! `.dockerignore`, by the rules of [patternmatcher](https://github.com/moby/patternmatcher).
//!
//! The rules look like those of `.gitignore` and differ: a pattern is anchored at the context's root, the last pattern that
//! matches wins, `**` may stand anywhere, and a pattern that matches a folder matches everything in it. Paths have `/`
//! between their parts, on every system. Nothing is read from disk here.

#[cfg(feature = "docker")]
use std::collections::BTreeSet;

/// Which paths of a context are not sent. [`Ignore::default`] ignores nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

/// What becomes of a path: whether it is left out, and which patterns matched it or a folder it lies in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate {
    /// Whether it is left out.
    pub(crate) ignored: bool,
    /// For each pattern, in order.
    matched: Vec<bool>,
}

/// Why an ignore file cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A `!` with nothing behind it.
    #[error("line {line}: `!` needs a pattern behind it")]
    Exception {
        /// The line, from 1.
        line: usize,
    },
    /// A bracket or backslash that leads nowhere.
    #[error(
        "line {line}: `{pattern}` is no pattern: a `[` without its `]`, an empty range, or a `\\` at the end"
    )]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The pattern as it was written.
        pattern: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// Starts with `!`: what matches is sent all the same.
    exception: bool,
    /// What every match begins with.
    prefix: String,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: anything but `/`.
    One,
    /// `*`: any number of anything but `/`.
    Many,
    /// `**/`: any number of whole folders.
    Folders,
    /// A `**` at the end, or one that does not end a part at the beginning: anything at all.
    Anything,
    /// `[a-z]`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Ignore {
    /// Reads the text of an ignore file.
    ///
    /// # Errors
    /// When a line is no pattern. `docker build` refuses such a file as well.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            // Only a `#` in the first column starts a comment.
            if line.starts_with('#') {
                continue;
            }
            let written = line.trim();
            let (exception, pattern) = match written.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, written),
            };
            if pattern.is_empty() {
                if exception {
                    return Err(IgnoreError::Exception { line: index + 1 });
                }
                continue;
            }
            let pattern = Pattern::new(exception, pattern)
                .ok_or_else(|| IgnoreError::Syntax { line: index + 1, pattern: written.to_owned() })?;
            patterns.push(pattern);
        }
        Ok(Self { patterns })
    }

    /// The rules of these patterns, as somebody who has read a file names them: without comments and blank lines.
    #[cfg(feature = "docker")]
    pub(crate) fn of(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, IgnoreError> {
        let pattern = |(index, text): (usize, _)| {
            let text = AsRef::<str>::as_ref(&text);
            let (exception, bare) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
            Pattern::new(exception, bare)
                .ok_or_else(|| IgnoreError::Syntax { line: index + 1, pattern: text.to_owned() })
        };
        let patterns = patterns.into_iter().enumerate().map(pattern).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Leaves out everything but what matches `patterns`, and what lies below that.
    #[cfg(feature = "docker")]
    pub(crate) fn all_but(patterns: &BTreeSet<String>) -> Result<Self, IgnoreError> {
        Self::of(["**".to_owned()].into_iter().chain(patterns.iter().map(|text| format!("!{text}"))))
    }

    /// Whether the file or folder at `path` is left out. The path is relative to the context and has `/` between its parts.
    pub fn ignores(&self, path: &str) -> bool {
        self.fate_of(path).ignored
    }

    /// What becomes of `path`, wherever it lies.
    fn fate_of(&self, path: &str) -> Fate {
        with_parents(path).fold(Fate::default(), |parent, path| self.fate(&parent, path))
    }

    /// What becomes of `path`, which lies in the folder with the fate `parent` (the default one at the top).
    pub(crate) fn fate(&self, parent: &Fate, path: &str) -> Fate {
        let mut fate = Fate::default();
        for (index, pattern) in self.patterns.iter().enumerate() {
            let inherited = parent.matched.get(index).copied().unwrap_or(false);
            // A pattern that could change nothing is not asked, and then not known to match for what is below, either.
            let matched = inherited || (pattern.exception == fate.ignored && pattern.matches(path));
            if matched {
                fate.ignored = !pattern.exception;
            }
            fate.matched.push(matched);
        }
        fate
    }

    /// The rules for what lies below `path`, which somebody named, and what they make of `path`: patterns that leave out the
    /// path itself, or a folder it lies in, do not count there. Where exceptions say what of it is meant, all patterns count.
    pub(crate) fn below(&self, path: &str) -> (Self, Fate) {
        let folder = format!("{path}/");
        if self.patterns.iter().any(|pattern| pattern.exception && pattern.prefix.starts_with(&folder)) {
            return (self.clone(), self.fate_of(path));
        }
        // The project's folder itself has no name that a pattern could mean.
        let names =
            |pattern: &Pattern| with_parents(path).any(|path| !path.is_empty() && pattern.matches(path));
        let counts = |pattern: &&Pattern| pattern.exception || !names(pattern);
        (Self { patterns: self.patterns.iter().filter(counts).cloned().collect() }, Fate::default())
    }

    /// Whether an exception could let through something below `folder`, which itself is ignored.
    pub fn excepts_below(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        self.patterns.iter().filter(|pattern| pattern.exception).any(|pattern| {
            let whole = pattern.prefix.chars().count() == pattern.tokens.len();
            pattern.prefix.starts_with(&folder) || (!whole && folder.starts_with(&pattern.prefix))
        })
    }
}

/// Whether `name`, which has no `/`, is meant by one part of a pattern. Malformed patterns mean nothing.
#[cfg(feature = "docker")]
pub(crate) fn names(pattern: &str, name: &str) -> bool {
    Pattern::new(false, pattern).is_some_and(|pattern| pattern.matches(name))
}

/// The folders a path lies in, and the path.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain([path])
}

impl Pattern {
    /// `None` when `text` is malformed.
    fn new(exception: bool, text: &str) -> Option<Self> {
        let tokens = tokens(&clean(text))?;
        let prefix =
            tokens.iter().map_while(|t| if let Token::Char(c) = t { Some(*c) } else { None }).collect();
        Some(Self { exception, prefix, tokens })
    }

    fn matches(&self, path: &str) -> bool {
        // Most patterns begin with a name or are one, and most paths begin otherwise.
        path.starts_with(&self.prefix) && matches(&self.tokens, path)
    }
}

/// Go's `filepath.Clean`, and the leading `/` off: the context is the root.
fn clean(pattern: &str) -> String {
    let rooted = pattern.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (parts.is_empty(), rooted) {
        (true, true) => "/".to_owned(),
        (true, false) => ".".to_owned(),
        (false, _) => parts.join("/"),
    }
}

/// Reads a cleaned pattern; `None` when it is malformed.
fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let slash = rest.next_if_eq(&'/').is_some();
                if rest.peek().is_none() || (tokens.is_empty() && !slash) {
                    Token::Anything
                } else {
                    Token::Folders
                }
            }
            '*' => Token::Many,
            '?' => Token::One,
            '[' => class(&mut rest)?,
            '\\' => Token::Char(rest.next()?),
            c => Token::Char(c),
        });
    }
    Some(tokens)
}

/// What follows a `[`, up to its `]`.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.next_if_eq(&']').is_some() {
            return Some(Token::Class { negated, ranges });
        }
        let low = class_char(rest)?;
        let high = if rest.next_if_eq(&'-').is_some() { class_char(rest)? } else { low };
        if low > high {
            return None;
        }
        ranges.push((low, high));
    }
}

fn class_char(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        c => Some(c),
    }
}

/// Whether the tokens match the whole of `path`. All places a match could have come to are followed at once, so that no
/// pattern takes more than tokens × characters.
fn matches(tokens: &[Token], path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    // `here[i]`: the tokens so far match the first `i` characters.
    let mut here = vec![false; path.len() + 1];
    here[0] = true;
    for token in tokens {
        let mut next = vec![false; path.len() + 1];
        match token {
            Token::Char(_) | Token::One | Token::Class { .. } => {
                for (i, c) in path.iter().enumerate() {
                    next[i + 1] = here[i] && token.takes(*c);
                }
            }
            Token::Many => {
                next[0] = here[0];
                for (i, c) in path.iter().enumerate() {
                    next[i + 1] = here[i + 1] || (next[i] && *c != '/');
                }
            }
            Token::Folders => {
                let mut reached = false;
                for i in 0..=path.len() {
                    // At the place itself, or right behind any later `/`.
                    next[i] = here[i] || (reached && path[i - 1] == '/');
                    reached |= here[i];
                }
            }
            Token::Anything => {
                let mut reached = false;
                for i in 0..=path.len() {
                    reached |= here[i];
                    next[i] = reached;
                }
            }
        }
        here = next;
    }
    here[path.len()]
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::One => c != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
            Self::Many | Self::Folders | Self::Anything => false,
        }
    }
}

#[cfg(test)]
mod tests;
