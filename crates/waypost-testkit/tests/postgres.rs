//! The private cluster and the databases in it, for real.

#![allow(clippy::unwrap_used)]

use std::net::TcpStream;

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
    let address = cluster.url().rsplit('@').next().unwrap().split('/').next().unwrap().to_owned();
    assert!(TcpStream::connect(&address).is_ok());
    drop(cluster);
    assert!(!folder.exists());
    assert!(TcpStream::connect(&address).is_err());
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
