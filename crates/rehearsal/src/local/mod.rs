//! The environment `local`: a simulated cluster and a registry on this machine, kept in a folder between commands.
//!
//! ```text
//!   command ──► Local::open ──► the folder is locked
//!                 │  visit ───► the cluster is read, lives through the visit in virtual time, and is written
//!                 │  registry ► listens on a loopback address in real time, and is written
//! ```
//!
//! Time in the cluster passes as fast as it can during a visit: ten minutes of watching a release take milliseconds. Between
//! visits it passes as everywhere. A visit that breaks off leaves the cluster as it was before.
//!
//! Not here: what is done during a visit, and which images there are.

mod disk;
mod error;
mod folder;
mod registry;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use release_cluster::Cluster;
use release_sim::trace::Keep;
use release_sim::{
    Apps, By, Clock, NodeConfig, SimService, Simulation, SimulationConfig, Snapshot, resource,
};
use serde_json::json;

pub use error::LocalError;
use folder::Folder;
pub use folder::Worker;
pub use registry::LocalRegistry;

/// What the cluster is called where others have the name of a context.
pub const CONTEXT: &str = "simulated";

/// Nodes: enough that pods are spread.
const NODES: u32 = 3;

/// How much of the time between two visits the cluster lives through; after that nothing is under way any more, and the rest is
/// skipped.
const LIVED: Duration = Duration::from_secs(60 * 60);

/// The simulated cluster and registry of one project on this machine. Nobody else changes them while this value lives, unless it only
/// looks ([`Local::look`]).
#[derive(Debug)]
pub struct Local {
    folder: Folder,
}

/// Where in the cluster somebody works, and what its images do.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The namespace, which is made when it is not there.
    pub namespace: String,
    /// What images do.
    pub apps: Apps,
}

impl Local {
    /// Opens the folder, and makes it when it is not there. Others are told that `command` works in it.
    ///
    /// # Errors
    /// When it cannot be made, or another command uses it.
    pub fn open(folder: &Path, command: &str) -> Result<Self, LocalError> {
        Ok(Self { folder: Folder::open(folder, command)? })
    }

    /// What the last command left in the folder, while another one works in it. It can be visited, and what is done there is
    /// forgotten.
    pub fn look(folder: &Path) -> Self {
        Self { folder: Folder::look(folder) }
    }

    /// Starts over: cluster, registry and scripts are gone.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn reset(&self) -> Result<(), LocalError> {
        self.folder.clear()
    }

    /// The scripts of images that were given for this environment, as they were written.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn scripts(&self) -> Result<Option<String>, LocalError> {
        self.folder.read(folder::SCRIPTS)
    }

    /// Keeps scripts of images. They count from the next visit on, for pods that run already too.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_scripts(&self, yaml: &str) -> Result<(), LocalError> {
        self.folder.write(folder::SCRIPTS, yaml.as_bytes())
    }

    /// Lets `work` talk to the cluster, in a runtime of its own whose clock stands still while anybody works and jumps when
    /// all wait. What it leaves behind is kept.
    ///
    /// # Errors
    /// When the cluster cannot be read, taken up, or written.
    ///
    /// # Panics
    /// When `work` does; the cluster is then as it was before.
    pub fn visit<T: Send>(
        &self,
        visit: &Visit,
        work: impl AsyncFnOnce(&Cluster) -> T + Send,
    ) -> Result<T, LocalError> {
        let kept = self.folder.read(folder::CLUSTER)?;
        let kept = kept.map(|text| serde_json::from_str::<Snapshot>(&text)).transpose();
        let kept = kept.map_err(|error| self.folder.damaged(folder::CLUSTER, error))?;
        let lived = std::thread::scope(|scope| scope.spawn(|| self.live(visit, kept, work)).join());
        let (out, snapshot) = lived.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        if !self.folder.is_ours() {
            return Ok(out);
        }
        let text =
            serde_json::to_vec(&snapshot).map_err(|error| self.folder.damaged(folder::CLUSTER, error))?;
        self.folder.write(folder::CLUSTER, &text)?;
        Ok(out)
    }

    fn live<T>(
        &self,
        visit: &Visit,
        kept: Option<Snapshot>,
        work: impl AsyncFnOnce(&Cluster) -> T,
    ) -> Result<(T, Snapshot), LocalError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(LocalError::Runtime)?;
        let simulation = self.cluster(visit, kept)?;
        runtime.block_on(async {
            let clock = Clock::starting_at(simulation.now());
            let service = SimService::new(simulation, clock);
            let wall = release_cluster::Clock::with_wall(move || clock.now());
            let cluster = Cluster::from_service(service.clone(), &visit.namespace, CONTEXT, wall);
            let cluster = cluster.map_err(|error| LocalError::Client(Box::new(error)))?;
            let driver = tokio::spawn(service.clone().drive());
            let out = work(&cluster).await;
            driver.abort();
            let snapshot = service.with(|simulation, now| {
                simulation.step_to(now);
                simulation.snapshot()
            });
            Ok((out, snapshot))
        })
    }

    /// The cluster as it was left, or a new one; with the namespace.
    fn cluster(&self, visit: &Visit, kept: Option<Snapshot>) -> Result<Simulation, LocalError> {
        let config = |start| SimulationConfig {
            start,
            apps: visit.apps.clone(),
            nodes: NodeConfig { count: NODES, ..NodeConfig::default() },
            keep: Keep::Nothing,
            ..SimulationConfig::default()
        };
        let wall = Timestamp::now();
        let resume = |start, kept| {
            let resumed = Simulation::resume(config(start), kept);
            resumed.map_err(|error| self.folder.damaged(folder::CLUSTER, error))
        };
        let mut simulation = match kept {
            None => Simulation::whole(config(wall)),
            Some(kept) => {
                let left = kept.now();
                let mut simulation = resume(left, kept)?;
                // Its clock can be ahead of ours: visits run as fast as they can.
                let passed = Duration::try_from(wall.duration_since(left)).unwrap_or_default();
                simulation.advance(passed.min(LIVED));
                if passed > LIVED { resume(wall, simulation.snapshot())? } else { simulation }
            }
        };
        let now = simulation.now();
        let namespace = json!({"metadata": {"name": visit.namespace}});
        let by = By::manager("release-local");
        match simulation.server_mut().create(now, &resource::NAMESPACES, "", namespace, &by) {
            Err(status) if status.code != 409 => {
                return Err(LocalError::Namespace {
                    namespace: visit.namespace.clone(),
                    why: status.message,
                });
            }
            Ok(_) | Err(_) => {}
        }
        // Nodes come up, the namespace gets its service account.
        simulation.advance(Duration::from_secs(1));
        Ok(simulation)
    }
}

#[cfg(test)]
mod tests;
