//! The redirect itself: finds the link, collects the facts of the visit, calls `decide`, and checks what may be sent.

use std::error::Error;
use std::net::IpAddr;

use hyper::StatusCode;
use hyper::header::COOKIE;
use waypost_core::compact::{CompactLink, CorruptRecord};
use waypost_core::decide::{Action, CachePolicy, Decision, decide};
use waypost_core::page::Page;
use waypost_core::query;
use waypost_core::slug::{from_request_path, without_closing_mark};
use waypost_core::visit::{Method, Unlock, Visit};
use waypost_table::{Reader, TableError};

use crate::country::Place;
use crate::fields::{Fields, Headers};
use crate::grant::{self, GrantedLink};
use crate::host::Site;
use crate::shared::Shared;
use crate::target::Target;
use crate::thread::Thread;
use crate::visitor::Visitor;

/// What a request asks for, on which domain, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) target: &'a Target<'a>,
    pub(crate) fields: &'a Fields<'a>,
    pub(crate) site: Site<'a>,
    /// GET or HEAD, if the link is to be followed.
    pub(crate) method: Method,
    pub(crate) visitor: Visitor,
}

/// Where to send a visitor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redirect<'a> {
    /// One of those that redirect.
    pub(crate) status: StatusCode,
    /// Printable ASCII. If it is not on the web, [`Self::leaves_web`], it is for a page and not for a header.
    pub(crate) location: &'a str,
    pub(crate) cache_policy: CachePolicy,
}

impl<'a> Redirect<'a> {
    /// A 302 to this URL, or 503 if it cannot be in a header.
    pub(crate) fn found(url: &'a str, cache_policy: CachePolicy) -> Result<Self, Page> {
        is_location(url)
            .then_some(Self { status: StatusCode::FOUND, location: url, cache_policy })
            .ok_or(Page::Unavailable)
    }

