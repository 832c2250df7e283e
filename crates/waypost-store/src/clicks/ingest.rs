//! Counting: what a batch does to the database, in one transaction.

use std::borrow::Cow;

use hashbrown::HashMap;
use waypost_rollup::{CorruptRollup, DayDelta, LinksRollup};

use crate::clicks::batch::{AccountDay, ClickBatch};
use crate::clicks::cells::{Cell, CellKind};
use crate::clicks::scopes::{ScopeCache, ScopeNumbers};
use crate::error::StoreError;
use crate::tx::Tx;

impl Tx {
    /// Counts a batch, but for the positions of its writers.
    pub(super) async fn count_clicks(
        &mut self,
        batch: &mut ClickBatch,
        cache: &ScopeCache,
    ) -> Result<ScopeNumbers, StoreError> {
        let numbers = self.number_scopes(batch, cache).await?;
        self.count_links(batch, &numbers).await?;
        self.count_days(batch, &numbers).await?;
        for ((account, day), account_day) in &mut batch.account_days {
            let AccountDay { writer, blocks, .. } = account_day;
            blocks.extend(writer.finish());
            let account = numbers.accounts[*account as usize];
            self.append_blocks((account, *day), blocks, |link| numbers.links[link as usize]).await?;
        }
        Ok(numbers)
    }

    /// Merges the day roll-ups of every scope.
    async fn count_days(&mut self, batch: &mut ClickBatch, numbers: &ScopeNumbers) -> Result<(), StoreError> {
        let ClickBatch { vocabulary, links, domains, domain_days, other_link_days, .. } = batch;
        let mut changes: Vec<(Cell, &DayDelta)> = Vec::with_capacity(links.len() + other_link_days.len());
        for (link, number) in links.iter().zip(&numbers.links).filter(|(link, _)| link.delta.clicks() > 0) {
            changes.push((Cell::new(link.day, *number), &link.delta));
        }
        for ((link, day), delta) in &*other_link_days {
            changes.push((Cell::new(*day, numbers.links[*link as usize]), delta));
        }
        changes.sort_unstable_by_key(|(cell, _)| *cell);
        self.merge_cells(CellKind::Day, &changes, |delta, stored| delta.merge_into(vocabulary, stored)).await?;
        let mut changes = Vec::with_capacity(2 * domain_days.len());
        let mut accounts: HashMap<Cell, Cow<'_, DayDelta>> = HashMap::new();
        for ((domain, day), delta) in &*domain_days {
            let domain = *domain as usize;
            changes.push((Cell::new(*day, numbers.domains[domain]), Cow::Borrowed(delta)));
            let account = Cell::new(*day, numbers.accounts[domains[domain].account as usize]);
            let of_account = accounts.entry(account).and_modify(|known| known.to_mut().append(delta));
            of_account.or_insert(Cow::Borrowed(delta));
        }
        changes.extend(accounts);
        changes.sort_unstable_by_key(|(cell, _)| *cell);
        let merge = once_for_twins(|delta: &DayDelta, stored: Option<&[u8]>| delta.merge_into(vocabulary, stored));
        self.merge_cells(CellKind::Day, &changes, merge).await
    }

    /// Merges the links' roll-ups of accounts and domains.
    async fn count_links(&mut self, batch: &ClickBatch, numbers: &ScopeNumbers) -> Result<(), StoreError> {
        let mut rollups: HashMap<Cell, LinksRollup> = HashMap::new();
        let mut account_of = HashMap::new();
        let mut add = |link: usize, day: i64, delta: &DayDelta| {
            let domain = batch.links[link].domain as usize;
            let cell = Cell::new(day, numbers.domains[domain]);
            account_of.insert(cell, Cell::new(day, numbers.accounts[batch.domains[domain].account as usize]));
            rollups.entry(cell).or_default().add_delta(numbers.links[link], delta);
        };
        for (index, link) in batch.links.iter().enumerate().filter(|(_, link)| link.delta.clicks() > 0) {
            add(index, link.day, &link.delta);
        }
        for ((link, day), delta) in &batch.other_link_days {
            add(*link as usize, *day, delta);
        }
        let mut changes = Vec::with_capacity(2 * rollups.len());
        let mut accounts: HashMap<Cell, Cow<'_, LinksRollup>> = HashMap::new();
        for (domain, rollup) in &rollups {
            changes.push((*domain, Cow::Borrowed(rollup)));
            let of_account = accounts.entry(account_of[domain]).and_modify(|known| known.to_mut().merge(rollup));
            of_account.or_insert(Cow::Borrowed(rollup));
        }
        changes.extend(accounts);
        changes.sort_unstable_by_key(|(cell, _)| *cell);
        let merge = once_for_twins(|added: &LinksRollup, stored: Option<&[u8]>| {
            let Some(stored) = stored else { return Ok(added.encode()) };
            let mut rollup = LinksRollup::decode(stored)?;
            rollup.merge(added);
            Ok(rollup.encode())
        });
        self.merge_cells(CellKind::Links, &changes, merge).await
    }
}

/// What of a domain and of an account with no other domain is the same, merged once: their changes follow each other wherever
/// both were numbered together.
fn once_for_twins<'c, C: Clone + 'c>(
    mut merge: impl FnMut(&C, Option<&[u8]>) -> Result<Vec<u8>, CorruptRollup>,
) -> impl FnMut(&Cow<'c, C>, Option<&[u8]>) -> Result<Vec<u8>, CorruptRollup> {
    let mut last: Option<(&'c C, Option<Vec<u8>>, Vec<u8>)> = None;
    move |change, stored| {
        let Cow::Borrowed(change) = *change else { return merge(change, stored) };
        if let Some((of, before, merged)) = last.take()
            && std::ptr::eq(of, change)
            && before.as_deref() == stored
        {
            return Ok(merged);
        }
        let merged = merge(change, stored)?;
        last = Some((change, stored.map(<[u8]>::to_vec), merged.clone()));
        Ok(merged)
    }
}
