//! Group commit for new links: links that are requested while a transaction is being written go into the next one, so
//! that many requests share one commit. A single request does not wait for others.
//!
//! The new records are passed to the job that keeps the link table up to date. Links are validated before, and the wait
//! for the edge comes after; neither happens here.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use waypost_api::ProblemCode;
use waypost_core::Timestamp;
use waypost_store::{CreateOutcome, LINKS_PER_CALL_MAX, LinkPlaces, NewLink, Store, StoreError};
use waypost_sync::{FreshRecords, TableSync};

use crate::access::author::{Author, created_links};
use crate::access::operation::Operation;
use crate::problem::Problem;

/// Orders that wait. Past them callers wait before they are taken in.
const ORDERS_WAITING_MAX: usize = 256;
/// Links of one transaction. One order may go past it alone.
const LINKS_PER_TRANSACTION: usize = 10_000;

/// Takes orders for links. There is one for an instance; cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct CreateQueue {
    orders: mpsc::Sender<Order>,
}

/// What became of the links of one order, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) outcomes: Vec<CreateOutcome>,
    /// When: the `created_at` of links that name no other time, and the `updated_at` of all.
    pub(crate) at: Timestamp,
    /// The outbox sequence that an edge must have passed to hold them.
    pub(crate) sequence: u64,
}

#[derive(Debug)]
struct Order {
    links: Vec<NewLink<'static>>,
    author: Author,
    /// Since when it waits.
    since: Instant,
    reply: oneshot::Sender<Result<Made, Problem>>,
}

/// Orders on their way into one transaction.
#[derive(Debug, Default)]
struct Batch {
    /// The links of all orders, one order after the other.
    links: Vec<NewLink<'static>>,
    orders: Vec<Part>,
}

/// An order within a batch.
#[derive(Debug)]
struct Part {
    links: Range<usize>,
    author: Author,
    since: Instant,
    reply: oneshot::Sender<Result<Made, Problem>>,
}

impl CreateQueue {
    /// Starts the task that makes the links; it ends with the last clone of the queue.
    pub(crate) fn start(store: Store, sync: Arc<TableSync>) -> Self {
        let (orders, receiver) = mpsc::channel(ORDERS_WAITING_MAX);
        tokio::spawn(run(store, sync, receiver));
        Self { orders }
    }

    /// Whether the task that makes the links is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.orders.is_closed()
    }

    /// Makes at most [`LINKS_PER_CALL_MAX`] links, all committed or none.
    pub(crate) async fn create(&self, links: Vec<NewLink<'static>>, author: Author) -> Result<Made, Problem> {
        let (reply, made) = oneshot::channel();
        let closed = |()| Problem::new(ProblemCode::Unavailable, "the instance is shutting down").retry_after(1);
        let broken = |_| Problem::internal("creating links", &"the task that creates them ended unexpectedly");
        let since = Instant::now();
        self.orders.send(Order { links, author, since, reply }).await.map_err(|_| closed(()))?;
        made.await.map_err(broken)?
    }
}

async fn run(store: Store, sync: Arc<TableSync>, mut receiver: mpsc::Receiver<Order>) {
    let mut waiting = Vec::new();
    while receiver.recv_many(&mut waiting, ORDERS_WAITING_MAX).await > 0 {
        let mut batch = Batch::default();
        for order in waiting.drain(..) {
            if !batch.orders.is_empty() && batch.links.len() + order.links.len() > LINKS_PER_TRANSACTION {
                make(std::mem::take(&mut batch), &store, &sync).await;
            }
            batch.add(order);
        }
        make(batch, &store, &sync).await;
    }
}

/// Makes a batch. A panic in there is answered by 500 to those who wait for it, and the next batch goes on.
async fn make(batch: Batch, store: &Store, sync: &TableSync) {
    if AssertUnwindSafe(batch.make(store, sync)).catch_unwind().await.is_err() {
        tracing::error!("creating links panicked; later ones are tried");
    }
}

impl Batch {
    fn add(&mut self, order: Order) {
        let begin = self.links.len();
        let Order { links, author, since, reply } = order;
        self.links.extend(links);
        self.orders.push(Part { links: begin..self.links.len(), author, since, reply });
    }

