//! Sums of the days of a report.

use std::cmp::Reverse;

use hashbrown::HashMap;

use crate::calendar::Calendar;
use crate::scan::{STRIDE, Slots, Visitors};
use crate::{Report, ReportRow};
use waypost_core::Timestamp;

/// Sums by interval, and rows of groups by day.
#[derive(Debug)]
pub(crate) struct Tally {
    all: Sum,
    by_interval: Vec<Sum>,
    numbers: HashMap<String, u32>,
    rows: Vec<GroupRow>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) clicks: u64,
    pub(crate) visitors: f64,
    /// Whether the visitors are an estimate, or some of them.
    pub(crate) is_estimated: bool,
}

impl Sum {
    fn add(&mut self, more: Self) {
        self.clicks = self.clicks.saturating_add(more.clicks);
        self.visitors += more.visitors;
        self.is_estimated |= more.is_estimated;
    }

    /// There are never more visitors than clicks, whatever an erasure left of the sample by which visitors are counted.
    fn visitors(&self) -> u64 {
        (self.visitors.round() as u64).min(self.clicks)
    }

    fn row(&self, starts_at: Option<Timestamp>, group: Option<String>) -> ReportRow {
        ReportRow {
            starts_at,
            group,
            clicks: self.clicks,
            visitors: Some(self.visitors()),
            visitors_are_estimated: self.is_estimated && self.clicks > 0,
        }
    }
}

/// What a group has in an interval; of one day, until they are summed.
#[derive(Clone, Copy, Debug)]
struct GroupRow {
    interval: u32,
    group: u32,
    sum: Sum,
}

/// How the answer is divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) has_intervals: bool,
    pub(crate) has_groups: bool,
    pub(crate) groups_max: usize,
}

impl Tally {
    pub(crate) fn new(intervals: usize) -> Self {
        Self {
            all: Sum::default(),
            by_interval: vec![Sum::default(); intervals],
            numbers: HashMap::new(),
            rows: Vec::new(),
        }
    }

    /// Adds clicks by group and hour (or day, as the slots are), visitors, and the groups' names.
    pub(crate) fn add(&mut self, slots: &Slots, clicks: &[u64], visitors: &Visitors, names: Option<&[&str]>) {
        let is_estimated = |slot: usize| visitors.estimated_slots >> slot & 1 == 1;
        self.all.add(Sum { clicks: 0, visitors: visitors.all, is_estimated: visitors.is_estimated });
        for (slot, interval) in slots.intervals.iter().enumerate() {
            let visitors = visitors.by_slot[slot];
            self.by_interval[*interval as usize].add(Sum { clicks: 0, visitors, is_estimated: is_estimated(slot) });
        }
        for (group, by_hour) in clicks.chunks_exact(STRIDE).enumerate() {
            let mut by_slot = [0_u64; STRIDE];
            for (count, slot) in by_hour.iter().zip(slots.of_hour).filter(|(_, slot)| *slot != u8::MAX) {
                let sum = &mut by_slot[usize::from(slot)];
                *sum = sum.saturating_add(*count);
            }
            if by_slot.iter().all(|clicks| *clicks == 0) {
                continue;
            }
            let number = names.map(|names| self.number(names[group]));
            for (slot, interval) in slots.intervals.iter().enumerate().filter(|(slot, _)| by_slot[*slot] > 0) {
                self.add_clicks(*interval, by_slot[slot]);
                if let Some(number) = number {
                    let group_visitors = visitors.by_group.get(group * STRIDE + slot).copied().unwrap_or(0.0);
                    let clicks = by_slot[slot];
                    let sum = Sum { clicks, visitors: group_visitors, is_estimated: is_estimated(slot) };
                    self.rows.push(GroupRow { interval: *interval, group: number, sum });
                }
            }
        }
    }

    pub(crate) fn add_clicks(&mut self, interval: u32, clicks: u64) {
        self.all.clicks = self.all.clicks.saturating_add(clicks);
        let sum = &mut self.by_interval[interval as usize].clicks;
        *sum = sum.saturating_add(clicks);
    }

    /// Adds what days add up to that are all in one interval, without groups.
    pub(crate) fn add_sum(&mut self, sum: Sum) {
        self.all.add(sum);
    }

    /// The total.
    pub(crate) fn sum(&self) -> Sum {
        self.all
    }

    fn number(&mut self, name: &str) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry_ref(name).or_insert(next)
    }

    pub(crate) fn finish(self, calendar: &Calendar, shape: Shape) -> Report {
        let mut report = Report {
            clicks: self.all.clicks,
            visitors: self.all.visitors(),
            visitors_are_estimated: self.all.is_estimated,
            ..Report::default()
        };
        if shape.has_groups {
            self.finish_groups(calendar, shape, &mut report);
        } else if shape.has_intervals {
            let row = |(interval, sum): (usize, &Sum)| sum.row(Some(calendar.starts_at(interval as u32)), None);
            report.rows = self.by_interval.iter().enumerate().map(row).collect();
        }
        report
    }

    fn finish_groups(mut self, calendar: &Calendar, shape: Shape, report: &mut Report) {
        let mut names = vec![""; self.numbers.len()];
        self.numbers.iter().for_each(|(name, number)| names[*number as usize] = name.as_str());
        let mut clicks = vec![0_u64; names.len()];
        for row in &self.rows {
            let sum = &mut clicks[row.group as usize];
            *sum = sum.saturating_add(row.sum.clicks);
        }
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_unstable_by_key(|group| (Reverse(clicks[*group]), names[*group]));
        let others = order.split_off(shape.groups_max.min(order.len()));
        report.other_groups = others.len() as u64;
        report.other_clicks = others.iter().map(|group| clicks[*group]).fold(0, u64::saturating_add);
        let mut is_given = vec![false; names.len()];
        order.iter().for_each(|group| is_given[*group] = true);
        self.rows.retain(|row| is_given[row.group as usize]);
        self.rows.sort_by_key(|row| (row.interval, row.group));
        self.rows.dedup_by(|later, kept| {
            let is_same = (later.interval, later.group) == (kept.interval, kept.group);
            if is_same {
                kept.sum.add(later.sum);
            }
            is_same
        });
        self.rows.sort_by_key(|row| (row.interval, Reverse(row.sum.clicks), names[row.group as usize]));
        let given = self.rows.iter().map(|row| {
            let starts_at = shape.has_intervals.then(|| calendar.starts_at(row.interval));
            row.sum.row(starts_at, Some(names[row.group as usize].to_owned()))
        });
        report.rows = given.collect();
    }
}
