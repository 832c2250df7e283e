//! Whether every click that was answered is accounted for: what the clicks database has received of each edge, joined with
//! what still waits in this instance's spool.
//!
//! Edges number their clicks from 1 without gaps in each epoch, so what was received of an epoch must be one range from 1
//! on, and stored clicks and declared losses must make up that range. What waits comes after it.

use serde::Serialize;
use waypost_core::Timestamp;
use waypost_spool::SpoolStats;
use waypost_store::ClickAudit;

use crate::app::App;
use crate::problem::Problem;

/// The audit of all edges.
#[derive(Debug, Serialize)]
pub(crate) struct AuditView {
    /// Whether answered = stored + declared loss + still waiting, in every epoch and altogether.
    ok: bool,
    totals: Totals,
    epochs: Vec<EpochView>,
    /// This instance's spool since its start; `null` where it has none.
    spool: Option<SpoolView>,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    /// Clicks that were numbered by an edge, as far as it is known here.
    answered: u64,
    stored: u64,
    /// Declared lost, or known to be and to be declared yet.
    lost: u64,
    /// In this instance's spool, to be counted yet.
    waiting: u64,
    /// Of those answered: neither stored, declared lost nor waiting.
    missing: u64,
}

#[derive(Debug, Serialize)]
struct EpochView {
    edge_id: String,
    epoch: u64,
    ok: bool,
    /// First and last sequence of each range that was received.
    received: Vec<(u64, u64)>,
    /// First and last sequence of each range that was not, though something after it was.
    gaps: Vec<(u64, u64)>,
    stored: u64,
    lost: LostView,
    missing: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

#[derive(Debug, Serialize)]
struct LostView {
    full: u64,
    damaged: u64,
    unreadable: u64,
}

#[derive(Debug, Serialize)]
struct SpoolView {
    /// Clicks numbered since the start.
    appended: u64,
    /// Those of them that found no room.
    lost: u64,
    /// Sequences that wait, those of earlier runs among them.
    pending: u64,
    /// Sequences found damaged since the start.
    damaged: u64,
    /// Clicks of this run that are neither counted, declared lost nor waiting.
    unaccounted: u64,
}

impl App {
    /// Audits all edges.
    pub(crate) async fn audit_clicks(&self) -> Result<AuditView, Problem> {
        // In this order: what moves on from one number to the next meanwhile is then seen twice and never not at all.
        let spool = self.settings.spool_stats.as_ref().map(|read| read());
        let status = self.clicks.status();
        let accounted = status.counted + status.lost;
        let undeclared = spool.as_ref().map_or(0, |stats| status.lost_by_now(stats).saturating_sub(status.lost));
        let spool = spool.map(|stats| SpoolView::new(&stats, accounted));
        let waiting = spool.as_ref().map_or(status.pending, |spool| spool.pending);
        let epochs = self.click_store().audit().await?;
        Ok(AuditView::new(epochs, spool, (waiting, undeclared)))
    }
}

impl SpoolView {
    fn new(stats: &SpoolStats, accounted: u64) -> Self {
        Self {
            appended: stats.appended,
            lost: stats.lost,
            pending: stats.pending,
            damaged: stats.damaged,
            unaccounted: stats.appended.saturating_sub(accounted + stats.pending),
        }
    }
}

impl AuditView {
    /// `undeclared`: how many of those waiting are known to be lost.
    fn new(epochs: Vec<ClickAudit>, spool: Option<SpoolView>, (waiting, undeclared): (u64, u64)) -> Self {
        let epochs: Vec<EpochView> = epochs.into_iter().map(EpochView::new).collect();
        let unaccounted = spool.as_ref().map_or(0, |spool| spool.unaccounted);
        let undeclared = undeclared.min(waiting);
        let waiting = waiting - undeclared;
        let mut totals = Totals { waiting, lost: undeclared, missing: unaccounted, ..Totals::default() };
        for epoch in &epochs {
            totals.stored += epoch.stored;
            totals.lost += epoch.lost.sum();
            totals.missing += epoch.missing;
        }
        totals.answered = totals.stored + totals.lost + totals.waiting + totals.missing;
        Self { ok: unaccounted == 0 && epochs.iter().all(|epoch| epoch.ok), totals, epochs, spool }
    }
}

impl EpochView {
    fn new(audit: ClickAudit) -> Self {
        let mut gaps = Vec::new();
        let (mut next, mut covered) = (1, 0);
        for &(first, last) in &audit.received {
            if first > next {
                gaps.push((next, first - 1));
            }
            covered += last - first + 1;
            next = last + 1;
        }
        let lost = LostView { full: audit.lost_full, damaged: audit.lost_damaged, unreadable: audit.lost_unreadable };
        Self {
            ok: gaps.is_empty() && audit.missing == 0 && audit.stored + lost.sum() == covered,
            edge_id: audit.edge_id,
            epoch: audit.epoch,
            received: audit.received,
            gaps,
            stored: audit.stored,
            lost,
            missing: audit.missing,
            first_at: audit.first_at,
            last_at: audit.last_at,
        }
    }
}

impl LostView {
    const fn sum(&self) -> u64 {
        self.full + self.damaged + self.unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_ingest::IngestStatus;

    fn audit(received: &[(u64, u64)], stored: u64, lost_full: u64, missing: u64) -> ClickAudit {
        let at = Timestamp::from_micros(0);
        ClickAudit {
            edge_id: "edge".into(),
            epoch: 1,
            received: received.to_vec(),
            stored,
            lost_full,
            lost_damaged: 0,
            lost_unreadable: 0,
            missing,
            first_at: at,
            last_at: at,
        }
    }

    #[track_caller]
    fn check(audit: ClickAudit, ok: bool, gaps: &[(u64, u64)]) {
        let view = EpochView::new(audit);
        assert_eq!((view.ok, view.gaps.as_slice()), (ok, gaps), "{view:?}");
    }

    #[test]
    fn every_sequence_is_stored_or_declared_lost() {
        check(audit(&[(1, 10)], 10, 0, 0), true, &[]);
        check(audit(&[(1, 10)], 7, 3, 0), true, &[]);
        check(audit(&[(1, 10)], 9, 0, 0), false, &[]);
        check(audit(&[(1, 10)], 11, 0, 0), false, &[]);
        check(audit(&[(2, 10)], 9, 0, 1), false, &[(1, 1)]);
        check(audit(&[(1, 4), (7, 10)], 8, 0, 2), false, &[(5, 6)]);
        check(audit(&[], 0, 0, 0), true, &[]);
    }

    #[test]
    fn what_found_no_room_is_lost_before_it_is_declared() {
        let stats = SpoolStats { appended: 50, lost: 30, pending: 42, lost_before: 2, ..SpoolStats::default() };
        let status = IngestStatus { counted: 10, ..IngestStatus::default() };
        assert_eq!(status.lost_by_now(&stats), 32);
        let view = AuditView::new(vec![audit(&[(1, 10)], 10, 0, 0)], Some(SpoolView::new(&stats, 10)), (42, 32));
        assert!(view.ok);
        assert_eq!((view.totals.answered, view.totals.lost, view.totals.waiting), (52, 32, 10));
        // Ten of them are declared, with five of another kind.
        let status = IngestStatus { lost: 15, lost_full: 10, ..status };
        assert_eq!(status.lost_by_now(&stats), 37);
    }

    #[test]
    fn what_the_spool_has_forgotten_is_missing() {
        let stats = SpoolStats { appended: 15, pending: 4, ..SpoolStats::default() };
        let view = |accounted| {
            AuditView::new(vec![audit(&[(1, 10)], 10, 0, 0)], Some(SpoolView::new(&stats, accounted)), (4, 0))
        };
        assert!(view(11).ok);
        assert!(view(500).ok, "of earlier runs");
        let short = view(10);
        assert!(!short.ok);
        assert_eq!((short.totals.missing, short.totals.answered), (1, 15));
    }
}
