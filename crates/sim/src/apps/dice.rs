//! Draws that depend on nothing but a seed, a subject and a number: asking twice gives the same answer, and asking
//! for one thing never changes another.

use std::time::Duration;

/// A source of draws about one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// Draws about `subject` (a pod's uid, say) for one purpose.
    pub fn new(seed: u64, subject: &str, purpose: &str) -> Self {
        // FNV-1a, which is enough to tell subjects apart; `mix` spreads it.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ mix(seed);
        for byte in subject.bytes().chain([0]).chain(purpose.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(mix(hash))
    }

    /// The same subject, another purpose.
    #[must_use]
    pub fn of(self, purpose: &str) -> Self {
        Self::new(self.0, purpose, "")
    }

    /// The n-th number.
    pub fn number(self, n: u64) -> u64 {
        mix(self.0.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// The n-th number below `limit`, zero if `limit` is.
    pub fn below(self, n: u64, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.number(n) % limit }
    }

    /// Whether the n-th draw falls on the side that has this probability.
    pub fn hits(self, n: u64, probability: f64) -> bool {
        self.fraction(n) < probability
    }

    /// The n-th draw between 0 and 1.
    pub fn fraction(self, n: u64) -> f64 {
        // The upper 32 bits are exact in a double.
        f64::from(u32::try_from(self.number(n) >> 32).unwrap_or(0)) / 4_294_967_296.0
    }

    /// The n-th draw between two durations, in whole milliseconds.
    pub fn between(self, n: u64, least: Duration, most: Duration) -> Duration {
        let width = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX - 1);
        least + Duration::from_millis(self.below(n, width + 1))
    }
}

/// The finish of a splitmix64 step.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_has_the_same_answer() {
        let dice = Dice::new(7, "pod", "start");
        assert_eq!(dice.number(3), Dice::new(7, "pod", "start").number(3));
        assert_ne!(dice.number(3), Dice::new(8, "pod", "start").number(3));
        assert_ne!(dice.number(3), Dice::new(7, "pod", "stop").number(3));
    }

    #[test]
    fn probabilities_are_kept() {
        let dice = Dice::new(1, "pod", "errors");
        let hits = (0..10_000).filter(|n| dice.hits(*n, 0.1)).count();
        assert!((900..1100).contains(&hits), "{hits}");
    }
}
