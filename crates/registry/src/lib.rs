//! The OCI distribution protocol, as far as a release needs it: who we are, and whether an image is where it should be.
//!
//! * [`CredentialStore`] finds what `docker login` and credential helpers keep.
//! * [`Registry`] confirms that a pinned image exists, and resolves a tag to the digest it names now.
//!
//! Not here: nothing is uploaded, and nobody's configuration is written.

mod challenge;
mod credential_helper;
mod credentials;
mod registry;
mod token;

pub use credential_helper::HelperError;
pub use credentials::{CredentialStore, CredentialsError};
pub use registry::{ConfirmError, Registry, RegistryError};
