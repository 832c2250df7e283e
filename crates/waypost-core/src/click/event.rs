//! The event: a click in JSON, with everything that is known of it. Exports, the live feed and the webhook for other
//! edges use it.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One click. Absent fields are unknown; unknown fields are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ClickEvent {
    /// A UUIDv7; the same event always has the same.
    pub event_id: String,
    /// The edge that answered.
    pub edge_id: String,
    /// Which run of a writer on that edge; in each, sequences start again at 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The click's number at that edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The link.
    pub link_id: String,
    /// The account it belongs to.
    pub account_id: String,
    /// The host of its domain; empty for the default domain.
    pub domain: String,
    /// Its slug.
    pub slug: String,
    /// When it was answered.
    pub clicked_at: Option<Timestamp>,
    /// The visitor's address, as far as the address policy keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// The visitor key: 16 hexadecimal digits, another every day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visitor: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The `Referer` header, without its query.
    pub referrer: String,
    /// ISO 3166-1 alpha-2; empty if it is unknown.
    pub country_code: String,
    /// `desktop`, `mobile`, `tablet` or `other`.
    pub device_type: String,
    /// `ios`, `android`, `windows`, `macos`, `linux`, `chromeos` or `other`.
    pub os: String,
    /// The browser's family, such as `Firefox`.
    pub browser: String,
    /// `human`, `prefetch`, `preview`, `bot` or `head`.
    pub class: String,
    /// The reason of the class.
    pub class_reason: String,
    /// The kind of place that the visitor came from: `direct`, `search`, `qr` and so on.
    pub channel: String,
    /// The first language the visitor accepts, such as `de`.
    pub language: String,
    /// What supplied the destination.
    pub source: String,
    /// The rule that did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<String>,
    /// The split that did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ab_test_id: Option<String>,
    /// The variant of that split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ab_variant_id: Option<String>,
    /// The UTM parameters of the final URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_source: Option<String>,
    /// See `utm_source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_medium: Option<String>,
    /// See `utm_source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_campaign: Option<String>,
    /// See `utm_source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_term: Option<String>,
    /// See `utm_source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_content: Option<String>,
    /// The status of the answer.
    pub status: u16,
}
