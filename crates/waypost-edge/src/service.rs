//! One request: reads it, and answers it here or hands it to the control plane.
//!
//! A plain request for a link goes the short way ([`RequestService::follow_plain`]); the HTTP engine brings all others.
//!
//! | asks for | is answered by |
//! |---|---|
//! | a target over the limit, no good host | 414, 400; the connection is closed |
//! | `OPTIONS *` | the methods there are |
//! | an unknown host, with strict hosts | control for health probes, else a 404 page (503 while the table may lack domains) |
//! | `/` | the domain's root redirect where it has one, else control |
//! | a path whose first segment is reserved, or that ends in `+` | control |
//! | no link, with a path that ends as the address of a QR code does | control |
//! | any other path | the link's redirect; control where it takes the password of a link; else a page |
//!
//! The body of a request that is answered here is read up to a limit, and ignored.

use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, HeaderValue};
use hyper::service::Service;
use hyper::{HeaderMap, Method, Request, StatusCode};
use waypost_core::decide::CachePolicy;
use waypost_core::page::Page;
use waypost_core::slug::{reserved_word, without_qr_ending};
use waypost_core::visit;

use crate::answer::{self, Answer, Answering, MissedAtControl};
use crate::client::{ClientFacts, Proxies};
use crate::fields::{Fields, Headers};
use crate::host::Site;
use crate::misses::Misses;
use crate::peer_body::PeerBody;
use crate::plain::PlainRequest;
use crate::plain_answer;
use crate::redirect::{Asked, Redirect};
use crate::shared::Shared;
use crate::target::{BadTarget, Target};
use crate::thread::Thread;
use crate::visitor::{Peer, Visitor};
use crate::wire::Channel;

/// Health probes ask by address or by a name that no domain has.
const HEALTH_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// Answers the requests of one connection.
#[derive(Clone, Debug)]
pub(crate) struct RequestService {
    shared: Arc<Shared>,
    thread: Rc<Thread>,
    peer: Peer,
    channel: Rc<Channel>,
}

/// How a request is answered.
#[derive(Debug)]
enum Outcome {
    Redirect {
        status: StatusCode,
        location: HeaderValue,
        cache_policy: CachePolicy,
    },
    Page(Page),
    /// The methods that there are.
    Options,
    /// A page with a link to what a program other than the browser opens.
    Leave(String),
    /// The control plane answers.
    Control,
}

impl Outcome {
    fn redirect(to: Redirect<'_>) -> Self {
        if to.leaves_web() {
            return Self::Leave(to.location.to_owned());
        }
        match HeaderValue::from_str(to.location) {
            Ok(location) => Self::Redirect { status: to.status, location, cache_policy: to.cache_policy },
            // A redirect's location is printable ASCII, of which every text is a header value.
            Err(_) => Self::Page(Page::Unavailable),
        }
    }
}

/// Who answers a request.
enum Route {
    Here(Outcome),
    Control { host: String, domain: String },
}

impl Service<Request<Incoming>> for RequestService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let number = self.channel.activity.begin_answer();
        if self.shared.limits.requests_per_connection_max.is_some_and(|max| number >= max) {
            self.channel.is_closing.set(true);
        }
        let is_of_api = is_of_api(request.uri().path());
        self.channel.is_of_api.set(is_of_api);
        match self.route(&request) {
            Route::Control { host, domain } => {
                let client = self.client(&request, host, domain);
                let misses = self.missed_at_control(&request, client.address);
                let request = request.map(PeerBody::new);
                let is_read = request.body().is_read();
                let future = (self.shared.control)(request, client);
                Answering::Control { future, channel: self.channel.clone(), is_read, misses }
            }
            Route::Here(outcome) => {
                let (parts, body) = request.into_parts();
                let mut answer = answer_here(outcome, parts.headers, is_of_api);
                if self.channel.is_closing.get() {
                    answer::close_after(&mut answer);
                }
                if !body.is_end_stream() {
                    return Answering::ignoring(body, answer, self.channel.clone());
                }
                self.channel.activity.end_answer_at_once();
                Answering::Ready(Some(answer))
            }
        }
    }
}

