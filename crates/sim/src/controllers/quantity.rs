//! Quantities of resources: `250m`, `1.5`, `64Mi`. Inside they are thousandths.

use serde_json::Value;

/// Suffixes and what they multiply by, in thousandths.
const SUFFIXES: &[(&str, i128)] = &[
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
];

/// Thousandths of the unit; nothing if it cannot be read.
pub(crate) fn millis(value: &Value) -> Option<i128> {
    match value {
        Value::Number(n) => n.as_i64().map(|n| i128::from(n) * 1000),
        Value::String(text) => parse(text),
        _ => None,
    }
}

fn parse(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let scale = match suffix {
        "" => 1000,
        "m" => 1,
        "u" | "n" => return decimal(number, 1).map(|_| 1),
        _ => {
            if let Some(exponent) = suffix.strip_prefix(['e', 'E']).and_then(|e| e.parse::<u32>().ok()) {
                1000 * 10_i128.checked_pow(exponent)?
            } else {
                1000 * SUFFIXES.iter().find(|(s, _)| *s == suffix)?.1
            }
        }
    };
    decimal(number, scale)
}

/// A decimal number times `scale`, rounded up.
fn decimal(number: &str, scale: i128) -> Option<i128> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = whole.checked_mul(scale)?;
    if !part.is_empty() {
        let below = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
        let product = part.parse::<i128>().ok()?.checked_mul(scale)?;
        value += (product + below - 1).div_euclid(below);
    }
    Some(if negative { -value } else { value })
}

/// As Kubernetes writes it back: like the examples it came from, in binary units if `binary`.
pub(crate) fn write(millis: i128, binary: bool) -> String {
    if millis % 1000 != 0 {
        return format!("{millis}m");
    }
    let n = millis / 1000;
    if binary && n != 0 {
        let units = SUFFIXES.iter().filter(|(s, _)| s.ends_with('i')).rev();
        for (suffix, scale) in units {
            if n % scale == 0 {
                return format!("{}{suffix}", n / scale);
            }
        }
    }
    n.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_and_written() {
        for (text, want, back) in [
            ("250m", 250, "250m"),
            ("1.5", 1500, "1500m"),
            ("2", 2000, "2"),
            ("1e3", 1_000_000, "1000"),
            (".5", 500, "500m"),
        ] {
            assert_eq!(millis(&json!(text)), Some(want), "{text}");
            assert_eq!(write(want, false), back);
        }
        assert_eq!(millis(&json!("64Mi")), Some(64 * 1024 * 1024 * 1000));
        assert_eq!(write(64 * 1024 * 1024 * 1000, true), "64Mi");
        assert_eq!(millis(&json!("x")), None);
        assert_eq!(millis(&json!(3)), Some(3000));
    }
}
