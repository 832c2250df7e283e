//! What every instance has: a default account, an anonymous account, a default domain, a name of its own.

pub(crate) mod settings;

use data_encoding::HEXLOWER;
use waypost_core::Hostname;

use crate::accounts::{Account, AccountKind};
use crate::domains::{Domain, NewDomain};
use crate::error::StoreError;
use crate::rows::new_id;
use crate::tx::Tx;

/// What every instance has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Names this database, for whoever keeps a cursor into its outbox: 32 hex digits, drawn once.
    pub instance_id: String,
    /// The account of whoever runs the instance.
    pub default_account: Account,
    /// Owns the links that nobody signed in for.
    pub anonymous_account: Account,
    /// The domain of links that name none.
    pub default_domain: Domain,
    /// The host that the default domain had until now, where it had another.
    pub renamed_from: Option<Hostname>,
}

impl Tx {
    /// Makes what every instance has, as far as it is missing, and gives the default domain this host. Any number of
    /// times, in any number of processes.
    ///
    /// # Errors
    /// [`StoreError::PublicUrlTaken`] where another domain has the host and cannot become the default one.
    pub async fn init(&mut self, default_host: &Hostname) -> Result<Setup, StoreError> {
        let default_account = self.ensure_account(AccountKind::Default, "Default").await?;
        let anonymous_account = self.ensure_account(AccountKind::Anonymous, "Anonymous").await?;
        let instance_id = self.get_or_insert_setting("instance_id", &HEXLOWER.encode(&new_id())).await?;
        let (default_domain, renamed_from) = match self.get_default_domain().await? {
            None => {
                let new =
                    NewDomain { account_id: None, host: default_host.clone(), case_insensitive: false, root_url: None };
                (self.insert_domain(&new, true).await?, None)
            }
            Some(domain) if domain.host == *default_host => (domain, None),
            Some(domain) => {
                let default = match self.get_domain_by_host(default_host).await? {
                    None => self.rename_default_domain(default_host).await?,
                    Some(other) => self.put_in_place_of_default(&domain, other).await?,
                };
                (default, Some(domain.host))
            }
        };
        Ok(Setup { instance_id, default_account, anonymous_account, default_domain, renamed_from })
    }
}
