//! Scripted applications: what the program in a container image does when it runs in the simulation.
//!
//! A [`Script`] is data, readable as YAML. Everything about a run follows from the script, the seed, the pod and the
//! time alone ([`Run`]), so that anything can be asked at any moment and nothing has to be kept.
//!
//! ```
//! let apps = release_sim::Apps::read("
//! default: {start: 1s}
//! apps:
//!   - image: '*/player-api@sha256:*'
//!     start: 2s..5s
//!     http:
//!       - {path: /tracks, status: 503, from: 30s}
//!       - {path: /tracks, body: '[]', latency: 5ms..40ms}
//! ").unwrap();
//! assert_eq!(apps.script("reg.example/player-api:v1", "app").http.len(), 0);
//! ```

mod dice;
mod run;
mod script;
mod span;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

pub use dice::Dice;
pub(crate) use run::Moments;
pub use run::{Answer, End, Fate, Passing, Run};
pub use script::{CannotStart, Exit, LogLine, Memory, Pull, PullError, Ready, Route, Script, Stop};
pub use span::Span;

/// Scripts by image.
#[derive(Debug, Clone)]
pub struct Apps {
    scripts: Vec<Arc<Script>>,
    default: Arc<Script>,
    /// What images do that nobody describes in pods that are there to end; None: the default was given, and counts there too.
    brief: Option<Arc<Script>>,
}

impl Default for Apps {
    fn default() -> Self {
        let after = Span { least: Duration::from_secs(1), most: Duration::from_secs(3) };
        let brief = Script { exit: Some(Exit { after, code: 0, ..Exit::default() }), ..Script::default() };
        Self { scripts: Vec::new(), default: Arc::default(), brief: Some(Arc::new(brief)) }
    }
}

/// Scripts that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the scripts of the applications cannot be read")]
pub struct ScriptError(#[from] serde_saphyr::Error);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct File {
    default: Option<Script>,
    apps: Vec<Script>,
}

impl Apps {
    /// Reads a YAML document with `default` (for images nobody describes) and `apps` (the first that fits counts).
    ///
    /// # Errors
    ///
    /// With the line and column of what cannot be read.
    pub fn read(yaml: &str) -> Result<Self, ScriptError> {
        let file: File = serde_saphyr::from_str(yaml)?;
        let scripts = file.apps.into_iter().map(Arc::new).collect();
        Ok(match file.default {
            Some(default) => Self { scripts, default: Arc::new(default), brief: None },
            None => Self { scripts, ..Self::default() },
        })
    }

    /// Adds a script that counts before all others.
    pub fn add(&mut self, script: Script) {
        self.scripts.insert(0, Arc::new(script));
    }

    /// Adds a script that counts after all others, and before the default.
    pub fn add_last(&mut self, script: Script) {
        self.scripts.push(Arc::new(script));
    }

    /// What images do that nobody describes.
    pub fn default_script(&self) -> &Script {
        &self.default
    }

    /// What a container of that image and name does.
    pub fn script(&self, image: &str, container: &str) -> &Arc<Script> {
        let fits = |script: &&Arc<Script>| {
            script.container.as_deref().is_none_or(|name| name == container)
                && names_image(&script.image, image)
        };
        self.scripts.iter().find(fits).unwrap_or(&self.default)
    }

    /// As [`Apps::script`], in a pod that is there to end: what nobody describes ends well after a second to three.
    pub(crate) fn brief_script(&self, image: &str, container: &str) -> &Arc<Script> {
        let script = self.script(image, container);
        let is_default = Arc::ptr_eq(script, &self.default);
        self.brief.as_ref().filter(|_| is_default).unwrap_or(script)
    }
}

/// Whether a script's `image` means this reference.
fn names_image(pattern: &str, image: &str) -> bool {
    pattern.is_empty()
        || pattern == image
        || (pattern.starts_with("sha256:") && image.split_once('@').is_some_and(|(_, d)| d == pattern))
        || (pattern.contains('*') && glob(pattern, image))
}

/// Whether a text fits a pattern in which `*` stands for anything.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            let Some(at) = rest.find(before) else { return false };
            rest = &rest[at + before.len()..];
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit() {
        for (pattern, text, want) in [
            ("*", "anything", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*b*d", "abcd", true),
            ("a*b*d", "abce", false),
            ("a*a", "a", false),
            ("*/web:*", "reg/team/web:v1", true),
        ] {
            assert_eq!(glob(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn a_digest_means_every_repository() {
        let apps = Apps::read("apps: [{image: 'sha256:12', deaf: true}]").expect("it can be read");
        assert!(apps.script("reg/web@sha256:12", "app").deaf);
        assert!(!apps.script("reg/web@sha256:123", "app").deaf);
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = Apps::read("apps:\n  - image: a\n    strat: 2s\n").expect_err("there is no such field");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains("line 3"), "{cause}");
        assert!(cause.contains("strat"), "{cause}");
    }
}
