//! How rows of `sync_states` come to be pending: from the outbox, or from a walk over everything.
//!
//! A target reads the outbox from its cursor on. One that is new, that the outbox does not reach back to, or that is to be filled
//! anew first walks over all live links, and then over its own rows for those whose slug leads nowhere any more. The cursor is
//! set before the walk begins: what changes meanwhile is in the outbox after it, and is read when the walk is over. The place is kept in
//! `sync_targets` with every page.
//!
//! No row's version ever goes down here, and an entry that tells nothing new changes nothing.

use sqlx::any::AnyRow;
use waypost_core::sync::SyncTarget;
use waypost_sql::{Statement, as_bigint};

use crate::error::StoreError;
use crate::rows::Columns;
use crate::sync::statements;
use crate::sync::states::Advance;
use crate::tx::{ReadTx, Tx};

/// The most entries or links that one call takes.
const PAGE_MAX: u32 = 10_000;

/// How far a target has read.
pub(crate) struct Walk {
    /// The last outbox entry that it has dealt with.
    pub(crate) cursor: u64,
    /// Where it walks over everything, if it does.
    pub(crate) place: Option<Place>,
}

/// Where a walk over everything stands.
pub(crate) struct Place {
    stage: Stage,
    /// Whether what the target has acknowledged is pushed, too.
    takes_all: bool,
    domain: i64,
    slug: String,
}

impl Walk {
    /// The domain and slug after which links of a walk over all are still to come, and whether all of them are taken; `None` where none
    /// are.
    pub(crate) fn links_after(&self) -> Option<(i64, &str, bool)> {
        let place = self.place.as_ref().filter(|place| matches!(place.stage, Stage::Links))?;
        Some((place.domain, &place.slug, place.takes_all))
    }
}

#[derive(Clone, Copy)]
enum Stage {
    /// Over all live links.
    Links,
    /// Over the rows, for those whose slug leads nowhere.
    Rows,
}

impl Stage {
    const NAMES: [(&'static str, Self); 2] = [("links", Self::Links), ("rows", Self::Rows)];

    const fn name(self) -> &'static str {
        match self {
            Self::Links => Self::NAMES[0].0,
            Self::Rows => Self::NAMES[1].0,
        }
    }
}

impl Place {
    /// Before the first: no domain's number is 0.
    const fn start(stage: Stage, takes_all: bool) -> Self {
        Self { stage, takes_all, domain: 0, slug: String::new() }
    }

    fn read(row: &AnyRow) -> Result<Option<Self>, StoreError> {
        let columns = Columns::new(row, "sync target");
        let Some(stage) = columns.get::<Option<String>>("fill_stage")? else { return Ok(None) };
        let stage = Stage::NAMES.iter().find(|(name, _)| *name == stage).map(|(_, stage)| *stage);
        Ok(Some(Self {
            stage: stage.ok_or_else(|| columns.corrupt("fill_stage", &"an unknown word"))?,
            takes_all: columns.flag("fill_all")?,
            domain: columns.get("fill_domain_id")?,
            slug: columns.get("fill_slug")?,
        }))
    }
}

impl ReadTx {
    pub(crate) async fn walk(&mut self, target: SyncTarget) -> Result<Option<Walk>, StoreError> {
        let statement = Statement::new(
            "SELECT cursor, fill_stage, fill_all, fill_domain_id, fill_slug FROM sync_targets WHERE target = $1",
        );
        let Some(row) = self.fetch_optional(statement.bind(target.name())).await? else { return Ok(None) };
        Ok(Some(Walk { cursor: Columns::new(&row, "sync target").count("cursor")?, place: Place::read(&row)? }))
    }
}

impl Tx {
    /// Makes pending what has changed since the last call: at most `limit` entries of the outbox (and 10,000), or of a walk over
    /// all links where the target is new, was asked to be filled anew, or the outbox does not reach back to its cursor. The walk's
    /// place is kept, so it goes on after a restart.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn advance_sync(&mut self, target: SyncTarget, limit: u32) -> Result<Advance, StoreError> {
        self.add_target(target).await?;
        let Some(Walk { cursor, place }) = self.walk(target).await? else {
            return Err(StoreError::NotFound { what: "target" });
        };
        let limit = i64::from(limit.clamp(1, PAGE_MAX));
        let keys = match place {
            Some(place) => self.walk_on(target, place, limit).await?,
            None => match self.read_outbox(target, cursor, limit).await {
                Err(StoreError::OutboxGap { first, last, .. }) => {
                    tracing::warn!(cursor, first, last, "the outbox does not continue at target {}", target.name());
                    // A cursor that is ahead was made on other data: then nothing that was acknowledged counts.
                    self.begin_walk(target, cursor > last).await?;
                    0
                }
                read => read?,
            },
        };
        let Some(walk) = self.walk(target).await? else { return Err(StoreError::NotFound { what: "target" }) };
        Ok(Advance { keys, is_current: walk.place.is_none() && walk.cursor == self.outbox_last().await? })
    }

