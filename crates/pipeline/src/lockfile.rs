//! The image lock: what preparing prints and releasing takes, a line a service.
//!
//! ```text
//! player-api registry.example.com/radio/player-api@sha256:…
//! programmes registry.example.com/radio/programmes@sha256:…
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use release_core::{ImageRefError, NameError, PinnedImage, ServiceName};

/// The image of each service, pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageLock(pub BTreeMap<ServiceName, PinnedImage>);

/// Why a text is not an image lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageLockError {
    /// A line does not have the form.
    #[error("line {line}: `{text}` is not `SERVICE REPOSITORY@DIGEST`")]
    Form {
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A service name is malformed.
    #[error("line {line}")]
    Name {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// An image is malformed or not pinned.
    #[error("line {line}")]
    Image {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: ImageRefError,
    },
    /// A service has two lines.
    #[error("line {line}: service `{service}` has an earlier line already")]
    Twice {
        /// Line number, from 1.
        line: usize,
        /// The service.
        service: ServiceName,
    },
}

impl FromStr for ImageLock {
    type Err = ImageLockError;

    fn from_str(text: &str) -> Result<Self, ImageLockError> {
        let mut images = BTreeMap::new();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let mut words = text.split_whitespace();
            let (Some(service), Some(image), None) = (words.next(), words.next(), words.next()) else {
                return Err(ImageLockError::Form { line, text: text.to_owned() });
            };
            let service: ServiceName =
                service.parse().map_err(|source| ImageLockError::Name { line, source })?;
            let image = image.parse().map_err(|source| ImageLockError::Image { line, source })?;
            if images.insert(service.clone(), image).is_some() {
                return Err(ImageLockError::Twice { line, service });
            }
        }
        Ok(Self(images))
    }
}

impl fmt::Display for ImageLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (service, image) in &self.0 {
            writeln!(f, "{service} {image}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
