//! Uids and generated names: unlike one another, and the same in every run.

/// The alphabet of generated names: no vowels, no look-alikes.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

#[derive(Debug, Clone)]
pub(super) struct Ids {
    state: u64,
}

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// With this a new one goes on where this one stands.
    pub(super) fn state(&self) -> u64 {
        self.state
    }

    /// The next number of a splitmix64 sequence.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A text of the form of a random UUID.
    pub(super) fn uid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        let digits = u128::from(a >> 32) << 96
            | u128::from(a >> 16 & 0xffff) << 80
            | u128::from(0x4000 | a & 0xfff) << 64
            | u128::from(0x8000 | (b >> 48) & 0x3fff) << 48
            | u128::from(b & 0xffff_ffff_ffff);
        let mut text = [b'-'; 36];
        let places = (0..36).filter(|at| !matches!(at, 8 | 13 | 18 | 23));
        for (at, place) in places.enumerate() {
            // 32 digits of four bits, the highest first.
            text[place] = hex_digit(u8::try_from(digits >> (4 * (31 - at)) & 0xf).unwrap_or(0));
        }
        String::from_utf8(text.to_vec()).unwrap_or_default()
    }

    /// Five letters for the end of a generated name.
    pub(super) fn suffix(&mut self) -> String {
        let mut n = self.next();
        let mut text = String::with_capacity(5);
        for _ in 0..5 {
            text.push(char::from(ALPHABET[usize::try_from(n % 27).unwrap_or(0)]));
            n /= 27;
        }
        text
    }
}

/// A digit below 16 as a letter.
pub(super) fn hex_digit(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_have_the_form_of_random_ones() {
        let mut ids = Ids::new(7);
        for _ in 0..100 {
            let uid = ids.uid();
            let parts: Vec<&str> = uid.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{uid}");
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{uid}");
        }
    }
}
