//! Kubernetes resource quantities: `100m`, `1.5`, `128Mi`, `2e3`.

use std::fmt;
use std::str::FromStr;

/// An amount of CPU or memory, kept as it was written.
///
/// The grammar is that of
/// [resource.Quantity](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/), without signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity(String);

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a quantity: a number with an optional unit, as in `100m`, `0.5`, `128Mi` or `1Gi`")]
pub struct QuantityError {
    /// The text as it was given.
    pub text: String,
}

const UNITS: &[&str] = &["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The unit at its end, empty when there is none.
    pub fn unit(&self) -> &str {
        self.0.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let quantity = Self(text.to_owned());
        let unit = quantity.unit();
        let number = &text[..text.len() - unit.len()];
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        let good_number = digits > 0 && number.matches('.').count() <= 1 && text.len() <= 32;
        let exponent = unit
            .strip_prefix(['e', 'E'])
            .map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
            .is_some_and(|exponent| {
                (1..=2).contains(&exponent.len()) && exponent.bytes().all(|b| b.is_ascii_digit())
            });
        if good_number && (UNITS.contains(&unit) || exponent) {
            Ok(quantity)
        } else {
            Err(QuantityError { text: text.to_owned() })
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_api_server_takes() {
        for good in ["1", "0.5", ".5", "5.", "100m", "128Mi", "1Gi", "1e3", "1E3", "2e-3", "1E", "500k"] {
            assert_eq!(good.parse::<Quantity>().expect(good).as_str(), good);
        }
        for bad in [
            "", "m", ".", "1.2.3", "128MB", "128 Mi", "128mi", "-1", "+1", "1e", "1e+", "0x10", "1K", "é",
            "1e333",
        ] {
            assert!(bad.parse::<Quantity>().is_err(), "{bad}");
        }
    }
}
