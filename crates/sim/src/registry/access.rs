//! Who may do what: users, and what each repository grants them.

use release_core::Secret;

/// Something one can be allowed to do with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Read blobs, manifests, tags and referrers.
    Pull,
    /// Write blobs, manifests and tags.
    Push,
    /// Delete them.
    Delete,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    /// The word for it in scopes.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

/// Actions allowed in some repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// A repository's name, `prefix/*`, or `*` for all.
    pub repositories: String,
    /// What is allowed there.
    pub actions: Vec<Action>,
}

impl Grant {
    /// A grant of `actions` in `repositories`.
    pub fn new(repositories: impl Into<String>, actions: &[Action]) -> Self {
        Self { repositories: repositories.into(), actions: actions.to_vec() }
    }

    fn allows(&self, repository: &str, action: Action) -> bool {
        matches(&self.repositories, repository) && self.actions.contains(&action)
    }
}

/// Whether any of `grants` allows `action`.
pub(super) fn allows(grants: &[Grant], repository: &str, action: Action) -> bool {
    grants.iter().any(|grant| grant.allows(repository, action))
}

/// Whether a name fits a pattern: itself, or a beginning followed by `*`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

/// Somebody with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// What is allowed.
    pub grants: Vec<Grant>,
}

impl User {
    /// A user who may do everything everywhere.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        let grants = vec![Grant::new("*", &Action::ALL)];
        Self { name: name.into(), password: Secret::new(password), grants }
    }

    /// The same user with these grants only.
    #[must_use]
    pub fn with_grants(self, grants: Vec<Grant>) -> Self {
        Self { grants, ..self }
    }
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// Everybody may do everything, and nobody is asked who they are.
    #[default]
    Open,
    /// As granted.
    Restricted {
        /// Who is known.
        users: Vec<User>,
        /// What is allowed without saying who one is.
        anonymous: Vec<Grant>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_about_the_repositories_it_names() {
        for (pattern, name, expected) in [
            ("*", "a/b", true),
            ("a/*", "a/b", true),
            ("a/*", "ab", false),
            ("a", "a", true),
            ("a", "a/b", false),
        ] {
            let grant = [Grant::new(pattern, &[Action::Pull])];
            assert_eq!(allows(&grant, name, Action::Pull), expected, "{pattern} {name}");
            assert!(!allows(&grant, name, Action::Push));
        }
    }
}
