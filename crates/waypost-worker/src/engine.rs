//! The engine of one isolate: everything that JavaScript asks of this crate, as one object.
//!
//! [`Engine::follow`] answers a visit. [`Engine::run`] does everything else, which is rare. Both leave their answer in
//! the engine: a few numbers, and the bytes they speak of.

use waypost_core::Timestamp;
use waypost_core::compact::CompactLink;
use waypost_core::decide::{Action, CachePolicy, Decision, decide};
use waypost_core::grant::{CookieScope, GRANT_SECONDS, GrantedLink, subject};
use waypost_core::page::{Page, leave_page, prefers_json};
use waypost_core::query;
use waypost_core::slug::{RESERVED, key_from_request_path, reserved_word, without_closing_mark};
use waypost_core::visit::{Unlock, Visit};

use crate::anonymous::shorten;
use crate::clicks::{Clicks, write_signature};
use crate::event::Clicked;
use crate::facts::Facts;
use crate::home::Place;
use crate::landing::Landing;
use crate::password;
use crate::preview::preview;
use crate::problem::{ProblemCode, problem};
use crate::records::Records;
use crate::settings::{ClickPath, Settings};

/// Numbers of an answer; the bytes follow each other in [`Engine::output`] in the order of their lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Answer {
    /// The HTTP status; 0 if none is meant.
    pub status: u32,
    /// Of a redirect its cache policy: 0 not cached, 1 cached for a minute. Of a page its number. Otherwise 0.
    pub detail: u32,
    /// Where the output starts.
    pub output_at: u32,
    /// Bytes of the `Location`, or of any other answer that is text.
    pub text_bytes: u32,
    /// Bytes of the click's heading: event id, timestamp, signatures.
    pub heading_bytes: u32,
    /// Bytes of the click as JSON.
    pub event_bytes: u32,
    /// Bytes of what is to be logged: of a page what is wrong with the value, else which parts of it were skipped,
    /// a line each.
    pub fault_bytes: u32,
}

/// What [`Engine::run`] can do with its two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Operation {
    /// Takes settings (JSON). 200, or 500 and what is wrong with them.
    Configure = 0,
    /// Reads the slug in a path, or what else KV may have as a key; the second input is `i` on a domain that does not
    /// tell letter case, `m` for the slug without the mark at its end, `im` for both. 200 and the slug, or 404.
    ReadSlug = 1,
    /// The page of this number (text), as the second input, an `Accept` header, wants it. `detail` is 1 for JSON.
    ShowPage = 2,
    /// The preview of a value; the second input is domain, slug and short address, a zero byte between. 200 and HTML,
    /// or a page.
    Preview = 3,
    /// The landing page, from JSON.
    Landing = 4,
    /// Checks the body of `POST /api/url`; the second input is own hosts with spaces between, a zero byte, and random
    /// bytes. 200, then the destination and slugs, a line each; or a problem.
    Shorten = 5,
    /// Whether a value's password is right; the second input is domain, slug and password, a zero byte between. 200,
    /// 401, 501 if it cannot be checked; or a page if the link does not ask.
    CheckPassword = 6,
    /// The cookie that unlocks a value; the second input is the facts of the request. 200, or 501 without a secret.
    Grant = 7,
    /// Signs a body, the second input, under an id. 200, a line break, the timestamp, a line break, the signatures.
    Sign = 8,
    /// The reserved first segments, with spaces between.
    Reserved = 9,
    /// A problem document by its code, with the second input as its detail.
    Problem = 10,
}

impl Operation {
    const ALL: [Self; 11] = [
        Self::Configure,
        Self::ReadSlug,
        Self::ShowPage,
        Self::Preview,
        Self::Landing,
        Self::Shorten,
        Self::CheckPassword,
        Self::Grant,
        Self::Sign,
        Self::Reserved,
        Self::Problem,
    ];

