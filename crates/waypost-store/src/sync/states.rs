//! What each target outside this process has of each slug, and what it still has to be told.
//!
//! A row stands for one key of a target: a domain and a slug. It holds the newest version that the target must come to
//! have, the version that it has acknowledged, and where the next attempt stands. Rows follow the outbox
//! ([`crate::Tx::advance_sync`]), so a link's own transaction does not know of them; many changes of one slug are one row.
//!
//! Work is taken by [`crate::Tx::claim_sync`], which commits a lease before anything is sent, and given back by
//! [`crate::Tx::settle_sync`]. A lease is a time: whoever is late finds its lease gone, and the key is then pushed once more, because what
//! was sent late may have overwritten something newer. What is sent is what is true then (`edge_records.rs`), never what an
//! entry said.

use sqlx::any::AnyRow;
use waypost_core::Timestamp;
use waypost_core::id::{AccountId, DomainId, LinkId};
use waypost_core::sync::{SyncStatus, SyncTarget};
use waypost_sql::Statement;

use crate::error::StoreError;
use crate::rows::{Columns, domain_number};
use crate::sync::health::SyncHealth;
use crate::tx::ReadTx;

/// Attempts that fail before a key is shown as failed.
pub const SYNC_ATTEMPTS_MAX: u32 = 5;
/// The longest error that is kept, in characters.
const ERROR_CHARS_MAX: usize = 1_000;
/// How long a key rests between two pushes at least, in microseconds: Cloudflare takes one write of a key a second.
pub(crate) const PUSH_EVERY_US: i64 = 1_000_000;
/// How far ahead an attempt or the end of a lease can be, in microseconds. What seems further comes from a clock that was set back, and
/// is due.
pub(crate) const ATTEMPT_US_MAX: i64 = 3_600 * 1_000_000;

/// What a row stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SyncKey {
    /// The domain.
    pub domain_id: DomainId,
    /// The slug.
    pub slug: String,
}

/// How one key stands at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncState {
    /// Which key.
    pub key: SyncKey,
    /// The link that it led to when last changed; `None` where none is known.
    pub link_id: Option<LinkId>,
    /// The newest version, which the target must come to have.
    pub version: u64,
    /// The newest version that the target has acknowledged.
    pub synced_version: Option<u64>,
    /// Where it stands.
    pub status: SyncStatus,
    /// Attempts that failed since the last success, edit or retry by hand.
    pub attempts: u32,
    /// Why the last of them failed.
    pub error: Option<String>,
    /// Since when the target is behind; `None` where it is not, or was given up.
    pub pending_since: Option<Timestamp>,
    /// When it is tried next; for one that is being pushed, when its lease ends. `None` where there is nothing to do, or it was given up.
    pub next_attempt_at: Option<Timestamp>,
    /// When the target last acknowledged.
    pub synced_at: Option<Timestamp>,
}

/// How far [`crate::Tx::advance_sync`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Keys that became pending.
    pub keys: u64,
    /// Whether nothing more is to be read.
    pub is_current: bool,
}

/// Whether there may be something to do, read without the turn to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncWork {
    /// Whether the outbox has entries that [`crate::Tx::advance_sync`] has not read, or a walk over all links is not at its end.
    pub is_behind: bool,
    /// The earliest instant at which a key is due; in the past where one is due now.
    pub due_at: Option<Timestamp>,
    /// Until when the target rests.
    pub rests_until: Timestamp,
}

/// Names a lease; drawn anew for each claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease(pub(crate) String);

/// A key that is to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedKey {
    /// Which key.
    pub key: SyncKey,
    /// The version that was newest when it was claimed. What is read afterwards may be newer.
    pub version: u64,
    /// Attempts that have failed so far.
    pub attempts: u32,
    /// When the first of those failed.
    pub first_fault_at: Option<Timestamp>,
}

/// Keys that this caller alone may push until the lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Goes back with [`crate::Tx::settle_sync`].
    pub lease: Lease,
    /// When others may take the keys.
    pub lease_until: Timestamp,
    /// The keys, the longest due first; none twice.
    pub keys: Vec<ClaimedKey>,
    /// How the target is doing.
    pub health: SyncHealth,
}

/// What [`crate::Tx::claim_sync`] gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Work, and leave for one call of the target's interface.
    Keys(Claim),
    /// Nothing is due before this instant; `None` where nothing is pending at all.
    Nothing {
        /// The next due instant.
        due_at: Option<Timestamp>,
    },
    /// The target rests, or its allowance of calls is spent, until this instant.
    Wait {
        /// When to ask again.
        until: Timestamp,
    },
}

/// What became of a claimed key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which key.
    pub key: SyncKey,
    /// The version that was sent, or was to be sent.
    pub version: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a claimed key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target acknowledged this version.
    Synced {
        /// Whether it was told that the slug leads nowhere. The row goes, unless it has moved on.
        is_deleted: bool,
    },
    /// It was not sent, or not because of this key: due again at this instant, with its attempts as they were.
    Released {
        /// When.
        next_attempt_at: Timestamp,
        /// What to show for it; `None` leaves what was there.
        error: Option<String>,
    },
    /// The attempt failed.
    Faulted {
        /// `Pending` or `Failed`.
        status: SyncStatus,
        /// Attempts that have failed by now.
        attempts: u32,
        /// Why.
        error: String,
        /// When the first of them failed.
        first_fault_at: Timestamp,
        /// When to try again; `None` gives up until an edit or a retry by hand.
        next_attempt_at: Option<Timestamp>,
    },
}

