//! Finds many short tokens in one pass over a string. A search for one after the other would read a user agent a
//! hundred times.

/// Whether a word is anywhere in a string. Small code rather than fast: for rare searches, or short strings.
#[inline(never)]
pub(crate) fn has(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

/// A list of tokens with the tables to find them, built at compile time.
#[derive(Debug)]
pub(crate) struct TokenSet<const N: usize> {
    tokens: [&'static str; N],
    /// For each first byte of a token, a bit set of the second bytes (their low six bits).
    seconds: [u64; 256],
    /// For each byte, one more than the index of the last token that begins with it.
    last: [u8; 256],
    /// For each token, one more than the index of the previous token that begins with the same byte.
    before: [u8; N],
    /// For each token, its first four bytes as a number, or fewer if it is shorter, and ones for those.
    starts: [(u32, u32); N],
}

impl<const N: usize> TokenSet<N> {
    /// At most 255 tokens, each of at least two bytes.
    pub(crate) const fn new(tokens: [&'static str; N]) -> Self {
        assert!(N < 256, "a byte for each place");
        let mut set = Self { tokens, seconds: [0; 256], last: [0; 256], before: [0; N], starts: [(0, 0); N] };
        let mut at = 0;
        while at < N {
            let token = tokens[at].as_bytes();
            assert!(token.len() >= 2, "a token has two bytes");
            let first = token[0] as usize;
            set.seconds[first] |= 1 << (token[1] & 63);
            set.before[at] = set.last[first];
            let mut byte = 0;
            while byte < token.len() && byte < 4 {
                set.starts[at].0 |= (token[byte] as u32) << (8 * byte);
                set.starts[at].1 |= 0xff << (8 * byte);
                byte += 1;
            }
            at += 1;
            set.last[first] = at as u8;
        }
        set
    }

    /// The tokens, in their order.
    pub(crate) const fn tokens(&self) -> &[&'static str; N] {
        &self.tokens
    }

    /// The tokens that are anywhere in a string: a bit for each, in their order. For sets of at most 128 tokens.
    pub(crate) fn found_in(&self, text: &[u8]) -> u128 {
        const { assert!(N <= 128, "a bit for each token") };
        let mut found = 0;
        for (at, pair) in text.windows(2).enumerate() {
            if self.seconds[usize::from(pair[0])] >> (pair[1] & 63) & 1 != 0 {
                found |= self.found_at(&text[at..]);
            }
        }
        found
    }

    /// The first position in a string of a token for which `accepts` returns true. `accepts` gets the token's index in
    /// the set and its position. Of several tokens at one position the last of the set is tried first.
    pub(crate) fn first_in(&self, text: &[u8], accepts: impl Fn(usize, usize) -> bool) -> Option<usize> {
        text.windows(2).enumerate().find_map(|(at, pair)| {
            if self.seconds[usize::from(pair[0])] >> (pair[1] & 63) & 1 == 0 {
                return None;
            }
            let mut next = self.last[usize::from(pair[0])];
            while next != 0 {
                let place = usize::from(next) - 1;
                if text[at..].starts_with(self.tokens[place].as_bytes()) && accepts(place, at) {
                    return Some(place);
                }
                next = self.before[place];
            }
            None
        })
    }

    fn found_at(&self, text: &[u8]) -> u128 {
        let mut found = 0;
        let start = text.iter().take(4).rev().fold(0, |start, byte| start << 8 | u32::from(*byte));
        let mut next = self.last[usize::from(text[0])];
        while next != 0 {
            let place = usize::from(next) - 1;
            let (bytes, ones) = self.starts[place];
            // Most positions end here, before the string is compared.
            if start & ones == bytes && text.starts_with(self.tokens[place].as_bytes()) {
                found |= 1 << place;
            }
            next = self.before[place];
        }
        found
    }

    /// The bits of these tokens. Fails to compile if one is not in the set.
    pub(crate) const fn bits(&self, names: &[&str]) -> u128 {
        let mut bits = 0;
        let mut name = 0;
        while name < names.len() {
            let mut place = 0;
            while !is_same(self.tokens[place], names[name]) {
                place += 1;
            }
            bits |= 1 << place;
            name += 1;
        }
        bits
    }
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SET: TokenSet<7> = TokenSet::new(["ab", "abc", "bca", "cc", "b b", "aab", "\u{e4}"]);

    proptest! {
        #[test]
        fn finds_what_a_search_for_each_finds(text in "[abc \u{e4}\u{e5}]{0,20}") {
            let one_by_one = SET.tokens().iter().enumerate();
            let expect = one_by_one.filter(|(_, token)| text.contains(**token)).fold(0, |bits, (place, _)| bits | 1 << place);
            prop_assert_eq!(SET.found_in(text.as_bytes()), expect);
        }
    }

    #[test]
    fn the_first_that_is_accepted() {
        let all = |_: usize, _: usize| true;
        assert_eq!(SET.first_in(b"xcc abc", all), Some(3));
        assert_eq!(SET.first_in(b"xabc", all), Some(1));
        assert_eq!(SET.first_in(b"xabc", |place, _| place != 1), Some(0));
        assert_eq!(SET.first_in(b"cc ab cc", |_, at| at > 4), Some(3));
        assert_eq!(SET.first_in(b"xyz", all), None);
    }

    #[test]
    fn bits_are_those_of_the_order() {
        const BITS: u128 = SET.bits(&["abc", "cc"]);
        assert_eq!(BITS, 0b1010);
    }
}
