//! What time it is for deleting: a clock that jumped ahead would have everything deleted that had its days by then.
//!
//! The rule. The database keeps up to when time is believed to have come. The clock is believed where it shows no more than
//! [`SLACK_US`] beyond that and the time that the process has run since: then that is what it shows, also where it was set
//! back. Where it shows more, it is held against it: believed time goes on by what the process runs, so nothing is deleted sooner
//! than it would have been, and whoever asks is told. The hold ends when the clock shows a believable time again, or when it
//! has gone in step with the process for [`PROOF_US`]: then it is the time, and the instance was off for long.
//!
//! A clock that is set back far is believed, and what was believed before is kept beside it: a start with a clock that is far too
//! early, as before it is set, must hold nothing back once it is right again. The clock may go back to there as soon as it has
//! gone in step there, then and now, for longer than at the earlier time, and it was at the earlier time no longer than
//! [`SLACK_US`]. So a clock that is ahead at each start and soon set right stays held.
//!
//! Before there is such a record, the newest batch that was counted says up to when time had come.

use std::time::Duration;

use waypost_core::Timestamp;
use waypost_sql::{Columns, Statement};

use crate::error::ClicksError;
use crate::store::ClickStore;
use crate::tx::Tx;

const HOUR_US: i64 = 3_600_000_000;
/// How far the clock may be ahead of what is known: an instance may be off for a week.
const SLACK_US: i64 = 7 * 24 * HOUR_US;
/// How long a clock that jumped must go on in step before it is believed.
const PROOF_US: i64 = 30 * 24 * HOUR_US;
/// No clock is right that shows less: it was not set yet.
const EARLIEST_US: i64 = 1_735_689_600_000_000;

/// What time it is for deleting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionClock {
    /// The time that is believed.
    pub now: Timestamp,
    /// What the clock shows, where that is not believed.
    pub held: Option<Timestamp>,
}

/// The record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Believed {
    at: i64,
    /// What the clock showed last.
    shown_at: i64,
    /// For how long it has gone in step while it was not believed.
    in_step: i64,
    /// For how long the process has run with a clock that was believed, since that was last set back far.
    ran: i64,
    /// `at` and `ran` of before it was set back. Absent as (0, 0).
    before: (i64, i64),
}

impl Believed {
    /// The record after a look at a clock that shows `now`, where the process ran for so long since the last one (0 for the
    /// first); and whether that is believed.
    fn look(self, now: i64, ran: i64) -> (Self, bool) {
        let before = (if self.before.0 == 0 { 0 } else { self.before.0.saturating_add(ran) }, self.before.1);
        if now <= self.at.saturating_add(SLACK_US).saturating_add(ran) {
            return (self.go_on(now, ran, before), true);
        }
        let step = now.saturating_sub(self.shown_at);
        let is_in_step = match ran {
            // A process that has just started cannot tell for how long there was none.
            0 => (0..=SLACK_US).contains(&step),
            ran => step.saturating_sub(ran).abs() <= HOUR_US,
        };
        let in_step = if is_in_step { self.in_step.saturating_add(ran) } else { 0 };
        if in_step >= PROOF_US {
            return (Self { at: now, shown_at: now, ran: in_step, ..Self::default() }, true);
        }
        let was_there = now <= before.0.saturating_add(SLACK_US);
        let proven_there = before.1.saturating_add(in_step);
        if was_there && proven_there > self.ran && self.ran <= SLACK_US {
            return (Self { at: now, shown_at: now, ran: proven_there, ..Self::default() }, true);
        }
        (Self { at: self.at.saturating_add(ran), shown_at: now, in_step, before, ..self }, false)
    }

    /// The record where the clock is believed.
    fn go_on(self, now: i64, ran: i64, before: (i64, i64)) -> Self {
        let here = Self { at: now, shown_at: now, ..Self::default() };
        if now >= self.at.saturating_sub(SLACK_US) {
            let before = if now < before.0 { before } else { (0, 0) };
            return Self { ran: self.ran.saturating_add(ran), before, ..here };
        }
        // Set back. Of two times that it was set back from, the one that it went in step at for longer is kept.
        let left = (self.at.saturating_add(ran), self.ran);
        Self { before: if before.0 == 0 || left.1 >= before.1 { left } else { before }, ..here }
    }
}

