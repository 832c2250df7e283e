//! The live feed: clicks as they are counted, sent to listeners.
//!
//! Each listener has a task that receives every click from the ingest's broadcast and passes on those it selected. It
//! never waits for a slow reader while clicks arrive: clicks that find no room are counted, and the reader is told how
//! many it missed. Nothing is repeated for a listener that reconnects; it can read raw clicks from where it left off.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::MissedTickBehavior;
use waypost_api::ProblemCode;
use waypost_core::click::ClickEvent;
use waypost_core::id::{AccountId, LinkId};

use crate::problem::Problem;

/// Live feeds of one account at once.
const ACCOUNT_LISTENERS_MAX: usize = 16;
/// Live feeds at once.
const LISTENERS_MAX: usize = 256;
/// Events that wait for a slow reader; more are missed.
const EVENTS_AHEAD: usize = 256;
/// How long a feed is silent at the most: proxies cut connections on which nothing moves.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When to try again where there are too many listeners, in seconds.
const RETRY_AFTER_S: u32 = 30;

/// One batch of counted clicks, as the ingest hands it to whoever listens.
type Counted = Arc<Vec<ClickEvent>>;

/// Who listens.
#[derive(Debug)]
pub(crate) struct Feeds {
    /// Listeners by account. A std mutex: held to count, never across an await.
    listeners: Arc<Mutex<HashMap<AccountId, usize>>>,
    /// Turns true when the feeds are to end.
    closing: watch::Sender<bool>,
}

/// What a listener is told.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedEvent {
    /// The feed is open, and no click has come yet.
    Open,
    /// A click was counted.
    Click(Box<ClickEvent>),
    /// Clicks were counted that found no room; without a number where that is not known.
    Missed(Option<u64>),
    /// Nothing has happened for a while.
    Idle,
}

impl Feeds {
    pub(crate) fn new() -> Self {
        Self { listeners: Arc::default(), closing: watch::Sender::new(false) }
    }

    /// How many listen.
    pub(crate) fn count(&self) -> usize {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn admit(&self, account_id: &AccountId) -> Result<Place, Problem> {
        let refuse = |whose| {
            let detail = format!("{whose} has reached its limit of open live feeds");
            Err(Problem::new(ProblemCode::TooManyListeners, detail).retry_after(RETRY_AFTER_S))
        };
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.values().sum::<usize>() >= LISTENERS_MAX {
            return refuse("the instance");
        }
        let own = listeners.entry(account_id.clone()).or_default();
        if *own >= ACCOUNT_LISTENERS_MAX {
            return refuse("the account");
        }
        *own += 1;
        drop(listeners);
        Ok(Place { account_id: account_id.clone(), listeners: Arc::clone(&self.listeners) })
    }

    /// Opens a feed of what is counted from now on, for these listeners.
    ///
    /// # Errors
    /// Where too many listen already.
    pub(crate) fn open(
        &self,
        wanted: WantedClicks,
        counted: broadcast::Receiver<Counted>,
    ) -> Result<mpsc::Receiver<FeedEvent>, Problem> {
        let place = self.admit(&wanted.account_id)?;
        let (sender, receiver) = mpsc::channel(EVENTS_AHEAD);
        let feed = Feed { wanted, sender, missed: Missed::default(), _place: place };
        tokio::spawn(feed.run(counted, self.closing.subscribe()));
        Ok(receiver)
    }

    /// Ends all feeds.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }
}

/// Which clicks a listener is told of.
#[derive(Clone, Debug)]
pub(crate) struct WantedClicks {
    pub(crate) account_id: AccountId,
    /// Only those of this link.
    pub(crate) link_id: Option<LinkId>,
    /// Only those of these classes; empty for all.
    pub(crate) classes: Vec<&'static str>,
}

impl WantedClicks {
    fn have(&self, event: &ClickEvent) -> bool {
        event.account_id == self.account_id.as_str()
            && self.link_id.as_ref().is_none_or(|link_id| event.link_id == link_id.as_str())
            && (self.classes.is_empty() || self.classes.contains(&event.class.as_str()))
    }
}

/// A listener's place among those who listen; leaving it makes room.
#[derive(Debug)]
struct Place {
    account_id: AccountId,
    listeners: Arc<Mutex<HashMap<AccountId, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = listeners.get_mut(&self.account_id) {
            *own -= 1;
            if *own == 0 {
                listeners.remove(&self.account_id);
            }
        }
    }
}

/// Clicks that a listener did not get.
#[derive(Debug, Default)]
struct Missed {
    clicks: u64,
    /// Whether there were more, of which nobody knows how many were the listener's.
    or_more: bool,
}

/// One listener's feed.
#[derive(Debug)]
struct Feed {
    wanted: WantedClicks,
    sender: mpsc::Sender<FeedEvent>,
    missed: Missed,
    _place: Place,
}

