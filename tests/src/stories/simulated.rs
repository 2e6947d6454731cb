//! A simulated cluster, played as Kubernetes 1.20 in virtual time.

use anyhow::{Context as _, Result, anyhow};
use kube::Client;
use release_sim::{ApiProfile, Apps, Simulation, SimulationConfig};

use super::drive::tell;
use super::image::SCRIPTS;
use super::log::Log;
use super::story::Story;

/// A registry nobody has to serve.
const ADDRESS: &str = "registry.example:5000";

/// Tells a story to a cluster of its own, on a thread of its own: time stands still there while somebody works.
///
/// # Errors
/// When a request is refused, or what a step waits for does not come.
pub fn tell_simulation(story: &Story, seed: u64) -> Result<Log> {
    let told = std::thread::scope(|scope| scope.spawn(|| in_virtual_time(story, seed)).join());
    told.map_err(|_| anyhow!("the story {} panicked", story.name))?
}

fn in_virtual_time(story: &Story, seed: u64) -> Result<Log> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        let apps = Apps::read(SCRIPTS).context("the scripts of the images")?;
        let config =
            SimulationConfig { seed, profile: ApiProfile::V1_20, apps, ..SimulationConfig::default() };
        tell(Client::new(Simulation::start(config), "default"), story, ADDRESS).await
    })
}
