//! What all connections of all threads share.

use std::fmt;
use std::sync::{Arc, OnceLock};

use waypost_table::Table;

use crate::answer::ControlHandler;
use crate::client::Proxies;
use crate::config::Limits;
use crate::country::CountryDatabase;
use crate::grant::GrantKey;
use crate::host::HostPolicy;
use crate::misses::Misses;
use crate::notices::{FaultLog, Notices};

/// What all connections of all threads share. Nothing in it is written while serving.
pub(crate) struct Shared {
    pub(crate) table: Arc<Table>,
    pub(crate) control: ControlHandler,
    pub(crate) limits: Limits,
    pub(crate) proxies: Proxies,
    pub(crate) hosts: HostPolicy,
    pub(crate) plain_requests: bool,
    pub(crate) countries: Option<Arc<CountryDatabase>>,
    pub(crate) grant_key: Arc<OnceLock<GrantKey>>,
    pub(crate) faults: FaultLog,
    /// `None` if misses are not limited.
    pub(crate) misses: Option<Misses>,
    pub(crate) notices: Notices,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
