//! The target of a command: from words to a connected, identified cluster, real or simulated.

use release_cluster::{Clock, Cluster, Store};
use release_core::{EnvironmentName, ProjectName};
use release_manifest::{Environment, LOCAL};
use release_pipeline::{Expect, Found, TargetError, find_target};
use release_rehearsal::local::{Local, Visit};

use crate::args::{self, Args};
use crate::error::Failure;
use crate::local::{self, Turn};
use crate::talk::Talk;
use crate::workspace::{Workspace, access};

/// A connected cluster, and what it remembers.
pub(crate) struct Target {
    pub(crate) cluster: Cluster,
    pub(crate) store: Store,
    pub(crate) found: Found,
    pub(crate) project: ProjectName,
    pub(crate) environment: EnvironmentName,
}

/// Where a command works.
pub(crate) enum Place {
    /// In a cluster it is connected to.
    Cluster(Box<Target>),
    /// In the simulated cluster of this machine, which lives only while it is visited.
    Local(Box<Here>),
}

/// The environment `local` of a project.
pub(crate) struct Here {
    pub(crate) local: Local,
    project: ProjectName,
    name: EnvironmentName,
    environment: Option<Environment>,
    namespace: String,
}

/// The place of commands that work without a checkout and change nothing: the project file is used when it is there.
pub(crate) async fn find(args: &Args, words: &args::Recorded) -> Result<Place, Failure> {
    find_in_turn(args, words, Turn::Look).await
}

/// As [`find`], for commands that may have to wait for another one that works in `local`.
pub(crate) async fn find_in_turn(args: &Args, words: &args::Recorded, turn: Turn) -> Result<Place, Failure> {
    let place = &words.environment;
    if let Some(project) = &words.project {
        let project = parse::<ProjectName>(project)?;
        let environment = parse::<EnvironmentName>(&place.env)?;
        return Place::of(None, project, environment, place, turn).await;
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
    Place::of(Some(&environment), project, name, place, turn).await
}

impl Place {
    /// Connects to the cluster of an environment, or takes what is kept of `local`, in its turn.
    pub(crate) async fn of(
        environment: Option<&Environment>,
        project: ProjectName,
        name: EnvironmentName,
        words: &args::Environment,
        turn: Turn,
    ) -> Result<Self, Failure> {
        let namespace =
            words.namespace.clone().or_else(|| environment.map(|environment| environment.namespace.clone()));
        if name.as_str() == LOCAL {
            if let Some(context) = &words.context {
                return Err(Failure::Usage {
                    message: format!("the environment `local` has no context such as `{context}`"),
                    hint: Some("it is simulated on this machine: leave --context out".to_owned()),
                });
            }
            let namespace = namespace.unwrap_or_else(|| project.to_string());
            let local = local::open(&project, turn).await?;
            let environment = environment.cloned();
            return Ok(Self::Local(Box::new(Here { local, project, name, environment, namespace })));
        }
        let (access, expect) = access(environment, words)?;
        let namespace = namespace.ok_or_else(|| Failure::Usage {
            message: "no namespace is named".to_owned(),
            hint: Some("give -n NAMESPACE".to_owned()),
        })?;
        let cluster =
            Cluster::connect(&access, &namespace, Clock::system()).await.map_err(TargetError::from)?;
        Ok(Self::Cluster(Box::new(Target::identify(&cluster, project, name, &expect).await?)))
    }

    /// The environment `local` of a project, with what is kept of it.
    pub(crate) fn kept_in(local: Local, environment: &Environment) -> Self {
        Self::Local(Box::new(Here {
            local,
            project: environment.project.clone(),
            name: environment.name.clone(),
            namespace: environment.namespace.clone(),
            environment: Some(environment.clone()),
        }))
    }

    /// What is kept of `local`, if it is that.
    pub(crate) fn local(&self) -> Option<&Local> {
        match self {
            Self::Cluster(_) => None,
            Self::Local(here) => Some(&here.local),
        }
    }

    /// Works there; what is told meanwhile gets the cluster's time.
    pub(crate) async fn visit<T: Send>(
        &self,
        talk: Option<&Talk>,
        work: impl AsyncFnOnce(&Target) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        match self {
            Self::Cluster(target) => work(target).await,
            Self::Local(here) => here.visit(talk, work),
        }
    }
}

impl Here {
    fn visit<T: Send>(
        &self,
        talk: Option<&Talk>,
        work: impl AsyncFnOnce(&Target) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let visit: Visit = local::visit(&self.local, self.environment.as_ref(), self.namespace.clone())?;
        let follow = |clock| {
            if let Some(talk) = talk {
                talk.follow(clock);
            }
        };
        let (project, name) = (self.project.clone(), self.name.clone());
        self.local.visit(&visit, async move |cluster| {
            follow(Some(cluster.clock().clone()));
            let done = match Target::identify(cluster, project, name, &Expect::default()).await {
                Ok(target) => work(&target).await,
                Err(failure) => Err(failure),
            };
            follow(None);
            done
        })?
    }
}

fn parse<T: std::str::FromStr<Err = release_core::NameError>>(word: &str) -> Result<T, Failure> {
    word.parse()
        .map_err(|error: release_core::NameError| Failure::Usage { message: error.to_string(), hint: None })
}

impl Target {
    async fn identify(
        cluster: &Cluster,
        project: ProjectName,
        environment: EnvironmentName,
        expect: &Expect,
    ) -> Result<Self, Failure> {
        let store = Store::new(cluster, &project, &environment);
        let found = find_target(cluster, &store, expect).await?;
        Ok(Self { cluster: cluster.clone(), store, found, project, environment })
    }

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
