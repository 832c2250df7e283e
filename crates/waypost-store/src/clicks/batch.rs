//! Clicks on their way into the database: added up in memory, off the database, and counted in one transaction.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use waypost_core::id::{AccountId, LinkId};
use waypost_core::visitor::day_of;
use waypost_rollup::{ClickFacts, DayDelta, Vocabulary};

use crate::clicks::LossCause;
use crate::clicks::raw::{BlockWriter, FinishedBlock};
use crate::clicks::writers::Part;

/// Clicks of one or more epochs, added up. Memory grows with what is distinct in them, and by about 60 bytes with each.
#[derive(Debug, Default)]
pub struct ClickBatch {
    clicks: u64,
    pub(super) vocabulary: Vocabulary,
    /// What became of the numbers of each edge and epoch.
    pub(super) parts: Vec<Part>,
    /// The part that was needed last: mostly the next one too.
    last_part: usize,
    hasher: DefaultHashBuilder,
    /// Links by account, domain and link id.
    link_table: HashTable<u32>,
    pub(super) accounts: Vec<AccountEntry>,
    account_table: HashMap<Box<str>, u32>,
    pub(super) domains: Vec<DomainEntry>,
    domain_table: HashMap<(u32, Box<str>), u32>,
    pub(super) links: Vec<LinkEntry>,
    /// The ids of the links, one after the other.
    link_ids: String,
    /// The raw clicks of each account's days.
    pub(super) account_days: HashMap<(u32, i64), AccountDay>,
    /// What each domain's days get; and all that an account's days get, which has no clicks but those of its domains.
    pub(super) domain_days: HashMap<(u32, i64), DayDelta>,
    /// What each link's days get. Nearly all clicks of a link are of one day, which the link itself holds.
    pub(super) other_link_days: HashMap<(u32, i64), DayDelta>,
    /// The memory of all deltas.
    delta_bytes: usize,
}

#[derive(Debug)]
pub(super) struct AccountEntry {
    pub(super) account_id: Box<str>,
}

#[derive(Debug)]
pub(super) struct DomainEntry {
    pub(super) account: u32,
    pub(super) host: Box<str>,
}

/// A link as clicked on one domain.
#[derive(Debug)]
pub(super) struct LinkEntry {
    pub(super) domain: u32,
    /// What the table finds it by, and where its id is.
    hash: u64,
    id_start: usize,
    id_end: usize,
    /// The day of its first click in the batch, and what that day gets.
    pub(super) day: i64,
    pub(super) delta: DayDelta,
}

#[derive(Debug, Default)]
pub(super) struct AccountDay {
    pub(super) writer: BlockWriter,
    pub(super) blocks: Vec<FinishedBlock>,
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
        self.clicks
    }

    /// Whether nothing was added: no click and no loss.
    pub fn is_empty(&self) -> bool {
        self.clicks == 0 && self.parts.is_empty()
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
            + self.delta_bytes
            + account_days.sum::<usize>()
    }

    pub(super) fn link_id(&self, link: &LinkEntry) -> &str {
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
    pub(super) fn count(&mut self, click: &ClickFacts<'_>) -> Option<()> {
        let day = day_of(click.clicked_at.as_micros());
        let link = self.link(click, day)?;
        let key = self.vocabulary.key(click);
        let entry = &mut self.links[link as usize];
        let domain = entry.domain;
        let of_link =
            if entry.day == day { &mut entry.delta } else { self.other_link_days.entry((link, day)).or_default() };
        for delta in [of_link, self.domain_days.entry((domain, day)).or_default()] {
            let before = delta.memory_bytes();
            delta.add(key);
            self.delta_bytes += delta.memory_bytes() - before;
        }
        let account = self.domains[domain as usize].account;
        let account_day = self.account_days.entry((account, day)).or_default();
        account_day.writer.push(link, click);
        if account_day.writer.is_full() {
            account_day.blocks.extend(account_day.writer.finish());
        }
        self.clicks += 1;
        Some(())
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
        self.links.push(LinkEntry { domain, hash, id_start, id_end, day, delta: DayDelta::default() });
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
