//! The well-known registries, each as far as clients have stumbled over it.
//!
//! Only deviations that somebody has run into are here; everything else is as in [`Profile::PLAIN`]. Where only the fact is
//! public and not the exact answer, the answer is a guess, and the comment says so.

use std::time::Duration;

use super::profile::{Chunks, Locations, Mount, Profile, PullLimit, Repositories, Scheme, Sourceless};

const MIB: u64 = 1024 * 1024;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Profile {
    /// The specification, and nothing else.
    pub const PLAIN: Self = Self {
        name: "plain",
        scheme: Scheme::Bearer(Duration::from_secs(300)),
        open_root: false,
        anonymous_tokens: false,
        repositories: Repositories::OnPush,
        chunks: Chunks::InOrder { min_bytes: None, max_bytes: None },
        max_request_bytes: None,
        max_manifest_bytes: 4 * MIB,
        single_post: true,
        mount: Mount::Supported,
        sourceless: Sourceless::Searched,
        referrers: true,
        sparse_indexes: false,
        hides_unaccepted: false,
        deletes_blobs: true,
        deletes_manifests: true,
        deletes_tags: true,
        redirects_blobs: false,
        locations: Locations::Relative,
        pull_limit: None,
        catalog: true,
        page: 1_000,
        warning: None,
    };

    /// Amazon's: a second chunk is answered 201 and lost (that a last one with the `PUT` is lost, too, is a guess), repositories are not created by a push, mounts do not work across
    /// repositories.
    pub const ECR: Self = Self {
        name: "ecr",
        scheme: Scheme::Basic,
        repositories: Repositories::Before,
        chunks: Chunks::Stuck,
        mount: Mount::Ignored,
        sourceless: Sourceless::Ignored,
        redirects_blobs: true,
        locations: Locations::Absolute,
        ..Self::PLAIN
    };

    /// GitHub's: a chunk of more than 4 MiB is answered 416, there is no referrers API, blobs live on another host, things are
    /// deleted through another API.
    pub const GHCR: Self = Self {
        name: "ghcr",
        scheme: Scheme::Bearer(Duration::from_secs(300)),
        anonymous_tokens: true,
        chunks: Chunks::InOrder { min_bytes: None, max_bytes: Some(4 * MIB) },
        referrers: false,
        redirects_blobs: true,
        deletes_blobs: false,
        deletes_manifests: false,
        deletes_tags: false,
        catalog: false,
        ..Self::PLAIN
    };

    /// Google's: no chunks at all (that the answer is 405 is a guess), and addresses that change with every answer.
    pub const GAR: Self = Self {
        name: "gar",
        scheme: Scheme::Bearer(HOUR),
        chunks: Chunks::Refused,
        locations: Locations::Stateful,
        redirects_blobs: true,
        ..Self::PLAIN
    };

    /// Docker's: everybody needs a token, which lives five minutes; 100 anonymous pulls in six hours; things are deleted
    /// through another API.
    pub const DOCKER_HUB: Self = Self {
        name: "docker-hub",
        scheme: Scheme::Bearer(Duration::from_secs(300)),
        anonymous_tokens: true,
        pull_limit: Some(PullLimit { pulls: 100, per: Duration::from_secs(6 * 60 * 60) }),
        redirects_blobs: true,
        locations: Locations::Stateful,
        catalog: false,
        deletes_blobs: false,
        deletes_manifests: false,
        deletes_tags: false,
        ..Self::PLAIN
    };

    /// Harbor: a mount from a name without `/` is answered 400, which is no reason to give up.
    pub const HARBOR: Self = Self {
        name: "harbor",
        scheme: Scheme::Bearer(MINUTE.saturating_mul(30)),
        mount: Mount::NotFromTopLevel,
        locations: Locations::Stateful,
        ..Self::PLAIN
    };

    /// Quay: a mount that names no source is answered 400.
    pub const QUAY: Self = Self {
        name: "quay",
        scheme: Scheme::Bearer(HOUR),
        sourceless: Sourceless::Refused,
        redirects_blobs: true,
        ..Self::PLAIN
    };

    /// GitLab, and others whose tokens live five minutes however long a layer takes: the final `PUT` is answered 401.
    pub const GITLAB: Self = Self {
        name: "gitlab",
        scheme: Scheme::Bearer(Duration::from_secs(300)),
        locations: Locations::Stateful,
        catalog: false,
        ..Self::PLAIN
    };

    /// Any registry behind Cloudflare's free plans: no request of more than 100 MB.
    pub const CLOUDFLARE: Self =
        Self { name: "cloudflare", max_request_bytes: Some(100_000_000), ..Self::PLAIN };

    /// A registry that lets everybody see `/v2/`, and nobody a repository. Clients that only try the former believe that
    /// they need no password.
    pub const OPEN_ROOT: Self = Self { name: "open-root", open_root: true, ..Self::PLAIN };

    /// A registry from before version 1.1 of the specification: no referrers API, no search for sources of mounts.
    pub const BEFORE_1_1: Self = Self {
        name: "before-1.1",
        referrers: false,
        sourceless: Sourceless::Ignored,
        single_post: false,
        hides_unaccepted: true,
        locations: Locations::Stateful,
        deletes_tags: false,
        ..Self::PLAIN
    };

    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::PLAIN,
        Self::ECR,
        Self::GHCR,
        Self::GAR,
        Self::DOCKER_HUB,
        Self::HARBOR,
        Self::QUAY,
        Self::GITLAB,
        Self::CLOUDFLARE,
        Self::OPEN_ROOT,
        Self::BEFORE_1_1,
    ];

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }
}
