//! A cache of parsed user agents: a few thousand of them make up nearly all clicks, and parsing one takes as long as
//! counting thirty.
//!
//! The cache is a table of fixed size in sets of [`WAYS`] places; within a set, an entry that was not used again is
//! replaced first. So a flood of new user agents costs a bounded amount of memory, and does not evict those that come
//! all the time. It also costs a bounded amount of time: past [`PARSES_BURST`] the browser of a new one is not parsed
//! until it comes again later; class, system and device always are.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use waypost_core::class::{Class, Classified, classify};
use waypost_core::device::{Device, Os, device, os};
use waypost_core::{Timestamp, Visit};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::browser;

/// Sets of the memory; a power of two.
const SETS: usize = 8_192;
/// User agents in a set.
const WAYS: usize = 8;
/// The most browsers read at once: enough for all usual user agents after a start.
const PARSES_BURST: u32 = 20_000;
/// The most browsers read in a second after that.
const PARSES_PER_S: f64 = 10_000.0;
/// The most families there can be; patterns that take the name from the user agent would make it any number.
const FAMILIES_MAX: usize = 4_096;
/// The number of the family that is not known.
const UNKNOWN_FAMILY: u16 = 0;

/// What a user agent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UserAgentFacts {
    pub(super) class: Class,
    pub(super) reason: &'static str,
    pub(super) device: Device,
    pub(super) os: Os,
    family: u16,
    /// Whether the browser was not read for want of time.
    is_unparsed: bool,
}

/// The memory.
#[derive(Debug)]
pub(super) struct UserAgents {
    sets: Vec<Vec<Known>>,
    /// Drawn at the start, so that nobody can choose user agents that all fall into one set.
    seed: u64,
    families: Families,
    parses: Parses,
}

#[derive(Debug)]
struct Known {
    hash: u64,
    user_agent: Box<str>,
    facts: UserAgentFacts,
    /// Whether it was asked for again since it was last spared.
    is_recent: bool,
}

impl UserAgents {
    pub(super) fn new() -> Self {
        Self {
            sets: std::iter::repeat_with(Vec::new).take(SETS).collect(),
            seed: RandomState::new().hash_one(0),
            families: Families::new(),
            parses: Parses { filled_at: Instant::now(), left: PARSES_BURST.into(), refused: 0 },
        }
    }

    /// What this user agent says.
    pub(super) fn facts(&mut self, user_agent: &str) -> UserAgentFacts {
        let hash = xxh3_64_with_seed(user_agent.as_bytes(), self.seed);
        let set = &mut self.sets[hash as usize % SETS];
        if let Some(known) = set.iter_mut().find(|known| known.hash == hash && *known.user_agent == *user_agent) {
            known.is_recent = true;
            if known.facts.is_unparsed && self.parses.take() {
                known.facts.family = self.families.read(user_agent);
                known.facts.is_unparsed = false;
            }
            return known.facts;
        }
        let facts = read(user_agent, &mut self.families, &mut self.parses);
        let known = Known { hash, user_agent: user_agent.into(), facts, is_recent: false };
        if set.len() < WAYS {
            set.push(known);
        } else {
            let place = least_wanted(set);
            set[place] = known;
        }
        facts
    }

    /// The browser's family; empty where it is not known.
    pub(super) fn family(&self, facts: UserAgentFacts) -> &str {
        &self.families.names[usize::from(facts.family)]
    }

    /// How often no browser was read for want of time.
    pub(super) fn unparsed(&self) -> u64 {
        self.parses.refused
    }
}

fn read(user_agent: &str, families: &mut Families, parses: &mut Parses) -> UserAgentFacts {
    let visit = Visit { user_agent: Some(user_agent), ..Visit::at(Timestamp::from_micros(0)) };
    let Classified { class, reason } = classify(&visit);
    let is_unparsed = !parses.take();
    let family = if is_unparsed { UNKNOWN_FAMILY } else { families.read(user_agent) };
    UserAgentFacts { class, reason, device: device(user_agent), os: os(user_agent), family, is_unparsed }
}

