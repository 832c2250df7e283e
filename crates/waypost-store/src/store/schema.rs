//! The schema of the links' database.

use waypost_sql::{FileSettings, Migration, OtherSchema, Schema, migrations};

/// Accounts, links, versions, outbox.
pub(crate) static LINKS: Schema = Schema {
    migrations: MIGRATIONS,
    migrations_table: "waypost_migrations",
    others: &[OtherSchema {
        migrations_table: "waypost_click_migrations",
        application_id: u32::from_be_bytes(*b"WayC"),
    }],
    write_lock: 0x5761_7970_6f73_7401,
    file: FileSettings {
        application_id: u32::from_be_bytes(*b"WayP"),
        page_bytes: 4_096,
        log_pages: 4_000,
        writer_cache_kb: 65_536,
        secure_delete: false,
    },
};

const MIGRATIONS: &[Migration] = migrations!["../../migrations":
    1 "0001_accounts",
    2 "0002_links",
    3 "0003_outbox",
    4 "0004_requests",
    5 "0005_sync",
    6 "0006_history",
    7 "0007_deleted_domains",
    8 "0008_access",
    9 "0009_qr_logos",
];
