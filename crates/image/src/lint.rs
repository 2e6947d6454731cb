//! What in a Dockerfile hurts releases: warnings with line numbers.
//!
//! Nothing here decides whether a build works; that is the builder's business. A Dockerfile that cannot be understood has no
//! warnings: the builder says better what is wrong with it.

use std::collections::BTreeSet;
use std::fmt;

use parse_dockerfile::{Command, CopyInstruction, FromInstruction, Instruction, Source};
use release_core::ImageRef;

/// Words in the names of variables that hold secrets.
const SECRETS: [&str; 7] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY"];

/// A warning about a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// The line, from 1.
    pub line: usize,
    /// What it is about.
    pub rule: LintRule,
    /// What stands there, and what to do about it, in a sentence.
    pub message: String,
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LintRule {
    /// A base image by no tag, or by `latest`: the next build is of something else.
    LatestBase,
    /// A base image by a tag alone: tags move.
    UnpinnedBase,
    /// The image runs as root.
    RootUser,
    /// The whole context is copied and nothing is left out of it.
    NoIgnoreFile,
    /// A program started through a shell, which does not pass SIGTERM on: every pod takes its whole grace period to end.
    ShellForm,
    /// A file is fetched from a URL without saying what it must be.
    UncheckedDownload,
    /// A variable that looks like a secret: it stays readable in the image.
    SecretVariable,
}

impl LintRule {
    /// The rule's name, as people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LatestBase => "latest-base",
            Self::UnpinnedBase => "unpinned-base",
            Self::RootUser => "root-user",
            Self::NoIgnoreFile => "no-dockerignore",
            Self::ShellForm => "shell-form",
            Self::UncheckedDownload => "unchecked-download",
            Self::SecretVariable => "secret-variable",
        }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} ({})", self.line, self.message, self.rule.name())
    }
}

/// Looks at a Dockerfile. `target` is the stage that is built, the last one when `None`; `has_ignore_file` says whether a
/// `.dockerignore` applies to its context.
///
/// Warnings come in the order of their lines.
pub fn lint(dockerfile: &str, target: Option<&str>, has_ignore_file: bool) -> Vec<Lint> {
    let Ok(parsed) = parse_dockerfile::parse(dockerfile) else { return Vec::new() };
    let mut linter = Linter { text: dockerfile, found: Vec::new() };
    let mut stages = BTreeSet::new();
    for instruction in &parsed.instructions {
        match instruction {
            Instruction::From(from) => {
                linter.base(from, &stages);
                stages.extend(from.as_.as_ref().map(|(_, name)| name.value.to_lowercase()));
            }
            Instruction::Env(env) => linter.variables(env.env.span.start, &env.arguments.value),
            Instruction::Arg(arg) => linter.variables(arg.arg.span.start, &arg.arguments.value),
            Instruction::Add(add) => {
                let checked = add.options.iter().any(|flag| flag.name.value == "checksum");
                let urls = add.src.iter().filter_map(path).filter(|path| is_url(path));
                for url in urls.filter(|_| !checked) {
                    linter.warn(
                        add.add.span.start,
                        LintRule::UncheckedDownload,
                        format!("`{url}` may be another file tomorrow: add `--checksum=sha256:…`"),
                    );
                }
            }
            _ => {}
        }
    }
    let all: Vec<_> = parsed.stages().collect();
    let built = match target {
        Some(name) => all.iter().position(|stage| is_called(stage.from, name)),
        None => all.len().checked_sub(1),
    };
    if let Some(mut at) = built {
        linter.stage(all[at].instructions, has_ignore_file);
        // The last word on who runs it may be in a stage it is built on.
        while last_user(all[at].instructions).is_none()
            && let Some(on) =
                all[..at].iter().rposition(|earlier| is_called(earlier.from, &all[at].from.image.value))
        {
            at = on;
        }
        linter.user(all[at].from, last_user(all[at].instructions));
    }
    linter.found.sort_by_key(|lint| (lint.line, lint.rule));
    linter.found
}

/// The images a Dockerfile is built on and takes files from, in order, without its own stages and without those whose names are
/// put together from variables. None when it cannot be understood.
pub fn bases(dockerfile: &str) -> Vec<ImageRef> {
    let Ok(parsed) = parse_dockerfile::parse(dockerfile) else { return Vec::new() };
    let mut stages = BTreeSet::new();
    let mut found = Vec::new();
    for instruction in &parsed.instructions {
        let name = match instruction {
            Instruction::From(from) => {
                let image = from.image.value.to_string();
                let own = stages.contains(&image.to_lowercase());
                stages.extend(from.as_.as_ref().map(|(_, name)| name.value.to_lowercase()));
                (!own).then_some(image)
            }
            Instruction::Copy(copy) => {
                let from = copy.options.iter().find(|flag| flag.name.value == "from");
                let name = from.and_then(|flag| flag.value.as_ref()).map(|value| value.value.to_string());
                name.filter(|name| !stages.contains(&name.to_lowercase()) && name.parse::<u32>().is_err())
            }
            _ => None,
        };
        let name = name.filter(|name| name != "scratch" && !name.contains('$'));
        found.extend(name.and_then(|name| name.parse::<ImageRef>().ok()));
    }
    found
}

