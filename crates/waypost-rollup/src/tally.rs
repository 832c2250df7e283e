//! What the days of a report add up to.

use std::cmp::Reverse;

use hashbrown::HashMap;

use crate::calendar::Calendar;
use crate::scan::{STRIDE, Slots, Visitors};
use crate::{Report, ReportRow};

/// Sums by interval, and rows of groups by day.
#[derive(Debug)]
pub(crate) struct Tally {
    clicks: u64,
    visitors: f64,
    is_estimated: bool,
    by_interval: Vec<Sum>,
    numbers: HashMap<String, u32>,
    rows: Vec<GroupRow>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    clicks: u64,
    visitors: f64,
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
            clicks: 0,
            visitors: 0.0,
            is_estimated: false,
            by_interval: vec![Sum::default(); intervals],
            numbers: HashMap::new(),
            rows: Vec::new(),
        }
    }

    /// Adds clicks by group and hour (or day, as the slots are), visitors, and the groups' names.
    pub(crate) fn add(&mut self, slots: &Slots, clicks: &[u64], visitors: &Visitors, names: Option<&[&str]>) {
        self.is_estimated |= visitors.is_estimated;
        self.visitors += visitors.all;
        for (slot, interval) in slots.intervals.iter().enumerate() {
            self.by_interval[*interval as usize].visitors += visitors.by_slot[slot];
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
                    let sum = Sum { clicks: by_slot[slot], visitors: group_visitors };
                    self.rows.push(GroupRow { interval: *interval, group: number, sum });
                }
            }
        }
    }

    pub(crate) fn add_clicks(&mut self, interval: u32, clicks: u64) {
        self.clicks = self.clicks.saturating_add(clicks);
        let sum = &mut self.by_interval[interval as usize].clicks;
        *sum = sum.saturating_add(clicks);
    }

    fn number(&mut self, name: &str) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry_ref(name).or_insert(next)
    }

    pub(crate) fn finish(self, calendar: &Calendar, shape: Shape) -> Report {
        let mut report = Report {
            clicks: self.clicks,
            visitors: self.visitors.round() as u64,
            visitors_are_estimated: self.is_estimated,
            ..Report::default()
        };
        if shape.has_groups {
            self.finish_groups(calendar, shape, &mut report);
        } else if shape.has_intervals {
            let row = |(interval, sum): (usize, &Sum)| ReportRow {
                starts_at: Some(calendar.starts_at(interval as u32)),
                group: None,
                clicks: sum.clicks,
                visitors: Some(sum.visitors.round() as u64),
            };
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
                kept.sum.clicks = kept.sum.clicks.saturating_add(later.sum.clicks);
                kept.sum.visitors += later.sum.visitors;
            }
            is_same
        });
        self.rows.sort_by_key(|row| (row.interval, Reverse(row.sum.clicks), names[row.group as usize]));
        let given = self.rows.iter().map(|row| ReportRow {
            starts_at: shape.has_intervals.then(|| calendar.starts_at(row.interval)),
            group: Some(names[row.group as usize].to_owned()),
            clicks: row.sum.clicks,
            visitors: Some(row.sum.visitors.round() as u64),
        });
        report.rows = given.collect();
    }
}
