//! kube-rs on the tower face, on a paused clock: a watcher, a reflector and a Controller of the documented shape.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, LogParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, WatchStreamExt as _, reflector, watcher};
use kube::{Api, Client, ResourceExt as _};
use release_sim::{Clock, SimService, Simulation, SimulationConfig};
use serde_json::json;
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_secs(60);

fn cluster() -> Client {
    let simulation = Simulation::whole(SimulationConfig::default());
    let clock = Clock::starting_at(simulation.now());
    let cluster = SimService::new(simulation, clock);
    tokio::spawn(cluster.clone().drive());
    Client::new(cluster, "default")
}

async fn create_web(client: &Client, replicas: u32) {
    let web = json!({"metadata": {"name": "web"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "app", "image": "web:1"}]}}}});
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let web = serde_json::from_value(web).expect("a Deployment");
    deployments.create(&PostParams::default(), &web).await.expect("it is made");
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

async fn watches(config: watcher::Config) {
    let client = cluster();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let mut events = watcher(pods.clone(), config).applied_objects().boxed();
    create_web(&client, 1).await;
    let seen = async {
        while let Some(pod) = events.try_next().await.expect("an event") {
            if is_ready(&pod) {
                return pod.name_any();
            }
        }
        panic!("the stream ended");
    };
    let name = tokio::time::timeout(SOON, seen).await.expect("the pod gets ready");
    pods.logs(&name, &LogParams::default()).await.expect("a log");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_a_pod_get_ready() {
    watches(watcher::Config::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_may_have_the_list_streamed() {
    watches(watcher::Config::default().streaming_lists()).await;
}

#[tokio::test(start_paused = true)]
async fn a_reflector_holds_what_there_is() {
    let client = cluster();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let (store, writer) = reflector::store();
    let stream =
        watcher(pods, watcher::Config::default().labels("app=web")).default_backoff().reflect(writer);
    tokio::spawn(stream.for_each(|_| async {}));
    store.wait_until_ready().await.expect("the writer lives");
    assert!(store.state().is_empty());
    create_web(&client, 3).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(store.state().iter().filter(|pod| is_ready(pod)).count(), 3);
    let deployments: Api<Deployment> = Api::default_namespaced(client);
    deployments.delete("web", &DeleteParams::default()).await.expect("it is deleted");
    tokio::time::sleep(SOON).await;
    assert!(store.state().is_empty(), "{:?}", store.state());
}

#[tokio::test(start_paused = true)]
async fn a_controller_reconciles() {
    let client = cluster();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let owned: Api<Pod> = Api::default_namespaced(client.clone());
    let (tell, mut told) = mpsc::unbounded_channel();
    let reconcile = |map: Arc<ConfigMap>, maps: Arc<Api<ConfigMap>>| async move {
        let patch = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"seen": "yes"}});
        maps.patch(&map.name_any(), &PatchParams::apply("test"), &Patch::Apply(patch)).await?;
        Ok::<_, kube::Error>(Action::requeue(Duration::from_secs(300)))
    };
    let retry = |_: Arc<ConfigMap>, _: &kube::Error, _: Arc<Api<ConfigMap>>| Action::requeue(SOON);
    let controller = Controller::new(maps.clone(), watcher::Config::default().labels("app=web"))
        .owns(owned, watcher::Config::default())
        .run(reconcile, retry, Arc::new(maps.clone()))
        .for_each(move |done| {
            let _ = tell.send(done.is_ok());
            std::future::ready(())
        });
    tokio::spawn(controller);
    let map = json!({"metadata": {"name": "a", "labels": {"app": "web"}}});
    let map = serde_json::from_value(map).expect("a ConfigMap");
    maps.create(&PostParams::default(), &map).await.expect("it is made");
    let reconciled = tokio::time::timeout(SOON, told.recv()).await.expect("soon");
    assert_eq!(reconciled, Some(true));
    let seen = maps.get("a").await.expect("it is there").data.unwrap_or_default();
    assert_eq!(seen["seen"], "yes");
    // It comes back by itself, five minutes later.
    while let Ok(more) = told.try_recv() {
        assert!(more);
    }
    let again = tokio::time::timeout(Duration::from_secs(301), told.recv()).await.expect("in five minutes");
    assert_eq!(again, Some(true));
}
