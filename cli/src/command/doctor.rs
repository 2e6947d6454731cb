//! `release doctor`: whether everything a release needs is there, and the Role it needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use release_core::{Repository, ServiceName};
use release_image::{Endpoint, Engine};
use release_manifest::{Environment, ImageSource, Images, LOCAL, Object, Supply};
use serde::Serialize;

use super::render::manifests;
use super::target::{Place, Target};
use crate::answer;
use crate::args::{self, Args, Doctor};
use crate::error::Failure;
use crate::exit::Exit;
use crate::local::Turn;
use crate::workspace::Workspace;

mod files;
mod registries;

/// The answer.
#[derive(Serialize)]
struct Answer {
    v: u32,
    good: bool,
    findings: Vec<Finding>,
}

/// What was looked at: a line a thing.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    good: bool,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// How long an engine or a cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a project needs, or one of its environments.
struct Wanted {
    root: PathBuf,
    registry: Option<Repository>,
    supply: Supply,
    services: BTreeMap<ServiceName, ImageSource>,
    environment: Option<Environment>,
}

impl Wanted {
    fn of(workspace: Workspace, env: Option<&str>, quiet: bool) -> Result<Self, Failure> {
        let Some(env) = env else {
            let Images { registry, supply, services, .. } = workspace.project.images()?;
            return Ok(Self { root: workspace.root, registry, supply, services, environment: None });
        };
        let environment = workspace.environment(env, quiet)?;
        let services = environment.services.iter();
        Ok(Self {
            services: services.map(|(name, service)| (name.clone(), service.image.clone())).collect(),
            root: workspace.root,
            registry: environment.registry.clone(),
            supply: environment.supply.clone(),
            environment: Some(environment),
        })
    }

    fn is_local(&self) -> bool {
        self.environment.as_ref().is_some_and(Environment::is_local)
    }

    /// Whether an engine is needed. `local` builds without one.
    fn needs_engine(&self) -> bool {
        let dockerfile = |source: &ImageSource| matches!(source, ImageSource::Dockerfile(_));
        !self.is_local() && self.services.values().any(dockerfile)
    }
}

pub(crate) async fn run(args: &Args, words: &Doctor) -> Result<Exit, Failure> {
    if let Some(account) = &words.rbac {
        return role(args, words, account);
    }
    let (wanted, mut found) = project(args, words.env.as_deref());
    let engine = async {
        // Without a project somebody is about to write one, and most have Dockerfiles.
        let needed = wanted.as_ref().map_or(words.env.as_deref() != Some(LOCAL), Wanted::needs_engine);
        if needed { Some(engine().await) } else { None }
    };
    let registries = async {
        match &wanted {
            Some(wanted) if !wanted.is_local() => registries::look(wanted).await,
            _ => Vec::new(),
        }
    };
    let cluster = async {
        match wanted.as_ref().and_then(|wanted| wanted.environment.as_ref()) {
            Some(environment) => cluster(words, environment).await,
            None => Vec::new(),
        }
    };
    // One that hangs costs its own time only.
    let (engine, registries, cluster) = tokio::join!(engine, registries, cluster);
    let mut findings: Vec<Finding> = engine.into_iter().collect();
    findings.append(&mut found);
    findings.extend(registries);
    findings.extend(cluster);
    let good = findings.iter().all(|finding| finding.good);
    let found = Answer { v: 1, good, findings };
    answer::print(args.output, &found, || text(&found.findings))?;
    if good {
        Ok(Exit::Done)
    } else {
        Err(Failure::Check { message: "something a release needs is missing: see `bad` above".to_owned() })
    }
}

/// What the project file says, and what there is to say of it and of the files it names. Without a file, and without an
/// environment that would need one, it is nothing.
fn project(args: &Args, env: Option<&str>) -> (Option<Wanted>, Vec<Finding>) {
    if !args.config.exists() && env.is_none() {
        return (None, Vec::new());
    }
    let workspace = match Workspace::load(args) {
        Ok(workspace) => workspace,
        Err(failure) => return (None, vec![bad("project", &failure)]),
    };
    let what = if env.is_some() { "environment" } else { "project" };
    match Wanted::of(workspace, env, args.quiet) {
        Ok(wanted) => {
            let mut found = vec![good("project", format!("{} is sound", args.config.display()))];
            found.extend(files::images(&wanted));
            if !wanted.is_local() {
                found.extend(files::keys(&wanted));
            }
            (Some(wanted), found)
        }
        Err(failure) => (None, vec![bad(what, &failure)]),
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

/// That nothing came.
fn silent(what: &'static str, who: &str, after: Duration) -> Finding {
    Finding {
        what,
        good: false,
        text: format!("{who} did not answer within {} s", after.as_secs()),
        hint: Some("is it up, and is the network (VPN, proxy) open?".to_owned()),
    }
}

async fn engine() -> Finding {
    let connecting = async {
        match Endpoint::from_env() {
            Ok(endpoint) => Engine::connect(&endpoint).await,
            Err(error) => Err(error),
        }
    };
    let Ok(connected) = tokio::time::timeout(PATIENCE, connecting).await else {
        return silent("docker", "the Docker Engine", PATIENCE);
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

async fn cluster(words: &Doctor, environment: &Environment) -> Vec<Finding> {
    let asked = args::Environment {
        env: environment.name.to_string(),
        namespace: words.namespace.clone(),
        context: None,
    };
    let (project, name) = (environment.project.clone(), environment.name.clone());
    let looking = async {
        let place = Place::of(Some(environment), project, name, &asked, Turn::Look).await?;
        place.visit(None, async |target| Ok(look(target).await)).await
    };
    let looked = if environment.is_local() {
        // It says itself what it waits for.
        Ok(looking.await)
    } else {
        tokio::time::timeout(PATIENCE, looking).await
    };
    match looked {
        Ok(Ok(found)) => found,
        Ok(Err(failure)) => vec![bad("cluster", &failure)],
        Err(_) => vec![silent("cluster", "the cluster", PATIENCE)],
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
            let (missing, optional) = (list(&always), list(&sometimes));
            let optional = (!sometimes.is_empty())
                .then(|| format!("not allowed, and only needed by some features: {optional}"));
            let mut finding = if always.is_empty() {
                good("rights", String::new())
            } else {
                let namespace = target.cluster.namespace().to_owned();
                bad("rights", &Failure::Rights { namespace, missing: vec![missing] })
            };
            let said = Some(finding.text).filter(|text| !text.is_empty());
            finding.text = said.into_iter().chain(optional).collect::<Vec<_>>().join("; ");
            findings.push(finding);
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
