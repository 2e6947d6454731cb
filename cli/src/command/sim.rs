//! `release sim serve`: a simulated cluster and registry on this machine, in real time.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use release_sim::faults::{Fault, read_faults};
use release_sim::{Apps, ServeError, Simulation, SimulationConfig, registry, serve, serve_tls};
use serde::Serialize;

use crate::answer;
use crate::args::{Args, Serve};
use crate::error::Failure;
use crate::exit::Exit;
use crate::local::{scripts, unreadable};
use crate::signal::Stop;

/// How long a program of this machine may take to accept a connection.
const LOOK: Duration = Duration::from_millis(500);

/// How a kubeconfig of ours begins.
const MARK: &str = "# Written by `release sim serve`.\n";

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    v: u32,
    kubeconfig: PathBuf,
    server: String,
    registry: String,
}

pub(crate) async fn run(args: &Args, words: &Serve, stop: &Stop) -> Result<Exit, Failure> {
    let apps = words.apps.as_deref().map(read_apps);
    let faults = words.faults.as_deref().map(read_plan);
    let config = SimulationConfig {
        seed: words.seed,
        start: Timestamp::now(),
        apps: apps.transpose()?.unwrap_or_default(),
        faults: faults.transpose()?.unwrap_or_default(),
        ..SimulationConfig::default()
    };
    let cluster = Simulation::whole(config);
    let cluster =
        if words.plain { serve(cluster, words.listen).await } else { serve_tls(cluster, words.listen).await };
    let cluster = cluster.map_err(not_served)?;
    let beside = SocketAddr::new(words.listen.ip(), 0);
    let seed = words.seed;
    let images = registry::serve_at(registry::Config { seed, ..registry::Config::default() }, beside);
    let images = images.await.map_err(not_served)?;
    let kubeconfig = Kubeconfig::write(words.kubeconfig.as_deref(), &cluster.kubeconfig())?;
    let found = Answer {
        v: 1,
        kubeconfig: kubeconfig.path.clone(),
        server: cluster.url(),
        registry: images.address().to_string(),
    };
    if !args.quiet {
        answer::say(&format!("cluster   {}, context release-sim", found.server));
        answer::say(&format!("registry  {}", found.registry));
        answer::say("Ctrl-C stops both; nothing of them remains");
    }
    answer::print(args.output, &found, || format!("{}\n", found.kubeconfig.display()))?;
    stop.token().cancelled().await;
    Ok(Exit::Done)
}

fn read_apps(path: &Path) -> Result<Apps, Failure> {
    let text = fs::read_to_string(path).map_err(|source| file("read", path, source))?;
    scripts(&text, &path.display().to_string())
}

fn read_plan(path: &Path) -> Result<Vec<Fault>, Failure> {
    let text = fs::read_to_string(path).map_err(|source| file("read", path, source))?;
    read_faults(&text).map_err(|error| unreadable(&error, &path.display().to_string(), "what goes wrong"))
}

fn not_served(error: ServeError) -> Failure {
    match error {
        ServeError::NotLoopback { .. } => Failure::Usage {
            message: error.to_string(),
            hint: Some("listen on 127.0.0.1 or [::1]".to_owned()),
        },
        ServeError::Certificate { .. } => Failure::Internal(error.into()),
        ServeError::Listen { address, source } => {
            Failure::File { verb: "listen on", path: address.to_string(), hint: None, source }
        }
    }
}

fn file(verb: &'static str, path: &Path, source: io::Error) -> Failure {
    Failure::File { verb, path: path.display().to_string(), hint: None, source }
}

/// The file that was written. It is removed when the cluster ends, unless it is another's by then.
struct Kubeconfig {
    path: PathBuf,
    text: String,
    temporary: Option<PathBuf>,
}

impl Kubeconfig {
    fn write(wanted: Option<&Path>, text: &str) -> Result<Self, Failure> {
        let (path, temporary) = if let Some(path) = wanted {
            (path.to_owned(), None)
        } else {
            // A folder that must not exist yet: nobody can have put a link there.
            let folder = std::env::temp_dir().join(format!("release-sim-{}", std::process::id()));
            fs::create_dir(&folder).map_err(|source| file("make", &folder, source))?;
            (folder.join("kubeconfig"), Some(folder))
        };
        match fs::read_to_string(&path) {
            Ok(there) if there.starts_with(MARK) && answers(&there) => {
                return Err(Failure::Usage {
                    message: format!("{} leads to a simulation that runs", path.display()),
                    hint: Some("give --kubeconfig another file, or end that one first".to_owned()),
                });
            }
            Ok(there) if !there.starts_with(MARK) => {
                return Err(Failure::Usage {
                    message: format!("{} exists and is not a kubeconfig of a simulation", path.display()),
                    hint: Some("give --kubeconfig another file; yours would be lost".to_owned()),
                });
            }
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(file("read", &path, source));
            }
            _ => {}
        }
        let written = Self { path, text: format!("{MARK}{text}"), temporary };
        fs::write(&written.path, &written.text).map_err(|source| file("write", &written.path, source))?;
        Ok(written)
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        if let Some(folder) = &self.temporary {
            // A file left behind in a temporary folder harms nobody.
            let _ = fs::remove_dir_all(folder);
        } else if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether somebody listens where a kubeconfig of a simulation leads to.
fn answers(kubeconfig: &str) -> bool {
    // As in `server: "https://127.0.0.1:6443"`.
    let url = kubeconfig.split_once("server: \"").and_then(|(_, rest)| rest.split('"').next());
    let address = url.and_then(|url| url.rsplit('/').next()).and_then(|address| address.parse().ok());
    address.is_some_and(|address: SocketAddr| TcpStream::connect_timeout(&address, LOOK).is_ok())
}
