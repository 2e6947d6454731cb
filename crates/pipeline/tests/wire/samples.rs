//! A value of every event, and of every word in events.

use std::collections::BTreeMap;
use std::time::Duration;

use release_cluster::{Action, Capture, Event as Cluster, LogTail, State};
use release_core::{
    Cause, CauseKind, Certainty, Evidence, ObjectRef, PinnedImage, Readiness, ServiceName, Verdict,
};
use release_pipeline::{ENVELOPE_VERSION, Envelope, Event, ImageEvent, PlannedChange, Verb};
use release_rollout::{EffectId, Phase, Version};

/// Every sample, in the order of the types.
pub(crate) fn all() -> Vec<Envelope> {
    let events = frame().into_iter().chain(cluster().into_iter().map(Event::Cluster));
    let envelope = |event| Envelope {
        v: ENVELOPE_VERSION,
        run: "1a2b3c-4d".to_owned(),
        seq: 7,
        at: "2026-11-24T08:00:01.5Z".parse().expect("a time"),
        elapsed: 1.5,
        event,
    };
    events.map(envelope).collect()
}

/// The type of an event, as `type` has it. A new variant does not compile until it is here; then it needs a sample below.
pub(crate) fn kind(event: &Event) -> String {
    match event {
        Event::Started { .. } => "started",
        Event::Image { event, .. } => match event {
            ImageEvent::BuildBegan { .. } => "image/build-began",
            ImageEvent::Step { .. } => "image/step",
            ImageEvent::Output { .. } => "image/output",
            ImageEvent::Notice { .. } => "image/notice",
            ImageEvent::AssemblyBegan { .. } => "image/assembly-began",
            ImageEvent::Pulling { .. } => "image/pulling",
            ImageEvent::BasePulled { .. } => "image/base-pulled",
            ImageEvent::LayerBuilt { .. } => "image/layer-built",
            ImageEvent::Built { .. } => "image/built",
            ImageEvent::Pushing { .. } => "image/pushing",
            ImageEvent::BlobExists { .. } => "image/blob-exists",
            ImageEvent::BlobMounted { .. } => "image/blob-mounted",
            ImageEvent::BlobResumed { .. } => "image/blob-resumed",
            ImageEvent::BlobUploaded { .. } => "image/blob-uploaded",
            ImageEvent::Pushed { .. } => "image/pushed",
            ImageEvent::Confirmed { .. } => "image/confirmed",
            ImageEvent::Attached { .. } => "image/attached",
            ImageEvent::Verified { .. } => "image/verified",
        },
        Event::Prepared { .. } => "prepared",
        Event::Planned { .. } => "planned",
        Event::NothingToDo { .. } => "nothing-to-do",
        Event::ReleaseBegan { .. } => "release-began",
        Event::ReleaseResumed { .. } => "release-resumed",
        Event::ReleaseSuperseded { .. } => "release-superseded",
        Event::LockLost { .. } => "lock-lost",
        Event::Stopped { .. } => "stopped",
        Event::ReleaseEnded { .. } => "release-ended",
        Event::Failed { .. } => "failed",
        Event::Unknown { .. } => "unknown",
        Event::Cluster(event) => match event {
            Cluster::LockAwaited { .. } => "lock-awaited",
            Cluster::LockTaken { .. } => "lock-taken",
            Cluster::PhaseEntered { .. } => "phase-entered",
            Cluster::ObjectApplied { .. } => "object-applied",
            Cluster::ObjectDeleted { .. } => "object-deleted",
            Cluster::WriteRefused { .. } => "write-refused",
            Cluster::OutcomeUnknown { .. } => "outcome-unknown",
            Cluster::Progress { .. } => "progress",
            Cluster::CauseSuspected { .. } => "cause-suspected",
            Cluster::CauseFound { .. } => "cause-found",
            Cluster::WorkloadReady { .. } => "workload-ready",
            Cluster::Checked { .. } => "checked",
            Cluster::Captured { .. } => "captured",
            Cluster::WatchTroubled { .. } => "watch-troubled",
        },
    }
    .to_owned()
}

fn web() -> ServiceName {
    "web".parse().expect("a name")
}

fn deployment() -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", "radio", "web")
}

fn image() -> PinnedImage {
    format!("registry.example.com/radio/web@sha256:{}", "1".repeat(64)).parse().expect("an image")
}

fn digest() -> release_core::Digest {
    format!("sha256:{}", "3".repeat(64)).parse().expect("a digest")
}

