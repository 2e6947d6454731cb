//! What tests of the whole system share: a namespace of their own in a real cluster, a project folder, and the tool.
//!
//! The cluster, the registry and the Docker Engine are those of `tests/real/stack`, or the ones named by
//! `RELEASE_TEST_KUBECONFIG`, `RELEASE_TEST_REGISTRY` and `RELEASE_TEST_DOCKER_HOST`. Failures panic: these are tests.

pub mod differential;
mod lab;
pub mod stories;
mod tool;
mod watch;
mod witness;

pub use lab::Lab;
pub use tool::{Finished, Running};
pub use watch::{Observed, Watch, now};
pub use witness::{Requests, Witness};

/// A required environment variable.
///
/// # Panics
/// When it is not set: the tests that need it are only run by `tests/run`.
pub fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; these tests are run by tests/run"))
}

/// Notes something that was measured: shown with the test's own output, and collected in the file `RELEASE_TEST_MEASURED` names.
pub fn measured(text: &str) {
    eprintln!("{text}");
    let Some(path) = std::env::var_os("RELEASE_TEST_MEASURED") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    if let Ok(mut file) = file {
        use std::io::Write as _;
        // One write a line: tests run side by side.
        let _ = file.write_all(format!("{text}\n").as_bytes());
    }
}
