//! Scopes: accounts, domains and links under small numbers. A domain's scope lies below its account's and a link's below its
//! domain's, so a link that was clicked on two domains has two, and what it added to each is known for ever. A number is
//! never given up and never means anything else.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{Equivalent, HashMap};
use waypost_core::id::{AccountId, LinkId};
use waypost_rollup::Scope;
use waypost_sql::{Columns, SqlError, Statement};

use crate::batch::ClickBatch;
use crate::chunks::chunks;
use crate::error::ClicksError;
use crate::tx::{ReadTx, Tx};

/// The parent of accounts.
const ROOT: u32 = 0;
/// The most scopes that are remembered, about 15 MB.
const REMEMBERED_MAX: usize = 150_000;

/// The numbers of scopes seen lately, by parent and key. Shared by all that count; held only for look-ups.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeCache(Arc<Mutex<KnownScopes>>);

/// Numbers by parent and key.
type KnownScopes = HashMap<(u32, Box<str>), u32>;

/// A scope as it is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key<'k>(u32, &'k str);

impl Equivalent<(u32, Box<str>)> for Key<'_> {
    fn equivalent(&self, key: &(u32, Box<str>)) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

impl ScopeCache {
    fn lock(&self) -> MutexGuard<'_, KnownScopes> {
        // A number is put in whole or not at all, so what a panic left is as good as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a committed transaction has found or made.
    pub(crate) fn remember(&self, batch: &ClickBatch, numbers: &ScopeNumbers) {
        let mut known = self.lock();
        if known.len() + numbers.new_to_cache > REMEMBERED_MAX {
            known.clear();
        }
        let mut put = |parent: u32, key: &str, number: u32| {
            if !known.contains_key(&Key(parent, key)) && known.len() < REMEMBERED_MAX {
                known.insert((parent, key.into()), number);
            }
        };
        for (account, &number) in batch.accounts.iter().zip(&numbers.accounts) {
            put(ROOT, &account.account_id, number);
        }
        for (domain, &number) in batch.domains.iter().zip(&numbers.domains) {
            put(numbers.accounts[domain.account as usize], &domain.host, number);
        }
        for (link, &number) in batch.links.iter().zip(&numbers.links) {
            put(numbers.domains[link.domain as usize], batch.link_id(link), number);
        }
    }
}

/// The numbers of a batch's accounts, domains and links, in the batch's order.
#[derive(Debug, Default)]
pub(crate) struct ScopeNumbers {
    pub(crate) accounts: Vec<u32>,
    pub(crate) domains: Vec<u32>,
    pub(crate) links: Vec<u32>,
    new_to_cache: usize,
}

/// What a link's scope says.
#[derive(Debug)]
pub(crate) struct LinkScope {
    pub(crate) link_id: String,
    pub(crate) domain: String,
}

impl Tx {
    /// Gives every scope of a batch its number, a new one where it has none yet.
    pub(crate) async fn number_scopes(
        &mut self,
        batch: &ClickBatch,
        cache: &ScopeCache,
    ) -> Result<ScopeNumbers, ClicksError> {
        let mut numbers = ScopeNumbers::default();
        let keys: Vec<_> = batch.accounts.iter().map(|account| Key(ROOT, &account.account_id)).collect();
        numbers.accounts = self.number_keys(&keys, cache, &mut numbers.new_to_cache).await?;
        let account = |account: u32| numbers.accounts[account as usize];
        let keys: Vec<_> = batch.domains.iter().map(|domain| Key(account(domain.account), &domain.host)).collect();
        numbers.domains = self.number_keys(&keys, cache, &mut numbers.new_to_cache).await?;
        let domain = |domain: u32| numbers.domains[domain as usize];
        let keys: Vec<_> = batch.links.iter().map(|link| Key(domain(link.domain), batch.link_id(link))).collect();
        numbers.links = self.number_keys(&keys, cache, &mut numbers.new_to_cache).await?;
        Ok(numbers)
    }

