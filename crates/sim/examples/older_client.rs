//! The same cluster with an older major of kube: any client that takes a `tower::Service` will do.

use k8s_openapi_old::api::core::v1::Node;
use kube_old::api::ListParams;
use kube_old::{Api, Client, ResourceExt as _};
use release_sim::{Clock, SimService, Simulation, SimulationConfig};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let simulation = Simulation::whole(SimulationConfig::default());
    let clock = Clock::starting_at(simulation.now());
    let cluster = SimService::new(simulation, clock);
    tokio::spawn(cluster.clone().drive());
    let nodes: Api<Node> = Api::all(Client::new(cluster, "default"));
    for node in nodes.list(&ListParams::default()).await? {
        println!("{}", node.name_any());
    }
    Ok(())
}
