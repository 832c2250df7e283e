//! A sample of visitors from which any share of them can be estimated.
//!
//! Visitor keys are hashes and so spread evenly. Kept are the [`VISITORS_MAX`] smallest with where each was seen; the
//! smallest that was ever dropped is the *threshold*. Below it the sample has every visitor, so that, of any kind of
//! visitor, the sample has the share `threshold / 2^48`: dividing by it estimates how many there were (a theta sketch
//! with attributes). Two samples merge into the one that would have come of all visitors at once. While nothing was
//! dropped, counts are exact.
//!
//! A visitor who was seen with very many combinations keeps the first of them only ([`SEEN_MAX`]). The threshold is
//! [`CUT`] then at most.
//!
//! Of a key, 48 bits are kept: among the 2,048 of a sample two collide once in a hundred million samples.

/// The most visitors in a sample. The standard error of a count of `n` sampled visitors is at most `1 / sqrt(n)` of it.
pub(crate) const VISITORS_MAX: usize = 2_048;
/// The most combinations and hours kept of one visitor: a day of hours of one that does not change.
pub(crate) const SEEN_MAX: usize = 24;
/// Bits of a key.
pub(crate) const KEY_BITS: u32 = 48;
/// The threshold while nothing was dropped: above every key.
pub(crate) const ALL: u64 = 1 << KEY_BITS;
/// The threshold while no visitor was dropped, but some of what one was seen with was.
pub(crate) const CUT: u64 = ALL - 1;

const UNSORTED_MAX: usize = 4_096;

/// That a visitor was seen with a combination of each family in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) key: u64,
    pub(crate) main: u32,
    pub(crate) sources: u32,
    pub(crate) hour: u8,
}

/// What is kept of a visitor key.
pub(crate) fn sample_key(visitor: u64) -> u64 {
    visitor >> (u64::BITS - KEY_BITS)
}

/// The sample.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    seen: Vec<Seen>,
    sorted: usize,
    threshold: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self { seen: Vec::new(), sorted: 0, threshold: ALL }
    }
}

impl Sample {
    /// From a list that is in order and within the limits.
    pub(crate) fn from_sorted(seen: Vec<Seen>, threshold: u64) -> Self {
        let sorted = seen.len();
        Self { seen, sorted, threshold }
    }

    pub(crate) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// In any order, and beyond the limits, unless it is sorted.
    pub(crate) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    pub(crate) fn push(&mut self, seen: Seen) {
        if seen.key >= self.threshold {
            return;
        }
        self.seen.push(seen);
        if self.seen.len() - self.sorted > UNSORTED_MAX.max(self.sorted) {
            self.sort();
        }
    }

    /// Takes over that another sample has dropped visitors from this key on.
    pub(crate) fn lower_threshold(&mut self, threshold: u64) {
        if threshold < self.threshold {
            self.threshold = threshold;
            self.seen.retain(|seen| seen.key < threshold);
            self.sorted = self.sorted.min(self.seen.len());
            // What is left of the sorted ones may have shrunk by fewer than the whole list has.
            self.sort_all();
        }
    }

    pub(crate) fn sort(&mut self) {
        if self.sorted < self.seen.len() {
            self.sort_all();
        }
    }

    fn sort_all(&mut self) {
        self.threshold = sort_and_cut(&mut self.seen, self.threshold);
        self.sorted = self.seen.len();
    }

    /// Removes visitors completely. The keys are sorted.
    pub(crate) fn remove(&mut self, keys: &[u64]) {
        self.sort();
        self.seen.retain(|seen| keys.binary_search(&seen.key).is_err());
        self.sorted = self.seen.len();
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.seen.capacity() * size_of::<Seen>()
    }
}

/// Sorts, and cuts to the limits; returns the threshold after that.
pub(crate) fn sort_and_cut(list: &mut Vec<Seen>, threshold: u64) -> u64 {
    list.sort();
    list.dedup();
    let (mut visitors, mut last_key, mut of_visitor) = (0, None, 0);
    let (mut cut, mut least) = (None, threshold);
    list.retain(|seen| {
        if last_key != Some(seen.key) {
            last_key = Some(seen.key);
            visitors += 1;
            of_visitor = 0;
        }
        of_visitor += 1;
        if visitors > VISITORS_MAX {
            cut.get_or_insert(seen.key);
        }
        if of_visitor > SEEN_MAX {
            least = least.min(CUT);
        }
        cut.is_none() && of_visitor <= SEEN_MAX
    });
    let threshold = cut.unwrap_or(least);
    while list.pop_if(|seen| seen.key >= threshold).is_some() {}
    threshold
}
