//! The conditions of rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Conditions of a rule; a list holds if any member matches, an absent condition always.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object of conditions")]
pub struct Conditions {
    /// ISO 3166-1 alpha-2 codes, in any letter case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<String>>,
    /// ISO 3166-2 codes such as `DE-BY`, in any letter case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// English names of cities, in any letter case of ASCII.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cities: Option<Vec<String>>,
    /// The visitor's addresses: single ones, or ranges such as `192.0.2.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// `desktop`, `mobile`, `tablet`, `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<String>>,
    /// `ios`, `android`, `windows`, `macos`, `linux`, `chromeos`, `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<Vec<String>>,
    /// `chrome`, `safari`, `firefox`, `edge`, `opera`, `samsung`, `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browsers: Option<Vec<String>>,
    /// Language tags; `de` matches a visitor's `de-AT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<String>>,
    /// Language tags, one of which is the visitor's best among those that all rules of the link have here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_languages: Option<Vec<String>>,
    /// Referring hosts; `twitter.com` matches `m.twitter.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrers: Option<Vec<String>>,
    /// Parameters of the visitor's query that must have these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<BTreeMap<String, String>>,
    /// Parameters that the visitor's query must have, with any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_present: Option<Vec<String>>,
    /// Holds from this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Holds before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Holds at these hours of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Holds if no member of any of these conditions matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Self>>,
}

/// Hours of the week in a time zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with `hours` and `time_zone`")]
pub struct Schedule {
    /// Such as `mon-fri 09:00-17:00`; see [`crate::opening_hours`].
    #[serde(default)]
    pub hours: Vec<String>,
    /// The IANA name of the zone, for people; UTC if it and the rule are absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The zone's rule in POSIX form, by which edges decide; see [`crate::zone_rule`]. The control plane writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone_rule: Option<String>,
}
