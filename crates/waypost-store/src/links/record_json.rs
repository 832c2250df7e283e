//! Link records as stored: the JSON of a record without what the row's columns say and without what is at its default; where
//! that leaves nothing but the destination, the bare URL, as edges take it too.
//!
//! Short records keep the database small, and the same record always has the same text, so that "did it change" is a
//! comparison of texts.

use serde::Serialize;
use waypost_core::record::{AbTest, EvolutionRule, GeoRule, Rule, UtmTemplate, Utms};
use waypost_core::{LinkRecord, Timestamp};

use crate::error::StoreError;
use crate::rows::Columns;

/// What the JSON of a record that has only a destination adds to it. Every other field takes more, and so does a destination in
/// which something is escaped.
const BARE_JSON_BYTES: usize = r#"{"destination_url":""}"#.len();

/// The stored form of a [`LinkRecord`], field by field.
#[derive(Serialize)]
struct StoredRecord<'a> {
    destination_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_query: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rules: &'a [Rule],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    evolution_rules: &'a [EvolutionRule],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    geo_rules: &'a [GeoRule],
    #[serde(skip_serializing_if = "Option::is_none")]
    ab_test: Option<&'a AbTest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_utms: Option<&'a Utms>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    utm_templates: &'a [UtmTemplate],
}

/// The record as stored.
pub(crate) fn write(record: &LinkRecord) -> String {
    // Taken apart without `..`, so that a new field of the record cannot be forgotten here.
    let LinkRecord {
        link_id: _,
        account_id: _,
        version: _,
        slug: _,
        domain: _,
        created_at: _,
        updated_at: _,
        destination_url,
        redirect_status,
        forward_query,
        enabled,
        // What the record of an edge is told, and nothing that is kept.
        limit_reached: _,
        starts_at,
        expires_at,
        expired_url,
        password_hash,
        rules,
        evolution_rules,
        geo_rules,
        ab_test,
        link_utms,
        utm_templates,
    } = record;
    let stored = StoredRecord {
        destination_url,
        redirect_status: Some(*redirect_status).filter(|status| *status != 302),
        forward_query: forward_query.then_some(true),
        enabled: (!enabled).then_some(false),
        starts_at: *starts_at,
        expires_at: *expires_at,
        expired_url: expired_url.as_deref(),
        password_hash: password_hash.as_deref(),
        rules,
        evolution_rules,
        geo_rules,
        ab_test: ab_test.as_ref(),
        link_utms: link_utms.as_ref(),
        utm_templates,
    };
    let json = serde_json::to_string(&stored).expect("strings, numbers and lists always have a JSON form");
    let is_bare = json.len() <= BARE_JSON_BYTES + destination_url.len() && !destination_url.starts_with('{');
    if is_bare { destination_url.clone() } else { json }
}

/// The record in the row's column `record`, without what its other columns say.
pub(crate) fn read(columns: &Columns<'_>) -> Result<LinkRecord, StoreError> {
    parse(columns, &columns.get::<String>("record")?)
}

/// The record in the row's column `record`, which may be absent.
pub(crate) fn read_optional(columns: &Columns<'_>) -> Result<Option<LinkRecord>, StoreError> {
    columns.get::<Option<String>>("record")?.map(|text| parse(columns, &text)).transpose()
}

fn parse(columns: &Columns<'_>, text: &str) -> Result<LinkRecord, StoreError> {
    if !text.starts_with('{') {
        return Ok(LinkRecord::from_url(text));
    }
    let (record, skipped) =
        LinkRecord::read_value(text.as_bytes()).map_err(|error| columns.corrupt("record", &error))?;
    for skipped in skipped {
        tracing::error!(%skipped, "a part of a stored link cannot be read and is skipped");
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_columns_are_left_out() {
        let mut record = LinkRecord::from_url("https://example.com/");
        record.version = 7;
        record.slug = Some("abc".to_owned());
        assert_eq!(write(&record), "https://example.com/");
        record.redirect_status = 301;
        assert_eq!(write(&record), r#"{"destination_url":"https://example.com/","redirect_status":301}"#);
        let odd = LinkRecord::from_url(r#"{"destination_url":"x"}"#);
        assert!(serde_json::from_str::<LinkRecord>(&write(&odd)).is_ok_and(|read| read == odd));
    }

    #[test]
    fn everything_else_is_kept() {
        let json = r#"{"destination_url":"https://example.com/","redirect_status":308,"forward_query":true,"enabled":false,
            "starts_at":"2026-01-01T00:00:00Z","expires_at":"2027-01-01T00:00:00Z","expired_url":"https://e.example/","password_hash":"$x",
            "rules":[{"id":1,"when":{"os":["ios"]},"to":{"url":"https://a.example/"}}],"evolution_rules":[{"destination_url":"https://b.example/"}],
            "geo_rules":[{"country_code":"DE","destination_url":"https://c.example/"}],"ab_test":{"id":"t","status":"active","variants":[]},
            "link_utms":{"utm_source":"x"},"utm_templates":[{"platform_domains":["t.co"],"utm_medium":"y"}]}"#;
        let record: LinkRecord = serde_json::from_str(json).expect("record");
        let again: LinkRecord = serde_json::from_str(&write(&record)).expect("stored record");
        assert_eq!(again, record);
    }
}
