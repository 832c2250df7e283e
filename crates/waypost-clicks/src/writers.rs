//! How far the clicks of every edge and epoch were counted: the ranges of sequences received, and what became of them.

use sqlx::any::AnyRow;
use waypost_core::Timestamp;
use waypost_sql::{Columns, Statement, as_bigint};

use crate::error::ClicksError;
use crate::tx::{ReadTx, Tx};
use crate::types::{ClickAudit, ClickPosition, LossCause};

/// The most ranges that are kept of an epoch; an edge that reports in order has one.
pub(crate) const RANGES_MAX: usize = 10_000;

/// Sequences that were received, as ranges (first and last) that neither touch nor overlap, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    fn parse(text: &str) -> Option<Self> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for range in text.split_ascii_whitespace() {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            let follows = ranges.last().is_none_or(|&(_, before): &(u64, u64)| before < first - first.min(1));
            if first > last || !follows {
                return None;
            }
            ranges.push((first, last));
        }
        Some(Self(ranges))
    }

    fn to_text(&self) -> String {
        let range = |&(first, last): &(u64, u64)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        self.0.iter().map(range).collect::<Vec<_>>().join(" ")
    }

    fn last(&self) -> Option<u64> {
        self.0.last().map(|&(_, last)| last)
    }

    pub(crate) fn contains(&self, sequence: u64) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= sequence);
        after > 0 && sequence <= self.0[after - 1].1
    }

    /// Adds sequences that are all beyond the last range.
    fn extend(&mut self, first: u64, last: u64) {
        match self.0.last_mut() {
            Some(range) if range.1.checked_add(1) == Some(first) => range.1 = last,
            _ => self.0.push((first, last)),
        }
    }

    /// Adds one sequence. `false` where it is there already, or where it would begin a range too many.
    pub(crate) fn insert(&mut self, sequence: u64) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= sequence);
        let touches_before = after > 0 && self.0[after - 1].1.checked_add(1) == Some(sequence);
        let touches_after = self.0.get(after).is_some_and(|&(first, _)| sequence.checked_add(1) == Some(first));
        if self.contains(sequence) {
            return false;
        }
        match (touches_before, touches_after) {
            (true, true) => {
                self.0[after - 1].1 = self.0[after].1;
                self.0.remove(after);
            }
            (true, false) => self.0[after - 1].1 = sequence,
            (false, true) => self.0[after].0 = sequence,
            (false, false) if self.0.len() >= RANGES_MAX => return false,
            (false, false) => self.0.insert(after, (sequence, sequence)),
        }
        true
    }

    fn missing(&self) -> u64 {
        self.0.windows(2).map(|pair| pair[1].0 - pair[0].1 - 1).sum()
    }
}

/// What a batch says of one epoch.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) edge_id: String,
    pub(crate) epoch: u64,
    pub(crate) received: Ranges,
    pub(crate) stored: u64,
    lost: [u64; 3],
}

impl Part {
    pub(crate) fn new(edge_id: &str, epoch: u64) -> Self {
        Self { edge_id: edge_id.to_owned(), epoch, received: Ranges::default(), stored: 0, lost: [0; 3] }
    }

    /// Whether a sequence is beyond all that were added.
    pub(crate) fn begins(&self, sequence: u64) -> bool {
        self.received.last().is_none_or(|last| sequence > last)
    }

    /// Adds a click that is counted.
    pub(crate) fn stored(&mut self, sequence: u64) {
        self.received.extend(sequence, sequence);
        self.stored += 1;
    }

    /// Adds sequences that are lost.
    pub(crate) fn lost(&mut self, first: u64, count: u64, cause: LossCause) {
        self.received.extend(first, first.saturating_add(count - 1));
        let cause = match cause {
            LossCause::Full => 0,
            LossCause::Damaged => 1,
            LossCause::Unreadable => 2,
        };
        self.lost[cause] += count;
    }
}

/// A stored row.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) received: Ranges,
    stored: u64,
    lost: [u64; 3],
    first_at: Option<Timestamp>,
    is_changed: bool,
}

impl Writer {
    /// Counts an event that came by itself. Where its number would begin a range too many it is not noted.
    pub(crate) fn receive(&mut self, sequence: u64) {
        self.received.insert(sequence);
        self.stored += 1;
        self.is_changed = true;
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Counts an epoch's part of a batch.
    fn take(&mut self, part: &Part) -> Result<(), ClicksError> {
        let Some(&(begins, _)) = part.received.0.first() else { return Ok(()) };
        if let Some(counted) = self.received.last().filter(|counted| counted.checked_add(1) != Some(begins)) {
            let (edge_id, epoch) = (part.edge_id.clone(), part.epoch);
            return Err(ClicksError::ClicksMoved { edge_id, epoch, counted, begins });
        }
        for &(first, last) in &part.received.0 {
            self.received.extend(first, last);
        }
        self.stored += part.stored;
        for (lost, more) in self.lost.iter_mut().zip(part.lost) {
            *lost += more;
        }
        Ok(())
    }
}

/// Epochs are kept as the signed number of the same bits, so that every one has room.
fn stored_epoch(epoch: u64) -> i64 {
    epoch.cast_signed()
}

fn read_audit(row: &AnyRow) -> Result<ClickAudit, ClicksError> {
    let columns = Columns::new(row, "click writer");
    let received = columns.parsed("received", Ranges::parse)?;
    Ok(ClickAudit {
        edge_id: columns.get("edge_id")?,
        epoch: columns.get::<i64>("epoch")?.cast_unsigned(),
        stored: columns.count("stored")?,
        lost_full: columns.count("lost_full")?,
        lost_damaged: columns.count("lost_damaged")?,
        lost_unreadable: columns.count("lost_unreadable")?,
        missing: received.missing(),
        received: received.0,
        first_at: columns.time("first_at")?,
        last_at: columns.time("last_at")?,
    })
}

macro_rules! writer_columns {
    () => {
        "edge_id, epoch, received, stored, lost_full, lost_damaged, lost_unreadable, first_at, last_at"
    };
}

impl ReadTx {
    pub(crate) async fn click_audit(&mut self) -> Result<Vec<ClickAudit>, ClicksError> {
        let sql = concat!("SELECT ", writer_columns!(), " FROM click_writers ORDER BY edge_id, epoch");
        self.fetch_all(Statement::new(sql)).await?.iter().map(read_audit).collect()
    }

