//! Releases of every kind, for the tests that go through all of them.

use super::plans::{deployment, first, hasty, plan, port, web};
use super::script::{Look, Reply, Script, well};
use crate::ReleasePlan;

/// A release and its world.
pub(super) struct Story {
    pub(super) name: &'static str,
    pub(super) plan: ReleasePlan,
    pub(super) script: Script,
}

fn chain() -> ReleasePlan {
    plan(&[("api", &["db"]), ("db", &[]), ("web", &["api"])])
}

fn pair() -> ReleasePlan {
    plan(&[("api", &[]), ("web", &[])])
}

fn pruning() -> ReleasePlan {
    ReleasePlan { prune: vec![("web".parse().unwrap(), port("old"))], ..chain() }
}

fn crash() -> Script {
    well().look("new deployment/web", &[Look::Failed])
}

/// Stories in which every box has something to do.
pub(super) fn busy() -> Vec<Story> {
    let story = |name, plan, script| Story { name, plan, script };
    let lost = well().reply("apply new deployment/web", &[Reply::Unknown]);
    let workers = |web: &mut crate::RollingPlan| {
        web.apply.push(deployment("worker"));
        web.workloads.push(deployment("worker"));
    };
    vec![
        story("all is well", chain(), well()),
        story("side by side", pair(), well()),
        story("pruning", pruning(), well()),
        story("pruning is never answered", pruning(), well().reply("delete service/old", &[Reply::Never])),
        story("refused", web(|_| ()), well().reply("apply new deployment/web", &[Reply::Refuse])),
        story("lost, and found applied", web(|_| ()), lost.clone()),
        story(
            "lost, and found missing",
            web(|_| ()),
            well()
                .reply("apply new deployment/web", &[Reply::Unknown, Reply::Good])
                .reply("read new deployment/web", &[Reply::Not]),
        ),
        story("lost for ever", web(|_| ()), lost.reply("read new deployment/web", &[Reply::Unknown])),
        story("crash", chain(), crash()),
        story("crash of a first release", chain().with("web", first).with("db", first), crash()),
        story("crash beside others", pair(), crash()),
        story("never ready", web(workers), well().look("new deployment/worker", &[Look::SuspiciousPod])),
        story("bad check", chain(), well().reply("check web health", &[Reply::Bad])),
        story("no evidence", web(|_| ()), well().reply("check web health", &[Reply::NotEnough])),
        story(
            "crash in the soak",
            web(|_| ()),
            well().look("new deployment/web", &[Look::Ready, Look::Failed]),
        ),
        story(
            "unready in the soak",
            web(|_| ()),
            well().look("new deployment/web", &[Look::Ready, Look::Suspicious]),
        ),
        story(
            "captures are never answered",
            web(|_| ()),
            crash().reply("capture deployment/web", &[Reply::Never]),
        ),
        story(
            "restoring is refused",
            chain(),
            crash().reply("apply previous configmap/web", &[Reply::Refuse]),
        ),
        story(
            "removing is never certain",
            web(|_| ()),
            crash().reply("delete service/web", &[Reply::Unknown]),
        ),
        story("never ready again", chain(), crash().look("previous deployment/api", &[Look::Suspicious])),
        story("crash again", chain(), crash().look("previous deployment/web", &[Look::Failed])),
        story("abort while a write is under way", pair(), well().abort_at(1)),
        story("abort while becoming ready", web(|_| ()), well().abort_at(4)),
        story("abort in the soak", web(|_| ()), well().abort_at(12)),
        story("abort between two services", chain(), well().abort_at(40)),
    ]
}

/// Stories in which some boxes are passed in one step.
pub(super) fn idle() -> Vec<Story> {
    let story = |name, plan, script| Story { name, plan, script };
    vec![
        story("nothing is watched", web(hasty), well()),
        story("nothing at all", web(|web| *web = crate::RollingPlan::default()), well()),
        story("nothing to restore", chain().with("db", |db| *db = crate::RollingPlan::default()), crash()),
    ]
}
