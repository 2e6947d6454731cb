//! The example project, rehearsed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use release_manifest::{Project, Source, sources};
use release_rehearsal::{Ear, Ended, Moment, Outcome, Rehearsal, Summary, Weather, soak};
use release_sim::Apps;

/// A release 2 that becomes ready and then answers errors.
const BAD: &str = "
apps:
  - image: '*/player-api@sha256:2*'
    start: 2s
    http:
      - {path: /healthz, body: ok}
      - {path: '*', status: 500}
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/radio")
}

fn radio(apps: &str, faults: &str) -> Rehearsal {
    let source = std::fs::read_to_string(root().join("release.yaml")).expect("it is there");
    rehearsal_of(&source, apps, faults)
}

fn rehearsal_of(source: &str, apps: &str, faults: &str) -> Rehearsal {
    rehearsal_in(source, apps, Weather::parse(faults).expect("there are such faults"))
}

fn radio_in(apps: &str, weather: Weather) -> Rehearsal {
    let source = std::fs::read_to_string(root().join("release.yaml")).expect("it is there");
    rehearsal_in(&source, apps, weather)
}

fn rehearsal_in(source: &str, apps: &str, weather: Weather) -> Rehearsal {
    // Every HTTP client wants a provider, also one that is never used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = root();
    let variables = |name: &str| Some(format!("{}.invalid", name.to_lowercase()));
    let source = Source::from_bytes("release.yaml".to_owned(), source.as_bytes()).expect("it is text");
    let project = Project::parse(&source, &variables, &[]).expect("it is right");
    let environment = project.environment("dev").expect("it is there");
    let mut files = BTreeMap::new();
    for (name, service) in &environment.services {
        let folder = service.config.as_ref().and_then(|config| config.files.as_ref());
        let read = folder.map(|folder| sources::read_config_dir(&root.join(folder)).expect("it is there"));
        files.insert(name.clone(), read.unwrap_or_default());
    }
    let apps = Apps::read(apps).expect("they can be read");
    Rehearsal::new(environment, &files, apps, weather).expect("it can be rendered")
}

/// The project in exactly these faults, YAML with commas between them.
fn in_faults(faults: &str) -> Rehearsal {
    let faults = release_sim::faults::read_faults(&format!("faults: [{faults}]")).expect("they can be read");
    radio_in("{}", Weather::exactly(faults))
}

fn endings(outcome: &Outcome) -> Vec<&'static str> {
    outcome.releases.iter().map(|release| release.ended.word()).collect()
}

#[test]
fn in_fair_weather_both_releases_are_verified_and_nothing_is_missed() {
    for seed in 0..3 {
        let outcome = radio("{}", "none").run(seed);
        assert_eq!(endings(&outcome), ["verified", "verified"], "{:?}", outcome.releases);
        let player = &outcome.services["player-api"];
        assert_eq!((player.wanted, player.failed), (3, 0));
        assert!(player.least_ready >= 2 && player.sent > 100, "{player:?}");
    }
}

#[test]
fn nobody_asks_a_service_that_shall_have_no_pods() {
    let source = std::fs::read_to_string(root().join("release.yaml")).expect("it is there");
    let source = source.replace("    replicas: 2\n", "    replicas: 0\n");
    // Checks ask pods.
    let source = source.replace("    verify: [{http: /api/programmes, body: morning show}]\n", "");
    let outcome = rehearsal_of(&source, "{}", "none").run(0);
    assert_eq!(endings(&outcome), ["verified", "verified"], "{:?}", outcome.releases);
    let programmes = &outcome.services["programmes"];
    assert_eq!((programmes.wanted, programmes.sent), (0, 0), "{programmes:?}");
    assert!(outcome.services["player-api"].sent > 100, "{:?}", outcome.services);
}

#[test]
fn errors_after_ready_are_caught_in_the_soak_and_rolled_back() {
    let outcome = radio(BAD, "none").run(1);
    assert_eq!(endings(&outcome), ["verified", "rolled back"], "{:?}", outcome.releases);
    let Ended::RolledBack { why } = &outcome.releases[1].ended else { unreachable!("compared above") };
    assert!(why.contains("/api/now"), "{why}");
    assert!(outcome.services["player-api"].least_ready >= 2, "{:?}", outcome.services);
}

#[test]
fn a_troubled_api_alone_fails_no_release() {
    let faults = [
        "api-error",
        "answer-lost",
        "conflict",
        "too-many-requests",
        "slow-api",
        "watch-closes",
        "watch-resets",
        "watch-expires",
        "outage",
    ];
    let mut hit = 0;
    for fault in faults {
        let outcome = radio("{}", fault).run(0);
        assert_eq!(outcome.faults.len(), 3, "{:?}", outcome.faults);
        assert_eq!(endings(&outcome), ["verified", "verified"], "{fault}: {:?}", outcome.releases);
        hit += usize::from(outcome.timeline.iter().any(|moment| matches!(moment, Moment::Fault { .. })));
    }
    // Windows that open after the release has ended hit nobody.
    assert!(hit > faults.len() / 2, "only {hit} faults hit anything");
}

