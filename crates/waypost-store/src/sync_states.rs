//! What each target outside this process has of each slug, and what it still has to be told.
//!
//! A row stands for one key of a target: a domain and a slug. It holds the newest version that the target must come to
//! have, the version that it has acknowledged, and where the next attempt stands. Rows follow the outbox
//! ([`Tx::advance_sync`]), so a link's own transaction does not know of them; many changes of one slug are one row.
//!
//! Work is taken by [`Tx::claim_sync`], which commits a lease before anything is sent, and given back by
//! [`Tx::settle_sync`]. A lease is a time: whoever is late finds its lease gone, and the key is then pushed once more, because what
//! was sent late may have overwritten something newer. What is sent is what is true then (`edge_records.rs`), never what an
//! entry said.

use waypost_core::Timestamp;
use waypost_core::id::{AccountId, DomainId, LinkId};

use crate::error::StoreError;
use crate::sync_health::SyncHealth;
use crate::tx::{ReadTx, Tx};

/// A target outside this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncTarget {
    /// A namespace of Cloudflare Workers KV.
    CloudflareKv,
}

impl SyncTarget {
    /// Its name in SQL, JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CloudflareKv => "cloudflare_kv",
        }
    }
}

/// How a key stands at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncStatus {
    /// The target is to be told, now or at the next attempt.
    Pending,
    /// A process is telling it.
    Syncing,
    /// It has acknowledged the newest version.
    Synced,
    /// It refused, or five attempts failed. Where a next attempt is set, it is still tried, because nobody else's keys got through.
    Failed,
}

impl SyncStatus {
    /// Every status with its name in SQL and JSON.
    pub const NAMES: [(&'static str, Self); 4] =
        [("pending", Self::Pending), ("syncing", Self::Syncing), ("synced", Self::Synced), ("failed", Self::Failed)];
}

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

/// How far [`Tx::advance_sync`] got.
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
    /// Whether the outbox has entries that [`Tx::advance_sync`] has not read, or a walk over all links is not at its end.
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
    /// Goes back with [`Tx::settle_sync`].
    pub lease: Lease,
    /// When others may take the keys.
    pub lease_until: Timestamp,
    /// The keys, the longest due first; none twice.
    pub keys: Vec<ClaimedKey>,
    /// How the target is doing.
    pub health: SyncHealth,
}

/// What [`Tx::claim_sync`] gave.
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

impl ReadTx {
    /// Whether there is anything to do for the target. Where it has no row yet, it is behind.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sync_work(&mut self, target: SyncTarget) -> Result<SyncWork, StoreError> {
        todo!("{target:?}")
    }

    /// How a key stands at the target; `None` where it never had to be told of it (yet).
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sync_state(&mut self, target: SyncTarget, key: &SyncKey) -> Result<Option<SyncState>, StoreError> {
        todo!("{target:?} {key:?}")
    }

    /// The keys in this status (`pending`, `syncing` or `failed`) whose link belongs to the account, or all accounts' where none is
    /// named; in the order of domain and slug, after a key, at most `limit` and 1,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_sync_states(
        &mut self,
        target: SyncTarget,
        account_id: Option<&AccountId>,
        status: SyncStatus,
        after: Option<&SyncKey>,
        limit: u32,
    ) -> Result<Vec<SyncState>, StoreError> {
        todo!("{target:?} {account_id:?} {status:?} {after:?} {limit}")
    }

    /// How many keys stand where, of all accounts; `synced` is 0 unless `with_synced`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_sync_states(&mut self, target: SyncTarget, with_synced: bool) -> Result<SyncCounts, StoreError> {
        todo!("{target:?} {with_synced}")
    }
}

impl Tx {
    /// Makes pending what has changed since the last call: at most `limit` entries of the outbox, or of a walk over all links
    /// where the target is new, was asked to be filled anew, or the outbox does not reach back to its cursor. The walk's place is kept,
    /// so it goes on after a restart.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn advance_sync(&mut self, target: SyncTarget, limit: u32) -> Result<Advance, StoreError> {
        todo!("{target:?} {limit}")
    }

    /// Takes at most `limit` due keys for `lease_ms`, and one call off the target's allowance.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn claim_sync(&mut self, target: SyncTarget, limit: u32, lease_ms: u64) -> Result<Claimed, StoreError> {
        todo!("{target:?} {limit} {lease_ms}")
    }

    /// Gives claimed keys back. A key that moved on meanwhile is pending again, whatever became of it. A key whose lease was taken
    /// by others is pending again, too, and due at once: what was sent last may be older than what they sent. Gives how many those were.
    /// No key is due sooner than a second after it was sent.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn settle_sync(
        &mut self,
        target: SyncTarget,
        lease: &Lease,
        settled: &[Settled],
    ) -> Result<u64, StoreError> {
        todo!("{target:?} {lease:?} {settled:?}")
    }

    /// Makes these keys pending and due at once, with no attempts against them; makes rows for those that have none. For repairs.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn mark_sync(&mut self, target: SyncTarget, keys: &[SyncKey]) -> Result<(), StoreError> {
        todo!("{target:?} {keys:?}")
    }

    /// Makes keys due at once, with no attempts against them. Gives how many.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retry_sync(&mut self, target: SyncTarget, selection: &SyncSelection) -> Result<u64, StoreError> {
        todo!("{target:?} {selection:?}")
    }

    /// Has all links pushed anew: [`Tx::advance_sync`] begins a walk over all.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn refill_sync(&mut self, target: SyncTarget) -> Result<(), StoreError> {
        todo!("{target:?}")
    }
}
