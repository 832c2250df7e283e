//! An empty database for one test, created and dropped through `psql`.

use std::env;
use std::process::{Command, Stdio, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use anyhow::{Context as _, bail};

use super::{Programs, SKIP_VARIABLE, URL_VARIABLE};

/// Distinguishes databases made by one process.
static DATABASES_MADE: AtomicU32 = AtomicU32::new(0);

/// An empty database with a name of its own. Dropping the value drops the database, also from under open connections.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    base_url: String,
}

impl TestDatabase {
    /// The URL of this database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL text in this database and returns what `psql` prints: one line a row, columns parted by `|`.
    ///
    /// # Errors
    /// With the server's message when a statement fails.
    pub fn execute(&self, sql: &str) -> anyhow::Result<String> {
        run_sql(&self.url, sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Err(error) = run_sql(&self.base_url, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)) {
            eprintln!("could not drop the test database {}: {error:#}", self.name);
        }
    }
}

/// Creates an empty database in the cluster that `base_url` (`postgres://.../DATABASE`) leads to.
///
/// # Errors
/// When `psql` is missing or the server refuses.
pub fn fresh_database(base_url: &str) -> anyhow::Result<TestDatabase> {
    let name = unique_name();
    let url = with_database(base_url, &name)?;
    run_sql(base_url, &format!("CREATE DATABASE {name} TEMPLATE template0")).context("create a test database")?;
    Ok(TestDatabase { name, url, base_url: base_url.to_owned() })
}

/// The database of a test that needs PostgreSQL; the test's first line. `None` only where
/// `WAYPOST_TEST_SKIP_POSTGRES=1` asks for it, and then it says so on standard error.
///
/// # Panics
/// When `WAYPOST_TEST_POSTGRES` is not set, or leads to no server: the test must fail.
pub fn test_database() -> Option<TestDatabase> {
    match setting(env::var(URL_VARIABLE).ok(), env::var(SKIP_VARIABLE).ok().as_deref()) {
        Setting::Use(base_url) => Some(fresh_database(&base_url).expect("a test database can be created")),
        Setting::Skip => {
            eprintln!("SKIPPED: no test on PostgreSQL, because {SKIP_VARIABLE}=1");
            None
        }
        Setting::Absent => panic!("{URL_VARIABLE} is not set: run `cargo xtask test`, or skip with {SKIP_VARIABLE}=1"),
    }
}

/// What the environment asks of tests on PostgreSQL.
#[derive(Debug, PartialEq, Eq)]
enum Setting {
    Use(String),
    Skip,
    Absent,
}

fn setting(url: Option<String>, skip: Option<&str>) -> Setting {
    match (url.filter(|url| !url.is_empty()), skip) {
        (Some(url), _) => Setting::Use(url),
        (None, Some("1")) => Setting::Skip,
        (None, _) => Setting::Absent,
    }
}

fn unique_name() -> String {
    let count = DATABASES_MADE.fetch_add(1, Ordering::Relaxed);
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("waypost_test_{}_{}_{count}", id(), since_epoch.as_micros())
}

/// `base_url` with its database name replaced; options after `?` are kept.
fn with_database(base_url: &str, name: &str) -> anyhow::Result<String> {
    let (address, options) = base_url.split_once('?').map_or((base_url, None), |(left, right)| (left, Some(right)));
    let Some((_, rest)) = address.split_once("://") else { bail!("not a database URL: no scheme") };
    let server = match rest.find('/') {
        Some(slash) => &address[..address.len() - rest.len() + slash],
        None => address,
    };
    Ok(match options {
        Some(options) => format!("{server}/{name}?{options}"),
        None => format!("{server}/{name}"),
    })
}

fn run_sql(url: &str, sql: &str) -> anyhow::Result<String> {
    let programs = Programs::find().context("no PostgreSQL client found: install postgresql")?;
    let output = Command::new(programs.program("psql"))
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
        .args(["--command", sql, "--dbname", url])
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .output()
        .context("run psql")?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[track_caller]
    fn check(base_url: &str, expect: &str) {
        assert_eq!(with_database(base_url, "mine").unwrap(), expect);
    }

    #[test]
    fn database_name_is_replaced() {
        check("postgres://u:p@127.0.0.1:5/postgres", "postgres://u:p@127.0.0.1:5/mine");
        check("postgres://u@h", "postgres://u@h/mine");
        check("postgres://u@h/", "postgres://u@h/mine");
        check("postgres:///old?host=/run/x", "postgres:///mine?host=/run/x");
        check("postgresql://u@[::1]:5/a?sslmode=disable", "postgresql://u@[::1]:5/mine?sslmode=disable");
        assert!(with_database("nonsense", "mine").is_err());
    }

    #[test]
    fn an_absent_cluster_is_no_silent_pass() {
        assert_eq!(setting(Some("u".to_owned()), Some("1")), Setting::Use("u".to_owned()));
        assert_eq!(setting(None, Some("1")), Setting::Skip);
        assert_eq!(setting(None, Some("0")), Setting::Absent);
        assert_eq!(setting(Some(String::new()), None), Setting::Absent);
        assert_eq!(setting(None, None), Setting::Absent);
    }

    #[test]
    fn names_are_unique() {
        assert_ne!(unique_name(), unique_name());
    }
}
