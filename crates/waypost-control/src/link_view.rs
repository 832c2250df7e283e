//! Links as the API shows them. Of a password it says only whether there is one.

use serde::Serialize;
use serde_json::Value;
use waypost_core::record::{AbTest, EvolutionRule, GeoRule, Rule, UtmTemplate, Utms};
use waypost_core::{LinkRecord, Timestamp};
use waypost_store::{Link, LinkVersion};

/// A link.
#[derive(Debug, Serialize)]
pub(crate) struct LinkView<'a> {
    id: &'a str,
    account_id: &'a str,
    short_url: String,
    domain: &'a str,
    slug: &'a str,
    version: u64,
    #[serde(flatten)]
    fields: RecordView<'a>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// What is worth saying of it to whoever has just written it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// What a link does.
#[derive(Debug, Serialize)]
struct RecordView<'a> {
    destination_url: &'a str,
    redirect_status: u16,
    forward_query: bool,
    enabled: bool,
    starts_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    expired_url: Option<&'a str>,
    has_password: bool,
    rules: &'a [Rule],
    evolution_rules: &'a [EvolutionRule],
    geo_rules: &'a [GeoRule],
    ab_test: Option<&'a AbTest>,
    link_utms: Option<&'a Utms>,
    utm_templates: &'a [UtmTemplate],
}

/// A link as one change left it.
#[derive(Debug, Serialize)]
pub(crate) struct VersionView<'a> {
    version: u64,
    changed_at: Timestamp,
    changed_by: Option<&'a str>,
    /// `null` where the change was the link's deletion.
    link: Option<RecordView<'a>>,
}

impl<'a> LinkView<'a> {
    pub(crate) fn new(link: &'a Link, short_url: String) -> Self {
        Self {
            id: link.link_id.as_str(),
            account_id: link.account_id.as_str(),
            short_url,
            domain: &link.host,
            slug: &link.slug,
            version: link.version,
            fields: RecordView::new(&link.record),
            created_at: link.created_at,
            updated_at: link.updated_at,
            warnings: Vec::new(),
        }
    }

    /// As it is shown to whoever has just written it.
    pub(crate) fn with_warnings(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    pub(crate) fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl<'a> RecordView<'a> {
    fn new(record: &'a LinkRecord) -> Self {
        Self {
            destination_url: &record.destination_url,
            redirect_status: record.redirect_status,
            forward_query: record.forward_query,
            enabled: record.enabled,
            starts_at: record.starts_at,
            expires_at: record.expires_at,
            expired_url: record.expired_url.as_deref(),
            has_password: record.password_hash.is_some(),
            rules: &record.rules,
            evolution_rules: &record.evolution_rules,
            geo_rules: &record.geo_rules,
            ab_test: record.ab_test.as_ref(),
            link_utms: record.link_utms.as_ref(),
            utm_templates: &record.utm_templates,
        }
    }
}

impl<'a> VersionView<'a> {
    pub(crate) fn new(version: &'a LinkVersion) -> Self {
        Self {
            version: version.version,
            changed_at: version.changed_at,
            changed_by: version.changed_by.as_deref(),
            link: version.record.as_ref().map(RecordView::new),
        }
    }
}
