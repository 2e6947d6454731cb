//! One file a subcommand.

mod build;
mod completions;
mod demo;
mod deploy;
mod doctor;
pub(crate) mod finish;
mod history;
mod image;
mod images;
mod init;
mod key;
mod rehearse;
mod render;
mod report;
mod rollback;
mod schema;
mod sim;
mod status;
mod supply;
mod target;
mod verify;
mod verify_image;

use release_pipeline::Until;

pub(crate) use images::prepare;

use crate::args::{Args, Command, Key, Sim};
use crate::error::Failure;
use crate::exit::Exit;
use crate::signal::Stop;
use crate::talk::Talk;

/// Runs the command and returns the exit code.
pub(crate) async fn run(args: &Args, talk: &Talk) -> Result<Exit, Failure> {
    let stop = Stop::listen();
    match &args.command {
        Command::Init(words) => init::run(args, words),
        Command::Build(words) => {
            build::run(args, &words.build, Until::Built, words.layout.as_deref(), talk, &stop).await
        }
        Command::Push(words) => build::run(args, words, Until::Pushed, None, talk, &stop).await,
        Command::Render(words) => render::run(args, words),
        Command::Deploy(words) => deploy::run(args, words, talk, &stop).await,
        Command::Rehearse(words) => rehearse::run(args, words, &stop),
        Command::Demo(words) => demo::run(args, words, &stop).await,
        Command::Verify(words) => stop.or(verify::run(args, words)).await,
        Command::Rollback(words) => rollback::run(args, words, talk, &stop).await,
        Command::Status(words) => stop.or(status::run(args, words)).await,
        Command::History(words) => stop.or(history::run(args, words)).await,
        Command::Report(words) => stop.or(report::run(args, words)).await,
        Command::VerifyImage(words) => stop.or(verify_image::run(args, words)).await,
        Command::Image(words) => stop.or(image::run(args, words)).await,
        Command::Key(Key::Generate(words)) => key::generate(args, words),
        Command::Schema => schema::run(args),
        Command::Completions { shell } => completions::run(*shell),
        Command::Doctor(words) => stop.or(doctor::run(args, words)).await,
        Command::Sim(Sim::Serve(words)) => sim::run(args, words, &stop).await,
    }
}
