//! The redirect itself: find the link, collect the facts of the visit, ask `decide`, and check what may be sent.

use std::error::Error;
use std::sync::atomic::{AtomicI64, Ordering};

use hyper::StatusCode;
use hyper::header::COOKIE;
use waypost_core::Timestamp;
use waypost_core::compact::{CompactLink, CorruptRecord};
use waypost_core::decide::{Action, CachePolicy, Decision, decide};
use waypost_core::page::Page;
use waypost_core::query;
use waypost_core::slug::{from_request_path, without_closing_mark};
use waypost_core::visit::{Method, Unlock, Visit};
use waypost_table::{Reader, TableError};

use crate::fields::{Fields, Headers};
use crate::grant::{self, GrantedLink};
use crate::host::Site;
use crate::service::{Shared, Visitor};
use crate::target::Target;
use crate::thread::Thread;

/// What a request asks for, on which domain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) target: &'a Target<'a>,
    pub(crate) fields: &'a Fields<'a>,
    pub(crate) site: Site<'a>,
    /// GET or HEAD, where the link is to be followed.
    pub(crate) method: Method,
}

/// Where to send a visitor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redirect<'a> {
    /// One of those that redirect.
    pub(crate) status: StatusCode,
    /// Printable ASCII. Where it is no web page, [`Self::leaves_web`], it is for a page and not for a header.
    pub(crate) location: &'a str,
    pub(crate) cache_policy: CachePolicy,
}

impl<'a> Redirect<'a> {
    /// A 302 to this URL, or 503 where it cannot stand in a header.
    pub(crate) fn found(url: &'a str, cache_policy: CachePolicy) -> Result<Self, Page> {
        is_location(url)
            .then_some(Self { status: StatusCode::FOUND, location: url, cache_policy })
            .ok_or(Page::Unavailable)
    }

    /// Whether a program other than the browser opens the location. Then a person presses a link to it.
    pub(crate) fn leaves_web(&self) -> bool {
        !query::is_web(self.location)
    }
}

