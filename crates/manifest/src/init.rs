//! A first `release.yaml`, written for people who have never seen one.
//!
//! Pure: from findings to text. Walking folders is `sources::find`'s job.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use release_core::ServiceName;

use crate::yaml::scalar;

/// What a repository has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// The project's name as the folder has it; it is made to fit.
    pub project: String,
    /// The Dockerfiles, in the order in which services are to be listed.
    pub dockerfiles: Vec<Dockerfile>,
    /// Folders with Kubernetes manifests, relative to the project's.
    pub manifest_dirs: Vec<String>,
}

/// What a Dockerfile says about its last stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dockerfile {
    /// Its path, relative to the project's folder, with `/`.
    pub path: String,
    /// The first port it exposes.
    pub port: Option<u16>,
    /// The user it runs as, without the group.
    pub user: Option<String>,
}

impl Dockerfile {
    /// Looks for `EXPOSE` and `USER` in the last stage. What it does not understand it leaves out: this is a
    /// proposal, not a build.
    pub fn read(path: &str, text: &str) -> Self {
        let mut found = Self { path: path.to_owned(), ..Self::default() };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let Some(instruction) = words.next() else { continue };
            match instruction.to_ascii_uppercase().as_str() {
                "FROM" => (found.port, found.user) = (None, None),
                "EXPOSE" if found.port.is_none() => {
                    let number = words.next().and_then(|word| word.trim_end_matches("/tcp").parse().ok());
                    found.port = number.filter(|port| *port > 0);
                }
                "USER" => {
                    let user = words.next().and_then(|word| word.split(':').next()).unwrap_or_default();
                    found.user = (!user.is_empty() && !user.contains('$')).then(|| user.to_owned());
                }
                _ => {}
            }
        }
        found
    }

    /// The folder it is in, empty for the project's.
    fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The name of the service: a word of the file's own name, else its folder's, else the project's.
    fn service(&self, project: &str) -> String {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        let own = file
            .strip_prefix("Dockerfile.")
            .or_else(|| file.strip_suffix(".Dockerfile"))
            .or_else(|| file.strip_suffix(".dockerfile"));
        let folder = self.folder().rsplit('/').find(|part| !matches!(*part, "" | "docker" | "build"));
        name(own.or(folder).unwrap_or(project), "app")
    }
}

/// `text` made to fit the rule of names; `fallback` when nothing of it is left.
fn name(text: &str, fallback: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || (c.is_ascii_digit() && !name.is_empty()) => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    // Room for a number that tells two apart.
    name.truncate(36);
    let name = name.trim_end_matches('-');
    if name.parse::<ServiceName>().is_ok() { name.to_owned() } else { fallback.to_owned() }
}

/// The text of a `release.yaml` that parses, with a comment on everything a person has to decide.
pub fn propose(findings: &Findings) -> String {
    let project = name(&findings.project, "project");
    let mut out = format!(
        "# What is released, and where. `release schema` prints the JSON Schema of this file for your editor.\n\
         project: {project}\n\
         \n\
         # Where built images are pushed to. Change this; ${{VAR}} is filled in from the environment of the command.\n\
         registry: registry.example.com/{project}\n\
         \n\
         services:\n"
    );
    let fallback = [Dockerfile { path: "Dockerfile".to_owned(), ..Dockerfile::default() }];
    // A path that looks like a variable could not be written down.
    let found: Vec<_> =
        findings.dockerfiles.iter().filter(|file| !file.path.contains("${")).cloned().collect();
    let dockerfiles = if found.is_empty() {
        out.push_str("  # No Dockerfile was found: write one, or name an image that exists with `image: {ref: repository@sha256:…}`.\n");
        &fallback[..]
    } else {
        &found
    };
    let mut taken = BTreeSet::new();
    for dockerfile in dockerfiles {
        let wanted = dockerfile.service(&project);
        let mut service = wanted.clone();
        let mut number = 2;
        while !taken.insert(service.clone()) {
            service = format!("{wanted}-{number}");
            number += 1;
        }
        propose_service(&service, dockerfile, &mut out);
    }
    for folder in &findings.manifest_dirs {
        let _ = writeln!(
            out,
            "  # {} has Kubernetes manifests. Bringing your own is not part of this version; what they say about the\n  # services above (environment, resources, probes) can be said here.",
            scalar(folder)
        );
    }
    let _ = write!(
        out,
        "\n\
         # Where it runs. `release render --env dev` shows the manifests.\n\
         environments:\n\
         \x20 dev:\n\
         \x20   context: dev               # a context of your kubeconfig\n\
         \x20   namespace: {project}-dev   # exists already\n\
         \x20 prod:\n\
         \x20   context: prod\n\
         \x20   namespace: {project}\n\
         \x20   gate: manual               # waits for `--approve`\n\
         \x20   # services: {{NAME: {{replicas: 3}}}}   # what is different here\n"
    );
    out
}

