//! The command line's grammar. Names and flags here are a contract: pipelines depend on them.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{exit, words};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Where options are listed that every command has.
const GLOBAL: &str = "Options of every command";

/// Build images, roll them out, verify them, and roll back by itself.
#[derive(Debug, Parser)]
#[command(name = "release", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_long_help = exit::help())]
#[command(
    after_help = "`release --help` says more, with the exit codes; `release COMMAND --help` explains a command."
)]
pub(crate) struct Args {
    /// The project file. Paths in it are relative to its folder.
    #[arg(long, global = true, value_name = "FILE", default_value = "release.yaml", env = "RELEASE_CONFIG", help_heading = GLOBAL)]
    pub(crate) config: PathBuf,

    /// Override a value of the project file: `services.web.replicas=5`. May be repeated.
    #[arg(long = "set", global = true, value_name = "PATH=VALUE", help_heading = GLOBAL)]
    pub(crate) set: Vec<String>,

    /// How the answer is written: `text`, `yaml`, or `json` (JSON Lines where it is a stream of events).
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    #[arg(hide_possible_values = true, help_heading = GLOBAL)]
    pub(crate) output: Format,

    /// Say nothing on the way; only the answer and what went wrong.
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(crate) quiet: bool,

    /// Log what is done, for debugging; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// What was asked of every command, about another project file.
    pub(crate) fn about(config: PathBuf, asked: &Self) -> Self {
        Self {
            config,
            set: Vec::new(),
            output: asked.output,
            quiet: asked.quiet,
            verbose: asked.verbose,
            command: Command::Schema,
        }
    }
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
    /// Build images and leave them on this machine.
    ///
    /// Those from Dockerfiles are left in the Docker Engine; the others need none and are left in a cache, or in the folder of
    /// --layout. Prints a line a service: SERVICE IMAGE-ID for a Dockerfile, SERVICE REPOSITORY@DIGEST for every other.
    Build(BuildOnly),
    /// Build and push images, and print the image lock.
    ///
    /// The image lock is a line a service: SERVICE REPOSITORY@DIGEST, each confirmed by the registry. `deploy --images` takes it, so
    /// that what was tested is what runs.
    Push(Build),
    /// Print the Kubernetes manifests of an environment.
    ///
    /// Contacts nothing. The same input gives the same bytes.
    Render(Render),
    /// Release to an environment: build, push, render, roll out, verify, record.
    ///
    /// What does not become healthy, or fails a check, is rolled back. An interrupted release is taken up by the same command.
    Deploy(Deploy),
    /// Rehearse a release on a simulated cluster that misbehaves; contacts nothing.
    ///
    /// Each seed is a story: release 1 goes well, release 2 brings another image of every service while faults happen. Says how the
    /// releases ended, how many pods were ready at least, and how many requests were lost. Exit code 9 when a release was neither
    /// verified nor rolled back.
    Rehearse(Rehearse),
    /// See a release succeed and a bad one being rolled back, in seconds; needs no cluster, no registry and no Docker.
    ///
    /// Two small services are built from files, pushed to an embedded registry, and released to a simulated cluster, by the code that
    /// releases to real ones. Then a version whose pods become ready and answer errors. Nothing outside of this process is touched.
    Demo(Demo),
    /// Run the checks of an environment on what runs now; changes nothing.
    Verify(Environment),
    /// Return to an earlier release: image and config together.
    ///
    /// Works from the cluster's own record: with --project, -n and --context it needs no checkout. After an interrupted release it
    /// returns to the last verified one.
    Rollback(Rollback),
    /// Show what runs, and how it is; changes nothing.
    Status(Recorded),
    /// Show the releases of an environment, newest first; changes nothing.
    History(Recorded),
    /// Show what happened in a release, from its events; changes nothing.
    ///
    /// From the cluster's own record, which with --project, -n and --context needs no checkout; or, without any cluster, from a file
    /// of events (`-o json` of a deploy) or an HTML page made earlier.
    Report(Report),
    /// Verify who signed an image, and what is said about it; changes nothing.
    ///
    /// A tag is looked up first. Everything that is attached to the image is listed; only what one of the keys has signed counts. Exit code
    /// 9 when the image is not signed, or something that is required is missing.
    VerifyImage(VerifyImage),
    /// Look into images, in a registry or in an image layout on disk.
    #[command(subcommand)]
    Image(Image),
    /// Keys to sign images with.
    #[command(subcommand)]
    Key(Key),
    /// Print the JSON Schema of release.yaml.
    Schema,
    /// Print a shell completion script.
    ///
    /// For instance `release completions bash > /etc/bash_completion.d/release`.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Look whether everything a release needs is there; changes nothing.
    Doctor(Doctor),
    /// A simulated cluster to try things on.
    #[command(subcommand)]
    Sim(Sim),
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

