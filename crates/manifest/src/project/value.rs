//! The scalars of `release.yaml`: each is checked when it is read, so that the complaint has its place.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use release_core::{ProjectName, ServiceName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};

use super::decode::AS_WRITTEN;
use crate::{Amount, Need, Quantity};

macro_rules! schema {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// A value that is read from a text by a function.
macro_rules! text_value {
    ($name:ident($inner:ty), $expecting:literal, $parse:expr, $schema:tt) => {
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextVisitor;

                impl Visitor<'_> for TextVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        let parse: fn(&str) -> Result<$inner, String> = $parse;
                        parse(text).map($name).map_err(E::custom)
                    }
                }

                deserializer.deserialize_newtype_struct(AS_WRITTEN, TextVisitor)
            }
        }

        schema!($name, $schema);
    };
}

text_value!(Period(Duration), "a duration such as `30s`", parse_period, {
    "description": "a duration: `500ms`, `30s`, `5m`, `1h`, `1m30s`",
    "type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"
});
text_value!(Amounted(Quantity), "a quantity such as `100m` or `128Mi`", |text| {
    text.parse().map_err(|error: crate::QuantityError| error.to_string())
}, {
    "description": "a Kubernetes quantity: `100m`, `0.5`, `128Mi`",
    "type": ["string", "number"]
});
text_value!(HttpPath(String), "a path such as `/healthz`", parse_path, {
    "description": "an HTTP path", "type": "string", "pattern": "^/"
});
text_value!(Folder(String), "an absolute path such as `/config`", parse_folder, {
    "description": "an absolute path in the container", "type": "string", "pattern": "^/."
});
text_value!(EnvName(String), "a name", parse_env_name, {
    "type": "string", "pattern": "^[-._a-zA-Z][-._a-zA-Z0-9]*$"
});
text_value!(EnvText(String), "a text, a number or a boolean", |text| Ok(text.to_owned()), {
    "description": "a text; numbers and booleans are taken as they are written. `${VAR}` is filled in, `$${` stands for `${`",
    "type": ["string", "number", "boolean"]
});
text_value!(Needed(Need), "the name of a service, or `project/service`", parse_need, {
    "description": "a service of this project, or `project/service` of another one", "type": "string"
});

impl Ord for EnvName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for EnvName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for EnvName {}

/// A month: no wait in a release is longer, and the sums of durations stay far from every overflow.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

fn parse_period(text: &str) -> Result<Duration, String> {
    let fail = || {
        format!("`{text}` is not a duration: write a number and a unit, as in `500ms`, `30s`, `5m` or `1h`")
    };
    let mut rest = text;
    let mut sum = Duration::ZERO;
    if rest == "0" {
        return Ok(sum);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = rest[..digits].parse().map_err(|_| fail())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(fail()),
        };
        rest = &rest[letters..];
        sum = unit.checked_mul(number).and_then(|more| sum.checked_add(more)).ok_or_else(fail)?;
    }
    if text.is_empty() {
        return Err(fail());
    }
    if sum > LONGEST { Err(format!("`{text}` is longer than 31 days")) } else { Ok(sum) }
}

fn parse_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("the path `{text}` must start with `/`"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("the path `{text}` must not contain white space"));
    }
    Ok(text.to_owned())
}

fn parse_folder(text: &str) -> Result<String, String> {
    let parts = || text.split('/').skip(1);
    if !text.starts_with('/')
        || text.len() < 2
        || parts().any(|part| part.is_empty() || part == "." || part == "..")
    {
        return Err(format!(
            "`{text}` must be an absolute path other than `/`, without `.`, `..` or a `/` at its end"
        ));
    }
    // The kubelet takes what follows a colon as mount options.
    if text.contains(':') { Err(format!("`{text}` must not contain `:`")) } else { Ok(text.to_owned()) }
}

/// The rule of Kubernetes (C identifiers, and `-` and `.` besides).
fn parse_env_name(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if text.is_empty() || !text.bytes().all(good) || text.as_bytes()[0].is_ascii_digit() {
        return Err(format!(
            "`{text}` cannot name a variable: letters, digits, `_`, `-` and `.`, not starting with a digit"
        ));
    }
    Ok(text.to_owned())
}

