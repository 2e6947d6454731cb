//! What an image runs on.

use std::fmt;
use std::str::FromStr;

/// What an image runs on, in the words of the
/// [image specification](https://github.com/opencontainers/image-spec/blob/main/image-index.md): `linux/arm64/v8`.
///
/// Read from text it is one that there is. What others have written into an index may be anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`: Go's names.
    pub architecture: String,
    /// `v7`; what it is usually when there is none.
    pub variant: Option<String>,
}

/// Why a text names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform: {}", self.advice())]
pub struct PlatformError {
    /// The text as it was given.
    pub text: String,
    /// What may be meant, the most likely first; never empty.
    pub close: Vec<String>,
}

/// The systems and processors that Go has a name for (`go tool dist list`), which are those that images can be for.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "linux",
        &[
            "amd64", "arm64", "386", "arm", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
            "ppc64le", "riscv64", "s390x",
        ],
    ),
    ("windows", &["amd64", "arm64", "386", "arm"]),
    ("darwin", &["amd64", "arm64"]),
    ("freebsd", &["amd64", "arm64", "386", "arm", "riscv64"]),
    ("netbsd", &["amd64", "arm64", "386", "arm"]),
    ("openbsd", &["amd64", "arm64", "386", "arm", "ppc64", "riscv64"]),
    ("android", &["amd64", "arm64", "386", "arm"]),
    ("ios", &["amd64", "arm64"]),
    ("aix", &["ppc64"]),
    ("dragonfly", &["amd64"]),
    ("illumos", &["amd64"]),
    ("solaris", &["amd64"]),
    ("plan9", &["amd64", "386", "arm"]),
    ("js", &["wasm"]),
    ("wasip1", &["wasm"]),
];

/// What others call the processors.
const ALIASES: &[(&str, &str)] = &[
    ("x86_64", "amd64"),
    ("x64", "amd64"),
    ("aarch64", "arm64"),
    ("armv8", "arm64"),
    ("x86", "386"),
    ("i386", "386"),
    ("i686", "386"),
    ("armhf", "arm"),
    ("armv7", "arm"),
    ("powerpc64", "ppc64"),
    ("powerpc64le", "ppc64le"),
    ("loongarch64", "loong64"),
];

/// Go's name of a processor.
fn real(word: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word, |(_, name)| name)
}

/// Whether there are images for it.
fn is_known(os: &str, architecture: &str) -> bool {
    KNOWN.iter().any(|(known, all)| *known == os && all.contains(&architecture))
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

    /// How well `offered` serves whoever wants this one: not at all, or the less the better.
    pub fn distance(&self, offered: &Self) -> Option<u32> {
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
    /// Linux on the kind of processor this runs on: containers do not run on anything else.
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            // The two sorts have one name there.
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            other => real(other),
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
        let word = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b))
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [os, architecture, rest @ ..]
                if rest.len() < 2 && rest.iter().all(|part| word(part)) && is_known(os, architecture) =>
            {
                Ok(Self {
                    os: (*os).to_owned(),
                    architecture: (*architecture).to_owned(),
                    variant: rest.first().map(|variant| (*variant).to_owned()),
                })
            }
            _ => Err(PlatformError { text: text.to_owned(), close: close(text) }),
        }
    }
}

impl PlatformError {
    /// What to write instead: `` write `linux/amd64` or `linux/arm64` ``.
    pub fn advice(&self) -> String {
        format!("write `{}`", self.close.join("` or `"))
    }
}

/// What a text that is no platform may mean: the processor it names, on Linux; or what its system usually runs on.
fn close(text: &str) -> Vec<String> {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text.split('/').collect();
    let processor = words.iter().map(|word| real(word)).find(|word| is_known("linux", word));
    let system = KNOWN.iter().find(|(os, _)| words.contains(os));
    let on = |os: &str, architecture: &str| format!("{os}/{architecture}");
    match (system, processor) {
        (Some((os, all)), Some(processor)) if all.contains(&processor) => vec![on(os, processor)],
        (Some((os, all)), other) => {
            let usual = all.iter().take(2).map(|architecture| on(os, architecture));
            usual.chain(other.map(|processor| on("linux", processor))).collect()
        }
        (None, Some(processor)) => vec![on("linux", processor)],
        (None, None) => vec![on("linux", "amd64"), on("linux", "arm64")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_those_there_are_and_others_are_told_what_is_close() {
        for text in ["linux/amd64", "linux/arm/v7", "windows/amd64", "linux/arm64/v8.1", "linux/riscv64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        let own = Platform::default();
        assert_eq!(own.to_string().parse(), Ok(own));
        for (text, advice) in [
            ("", "write `linux/amd64` or `linux/arm64`"),
            ("foo/bar", "write `linux/amd64` or `linux/arm64`"),
            ("linux", "write `linux/amd64` or `linux/arm64`"),
            ("linux/amd46", "write `linux/amd64` or `linux/arm64`"),
            ("unknown/unknown", "write `linux/amd64` or `linux/arm64`"),
            ("arm64", "write `linux/arm64`"),
            ("Linux/amd64", "write `linux/amd64`"),
            ("linux/x86_64", "write `linux/amd64`"),
            ("linux/aarch64", "write `linux/arm64`"),
            ("linux/arm/v7/x", "write `linux/arm`"),
            ("linux/arm/", "write `linux/arm`"),
            ("windows/itanium", "write `windows/amd64` or `windows/arm64`"),
            ("darwin/s390x", "write `darwin/amd64` or `darwin/arm64` or `linux/s390x`"),
            ("a/../b", "write `linux/amd64` or `linux/arm64`"),
        ] {
            let error = text.parse::<Platform>().unwrap_err();
            assert_eq!(error.to_string(), format!("`{text}` is not a platform: {advice}"));
            assert!(error.close.iter().all(|close| close.parse::<Platform>().is_ok()), "{error}");
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
