//! An instance's own parts, opened in the data folder: database, link table and control plane. Both the server and
//! commands that run without one are built on it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use waypost_clicks::ClickStore;
use waypost_control::{App, ControlSettings, GrantRequest, PUBLIC_URL_SETTING, PublicUrl};
use waypost_core::CompactLink;
use waypost_core::grant::{CookieScope, GRANT_SECONDS, GrantKey, GrantedLink};
use waypost_http::HttpSettings;
use waypost_ingest::{ClickSettings, Clicks};
use waypost_spool::{Spool, SpoolOptions};
use waypost_store::{Engine, Store, StoreOptions};
use waypost_table::{Table, TableOptions};

use crate::clock;
use crate::config::Config;
use crate::config::types::DatabaseAddress;
use crate::data_dir::{DataDir, DataDirError, InstanceLock};
use crate::serve::heap;
use crate::visitor_salts::VisitorSalts;

/// The name of the setting in the database that has the key of unlock grants, in hexadecimal.
const GRANT_KEY_SETTING: &str = "grant_key";

/// The parts in the data folder that need no database; redirects need only these. Cloning shares them.
#[derive(Clone)]
pub(crate) struct LocalParts {
    pub(crate) table: Arc<Table>,
    pub(crate) spool: Spool,
    pub(crate) visitor_salts: Arc<VisitorSalts>,
    /// The key of unlock grants, once it was read from the database.
    pub(crate) grant_key: Arc<OnceLock<GrantKey>>,
    /// Keeps other processes from opening the same folder; released last.
    _lock: Arc<InstanceLock>,
}

/// Where the databases are.
#[derive(Clone)]
pub(crate) struct DatabasePlaces {
    links: String,
    /// Unless the links are in PostgreSQL, the clicks have a database file of their own.
    clicks_file: String,
    /// The data folder, if the links are elsewhere.
    left_folder: Option<DataDir>,
}

/// The open databases.
pub(crate) struct Databases {
    store: Store,
    click_store: ClickStore,
}

/// The opened parts.
pub(crate) struct Instance {
    pub(crate) local: LocalParts,
    pub(crate) store: Store,
    /// Counts the clicks in the spool; also those of earlier runs, if clicks are no longer recorded.
    pub(crate) clicks: Arc<Clicks>,
    click_store: ClickStore,
}

impl LocalParts {
    /// Locks the data folder and opens its parts.
    ///
    /// # Errors
    /// If a part cannot be opened or is refused.
    pub(crate) async fn open(config: &Config, data_dir: &DataDir, lock: InstanceLock) -> anyhow::Result<Self> {
        let folder = data_dir.table();
        let options = TableOptions {
            record_is_sound: |record| CompactLink::read(record).is_ok(),
            remember_places: config.remember_places,
            ..TableOptions::default()
        };
        let table = tokio::task::spawn_blocking(move || Table::open(&folder, options)).await??;
        let options = SpoolOptions {
            bytes_max: config.clicks.spool_bytes_max,
            flush_interval: config.clicks.flush_interval,
            ..SpoolOptions::default()
        };
        let folder = data_dir.spool();
        let spool = tokio::task::spawn_blocking(move || Spool::open(&folder, options)).await??;
        let visitor_salts = Arc::new(VisitorSalts::open(data_dir.visitor_salts()));
        let (table, grant_key) = (Arc::new(table), Arc::new(OnceLock::new()));
        Ok(Self { table, spool, visitor_salts, grant_key, _lock: Arc::new(lock) })
    }

    /// Closes all parts, after everything that uses them has stopped.
    pub(crate) async fn close(&self) {
        let spool = self.spool.clone();
        // Fails only if flushing panicked; there is nothing left to do then.
        let _ = tokio::task::spawn_blocking(move || spool.close()).await;
    }
}

impl DatabasePlaces {
    /// # Errors
    /// If a path is not UTF-8, or the folder's links are in a database that is not named.
    pub(crate) fn new(config: &Config, data_dir: &DataDir) -> anyhow::Result<Self> {
        let own = data_dir.database();
        let (links, left_folder) = match config.database_url.as_ref().map(DatabaseAddress::expose) {
            Some(address) if !is_file(address, &own) => (address.to_owned(), Some(data_dir.clone())),
            Some(address) => (address.to_owned(), None),
            None => (path_text(&data_dir.own_database()?)?, None),
        };
        Ok(Self { links, clicks_file: path_text(&data_dir.clicks_database())?, left_folder })
    }

    /// Opens both and migrates their schemas.
    ///
    /// # Errors
    /// If one cannot be reached or is refused, or is new while the data folder has links of its own.
    pub(crate) async fn open(self) -> anyhow::Result<Databases> {
        let store = Store::open(&self.links, StoreOptions::default()).await?;
        let clicks_address = match store.engine() {
            Engine::Postgres => &self.links,
            Engine::Sqlite => &self.clicks_file,
        };
        if let Some(folder) = &self.left_folder {
            leave(folder, &store).await?;
        }
        let click_store = ClickStore::open(clicks_address, StoreOptions::default()).await?;
        Ok(Databases { store, click_store })
    }
}

