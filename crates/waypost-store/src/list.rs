//! Listing links, page by page, by key and never by offset: a page costs the same wherever it is.

use waypost_core::id::{AccountId, DomainId, LinkId};

use crate::error::StoreError;
use crate::links::{Link, link_columns, read_link};
use crate::rows::{account_number, domain_number, hex, link_bytes, unhex};
use crate::tx::ReadTx;

/// The most links of one page.
pub const PAGE_LINKS_MAX: u32 = 1_000;

/// Which links of an account to list.
#[derive(Clone, Debug, Default)]
pub struct LinkFilter {
    /// Only those on this domain.
    pub domain_id: Option<DomainId>,
    /// Only those whose slug begins with this text; they come ordered by slug.
    pub slug_prefix: Option<String>,
}

/// One page of links.
#[derive(Clone, Debug)]
pub struct LinkPage {
    /// The links: newest first, or by slug where the filter has a prefix.
    pub links: Vec<Link>,
    /// Gives the next page; absent on the last one. Opaque, good for the same account and filter only.
    pub next_cursor: Option<String>,
}

impl ReadTx {
    /// A page of the account's live links: the first, or the one after `cursor`. `limit` counts links, at least 1 and
    /// at most 1,000.
    ///
    /// # Errors
    /// [`StoreError::CursorInvalid`] where the cursor is not one of such a list; and where the database fails.
    pub async fn list_links(
        &mut self,
        account_id: &AccountId,
        filter: &LinkFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<LinkPage, StoreError> {
        let limit = limit.clamp(1, PAGE_LINKS_MAX);
        let mut links = match &filter.slug_prefix {
            Some(prefix) => self.list_by_slug(account_id, filter, prefix, cursor, limit + 1).await?,
            None => self.list_newest(account_id, filter, cursor, limit + 1).await?,
        };
        let limit = limit as usize;
        let is_last = links.len() <= limit;
        links.truncate(limit);
        let next_cursor = links.last().filter(|_| !is_last).map(|link| match filter.slug_prefix {
            Some(_) => encode_cursor('s', &link.slug, &link.link_id),
            None => encode_cursor('t', &link.created_at.as_micros().to_string(), &link.link_id),
        });
        Ok(LinkPage { links, next_cursor })
    }

    async fn list_newest(
        &mut self,
        account_id: &AccountId,
        filter: &LinkFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        let (created_at, id) = match cursor {
            None => (i64::MAX, Vec::new()),
            Some(cursor) => {
                let (time, id) = decode_cursor('t', cursor).ok_or(StoreError::CursorInvalid)?;
                (time.parse().map_err(|_| StoreError::CursorInvalid)?, id)
            }
        };
        let statement = sqlx::query(LIST_NEWEST_SQL)
            .bind(account_number(account_id))
            .bind(created_at)
            .bind(id)
            .bind(filter.domain_id.as_ref().map(domain_number))
            .bind(i64::from(limit));
        self.fetch_all(statement).await?.iter().map(read_link).collect()
    }

    async fn list_by_slug(
        &mut self,
        account_id: &AccountId,
        filter: &LinkFilter,
        prefix: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        let (slug, id) = match cursor {
            None => (prefix.to_owned(), Vec::new()),
            Some(cursor) => decode_cursor('s', cursor).ok_or(StoreError::CursorInvalid)?,
        };
        let statement = sqlx::query(LIST_BY_SLUG_SQL)
            .bind(account_number(account_id))
            .bind(slug)
            .bind(id)
            .bind(format!("{prefix}{}", char::MAX))
            .bind(filter.domain_id.as_ref().map(domain_number))
            .bind(i64::from(limit));
        self.fetch_all(statement).await?.iter().map(read_link).collect()
    }
}

/// The newest links of an account. The row comparison is what lets the index start at the cursor.
pub(crate) const LIST_NEWEST_SQL: &str = concat!(
    "SELECT ",
    link_columns!(),
    " FROM links AS l JOIN domains AS d ON d.id = l.domain_id
     WHERE l.account_id = $1 AND l.deleted_at IS NULL AND (l.created_at, l.id) < ($2, $3)
       AND l.domain_id = coalesce($4, l.domain_id)
     ORDER BY l.created_at DESC, l.id DESC LIMIT $5"
);

/// An account's links by slug, over each domain that it may use.
pub(crate) const LIST_BY_SLUG_SQL: &str = concat!(
    "SELECT ",
    link_columns!(),
    " FROM domains AS d JOIN links AS l ON l.domain_id = d.id
     WHERE d.id = coalesce($5, d.id) AND (d.account_id = $1 OR d.account_id IS NULL)
       AND l.account_id = $1 AND l.deleted_at IS NULL
       AND l.slug >= $2 AND l.slug < $4 AND (l.slug, l.id) > ($2, $3)
     ORDER BY l.slug, l.id LIMIT $6"
);

/// A letter for the order, the place in it and the link there, in characters that need no escaping anywhere.
fn encode_cursor(order: char, place: &str, link_id: &LinkId) -> String {
    format!("{order}{}{}", hex(&link_bytes(link_id)), hex(place.as_bytes()))
}

/// Place and link, if this is a cursor of that order.
fn decode_cursor(order: char, cursor: &str) -> Option<(String, Vec<u8>)> {
    let mut bytes = unhex(cursor.strip_prefix(order)?)?;
    let place = String::from_utf8((bytes.len() > 16).then(|| bytes.split_off(16))?).ok()?;
    // A NUL would be refused by PostgreSQL with an error of its own.
    (!place.contains('\0')).then_some((place, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        let link_id = LinkId::from_uuid_bytes([7; 16]);
        let cursor = encode_cursor('s', "größe", &link_id);
        assert_eq!(decode_cursor('s', &cursor), Some(("größe".to_owned(), vec![7; 16])));
        let nul = encode_cursor('s', "a\0", &link_id);
        let no_text = format!("{}ff", encode_cursor('s', "", &link_id));
        for bad in ["", "s", "s0", "szz", "sff00", "t6100", &cursor[..cursor.len() - 1], &cursor[..33], &nul, &no_text]
        {
            assert_eq!(decode_cursor('s', bad), None, "{bad:?}");
        }
        assert_eq!(decode_cursor('t', &cursor), None);
    }
}
