//! Which image of an index is meant.

use std::fmt;
use std::str::FromStr;

/// What an image runs on, in the words of the
/// [image specification](https://github.com/opencontainers/image-spec/blob/main/image-index.md): `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `v7`; what it is usually when there is none.
    pub variant: Option<String>,
}

/// Why a text names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no platform: write `linux/amd64` or `linux/arm/v7`")]
pub struct PlatformError {
    /// The text as it was given.
    pub text: String,
}

impl Platform {
    /// The variant that is meant when none is written, as engines read it.
    fn usual(&self) -> Option<&str> {
        match self.architecture.as_str() {
            "arm64" => Some("v8"),
            "arm" => Some("v7"),
            "amd64" => Some("v1"),
            _ => None,
        }
    }

    /// How well `offered` serves: not at all, or the less the better.
    pub(crate) fn distance(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        if self.variant == offered.variant {
            return Some(0);
        }
        let variant = |platform: &Self| platform.variant.clone().or(self.usual().map(str::to_owned));
        (variant(self) == variant(offered)).then_some(1)
    }
}

impl Default for Platform {
    /// Linux on the processor this runs on: containers do not run on anything else.
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let wrong = || PlatformError { text: text.to_owned() };
        let good = |part: &&str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(good) {
            return Err(wrong());
        }
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => return Err(wrong()),
        };
        Ok(Self { os: (*os).to_owned(), architecture: (*architecture).to_owned(), variant })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_written_with_slashes() {
        for text in ["linux/amd64", "linux/arm/v7", "windows/amd64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for text in
            ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux/amd 64", "a/../b"]
        {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_variant_is_the_usual_one_unless_it_is_written() {
        for (wanted, offered, expected) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/amd64/v1", Some(1)),
            ("linux/amd64", "linux/amd64/v3", None),
            ("linux/amd64/v3", "linux/amd64", None),
            ("linux/arm64", "linux/arm64/v8", Some(1)),
            ("linux/arm64/v8", "linux/arm64", Some(1)),
            ("linux/arm", "linux/arm/v6", None),
            ("linux/arm", "linux/arm/v7", Some(1)),
            ("linux/riscv64", "linux/riscv64", Some(0)),
            ("linux/amd64", "linux/arm64", None),
            ("linux/amd64", "windows/amd64", None),
        ] {
            let [wanted, offered] = [wanted, offered].map(|text| text.parse::<Platform>().unwrap());
            assert_eq!(wanted.distance(&offered), expected, "{wanted} {offered}");
        }
    }
}
