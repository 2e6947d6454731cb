//! Tokens: what they allow, and until when.

use std::collections::BTreeMap;

use release_core::MonoTime;

use super::access::Action;

/// The most tokens of a kind that are known at once; the ones that end first are forgotten.
const MAX_TOKENS: usize = 1_000;

/// What a token is good for.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// Whose it is; `None` for nobody's.
    pub(super) user: Option<String>,
    /// What it allows in which repositories.
    pub(super) scopes: Vec<Scope>,
    pub(super) expires: MonoTime,
}

/// A part of a scope: a repository and actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) repository: String,
    pub(super) actions: Vec<Action>,
}

impl Scope {
    /// Reads scopes (`repository:NAME:ACTIONS`, several with spaces between). What is not about a repository is left out.
    pub(super) fn parse_all(text: &str) -> Vec<Self> {
        text.split(' ').filter_map(Self::parse).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, words) = text.strip_prefix("repository:")?.rsplit_once(':')?;
        let asked = |action: &Action| words.split(',').any(|word| word == action.word() || word == "*");
        Some(Self { repository: name.to_owned(), actions: Action::ALL.into_iter().filter(asked).collect() })
    }

    /// How it is written.
    pub(super) fn text(repository: &str, actions: &[Action]) -> String {
        let words: Vec<&str> = actions.iter().map(|action| action.word()).collect();
        format!("repository:{repository}:{}", words.join(","))
    }
}

/// All tokens there are.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    access: BTreeMap<String, Token>,
    /// Refresh tokens, and whose they are.
    refresh: BTreeMap<String, String>,
}

impl Tokens {
    pub(super) fn add(&mut self, text: String, token: Token, now: MonoTime) {
        self.access.retain(|_, token| token.expires > now);
        if self.access.len() >= MAX_TOKENS {
            let first =
                self.access.iter().min_by_key(|(_, token)| token.expires).map(|(text, _)| text.clone());
            first.and_then(|text| self.access.remove(&text));
        }
        self.access.insert(text, token);
    }

    /// A token that is known and has not expired.
    pub(super) fn get(&self, text: &str, now: MonoTime) -> Option<&Token> {
        self.access.get(text).filter(|token| token.expires > now)
    }

    /// Ends a token.
    pub(super) fn expire(&mut self, text: &str) {
        self.access.remove(text);
    }

    pub(super) fn add_refresh(&mut self, text: String, user: String) {
        if self.refresh.len() >= MAX_TOKENS {
            self.refresh.pop_first();
        }
        self.refresh.insert(text, user);
    }

    /// Whose a refresh token is.
    pub(super) fn refresher(&self, text: &str) -> Option<&str> {
        self.refresh.get(text).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        let scope =
            |name: &str, actions: &[Action]| Scope { repository: name.into(), actions: actions.into() };
        for (text, expected) in [
            ("repository:a/b:pull,push", vec![scope("a/b", &[Action::Pull, Action::Push])]),
            ("repository:h:80/a:pull", vec![scope("h:80/a", &[Action::Pull])]),
            ("repository:a:*", vec![scope("a", &Action::ALL)]),
            (
                "repository:a:pull repository:b:delete",
                vec![scope("a", &[Action::Pull]), scope("b", &[Action::Delete])],
            ),
            ("repository:a:fly", vec![scope("a", &[])]),
            ("registry:catalog:*", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(Scope::parse_all(text), expected, "{text}");
        }
        assert_eq!(Scope::text("a", &[Action::Pull, Action::Push]), "repository:a:pull,push");
    }

    #[test]
    fn only_so_many_tokens_are_known() {
        let at = |secs| MonoTime::from_origin(std::time::Duration::from_secs(secs));
        let until = |expires| Token { user: None, scopes: Vec::new(), expires };
        let mut tokens = Tokens::default();
        tokens.add("early".into(), until(at(10)), at(0));
        for i in 0..MAX_TOKENS {
            tokens.add(i.to_string(), until(at(20)), at(0));
        }
        assert!(tokens.get("early", at(0)).is_none() && tokens.get("0", at(0)).is_some());
        assert_eq!(tokens.access.len(), MAX_TOKENS);
        tokens.add("late".into(), until(at(40)), at(30));
        assert_eq!(tokens.access.len(), 1, "those that have expired are forgotten");
    }
}