fn parse_need(text: &str) -> Result<Need, String> {
    let name = |text: &str| text.parse::<ServiceName>().map_err(|error| error.to_string());
    match text.split_once('/') {
        None => Ok(Need::Own(name(text)?)),
        Some((project, service)) => Ok(Need::Other {
            project: project.parse::<ProjectName>().map_err(|error| error.to_string())?,
            service: name(service)?,
        }),
    }
}

/// A TCP port.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Port(pub(crate) u16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(Self(port)),
            _ => Err(D::Error::custom(format!("a port is a number from 1 to 65535, and this is {number}"))),
        }
    }
}

schema!(Port, { "description": "a TCP port", "type": "integer", "minimum": 1, "maximum": 65535 });

/// How many pods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Replicas(pub(crate) u32);

impl Replicas {
    /// More is a typing error: it is a tenth of what a whole cluster is tested with, for one service.
    pub(crate) const MAX: u32 = 10_000;
}

impl<'de> Deserialize<'de> for Replicas {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        match u32::try_from(number) {
            Ok(replicas) if replicas <= Self::MAX => Ok(Self(replicas)),
            _ => Err(D::Error::custom(format!("must be a number from 0 to {}, and is {number}", Self::MAX))),
        }
    }
}

schema!(Replicas, { "description": "a number of pods", "type": "integer", "minimum": 0, "maximum": 10000 });

/// A number of pods, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share(pub(crate) Amount);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShareVisitor;

        impl Visitor<'_> for ShareVisitor {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of pods or a share such as `25%`")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Share, E> {
                match u32::try_from(number) {
                    Ok(count) if count <= Replicas::MAX => Ok(Share(Amount::Count(count))),
                    _ => Err(E::custom(format!("must be a number from 0 to {}", Replicas::MAX))),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Share, E> {
                match text.strip_suffix('%').and_then(|number| number.parse().ok()) {
                    Some(percent) if percent <= 100 => Ok(Share(Amount::Percent(percent))),
                    _ => Err(E::custom(format!(
                        "`{text}` is neither a number of pods nor a share such as `25%`"
                    ))),
                }
            }
        }

        deserializer.deserialize_any(ShareVisitor)
    }
}

schema!(Share, {
    "description": "a number of pods, or a share of them such as `25%`",
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]
});

/// Good status codes: `200`, `[200, 204]`, `200-299`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statuses(pub(crate) Vec<std::ops::RangeInclusive<u16>>);

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusVisitor;

        fn code<E: Error>(number: u64) -> Result<u16, E> {
            match u16::try_from(number) {
                Ok(code @ 100..=599) => Ok(code),
                _ => {
                    Err(E::custom(format!("a status code is a number from 100 to 599, and this is {number}")))
                }
            }
        }

        impl<'de> Visitor<'de> for StatusVisitor {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status code, a range such as `200-299`, or a list of them")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Statuses, E> {
                code(number).map(|code| Statuses(vec![code..=code]))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                let range = text.split_once('-').and_then(|(from, to)| {
                    Some((from.trim().parse::<u64>().ok()?, to.trim().parse::<u64>().ok()?))
                });
                match range {
                    Some((from, to)) if from <= to => Ok(Statuses(vec![code(from)?..=code(to)?])),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Statuses, A::Error> {
                let mut all = Vec::new();
                while let Some(Statuses(mut some)) = access.next_element()? {
                    all.append(&mut some);
                }
                if all.is_empty() {
                    Err(A::Error::custom("a list of status codes must not be empty"))
                } else {
                    Ok(Statuses(all))
                }
            }
        }

        deserializer.deserialize_any(StatusVisitor)
    }
}

schema!(Statuses, {
    "description": "good status codes: `200`, `200-299`, or a list of both",
    "type": ["integer", "string", "array"],
    "items": {"type": ["integer", "string"]}
});

/// What a feature that does not exist yet is configured with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

schema!(Anything, { "description": "not part of this version" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1m30s", 90_000), ("0", 0), ("0s", 0)]
        {
            assert_eq!(parse_period(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "30", "s", "-1s", "1.5m", "1d", "5 m", "99999999999s", "999h999h", "é"] {
            assert!(parse_period(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_are_absolute_and_plain() {
        assert_eq!(parse_folder("/etc/app"), Ok("/etc/app".to_owned()));
        for bad in ["", "/", "etc", "/etc/", "/etc/../x", "/a:ro", "//a"] {
            assert!(parse_folder(bad).is_err(), "{bad}");
        }
    }
}
