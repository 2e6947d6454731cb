//! The words every `release-*` crate shares.
//!
//! No I/O, no async, no clock: only values. Anything two crates have to agree on lives here, so that
//! the libraries never need to know one another.
//!
//! | noun | what it is |
//! |---|---|
//! | [`Digest`], [`Repository`], [`ImageRef`], [`PinnedImage`] | how an image is named |
//! | [`Platform`] | what an image runs on |
//! | [`ProjectName`], [`ServiceName`], [`EnvironmentName`] | how our own things are named |
//! | [`ObjectRef`] | how a Kubernetes object is named |
//! | [`Assessment`], [`Cause`], [`Evidence`] | how well something is, and why not |
//! | [`Verdict`] | what a check found: good, bad, or not enough evidence |
//! | [`MonoTime`] | a point on a clock that never jumps, handed in from outside |
//! | [`Secret`], [`Credentials`] | what must never be displayed |

mod assess;
mod digest;
mod image;
mod name;
mod object;
mod platform;
mod secret;
mod time;

pub use assess::{Assessment, Cause, CauseKind, Certainty, Evidence, Readiness, Status, Verdict};
pub use digest::{Digest, DigestError};
pub use image::{ImageRef, ImageRefError, PinnedImage, Repository};
pub use name::{EnvironmentName, NameError, ProjectName, ServiceName};
pub use object::ObjectRef;
pub use platform::{Platform, PlatformError};
pub use secret::{Credentials, Secret};
pub use time::MonoTime;
