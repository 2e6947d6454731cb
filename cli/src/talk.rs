//! What people are told while a run goes on: JSON Lines on stdout, or lines (with progress bars on a terminal) on stderr.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use release_cluster::{Clock, Event as Cluster};
use release_core::{CauseKind, MonoTime, ServiceName, Verdict};
use release_pipeline::{Envelope, Event, ImageEvent, Recorder, Report, Tape, Verb};
use release_rollout::{Phase, Version};

use crate::answer;
use crate::args::{Args, Format};
use crate::words;

/// Receives every event of a run: stamps it, shows it, and folds it into the report.
#[derive(Clone)]
pub(crate) struct Talk(Arc<Mutex<Inner>>);

struct Inner {
    recorder: Recorder,
    /// None until something is told on this machine's own clock.
    clock: Option<Clock>,
    /// What passed on clocks that were followed before this one.
    before: Duration,
    /// What the last of them said, and when that was. The day goes on from there: it may be another one than this machine's.
    left: Option<(Timestamp, Instant)>,
    /// When something was told last.
    latest: Timestamp,
    view: View,
    report: Report,
    tape: Tape,
}

enum View {
    Json,
    Quiet,
    Lines(Told),
    Terminal(Bars),
}

/// What was told last, so that there is a line for each change and not for each look.
#[derive(Default)]
struct Told {
    /// Ready pods, and how many are wanted.
    ready: BTreeMap<ServiceName, (u32, u32)>,
    /// Checks whose last verdict was good.
    good: BTreeSet<(ServiceName, String)>,
}

impl Told {
    fn is_news(&mut self, event: &Event) -> bool {
        match event {
            Event::Cluster(Cluster::Progress { service, readiness, .. }) => {
                let counts = (readiness.ready, readiness.desired);
                // Nothing is wanted before the controller has looked.
                counts != (0, 0) && self.ready.insert(service.clone(), counts) != Some(counts)
            }
            Event::Cluster(Cluster::Checked { service, check, verdict }) => {
                let key = (service.clone(), check.clone());
                match verdict {
                    Verdict::Good { .. } => self.good.insert(key),
                    Verdict::Bad { .. } | Verdict::NotEnough { .. } => {
                        self.good.remove(&key);
                        true
                    }
                }
            }
            // The next phase begins anew.
            Event::Cluster(Cluster::PhaseEntered { service, .. }) => {
                self.good.retain(|(of, _)| of != service);
                true
            }
            _ => true,
        }
    }
}

struct Bars {
    told: Told,
    all: MultiProgress,
    by_service: BTreeMap<ServiceName, ProgressBar>,
}

/// Two runs of one process can begin in the same millisecond: they are counted.
static RUNS: AtomicU32 = AtomicU32::new(0);

impl Talk {
    /// For a command. The run begins now.
    pub(crate) fn new(args: &Args) -> Self {
        Self::of(args.output, args.quiet)
    }

    /// In this format, perhaps with nothing but failures.
    pub(crate) fn of(output: Format, quiet: bool) -> Self {
        let clock = Clock::system();
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        let view = if output == Format::Json {
            View::Json
        } else if quiet {
            View::Quiet
        } else if std::io::stderr().is_terminal() && !in_ci {
            View::Terminal(Bars {
                told: Told::default(),
                all: MultiProgress::new(),
                by_service: BTreeMap::new(),
            })
        } else {
            View::Lines(Told::default())
        };
        let (at, process) = (clock.wall().as_millisecond(), std::process::id());
        let run = match RUNS.fetch_add(1, Ordering::Relaxed) {
            0 => format!("{at:x}-{process:x}"),
            more => format!("{at:x}-{process:x}-{more}"),
        };
        let recorder = Recorder::new(run, clock.now());
        Self(Arc::new(Mutex::new(Inner {
            recorder,
            clock: Some(clock),
            before: Duration::ZERO,
            left: None,
            latest: Timestamp::UNIX_EPOCH,
            view,
            report: Report::default(),
            tape: Tape::default(),
        })))
    }

    /// From now on this clock says when something happens; None: the machine's own. Is called where the clock before it still
    /// goes.
    pub(crate) fn follow(&self, clock: Option<Clock>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = inner.clock.as_ref().map(|clock| clock.now().since_origin());
        inner.before += passed.unwrap_or_default();
        if let (Some(before), None) = (&inner.clock, &clock) {
            inner.left = Some((before.wall(), Instant::now()));
        }
        inner.clock = clock;
    }