/// Both were found by seeds: a rollback gave up a minute after a node was lost, and a record whose answers were lost ended the
/// release with an error.
#[test]
fn lost_nodes_and_lost_answers_leave_no_release_half_way() {
    for (fault, seeds) in [("node-lost", [1, 8]), ("answer-lost", [2, 5])] {
        let rehearsal = radio("{}", fault);
        for seed in seeds {
            let outcome = rehearsal.run(seed);
            let hit = outcome.timeline.iter().any(|moment| matches!(moment, Moment::Fault { .. }));
            assert!(hit, "{fault}, seed {seed}: nothing was hit");
            assert_eq!(Summary::of([&outcome]).broken, [], "{fault}, seed {seed}");
        }
    }
}

#[test]
fn a_late_or_changing_api_alone_fails_no_release() {
    for faults in [
        "{fault: {stale-reads: {servers: 2, by: 2s..20s}}, rate: 0.5}",
        "{fault: {slow-watch: {by: 10s}}}",
        "{fault: compaction}, {fault: {watch-closes: {after: 5s}}}",
        "{fault: {repeated-events: {events: 3}}}, {fault: {watch-resets: {after: 3s}}}",
        "{fault: no-bookmarks}, {fault: revision-too-large, until: 60s}",
        "{fault: webhook-changes}",
        "{fault: {denied: {status: 401}}, rate: 0.3}",
        "{fault: {clock-skew: {by: 1h}}, until: 30s}",
        "{fault: {clock-skew: {by: 1h, behind: true}}, from: 5s}",
    ] {
        let outcome = in_faults(faults).run(0);
        assert_eq!(endings(&outcome), ["verified", "verified"], "{faults}: {:?}", outcome.releases);
        let hit = outcome.timeline.iter().any(|moment| matches!(moment, Moment::Fault { .. }));
        assert!(hit || faults.contains("revision") || faults.contains("compaction"), "{faults} hit nobody");
    }
}

#[test]
fn a_journal_that_is_refused_is_not_called_a_lost_lock() {
    let faults =
        "{fault: webhook-denies, rate: 0.6, target: {resource: configmaps, verb: update, name: 'release.*'}}";
    let rehearsal = in_faults(faults);
    let mut refused = 0;
    for seed in 0..6 {
        let outcome = rehearsal.run(seed);
        if let Some(Ended::Failed { error }) = outcome.releases.last().map(|release| &release.ended) {
            assert!(error.contains("denied the request") && !error.contains("taken over"), "{seed}: {error}");
            refused += 1;
        }
    }
    assert!(refused > 0, "no journal was refused");
}

/// Seed 0 of `foreign-apply` was called verified while somebody else's image ran.
#[test]
fn what_runs_somebody_elses_image_is_never_called_verified() {
    let outcome = in_faults("{fault: foreign-apply, from: 20s, target: {name: player-api}}").run(0);
    let Some(Ended::NotRolledBack { why }) = outcome.releases.last().map(|release| &release.ended) else {
        panic!("{:?}", outcome.releases);
    };
    assert!(why.contains("somebody-else") && why.contains("image"), "{why}");
}

#[test]
fn the_same_seed_tells_the_same_story_byte_for_byte() {
    let rehearsal = radio("{}", "all");
    let mut hit = 0;
    for seed in 0..8 {
        let story = |outcome: &Outcome| serde_json::to_string(outcome).expect("JSON");
        let first = rehearsal.run(seed);
        assert_eq!(story(&first), story(&rehearsal.run(seed)), "seed {seed}");
        hit += first.timeline.iter().filter(|moment| matches!(moment, Moment::Fault { .. })).count();
    }
    assert!(hit > 0, "no fault hit anything in eight stories");
}

#[test]
fn many_seeds_are_the_same_on_any_number_of_threads() {
    let rehearsal = radio("{}", "crash,pull-fails");
    let ear = Ear { tell: &|_| {}, stops: &|| false };
    let (one, none) = soak(&rehearsal, 0..6, 1, &ear);
    let (two, _) = soak(&rehearsal, 0..6, 2, &ear);
    let (nothing, _) = soak(&rehearsal, 0..6, 2, &Ear { stops: &|| true, ..ear });
    assert!(nothing.is_empty(), "who stops begins no story");
    assert_eq!((one.len(), none.len()), (6, 0));
    assert_eq!(Summary::of(&one), Summary::of(&two));
    assert_eq!(Summary::of(&one).endings[&1]["verified"], 6);
}
