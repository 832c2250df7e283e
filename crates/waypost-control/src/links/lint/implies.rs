//! How the conditions of two rules relate. Every answer is careful: `true` is certain, `false` may only mean that it is not known.

use waypost_core::network::Network;
use waypost_core::opening_hours::OpeningHours;
use waypost_core::record::{Conditions, Schedule};
use waypost_core::referrer::is_within;

/// A condition that is a list of alternatives.
pub(super) struct ListCondition {
    pub(super) name: &'static str,
    pub(super) of: fn(&Conditions) -> Option<&Vec<String>>,
    /// Whether everything that the second entry matches is matched by the first.
    covers: fn(&str, &str) -> bool,
    /// Whether a visit has one value at most, so that lists without a common entry exclude each other.
    is_single: bool,
}

pub(super) const LISTS: [ListCondition; 9] = [
    ListCondition { name: "countries", of: |when| when.countries.as_ref(), covers: is_same, is_single: true },
    ListCondition { name: "regions", of: |when| when.regions.as_ref(), covers: is_same, is_single: true },
    ListCondition { name: "cities", of: |when| when.cities.as_ref(), covers: is_same, is_single: true },
    ListCondition { name: "addresses", of: |when| when.addresses.as_ref(), covers: covers_network, is_single: true },
    ListCondition { name: "devices", of: |when| when.devices.as_ref(), covers: is_same, is_single: true },
    ListCondition { name: "os", of: |when| when.os.as_ref(), covers: is_same, is_single: true },
    ListCondition { name: "browsers", of: |when| when.browsers.as_ref(), covers: is_same, is_single: true },
    ListCondition { name: "languages", of: |when| when.languages.as_ref(), covers: covers_language, is_single: false },
    ListCondition { name: "referrers", of: |when| when.referrers.as_ref(), covers: covers_site, is_single: true },
];

fn is_same(wide: &str, narrow: &str) -> bool {
    wide.trim().eq_ignore_ascii_case(narrow.trim())
}

