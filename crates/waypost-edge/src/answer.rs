//! Answers: the response types of the edge, and how redirects and pages are built.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::time::Instant;
use waypost_core::decide::CachePolicy;
use waypost_core::page::{self, Page};

use crate::client::ClientFacts;
use crate::peer_body::PeerBody;
use crate::wire::Channel;

/// Any error of a control answer's body: it ends the connection in the middle of the answer.
pub type BoxError = Box<dyn Error + Send + Sync>;
/// The body of a control answer. It is polled on the edge's thread, whatever its source is.
pub type ControlBody = UnsyncBoxBody<Bytes, BoxError>;
/// A control answer that is being built.
pub type ControlFuture = Pin<Box<dyn Future<Output = Response<ControlBody>> + Send>>;
/// Answers every request that is not a redirect. It is called on the edge's thread and must return at once; the
/// future is polled there too, so it only waits for work done elsewhere. A panic in it costs the connection.
pub type ControlHandler = Arc<dyn Fn(Request<PeerBody>, ClientFacts) -> ControlFuture + Send + Sync>;

/// Every header that a redirect or a page of the edge may carry, in lower case. `date`, `content-length` and
/// `connection` are written by the HTTP engine; control answers choose their own.
pub const ANSWER_HEADERS: &[&str] = &[
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "location",
    "referrer-policy",
    "retry-after",
    "x-content-type-options",
];

/// An answer on its way out.
pub(crate) type Answer = Response<AnswerBody>;

#[derive(Debug)]
pub(crate) enum AnswerBody {
    Empty,
    Page(Option<Bytes>),
    Control { body: ControlBody, _end: EndOfAnswer },
}

/// Notifies the connection, when dropped with the body, that its answer has been handed over completely.
#[derive(Debug)]
pub(crate) struct EndOfAnswer(pub(crate) Rc<Channel>);

impl Drop for EndOfAnswer {
    fn drop(&mut self) {
        self.0.activity.end_answer(Instant::now());
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Page(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Control { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Page(bytes) => bytes.is_none(),
            Self::Control { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Page(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Control { body, .. } => body.size_hint(),
        }
    }
}

/// The most bytes of an unneeded body that are read before the answer, so that the connection can be used again.
const IGNORED_BYTES_MAX: usize = 64 * 1024;

/// The future of one answer: ready, or being built by the control plane.
pub(crate) enum Answering {
    Ready(Option<Answer>),
    /// The body of the request is read first, and dropped.
    Ignoring {
        body: Incoming,
        bytes_left: usize,
        answer: Option<Answer>,
        channel: Rc<Channel>,
    },
    Control {
        future: ControlFuture,
        channel: Rc<Channel>,
        /// Whether the body of the request has been read to its end. `None` if there is none.
        is_read: Option<Arc<AtomicBool>>,
        misses: Option<MissedAtControl>,
    },
}

/// What to do if a control answer says that the link does not exist.
pub(crate) type MissedAtControl = Box<dyn Fn() -> Option<Answer>>;

impl Answering {
    pub(crate) fn ignoring(body: Incoming, answer: Answer, channel: Rc<Channel>) -> Self {
        Self::Ignoring { body, bytes_left: IGNORED_BYTES_MAX, answer: Some(answer), channel }
    }
}

impl Future for Answering {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const TAKEN: &str = "a future is not polled after it is ready";
        match &mut *self {
            Self::Ready(answer) => Poll::Ready(Ok(answer.take().expect(TAKEN))),
            Self::Ignoring { body, bytes_left, answer, channel } => {
                while *bytes_left > 0 && !body.is_end_stream() {
                    match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                        Some(Ok(frame)) => {
                            let bytes = frame.data_ref().map_or(0, Bytes::len);
                            *bytes_left = bytes_left.saturating_sub(bytes);
                        }
                        Some(Err(_)) | None => break,
                    }
                }
                channel.activity.answer_made();
                channel.activity.end_answer_at_once();
                let mut answer = answer.take().expect(TAKEN);
                if !body.is_end_stream() {
                    channel.activity.leave_input();
                    close_after(&mut answer);
                }
                Poll::Ready(Ok(answer))
            }
            Self::Control { future, channel, is_read, misses } => {
                let response = ready!(future.as_mut().poll(cx));
                channel.activity.answer_made();
                let end = EndOfAnswer(channel.clone());
                let replaced = (response.status() == StatusCode::NOT_FOUND)
                    .then(|| misses.as_ref().and_then(|misses| misses()))
                    .flatten();
                let mut answer = match replaced {
                    Some(answer) => answer,
                    None => response.map(|body| AnswerBody::Control { body, _end: end }),
                };
                let is_read = is_read.as_ref().is_none_or(|is_read| is_read.load(Ordering::Acquire));
                let leaves_input = !is_read && !channel.drains_body();
                if leaves_input {
                    channel.activity.leave_input();
                }
                if leaves_input || channel.is_closing.get() {
                    close_after(&mut answer);
                }
                Poll::Ready(Ok(answer))
            }
        }
    }
}

/// A redirect. `headers` are those of the request: their memory is reused, also for the next request.
pub(crate) fn redirect(
    status: StatusCode,
    location: HeaderValue,
    policy: CachePolicy,
    mut headers: HeaderMap,
) -> Answer {
    headers.clear();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(policy.header_value()));
    respond(status, headers, AnswerBody::Empty)
}

