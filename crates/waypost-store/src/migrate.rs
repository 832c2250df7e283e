//! The schemas: numbered migrations, forward and back, applied at the start under the lock that writers take.
//!
//! All pending migrations run in one transaction. A database that is not ours, or has a newer schema, is refused as it
//! is. There are two [`Schema`]s, each with a table that says which migrations a database has: that of the links and that of
//! the clicks. On PostgreSQL they may live side by side in one database.

use std::ops::RangeInclusive;

use sqlx::{Any, AnyConnection, Connection, Row, Transaction};

use crate::dialect::{self, Address, Engine, FileSettings};
use crate::error::StoreError;
use crate::options::{StoreOptions, millis, within};
use crate::rights;
use crate::sqlite_file;

/// What one kind of database of ours holds, and what tells it apart.
#[derive(Debug)]
pub(crate) struct Schema {
    migrations: &'static [Migration],
    /// The table that says which migrations a database has.
    migrations_table: &'static str,
    /// The advisory lock that a PostgreSQL transaction holds while it writes: a number no other program should use.
    pub(crate) write_lock: i64,
    pub(crate) file: FileSettings,
}

/// Accounts, links, versions, outbox.
pub(crate) static LINKS: Schema = Schema {
    migrations: LINK_MIGRATIONS,
    migrations_table: "waypost_migrations",
    write_lock: 0x5761_7970_6f73_7401,
    file: FileSettings {
        application_id: u32::from_be_bytes(*b"WayP"),
        page_bytes: 4_096,
        log_pages: 4_000,
        writer_cache_kb: 65_536,
        secure_delete: false,
    },
};

/// Clicks: roll-ups, raw clicks, how far every edge was counted. Pages are larger, because nearly every page of a day changes
/// with each large batch; and what is deleted is overwritten, because clicks are deleted when nobody may know them any more.
pub(crate) static CLICKS: Schema = Schema {
    migrations: CLICK_MIGRATIONS,
    migrations_table: "waypost_click_migrations",
    write_lock: 0x5761_7970_6f73_7402,
    file: FileSettings {
        application_id: u32::from_be_bytes(*b"WayC"),
        page_bytes: 16_384,
        log_pages: 4_000,
        writer_cache_kb: 16_384,
        secure_delete: true,
    },
};

/// A step of a schema. A migration that was released is never edited.
#[derive(Debug)]
struct Migration {
    version: i64,
    name: &'static str,
    forward: &'static str,
    back: &'static str,
}

macro_rules! migrations {
    ($folder:literal: $($version:literal $name:literal,)*) => {
        &[$(Migration {
            version: $version,
            name: $name,
            forward: include_str!(concat!("../", $folder, "/", $name, ".sql")),
            back: include_str!(concat!("../", $folder, "/", $name, ".back.sql")),
        }),*]
    };
}

/// All that may live in one database.
pub(crate) static SCHEMAS: [&Schema; 2] = [&LINKS, &CLICKS];

const LINK_MIGRATIONS: &[Migration] = migrations!["migrations":
    1 "0001_accounts",
    2 "0002_links",
    3 "0003_outbox",
    4 "0004_requests",
    5 "0005_sync",
    6 "0006_history",
    7 "0007_deleted_domains",
    9 "0009_qr_logos",
];

const CLICK_MIGRATIONS: &[Migration] = migrations!["migrations-clicks":
    1 "0001_clicks",
    2 "0002_refused_events",
    3 "0003_spools",
    4 "0004_months",
    5 "0005_clock",
    6 "0006_totals",
];

impl Schema {
    /// The newest version that this release knows.
    pub(crate) fn newest(&self) -> i64 {
        self.migrations.last().map_or(0, |migration| migration.version)
    }

    /// Makes sure that the database is ours, whole, and has this version of the schema.
    pub(crate) async fn prepare(
        &'static self,
        address: &Address,
        options: &StoreOptions,
        version: i64,
    ) -> Result<(), StoreError> {
        if let Address::Sqlite(path) = address {
            sqlite_file::prepare(path, &self.file).await?;
        }
        self.prepare_content(address, options, version).await.map_err(|error| match error {
            StoreError::Database { source, .. } | StoreError::Unavailable { source, .. }
                if dialect::is_damage(&source) =>
            {
                StoreError::Refused {
                    database: address.display_name(),
                    reason: "it is damaged; restore it from a backup".to_owned(),
                }
            }
            other => other,
        })
    }

    async fn prepare_content(&self, address: &Address, options: &StoreOptions, version: i64) -> Result<(), StoreError> {
        let answer_max = millis(options.statement_ms_max);
        let mut connection = address.connect_once(&self.file, options.migration_wait_ms, answer_max).await?;
        let checked = match address {
            Address::Sqlite(path) => sqlite_file::check_opened(path, &mut connection).await,
            Address::Postgres(_) => Ok(()),
        };
        let prepared = match checked {
            Ok(()) => match self.migrate(address, options, &mut connection, version).await {
                Ok(()) => Ok(()),
                Err(error) => Err(rights::explain(error, address, &mut connection).await),
            },
            Err(error) => Err(error),
        };
        let closed = address.close_once(connection).await.map_err(|error| dialect::failure("migrate", error));
        prepared.and(closed)
    }

