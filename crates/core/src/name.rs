//! Names of our own things. They become parts of Kubernetes names, so they obey its strictest rule.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} name `{text}` must be 1 to {max} lower-case letters, digits and `-`, starting with a letter and not ending with `-`"
)]
pub struct NameError {
    /// What was to be named: project, service or environment.
    pub what: &'static str,
    /// The text as it was given.
    pub text: String,
    /// How long such a name may be.
    pub max: usize,
}

/// Services are named in Kubernetes as they are named here and get suffixes (`-config-0123456789`),
/// and a `Service` must be an RFC 1035 label of at most 63.
const MAX: usize = 40;

fn check(what: &'static str, text: &str) -> Result<(), NameError> {
    let bytes = text.as_bytes();
    let ok = (1..=MAX).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1] != b'-'
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    if ok { Ok(()) } else { Err(NameError { what, text: text.to_owned(), max: MAX }) }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check($what, text).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                check($what, &text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// One `release.yaml`.
    ProjectName = "project";
    /// One deployable part of a project.
    ServiceName = "service";
    /// One place a project is released to.
    EnvironmentName = "environment";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "player-api", "v2"] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "2a", "Player", "a_b", "a.b", &"a".repeat(41), "é"] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
    }
}
