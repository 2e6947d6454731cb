//! Who signs images, what is said about them, and what an environment wants signed. Where keys lie is named here; nobody here
//! reads them.

use std::collections::BTreeSet;
use std::fmt;

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyPlace {
    /// In a file, relative to the folder of `release.yaml`.
    File(String),
    /// In a variable of the process: `env://NAME`, as cosign writes it.
    Variable(String),
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(path),
            Self::Variable(name) => write!(f, "env://{name}"),
        }
    }
}

/// What can be said about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// What is in it.
    Sbom,
    /// Where it comes from.
    Provenance,
}

/// What happens to images that are pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supply {
    /// The private key that signs them. `None`: they are not signed, and nothing is said about them.
    pub key: Option<KeyPlace>,
    /// What is said about them.
    pub attest: BTreeSet<Said>,
}

/// What an environment wants of every image before it is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The public keys one of which must have signed it.
    pub keys: Vec<KeyPlace>,
    /// What must be said about it, signed by one of the keys.
    pub attested: BTreeSet<Said>,
}
