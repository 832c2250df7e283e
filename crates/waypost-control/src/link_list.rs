//! Listing a caller's links.

use waypost_core::Slug;
use waypost_store::{LinkFilter, LinkPage};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemCode};

/// Links of a page where the caller does not say.
pub(crate) const PAGE_LINKS: u32 = 50;

/// Which links to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListQuery {
    pub(crate) cursor: Option<String>,
    pub(crate) limit: Option<u32>,
    /// Only those on the domain with this host.
    pub(crate) domain: Option<String>,
    /// Only those with exactly this slug.
    pub(crate) slug: Option<String>,
    /// Only those whose slug begins with this.
    pub(crate) slug_prefix: Option<String>,
}

impl App {
    /// A page of the caller's links.
    pub(crate) async fn list_links(&self, caller: &Caller, query: &ListQuery) -> Result<LinkPage, Problem> {
        let domain = match &query.domain {
            None => None,
            Some(host) => Some(
                self.domain_of(caller, Some(host))
                    .await
                    .map_err(|error| Problem::new(ProblemCode::BadRequest, format!("domain: {}", error.detail)))?,
            ),
        };
        let folds = domain.as_ref().is_some_and(|domain| domain.case_insensitive);
        let slug = query.slug.as_deref().map(|slug| as_stored(slug, folds));
        let filter = LinkFilter {
            domain_id: domain.map(|domain| domain.domain_id),
            slug_prefix: slug.clone().or_else(|| query.slug_prefix.clone()),
        };
        let limit = query.limit.unwrap_or(PAGE_LINKS);
        let mut tx = self.store.read("list_links").await?;
        let mut page = tx.list_links(&caller.account_id, &filter, query.cursor.as_deref(), limit).await?;
        if let Some(slug) = slug {
            // Of all slugs that begin with it the text itself comes first, once for each domain.
            let is_more = page.links.last().is_some_and(|link| link.slug == slug);
            page.links.retain(|link| link.slug == slug);
            page.next_cursor = page.next_cursor.filter(|_| is_more);
        }
        Ok(page)
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
