//! `release deploy`: prepare, plan, roll out, verify, record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use release_cluster::Conflicts;
use release_core::{ObjectRef, Repository, ServiceName, Status};
use release_manifest::{Environment, Gate, ImageSource, LABEL_PART_OF, Need};
use release_pipeline::{
    DesireError, Desired, Event, Files, ImageLock, Images, Options, Policy, Preparation, Prepared, Until,
    deploy, desire,
};
use release_rehearsal::leave_urls_out;
use release_rehearsal::local::Local;

use super::images::{base_cache, build_records, image_cache, prepare, source_date_epoch};
use super::render::placeholder;
use super::supply::{attest, enforce, policy};
use super::target::{Place, Target};
use crate::answer;
use crate::args::{Args, Deploy, Format, Run};
use crate::command::finish;
use crate::error::Failure;
use crate::exit::Exit;
use crate::local::{self, Turn, command, scripts};
use crate::signal::Stop;
use crate::talk::Talk;
use crate::workspace::{
    Workspace, actor, built, cargo_target, check_lock, git_revision, image_lock, lock_suffices, named,
    source_revisions,
};

pub(crate) async fn run(args: &Args, words: &Deploy, talk: &Talk, stop: &Stop) -> Result<Exit, Failure> {
    let deployment = Deployment::read(args, words)?;
    let place = stop.or(deployment.place()).await?;
    deployment.tune_local(&place)?;
    let planned = deployment.carry_out(&place, talk, stop, &|_| Ok(())).await;
    talk.finish();
    match planned? {
        Done::Released => finish::answer(args, &talk.report(), stop),
        Done::Previewed { nothing: false } => Err(deployment.gate(true)),
        Done::Previewed { nothing: true } => {
            if args.output == Format::Text {
                answer::emit("nothing to do: what runs is what the project says; nothing was written\n")?;
            }
            Ok(Exit::Done)
        }
    }
}

/// A deploy as it was asked for.
pub(crate) struct Deployment<'a> {
    args: &'a Args,
    words: &'a Deploy,
    workspace: Workspace,
    environment: Environment,
    /// The services that are released; empty: all of them.
    only: BTreeSet<ServiceName>,
    lock: Option<ImageLock>,
    version: Option<String>,
    /// The gate is closed: everything is looked at and nothing written.
    closed: bool,
    /// Where images without a Dockerfile are put together.
    images: Images,
    /// What builds write down for later ones.
    records: PathBuf,
    /// Who has to have signed images.
    policy: Option<Policy>,
}

/// How far a deploy went.
pub(crate) enum Done {
    /// The events say how.
    Released,
    /// The gate is closed; the events say what would be done.
    Previewed { nothing: bool },
}

impl<'a> Deployment<'a> {
    /// Reads the project and checks the words against it. Nothing is contacted.
    pub(crate) fn read(args: &'a Args, words: &'a Deploy) -> Result<Self, Failure> {
        let workspace = Workspace::load(args)?;
        let mut environment = workspace.environment(&words.environment.env, args.quiet)?;
        if let Some(namespace) = &words.environment.namespace {
            environment.namespace.clone_from(namespace);
        }
        let known = environment.services.keys().cloned().collect();
        let only = named(&words.services, &known)?;
        let lock = words.images.as_deref().map(image_lock).transpose()?;
        if let Some(lock) = &lock {
            check_lock(lock, &known)?;
            lock_suffices(lock, built(&environment, &only))?;
        }
        let closed = environment.gate == Gate::Manual && !words.approve;
        let version = words.version.version.clone().or_else(|| git_revision(&workspace.root));
        let (images, records) = (image_cache(&environment.project), build_records(&environment.project));
        // What is simulated here comes from a registry of its own, where nobody signs.
        let signed = environment.signed.as_ref().filter(|_| !environment.is_local());
        let policy = signed.map(|signed| policy(&workspace.root, signed)).transpose()?;
        let deployment = Self {
            args,
            words,
            workspace,
            environment,
            only,
            lock,
            version,
            closed,
            images,
            records,
            policy,
        };
        if closed && deployment.lock.is_none() && deployment.builds_something() {
            // Building ends with a push, which is a write.
            return Err(deployment.gate(false));
        }
        Ok(deployment)
    }

    /// The cluster it goes to.
    pub(crate) async fn place(&self) -> Result<Place, Failure> {
        let (project, name) = (self.environment.project.clone(), self.environment.name.clone());
        let turn = Turn::Wait(self.words.run.lock_timeout);
        Place::of(Some(&self.environment), project, name, &self.words.environment, turn).await
    }