impl ClickStore {
    /// Commits a write that changes nothing: a row beside the record, which nobody reads.
    pub(crate) async fn probe_writing(&self) -> Result<(), ClicksError> {
        let mut tx = self.begin("write_probe").await?;
        let put = Statement::new(
            "INSERT INTO click_clock (id, believed_at, shown_at, in_step_us) VALUES (2, 0, $1, 0)
             ON CONFLICT (id) DO UPDATE SET shown_at = excluded.shown_at",
        );
        let now = tx.now().as_micros();
        tx.execute(put.bind(now)).await?;
        tx.commit().await
    }

    /// Looks at the clock, and keeps what is to be known of it. `ran`: for how long this process has run since it last looked;
    /// zero at its first look.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retention_clock(&self, ran: Duration) -> Result<RetentionClock, ClicksError> {
        let mut tx = self.begin("retention_clock").await?;
        let now = tx.now();
        if now.as_micros() < EARLIEST_US {
            return Ok(RetentionClock { now, held: Some(now) });
        }
        let record = match get_row(&mut tx, 1).await? {
            Some((at, shown_at, in_step)) => {
                let (before_at, before_ran, ran) = get_row(&mut tx, 3).await?.unwrap_or_default();
                Believed { at, shown_at, in_step, ran, before: (before_at, before_ran) }
            }
            None => {
                let newest = Statement::new("SELECT max(last_at) AS last_at FROM click_writers");
                let row = tx.fetch_optional(newest).await?;
                let newest = row.map(|row| Columns::new(&row, "click writer").get::<Option<i64>>("last_at"));
                let at = newest.transpose()?.flatten().unwrap_or(now.as_micros());
                Believed { at, shown_at: at, ..Believed::default() }
            }
        };
        let ran = i64::try_from(ran.as_micros()).unwrap_or(i64::MAX);
        let (record, is_believed) = record.look(now.as_micros(), ran);
        put_row(&mut tx, 1, (record.at, record.shown_at, record.in_step)).await?;
        put_row(&mut tx, 3, (record.before.0, record.before.1, record.ran)).await?;
        tx.commit().await?;
        Ok(RetentionClock { now: Timestamp::from_micros(record.at), held: (!is_believed).then_some(now) })
    }
}

/// A row of the table. The first is the record, the second is for [`ClickStore::probe_writing`], the third has the times before
/// the clock was set back and how long the process ran then and since.
async fn get_row(tx: &mut Tx, id: i64) -> Result<Option<(i64, i64, i64)>, ClicksError> {
    let statement = Statement::new("SELECT believed_at, shown_at, in_step_us FROM click_clock WHERE id = $1");
    let row = tx.fetch_optional(statement.bind(id)).await?;
    let read = |row| {
        let columns = Columns::new(row, "clock");
        Ok((columns.get("believed_at")?, columns.get("shown_at")?, columns.get("in_step_us")?))
    };
    row.as_ref().map(read).transpose()
}

