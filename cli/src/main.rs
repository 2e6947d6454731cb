//! `release`: the command line. Words, translation, call; every decision is made in the libraries.

mod answer;
mod args;
mod command;
mod error;
mod exit;
mod local;
#[cfg(test)]
mod reference;
mod signal;
mod talk;
mod words;
mod workspace;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;
use release_pipeline::Event;

use crate::args::{Args, Format};
use crate::error::Failure;
use crate::exit::Exit;
use crate::talk::Talk;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return misread(&error),
    };
    init_tracing(args.verbose);
    // One provider for the whole process; a second install would only say that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            answer::say(&format!("error: the async runtime cannot be started: {error}"));
            return Exit::Bug.into();
        }
    };
    let talk = Talk::new(&args);
    let run = || runtime.block_on(command::run(&args, &talk));
    let ended = catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(Failure::Internal(anyhow::anyhow!("the program broke off"))));
    let exit = match ended {
        Ok(exit) => exit,
        Err(failure) => {
            talk.finish();
            if let Some(event) = failure.event() {
                talk.tell(event);
            }
            failure.print();
            failure.exit()
        }
    };
    // Requests nobody waits for any more must not hold up the exit.
    runtime.shutdown_background();
    exit.into()
}

/// Help, the version, or words that make no sense; the latter with a line of JSON for who asked for JSON.
fn misread(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done.into();
    }
    if args::asks_for_json(std::env::args()) {
        let error = error.to_string().trim_end().to_owned();
        Talk::of(Format::Json, false).tell(Event::Failed { exit_code: Exit::Usage.code(), error });
    }
    Exit::Usage.into()
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
