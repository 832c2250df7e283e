//! Lines of one file that say the same of their link, as lines do that differ only in columns that are passed over.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use crate::print::counted;

/// Lines that are remembered, in 16 bytes or so each.
const REMEMBERED_MAX: usize = 1_000_000;
/// Lines that are named.
const NAMED_MAX: usize = 5;

/// What was seen so far.
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

    /// Takes down a line that was such a repeat and got the other's link.
    pub(crate) fn note(&mut self, line: u64) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(line);
        }
    }

    /// How many lines were taken down.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What to say of them.
    pub(crate) fn describe(&self) -> Option<String> {
        let more = if self.count > NAMED_MAX as u64 { ", …" } else { "" };
        let lines: Vec<String> = self.named.iter().map(u64::to_string).collect();
        let (say, their) = if self.count == 1 { ("says", "its") } else { ("say", "their") };
        (self.count > 0).then(|| {
            format!(
                "Note: {} {say} the same of {their} link as an earlier line, so that no link of {their} own is made: {}{more}. What \
                 stands in columns that are passed over makes no difference; a slug does",
                counted(self.count, "line"),
                lines.join(", ")
            )
        })
    }
}
