//! Counting: what a batch does to the database, in one transaction.

use waypost_rollup::{CorruptRollup, LinksRollup, Vocabulary};

use crate::batch::{AccountDay, ClickBatch, GroupedClicks, GroupedLinkDay};
use crate::cells::{Cell, CellKind};
use crate::error::ClicksError;
use crate::scopes::{ScopeCache, ScopeNumbers};
use crate::tx::Tx;

impl Tx {
    /// Counts a batch, but for the positions of its writers.
    pub(crate) async fn count_clicks(
        &mut self,
        batch: &mut ClickBatch,
        cache: &ScopeCache,
    ) -> Result<ScopeNumbers, ClicksError> {
        let numbers = self.number_scopes(batch, cache).await?;
        let clicks = batch.group();
        self.count_links(&clicks, &numbers).await?;
        self.count_days(&mut batch.vocabulary, &clicks, &numbers).await?;
        drop(clicks);
        for ((account, day), account_day) in &mut batch.account_days {
            let AccountDay { writer, blocks, .. } = account_day;
            blocks.extend(writer.finish());
            let account = numbers.accounts[*account as usize];
            self.append_blocks((account, *day), blocks, |link| numbers.links[link as usize]).await?;
        }
        Ok(numbers)
    }

    /// Merges the day roll-ups of every scope.
    async fn count_days(
        &mut self,
        vocabulary: &mut Vocabulary,
        clicks: &GroupedClicks,
        numbers: &ScopeNumbers,
    ) -> Result<(), ClicksError> {
        let of_link = |link_day: &GroupedLinkDay| Cell::new(link_day.day, numbers.links[link_day.link as usize]);
        let mut links: Vec<_> = clicks.link_days.chunks(1).map(|one| (of_link(&one[0]), one)).collect();
        links.sort_unstable_by_key(|(cell, _)| *cell);
        let mut merge =
            |link_days: &[GroupedLinkDay], stored: Option<&[u8]>| vocabulary.merge(clicks.keys(link_days), stored);
        self.merge_cells(CellKind::Day, &links, |change, stored| merge(change, stored)).await?;
        self.merge_cells(CellKind::Day, &wide_changes(clicks, numbers), once_for_twins(merge)).await
    }

    /// Merges the links' roll-ups of accounts and domains.
    async fn count_links(&mut self, clicks: &GroupedClicks, numbers: &ScopeNumbers) -> Result<(), ClicksError> {
        let merge = |link_days: &[GroupedLinkDay], stored: Option<&[u8]>| {
            let mut rollup = stored.map_or_else(|| Ok(LinksRollup::default()), LinksRollup::decode)?;
            for link_day in link_days {
                let keys = clicks.keys(std::slice::from_ref(link_day));
                rollup.add_keys(numbers.links[link_day.link as usize], keys);
            }
            Ok(rollup.encode())
        };
        self.merge_cells(CellKind::Links, &wide_changes(clicks, numbers), once_for_twins(merge)).await
    }
}

/// What the days of accounts and domains get, in the order of their cells.
fn wide_changes<'c>(clicks: &'c GroupedClicks, numbers: &ScopeNumbers) -> Vec<(Cell, &'c [GroupedLinkDay])> {
    let mut changes = Vec::new();
    for of_account in clicks.link_days.chunk_by(|one, other| (one.account, one.day) == (other.account, other.day)) {
        changes.push((Cell::new(of_account[0].day, numbers.accounts[of_account[0].account as usize]), of_account));
        for of_domain in of_account.chunk_by(|one, other| one.domain == other.domain) {
            changes.push((Cell::new(of_domain[0].day, numbers.domains[of_domain[0].domain as usize]), of_domain));
        }
    }
    changes.sort_unstable_by_key(|(cell, _)| *cell);
    changes
}

/// Merges once what an account and its only domain have in common: the changes of both follow each other, unless others were
/// numbered between them.
fn once_for_twins<'c>(
    mut merge: impl FnMut(&[GroupedLinkDay], Option<&[u8]>) -> Result<Vec<u8>, CorruptRollup>,
) -> impl FnMut(&&'c [GroupedLinkDay], Option<&[u8]>) -> Result<Vec<u8>, CorruptRollup> {
    struct Merged<'c> {
        change: &'c [GroupedLinkDay],
        stored: Option<Vec<u8>>,
        rollup: Vec<u8>,
    }
    let mut last: Option<Merged<'c>> = None;
    move |change, stored| {
        if let Some(last) = last.take()
            && std::ptr::eq(last.change, *change)
            && last.stored.as_deref() == stored
        {
            return Ok(last.rollup);
        }
        let rollup = merge(change, stored)?;
        last = Some(Merged { change, stored: stored.map(<[u8]>::to_vec), rollup: rollup.clone() });
        Ok(rollup)
    }
}
