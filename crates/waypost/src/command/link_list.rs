//! `waypost link list`: links, newest first. Whoever is at the machine itself sees those that were made without an account,
//! too, with a word on them.

use std::collections::VecDeque;

use http::Method;
use serde_json::Value;

use crate::api_path::with_query;
use crate::cli::ClientArgs;
use crate::client::{Call, Client};
use crate::command::link_find::PATH;
use crate::command::{items, text, with_client};
use crate::print::{self, Column};

/// Links of one page of a list.
const PAGE_LINKS: u64 = 1_000;
/// What a link is marked with that nobody signed in for.
const ANONYMOUS: &str = "anonymous";

/// Lists at most `limit` links, on one host where one is named.
///
/// # Errors
/// Where the instance refuses or cannot be reached.
pub(crate) async fn list(args: &ClientArgs, limit: u64, domain: Option<&str>) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let json = args.json;
    with_client(client, async |client| {
        let mut own = Pages::new(client.is_anonymous(), limit);
        let mut anonymous = Pages::new(true, limit);
        // Two lists, each with the newest first: whichever has the newer link is next.
        anonymous.is_over = client.is_anonymous() || !client.is_operator();
        let (mut rows, mut left) = (Vec::new(), limit);
        while left > 0 {
            own.fill(client, domain).await?;
            anonymous.fill(client, domain).await?;
            let Some(link) = newer(&mut own, &mut anonymous) else { break };
            left -= 1;
            if json {
                print::json(&link)?;
            } else {
                rows.push(link);
            }
        }
        if !json {
            show(&rows)?;
            if !(own.is_over && anonymous.is_over && own.links.is_empty() && anonymous.links.is_empty()) {
                print::note("There are more: see --limit and --all.");
            }
        }
        Ok(())
    })
    .await
}

/// A list that is read page by page.
struct Pages {
    /// Whether it is that of links made without an account.
    anonymous: bool,
    page_links: u64,
    links: VecDeque<Value>,
    cursor: Option<String>,
    is_over: bool,
}

impl Pages {
    fn new(anonymous: bool, limit: u64) -> Self {
        let page_links = limit.clamp(1, PAGE_LINKS);
        Self { anonymous, page_links, links: VecDeque::new(), cursor: None, is_over: false }
    }

    /// Reads the next page once all links of the last are taken.
    async fn fill(&mut self, client: &Client, domain: Option<&str>) -> anyhow::Result<()> {
        if self.is_over || !self.links.is_empty() {
            return Ok(());
        }
        let page_links = self.page_links.to_string();
        let pairs = [("limit", Some(page_links.as_str())), ("domain", domain), ("cursor", self.cursor.as_deref())];
        let call = Call::new(Method::GET, with_query(PATH, &pairs));
        let page =
            if self.anonymous { client.call_as_anonymous(call).await? } else { client.call_patiently(call).await? };
        self.links.extend(items(&page, "links").iter().cloned());
        self.cursor = page["next_cursor"].as_str().map(str::to_owned);
        self.is_over = self.cursor.is_none() || self.links.is_empty();
        Ok(())
    }
}

/// The newer of the two next links; one that was made without an account says so.
fn newer(own: &mut Pages, anonymous: &mut Pages) -> Option<Value> {
    // Ids sort by when they were given.
    let is_anonymous = match (own.links.front(), anonymous.links.front()) {
        (Some(own), Some(other)) => text(own, "id") < text(other, "id"),
        (own, _) => own.is_none(),
    };
    let pages = if is_anonymous { anonymous } else { own };
    let mut link = pages.links.pop_front()?;
    if pages.anonymous {
        link[ANONYMOUS] = true.into();
    }
    Some(link)
}

fn show(links: &[Value]) -> std::io::Result<()> {
    let on_terminal = print::terminal_columns().is_some();
    let has_anonymous = links.iter().any(|link| link[ANONYMOUS] == true);
    let mut columns = vec![Column::whole("SHORT URL"), Column::cut("DESTINATION"), Column::whole("VERSION")];
    columns.push(Column::whole("CREATED"));
    columns.extend(has_anonymous.then(|| Column::whole("")));
    let rows: Vec<Vec<String>> = links.iter().map(|link| show_row(link, on_terminal)).collect();
    print::columns(&columns, &rows, "There are no links.")
}

fn show_row(link: &Value, on_terminal: bool) -> Vec<String> {
    let created_at = text(link, "created_at");
    // People look for the day and the hour.
    let created_at =
        created_at.get(..16).filter(|_| on_terminal).map_or(created_at.to_owned(), |at| at.replace('T', " "));
    let mut row = vec![text(link, "short_url").to_owned(), text(link, "destination_url").to_owned()];
    row.extend([link["version"].to_string(), created_at]);
    row.extend((link[ANONYMOUS] == true).then(|| ANONYMOUS.to_owned()));
    row
}