    /// Has all links pushed anew: [`Tx::advance_sync`] begins a walk over all.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn refill_sync(&mut self, target: SyncTarget) -> Result<(), StoreError> {
        self.add_target(target).await?;
        self.begin_walk(target, true).await
    }

    /// Makes the target's row, with a walk to begin, where there is none.
    pub(crate) async fn add_target(&mut self, target: SyncTarget) -> Result<(), StoreError> {
        let statement = Statement::new(
            "INSERT INTO sync_targets (target, cursor, fill_stage, fill_all, fill_domain_id, fill_slug, calls_full_at, rests_until, faults)
             SELECT $1, coalesce(max(sequence), 0), 'links', 0, 0, '', 0, 0, 0 FROM outbox WHERE true
             ON CONFLICT (target) DO NOTHING",
        );
        self.execute(statement.bind(target.name())).await.map(drop)
    }

    async fn begin_walk(&mut self, target: SyncTarget, takes_all: bool) -> Result<(), StoreError> {
        let last = self.outbox_last().await?;
        self.set_cursor(target, last).await?;
        self.set_place(target, Some(&Place::start(Stage::Links, takes_all))).await
    }

    async fn set_cursor(&mut self, target: SyncTarget, cursor: u64) -> Result<(), StoreError> {
        let statement = Statement::new("UPDATE sync_targets SET cursor = $2 WHERE target = $1");
        self.execute(statement.bind(target.name()).bind(as_bigint(cursor))).await.map(drop)
    }

    async fn set_place(&mut self, target: SyncTarget, place: Option<&Place>) -> Result<(), StoreError> {
        let statement = Statement::new(
            "UPDATE sync_targets SET fill_stage = $2, fill_all = $3, fill_domain_id = $4, fill_slug = $5 WHERE target = $1",
        );
        let statement = statement
            .bind(target.name())
            .bind(place.map(|place| place.stage.name()))
            .bind(place.map_or(0, |place| i64::from(place.takes_all)))
            .bind(place.map_or(0, |place| place.domain))
            .bind(place.map_or("", |place| place.slug.as_str()));
        self.execute(statement).await.map(drop)
    }

    /// Takes over the next entries of the outbox. Gives how many keys have more to be told.
    async fn read_outbox(&mut self, target: SyncTarget, cursor: u64, limit: i64) -> Result<u64, StoreError> {
        let last = self.outbox_last().await?;
        if cursor == last {
            return Ok(0);
        }
        let first = self.outbox_first().await?;
        if cursor > last || cursor + 1 < first {
            return Err(StoreError::OutboxGap { cursor, first, last });
        }
        let end = last.min(cursor + limit.unsigned_abs());
        let statement = Statement::once(statements::READ_OUTBOX)
            .bind(target.name())
            .bind(self.now().as_micros())
            .bind(as_bigint(cursor))
            .bind(as_bigint(end));
        let keys = self.execute(statement).await?;
        self.set_cursor(target, end).await.map(|()| keys)
    }

    /// Takes one page of the walk. Gives how many keys have more to be told.
    async fn walk_on(&mut self, target: SyncTarget, place: Place, limit: i64) -> Result<u64, StoreError> {
        // Planned anew each time: the tables may have grown a thousandfold since the last.
        let (end, mark) = match place.stage {
            Stage::Links => (Statement::once(statements::LINKS_END), statements::WALK_LINKS),
            Stage::Rows => (Statement::once(statements::ROWS_END).bind(target.name()), statements::WALK_ROWS),
        };
        let end = end.bind(place.domain).bind(place.slug.as_str()).bind(limit - 1);
        let end = match self.fetch_optional(end).await? {
            Some(row) => {
                let columns = Columns::new(&row, "place of a walk");
                Some((columns.get::<i64>("domain_id")?, columns.get::<String>("slug")?))
            }
            None => None,
        };
        let (last_domain, last_slug) = end.as_ref().map_or((i64::MAX, ""), |(domain, slug)| (*domain, slug));
        let mark = Statement::once(mark)
            .bind(target.name())
            .bind(self.now().as_micros())
            .bind(place.domain)
            .bind(place.slug.as_str())
            .bind(last_domain)
            .bind(last_slug)
            .bind(i64::from(place.takes_all));
        let keys = self.execute(mark).await?;
        let next = match (end, place.stage) {
            (Some((domain, slug)), _) => Some(Place { domain, slug, ..place }),
            (None, Stage::Links) => Some(Place::start(Stage::Rows, place.takes_all)),
            (None, Stage::Rows) => None,
        };
        self.set_place(target, next.as_ref()).await.map(|()| keys)
    }
}
