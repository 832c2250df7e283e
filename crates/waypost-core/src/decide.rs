//! The one function that decides where a visit goes.
//!
//! [`decide`] walks a compiled link in a fixed order; the first step that applies wins:
//!
//! | step | applies | outcome |
//! |---|---|---|
//! | method | not `GET` or `HEAD` (nor `POST` on a password link) | 405 |
//! | enabled, starts_at | switched off, or too early | 404 |
//! | expires_at | too late | `expired_url` (302), else 410 |
//! | password | set, and not unlocked | the unlock form, 200, or 401 after a wrong password |
//! | steps of the plan | all conditions hold | that destination |
//! | default | always | the destination |
//!
//! It is total: there is a decision for every link and every visit; and deterministic: it is always the same one.

mod conditions;

use std::borrow::Cow;

use serde::Serialize;

use self::conditions::{Facts, Failed, any_text};
use crate::coded::coded_enum;
use crate::compact::{CompactId, CompactLink, CorruptRecord, LIMIT_REACHED, Reader, StepSource, condition};
use crate::time::Timestamp;
use crate::trace::{Trace, TraceStep};
use crate::visit::{Method, Unlock, Visit};
use crate::{query, referrer, split};

/// What to do with a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Redirect the visitor.
    Redirect,
    /// Answer as if the link did not exist.
    NotFound,
    /// Answer that the link has expired.
    Gone,
    /// Ask for the password.
    Unlock,
    /// Refuse the method.
    MethodNotAllowed,
}

coded_enum! {
    /// What supplied the destination.
    pub enum Source {
        /// A general rule.
        Rule = 0 "rule",
        /// A destination for a time.
        EvolutionRule = 1 "evolution_rule",
        /// A destination for a country.
        GeoRule = 2 "geo_rule",
        /// The link's split.
        AbTest = 3 "ab_test",
        /// The link's own destination.
        Default = 4 "default",
        /// The destination of an expired link.
        Expired = 5 "expired",
    }
}

/// How browsers and caches may keep a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CachePolicy {
    /// Never kept: temporary redirects, everything that varies between visitors, and every response that is not a
    /// redirect.
    NoStore,
    /// Kept by the visitor's own browser for a minute: permanent redirects, so that edits and counts still work.
    ShortPrivate,
}

impl CachePolicy {
    /// The value of `Cache-Control`.
    pub const fn header_value(self) -> &'static str {
        match self {
            Self::NoStore => "private, no-store",
            Self::ShortPrivate => "private, max-age=60",
        }
    }

    /// The policy's name in JSON and tests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoStore => "no_store",
            Self::ShortPrivate => "short_private",
        }
    }
}

/// Where a visit goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision<'a> {
    /// What to do.
    pub action: Action,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The `Location` of a redirect: printable ASCII, the URL Standard's serialisation.
    pub location: Option<Cow<'a, str>>,
    /// What supplied the destination, of a redirect.
    pub source: Option<Source>,
    /// The id of the rule that supplied it, if it has one.
    pub rule_id: Option<CompactId<'a>>,
    /// The position of that rule in the order in which the link's rules are evaluated, from 1. Not serialised.
    #[serde(skip)]
    pub rule_place: Option<u16>,
    /// The id of the split that supplied it.
    pub ab_test_id: Option<CompactId<'a>>,
    /// The variant of that split.
    pub variant_id: Option<CompactId<'a>>,
    /// How the response may be kept.
    pub cache_policy: CachePolicy,
}

/// Decides where a visit to a link goes.
///
/// # Errors
/// If the link's bytes are damaged although their checksum is right. Then no part of them may be followed.
pub fn decide<'a>(link: &CompactLink<'a>, visit: &Visit<'_>) -> Result<Decision<'a>, CorruptRecord> {
    Evaluation { link, visit, facts: Facts::default(), trace: () }.run()
}

/// [`decide`], with the trace of every step.
///
/// # Errors
/// As [`decide`].
pub fn explain<'a>(
    link: &CompactLink<'a>,
    visit: &Visit<'_>,
) -> Result<(Decision<'a>, Vec<TraceStep<'a>>), CorruptRecord> {
    let mut evaluation = Evaluation { link, visit, facts: Facts::default(), trace: Vec::new() };
    let decision = evaluation.run()?;
    Ok((decision, evaluation.trace))
}

