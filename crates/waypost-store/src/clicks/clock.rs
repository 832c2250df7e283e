//! What time it is for deleting: a clock that jumped ahead would have everything deleted that had its days by then.
//!
//! The rule. The database keeps up to when time is believed to have come. The clock is believed where it shows no more than
//! [`SLACK_US`] beyond that and the time that the process has run since: then that is what it shows, also where it was set
//! back. Where it shows more, it is held against it: believed time goes on by what the process runs, so nothing is deleted sooner
//! than it would have been, and whoever asks is told. The hold ends when the clock shows a believable time again, or when it
//! has gone in step with the process for [`PROOF_US`]: then it is the time, and the instance was off for long.
//!
//! Before there is such a record, the newest batch that was counted says up to when time had come.

use std::time::Duration;

use waypost_core::Timestamp;

use crate::clicks::ClickStore;
use crate::error::StoreError;
use crate::rows::Columns;
use crate::statement::Statement;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Believed {
    at: i64,
    /// What the clock showed last.
    shown_at: i64,
    /// For how long it has gone in step while it was not believed.
    in_step: i64,
}

impl Believed {
    /// The record after a look at a clock that shows `now`, where the process ran for so long since the last one (0 for the
    /// first); and whether that is believed.
    fn look(self, now: i64, ran: i64) -> (Self, bool) {
        let believed = Self { at: now, shown_at: now, in_step: 0 };
        if now <= self.at.saturating_add(SLACK_US).saturating_add(ran) {
            return (believed, true);
        }
        let step = now.saturating_sub(self.shown_at);
        let is_in_step = match ran {
            // A process that has just started cannot tell for how long there was none.
            0 => (0..=SLACK_US).contains(&step),
            ran => step.saturating_sub(ran).abs() <= HOUR_US,
        };
        let in_step = if is_in_step { self.in_step.saturating_add(ran) } else { 0 };
        if in_step >= PROOF_US {
            return (believed, true);
        }
        (Self { at: self.at.saturating_add(ran), shown_at: now, in_step }, false)
    }
}

impl ClickStore {
    /// Commits a write that changes nothing: a row beside the record, which nobody reads.
    pub(super) async fn probe_writing(&self) -> Result<(), StoreError> {
        let mut tx = self.database.begin("write_probe").await?;
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
    pub async fn retention_clock(&self, ran: Duration) -> Result<RetentionClock, StoreError> {
        let mut tx = self.database.begin("retention_clock").await?;
        let now = tx.now();
        if now.as_micros() < EARLIEST_US {
            return Ok(RetentionClock { now, held: Some(now) });
        }
        let statement = Statement::new("SELECT believed_at, shown_at, in_step_us FROM click_clock WHERE id = 1");
        let record = match tx.fetch_optional(statement).await? {
            Some(row) => {
                let columns = Columns::new(&row, "clock");
                let (at, shown_at) = (columns.get("believed_at")?, columns.get("shown_at")?);
                Believed { at, shown_at, in_step: columns.get("in_step_us")? }
            }
            None => {
                let newest = Statement::new("SELECT max(last_at) AS last_at FROM click_writers");
                let row = tx.fetch_optional(newest).await?;
                let newest = row.map(|row| Columns::new(&row, "click writer").get::<Option<i64>>("last_at"));
                let at = newest.transpose()?.flatten().unwrap_or(now.as_micros());
                Believed { at, shown_at: at, in_step: 0 }
            }
        };
        let ran = i64::try_from(ran.as_micros()).unwrap_or(i64::MAX);
        let (record, is_believed) = record.look(now.as_micros(), ran);
        let put = Statement::new(
            "INSERT INTO click_clock (id, believed_at, shown_at, in_step_us) VALUES (1, $1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET believed_at = excluded.believed_at, shown_at = excluded.shown_at,
               in_step_us = excluded.in_step_us",
        );
        tx.execute(put.bind(record.at).bind(record.shown_at).bind(record.in_step)).await?;
        tx.commit().await?;
        Ok(RetentionClock { now: Timestamp::from_micros(record.at), held: (!is_believed).then_some(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: i64 = 24 * HOUR_US;
    const NOW: i64 = EARLIEST_US + 500 * DAY_US;

    #[test]
    fn a_clock_that_goes_on_or_back_is_believed() {
        let record = Believed { at: NOW, shown_at: NOW, in_step: 5 };
        for (now, ran) in [(NOW, 0), (NOW + SLACK_US, 0), (NOW - 400 * DAY_US, 0), (NOW + 9 * DAY_US, 2 * DAY_US)] {
            assert_eq!(record.look(now, ran), (Believed { at: now, shown_at: now, in_step: 0 }, true));
        }
    }

    #[test]
    fn a_clock_that_jumped_is_held_while_believed_time_goes_on() {
        let record = Believed { at: NOW, shown_at: NOW, in_step: 0 };
        let far = NOW + 4_500 * DAY_US;
        let (held, is_believed) = record.look(far, HOUR_US);
        assert_eq!((held, is_believed), (Believed { at: NOW + HOUR_US, shown_at: far, in_step: 0 }, false));
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
        let mut record = Believed { at: NOW, shown_at: NOW, in_step: 0 };
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