/// A page, or its problem document if the request's `Accept` prefers JSON.
pub(crate) fn page(shown: Page, prefers_json: bool) -> Answer {
    let mut headers = HeaderMap::with_capacity(8);
    let text = page_parts(shown, prefers_json, |name, value| {
        headers.insert(name, HeaderValue::from_static(value));
    });
    let status = StatusCode::from_u16(shown.status()).expect("pages have a status of three digits");
    respond(status, headers, AnswerBody::Page(Some(Bytes::from_static(text.as_bytes()))))
}

/// The headers of a page, in their order, and its text.
pub(crate) fn page_parts(
    shown: Page,
    prefers_json: bool,
    mut header: impl FnMut(HeaderName, &'static str),
) -> &'static str {
    header(CACHE_CONTROL, "private, no-store");
    header(X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Without its origin, browsers would treat the password form as cross-site.
    header(REFERRER_POLICY, "same-origin");
    match shown {
        Page::MethodNotAllowed => header(ALLOW, "GET, HEAD"),
        Page::Unavailable => header(RETRY_AFTER, "1"),
        Page::TooManyMisses => header(RETRY_AFTER, "10"),
        Page::BadRequest | Page::TargetTooLong | Page::RequestTimeout | Page::HeadTooLarge | Page::BodyTooLarge => {
            header(CONNECTION, "close");
        }
        Page::NotFound
        | Page::UnknownHost
        | Page::Gone
        | Page::BadRecord
        | Page::Unlock
        | Page::UnlockRefused
        | Page::UnlockThrottled => {}
    }
    if prefers_json {
        header(CONTENT_TYPE, "application/problem+json");
        shown.problem()
    } else {
        header(CONTENT_TYPE, "text/html; charset=utf-8");
        header(CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY);
        shown.html()
    }
}

/// The answer to `OPTIONS *`: the methods that exist here, for any address.
pub(crate) fn options() -> Answer {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    respond(StatusCode::NO_CONTENT, headers, AnswerBody::Empty)
}

/// The page with a link to a destination that a program other than the browser opens.
pub(crate) fn leave(location: &str) -> Answer {
    let mut headers = HeaderMap::with_capacity(8);
    leave_headers(|name, value| {
        headers.insert(name, HeaderValue::from_static(value));
    });
    respond(StatusCode::OK, headers, AnswerBody::Page(Some(Bytes::from(page::leave_page(location)))))
}

/// The headers of that page, in their order.
pub(crate) fn leave_headers(mut header: impl FnMut(HeaderName, &'static str)) {
    header(CACHE_CONTROL, CachePolicy::NoStore.header_value());
    header(X_CONTENT_TYPE_OPTIONS, "nosniff");
    header(REFERRER_POLICY, "no-referrer");
    header(CONTENT_TYPE, "text/html; charset=utf-8");
    header(CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY);
}

/// Marks an answer as the last of its connection.
pub(crate) fn close_after(answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

fn respond(status: StatusCode, headers: HeaderMap, body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// Whether an `Accept` header asks for JSON rather than for a page.
pub(crate) fn prefers_json(accept: Option<&HeaderValue>) -> bool {
    accept.and_then(|accept| accept.to_str().ok()).is_some_and(page::prefers_json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &'static str, expect: bool) {
        assert_eq!(prefers_json(Some(&HeaderValue::from_static(accept))), expect, "{accept}");
    }

    #[test]
    fn json_is_for_those_who_ask() {
        check("application/json", true);
        check("Application/Problem+JSON; q=0.4, text/html;q=0.3", true);
        check("application/json, text/html", true);
        check("text/html, application/json", false);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false);
        check("application/json, */*", true);
        check("*/*", false);
        check("", false);
        check("application/json;q=0", false);
        check("application/json;q=x", false);
        check("image/png", false);
        assert!(!prefers_json(None));
    }
}
