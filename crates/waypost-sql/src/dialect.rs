//! Everything that differs between SQLite and PostgreSQL: addresses, connections, how a transaction begins, types in
//! migrations, the function that unfolds a JSON parameter, and what error codes mean.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection, Executor};

use crate::error::SqlError;
use crate::options::{StoreOptions, busy_step, millis, within};
use crate::schema::FileSettings;

/// A PostgreSQL transaction that is held open without a word for so long is ended, so that it cannot keep the turn.
const IDLE_TRANSACTION_MS_MAX: u64 = 60_000;

/// How long the start waits for a PostgreSQL server to let it in before it asks anew.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What a connection that reads may keep of an SQLite file in memory.
const READER_CACHE_KB: u32 = 8_192;

/// What a `sqlite://` address leaves unescaped.
const PATH_BYTES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Which engine holds the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One file beside the program.
    Sqlite,
    /// A PostgreSQL server, 13 or newer.
    Postgres,
}

/// A database constraint, as far as callers tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// A value that must be unique is there already.
    Unique,
    /// A row that is referred to is not there.
    ForeignKey,
}

/// Where the database is.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Address {
    /// Reads `sqlite:///path`, a plain path, or `postgres://...`.
    pub(crate) fn parse(text: &str) -> Result<Self, SqlError> {
        let refuse = |reason: &str| SqlError::Address { reason: reason.to_owned() };
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // The parser's own words may repeat the address, and with it a password.
            AnyConnectOptions::from_str(text).map_err(|_| refuse("it is not a PostgreSQL URL that can be read"))?;
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = match text.strip_prefix("sqlite:") {
            Some(rest) => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.contains(['?', '#']) {
                    return Err(refuse("an SQLite address takes no parameters"));
                }
                percent_decode_str(path).decode_utf8().map_err(|_| refuse("its path is not UTF-8"))?.into_owned()
            }
            None if text.contains("://") => return Err(refuse("it begins with neither sqlite:// nor postgres://")),
            None => text.to_owned(),
        };
        if path.is_empty() || path == ":memory:" {
            return Err(refuse("it names no file"));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }

    pub(crate) const fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// The database as errors name it: without any password.
    pub(crate) fn display_name(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(url) => {
                let after_user = url.rsplit_once('@').map_or_else(|| url.split_once("://"), Some);
                let place = after_user.map_or("", |(_, place)| place);
                place.split('?').next().unwrap_or_default().to_owned()
            }
        }
    }

    fn options(&self) -> Result<AnyConnectOptions, SqlError> {
        sqlx::any::install_default_drivers();
        let url = match self {
            Self::Sqlite(path) => sqlite_url(path)?,
            Self::Postgres(url) => url.clone(),
        };
        let options = AnyConnectOptions::from_str(&url)
            .map_err(|_| SqlError::Address { reason: "it cannot be read".to_owned() })?;
        Ok(options.disable_statement_logging())
    }

    /// One connection that may write, waiting up to `wait_ms` for locks. A server answers within `answer_max`.
    pub(crate) async fn connect_once(
        &self,
        file: &FileSettings,
        wait_ms: u64,
        answer_max: Duration,
    ) -> Result<AnyConnection, SqlError> {
        let options = self.options()?;
        let limit = answer_max.min(CONNECT_MAX);
        let connected = within(Some(limit), AnyConnection::connect_with(&options)).await;
        let mut connection = connected.map_err(|error| self.connect_failure(error))?;
        let session = sqlx::raw_sql(sqlx::AssertSqlSafe(self.engine().session_sql(file, wait_ms, true)));
        match within(self.is_far().then_some(limit), connection.execute(session)).await {
            Ok(_) => Ok(connection),
            Err(error) => {
                // Closed here and not by a drop, which would leave the files of the log for a while.
                let _ = self.close_once(connection).await;
                Err(failure("connect", error))
            }
        }
    }

    /// Closes such a connection, whatever a network does.
    pub(crate) async fn close_once(&self, connection: AnyConnection) -> Result<(), sqlx::Error> {
        within(self.is_far().then_some(CONNECT_MAX), connection.close()).await
    }

    /// Whether there may be a network on the way, which can fall silent. A file's engine is this process.
    pub(crate) const fn is_far(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// A server that answers and does not let us in says so each time, until a person changes something.
    fn connect_failure(&self, error: sqlx::Error) -> SqlError {
        match error.as_database_error().and_then(|error| Some((error.code()?, error.message()))) {
            // A role or its password, a database that is not there, a role that may not connect.
            Some((code, reason)) if matches!(self, Self::Postgres(_)) && is_refusal(&code) => {
                let mut reason = reason.to_owned();
                if code == NO_SUCH_DATABASE {
                    let name = self.display_name();
                    let name = name.rsplit_once('/').map_or("", |(_, name)| name).replace('"', "\"\"");
                    let command = format!("CREATE DATABASE \"{name}\" OWNER ...;");
                    reason = format!(
                        "{reason}. The server's administrator can make it, for the user of the address: {command}"
                    );
                }
                SqlError::Refused { database: self.display_name(), reason }
            }
            _ => failure("connect", error),
        }
    }

    /// The connections of writers and of readers.
    pub(crate) async fn connect(
        &self,
        file: &FileSettings,
        options: &StoreOptions,
    ) -> Result<(AnyPool, AnyPool), SqlError> {
        let connect_options = self.options()?;
        let connect = async |connections_max: u32, may_write: bool| {
            // A writer that must wait asks again until its deadline; see `TxConnection::begin`.
            let is_asked_again = may_write && self.engine() == Engine::Sqlite;
            let wait = millis(options.wait_ms);
            let wait_ms = if is_asked_again { busy_step(wait).as_millis() as u64 } else { options.wait_ms };
            let mut session = self.engine().session_sql(file, wait_ms, may_write);
            if self.engine() == Engine::Postgres {
                // What is given up here must not go on there. Migrations, which may take long, have connections of
                // their own.
                session.push_str(&format!("; SET statement_timeout = {}", options.statement_ms_max));
            }
            AnyPoolOptions::new()
                .max_connections(connections_max)
                .acquire_timeout(millis(options.wait_ms))
                .idle_timeout(None)
                .max_lifetime(None)
                // A file does not go away; a server restarts, and then a kept connection is found dead before it is
                // used.
                .test_before_acquire(self.engine() == Engine::Postgres)
                .after_connect(move |connection, _| {
                    let session = session.clone();
                    Box::pin(
                        async move { connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(session))).await.map(drop) },
                    )
                })
                .connect_with(connect_options.clone())
                .await
                .map_err(|error| failure("connect", error))
        };
        let connections_max = options.connections_max.max(1);
        match self {
            Self::Sqlite(_) => Ok((connect(1, true).await?, connect(connections_max, false).await?)),
            Self::Postgres(_) => {
                let pool = connect(connections_max, true).await?;
                Ok((pool.clone(), pool))
            }
        }
    }
}

