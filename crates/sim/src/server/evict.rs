//! Evictions: deletions of pods that ask the budgets first.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::delete::check_preconditions;
use super::{ApiServer, By, DeleteOptions};
use crate::object::Object;
use crate::resource::{POD_DISRUPTION_BUDGETS, PODS};
use crate::selector::LabelSelector;
use crate::status::{Cause, Status};

impl ApiServer {
    /// Evicts a pod: deletes it if its disruption budget allows one more disruption, and counts that.
    ///
    /// # Errors
    ///
    /// 404; 429 with cause `DisruptionBudget`; 500 for a pod with two budgets.
    pub fn evict(
        &mut self,
        now: Timestamp,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let pod = Arc::clone(self.get(&PODS, namespace, name)?);
        check_preconditions(&self.profile, &pod, options)?;
        let is_over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"));
        if !is_over && !pod.is_terminating() {
            let budgets: Vec<Arc<Object>> = self
                .store
                .list(&POD_DISRUPTION_BUDGETS, Some(namespace))
                .filter(|budget| {
                    let selector = LabelSelector::of(&budget["spec"]["selector"]);
                    budget["spec"]["selector"].is_object() && selector.matches(&pod["metadata"]["labels"])
                })
                .cloned()
                .collect();
            match &budgets[..] {
                [] => {}
                [one] => self.spend(now, one, &pod, by)?,
                _ => {
                    let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                    return Err(Status { reason: "InternalError", ..Status::internal(why) });
                }
            }
        }
        self.delete(now, &PODS, namespace, name, options, by)
    }

    /// Takes one disruption from a budget.
    fn spend(&mut self, now: Timestamp, budget: &Arc<Object>, pod: &Object, by: &By) -> Result<(), Status> {
        let status = &budget["status"];
        let is_ready = pod["status"]["conditions"]
            .as_array()
            .is_some_and(|list| list.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
        let number = |field: &str| status[field].as_i64().unwrap_or(0);
        if !is_ready {
            let policy = budget["spec"]["unhealthyPodEvictionPolicy"].as_str().unwrap_or("IfHealthyBudget");
            let is_met = number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0;
            if policy == "AlwaysAllow" || is_met {
                return Ok(());
            }
        }
        let too_many = |message: String| {
            let text = "Cannot evict pod as it would violate the pod's disruption budget.";
            let mut status = Status::new(429, "TooManyRequests", text);
            status.details.retry_after_seconds = Some(0);
            status.cause(Cause::new("DisruptionBudget", "", message))
        };
        if budget["status"]["observedGeneration"].as_i64().unwrap_or(0) < budget.generation() {
            let mut status = too_many(format!(
                "The disruption budget {} is still being processed by the server.",
                budget.name()
            ));
            status.details.retry_after_seconds = Some(10);
            return Err(status);
        }
        if number("disruptionsAllowed") <= 0 {
            return Err(too_many(format!(
                "The disruption budget {} needs {} healthy pods and has {} currently",
                budget.name(),
                number("desiredHealthy"),
                number("currentHealthy")
            )));
        }
        if by.dry_run {
            return Ok(());
        }
        let mut next: Value = status.clone();
        next["disruptionsAllowed"] = json!(number("disruptionsAllowed") - 1);
        super::map_mut(&mut next, "disruptedPods")
            .insert(pod.name().to_owned(), json!(crate::time::seconds(now)));
        self.update_status(
            now,
            &POD_DISRUPTION_BUDGETS,
            budget.namespace(),
            budget.name(),
            next,
            &By::nobody(),
        )?;
        Ok(())
    }
}
