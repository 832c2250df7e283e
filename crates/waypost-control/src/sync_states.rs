//! How far each target is: with one link, with the links that are behind, and altogether; and trying again by hand.
//!
//! The link table of this process is shown beside the targets outside it, though it has no rows: what it holds is looked
//! up in it. Pushing is the outbox worker's work, comparing with what a target really holds that of `verify.rs`.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use waypost_core::CompactLink;
use waypost_core::compact::CorruptRecord;
use waypost_core::id::DomainId;
use waypost_store::{
    Link, OutboxEntry, PAGE_LINKS_MAX, ReadTx, SyncKey, SyncSelection, SyncState, SyncStatus, SyncTarget,
};

use crate::app::App;
use crate::caller::Caller;
use crate::compiled::compile_record;
use crate::idempotency::{Answer, Repeatable};
use crate::left_out::LeftOutLink;
use crate::link_list::PAGE_LINKS;
use crate::links::parse_link_id;
use crate::problem::{Problem, ProblemCode};
use crate::report_query::Fields;
use crate::request::{QueryPairs, invalid, refuse_rest, take_text};
use crate::sync_view::{
    BehindPage, BehindView, LinkSyncView, StateView, SyncOverview, TargetFacts, TargetView, name_of,
};

/// The statuses of keys that are behind, in the order in which they are listed.
const BEHIND: [SyncStatus; 3] = [SyncStatus::Failed, SyncStatus::Syncing, SyncStatus::Pending];

/// Links shown of those that the link table cannot serve as they are stored.
const LEFT_OUT_SHOWN_MAX: usize = 100;

/// Which links behind to list.
#[derive(Debug)]
pub(crate) struct AskedBehind {
    target: Option<SyncTarget>,
    status: Option<SyncStatus>,
    limit: u32,
    /// The status and key that the page begins after.
    after: Option<(SyncStatus, SyncKey)>,
}

impl AskedBehind {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// As [`crate::report_query::AskedReport::read`].
    pub(crate) fn read(pairs: QueryPairs) -> Result<Self, Problem> {
        let mut fields = Fields::of(pairs);
        let bad = ProblemCode::BadRequest;
        let asked = Self {
            target: fields.read("target", ProblemCode::InvalidField, read_target),
            status: fields.read("status", ProblemCode::InvalidField, read_behind),
            limit: fields.read("limit", bad, read_limit).unwrap_or(PAGE_LINKS),
            after: fields.read("cursor", bad, |text| read_cursor(text).ok_or_else(|| CURSOR_INVALID.to_owned())),
        };
        let does_fit = match (&asked.after, asked.status) {
            (Some((of_cursor, _)), Some(status)) => *of_cursor == status,
            (Some(_) | None, _) => true,
        };
        if !does_fit {
            fields.refuse("cursor", bad, CURSOR_INVALID);
        }
        fields.finish().map(|()| asked)
    }
}

const CURSOR_INVALID: &str = "is none that this list has handed out";

/// What is to be tried again.
#[derive(Debug)]
pub(crate) enum Retry {
    /// What failed.
    Failed,
    /// All links.
    Refill,
}

