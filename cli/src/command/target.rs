//! The target of a command: from words to a connected, identified cluster.

use release_cluster::{Clock, Cluster, Store};
use release_core::{EnvironmentName, ProjectName};
use release_manifest::Environment;
use release_pipeline::{Found, TargetError, find_target};

use crate::args::{self, Args};
use crate::error::Failure;
use crate::workspace::{Workspace, access};

/// A connected cluster, and what it remembers.
pub(crate) struct Target {
    pub(crate) cluster: Cluster,
    pub(crate) store: Store,
    pub(crate) found: Found,
    pub(crate) project: ProjectName,
    pub(crate) environment: EnvironmentName,
}

/// Connects for commands that work without a checkout: the project file is used when it is there.
pub(crate) async fn connect(args: &Args, words: &args::Recorded) -> Result<Target, Failure> {
    let place = &words.environment;
    if let Some(project) = &words.project {
        let project = parse::<ProjectName>(project)?;
        let environment = parse::<EnvironmentName>(&place.env)?;
        return open(None, project, environment, place).await;
    }
    if !args.config.exists() {
        return Err(Failure::Usage {
            message: format!("there is no {}", args.config.display()),
            hint: Some(
                "give --config, or --project with --env, -n and --context to work from the cluster's record"
                    .to_owned(),
            ),
        });
    }
    let workspace = Workspace::load(args)?;
    let environment = workspace.environment(&place.env, true)?;
    let (project, name) = (environment.project.clone(), environment.name.clone());
    open(Some(&environment), project, name, place).await
}

/// Connects to the cluster of an environment.
pub(crate) async fn open(
    environment: Option<&Environment>,
    project: ProjectName,
    name: EnvironmentName,
    words: &args::Environment,
) -> Result<Target, Failure> {
    let (access, expect) = access(environment, words)?;
    let namespace =
        words.namespace.clone().or_else(|| environment.map(|environment| environment.namespace.clone()));
    let namespace = namespace.ok_or_else(|| Failure::Usage {
        message: "no namespace is named".to_owned(),
        hint: Some("give -n NAMESPACE".to_owned()),
    })?;
    let cluster = Cluster::connect(&access, &namespace, Clock::system()).await.map_err(TargetError::from)?;
    let store = Store::new(&cluster, &project, &name);
    let found = find_target(&cluster, &store, &expect).await?;
    Ok(Target { cluster, store, found, project, environment: name })
}

fn parse<T: std::str::FromStr<Err = release_core::NameError>>(word: &str) -> Result<T, Failure> {
    word.parse()
        .map_err(|error: release_core::NameError| Failure::Usage { message: error.to_string(), hint: None })
}

impl Target {
    /// Refuses to go on when rights that every release needs are missing: before anything is written.
    pub(crate) async fn require_rights(&self) -> Result<(), Failure> {
        let missing = self.cluster.missing_rights().await?;
        let missing: Vec<_> =
            missing.into_iter().filter(|missing| missing.always).map(|missing| missing.right).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::Rights { namespace: self.cluster.namespace().to_owned(), missing })
    }
}
