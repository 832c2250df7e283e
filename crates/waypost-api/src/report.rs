//! Reports: counts of clicks and visitors.

mod query;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use query::{AskedScope, GetReport, query_problem};

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// The question as it was understood.
    pub query: ReportQuery,
    /// All clicks that were asked for.
    pub clicks: u64,
    /// Their visitors.
    pub visitors: u64,
    /// Whether that is an estimate.
    pub visitors_estimated: bool,
    /// The clicks by time and group, as asked for.
    pub rows: Vec<ReportRow>,
    /// Groups beyond the limit.
    pub other: OtherGroups,
}

/// The question as it was understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportQuery {
    /// `account`, `domain` or `link`.
    pub scope: String,
    /// The domain's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_id: Option<String>,
    /// Where the link still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_url: Option<String>,
    /// Where the range begins, as the zone's clock shows it.
    pub from: String,
    /// Where it ends, this instant excluded.
    pub to: String,
    /// Whose calendar divides it.
    pub time_zone: String,
    /// In what it is divided.
    pub interval: String,
    /// The classes that are counted.
    pub classes: Vec<String>,
    /// What clicks must have to be counted, by dimension.
    pub filters: BTreeMap<String, Vec<String>>,
    /// The dimension by which clicks are told apart.
    pub group_by: Option<String>,
    /// The most groups that are listed.
    pub limit: usize,
}

/// The clicks of one interval and group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportRow {
    /// When the interval begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// The group's value; of links their id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How a link is called that still exists.
    #[serde(default, flatten)]
    pub link: Option<LinkName>,
    /// Clicks.
    pub clicks: u64,
    /// Their visitors, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitors: Option<u64>,
    /// Whether that is an estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitors_estimated: Option<bool>,
}

/// How a link that still exists is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkName {
    /// The host of its domain.
    pub domain: String,
    /// Its slug.
    pub slug: String,
    /// Where visitors find it.
    pub short_url: String,
}

/// Groups beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OtherGroups {
    /// How many.
    pub groups: u64,
    /// Their clicks.
    pub clicks: u64,
}