    /// Whether a program other than the browser opens the location. Then a page has a link to it.
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

/// Why the link of a slug was not followed.
#[derive(Debug)]
enum Unfollowed {
    /// The link does not exist.
    Absent,
    /// The decision is a page.
    Page(Page),
    /// The decision failed, or its location cannot be sent.
    Fault(Fault),
}

impl From<Fault> for Unfollowed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Shared {
    /// Follows the link a GET or HEAD asks for, and has the redirect put into its answer by `answer`.
    ///
    /// The redirect's click is recorded before that.
    ///
    /// # Errors
    /// The page to show if there is no redirect.
    #[inline]
    pub(crate) fn follow<R>(
        &self,
        asked: &Asked<'_>,
        headers: &(impl Headers + ?Sized),
        thread: &Thread,
        mut answer: impl FnMut(Redirect<'_>) -> R,
    ) -> Result<R, Page> {
        let Asked { target, site, .. } = asked;
        if let Some(slug) = from_request_path(target.path, site.case_insensitive) {
            match self.follow_slug(&slug, asked, headers, thread, &mut answer) {
                Err(Unfollowed::Absent) if self.table.knows_all() => {}
                followed => return followed.map_err(|why| self.page_instead(why, &slug, asked)),
            }
        }
        // Only a path without a link is read again, without punctuation that a sentence or a mail client added at its
        // end.
        let slug = without_closing_mark(target.path, site.case_insensitive).ok_or(Page::NotFound)?;
        let followed = self.follow_slug(&slug, asked, headers, thread, &mut answer);
        followed.map_err(|why| self.page_instead(why, &slug, asked))
    }

    /// Follows the link of this slug.
    #[inline]
    fn follow_slug<R>(
        &self,
        slug: &str,
        asked: &Asked<'_>,
        headers: &(impl Headers + ?Sized),
        thread: &Thread,
        answer: &mut impl FnMut(Redirect<'_>) -> R,
    ) -> Result<R, Unfollowed> {
        let followed = thread.links.get(asked.site.table_key, slug, |bytes| {
            let link = CompactLink::read(bytes).ok()?;
            Some(self.follow_link(&link, slug, asked, headers, thread, answer))
        });
        followed.map_err(Fault::Table)?.unwrap_or(Err(Unfollowed::Absent))
    }

    /// Decides the destination, records the click, and has `answer` write the redirect.
    #[inline]
    fn follow_link<R>(
        &self,
        link: &CompactLink<'_>,
        slug: &str,
        asked: &Asked<'_>,
        headers: &(impl Headers + ?Sized),
        thread: &Thread,
        answer: &mut impl FnMut(Redirect<'_>) -> R,
    ) -> Result<R, Unfollowed> {
        let mut visit = visit_of(asked);
        let place;
        if link.needs_place() {
            place = self.place_of(asked.visitor.address);
            (visit.region, visit.city) = (place.region.as_deref(), place.city.as_deref());
        }
        let mut decision = decide(link, &visit).map_err(Fault::Record)?;
        if decision.action == Action::Unlock && self.is_granted(link, headers, slug, asked) {
            visit.unlock = Unlock::Granted;
            decision = decide(link, &visit).map_err(Fault::Record)?;
        }
        let redirect = redirect_of(&decision)?;
        if let Some(recorder) = &thread.recorder
            && let Some(click) = recorder.prepare(link, &visit, &decision, asked.site, slug)
        {
            recorder.record(click);
        }
        Ok(answer(redirect))
    }

    /// Where a visitor is, for links whose rules ask for more than the country.
    #[cold]
    fn place_of(&self, address: IpAddr) -> Place {
        self.countries.as_deref().map(|countries| countries.place_of(address)).unwrap_or_default()
    }

    /// The page for a link that the table does not have: 404 only if the table has all links.
    pub(crate) fn not_found(&self) -> Page {
        if self.table.knows_all() { Page::NotFound } else { Page::Unavailable }
    }

    /// Whether something is to be posted to this path, because a GET would show the password form there; the control
    /// plane then answers. It does so, too, where that cannot be read, and says what is wrong.
    ///
    /// # Errors
    /// The page that a GET would get if nothing is there or nothing is known of it yet, and "method not allowed" where
    /// a GET would lead somewhere.
    pub(crate) fn takes_password(&self, asked: &Asked<'_>, links: &Reader) -> Result<(), Page> {
        let Asked { target, site, visitor, .. } = asked;
        // A valid record for which the decision fails is not damage of the table.
        let visit = Visit::at(visitor.now);
        let read = |bytes: &[u8]| Some(decide(&CompactLink::read(bytes).ok()?, &visit).map(|found| found.action));
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
        slug: &str,
        asked: &Asked<'_>,
    ) -> bool {
        let subject = grant::subject(link.link_id(), asked.site.table_key, slug);
        let granted = GrantedLink { subject: &subject, version: link.version() };
        let now = asked.visitor.now;
        let mut cookies = headers.values_reversed(&COOKIE).filter_map(|value| str::from_utf8(value).ok());
        self.grant_key.get().is_some_and(|key| cookies.any(|cookies| key.is_granted(cookies, granted, now)))
    }

    /// The page to show if the link of this slug was not followed.
    #[cold]
    fn page_instead(&self, why: Unfollowed, slug: &str, asked: &Asked<'_>) -> Page {
        let fault = match why {
            Unfollowed::Absent => return self.not_found(),
            Unfollowed::Page(page) => return page,
            Unfollowed::Fault(fault) => fault,
        };
        if self.faults.may_log(asked.visitor.now) {
            tracing::error!(
                domain.name = asked.site.table_key,
                link.slug = slug,
                error = &fault as &dyn Error,
                "link not redirected; further errors of this second are not logged"
            );
        }
        Page::Unavailable
    }
}

/// The redirect that was decided on, or the page to show instead.
fn redirect_of<'d>(decision: &'d Decision<'_>) -> Result<Redirect<'d>, Unfollowed> {
    let status = decision.status;
    let page = match decision.action {
        Action::Redirect => {
            let location = decision.location.as_deref().filter(|url| is_location(url));
            let code = StatusCode::from_u16(status).ok().filter(StatusCode::is_redirection);
            let (Some(location), Some(status)) = (location, code) else {
                return Err(Fault::Unsendable { status }.into());
            };
            return Ok(Redirect { status, location, cache_policy: decision.cache_policy });
        }
        Action::NotFound => Page::NotFound,
        Action::Gone => Page::Gone,
        Action::Unlock if status == 401 => Page::UnlockRefused,
        Action::Unlock => Page::Unlock,
        Action::MethodNotAllowed => Page::MethodNotAllowed,
    };
    Err(Unfollowed::Page(page))
}

/// Whether this can be the value of `Location`: only printable ASCII passes, whatever was stored or requested.
fn is_location(url: &str) -> bool {
    // Without an early end, so that many bytes are looked at in one step.
    !url.is_empty() && url.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'))
}

/// The facts of a visit, which nothing unlocks yet.
#[inline]
fn visit_of<'v>(asked: &'v Asked<'_>) -> Visit<'v> {
    let Asked { target, fields, visitor, .. } = asked;
    Visit {
        method: asked.method,
        host: Some(&target.host),
        path: Some(target.path),
        query: target.query,
        ip: Some(visitor.address),
        country: visitor.country(),
        // A request without the header differs from a visit of which the header is not known.
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
}
