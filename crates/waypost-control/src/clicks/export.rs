//! Raw clicks, as long as they are kept: a page at a time, or all of them page after page.

use std::sync::Arc;

use waypost_api::clicks::{ClickPage, ListClicks, PAGE_CLICKS, PAGE_CLICKS_MAX};
use waypost_api::{FieldError, ProblemCode};
use waypost_clicks::ClickPage as StoredPage;
use waypost_clicks::RawQuery;
use waypost_core::click::ClickEvent;
use waypost_jobs::Chain;

use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::problem::Problem;

const _: () = assert!(PAGE_CLICKS_MAX == waypost_clicks::PAGE_CLICKS_MAX);
const _: () = assert!(waypost_api::clicks::PAGE_REFUSED_MAX == waypost_clicks::PAGE_REFUSED_MAX);

/// Clicks of a page of an export.
const EXPORT_CLICKS: usize = 1_000;

/// Clicks page after page, each read when it is asked for.
#[derive(Debug)]
pub struct ClickPages {
    app: Arc<App>,
    query: RawQuery,
    /// Clicks that may still be given.
    left: usize,
    /// The page that was read to find out whether there is anything to refuse.
    first: Option<StoredPage>,
    is_over: bool,
}

impl App {
    /// A page of the caller's clicks.
    ///
    /// # Errors
    /// Where the page is too large, there is no such link, the cursor is none, or the database fails.
    pub async fn list_clicks(&self, caller: &Caller, asked: ListClicks) -> Result<ClickPage, Problem> {
        caller.may(Operation::ReadClicks)?;
        let limit = asked.limit.unwrap_or(PAGE_CLICKS);
        if limit > PAGE_CLICKS_MAX {
            let detail = format!("a page has at most {PAGE_CLICKS_MAX} clicks; format=ndjson gives them all at once");
            let error = FieldError { field: "limit".to_owned(), code: ProblemCode::InvalidField, detail };
            return Err(Problem::of_fields(vec![error]));
        }
        let query = self.raw_query(caller, asked, limit).await?;
        let page = self.click_store().raw_clicks(&query).await?;
        Ok(ClickPage { clicks: page.events, next_cursor: page.next, damaged: page.damaged })
    }

    /// The caller's clicks page after page. What can be refused is refused here.
    ///
    /// # Errors
    /// Where there is no such link, the cursor is none, or the database fails.
    pub async fn export_clicks(self: &Arc<Self>, caller: &Caller, asked: ListClicks) -> Result<ClickPages, Problem> {
        caller.may(Operation::ReadClicks)?;
        let left = asked.limit.unwrap_or(usize::MAX);
        let query = self.raw_query(caller, asked, left.min(EXPORT_CLICKS)).await?;
        let first = Some(self.click_store().raw_clicks(&query).await?);
        Ok(ClickPages { app: Arc::clone(self), query, left, first, is_over: false })
    }

    async fn raw_query(&self, caller: &Caller, asked: ListClicks, limit: usize) -> Result<RawQuery, Problem> {
        let link_id = match &asked.link_id {
            Some(id) => Some(self.known_link_id(caller, id).await?),
            None => {
                caller.require_whole_account()?;
                None
            }
        };
        let account_id = caller.account_id.clone();
        Ok(RawQuery { account_id, link_id, from: asked.from, to: asked.to, limit, cursor: asked.cursor })
    }
}

impl ClickPages {
    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// Where the database fails: what was given is not all.
    pub async fn next(&mut self) -> Result<Option<Vec<ClickEvent>>, Problem> {
        let page = match self.first.take() {
            Some(first) => first,
            None if self.is_over => return Ok(None),
            None => self.app.click_store().raw_clicks(&self.query).await.inspect_err(|error| {
                tracing::error!(error = %Chain(error), "an export of clicks was cut short");
            })?,
        };
        if page.damaged > 0 {
            tracing::error!(clicks = page.damaged, "an export leaves out clicks whose stored bytes are damaged");
        }
        self.left -= page.events.len().min(self.left);
        self.query.limit = self.left.min(EXPORT_CLICKS);
        self.query.cursor = page.next;
        self.is_over = self.query.cursor.is_none() || self.left == 0;
        Ok(Some(page.events))
    }
}