/// The address under which the driver finds a file that exists.
fn sqlite_url(path: &Path) -> Result<String, SqlError> {
    let refuse = |reason: String| SqlError::Refused { database: path.display().to_string(), reason };
    let path = path.canonicalize().map_err(|error| refuse(format!("it cannot be found ({error})")))?;
    let path = path.to_str().ok_or_else(|| refuse("its path is not UTF-8".to_owned()))?;
    Ok(format!("sqlite://{}", utf8_percent_encode(path, PATH_BYTES)))
}

impl Engine {
    /// What a new connection is told first.
    fn session_sql(self, file: &FileSettings, wait_ms: u64, may_write: bool) -> String {
        match self {
            // FULL: a commit that was acknowledged survives a power cut. A large write-ahead log between checkpoints
            // makes large transactions cheaper; it is cut back to 64 MB after a long read held it open. The page size
            // holds for a file that is being made and changes no other.
            Self::Sqlite => format!(
                "PRAGMA busy_timeout = {wait_ms}; PRAGMA page_size = {}; PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
                 PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = {}; PRAGMA journal_size_limit = 67108864;
                 PRAGMA secure_delete = {}; PRAGMA cache_size = -{}; PRAGMA query_only = {}",
                file.page_bytes,
                file.log_pages,
                if file.secure_delete { "ON" } else { "OFF" },
                if may_write { file.writer_cache_kb } else { READER_CACHE_KB },
                if may_write { "OFF" } else { "ON" },
            ),
            Self::Postgres => format!(
                "SET lock_timeout = {wait_ms}; SET synchronous_commit = on; SET standard_conforming_strings = on;
                 SET idle_in_transaction_session_timeout = {IDLE_TRANSACTION_MS_MAX}"
            ),
        }
    }

