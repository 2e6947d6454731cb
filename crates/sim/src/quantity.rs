//! Quantities of resources: read, compared, added, and written as the API server writes them.

/// How many parts one unit is counted in: nothing smaller than a nano is kept.
const NANO: i128 = 1_000_000_000;

/// Suffixes to the base ten, as nanos.
const DECIMAL: &[(&str, i128)] = &[
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("", NANO),
    ("k", NANO * 1_000),
    ("M", NANO * 1_000_000),
    ("G", NANO * 1_000_000_000),
    ("T", NANO * 1_000_000_000_000),
    ("P", NANO * 1_000_000_000_000_000),
    ("E", NANO * 1_000_000_000_000_000_000),
];

/// Suffixes to the base two.
const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// How a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

/// An amount of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nanos: i128,
    form: Form,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, form: Form::Decimal };

    /// A whole number.
    pub fn whole(n: i64) -> Self {
        Self { nanos: i128::from(n) * NANO, form: Form::Decimal }
    }

    /// Reads `500m`, `1.5Gi`, `2e3`.
    pub fn parse(text: &str) -> Option<Self> {
        let end =
            text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        if let Some((_, bits)) = BINARY.iter().find(|(s, _)| *s == suffix) {
            return Some(Self { nanos: scale(number, NANO << bits)?, form: Form::Binary });
        }
        if let Some((_, unit)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
            return Some(Self { nanos: scale(number, *unit)?, form: Form::Decimal });
        }
        let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        let unit = if exponent >= 0 {
            NANO.checked_mul(10_i128.checked_pow(exponent.unsigned_abs())?)?
        } else {
            NANO.checked_div(10_i128.checked_pow(exponent.unsigned_abs())?)?
        };
        Some(Self { nanos: scale(number, unit)?, form: Form::Exponent })
    }

    /// Thousandths, rounded up: what CPUs are counted in.
    pub fn millis(self) -> i64 {
        i64::try_from(self.nanos.div_euclid(1_000_000) + i128::from(self.nanos.rem_euclid(1_000_000) > 0))
            .unwrap_or(i64::MAX)
    }

    /// Whole units, rounded up: what bytes and objects are counted in.
    pub fn units(self) -> i64 {
        i64::try_from(self.nanos.div_euclid(NANO) + i128::from(self.nanos.rem_euclid(NANO) > 0))
            .unwrap_or(i64::MAX)
    }

    /// The sum, written as the first is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let form = if self.nanos == 0 { other.form } else { self.form };
        Self { nanos: self.nanos.saturating_add(other.nanos), form }
    }

    /// Less so much.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(other.nanos), form: self.form }
    }

    /// Whether there is none.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let is_small = self.nanos.abs() < 1024 * NANO || self.nanos % NANO != 0;
        if self.form == Form::Binary && !is_small {
            let whole = self.nanos / NANO;
            let bits = BINARY.iter().rev().find(|(_, bits)| whole % (1 << bits) == 0);
            return match bits {
                Some((suffix, bits)) => write!(f, "{}{suffix}", whole >> bits),
                None => write!(f, "{whole}"),
            };
        }
        let (suffix, unit) =
            DECIMAL.iter().rev().find(|(_, unit)| self.nanos % unit == 0).unwrap_or(&DECIMAL[0]);
        if self.form == Form::Exponent && *unit > NANO {
            let exponent = (unit / NANO).ilog10();
            return write!(f, "{}e{exponent}", self.nanos / unit);
        }
        write!(f, "{}{suffix}", self.nanos / unit)
    }
}

/// A decimal number times a unit, rounded up away from zero.
fn scale(number: &str, unit: i128) -> Option<i128> {
    let (sign, digits) = match number.as_bytes().first()? {
        b'-' => (-1, &number[1..]),
        b'+' => (1, &number[1..]),
        _ => (1, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = &fraction[..fraction.len().min(12)];
    let below = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? };
    let parts = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let below = below.checked_mul(unit)?;
    let below = below / parts + i128::from(below % parts > 0);
    Some(sign * whole.checked_mul(unit)?.checked_add(below)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_in_their_shortest_form() {
        for (text, canonical) in [
            ("0.5", "500m"),
            ("500m", "500m"),
            ("1000m", "1"),
            ("1", "1"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("128Mi", "128Mi"),
            ("1000", "1k"),
            ("0", "0"),
            ("1e3", "1e3"),
            ("512Ki", "512Ki"),
            ("100", "100"),
            ("1.0", "1"),
            ("0.1", "100m"),
            ("1500", "1500"),
            ("1025Ki", "1025Ki"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
        }
        for bad in ["", "x", "1Q", "1.2.3", "m"] {
            assert!(Quantity::parse(bad).is_none(), "{bad}");
        }
        assert!(Quantity::parse("1Gi") > Quantity::parse("1G"));
        assert_eq!(Quantity::parse("0.1").unwrap().millis(), 100);
    }
}
