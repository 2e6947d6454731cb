//! `release`: the command line. Words, translation, call; every decision is made in the libraries.

mod answer;
mod args;
mod command;
mod error;
mod signal;
mod talk;
mod words;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    init_tracing(args.verbose);
    // One provider for the whole process; a second install would only say that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the async runtime cannot be started: {error}");
            return ExitCode::from(1);
        }
    };
    let json = args.output == args::Format::Json;
    let code = match runtime.block_on(command::run(args)) {
        Ok(code) => code,
        Err(failure) => {
            failure.print(json);
            failure.exit_code()
        }
    };
    // Requests nobody waits for any more must not hold up the exit.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Diagnostics for developers of the tool, on stderr; people's talk is not made of log lines.
fn init_tracing(verbose: u8) {
    let level = match verbose {
        0 => "off",
        1 => {
            "release=debug,release_cluster=debug,release_pipeline=debug,release_image=debug,release_registry=debug"
        }
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("RELEASE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .try_init();
}
