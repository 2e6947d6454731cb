//! A length of time that is fixed, or drawn between two: `2s`, `1s..4s`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::de::{Deserialize, Deserializer, Error};

use super::dice::Dice;

/// A duration, or the two between which it is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// The shortest.
    pub least: Duration,
    /// The longest; the same as `least` when nothing is drawn.
    pub most: Duration,
}

impl Span {
    /// Always the same.
    pub const fn fixed(length: Duration) -> Self {
        Self { least: length, most: length }
    }

    /// Always so many milliseconds.
    pub const fn millis(length: u64) -> Self {
        Self::fixed(Duration::from_millis(length))
    }

    /// The n-th draw.
    pub fn draw(&self, dice: Dice, n: u64) -> Duration {
        if self.least == self.most { self.least } else { dice.between(n, self.least, self.most) }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let one = |text: &str| {
            let length: SignedDuration =
                text.trim().parse().map_err(|_| format!("\"{text}\" is no duration, as in 1m30s"))?;
            Duration::try_from(length).map_err(|_| format!("\"{text}\" is negative"))
        };
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (one(least)?, one(most)?),
            None => (one(text)?, one(text)?),
        };
        if least > most {
            return Err(format!("\"{text}\" starts above its end"));
        }
        Ok(Self { least, most })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_ranges_are_read() {
        let ms =
            |least, most| Span { least: Duration::from_millis(least), most: Duration::from_millis(most) };
        for (text, want) in [
            ("2s", ms(2000, 2000)),
            ("5ms..20ms", ms(5, 20)),
            ("1m30s", ms(90_000, 90_000)),
            ("0s", ms(0, 0)),
        ] {
            assert_eq!(Span::parse(text), Ok(want), "{text}");
        }
        for text in ["", "2", "x..2s", "3s..1s", "-1s"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn draws_stay_inside() {
        let span = Span::parse("1s..2s").unwrap_or_default();
        let dice = Dice::new(3, "pod", "start");
        for n in 0..100 {
            let length = span.draw(dice, n);
            assert!(span.least <= length && length <= span.most);
        }
    }
}
