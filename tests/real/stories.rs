//! Rollouts in the simulation against the same rollouts in a real Kubernetes 1.20.

use std::path::PathBuf;

use anyhow::Result;
use futures::{StreamExt as _, stream};
use release_tests::stories::{self, Log, Story, differences, reduce, tell_simulation};
use release_tests::{measured, var};
use serde_json::{Value, json};

/// Stories that are told side by side: the cluster is small.
const AT_ONCE: usize = 6;
/// Those that are told in every run; the others are with `--full`, because all of them together take minutes.
const SAMPLE: [&str; 6] = ["scale-up", "scale-down", "new-image", "undo", "quota", "delete-background"];
/// Lines of a difference that are shown.
const SHOWN: usize = 40;
/// Seeds of the simulation that must all tell the same.
const SEEDS: u64 = 2;

fn recording(story: &Story) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recorded/stories");
    folder.join(format!("{}.json", story.name))
}

fn recorded(story: &Story) -> Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(recording(story))?)?)
}

/// Whether two traces are the same; tells where they are not.
fn is_same(what: &str, expected: &Value, found: &Value) -> bool {
    let lines = differences(expected, found);
    for line in lines.iter().take(SHOWN) {
        eprintln!("{what} {line}");
    }
    lines.is_empty()
}

/// Whether the story goes as in the simulation, and as it went before. What differs once and not again was the machine's slowness.
async fn try_story(client: kube::Client, story: &Story) -> Result<bool> {
    for is_last in [false, true] {
        let real = reduce(&stories::tell(client.clone(), story, &var("RELEASE_TEST_REGISTRY")).await?);
        let simulated = reduce(&tell_simulation(story, 0)?);
        if std::env::var_os("RELEASE_TEST_RECORD").is_some() {
            std::fs::write(recording(story), format!("{}\n", serde_json::to_string_pretty(&real)?))?;
        }
        let as_simulated = is_same(&format!("{}, simulated:", story.name), &real, &simulated);
        let as_before = is_same(&format!("{}, recorded:", story.name), &recorded(story)?, &real);
        if (as_simulated && as_before) || is_last {
            return Ok(as_simulated && as_before);
        }
        eprintln!("{}: once more", story.name);
    }
    unreachable!("the last try returns")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real stack: tests/run"]
async fn rollouts_go_as_in_a_real_cluster() -> Result<()> {
    let client = stories::client().await?;
    let version = client.apiserver_version().await?;
    if version.minor.trim_end_matches('+') != "20" {
        measured(&format!("stories: left out, the cluster is a {}", version.git_version));
        return Ok(());
    }
    stories::build_images()?;
    let began = std::time::Instant::now();
    let only = std::env::var("RELEASE_TEST_STORY").ok();
    let full = std::env::var_os("RELEASE_TEST_FULL").is_some();
    let is_told = |name: &str| match &only {
        Some(only) => only.split(',').any(|wanted| wanted == name),
        None => full || SAMPLE.contains(&name),
    };
    let all = stories::all().into_iter().filter(|story| is_told(story.name));
    let told: Vec<(&str, bool)> = stream::iter(all)
        .map(|story| {
            let client = client.clone();
            async move {
                let told = try_story(client, &story).await;
                let same = told.unwrap_or_else(|error| {
                    eprintln!("{}: {error:#}", story.name);
                    false
                });
                (story.name, same)
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let differing: Vec<&str> = told.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    measured(&format!(
        "rollout stories that agree: {} of {} ({:.0} s)",
        told.len() - differing.len(),
        told.len(),
        began.elapsed().as_secs_f64()
    ));
    assert!(differing.is_empty(), "told otherwise: {differing:?}");
    Ok(())
}

#[test]
fn recorded_rollouts_go_as_they_went() -> Result<()> {
    let mut differing = Vec::new();
    for story in stories::all() {
        let recorded = recorded(&story)?;
        for seed in 0..SEEDS {
            let simulated = reduce(&tell_simulation(&story, seed)?);
            if !is_same(&format!("{} with seed {seed}:", story.name), &recorded, &simulated) {
                differing.push(story.name);
                break;
            }
        }
    }
    assert!(differing.is_empty(), "told otherwise: {differing:?}");
    Ok(())
}

/// A change of a log that no comparison may miss.
type Mistake = (&'static str, fn(&mut Log));

/// The last version of an object of a kind in the step `image`, to be spoiled.
fn last<'a>(log: &'a mut Log, kind: &str, is: impl Fn(&Value) -> bool) -> &'a mut Value {
    let chapter = log.chapters.iter_mut().find(|chapter| chapter.step == "image").expect("a new image");
    let mut seen = chapter.seen.iter_mut().rev();
    &mut seen.find(|seen| seen.kind == kind && !seen.gone && is(&seen.object)).expect("an object").object
}

#[test]
fn no_mistake_of_a_controller_goes_unnoticed() -> Result<()> {
    let story = stories::all().into_iter().find(|story| story.name == "new-image").expect("a story");
    let log = tell_simulation(&story, 0)?;
    let mistakes: &[Mistake] = &[
        ("a wrong counter at the end", |log| {
            last(log, "Deployment", |_| true)["status"]["readyReplicas"] = json!(1);
        }),
        ("a dip of a counter on the way", |log| {
            let full = |web: &Value| web["status"]["availableReplicas"] == 3;
            last(log, "Deployment", full)["status"]["availableReplicas"] = json!(0);
        }),
        ("a wrong reason of a condition", |log| {
            let web = last(log, "Deployment", |_| true);
            web["status"]["conditions"][0]["reason"] = json!("Because");
        }),
        ("another word in a message", |log| {
            let web = last(log, "Deployment", |_| true);
            web["status"]["conditions"][0]["message"] = json!("All is well.");
        }),
        ("a surge pod that was not made", |log| {
            let name = last(log, "Pod", |_| true)["metadata"]["name"].clone();
            for chapter in &mut log.chapters {
                chapter.seen.retain(|seen| seen.object["metadata"]["name"] != name);
            }
        }),
        ("a pod that is ready before it runs", |log| {
            let chapter =
                log.chapters.iter_mut().find(|chapter| chapter.step == "image").expect("a new image");
            let pods: Vec<usize> =
                (0..chapter.seen.len()).filter(|at| chapter.seen[*at].kind == "Pod").collect();
            chapter.seen.swap(pods[1], pods[3]);
        }),
        ("an old pod that goes before its ReplicaSet is scaled", |log| {
            let chapter =
                log.chapters.iter_mut().find(|chapter| chapter.step == "image").expect("a new image");
            let goes = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
            let at = chapter.seen.iter().position(|seen| seen.kind == "Pod" && goes(&seen.object));
            let seen = chapter.seen.remove(at.expect("a pod that goes"));
            chapter.seen.insert(0, seen);
        }),
        ("a missing event", |log| {
            for chapter in &mut log.chapters {
                chapter.seen.retain(|seen| seen.object["reason"] != "ScalingReplicaSet");
            }
        }),
        ("a wrong reason of a container", |log| {
            let waits = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"].is_object();
            let pod = last(log, "Pod", waits);
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = json!("Thinking");
        }),
        ("an address that stays", |log| {
            let none = json!([]);
            last(log, "Endpoints", |_| true)["subsets"] = none;
        }),
    ];
    let told = reduce(&log);
    for (what, make) in mistakes {
        let mut spoiled = log.clone();
        make(&mut spoiled);
        assert!(!differences(&told, &reduce(&spoiled)).is_empty(), "{what} goes unnoticed");
    }
    Ok(())
}
