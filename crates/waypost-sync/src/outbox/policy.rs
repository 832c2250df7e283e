//! What follows from the response to a call: the new state of its keys, how long the target backs off, and how many
//! keys the next call may have. Pure: time, randomness and everything known are arguments.
//!
//! The batch shrinks to a quarter with every failure and grows back with every success. So a target that is down is
//! called with one key at a time, and a key that makes every call fail ends up alone; only such a key can be given up.

use waypost_core::Timestamp;
use waypost_core::sync::{RestReason, SyncStatus};
use waypost_store::{ClaimedKey, Outcome, SyncHealth};

use crate::kv::{BULK_PAIRS_MAX, KvFault, RetryAfter};

/// How long claimed keys are this process's, in milliseconds: two calls of the longest kind.
pub(super) const LEASE_MS: u64 = 60_000;
/// Attempts after which a key is shown as failed.
pub(super) const ATTEMPTS_MAX: u32 = 5;
/// Faults are counted up to here: at 7 the batch is one key.
const FAULTS_MAX: u32 = 7;
/// The longest pause after the first fault, and after many, in milliseconds. A target that is well again is noticed
/// within the second; asking that often costs 75 of the 900 calls.
const BACK_OFF_MS: (u64, u64) = (1_000, 8_000);
/// No pause is shorter, in milliseconds.
const BACK_OFF_MS_MIN: u64 = 100;
/// The rest where the target asks for fewer calls and does not say for how long, in seconds: its limits are for 300 s.
const RATE_REST_S: u64 = 300;
/// The longest rest that the target may ask for, in seconds; and how often a spent quota is looked at.
const REST_S_MAX: u64 = 3_600;
/// The rest after a refusal of the configuration, in seconds.
const CONFIGURATION_REST_S: u64 = 60;
/// A key that has failed for so long is given up, in seconds.
const GIVE_UP_S: u64 = 24 * 3_600;
/// A key that a successful call names as not done is sent again after this time, in milliseconds.
const PARTIAL_WAIT_MS: u64 = 1_000;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// Keys that one call may have after so many faults.
pub(super) fn batch_keys(faults: u32) -> u32 {
    let all = u32::try_from(BULK_PAIRS_MAX).unwrap_or(u32::MAX);
    (all >> (2 * faults.min(FAULTS_MAX))).max(1)
}

/// The pause after so many faults, in milliseconds: full jitter. `unit` is at least 0 and less than 1.
pub(super) fn back_off_ms(faults: u32, unit: f64) -> u64 {
    let (first, longest) = BACK_OFF_MS;
    let most = first.saturating_mul(1 << faults.saturating_sub(1).min(16)).min(longest);
    ((most as f64 * unit) as u64).max(BACK_OFF_MS_MIN)
}

/// So many milliseconds later.
pub(super) fn later(at: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000)))
}

/// Milliseconds from the one to the other, rounded up; 0 where that is past.
pub(super) fn until_ms(now: Timestamp, at: Timestamp) -> u64 {
    let us = at.as_micros().saturating_sub(now.as_micros());
    u64::try_from(us).map_or(0, |us| us.div_ceil(1_000))
}

/// How the target is doing after a call that it did. A rest that another process was told to take meanwhile goes on.
pub(super) fn health_after_success(now: Timestamp, before: SyncHealth) -> SyncHealth {
    let goes_on = before.rests_until > now && before.rest_reason != Some(RestReason::Fault);
    SyncHealth {
        rests_until: if goes_on { before.rests_until } else { before.rests_until.min(now) },
        rest_reason: before.rest_reason.filter(|_| goes_on),
        error: before.error.filter(|_| goes_on),
        faults: before.faults.saturating_sub(1),
        last_success_at: Some(now),
    }
}

