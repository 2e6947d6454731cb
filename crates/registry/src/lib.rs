//! The OCI distribution protocol, as far as a release needs it: who we are, whether an image is where it should be, and
//! bringing it there.
//!
//! * [`CredentialStore`] finds what `docker login` and credential helpers keep.
//! * [`Registry`] confirms that a pinned image exists, and resolves a tag to the digest it names now.
//! * [`Registry::push`] brings an image from an OCI image layout on disk to a registry, and goes on where it was interrupted.
//!
//! Not here: nothing is built or pulled, and nobody's configuration is written.

mod challenge;
mod credential_helper;
mod credentials;
mod push;
mod registry;
mod token;

pub use credential_helper::HelperError;
pub use credentials::{CredentialStore, CredentialsError};
pub use push::{Attempt, Push, PushError, PushEvent, RegistryCode};
pub use registry::{ConfirmError, Registry, RegistryError};