fn is_called(from: &FromInstruction<'_>, name: &str) -> bool {
    from.as_.as_ref().is_some_and(|(_, own)| own.value.eq_ignore_ascii_case(name))
}

/// Whether all of the context goes into a stage.
fn is_everything(copy: &CopyInstruction<'_>) -> bool {
    let from_stage = copy.options.iter().any(|flag| flag.name.value == "from");
    !from_stage && copy.src.iter().filter_map(path).any(|path| matches!(path, "." | "./"))
}

/// Where a stage says last who runs it, and whom it names.
fn last_user<'a>(instructions: &'a [Instruction<'_>]) -> Option<(usize, &'a str)> {
    instructions.iter().rev().find_map(|instruction| match instruction {
        Instruction::User(line) => Some((line.user.span.start, &*line.arguments.value)),
        _ => None,
    })
}

fn path<'a>(source: &'a Source<'_>) -> Option<&'a str> {
    match source {
        Source::Path(path) => Some(&path.value),
        _ => None,
    }
}

fn is_url(path: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| path.starts_with(scheme))
}

struct Linter<'a> {
    text: &'a str,
    found: Vec<Lint>,
}

impl Linter<'_> {
    fn warn(&mut self, at: usize, rule: LintRule, message: String) {
        let line = 1 + self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
        self.found.push(Lint { line, rule, message });
    }

    fn base(&mut self, from: &FromInstruction<'_>, stages: &BTreeSet<String>) {
        let image = &*from.image.value;
        // What a variable stands for is decided when it is built.
        if image == "scratch" || image.contains('$') || stages.contains(&image.to_lowercase()) {
            return;
        }
        if image.contains('@') {
            return;
        }
        let name = image.rsplit('/').next().unwrap_or(image);
        let (rule, message) = match name.split_once(':') {
            None | Some((_, "latest")) => (
                LintRule::LatestBase,
                format!("`{image}` is whatever was pushed last: name a version, and best its digest"),
            ),
            Some(_) => (
                LintRule::UnpinnedBase,
                format!("the tag of `{image}` can move: pin it as `{image}@sha256:…`"),
            ),
        };
        self.warn(from.from.span.start, rule, message);
    }

    /// The names a line of `ENV` or `ARG` gives values to. An `ARG` without a value is one, too: whatever it is given shows.
    fn variables(&mut self, at: usize, line: &str) {
        let name = line.split(['=', ' ', '\t']).next().unwrap_or_default().to_uppercase();
        if SECRETS.iter().any(|word| name.contains(word)) {
            self.warn(
                at,
                LintRule::SecretVariable,
                format!("everybody who has the image can read `{name}`: use `RUN --mount=type=secret`"),
            );
        }
    }

    /// What becomes the image.
    fn stage(&mut self, instructions: &[Instruction<'_>], has_ignore_file: bool) {
        for instruction in instructions {
            match instruction {
                Instruction::Entrypoint(line) => {
                    self.command(line.entrypoint.span.start, "ENTRYPOINT", &line.arguments);
                }
                Instruction::Cmd(line) => self.command(line.cmd.span.start, "CMD", &line.arguments),
                Instruction::Copy(line) if !has_ignore_file && is_everything(line) => {
                    self.warn(
                        line.copy.span.start,
                        LintRule::NoIgnoreFile,
                        "everything in the folder is copied, `.git` and secrets too: write a `.dockerignore`"
                            .to_owned(),
                    );
                }
                _ => {}
            }
        }
    }

    /// As whom the image runs: what a stage says last, on what it is built.
    fn user(&mut self, from: &FromInstruction<'_>, user: Option<(usize, &str)>) {
        let root = |name: &str| matches!(name.split(':').next(), Some("root" | "0"));
        match user {
            Some((at, name)) if root(name) => {
                self.warn(
                    at,
                    LintRule::RootUser,
                    "the image runs as root: end with another `USER`".to_owned(),
                );
            }
            None => self.warn(
                from.from.span.start,
                LintRule::RootUser,
                "the image runs as root unless its base says otherwise: add a `USER`".to_owned(),
            ),
            Some(_) => {}
        }
    }

    fn command(&mut self, at: usize, word: &str, command: &Command<'_>) {
        let Command::Shell(line) = command else { return };
        // `exec` puts the program in the shell's place.
        if line.value.trim_start().starts_with("exec ") {
            return;
        }
        self.warn(
            at,
            LintRule::ShellForm,
            format!(
                "a shell starts this and keeps SIGTERM from it, so that every pod is killed at the end of its grace period: write `{word} [\"…\"]`"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every warning as `LINE RULE`.
    fn found(dockerfile: &str, target: Option<&str>, ignore: bool) -> Vec<String> {
        lint(dockerfile, target, ignore)
            .into_iter()
            .map(|lint| format!("{} {}", lint.line, lint.rule.name()))
            .collect()
    }

    #[test]
    fn every_rule_has_a_case_and_a_counter_case() {
        let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let pinned = format!("FROM debian:12@{digest}\n");
        for (dockerfile, expected) in [
            ("FROM debian\nUSER app\n".to_owned(), vec!["1 latest-base"]),
            ("# x\nFROM reg.example:5000/debian:latest\nUSER app\n".to_owned(), vec!["2 latest-base"]),
            ("FROM reg.example:5000/debian\nUSER app\n".to_owned(), vec!["1 latest-base"]),
            ("FROM debian:12\nUSER app\n".to_owned(), vec!["1 unpinned-base"]),
            ("FROM scratch\nUSER 65532\n".to_owned(), vec![]),
            ("ARG BASE=debian\nFROM ${BASE}\nUSER 65532\n".to_owned(), vec![]),
            (pinned.clone(), vec!["1 root-user"]),
            (format!("{pinned}USER root\n"), vec!["2 root-user"]),
            (format!("{pinned}USER 0:0\n"), vec!["2 root-user"]),
            (format!("{pinned}USER root\nRUN true\nUSER app\n"), vec![]),
            (format!("FROM debian:12@{digest} AS os\nFROM os\nCMD [\"/web\"]\n"), vec!["1 root-user"]),
            (format!("FROM debian:12@{digest} AS os\nUSER app\nFROM os\nCMD [\"/web\"]\n"), vec![]),
            (format!("FROM debian:12@{digest} AS os\nUSER app\nFROM os\nUSER 0\n"), vec!["4 root-user"]),
            (format!("{pinned}USER app\nCOPY . /app\n"), vec!["3 no-dockerignore"]),
            (format!("{pinned}USER app\nCOPY web /app\n"), vec![]),
            (format!("{pinned}USER app\nENTRYPOINT /app/web --port 80\n"), vec!["3 shell-form"]),
            (format!("{pinned}USER app\nENTRYPOINT exec /app/web\n"), vec![]),
            (format!("{pinned}USER app\nENTRYPOINT [\"/app/web\"]\n"), vec![]),
            (format!("{pinned}USER app\nCMD web\n"), vec!["3 shell-form"]),
            (format!("{pinned}USER app\nADD https://x.example/a /a\n"), vec!["3 unchecked-download"]),
            (format!("{pinned}USER app\nADD --checksum={digest} https://x.example/a /a\n"), vec![]),
            (format!("{pinned}ENV DB_PASSWORD=x\nUSER app\n"), vec!["2 secret-variable"]),
            (format!("{pinned}ARG NPM_TOKEN\nUSER app\n"), vec!["2 secret-variable"]),
            (format!("{pinned}ENV MODE=password\nUSER app\n"), vec![]),
        ] {
            assert_eq!(found(&dockerfile, None, false), expected, "{dockerfile}");
        }
    }

    #[test]
    fn only_what_becomes_the_image_runs() {
        let text = "FROM golang:1.24 AS build\nCOPY . /src\nRUN make\nFROM scratch AS web\nCOPY --from=build /src/web /web\nUSER 1\nENTRYPOINT [\"/web\"]\n";
        assert_eq!(found(text, None, false), ["1 unpinned-base"]);
        assert_eq!(
            found(text, Some("build"), false),
            ["1 unpinned-base", "1 root-user", "2 no-dockerignore"]
        );
        assert_eq!(found(text, Some("build"), true), ["1 unpinned-base", "1 root-user"]);
        assert_eq!(found("FROM scratch AS base\nUSER 1\nFROM base\n", None, true), Vec::<String>::new());
    }

    #[test]
    fn images_that_are_pulled_are_found() {
        let text = "ARG V=1\nFROM reg.example/go:1 AS build\nFROM build AS more\nFROM base:$V\nFROM debian\nCOPY --from=build a b\nCOPY --from=0 a b\nCOPY --from=tools.example/x:2 c d\nFROM scratch\n";
        let all: Vec<_> = bases(text).iter().map(ToString::to_string).collect();
        assert_eq!(all, ["reg.example/go:1", "docker.io/library/debian", "tools.example/x:2"]);
        assert!(bases("FRMO x").is_empty());
    }

    #[test]
    fn what_cannot_be_understood_has_no_warnings() {
        assert_eq!(found("FRMO debian\n", None, true), Vec::<String>::new());
        assert_eq!(found("", None, true), Vec::<String>::new());
    }

    #[test]
    fn a_warning_says_where_what_and_the_way_out() {
        let all: Vec<_> = lint("FROM debian:12\n", None, true).iter().map(ToString::to_string).collect();
        assert_eq!(
            all,
            [
                "line 1: the tag of `debian:12` can move: pin it as `debian:12@sha256:…` (unpinned-base)",
                "line 1: the image runs as root unless its base says otherwise: add a `USER` (root-user)",
            ]
        );
    }
}
