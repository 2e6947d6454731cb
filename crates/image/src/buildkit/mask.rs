//! Keeps secrets out of what a build writes: a step that prints one would show it to everybody who reads the log.
//!
//! Looked for are a secret's lines as they are, and as programs usually write them: in base64, wherever it begins in what is
//! encoded; in addresses and forms; in JSON. What is turned around, cut or encrypted is not found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::input::Hidden;
use crate::{BuildError, BuildEvent};

/// The shortest text that is looked for. Hiding each `1` or `true` would hide nothing and make output unreadable.
const MIN_BYTES: usize = 6;

/// The most texts of one secret that are looked for: its lines. A secret with more of them is hardly printed as a whole.
const MAX_LINES: usize = 256;

/// How many bytes `base64`, PEM and MIME put into a line: 76 and 64 characters.
const WRAPPED_BYTES: [usize; 2] = [57, 48];

/// Texts that are not shown, the longest first, each with what is shown instead.
#[derive(Default)]
pub(super) struct Mask(Vec<(String, String)>);

impl Mask {
    /// Hides each line of each secret, however it is written.
    pub(super) fn new(secrets: &BTreeMap<String, Hidden>) -> Self {
        let mut texts = Vec::new();
        for (id, secret) in secrets {
            let text = String::from_utf8_lossy(&secret.0);
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= MIN_BYTES);
            let mut all: BTreeSet<String> = BTreeSet::new();
            for line in lines.take(MAX_LINES) {
                all.insert(line.to_owned());
                all.extend(base64(line.as_bytes()));
                all.extend([
                    percent(line, true, false),
                    percent(line, false, false),
                    percent(line, true, true),
                ]);
                all.extend(json(line));
            }
            // Of several lines, or none that is text.
            let pieces = WRAPPED_BYTES.into_iter().flat_map(|bytes| secret.0.chunks(bytes).take(MAX_LINES));
            all.extend(pieces.filter(|piece| piece.len() >= MIN_BYTES).flat_map(base64));
            texts.extend(all.into_iter().map(|text| (text, format!("[secret {id}]"))));
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

/// What stands for some bytes in base64, of both alphabets. Behind other bytes it begins at one of three places in a group of
/// four characters, and its first and last characters depend on the neighbours: those are left out.
fn base64(bytes: &[u8]) -> Vec<String> {
    let mut all = vec![STANDARD.encode(bytes), STANDARD_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)];
    for before in 0..3 {
        let mut whole = vec![0; before];
        whole.extend_from_slice(bytes);
        let (first, last) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
            all.extend(text.get(first..last).filter(|text| text.len() >= MIN_BYTES).map(str::to_owned));
        }
    }
    all
}

/// Percent-encoded: all but the
/// [unreserved characters](https://www.rfc-editor.org/rfc/rfc3986#section-2.3), and in a form a space as `+`.
fn percent(text: &str, upper: bool, form: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b' ' if form => out.push('+'),
            _ if upper => drop(write!(out, "%{byte:02X}")),
            _ => drop(write!(out, "%{byte:02x}")),
        }
    }
    out
}

/// As a string of JSON has it: letters as they are, and all but ASCII escaped.
fn json(text: &str) -> [String; 2] {
    let quoted = serde_json::Value::from(text).to_string();
    let plain = quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned();
    let mut ascii = String::with_capacity(plain.len());
    for unit in plain.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => ascii.push(char::from(byte)),
            _ => drop(write!(ascii, "\\u{unit:04x}")),
        }
    }
    [plain, ascii]
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

    /// What `base64`, `curl --data-urlencode`, `jq` and Python's `json` make of it.
    #[test]
    fn secrets_are_not_shown_in_another_form_either() {
        let secret = "p\u{e4}ss/w\u{f6}rd? \"1\" + x>>>";
        let long = "-----BEGIN KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\nAAAA\n-----END KEY-----\n";
        let secrets = [("password", secret), ("key", long)];
        let secrets: BTreeMap<_, _> =
            secrets.map(|(id, text)| (id.to_owned(), Hidden(text.as_bytes().to_vec()))).into();
        let mask = Mask::new(&secrets);
        let shown = |written: &str| match mask.event(BuildEvent::Output { line: written.to_owned() }) {
            BuildEvent::Output { line } => line,
            other => panic!("{other:?}"),
        };
        for written in [
            secret,
            "cMOkc3Mvd8O2cmQ/ICIxIiArIHg+Pj4=",
            "cMOkc3Mvd8O2cmQ_ICIxIiArIHg-Pj4",
            "p%C3%A4ss%2Fw%C3%B6rd%3F%20%221%22%20%2B%20x%3E%3E%3E",
            "p%c3%a4ss%2fw%c3%b6rd%3f%20%221%22%20%2b%20x%3e%3e%3e",
            "p%C3%A4ss%2Fw%C3%B6rd%3F+%221%22+%2B+x%3E%3E%3E",
            r#"p\u00e4ss/w\u00f6rd? \"1\" + x>>>"#,
            "p\u{e4}ss/w\u{f6}rd? \\\"1\\\" + x>>>",
        ] {
            assert_eq!(shown(&format!("a {written} b")), "a [secret password] b", "{written}");
        }
        for before in ["", "u", "ci", "ci:", "user:"] {
            let encoded = STANDARD.encode(format!("{before}{secret} and more"));
            let told = shown(&encoded);
            // A character at each end can have bits of the neighbours.
            let hidden = encoded.len() - told.replacen("[secret password]", "", 1).len();
            assert!(hidden + 2 >= secret.len() * 8 / 6, "{encoded}: {told}");
        }
        for line in STANDARD.encode(long).as_bytes().chunks(76) {
            let line = std::str::from_utf8(line).unwrap();
            assert_eq!(shown(line), "[secret key]", "{line}");
        }
        assert_eq!(shown("nothing of it: cGxhaW4= %20 \\n"), "nothing of it: cGxhaW4= %20 \\n");
    }
}
