//! Numbers that look random and come again with the same seed: for made-up data and for faults at random moments.
//!
//! Not for secrets. The generator is xoshiro256++ (Blackman and Vigna, 2018), seeded by SplitMix64.

/// A source of numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The source that belongs to this seed.
    pub fn new(seed: u64) -> Self {
        let state = [1, 2, 3, 4].map(|place: u64| mix(seed.wrapping_add(place.wrapping_mul(GOLDEN))));
        Self { state }
    }

    /// Another source, which depends on this one's seed and the name alone: what one part draws moves no other part.
    pub fn fork(&self, name: &str) -> Self {
        let seed = name.bytes().fold(self.state[0], |seed, byte| mix(seed ^ u64::from(byte)));
        Self::new(seed)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// At least 0 and less than 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Less than `end`; 0 if that is 0. The bias is below one in 2^32 for ends that fit 32 bits.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// From `least` up to and without `end`.
    pub fn between(&mut self, least: u64, end: u64) -> u64 {
        least + self.below(end.saturating_sub(least))
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finisher: every bit of the answer depends on every bit of the number.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(GOLDEN);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Picks among weighted entries in constant time (Walker's alias method).
#[derive(Clone, Debug)]
pub struct Weighted {
    /// For each place: how much of 2^32 stays there, and where the rest goes.
    columns: Vec<(u32, u32)>,
}

impl Weighted {
    /// Entries with these weights.
    ///
    /// # Panics
    /// Without entries, with more than 2^32, or with weights that do not add up to a positive number.
    pub fn new(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        assert!(total > 0.0 && total.is_finite(), "weights add up to {total}");
        let count = u32::try_from(weights.len()).expect("at most 2^32 entries");
        let mut shares: Vec<f64> = weights.iter().map(|weight| weight / total * f64::from(count)).collect();
        let mut columns: Vec<(u32, u32)> = (0..count).map(|place| (u32::MAX, place)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) = (0..count).partition(|place| shares[*place as usize] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            let share = shares[poor as usize];
            columns[poor as usize] = ((share * 4_294_967_296.0) as u32, rich);
            shares[rich as usize] -= 1.0 - share;
            if shares[rich as usize] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { columns }
    }

    /// Entries whose weights fall as one divided by their rank.
    ///
    /// # Panics
    /// As [`Weighted::new`].
    pub fn zipf(count: usize) -> Self {
        let weights: Vec<f64> = (1..=count).map(|rank| 1.0 / rank as f64).collect();
        Self::new(&weights)
    }

    /// The place of the entry that these random bits pick.
    pub fn place(&self, bits: u64) -> usize {
        let scaled = u128::from(bits >> 32) * self.columns.len() as u128;
        let column = (scaled >> 32) as usize;
        let (kept, alias) = self.columns[column];
        if (bits as u32) < kept { column } else { alias as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            std::array::from_fn::<u64, 8, _>(|_| random.bits())
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        let parent = Random::new(1);
        assert_eq!(parent.fork("a").bits(), parent.fork("a").bits());
        assert_ne!(parent.fork("a").bits(), parent.fork("b").bits());
    }

    #[test]
    fn the_numbers_are_those_of_xoshiro256_plus_plus() {
        // The state 1, 2, 3, 4 and the first numbers that the published program gives for it.
        let mut random = Random { state: [1, 2, 3, 4] };
        let first: [u64; 4] = std::array::from_fn(|_| random.bits());
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn picks_follow_the_weights() {
        let weighted = Weighted::new(&[1.0, 0.0, 3.0, 6.0]);
        let mut random = Random::new(7);
        let mut counts = [0_u32; 4];
        for _ in 0..100_000 {
            counts[weighted.place(random.bits())] += 1;
        }
        assert_eq!(counts[1], 0);
        for (count, expect) in counts.into_iter().zip([10_000, 0, 30_000, 60_000]) {
            assert!(count.abs_diff(expect) < 1_000, "{counts:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let mut random = Random::new(3);
        for _ in 0..1_000 {
            assert!(random.unit() < 1.0);
            assert!((5..8).contains(&random.between(5, 8)));
        }
        assert_eq!(random.below(0), 0);
        assert!(!random.chance(0.0) && random.chance(1.0));
    }
}
