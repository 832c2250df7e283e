//! The trace of a decision: each step in order, what it examined, and why it did or did not apply.

use serde::Serialize;

use crate::compact::CompactId;

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceStep<'a> {
    /// The step: `method`, `enabled`, `starts_at`, `expires_at`, `password`, `rule`, `evolution_rule`, `geo_rule`,
    /// `ab_test`, `default`, `utm_template`, `link_utms`, `forward_query`.
    pub step: &'static str,
    /// The rule's or test's id, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<CompactId<'a>>,
    /// Whether the step affected the decision.
    pub applied: bool,
    /// The value of the visit that it examined, as a string; `null` if none.
    pub looked_at: Option<String>,
    /// Why it did or did not apply, for people.
    pub why: String,
}

/// Where the steps of a decision go: a list, or nowhere. As a type, so that a decision without a trace has no code for it.
pub(crate) trait Trace<'a> {
    /// Whether steps are kept.
    const IS_KEPT: bool;

    /// Adds a step.
    fn push(&mut self, step: TraceStep<'a>);
}

impl<'a> Trace<'a> for () {
    const IS_KEPT: bool = false;

    fn push(&mut self, _: TraceStep<'a>) {}
}

impl<'a> Trace<'a> for Vec<TraceStep<'a>> {
    const IS_KEPT: bool = true;

    fn push(&mut self, step: TraceStep<'a>) {
        self.push(step);
    }
}
