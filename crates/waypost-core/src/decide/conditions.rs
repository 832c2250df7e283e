//! Whether the conditions of a rule hold for a visit.

use std::cell::OnceCell;

use super::Evaluation;
use crate::browser::{self, Browser};
use crate::compact::{CorruptRecord, Reader, condition, country_code};
use crate::device::{self, Device, Os};
use crate::network::Network;
use crate::opening_hours::OpeningHours;
use crate::trace::Trace;
use crate::zone_rule::{ZoneRule, weekday_of};
use crate::{language, query, referrer};

const SECONDS_PER_DAY: i64 = 86_400;

/// Facts of a visit that are costly to read. Each is read once, when a condition first needs it.
#[derive(Default)]
pub(super) struct Facts<'v> {
    device_and_os: OnceCell<(Device, Os)>,
    browser: OnceCell<Browser>,
    referrer_host: OnceCell<Option<&'v str>>,
}

/// The condition of a rule that does not hold.
#[derive(Clone, Copy)]
pub(super) struct Failed {
    pub(super) bit: u16,
    /// Whether it is one of `not`, which matches.
    pub(super) is_excluded: bool,
}

/// What the members of a condition must do, for conditions that are more than a list of alternatives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    All,
    Any,
}

impl<'a, T: Trace<'a>> Evaluation<'_, 'a, '_, T> {
    /// The first condition that does not hold. The reader is then in the middle of the step; if all hold, it is at the
    /// target. Stops at the first one, so that facts of the visit are not read for a rule that already failed.
    pub(super) fn failed_condition(
        &self,
        step: &mut Reader<'a>,
        present: u16,
    ) -> Result<Option<Failed>, CorruptRecord> {
        let mut bits = present;
        while bits != 0 {
            let bit = 1 << bits.trailing_zeros();
            let failed = if bit >= condition::BROWSERS {
                self.failed_later_condition(step, bit)?
            } else {
                (!self.condition_holds(step, bit, Members::All)?).then_some(Failed { bit, is_excluded: false })
            };
            if failed.is_some() {
                return Ok(failed);
            }
            bits &= !bit;
        }
        Ok(None)
    }

    /// Evaluates a condition that few rules have.
    #[inline(never)]
    fn failed_later_condition(&self, step: &mut Reader<'a>, bit: u16) -> Result<Option<Failed>, CorruptRecord> {
        if bit != condition::NOT {
            return Ok(
                (!self.later_condition_holds(step, bit, Members::All)?).then_some(Failed { bit, is_excluded: false })
            );
        }
        let mut bits = step.u16()?;
        while bits != 0 {
            let bit = 1 << bits.trailing_zeros();
            let is_excluded = if bit >= condition::BROWSERS {
                self.later_condition_holds(step, bit, Members::Any)?
            } else {
                self.condition_holds(step, bit, Members::Any)?
            };
            if is_excluded {
                return Ok(Some(Failed { bit, is_excluded }));
            }
            bits &= !bit;
        }
        Ok(None)
    }

    /// Evaluates one condition, and moves the reader past it.
    fn condition_holds(&self, step: &mut Reader<'a>, bit: u16, members: Members) -> Result<bool, CorruptRecord> {
        let now = self.visit.now.as_micros();
        match bit {
            condition::COUNTRIES => {
                let country = self.visit.country.and_then(country_code);
                let mut any = false;
                for _ in 0..step.u16()? {
                    any |= Some(step.array::<2>()?) == country;
                }
                Ok(any)
            }
            condition::DEVICES => Ok(step.u8()? & self.device().bit() != 0),
            condition::OS => Ok(step.u8()? & self.os().bit() != 0),
            condition::LANGUAGES => {
                let accepted = self.visit.accept_language.unwrap_or("");
                any_text(step, |range| language::accepts(accepted, range))
            }
            condition::REFERRERS => {
                let host = self.referrer_host();
                any_text(step, |site| host.is_some_and(|host| referrer::is_within(host, site)))
            }
            condition::QUERY => {
                let query = self.visit.query.unwrap_or("");
                members.match_in(step, |step| {
                    let (name, value) = (step.text()?, step.text()?);
                    Ok(move || query::has_pair(query, name, value))
                })
            }
            condition::FROM => Ok(now >= step.i64()?),
            condition::UNTIL => Ok(now < step.i64()?),
            _ => Err(CorruptRecord),
        }
    }

    /// Evaluates one condition of the second byte of the set, and moves the reader past it.
    fn later_condition_holds(&self, step: &mut Reader<'a>, bit: u16, members: Members) -> Result<bool, CorruptRecord> {
        match bit {
            condition::BROWSERS => Ok(step.u8()? & self.browser().bit() != 0),
            condition::REGIONS => any_of(step, self.visit.region),
            condition::CITIES => any_of(step, self.visit.city),
            condition::ADDRESSES => {
                let mut any = false;
                for _ in 0..step.u16()? {
                    let network = Network { bits: step.u8()?, address: step.array()? };
                    any |= self.visit.ip.is_some_and(|address| network.contains(address));
                }
                Ok(any)
            }
            condition::QUERY_PRESENT => {
                let query = self.visit.query.unwrap_or("");
                members.match_in(step, |step| {
                    let name = step.text()?;
                    Ok(move || query::has_name(query, name.as_bytes()))
                })
            }
            condition::PREFERRED_LANGUAGES => {
                let accepted = self.visit.accept_language.unwrap_or("");
                let own = best_language(step, accepted)?;
                Ok(best_language(step, accepted)? == own && own > 0)
            }
            condition::SCHEDULE => self.schedule_holds(step),
            _ => Err(CorruptRecord),
        }
    }

    fn schedule_holds(&self, step: &mut Reader<'a>) -> Result<bool, CorruptRecord> {
        let rule = ZoneRule::parse(step.text()?).ok_or(CorruptRecord)?;
        let now = self.visit.now.as_micros().div_euclid(1_000_000);
        let local = now + rule.offset_at(now);
        let (day, second) = (local.div_euclid(SECONDS_PER_DAY), local.rem_euclid(SECONDS_PER_DAY));
        let minute = (weekday_of(day) * 1_440 + second / 60) as u16;
        let mut any = false;
        for _ in 0..step.u16()? {
            any |= OpeningHours { days: step.u8()?, from: step.u16()?, until: step.u16()? }.contains(minute);
        }
        Ok(any)
    }

    fn device(&self) -> Device {
        self.device_and_os().0
    }

    fn os(&self) -> Os {
        self.device_and_os().1
    }

    fn device_and_os(&self) -> (Device, Os) {
        let read = || device::device_and_os(self.visit.user_agent.unwrap_or(""));
        *self.facts.device_and_os.get_or_init(read)
    }

    fn browser(&self) -> Browser {
        *self.facts.browser.get_or_init(|| browser::browser(self.visit.user_agent.unwrap_or("")))
    }

    pub(super) fn referrer_host(&self) -> Option<&str> {
        *self.facts.referrer_host.get_or_init(|| self.visit.referrer.and_then(referrer::host))
    }

    /// What a condition examined, for the trace. Never the visitor's address: traces are stored and shown.
    pub(super) fn seen(&self, bit: u16) -> Option<String> {
        match bit {
            condition::COUNTRIES => self.visit.country.map(str::to_owned),
            condition::REGIONS => self.visit.region.map(str::to_owned),
            condition::CITIES => self.visit.city.map(str::to_owned),
            condition::ADDRESSES => None,
            condition::DEVICES => Some(self.device().name().to_owned()),
            condition::OS => Some(self.os().name().to_owned()),
            condition::BROWSERS => Some(self.browser().name().to_owned()),
            condition::LANGUAGES | condition::PREFERRED_LANGUAGES => self.visit.accept_language.map(str::to_owned),
            condition::REFERRERS => self.referrer_host().map(str::to_owned),
            condition::QUERY | condition::QUERY_PRESENT => self.visit.query.map(str::to_owned),
            _ => Some(self.visit.now.to_string()),
        }
    }
}