    /// Build everything anew, also what did not change since the last build.
    #[arg(long)]
    pub(crate) no_cache: bool,

    #[command(flatten)]
    pub(crate) version: Version,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BuildOnly {
    #[command(flatten)]
    pub(crate) build: Build,

    /// Leave the images in an OCI image layout in this folder. For images without a Dockerfile.
    #[arg(long, value_name = "DIR")]
    pub(crate) layout: Option<PathBuf>,
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

    /// The environment, a name under `environments:` in the project file.
    #[arg(long, value_name = "ENV")]
    pub(crate) env: String,

    /// The image lock that `release push` printed; `-` reads it from standard input. Without it images show a digest of zeros.
    #[arg(long, value_name = "FILE")]
    pub(crate) images: Option<PathBuf>,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Environment {
    /// The environment, a name under `environments:` in the project file; or `local`, which is simulated on this machine.
    #[arg(long, value_name = "ENV")]
    pub(crate) env: String,

    /// The namespace, in place of the environment's.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// The kubeconfig context, in place of the environment's. Only a cluster that has a record of the project is accepted.
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
}

/// An environment that the cluster's own record suffices for.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Recorded {
    #[command(flatten)]
    pub(crate) environment: Environment,

    /// The project's name, where there is no project file; give -n and --context too.
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
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

    /// Open the environment's manual gate. Without it the plan is shown and nothing is written (exit code 10).
    #[arg(long)]
    pub(crate) approve: bool,

    /// Build everything anew, also what did not change since the last build.
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Start the environment `local` over: what was released there is forgotten.
    #[arg(long)]
    pub(crate) reset: bool,

    /// What the images do in the environment `local`, as scripts, from now on; see `docs/reference/simulation.md`. By default they
    /// pass the project's own checks.
    #[arg(long, value_name = "FILE")]
    pub(crate) apps: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) run: Run,

    #[command(flatten)]
    pub(crate) version: Version,
}