/// Marks that the folder's links are elsewhere: without the mark, a command without the database's address would create
/// a new, empty one. Fails if the folder has links and the database has none.
async fn leave(folder: &DataDir, elsewhere: &Store) -> anyhow::Result<()> {
    let (mark, own) = (folder.other_database_mark(), folder.database());
    if mark.exists() {
        return Ok(());
    }
    if own.exists() && elsewhere.read("count_links").await?.count_all_links(1).await? == 0 {
        let own = Store::open(&path_text(&own)?, StoreOptions::default()).await.context("open waypost.db")?;
        let links = own.read("count_links").await?.count_all_links(u32::MAX).await?;
        own.close().await;
        if links > 0 {
            return Err(DataDirError::OwnLinks { path: folder.path().to_owned(), links }.into());
        }
    }
    if let Err(error) = std::fs::write(&mark, "The links of this folder are in the database that database_url names.\n")
    {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the data folder could not be marked as one whose links are in another database");
    }
    Ok(())
}

/// Whether the address of a database is that of this file.
fn is_file(address: &str, file: &Path) -> bool {
    let path = address.strip_prefix("sqlite:").map_or(address, |rest| rest.strip_prefix("//").unwrap_or(rest));
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    Path::new(path.as_ref()) == file || Path::new(path.as_ref()).canonicalize().is_ok_and(|path| path == file)
}

impl Instance {
    /// Locks the data folder and opens its parts and the databases.
    ///
    /// # Errors
    /// If the folder is in use, or a database or the table cannot be opened or is refused.
    pub(crate) async fn open(config: &Config, data_dir: &DataDir, lock: InstanceLock) -> anyhow::Result<Self> {
        // A database that is not ours is refused before anything is created in the folder.
        let databases = DatabasePlaces::new(config, data_dir)?.open().await?;
        let local = LocalParts::open(config, data_dir, lock).await?;
        Self::join(local, databases, config).await
    }

    /// Connects the parts and starts to count clicks.
    ///
    /// # Errors
    /// If a database fails.
    pub(crate) async fn join(local: LocalParts, databases: Databases, config: &Config) -> anyhow::Result<Self> {
        let Databases { store, click_store } = databases;
        let grant_key = read_grant_key(&store).await?;
        local.grant_key.get_or_init(|| grant_key);
        let click_settings = ClickSettings { retention_days: config.clicks.retention_days, ..ClickSettings::default() };
        let clicks = Clicks::start(click_store.clone(), Some(local.spool.clone()), click_settings);
        Ok(Self { local, store, clicks, click_store })
    }

    /// Closes all parts, after everything that uses them has stopped.
    pub(crate) async fn close(&self) {
        self.clicks.stop().await;
        self.local.close().await;
        self.close_databases().await;
    }

    pub(crate) async fn close_databases(&self) {
        tokio::join!(self.click_store.close(), self.store.close());
    }

    /// Waits until both databases have answered, also with an error.
    pub(crate) async fn reach_databases(&self) {
        // An error is an answer, too.
        let _ = tokio::join!(self.click_store.ping(), self.store.ping());
    }

    /// The public URL that the last server on this database had.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn last_public_url(&self) -> anyhow::Result<Option<PublicUrl>> {
        let text = self.store.read("get_public_url").await?.get_setting(PUBLIC_URL_SETTING).await?;
        Ok(text.and_then(|text| PublicUrl::parse(&text).ok()))
    }

    /// Starts the control plane, which brings the table up to date.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn start_app(&self, config: &Config, public_url: PublicUrl) -> anyhow::Result<Arc<App>> {
        let grant_key = self.local.grant_key.get().cloned().context("the key of unlock grants is not known")?;
        let spool = self.local.spool.clone();
        let is_https = public_url.is_https();
        let issue = move |request: GrantRequest<'_>| issue_grant(&grant_key, request, is_https);
        let settings = ControlSettings {
            schemes: config.schemes.policy.clone(),
            anonymous_links: config.anonymous_links,
            anonymous_address_hosts: config.anonymous_address_hosts.unwrap_or(config.public_url.is_none()),
            anonymous_rate: config.anonymous_rate.0,
            api_rate: config.api_rate.0,
            address_policy: config.clicks.addresses,
            webhook_keys: config.webhook_keys.clone(),
            spool_stats: Some(Arc::new(move || spool.stats())),
            kv: config.cloudflare.kv_settings(),
            ..ControlSettings::new(public_url, Arc::new(issue))
        };
        Ok(App::start(self.store.clone(), Arc::clone(&self.local.table), Arc::clone(&self.clicks), settings).await?)
    }
}

/// The settings of the control plane's HTTP interface. Must be called within a Tokio runtime.
pub(crate) fn http_settings(config: &Config) -> HttpSettings {
    HttpSettings {
        cors_origins: config.cors_origins.clone(),
        on_large_request: Some(heap::give_back_after_large_requests()),
        ..HttpSettings::default()
    }
}

fn path_text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("the data folder's path is not UTF-8")?.to_owned())
}

fn issue_grant(key: &GrantKey, request: GrantRequest<'_>, is_https: bool) -> String {
    let link = GrantedLink { subject: request.link_id, version: request.version };
    key.set_cookie(link, CookieScope { path: request.path, is_https }, clock::now(), GRANT_SECONDS)
}

/// The key of grants: created at random by the first process, and the same for all processes on the database.
async fn read_grant_key(store: &Store) -> anyhow::Result<GrantKey> {
    let mut fresh = [0_u8; 32];
    getrandom::fill(&mut fresh).context("create a key for unlock grants")?;
    let fresh = HEXLOWER.encode(&fresh);
    let mut tx = store.begin("get_grant_key").await?;
    let text = tx.get_or_insert_setting(GRANT_KEY_SETTING, &fresh).await?;
    tx.commit().await?;
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    Ok(GrantKey::new(bytes.context("the stored grant key is damaged")?))
}
