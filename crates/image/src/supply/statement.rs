//! What is said about an image: an [in-toto Statement v1](https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md).
//!
//! A statement names its subject by digest and has a predicate of some type. It is worth nothing until it is signed:
//! see `bundle.rs`.

use release_core::{PinnedImage, Repository};
use serde_json::{Value, json};

use super::{Kind, SIGNED};
use crate::native::json::canonical;

/// The type of a statement.
pub(crate) const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The type of an earlier version, which `cosign attest` still writes.
pub(crate) const STATEMENT_V0: &str = "https://in-toto.io/Statement/v0.1";

/// Something that is said about one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The image.
    pub image: PinnedImage,
    /// The type of the predicate.
    pub predicate_type: String,
    /// What is said.
    pub predicate: Value,
}

impl Statement {
    /// Says that the image has been signed: what `cosign sign` states in a bundle.
    pub fn signed(image: PinnedImage) -> Self {
        Self { image, predicate_type: SIGNED.to_owned(), predicate: json!({}) }
    }

    /// A predicate of one of the kinds that are made here.
    pub fn of(kind: Kind, image: PinnedImage, predicate: Value) -> Self {
        Self { image, predicate_type: kind.predicate_type().to_owned(), predicate }
    }

    /// The statement's bytes: one form for one statement.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical(&json!({
            "_type": STATEMENT,
            "subject": [{
                "name": name(&self.image.repository),
                "digest": {"sha256": self.image.digest.hex()},
            }],
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }))
    }
}

/// What the subject is called: the repository. The digest alone identifies it.
fn name(repository: &Repository) -> String {
    repository.to_string()
}
