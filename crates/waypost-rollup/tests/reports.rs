//! Reports against a count of the clicks themselves.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use proptest::prelude::*;
use support::{DAY, HOUR, Raw, raws, rollup};
use waypost_core::Timestamp;
use waypost_core::class::Class;
use waypost_rollup::{
    Dimension, Filter, Interval, LinksRollup, Month, MonthPart, MonthRollup, QueryError, Report, ReportPlan,
    ReportQuery, ReportRow, RunningTotal, Scope,
};

/// 27 March 2026; Berlin's clocks go forward on the 29th.
const FIRST_DAY: i64 = 20_539;
const DAYS: i64 = 8;

const MAIN: [Dimension; 11] = [
    Dimension::Class,
    Dimension::Country,
    Dimension::Device,
    Dimension::Os,
    Dimension::Browser,
    Dimension::Channel,
    Dimension::Language,
    Dimension::Source,
    Dimension::Rule,
    Dimension::AbTest,
    Dimension::Variant,
];
const SOURCES: [Dimension; 8] = [
    Dimension::Class,
    Dimension::Channel,
    Dimension::ReferrerHost,
    Dimension::UtmSource,
    Dimension::UtmMedium,
    Dimension::UtmCampaign,
    Dimension::UtmTerm,
    Dimension::UtmContent,
];

fn query(from: i64, to: i64) -> ReportQuery {
    ReportQuery {
        scope: Scope::Account("acc_a".parse().unwrap()),
        from: Timestamp::from_micros(from),
        to: Timestamp::from_micros(to),
        interval: Interval::None,
        time_zone: TimeZone::UTC,
        classes: Vec::new(),
        filters: Vec::new(),
        group_by: None,
        groups_max: 1_000,
    }
}

fn clicks() -> impl Strategy<Value = Vec<Raw>> {
    raws(FIRST_DAY * 24..(FIRST_DAY + DAYS) * 24, 300)
}

/// A question that has an answer: filters take their values from a click, so that some match.
fn questions() -> impl Strategy<Value = ReportQuery> {
    let zones = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"];
    let range = (0..DAYS * DAY, 1..DAYS * DAY).prop_map(|(from, length)| (from, from + length));
    let dimensions = prop_oneof![Just(MAIN.to_vec()), Just(SOURCES.to_vec())];
    let parts = (range, 0..6_usize, prop::sample::select(zones.to_vec()), dimensions);
    let more = (any::<[prop::sample::Index; 3]>(), support::raw(0..1), 0..3_usize, any::<bool>(), 0..4_usize);
    (parts, more).prop_map(
        |(((from, to), interval, zone, dimensions), (chosen, like, filters, is_grouped, classes))| {
            let mut query = query(FIRST_DAY * DAY + from, FIRST_DAY * DAY + to);
            query.interval = Interval::NAMES[interval].1;
            query.time_zone = TimeZone::get(zone).unwrap();
            query.classes = Class::NAMES.iter().take(classes).map(|(_, class)| *class).collect();
            query.group_by = is_grouped.then(|| *chosen[2].get(&dimensions));
            for place in &chosen[..filters] {
                let dimension = *place.get(&dimensions);
                let mut other = like.clone();
                other.values.iter_mut().for_each(|value| *value += 1);
                query.filters.push(Filter { dimension, values: vec![like.value(dimension), other.value(dimension)] });
            }
            query
        },
    )
}

/// The beginning of the interval that an hour is in.
fn interval_start(query: &ReportQuery, hour: i64) -> Option<Timestamp> {
    let at = jiff::Timestamp::from_microsecond(hour * HOUR).unwrap().to_zoned(query.time_zone.clone());
    let midnight = |at: Zoned| at.start_of_day().unwrap();
    let start = match query.interval {
        Interval::None => return None,
        Interval::Hour => {
            let past = at.offset().seconds().rem_euclid(3_600);
            return Some(Timestamp::from_micros(hour * HOUR - i64::from(past) * 1_000_000));
        }
        Interval::Day => midnight(at),
        Interval::Week => midnight(at.checked_sub(i64::from(at.weekday().to_monday_zero_offset()).days()).unwrap()),
        Interval::Month => midnight(at.first_of_month().unwrap()),
        Interval::Year => midnight(at.first_of_year().unwrap()),
    };
    Some(Timestamp::from_micros(start.timestamp().as_microsecond()))
}

