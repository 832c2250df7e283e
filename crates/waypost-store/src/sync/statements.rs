//! The statements that write `sync_states`: a table of texts, each with what it needs.
//!
//! What they share: a row that is `syncing` keeps its lease, because its owner may be sending right now, and only learns that it has to
//! be pushed again; any other becomes due, but not within a second of when it was last sent. A clock that was set back makes `sent_at`
//! lie ahead; it then counts as now.
//!
//! SQLite has no statistics: the members of a JSON array carry the target, or it would take all rows of the target before them, and where
//! only few rows of a target are meant, it is told their index.

use waypost_sql::Engine;

use crate::dialect;
use crate::sync::states::SYNC_ATTEMPTS_MAX;

/// What a new row says beside its key, and what stands in the columns of `upsert!`.
macro_rules! insert {
    () => {
        "INSERT INTO sync_states (target, domain_id, slug, link_id, version, status, push_again, attempts, pending_since, next_attempt_at) "
    };
}

/// When a row may be pushed at the earliest.
macro_rules! soonest {
    ($now:literal) => {
        concat!(
            "CASE WHEN sync_states.sent_at > ",
            $now,
            " THEN ",
            $now,
            " + 1000000
                  WHEN sync_states.sent_at > ",
            $now,
            " - 1000000 THEN sync_states.sent_at + 1000000
                  ELSE ",
            $now,
            " END"
        )
    };
}

/// What a row that is there becomes. `again` says whether one that is being pushed is pushed once more even where its version did
/// not change.
macro_rules! upsert {
    ($again:literal) => {
        concat!(
            " ON CONFLICT (target, domain_id, slug) DO UPDATE SET
                link_id = coalesce(excluded.link_id, sync_states.link_id),
                version = CASE WHEN excluded.version > sync_states.version THEN excluded.version ELSE sync_states.version END,
                push_again = CASE WHEN sync_states.status = 'syncing' AND ", $again, " = 1 THEN 1
                                  WHEN sync_states.status = 'syncing' THEN sync_states.push_again ELSE 0 END,
                attempts = 0, error = NULL, first_fault_at = NULL,
                pending_since = coalesce(sync_states.pending_since, excluded.pending_since),
                next_attempt_at = CASE WHEN sync_states.status = 'syncing' THEN sync_states.next_attempt_at
                                       ELSE ", soonest!("excluded.pending_since"), " END,
                status = CASE WHEN sync_states.status = 'syncing' THEN 'syncing' ELSE 'pending' END"
        )
    };
}

/// Takes over the outbox entries after $3 up to $4, for target $1 at $2: of each key the one with the highest version. A slug that
/// had a link before may have been deleted at the target in this very second, and its row is gone: it waits for one.
pub(crate) const READ_OUTBOX: &str = concat!(
    insert!(),
    "SELECT $1, e.domain_id, e.slug, e.link_id, e.version, 'pending', 0, 0, $2, CASE WHEN e.version > 1 THEN $2 + 1000000 ELSE $2 END
     FROM (SELECT o.domain_id, o.slug, o.link_id, o.version,
             row_number() OVER (PARTITION BY o.domain_id, o.slug ORDER BY o.version DESC, o.sequence DESC) AS place
           FROM outbox AS o WHERE o.sequence > $3 AND o.sequence <= $4) AS e
     WHERE e.place = 1",
    upsert!("0"),
    " WHERE excluded.version > sync_states.version"
);

/// The last of the next ${3 + 1} live links after domain $1 and slug $2.
pub(crate) const LINKS_END: &str = "SELECT l.domain_id, l.slug FROM links AS l
     WHERE l.deleted_at IS NULL AND (l.domain_id, l.slug) > ($1, $2) ORDER BY l.domain_id, l.slug LIMIT 1 OFFSET $3";

