//! Whose turn it is: a controller is not called while nothing it watches has changed and nothing is due for it.
//!
//! That is only a short cut: called all the same, it would look, find nothing and write nothing.

use jiff::Timestamp;

use super::cursor::Cursor;
use crate::actor::Actor;
use crate::resource::Resources;
use crate::server::ApiServer;
use crate::store::Store;
use crate::time::earlier;

/// A controller that says what it has to be called for.
pub(crate) trait Watcher: Actor {
    /// What it reads the changes of. Changes of everything else do not move it.
    fn watched(&self) -> Resources;

    /// Where it is in history.
    fn cursor(&mut self) -> &mut Cursor;
}

/// What is known of one controller.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// What was written to since it was called; it has not seen that.
    unseen: Resources,
    /// When it wants to be called although nothing changes.
    next: Option<Timestamp>,
}

/// The turns of `N` controllers.
#[derive(Debug, Clone)]
pub(super) struct Turns<const N: usize> {
    all: [Turn; N],
    /// What was written up to here is in `unseen` of everybody.
    followed: u64,
}

impl<const N: usize> Default for Turns<N> {
    fn default() -> Self {
        Self { all: [Turn { unseen: Resources::ALL, next: None }; N], followed: 0 }
    }
}

impl<const N: usize> Turns<N> {
    /// Everybody acts in order who has a reason to; says when the first one has another.
    pub(super) fn take(
        &mut self,
        controllers: [&mut dyn Watcher; N],
        server: &mut ApiServer,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut first: Option<Timestamp> = None;
        for (at, controller) in controllers.into_iter().enumerate() {
            self.follow(server.store());
            let turn = &mut self.all[at];
            let is_due = turn.next.is_some_and(|next| next <= now);
            if is_due || turn.unseen.meets(controller.watched()) {
                turn.unseen = Resources::default();
                turn.next = controller.act(server, now);
            } else {
                controller.cursor().pass_over(server.store());
            }
            first = earlier(first, turn.next);
        }
        first
    }

