//! Links as the API returns them. Of a password they contain only whether there is one.

use serde::{Deserialize, Serialize};
use waypost_core::id::{AccountId, LinkId};
use waypost_core::record::{AbTest, EvolutionRule, GeoRule, Rule, UtmTemplate, Utms};
use waypost_core::{LinkRecord, Timestamp};

/// A link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Link {
    /// Names it for good.
    pub id: LinkId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Where visitors find it.
    pub short_url: String,
    /// The host of its domain.
    pub domain: String,
    /// What follows the host.
    pub slug: String,
    /// Grows with every change.
    pub version: u64,
    /// What it does.
    #[serde(flatten)]
    pub fields: LinkFields,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What is worth saying of it to whoever has just written it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What a link does. The fields are those of [`LinkRecord`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs)]
pub struct LinkFields {
    pub destination_url: String,
    pub redirect_status: u16,
    pub forward_query: bool,
    pub enabled: bool,
    pub starts_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub expired_url: Option<String>,
    /// Whether visitors are asked for a password.
    pub has_password: bool,
    pub rules: Vec<Rule>,
    pub evolution_rules: Vec<EvolutionRule>,
    pub geo_rules: Vec<GeoRule>,
    pub ab_test: Option<AbTest>,
    pub link_utms: Option<Utms>,
    pub utm_templates: Vec<UtmTemplate>,
}

/// A link as one change left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkVersion {
    /// Which change it was.
    pub version: u64,
    /// When it was made.
    pub changed_at: Timestamp,
    /// By whom; `null` where that is not known.
    pub changed_by: Option<String>,
    /// `null` where the change was the link's deletion.
    pub link: Option<LinkFields>,
}

impl From<LinkRecord> for LinkFields {
    fn from(record: LinkRecord) -> Self {
        Self {
            destination_url: record.destination_url,
            redirect_status: record.redirect_status,
            forward_query: record.forward_query,
            enabled: record.enabled,
            starts_at: record.starts_at,
            expires_at: record.expires_at,
            expired_url: record.expired_url,
            has_password: record.password_hash.is_some(),
            rules: record.rules,
            evolution_rules: record.evolution_rules,
            geo_rules: record.geo_rules,
            ab_test: record.ab_test,
            link_utms: record.link_utms,
            utm_templates: record.utm_templates,
        }
    }
}
