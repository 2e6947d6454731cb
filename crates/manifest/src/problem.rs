//! What is wrong with a `release.yaml`, where, and what to do about it, as data and as text for people.

use std::fmt;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::source::Place;

/// Why a project cannot be used. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ProjectError {
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, or (as a warning) probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What sort of thing.
    pub kind: ProblemKind,
    /// The key it is about, `services.web.port`; empty when there is none.
    pub path: String,
    /// One lower-case line that names the thing.
    pub message: String,
    /// What to do.
    pub help: Vec<String>,
    /// Where it is.
    pub place: Option<Place>,
}

/// What sort of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The text is not YAML, or too large, or empty.
    Syntax,
    /// A key nobody knows.
    UnknownKey,
    /// A key that has to be there.
    MissingKey,
    /// A value of the wrong type.
    WrongType,
    /// A value of the right type that cannot be used.
    BadValue,
    /// Two keys that do not go together.
    Conflict,
    /// The name of a service or environment that does not exist.
    UnknownName,
    /// A variable that has no value, or stands where variables are not filled in.
    Variable,
    /// A feature that this version does not have.
    NotYet,
    /// A warning: a text that looks like a secret.
    InlineSecret,
}

/// Whether text is coloured with ANSI sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// Plain text.
    #[default]
    Never,
    /// Coloured text.
    Always,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { kind, path: String::new(), message: message.into(), help: Vec::new(), place: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    pub(crate) fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    pub(crate) fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The problem with its line of the source, a caret and the way out; several lines, the last one ended.
    pub fn render(&self, color: Color) -> String {
        let level = if self.is_warning() { Level::WARNING } else { Level::ERROR };
        let mut group: Group<'_> = Group::with_title(level.primary_title(&*self.message));
        if let Some(place) = &self.place {
            group = if self.is_warning() {
                // The line has the secret in it, and the output of CI is read by many.
                let (line, column) = place.line_column();
                group.element(Origin::path(place.source.name()).line(line).char_column(column))
            } else {
                let mark = AnnotationKind::Primary.span(place.first_line());
                group.element(Snippet::source(place.source.text()).path(place.source.name()).annotation(mark))
            };
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(&**help));
        }
        let renderer = match color {
            Color::Never => Renderer::plain(),
            Color::Always => Renderer::styled(),
        };
        let mut text = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
        text.push('\n');
        text
    }

    /// Whether it does not keep anything from being done.
    pub fn is_warning(&self) -> bool {
        self.kind == ProblemKind::InlineSecret
    }
}

impl ProjectError {
    /// All problems as [`Problem::render`] shows them, an empty line between two.
    pub fn render(&self, color: Color) -> String {
        let texts: Vec<_> = self.problems.iter().map(|problem| problem.render(color)).collect();
        texts.join("\n")
    }
}

impl From<Problem> for ProjectError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

/// Place and message in one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// The first problem in one line, and how many more there are.
impl fmt::Display for ProjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [] => f.write_str("the project cannot be used"),
            [only] => write!(f, "{only}"),
            [first, more @ ..] => write!(f, "{first} (and {} more)", more.len()),
        }
    }
}

/// The known name that was probably meant: the most alike, if it is alike enough.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Below this similarity suggestions surprise more than they help.
    const ALIKE: f64 = 0.75;
    let name = name.to_lowercase();
    // One slip of the keyboard in a short name makes it unlike by that measure: `dve`, `wbe`.
    let slip = |known: &str| known.len() > 2 && strsim::osa_distance(&name, known) == 1;
    let alike = |known: &str| if slip(known) { 1.0 } else { strsim::jaro_winkler(&name, known) };
    known
        .into_iter()
        .map(|known| (alike(known), known))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// `a`, `b` and `c`, quoted.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
