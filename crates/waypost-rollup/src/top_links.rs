//! Top links: sums by link number over the stored bytes of [`crate::LinksRollup`]s.
//!
//! Links are many and the rows of an answer few: so a first pass sums by link only, and where the range is divided too,
//! a second one over the same bytes sums what the chosen links have in each interval.

use std::cmp::Reverse;

use hashbrown::HashMap;

use crate::calendar::Calendar;
use crate::cell_bytes::CellsView;
use crate::links::LinksView;
use crate::question::Question;
use crate::scan::{STRIDE, Slots, count_cells};
use crate::tally::Shape;
use crate::{CorruptRollup, Report, ReportRow};

/// Links of one page of sums.
const PAGE_LINKS: usize = 64;

/// Sums by link.
#[derive(Debug)]
pub(crate) struct TopLinks {
    /// Which page has the links of these numbers (divided by [`PAGE_LINKS`]).
    pages: HashMap<u32, u32>,
    sums: Vec<u64>,
    /// Whether a class is counted.
    classes: [bool; 5],
    /// The days again, if the answer is divided into intervals: the number of each and its bytes.
    days: Option<Vec<(i64, Vec<u8>)>>,
}

impl TopLinks {
    pub(crate) fn new(question: &Question, shape: Shape) -> Self {
        let names = crate::schema::Plain::Class.names();
        let is_counted =
            |name: &str| question.conditions.iter().all(|condition| condition.values.iter().any(|value| value == name));
        Self {
            pages: HashMap::new(),
            sums: Vec::new(),
            classes: std::array::from_fn(|class| is_counted(names[class])),
            days: shape.has_intervals.then(Vec::new),
        }
    }

    pub(crate) fn add(&mut self, day: i64, slots: &Slots, block: &[u8]) -> Result<(), CorruptRollup> {
        let mut links = Vec::new();
        let mut places = Vec::new();
        let counted: [u64; STRIDE] = slots.of_hour.map(|slot| if slot == u8::MAX { 0 } else { u64::MAX });
        for section in LinksView::new(block)? {
            let section = section?;
            if !self.classes[usize::from(section.class)] {
                continue;
            }
            let cells = section.read_links(&mut links)?;
            self.find_places(&links, &mut places);
            sum_cells(cells, &places, &counted, &mut self.sums)?;
        }
        if let Some(days) = &mut self.days {
            days.push((day, block.to_vec()));
        }
        Ok(())
    }

    /// The place of the sum of each link.
    fn find_places(&mut self, links: &[u32], places: &mut Vec<u32>) {
        places.clear();
        let mut last = None;
        for link in links {
            let number = link / PAGE_LINKS as u32;
            let page = match last {
                Some((known, page)) if known == number => page,
                _ => {
                    let next = (self.sums.len() / PAGE_LINKS) as u32;
                    let page = *self.pages.entry(number).or_insert(next);
                    if page == next {
                        self.sums.resize(self.sums.len() + PAGE_LINKS, 0);
                    }
                    page
                }
            };
            last = Some((number, page));
            places.push(page * PAGE_LINKS as u32 + link % PAGE_LINKS as u32);
        }
    }

    pub(crate) fn finish(self, calendar: &Calendar, shape: Shape) -> Report {
        let links_of = |(number, page): (&u32, &u32)| {
            let (link, place) = (*number * PAGE_LINKS as u32, *page as usize * PAGE_LINKS);
            let sums = self.sums[place..place + PAGE_LINKS].iter().copied();
            (link..).zip(sums).filter(|(_, clicks)| *clicks > 0).collect::<Vec<_>>()
        };
        let mut order: Vec<(u32, u64)> = self.pages.iter().flat_map(links_of).collect();
        let clicks = order.iter().map(|(_, clicks)| *clicks).fold(0, u64::saturating_add);
        let given = shape.groups_max.min(order.len());
        if given < order.len() {
            order.select_nth_unstable_by_key(given, |(link, clicks)| (Reverse(*clicks), *link));
        }
        let others = order.split_off(given);
        order.sort_unstable_by_key(|(link, clicks)| (Reverse(*clicks), *link));
        let mut report = Report {
            clicks,
            other_groups: others.len() as u64,
            other_clicks: others.iter().map(|(_, clicks)| *clicks).fold(0, u64::saturating_add),
            ..Report::default()
        };
        let row = |starts_at, link: u32, clicks| ReportRow {
            starts_at,
            group: Some(link.to_string()),
            clicks,
            visitors: None,
            visitors_are_estimated: false,
        };
        if self.days.is_some() {
            let sums = self.sum_intervals(&order, calendar).expect("every day kept was read before");
            for (interval, sums) in (0..).zip(sums.chunks(order.len().max(1))) {
                let mut of_interval: Vec<(u32, u64)> =
                    order.iter().zip(sums).map(|((link, _), sum)| (*link, *sum)).filter(|(_, sum)| *sum > 0).collect();
                of_interval.sort_unstable_by_key(|(link, clicks)| (Reverse(*clicks), *link));
                let starts_at = Some(calendar.starts_at(interval));
                report.rows.extend(of_interval.into_iter().map(|(link, clicks)| row(starts_at, link, clicks)));
            }
        } else {
            report.rows = order.into_iter().map(|(link, clicks)| row(None, link, clicks)).collect();
        }
        report
    }

    /// Clicks of the chosen links by interval and link.
    fn sum_intervals(&self, chosen: &[(u32, u64)], calendar: &Calendar) -> Result<Vec<u64>, CorruptRollup> {
        let numbers: HashMap<u32, u32> = (0..).zip(chosen).map(|(number, (link, _))| (*link, number)).collect();
        let mut sums = vec![0_u64; calendar.intervals() * chosen.len()];
        let mut links = Vec::new();
        let mut rows = Vec::new();
        for (day, block) in self.days.iter().flatten() {
            let mut by_hour = vec![0_u64; (chosen.len() + 1) * STRIDE];
            for section in LinksView::new(block)? {
                let section = section?;
                if self.classes[usize::from(section.class)] {
                    let cells = section.read_links(&mut links)?;
                    rows.clear();
                    let row = |link| numbers.get(link).copied().unwrap_or(chosen.len() as u32) * STRIDE as u32;
                    rows.extend(links.iter().map(row));
                    count_cells(cells, &rows, &mut by_hour)?;
                }
            }
            let slots = Slots::new(&calendar.intervals_of(*day));
            for (number, by_hour) in by_hour.chunks_exact(STRIDE).take(chosen.len()).enumerate() {
                for (count, slot) in by_hour.iter().zip(slots.of_hour).filter(|(_, slot)| *slot != u8::MAX) {
                    let interval = slots.intervals[usize::from(slot)] as usize;
                    let sum = &mut sums[interval * chosen.len() + number];
                    *sum = sum.saturating_add(*count);
                }
            }
        }
        Ok(sums)
    }
}

/// Adds the clicks of cells to the sums of their links, in the hours that are counted.
fn sum_cells(
    cells: CellsView<'_>,
    places: &[u32],
    counted: &[u64; STRIDE],
    sums: &mut [u64],
) -> Result<(), CorruptRollup> {
    cells.each(|link, hour, count| {
        let place = *places.get(link).ok_or(CorruptRollup)? as usize;
        *sums.get_mut(place).ok_or(CorruptRollup)? += count & counted[hour % STRIDE];
        Ok(())
    })
}
