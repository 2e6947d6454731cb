//! What can go wrong with what is kept.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use release_sim::ServeError;

use super::Worker;

/// Why the environment `local` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Another command has it and does not end.
    #[error("{} works in {}", worker.as_ref().map_or_else(|| "another command".to_owned(), ToString::to_string), folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// Who has it, as far as it says.
        worker: Option<Worker>,
    },
    /// A file cannot be read or written.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what was written there.
    #[error("{} cannot be taken up again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The namespace cannot be made.
    #[error("namespace `{namespace}` cannot be made: {why}")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// The simulated server's words.
        why: String,
    },
    /// The registry cannot listen.
    #[error("the embedded registry cannot listen on {address}")]
    Serve {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: Box<ServeError>,
    },
    /// No client for the cluster can be made.
    #[error("no client for the simulated cluster can be set up")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    /// No runtime can be made.
    #[error("the simulated cluster's runtime cannot be started")]
    Runtime(#[source] std::io::Error),
}
