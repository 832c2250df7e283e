//! The live feed: clicks as they are counted, as server-sent events, to those who listen.
//!
//! Each listener has a task that takes every click from the ingest's broadcast and hands on those it asked for. It never
//! waits for a slow reader while clicks come: what finds no room is counted, and the reader is told how many it missed.
//! Nothing is repeated to a listener that comes back; raw clicks can be read from where it left off.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream::poll_fn;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::MissedTickBehavior;
use waypost_core::click::ClickEvent;
use waypost_core::id::AccountId;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemCode};
use crate::report_query::Fields;
use crate::request::QueryPairs;

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

/// Which clicks a listener wants.
#[derive(Debug)]
pub(crate) struct AskedFeed {
    link_id: Option<String>,
    /// Empty for all.
    classes: Vec<&'static str>,
}

impl AskedFeed {
    /// Reads the parameters of a query: all classes where none is named.
    ///
    /// # Errors
    /// As [`crate::report_query::AskedReport::read`].
    pub(crate) fn read(pairs: QueryPairs) -> Result<Self, Problem> {
        let mut fields = Fields::of(pairs);
        let asked = Self { link_id: fields.take("link_id"), classes: fields.class_names() };
        fields.finish().map(|()| asked)
    }
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
            let detail = format!("{whose} has as many live feeds open as it can have");
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

impl App {
    /// A live feed of the caller's clicks, as the body of an answer that ends when the reader leaves or the feeds close.
    pub(crate) async fn follow_clicks(&self, caller: &Caller, asked: AskedFeed) -> Result<Body, Problem> {
        let link_id = match &asked.link_id {
            Some(id) => Some(self.known_link_id(caller, id).await?),
            None => None,
        };
        let place = self.feeds.admit(&caller.account_id)?;
        let (sender, mut receiver) = mpsc::channel(EVENTS_AHEAD);
        let feed = Feed {
            account_id: caller.account_id.as_str().to_owned(),
            link_id: link_id.map(String::from),
            classes: asked.classes,
            sender,
            missed: Missed::default(),
            _place: place,
        };
        let (counted, closing) = (self.clicks.subscribe(), self.feeds.closing.subscribe());
        tokio::spawn(feed.run(counted, closing));
        Ok(Body::from_stream(poll_fn(move |cx| receiver.poll_recv(cx).map(|chunk| chunk.map(Ok::<_, Infallible>)))))
    }

    /// Ends all live feeds, which would otherwise hold up a stop for as long as somebody listens.
    pub fn close_feeds(&self) {
        self.feeds.closing.send_replace(true);
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
    account_id: String,
    link_id: Option<String>,
    classes: Vec<&'static str>,
    sender: mpsc::Sender<Bytes>,
    missed: Missed,
    _place: Place,
}

impl Feed {
    async fn run(mut self, mut counted: broadcast::Receiver<Counted>, mut closing: watch::Receiver<bool>) {
        // At once, so that the reader has an answer to read before the first click comes.
        let _ = self.sender.try_send(Bytes::from_static(b": waiting for clicks\n\n"));
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
                // Full is as good as a comment: the reader has something to read.
                _ = ticks.tick() => drop(self.sender.try_send(Bytes::from_static(b":\n\n"))),
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
            if !self.wants(event) {
                continue;
            }
            // Once something was missed the reader hears of that first.
            let has_missed = self.missed.clicks > 0 || self.missed.or_more;
            if has_missed || self.sender.try_send(to_event(event)).is_err() {
                self.missed.clicks += 1;
            }
        }
    }

    fn wants(&self, event: &ClickEvent) -> bool {
        event.account_id == self.account_id
            && self.link_id.as_ref().is_none_or(|link_id| event.link_id == *link_id)
            && (self.classes.is_empty() || self.classes.contains(&event.class.as_str()))
    }
}

/// `id` is the click's own, `data` the click as raw clicks have it.
fn to_event(event: &ClickEvent) -> Bytes {
    let json = serde_json::to_string(event).expect("texts and numbers are JSON");
    let mut text = String::with_capacity(json.len() + 64);
    // A line end in the id would begin a field of the reader's; ids of events from elsewhere are not ours.
    let id: String = event.event_id.chars().filter(|letter| !letter.is_control()).collect();
    write!(text, "event: click\nid: {id}\ndata: {json}\n\n").expect("writing to a String cannot fail");
    text.into()
}

impl Missed {
    /// Without a number where it is not known.
    fn to_event(&self) -> Bytes {
        let clicks = if self.or_more { "null".to_owned() } else { self.clicks.to_string() };
        format!("event: missed\ndata: {{\"clicks\":{clicks}}}\n\n").into()
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

    fn feed(feeds: &Feeds, room: usize) -> (Feed, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(room);
        let place = feeds.admit(&"acc_1".parse().unwrap()).unwrap();
        let account_id = "acc_1".to_owned();
        let feed = Feed {
            account_id,
            link_id: None,
            classes: vec!["human"],
            sender,
            missed: Missed::default(),
            _place: place,
        };
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
        let mut texts = Vec::new();
        for _ in 0..3 {
            texts.push(String::from_utf8(receiver.recv().await.unwrap().to_vec()).unwrap());
        }
        assert_eq!(texts[0], ": waiting for clicks\n\n");
        assert!(texts[1].starts_with("event: click\nid: id1\ndata: {\"event_id\":\"id\\n1\","), "{}", texts[1]);
        assert_eq!(texts[2], "event: missed\ndata: {\"clicks\":4}\n\n");
        batches.send(Arc::new(vec![own()])).unwrap();
        assert!(receiver.recv().await.unwrap().starts_with(b"event: click\n"), "goes on");
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
