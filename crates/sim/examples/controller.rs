//! A test of a controller, in virtual time: the controller writes a `ConfigMap` beside every Deployment, with how many of its pods are
//! available.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{Controller, controller::Action, watcher};
use kube::{Api, Client, ResourceExt as _};
use release_sim::{Simulation, SimulationConfig};
use serde_json::json;

/// The test. In a project of your own this is `#[tokio::test(start_paused = true)]`.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Simulation::start(SimulationConfig::default());
    let client = Client::new(cluster.clone(), "default");
    tokio::spawn(controller(client.clone()));

    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    let web = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec}))?;
    Api::<Deployment>::default_namespaced(client.clone()).create(&PostParams::default(), &web).await?;

    // A minute of the cluster's time is no time at all.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let map = Api::<ConfigMap>::default_namespaced(client).get("web").await?;
    assert_eq!(map.data.unwrap_or_default()["available"], "3");
    println!("at {} the controller had written: 3 available", cluster.now());
    Ok(())
}

/// What is tested.
async fn controller(client: Client) {
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let controller = Controller::new(deployments, watcher::Config::default());
    let retry = |_: Arc<Deployment>, _: &kube::Error, _: Arc<Client>| Action::requeue(Duration::from_secs(5));
    controller.run(reconcile, retry, Arc::new(client)).for_each(|_| async {}).await;
}

async fn reconcile(web: Arc<Deployment>, client: Arc<Client>) -> Result<Action, kube::Error> {
    let available = web.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    let maps: Api<ConfigMap> = Api::default_namespaced((*client).clone());
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"available": available.to_string()}});
    maps.patch(&web.name_any(), &PatchParams::apply("example"), &Patch::Apply(map)).await?;
    Ok(Action::await_change())
}
