//! Validation of the conditions of rules.

use std::collections::BTreeMap;

use waypost_api::{FieldError, ProblemCode};
use waypost_core::browser::Browser;
use waypost_core::device::{Device, Os};
use waypost_core::network::Network;
use waypost_core::opening_hours::OpeningHours;
use waypost_core::record::{Conditions, Schedule};
use waypost_core::zone_rule::ZoneRule;

use super::{CONDITION_ENTRIES_MAX, Check, TEXT_BYTES_MAX};
use crate::links::conditions::{check_country, check_language, check_region, check_site};

impl Check<'_> {
    pub(super) fn conditions(&mut self, field: &str, when: &Conditions) {
        self.members(field, when);
        self.list(&format!("{field}.preferred_languages"), when.preferred_languages.as_ref(), Self::language);
        self.span(&format!("{field}.until"), when.from, when.until, "later than its from");
        let Some(not) = &when.not else { return };
        let field = format!("{field}.not");
        self.require(**not != Conditions::default(), &field, "an object with at least one condition, or left out");
        for (is_present, name, instead) in [
            (not.from.is_some(), "from", "use until beside not"),
            (not.until.is_some(), "until", "use from beside not"),
            (not.preferred_languages.is_some(), "preferred_languages", "use languages"),
            (not.not.is_some(), "not", "what is excluded twice is required: put it beside not"),
        ] {
            self.require(!is_present, format!("{field}.{name}"), &format!("left out: not cannot have it; {instead}"));
        }
        self.members(&field, not);
    }

    /// Checks the conditions that have members, which may also be in `not`.
    fn members(&mut self, field: &str, when: &Conditions) {
        self.list(&format!("{field}.countries"), when.countries.as_ref(), Self::country);
        self.list(&format!("{field}.regions"), when.regions.as_ref(), |check, field, code| {
            check.means(field, check_region(code));
        });
        self.list(&format!("{field}.cities"), when.cities.as_ref(), |check, field, name| {
            let fits = (1..=TEXT_BYTES_MAX).contains(&name.trim().len()) && !name.chars().any(char::is_control);
            check.require(fits, field, "the English name of a city, of at most 255 bytes");
        });
        self.list(&format!("{field}.addresses"), when.addresses.as_ref(), |check, field, text| {
            let wanted = "an address such as 192.0.2.7, or a range such as 192.0.2.0/24 or 2001:db8::/32";
            check.require(Network::parse(text).is_some(), field, wanted);
        });
        self.words(&format!("{field}.devices"), when.devices.as_ref(), &Device::NAMES.map(|(name, _)| name));
        self.words(&format!("{field}.os"), when.os.as_ref(), &Os::NAMES.map(|(name, _)| name));
        self.words(&format!("{field}.browsers"), when.browsers.as_ref(), &Browser::NAMES.map(|(name, _)| name));
        self.list(&format!("{field}.languages"), when.languages.as_ref(), Self::language);
        self.list(&format!("{field}.referrers"), when.referrers.as_ref(), Self::site);
        if let Some(query) = &when.query {
            self.query(&format!("{field}.query"), query);
        }
        self.list(&format!("{field}.query_present"), when.query_present.as_ref(), |check, field, name| {
            let fits = (1..=TEXT_BYTES_MAX).contains(&name.trim().len());
            check.require(fits, field, "the name of a parameter, of at most 255 bytes");
        });
        if let Some(schedule) = &when.schedule {
            self.schedule(&format!("{field}.schedule"), schedule);
        }
    }

    fn words(&mut self, field: &str, list: Option<&Vec<String>>, known: &[&str]) {
        self.list(field, list, |check, field, word| {
            let is_known = known.iter().any(|known| known.eq_ignore_ascii_case(word));
            check.require(is_known, field, &format!("one of {}", known.join(", ")));
        });
    }

    fn query(&mut self, field: &str, query: &BTreeMap<String, String>) {
        let fits = (1..=CONDITION_ENTRIES_MAX).contains(&query.len());
        self.require(fits, field, "an object with 1 to 300 parameters");
        for (name, value) in query {
            let fits = !name.is_empty() && name.len() <= TEXT_BYTES_MAX && value.len() <= TEXT_BYTES_MAX;
            self.require(fits, field, "names and values of at most 255 bytes, the names not empty");
        }
    }

    fn schedule(&mut self, field: &str, schedule: &Schedule) {
        self.list(&format!("{field}.hours"), Some(&schedule.hours), |check, field, text| {
            let wanted = "hours such as mon-fri 09:00-17:00, sat,sun or 22:00-06:00";
            check.require(OpeningHours::parse(text).is_some(), field, wanted);
        });
        let rule = schedule.time_zone_rule.as_deref().unwrap_or("UTC0");
        let has_rule = ZoneRule::parse(rule).is_some();
        let has_zone =
            schedule.time_zone.as_ref().is_none_or(|zone| zone == "UTC" || schedule.time_zone_rule.is_some());
        self.require(has_rule && has_zone, format!("{field}.time_zone"), "a zone that has a rule");
    }

    fn list(&mut self, field: &str, list: Option<&Vec<String>>, entry: impl Fn(&mut Self, &str, &str)) {
        let Some(list) = list else { return };
        self.require(!list.is_empty(), field, "a list with at least one entry, or left out");
        self.count(field, list.len(), CONDITION_ENTRIES_MAX);
        for (index, text) in list.iter().enumerate().take(CONDITION_ENTRIES_MAX) {
            entry(self, &format!("{field}[{index}]"), text);
        }
    }

    /// Checks the sites of a UTM template.
    pub(super) fn sites(&mut self, field: &str, sites: &Vec<String>) {
        self.list(field, Some(sites), Self::site);
    }

    pub(super) fn country(&mut self, field: &str, code: &str) {
        self.means(field, check_country(code));
    }

    fn language(&mut self, field: &str, tag: &str) {
        self.means(field, check_language(tag));
    }

    fn site(&mut self, field: &str, host: &str) {
        self.means(field, check_site(host));
    }

    /// Reports what is wrong with a word of a condition.
    fn means(&mut self, field: &str, checked: Result<(), String>) {
        if let Err(detail) = checked {
            self.errors.push(FieldError { field: field.to_owned(), code: ProblemCode::InvalidField, detail });
        }
    }
}
