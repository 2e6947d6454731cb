//! Whether an image may be released: what has been proven about it against what is wanted.

use std::collections::BTreeSet;

use release_core::PinnedImage;
use release_image::{Kind, SIGNED, VerifyingKey};

use super::Proof;

/// A public key, and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// The file or variable it comes from.
    pub name: String,
    /// The key.
    pub key: VerifyingKey,
}

/// What is wanted of every image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The keys one of which must have signed it.
    pub keys: Vec<NamedKey>,
    /// What must be said about it, signed by one of the keys.
    pub attested: BTreeSet<Kind>,
}

/// What is missing about an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("image {image} has no {} by {}", missing.join(" and no "), keys.join(" or "))]
pub struct Unmet {
    /// The image.
    pub image: PinnedImage,
    /// What is missing: `signature`, `sbom`, `provenance`.
    pub missing: Vec<&'static str>,
    /// The keys that would have been good, as people call them.
    pub keys: Vec<String>,
}

impl Policy {
    /// Whether what was proven is enough.
    ///
    /// # Errors
    /// What is missing.
    pub fn judge(&self, image: &PinnedImage, proofs: &[Proof]) -> Result<(), Unmet> {
        let proven = |predicate_type: &str| proofs.iter().any(|proof| proof.claim == predicate_type);
        let mut missing = Vec::new();
        if !proven(SIGNED) {
            missing.push("signature");
        }
        missing.extend(
            self.attested.iter().filter(|kind| !proven(kind.predicate_type())).map(|kind| kind.word()),
        );
        if missing.is_empty() {
            return Ok(());
        }
        let keys = self.keys.iter().map(|key| key.name.clone()).collect();
        Err(Unmet { image: image.clone(), missing, keys })
    }

    /// The keys alone, in their order.
    pub fn verifying_keys(&self) -> Vec<VerifyingKey> {
        self.keys.iter().map(|named| named.key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use release_core::Digest;
    use release_image::SigningKey;

    use super::*;

    fn image() -> PinnedImage {
        format!("registry.example.com/radio/player@sha256:{}", "a".repeat(64)).parse().unwrap()
    }

    fn judged(wanted: &[Kind], claims: &[&str]) -> Result<(), String> {
        let key = SigningKey::generate().verifying_key();
        let name = |name: &str| NamedKey { name: name.to_owned(), key: key.clone() };
        let policy = Policy {
            keys: vec![name("release.pub"), name("env://OTHER")],
            attested: wanted.iter().copied().collect(),
        };
        let proof = |claim: &&str| Proof {
            claim: (*claim).to_owned(),
            key: 0,
            form: super::super::Form::Bundle,
            artifact: Digest::from_sha256([0; 32]),
            predicate: serde_json::Value::Null,
        };
        let proofs: Vec<_> = claims.iter().map(proof).collect();
        policy.judge(&image(), &proofs).map_err(|unmet| unmet.to_string())
    }

    #[test]
    fn everything_that_is_wanted_has_to_be_proven() {
        let (sbom, provenance) = (Kind::Sbom.predicate_type(), Kind::Provenance.predicate_type());
        let by = "by release.pub or env://OTHER";
        let image = image();
        for (wanted, claims, expected) in [
            (&[][..], &[SIGNED][..], Ok(())),
            (&[Kind::Sbom], &[SIGNED, sbom], Ok(())),
            (&[], &[], Err(format!("image {image} has no signature {by}"))),
            // What is said about an image is not a signature of it.
            (&[Kind::Sbom], &[sbom], Err(format!("image {image} has no signature {by}"))),
            (
                &[Kind::Sbom, Kind::Provenance],
                &[SIGNED, provenance, "https://example.com/other"],
                Err(format!("image {image} has no sbom {by}")),
            ),
            (
                &[Kind::Sbom, Kind::Provenance],
                &[],
                Err(format!("image {image} has no signature and no sbom and no provenance {by}")),
            ),
        ] {
            assert_eq!(judged(wanted, claims), expected, "{wanted:?} {claims:?}");
        }
    }
}
