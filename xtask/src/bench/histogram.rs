//! A histogram of times: 128 steps to every doubling, so that a quantile is told within one per cent, at any length.

/// Bits of a value that tell the steps of one doubling apart.
const STEP_BITS: u32 = 7;
const STEPS: u64 = 1 << STEP_BITS;

/// Times in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    /// As long as the largest value needs.
    counts: Vec<u64>,
    total: u64,
    most_ns: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, ns: u64) {
        let bucket = bucket_of(ns);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.most_ns = self.most_ns.max(ns);
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn most_ns(&self) -> u64 {
        self.most_ns
    }

    /// The time that this share of all did not exceed; 0 without any.
    pub(crate) fn quantile_ns(&self, share: f64) -> u64 {
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut passed = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            passed += count;
            if passed >= rank {
                return last_of(bucket).min(self.most_ns);
            }
        }
        0
    }
}

/// Values below 128 have a bucket each; above, the seven bits after the leading one choose among those of its doubling.
fn bucket_of(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let shift = ns.ilog2() - STEP_BITS;
    (u64::from(shift) * STEPS + (ns >> shift)) as usize
}

/// The largest value of a bucket.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    (((bucket - shift * STEPS + 1) << shift) - 1).max(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_its_bucket() {
        let mut before = 0;
        for ns in (0..100_000).chain([1 << 20, (1 << 33) + 12_345, 1 << 40]) {
            let bucket = bucket_of(ns);
            assert!(bucket == before || bucket == before + 1 || ns > 100_000, "{ns} jumps to {bucket}");
            assert!(last_of(bucket) >= ns, "{ns}");
            assert!(last_of(bucket) as f64 <= ns as f64 * 1.01, "{ns} is told as {}", last_of(bucket));
            assert!(bucket == 0 || last_of(bucket - 1) < ns, "{ns}");
            before = bucket;
        }
    }

    #[test]
    fn quantiles_are_close() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_ns(0.5), 0);
        (1..=100_000).for_each(|ns| histogram.record(ns));
        for (share, expect) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let told = histogram.quantile_ns(share) as f64;
            assert!((1.0..1.01).contains(&(told / expect)), "{share}: {told}");
        }
        assert_eq!((histogram.quantile_ns(0.0), histogram.quantile_ns(1.0)), (1, 100_000));
        assert_eq!((histogram.total(), histogram.most_ns()), (100_000, 100_000));
    }

    #[test]
    fn one_slow_answer_is_the_last_quantile() {
        let mut histogram = Histogram::default();
        (0..999).for_each(|_| histogram.record(100));
        histogram.record(5_000_000);
        assert_eq!((histogram.quantile_ns(0.99), histogram.quantile_ns(1.0)), (100, 5_000_000));
    }
}
