//! `release doctor`: whether everything a release needs is there, and the Role it needs.

use release_image::{Endpoint, Engine};
use release_manifest::{LOCAL, Object};
use serde::Serialize;

use super::render::manifests;
use super::target::{Place, Target};
use crate::answer;
use crate::args::{Args, Doctor, Environment};
use crate::error::Failure;
use crate::exit::Exit;
use crate::workspace::Workspace;

/// The answer.
#[derive(Serialize)]
struct Answer {
    v: u32,
    good: bool,
    findings: Vec<Finding>,
}

/// What was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    good: bool,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

pub(crate) async fn run(args: &Args, words: &Doctor) -> Result<Exit, Failure> {
    if let Some(account) = &words.rbac {
        return role(args, words, account);
    }
    // `local` builds without an engine.
    let mut findings = if words.env.as_deref() == Some(LOCAL) { Vec::new() } else { vec![engine().await] };
    if args.config.exists() || words.env.is_some() {
        match Workspace::load(args) {
            Ok(workspace) => {
                findings.push(good("project", format!("{} is sound", args.config.display())));
                if let Some(env) = &words.env {
                    cluster(args, words, &workspace, env, &mut findings).await;
                }
            }
            Err(failure) => findings.push(bad("project", &failure)),
        }
    }
    let good = findings.iter().all(|finding| finding.good);
    let found = Answer { v: 1, good, findings };
    answer::print(args.output, &found, || text(&found.findings))?;
    if good {
        Ok(Exit::Done)
    } else {
        Err(Failure::Check { message: "something a release needs is missing: see `bad` above".to_owned() })
    }
}

fn text(findings: &[Finding]) -> String {
    let mut rows = Vec::new();
    for finding in findings {
        let state = if finding.good { "good" } else { "bad" };
        rows.push(vec![finding.what.to_owned(), state.to_owned(), finding.text.clone()]);
        rows.extend(
            finding.hint.iter().map(|hint| vec![String::new(), String::new(), format!("hint: {hint}")]),
        );
    }
    answer::table(&["WHAT", "STATE", ""], &rows)
}

fn good(what: &'static str, text: String) -> Finding {
    Finding { what, good: true, text, hint: None }
}

fn bad(what: &'static str, failure: &Failure) -> Finding {
    let (text, hint) = failure.in_a_line();
    Finding { what, good: false, text, hint }
}

async fn engine() -> Finding {
    let connected = match Endpoint::from_env() {
        Ok(endpoint) => Engine::connect(&endpoint).await,
        Err(error) => Err(error),
    };
    match connected {
        Ok(engine) => {
            let info = engine.info();
            let builder =
                if info.buildkit { "with BuildKit" } else { "without BuildKit: the classic builder is used" };
            good("docker", format!("Docker Engine {} (API {}), {builder}", info.version, info.api_version))
        }
        Err(source) => bad("docker", &Failure::from(release_pipeline::PrepareError::Engine { source })),
    }
}

async fn cluster(args: &Args, words: &Doctor, workspace: &Workspace, env: &str, findings: &mut Vec<Finding>) {
    let environment = match workspace.environment(env, args.quiet) {
        Ok(environment) => environment,
        Err(failure) => {
            findings.push(bad("environment", &failure));
            return;
        }
    };
    let asked = Environment { env: env.to_owned(), namespace: words.namespace.clone(), context: None };
    let (project, name) = (environment.project.clone(), environment.name.clone());
    let place = match Place::of(Some(&environment), project, name, &asked, crate::local::PATIENCE).await {
        Ok(place) => place,
        Err(failure) => {
            findings.push(bad("cluster", &failure));
            return;
        }
    };
    match place.visit(None, async |target| Ok(look(target).await)).await {
        Ok(found) => findings.extend(found),
        Err(failure) => findings.push(bad("cluster", &failure)),
    }
}

/// What there is to say of a cluster that answers.
async fn look(target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    let version = target.cluster.version().await.unwrap_or_else(|_| "of unknown version".to_owned());
    findings.push(good("cluster", format!("{} answers: Kubernetes {version}", target.cluster.context())));
    match target.cluster.missing_rights().await {
        Ok(missing) if missing.is_empty() => {
            findings.push(good("rights", "everything a release may need".to_owned()));
        }
        Ok(missing) => {
            let (always, sometimes): (Vec<_>, Vec<_>) =
                missing.into_iter().partition(|missing| missing.always);
            let list = |all: &[release_cluster::Missing]| {
                all.iter().map(|m| m.right.as_str()).collect::<Vec<_>>().join(", ")
            };
            if !always.is_empty() {
                let namespace = target.cluster.namespace().to_owned();
                findings.push(bad("rights", &Failure::Rights { namespace, missing: vec![list(&always)] }));
            }
            if !sometimes.is_empty() {
                findings.push(good(
                    "rights",
                    format!("not allowed, and only needed by some features: {}", list(&sometimes)),
                ));
            }
        }
        Err(error) => findings.push(bad("rights", &Failure::from(error))),
    }
    findings
}

fn role(args: &Args, words: &Doctor, account: &str) -> Result<Exit, Failure> {
    let namespace = match (&words.namespace, &words.env) {
        (Some(namespace), _) => namespace.clone(),
        (None, Some(env)) => Workspace::load(args)?.environment(env, args.quiet)?.namespace,
        (None, None) => {
            return Err(Failure::Usage {
                message: "the Role needs a namespace".to_owned(),
                hint: Some("give -n NAMESPACE, or --env ENV".to_owned()),
            });
        }
    };
    let objects: Vec<Object> = release_cluster::role(&namespace, account)
        .into_iter()
        .filter_map(|value| Object::new(value).ok())
        .collect();
    manifests(args, &objects)?;
    Ok(Exit::Done)
}
