//! Reading fields of API objects.

use jiff::Timestamp;
use serde_json::Value;

use crate::time;

/// A number, or what it is when absent.
pub(crate) fn int(value: &Value, otherwise: i64) -> i64 {
    value.as_i64().unwrap_or(otherwise)
}

/// A count that is zero when absent.
pub(crate) fn count(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// A length as a number of the API.
pub(crate) fn len(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A number of the API as a length; none below zero.
pub(crate) fn size(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}

/// A text, empty when absent.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A moment.
pub(crate) fn moment(value: &Value) -> Option<Timestamp> {
    time::parse(value.as_str()?)
}

/// The entries of a list, none when absent.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A number or a share in percent, of a whole.
pub(crate) fn share(value: &Value, of: i64, round_up: bool) -> i64 {
    if let Some(n) = value.as_i64() {
        return n;
    }
    let Some(percent) = text(value).strip_suffix('%').and_then(|p| p.parse::<i64>().ok()) else { return 0 };
    let product = percent * of;
    if round_up { (product + 99).div_euclid(100) } else { product.div_euclid(100) }
}
