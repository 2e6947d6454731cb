//! `release doctor`: whether everything a release needs is there, and the Role it needs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use release_core::ServiceName;
use release_image::{Endpoint, Engine};
use release_manifest::{ImageSource, LOCAL, Object};
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
    let mut findings = Vec::new();
    // Without a project somebody is about to write one, and most have Dockerfiles.
    let mut builds = true;
    if args.config.exists() || words.env.is_some() {
        match Workspace::load(args) {
            Ok(workspace) => {
                let sound = good("project", format!("{} is sound", args.config.display()));
                match dockerfiles(&workspace, words.env.as_deref()) {
                    Ok(built) => {
                        builds = !built.is_empty();
                        findings.push(sound);
                        findings.extend(built.into_iter().filter_map(missing));
                    }
                    // What is wrong with an environment is found below.
                    Err(_) if words.env.is_some() => findings.push(sound),
                    Err(failure) => findings.push(bad("project", &failure)),
                }
                if let Some(env) = &words.env {
                    cluster(args, words, &workspace, env, &mut findings).await;
                }
            }
            Err(failure) => findings.push(bad("project", &failure)),
        }
    }
    // `local` builds without an engine.
    if builds && words.env.as_deref() != Some(LOCAL) {
        findings.insert(0, engine().await);
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

/// The services that are built by an engine, with where their Dockerfiles should be.
fn dockerfiles(workspace: &Workspace, env: Option<&str>) -> Result<Vec<(ServiceName, PathBuf)>, Failure> {
    let sources: BTreeMap<_, _> = match env {
        Some(env) => {
            let services = workspace.project.environment(env)?.services;
            services.into_iter().map(|(name, service)| (name, service.image)).collect()
        }
        None => workspace.project.images()?.services,
    };
    let built = sources.into_iter().filter_map(|(name, source)| match source {
        ImageSource::Dockerfile(build) => Some((name, workspace.root.join(build.dockerfile))),
        ImageSource::Native(_) | ImageSource::Pinned(_) => None,
    });
    Ok(built.collect())
}

/// That a Dockerfile is not there.
fn missing((service, path): (ServiceName, PathBuf)) -> Option<Finding> {
    (!path.is_file()).then(|| Finding {
        what: "project",
        good: false,
        text: format!("service `{service}` is built from {}, which is not there", path.display()),
        hint: Some("write it, or name another one: `image: {dockerfile: PATH}`".to_owned()),
    })
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