    /// Takes one event.
    pub(crate) fn tell(&self, event: Event) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = inner.left;
        let own = || match left {
            Some((at, when)) => Clock::with_wall(move || at.checked_add(when.elapsed()).unwrap_or(at)),
            None => Clock::system(),
        };
        let clock = inner.clock.get_or_insert_with(own).clone();
        let now = MonoTime::from_origin(inner.before + clock.now().since_origin());
        // The next clock may be behind by what was done meanwhile.
        inner.latest = inner.latest.max(clock.wall());
        let at = inner.latest;
        let envelope = inner.recorder.stamp(now, at, event);
        inner.report.add(&envelope);
        inner.tape.add(&envelope);
        inner.show(&envelope);
    }

    /// What happened so far.
    pub(crate) fn report(&self) -> Report {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).report.clone()
    }

    /// What the release's record keeps of this run.
    pub(crate) fn tape(&self) -> Tape {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tape.clone()
    }

    /// Takes the progress bars away; what follows is the answer.
    pub(crate) fn finish(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let View::Terminal(bars) = &mut inner.view {
            bars.by_service.clear();
            let _ = bars.all.clear();
        }
    }
}

impl Inner {
    fn show(&mut self, envelope: &Envelope) {
        match &mut self.view {
            View::Quiet => {}
            View::Json => {
                if let Ok(line) = serde_json::to_string(envelope) {
                    // A reader that went away must not end a release half-way.
                    let _ = writeln!(std::io::stdout().lock(), "{line}");
                }
            }
            View::Lines(told) => {
                if told.is_news(&envelope.event) {
                    for line in lines(envelope) {
                        answer::say(&line);
                    }
                }
            }
            View::Terminal(bars) => bars.show(envelope),
        }
    }
}

impl Bars {
    fn show(&mut self, envelope: &Envelope) {
        if let Event::Cluster(Cluster::Progress { service, readiness, .. }) = &envelope.event {
            let bar = self.bar(service);
            bar.set_length(u64::from(readiness.desired));
            bar.set_position(u64::from(readiness.ready));
            return;
        }
        if self.told.is_news(&envelope.event) {
            for line in lines(envelope) {
                let _ = self.all.println(line);
            }
        }
        match &envelope.event {
            Event::Image { service, event } => self.image(service, event),
            Event::Cluster(Cluster::PhaseEntered { service, phase }) => self.phase(service, *phase),
            _ => {}
        }
    }

    fn image(&mut self, service: &ServiceName, event: &ImageEvent) {
        match event {
            ImageEvent::Step { name, .. } => self.bar(service).set_message(name.clone()),
            ImageEvent::Output { line } => self.bar(service).set_message(line.trim().to_owned()),
            ImageEvent::Pushing { doing, sent, .. } => {
                self.bar(service).set_message(format!("{doing}: {} KiB", sent / 1024));
            }
            ImageEvent::Pulling { doing, received, .. } => {
                self.bar(service).set_message(format!("{doing}: {} KiB", received / 1024));
            }
            ImageEvent::Confirmed { .. } => self.done(service),
            ImageEvent::LayerBuilt { from, .. } => self.bar(service).set_message(format!("built {from}")),
            ImageEvent::Attached { .. }
            | ImageEvent::Verified { .. }
            | ImageEvent::BuildBegan { .. }
            | ImageEvent::AssemblyBegan { .. }
            | ImageEvent::BasePulled { .. }
            | ImageEvent::Notice { .. }
            | ImageEvent::Built { .. }
            | ImageEvent::BlobExists { .. }
            | ImageEvent::BlobMounted { .. }
            | ImageEvent::BlobResumed { .. }
            | ImageEvent::BlobUploaded { .. }
            | ImageEvent::Pushed { .. } => {}
        }
    }

    fn phase(&mut self, service: &ServiceName, phase: Phase) {
        match phase {
            Phase::Waiting => {}
            Phase::Applying | Phase::Progressing | Phase::Soaking | Phase::RollingBack => {
                self.bar(service).set_message(phase_word(phase));
            }
            Phase::Verified | Phase::RolledBack | Phase::NotRolledBack | Phase::NotStarted => {
                self.done(service);
            }
        }
    }

