//! Clicks on their way into the database: added up in memory, off the database, and counted in one transaction.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use waypost_core::id::{AccountId, LinkId};
use waypost_core::visitor::day_of;
use waypost_rollup::{ClickFacts, ClickKey, Vocabulary};

use crate::raw::{BlockWriter, FinishedBlock};
use crate::types::LossCause;
use crate::writers::Part;

/// Clicks of one or more epochs, added up. Memory grows with what is distinct in them, and with each
/// by about 50 bytes and what it takes to store it raw.
#[derive(Debug, Default)]
pub struct ClickBatch {
    /// Every click, under which of `link_days`.
    keys: Vec<(u32, ClickKey)>,
    pub(crate) vocabulary: Vocabulary,
    /// What became of the numbers of each edge and epoch.
    pub(crate) parts: Vec<Part>,
    /// The part that was needed last: mostly the next one too.
    last_part: usize,
    hasher: DefaultHashBuilder,
    /// Links by account, domain and link id.
    link_table: HashTable<u32>,
    pub(crate) accounts: Vec<AccountEntry>,
    account_table: HashMap<Box<str>, u32>,
    pub(crate) domains: Vec<DomainEntry>,
    domain_table: HashMap<(u32, Box<str>), u32>,
    pub(crate) links: Vec<LinkEntry>,
    /// The ids of the links, one after the other.
    link_ids: String,
    /// The raw clicks of each account's days.
    pub(crate) account_days: HashMap<(u32, i64), AccountDay>,
    /// The days of links that have clicks.
    link_days: Vec<LinkDay>,
    /// Where they are, but for the one that each link knows itself.
    other_link_days: HashMap<LinkDay, u32>,
}

/// A day of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct LinkDay {
    link: u32,
    day: i64,
}

/// The clicks of a batch by account, day, domain and link: whatever has a roll-up has its clicks in one piece.
pub(crate) struct GroupedClicks {
    pub(crate) link_days: Vec<GroupedLinkDay>,
    keys: Vec<ClickKey>,
}

/// A day of a link, all that it lies in as the batch numbers it, and where its clicks are.
pub(crate) struct GroupedLinkDay {
    pub(crate) account: u32,
    pub(crate) day: i64,
    pub(crate) domain: u32,
    pub(crate) link: u32,
    start: usize,
    end: usize,
}

impl GroupedClicks {
    /// The clicks of these, which follow each other.
    pub(crate) fn keys(&self, link_days: &[GroupedLinkDay]) -> &[ClickKey] {
        match link_days {
            [] => &[],
            [first, ..] => &self.keys[first.start..link_days[link_days.len() - 1].end],
        }
    }
}

#[derive(Debug)]
pub(crate) struct AccountEntry {
    pub(crate) account_id: Box<str>,
}

#[derive(Debug)]
pub(crate) struct DomainEntry {
    pub(crate) account: u32,
    pub(crate) host: Box<str>,
}

/// A link as clicked on one domain.
#[derive(Debug)]
pub(crate) struct LinkEntry {
    pub(crate) domain: u32,
    /// What the table finds it by, and where its id is.
    hash: u64,
    id_start: usize,
    id_end: usize,
    /// The day of its first click in the batch, which nearly all others are of, too; and where that day is.
    day: i64,
    link_day: u32,
}

#[derive(Debug, Default)]
pub(crate) struct AccountDay {
    pub(crate) writer: BlockWriter,
    pub(crate) blocks: Vec<FinishedBlock>,
}