    /// Begins a transaction that reads.
    pub(crate) const fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// Begins a transaction that writes.
    pub(crate) const fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        }
    }

    /// What a writing transaction says right after its begin to be the only one, if its begin did not say so. Under
    /// READ COMMITTED the statements after it see all that was committed before the lock was free.
    pub(crate) fn take_turn(self, write_lock: i64) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(format!("SELECT pg_advisory_xact_lock({write_lock})")),
        }
    }

    /// What makes deleted rows leave the disk for good once they are overwritten in the database.
    pub(crate) const fn settle_erasure_sql(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA wal_checkpoint(TRUNCATE)"),
            // The server's vacuum does it in its own time.
            Self::Postgres => None,
        }
    }

    /// The names of all tables where ours would be.
    pub(crate) const fn list_tables_sql(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            Self::Postgres => {
                "SELECT CAST(tablename AS TEXT) AS name FROM pg_tables WHERE schemaname = current_schema()"
            }
        }
    }

    /// A migration's text with this engine's types. Texts compare byte by byte on both engines.
    pub(crate) fn migration_sql(self, text: &str) -> String {
        let types = match self {
            Self::Sqlite => [
                ("{text}", "TEXT"),
                ("{blob}", "BLOB"),
                ("{clustered}", " WITHOUT ROWID"),
                ("{sequence_key}", "INTEGER PRIMARY KEY"),
            ],
            Self::Postgres => [
                ("{text}", "TEXT COLLATE \"C\""),
                ("{blob}", "BYTEA"),
                ("{clustered}", ""),
                ("{sequence_key}", "BIGINT PRIMARY KEY"),
            ],
        };
        types.into_iter().fold(text.to_owned(), |text, (token, name)| text.replace(token, name))
    }

    /// Writes the first parameters of a statement as rows: `($1, $2), ($3, $4)`.
    pub fn put_placeholders(self, sql: &mut String, rows: usize, columns: usize) {
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..columns {
                sql.push_str(if column == 0 { "" } else { ", " });
                // SQLite looks for a numbered parameter among all that it has seen, which takes long where there are
                // thousands. The driver gives nameless ones the first arguments in their order.
                let written = match self {
                    Self::Sqlite => sql.write_char('?'),
                    Self::Postgres => write!(sql, "${}", row * columns + column + 1),
                };
                written.expect("writing to a String cannot fail");
            }
            sql.push(')');
        }
    }

    /// The members of a JSON array ($1) as rows `given` with one column `value`.
    pub const fn json_rows(self) -> &'static str {
        match self {
            Self::Sqlite => "json_each($1) AS given",
            Self::Postgres => "jsonb_array_elements(CAST($1 AS jsonb)) AS given(value)",
        }
    }
}

/// The constraint that a statement broke, if that is why it failed.
pub(crate) fn broken_constraint(error: &sqlx::Error) -> Option<Constraint> {
    match error.as_database_error()?.kind() {
        ErrorKind::UniqueViolation => Some(Constraint::Unique),
        ErrorKind::ForeignKeyViolation => Some(Constraint::ForeignKey),
        _ => None,
    }
}

/// Whether the database file is no database, or damaged.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlite_code).is_some_and(|code| matches!(code & 0xff, 11 | 26))
}

/// Whether another process has the database locked.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlite_code).is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

/// Whether a statement that failed so has certainly left its transaction open, on a connection that works. SQLite rolls
/// back by itself after most other errors.
pub(crate) fn keeps_transaction(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match sqlite_code(error) {
        Some(code) => code & 0xff == SQLITE_CONSTRAINT,
        // Data, constraints, conflicts, syntax and access, objects not in the state for it: errors of the statement.
        None => {
            error.code().is_some_and(|code| ["22", "23", "40", "42", "55"].iter().any(|class| code.starts_with(class)))
        }
    }
}

/// Our error for a failure of the driver in the transaction `operation`.
pub(crate) fn failure(operation: &'static str, error: sqlx::Error) -> SqlError {
    let kind = match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Failure::Unavailable,
        sqlx::Error::Database(error) => match sqlite_code(error.as_ref()) {
            Some(code) => sqlite_failure(code),
            None => error.code().map_or(Failure::Other, |code| postgres_failure(&code)),
        },
        _ => Failure::Other,
    };
    let source = Box::new(error);
    match kind {
        Failure::Unavailable => SqlError::Unavailable { operation, source },
        Failure::Withheld(remedy) => SqlError::Withheld { operation, remedy, source },
        Failure::Conflict => SqlError::Conflict { operation, source },
        Failure::Other => SqlError::Database { operation, source },
    }
}

/// Our error for a failure of the driver while it committed the transaction `operation`.
pub(crate) fn commit_failure(operation: &'static str, error: sqlx::Error) -> SqlError {
    match error.as_database_error() {
        Some(refusal) if is_refused_commit(refusal) => failure(operation, error),
        Some(_) | None => SqlError::CommitUnknown { operation, source: Box::new(error) },
    }
}

