//! Preparing images, with Ctrl-C: a build that is dropped leaves nothing half-done.

use release_pipeline::{Preparation, Prepared, Until};

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
    let prepared = stop.or(preparation.run(until, &mut tell)).await;
    prepared
        .ok_or(Failure::Stopped { exit: stop.exit() })
        .and_then(|prepared| prepared.map_err(Failure::from))
}