/// Why a link that may exist was not followed: always 503, never 404.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the link table cannot be read")]
    Table(#[source] TableError),
    #[error("the link's record is damaged")]
    Record(#[source] CorruptRecord),
    #[error("the decision cannot be sent: status {status}, and a Location that is missing or not printable ASCII")]
    Unsendable { status: u16 },
}

impl Shared {
    /// Follows the link a GET or HEAD asks for, and has the redirect put into its answer by `answer`.
    ///
    /// The redirect's click is recorded before that.
    ///
    /// # Errors
    /// The page to show where there is no redirect.
    pub(crate) fn follow<R>(
        &self,
        asked: Asked<'_>,
        headers: &(impl Headers + ?Sized),
        visitor: Visitor,
        thread: &Thread,
        answer: impl FnOnce(Redirect<'_>) -> R,
    ) -> Result<R, Page> {
        let Asked { target, site, .. } = asked;
        let mut answer = Some(answer);
        if let Some(slug) = from_request_path(target.path, site.case_insensitive) {
            match self.follow_slug(&slug, asked, headers, &visitor, thread, &mut answer) {
                Some(outcome) => return outcome,
                None if !self.table.knows_all() => return Err(Page::Unavailable),
                None => {}
            }
        }
        // Only what leads nowhere is read again, without what a sentence or a mail client left at its end.
        let slug = without_closing_mark(target.path, site.case_insensitive).ok_or(Page::NotFound)?;
        let followed = self.follow_slug(&slug, asked, headers, &visitor, thread, &mut answer);
        followed.unwrap_or_else(|| Err(self.not_found()))
    }

    /// Follows the link of this slug; `None` where there is none.
    #[inline]
    fn follow_slug<R>(
        &self,
        slug: &str,
        asked: Asked<'_>,
        headers: &(impl Headers + ?Sized),
        visitor: &Visitor,
        thread: &Thread,
        answer: &mut Option<impl FnOnce(Redirect<'_>) -> R>,
    ) -> Option<Result<R, Page>> {
        let Asked { target, fields, site, method } = asked;
        let followed = thread.links.get(site.table_key, slug, |bytes| {
            let link = CompactLink::read(bytes).ok()?;
            let mut visit = visit_of(method, target, fields, visitor);
            let mut decided = decide(&link, &visit);
            if matches!(&decided, Ok(decision) if decision.action == Action::Unlock)
                && self.is_granted(&link, headers, site, slug, visitor.now)
            {
                visit.unlock = Unlock::Granted;
                decided = decide(&link, &visit);
            }
            let decision = match decided {
                Ok(decision) => decision,
                Err(damage) => return Some(Err(Fault::Record(damage))),
            };
            let redirect = match redirect_of(&decision) {
                Ok(Ok(redirect)) => redirect,
                Ok(Err(page)) => return Some(Ok(Err(page))),
                Err(fault) => return Some(Err(fault)),
            };
            if let Some(recorder) = &thread.recorder
                && let Some(click) = recorder.prepare(&link, &visit, &decision, site, slug)
            {
                recorder.record(click);
            }
            answer.take().map(|answer| Ok(Ok(answer(redirect))))
        });
        match followed.map_err(Fault::Table) {
            Ok(Some(Ok(outcome))) => Some(outcome),
            Ok(None) => None,
            Ok(Some(Err(fault))) | Err(fault) => Some(Err(self.unavailable(&fault, site, slug, visitor.now))),
        }
    }

    /// The page for what the table does not have: 404 only where it has everything.
    pub(crate) fn not_found(&self) -> Page {
        if self.table.knows_all() { Page::NotFound } else { Page::Unavailable }
    }

    /// Whether something is to be posted to this path, because a GET would show the password form there; the control plane then
    /// answers. It does so, too, where that cannot be read, and says what is wrong.
    ///
    /// # Errors
    /// The page that a GET would get where nothing is there or nothing is known of it yet, and "method not allowed" where a GET
    /// would lead somewhere.
    pub(crate) fn takes_password(&self, asked: Asked<'_>, links: &Reader, now: Timestamp) -> Result<(), Page> {
        let Asked { target, site, .. } = asked;
        // A sound record about which nothing can be decided is no damage of the table.
        let read =
            |bytes: &[u8]| Some(decide(&CompactLink::read(bytes).ok()?, &Visit::at(now)).map(|found| found.action));
        for slug_in in [from_request_path, without_closing_mark] {
            let Some(slug) = slug_in(target.path, site.case_insensitive) else { continue };
            match links.get(site.table_key, &slug, read) {
                Ok(Some(Ok(Action::Unlock) | Err(_))) | Err(_) => return Ok(()),
                Ok(Some(Ok(Action::NotFound))) => return Err(Page::NotFound),
                Ok(Some(Ok(Action::Gone))) => return Err(Page::Gone),
                Ok(Some(Ok(Action::Redirect | Action::MethodNotAllowed))) => return Err(Page::MethodNotAllowed),
                Ok(None) if !self.table.knows_all() => return Err(Page::Unavailable),
                Ok(None) => {}
            }
        }
        Err(self.not_found())
    }

    /// Whether the request brings a grant of this link, which asks for a password.
    #[cold]
    fn is_granted(
        &self,
        link: &CompactLink<'_>,
        headers: &(impl Headers + ?Sized),
        site: Site<'_>,
        slug: &str,
        now: Timestamp,
    ) -> bool {
        let subject = grant::subject(link.link_id(), site.table_key, slug);
        let granted = GrantedLink { subject: &subject, version: link.version() };
        let mut cookies = headers.values_reversed(&COOKIE).filter_map(|value| str::from_utf8(value).ok());
        self.grant_key.get().is_some_and(|key| cookies.any(|cookies| key.is_granted(cookies, granted, now)))
    }

    #[cold]
    fn unavailable(&self, fault: &Fault, site: Site<'_>, slug: &str, now: Timestamp) -> Page {
        if self.faults.may_log(now) {
            tracing::error!(
                domain.name = site.table_key,
                link.slug = slug,
                error = fault as &dyn Error,
                "link not followed; further faults of this second are not logged"
            );
        }
        Page::Unavailable
    }
}

/// Lets one fault a second into the log: a broken table breaks every request.
#[derive(Debug, Default)]
pub(crate) struct FaultLog {
    logged_second: AtomicI64,
}

impl FaultLog {
    fn may_log(&self, now: Timestamp) -> bool {
        let second = now.as_micros().div_euclid(1_000_000);
        self.logged_second.swap(second, Ordering::Relaxed) != second
    }
}

/// The redirect that was decided on, or the page to show instead.
fn redirect_of<'d>(decision: &'d Decision<'_>) -> Result<Result<Redirect<'d>, Page>, Fault> {
    let status = decision.status;
    match decision.action {
        Action::Redirect => {
            let location = decision.location.as_deref().filter(|url| is_location(url));
            let code = StatusCode::from_u16(status).ok().filter(StatusCode::is_redirection);
            let (Some(location), Some(status)) = (location, code) else { return Err(Fault::Unsendable { status }) };
            Ok(Ok(Redirect { status, location, cache_policy: decision.cache_policy }))
        }
        Action::NotFound => Ok(Err(Page::NotFound)),
        Action::Gone => Ok(Err(Page::Gone)),
        Action::Unlock if status == 401 => Ok(Err(Page::UnlockRefused)),
        Action::Unlock => Ok(Err(Page::Unlock)),
        Action::MethodNotAllowed => Ok(Err(Page::MethodNotAllowed)),
    }
}

/// Whether this can be the value of `Location`: nothing but printable ASCII gets through, whatever was stored or asked for.
fn is_location(url: &str) -> bool {
    // Without an early end, so that many bytes are looked at in one step.
    !url.is_empty() && url.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'))
}

/// The facts of a visit, which nothing unlocks yet.
#[inline]
fn visit_of<'v>(method: Method, target: &'v Target<'_>, fields: &'v Fields<'_>, visitor: &'v Visitor) -> Visit<'v> {
    Visit {
        method,
        host: Some(&target.host),
        path: Some(target.path),
        query: target.query,
        ip: Some(visitor.address),
        country: visitor.country(),
        // A real request without the header is told from a visit of which it is not known.
        user_agent: Some(fields.user_agent().unwrap_or_default()),
        referrer: fields.referrer(),
        accept_language: fields.accept_language(),
        purpose: fields.purpose(),
        ..Visit::at(visitor.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_printable_ascii_becomes_a_location() {
        assert!(is_location("https://example.com/a b?c=%0D%0A#d"));
        for byte in 0..=0x7f_u8 {
            let url = format!("https://example.com/{}", char::from(byte));
            assert_eq!(is_location(&url), (0x20..0x7f).contains(&byte), "{url:?}");
        }
        assert!(!is_location("https://bücher.example/"));
        assert!(!is_location(""));
    }

    #[test]
    fn one_fault_a_second_is_logged() {
        let log = FaultLog::default();
        let logged: Vec<bool> = [10, 11, 1_000_000, 1_999_999, 2_000_000]
            .into_iter()
            .map(|micros| log.may_log(Timestamp::from_micros(micros + 5_000_000)))
            .collect();
        assert_eq!(logged, [true, false, true, false, true]);
    }
}
