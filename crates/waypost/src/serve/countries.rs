//! The database of countries: found or configured, read in the background, read again when it changes, and missed by nobody
//! where there is none.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use waypost_edge::{CountryDatabase, CountryError, Reloaded};

use crate::data_dir::DataDir;

/// Where the tools that fetch such databases put them.
const FOLDERS: [&str; 2] = ["/var/lib/GeoIP", "/usr/share/GeoIP"];
/// What they are called.
const NAMES: [&str; 3] = ["GeoLite2-Country.mmdb", "GeoLite2-City.mmdb", "GeoIP2-Country.mmdb"];
/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The database in use: the configured one; else the one in the data folder or where tools put it.
pub(crate) fn database(configured: Option<&Path>, data_dir: &DataDir) -> Arc<CountryDatabase> {
    let path =
        configured.map(Path::to_owned).or_else(|| found(data_dir)).unwrap_or_else(|| data_dir.country_database());
    Arc::new(CountryDatabase::at(&path))
}

fn found(data_dir: &DataDir) -> Option<PathBuf> {
    let usual = FOLDERS.into_iter().flat_map(|folder| NAMES.map(|name| Path::new(folder).join(name)));
    std::iter::once(data_dir.country_database()).chain(usual).find(|path| path.exists())
}

/// Reads the database now and whenever it has changed, for as long as the runtime lives. A file that is missing is only worth
/// a word where it was asked for.
pub(crate) async fn keep_current(database: Arc<CountryDatabase>, is_configured: bool) {
    let mut was_missed = !is_configured;
    loop {
        let reader = Arc::clone(&database);
        let path = database.path().display();
        match tokio::task::spawn_blocking(move || reader.reload()).await {
            Ok(Ok(Reloaded::Unchanged)) => {}
            Ok(Ok(Reloaded::Read { kind, built_at })) => {
                tracing::info!(database.kind = kind, database.built_at = built_at, "countries are read from {path}");
            }
            Ok(Err(CountryError::Read { .. })) if was_missed => {}
            Ok(Err(error)) => {
                was_missed |= matches!(error, CountryError::Read { .. });
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(cause, "{error}; the old country database stays in use");
            }
            Err(_) => return,
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