struct Evaluation<'e, 'a, 'v, T> {
    link: &'e CompactLink<'a>,
    visit: &'e Visit<'v>,
    facts: Facts<'v>,
    trace: T,
}

/// A destination and what supplied it.
struct Supplied<'a> {
    destination: &'a str,
    source: Source,
    rule_id: Option<CompactId<'a>>,
    rule_place: Option<u16>,
    variant: Option<Chosen<'a>>,
}

impl<'a> Supplied<'a> {
    /// A destination that no rule supplied.
    const fn by_link(destination: &'a str, source: Source) -> Self {
        Self { destination, source, rule_id: None, rule_place: None, variant: None }
    }
}

/// A variant of a split.
#[derive(Clone, Copy)]
struct Chosen<'a> {
    test: Option<CompactId<'a>>,
    variant: Option<CompactId<'a>>,
    destination: &'a str,
}

impl<'a, T: Trace<'a>> Evaluation<'_, 'a, '_, T> {
    fn run(&mut self) -> Result<Decision<'a>, CorruptRecord> {
        if let Some(refusal) = self.refusal() {
            return Ok(refusal);
        }
        let supplied = match self.expired() {
            Some(None) => return Ok(answer(Action::Gone, 410)),
            Some(Some(destination)) => Supplied::by_link(destination, Source::Expired),
            None => match self.locked() {
                Some(decision) => return Ok(decision),
                None => self.destination()?,
            },
        };
        let location = self.complete(supplied.destination)?;
        let status = if supplied.source == Source::Expired { 302 } else { self.link.redirect_status() };
        let permanent = matches!(status, 301 | 308);
        Ok(Decision {
            action: Action::Redirect,
            status,
            location: Some(location),
            source: Some(supplied.source),
            rule_id: supplied.rule_id,
            rule_place: supplied.rule_place,
            ab_test_id: supplied.variant.and_then(|chosen| chosen.test),
            variant_id: supplied.variant.and_then(|chosen| chosen.variant),
            cache_policy: if permanent && !self.link.varies() {
                CachePolicy::ShortPrivate
            } else {
                CachePolicy::NoStore
            },
        })
    }

    /// Steps `method`, `enabled` and `starts_at`: reasons to answer as if the link did not exist.
    fn refusal(&mut self) -> Option<Decision<'a>> {
        let allowed = match self.visit.method {
            Method::Get | Method::Head => true,
            Method::Post => self.link.password_hash().is_some(),
            Method::Other => false,
        };
        let method = self.visit.method;
        self.note("method", None, !allowed, || (Some(format!("{method:?}").to_uppercase()), allowed_text(allowed)));
        if !allowed {
            return Some(answer(Action::MethodNotAllowed, 405));
        }
        let enabled = self.link.enabled();
        self.note("enabled", None, !enabled, || {
            (None, if enabled { "the link is on" } else { "the link is off" }.into())
        });
        if !enabled {
            return Some(answer(Action::NotFound, 404));
        }
        let now = self.visit.now;
        let starts_at = self.link.starts_at();
        let early = starts_at.is_some_and(|starts_at| now.as_micros() < starts_at);
        self.note("starts_at", None, early, || (Some(now.to_string()), compared("the link starts", starts_at)));
        early.then(|| answer(Action::NotFound, 404))
    }

    /// Step `expires_at`: `None` for a link that has not expired; else its `expired_url`, if it has one.
    fn expired(&mut self) -> Option<Option<&'a str>> {
        let now = self.visit.now;
        let expires_at = self.link.expires_at();
        let late = expires_at.is_some_and(|expires_at| now.as_micros() >= expires_at);
        self.note("expires_at", None, late, || match expires_at {
            Some(LIMIT_REACHED) => (None, "as many people came as may".into()),
            _ => (Some(now.to_string()), compared("the link ends", expires_at)),
        });
        late.then(|| self.link.expired_url())
    }

    /// Step `password`.
    fn locked(&mut self) -> Option<Decision<'a>> {
        let locked = self.link.password_hash().is_some() && self.visit.unlock != Unlock::Granted;
        let has_password = self.link.password_hash().is_some();
        let unlock = self.visit.unlock;
        self.note("password", None, locked, || {
            let why = match (has_password, unlock) {
                (false, _) => "the link has no password",
                (true, Unlock::Granted) => "the visit carries a valid unlock",
                (true, Unlock::None) => "the visit carries no unlock",
                (true, Unlock::Refused) => "the password was wrong",
            };
            (None, why.into())
        });
        let status = if unlock == Unlock::Refused { 401 } else { 200 };
        locked.then(|| answer(Action::Unlock, status))
    }

    /// The steps of the plan, then the link's own destination.
    fn destination(&mut self) -> Result<Supplied<'a>, CorruptRecord> {
        if let Some(mut steps) = self.link.steps()? {
            for place in 1..=steps.u16()? {
                if let Some(supplied) = self.step(steps.sized()?)? {
                    let rule_place = (supplied.source != Source::AbTest).then_some(place);
                    return Ok(Supplied { rule_place, ..supplied });
                }
            }
        }
        self.note("default", None, true, || (None, "nothing before it applied".into()));
        Ok(Supplied::by_link(self.link.destination(), Source::Default))
    }

    fn step(&mut self, mut step: Reader<'a>) -> Result<Option<Supplied<'a>>, CorruptRecord> {
        let (source, has_more) = step.source()?;
        let mut conditions = u16::from(step.u8()?);
        let rule_id = step.id()?;
        if has_more {
            conditions |= u16::from(step.u8()?) << 8;
        }
        let failed = self.failed_condition(&mut step, conditions)?;
        let (name, source) = match source {
            StepSource::Rule => ("rule", Source::Rule),
            StepSource::EvolutionRule => ("evolution_rule", Source::EvolutionRule),
            StepSource::GeoRule => ("geo_rule", Source::GeoRule),
            StepSource::AbTest => ("ab_test", Source::AbTest),
        };
        if let Some(failed) = failed {
            let looked_at = T::IS_KEPT.then(|| self.seen(failed.bit)).flatten();
            self.note(name, rule_id, false, || (looked_at, failed_text(failed)));
            return Ok(None);
        }
        if step.u8()? == 0 {
            self.note(name, rule_id, true, || (None, "every condition holds".into()));
            return Ok(Some(Supplied { rule_id, ..Supplied::by_link(step.text()?, source) }));
        }
        let chosen = self.variant(&mut step)?;
        let shown = if source == Source::AbTest { chosen.ok().and_then(|chosen| chosen.test) } else { rule_id };
        self.note(name, shown, chosen.is_ok(), || match chosen {
            Ok(chosen) => (None, format!("the visitor belongs to variant {}", text_of(chosen.variant))),
            Err(why) => (None, why.into()),
        });
        Ok(chosen.ok().map(|chosen| Supplied {
            destination: chosen.destination,
            source,
            rule_id,
            rule_place: None,
            variant: Some(chosen),
        }))
    }

    /// The visitor's variant of a split, or why the split does not apply.
    fn variant(&self, step: &mut Reader<'a>) -> Result<Result<Chosen<'a>, &'static str>, CorruptRecord> {
        let test = step.id()?;
        let active = step.u8()? != 0;
        let total = step.u64()?;
        if !active {
            return Ok(Err("the split is not active"));
        }
        if total == 0 {
            return Ok(Err("the split has no weight"));
        }
        let test_text = test.as_ref().map(CompactId::to_text).unwrap_or_default();
        let mut left = split::bucket(&test_text, self.visit, total);
        for _ in 0..step.u16()? {
            let weight = u64::from(step.u32()?);
            let variant = step.id()?;
            if left < weight {
                return Ok(Ok(Chosen { test, variant, destination: step.text()? }));
            }
            left -= weight;
            step.skip_texts(1)?;
        }
        Err(CorruptRecord)
    }

    /// Completes the query of a destination with UTM parameters and the visitor's own.
    fn complete(&mut self, destination: &'a str) -> Result<Cow<'a, str>, CorruptRecord> {
        let forwarded = if self.link.forward_query() { query::forwardable(self.visit.query) } else { None };
        let section = self.link.utm_section()?;
        if section.is_none() && forwarded.is_none() {
            return Ok(Cow::Borrowed(destination));
        }
        let utms = match section {
            Some(section) => self.utms(section)?,
            None => [None; 5],
        };
        if forwarded.is_some() {
            self.note("forward_query", None, true, || (None, "the visitor's query goes along".into()));
        }
        Ok(query::complete(destination, utms, forwarded))
    }

    /// The parameters of the first template that matches, then the link's own if that has none.
    fn utms(&mut self, mut section: Reader<'a>) -> Result<[Option<&'a str>; 5], CorruptRecord> {
        let own = read_utms(&mut section)?;
        for _ in 0..section.u16()? {
            let mut template = section.sized()?;
            let host = self.referrer_host();
            let matches = any_text(&mut template, |site| host.is_some_and(|host| referrer::is_within(host, site)))?;
            let looked_at = T::IS_KEPT.then(|| host.map(str::to_owned)).flatten();
            self.note("utm_template", None, matches, || {
                (
                    looked_at,
                    if matches {
                        "the referrer is one of its platforms"
                    } else {
                        "the referrer is none of its platforms"
                    }
                    .into(),
                )
            });
            if matches {
                let values = read_utms(&mut template)?;
                return Ok(std::array::from_fn(|at| values[at].or(own[at])));
            }
        }
        Ok(own)
    }

    /// Adds a step to the trace, if there is one.
    fn note(
        &mut self,
        step: &'static str,
        id: Option<CompactId<'a>>,
        applied: bool,
        text: impl FnOnce() -> (Option<String>, String),
    ) {
        if T::IS_KEPT {
            let (looked_at, why) = text();
            self.trace.push(TraceStep { step, id, applied, looked_at, why });
        }
    }
}

/// A decision that is not a redirect.
const fn answer<'a>(action: Action, status: u16) -> Decision<'a> {
    Decision {
        action,
        status,
        location: None,
        source: None,
        rule_id: None,
        rule_place: None,
        ab_test_id: None,
        variant_id: None,
        cache_policy: CachePolicy::NoStore,
    }
}

fn read_utms<'a>(reader: &mut Reader<'a>) -> Result<[Option<&'a str>; 5], CorruptRecord> {
    let mut values = [None; 5];
    for value in &mut values {
        *value = reader.optional_text()?;
    }
    Ok(values)
}

