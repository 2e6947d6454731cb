//! The OCI distribution protocol, as far as a release needs it: who we are, whether an image is where it should be, and
//! bringing it there and here.
//!
//! * [`CredentialStore`] finds what `docker login` and credential helpers keep.
//! * [`Registry`] confirms that a pinned image exists, and resolves a tag to the digest it names now.
//! * [`Registry::greet`] tells whether a registry answers, and takes our credentials.
//! * [`Registry::push`] brings an image from an OCI image layout on disk to a registry, and goes on where it was interrupted.
//! * [`Registry::pull`] brings an image from a registry into an OCI image layout, and believes nothing it has not checked.
//! * [`Registry::pull_cached`] does the same with a layout that is a cache, bounded in size.
//! * [`Registry::attach`] pushes what is about an image (signatures, bills of materials), and [`Registry::referrers`] lists it.
//!
//! Not here: nothing is built, no layer is unpacked, and nobody's configuration is written.

mod challenge;
mod credential_helper;
mod credentials;
mod document;
mod greet;
mod patience;
mod pull;
mod push;
mod referrers;
mod registry;
mod request;
mod session;
#[cfg(test)]
mod tests;
mod token;
mod trust;

pub use credential_helper::HelperError;
pub use credentials::{CredentialStore, CredentialsError};
pub use greet::{Greeting, Guest};
pub use pull::{Cache, Limits, Pull, PullError, PullEvent, Pulled};
pub use push::{MountFrom, Push, PushError, PushEvent};
pub use referrers::{Artifact, ArtifactPart, AttachError, Referrer, ReferrersError};
pub use registry::{ConfirmError, Registry, RegistryError};
pub use release_layout::LayoutError;
pub use request::{Attempt, RegistryCode, RequestError};