fn cause(kind: CauseKind, certainty: Certainty) -> Cause {
    Cause {
        kind,
        certainty,
        object: ObjectRef::new("v1", "Pod", "radio", "web-5d9-x2x"),
        summary: "1 of 3 pods: the process ended with exit code 1".to_owned(),
        evidence: Vec::new(),
    }
}

fn cause_with_evidence() -> Cause {
    let object = ObjectRef::new("v1", "Pod", "radio", "web-5d9-x2x");
    let evidence = Evidence {
        source: "event".to_owned(),
        object: object.clone(),
        reason: Some("BackOff".to_owned()),
        message: "Back-off restarting failed container".to_owned(),
        at: Some("2026-11-24T08:00:01Z".to_owned()),
    };
    let bare = Evidence { reason: None, at: None, ..evidence.clone() };
    Cause { evidence: vec![evidence, bare], ..cause(CauseKind::CrashLoop, Certainty::Terminal) }
}

fn frame() -> Vec<Event> {
    let started = |version: Option<&str>, actor: Option<&str>| Event::Started {
        command: "deploy".to_owned(),
        project: "radio".to_owned(),
        environment: "prod".to_owned(),
        context: "prod-eu".to_owned(),
        namespace: "radio".to_owned(),
        version: version.map(str::to_owned),
        actor: actor.map(str::to_owned),
    };
    let mut events = vec![
        started(Some("3f2a1bc9d0e4"), Some("ada@laptop")),
        started(Some("3f2a1bc9d0e4"), None),
        started(None, None),
    ];
    events.extend(images().into_iter().map(|event| Event::Image { service: web(), event }));
    events.push(Event::Prepared { images: BTreeMap::from([(web(), image().to_string())]) });
    events.push(Event::Planned {
        release: 42,
        changes: changes(),
        unchanged: vec![web()],
        baseline: Some(41),
    });
    events.push(Event::Planned { release: 1, changes: Vec::new(), unchanged: Vec::new(), baseline: None });
    events.push(Event::NothingToDo { release: 42, unwell: Vec::new() });
    events.push(Event::NothingToDo { release: 42, unwell: vec![cause_with_evidence()] });
    for action in [Action::Deploy, Action::Rollback { to: 41 }] {
        events.push(Event::ReleaseBegan { release: 42, action, images: BTreeMap::from([(web(), image())]) });
    }
    for action in [None, Some(Action::Rollback { to: 41 })] {
        events.push(Event::ReleaseResumed { release: 42, action });
    }
    events.push(Event::ReleaseSuperseded { release: 42, by: 43 });
    events.push(Event::LockLost { release: 42 });
    events.push(Event::Stopped { release: 42, phases: BTreeMap::from([(web(), Phase::Soaking)]) });
    events.extend(endings());
    events.push(Event::Failed {
        exit_code: 6,
        error: "error: cluster of context `prod-eu` does not answer\n  hint: is it up?".to_owned(),
    });
    events
}

fn images() -> Vec<ImageEvent> {
    vec![
        ImageEvent::BuildBegan { dockerfile: "web/Dockerfile".to_owned() },
        ImageEvent::Step { name: "[2/3] COPY . /".to_owned(), cached: true },
        ImageEvent::Output { line: "Compiling web".to_owned() },
        ImageEvent::Notice { message: "`run.sock` is not sent: it is no file, folder or link".to_owned() },
        ImageEvent::AssemblyBegan { layers: 2 },
        ImageEvent::Pulling { doing: "fetching 0123456789ab".to_owned(), received: 1024, total: 4096 },
        ImageEvent::BasePulled {
            base: "docker.io/library/debian:13".parse().expect("an image"),
            reference: image(),
            fetched: 4096,
        },
        ImageEvent::LayerBuilt {
            from: "target/release/web".to_owned(),
            entries: 3,
            digest: digest(),
            size: 4096,
            reused: false,
        },
        ImageEvent::Built { id: format!("sha256:{}", "2".repeat(64)) },
        ImageEvent::Pushing { doing: "Pushing".to_owned(), sent: 1024, total: Some(4096) },
        ImageEvent::Pushing { doing: "Pushing".to_owned(), sent: 1024, total: None },
        ImageEvent::BlobExists { digest: digest(), size: 4096 },
        ImageEvent::BlobMounted { digest: digest(), from: image().repository },
        ImageEvent::BlobResumed { digest: digest(), offset: 1024 },
        ImageEvent::BlobUploaded { digest: digest(), size: 4096 },
        ImageEvent::Pushed { reference: image() },
        ImageEvent::Confirmed { reference: image() },
        ImageEvent::Attached { what: "sbom".to_owned(), artifact: digest() },
        ImageEvent::Verified {
            reference: image(),
            claims: vec!["provenance".to_owned(), "sbom".to_owned(), "signature".to_owned()],
            keys: vec!["keys/release.pub".to_owned()],
        },
    ]
}

