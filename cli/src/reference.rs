//! `docs/reference/cli.md` and `exit-codes.md`, made from the grammar and from the table of exit codes.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use crate::args::Args;
use crate::exit::Exit;

const REFRESH: &str = "UPDATE_DOCS=1 cargo nextest run -E 'test(reference)'";

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| !value.is_empty() && value != "0") {
        std::fs::write(&path, text).expect("docs/reference can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "docs/reference/{name} is behind the code; refresh it with `{REFRESH}`");
}

#[test]
fn reference_of_exit_codes() {
    let mut out = String::from(
        "# Exit codes\n\n\
         <!-- Made from the code by a test of release-cli. Do not edit. -->\n\n\
         A published interface: a number never gets another meaning. With `-o json` the last line of a run that did not do\n\
         what was asked has the type `failed` and says the code too, as `exitCode`.\n\n\
         | code | meaning |\n|---|---|\n",
    );
    for exit in Exit::ALL {
        let _ = writeln!(out, "| {} | {} |", exit.code(), exit.sentence());
    }
    check("exit-codes.md", &out);
}

#[test]
fn reference_of_the_command_line() {
    let mut command = Args::command();
    command.build();
    let mut out = format!(
        "# The command line\n\n\
         <!-- Made from the code by a test of release-cli. Do not edit. -->\n\n\
         {}.\n\n\
         Answers go to standard output, everything else to standard error. What the process ends with is listed in\n\
         [exit codes](exit-codes.md), what `-o json` prints in [events](events.md).\n\n\
         | command | what it does |\n|---|---|\n",
        command.get_about().map(ToString::to_string).unwrap_or_default()
    );
    let commands: Vec<&Command> = command.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
    for sub in &commands {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "| [`{0}`](#release-{0}) | {about} |", sub.get_name());
    }
    out.push_str("\n## Options of every command\n\n| option | meaning |\n|---|---|\n");
    for arg in command.get_arguments().filter(|arg| arg.is_global_set()) {
        row(&mut out, arg);
    }
    for sub in commands {
        section(&mut out, sub.get_name(), sub);
        for below in sub.get_subcommands().filter(|below| below.get_name() != "help") {
            section(&mut out, &format!("{} {}", sub.get_name(), below.get_name()), below);
        }
    }
    check("cli.md", &out);
}

fn section(out: &mut String, name: &str, command: &Command) {
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(|about| about.to_string().trim_end_matches('.').to_owned()).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(out, "\n## release {name}\n\n{about}.\n\n```text\n{usage}\n```\n");
    let own: Vec<_> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && arg.get_id() != "help" && arg.get_id() != "version")
        .collect();
    if own.is_empty() {
        return;
    }
    out.push_str("\n| option | meaning |\n|---|---|\n");
    for arg in own {
        row(out, arg);
    }
}

fn row(out: &mut String, arg: &Arg) {
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let mut name = names.join(", ");
    if matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
        let value = arg.get_value_names().unwrap_or_default().join(" ");
        let optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
        name = match (arg.is_positional(), optional) {
            (true, _) => value,
            (false, true) => format!("{name} [{value}]"),
            (false, false) => format!("{name} {value}"),
        };
    }
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut meaning = help.map(ToString::to_string).unwrap_or_default();
    if !meaning.ends_with('.') {
        meaning.push('.');
    }
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !default.is_empty() && arg.get_action().takes_values() {
        let _ = write!(meaning, " `{}` by default.", default.join(" "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(meaning, " Also the variable `{}`.", variable.to_string_lossy());
    }
    if arg.is_required_set() {
        meaning.push_str(" Required.");
    }
    let _ = writeln!(out, "| `{name}` | {} |", meaning.replace('|', "\\|").replace('\n', " "));
}
