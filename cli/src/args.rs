//! The command line's grammar. Names and flags here are a contract: pipelines depend on them.

use std::path::PathBuf;

use crate::words;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Build images, roll them out, verify them, and roll back by itself.
#[derive(Debug, Parser)]
#[command(name = "release", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Args {
    /// The project file.
    #[arg(long, global = true, value_name = "FILE", default_value = "release.yaml", env = "RELEASE_CONFIG")]
    pub(crate) config: PathBuf,

    /// Override a value of the project file: `services.web.replicas=5`. May be repeated.
    #[arg(long = "set", global = true, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,

    /// How the answer is written.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) output: Format,

    /// Say only what went wrong.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Log what is done, for debugging; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// JSON; JSON Lines where the answer is a stream of events.
    Json,
    /// YAML.
    Yaml,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at the repository and write a first release.yaml.
    Init(Init),
    /// Build images; prints a line a service: SERVICE IMAGE-ID, or the pinned image where nothing is built.
    Build(Build),
    /// Build and push images; prints the image lock, a line a service: SERVICE REPOSITORY@DIGEST.
    Push(Build),
    /// Print the Kubernetes manifests of an environment.
    Render(Render),
    /// Release to an environment: build, push, render, roll out, verify, record.
    Deploy(Deploy),
    /// Run the checks of an environment on what runs now.
    Verify(Environment),
    /// Return to an earlier release: image and config together.
    Rollback(Rollback),
    /// Show what runs.
    Status(Environment),
    /// Show the releases of an environment.
    History(Environment),
    /// Print the JSON Schema of release.yaml.
    Schema,
    /// Print a shell completion script.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Look whether everything a release needs is there.
    Doctor(Doctor),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    /// Overwrite a project file that exists.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Build {
    /// The services; all when none is named.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    /// Take registry and overrides of this environment.
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<String>,

    #[command(flatten)]
    pub(crate) version: Version,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Version {
    /// What people call this version; the tag of pushed images. By default the git revision.
    #[arg(id = "release_version", long = "version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Render {
    /// The services; all when none is named.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    /// The environment.
    #[arg(long, value_name = "ENV")]
    pub(crate) env: String,

    /// The image lock that `release push` printed; `-` reads it from standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) images: Option<PathBuf>,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Environment {
    /// The environment.
    #[arg(long, value_name = "ENV")]
    pub(crate) env: String,

    /// The project, where there is no project file.
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,

    /// The namespace, in place of the environment's.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// The kubeconfig context, in place of the environment's. The cluster must be one that is known.
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Deploy {
    /// The services; all when none is named.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    #[command(flatten)]
    pub(crate) environment: Environment,

    /// The image lock that `release push` printed; nothing is built then. `-` reads it from standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) images: Option<PathBuf>,

    /// Open the environment's manual gate.
    #[arg(long)]
    pub(crate) approve: bool,

    #[command(flatten)]
    pub(crate) run: Run,

    #[command(flatten)]
    pub(crate) version: Version,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// How long to wait for another release of the same environment.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = words::duration)]
    pub(crate) lock_timeout: std::time::Duration,

    /// Take over fields that another field manager owns.
    #[arg(long)]
    pub(crate) force_conflicts: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rollback {
    #[command(flatten)]
    pub(crate) environment: Environment,

    /// The release to return to; by default the one before the release that runs.
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u64>,

    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// The environment; without one only the tools of this machine are looked at.
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<String>,

    /// Print the minimal Role, and its binding, for a service account of this name, and look at nothing.
    #[arg(long, value_name = "ACCOUNT", num_args = 0..=1, default_missing_value = "release")]
    pub(crate) rbac: Option<String>,

    /// The namespace of the Role.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}
