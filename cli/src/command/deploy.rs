//! `release deploy`: prepare, plan, roll out, verify, record.

use std::collections::{BTreeMap, BTreeSet};

use release_cluster::Conflicts;
use release_core::{ObjectRef, ServiceName, Status};
use release_manifest::{Environment, Gate, ImageSource, LABEL_PART_OF, Need};
use release_pipeline::{DesireError, Event, ImageLock, Options, Preparation, Until, deploy, desire};

use super::images::{image_cache, prepare, source_date_epoch};
use super::render::placeholder;
use super::target::{Target, open};
use crate::answer;
use crate::args::{Args, Deploy, Format, Run};
use crate::command::finish;
use crate::error::Failure;
use crate::exit::Exit;
use crate::signal::Stop;
use crate::talk::Talk;
use crate::workspace::{Workspace, actor, check_lock, git_revision, image_lock, named, source_revisions};

pub(crate) async fn run(args: &Args, words: &Deploy, talk: &Talk, stop: &Stop) -> Result<Exit, Failure> {
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
        nothing_to_build(lock, &environment, &only)?;
    }
    let closed = environment.gate == Gate::Manual && !words.approve;
    if closed && lock.is_none() && builds_something(&environment, &only) {
        // Building ends with a push, which is a write.
        return Err(Failure::Gate { environment: environment.name.to_string(), planned: false });
    }
    let version = words.version.version.clone().or_else(|| git_revision(&workspace.root));

    // The cluster is looked at before anything is built: a wrong context should cost seconds.
    let reaching = async {
        let (project, name) = (environment.project.clone(), environment.name.clone());
        let target = open(Some(&environment), project, name, &words.environment).await?;
        target.require_rights().await?;
        check_needs(&target, &environment, &only).await?;
        Ok(target)
    };
    let target = stop.or(reaching).await?;

    talk.tell(started("deploy", &target, version.clone()));
    let images = match lock {
        Some(lock) => lock.0,
        None => BTreeMap::new(),
    };
    let wanted: BTreeMap<_, _> = environment
        .services
        .iter()
        .filter(|(name, _)| only.is_empty() || only.contains(*name))
        .map(|(name, service)| (name.clone(), given(name, &images).unwrap_or_else(|| service.image.clone())))
        .collect();
    let preparation = Preparation {
        root: &workspace.root,
        project: &environment.project,
        registry: environment.registry.clone(),
        revisions: source_revisions(&workspace.root, &wanted),
        services: wanted,
        version: version.clone(),
        images: image_cache(&environment.project),
        created: source_date_epoch()?,
    };
    let files = environment
        .services
        .iter()
        .map(|(name, service)| Ok((name.clone(), workspace.files(service)?)))
        .collect::<Result<_, Failure>>()?;
    // What cannot be rendered is told before anything is built.
    let stand_ins = environment
        .services
        .iter()
        .map(|(name, service)| Ok((name.clone(), placeholder(service, environment.registry.as_ref())?)))
        .collect::<Result<_, Failure>>()?;
    desire(&environment, &stand_ins, &files, &only).map_err(render_failure)?;
    let prepared = prepare(&preparation, Until::Pushed, talk, stop).await?;
    let desired = desire(&environment, &prepared.pinned, &files, &only).map_err(render_failure)?;
    let options = options(&target, &words.run, version, only, talk);
    if closed {
        let planned =
            release_pipeline::preview(&target.cluster, &target.store, &target.found, &options, desired).await;
        let planned = planned?;
        let nothing = planned.changes.is_empty();
        talk.tell(Event::Planned {
            release: planned.number,
            changes: planned.changes,
            unchanged: planned.unchanged,
            baseline: planned.baseline,
        });
        talk.finish();
        if nothing {
            if args.output == Format::Text {
                answer::emit("nothing to do: what runs is what the project says; nothing was written\n")?;
            }
            return Ok(Exit::Done);
        }
        return Err(Failure::Gate { environment: environment.name.to_string(), planned: true });
    }
    let mut tell = |event| talk.tell(event);
    let done =
        deploy(&target.cluster, &target.store, &target.found, &options, desired, &mut tell, stop.token())
            .await;
    talk.finish();
    done?;
    finish::answer(args, &talk.report(), stop)
}

/// An image the lock names, in place of what the project says.
fn given(
    name: &ServiceName,
    images: &BTreeMap<ServiceName, release_core::PinnedImage>,
) -> Option<ImageSource> {
    images.get(name).cloned().map(ImageSource::Pinned)
}

fn builds_something(environment: &Environment, only: &BTreeSet<ServiceName>) -> bool {
    built(environment, only).next().is_some()
}

/// The services that are released and whose images are built.
fn built<'a>(
    environment: &'a Environment,
    only: &'a BTreeSet<ServiceName>,
) -> impl Iterator<Item = &'a ServiceName> {
    environment
        .services
        .iter()
        .filter(|(name, _)| only.is_empty() || only.contains(*name))
        .filter(|(_, service)| service.image.is_built())
        .map(|(name, _)| name)
}

/// With an image lock nothing is built: what was tested is what runs.
fn nothing_to_build(
    lock: &ImageLock,
    environment: &Environment,
    only: &BTreeSet<ServiceName>,
) -> Result<(), Failure> {
    match built(environment, only).find(|name| !lock.0.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(Failure::Usage {
            message: format!(
                "the image lock has no line for service `{name}`, and with --images nothing is built"
            ),
            hint: Some(format!("`release push {name}` prints the line; or name the services to release")),
        }),
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
            "{actor} (process {}, {:x})",
            std::process::id(),
            target.cluster.clock().wall().as_millisecond()
        ),
        actor,
        lock_timeout: words.lock_timeout,
        conflicts: if words.force_conflicts { Conflicts::Force } else { Conflicts::Refuse },
        only,
        tape: talk.tape(),
    }
}

/// Services of other projects must be healthy first; they are not released together.
async fn check_needs(
    target: &Target,
    environment: &Environment,
    only: &BTreeSet<ServiceName>,
) -> Result<(), Failure> {
    let services = environment.services.iter().filter(|(name, _)| only.is_empty() || only.contains(*name));
    for need in services.flat_map(|(_, service)| &service.needs) {
        let Need::Other { project, service } = need else { continue };
        let object = ObjectRef::new("apps/v1", "Deployment", target.cluster.namespace(), service.as_str());
        let labels = format!("{LABEL_PART_OF}={project}");
        let seen = target.cluster.survey(&labels, &[(object, Vec::new())]).await?;
        if let Some(seen) = seen.into_iter().find(|seen| seen.assessment.status != Status::Ready) {
            let why = seen.assessment.cause.map_or_else(
                || {
                    format!(
                        "{} of {} pods are ready",
                        seen.assessment.readiness.ready, seen.assessment.readiness.desired
                    )
                },
                |cause| cause.summary,
            );
            return Err(Failure::Need { needed: format!("{project}/{service}"), why });
        }
    }
    Ok(())
}
