//! The audit: whether every answered click is accounted for. It joins what the clicks database has received from each
//! edge with what still waits in this instance's spool.
//!
//! Edges number their clicks from 1 without gaps in each epoch. So what was received of an epoch must be one range from
//! 1 on, and stored clicks and declared losses must make up that range. Clicks that wait come after it.

use waypost_api::clicks::{AuditTotals, ClickAudit, EpochAudit, LostClicks, SpoolAudit};
use waypost_clicks::ClickAudit as StoredAudit;
use waypost_spool::SpoolStats;

use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::problem::Problem;

impl App {
    /// Audits all edges.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit_clicks(&self, caller: &Caller) -> Result<ClickAudit, Problem> {
        caller.may(Operation::AuditClicks)?;
        // In this order: what moves on from one number to the next meanwhile is then seen twice and never not at all.
        let spool = self.spool_stats();
        let status = self.clicks.status();
        let accounted = status.counted + status.lost;
        let undeclared = spool.as_ref().map_or(0, |stats| status.lost_by_now(stats).saturating_sub(status.lost));
        let spool = spool.map(|stats| spool_audit(&stats, accounted));
        let waiting = spool.as_ref().map_or(status.pending, |spool| spool.pending);
        let epochs = self.click_store().audit().await?;
        Ok(audit(epochs, spool, (waiting, undeclared)))
    }
}

fn spool_audit(stats: &SpoolStats, accounted: u64) -> SpoolAudit {
    SpoolAudit {
        appended: stats.appended,
        lost: stats.lost,
        pending: stats.pending,
        damaged: stats.damaged,
        unaccounted: stats.appended.saturating_sub(accounted + stats.pending),
    }
}

/// `undeclared`: how many of those waiting are known to be lost.
fn audit(epochs: Vec<StoredAudit>, spool: Option<SpoolAudit>, (waiting, undeclared): (u64, u64)) -> ClickAudit {
    let epochs: Vec<EpochAudit> = epochs.into_iter().map(epoch_audit).collect();
    let unaccounted = spool.as_ref().map_or(0, |spool| spool.unaccounted);
    let undeclared = undeclared.min(waiting);
    let waiting = waiting - undeclared;
    let mut totals = AuditTotals { waiting, lost: undeclared, missing: unaccounted, ..AuditTotals::default() };
    for epoch in &epochs {
        totals.stored += epoch.stored;
        totals.lost += epoch.lost.sum();
        totals.missing += epoch.missing;
    }
    totals.answered = totals.stored + totals.lost + totals.waiting + totals.missing;
    ClickAudit { ok: unaccounted == 0 && epochs.iter().all(|epoch| epoch.ok), totals, epochs, spool }
}

fn epoch_audit(audit: StoredAudit) -> EpochAudit {
    let mut gaps = Vec::new();
    let (mut next, mut covered) = (1, 0);
    for &(first, last) in &audit.received {
        if first > next {
            gaps.push((next, first - 1));
        }
        covered += last - first + 1;
        next = last + 1;
    }
    let lost = LostClicks { full: audit.lost_full, damaged: audit.lost_damaged, unreadable: audit.lost_unreadable };
    EpochAudit {
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

#[cfg(test)]
mod tests {
    use waypost_core::Timestamp;
    use waypost_ingest::IngestStatus;

    use super::*;

    fn stored(received: &[(u64, u64)], stored: u64, lost_full: u64, missing: u64) -> StoredAudit {
        let at = Timestamp::from_micros(0);
        StoredAudit {
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
    fn check(audit: StoredAudit, ok: bool, gaps: &[(u64, u64)]) {
        let view = epoch_audit(audit);
        assert_eq!((view.ok, view.gaps.as_slice()), (ok, gaps), "{view:?}");
    }

    #[test]
    fn every_sequence_is_stored_or_declared_lost() {
        check(stored(&[(1, 10)], 10, 0, 0), true, &[]);
        check(stored(&[(1, 10)], 7, 3, 0), true, &[]);
        check(stored(&[(1, 10)], 9, 0, 0), false, &[]);
        check(stored(&[(1, 10)], 11, 0, 0), false, &[]);
        check(stored(&[(2, 10)], 9, 0, 1), false, &[(1, 1)]);
        check(stored(&[(1, 4), (7, 10)], 8, 0, 2), false, &[(5, 6)]);
        check(stored(&[], 0, 0, 0), true, &[]);
    }

    #[test]
    fn what_found_no_room_is_lost_before_it_is_declared() {
        let stats = SpoolStats { appended: 50, lost: 30, pending: 42, lost_before: 2, ..SpoolStats::default() };
        let status = IngestStatus { counted: 10, ..IngestStatus::default() };
        assert_eq!(status.lost_by_now(&stats), 32);
        let view = audit(vec![stored(&[(1, 10)], 10, 0, 0)], Some(spool_audit(&stats, 10)), (42, 32));
        assert!(view.ok);
        assert_eq!((view.totals.answered, view.totals.lost, view.totals.waiting), (52, 32, 10));
        // Ten of them are declared, with five of another kind.
        let status = IngestStatus { lost: 15, lost_full: 10, ..status };
        assert_eq!(status.lost_by_now(&stats), 37);
    }

    #[test]
    fn what_the_spool_has_forgotten_is_missing() {
        let stats = SpoolStats { appended: 15, pending: 4, ..SpoolStats::default() };
        let view = |accounted| audit(vec![stored(&[(1, 10)], 10, 0, 0)], Some(spool_audit(&stats, accounted)), (4, 0));
        assert!(view(11).ok);
        assert!(view(500).ok, "of earlier runs");
        let short = view(10);
        assert!(!short.ok);
        assert_eq!((short.totals.missing, short.totals.answered), (1, 15));
    }
}
