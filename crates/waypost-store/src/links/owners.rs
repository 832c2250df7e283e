//! Whose a link is and where it lives, for many links at once and for deleted ones too: what an event from elsewhere must
//! agree with before it is counted.

use waypost_core::id::{AccountId, DomainId, LinkId};
use waypost_sql::Statement;

use crate::error::StoreError;
use crate::rows::{Columns, link_bytes};
use crate::tx::ReadTx;

/// The most links of one statement, and the numbers that it is made for, so that it comes again and stays prepared.
const SIZES: [usize; 4] = [1, 16, 128, 1_024];

/// Whose a link is. Neither ever changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkOwner {
    /// The link; it may be deleted.
    pub link_id: LinkId,
    /// The account that owns it.
    pub account_id: AccountId,
    /// The domain it lives on.
    pub domain_id: DomainId,
    /// The host of that domain.
    pub host: String,
}

impl ReadTx {
    /// Whose these links are, in no order; those that never were are left out.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn link_owners(&mut self, link_ids: &[LinkId]) -> Result<Vec<LinkOwner>, StoreError> {
        let mut owners = Vec::with_capacity(link_ids.len());
        for chunk in link_ids.chunks(SIZES[SIZES.len() - 1]) {
            let size = SIZES.into_iter().find(|size| *size >= chunk.len()).unwrap_or(chunk.len());
            let mut sql = "SELECT l.id, l.account_id, l.domain_id, d.host
                 FROM links AS l JOIN domains AS d ON d.id = l.domain_id WHERE l.id IN "
                .to_owned();
            self.engine().put_placeholders(&mut sql, 1, size);
            // No link has an empty id.
            let ids = chunk.iter().map(link_bytes).chain(std::iter::repeat_with(Vec::new)).take(size);
            let statement = ids.fold(Statement::new(sql), Statement::bind);
            for row in &self.fetch_all(statement).await? {
                let columns = Columns::new(row, "link");
                owners.push(LinkOwner {
                    link_id: columns.link_id("id")?,
                    account_id: columns.account_id("account_id")?,
                    domain_id: columns.domain_id("domain_id")?,
                    host: columns.get("host")?,
                });
            }
        }
        Ok(owners)
    }
}
