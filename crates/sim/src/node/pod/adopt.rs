//! A kubelet that starts and finds a pod of its node running already: it goes on from what the pod's status says.

use serde_json::Value;

use super::{Around, Pod, Stage};
use crate::time::{self, Second};

impl Pod {
    /// Takes in a pod that another kubelet of this node had begun with; one that had not come to a network begins anew.
    pub(in crate::node) fn adopt(&mut self, around: &mut Around<'_>) {
        let object = std::sync::Arc::clone(&self.object);
        let Some(ip) = object.pod_ip() else { return self.admit(around) };
        let status = &object["status"];
        self.ip = Some(around.addresses.claim(ip, &object.uid));
        if let Some(started) = status["startTime"].as_str().and_then(time::parse) {
            self.started = Second::of(started);
        }
        self.conditions.adopt(&status["conditions"]);
        self.stage = Stage::Working;
        self.next = None;
        for at in 0..self.containers.len() {
            let list =
                if self.containers[at].spec.init { "initContainerStatuses" } else { "containerStatuses" };
            let name = &*self.containers[at].spec.name;
            let mut all = status[list].as_array().into_iter().flatten();
            let seen = all.find(|seen| seen["name"] == name).cloned().unwrap_or(Value::Null);
            self.with_desk(around, |container, desk| container.adopt(&seen, desk), at);
        }
        if object.is_terminating() {
            return self.stop(around);
        }
        self.advance(around);
    }
}
