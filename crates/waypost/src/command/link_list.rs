//! `waypost link list`: links, newest first. The operator also sees anonymous links, which are marked.

use std::collections::VecDeque;

use http::Method;
use waypost_api::link::{Link, LinkPage, PAGE_LINKS_MAX};

use crate::api_path::with_query;
use crate::cli::ClientArgs;
use crate::client::{Call, Client};
use crate::command::link_find::PATH;
use crate::command::with_client;
use crate::print::{self, Column};
use crate::reply::Kept;

/// The mark of an anonymous link.
const ANONYMOUS: &str = "anonymous";

/// Lists at most `limit` links; only those on `domain`, if it is given.
///
/// # Errors
/// If the instance refuses or cannot be reached.
pub(crate) async fn list(args: &ClientArgs, limit: u64, domain: Option<&str>) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let json = args.json;
    with_client(client, async |client| {
        let mut own = Pages::new(client.is_anonymous(), limit);
        let mut anonymous = Pages::new(true, limit);
        // There are two lists, each with the newest first: the newer of their first links is next.
        anonymous.is_over = client.is_anonymous() || !client.is_operator();
        let on_terminal = print::terminal_columns().is_some();
        let (mut rows, mut has_anonymous, mut left) = (Vec::new(), false, limit);
        while left > 0 {
            own.fill(client, domain).await?;
            anonymous.fill(client, domain).await?;
            let Some(mut listed) = newer(&mut own, &mut anonymous) else { break };
            left -= 1;
            has_anonymous |= listed.is_anonymous;
            if !json {
                rows.push(show_row(&listed, on_terminal));
                continue;
            }
            if listed.is_anonymous {
                listed.link.json.insert(ANONYMOUS.to_owned(), true.into());
            }
            print::json(&listed.link.json)?;
        }
        if !json {
            show(&rows, has_anonymous)?;
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
    /// Whether it is the list of anonymous links.
    anonymous: bool,
    page_links: u64,
    links: VecDeque<Kept<Link>>,
    cursor: Option<String>,
    is_over: bool,
}

impl Pages {
    fn new(anonymous: bool, limit: u64) -> Self {
        let page_links = limit.clamp(1, PAGE_LINKS_MAX.into());
        Self { anonymous, page_links, links: VecDeque::new(), cursor: None, is_over: false }
    }

    /// Reads the next page once all links of the last one are taken.
    async fn fill(&mut self, client: &Client, domain: Option<&str>) -> anyhow::Result<()> {
        if self.is_over || !self.links.is_empty() {
            return Ok(());
        }
        let page_links = self.page_links.to_string();
        let pairs = [("limit", Some(page_links.as_str())), ("domain", domain), ("cursor", self.cursor.as_deref())];
        let call = Call::new(Method::GET, with_query(PATH, &pairs));
        let page =
            if self.anonymous { client.call_as_anonymous(call).await? } else { client.call_patiently(call).await? };
        let page: LinkPage<Kept<Link>> = page.read()?;
        self.links.extend(page.links);
        self.cursor = page.next_cursor;
        self.is_over = self.cursor.is_none() || self.links.is_empty();
        Ok(())
    }
}

/// A link of either list.
struct Listed {
    link: Kept<Link>,
    is_anonymous: bool,
}

/// The newer of the two next links.
fn newer(own: &mut Pages, anonymous: &mut Pages) -> Option<Listed> {
    // Ids sort by the time of their creation.
    let is_anonymous = match (own.links.front(), anonymous.links.front()) {
        (Some(own), Some(other)) => own.value.id < other.value.id,
        (own, _) => own.is_none(),
    };
    let pages = if is_anonymous { anonymous } else { own };
    let link = pages.links.pop_front()?;
    Some(Listed { link, is_anonymous: pages.anonymous })
}

fn show(rows: &[Vec<String>], has_anonymous: bool) -> std::io::Result<()> {
    let mut columns = vec![Column::whole("SHORT URL"), Column::cut("DESTINATION"), Column::whole("VERSION")];
    columns.push(Column::whole("CREATED"));
    columns.extend(has_anonymous.then(|| Column::whole("")));
    print::columns(&columns, rows, "There are no links.")
}

fn show_row(listed: &Listed, on_terminal: bool) -> Vec<String> {
    let link = &listed.link.value;
    let created_at = link.created_at.to_string();
    // On a terminal the minute is enough.
    let minute = created_at.get(..16).filter(|_| on_terminal).map(|at| at.replace('T', " "));
    let created_at = minute.unwrap_or(created_at);
    let mut row = vec![link.short_url.clone(), link.fields.destination_url.clone()];
    row.extend([link.version.to_string(), created_at]);
    row.extend(listed.is_anonymous.then(|| ANONYMOUS.to_owned()));
    row
}