    fn done(&mut self, service: &ServiceName) {
        if let Some(bar) = self.by_service.remove(service) {
            bar.finish_and_clear();
        }
    }

    fn bar(&mut self, service: &ServiceName) -> &ProgressBar {
        let all = &self.all;
        self.by_service.entry(service.clone()).or_insert_with(|| {
            let bar = all.add(ProgressBar::new(0));
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {prefix:16} {pos}/{len} ready  {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(service.to_string());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        })
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting for what it needs",
        Phase::Applying => "applying",
        Phase::Progressing => "rolling out",
        Phase::Soaking => "ready; watching it",
        Phase::Verified => "verified",
        Phase::RollingBack => "rolling back",
        Phase::RolledBack => "rolled back",
        Phase::NotRolledBack => "NOT rolled back",
        Phase::NotStarted => "not started",
    }
}

/// The lines people read for one event; none for what only a machine wants to know.
pub(crate) fn lines(envelope: &Envelope) -> Vec<String> {
    let at = format!("{:>7}", words::seconds(envelope.elapsed));
    let plain = |text: String| vec![format!("{at}  {text}")];
    match &envelope.event {
        Event::Started { command, project, environment, context, namespace, version, .. } => {
            let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            vec![format!(
                "{command} {project}{version} to {environment} (context {context}, namespace {namespace})"
            )]
        }
        Event::Image { service, event } => {
            image_line(event).map(|text| format!("{at}  {service:16} {text}")).into_iter().collect()
        }
        Event::Planned { release, changes, unchanged, baseline } => {
            let mut all = plain(match baseline {
                Some(number) => format!("release {release}; a rollback returns to release {number}"),
                None => format!("release {release}, the first; a rollback brings back what is there now"),
            });
            for change in changes {
                let sign = match change.verb {
                    Verb::Create => '+',
                    Verb::Update => '~',
                    Verb::Delete => '-',
                };
                let fields = if change.fields.is_empty() {
                    String::new()
                } else {
                    format!("  {}", change.fields.join(", "))
                };
                all.push(format!("{:>7}  {:16} {sign} {}{fields}", "", change.service, change.object));
            }
            if !unchanged.is_empty() {
                let names: Vec<_> = unchanged.iter().map(ServiceName::as_str).collect();
                all.push(format!("{:>7}  unchanged: {}", "", names.join(", ")));
            }
            all
        }
        Event::NothingToDo { .. }
        | Event::ReleaseBegan { .. }
        | Event::ReleaseEnded { .. }
        | Event::Prepared { .. }
        | Event::Failed { .. }
        | Event::Unknown { .. } => Vec::new(),
        Event::ReleaseResumed { release, .. } => {
            plain(format!("release {release} was interrupted; taking it up where it stood"))
        }
        Event::ReleaseSuperseded { release, by } => {
            plain(format!("release {release} was interrupted; release {by} takes its place"))
        }
        Event::LockLost { release } => {
            plain(format!("the cluster was out of reach for too long; release {release} waits for its lock"))
        }
        Event::Stopped { release, phases } => {
            let mut all = plain(format!("stopped; release {release} is half-way:"));
            all.extend(
                phases
                    .iter()
                    .map(|(service, phase)| format!("{:>7}  {service:16} {}", "", phase_word(*phase))),
            );
            all
        }
        Event::Cluster(event) => cluster_lines(&at, event),
    }
}

fn image_line(event: &ImageEvent) -> Option<String> {
    match event {
        ImageEvent::BuildBegan { dockerfile } => Some(format!("building {dockerfile}")),
        ImageEvent::Notice { message } => Some(format!("note: {message}")),
        ImageEvent::Built { id } => Some(format!("built {}", id.get(..19).unwrap_or(id))),
        ImageEvent::Confirmed { reference } => Some(format!("in the registry: {}", words::image(reference))),
        ImageEvent::Attached { what, .. } => Some(format!("signed and attached: {what}")),
        ImageEvent::Verified { claims, keys, .. } => {
            Some(format!("verified: {} by {}", claims.join(", "), keys.join(", ")))
        }
        ImageEvent::Step { name, cached } => Some(format!("{}{name}", if *cached { "cached: " } else { "" })),
        ImageEvent::AssemblyBegan { layers } => {
            Some(format!("building {layers} layer{}", if *layers == 1 { "" } else { "s" }))
        }
        ImageEvent::LayerBuilt { from, entries, size, reused, .. } => {
            let unchanged = if *reused { "unchanged: " } else { "" };
            let entries = if *entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
            Some(format!("{unchanged}{from}, {entries}, {} KiB", size.div_ceil(1024)))
        }
        ImageEvent::BasePulled { base, reference, fetched } => {
            let named = base
                .digest
                .as_ref()
                .map_or_else(|| format!(", which is {}", reference.digest.short()), |_| String::new());
            let fetched = match fetched {
                0 => "nothing to fetch".to_owned(),
                bytes => format!("fetched {} KiB", bytes.div_ceil(1024)),
            };
            Some(format!("based on {base}{named}, {fetched}"))
        }
        ImageEvent::BlobMounted { digest, from } => Some(format!("took {} over from {from}", digest.short())),
        ImageEvent::BlobResumed { digest, offset } => {
            Some(format!("the upload of {} goes on at {} KiB", digest.short(), offset / 1024))
        }
        ImageEvent::BlobUploaded { digest, size } => {
            Some(format!("uploaded {}, {} KiB", digest.short(), size.div_ceil(1024)))
        }
        ImageEvent::Output { .. }
        | ImageEvent::Pulling { .. }
        | ImageEvent::Pushing { .. }
        | ImageEvent::BlobExists { .. }
        | ImageEvent::Pushed { .. } => None,
    }
}

fn cluster_lines(at: &str, event: &Cluster) -> Vec<String> {
    let of = |service: &ServiceName, text: String| vec![format!("{at}  {service:16} {text}")];
    match event {
        Cluster::LockAwaited { holder } => vec![format!("{at}  waiting for {holder}, who is releasing here")],
        Cluster::LockTaken { .. }
        | Cluster::OutcomeUnknown { .. }
        | Cluster::PhaseEntered { phase: Phase::Waiting | Phase::NotStarted, .. } => Vec::new(),
        Cluster::PhaseEntered { service, phase } => of(service, phase_word(*phase).to_owned()),
        Cluster::ObjectApplied { service, object, version, left, .. } => {
            let verb = if *version == Version::New { "applied" } else { "restored" };
            let but = if left.is_empty() {
                String::new()
            } else {
                format!(", but for {}, which somebody else has taken", left.join(", "))
            };
            of(service, format!("{verb} {object}{but}"))
        }
        Cluster::ObjectDeleted { service, object, .. } => of(service, format!("deleted {object}")),
        Cluster::WriteRefused { service, cause, .. } => of(service, format!("refused: {}", cause.summary)),
        Cluster::Progress { service, readiness, .. } => {
            of(service, format!("{} of {} pods ready", readiness.ready, readiness.desired))
        }
        Cluster::CauseSuspected { service, cause } => {
            of(service, format!("suspicious: {}: {}", cause.kind, cause.summary))
        }
        Cluster::CauseFound { service, cause } => {
            let mut all = of(service, format!("failed: {}: {}", cause.kind, cause.summary));
            if cause.kind == CauseKind::Sibling {
                all.clear();
            }
            all
        }
        Cluster::WorkloadReady { service, object, .. } => of(service, format!("{object} is ready")),
        Cluster::Checked { service, check, verdict } => match verdict {
            Verdict::Good { latency } => {
                of(service, format!("check {check}: good, {} ms", latency.as_millis()))
            }
            Verdict::Bad { why } => of(service, format!("check {check}: bad: {why}")),
            Verdict::NotEnough { why } => of(service, format!("check {check}: no evidence: {why}")),
        },
        Cluster::Captured { service, capture, .. } => {
            let mut all = Vec::new();
            let warnings: Vec<_> = capture.events.iter().filter(|line| line.starts_with("Warning")).collect();
            for line in warnings.iter().skip(warnings.len().saturating_sub(5)) {
                all.extend(of(service, format!("event: {line}")));
            }
            for log in &capture.logs {
                let run = if log.previous { ", the run before" } else { "" };
                all.extend(of(service, format!("last lines of pod/{} ({}{run}):", log.pod, log.container)));
                let skip = log.lines.len().saturating_sub(10);
                all.extend(log.lines.iter().skip(skip).map(|line| format!("{:>7}  {:16} | {line}", "", "")));
            }
            all
        }
        Cluster::WatchTroubled { why } => vec![format!("{at}  the cluster cannot be watched: {why}")],
    }
}

#[cfg(test)]
mod tests;
