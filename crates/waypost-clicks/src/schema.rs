//! The schema of the clicks database.

use waypost_sql::{FileSettings, Migration, OtherSchema, Schema, migrations};

/// Clicks: roll-ups, raw clicks, how far every edge was counted. Pages are larger, because nearly every page of a day
/// changes with each large batch; and what is deleted is overwritten, because clicks are deleted when nobody may know
/// them any more.
pub(crate) static CLICKS: Schema = Schema {
    migrations: MIGRATIONS,
    migrations_table: "waypost_click_migrations",
    others: &[OtherSchema { migrations_table: "waypost_migrations", application_id: u32::from_be_bytes(*b"WayP") }],
    write_lock: 0x5761_7970_6f73_7402,
    file: FileSettings {
        application_id: u32::from_be_bytes(*b"WayC"),
        page_bytes: 16_384,
        log_pages: 4_000,
        writer_cache_kb: 16_384,
        secure_delete: true,
    },
};

const MIGRATIONS: &[Migration] = migrations!["../migrations-clicks":
    1 "0001_clicks",
    2 "0002_refused_events",
    3 "0003_spools",
    4 "0004_months",
    5 "0005_clock",
    6 "0006_totals",
];