async fn put_row(tx: &mut Tx, id: i64, (at, shown_at, in_step): (i64, i64, i64)) -> Result<(), ClicksError> {
    let put = Statement::new(
        "INSERT INTO click_clock (id, believed_at, shown_at, in_step_us) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET believed_at = excluded.believed_at, shown_at = excluded.shown_at,
           in_step_us = excluded.in_step_us",
    );
    tx.execute(put.bind(id).bind(at).bind(shown_at).bind(in_step)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: i64 = 24 * HOUR_US;
    const NOW: i64 = EARLIEST_US + 500 * DAY_US;

    fn record() -> Believed {
        Believed { at: NOW, shown_at: NOW, ..Believed::default() }
    }

    #[test]
    fn a_clock_that_goes_on_or_back_is_believed() {
        let record = Believed { in_step: 5, ..record() };
        for (now, ran) in [(NOW, 0), (NOW + SLACK_US, 0), (NOW - 400 * DAY_US, 0), (NOW + 9 * DAY_US, 2 * DAY_US)] {
            let (next, is_believed) = record.look(now, ran);
            assert_eq!((next.at, next.shown_at, next.in_step, is_believed), (now, now, 0, true));
        }
    }

    #[test]
    fn a_short_start_with_a_clock_that_is_too_early_holds_nothing_back() {
        let early = NOW - 300 * DAY_US;
        // It ran for days before.
        let (record, _) = record().look(NOW + 2 * DAY_US, 2 * DAY_US);
        let (set_back, is_believed) = record.look(early, 0);
        assert_eq!((set_back.at, is_believed), (early, true), "nothing is deleted by it");
        let (set_back, _) = set_back.look(early + HOUR_US, HOUR_US);
        let right = NOW + 3 * DAY_US;
        assert_eq!(
            set_back.look(right, 0).0,
            Believed { at: right, shown_at: right, ran: 2 * DAY_US, ..Believed::default() }
        );
        assert!(set_back.look(right, 0).1);
        let (long, _) = set_back.look(early + 8 * DAY_US, 8 * DAY_US - HOUR_US);
        assert!(!long.look(right, 0).1, "that was no short start");
        // Beyond what was believed once, a jump is one.
        assert!(!set_back.look(NOW + 30 * DAY_US, 0).1);
    }

    #[test]
    fn of_two_clocks_that_showed_as_little_the_later_one_has_to_go_in_step() {
        let early = NOW - 300 * DAY_US;
        let (set_back, _) = record().look(early, 0);
        let (held, is_believed) = set_back.look(NOW + HOUR_US, 0);
        assert!(!is_believed);
        assert!(held.look(NOW + 2 * HOUR_US, HOUR_US).1);
    }

    #[test]
    fn a_clock_that_is_ahead_at_each_start_stays_held() {
        let far = NOW + 4_500 * DAY_US;
        // The first start of all, with nothing to compare with.
        let mut record = Believed { at: far, shown_at: far, ..Believed::default() };
        let mut now = NOW;
        for _ in 0..3 {
            for _ in 0..3 {
                let (next, is_believed) = record.look(now, HOUR_US);
                assert!(is_believed);
                record = next;
                now += HOUR_US;
            }
            let (held, is_believed) = record.look(far + HOUR_US, 0);
            assert!(!is_believed && held.at <= now);
            record = held;
        }
    }

    #[test]
    fn a_clock_that_jumped_is_held_while_believed_time_goes_on() {
        let far = NOW + 4_500 * DAY_US;
        let (held, is_believed) = record().look(far, HOUR_US);
        assert_eq!((held.at, held.shown_at, held.in_step, is_believed), (NOW + HOUR_US, far, 0, false));
        let (held, is_believed) = held.look(far + HOUR_US, HOUR_US);
        assert_eq!((held.at, held.in_step, is_believed), (NOW + 2 * HOUR_US, HOUR_US, false));
        // Restarts prove nothing, and cost nothing.
        let (held, is_believed) = held.look(far + 2 * HOUR_US, 0);
        assert_eq!((held.at, held.in_step, is_believed), (NOW + 2 * HOUR_US, HOUR_US, false));
        // Another jump begins the proof anew.
        assert_eq!(held.look(far + 30 * DAY_US, HOUR_US).0.in_step, 0);
        // It is set right.
        assert!(held.look(NOW + 3 * HOUR_US, HOUR_US).1);
    }

    #[test]
    fn an_instance_that_was_off_for_long_is_believed_after_a_month() {
        let mut record = record();
        let mut now = NOW + 90 * DAY_US;
        let mut hours = 0;
        loop {
            let (next, is_believed) = record.look(now, if hours == 0 { 0 } else { HOUR_US });
            if is_believed {
                break;
            }
            assert!(next.at <= NOW + hours * HOUR_US);
            record = next;
            hours += 1;
            now += HOUR_US;
        }
        assert_eq!(hours, 30 * 24);
    }
}
