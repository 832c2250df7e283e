//! Fills the link table again from all links, beside the live one, while redirects continue.

use std::sync::Arc;

use tokio::sync::mpsc;
use waypost_core::SchemePolicy;
use waypost_store::{EdgeRecord, Store, UnreadableLink};
use waypost_table::{Table, TableError};

use crate::compiled::{LeftOut, compile_records};
use crate::table::SyncError;

/// Links read from the store at once.
const PAGE_LINKS: u32 = 2_000;
/// Pages read ahead of the writing.
const PAGES_AHEAD: usize = 4;

/// Fills the table from the store and gives what cannot be served as it is stored, and the cursor it is current up to.
///
/// Links that change meanwhile are in the outbox after that cursor; the caller goes on from there.
pub(crate) async fn rebuild(
    store: &Store,
    table: &Arc<Table>,
    schemes: &SchemePolicy,
) -> Result<(LeftOut, u64), SyncError> {
    // Read before the first page; see `edge_records_page`.
    let cursor = store.read("rebuild_cursor").await?.outbox_last().await?;
    let (pages, receiver) = mpsc::channel(PAGES_AHEAD);
    let (table, schemes) = (Arc::clone(table), schemes.clone());
    let writing = tokio::task::spawn_blocking(move || write_pages(&table, &schemes, receiver, cursor));
    let read = send_pages(store, &pages).await;
    // Only a walk that came to its end says so; otherwise the writer gives up what it has.
    if read.is_ok() {
        // Fails only where the writer has failed, which says why below.
        let _ = pages.send(Page::End).await;
    }
    drop(pages);
    let written = writing.await?;
    read?;
    Ok((written?, cursor))
}

enum Page {
    Links(Vec<EdgeRecord>, Vec<UnreadableLink>),
    End,
}

async fn send_pages(store: &Store, pages: &mpsc::Sender<Page>) -> Result<(), SyncError> {
    let mut after = None;
    loop {
        // Each page has a transaction of its own: one over the whole walk would keep the database from tidying up.
        let mut tx = store.read("rebuild_page").await?;
        let page = tx.edge_records_page(after.as_ref(), PAGE_LINKS).await?;
        drop(tx);
        let is_writing = pages.send(Page::Links(page.records, page.unreadable)).await.is_ok();
        match page.next {
            Some(next) if is_writing => after = Some(next),
            Some(_) | None => return Ok(()),
        }
    }
}

fn write_pages(
    table: &Table,
    schemes: &SchemePolicy,
    mut pages: mpsc::Receiver<Page>,
    cursor: u64,
) -> Result<LeftOut, TableError> {
    let mut rebuild = table.rebuild()?;
    let mut left_out = LeftOut::default();
    loop {
        match pages.blocking_recv() {
            Some(Page::Links(records, unreadable)) => {
                let mut batch = compile_records(records, &unreadable, schemes);
                batch.keep_held(table);
                batch.changes().into_iter().try_for_each(|change| rebuild.put(change))?;
                left_out += batch.left_out;
            }
            Some(Page::End) => {
                rebuild.finish(cursor)?;
                return Ok(left_out);
            }
            // Dropping the rebuild leaves the live table as it is; the reader's failure is reported instead.
            None => return Ok(left_out),
        }
    }
}
