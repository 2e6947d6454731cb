//! `release completions`: a script for the shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::answer;
use crate::args::Args;
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "release", &mut script);
    answer::emit(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