/// Keys of a target by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncCounts {
    /// To be pushed.
    pub pending: u64,
    /// Being pushed.
    pub syncing: u64,
    /// Pushed. Counted only where asked for: it takes a walk over all rows.
    pub synced: u64,
    /// Failed.
    pub failed: u64,
    /// Since when the one that is behind for the longest is.
    pub oldest_pending_since: Option<Timestamp>,
}

/// Which keys are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncSelection {
    /// One.
    Key(SyncKey),
    /// All that failed.
    Failed,
    /// All that failed of an account.
    FailedOf(AccountId),
}

/// An error's text as far as it is kept. PostgreSQL takes no NUL.
pub(crate) fn cut_error(error: &str) -> String {
    error.chars().take(ERROR_CHARS_MAX).map(|letter| if letter == '\0' { ' ' } else { letter }).collect()
}

/// Microseconds later.
pub(crate) const fn later(at: Timestamp, microseconds: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(microseconds))
}

/// The columns that [`read_state`] reads.
macro_rules! state_columns {
    () => {
        "s.domain_id, s.slug, s.link_id, s.version, s.synced_version, s.status, s.attempts, s.error, s.pending_since,
         s.next_attempt_at, s.synced_at"
    };
}
pub(crate) use state_columns;

pub(crate) fn read_state(row: &AnyRow) -> Result<SyncState, StoreError> {
    let columns = Columns::new(row, "sync state");
    let link_id = match columns.get::<Option<Vec<u8>>>("link_id")? {
        Some(_) => Some(columns.link_id("link_id")?),
        None => None,
    };
    let synced_version = match columns.get::<Option<i64>>("synced_version")? {
        Some(_) => Some(columns.count("synced_version")?),
        None => None,
    };
    Ok(SyncState {
        key: read_key(&columns)?,
        link_id,
        version: columns.count("version")?,
        synced_version,
        status: columns.parsed("status", SyncStatus::from_name)?,
        attempts: columns.small_count("attempts")?,
        error: columns.get("error")?,
        pending_since: columns.optional_time("pending_since")?,
        next_attempt_at: columns.optional_time("next_attempt_at")?,
        synced_at: columns.optional_time("synced_at")?,
    })
}

pub(crate) fn read_key(columns: &Columns<'_>) -> Result<SyncKey, StoreError> {
    Ok(SyncKey { domain_id: columns.domain_id("domain_id")?, slug: columns.get("slug")? })
}

impl ReadTx {
    /// Whether there is anything to do for the target. Where it has no row yet, it is behind.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sync_work(&mut self, target: SyncTarget) -> Result<SyncWork, StoreError> {
        let is_behind = match self.walk(target).await? {
            Some(walk) => walk.place.is_some() || walk.cursor != self.outbox_last().await?,
            None => true,
        };
        let now = self.now();
        let health = self.sync_health(target).await?;
        Ok(SyncWork {
            is_behind,
            due_at: self.sync_due_at(target).await?,
            rests_until: health.resting(now).unwrap_or_else(|| health.rests_until.min(now)),
        })
    }

    /// The earliest instant at which a key is due.
    pub(crate) async fn sync_due_at(&mut self, target: SyncTarget) -> Result<Option<Timestamp>, StoreError> {
        let row = self.fetch_optional(Statement::new(DUE_AT_SQL).bind(target.name())).await?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns::new(&row, "sync state");
        let (least, most) = (columns.optional_time("least")?, columns.optional_time("most")?);
        let is_implausible = most.is_some_and(|most| most > later(self.now(), ATTEMPT_US_MAX));
        Ok(least.map(|least| if is_implausible { least.min(self.now()) } else { least }))
    }

    /// How a key stands at the target; `None` where it never had to be told of it (yet), or it leads nowhere and the target knows.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sync_state(&mut self, target: SyncTarget, key: &SyncKey) -> Result<Option<SyncState>, StoreError> {
        let statement = Statement::new(concat!(
            "SELECT ",
            state_columns!(),
            " FROM sync_states AS s WHERE s.target = $1 AND s.domain_id = $2 AND s.slug = $3"
        ));
        let statement = statement.bind(target.name()).bind(domain_number(&key.domain_id)).bind(key.slug.as_str());
        self.fetch_optional(statement).await?.as_ref().map(read_state).transpose()
    }
}

/// The first and the last attempt to come.
const DUE_AT_SQL: &str = "SELECT
       (SELECT min(s.next_attempt_at) FROM sync_states AS s WHERE s.target = $1 AND s.next_attempt_at IS NOT NULL) AS least,
       (SELECT max(s.next_attempt_at) FROM sync_states AS s WHERE s.target = $1 AND s.next_attempt_at IS NOT NULL) AS most";