impl Retry {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Names the fields that are at fault.
    pub(crate) fn parse(mut object: Map<String, Value>) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let target = take_text(&mut object, "target", &mut errors);
        if target.is_some_and(|target| target != SyncTarget::CloudflareKv.name()) {
            errors.push(invalid("target", "`cloudflare_kv`, which is the only target that is retried by hand"));
        }
        let status = take_text(&mut object, "status", &mut errors);
        if status.as_ref().is_some_and(|status| status != "failed") {
            errors.push(invalid("status", "`failed`: what is pending is tried anyway"));
        }
        let refill = match object.remove("refill") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(refill)) => refill,
            Some(_) => {
                errors.push(invalid("refill", "true or false"));
                false
            }
        };
        refuse_rest(&object, &mut errors);
        if errors.is_empty() && status.is_some() == refill {
            errors.push(invalid("", "an object with either \"status\": \"failed\" or \"refill\": true"));
        }
        match errors.is_empty() {
            true if refill => Ok(Self::Refill),
            true => Ok(Self::Failed),
            false => Err(Problem::of_fields(errors)),
        }
    }
}

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

    /// How far each target is with a link of the caller.
    pub(crate) async fn link_sync(&self, caller: &Caller, id: &str) -> Result<LinkSyncView, Problem> {
        let link_id = parse_link_id(id)?;
        let mut tx = self.store.read("link_sync").await?;
        let link = tx.get_link(&caller.account_id, &link_id).await?.ok_or_else(|| Problem::not_found("link"))?;
        let mut targets = vec![self.table_state(&mut tx, &link).await?];
        let key = key_of(&link);
        for target in self.outside_targets() {
            let state = tx.sync_state(*target, &key).await?;
            targets.push(StateView::of_link(*target, &link, state));
        }
        Ok(LinkSyncView { link_id, version: link.version, targets })
    }

    /// Has a link of the caller tried again now, where a target is behind with it.
    pub(crate) async fn retry_link_sync(&self, caller: &Caller, id: &str) -> Result<LinkSyncView, Problem> {
        let key = key_of(&self.get_link(caller, id).await?);
        for target in self.outside_targets() {
            let mut tx = self.store.begin("retry_link_sync").await?;
            tx.retry_sync(*target, &SyncSelection::Key(key.clone())).await?;
            tx.commit().await?;
        }
        self.wake_outbox();
        self.link_sync(caller, id).await.map_err(Problem::after_change)
    }

    /// Has tried again what failed, of the caller's account or for those who run the instance of all; or all links. Answers
    /// how many keys are retried.
    pub(crate) async fn retry_sync(
        &self,
        caller: &Caller,
        retry: Retry,
        request: &Repeatable,
    ) -> Result<Answer, Problem> {
        let is_instance = caller.require_instance(self);
        if matches!(retry, Retry::Refill) {
            is_instance.clone()?;
        }
        let target = self.outside_target()?;
        let mut tx = self.store.begin("retry_sync").await?;
        if let Some(answer) = request.answered(&mut tx).await? {
            return Ok(answer);
        }
        let retried = match retry {
            Retry::Refill => tx.refill_sync(target).await.map(|()| 0)?,
            Retry::Failed if is_instance.is_ok() => tx.retry_sync(target, &SyncSelection::Failed).await?,
            Retry::Failed => tx.retry_sync(target, &SyncSelection::FailedOf(caller.account_id.clone())).await?,
        };
        let body = serde_json::to_vec(&json!({ "target": target.name(), "retried": retried })).unwrap_or_default();
        request.remember(&mut tx, StatusCode::ACCEPTED, &body).await?;
        tx.commit().await?;
        self.wake_outbox();
        Ok(Answer::new(StatusCode::ACCEPTED, body))
    }

    /// A page of the caller's links that a target is behind with: failed ones first.
    pub(crate) async fn list_behind(&self, caller: &Caller, asked: &AskedBehind) -> Result<BehindPage, Problem> {
        let target = match (asked.target, self.outside_target()) {
            (_, Ok(target)) => target,
            (Some(_), Err(problem)) => return Err(problem),
            (None, Err(_)) => return Ok(BehindPage { links: Vec::new(), next_cursor: None }),
        };
        let mut tx = self.store.read("list_behind").await?;
        let mut states = Vec::new();
        for status in BEHIND {
            let after = match &asked.after {
                Some((reached, _)) if rank(status) < rank(*reached) => continue,
                Some((reached, key)) if *reached == status => Some(key),
                Some(_) | None => None,
            };
            if asked.status.is_some_and(|wanted| wanted != status) {
                continue;
            }
            // One more than fits says whether there are more.
            let wanted = asked.limit as usize + 1;
            let mut after = after.cloned();
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
        let next_cursor = states.last().filter(|_| is_more).map(write_cursor);
        let links = states.into_iter().map(|state| self.behind_view(target, state)).collect();
        Ok(BehindPage { links, next_cursor })
    }

    fn behind_view(&self, target: SyncTarget, state: SyncState) -> BehindView {
        let domains = self.sync.domains();
        let domain = domains.iter().find(|domain| domain.domain_id == state.key.domain_id);
        BehindView {
            link_id: state.link_id.clone(),
            domain: domain.map(|domain| domain.host.as_str().to_owned()),
            slug: state.key.slug.clone(),
            state: StateView::new(target, state),
        }
    }

    /// How far every target is; how many keys are synced only where asked for.
    pub(crate) async fn sync_overview(&self, with_synced: bool) -> Result<SyncOverview, Problem> {
        let stats = self.table.stats().map_err(|error| Problem::internal("looking at the link table", &error))?;
        let mut tx = self.store.read("sync_overview").await?;
        let behind = tx.outbox_last().await?.saturating_sub(self.table.cursor());
        let left_out = self.left_out();
        let mut targets = vec![TargetView::of_table((stats.links, behind), left_out, self.sync.is_well())];
        for target in self.outside_targets() {
            let is_behind = tx.sync_work(*target).await?.is_behind;
            let mut counts = tx.count_sync_states(*target, with_synced).await?;
            if is_behind {
                tx.add_unread_sync(*target, &mut counts).await?;
            }
            targets.push(TargetView::of_outside(TargetFacts {
                target: *target,
                links: stats.links,
                is_behind,
                counts,
                with_synced,
                health: tx.sync_health(*target).await?,
                now: tx.now(),
            }));
        }
        Ok(SyncOverview::new(targets))
    }

    /// How many links the link table of this process cannot serve as they are stored, and some of them, named as people do.
    fn left_out(&self) -> (u64, Vec<LeftOutLink>) {
        let (count, mut links) = self.sync.left_out(LEFT_OUT_SHOWN_MAX);
        for link in links.iter_mut().filter(|link| link.domain.is_empty()) {
            self.default_domain().host.as_str().clone_into(&mut link.domain);
        }
        (count, links)
    }

    /// How far the link table of this process is with a link.
    async fn table_state(&self, tx: &mut ReadTx, link: &Link) -> Result<StateView, Problem> {
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
        Ok(StateView::of_table(link, held, error))
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
    BEHIND.iter().position(|behind| *behind == status).unwrap_or(BEHIND.len())
}

fn read_behind(text: &str) -> Result<SyncStatus, String> {
    let found = BEHIND.into_iter().find(|status| name_of(*status) == text);
    found.ok_or_else(|| "must be failed, syncing or pending".to_owned())
}

fn read_target(text: &str) -> Result<SyncTarget, String> {
    let target = SyncTarget::CloudflareKv;
    if text == target.name() { Ok(target) } else { Err(format!("must be {}", target.name())) }
}

fn read_limit(text: &str) -> Result<u32, String> {
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_LINKS_MAX).contains(limit));
    limit.ok_or_else(|| "must be a number from 1 to 1000".to_owned())
}

/// The place of a page: status, domain and slug.
fn write_cursor(last: &SyncState) -> String {
    format!("{}.{}.{}", name_of(last.status), last.key.domain_id, last.key.slug)
}

fn read_cursor(text: &str) -> Option<(SyncStatus, SyncKey)> {
    let (status, rest) = text.split_once('.')?;
    let (domain_id, slug) = rest.split_once('.')?;
    let domain_id: DomainId = domain_id.parse().ok()?;
    // No database takes NUL.
    let slug = Some(slug).filter(|slug| !slug.contains('\0'))?.to_owned();
    Some((read_behind(status).ok()?, SyncKey { domain_id, slug }))
}
