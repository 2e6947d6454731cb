//! From an environment and its images to the project as it shall be.

use std::collections::{BTreeMap, BTreeSet};

use release_cluster::{CheckRecord, HttpCheck, ServiceRecord, Target};
use release_core::{PinnedImage, ServiceName};
use release_manifest::{CheckTarget, Environment, Need, RenderError, Service, render};
use release_rollout::Check;

use crate::plan::{Desired, DesiredService};

/// Contents of the services' config folders.
pub type Files = BTreeMap<ServiceName, BTreeMap<String, Vec<u8>>>;

/// Why a service cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum DesireError {
    /// No image is known for it.
    #[error(
        "there is no image for service `{service}`: it is neither in the image lock nor pinned in release.yaml"
    )]
    NoImage {
        /// The service.
        service: ServiceName,
    },
    /// Its objects cannot be made.
    #[error("service `{service}` cannot be rendered")]
    Render {
        /// The service.
        service: ServiceName,
        /// The reason.
        #[source]
        source: RenderError,
    },
}

/// Renders those services of an environment that `images` has.
///
/// # Errors
/// When a service of `only` has no image or cannot be rendered.
pub fn desire(
    environment: &Environment,
    images: &BTreeMap<ServiceName, PinnedImage>,
    files: &Files,
    only: &BTreeSet<ServiceName>,
) -> Result<Desired, DesireError> {
    let mut desired = Desired::default();
    for (name, service) in &environment.services {
        if !only.is_empty() && !only.contains(name) {
            continue;
        }
        let image = images.get(name).ok_or_else(|| DesireError::NoImage { service: name.clone() })?;
        let context = environment.render_context(files.get(name).cloned().unwrap_or_default());
        let objects = render(service, image, &context)
            .map_err(|source| DesireError::Render { service: name.clone(), source })?
            .into_iter()
            .map(|object| (object.object_ref(), object.into_value()))
            .collect::<Vec<_>>();
        let record = ServiceRecord {
            image: image.clone(),
            needs: own_needs(service),
            checks: checks(service),
            soak: service.rolling.soak,
            deadline: service.rolling.deadline,
            objects: objects.iter().map(|(object, _)| object.clone()).collect(),
        };
        desired.services.insert(name.clone(), DesiredService { record, objects });
    }
    Ok(desired)
}

fn own_needs(service: &Service) -> BTreeSet<ServiceName> {
    service
        .needs
        .iter()
        .filter_map(|need| match need {
            Need::Own(name) => Some(name.clone()),
            Need::Other { .. } => None,
        })
        .collect()
}

/// A service's checks, as the cluster runs them.
pub fn checks(service: &Service) -> BTreeMap<String, CheckRecord> {
    service
        .verify
        .iter()
        .map(|check| {
            let target = match &check.target {
                CheckTarget::Pod { path, port } => Target::Pods { path: path.clone(), port: *port },
                CheckTarget::Url(url) => Target::Url { url: url.clone() },
            };
            let http = HttpCheck {
                target,
                status: check.status.clone(),
                body: check.body.clone(),
                latency: check.latency,
                timeout: check.timeout,
            };
            let timing = Check {
                name: check.name.clone(),
                every: check.every,
                tolerate: check.tolerate,
                patience: check.patience,
            };
            (check.name.clone(), CheckRecord { http, timing })
        })
        .collect()
}
