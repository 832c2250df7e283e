//! Domains: the hosts of links.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waypost_core::id::DomainId;
use waypost_core::{Hostname, Timestamp};

use crate::problem::{FieldError, Invalid};
use crate::read::Fields;

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Domain {
    /// Names it for good.
    pub id: DomainId,
    /// Its host, in lower case and punycode.
    pub host: String,
    /// The host as people read it; the same where it has no letters beyond ASCII.
    #[serde(default)]
    pub host_unicode: String,
    /// Whether links that name no domain live on it.
    pub is_default: bool,
    /// Whether every account may use it.
    pub shared: bool,
    /// Whether the case of its slugs does not matter.
    pub case_insensitive: bool,
    /// Where `/` leads.
    pub root_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The domains that links of the caller may live on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DomainList {
    /// In the order of their hosts.
    pub domains: Vec<Domain>,
}

/// A domain to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateDomain {
    /// Its host.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub host: Hostname,
    /// Its settings.
    #[serde(flatten)]
    pub settings: UpdateDomain,
}

/// A change of a domain. Fields that are `None` are not in its JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateDomain {
    /// Whether the case of its slugs does not matter; `None` leaves that as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_insensitive: Option<bool>,
    /// Where `/` leads: `None` leaves that as it is, `Some(None)` removes it (`null` in JSON).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_url: Option<Option<String>>,
}

impl CreateDomain {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn read(object: Map<String, Value>) -> Result<Self, Invalid> {
        let mut fields = Fields::of(object);
        let host = fields.text("host").map(|host| Hostname::parse(&host));
        let host = match host {
            Some(Ok(host)) => Some(host),
            Some(Err(error)) => {
                fields.refuse(FieldError::invalid("host", &format!("a host name: {error}")));
                None
            }
            None => None,
        };
        let settings = UpdateDomain::take(&mut fields);
        fields.finish()?;
        let host = host
            .ok_or_else(|| Invalid::of_fields(vec![FieldError::invalid("host", "a host name such as go.example")]))?;
        Ok(Self { host, settings })
    }
}

impl UpdateDomain {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn read(object: Map<String, Value>) -> Result<Self, Invalid> {
        let mut fields = Fields::of(object);
        let settings = Self::take(&mut fields);
        fields.finish().map(|()| settings)
    }

    fn take(fields: &mut Fields) -> Self {
        let case_insensitive = fields.flag("case_insensitive");
        let root_url = fields.has("root_url").then(|| fields.text("root_url"));
        Self { case_insensitive, root_url }
    }
}