    /// The environment `local`, kept in this folder instead of the user's.
    pub(crate) fn place_in(&self, folder: &Path) -> Result<Place, Failure> {
        Ok(Place::kept_in(Local::open(folder, &command())?, &self.environment))
    }

    /// Builds in this folder instead of the user's cache, and for this registry instead of the environment's.
    pub(crate) fn building_in(mut self, folder: &Path, registry: Repository) -> Self {
        self.environment.registry = Some(registry);
        Self { images: Images::Cache(folder.join("images")), records: folder.join("builds"), ..self }
    }

    /// What only `local` has: starting over, and scripts of applications.
    fn tune_local(&self, place: &Place) -> Result<(), Failure> {
        let Deploy { reset, apps, .. } = self.words;
        let Some(local) = place.local() else {
            let word = if *reset { "--reset" } else { "--apps" };
            return if *reset || apps.is_some() {
                Err(Failure::Usage {
                    message: format!("{word} is for the environment `local`, which is simulated"),
                    hint: Some("leave it out; nothing was changed".to_owned()),
                })
            } else {
                Ok(())
            };
        };
        let text = apps.as_deref().map(|path| {
            let text = std::fs::read_to_string(path).map_err(|source| Failure::File {
                verb: "read",
                path: format!("the scripts {}", path.display()),
                hint: None,
                source,
            })?;
            scripts(&text, &path.display().to_string())?;
            Ok::<_, Failure>(text)
        });
        let text = text.transpose()?;
        if *reset {
            local.reset()?;
        }
        match text {
            Some(text) => local.keep_scripts(&text)?,
            None if !self.args.quiet && local.scripts()?.is_some_and(|kept| kept.trim() != "{}") => {
                answer::say(
                    "note: the scripts of an earlier --apps still say what images do; --apps with a file that says `{}` ends that",
                );
            }
            None => {}
        }
        Ok(())
    }

    /// Prepares, plans, rolls out, verifies, records. `prepared` hears of the images before anything is released.
    pub(crate) async fn carry_out(
        &self,
        place: &Place,
        talk: &Talk,
        stop: &Stop,
        prepared: &(dyn Fn(&Prepared) -> Result<(), Failure> + Sync),
    ) -> Result<Done, Failure> {
        // The cluster is looked at before anything is built: a wrong context should cost seconds.
        let look = async |target: &Target| {
            target.require_rights().await?;
            // Projects share no simulated cluster.
            if !self.environment.is_local() {
                self.check_needs(target).await?;
            }
            talk.tell(started("deploy", target, self.version.clone()));
            Ok(())
        };
        stop.or(place.visit(Some(talk), look)).await?;
        let images = self.images(place, talk, stop).await?;
        if let Some(policy) = &self.policy {
            stop.or(enforce(policy, &images.pinned, talk)).await?;
        }
        prepared(&images)?;
        let mut desired =
            desire(&self.environment, &images.pinned, &self.files()?, &self.only).map_err(render_failure)?;
        if self.environment.is_local() {
            for note in leave_urls_out(&mut desired).iter().filter(|_| !self.args.quiet) {
                answer::say(&format!("note: {note}"));
            }
        }
        place.visit(Some(talk), async |target| self.release(target, desired, talk, stop).await).await
    }

    async fn images(&self, place: &Place, talk: &Talk, stop: &Stop) -> Result<Prepared, Failure> {
        let given = self.lock.as_ref().map(|lock| &lock.0);
        let wanted: BTreeMap<_, _> = self
            .environment
            .services
            .iter()
            .filter(|(name, _)| self.only.is_empty() || self.only.contains(*name))
            .map(|(name, service)| {
                // An image the lock names, in place of what the project says.
                let given = given.and_then(|images| images.get(name)).cloned().map(ImageSource::Pinned);
                (name.clone(), given.unwrap_or_else(|| service.image.clone()))
            })
            .collect();
        let root = &self.workspace.root;
        let signs = !self.environment.is_local() && wanted.values().any(ImageSource::is_built);
        let preparation = Preparation {
            root,
            project: &self.environment.project,
            registry: self.environment.registry.clone(),
            revisions: source_revisions(root, &wanted),
            cargo_target: cargo_target(root, &wanted),
            services: wanted,
            version: self.version.clone(),
            images: self.images.clone(),
            bases: base_cache(),
            records: self.records.clone(),
            no_cache: self.words.no_cache,
            created: source_date_epoch()?,
            attest: if signs { attest(root, &self.environment.supply)? } else { None },
        };
        // What cannot be rendered is told before anything is built.
        let stand_ins = self.environment.services.iter();
        let stand_ins = stand_ins
            .map(|(name, service)| {
                Ok((name.clone(), placeholder(service, self.environment.registry.as_ref())?))
            })
            .collect::<Result<_, Failure>>()?;
        desire(&self.environment, &stand_ins, &self.files()?, &self.only).map_err(render_failure)?;
        match place.local() {
            Some(local) => local::images(local, preparation, talk, stop, self.args.quiet).await,
            None => prepare(&preparation, Until::Pushed, talk, stop).await,
        }
    }

