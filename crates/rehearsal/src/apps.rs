//! What images do that nobody describes: they pass the checks of their own project.

use std::time::Duration;

use release_cluster::Target;
use release_core::{ImageRefError, Repository, ServiceName};
use release_manifest::{Environment, ImageSource, Service};
use release_sim::Apps;
use release_sim::apps::{Route, Script, Span};

use crate::RehearsalError;

/// How long an application takes until it listens, unless somebody says otherwise.
const START: Span = Span { least: Duration::from_millis(500), most: Duration::from_secs(4) };

/// Adds to `apps`, after all others, a script for each service's images that answers what the service's checks ask for.
///
/// # Errors
/// When a service's name makes no image reference.
pub fn well_behaved(environment: &Environment, mut apps: Apps) -> Result<Apps, RehearsalError> {
    for (name, service) in &environment.services {
        let repository = repository(name, service, environment.registry.as_ref())?;
        let script = script(&apps, &repository, service);
        apps.add_last(script);
    }
    Ok(apps)
}

/// Where the images of a service are, or would be.
pub(crate) fn repository(
    name: &ServiceName,
    service: &Service,
    registry: Option<&Repository>,
) -> Result<Repository, RehearsalError> {
    let fail = |source: ImageRefError| RehearsalError::Image { service: name.clone(), source };
    match (&service.image, registry) {
        (ImageSource::Pinned(image), _) => Ok(image.repository.clone()),
        (ImageSource::Dockerfile(_) | ImageSource::Native(_), Some(registry)) => {
            registry.join(name.as_str()).map_err(fail)
        }
        (ImageSource::Dockerfile(_) | ImageSource::Native(_), None) => {
            format!("registry.invalid/{name}").parse().map_err(fail)
        }
    }
}

fn script(apps: &Apps, repository: &Repository, service: &Service) -> Script {
    let usual = apps.default_script();
    // Whatever the registry is called: that of `local` may have another port one day.
    let image = format!("*/{}@*", repository.path());
    let mut script = Script { image, ..usual.clone() };
    if *usual == Script::default() {
        script.start = START;
    }
    for record in release_pipeline::checks(service).into_values() {
        let Target::Pods { path, .. } = record.http.target else { continue };
        script.http.push(Route {
            path: path.split('?').next().unwrap_or_default().to_owned(),
            status: record.http.status.first().map_or(200, |range| *range.start()),
            body: record.http.body.unwrap_or_else(|| "ok".to_owned()),
            ..Route::default()
        });
    }
    script
}