/// Clicks, and visitors by day.
type Count = (u64, BTreeSet<(i64, u64)>);

fn naive(query: &ReportQuery, clicks: &[Raw]) -> Report {
    let mut all: Count = Count::default();
    let mut rows: BTreeMap<(Option<Timestamp>, Option<String>), Count> = BTreeMap::new();
    if query.interval != Interval::None && query.group_by.is_none() {
        let hours = (query.from.as_micros() / HOUR..query.to.as_micros() / HOUR + 2).map(|hour| (hour, hour * HOUR));
        for (hour, start) in hours {
            if (query.from.as_micros()..query.to.as_micros()).contains(&start) {
                rows.insert((interval_start(query, hour), None), Count::default());
            }
        }
    }
    for click in clicks {
        let is_within = (query.from.as_micros()..query.to.as_micros()).contains(&(click.hour * HOUR));
        let is_of_class = query.classes.is_empty() || query.classes.contains(&click.facts().class);
        let passes = query.filters.iter().all(|filter| filter.values.contains(&click.value(filter.dimension)));
        if !(is_within && is_of_class && passes) {
            continue;
        }
        let group = query.group_by.map(|dimension| click.value(dimension));
        let row = rows.entry((interval_start(query, click.hour), group)).or_default();
        for count in [&mut all, row] {
            count.0 += 1;
            count.1.extend(click.visitor.map(|visitor| (click.hour.div_euclid(24), visitor)));
        }
    }
    let mut report = Report { clicks: all.0, visitors: all.1.len() as u64, ..Report::default() };
    if query.interval != Interval::None || query.group_by.is_some() {
        report.rows = rows
            .into_iter()
            .map(|((starts_at, group), count)| ReportRow {
                starts_at,
                group,
                clicks: count.0,
                visitors: Some(count.1.len() as u64),
                visitors_are_estimated: false,
            })
            .collect();
        report.rows.sort_by_key(|row| (row.starts_at, std::cmp::Reverse(row.clicks)));
    }
    report
}

fn blocks(clicks: &[Raw]) -> Vec<(i64, Vec<u8>)> {
    let days = (FIRST_DAY..FIRST_DAY + DAYS).rev();
    let of_day = |day: i64| clicks.iter().filter(|click| click.hour / 24 == day).cloned().collect::<Vec<_>>();
    days.map(|day| (day, rollup(&of_day(day)).encode())).collect()
}

fn answer(query: &ReportQuery, blocks: &[(i64, Vec<u8>)]) -> Report {
    let mut plan = ReportPlan::new(query).unwrap();
    for (day, block) in blocks.iter().filter(|(day, _)| plan.days().contains(day)).collect::<Vec<_>>() {
        plan.add(*day, block).unwrap();
    }
    plan.finish()
}

