//! A test of a controller, in virtual time: the controller writes a `ConfigMap` beside every Deployment that is available.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{Controller, controller::Action, watcher};
use kube::{Api, Client, ResourceExt as _};
use release_sim::{Clock, SimService, Simulation, SimulationConfig};
use serde_json::json;

async fn reconcile(web: Arc<Deployment>, client: Arc<Client>) -> Result<Action, kube::Error> {
    let available = web.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    let maps: Api<ConfigMap> = Api::namespaced((*client).clone(), "default");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"available": available.to_string()}});
    maps.patch(&web.name_any(), &PatchParams::apply("example"), &Patch::Apply(map)).await?;
    Ok(Action::await_change())
}

// In a project of your own this is `#[tokio::test(start_paused = true)]`.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let simulation = Simulation::whole(SimulationConfig::default());
    let clock = Clock::starting_at(simulation.now());
    let cluster = SimService::new(simulation, clock);
    tokio::spawn(cluster.clone().drive());
    let client = Client::new(cluster.clone(), "default");

    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let controller = Controller::new(deployments.clone(), watcher::Config::default());
    let retry = |_: Arc<Deployment>, _: &kube::Error, _: Arc<Client>| Action::requeue(Duration::from_secs(5));
    tokio::spawn(controller.run(reconcile, retry, Arc::new(client.clone())).for_each(|_| async {}));

    let web = json!({"metadata": {"name": "web"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}});
    deployments.create(&PostParams::default(), &serde_json::from_value(web)?).await?;
    // A minute of the cluster's time: no time at all.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let map = Api::<ConfigMap>::namespaced(client, "default").get("web").await?;
    assert_eq!(map.data.unwrap_or_default()["available"], "3");
    println!("at {} the controller had written: 3 available", cluster.now());
    Ok(())
}
