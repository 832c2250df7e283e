//! The PostgreSQL cluster of a test run: finds its programs, or installs them if that is allowed.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use waypost_testkit::postgres::{Cluster, Programs, URL_VARIABLE};

use crate::apt;

/// Where Debian's package looks for settings of the cluster that it creates on installation.
const DEBIAN_SETTINGS: &str = "/etc/postgresql-common/createcluster.d";

/// What the tests are given: a cluster of this run, or one that the caller has named in the environment.
pub(crate) enum Provided {
    Private(Cluster),
    Named(String),
}

impl Provided {
    /// The URL for the tests.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Private(cluster) => cluster.url(),
            Self::Named(url) => url,
        }
    }
}

/// Starts a private cluster, unless the environment names one.
pub(crate) fn provide() -> anyhow::Result<Provided> {
    if let Some(url) = env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty()) {
        println!("tests use the PostgreSQL cluster that {URL_VARIABLE} names");
        return Ok(Provided::Named(url));
    }
    let cluster = Cluster::start(&find_or_install()?)?;
    println!("tests use a private PostgreSQL cluster in {}", cluster.folder().display());
    Ok(Provided::Private(cluster))
}

/// PostgreSQL's programs, installed if they are missing and that is allowed.
pub(crate) fn find_or_install() -> anyhow::Result<Programs> {
    if let Some(programs) = Programs::find() {
        return Ok(programs);
    }
    if apt::is_available() {
        install()?;
    }
    Programs::find()
        .context("PostgreSQL (initdb, postgres, psql) is not here: install it (`apt-get install postgresql`, `brew install postgresql`)")
}

/// Installs Debian's package without the cluster that it would create and start for the whole machine.
fn install() -> anyhow::Result<()> {
    let setting = Path::new(DEBIAN_SETTINGS).join("waypost-tests.conf");
    fs::create_dir_all(DEBIAN_SETTINGS)?;
    fs::write(&setting, "create_main_cluster = false\n")?;
    let installed = apt::install(&["postgresql"]);
    fs::remove_file(&setting)?;
    installed
}