fn text_of(id: Option<CompactId<'_>>) -> String {
    id.map(|id| id.to_text().into_owned()).unwrap_or_default()
}

fn allowed_text(allowed: bool) -> String {
    if allowed { "the method is allowed" } else { "links answer GET and HEAD" }.into()
}

fn compared(what: &str, bound: Option<i64>) -> String {
    match bound {
        Some(micros) => format!("{what} at {}", Timestamp::from_micros(micros)),
        None => format!("{what} at no set time"),
    }
}

/// Why a rule does not apply, for people.
fn failed_text(failed: Failed) -> String {
    let (name, why) = match failed.bit {
        condition::COUNTRIES => ("countries", "the visitor's country is not listed"),
        condition::REGIONS => ("regions", "the visitor's region is not listed"),
        condition::CITIES => ("cities", "the visitor's city is not listed"),
        condition::ADDRESSES => ("addresses", "the visitor's address is not listed"),
        condition::DEVICES => ("devices", "the visitor's device is not listed"),
        condition::OS => ("os", "the visitor's system is not listed"),
        condition::BROWSERS => ("browsers", "the visitor's browser is not listed"),
        condition::LANGUAGES => ("languages", "no listed language is accepted"),
        condition::PREFERRED_LANGUAGES => {
            ("preferred_languages", "another rule has a language that the visitor prefers")
        }
        condition::REFERRERS => ("referrers", "the referrer is not listed"),
        condition::QUERY => ("query", "a parameter is missing or has another value"),
        condition::QUERY_PRESENT => ("query_present", "a parameter is missing"),
        condition::SCHEDULE => ("schedule", "it is outside the hours"),
        condition::FROM => ("from", "its time has not come"),
        _ => ("until", "its time is over"),
    };
    if failed.is_excluded { format!("`not` excludes the visit by its {name}") } else { why.into() }
}