    /// The contents of the services' config folders.
    fn files(&self) -> Result<Files, Failure> {
        let services = self.environment.services.iter();
        services.map(|(name, service)| Ok((name.clone(), self.workspace.files(service)?))).collect()
    }

    async fn release(
        &self,
        target: &Target,
        desired: Desired,
        talk: &Talk,
        stop: &Stop,
    ) -> Result<Done, Failure> {
        let options = options(target, &self.words.run, self.version.clone(), self.only.clone(), talk);
        let Target { cluster, store, found, .. } = target;
        if self.closed {
            let planned = release_pipeline::preview(cluster, store, found, &options, desired).await?;
            let nothing = planned.changes.is_empty();
            talk.tell(Event::Planned {
                release: planned.number,
                changes: planned.changes,
                unchanged: planned.unchanged,
                baseline: planned.baseline,
            });
            return Ok(Done::Previewed { nothing });
        }
        let mut tell = |event| talk.tell(event);
        deploy(cluster, store, found, &options, desired, &mut tell, stop.token()).await?;
        Ok(Done::Released)
    }

    fn builds_something(&self) -> bool {
        built(&self.environment, &self.only).next().is_some()
    }

    /// The refusal at the closed gate.
    fn gate(&self, planned: bool) -> Failure {
        Failure::Gate { environment: self.environment.name.to_string(), planned }
    }

    /// Services of other projects must be healthy first; they are not released together.
    async fn check_needs(&self, target: &Target) -> Result<(), Failure> {
        let services = self.environment.services.iter();
        let services = services.filter(|(name, _)| self.only.is_empty() || self.only.contains(*name));
        for need in services.flat_map(|(_, service)| &service.needs) {
            let Need::Other { project, service } = need else { continue };
            let object =
                ObjectRef::new("apps/v1", "Deployment", target.cluster.namespace(), service.as_str());
            let labels = format!("{LABEL_PART_OF}={project}");
            let seen = target.cluster.survey(&labels, &[(object, Vec::new())]).await?;
            let unwell = seen.into_iter().find(|seen| seen.assessment.status != Status::Ready);
            if let Some(release_core::Assessment { readiness, cause, .. }) =
                unwell.map(|seen| seen.assessment)
            {
                let why = cause.map_or_else(
                    || format!("{} of {} pods are ready", readiness.ready, readiness.desired),
                    |cause| cause.summary,
                );
                return Err(Failure::Need { needed: format!("{project}/{service}"), why });
            }
        }
        Ok(())
    }
}

fn render_failure(error: DesireError) -> Failure {
    match error {
        DesireError::Render { service, source } => Failure::Render { service: service.to_string(), source },
        error @ DesireError::NoImage { .. } => Failure::Usage { message: error.to_string(), hint: None },
    }
}

/// The event with which a run begins.
pub(crate) fn started(command: &str, target: &Target, version: Option<String>) -> Event {
    Event::Started {
        command: command.to_owned(),
        project: target.project.to_string(),
        environment: target.environment.to_string(),
        context: target.cluster.context().to_owned(),
        namespace: target.cluster.namespace().to_owned(),
        version,
        actor: Some(actor()),
    }
}

/// What applies to a run, from words and surroundings.
pub(crate) fn options(
    target: &Target,
    words: &Run,
    version: Option<String>,
    only: BTreeSet<ServiceName>,
    talk: &Talk,
) -> Options {
    let actor = actor();
    Options {
        project: target.project.clone(),
        environment: target.environment.clone(),
        version,
        holder: format!(
            "{actor} ({}, process {}, since {:.3})",
            command(),
            std::process::id(),
            target.cluster.clock().wall()
        ),
        actor,
        lock_timeout: words.lock_timeout,
        conflicts: if words.force_conflicts { Conflicts::Force } else { Conflicts::Refuse },
        only,
        tape: talk.tape(),
    }
}