    fn follow(&mut self, store: &Store) {
        if store.revision() == self.followed {
            return;
        }
        let touched = store.touched(self.followed);
        self.followed = store.revision();
        for turn in &mut self.all {
            turn.unseen = turn.unseen.and(touched);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use crate::actor::Actor;
    use crate::controllers::{Controllers, all};
    use crate::resource::{
        CRON_JOBS, DEPLOYMENTS, JOBS, NAMESPACES, NODES, PODS, RESOURCE_QUOTAS, Resource, SERVICES,
    };
    use crate::server::{ApiServer, By, DeleteOptions, Seed};

    use super::*;

    /// What somebody does.
    #[derive(Debug, Clone)]
    enum Act {
        Deploy(u8),
        Scale(u8, u8),
        Make(&'static Resource),
        Delete(&'static Resource, u8),
        /// The pod of this number becomes ready, or is not any more, or ends.
        Pod(u8, u8),
        Wait(u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        let made =
            prop::sample::select(vec![&SERVICES, &JOBS, &CRON_JOBS, &NODES, &RESOURCE_QUOTAS, &NAMESPACES]);
        let deleted =
            prop::sample::select(vec![&DEPLOYMENTS, &SERVICES, &PODS, &NODES, &NAMESPACES, &RESOURCE_QUOTAS]);
        prop_oneof![
            2 => (0..3_u8).prop_map(Act::Deploy),
            2 => (0..3_u8, 0..4_u8).prop_map(|(of, size)| Act::Scale(of, size)),
            3 => made.prop_map(Act::Make),
            2 => (deleted, 0..4_u8).prop_map(|(resource, of)| Act::Delete(resource, of)),
            6 => (0..6_u8, 0..3_u8).prop_map(|(of, what)| Act::Pod(of, what)),
            3 => prop::sample::select(vec![1_u64, 10, 61, 400, 4000]).prop_map(Act::Wait),
        ]
    }

    fn perform(server: &mut ApiServer, now: Timestamp, act: &Act) {
        let by = By::nobody();
        let pods = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"restartPolicy": "Never",
            "containers": [{"name": "a", "image": "a:1"}]}});
        // What is refused, is refused in both clusters.
        let _ = match act {
            Act::Deploy(of) => {
                let body = json!({"metadata": {"name": format!("d{of}")}, "spec": {"replicas": 2,
                    "selector": {"matchLabels": {"app": "a"}},
                    "template": {"metadata": {"labels": {"app": "a"}}, "spec": {
                        "containers": [{"name": "a", "image": "a:1"}]}}}});
                server.create(now, &DEPLOYMENTS, "default", body, &by)
            }
            Act::Scale(of, size) => {
                let change = |body: &mut serde_json::Value| body["spec"]["replicas"] = json!(size);
                server.edit(now, &DEPLOYMENTS, "default", &format!("d{of}"), &by, change)
            }
            Act::Make(resource) => {
                let namespace = if **resource == NODES || **resource == NAMESPACES { "" } else { "default" };
                let spec = match () {
                    () if **resource == SERVICES => {
                        json!({"selector": {"app": "a"}, "ports": [{"port": 80}]})
                    }
                    () if **resource == JOBS => json!({"template": pods}),
                    () if **resource == CRON_JOBS => {
                        json!({"schedule": "*/2 * * * *", "jobTemplate": {"spec": {"template": pods}}})
                    }
                    () if **resource == RESOURCE_QUOTAS => json!({"hard": {"pods": "9"}}),
                    () => json!({}),
                };
                let body = json!({"metadata": {"name": "one"}, "spec": spec});
                let made = server.create(now, resource, namespace, body, &by);
                let room = json!({"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "20"}});
                let _ = server.update_status(now, &NODES, "", "one", room, &by);
                made
            }
            Act::Delete(resource, of) => {
                let all: Vec<_> = server.store().list(resource, None).cloned().collect();
                let Some(object) = all.get(usize::from(*of)) else { return };
                let (namespace, name) = (object.namespace(), object.name());
                server.delete(now, resource, namespace, name, &DeleteOptions::default(), &by)
            }
            Act::Pod(of, what) => {
                let all: Vec<_> = server.store().list(&PODS, None).cloned().collect();
                let Some(pod) = all.get(usize::from(*of)) else { return };
                let ready = if *what == 0 { "True" } else { "False" };
                let phase = if *what == 2 { "Succeeded" } else { "Running" };
                let status = json!({"phase": phase, "podIP": "10.0.0.1",
                    "conditions": [{"type": "Ready", "status": ready}]});
                server.update_status(now, &PODS, pod.namespace(), pod.name(), status, &by)
            }
            Act::Wait(_) => return,
        };
    }

    /// Everybody acts, whoever has a reason to or not.
    fn act_all(actors: &mut [Box<dyn Actor>], server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        loop {
            let before = server.store().revision();
            let next = actors.iter_mut().filter_map(|actor| actor.act(server, now)).min();
            if server.store().revision() == before {
                return next;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whoever is not called would have written nothing: both clusters write the same, and want to be called again at the
        /// same time.
        #[test]
        fn who_is_passed_over_has_nothing_to_do(acts in prop::collection::vec(act(), 1..40)) {
            let mut now = Timestamp::constant(1_767_225_600, 0);
            let (mut some, mut each) = (ApiServer::new(now, &Seed::default()), ApiServer::new(now, &Seed::default()));
            let (mut controllers, mut actors) = (Controllers::default(), all());
            for act in &acts {
                perform(&mut some, now, act);
                perform(&mut each, now, act);
                if let Act::Wait(seconds) = act {
                    now += Duration::from_secs(*seconds);
                }
                let seen = some.store().revision();
                let next = controllers.act(&mut some, now);
                prop_assert_eq!(next, act_all(&mut actors, &mut each, now));
                prop_assert_eq!(some.store().revision(), each.store().revision());
                let written = some.store().all_changes(seen).unwrap();
                for (one, other) in written.zip(each.store().all_changes(seen).unwrap()) {
                    prop_assert_eq!(one.object.to_value(), other.object.to_value());
                }
            }
        }
    }
}
