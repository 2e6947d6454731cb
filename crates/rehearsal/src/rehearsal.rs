//! What is rehearsed: an environment of the user's own project, as two versions of it.

use std::collections::{BTreeMap, BTreeSet};

use release_cluster::Target;
use release_core::{Digest, ImageRefError, PinnedImage, ServiceName};
use release_manifest::Environment;
use release_pipeline::{DesireError, Desired, Files, desire};
use release_sim::Apps;

use crate::Weather;
use crate::apps::{repository, well_behaved};

/// A project in an environment, ready to be rehearsed with any seed.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    pub(crate) environment: Environment,
    /// The versions, in the order in which they are released.
    pub(crate) versions: [Desired; 2],
    pub(crate) apps: Apps,
    pub(crate) weather: Weather,
    notes: Vec<String>,
}

/// Why a project cannot be rehearsed.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// It cannot be rendered.
    #[error(transparent)]
    Desire(#[from] DesireError),
    /// A service's name makes no image reference.
    #[error("service `{service}` has no usable image name")]
    Image {
        /// The service.
        service: ServiceName,
        /// What is wrong with it.
        #[source]
        source: ImageRefError,
    },
}

impl Rehearsal {
    /// Renders both versions. `apps` are scripts of images; images they do not describe run an application that passes
    /// the project's own checks.
    ///
    /// # Errors
    /// When the project cannot be rendered.
    pub fn new(
        environment: Environment,
        files: &Files,
        apps: Apps,
        weather: Weather,
    ) -> Result<Self, RehearsalError> {
        let mut notes = Vec::new();
        let apps = well_behaved(&environment, apps)?;
        let mut versions = [Desired::default(), Desired::default()];
        for (number, version) in (1..).zip(&mut versions) {
            let images = images(&environment, number)?;
            *version = desire(&environment, &images, files, &BTreeSet::new())?;
            let told = leave_urls_out(version);
            if number == 1 {
                notes.extend(told);
            }
        }
        Ok(Self { environment, versions, apps, weather, notes })
    }

    /// What a rehearsal leaves out, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Leaves out checks that ask URLs, which would leave the simulation; says so, a sentence each.
pub fn leave_urls_out(desired: &mut Desired) -> Vec<String> {
    let mut told = Vec::new();
    for (name, service) in &mut desired.services {
        service.record.checks.retain(|check, record| {
            let is_url = matches!(record.http.target, Target::Url { .. });
            if is_url {
                told.push(format!("check `{check}` of service `{name}` asks a URL and is left out"));
            }
            !is_url
        });
    }
    told
}

fn images(
    environment: &Environment,
    version: u8,
) -> Result<BTreeMap<ServiceName, PinnedImage>, RehearsalError> {
    let services = environment.services.iter();
    services
        .map(|(name, service)| {
            let repository = repository(name, service, environment.registry.as_ref())?;
            Ok((name.clone(), repository.at(digest(name, version))))
        })
        .collect()
}

/// A digest nobody has: the version, and then the service's name.
fn digest(service: &ServiceName, version: u8) -> Digest {
    let mut bytes = [version * 0x11; 32];
    for (byte, letter) in bytes[16..].iter_mut().zip(service.as_str().bytes()) {
        *byte = letter;
    }
    Digest::from_sha256(bytes)
}