impl Feed {
    async fn run(mut self, mut counted: broadcast::Receiver<Counted>, mut closing: watch::Receiver<bool>) {
        // At once, so that the reader has an answer to read before the first click comes.
        let _ = self.sender.try_send(FeedEvent::Open);
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sender = self.sender.clone();
        loop {
            let has_missed = self.missed.clicks > 0 || self.missed.or_more;
            tokio::select! {
                batch = counted.recv() => match batch {
                    Ok(batch) => self.hand_on(&batch),
                    Err(RecvError::Lagged(_)) => self.missed.or_more = true,
                    Err(RecvError::Closed) => return,
                },
                // Where there is no room the reader has something to read.
                _ = ticks.tick() => drop(self.sender.try_send(FeedEvent::Idle)),
                room = sender.reserve(), if has_missed => match room {
                    Ok(room) => room.send(std::mem::take(&mut self.missed).to_event()),
                    Err(_) => return,
                },
                () = sender.closed() => return,
                // A sender that is gone means the same.
                _ = closing.wait_for(|closing| *closing) => return,
            }
        }
    }

    fn hand_on(&mut self, batch: &[ClickEvent]) {
        for event in batch {
            if !self.wanted.have(event) {
                continue;
            }
            // Once something was missed the reader hears of that first.
            let has_missed = self.missed.clicks > 0 || self.missed.or_more;
            if has_missed || self.sender.try_send(FeedEvent::Click(Box::new(event.clone()))).is_err() {
                self.missed.clicks += 1;
            }
        }
    }
}

impl Missed {
    fn to_event(&self) -> FeedEvent {
        FeedEvent::Missed((!self.or_more).then_some(self.clicks))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn event(account_id: &str, link_id: &str, class: &str) -> ClickEvent {
        let text = str::to_owned;
        ClickEvent {
            event_id: "id\n1".into(),
            account_id: text(account_id),
            link_id: text(link_id),
            class: text(class),
            ..ClickEvent::default()
        }
    }

    fn feed(feeds: &Feeds, room: usize) -> (Feed, mpsc::Receiver<FeedEvent>) {
        let (sender, receiver) = mpsc::channel(room);
        let place = feeds.admit(&"acc_1".parse().unwrap()).unwrap();
        let account_id = "acc_1".parse().unwrap();
        let wanted = WantedClicks { account_id, link_id: None, classes: vec!["human"] };
        let feed = Feed { wanted, sender, missed: Missed::default(), _place: place };
        (feed, receiver)
    }

    #[tokio::test]
    async fn a_slow_reader_hears_what_it_missed() {
        let feeds = Feeds::new();
        let (feed, mut receiver) = feed(&feeds, 2);
        let batches = broadcast::Sender::new(8);
        let task = tokio::spawn(feed.run(batches.subscribe(), feeds.closing.subscribe()));
        let own = || event("acc_1", "link_1", "human");
        let others = [event("acc_2", "link_1", "human"), event("acc_1", "link_1", "bot")];
        let batch: Vec<_> = (0..5).map(|_| own()).chain(others).collect();
        batches.send(Arc::new(batch)).unwrap();
        assert_eq!(receiver.recv().await, Some(FeedEvent::Open));
        assert_eq!(receiver.recv().await, Some(FeedEvent::Click(Box::new(own()))));
        assert_eq!(receiver.recv().await, Some(FeedEvent::Missed(Some(4))));
        batches.send(Arc::new(vec![own()])).unwrap();
        assert!(matches!(receiver.recv().await, Some(FeedEvent::Click(_))), "goes on");
        assert_eq!(feeds.count(), 1);
        drop(receiver);
        task.await.unwrap();
        assert_eq!(feeds.count(), 0);
    }

    #[tokio::test]
    async fn feeds_end_when_they_are_closed() {
        let feeds = Feeds::new();
        let (feed, mut receiver) = feed(&feeds, 2);
        let batches = broadcast::Sender::new(8);
        let task = tokio::spawn(feed.run(batches.subscribe(), feeds.closing.subscribe()));
        feeds.closing.send_replace(true);
        task.await.unwrap();
        let mut last = None;
        while let Some(chunk) = receiver.recv().await {
            last = Some(chunk);
        }
        assert!(last.is_some());
    }

    #[test]
    fn listeners_have_a_limit() {
        let feeds = Feeds::new();
        let account = |number: usize| format!("acc_{number}").parse::<AccountId>().unwrap();
        let mut places: Vec<_> = (0..ACCOUNT_LISTENERS_MAX).map(|_| feeds.admit(&account(0)).unwrap()).collect();
        assert_eq!(feeds.admit(&account(0)).unwrap_err().code(), ProblemCode::TooManyListeners);
        places.extend((places.len()..LISTENERS_MAX).map(|number| feeds.admit(&account(number)).unwrap()));
        assert!(feeds.admit(&account(LISTENERS_MAX)).unwrap_err().detail().contains("instance"));
        places.clear();
        assert!(feeds.admit(&account(0)).is_ok());
    }
}
