//! Lines of one file with the same JSON, as lines have that differ only in ignored columns.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use crate::print::counted;

/// How many lines are remembered, in about 16 bytes each.
const REMEMBERED_MAX: usize = 1_000_000;
/// How many lines are named.
const NAMED_MAX: usize = 5;

/// The lines seen so far.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    hashes: RandomState,
    seen: HashSet<u64>,
    count: u64,
    named: Vec<u64>,
}

impl Repeats {
    /// Whether an earlier line had this same JSON.
    pub(crate) fn is_repeat(&mut self, json: &str) -> bool {
        let hash = self.hashes.hash_one(json);
        if self.seen.len() >= REMEMBERED_MAX {
            return self.seen.contains(&hash);
        }
        !self.seen.insert(hash)
    }

    /// Counts a line that repeats an earlier one, so that no link of its own is created.
    pub(crate) fn note(&mut self, line: u64) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(line);
        }
    }

    /// How many lines were counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// A note about these lines.
    pub(crate) fn describe(&self) -> Option<String> {
        let more = if self.count > NAMED_MAX as u64 { ", …" } else { "" };
        let lines: Vec<String> = self.named.iter().map(u64::to_string).collect();
        let (have, them) = if self.count == 1 { ("has", "it") } else { ("have", "them") };
        (self.count > 0).then(|| {
            format!(
                "Note: {} {have} the same fields as an earlier line, so no further link is created for {them}: {}{more}. \
                 Ignored columns make no difference; a slug does",
                counted(self.count, "line"),
                lines.join(", ")
            )
        })
    }
}