/// Takes over the live links after domain $3 and slug $4 up to $5 and $6, for target $1 at $2; all of them ($7 = 1), or those
/// of which it does not know.
pub(crate) const WALK_LINKS: &str = concat!(
    insert!(),
    "SELECT $1, l.domain_id, l.slug, l.id, l.version, 'pending', 0, 0, $2, $2 FROM links AS l
     WHERE l.deleted_at IS NULL AND (l.domain_id, l.slug) > ($3, $4) AND (l.domain_id, l.slug) <= ($5, $6)",
    upsert!("$7"),
    " WHERE excluded.version > sync_states.version OR $7 = 1"
);

/// The last of the next ${4 + 1} rows of target $1 after domain $2 and slug $3.
pub(crate) const ROWS_END: &str = "SELECT s.domain_id, s.slug FROM sync_states AS s
     WHERE s.target = $1 AND (s.domain_id, s.slug) > ($2, $3) ORDER BY s.domain_id, s.slug LIMIT 1 OFFSET $4";

/// The version with which the last link of a row's slug was deleted.
macro_rules! deleted_version {
    () => {
        "coalesce((SELECT max(o.version) FROM links AS o WHERE o.domain_id = sync_states.domain_id
                     AND o.slug = sync_states.slug AND o.deleted_at IS NOT NULL), 0)"
    };
}

