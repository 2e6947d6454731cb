//! The keys of `release.yaml` about signatures become [`Supply`] and [`Signed`].

use super::spec::{PolicySpec, ProjectSpec, SaidSpec};
use super::tree::Node;
use crate::problem::{Problem, ProblemKind};
use crate::{KeyPlace, Said, Signed, Supply};

/// Who signs, and what is said.
pub(crate) fn supply(spec: &ProjectSpec, tree: &Node, problems: &mut Vec<Problem>) -> Supply {
    let key =
        spec.sign.as_ref().and_then(|sign| key(&sign.key, &["sign", "key"], "sign.key", tree, problems));
    let attest = spec.attest.iter().flatten().map(|said| Said::from(*said)).collect();
    if spec.sign.is_none() && spec.attest.as_ref().is_some_and(|attest| !attest.is_empty()) {
        let message = "`attest` needs `sign`: what nobody has signed, anybody can have written";
        problems.push(
            Problem::new(ProblemKind::Conflict, message)
                .path("attest")
                .at(Some(tree.locate(&["attest"])))
                .help("add `sign: {key: env://RELEASE_SIGNING_KEY}`, or a file"),
        );
    }
    Supply { key, attest }
}

/// What an environment wants signed. `tree` is the one in which it stands below `environment`.
pub(crate) fn signed(
    policy: Option<&PolicySpec>,
    environment: &str,
    tree: &Node,
    problems: &mut Vec<Problem>,
) -> Option<Signed> {
    let signed = policy?.signed.as_ref()?;
    let path = format!("environments.{environment}.policy.signed.keys");
    let at = ["environment", "policy", "signed", "keys"];
    if signed.keys.is_empty() {
        // An empty list would let nothing through, or everything: neither is meant.
        problems.push(
            Problem::new(ProblemKind::BadValue, "`signed` needs a key, or nothing could be released")
                .path(path.clone())
                .at(Some(tree.locate(&at)))
                .help("name the file of a public key: `keys: [release.pub]`"),
        );
    }
    let mut keys = Vec::new();
    for (index, text) in signed.keys.iter().enumerate() {
        let index = index.to_string();
        let at = [&at[..], &[&*index]].concat();
        keys.extend(key(text, &at, &format!("{path}.{index}"), tree, problems));
    }
    let attested = signed.attested.iter().flatten().map(|said| Said::from(*said)).collect();
    Some(Signed { keys, attested })
}

impl From<SaidSpec> for Said {
    fn from(spec: SaidSpec) -> Self {
        match spec {
            SaidSpec::Sbom => Self::Sbom,
            SaidSpec::Provenance => Self::Provenance,
        }
    }
}

fn key(text: &str, at: &[&str], path: &str, tree: &Node, problems: &mut Vec<Problem>) -> Option<KeyPlace> {
    const WAYS: &str = "name a file, or a variable as `env://NAME`";
    if text.contains("-----BEGIN") {
        // Without its place: that would show the line.
        let message = format!("a key is written into the file, in `{path}`");
        problems.push(Problem::new(ProblemKind::InlineSecret, message).path(path).help(WAYS));
        return None;
    }
    let mut bad = |kind, message: String| {
        problems.push(Problem::new(kind, message).path(path).at(Some(tree.locate(at))).help(WAYS));
        None
    };
    if let Some(name) = text.strip_prefix("env://") {
        let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if good {
            return Some(KeyPlace::Variable(name.to_owned()));
        }
        return bad(ProblemKind::BadValue, format!("`{name}` is no name of a variable"));
    }
    if let Some((scheme, _)) = text.split_once("://") {
        let message = format!("keys kept at `{scheme}://` are not part of this version of release");
        return bad(ProblemKind::NotYet, message);
    }
    if text.is_empty() {
        return bad(ProblemKind::BadValue, "the place of a key is empty".to_owned());
    }
    Some(KeyPlace::File(text.to_owned()))
}