fn covers_language(wide: &str, narrow: &str) -> bool {
    let (wide, narrow) = (wide.trim().to_ascii_lowercase(), narrow.trim().to_ascii_lowercase());
    narrow.strip_prefix(&wide).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn covers_site(wide: &str, narrow: &str) -> bool {
    is_within(narrow.trim(), wide.trim())
}

fn covers_network(wide: &str, narrow: &str) -> bool {
    Network::parse(wide).zip(Network::parse(narrow)).is_some_and(|(wide, narrow)| wide.covers(narrow))
}

impl ListCondition {
    /// Whether each of `narrow` is covered by one of `wide`.
    fn all_covered(&self, narrow: &[String], wide: &[String]) -> bool {
        narrow.iter().all(|narrow| wide.iter().any(|wide| (self.covers)(wide, narrow)))
    }

    /// Whether any entry of one list covers one of the other.
    pub(super) fn intersects(&self, one: &[String], other: &[String]) -> bool {
        one.iter().any(|one| other.iter().any(|other| (self.covers)(one, other) || (self.covers)(other, one)))
    }
}

/// Whether every visit that meets `narrow` meets `wide`.
pub(super) fn implies(narrow: &Conditions, wide: &Conditions) -> bool {
    LISTS.iter().all(|list| {
        (list.of)(wide).is_none_or(|wide| (list.of)(narrow).is_some_and(|narrow| list.all_covered(narrow, wide)))
    }) && wide.preferred_languages.as_ref().is_none_or(|wide| {
        narrow.preferred_languages.as_ref().is_some_and(|narrow| narrow.iter().all(|language| wide.contains(language)))
    }) && wide.query.iter().flatten().all(|(name, value)| has_pair(narrow, name, value))
        && wide.query_present.iter().flatten().all(|name| requires_name(narrow, name))
        && wide.from.is_none_or(|wide| narrow.from.is_some_and(|narrow| narrow >= wide))
        && wide.until.is_none_or(|wide| narrow.until.is_some_and(|narrow| narrow <= wide))
        && wide
            .schedule
            .as_ref()
            .is_none_or(|wide| narrow.schedule.as_ref().is_some_and(|narrow| is_part_of(narrow, wide)))
        && wide.not.as_deref().is_none_or(|not| excludes_all(narrow, not))
}

fn has_pair(when: &Conditions, name: &str, value: &str) -> bool {
    when.query.as_ref().and_then(|query| query.get(name)).is_some_and(|held| held == value)
}

/// Whether a parameter must be present.
fn requires_name(when: &Conditions, name: &str) -> bool {
    when.query_present.iter().flatten().any(|held| held.trim() == name.trim())
        || when.query.as_ref().is_some_and(|query| query.contains_key(name.trim()))
}

/// Whether no visit that meets `when` matches any entry of `not`.
fn excludes_all(when: &Conditions, not: &Conditions) -> bool {
    let nothing = Conditions::default();
    let own = when.not.as_deref().unwrap_or(&nothing);
    LISTS.iter().all(|list| {
        let excluded = (list.of)(not).map(Vec::as_slice).unwrap_or_default();
        let is_disjoint = list.is_single && (list.of)(when).is_some_and(|allowed| !list.intersects(allowed, excluded));
        is_disjoint || list.all_covered(excluded, (list.of)(own).map(Vec::as_slice).unwrap_or_default())
    }) && not.query.iter().flatten().all(|(name, value)| has_pair(own, name, value) || excludes_name(own, name))
        && not.query_present.iter().flatten().all(|name| excludes_name(own, name))
        && not.schedule.as_ref().is_none_or(|excluded| {
            own.schedule.as_ref().is_some_and(|own| is_part_of(excluded, own))
                || when.schedule.as_ref().is_some_and(|allowed| is_apart(allowed, excluded))
        })
}

fn excludes_name(not: &Conditions, name: &str) -> bool {
    not.query_present.iter().flatten().any(|held| held.trim() == name.trim())
}

/// Why no visit can meet these conditions, if that is certain.
pub(super) fn contradiction(when: &Conditions) -> Option<String> {
    if let (Some(countries), Some(regions)) = (&when.countries, &when.regions)
        && !regions.iter().any(|region| {
            let country = region.trim().split('-').next().unwrap_or_default();
            countries.iter().any(|code| is_same(code, country))
        })
    {
        return Some("none of the regions is in one of the countries".to_owned());
    }
    let not = when.not.as_deref()?;
    if let Some(list) = LISTS.iter().find(|list| {
        (list.of)(when).zip((list.of)(not)).is_some_and(|(allowed, excluded)| list.all_covered(allowed, excluded))
    }) {
        return Some(format!("not excludes all of its {}", list.name));
    }
    let names = when.query_present.iter().flatten().chain(when.query.iter().flat_map(|query| query.keys()));
    if let Some(name) = names.into_iter().find(|name| excludes_name(not, name)) {
        return Some(format!("the parameter {name} must be present and absent"));
    }
    if when.query.iter().flatten().any(|(name, value)| has_pair(not, name, value)) {
        return Some("a parameter must have a value that not excludes".to_owned());
    }
    let schedules = when.schedule.as_ref().zip(not.schedule.as_ref());
    schedules
        .is_some_and(|(allowed, excluded)| is_part_of(allowed, excluded))
        .then(|| "not excludes all of its hours".to_owned())
}

/// Whether some visits may meet both, as far as the conditions of both say: the same ones, with common values.
pub(super) fn overlap(one: &Conditions, other: &Conditions) -> bool {
    let has_only_lists = |when: &Conditions| {
        when.query.is_none() && when.query_present.is_none() && when.preferred_languages.is_none() && when.not.is_none()
    };
    let is_before = one.until.zip(other.from).is_some_and(|(until, from)| until <= from);
    let is_after = other.until.zip(one.from).is_some_and(|(until, from)| until <= from);
    let schedules = match (&one.schedule, &other.schedule) {
        (Some(one), Some(other)) => !is_apart(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let lists = LISTS.iter().all(|list| match ((list.of)(one), (list.of)(other)) {
        (Some(one), Some(other)) => list.intersects(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    });
    has_only_lists(one) && has_only_lists(other) && !is_before && !is_after && schedules && lists
}

const MINUTES_PER_WEEK: u16 = 7 * 1_440;

/// The minutes of a week within the hours of a schedule.
fn minutes(schedule: &Schedule) -> impl Fn(u16) -> bool {
    let hours: Vec<OpeningHours> = schedule.hours.iter().filter_map(|text| OpeningHours::parse(text)).collect();
    move |minute| hours.iter().any(|hours| hours.contains(minute))
}

/// Whether all hours of one schedule are hours of the other.
fn is_part_of(narrow: &Schedule, wide: &Schedule) -> bool {
    let (is_narrow, is_wide) = (minutes(narrow), minutes(wide));
    let same_zone = narrow.time_zone_rule == wide.time_zone_rule;
    let all = |holds: &dyn Fn(u16) -> bool| (0..MINUTES_PER_WEEK).all(holds);
    all(&|minute| is_wide(minute)) || same_zone && all(&|minute| !is_narrow(minute) || is_wide(minute))
}

/// Whether two schedules have no hour in common.
fn is_apart(one: &Schedule, other: &Schedule) -> bool {
    let (in_one, in_other) = (minutes(one), minutes(other));
    one.time_zone_rule == other.time_zone_rule
        && (0..MINUTES_PER_WEEK).all(|minute| !(in_one(minute) && in_other(minute)))
}