    async fn migrate(
        &self,
        address: &Address,
        options: &StoreOptions,
        connection: &mut AnyConnection,
        version: i64,
    ) -> Result<(), StoreError> {
        let engine = address.engine();
        let failed = |error| dialect::failure("migrate", error);
        // Migrations take as long as they do; what comes before them waits for nothing but its turn.
        let limit = address.is_far().then(|| millis(options.migration_wait_ms + options.statement_ms_max));
        let looked = async { Ok(self.take_turn(address, connection).await) };
        let (mut tx, found) = within(limit, looked).await.map_err(failed)??;
        if found > self.newest() {
            return Err(StoreError::NewerSchema { found, known: self.newest() });
        }
        let of = |range: RangeInclusive<i64>| {
            self.migrations.iter().filter(move |migration| range.contains(&migration.version))
        };
        for migration in of(found + 1..=version) {
            migration.apply(&mut tx, engine).await?;
            let note = format!("INSERT INTO {} (version, name) VALUES ($1, $2)", self.migrations_table);
            let note = sqlx::query(sqlx::AssertSqlSafe(note)).bind(migration.version).bind(migration.name);
            note.execute(&mut *tx).await.map_err(|error| migration.failed(error))?;
        }
        for migration in of(version + 1..=found).rev() {
            migration.revert(&mut tx, engine).await?;
            let note = format!("DELETE FROM {} WHERE version = $1", self.migrations_table);
            let note = sqlx::query(sqlx::AssertSqlSafe(note)).bind(migration.version);
            note.execute(&mut *tx).await.map_err(|error| migration.failed(error))?;
        }
        if found == version {
            return within(limit, tx.commit()).await.map_err(failed);
        }
        tx.commit().await.map_err(failed)
    }

    /// Begins a transaction that is the only one that writes, and finds the version of the schema.
    async fn take_turn<'c>(
        &self,
        address: &Address,
        connection: &'c mut AnyConnection,
    ) -> Result<(Transaction<'c, Any>, i64), StoreError> {
        let engine = address.engine();
        let failed = |error| dialect::failure("migrate", error);
        let mut tx = connection.begin_with(engine.begin_write()).await.map_err(failed)?;
        if let Some(statement) = engine.take_turn(self.write_lock) {
            sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&mut *tx).await.map_err(failed)?;
        }
        let found = self.version_of(address, &mut tx).await?;
        Ok((tx, found))
    }

    /// The version that the database has; 0 for a new one, which gets its table of migrations here.
    async fn version_of(&self, address: &Address, tx: &mut Transaction<'_, Any>) -> Result<i64, StoreError> {
        let failed = |error| dialect::failure("migrate", error);
        let engine = address.engine();
        let rows = sqlx::query(engine.list_tables_sql()).fetch_all(&mut **tx).await.map_err(failed)?;
        let tables = rows.iter().map(|row| row.try_get::<String, _>("name")).collect::<Result<Vec<_>, _>>();
        let tables = tables.map_err(failed)?;
        if !tables.iter().any(|table| table == self.migrations_table) {
            let has_ours = tables.iter().any(|table| SCHEMAS.iter().any(|schema| table == schema.migrations_table));
            if let (false, Some(table)) = (has_ours, tables.first()) {
                return Err(StoreError::Refused {
                    database: address.display_name(),
                    reason: format!(
                        "it belongs to another program (it has a table {} and none of ours)",
                        waypost_core::Quoted(table)
                    ),
                });
            }
            let create = format!(
                "CREATE TABLE {} (version BIGINT NOT NULL PRIMARY KEY, name {{text}} NOT NULL)",
                self.migrations_table
            );
            let create = sqlx::AssertSqlSafe(engine.migration_sql(&create));
            sqlx::query(create).execute(&mut **tx).await.map_err(failed)?;
        }
        let newest = format!("SELECT coalesce(max(version), 0) FROM {}", self.migrations_table);
        let newest = sqlx::query(sqlx::AssertSqlSafe(newest)).fetch_one(&mut **tx).await;
        newest.and_then(|row| row.try_get(0)).map_err(failed)
    }
}

impl Migration {
    async fn apply(&self, tx: &mut Transaction<'_, Any>, engine: Engine) -> Result<(), StoreError> {
        self.run(tx, engine.migration_sql(self.forward)).await?;
        tracing::info!(migration.name = self.name, "schema migration {} applied", self.name);
        Ok(())
    }

    async fn revert(&self, tx: &mut Transaction<'_, Any>, engine: Engine) -> Result<(), StoreError> {
        self.run(tx, engine.migration_sql(self.back)).await?;
        tracing::info!(migration.name = self.name, "schema migration {} reverted", self.name);
        Ok(())
    }

    async fn run(&self, tx: &mut Transaction<'_, Any>, text: String) -> Result<(), StoreError> {
        let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(text));
        statements.execute(&mut **tx).await.map(drop).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::Migration { version: self.version, name: self.name, source: Box::new(error) }
    }
}