/// Whether the engine says by this error that it has not committed, and never will.
fn is_refused_commit(error: &(dyn DatabaseError + 'static)) -> bool {
    match sqlite_code(error) {
        // BUSY, LOCKED, READONLY, FULL, CONSTRAINT come before the record that makes the transaction durable. A sync
        // that fails comes after it.
        Some(code) => matches!(code & 0xff, SQLITE_BUSY | 6 | 8 | 13 | SQLITE_CONSTRAINT),
        // Constraints, states of the transaction, conflicts (but for statement_completion_unknown), resources, the
        // transaction's own statements. A server that is shut down or breaks may have committed.
        None => error.code().is_some_and(|code| {
            code != "40003" && ["23", "25", "40", "53", "54", "55"].iter().any(|class| code.starts_with(class))
        }),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Unavailable,
    /// What a person can do about it.
    Withheld(&'static str),
    Conflict,
    Other,
}

const SQLITE_BUSY: i32 = 5;
const SQLITE_CONSTRAINT: i32 = 19;

/// The extended result code, if this error is one of SQLite.
fn sqlite_code(error: &(dyn DatabaseError + 'static)) -> Option<i32> {
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>()?.code()?.parse().ok()
}

fn sqlite_failure(code: i32) -> Failure {
    match (code, code & 0xff) {
        // BUSY_SNAPSHOT: what was read has been overtaken.
        (517, _) => Failure::Conflict,
        // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB: disk, memory and
        // locks. A disk that fails once may read what it could not read before; a file that is damaged for good is
        // refused at the start.
        (_, SQLITE_BUSY | 6 | 7 | 8 | 9 | 10 | 11 | 13 | 14 | 15 | 26) => Failure::Unavailable,
        _ => Failure::Other,
    }
}

/// invalid_authorization_specification and invalid_password, invalid_catalog_name, insufficient_privilege.
fn is_refusal(code: &str) -> bool {
    matches!(code, "28000" | "28P01" | NO_SUCH_DATABASE | "42501")
}

/// What PostgreSQL says of a name that no database has.
const NO_SUCH_DATABASE: &str = "3D000";

fn postgres_failure(code: &str) -> Failure {
    match code {
        // serialization_failure, deadlock_detected.
        "40001" | "40P01" => Failure::Conflict,
        // lock_not_available, query_canceled, idle_in_transaction_session_timeout, data_corrupted, index_corrupted, and
        // read_only_sql_transaction: a standby, until another server is asked.
        "55P03" | "57014" | "25P03" | "XX001" | "XX002" | "25006" => Failure::Unavailable,
        // insufficient_privilege.
        "42501" => Failure::Withheld("its administrator can GRANT ALL ON ALL TABLES IN SCHEMA ... to our user again"),
        // undefined_table, invalid_schema_name: a user without rights on the schema sees none.
        "42P01" | "3F000" => Failure::Withheld(
            "its administrator can restore the table from a backup, or GRANT USAGE ON SCHEMA ... to our user again",
        ),
        code if is_refusal(code) => Failure::Withheld("its administrator can let our user connect again"),
        // Connection lost, resources used up (disk, memory, connections), shutdown and start, the server's disk.
        code if ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class)) => Failure::Unavailable,
        _ => Failure::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        match (Address::parse(text), expect) {
            (Ok(address), Ok(name)) => assert_eq!(address.display_name(), name, "{text}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn addresses() {
        check("sqlite:///srv/waypost.db", Ok("/srv/waypost.db"));
        check("sqlite:///srv/a%20b.db", Ok("/srv/a b.db"));
        check("sqlite:waypost.db", Ok("waypost.db"));
        check("/srv/a%20b.db", Ok("/srv/a%20b.db"));
        check("postgres://user:p%40ss@db.example:5432/links?sslmode=disable", Ok("db.example:5432/links"));
        check("postgresql://db.example/links", Ok("db.example/links"));
        check("mysql://x/y", Err("neither sqlite:// nor postgres://"));
        check("sqlite::memory:", Err("no file"));
        check("", Err("no file"));
        check("sqlite:///a.db?mode=ro", Err("no parameters"));
        check("postgres://user:secret@:bad:/", Err("PostgreSQL URL"));
        let refused = Address::parse("postgres://u:secret@:bad:/").expect_err("parsed").to_string();
        assert!(!refused.contains("secret"), "{refused}");
    }
    #[test]
    fn failures_that_pass_are_unavailable() {
        // The primary codes and some extended ones: IOERR_WRITE, IOERR_FSYNC, BUSY_RECOVERY, FULL.
        for code in [5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 26, 778, 1034, 261, 13] {
            assert_eq!(sqlite_failure(code), Failure::Unavailable, "{code}");
        }
        assert_eq!(sqlite_failure(517), Failure::Conflict);
        assert_eq!(sqlite_failure(1), Failure::Other);
        for code in ["08006", "53100", "57P01", "57P03", "58030", "XX001", "55P03", "57014"] {
            assert_eq!(postgres_failure(code), Failure::Unavailable, "{code}");
        }
        for code in ["42501", "42P01", "3F000", "28000", "28P01", "3D000"] {
            assert!(matches!(postgres_failure(code), Failure::Withheld(_)), "{code}");
        }
        assert_eq!(postgres_failure("25006"), Failure::Unavailable, "a standby");
        assert_eq!(postgres_failure("42601"), Failure::Other);
    }
}