/// The answer from months, and from days only where months do not have them.
fn answer_by_months(query: &ReportQuery, blocks: &[(i64, Vec<u8>)]) -> Report {
    let mut plan = ReportPlan::new(query).unwrap();
    let mut left: BTreeMap<i64, &Vec<u8>> = blocks.iter().map(|(day, block)| (*day, block)).collect();
    for (month, days) in plan.months() {
        let mut rollup = MonthRollup::new(month);
        let of_month = blocks.iter().rev().filter(|(day, _)| month.days().contains(day));
        of_month.for_each(|(day, block)| rollup.add(*day, block).unwrap());
        let parts: BTreeMap<MonthPart, Vec<u8>> = rollup.finish().unwrap().into();
        plan.add_month(month, &parts[&plan.month_part().unwrap()]).unwrap();
        days.iter().for_each(|day| _ = left.remove(day));
    }
    left.retain(|day, _| plan.days().contains(day));
    left.into_iter().for_each(|(day, block)| plan.add(day, block).unwrap());
    plan.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_report_is_a_count_of_clicks(clicks in clicks(), query in questions()) {
        let expect = naive(&query, &clicks);
        let mut found = answer(&query, &blocks(&clicks));
        prop_assert_eq!(&answer_by_months(&query, &blocks(&clicks)), &found);
        // An interval in which no hour begins, because the range ends in its first hour, has no clicks; the count has
        // none.
        let hours = |row: &ReportRow| expect.rows.iter().any(|other| other.starts_at == row.starts_at);
        prop_assert!(found.rows.iter().all(|row| hours(row) || row.clicks == 0));
        found.rows.retain(hours);
        prop_assert_eq!(found, expect);
    }

    #[test]
    fn nobody_comes_without_a_click(
        (seed, days) in (any::<u64>(), prop::collection::vec((0..6_000_u64, prop_oneof![1..20_u64, 1..6_000_u64]), 1..4)),
        query in questions(),
    ) {
        // Up to so many clicks of up to so many visitors on each day: of some days visitors are estimated, of others
        // not. A few have more combinations than are kept.
        let hash = |day: usize, number: u64| xxhash_rust::xxh3::xxh3_64_with_seed(&number.to_le_bytes(), seed ^ day as u64);
        let clicks: Vec<Raw> = days.iter().enumerate().flat_map(|(day, (clicks, visitors))| (0..*clicks).map(move |number| {
            let bytes = hash(day, number).to_le_bytes();
            let values = std::array::from_fn(|place| bytes[place % 8].wrapping_add(place as u8) % 3);
            Raw { hour: (FIRST_DAY + day as i64) * 24 + i64::from(bytes[7] % 24), values, visitor: Some(hash(99, number % visitors)) }
        })).collect();
        let blocks = blocks(&clicks);
        for report in [answer(&query, &blocks), answer_by_months(&query, &blocks)] {
            prop_assert!(report.visitors <= report.clicks, "{} of {}", report.visitors, report.clicks);
            for row in &report.rows {
                prop_assert!(row.visitors.unwrap() <= row.clicks, "{row:?}");
            }
            // What is not marked as an estimate is exact.
            let exact = naive(&query, &clicks);
            prop_assert!(report.visitors_are_estimated || report.visitors == exact.visitors);
            for row in report.rows.iter().filter(|row| !row.visitors_are_estimated) {
                let counted = exact.rows.iter().find(|other| (other.starts_at, &other.group) == (row.starts_at, &row.group));
                prop_assert_eq!(row.visitors, counted.map_or(Some(0), |counted| counted.visitors));
            }
            prop_assert!(report.visitors_are_estimated || report.rows.iter().all(|row| !row.visitors_are_estimated));
        }
    }

    #[test]
    fn a_total_says_what_its_days_say(
        clicks in clicks(),
        classes in 0..6_usize,
        (parts, cut) in (1..4_usize, 0..DAYS),
        (from, to) in (-40..2_i64, DAYS - 2..DAYS + 40),
    ) {
        let mut query = query((FIRST_DAY + from) * DAY, (FIRST_DAY + to) * DAY);
        query.classes = Class::NAMES.iter().skip(parts % 2).take(classes).map(|(_, class)| *class).collect();
        let blocks = blocks(&clicks);
        let expect = answer(&query, &blocks);
        let mut plan = ReportPlan::new(&query).unwrap();
        let classes = plan.total_classes().unwrap();
        let through = FIRST_DAY + cut;
        let mut counted: Vec<_> = blocks.iter().filter(|(day, _)| *day <= through).collect();
        counted.sort_unstable();
        // Made at once, or taken further from where it stood.
        let mut total = RunningTotal::new(classes);
        for part in counted.chunks(counted.len().div_ceil(parts)) {
            part.iter().for_each(|(day, block)| total.add(*day, block).unwrap());
            total = RunningTotal::resume(classes, &total.finish().unwrap()).unwrap();
        }
        let is_used = plan.add_total(through, &total.finish().unwrap()).unwrap();
        prop_assert_eq!(is_used, from <= 0 && cut < to);
        let left = blocks.iter().filter(|(day, _)| plan.days().contains(day) && !(is_used && *day <= through));
        left.collect::<Vec<_>>().into_iter().for_each(|(day, block)| plan.add(*day, block).unwrap());
        prop_assert_eq!(plan.finish(), expect);
    }

    #[test]
    fn top_links_are_a_count_of_clicks(
        clicks in clicks(),
        numbers in prop::collection::vec(0..60_u32, 300),
        (mut query, groups_max) in (questions(), 1..8_usize),
    ) {
        query.filters.clear();
        query.group_by = Some(Dimension::Link);
        let numbered = || clicks.iter().zip(numbers.iter().map(|number| number * number * number));
        let mut expect: BTreeMap<(Option<Timestamp>, u32), u64> = BTreeMap::new();
        let mut by_link: BTreeMap<u32, u64> = BTreeMap::new();
        for (click, number) in numbered() {
            let is_within = (query.from.as_micros()..query.to.as_micros()).contains(&(click.hour * HOUR));
            if is_within && (query.classes.is_empty() || query.classes.contains(&click.facts().class)) {
                *expect.entry((interval_start(&query, click.hour), number)).or_default() += 1;
                *by_link.entry(number).or_default() += 1;
            }
        }
        query.groups_max = groups_max;
        let mut plan = ReportPlan::new(&query).unwrap();
        prop_assert!(plan.wants_links());
        for day in FIRST_DAY..FIRST_DAY + DAYS {
            let mut links = LinksRollup::default();
            let of_day = numbered().filter(|(click, _)| click.hour / 24 == day);
            of_day.for_each(|(click, number)| links.add(number, &click.facts()));
            plan.add(day, &links.encode()).unwrap();
        }
        let found = plan.finish();
        let mut order: Vec<(u32, u64)> = by_link.into_iter().collect();
        order.sort_by_key(|(number, clicks)| (std::cmp::Reverse(*clicks), *number));
        prop_assert_eq!(found.clicks, order.iter().map(|(_, clicks)| clicks).sum::<u64>());
        let others = order.split_off(groups_max.min(order.len()));
        prop_assert_eq!((found.other_groups, found.other_clicks), (others.len() as u64, others.iter().map(|other| other.1).sum()));
        let mut rows: Vec<_> = expect.into_iter().filter(|((_, number), _)| order.iter().any(|top| top.0 == *number)).collect();
        rows.sort_by_key(|((starts_at, number), clicks)| (*starts_at, std::cmp::Reverse(*clicks), *number));
        let rows: Vec<_> = rows.into_iter().map(|((start, number), clicks)| (start, Some(number.to_string()), clicks)).collect();
        prop_assert_eq!(found.rows.into_iter().map(|row| (row.starts_at, row.group, row.clicks)).collect::<Vec<_>>(), rows);
    }

    #[test]
    fn any_bytes_are_added_or_refused(
        clicks in raws(0..24, 30),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        mut query in questions(),
        (is_links, is_month) in any::<(bool, bool)>(),
    ) {
        (query.from, query.to) = (Timestamp::from_micros(0), Timestamp::from_micros(DAY));
        let mut block = rollup(&clicks).encode();
        if is_links {
            query.filters.clear();
            query.group_by = Some(Dimension::Link);
            let mut links = LinksRollup::default();
            clicks.iter().for_each(|click| links.add(click.values[3].into(), &click.facts()));
            block = links.encode();
        }
        if is_month && !is_links {
            let mut rollup = MonthRollup::new(Month::of(0).unwrap());
            rollup.add(0, &block).unwrap();
            let mut plan = ReportPlan::new(&query).unwrap();
            let Some(part) = plan.month_part() else { return Ok(()) };
            let parts: BTreeMap<MonthPart, Vec<u8>> = rollup.finish().unwrap().into();
            let mut block = parts[&part].clone();
            let end = block.len() - 4;
            changes.iter().for_each(|(at, byte)| block[at.index(end)] = *byte);
            let is_changed = block != parts[&part];
            prop_assert!(plan.add_month(Month::of(0).unwrap(), &block).is_err() == is_changed);
            let checksum = xxhash_rust::xxh3::xxh3_64(&block[..end]) as u32;
            block[end..].copy_from_slice(&checksum.to_le_bytes());
            let _ = plan.add_month(Month::of(0).unwrap(), &block);
            plan.finish();
            return Ok(());
        }
        let end = block.len() - 4;
        changes.iter().for_each(|(at, byte)| block[at.index(end)] = *byte);
        let mut plan = ReportPlan::new(&query).unwrap();
        let is_changed = block != rollup(&clicks).encode();
        prop_assert!(plan.add(0, &block).is_err() || !is_changed || is_links);
        let checksum = xxhash_rust::xxh3::xxh3_64(&block[..end]) as u32;
        block[end..].copy_from_slice(&checksum.to_le_bytes());
        let mut plan = ReportPlan::new(&query).unwrap();
        let _ = plan.add(0, &block);
        plan.finish();
    }
}

