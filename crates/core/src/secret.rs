//! Values that must not be displayed.

use std::fmt;

/// A text that is never displayed, logged or serialized. [`Secret::expose`] is the only way to it, and easy to search for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Hand it to the one place that needs it, never to a message.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a registry wants to know before it lets someone in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user and a password (or an access token in its place).
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// An OAuth2 refresh token, which Docker calls an identity token.
    IdentityToken(Secret),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let credentials = Credentials::Basic { username: "ci".into(), password: Secret::new("hunter2") };
        let shown = format!("{credentials:?}");
        assert!(shown.contains("ci") && !shown.contains("hunter2"), "{shown}");
    }
}