    /// The operation of this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

/// One isolate's engine.
#[derive(Debug, Default)]
pub struct Engine {
    settings: Settings,
    records: Records,
    clicks: Clicks,
    output: Vec<u8>,
}

impl Engine {
    /// The bytes of the last answer.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Answers a visit to a link that exists: `value` is what is stored, `facts` the packed facts of the request.
    ///
    /// A redirect comes with its click, where clicks go anywhere. What cannot be followed is a page and a fault. Status 0 asks for
    /// the visitor's region and city, which a rule needs and the facts do not have.
    pub fn follow(&mut self, value: &[u8], facts: &[u8], now: Timestamp) -> Answer {
        self.output.clear();
        match self.try_follow(value, facts, now) {
            Ok(answer) => answer,
            Err(fault) => {
                self.output.clear();
                self.output.extend_from_slice(fault.as_bytes());
                Answer { fault_bytes: self.output.len() as u32, ..page(Page::BadRecord) }
            }
        }
    }

    fn try_follow(&mut self, value: &[u8], facts: &[u8], now: Timestamp) -> Result<Answer, String> {
        let Self { settings, records, clicks, output } = self;
        let mut facts = Facts::read(facts, now).map_err(|error| error.to_string())?;
        let stored = records.read(value, &settings.schemes)?;
        let asked = settings.asked(facts.domain, facts.slug);
        match stored.home.compare(asked) {
            Place::Right => {}
            Place::OtherDomain => return Ok(page(Page::NotFound)),
            Place::OtherKey => {
                let fault = stored.home.fault(output);
                return Ok(Answer { fault_bytes: fault, ..page(Page::NotFound) });
            }
        }
        let link = read_link(&stored.compact)?;
        if link.needs_place() && !facts.has_place {
            return Ok(Answer::default());
        }
        let skipped = std::mem::take(&mut stored.untold);
        if link.password_hash().is_some() && facts.visit.unlock == Unlock::None {
            facts.visit.unlock = unlock(&link, &facts, settings);
        }
        let decision = decide(&link, &facts.visit).map_err(|error| error.to_string())?;
        let Some((location, source)) = location_of(&decision)?.zip(decision.source) else {
            output.extend_from_slice(skipped.as_bytes());
            return Ok(Answer { fault_bytes: skipped.len() as u32, ..page(page_of(&decision)) });
        };
        // What a program other than the browser opens is never a `Location`, but a link on a page of status 200.
        let leaves_web = !query::is_web(location);
        if leaves_web {
            output.extend_from_slice(leave_page(location).as_bytes());
        } else {
            output.extend_from_slice(location.as_bytes());
        }
        let text_bytes = output.len() as u32;
        let mut answer = Answer {
            status: if leaves_web { 200 } else { u32::from(decision.status) },
            detail: u32::from(!leaves_web && decision.cache_policy == CachePolicy::ShortPrivate),
            text_bytes,
            ..Answer::default()
        };
        if settings.clicks != ClickPath::None {
            let clicked = Clicked { facts: &facts, link: &link, decision: &decision, source };
            let lengths = clicks.write(&clicked, settings, output);
            answer.heading_bytes = lengths.heading as u32;
            answer.event_bytes = lengths.event as u32;
        }
        output.extend_from_slice(skipped.as_bytes());
        answer.fault_bytes = skipped.len() as u32;
        Ok(answer)
    }

    /// Runs one of the rarer operations; see [`Operation`].
    pub fn run(&mut self, operation: Operation, first: &[u8], second: &[u8], now: Timestamp) -> Answer {
        self.output.clear();
        match operation {
            Operation::Configure => self.configure(first),
            Operation::ReadSlug => self.read_slug(first, second),
            Operation::ShowPage => self.show_page(first, second),
            Operation::Preview => self.preview(first, second, now),
            Operation::Landing => {
                let landing: Landing = serde_json::from_slice(first).unwrap_or_default();
                self.text(200, landing.html().as_bytes())
            }
            Operation::Shorten => self.shorten(first, second),
            Operation::CheckPassword => self.check_password(first, second, now),
            Operation::Grant => self.grant(first, second, now),
            Operation::Sign => {
                let id = String::from_utf8_lossy(first);
                write_signature(&id, now.as_micros(), second, &self.settings, &mut self.output);
                Answer { status: 200, text_bytes: self.output.len() as u32, ..Answer::default() }
            }
            Operation::Reserved => self.text(200, RESERVED.join(" ").as_bytes()),
            Operation::Problem => {
                let code = str::from_utf8(first).ok().and_then(ProblemCode::from_name);
                let code = code.unwrap_or(ProblemCode::Unavailable);
                let (status, document) = problem(code, &String::from_utf8_lossy(second), &[]);
                self.text(status, &document)
            }
        }
    }