/// How the target is doing after a call that failed, and whether it rests for that. What is wrong with what was sent
/// says nothing of the target.
pub(super) fn health_after_fault(now: Timestamp, before: SyncHealth, fault: &KvFault, unit: f64) -> SyncHealth {
    let faults = (before.faults + 1).min(FAULTS_MAX);
    let seconds = |seconds: u64| later(now, seconds * 1_000);
    let (reason, until, faults) = match fault {
        KvFault::Refused { .. } | KvFault::TooLarge { .. } => return before,
        KvFault::RateLimited { retry_after, .. } => {
            let until = match retry_after {
                None => seconds(RATE_REST_S),
                Some(RetryAfter::Seconds(asked)) => seconds((*asked).clamp(1, REST_S_MAX)),
                Some(RetryAfter::At(at)) => (*at).clamp(seconds(1), seconds(REST_S_MAX)),
            };
            (RestReason::RateLimited, until, before.faults)
        }
        KvFault::Quota { .. } => (RestReason::Quota, next_day(now).min(seconds(REST_S_MAX)), before.faults),
        KvFault::Configuration { .. } | KvFault::Missing { .. } => {
            (RestReason::Configuration, seconds(CONFIGURATION_REST_S), before.faults)
        }
        KvFault::Unavailable { .. } => (RestReason::Fault, later(now, back_off_ms(faults, unit)), faults),
    };
    if before.rests_until > until {
        return SyncHealth { faults, ..before };
    }
    SyncHealth { rests_until: until, rest_reason: Some(reason), error: Some(fault.to_string()), faults, ..before }
}

/// So few faults that a batch has at most so many keys: where a call was to be halved and time ran out, the next one
/// begins there.
pub(super) fn faults_for_batch(keys: usize) -> u32 {
    (0..=FAULTS_MAX).find(|faults| batch_keys(*faults) as usize <= keys).unwrap_or(FAULTS_MAX)
}

/// The next 00:00 in UTC.
fn next_day(now: Timestamp) -> Timestamp {
    Timestamp::from_micros((now.as_micros().div_euclid(DAY_US) + 1) * DAY_US)
}

/// A call that failed, as far as its keys are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed<'a> {
    pub(super) now: Timestamp,
    pub(super) fault: &'a KvFault,
    /// How the target was doing before.
    pub(super) before: &'a SyncHealth,
    /// And is doing after it.
    pub(super) after: &'a SyncHealth,
    /// Whether there was one key in it.
    pub(super) is_alone: bool,
}

impl Failed<'_> {
    /// What becomes of a key that was in the call. Refusals of many keys are none of one: those are parted before.
    pub(super) fn outcome(&self, key: &ClaimedKey) -> Outcome {
        match self.fault {
            KvFault::Refused { .. } | KvFault::TooLarge { .. } => refused(self.now, key, self.fault.to_string()),
            KvFault::Quota { .. } | KvFault::Configuration { .. } | KvFault::Missing { .. } => {
                Outcome::Released { next_attempt_at: self.after.rests_until, error: Some(self.fault.to_string()) }
            }
            // Many calls are nobody's own fault.
            KvFault::RateLimited { .. } => self.attempted(key, false),
            KvFault::Unavailable { .. } => self.attempted(key, self.is_alone),
        }
    }

    fn attempted(&self, key: &ClaimedKey, is_alone: bool) -> Outcome {
        let first_fault_at = key.first_fault_at.unwrap_or(self.now);
        let attempts = key.attempts.saturating_add(1);
        let is_own = is_alone && self.before.last_success_at.is_some_and(|at| at > first_fault_at);
        if is_own && attempts > ATTEMPTS_MAX {
            // It went on being tried while the target as a whole was down, which is over. Attempts count from here.
            return self.again(1, self.now);
        }
        if is_own && attempts == ATTEMPTS_MAX || is_given_up(self.now, first_fault_at) {
            return given_up(attempts, self.fault.to_string(), first_fault_at);
        }
        self.again(attempts, first_fault_at)
    }

    fn again(&self, attempts: u32, first_fault_at: Timestamp) -> Outcome {
        Outcome::Faulted {
            status: status_after(attempts),
            attempts,
            error: self.fault.to_string(),
            first_fault_at,
            next_attempt_at: Some(self.after.rests_until),
        }
    }
}

