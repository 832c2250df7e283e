//! The database of countries: found or configured, read in the background, and read again when it changes. It is
//! optional.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use waypost_edge::{CountryDatabase, CountryError, Reloaded};

use crate::data_dir::DataDir;

/// The folders in which tools install such databases.
const FOLDERS: [&str; 2] = ["/var/lib/GeoIP", "/usr/share/GeoIP"];
/// Their file names.
const NAMES: [&str; 3] = ["GeoLite2-Country.mmdb", "GeoLite2-City.mmdb", "GeoIP2-Country.mmdb"];
/// How often the file is checked for changes.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The database in use: the configured one, otherwise the first that is found in the data folder or in the tools'
/// folders.
pub(crate) fn database(configured: Option<&Path>, data_dir: &DataDir) -> Arc<CountryDatabase> {
    let path =
        configured.map(Path::to_owned).or_else(|| found(data_dir)).unwrap_or_else(|| data_dir.country_database());
    Arc::new(CountryDatabase::at(&path))
}

fn found(data_dir: &DataDir) -> Option<PathBuf> {
    let usual = FOLDERS.into_iter().flat_map(|folder| NAMES.map(|name| Path::new(folder).join(name)));
    std::iter::once(data_dir.country_database()).chain(usual).find(|path| path.exists())
}

/// Reads the database now and whenever it has changed, for as long as the runtime lives. A missing file is logged only
/// if it is configured.
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
