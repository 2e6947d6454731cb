//! Preparing images, with Ctrl-C: a build that is dropped leaves nothing half-done.

use std::path::PathBuf;

use release_core::ProjectName;
use release_pipeline::{Images, Preparation, Prepared, Until};

use crate::error::Failure;
use crate::signal::Stop;
use crate::talk::Talk;

/// Prepares images and tells how it goes.
pub(crate) async fn prepare(
    preparation: &Preparation<'_>,
    until: Until,
    talk: &Talk,
    stop: &Stop,
) -> Result<Prepared, Failure> {
    let mut tell = |event| talk.tell(event);
    // Much is going on in it: on the heap it weighs nothing on whoever waits.
    let work = Box::pin(preparation.run(until, &mut tell));
    stop.or(async { Ok(work.await?) }).await
}

/// Where images without a Dockerfile are put together when nobody says where: in the user's cache, a folder a project.
pub(crate) fn image_cache(project: &ProjectName) -> Images {
    Images::Cache(cache("images", project))
}

/// Where bases from registries are kept: in the user's cache, one folder for all projects.
pub(crate) fn base_cache() -> PathBuf {
    user_cache().join("bases")
}

/// Where builds write down what later builds need not find out again.
pub(crate) fn build_records(project: &ProjectName) -> PathBuf {
    cache("builds", project)
}

fn cache(kind: &str, project: &ProjectName) -> PathBuf {
    user_cache().join(kind).join(project.as_str())
}

fn user_cache() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    cache.join("release")
}

/// The time that everything in an image carries, by the convention of <https://reproducible-builds.org/specs/source-date-epoch/>.
pub(crate) fn source_date_epoch() -> Result<u64, Failure> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    match std::env::var(NAME) {
        Err(_) => Ok(0),
        Ok(text) if text.is_empty() => Ok(0),
        Ok(text) => text.parse().map_err(|_| Failure::Usage {
            message: format!("{NAME} is `{text}`, which is no time"),
            hint: Some(
                "it is a number of seconds since 1970, as `git log -1 --format=%ct` prints".to_owned(),
            ),
        }),
    }
}
