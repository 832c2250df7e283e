//! What the Worker is set to, as the shell hands it over once: JSON made of the Worker's variables.

use serde::Deserialize;
use waypost_core::SchemePolicy;
use waypost_core::visitor::AddressPolicy;

use crate::home::Asked;
use crate::secrets::Secrets;

/// Links whose compiled form is kept, if nothing else is set.
const RECORDS_KEPT: usize = 256;

/// Where clicks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClickPath {
    /// Nowhere.
    #[default]
    None,
    /// Straight to the control plane, each signed.
    Webhook,
    /// Into a queue, from which they are signed by the batch.
    Queue,
}

/// The settings as the shell writes them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Given {
    edge_id: String,
    default_domain: String,
    address_policy: String,
    schemes: Vec<String>,
    secrets: String,
    clicks: ClickPath,
    nonce: String,
    records_kept: Option<usize>,
}

/// Everything that is set.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Names this edge in clicks.
    pub(crate) edge_id: String,
    /// The host whose links have bare slugs as keys; empty if every host is that.
    pub(crate) default_domain: String,
    pub(crate) address_policy: AddressPolicy,
    pub(crate) schemes: SchemePolicy,
    pub(crate) secrets: Secrets,
    pub(crate) clicks: ClickPath,
    /// Random text: no two isolates have the same.
    pub(crate) nonce: String,
    /// Links whose compiled form is kept; 0 for none.
    pub(crate) records_kept: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            edge_id: String::new(),
            default_domain: String::new(),
            address_policy: AddressPolicy::default(),
            schemes: SchemePolicy::web(),
            secrets: Secrets::default(),
            clicks: ClickPath::None,
            nonce: String::new(),
            records_kept: RECORDS_KEPT,
        }
    }
}

impl Settings {
    /// The link of this domain and slug, as records are compared with it.
    pub(crate) fn asked<'a>(&'a self, domain: &'a str, slug: &'a str) -> Asked<'a> {
        Asked { domain, slug, default_domain: &self.default_domain }
    }

    /// Reads the shell's JSON.
    ///
    /// # Errors
    /// All that is wrong, for people, a line each. Secrets are not shown.
    pub(crate) fn read(json: &[u8]) -> Result<Self, String> {
        let given: Given = serde_json::from_slice(json).map_err(|error| format!("settings: {error}"))?;
        let mut faults = Vec::new();
        let schemes: Vec<&str> = given.schemes.iter().map(String::as_str).collect();
        let schemes = SchemePolicy::with(&schemes).unwrap_or_else(|error| {
            faults.push(format!("LINK_SCHEMES: {error}"));
            SchemePolicy::web()
        });
        let address_policy = match given.address_policy.as_str() {
            "" => AddressPolicy::default(),
            text => text.parse().unwrap_or_else(|error| {
                faults.push(format!("ADDRESS_POLICY: {error}"));
                AddressPolicy::None
            }),
        };
        let secrets = Secrets::parse(&given.secrets).unwrap_or_else(|error| {
            faults.push(format!("WEBHOOK_SECRET: {error}"));
            Secrets::default()
        });
        if given.clicks == ClickPath::Webhook && secrets.is_empty() && faults.is_empty() {
            faults.push("WEBHOOK_SECRET: clicks cannot be sent to CONTROL_URL without it".to_owned());
        }
        if !faults.is_empty() {
            return Err(faults.join("\n"));
        }
        Ok(Self {
            edge_id: given.edge_id,
            default_domain: given.default_domain,
            address_policy,
            schemes,
            secrets,
            clicks: given.clicks,
            nonce: given.nonce,
            records_kept: given.records_kept.unwrap_or(RECORDS_KEPT),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn settings_are_read() {
        let settings =
            Settings::read(br#"{"edge_id":"cf-VIE","address_policy":"none","schemes":["mailto"],"clicks":"queue"}"#);
        let settings = settings.unwrap();
        assert_eq!((settings.edge_id.as_str(), settings.clicks), ("cf-VIE", ClickPath::Queue));
        assert_eq!(settings.address_policy, AddressPolicy::None);
        assert_eq!(Settings::read(b"{}").unwrap().address_policy, AddressPolicy::Truncated);
    }

    #[test]
    fn every_fault_is_named_and_no_secret_shown() {
        let bad = br#"{"address_policy":"some","schemes":["javascript"],"secrets":"hunter2","clicks":"webhook"}"#;
        let faults = Settings::read(bad).unwrap_err();
        for name in ["LINK_SCHEMES", "ADDRESS_POLICY", "WEBHOOK_SECRET"] {
            assert!(faults.contains(name), "{faults}");
        }
        assert!(!faults.contains("hunter2"), "{faults}");
        assert!(Settings::read(br#"{"clicks":"webhook"}"#).is_err());
        assert!(Settings::read(br#"{"unknown":1}"#).is_err());
        assert!(Settings::read(b"x").is_err());
    }
}
