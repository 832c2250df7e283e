//! Writing the conditions of a step. The format is described in [`super`].

use std::fmt::Display;

use super::{CompileError, CompileFault, Writer, fault};
use crate::browser::Browser;
use crate::device::{Device, Os};
use crate::network::Network;
use crate::opening_hours::OpeningHours;
use crate::record::{Conditions, LinkRecord, Schedule};
use crate::zone_rule::ZoneRule;

/// Bits of a step's set of conditions, in the order in which they are written.
pub(crate) mod condition {
    pub(crate) const COUNTRIES: u16 = 1;
    pub(crate) const DEVICES: u16 = 2;
    pub(crate) const OS: u16 = 4;
    pub(crate) const LANGUAGES: u16 = 8;
    pub(crate) const REFERRERS: u16 = 16;
    pub(crate) const QUERY: u16 = 32;
    pub(crate) const FROM: u16 = 64;
    pub(crate) const UNTIL: u16 = 128;
    pub(crate) const BROWSERS: u16 = 1 << 8;
    pub(crate) const REGIONS: u16 = 1 << 9;
    pub(crate) const CITIES: u16 = 1 << 10;
    pub(crate) const ADDRESSES: u16 = 1 << 11;
    pub(crate) const QUERY_PRESENT: u16 = 1 << 12;
    pub(crate) const PREFERRED_LANGUAGES: u16 = 1 << 13;
    pub(crate) const SCHEDULE: u16 = 1 << 14;
    pub(crate) const NOT: u16 = 1 << 15;
}

/// The set of the conditions that are present.
pub(super) fn present(when: &Conditions) -> u16 {
    [
        (when.countries.is_some(), condition::COUNTRIES),
        (when.devices.is_some(), condition::DEVICES),
        (when.os.is_some(), condition::OS),
        (when.languages.is_some(), condition::LANGUAGES),
        (when.referrers.is_some(), condition::REFERRERS),
        (when.query.is_some(), condition::QUERY),
        (when.from.is_some(), condition::FROM),
        (when.until.is_some(), condition::UNTIL),
        (when.browsers.is_some(), condition::BROWSERS),
        (when.regions.is_some(), condition::REGIONS),
        (when.cities.is_some(), condition::CITIES),
        (when.addresses.is_some(), condition::ADDRESSES),
        (when.query_present.is_some(), condition::QUERY_PRESENT),
        (when.preferred_languages.is_some(), condition::PREFERRED_LANGUAGES),
        (when.schedule.is_some(), condition::SCHEDULE),
        (when.not.is_some(), condition::NOT),
    ]
    .iter()
    .filter(|(set, _)| *set)
    .fold(0, |bits, (_, bit)| bits | bit)
}

/// All languages that rules of a record prefer.
pub(super) fn preferred_languages(record: &LinkRecord) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for language in record.rules.iter().filter_map(|rule| rule.when.preferred_languages.as_ref()).flatten() {
        if !all.contains(language) {
            all.push(language.clone());
        }
    }
    all
}

/// Whether a rule of a record asks for the visitor's region or city.
pub(super) fn needs_place(record: &LinkRecord) -> bool {
    let asks = |when: &Conditions| when.regions.is_some() || when.cities.is_some();
    record.rules.iter().any(|rule| asks(&rule.when) || rule.when.not.as_deref().is_some_and(asks))
}

