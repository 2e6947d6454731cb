//! `WWW-Authenticate`: what a registry asks for ([RFC 9110, 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).
//!
//! Only the two schemes registries use; others are as if they were not there.

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A user and password with every request.
    Basic,
    /// A token from another place.
    Bearer {
        /// The place's URL.
        realm: String,
        /// What the token is for, in the registry's words.
        service: Option<String>,
        /// What the token must allow, if the registry says so.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first challenge of the header that we can meet; a token goes before a password.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let all: Vec<Self> =
            challenges(header).into_iter().filter_map(|(scheme, params)| known(&scheme, &params)).collect();
        all.iter().find(|challenge| **challenge != Self::Basic).or(all.first()).cloned()
    }
}

type Params = Vec<(String, String)>;

fn known(scheme: &str, params: &Params) -> Option<Challenge> {
    let get = |name: &str| {
        params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Challenge::Bearer {
            realm: get("realm")?,
            service: get("service"),
            scope: get("scope"),
        });
    }
    None
}

/// Splits a header into schemes and their parameters. A word that is followed by `=` is a parameter, any other a scheme.
fn challenges(header: &str) -> Vec<(String, Params)> {
    let mut found: Vec<(String, Params)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let word = &rest[..end];
        let after = rest[end..].trim_start();
        if word.is_empty() {
            return found;
        }
        if let Some(value) = after.strip_prefix('=') {
            let (value, left) = value_of(value.trim_start());
            if let Some((_, params)) = found.last_mut() {
                params.push((word.to_owned(), value));
            }
            rest = left;
        } else {
            found.push((word.to_owned(), Params::new()));
            rest = &rest[end..];
        }
    }
}

/// A quoted text or a word, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_real_registries_are_understood() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.into(),
                service: service.map(Into::into),
                scope: scope.map(Into::into),
            })
        };
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull""#,
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/busybox:pull"),
                ),
            ),
            (r#"Basic realm="basic-realm""#, Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (r#"Basic realm="a, b", Bearer realm="https://t""#, bearer("https://t", None, None)),
            (r#"bearer  realm = "https://t" , service=s"#, bearer("https://t", Some("s"), None)),
            (
                r#"Bearer realm="https://t",scope="a:b:pull,push""#,
                bearer("https://t", None, Some("a:b:pull,push")),
            ),
            (r#"Bearer realm="a\"b""#, bearer("a\"b", None, None)),
            (r#"Bearer realm="unended"#, bearer("unended", None, None)),
            ("Bearer service=\"s\"", None),
            ("Negotiate", None),
            ("Negotiate, Basic", Some(Challenge::Basic)),
            ("", None),
            ("=,=", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }
}
