//! The sync status of targets (of one link, of links that are behind, of all links), manual retries, and comparisons
//! with what a target contains.
//!
//! The link table of this process is shown beside the targets outside it, although it has no rows: its content is
//! looked up directly. `waypost-sync` pushes and compares.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;
use waypost_api::ProblemCode;
use waypost_api::sync::{
    BehindPage, BehindPlace, FailedLink, LinkBehind, LinkSync, ListBehind, Retried, RetrySync, SyncOverview,
    TargetState, VerifyLine, VerifySync,
};
use waypost_core::CompactLink;
use waypost_core::compact::CorruptRecord;
use waypost_core::sync::{SyncStatus, SyncTarget};
use waypost_store::{Link, OutboxEntry, PAGE_LINKS_MAX, ReadTx, SyncKey, SyncSelection, SyncState};
use waypost_sync::{ComparedLinks, compile_record};

use crate::access::author::Changed;
use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::idempotency::{Done, Repeatable};
use crate::links::{Precondition, find_link, parse_link_id};
use crate::problem::Problem;
use crate::targets::view::{
    TargetFacts, link_state, outside_overview, overview, table_overview, table_state, target_state,
};

/// Links shown of those that the link table cannot serve as they are stored.
const LEFT_OUT_SHOWN_MAX: usize = 100;

