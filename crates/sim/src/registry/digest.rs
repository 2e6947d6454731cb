//! Digests as registries take them: sha256 and sha512. Other algorithms are refused.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use sha2::{Digest as _, Sha256, Sha512};

/// A validated digest: the algorithm, a colon, and the right number of lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// A text is not a [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no sha256 or sha512 digest")]
pub struct DigestError {
    /// The text as it was given.
    pub text: String,
}

impl Digest {
    /// The sha256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_sha256(Sha256::new_with_prefix(bytes))
    }

    /// What `hash` has come to.
    pub(super) fn from_sha256(hash: Sha256) -> Self {
        Self(format!("sha256:{}", hex(&hash.finalize())))
    }

    /// The digest of `pieces` by the same algorithm as this one.
    pub(super) fn same_kind_of(&self, pieces: &[Bytes]) -> Self {
        if self.is_sha256() {
            let hash = pieces.iter().fold(Sha256::new(), sha2::Digest::chain_update);
            return Self::from_sha256(hash);
        }
        let hash = pieces.iter().fold(Sha512::new(), sha2::Digest::chain_update);
        Self(format!("sha512:{}", hex(&hash.finalize())))
    }

    pub(super) fn is_sha256(&self) -> bool {
        self.0.starts_with("sha256:")
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = match text.split_once(':') {
            Some(("sha256", hex)) if hex.len() == 64 => hex,
            Some(("sha512", hex)) if hex.len() == 128 => hex,
            _ => return Err(DigestError { text: text.to_owned() }),
        };
        if digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(DigestError { text: text.to_owned() })
        }
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_algorithms_are_known_and_no_other() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        let long: Digest = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
        assert!(long.same_kind_of(&[]).as_str().starts_with("sha512:cf83e1357eefb8bd"));
        for bad in ["", "sha256", "sha256:ab", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:../../x"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(empty.to_uppercase().parse::<Digest>().is_err());
    }
}
