//! PostgreSQL for tests: a private cluster for a whole run ([`Cluster`]) and an empty database for one test
//! ([`TestDatabase`]).
//!
//! `cargo xtask test` starts one cluster and hands its address to every test in [`URL_VARIABLE`]. A test that needs
//! PostgreSQL fails when the variable is absent: passing without having run would hide a broken engine. Statements go
//! through the `psql` program, so that no second client library enters the build.

mod cluster;
mod database;
mod programs;
mod proxy;

pub use cluster::{Cluster, Durability, Shutdown};
pub use database::{TestDatabase, fresh_database, test_database};
pub use programs::Programs;
pub use proxy::{Cut, Proxy};

/// Environment variable with the URL of a cluster in which tests may create databases.
pub const URL_VARIABLE: &str = "WAYPOST_TEST_POSTGRES";

/// Environment variable that, set to `1`, lets tests on PostgreSQL return early if no cluster is given.
pub const SKIP_VARIABLE: &str = "WAYPOST_TEST_SKIP_POSTGRES";
