//! Where images come from, what is in them, and who says so.
//!
//! ```text
//!  Cargo.lock, dpkg, apk ─► Package ─► Sbom ───────┐
//!  the build ────────────► Provenance ────────────┼─► Statement ─► sign ─► Attachment
//!  nothing but the digest ────────────────────────┘        │
//!                                               SimpleSignature (cosign 2)
//! ```
//!
//! Documents are values and have one form; keys sign and verify; nothing here reads a file, asks a registry or knows the time.
//! The formats are those of cosign, so that what is signed here is verified there and the other way round.

mod artifact;
mod bundle;
mod cargo;
mod distribution;
mod key;
mod package;
mod provenance;
#[cfg(test)]
mod samples;
mod sbom;
mod simple;
mod statement;

pub use artifact::Attachment;
pub use bundle::{BUNDLE, BundleError, MAX_BUNDLE_BYTES, Proven, sign, verify};
pub use cargo::{LockfileError, MAX_LOCK_BYTES, cargo_packages};
pub use distribution::{Distribution, distribution_packages, is_package_database};
pub use key::{KeyError, SigningKey, VerifyingKey};
pub use package::Package;
pub use provenance::{BuildType, Material, Provenance};
pub use sbom::Sbom;
pub use simple::{
    MAX_PAYLOAD_BYTES, SignedLayer, SimpleSignature, store as store_signatures, tag as signature_tag,
};
pub use statement::Statement;

/// The type of the statement that an image is signed.
pub const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

/// What can be said about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What is in it.
    Sbom,
    /// Where it comes from.
    Provenance,
}

impl Kind {
    /// The type of its predicate.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Self::Sbom => "https://cyclonedx.org/bom",
            Self::Provenance => "https://slsa.dev/provenance/v1",
        }
    }

    /// Its name, as it is written in `release.yaml`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sbom => "sbom",
            Self::Provenance => "provenance",
        }
    }
}
