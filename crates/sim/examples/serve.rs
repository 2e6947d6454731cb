//! Serves a whole cluster until Ctrl-C, and prints a kubeconfig for it:
//! `cargo run -p release-sim --example serve > sim.yaml`, then `kubectl --kubeconfig sim.yaml get nodes`.

use std::net::{Ipv4Addr, SocketAddr};

use jiff::Timestamp;
use release_sim::{Simulation, SimulationConfig, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = SimulationConfig { start: Timestamp::now(), ..SimulationConfig::default() };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let served = serve(Simulation::whole(config), address).await?;
    print!("{}", served.kubeconfig());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