impl Members {
    /// Whether as many members of a list match as must. `member` moves the reader past one and returns
    /// how to evaluate it, which is skipped after the result is known.
    fn match_in<'a, F: FnOnce() -> bool>(
        self,
        step: &mut Reader<'a>,
        mut member: impl FnMut(&mut Reader<'a>) -> Result<F, CorruptRecord>,
    ) -> Result<bool, CorruptRecord> {
        let undecided = self == Self::All;
        let mut holds = undecided;
        for _ in 0..step.u16()? {
            let matches = member(step)?;
            if holds == undecided {
                holds = matches();
            }
        }
        Ok(holds)
    }
}

/// Whether any string of a counted list fits. Moves the reader past the whole list.
pub(super) fn any_text<'a>(reader: &mut Reader<'a>, fits: impl Fn(&'a str) -> bool) -> Result<bool, CorruptRecord> {
    let mut any = false;
    for _ in 0..reader.u16()? {
        let text = reader.text()?;
        any = any || fits(text);
    }
    Ok(any)
}

/// Whether a fact is one of a counted list, in any letter case of ASCII.
fn any_of(step: &mut Reader<'_>, fact: Option<&str>) -> Result<bool, CorruptRecord> {
    any_text(step, |text| fact.is_some_and(|fact| fact.eq_ignore_ascii_case(text)))
}

/// How much the visitor prefers the best language of a counted list; 0 if they accept none.
fn best_language(step: &mut Reader<'_>, accepted: &str) -> Result<u32, CorruptRecord> {
    let mut best = 0;
    for _ in 0..step.u16()? {
        best = best.max(language::preference(accepted, step.text()?));
    }
    Ok(best)
}