    /// Makes all orders together; where that fails for another reason than an absent database, each on its own, so
    /// that nobody pays for another's order.
    async fn make(self, store: &Store, sync: &TableSync) {
        let parts: Vec<_> = self.orders.iter().map(|part| (part.links.clone(), &part.author)).collect();
        let since = self.orders.iter().map(|part| part.since).min().unwrap_or_else(Instant::now);
        match make_together(store, since, &self.links, &parts).await {
            Ok((mut made, places)) => {
                sync.hand_over(fresh_records(self.links, &made, &places));
                for part in self.orders.into_iter().rev() {
                    let outcomes = made.outcomes.split_off(part.links.start);
                    // Fails where the caller went away; the links are made all the same.
                    let _ = part.reply.send(Ok(Made { outcomes, ..made }));
                }
            }
            Err(error) if error.is_unavailable() || self.orders.len() == 1 => {
                let problem = Problem::from(error);
                for part in self.orders {
                    let _ = part.reply.send(Err(problem.clone()));
                }
            }
            Err(_) => {
                for part in self.orders {
                    let alone = &self.links[part.links.clone()];
                    let orders = [(0..alone.len(), &part.author)];
                    let made = make_together(store, part.since, alone, &orders).await;
                    let _ = part.reply.send(made.map(|(made, _)| made).map_err(Problem::from));
                }
            }
        }
    }
}

async fn make_together(
    store: &Store,
    since: Instant,
    links: &[NewLink<'static>],
    parts: &[(Range<usize>, &Author)],
) -> Result<(Made, LinkPlaces), StoreError> {
    let mut tx = store.begin_since("create_links", since).await?;
    let places = tx.link_places(links).await?;
    let mut outcomes = Vec::with_capacity(links.len());
    for (call, author) in calls(parts) {
        outcomes.extend(tx.create_links_at(&places, &links[call], Some(author)).await?);
    }
    for (range, author) in parts {
        if let Some(changed) = outcomes.get(range.clone()).and_then(created_links) {
            let account_id = &links[range.start].account_id;
            tx.add_audit_entry(account_id, &author.entry(Operation::CreateLink, changed)).await?;
        }
    }
    let created = outcomes.iter().filter(|outcome| matches!(outcome, CreateOutcome::Created { .. })).count() as u64;
    let sequence = match places.outbox_last() {
        Some(before) => before + created,
        None => tx.outbox_last().await?,
    };
    let at = tx.now();
    tx.commit().await?;
    Ok((Made { outcomes, at, sequence }, places))
}

/// What a transaction told edges. Each link that it made has one entry in the outbox, and there are no others.
fn fresh_records(links: Vec<NewLink<'static>>, made: &Made, places: &LinkPlaces) -> FreshRecords {
    let outcomes = links.into_iter().zip(&made.outcomes);
    let records: Vec<_> = outcomes.filter_map(|(link, outcome)| places.edge_record(link, outcome, made.at)).collect();
    FreshRecords { after: made.sequence - records.len() as u64, newest: made.sequence, records }
}

/// Joins orders of one maker that stand side by side, as far as one call of the store takes them.
fn calls<'p>(parts: &[(Range<usize>, &'p Author)]) -> Vec<(Range<usize>, &'p str)> {
    let mut calls: Vec<(Range<usize>, &str)> = Vec::new();
    for (links, Author { id, .. }) in parts {
        match calls.last_mut() {
            Some((call, maker)) if maker == id && links.end - call.start <= LINKS_PER_CALL_MAX => {
                call.end = links.end;
            }
            Some(_) | None => calls.push((links.clone(), id)),
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_joined_by_maker_up_to_a_call() {
        let author = |id: &str| Author { id: id.to_owned(), name: None, address: None };
        let (a, b) = (author("a"), author("b"));
        let joined = calls(&[(0..1, &a), (1..2, &a), (2..3, &b), (3..4, &a), (4..1_003, &a), (1_003..1_004, &a)]);
        assert_eq!(joined, [(0..2, "a"), (2..3, "b"), (3..1_003, "a"), (1_003..1_004, "a")]);
        assert!(calls(&[]).is_empty());
    }
}
