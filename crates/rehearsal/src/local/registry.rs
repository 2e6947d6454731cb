//! The embedded registry while it listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use release_sim::ServeError;
use release_sim::registry::{Config, Registry, Server, serve_at};

use super::{Local, LocalError, disk, folder};

/// The registry of the environment `local`, on a loopback address. It stops listening when this is dropped.
#[derive(Debug)]
pub struct LocalRegistry {
    server: Server,
    folder: PathBuf,
}

impl Local {
    /// Lets the registry listen on this loopback address, or, when another program has it, on any free port. Needs to be called
    /// on a tokio runtime with real time.
    ///
    /// # Errors
    /// When what is kept of it is damaged, or nothing can be listened on.
    pub async fn registry(&self, address: SocketAddr) -> Result<LocalRegistry, LocalError> {
        let folder = self.folder.join(folder::REGISTRY);
        let contents = disk::load(&folder)?;
        let server = match serve_at(Config::default(), address).await {
            Err(ServeError::Listen { .. }) if address.port() != 0 => {
                serve_at(Config::default(), SocketAddr::new(address.ip(), 0)).await
            }
            served => served,
        };
        let server = server.map_err(|source| LocalError::Serve { address, source: Box::new(source) })?;
        let restored = server.with(|registry| registry.restore(contents));
        restored.map_err(|error| LocalError::Damaged { path: folder.clone(), source: error.into() })?;
        Ok(LocalRegistry { server, folder })
    }
}

impl LocalRegistry {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Looks at, or changes, what it has.
    pub fn with<T>(&self, look: impl FnOnce(&mut Registry) -> T) -> T {
        self.server.with(look)
    }

    /// Writes what it has, for the next command.
    ///
    /// # Errors
    /// When it cannot be written; what was written before is then still there.
    pub fn keep(&self) -> Result<(), LocalError> {
        disk::store(&self.folder, &self.with(|registry| registry.contents()))
    }
}
