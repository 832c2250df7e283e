//! The settings of every domain this edge serves, held in memory and found by host.
//!
//! The table stores them as one JSON entry beside the links, so that an edge that starts without its control plane
//! knows its domains. `waypost-core` defines what they mean.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use waypost_core::domain::DomainSettings;

use crate::TableError;

/// Domains one table may serve.
pub const DOMAINS_MAX: usize = 100_000;

/// The settings of all domains. Immutable: a change creates a new value, and readers keep the one they have.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    settings: Vec<DomainSettings>,
    index_by_host: HashMap<String, usize>,
    default_index: Option<usize>,
}

impl Domains {
    /// # Errors
    /// [`TableError::BadDomains`]: a host is empty or given twice, two domains are the default, or there are too many.
    pub(crate) fn new(settings: Vec<DomainSettings>) -> Result<Domains, TableError> {
        let bad = |reason: String| Err(TableError::BadDomains { reason });
        if settings.len() > DOMAINS_MAX {
            return bad(format!("{} domains, at most {DOMAINS_MAX} are served", settings.len()));
        }
        let mut index_by_host = HashMap::with_capacity(settings.len());
        let mut default_index = None;
        for (index, domain) in settings.iter().enumerate() {
            if domain.host.is_empty() {
                return bad("a domain has no host".to_owned());
            }
            match index_by_host.entry(domain.host.clone()) {
                Entry::Occupied(_) => return bad(format!("{} is given twice", domain.host)),
                Entry::Vacant(vacant) => vacant.insert(index),
            };
            if domain.is_default && default_index.replace(index).is_some() {
                return bad(format!("{} is a second default domain", domain.host));
            }
        }
        Ok(Domains { settings, index_by_host, default_index })
    }

    pub(crate) fn from_json(json: &[u8]) -> Result<Domains, TableError> {
        let settings =
            serde_json::from_slice(json).map_err(|error| TableError::BadDomains { reason: error.to_string() })?;
        Domains::new(settings)
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>, TableError> {
        serde_json::to_vec(&self.settings).map_err(|error| TableError::BadDomains { reason: error.to_string() })
    }

    /// The domain with this host, which must be given as stored: ASCII, lower case, no port.
    pub fn by_host(&self, host: &str) -> Option<&DomainSettings> {
        self.index_by_host.get(host).and_then(|index| self.settings.get(*index))
    }

    /// The default domain, if one is set.
    pub fn default_domain(&self) -> Option<&DomainSettings> {
        self.default_index.and_then(|index| self.settings.get(index))
    }

    /// All domains, in the order they were set.
    pub fn all(&self) -> &[DomainSettings] {
        &self.settings
    }
}