/// The place in a full set that makes room: the first that was not asked for again. All before it are spared this once.
fn least_wanted(set: &mut [Known]) -> usize {
    for (place, known) in set.iter_mut().enumerate() {
        if !known.is_recent {
            return place;
        }
        known.is_recent = false;
    }
    0
}

/// The families seen, each kept once.
#[derive(Debug)]
struct Families {
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u16>,
}

impl Families {
    fn new() -> Self {
        Self { names: vec!["".into()], numbers: HashMap::from([("".into(), UNKNOWN_FAMILY)]) }
    }

    fn read(&mut self, user_agent: &str) -> u16 {
        let family = browser::family(user_agent).unwrap_or_default();
        if let Some(number) = self.numbers.get(&*family) {
            return *number;
        }
        if self.names.len() >= FAMILIES_MAX {
            return UNKNOWN_FAMILY;
        }
        let number = u16::try_from(self.names.len()).expect("the limit is within u16");
        self.names.push((&*family).into());
        self.numbers.insert((&*family).into(), number);
        number
    }
}

/// How many browsers may be read.
#[derive(Debug)]
struct Parses {
    filled_at: Instant,
    /// Grows with time up to [`PARSES_BURST`].
    left: f64,
    refused: u64,
}

impl Parses {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let grown = now.saturating_duration_since(self.filled_at).as_secs_f64() * PARSES_PER_S;
        self.left = (self.left + grown).min(PARSES_BURST.into());
        self.filled_at = self.filled_at.max(now);
        let is_free = self.left >= 1.0;
        if is_free {
            self.left -= 1.0;
        } else {
            self.refused += 1;
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

    #[test]
    fn what_is_remembered_is_what_was_read() {
        let mut user_agents = UserAgents::new();
        for user_agent in [CHROME, "curl/8.5.0", "", "\u{0}\u{fffd}", CHROME, ""] {
            let facts = user_agents.facts(user_agent);
            let visit = Visit { user_agent: Some(user_agent), ..Visit::at(Timestamp::from_micros(0)) };
            assert_eq!(facts.class, classify(&visit).class, "{user_agent:?}");
            assert_eq!(user_agents.family(facts), browser::family(user_agent).unwrap_or_default(), "{user_agent:?}");
            assert_eq!((facts.device, facts.os), (device(user_agent), os(user_agent)));
        }
    }

    #[test]
    fn a_flood_is_bounded_and_spares_what_comes_all_the_time() {
        let mut user_agents = UserAgents::new();
        let known = user_agents.facts(CHROME);
        assert_eq!(user_agents.family(known), "Chrome");
        // Reading browsers takes long in a debug build.
        user_agents.parses.left = 2_000.0;
        user_agents.parses.filled_at = Instant::now() + Duration::from_secs(3_600);
        for number in 0..70_000 {
            user_agents.facts(&format!("Flood/{number}"));
            if number % 64 == 0 {
                assert_eq!(user_agents.facts(CHROME), known);
            }
        }
        let kept: usize = user_agents.sets.iter().map(Vec::len).sum();
        assert!(kept <= SETS * WAYS, "{kept}");
        assert!(user_agents.families.names.len() <= FAMILIES_MAX);
        assert!(user_agents.sets.iter().flatten().any(|known| &*known.user_agent == CHROME));
    }

    #[test]
    fn a_browser_that_was_passed_over_is_read_when_it_comes_again() {
        let mut user_agents = UserAgents::new();
        user_agents.parses.left = 0.0;
        user_agents.parses.filled_at = Instant::now() + Duration::from_secs(3_600);
        let passed_over = user_agents.facts(CHROME);
        assert_eq!((user_agents.family(passed_over), passed_over.os), ("", Os::Windows));
        user_agents.parses.left = 1.0;
        let read = user_agents.facts(CHROME);
        assert_eq!((user_agents.family(read), user_agents.unparsed()), ("Chrome", 1));
    }
}
