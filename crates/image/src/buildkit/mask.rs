//! Keeps secrets out of what a build writes: a step that prints one would show it to everybody who reads the log.

use std::collections::BTreeMap;

use super::input::Hidden;
use crate::{BuildError, BuildEvent};

/// The shortest text that is looked for. Hiding each `1` or `true` would hide nothing and make output unreadable.
const MIN_BYTES: usize = 6;

/// The most texts of one secret that are looked for: its lines. A secret with more of them is hardly printed as a whole.
const MAX_LINES: usize = 256;

/// Texts that are not shown, the longest first, each with what is shown instead.
#[derive(Default)]
pub(super) struct Mask(Vec<(String, String)>);

impl Mask {
    /// Hides each line of each secret.
    pub(super) fn new(secrets: &BTreeMap<String, Hidden>) -> Self {
        let mut texts = Vec::new();
        for (id, secret) in secrets {
            let text = String::from_utf8_lossy(&secret.0);
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= MIN_BYTES);
            texts.extend(lines.take(MAX_LINES).map(|line| (line.to_owned(), format!("[secret {id}]"))));
        }
        texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self(texts)
    }

    fn text(&self, text: &mut String) {
        for (secret, instead) in &self.0 {
            if text.contains(secret) {
                *text = text.replace(secret, instead);
            }
        }
    }

    /// Hides what is in an event.
    pub(super) fn event(&self, mut event: BuildEvent) -> BuildEvent {
        match &mut event {
            BuildEvent::Step { name: text, .. }
            | BuildEvent::Output { line: text }
            | BuildEvent::Notice { message: text } => self.text(text),
        }
        event
    }

    /// Hides what is in the words of a failed build.
    pub(super) fn error(&self, mut error: BuildError) -> BuildError {
        if let BuildError::Failed { step, message, output, .. } = &mut error {
            self.text(message);
            step.iter_mut().chain(output).for_each(|text| self.text(text));
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_short_words_stay() {
        let secrets = [("npm", "hunter2-long\n"), ("key", "-----BEGIN\nhunter2\ntrue\n")];
        let secrets: BTreeMap<_, _> =
            secrets.map(|(id, text)| (id.to_owned(), Hidden(text.as_bytes().to_vec()))).into();
        let mask = Mask::new(&secrets);
        for (written, shown) in [
            ("token=hunter2-long; hunter2", "token=[secret npm]; [secret key]"),
            ("it is true", "it is true"),
        ] {
            let event = mask.event(BuildEvent::Output { line: written.to_owned() });
            assert_eq!(event, BuildEvent::Output { line: shown.to_owned() });
            let error = mask.error(BuildError::Failed {
                step: Some(written.to_owned()),
                exit_code: None,
                message: written.to_owned(),
                output: vec![written.to_owned()],
            });
            let BuildError::Failed { step, message, output, .. } = error else { unreachable!() };
            assert_eq!((step.as_deref(), &*message, &*output[0]), (Some(shown), shown, shown));
        }
    }
}