impl Writer<'_> {
    pub(super) fn conditions(&mut self, field: &dyn Display, when: &Conditions) -> Result<(), CompileError> {
        if let Some(countries) = &when.countries {
            let codes: Vec<[u8; 2]> = countries.iter().filter_map(|code| country_code(code)).collect();
            self.count(field, codes.len())?;
            codes.iter().for_each(|code| self.put(code));
        }
        if let Some(devices) = &when.devices {
            self.put(&[set_of(devices, &Device::NAMES, Device::bit)]);
        }
        if let Some(systems) = &when.os {
            self.put(&[set_of(systems, &Os::NAMES, Os::bit)]);
        }
        self.optional_list(field, when.languages.as_deref())?;
        if let Some(referrers) = &when.referrers {
            self.sites(field, referrers)?;
        }
        if let Some(query) = &when.query {
            self.count(field, query.len())?;
            for (name, value) in query {
                self.text(field, name)?;
                self.text(field, value)?;
            }
        }
        for bound in [when.from, when.until].into_iter().flatten() {
            self.put(&bound.as_micros().to_le_bytes());
        }
        self.later_conditions(field, when)
    }

    /// The conditions of the second byte of the set.
    fn later_conditions(&mut self, field: &dyn Display, when: &Conditions) -> Result<(), CompileError> {
        if let Some(browsers) = &when.browsers {
            self.put(&[set_of(browsers, &Browser::NAMES, Browser::bit)]);
        }
        self.optional_list(field, when.regions.as_deref())?;
        self.optional_list(field, when.cities.as_deref())?;
        if let Some(addresses) = &when.addresses {
            let networks: Vec<Network> = addresses.iter().filter_map(|text| Network::parse(text)).collect();
            self.count(field, networks.len())?;
            for network in networks {
                self.put(&[network.bits]);
                self.put(&network.address);
            }
        }
        self.optional_list(field, when.query_present.as_deref())?;
        if let Some(languages) = &when.preferred_languages {
            self.optional_list(field, Some(languages))?;
            let all = std::mem::take(&mut self.preferred_languages);
            self.optional_list(field, Some(&all))?;
            self.preferred_languages = all;
        }
        if let Some(schedule) = &when.schedule {
            self.schedule(field, schedule)?;
        }
        if let Some(not) = &when.not {
            let set = present(not);
            if set & condition::NOT != 0 {
                return Err(fault(&format_args!("{field}.when.not"), CompileFault::NestedNot));
            }
            self.put(&set.to_le_bytes());
            // The set has no `not`, so this goes no deeper.
            self.conditions(field, not)?;
        }
        Ok(())
    }

    fn optional_list(&mut self, field: &dyn Display, list: Option<&[String]>) -> Result<(), CompileError> {
        let Some(list) = list else { return Ok(()) };
        self.count(field, list.len())?;
        list.iter().try_for_each(|text| self.text(field, text.trim_ascii()))
    }

    fn schedule(&mut self, field: &dyn Display, schedule: &Schedule) -> Result<(), CompileError> {
        let rule = match (&schedule.time_zone_rule, &schedule.time_zone) {
            (Some(rule), _) => rule,
            (None, Some(zone)) if zone != "UTC" => "",
            (None, _) => "UTC0",
        };
        if ZoneRule::parse(rule).is_none() {
            return Err(fault(&format_args!("{field}.when.schedule.time_zone_rule"), CompileFault::ZoneRule));
        }
        self.text(field, rule)?;
        let hours: Vec<OpeningHours> = schedule.hours.iter().filter_map(|text| OpeningHours::parse(text)).collect();
        self.count(field, hours.len())?;
        for OpeningHours { days, from, until } in hours {
            self.put(&[days]);
            self.put(&from.to_le_bytes());
            self.put(&until.to_le_bytes());
        }
        Ok(())
    }
}

/// A country code in upper case; `None` for a text that is not two bytes long, which no visitor's country equals.
pub(crate) fn country_code(text: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.trim_ascii().as_bytes().try_into().ok()?;
    Some(code.map(|byte| byte.to_ascii_uppercase()))
}

/// The bits of the known names; an unknown name matches no visitor.
fn set_of<T: Copy>(names: &[String], known: &[(&'static str, T)], bit: fn(T) -> u8) -> u8 {
    names
        .iter()
        .filter_map(|name| known.iter().find(|(known, _)| name.trim_ascii().eq_ignore_ascii_case(known)))
        .fold(0, |bits, (_, value)| bits | bit(*value))
}
