//! Counting: what a batch does to the database, in one transaction.

use hashbrown::HashMap;
use waypost_rollup::{DayDelta, LinksRollup};

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
        let ClickBatch { vocabulary, links, account_days, domain_days, other_link_days, .. } = batch;
        let mut changes: Vec<(Cell, &DayDelta)> = Vec::with_capacity(links.len() + account_days.len() + 16);
        for (link, number) in links.iter().zip(&numbers.links).filter(|(link, _)| link.delta.clicks() > 0) {
            changes.push((Cell::new(link.day, *number), &link.delta));
        }
        for ((link, day), delta) in &*other_link_days {
            changes.push((Cell::new(*day, numbers.links[*link as usize]), delta));
        }
        for ((domain, day), delta) in &*domain_days {
            changes.push((Cell::new(*day, numbers.domains[*domain as usize]), delta));
        }
        for ((account, day), account_day) in &*account_days {
            changes.push((Cell::new(*day, numbers.accounts[*account as usize]), &account_day.delta));
        }
        changes.sort_unstable_by_key(|(cell, _)| *cell);
        self.merge_cells(CellKind::Day, &changes, |delta, stored| delta.merge_into(vocabulary, stored)).await
    }

    /// Merges the links' roll-ups of accounts and domains.
    async fn count_links(&mut self, batch: &ClickBatch, numbers: &ScopeNumbers) -> Result<(), StoreError> {
        let mut rollups: HashMap<Cell, LinksRollup> = HashMap::new();
        let mut accounts = HashMap::new();
        let mut add = |link: usize, day: i64, delta: &DayDelta| {
            let domain = batch.links[link].domain as usize;
            let cell = Cell::new(day, numbers.domains[domain]);
            accounts.insert(cell, Cell::new(day, numbers.accounts[batch.domains[domain].account as usize]));
            rollups.entry(cell).or_default().add_delta(numbers.links[link], delta);
        };
        for (index, link) in batch.links.iter().enumerate().filter(|(_, link)| link.delta.clicks() > 0) {
            add(index, link.day, &link.delta);
        }
        for ((link, day), delta) in &batch.other_link_days {
            add(*link as usize, *day, delta);
        }
        // An account has what its domains have.
        for (domain, account) in accounts {
            let of_domain = rollups.get(&domain).cloned().unwrap_or_default();
            rollups.entry(account).or_default().merge(&of_domain);
        }
        let mut changes: Vec<(Cell, LinksRollup)> = rollups.into_iter().collect();
        changes.sort_unstable_by_key(|(cell, _)| *cell);
        let merge = |added: &LinksRollup, stored: Option<&[u8]>| {
            let Some(stored) = stored else { return Ok(added.encode()) };
            let mut rollup = LinksRollup::decode(stored)?;
            rollup.merge(added);
            Ok(rollup.encode())
        };
        self.merge_cells(CellKind::Links, &changes, merge).await
    }
}