impl App {
    /// The targets outside this process that are configured.
    pub(crate) const fn outside_targets(&self) -> &'static [SyncTarget] {
        if self.settings.kv.is_some() { &[SyncTarget::CloudflareKv] } else { &[] }
    }

    /// The target outside this process that work by hand is about.
    pub(crate) fn outside_target(&self) -> Result<SyncTarget, Problem> {
        self.outside_targets().first().copied().ok_or_else(|| {
            let detail = "links are pushed nowhere: configure `cloudflare.account_id`, `cloudflare.kv_namespace_id` and \
                          `cloudflare.api_token`";
            Problem::new(ProblemCode::NoSyncTarget, detail)
        })
    }

    /// Compares every link with what the target outside this process holds; what is found comes line by line. It ends
    /// with whoever reads them.
    ///
    /// # Errors
    /// Where there is no such target, or a comparison runs already.
    pub async fn verify_sync(
        &self,
        caller: &Caller,
        asked: VerifySync,
    ) -> Result<mpsc::Receiver<Vec<VerifyLine>>, Problem> {
        caller.may(Operation::ChangeSync)?;
        let target = self.outside_target()?;
        let (Some(client), Some(outbox)) = (self.kv().cloned(), self.outbox.clone()) else {
            return Err(Problem::internal("comparing", &"there is no client"));
        };
        let (store, table) = (self.store.clone(), Arc::clone(&self.table));
        if asked.repair {
            let changed = Changed::done(None, &json!({ "target": target, "repair": true }));
            self.record_ahead(caller, Operation::ChangeSync, changed).await?;
        }
        let links = ComparedLinks { store, table, target, client, outbox };
        self.verifier.start(links, asked).ok_or_else(|| {
            let detail = "this server is comparing already; wait for the end of that";
            Problem::new(ProblemCode::VerifyRunning, detail).retry_after(10)
        })
    }

    /// How far each target is with a link of the caller.
    ///
    /// # Errors
    /// Where there is no such link, or the database fails.
    pub async fn link_sync(&self, caller: &Caller, id: &str) -> Result<LinkSync, Problem> {
        caller.may(Operation::ReadLinkSync)?;
        self.read_link_sync(caller, id).await
    }

    async fn read_link_sync(&self, caller: &Caller, id: &str) -> Result<LinkSync, Problem> {
        let link_id = parse_link_id(id)?;
        let mut tx = self.store.read("link_sync").await?;
        let link = find_link(&mut tx, caller, &link_id, &Precondition::None).await?;
        let mut targets = vec![self.state_of_table(&mut tx, &link).await?];
        let key = key_of(&link);
        for target in self.outside_targets() {
            let state = tx.sync_state(*target, &key).await?;
            targets.push(link_state(*target, &link, state));
        }
        Ok(LinkSync { link_id, version: link.version, targets })
    }

    /// Has a link of the caller tried again now, where a target is behind with it.
    ///
    /// # Errors
    /// As [`App::link_sync`].
    pub async fn retry_link_sync(&self, caller: &Caller, id: &str) -> Result<LinkSync, Problem> {
        caller.may(Operation::RetryLinkSync)?;
        let key = key_of(&self.stored_link(caller, id).await?);
        for target in self.outside_targets() {
            let mut tx = self.store.begin("retry_link_sync").await?;
            tx.retry_sync(*target, &SyncSelection::Key(key.clone())).await?;
            let changed = Changed::done(Some(id), &json!({ "target": target }));
            caller.record(&mut tx, Operation::RetryLinkSync, changed).await?;
            tx.commit().await?;
        }
        self.wake_outbox();
        self.read_link_sync(caller, id).await.map_err(Problem::after_change)
    }

    /// Has tried again what failed, of the caller's account or for those who run the instance of all; or all links.
    /// Answers how many keys are retried.
    ///
    /// # Errors
    /// Where the caller may not, there is no target, or the database fails.
    pub async fn retry_sync(
        &self,
        caller: &Caller,
        retry: RetrySync,
        request: &Repeatable,
    ) -> Result<Done<Retried>, Problem> {
        caller.may(Operation::RetryLinkSync)?;
        caller.require_whole_account()?;
        let is_instance = caller.may(Operation::ChangeSync);
        if matches!(retry, RetrySync::Refill) {
            is_instance.clone()?;
        }
        let target = self.outside_target()?;
        let mut tx = self.store.begin("retry_sync").await?;
        if let Some(before) = request.answered(&mut tx).await? {
            return Ok(before);
        }
        let retried = match retry {
            RetrySync::Refill => tx.refill_sync(target).await.map(|()| 0)?,
            RetrySync::Failed if is_instance.is_ok() => tx.retry_sync(target, &SyncSelection::Failed).await?,
            RetrySync::Failed => tx.retry_sync(target, &SyncSelection::FailedOf(caller.account_id.clone())).await?,
        };
        let retried = Retried { target, retried };
        caller.record(&mut tx, Operation::ChangeSync, Changed::done(None, &retried)).await?;
        request.remember(&mut tx, &retried).await?;
        tx.commit().await?;
        self.wake_outbox();
        Ok(Done::now(retried))
    }

    /// A page of the caller's links that a target is behind with: failed ones first.
    ///
    /// # Errors
    /// Where there is no such target, or the database fails.
    pub async fn list_behind(&self, caller: &Caller, asked: &ListBehind) -> Result<BehindPage, Problem> {
        caller.may(Operation::ReadLinkSync)?;
        caller.require_whole_account()?;
        let target = match (asked.target, self.outside_target()) {
            (_, Ok(target)) => target,
            (Some(_), Err(problem)) => return Err(problem),
            (None, Err(_)) => return Ok(BehindPage { links: Vec::new(), next_cursor: None }),
        };
        let mut tx = self.store.read("list_behind").await?;
        let mut states = Vec::new();
        for status in ListBehind::STATUSES {
            let after = match &asked.after {
                Some(place) if rank(status) < rank(place.status) => continue,
                Some(BehindPlace { status: reached, domain_id, slug }) if *reached == status => {
                    Some(SyncKey { domain_id: domain_id.clone(), slug: slug.clone() })
                }
                Some(_) | None => None,
            };
            if asked.status.is_some_and(|wanted| wanted != status) {
                continue;
            }
            // One more than fits says whether there are more.
            let wanted = asked.limit as usize + 1;
            let mut after = after;
            while states.len() < wanted {
                let room = u32::try_from(wanted - states.len()).unwrap_or(u32::MAX).min(PAGE_LINKS_MAX);
                let account_id = Some(&caller.account_id);
                let page = tx.list_sync_states(target, account_id, status, after.as_ref(), room).await?;
                after = page.last().map(|last| last.key.clone());
                let is_last = page.len() < room as usize;
                states.extend(page);
                if is_last {
                    break;
                }
            }
        }
        drop(tx);
        let is_more = states.len() > asked.limit as usize;
        states.truncate(asked.limit as usize);
        let next_cursor = states.last().filter(|_| is_more).map(|last| place_of(last).to_cursor());
        let links = states.into_iter().map(|state| self.behind_view(target, state)).collect();
        Ok(BehindPage { links, next_cursor })
    }

    fn behind_view(&self, target: SyncTarget, state: SyncState) -> LinkBehind {
        let domains = self.sync.domains();
        let domain = domains.iter().find(|domain| domain.domain_id == state.key.domain_id);
        LinkBehind {
            link_id: state.link_id.clone(),
            domain: domain.map(|domain| domain.host.as_str().to_owned()),
            slug: state.key.slug.clone(),
            state: target_state(target, state),
        }
    }

    /// How far every target is; how many keys are synced only where asked for.
    ///
    /// # Errors
    /// Where the table cannot be read, or the database fails.
    pub async fn sync_overview(&self, caller: &Caller, with_synced: bool) -> Result<SyncOverview, Problem> {
        caller.may(Operation::ReadSync)?;
        let stats = self.table.stats().map_err(|error| Problem::internal("looking at the link table", &error))?;
        let mut tx = self.store.read("sync_overview").await?;
        let behind = tx.outbox_last().await?.saturating_sub(self.table.cursor());
        let left_out = self.left_out();
        let mut targets = vec![table_overview((stats.links, behind), left_out, self.sync.is_well())];
        for target in self.outside_targets() {
            let is_behind = tx.sync_work(*target).await?.is_behind;
            let mut counts = tx.count_sync_states(*target, with_synced).await?;
            if is_behind {
                tx.add_unread_sync(*target, &mut counts).await?;
            }
            targets.push(outside_overview(TargetFacts {
                target: *target,
                links: stats.links,
                is_behind,
                counts,
                with_synced,
                health: tx.sync_health(*target).await?,
                now: tx.now(),
            }));
        }
        Ok(overview(targets))
    }

    /// How many links the link table of this process cannot serve as they are stored, and some of them, named as people
    /// do.
    fn left_out(&self) -> (u64, Vec<FailedLink>) {
        let (count, mut links) = self.sync.left_out(LEFT_OUT_SHOWN_MAX);
        for link in links.iter_mut().filter(|link| link.domain.is_empty()) {
            self.default_domain().host.as_str().clone_into(&mut link.domain);
        }
        (count, links)
    }

    /// How far the link table of this process is with a link.
    async fn state_of_table(&self, tx: &mut ReadTx, link: &Link) -> Result<TargetState, Problem> {
        let is_default = self.default_domain().domain_id == link.domain_id;
        let domain_key = if is_default { "" } else { link.host.as_str() };
        let version_of = |bytes: &[u8]| {
            let held = CompactLink::read(bytes)?;
            Ok::<_, CorruptRecord>(held.is_readable().then(|| held.version()))
        };
        let (held, error) = match self.table.get(domain_key, &link.slug, version_of) {
            Ok(Some(Ok(version))) => (version, None),
            Ok(None) => (None, None),
            Ok(Some(Err(error))) => (None, Some(error.to_string())),
            Err(error) => (None, Some(error.to_string())),
        };
        let error = match error {
            None if held.is_none_or(|version| version < link.version) => self.refusal(tx, link).await?,
            error => error,
        };
        Ok(table_state(link, held, error))
    }

    /// Why the table cannot hold the link as it is stored, if it cannot.
    async fn refusal(&self, tx: &mut ReadTx, link: &Link) -> Result<Option<String>, Problem> {
        let entry = OutboxEntry {
            sequence: 0,
            link_id: link.link_id.clone(),
            domain_id: link.domain_id.clone(),
            slug: link.slug.clone(),
            version: link.version,
        };
        let records = tx.edge_records(&[entry]).await?;
        if let Some(link) = records.unreadable.first() {
            return Ok(Some(link.error.to_string()));
        }
        let record = records.records.first().and_then(|record| record.record.as_ref());
        Ok(record.and_then(|record| compile_record(record, self.schemes()).err()))
    }
}

fn key_of(link: &Link) -> SyncKey {
    SyncKey { domain_id: link.domain_id.clone(), slug: link.slug.clone() }
}

fn rank(status: SyncStatus) -> usize {
    ListBehind::STATUSES.iter().position(|behind| *behind == status).unwrap_or(ListBehind::STATUSES.len())
}

fn place_of(state: &SyncState) -> BehindPlace {
    let SyncKey { domain_id, slug } = state.key.clone();
    BehindPlace { status: state.status, domain_id, slug }
}
