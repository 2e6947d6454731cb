//! Who builds, and from which sources: what a CI system says about the job it runs.
//!
//! Nothing is asked and nothing is read: variables come in, addresses go out. Addresses never carry credentials.

/// Whoever is not a CI system.
const ELSEWHERE: &str =
    "https://github.com/release-tool/release/blob/main/docs/design/supply-chain.md#local-builder";

/// Who builds, and what the run is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// The address of the runner.
    pub id: String,
    /// The address of the run, where there is one.
    pub invocation: Option<String>,
}

impl Builder {
    /// From the variables of GitLab CI and of GitHub Actions; anybody else is a builder whom nothing is known about.
    pub fn of(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let of = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let (Some(project), Some(runner)) = (of("CI_PROJECT_URL"), of("CI_RUNNER_ID")) {
            let project = without_user(&project);
            let invocation = of("CI_JOB_URL").map(|job| without_user(&job));
            return Self { id: format!("{project}/-/runners/{runner}"), invocation };
        }
        if let (Some(server), Some(workflow)) = (of("GITHUB_SERVER_URL"), of("GITHUB_WORKFLOW_REF")) {
            let invocation = of("GITHUB_REPOSITORY").zip(of("GITHUB_RUN_ID")).map(|(repository, run)| {
                let attempt = of("GITHUB_RUN_ATTEMPT").unwrap_or_else(|| "1".to_owned());
                format!("{server}/{repository}/actions/runs/{run}/attempts/{attempt}")
            });
            return Self { id: format!("{server}/{workflow}"), invocation };
        }
        Self { id: ELSEWHERE.to_owned(), invocation: None }
    }
}

/// The sources an image is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Where they are kept: `https://git.example.com/radio`.
    pub url: Option<String>,
    /// The commit.
    pub commit: String,
    /// Whether there were changes that nobody committed.
    pub dirty: bool,
}

impl Sources {
    /// Their address as provenance has it: `git+https://…`. Nothing for a remote that only a machine knows, such as a path.
    pub fn uri(&self) -> Option<String> {
        let url = self.url.as_deref()?.trim();
        // `git@host:group/project.git`, as ssh has it.
        let scp = url.split_once(':').filter(|(host, path)| {
            !host.contains('/') && !path.starts_with("//") && !path.starts_with('\\') && host.contains('.')
        });
        let url = match scp {
            Some((host, path)) => format!("ssh://{}/{}", host.rsplit('@').next().unwrap_or(host), path),
            None => without_user(url),
        };
        let known = ["https://", "http://", "ssh://", "git://"].iter().any(|scheme| url.starts_with(scheme));
        known.then(|| format!("git+{url}"))
    }
}

/// An address without a user and a password: CI systems put tokens there.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(variables: &[(&str, &str)]) -> (String, Option<String>) {
        let found = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let builder = Builder::of(&found);
        (builder.id, builder.invocation)
    }

    #[test]
    fn a_ci_system_says_who_builds() {
        let gitlab = [
            ("CI_PROJECT_URL", "https://git.example.com/group/radio"),
            ("CI_RUNNER_ID", "7"),
            ("CI_JOB_URL", "https://git.example.com/group/radio/-/jobs/42"),
        ];
        let github = [
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_WORKFLOW_REF", "radio/player/.github/workflows/release.yml@refs/heads/main"),
            ("GITHUB_REPOSITORY", "radio/player"),
            ("GITHUB_RUN_ID", "99"),
            ("GITHUB_RUN_ATTEMPT", "2"),
        ];
        for (variables, id, invocation) in [
            (
                &gitlab[..],
                "https://git.example.com/group/radio/-/runners/7",
                Some("https://git.example.com/group/radio/-/jobs/42"),
            ),
            (&gitlab[..2], "https://git.example.com/group/radio/-/runners/7", None),
            (
                &github[..],
                "https://github.com/radio/player/.github/workflows/release.yml@refs/heads/main",
                Some("https://github.com/radio/player/actions/runs/99/attempts/2"),
            ),
            (&[("CI_PROJECT_URL", ""), ("CI_RUNNER_ID", "")], ELSEWHERE, None),
            (&[], ELSEWHERE, None),
        ] {
            assert_eq!(builder(variables), (id.to_owned(), invocation.map(str::to_owned)));
        }
    }

    #[test]
    fn sources_are_named_by_addresses_that_hold_no_secrets() {
        for (remote, expected) in [
            ("https://git.example.com/radio.git", Some("git+https://git.example.com/radio.git")),
            ("https://ci:hunter2@git.example.com/radio", Some("git+https://git.example.com/radio")),
            ("https://ci:hunter2@git.example.com", Some("git+https://git.example.com")),
            ("git@git.example.com:group/radio.git", Some("git+ssh://git.example.com/group/radio.git")),
            ("ssh://git@git.example.com:2222/radio", Some("git+ssh://git.example.com:2222/radio")),
            ("/srv/git/radio", None),
            ("C:\\git\\radio", None),
            ("file:///srv/git/radio", None),
        ] {
            let sources = Sources { url: Some(remote.to_owned()), commit: String::new(), dirty: false };
            assert_eq!(sources.uri().as_deref(), expected, "{remote}");
        }
    }
}