    pub(crate) async fn click_positions(&mut self, edge_id: &str) -> Result<Vec<ClickPosition>, ClicksError> {
        let statement = Statement::new("SELECT epoch, received FROM click_writers WHERE edge_id = $1 ORDER BY epoch");
        let read = |row| {
            let columns = Columns::new(row, "click writer");
            let received = columns.parsed("received", Ranges::parse)?;
            let epoch = columns.get::<i64>("epoch")?.cast_unsigned();
            Ok(ClickPosition { epoch, next_sequence: received.last().unwrap_or(0).saturating_add(1) })
        };
        self.fetch_all(statement.bind(edge_id)).await?.iter().map(read).collect()
    }

    /// Where an epoch stands; an empty row where nothing of it was counted.
    pub(crate) async fn click_writer(&mut self, edge_id: &str, epoch: u64) -> Result<Writer, ClicksError> {
        let sql = concat!("SELECT ", writer_columns!(), " FROM click_writers WHERE edge_id = $1 AND epoch = $2");
        let statement = Statement::new(sql).bind(edge_id).bind(stored_epoch(epoch));
        let Some(row) = self.fetch_optional(statement).await? else { return Ok(Writer::default()) };
        let audit = read_audit(&row)?;
        Ok(Writer {
            received: Ranges(audit.received),
            stored: audit.stored,
            lost: [audit.lost_full, audit.lost_damaged, audit.lost_unreadable],
            first_at: Some(audit.first_at),
            is_changed: false,
        })
    }
}

impl Tx {
    /// Moves the epochs on by their parts of a batch.
    pub(crate) async fn take_click_parts(&mut self, parts: &[Part]) -> Result<(), ClicksError> {
        for part in parts {
            let mut writer = self.click_writer(&part.edge_id, part.epoch).await?;
            writer.take(part)?;
            self.put_click_writer((&part.edge_id, part.epoch), &writer).await?;
        }
        Ok(())
    }

    pub(crate) async fn put_click_writer(&mut self, key: (&str, u64), writer: &Writer) -> Result<(), ClicksError> {
        let now = self.now();
        let statement = Statement::new(
            "INSERT INTO click_writers
               (edge_id, epoch, received, stored, lost_full, lost_damaged, lost_unreadable, first_at, last_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (edge_id, epoch) DO UPDATE SET received = excluded.received, stored = excluded.stored,
               lost_full = excluded.lost_full, lost_damaged = excluded.lost_damaged,
               lost_unreadable = excluded.lost_unreadable, last_at = excluded.last_at",
        );
        let [full, damaged, unreadable] = writer.lost.map(as_bigint);
        let statement = statement
            .bind(key.0)
            .bind(stored_epoch(key.1))
            .bind(writer.received.to_text())
            .bind(as_bigint(writer.stored))
            .bind(full)
            .bind(damaged)
            .bind(unreadable)
            .bind(writer.first_at.unwrap_or(now).as_micros())
            .bind(now.as_micros());
        self.execute(statement).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ranges_grow_in_any_order() {
        let mut ranges = Ranges::default();
        for sequence in [5, 1, 2, 9, 3, 8] {
            assert!(ranges.insert(sequence));
            assert!(!ranges.insert(sequence), "{sequence} twice");
        }
        assert_eq!(ranges.to_text(), "1-3 5 8-9");
        assert_eq!(ranges.missing(), 3);
        assert!(ranges.insert(4));
        assert_eq!(ranges.to_text(), "1-5 8-9");
        ranges.extend(10, 20);
        ranges.extend(30, u64::MAX);
        assert_eq!(ranges.to_text(), format!("1-5 8-20 30-{}", u64::MAX));
        assert_eq!(Ranges::parse(&ranges.to_text()), Some(ranges.clone()));
        assert!(!ranges.insert(u64::MAX));
        assert!(ranges.contains(8) && !ranges.contains(7) && !ranges.contains(29) && !ranges.contains(0));
        for damaged in ["x", "3-1", "1-3 2-5", "1-3 4", "5 1", "1--2", "-1"] {
            assert_eq!(Ranges::parse(damaged), None, "{damaged}");
        }
        assert_eq!(Ranges::parse(""), Some(Ranges::default()));
    }

    #[test]
    fn ranges_have_a_limit() {
        let mut ranges = Ranges::default();
        assert!((1..=RANGES_MAX as u64).all(|number| ranges.insert(number * 2)));
        assert!(!ranges.insert(1_000_000));
        assert!(ranges.insert(3), "closing a gap is always possible");
        assert!(ranges.insert(1_000_000));
    }
}