    fn text(&mut self, status: u16, text: &[u8]) -> Answer {
        self.output.extend_from_slice(text);
        Answer { status: status.into(), text_bytes: text.len() as u32, ..Answer::default() }
    }

    fn configure(&mut self, json: &[u8]) -> Answer {
        match Settings::read(json) {
            Ok(settings) => {
                self.records = Records::new(settings.records_kept);
                self.clicks = Clicks::default();
                self.settings = settings;
                self.text(200, b"")
            }
            Err(faults) => self.text(500, faults.as_bytes()),
        }
    }

    fn read_slug(&mut self, path: &[u8], case: &[u8]) -> Answer {
        let slug_in = if case.ends_with(b"m") { without_closing_mark } else { key_from_request_path };
        let slug = str::from_utf8(path).ok().and_then(|path| slug_in(path, case.starts_with(b"i")));
        match slug {
            Some(slug) if reserved_word(&slug).is_none() => self.text(200, slug.as_bytes()),
            Some(_) | None => page(Page::NotFound),
        }
    }

    fn show_page(&mut self, number: &[u8], accept: &[u8]) -> Answer {
        let number: Option<usize> = str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        let shown = number.and_then(|number| Page::ALL.get(number).copied()).unwrap_or(Page::BadRecord);
        let is_json = str::from_utf8(accept).is_ok_and(prefers_json);
        let text = if is_json { shown.problem() } else { shown.html() };
        Answer { detail: is_json.into(), ..self.text(shown.status(), text.as_bytes()) }
    }

    /// The link of a value, if it is the one that was requested.
    fn link(&mut self, value: &[u8], domain: &str, slug: &str) -> Result<CompactLink<'_>, Page> {
        let Self { settings, records, .. } = self;
        let stored = records.read(value, &settings.schemes).map_err(|_| Page::BadRecord)?;
        match stored.home.compare(settings.asked(domain, slug)) {
            Place::Right => read_link(&stored.compact).map_err(|_| Page::BadRecord),
            Place::OtherDomain | Place::OtherKey => Err(Page::NotFound),
        }
    }

    fn preview(&mut self, value: &[u8], second: &[u8], now: Timestamp) -> Answer {
        let (domain, slug, short_text) = three_texts(second);
        let short_text = String::from_utf8_lossy(short_text);
        let link = self.link(value, domain, slug);
        match link.and_then(|link| preview(&link, &short_text, &Visit::at(now))) {
            Ok(html) => self.text(200, html.as_bytes()),
            Err(shown) => page(shown),
        }
    }

    fn shorten(&mut self, body: &[u8], second: &[u8]) -> Answer {
        let end = second.iter().position(|byte| *byte == 0).unwrap_or(second.len());
        let (own_hosts, random) = (String::from_utf8_lossy(&second[..end]), second.get(end + 1..).unwrap_or_default());
        match shorten(body, &own_hosts, random) {
            Ok(made) => {
                let lines = made.slugs.iter().map(waypost_core::Slug::as_str);
                let text: Vec<&str> = std::iter::once(made.destination.as_str()).chain(lines).collect();
                self.text(200, text.join("\n").as_bytes())
            }
            Err((status, document)) => self.text(status, &document),
        }
    }