/// What becomes of a key that a successful call named as not done.
pub(super) fn left_undone(now: Timestamp, key: &ClaimedKey) -> Outcome {
    let first_fault_at = key.first_fault_at.unwrap_or(now);
    let attempts = key.attempts.saturating_add(1);
    let error = "Cloudflare did not take this key with the others".to_owned();
    if is_given_up(now, first_fault_at) {
        return given_up(attempts, error, first_fault_at);
    }
    let wait_ms = PARTIAL_WAIT_MS.saturating_mul(1 << (attempts - 1).min(16)).min(BACK_OFF_MS.1);
    let next_attempt_at = Some(later(now, wait_ms));
    Outcome::Faulted { status: status_after(attempts), attempts, error, first_fault_at, next_attempt_at }
}

/// What becomes of a key that cannot be sent, or was refused when it was alone.
pub(super) fn refused(now: Timestamp, key: &ClaimedKey, error: String) -> Outcome {
    given_up(key.attempts.saturating_add(1), error, key.first_fault_at.unwrap_or(now))
}

fn given_up(attempts: u32, error: String, first_fault_at: Timestamp) -> Outcome {
    Outcome::Faulted { status: SyncStatus::Failed, attempts, error, first_fault_at, next_attempt_at: None }
}

fn is_given_up(now: Timestamp, first_fault_at: Timestamp) -> bool {
    now >= later(first_fault_at, GIVE_UP_S * 1_000)
}

