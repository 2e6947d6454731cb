//! How long a bad look may last before it counts as a failure. Only numbers: nothing is judged here.

use std::time::Duration;

/// How long each kind of bad look may last before it counts as a failure.
///
/// Counted from the first time it was seen, on the caller's monotonic clock, and from anew when it went
/// away in between. What waiting cannot mend (a missing image, a second crash, a quota) has no grace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graces {
    /// Registry unreachable, slow, limiting or broken: 60 s. The kubelet retries after 10, 20, 40 s.
    pub image_pull: Duration,
    /// A ConfigMap, Secret or key is missing: 10 s. Controllers that create Secrets from elsewhere need
    /// a moment; the objects of a release are applied before its workloads.
    pub missing_config: Duration,
    /// The first exit of a container, until the kubelet has started it again: 30 s. The kubelet restarts
    /// at once the first time; the second exit is a crash loop and needs no grace.
    pub first_exit: Duration,
    /// The runtime cannot create or start a container or its sandbox for a reason that may pass: 60 s.
    pub cannot_start: Duration,
    /// The least time a running container gets to become ready: 60 s. A longer budget in its probes
    /// counts instead, twice.
    pub never_ready: Duration,
    /// Readiness was there and got lost, and has not settled since: 60 s. Three losses need no grace.
    pub flapping: Duration,
    /// How long a pod that lost its readiness has to be ready again before it is trusted: 30 s.
    pub settle: Duration,
    /// No node takes the pod: 90 s, more than an autoscaler needs to say that it is working on it.
    pub unschedulable: Duration,
    /// No node takes the pod, but an autoscaler said it is adding one: 10 minutes.
    pub scale_up: Duration,
    /// A quota is in the way which the rollout itself is about to free by removing old pods: 60 s.
    pub quota: Duration,
    /// A webhook cannot be reached, or creation fails for a reason that may pass: 60 s.
    pub admission: Duration,
    /// The service account is missing: 10 s. It may be created right behind the workload.
    pub service_account: Duration,
    /// A volume cannot be found, bound, attached or mounted: 2 minutes.
    pub volume: Duration,
    /// The workload was deleted or replaced: 5 s, so that a replacement of our own can show up.
    pub interference: Duration,
}

impl Default for Graces {
    fn default() -> Self {
        Self {
            image_pull: Duration::from_secs(60),
            missing_config: Duration::from_secs(10),
            first_exit: Duration::from_secs(30),
            cannot_start: Duration::from_secs(60),
            never_ready: Duration::from_secs(60),
            flapping: Duration::from_secs(60),
            settle: Duration::from_secs(30),
            unschedulable: Duration::from_secs(90),
            scale_up: Duration::from_secs(600),
            quota: Duration::from_secs(60),
            admission: Duration::from_secs(60),
            service_account: Duration::from_secs(10),
            volume: Duration::from_secs(120),
            interference: Duration::from_secs(5),
        }
    }
}