    fn check_password(&mut self, value: &[u8], second: &[u8], now: Timestamp) -> Answer {
        let (domain, slug, password) = three_texts(second);
        let link = match self.link(value, domain, slug) {
            Ok(link) => link,
            Err(shown) => return page(shown),
        };
        // As a GET is decided, so that nobody learns more from posting.
        let visit = Visit::at(now);
        let (action, hash) = match decide(&link, &visit) {
            Ok(decision) => (decision.action, link.password_hash()),
            Err(_) => return page(Page::BadRecord),
        };
        let shown = match (action, hash) {
            (Action::Unlock, Some(hash)) if !password.is_empty() => {
                return match password::is_right(password, hash) {
                    Some(true) => self.text(200, b""),
                    Some(false) => page(Page::UnlockRefused),
                    None => self.text(501, b"the link's password hash cannot be checked here"),
                };
            }
            (Action::Unlock, Some(_)) => Page::UnlockRefused,
            // Whether nothing is there or a link without a form must not be visible in this answer.
            (Action::Unlock | Action::Redirect | Action::MethodNotAllowed | Action::NotFound | Action::Gone, _) => {
                Page::MethodNotAllowed
            }
        };
        page(shown)
    }

    fn grant(&mut self, value: &[u8], facts: &[u8], now: Timestamp) -> Answer {
        let Ok(facts) = Facts::read(facts, now) else { return page(Page::BadRecord) };
        let grant_key = self.settings.secrets.grant_key();
        let link = match self.link(value, facts.domain, facts.slug) {
            Ok(link) => link,
            Err(shown) => return page(shown),
        };
        let Some(key) = grant_key else {
            return self.text(501, b"a link can be unlocked only where WEBHOOK_SECRET is set");
        };
        let subject = subject(link.link_id(), facts.domain, facts.slug);
        let granted = GrantedLink { subject: &subject, version: link.version() };
        let scope = CookieScope { path: facts.path, is_https: true };
        let cookie = key.set_cookie(granted, scope, now, GRANT_SECONDS);
        self.text(200, cookie.as_bytes())
    }
}

/// The two strings before the first two zero bytes, and whatever is behind them.
fn three_texts(bytes: &[u8]) -> (&str, &str, &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (first, second, third) = (part(), part(), part());
    (str::from_utf8(first).unwrap_or_default(), str::from_utf8(second).unwrap_or_default(), third)
}

fn read_link(bytes: &[u8]) -> Result<CompactLink<'_>, String> {
    CompactLink::read(bytes).map_err(|error| error.to_string())
}

fn unlock(link: &CompactLink<'_>, facts: &Facts<'_>, settings: &Settings) -> Unlock {
    let Some(key) = settings.secrets.grant_key().filter(|_| !facts.cookies.is_empty()) else { return Unlock::None };
    let subject = subject(link.link_id(), facts.domain, facts.slug);
    let granted = GrantedLink { subject: &subject, version: link.version() };
    if key.is_granted(facts.cookies, granted, facts.visit.now) { Unlock::Granted } else { Unlock::None }
}

/// The `Location` of a redirect. Nothing but printable ASCII gets out, whatever was stored or requested.
fn location_of<'d>(decision: &'d Decision<'_>) -> Result<Option<&'d str>, String> {
    if decision.action != Action::Redirect {
        return Ok(None);
    }
    let is_sendable =
        |location: &&str| !location.is_empty() && location.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let location = decision.location.as_deref().filter(is_sendable);
    location.map(Some).ok_or_else(|| "the decision has a location that fits no header".to_owned())
}

fn page_of(decision: &Decision<'_>) -> Page {
    match decision.action {
        Action::NotFound => Page::NotFound,
        Action::Gone => Page::Gone,
        Action::Unlock if decision.status == 401 => Page::UnlockRefused,
        Action::Unlock => Page::Unlock,
        Action::MethodNotAllowed => Page::MethodNotAllowed,
        Action::Redirect => Page::BadRecord,
    }
}

fn page(page: Page) -> Answer {
    let number = Page::ALL.iter().position(|known| *known == page).unwrap_or_default();
    Answer { status: page.status().into(), detail: number as u32, ..Answer::default() }
}

#[cfg(test)]
mod tests;