#[test]
fn the_rest_of_the_groups_is_summed_up() {
    let click = |value: u8, hour: i64| Raw { hour: FIRST_DAY * 24 + hour, values: [value; 17], visitor: Some(7 << 40) };
    let clicks: Vec<Raw> =
        [(1, 0), (1, 1), (1, 1), (2, 1), (2, 2), (3, 3), (0, 3)].map(|(v, hour)| click(v, hour)).into();
    let mut query = query(FIRST_DAY * DAY, FIRST_DAY * DAY + DAY);
    (query.group_by, query.groups_max) = (Some(Dimension::Country), 2);
    let report = answer(&query, &blocks(&clicks));
    let row = |group: &str, clicks| ReportRow {
        starts_at: None,
        group: Some(group.to_owned()),
        clicks,
        visitors: Some(1),
        visitors_are_estimated: false,
    };
    assert_eq!(report.rows, [row("DE", 3), row("US", 2)]);
    assert_eq!((report.clicks, report.visitors, report.other_groups, report.other_clicks), (7, 1, 2, 2));
    query.groups_max = 0;
    assert_eq!(answer(&query, &blocks(&clicks)).rows, [row("DE", 3)]);
}

#[test]
fn without_roll_ups_every_interval_is_empty() {
    let mut query = query(FIRST_DAY * DAY, (FIRST_DAY + 2) * DAY);
    query.interval = Interval::Day;
    let rows = ReportPlan::new(&query).unwrap().finish().rows;
    assert_eq!(rows.iter().map(|row| (row.clicks, row.visitors)).collect::<Vec<_>>(), [(0, Some(0)); 2]);
    query.interval = Interval::None;
    assert!(ReportPlan::new(&query).unwrap().finish().rows.is_empty());
}

