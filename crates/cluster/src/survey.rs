//! Looking at what runs now, without a release: for `status`, `verify`, and services of other projects.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use release_core::{Assessment, ObjectRef, Verdict};
use release_health::{Graces, Target, Tracker};
use serde_json::Value;

use crate::api::ApiError;
use crate::perform::check_now;
use crate::preview::PARALLEL;
use crate::watch::Watches;
use crate::{Cluster, HttpCheck};

/// How long the first lists of a namespace may take.
const LIST_PATIENCE: Duration = Duration::from_secs(20);

/// What one look at workloads found.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The workload.
    pub object: ObjectRef,
    /// How it is.
    pub assessment: Assessment,
    /// The images its pods are to run now, in the order of its containers. Empty when it is not there.
    pub images: Vec<String>,
    /// What its checks found, by name.
    pub checks: Vec<(String, Verdict)>,
}

/// Why nothing could be seen.
#[derive(Debug, thiserror::Error)]
#[error("the workloads of namespace `{namespace}` cannot be listed: {why}")]
pub struct SurveyError {
    /// The namespace.
    pub namespace: String,
    /// The reason.
    pub why: String,
}

impl Cluster {
    /// Looks once at each workload and runs its checks. Only objects with `labels` are seen.
    ///
    /// # Errors
    /// When workloads and pods cannot be listed.
    pub async fn survey(
        &self,
        labels: &str,
        workloads: &[(ObjectRef, Vec<(String, HttpCheck)>)],
    ) -> Result<Vec<Seen>, SurveyError> {
        let watches = Watches::open(self, labels);
        let listed = async {
            while !watches.listed() {
                watches.changed().await;
            }
        };
        if tokio::time::timeout(LIST_PATIENCE, listed).await.is_err() {
            let why = watches
                .trouble()
                .unwrap_or_else(|| format!("no answer within {} s", LIST_PATIENCE.as_secs()));
            return Err(SurveyError { namespace: self.namespace.clone(), why });
        }
        let known = watches.known();
        let mut seen = Vec::new();
        for (object, checks) in workloads {
            let mut tracker = Tracker::new(Target::new(object.clone()), Graces::default());
            let assessment = tracker.assess(self.clock().now(), &known.snapshot(object));
            let mut verdicts = Vec::new();
            for (name, check) in checks {
                verdicts.push((name.clone(), check_now(self, object, check, &known).await));
            }
            let images = images(known.snapshot(object).workload);
            seen.push(Seen { object: object.clone(), assessment, images, checks: verdicts });
        }
        Ok(seen)
    }

    /// Those of `objects` that are not there, in the order given.
    ///
    /// # Errors
    /// When one may not be read.
    pub async fn missing(&self, objects: &[ObjectRef]) -> Result<Vec<ObjectRef>, ApiError> {
        let asked = objects.iter().map(|object| self.live(object));
        let found: Vec<_> = stream::iter(asked).buffered(PARALLEL).try_collect().await?;
        let both = objects.iter().zip(found);
        Ok(both.filter(|(_, live)| live.is_none()).map(|(object, _)| object.clone()).collect())
    }
}

/// The images of a workload's containers.
fn images(workload: Option<&Value>) -> Vec<String> {
    let containers = workload.map(|workload| &workload["spec"]["template"]["spec"]["containers"]);
    let containers = containers.and_then(Value::as_array).into_iter().flatten();
    containers.filter_map(|container| container["image"].as_str().map(str::to_owned)).collect()
}
