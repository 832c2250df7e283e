//! Listing links, page by page, by key and never by offset: a page costs the same wherever it is.

use data_encoding::HEXLOWER;
use waypost_core::id::{AccountId, DomainId, LinkId};
use waypost_sql::Statement;

use crate::error::StoreError;
use crate::links::link::{Link, link_columns, read_link};
use crate::rows::{account_number, domain_number, link_bytes};
use crate::tx::ReadTx;

/// The most links of one page.
pub const PAGE_LINKS_MAX: u32 = 1_000;

/// The most domains that a filter may name.
pub const FILTER_DOMAINS_MAX: usize = 16;

/// Which links of an account to list.
#[derive(Clone, Debug, Default)]
pub struct LinkFilter {
    /// Only those on these domains: at most [`FILTER_DOMAINS_MAX`], of which there is at least one.
    pub domain_ids: Option<Vec<DomainId>>,
    /// Only those whose slug begins with this text; they come ordered by host, then by slug.
    pub slug_prefix: Option<String>,
}

/// One page of links.
#[derive(Clone, Debug)]
pub struct LinkPage {
    /// The links: newest first, or by host and slug where the filter has a prefix.
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
        let limit = limit.clamp(1, PAGE_LINKS_MAX) as usize;
        let mut links = match &filter.slug_prefix {
            Some(prefix) => self.list_by_slug(account_id, filter, prefix, cursor, limit + 1).await?,
            None => self.list_newest(account_id, filter, cursor, limit + 1).await?,
        };
        let is_last = links.len() <= limit;
        links.truncate(limit);
        let next_cursor = links.last().filter(|_| !is_last).map(|link| match filter.slug_prefix {
            Some(_) => encode_cursor('s', &format!("{}/{}", link.host, link.slug), &link.link_id),
            None => encode_cursor('t', &link.created_at.as_micros().to_string(), &link.link_id),
        });
        Ok(LinkPage { links, next_cursor })
    }

    async fn list_newest(
        &mut self,
        account_id: &AccountId,
        filter: &LinkFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Link>, StoreError> {
        let (created_at, id) = match cursor {
            None => (i64::MAX, Vec::new()),
            Some(cursor) => {
                let (time, id) = decode_cursor('t', cursor).ok_or(StoreError::CursorInvalid)?;
                (time.parse().map_err(|_| StoreError::CursorInvalid)?, id)
            }
        };
        let domains = filter.domain_ids.as_deref();
        let sql = if domains.is_some() { LIST_NEWEST_OF_DOMAINS_SQL } else { LIST_NEWEST_SQL };
        let statement =
            Statement::new(sql).bind(account_number(account_id)).bind(created_at).bind(id).bind(limit as i64);
        // Names that are left over name the first domain again.
        let statement = domains.into_iter().fold(statement, |statement, ids| {
            let named = ids.iter().chain(std::iter::repeat(&ids[0])).take(FILTER_DOMAINS_MAX);
            named.map(domain_number).fold(statement, Statement::bind)
        });
        self.fetch_all(statement).await?.iter().map(read_link).collect()
    }

    /// Domain by domain, so that each is a walk along one index.
    async fn list_by_slug(
        &mut self,
        account_id: &AccountId,
        filter: &LinkFilter,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Link>, StoreError> {
        let place = match cursor {
            None => None,
            Some(cursor) => Some(decode_cursor('s', cursor).ok_or(StoreError::CursorInvalid)?.0),
        };
        // No host has a slash in it.
        let after = place.as_deref().map(|place| place.split_once('/').ok_or(StoreError::CursorInvalid)).transpose()?;
        let mut links = Vec::new();
        for domain in self.list_domains(account_id).await? {
            let is_wanted = filter.domain_ids.as_ref().is_none_or(|wanted| wanted.contains(&domain.domain_id));
            let after_slug = match after {
                Some((host, _)) if domain.host.as_str() < host => continue,
                Some((host, slug)) if domain.host.as_str() == host => slug,
                _ => "",
            };
            if !is_wanted || links.len() == limit {
                continue;
            }
            let statement = Statement::new(LIST_BY_SLUG_SQL)
                .bind(account_number(account_id))
                .bind(domain_number(&domain.domain_id))
                .bind(prefix.max(after_slug))
                .bind(after_slug)
                .bind(format!("{prefix}{}", char::MAX))
                .bind((limit - links.len()) as i64);
            for row in self.fetch_all(statement).await? {
                links.push(read_link(&row)?);
            }
        }
        Ok(links)
    }
}

/// The newest links of an account. The row comparison is what lets the index start at the cursor.
macro_rules! list_newest {
    ($more:literal) => {
        concat!(
            "SELECT ",
            link_columns!(),
            " FROM links AS l JOIN domains AS d ON d.id = l.domain_id
             WHERE l.account_id = $1 AND l.deleted_at IS NULL AND (l.created_at, l.id) < ($2, $3)",
            $more,
            " ORDER BY l.created_at DESC, l.id DESC LIMIT $4"
        )
    };
}

const LIST_NEWEST_SQL: &str = list_newest!("");

const LIST_NEWEST_OF_DOMAINS_SQL: &str =
    list_newest!(" AND l.domain_id IN ($5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)");

/// An account's links on one domain by slug, from $3 on but for $4.
const LIST_BY_SLUG_SQL: &str = concat!(
    "SELECT ",
    link_columns!(),
    " FROM links AS l JOIN domains AS d ON d.id = l.domain_id
     WHERE l.account_id = $1 AND l.domain_id = $2 AND l.deleted_at IS NULL
       AND l.slug >= $3 AND l.slug <> $4 AND l.slug < $5
     ORDER BY l.slug LIMIT $6"
);

/// A letter for the order, the place in it and the link there, in characters that need no escaping anywhere.
fn encode_cursor(order: char, place: &str, link_id: &LinkId) -> String {
    format!("{order}{}{}", HEXLOWER.encode(&link_bytes(link_id)), HEXLOWER.encode(place.as_bytes()))
}

/// Place and link, if this is a cursor of that order.
fn decode_cursor(order: char, cursor: &str) -> Option<(String, Vec<u8>)> {
    let mut bytes = HEXLOWER.decode(cursor.strip_prefix(order)?.as_bytes()).ok()?;
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