const fn status_after(attempts: u32) -> SyncStatus {
    if attempts >= ATTEMPTS_MAX { SyncStatus::Failed } else { SyncStatus::Pending }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use waypost_core::id::DomainId;
    use waypost_store::SyncKey;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn well() -> SyncHealth {
        SyncHealth {
            rests_until: Timestamp::from_micros(0),
            rest_reason: None,
            error: None,
            faults: 0,
            last_success_at: Some(at("2026-01-15T09:00:00Z")),
        }
    }

    fn key(attempts: u32, first_fault_at: Option<Timestamp>) -> ClaimedKey {
        let key = SyncKey { domain_id: DomainId::from_uuid_bytes([1; 16]), slug: "a".to_owned() };
        ClaimedKey { key, version: 3, attempts, first_fault_at }
    }

    fn unavailable() -> KvFault {
        KvFault::Unavailable { message: "status 502".to_owned() }
    }

    fn rate_limited(retry_after: Option<RetryAfter>) -> KvFault {
        KvFault::RateLimited { message: "status 429".to_owned(), retry_after }
    }

    #[test]
    fn batches_shrink_to_one_key() {
        let sizes: Vec<u32> = (0..9).map(batch_keys).collect();
        assert_eq!(sizes, [10_000, 2_500, 625, 156, 39, 9, 2, 1, 1]);
        for keys in [1, 2, 5, 39, 5_000, 10_000] {
            assert!(batch_keys(faults_for_batch(keys)) as usize <= keys);
        }
        assert_eq!(faults_for_batch(5_000), 1);
        assert_eq!(faults_for_batch(0), 7);
    }

    #[test]
    fn pauses_double_up_to_eight_seconds() {
        let longest: Vec<u64> = (0..7).map(|faults| back_off_ms(faults, 1.0)).collect();
        assert_eq!(longest, [1_000, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        assert_eq!(back_off_ms(4, 0.5), 4_000);
        assert_eq!(back_off_ms(4, 0.0), 100);
    }

    #[test]
    fn how_long_a_target_rests() {
        let now = at("2026-01-15T10:30:00Z");
        let check = |fault: &KvFault, reason: RestReason, until: &str| {
            let health = health_after_fault(now, well(), fault, 0.5);
            assert_eq!((health.rest_reason, health.rests_until), (Some(reason), at(until)), "{fault}");
            assert_eq!(health.error.as_deref(), Some(fault.to_string().as_str()));
            assert_eq!(health.last_success_at, well().last_success_at);
        };
        let limited = |retry_after, until: &str| check(&rate_limited(retry_after), RestReason::RateLimited, until);
        limited(None, "2026-01-15T10:35:00Z");
        limited(Some(RetryAfter::Seconds(17)), "2026-01-15T10:30:17Z");
        limited(Some(RetryAfter::Seconds(0)), "2026-01-15T10:30:01Z");
        limited(Some(RetryAfter::Seconds(u64::MAX)), "2026-01-15T11:30:00Z");
        limited(Some(RetryAfter::At(at("2026-01-15T10:31:00Z"))), "2026-01-15T10:31:00Z");
        limited(Some(RetryAfter::At(at("2026-01-14T10:31:00Z"))), "2026-01-15T10:30:01Z");
        limited(Some(RetryAfter::At(at("2027-01-14T10:31:00Z"))), "2026-01-15T11:30:00Z");
        let configuration = KvFault::Configuration { message: String::new() };
        check(&configuration, RestReason::Configuration, "2026-01-15T10:31:00Z");
        check(&KvFault::Quota { message: String::new() }, RestReason::Quota, "2026-01-15T11:30:00Z");
        check(&unavailable(), RestReason::Fault, "2026-01-15T10:30:00.500Z");
        let late = at("2026-01-15T23:50:00Z");
        let health = health_after_fault(late, well(), &KvFault::Quota { message: String::new() }, 0.5);
        assert_eq!(health.rests_until, at("2026-01-16T00:00:00Z"));
        let refused = KvFault::Refused { message: String::new() };
        assert_eq!(health_after_fault(now, well(), &refused, 0.5), well());
    }

    #[test]
    fn only_faults_of_the_target_shrink_the_batch() {
        let now = at("2026-01-15T10:30:00Z");
        let faults = |fault: &KvFault| health_after_fault(now, well(), fault, 0.5).faults;
        assert_eq!(faults(&unavailable()), 1);
        assert_eq!(faults(&rate_limited(None)), 0);
        assert_eq!(faults(&KvFault::Quota { message: String::new() }), 0);
        let mut health = well();
        for _ in 0..20 {
            health = health_after_fault(now, health, &unavailable(), 0.5);
        }
        assert_eq!(health.faults, 7);
        assert_eq!(health_after_success(now, health).faults, 6);
    }

    #[test]
    fn a_success_ends_no_rest_that_others_were_told_to_take() {
        let now = at("2026-01-15T10:30:00Z");
        let limited = health_after_fault(now, well(), &rate_limited(None), 0.5);
        let after = health_after_success(now, limited.clone());
        assert_eq!((after.rests_until, after.rest_reason), (limited.rests_until, Some(RestReason::RateLimited)));
        assert_eq!(after.last_success_at, Some(now));
        let after = health_after_fault(now, limited.clone(), &unavailable(), 0.5);
        assert_eq!((after.rests_until, after.rest_reason), (limited.rests_until, Some(RestReason::RateLimited)));
        let failing = health_after_fault(now, well(), &unavailable(), 0.5);
        let after = health_after_success(now, failing);
        assert_eq!((after.rests_until, after.rest_reason, after.error), (now, None, None));
    }

    /// Status, attempts and seconds until the next attempt.
    fn attempt(
        fault: &KvFault,
        key: &ClaimedKey,
        is_alone: bool,
        last_success_at: Option<Timestamp>,
    ) -> (SyncStatus, u32, Option<i64>) {
        let now = at("2026-01-15T10:30:00Z");
        let before = SyncHealth { last_success_at, ..well() };
        let after = health_after_fault(now, before.clone(), fault, 0.5);
        let failed = Failed { now, fault, before: &before, after: &after, is_alone };
        match failed.outcome(key) {
            Outcome::Faulted { status, attempts, next_attempt_at, .. } => {
                let seconds = |at: Timestamp| (at.as_micros() - now.as_micros()) / 1_000_000;
                (status, attempts, next_attempt_at.map(seconds))
            }
            outcome @ (Outcome::Synced { .. } | Outcome::Released { .. }) => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn what_becomes_of_keys_after_faults() {
        use SyncStatus::{Failed, Pending};
        let first = Some(at("2026-01-15T10:29:00Z"));
        let (earlier, since) = (Some(at("2026-01-15T10:28:00Z")), Some(at("2026-01-15T10:29:30Z")));
        let fault = unavailable();
        assert_eq!(attempt(&fault, &key(0, None), true, since), (Pending, 1, Some(0)));
        assert_eq!(attempt(&fault, &key(3, first), true, since), (Pending, 4, Some(0)));
        // Others got through since: it is this key's own fault.
        assert_eq!(attempt(&fault, &key(4, first), true, since), (Failed, 5, None));
        // Nobody got through, or others were in the same call: shown as failed, and tried on.
        assert_eq!(attempt(&fault, &key(4, first), true, earlier), (Failed, 5, Some(0)));
        assert_eq!(attempt(&fault, &key(4, first), true, None), (Failed, 5, Some(0)));
        assert_eq!(attempt(&fault, &key(4, first), false, since), (Failed, 5, Some(0)));
        assert_eq!(attempt(&fault, &key(900, first), true, earlier), (Failed, 901, Some(0)));
        // The target is back: what it failed at before does not count.
        assert_eq!(attempt(&fault, &key(900, first), true, since), (Pending, 1, Some(0)));
        // After a day nothing is tried any more.
        let yesterday = Some(at("2026-01-14T10:30:00Z"));
        assert_eq!(attempt(&fault, &key(900, yesterday), true, None), (Failed, 901, None));
        assert_eq!(attempt(&rate_limited(None), &key(4, first), true, since), (Failed, 5, Some(300)));
        assert_eq!(attempt(&rate_limited(None), &key(0, None), true, since), (Pending, 1, Some(300)));
        let refused = KvFault::Refused { message: String::new() };
        assert_eq!(attempt(&refused, &key(0, None), true, since), (Failed, 1, None));
    }

    #[test]
    fn a_key_that_is_left_undone_is_sent_again_after_a_second() {
        let now = at("2026-01-15T10:30:00Z");
        for (attempts, wait_s) in [(0, 1), (1, 2), (2, 4), (3, 8), (40, 8)] {
            let Outcome::Faulted { next_attempt_at, status, .. } = left_undone(now, &key(attempts, None)) else {
                panic!("it was not done")
            };
            assert_eq!(next_attempt_at, Some(later(now, wait_s * 1_000)));
            assert_eq!(status == SyncStatus::Failed, attempts >= 4);
        }
    }

    proptest! {
        #[test]
        fn nobody_waits_for_more_than_an_hour(now in any::<i64>(), seconds in any::<u64>(), unit in 0.0..1.0) {
            let now = Timestamp::from_micros(now / 4);
            for fault in [
                unavailable(),
                rate_limited(Some(RetryAfter::Seconds(seconds))),
                rate_limited(Some(RetryAfter::At(Timestamp::from_micros(seconds as i64 / 4)))),
                KvFault::Quota { message: String::new() },
                KvFault::Configuration { message: String::new() },
            ] {
                let before = SyncHealth { rests_until: now, ..well() };
                let after = health_after_fault(now, before, &fault, unit);
                prop_assert!(after.rests_until > now && after.rests_until <= later(now, 3_600_000));
            }
        }
    }
}