fn propose_service(service: &str, dockerfile: &Dockerfile, out: &mut String) {
    let path = scalar(&dockerfile.path);
    let folder = dockerfile.folder();
    let collected = matches!(folder.rsplit('/').next(), Some("docker" | "build"));
    let _ = write!(out, "  {service}:\n    image:\n      dockerfile: {path}\n");
    if folder.is_empty() || collected {
        out.push_str("      context: .               # the folder that is sent to the builder\n");
    } else {
        let _ = writeln!(
            out,
            "      context: {}   # the folder that is sent to the builder; perhaps `.`",
            scalar(folder)
        );
    }
    if let Some(port) = dockerfile.port {
        let _ = write!(
            out,
            "    port: {port}                 # as EXPOSE says\n\
             \x20   # health: {{http: /healthz}}   # a path that answers 200 when it can serve; an open port until then\n\
             \x20   # verify: [{{http: /}}]        # asked of every new pod; a bad answer rolls back\n"
        );
    } else {
        out.push_str("    # port: 8080               # the Dockerfile has no EXPOSE; without a port there is no probe and no Service\n");
    }
    out.push_str("    replicas: 1\n    # resources: {cpu: 100m, memory: 128Mi}\n    # env: {LOG: info}           # never secrets\n");
    match dockerfile.user.as_deref() {
        Some(user) if user.parse::<u32>().is_ok_and(|user| user > 0) => {
            let _ = writeln!(out, "    security: {{user: {user}}}     # as USER says");
        }
        Some(user) if user != "root" && user != "0" => {
            let _ = writeln!(
                out,
                "    # security: {{user: 1000}}   # USER {} is a name, and Kubernetes wants its number; 65532 until then",
                scalar(user)
            );
        }
        _ => out.push_str(
            "    # It runs as user 65532 and cannot write outside /tmp. What needs more says so:\n    # security: {user: 1000, writable: [/tmp, /var/cache]}\n",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Project, Source};

    fn check(findings: &Findings) -> String {
        let text = propose(findings);
        let project = Project::parse(&Source::new("release.yaml", text.as_str()), &|_| None, &[])
            .unwrap_or_else(|error| panic!("{}", error.render(crate::Color::Never)));
        for environment in ["dev", "prod"] {
            let environment = project.environment(environment).unwrap();
            assert_eq!(environment.services.len(), findings.dockerfiles.len().max(1));
        }
        text
    }

    fn dockerfile(path: &str, port: Option<u16>, user: Option<&str>) -> Dockerfile {
        Dockerfile { path: path.to_owned(), port, user: user.map(str::to_owned) }
    }

    #[test]
    fn proposes_what_was_found() {
        let findings = Findings {
            project: "Radio One".to_owned(),
            dockerfiles: vec![
                dockerfile("Dockerfile", Some(8080), Some("1000")),
                dockerfile("services/player-api/Dockerfile", None, Some("app")),
                dockerfile("docker/Dockerfile.worker", None, Some("root")),
            ],
            manifest_dirs: vec!["k8s".to_owned()],
        };
        insta::assert_snapshot!("propose", check(&findings));
        insta::assert_snapshot!("propose_nothing", check(&Findings::default()));
    }

    #[test]
    fn whatever_names_there_are_the_result_parses() {
        let long = "x".repeat(80);
        for project in ["", "--", "Ünï cödé", "1st", "a: {", &long, "x\ny"] {
            check(&Findings {
                project: project.to_owned(),
                dockerfiles: vec![
                    dockerfile("a/b/Dockerfile", None, None),
                    dockerfile("x/b/Dockerfile", None, Some("\"${x}")),
                    dockerfile(&format!("x{project}/Dockerfile"), Some(1), Some("0")),
                    dockerfile("we\"ird #\u{85}\u{7f} path/x.Dockerfile", None, Some("4294967295")),
                ],
                manifest_dirs: vec![project.to_owned()],
            });
        }
    }

    #[test]
    fn the_last_stage_of_a_dockerfile_counts() {
        let text = "FROM rust AS build\nUSER root\nEXPOSE 1\nFROM scratch\nexpose 8080/tcp 9090\nUSER 1000:1000\n# USER x\n";
        assert_eq!(Dockerfile::read("D", text), dockerfile("D", Some(8080), Some("1000")));
        assert_eq!(Dockerfile::read("D", "EXPOSE $PORT\nUSER ${U}\nEXPOSE 0"), dockerfile("D", None, None));
    }
}