impl ClickBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a click. Clicks of one epoch come in the order of their sequences, together with its losses: a sequence that is not
    /// beyond the last was counted with that, and the click is left out. A click without a number (0) is always counted.
    ///
    /// A click whose link or account id is none is taken as lost ([`LossCause::Unreadable`]).
    pub fn push(&mut self, click: &ClickFacts<'_>) {
        if click.sequence > 0 && !self.part(click.edge_id, click.epoch).begins(click.sequence) {
            return;
        }
        let counted = self.count(click);
        if click.sequence > 0 {
            let part = self.part(click.edge_id, click.epoch);
            match counted {
                Some(()) => part.stored(click.sequence),
                None => part.lost(click.sequence, 1, LossCause::Unreadable),
            }
        }
    }

    /// Adds a declared loss: these many sequences of this epoch from this one on.
    pub fn push_lost(&mut self, edge_id: &str, epoch: u64, first_sequence: u64, count: u64, cause: LossCause) {
        let part = self.part(edge_id, epoch);
        if count > 0 && part.begins(first_sequence) {
            part.lost(first_sequence, count, cause);
        }
    }

    /// How many clicks were added.
    pub fn clicks(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Whether nothing was added: no click and no loss.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.parts.is_empty()
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let account_days = self.account_days.values().map(|day| {
            let blocks: usize = day.blocks.iter().map(FinishedBlock::memory_bytes).sum();
            day.writer.memory_bytes() + blocks
        });
        size_of::<Self>()
            + self.vocabulary.memory_bytes()
            + self.link_table.allocation_size()
            + self.links.capacity() * size_of::<LinkEntry>()
            + self.link_ids.capacity()
            + self.domains.capacity() * size_of::<DomainEntry>()
            + self.link_days.capacity() * size_of::<LinkDay>()
            + self.other_link_days.capacity() * size_of::<(LinkDay, u32)>()
            + self.keys.capacity() * size_of::<(u32, ClickKey)>()
            // When they are grouped.
            + self.keys.len() * size_of::<ClickKey>()
            + self.link_days.len() * size_of::<GroupedLinkDay>()
            + account_days.sum::<usize>()
    }

    pub(crate) fn link_id(&self, link: &LinkEntry) -> &str {
        &self.link_ids[link.id_start..link.id_end]
    }

    fn part(&mut self, edge_id: &str, epoch: u64) -> &mut Part {
        let is_it = |part: &Part| part.epoch == epoch && part.edge_id == edge_id;
        if !self.parts.get(self.last_part).is_some_and(is_it) {
            self.last_part = self.parts.iter().rposition(is_it).unwrap_or_else(|| {
                self.parts.push(Part::new(edge_id, epoch));
                self.parts.len() - 1
            });
        }
        &mut self.parts[self.last_part]
    }

    /// Adds a click to every scope of it. `None` where it has none.
    pub(crate) fn count(&mut self, click: &ClickFacts<'_>) -> Option<()> {
        let day = day_of(click.clicked_at.as_micros());
        let link = self.link(click, day)?;
        let key = self.vocabulary.key(click);
        let link_day = self.link_day(LinkDay { link, day });
        self.keys.push((link_day, key));
        let account = self.domains[self.links[link as usize].domain as usize].account;
        let account_day = self.account_days.entry((account, day)).or_default();
        account_day.writer.push(link, click);
        if account_day.writer.is_full() {
            account_day.blocks.extend(account_day.writer.finish());
        }
        Some(())
    }

    /// Takes the clicks out, put together.
    pub(crate) fn group(&mut self) -> GroupedClicks {
        let clicks = std::mem::take(&mut self.keys);
        let mut counts = vec![0; self.link_days.len()];
        clicks.iter().for_each(|(link_day, _)| counts[*link_day as usize] += 1);
        let place = |at: &u32| {
            let LinkDay { link, day } = self.link_days[*at as usize];
            let domain = self.links[link as usize].domain;
            (self.domains[domain as usize].account, day, domain, link)
        };
        let mut order: Vec<u32> = (0..self.link_days.len() as u32).collect();
        order.sort_unstable_by_key(place);
        let (mut link_days, mut next, mut start) = (Vec::with_capacity(order.len()), vec![0; order.len()], 0);
        for at in order {
            let (account, day, domain, link) = place(&at);
            let end = start + counts[at as usize];
            link_days.push(GroupedLinkDay { account, day, domain, link, start, end });
            next[at as usize] = start;
            start = end;
        }
        // Filled with any key; each is written over.
        let mut keys = clicks.first().map_or(Vec::new(), |(_, key)| vec![*key; clicks.len()]);
        for (link_day, key) in clicks {
            let place = &mut next[link_day as usize];
            keys[*place] = key;
            *place += 1;
        }
        GroupedClicks { link_days, keys }
    }

    fn link_day(&mut self, wanted: LinkDay) -> u32 {
        let Self { links, link_days, other_link_days, .. } = self;
        let link = &links[wanted.link as usize];
        if link.day == wanted.day {
            return link.link_day;
        }
        *other_link_days.entry(wanted).or_insert_with(|| {
            link_days.push(wanted);
            link_days.len() as u32 - 1
        })
    }

    /// The number in this batch of the click's link on the click's domain; `None` where link or account id is none.
    fn link(&mut self, click: &ClickFacts<'_>, day: i64) -> Option<u32> {
        let hash = self.hasher.hash_one((click.link_id, click.domain));
        let is_it = |&index: &u32| {
            let link = &self.links[index as usize];
            let domain = &self.domains[link.domain as usize];
            link.hash == hash
                && self.link_ids[link.id_start..link.id_end] == *click.link_id
                && *domain.host == *click.domain
                && *self.accounts[domain.account as usize].account_id == *click.account_id
        };
        if let Some(&index) = self.link_table.find(hash, is_it) {
            return Some(index);
        }
        click.link_id.parse::<LinkId>().ok()?;
        let domain = self.domain(click)?;
        let index = self.links.len() as u32;
        let id_start = self.link_ids.len();
        self.link_ids.push_str(click.link_id);
        let id_end = self.link_ids.len();
        let link_day = self.link_days.len() as u32;
        self.link_days.push(LinkDay { link: index, day });
        self.links.push(LinkEntry { domain, hash, id_start, id_end, day, link_day });
        self.link_table.insert_unique(hash, index, |&index| self.links[index as usize].hash);
        Some(index)
    }

    fn domain(&mut self, click: &ClickFacts<'_>) -> Option<u32> {
        let account = match self.account_table.get(click.account_id) {
            Some(&account) => account,
            None => {
                click.account_id.parse::<AccountId>().ok()?;
                self.accounts.push(AccountEntry { account_id: click.account_id.into() });
                let account = self.accounts.len() as u32 - 1;
                self.account_table.insert(click.account_id.into(), account);
                account
            }
        };
        let domain = self.domain_table.entry((account, click.domain.into())).or_insert_with(|| {
            self.domains.push(DomainEntry { account, host: click.domain.into() });
            self.domains.len() as u32 - 1
        });
        Some(*domain)
    }
}
