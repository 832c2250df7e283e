//! The live feed as server-sent events.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::body::{Body, Bytes};
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;
use waypost_api::clicks::MissedClicks;
use waypost_control::FeedEvent;
use waypost_core::click::ClickEvent;

/// The body of an answer that goes on for as long as there are events.
pub(crate) fn body_of(mut events: mpsc::Receiver<FeedEvent>) -> Body {
    Body::from_stream(poll_fn(move |cx| {
        events.poll_recv(cx).map(|event| event.map(|event| Ok::<_, Infallible>(to_bytes(&event))))
    }))
}

fn to_bytes(event: &FeedEvent) -> Bytes {
    match event {
        // So that the reader has something to read before the first click comes.
        FeedEvent::Open => Bytes::from_static(b": waiting for clicks\n\n"),
        FeedEvent::Click(click) => click_event(click),
        FeedEvent::Missed(clicks) => {
            let json = serde_json::to_string(&MissedClicks { clicks: *clicks }).expect("a number is JSON");
            format!("event: missed\ndata: {json}\n\n").into()
        }
        FeedEvent::Idle => Bytes::from_static(b":\n\n"),
    }
}

/// `id` is the click's own, `data` the click as raw clicks have it.
fn click_event(event: &ClickEvent) -> Bytes {
    let json = serde_json::to_string(event).expect("texts and numbers are JSON");
    let mut text = String::with_capacity(json.len() + 64);
    // A line end in the id would begin a field of the reader's; ids of events from elsewhere are not ours.
    let id: String = event.event_id.chars().filter(|letter| !letter.is_control()).collect();
    write!(text, "event: click\nid: {id}\ndata: {json}\n\n").expect("writing to a String cannot fail");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_server_sent_ones() {
        let click = ClickEvent { event_id: "id\n1".into(), ..ClickEvent::default() };
        let text = to_bytes(&FeedEvent::Click(Box::new(click)));
        assert!(text.starts_with(b"event: click\nid: id1\ndata: {\"event_id\":\"id\\n1\","), "{text:?}");
        assert!(text.ends_with(b"}\n\n"), "{text:?}");
        assert_eq!(to_bytes(&FeedEvent::Missed(Some(4))), "event: missed\ndata: {\"clicks\":4}\n\n");
        assert_eq!(to_bytes(&FeedEvent::Missed(None)), "event: missed\ndata: {\"clicks\":null}\n\n");
    }
}