    async fn number_keys(
        &mut self,
        keys: &[Key<'_>],
        cache: &ScopeCache,
        new_to_cache: &mut usize,
    ) -> Result<Vec<u32>, ClicksError> {
        let mut found: Vec<Option<u32>> = {
            let known = cache.lock();
            keys.iter().map(|key| known.get(key).copied()).collect()
        };
        let mut missing: Vec<usize> = (0..keys.len()).filter(|&index| found[index].is_none()).collect();
        *new_to_cache += missing.len();
        missing.sort_by_key(|&index| keys[index]);
        for family in missing.chunk_by(|&a, &b| keys[a].0 == keys[b].0) {
            self.find_children(keys, family, &mut found).await?;
        }
        missing.retain(|&index| found[index].is_none());
        missing.sort_unstable();
        self.add_scopes(keys, &missing, &mut found).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Looks for scopes that have one parent.
    async fn find_children(
        &mut self,
        keys: &[Key<'_>],
        family: &[usize],
        found: &mut [Option<u32>],
    ) -> Result<(), ClicksError> {
        let Some(parent) = family.first().map(|&index| keys[index].0) else { return Ok(()) };
        for chunk in chunks(family) {
            let mut sql = "SELECT number, key FROM click_scopes WHERE key IN ".to_owned();
            self.engine().put_placeholders(&mut sql, 1, chunk.len());
            sql.push_str(&format!(" AND parent = ${}", chunk.len() + 1));
            let statement = chunk.iter().fold(Statement::new(sql), |statement, &index| statement.bind(keys[index].1));
            let rows = self.fetch_all(statement.bind(i64::from(parent))).await?;
            for row in &rows {
                let columns = Columns::new(row, "click scope");
                let (number, key) = (read_number(&columns, "number")?, columns.get::<&str>("key")?);
                if let Ok(place) = chunk.binary_search_by(|&index| keys[index].1.cmp(key)) {
                    found[chunk[place]] = Some(number);
                }
            }
        }
        Ok(())
    }

    async fn add_scopes(
        &mut self,
        keys: &[Key<'_>],
        missing: &[usize],
        found: &mut [Option<u32>],
    ) -> Result<(), ClicksError> {
        if missing.is_empty() {
            return Ok(());
        }
        let last = Statement::new("SELECT coalesce(max(number), 0) AS number FROM click_scopes");
        let row = self.fetch_optional(last).await?;
        let last = row.as_ref().map_or(Ok(0), |row| Columns::new(row, "click scope").get::<i64>("number"))?;
        let numbers = last + 1..;
        let full = || ClicksError::TooMany { what: "click scopes", max: u32::MAX as usize };
        let numbered: Vec<(usize, u32)> = missing
            .iter()
            .zip(numbers)
            .map(|(&index, number)| Ok((index, u32::try_from(number).map_err(|_| full())?)))
            .collect::<Result<_, ClicksError>>()?;
        for chunk in chunks(&numbered) {
            let mut sql = "INSERT INTO click_scopes (number, parent, key) VALUES ".to_owned();
            self.engine().put_placeholders(&mut sql, chunk.len(), 3);
            let statement = chunk.iter().fold(Statement::new(sql), |statement, &(index, number)| {
                let Key(parent, key) = keys[index];
                statement.bind(i64::from(number)).bind(i64::from(parent)).bind(key)
            });
            self.execute(statement).await?;
        }
        for (index, number) in numbered {
            found[index] = Some(number);
        }
        Ok(())
    }
}

impl ReadTx {
    pub(crate) async fn account_scope(&mut self, account_id: &AccountId) -> Result<Option<u32>, ClicksError> {
        self.child_scope(ROOT, account_id.as_str()).await
    }

    async fn child_scope(&mut self, parent: u32, key: &str) -> Result<Option<u32>, ClicksError> {
        let statement = Statement::new("SELECT number FROM click_scopes WHERE key = $1 AND parent = $2");
        let row = self.fetch_optional(statement.bind(key).bind(i64::from(parent))).await?;
        Ok(row.map(|row| read_number(&Columns::new(&row, "click scope"), "number")).transpose()?)
    }

    /// The scopes of an account's link: one for each domain that it was clicked on, with that domain's.
    pub(crate) async fn link_scopes(&mut self, account: u32, link_id: &LinkId) -> Result<Vec<(u32, u32)>, ClicksError> {
        let statement = Statement::new(
            "SELECT l.number, l.parent FROM click_scopes AS l CROSS JOIN click_scopes AS d
             WHERE l.key = $1 AND d.number = l.parent AND d.parent = $2",
        );
        let rows = self.fetch_all(statement.bind(link_id.as_str()).bind(i64::from(account))).await?;
        let read = |row| {
            let columns = Columns::new(row, "click scope");
            Ok((read_number(&columns, "number")?, read_number(&columns, "parent")?))
        };
        rows.iter().map(read).collect()
    }

    /// The domains in which these links' scopes lie.
    pub(crate) async fn domains_of_links(&mut self, links: &[u32]) -> Result<HashMap<u32, u32>, ClicksError> {
        let mut domains = HashMap::new();
        for chunk in chunks(links) {
            let mut sql = "SELECT number, parent FROM click_scopes WHERE number IN ".to_owned();
            self.engine().put_placeholders(&mut sql, 1, chunk.len());
            let statement =
                chunk.iter().fold(Statement::new(sql), |statement, &number| statement.bind(i64::from(number)));
            for row in &self.fetch_all(statement).await? {
                let columns = Columns::new(row, "click scope");
                domains.insert(read_number(&columns, "number")?, read_number(&columns, "parent")?);
            }
        }
        Ok(domains)
    }

    /// The numbers of a report's scope; none where nothing was counted of it.
    pub(crate) async fn report_scopes(&mut self, scope: &Scope) -> Result<Vec<u32>, ClicksError> {
        let account_id = match scope {
            Scope::Account(account_id) | Scope::Domain(account_id, _) | Scope::Link(account_id, _) => account_id,
        };
        let Some(account) = self.account_scope(account_id).await? else { return Ok(Vec::new()) };
        match scope {
            Scope::Account(_) => Ok(vec![account]),
            Scope::Domain(_, host) => Ok(self.child_scope(account, host).await?.into_iter().collect()),
            Scope::Link(_, link_id) => {
                Ok(self.link_scopes(account, link_id).await?.into_iter().map(|(link, _)| link).collect())
            }
        }
    }

    /// What these numbers of links stand for.
    pub(crate) async fn read_link_scopes(&mut self, numbers: &[u32]) -> Result<HashMap<u32, LinkScope>, ClicksError> {
        let mut scopes = HashMap::with_capacity(numbers.len());
        for chunk in chunks(numbers) {
            let mut sql = "SELECT l.number, l.key AS link_id, d.key AS host
                 FROM click_scopes AS l CROSS JOIN click_scopes AS d WHERE d.number = l.parent AND l.number IN "
                .to_owned();
            self.engine().put_placeholders(&mut sql, 1, chunk.len());
            let statement =
                chunk.iter().fold(Statement::new(sql), |statement, &number| statement.bind(i64::from(number)));
            for row in &self.fetch_all(statement).await? {
                let columns = Columns::new(row, "click scope");
                let scope = LinkScope { link_id: columns.get("link_id")?, domain: columns.get("host")? };
                scopes.insert(read_number(&columns, "number")?, scope);
            }
        }
        Ok(scopes)
    }
}

fn read_number(columns: &Columns<'_>, column: &str) -> Result<u32, SqlError> {
    u32::try_from(columns.get::<i64>(column)?).map_err(|error| columns.corrupt(column, &error))
}
