//! Countries of addresses, from a local database in the MaxMind format.
//!
//! The file is read whole, so that replacing or truncating it while it is in use does no harm; a file that is not
//! a country database is refused, and the previous one stays in use.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use arc_swap::ArcSwapOption;
use maxminddb::{MaxMindDbError, Reader, path};
use waypost_core::click::country_letters;

/// A country database that can be read again while it is in use.
#[derive(Debug)]
pub struct CountryDatabase {
    path: PathBuf,
    reader: ArcSwapOption<Reader<Vec<u8>>>,
    /// What the file looked like when it was last tried.
    tried: Mutex<Option<FileState>>,
}

/// Where an address is, more precisely than its country.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// An ISO 3166-2 code such as `DE-BY`: the largest part of the country, where there are several.
    pub region: Option<String>,
    /// The English name of the city.
    pub city: Option<String>,
}

/// Size and time of change: a file with the same values is considered unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// The result of checking the file again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is unchanged.
    Unchanged,
    /// It was read: the kind of database that its metadata names, and when that was built, in seconds since 1970.
    Read {
        /// Such as `GeoLite2-Country`.
        kind: String,
        /// Seconds since 1970.
        built_at: u64,
    },
}

/// Why a file was refused; the previous database is still in use.
#[derive(Debug, thiserror::Error)]
pub enum CountryError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// It is not a database in the MaxMind format, or damaged.
    #[error("{} is not a country database in the MaxMind format, or is damaged", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: MaxMindDbError,
    },
    /// It has no countries.
    #[error("{} has {}, which has no countries; use a country or city database", path.display(), waypost_core::Quoted(kind))]
    Kind {
        /// The file.
        path: PathBuf,
        /// What its metadata says.
        kind: String,
    },
}

impl CountryDatabase {
    /// A database at this path, which does not have to exist yet. [`Self::reload`] reads it.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), reader: ArcSwapOption::empty(), tried: Mutex::new(None) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file if it has changed since it was last looked at. Reads and checks all of it: not for a thread that
    /// answers requests.
    ///
    /// # Errors
    /// If it cannot be read or is not a country database; the previous one stays in use. Returned once for each change.
    pub fn reload(&self) -> Result<Reloaded, CountryError> {
        let failed = |source| CountryError::Read { path: self.path.clone(), source };
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            // Deleted, or just being replaced; what was read stays in use.
            Err(error) if error.kind() == io::ErrorKind::NotFound && tried.is_some() => return Ok(Reloaded::Unchanged),
            Err(error) => return Err(failed(error)),
        };
        let state = FileState { bytes: metadata.len(), modified: metadata.modified().ok() };
        if *tried == Some(state) {
            return Ok(Reloaded::Unchanged);
        }
        *tried = Some(state);
        let reader = self.check(fs::read(&self.path).map_err(failed)?)?;
        let (kind, built_at) = (reader.metadata().database_type.clone(), reader.metadata().build_epoch);
        self.reader.store(Some(reader.into()));
        Ok(Reloaded::Read { kind, built_at })
    }

    fn check(&self, bytes: Vec<u8>) -> Result<Reader<Vec<u8>>, CountryError> {
        let damaged = |source| CountryError::Format { path: self.path.clone(), source };
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        reader.verify().map_err(damaged)?;
        let kind = &reader.metadata().database_type;
        if !["Country", "City", "Enterprise"].iter().any(|word| kind.contains(word)) {
            return Err(CountryError::Kind { path: self.path.clone(), kind: kind.clone() });
        }
        Ok(reader)
    }

    /// The region and the city of an address, which only city databases have.
    pub fn place_of(&self, address: IpAddr) -> Place {
        self.try_place_of(address).unwrap_or_default()
    }

    fn try_place_of(&self, address: IpAddr) -> Option<Place> {
        let reader = self.reader.load();
        let found = reader.as_ref()?.lookup(address).ok()?;
        let country: Option<&str> = found.decode_path(&path!["country", "iso_code"]).ok()?;
        let region: Option<&str> = found.decode_path(&path!["subdivisions", 0, "iso_code"]).ok()?;
        let city: Option<&str> = found.decode_path(&path!["city", "names", "en"]).ok()?;
        let region = country.zip(region).map(|(country, region)| format!("{country}-{region}"));
        Some(Place { region, city: city.map(str::to_owned) })
    }

    /// The country of an address, two capital letters. `None` if no database was read, or it does not have the address.
    pub fn country_of(&self, address: IpAddr) -> Option<[u8; 2]> {
        let reader = self.reader.load();
        let found = reader.as_ref()?.lookup(address).ok()?;
        let code: Option<&str> = found.decode_path(&path!["country", "iso_code"]).ok()?;
        country_letters(code?)
    }
}
