//! What particular registries can and cannot do, as data.
//!
//! The specification lets a client choose how it uploads; these registries understand one way only. A registry that is not
//! in the table is asked to do what the specification says, and the upload falls back by itself where it refuses.

/// One kind of registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Profile {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Its hosts; `*` stands for anything.
    hosts: &'static [&'static str],
    /// Whether a blob may be sent in parts. Otherwise the whole of it goes up in one request.
    pub(crate) parts: bool,
    /// Whether blobs can be mounted from another repository.
    pub(crate) mount: bool,
    /// Whether reading a manifest counts against a limit of pulls.
    pub(crate) counts_pulls: bool,
}

/// What a registry nobody has described is taken for.
const DEFAULT: Profile =
    Profile { name: "any", hosts: &["*"], parts: true, mount: true, counts_pulls: false };

const PROFILES: &[Profile] = &[
    // A second PATCH is accepted and its bytes are not kept.
    Profile {
        name: "ecr",
        hosts: &["*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com.cn"],
        parts: false,
        mount: true,
        counts_pulls: false,
    },
    // Mounting fails there.
    Profile {
        name: "ecr-public",
        hosts: &["public.ecr.aws"],
        parts: false,
        mount: false,
        counts_pulls: false,
    },
    // Chunked uploads are not offered.
    Profile {
        name: "google",
        hosts: &["gcr.io", "*.gcr.io", "*-docker.pkg.dev"],
        parts: false,
        mount: true,
        counts_pulls: false,
    },
    // A PATCH of more than 4 MiB is answered with 416; one PUT may have any size.
    Profile { name: "ghcr", hosts: &["ghcr.io"], parts: false, mount: true, counts_pulls: false },
    // Everything as specified; a mount without a source, which is not sent, would be refused.
    Profile { name: "quay", hosts: &["quay.io"], parts: true, mount: true, counts_pulls: false },
    // Tokens live five minutes, however long a blob takes: they are renewed before they end.
    Profile {
        name: "gitlab",
        hosts: &["registry.gitlab.com"],
        parts: true,
        mount: true,
        counts_pulls: false,
    },
    // Its pulls are limited.
    Profile { name: "docker-hub", hosts: &["docker.io"], parts: false, mount: true, counts_pulls: true },
];

impl Profile {
    /// The profile of this name, or of the registry at `host`.
    pub(crate) fn expected(name: Option<&str>, host: &str) -> &'static Self {
        let named = name.and_then(|name| PROFILES.iter().find(|profile| profile.name == name));
        named.unwrap_or_else(|| Self::of(host))
    }

    /// The profile of the registry at `host`.
    pub(crate) fn of(host: &str) -> &'static Self {
        PROFILES
            .iter()
            .find(|profile| profile.hosts.iter().any(|pattern| matches(pattern, host)))
            .unwrap_or(&DEFAULT)
    }
}

/// Whether `host` has the pattern's parts in their order, the first at its beginning and the last at its end.
fn matches(pattern: &str, host: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = host.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_known_by_their_hosts() {
        for (host, name) in [
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "ecr"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
            ("public.ecr.aws", "ecr-public"),
            ("gcr.io", "google"),
            ("eu.gcr.io", "google"),
            ("europe-west3-docker.pkg.dev", "google"),
            ("ghcr.io", "ghcr"),
            ("docker.io", "docker-hub"),
            ("quay.io", "quay"),
            ("registry.gitlab.com", "gitlab"),
            ("registry.example.com", "any"),
            ("127.0.0.1:5000", "any"),
            ("ghcr.io.example.com", "any"),
            ("dkr.ecr.example.com", "any"),
        ] {
            assert_eq!(Profile::of(host).name, name, "{host}");
        }
    }
}
