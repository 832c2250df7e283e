//! The private cluster and the databases in it, for real.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use waypost_testkit::postgres::{Cluster, Durability, Programs, Shutdown, fresh_database, test_database};

#[test]
fn each_test_has_a_database_of_its_own() {
    let Some(first) = test_database() else { return };
    let Some(second) = test_database() else { return };
    first.execute("CREATE TABLE links (slug text); INSERT INTO links VALUES ('one')").unwrap();
    assert_eq!(first.execute("SELECT slug FROM links").unwrap(), "one\n");
    let error = second.execute("SELECT slug FROM links").unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    let (first_url, count) = (first.url().to_owned(), "SELECT count(*) FROM pg_database WHERE datname = ");
    let name = first_url.rsplit('/').next().unwrap();
    drop(first);
    assert_eq!(second.execute(&format!("{count}'{name}'")).unwrap(), "0\n");
}

#[test]
fn a_dropped_cluster_leaves_nothing_behind() {
    if test_database().is_none() {
        return;
    }
    let cluster = Cluster::start(&Programs::find().unwrap()).unwrap();
    let database = fresh_database(cluster.url()).unwrap();
    assert_eq!(database.execute("SELECT 1").unwrap(), "1\n");
    drop(database);
    let folder = cluster.folder().to_owned();
    // The server's own number: once it has ended, its port may be anybody's.
    let pid_file = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let process = Path::new("/proc").join(pid_file.lines().next().unwrap());
    assert!(process.exists());
    drop(cluster);
    assert!(!folder.exists());
    assert!(!process.exists());
}

#[test]
fn a_cluster_is_stopped_and_started_again() {
    if test_database().is_none() {
        return;
    }
    let mut cluster = Cluster::start_with(&Programs::find().unwrap(), Durability::ServerEnd).unwrap();
    let database = fresh_database(cluster.url()).unwrap();
    database.execute("CREATE TABLE links (slug text)").unwrap();
    for shutdown in [Shutdown::Immediate, Shutdown::Fast] {
        database.execute("INSERT INTO links VALUES ('one')").unwrap();
        cluster.stop(shutdown).unwrap();
        assert!(database.execute("SELECT 1").is_err());
        cluster.start_again().unwrap();
    }
    assert_eq!(database.execute("SELECT count(*) FROM links").unwrap(), "2\n");
}