#[track_caller]
fn check_refused(change: impl Fn(&mut ReportQuery), expect: &str) {
    let mut query = query(0, DAY);
    change(&mut query);
    let error = ReportPlan::new(&query).err().map(|error: QueryError| error.to_string()).unwrap_or_default();
    assert!(error.contains(expect), "{error}");
}

#[test]
fn questions_without_an_answer() {
    let filter = |dimension, value: &str| Filter { dimension, values: vec![value.to_owned()] };
    let filtered =
        |dimension, value: &'static str| move |query: &mut ReportQuery| query.filters.push(filter(dimension, value));
    check_refused(filtered(Dimension::Class, "robot"), "\"robot\" is not a valid class; there are human, prefetch");
    check_refused(filtered(Dimension::Device, ""), "\"\" is not a valid device; there are desktop, mobile");
    check_refused(filtered(Dimension::Os, "beos"), "is not a valid os; there are ios");
    check_refused(filtered(Dimension::Channel, "x"), "is not a valid channel; there are direct");
    check_refused(filtered(Dimension::Source, "x"), "is not a valid source; there are rule, evolution_rule");
    check_refused(filtered(Dimension::Country, "Germany"), "\"Germany\" is not a valid country; give two letters");
    check_refused(filtered(Dimension::Link, "1"), "link and filters cannot be combined in one report; ask for");
    check_refused(
        |query| {
            query.filters.push(filter(Dimension::Country, "DE"));
            query.group_by = Some(Dimension::UtmSource);
        },
        "country and utm_source cannot be combined in one report; class and channel combine",
    );
    check_refused(
        |query| {
            query.filters.push(filter(Dimension::Channel, "search"));
            query.group_by = Some(Dimension::Link);
        },
        "link and channel cannot be combined",
    );
    check_refused(
        |query| {
            query.scope = Scope::Link("acc_a".parse().unwrap(), "link_a".parse().unwrap());
            query.group_by = Some(Dimension::Link);
        },
        "link and the report of one link cannot be combined",
    );
    check_refused(
        |query| {
            query.filters.push(Filter { dimension: Dimension::Rule, values: vec![String::new(); 1_001] });
        },
        "give at most 1000",
    );
    check_refused(|query| query.to = query.from, "swap from and to");
}