/// Makes pending the rows after domain $3 and slug $4 up to $5 and $6 whose slug leads nowhere, for target $1 at $2: all of them
/// ($7 = 1), or those of which it does not know.
pub(crate) const WALK_ROWS: &str = concat!(
    "UPDATE sync_states SET
       version = CASE WHEN ",
    deleted_version!(),
    " > version THEN ",
    deleted_version!(),
    " ELSE version END,
       push_again = CASE WHEN status = 'syncing' AND $7 = 1 THEN 1 ELSE push_again END,
       attempts = 0, error = NULL, first_fault_at = NULL, pending_since = coalesce(pending_since, $2),
       next_attempt_at = CASE WHEN status = 'syncing' THEN next_attempt_at ELSE ",
    soonest!("$2"),
    " END,
       status = CASE WHEN status = 'syncing' THEN 'syncing' ELSE 'pending' END
     WHERE target = $1 AND (domain_id, slug) > ($3, $4) AND (domain_id, slug) <= ($5, $6)
       AND NOT EXISTS (SELECT 1 FROM links AS l WHERE l.domain_id = sync_states.domain_id AND l.slug = sync_states.slug
                         AND l.deleted_at IS NULL)
       AND ($7 = 1 OR status = 'synced' OR version < ",
    deleted_version!(),
    ")"
);

macro_rules! retry {
    ($index:literal, $which:literal) => {
        concat!(
            "UPDATE sync_states",
            $index,
            " SET status = 'pending', attempts = 0, error = NULL, first_fault_at = NULL,
               pending_since = coalesce(pending_since, $2), next_attempt_at = ",
            soonest!("$2"),
            "
             WHERE target = $1 AND ",
            $which
        )
    };
}

/// Makes the key of domain $3 and slug $4 due at target $1 at $2.
pub(crate) const RETRY_KEY: &str = retry!("", "domain_id = $3 AND slug = $4 AND status IN ('pending', 'failed')");

/// Makes all that failed due at target $1 at $2.
pub(crate) fn retry_failed(engine: Engine) -> String {
    format!(retry!("{}", "status = 'failed' AND status <> 'synced'"), dialect::by_open_states(engine))
}

/// Makes all due at target $1 at $2 that failed and whose link belongs to account $3.
pub(crate) fn retry_failed_of(engine: Engine) -> String {
    format!(
        retry!(
            "{}",
            "status = 'failed' AND status <> 'synced'
             AND EXISTS (SELECT 1 FROM links AS l WHERE l.id = sync_states.link_id AND l.account_id = $3)"
        ),
        dialect::by_open_states(engine)
    )
}

/// Makes the keys in $1, a JSON array of domain and slug, pending at target $2 at $3.
pub(crate) fn mark(engine: Engine) -> String {
    let rows = engine.json_rows();
    format!(
        concat!(
            insert!(),
            "SELECT $2, g.domain_id, g.slug, l.id,
               coalesce(l.version, (SELECT max(o.version) FROM links AS o WHERE o.domain_id = g.domain_id AND o.slug = g.slug
                                      AND o.deleted_at IS NOT NULL), 0), 'pending', 0, 0, $3, $3
             FROM (SELECT DISTINCT CAST(given.value ->> 0 AS BIGINT) AS domain_id, given.value ->> 1 AS slug FROM {}) AS g
               LEFT JOIN links AS l ON l.domain_id = g.domain_id AND l.slug = g.slug AND l.deleted_at IS NULL
             WHERE true",
            upsert!("1")
        ),
        rows
    )
}

/// Keys of target $1 that are due between $2 and $3, the longest due first, at most $4.
macro_rules! due {
    () => {
        " FROM sync_states AS s WHERE s.target = $1 AND s.next_attempt_at >= $2 AND s.next_attempt_at <= $3
          ORDER BY s.next_attempt_at, s.domain_id, s.slug LIMIT $4"
    };
}

/// What is to be claimed.
pub(crate) const DUE: &str = concat!("SELECT s.domain_id, s.slug, s.version, s.attempts, s.first_fault_at", due!());

/// Claims the same, for lease $5 until $6.
pub(crate) const CLAIM: &str = concat!(
    "UPDATE sync_states SET status = 'syncing', push_again = 0, lease_id = $5, next_attempt_at = $6
     WHERE target = $1 AND (domain_id, slug) IN (SELECT s.domain_id, s.slug",
    due!(),
    ")"
);

/// Whether a key has more to be told than what was sent.
macro_rules! moved_on {
    () => {
        "(g.version < sync_states.version OR sync_states.push_again = 1)"
    };
}

/// Which rows a settlement is of: those in the JSON array of $1 that lease $3 still holds. It says so in a CASE because PostgreSQL would
/// take a comparison with a lease for the narrowest condition, expect one row, and go through the whole array for each.
macro_rules! held {
    () => {
        " WHERE sync_states.target = g.target AND sync_states.domain_id = g.domain_id AND sync_states.slug = g.slug
            AND CASE WHEN sync_states.lease_id = $3 AND sync_states.status = 'syncing' THEN TRUE ELSE FALSE END"
    };
}

/// Gives back keys that the target acknowledged, at $2. $1: target, domain, slug, version, `synced` or `gone`. The latter stays only
/// until [`remove_gone`].
pub(crate) fn settle_synced(engine: Engine) -> String {
    let rows = engine.json_rows();
    format!(
        concat!(
            "UPDATE sync_states SET
               status = CASE WHEN ",
            moved_on!(),
            " THEN 'pending' ELSE g.status END,
               version = CASE WHEN g.version > sync_states.version THEN g.version ELSE sync_states.version END,
               pending_since = CASE WHEN ",
            moved_on!(),
            " THEN $2 END,
               next_attempt_at = CASE WHEN ",
            moved_on!(),
            " THEN $2 + 1000000 END,
               synced_version = g.version, synced_at = $2, sent_at = $2,
               push_again = 0, attempts = 0, error = NULL, first_fault_at = NULL
             FROM (SELECT given.value ->> 0 AS target, CAST(given.value ->> 1 AS BIGINT) AS domain_id, given.value ->> 2 AS slug,
                     CAST(given.value ->> 3 AS BIGINT) AS version, given.value ->> 4 AS status FROM {}) AS g",
            held!()
        ),
        rows
    )
}

/// Removes the rows of deleted links that target $1 acknowledged.
pub(crate) fn remove_gone(engine: Engine) -> String {
    let index = dialect::by_open_states(engine);
    format!("DELETE FROM sync_states{index} WHERE target = $1 AND status = 'gone' AND status <> 'synced'")
}

/// Gives back keys that the target did not acknowledge, at $2. $1: target, domain, slug, version, and an array of status, attempts, error,
/// first fault, next attempt, when it was sent; each of these may be null: status, attempts, error and first fault then stay, there is no next
/// attempt, it was not sent.
pub(crate) fn settle_unsynced(engine: Engine) -> String {
    let rows = engine.json_rows();
    format!(
        concat!(
            "UPDATE sync_states SET
               status = CASE WHEN ", moved_on!(), " THEN 'pending' WHEN g.status IS NOT NULL THEN g.status
                             WHEN sync_states.attempts >= {} THEN 'failed' ELSE 'pending' END,
               attempts = CASE WHEN ", moved_on!(), " THEN 0 ELSE coalesce(g.attempts, sync_states.attempts) END,
               error = CASE WHEN ", moved_on!(), " THEN NULL ELSE coalesce(g.error, sync_states.error) END,
               first_fault_at = CASE WHEN ", moved_on!(), " THEN NULL ELSE coalesce(g.first_fault_at, sync_states.first_fault_at) END,
               pending_since = CASE WHEN ", moved_on!(), " OR g.next_attempt_at IS NOT NULL THEN sync_states.pending_since END,
               next_attempt_at = CASE WHEN ", moved_on!(), " THEN coalesce(g.sent_at + 1000000, $2) ELSE g.next_attempt_at END,
               sent_at = coalesce(g.sent_at, sync_states.sent_at), push_again = 0
             FROM (SELECT given.value ->> 0 AS target, CAST(given.value ->> 1 AS BIGINT) AS domain_id, given.value ->> 2 AS slug,
                     CAST(given.value ->> 3 AS BIGINT) AS version, given.value -> 4 ->> 0 AS status,
                     CAST(given.value -> 4 ->> 1 AS BIGINT) AS attempts, given.value -> 4 ->> 2 AS error,
                     CAST(given.value -> 4 ->> 3 AS BIGINT) AS first_fault_at, CAST(given.value -> 4 ->> 4 AS BIGINT) AS next_attempt_at,
                     CAST(given.value -> 4 ->> 5 AS BIGINT) AS sent_at FROM {}) AS g",
            held!()
        ),
        SYNC_ATTEMPTS_MAX, rows
    )
}

/// Makes pending what was given back after its lease had passed to others, or its row was gone. What was sent so late may have
/// overwritten something newer at the target, which does not compare versions. Parameters as in [`settle_synced`]. A row that others are
/// pushing keeps their lease and is pushed once more after it.
pub(crate) fn settle_late(engine: Engine) -> String {
    let rows = engine.json_rows();
    format!(
        concat!(
            "INSERT INTO sync_states (target, domain_id, slug, version, status, push_again, attempts, pending_since, next_attempt_at, sent_at)
             SELECT given.value ->> 0, CAST(given.value ->> 1 AS BIGINT), given.value ->> 2, CAST(given.value ->> 3 AS BIGINT), 'pending', 0, 0,
               $2, $2 + 1000000, $2 FROM {} WHERE true
             ON CONFLICT (target, domain_id, slug) DO UPDATE SET
               version = CASE WHEN excluded.version > sync_states.version THEN excluded.version ELSE sync_states.version END,
               push_again = CASE WHEN sync_states.status = 'syncing' THEN 1 ELSE 0 END,
               pending_since = coalesce(sync_states.pending_since, excluded.pending_since),
               next_attempt_at = CASE WHEN sync_states.status = 'syncing' THEN sync_states.next_attempt_at
                                      ELSE excluded.next_attempt_at END,
               sent_at = excluded.sent_at,
               status = CASE WHEN sync_states.status = 'syncing' THEN 'syncing' ELSE 'pending' END
             WHERE coalesce(sync_states.lease_id, '') <> $3"
        ),
        rows
    )
}
