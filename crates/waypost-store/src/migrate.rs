//! The schema: numbered migrations, forward and back, applied at the start under the lock that writers take.
//!
//! All pending migrations run in one transaction. A database that is not ours, or has a newer schema, is refused as it
//! is. The table `waypost_migrations` says which migrations a database has.

use sqlx::{Any, AnyConnection, Connection, Row, Transaction};

use crate::dialect::{self, Address, Engine};
use crate::error::StoreError;
use crate::sqlite_file;
use crate::store::StoreOptions;

/// A step of the schema. A migration that was released is never edited.
struct Migration {
    version: i64,
    name: &'static str,
    forward: &'static str,
    back: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal,)*) => {
        &[$(Migration {
            version: $version,
            name: $name,
            forward: include_str!(concat!("../migrations/", $name, ".sql")),
            back: include_str!(concat!("../migrations/", $name, ".back.sql")),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "0001_accounts",
    2 "0002_links",
    3 "0003_outbox",
    4 "0004_requests",
];

/// The newest schema of this release.
pub(crate) const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

impl Address {
    /// Makes sure that the database is ours, whole, and has this schema.
    pub(crate) async fn prepare(&self, options: &StoreOptions, schema: i64) -> Result<(), StoreError> {
        if let Self::Sqlite(path) = self {
            sqlite_file::prepare(path).await?;
        }
        self.prepare_content(options, schema).await.map_err(|error| match error {
            StoreError::Database { source, .. } if dialect::is_damage(&source) => StoreError::Refused {
                database: self.display_name(),
                reason: "it is damaged; restore it from a backup".to_owned(),
            },
            other => other,
        })
    }

    async fn prepare_content(&self, options: &StoreOptions, schema: i64) -> Result<(), StoreError> {
        let mut connection = self.connect_once(options.migration_wait_ms).await?;
        let checked = match self {
            Self::Sqlite(path) => sqlite_file::check_opened(path, &mut connection).await,
            Self::Postgres(_) => Ok(()),
        };
        let prepared = match checked {
            Ok(()) => self.migrate(&mut connection, schema).await,
            Err(error) => Err(error),
        };
        let closed = connection.close().await.map_err(|error| dialect::failure("migrate", error));
        prepared.and(closed)
    }

    async fn migrate(&self, connection: &mut AnyConnection, schema: i64) -> Result<(), StoreError> {
        let engine = self.engine();
        let failed = |error| dialect::failure("migrate", error);
        let mut tx = connection.begin_with(engine.begin_write()).await.map_err(failed)?;
        if let Some(statement) = engine.take_turn() {
            sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&mut *tx).await.map_err(failed)?;
        }
        let found = self.schema_of(&mut tx).await?;
        if found > NEWEST {
            return Err(StoreError::NewerSchema { found, known: NEWEST });
        }
        for migration in MIGRATIONS.iter().filter(|migration| (found + 1..=schema).contains(&migration.version)) {
            migration.apply(&mut tx, engine).await?;
        }
        for migration in MIGRATIONS.iter().rev().filter(|migration| (schema + 1..=found).contains(&migration.version)) {
            migration.revert(&mut tx, engine).await?;
        }
        tx.commit().await.map_err(failed)
    }

    /// The schema that the database has; 0 for a new one, which gets its table of migrations here.
    async fn schema_of(&self, tx: &mut Transaction<'_, Any>) -> Result<i64, StoreError> {
        let failed = |error| dialect::failure("migrate", error);
        let rows = sqlx::query(self.engine().list_tables_sql()).fetch_all(&mut **tx).await.map_err(failed)?;
        let tables = rows.iter().map(|row| row.try_get::<String, _>("name")).collect::<Result<Vec<_>, _>>();
        let tables = tables.map_err(failed)?;
        if !tables.iter().any(|table| table == "waypost_migrations") {
            if let Some(table) = tables.first() {
                return Err(StoreError::Refused {
                    database: self.display_name(),
                    reason: format!("it belongs to another program (it has a table {table:?} and none of ours)"),
                });
            }
            let create = self.engine().migration_sql(
                "CREATE TABLE waypost_migrations (version BIGINT NOT NULL PRIMARY KEY, name {text} NOT NULL)",
            );
            sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut **tx).await.map_err(failed)?;
        }
        let newest = "SELECT coalesce(max(version), 0) FROM waypost_migrations";
        sqlx::query(newest).fetch_one(&mut **tx).await.and_then(|row| row.try_get(0)).map_err(failed)
    }
}

impl Migration {
    async fn apply(&self, tx: &mut Transaction<'_, Any>, engine: Engine) -> Result<(), StoreError> {
        self.run(tx, engine.migration_sql(self.forward)).await?;
        let note = sqlx::query("INSERT INTO waypost_migrations (version, name) VALUES ($1, $2)");
        note.bind(self.version).bind(self.name).execute(&mut **tx).await.map_err(|error| self.failed(error))?;
        tracing::info!(migration.name = self.name, "schema migration {} applied", self.name);
        Ok(())
    }

    async fn revert(&self, tx: &mut Transaction<'_, Any>, engine: Engine) -> Result<(), StoreError> {
        self.run(tx, engine.migration_sql(self.back)).await?;
        let note = sqlx::query("DELETE FROM waypost_migrations WHERE version = $1").bind(self.version);
        note.execute(&mut **tx).await.map_err(|error| self.failed(error))?;
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