impl Deploy {
    /// A deploy of everything to `local`, as if it had been asked for without any option.
    pub(crate) fn local(version: String) -> Self {
        Self {
            services: Vec::new(),
            environment: Environment {
                env: release_manifest::LOCAL.to_owned(),
                namespace: None,
                context: None,
            },
            images: None,
            approve: false,
            no_cache: false,
            reset: false,
            apps: None,
            run: Run { lock_timeout: std::time::Duration::from_secs(300), force_conflicts: false },
            version: Version { version: Some(version) },
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rehearse {
    /// The environment; by default the first one with a manual gate, else the first.
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<String>,

    /// How many stories are told, beginning with seed 0.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,

    /// Tell the story of this seed, with everything that happened in it.
    #[arg(long, value_name = "SEED", conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,

    #[arg(long, value_name = "LIST", default_value = "all", help = faults())]
    pub(crate) faults: String,

    /// What the images do, as YAML: digests of release 1 begin with sha256:1, those of release 2 with sha256:2. Images that are not
    /// described pass the project's checks.
    #[arg(long, value_name = "FILE")]
    pub(crate) apps: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Write the report of both releases as one self-contained HTML page, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// How long to wait while another release of the same environment runs: 90s, 5m, 1h.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = words::duration)]
    pub(crate) lock_timeout: std::time::Duration,

    /// Take over fields that another tool or person owns (another field manager). Their values are lost.
    #[arg(long)]
    pub(crate) force_conflicts: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rollback {
    #[command(flatten)]
    pub(crate) recorded: Recorded,

    /// The release to return to, as `release history` numbers them; by default the verified one before what runs.
    #[arg(long, value_name = "N", value_parser = words::release)]
    pub(crate) to: Option<u64>,

    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Report {
    /// The release, as `release history` numbers them, by default the newest; or a file of events, `-` for standard input.
    #[arg(value_name = "N or FILE")]
    pub(crate) of: Option<String>,

    /// Write one self-contained HTML page instead, and say where.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// The environment, a name under `environments:` in the project file.
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<String>,

    /// The project's name, where there is no project file; give -n and --context too.
    #[arg(long, value_name = "PROJECT", requires = "env")]
    pub(crate) project: Option<String>,

    /// The namespace, in place of the environment's.
    #[arg(short, long, value_name = "NAMESPACE", requires = "env")]
    pub(crate) namespace: Option<String>,

    /// The kubeconfig context, in place of the environment's. Only a cluster that has a record of the project is accepted.
    #[arg(long, value_name = "CONTEXT", requires = "env")]
    pub(crate) context: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// The environment whose cluster is looked at too; without one, only this machine, the project file and what it names.
    #[arg(long, value_name = "ENV")]
    pub(crate) env: Option<String>,

    /// Print the minimal Role, and its binding, for a service account (`release` by default), and look at nothing.
    #[arg(long, value_name = "ACCOUNT", num_args = 0..=1, default_missing_value = "release")]
    pub(crate) rbac: Option<String>,

    /// The namespace, in place of the environment's.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyImage {
    /// The image, `registry.example.com/radio/player@sha256:…` or with a tag.
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// A public key that is trusted, a file in PEM or `env://NAME`. May be repeated.
    #[arg(long = "key", value_name = "FILE")]
    pub(crate) keys: Vec<String>,

    /// Trust the keys of this environment's policy, and require what it requires.
    #[arg(long, value_name = "ENV", conflicts_with = "keys")]
    pub(crate) env: Option<String>,

    /// What must be said about the image besides, with commas between them.
    #[arg(
        long,
        value_name = "sbom,provenance",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub(crate) require: Vec<Required>,
}

/// What can be said about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Required {
    /// What is in it.
    Sbom,
    /// Where it comes from.
    Provenance,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    /// List the files an image has in the end, with the layer each comes from.
    Ls(OneImage),
    /// Show what an image is made of: layers, sizes, and bytes that are wasted on files nobody can read.
    Inspect(OneImage),
    /// Show what differs between two images: files added, removed and changed, by layer.
    Diff(TwoImages),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OneImage {
    /// The image: a reference, or the folder of an image layout, with `@sha256:…` when it has several.
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Which image of several, `linux/amd64`.
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TwoImages {
    /// The first image: a reference, or the folder of an image layout, with `@sha256:…` when it has several.
    #[arg(value_name = "BEFORE")]
    pub(crate) before: String,

    /// The second image.
    #[arg(value_name = "AFTER")]
    pub(crate) after: String,

    /// Which image of several, `linux/amd64`.
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a pair of keys: PREFIX.pem signs and is a secret, PREFIX.pub verifies.
    ///
    /// ECDSA on the curve P-256, in PEM, without a password. Files that exist are not overwritten.
    Generate(Generate),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Generate {
    /// What the two files are called, without their ends.
    #[arg(value_name = "PREFIX", default_value = "release")]
    pub(crate) prefix: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sim {
    /// Run a simulated cluster and registry on this machine until Ctrl-C, and print the path of a kubeconfig for it.
    ///
    /// Nothing is installed and no container runs: kubectl and `release deploy` find an API server, controllers, and nodes that play
    /// what the images would do. Its context is `release-sim`.
    Serve(Serve),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// Where the cluster listens, a loopback address; port 0 is any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,

    /// What the programs in the images do, as scripts; see `docs/reference/simulation.md`. By default they start and answer.
    #[arg(long, value_name = "FILE")]
    pub(crate) apps: Option<PathBuf>,

    /// What goes wrong in the cluster and when, as YAML; see `docs/reference/simulation.md`. By default nothing.
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,

    /// Serve plain HTTP, not HTTPS.
    #[arg(long)]
    pub(crate) plain: bool,

    /// Everything that is drawn at random is drawn from this number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Where the kubeconfig is written, by default to a temporary file. A file that is something else is not overwritten.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// What `--faults` of a rehearsal takes.
fn faults() -> String {
    let names: Vec<_> = release_rehearsal::Weather::names().collect();
    format!(
        "Which faults may be drawn: `all` (but foreign-delete and foreign-apply), `none`, or names with commas between them; \
         `docs/reference/simulation.md` says what each does. There are {}",
        names.join(", ")
    )
}

/// Whether these words ask for JSON, when they could not be read as a whole.
pub(crate) fn asks_for_json(words: impl Iterator<Item = String>) -> bool {
    let words: Vec<String> = words.take_while(|word| word != "--").collect();
    let after = |word: &str| word == "-o" || word == "--output";
    words.windows(2).any(|pair| after(&pair[0]) && pair[1] == "json")
        || words.iter().any(|word| matches!(word.as_str(), "-ojson" | "-o=json" | "--output=json"))
}