fn answer_here(outcome: Outcome, headers: HeaderMap, is_of_api: bool) -> Answer {
    let page = |page, headers: &HeaderMap| answer::page(page, is_of_api || answer::prefers_json(headers.get(ACCEPT)));
    match outcome {
        Outcome::Redirect { status, location, cache_policy } => {
            answer::redirect(status, location, cache_policy, headers)
        }
        Outcome::Page(shown) => page(shown, &headers),
        Outcome::Options => answer::options(),
        Outcome::Leave(location) => answer::leave(&location),
        // The route function passes these on; the page is what an address without a control plane would answer.
        Outcome::Control => page(Page::NotFound, &headers),
    }
}

/// Whether a path is one of the API's, whose errors are JSON.
fn is_of_api(path: &str) -> bool {
    path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl RequestService {
    pub(crate) fn new(shared: Arc<Shared>, thread: Rc<Thread>, peer: Peer, channel: Rc<Channel>) -> Self {
        Self { shared, thread, peer, channel }
    }

    fn route(&self, request: &Request<Incoming>) -> Route {
        let method = request.method();
        if *method == Method::CONNECT {
            // A client that requests a tunnel may send bytes that are not meant for us.
            self.channel.is_closing.set(true);
            return Route::Here(Outcome::Page(Page::MethodNotAllowed));
        }
        if *method == Method::OPTIONS && request.uri().path() == "*" {
            return Route::Here(Outcome::Options);
        }
        let fields = Fields::read(request.headers());
        let target = match Target::read(request, &fields, self.shared.limits.target_bytes_max) {
            Ok(target) => target,
            Err(BadTarget::TooLong) => return Route::Here(Outcome::Page(Page::TargetTooLong)),
            Err(BadTarget::Malformed) => return Route::Here(Outcome::Page(Page::BadRequest)),
        };
        let domains = self.shared.table.borrow_domains();
        let site = Site::of(&target.host, &domains, self.shared.hosts);
        let outcome = match site {
            Some(site) => self.outcome(request, &target, &fields, site),
            None if HEALTH_PATHS.contains(&target.path) => Outcome::Control,
            None => Outcome::Page(match self.shared.not_found() {
                Page::NotFound => {
                    self.shared.notices.unknown_host(&target.host, self.thread.clock.now().wall);
                    Page::UnknownHost
                }
                other => other,
            }),
        };
        match outcome {
            Outcome::Control => Route::Control {
                host: target.host.clone().into_owned(),
                domain: site.unwrap_or_default().table_key.to_owned(),
            },
            outcome @ (Outcome::Redirect { .. } | Outcome::Page(_) | Outcome::Leave(_) | Outcome::Options) => {
                Route::Here(outcome)
            }
        }
    }

    fn outcome(
        &self,
        request: &Request<Incoming>,
        target: &Target<'_>,
        fields: &Fields<'_>,
        site: Site<'_>,
    ) -> Outcome {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if target.path == "/" {
            return match site.root_url {
                Some(url) if is_read => {
                    Redirect::found(url, CachePolicy::NoStore).map_or_else(Outcome::Page, Outcome::redirect)
                }
                Some(_) | None => Outcome::Control,
            };
        }
        if !is_link_path(target.path) {
            return Outcome::Control;
        }
        let method = if *request.method() == Method::HEAD { visit::Method::Head } else { visit::Method::Get };
        let headers = request.headers();
        let asked = Asked { target, fields, site, method, visitor: self.visitor(headers) };
        if is_read {
            let followed = self.shared.follow(&asked, headers, &self.thread, Outcome::redirect);
            return followed.unwrap_or_else(|page| match is_qr_code(page, target.path) {
                true => Outcome::Control,
                false => Outcome::Page(self.missed(page, asked.visitor.address)),
            });
        }
        match self.shared.takes_password(&asked, &self.thread.links) {
            Ok(()) if *request.method() == Method::POST => Outcome::Control,
            Ok(()) => Outcome::Page(Page::MethodNotAllowed),
            Err(page) => Outcome::Page(match self.missed(page, asked.visitor.address) {
                // Whether nothing is there or a link without a form must not be visible in this answer.
                Page::NotFound | Page::Gone => Page::MethodNotAllowed,
                page => page,
            }),
        }
    }

    /// Writes the answer of a plain request for a link: its redirect, whose click is then recorded, or a page. `false`
    /// if it is a request for something else; nothing has happened then.
    pub(crate) fn follow_plain(&self, request: &PlainRequest<'_>, answer: &mut Vec<u8>) -> bool {
        let limits = &self.shared.limits;
        let mut last_host = self.thread.last_host.borrow_mut();
        let Some(host) = request.fields.host().and_then(|text| last_host.parse(text)) else { return false };
        let (path, query) = match request.query_at {
            Some(mark) => (&request.target[..mark], Some(&request.target[mark + 1..])),
            None => (request.target, None),
        };
        let target = Target { host: host.into(), path, query };
        if request.target.len() > limits.target_bytes_max || target.path == "/" || !is_link_path(target.path) {
            return false;
        }
        let domains = self.shared.table.borrow_domains();
        let Some(site) = Site::of(&target.host, &domains, self.shared.hosts) else { return false };
        self.thread.note_site(site);
        let visitor = self.visitor(&request.headers);
        let asked = Asked { target: &target, fields: &request.fields, site, method: request.method, visitor };
        let put = |redirect: Redirect<'_>| {
            plain_answer::put_redirect(redirect, request, &self.thread.date.at(visitor.now), answer);
        };
        if let Err(page) = self.shared.follow(&asked, &request.headers, &self.thread, put) {
            if is_qr_code(page, target.path) {
                return false;
            }
            let page = self.missed(page, visitor.address);
            plain_answer::put_page(page, request, &self.thread.date.at(visitor.now), answer);
        }
        true
    }

    /// The page for a link that was not followed: another one if there is no such link, and the visitor's address has
    /// requested too many of those.
    #[cold]
    fn missed(&self, page: Page, address: IpAddr) -> Page {
        let is_over = |misses: &Misses| !misses.admit(address, self.thread.clock.now().instant);
        match page {
            Page::NotFound if self.shared.misses.as_ref().is_some_and(is_over) => Page::TooManyMisses,
            page => page,
        }
    }

    /// The preview and the QR code of a link, and the answer to its form, say as well as the link whether there is one, so
    /// that they count as much.
    fn missed_at_control(&self, request: &Request<Incoming>, address: IpAddr) -> Option<MissedAtControl> {
        let path = request.uri().path();
        let is_of_link = path.ends_with('+')
            || without_qr_ending(path).is_some()
            || *request.method() == Method::POST && path != "/" && is_link_path(path);
        if !is_of_link || self.shared.misses.is_none() {
            return None;
        }
        let service = self.clone();
        let prefers_json = answer::prefers_json(request.headers().get(ACCEPT));
        Some(Box::new(move || {
            let page = service.missed(Page::NotFound, address);
            (page != Page::NotFound).then(|| answer::page(page, prefers_json))
        }))
    }

    fn visitor(&self, headers: &(impl Headers + ?Sized)) -> Visitor {
        let proxies = &self.shared.proxies;
        let (address, told) = if self.peer.is_trusted {
            (proxies.visitor_address(self.peer.address, headers), proxies.country(headers))
        } else {
            // The first request of a connection speaks for all: what a proxy sends it always sends.
            if self.channel.activity.requests() <= 1 && Proxies::is_forwarded(headers) {
                self.shared.notices.ignored_forwarding(self.peer.address, self.thread.clock.now().wall);
            }
            (self.peer.address, None)
        };
        let countries = self.shared.countries.as_deref();
        let country = told.or_else(|| countries.and_then(|countries| countries.country_of(address)));
        Visitor { address, country, now: self.thread.clock.now().wall }
    }

    fn client(&self, request: &Request<Incoming>, host: String, domain: String) -> ClientFacts {
        let visitor = self.visitor(request.headers());
        ClientFacts {
            peer: self.peer.socket,
            address: visitor.address,
            country: visitor.country().map(str::to_owned),
            host,
            domain,
            is_https: self.peer.is_trusted && Proxies::is_https(request.headers()),
        }
    }
}

/// Whether the path of a link that is not there asks for a QR code. A link whose slug ends so comes before.
#[cold]
fn is_qr_code(page: Page, path: &str) -> bool {
    page == Page::NotFound && without_qr_ending(path).is_some()
}

/// Whether a path other than `/` can be a link's: control has those of reserved words and of previews.
fn is_link_path(path: &str) -> bool {
    reserved_word(&path[1..]).is_none() && !path.ends_with('+')
}
