//! The audit: whether every answered click is accounted for.

use serde::{Deserialize, Serialize};
use waypost_core::Timestamp;

/// The audit of all edges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClickAudit {
    /// Whether answered = stored + declared loss + still waiting, in every epoch and altogether.
    pub ok: bool,
    /// Of all epochs.
    pub totals: AuditTotals,
    /// Each run of each writer of an edge.
    pub epochs: Vec<EpochAudit>,
    /// This instance's spool since its start; `null` where it has none.
    pub spool: Option<SpoolAudit>,
}

/// The numbers of all epochs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditTotals {
    /// Clicks that were numbered by an edge, as far as it is known here.
    pub answered: u64,
    /// Counted.
    pub stored: u64,
    /// Declared lost, or known to be and to be declared yet.
    pub lost: u64,
    /// In this instance's spool, to be counted yet.
    pub waiting: u64,
    /// Of those answered: neither stored, declared lost nor waiting.
    pub missing: u64,
}

/// One run of one writer of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EpochAudit {
    /// The edge.
    pub edge_id: String,
    /// The run.
    pub epoch: u64,
    /// Whether all of its clicks are accounted for.
    pub ok: bool,
    /// First and last sequence of each range that was received.
    pub received: Vec<(u64, u64)>,
    /// First and last sequence of each range that was not, though something after it was.
    pub gaps: Vec<(u64, u64)>,
    /// Counted.
    pub stored: u64,
    /// Declared lost.
    pub lost: LostClicks,
    /// Not accounted for.
    pub missing: u64,
    /// When its first click was received.
    pub first_at: Timestamp,
    /// When its last one was.
    pub last_at: Timestamp,
}

/// Declared losses by their cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct LostClicks {
    /// There was no room.
    pub full: u64,
    /// Their bytes were damaged or gone.
    pub damaged: u64,
    /// Their bytes were whole and are none of a click.
    pub unreadable: u64,
}

/// The spool of this instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SpoolAudit {
    /// Clicks numbered since the start.
    pub appended: u64,
    /// Those of them that found no room.
    pub lost: u64,
    /// Sequences that wait, those of earlier runs among them.
    pub pending: u64,
    /// Sequences found damaged since the start.
    pub damaged: u64,
    /// Clicks of this run that are neither counted, declared lost nor waiting.
    pub unaccounted: u64,
}

impl LostClicks {
    /// All of them.
    pub const fn sum(&self) -> u64 {
        self.full + self.damaged + self.unreadable
    }
}
