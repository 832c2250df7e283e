//! Listing the links of an account.

use waypost_api::ProblemCode;
use waypost_api::link::{LinkPage, ListLinks, PAGE_LINKS};
use waypost_core::Slug;
use waypost_store::LinkFilter;

use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::problem::Problem;

const _: () = assert!(waypost_api::link::PAGE_LINKS_MAX == waypost_store::PAGE_LINKS_MAX);

impl App {
    /// A page of the caller's links.
    ///
    /// # Errors
    /// Where there is no such domain, the cursor is none, or the database fails.
    pub async fn list_links(&self, caller: &Caller, asked: &ListLinks) -> Result<LinkPage, Problem> {
        caller.may(Operation::ReadLinks)?;
        let domain = match &asked.domain {
            None => None,
            Some(host) => Some(
                self.domain_of(caller, Some(host))
                    .await
                    .map_err(|error| Problem::new(ProblemCode::BadRequest, format!("domain: {}", error.detail)))?,
            ),
        };
        let folds = domain.as_ref().is_some_and(|domain| domain.case_insensitive);
        let slug = asked.slug.as_deref().map(|slug| as_stored(slug, folds));
        let filter = LinkFilter {
            domain_ids: match domain {
                Some(domain) => Some(vec![domain.domain_id]),
                None => caller.domain_limit().map(<[_]>::to_vec),
            },
            slug_prefix: slug.clone().or_else(|| asked.slug_prefix.clone()),
        };
        let limit = asked.limit.unwrap_or(PAGE_LINKS);
        let mut tx = self.store.read("list_links").await?;
        let mut page = tx.list_links(&caller.account_id, &filter, asked.cursor.as_deref(), limit).await?;
        if let Some(slug) = slug {
            // Of all slugs that begin with it the text itself comes first, once for each domain.
            let is_more = page.links.last().is_some_and(|link| link.slug == slug);
            page.links.retain(|link| link.slug == slug);
            page.next_cursor = page.next_cursor.filter(|_| is_more);
        }
        let links = page.links.into_iter().map(|link| self.show(link)).collect();
        Ok(LinkPage { links, next_cursor: page.next_cursor })
    }
}

/// A slug as the store would keep it. A text that cannot be one is looked for as it is, and not found.
fn as_stored(text: &str, folds: bool) -> String {
    match Slug::parse(text) {
        Ok(slug) if folds => slug.to_case_folded().into(),
        Ok(slug) => slug.into(),
        Err(_) => text.to_owned(),
    }
}