fn changes() -> Vec<PlannedChange> {
    let change = |verb, fields: &[&str]| PlannedChange {
        service: web(),
        object: deployment(),
        verb,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    vec![
        change(Verb::Create, &[]),
        change(Verb::Update, &["spec.replicas", "spec.template.spec.containers[0].image"]),
        change(Verb::Delete, &[]),
    ]
}

fn endings() -> Vec<Event> {
    let ended = |state, cause: Option<Cause>, not_restored: Option<Cause>, running| Event::ReleaseEnded {
        release: 42,
        action: Action::Deploy,
        state,
        service: cause.is_some().then(web),
        cause,
        not_restored,
        running,
    };
    let why = || cause(CauseKind::Unreachable, Certainty::Likely);
    vec![
        ended(State::Running, None, None, None),
        ended(State::Verified, None, None, Some(42)),
        ended(State::RolledBack, Some(cause_with_evidence()), None, Some(41)),
        ended(State::NotRolledBack, Some(cause_with_evidence()), Some(why()), None),
        ended(State::Superseded, None, None, None),
    ]
}

fn cluster() -> Vec<Cluster> {
    const PHASES: &[Phase] = &[
        Phase::Waiting,
        Phase::Applying,
        Phase::Progressing,
        Phase::Soaking,
        Phase::Verified,
        Phase::RollingBack,
        Phase::RolledBack,
        Phase::NotRolledBack,
        Phase::NotStarted,
    ];
    let effect = EffectId { fence: 3, seq: 4 };
    let (service, object) = (web(), deployment());
    let mut events = vec![
        Cluster::LockAwaited { holder: "ada@laptop (process 4711)".to_owned() },
        Cluster::LockTaken { fence: 3 },
    ];
    events.extend(PHASES.iter().map(|phase| Cluster::PhaseEntered { service: web(), phase: *phase }));
    for (version, generation, left) in [
        (Version::New, Some(7), None),
        (Version::Previous, None, None),
        (Version::Previous, Some(8), Some(".spec.replicas")),
    ] {
        let (service, object) = (web(), deployment());
        let left = left.into_iter().map(str::to_owned).collect();
        events.push(Cluster::ObjectApplied { effect, service, object, version, generation, left });
    }
    events.push(Cluster::ObjectDeleted { effect, service: web(), object: deployment() });
    let refused = cause(CauseKind::Refused, Certainty::Terminal);
    events.push(Cluster::WriteRefused { effect, service: web(), cause: refused });
    events.push(Cluster::OutcomeUnknown { effect, service: web(), why: "connection reset".to_owned() });
    let readiness = Readiness { ready: 2, updated: 3, desired: 3 };
    events.push(Cluster::Progress { service: web(), object: deployment(), readiness });
    for certainty in [Certainty::Early, Certainty::Transient, Certainty::Likely, Certainty::Terminal] {
        let cause = cause(CauseKind::NeverReady, certainty);
        events.push(Cluster::CauseSuspected { service: web(), cause });
    }
    events.extend(
        CauseKind::ALL
            .iter()
            .map(|kind| Cluster::CauseFound { service: web(), cause: cause(*kind, Certainty::Terminal) }),
    );
    events.push(Cluster::WorkloadReady { service: web(), object: deployment(), version: Version::New });
    for verdict in [
        Verdict::Good { latency: Duration::from_millis(12) },
        Verdict::Bad { why: "pod/web-5d9-x2x answered 500".to_owned() },
        Verdict::NotEnough { why: "no pod is ready".to_owned() },
    ] {
        events.push(Cluster::Checked { service: web(), check: "/healthz".to_owned(), verdict });
    }
    events.push(Cluster::Captured { service, object, capture: capture() });
    events.push(Cluster::WatchTroubled { why: "pods is forbidden".to_owned() });
    events
}

fn capture() -> Capture {
    let log = LogTail {
        pod: "web-5d9-x2x".to_owned(),
        container: "web".to_owned(),
        previous: true,
        lines: vec!["panic: no database".to_owned()],
    };
    Capture { events: vec!["Warning BackOff pod/web-5d9-x2x: restarting".to_owned()], logs: vec![log] }
}