#[test]
fn values_are_compared_as_they_are_stored() {
    let click = Raw { hour: FIRST_DAY * 24, values: [1; 17], visitor: None };
    let blocks = blocks(&[click]);
    for (dimension, value) in [
        (Dimension::Country, "de"),
        (Dimension::Language, "DE"),
        (Dimension::Class, "Prefetch"),
        (Dimension::ReferrerHost, "T.co"),
    ] {
        let mut query = query(FIRST_DAY * DAY, FIRST_DAY * DAY + DAY);
        query.filters.push(Filter { dimension, values: vec![value.to_owned()] });
        assert_eq!(answer(&query, &blocks).clicks, 1, "{value}");
    }
}

#[test]
fn estimates_are_near() {
    // 100,000 visitors in four roll-ups that share some; each twentieth is of country DE, each third came in the second
    // hour.
    let visitor = |number: u64| xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes());
    let click = |number: u64| {
        let mut values = [0; 17];
        values[1] = if number.is_multiple_of(20) { 1 } else { 2 };
        values[4] = (number % 2) as u8;
        Raw { hour: FIRST_DAY * 24 + i64::from(number.is_multiple_of(3)), values, visitor: Some(visitor(number)) }
    };
    let mut whole = rollup(&[]);
    for part in 0..4_u64 {
        let clicks: Vec<Raw> = (part * 24_000..part * 24_000 + 28_000).map(click).collect();
        whole.merge(&rollup(&clicks));
    }
    let blocks = vec![(FIRST_DAY, whole.encode())];
    let mut query = query(FIRST_DAY * DAY, FIRST_DAY * DAY + DAY);
    let near = |found: u64, expect: f64, errors: f64| {
        let error = (found as f64 - expect).abs() / expect;
        assert!(error < errors, "{found} is not {expect}: {error}");
    };
    // Four standard errors each.
    let report = answer(&query, &blocks);
    assert!(report.visitors_are_estimated);
    near(report.visitors, 100_000.0, 4.0 / 2_048_f64.sqrt());
    query.interval = Interval::Hour;
    near(answer(&query, &blocks).rows[1].visitors.unwrap(), 33_333.0, 4.0 / 682_f64.sqrt());
    query.interval = Interval::None;
    query.group_by = Some(Dimension::Browser);
    answer(&query, &blocks).rows.iter().for_each(|row| near(row.visitors.unwrap(), 50_000.0, 4.0 / 1_024_f64.sqrt()));
    query.filters.push(Filter { dimension: Dimension::Country, values: vec!["DE".to_owned()] });
    near(answer(&query, &blocks).visitors, 5_000.0, 4.0 / 102_f64.sqrt());
}

#[test]
fn distinct_visitors_of_a_day_are_no_more_than_its_clicks() {
    // 3,000 visitors with a click each, on twelve links: an estimate is too high as often as too low.
    let mut capped = 0;
    for link in 0..12_u64 {
        let visitor = |number: u64| xxhash_rust::xxh3::xxh3_64_with_seed(&number.to_le_bytes(), link);
        let click = |number| Raw {
            hour: FIRST_DAY * 24 + (number % 24) as i64,
            values: [0; 17],
            visitor: Some(visitor(number)),
        };
        let clicks: Vec<Raw> = (0..3_000).map(click).collect();
        let blocks = vec![(FIRST_DAY, rollup(&clicks).encode())];
        let mut query = query(FIRST_DAY * DAY, FIRST_DAY * DAY + DAY);
        let report = answer(&query, &blocks);
        assert!(report.visitors <= 3_000 && report.visitors > 2_700, "{}", report.visitors);
        capped += u32::from(report.visitors == 3_000);
        query.interval = Interval::Day;
        assert_eq!(answer(&query, &blocks).rows[0].visitors, Some(report.visitors));
        assert!(answer(&query, &blocks).rows[0].visitors_are_estimated);
    }
    assert!((2..11).contains(&capped), "{capped} of 12 would have been more");
}
