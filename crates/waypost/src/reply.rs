//! A response of the instance: read as a type of the API, or printed unchanged.
//!
//! A server of another version may send fields that are not known here: they are ignored, and kept where JSON is
//! printed.

use std::fmt;

use anyhow::Context as _;
use bytes::Bytes;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_path_to_error::Track;

use crate::print;

/// A response of the API.
#[derive(Clone, Debug)]
pub(crate) struct Reply(Bytes);

impl Reply {
    /// Wraps the body of a response; an empty one is `null`.
    ///
    /// # Errors
    /// If it is not JSON.
    pub(crate) fn of(body: Bytes) -> anyhow::Result<Self> {
        let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
        serde_json::from_slice::<IgnoredAny>(&body).context("the response is not JSON: is this a waypost server?")?;
        Ok(Self(body))
    }

    /// Reads the response as this type.
    ///
    /// # Errors
    /// Names the field that is missing or has another type.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        read_json(&self.0)
    }

    /// Prints the response unchanged, in one line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        Ok(print::json(&self.read::<Value>()?)?)
    }

    /// Prints each item of a list in the response unchanged, in a line of its own.
    ///
    /// # Errors
    /// If there is no such list, or it cannot be written.
    pub(crate) fn print_each(&self, list: &str) -> anyhow::Result<()> {
        let mut answer = self.read::<Map<String, Value>>()?;
        let Some(Value::Array(items)) = answer.remove(list) else { anyhow::bail!("the response has no {list}") };
        Ok(items.iter().try_for_each(print::json)?)
    }
}

/// An object of a response: read as a type, and its JSON unchanged.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    /// Read as a type.
    pub(crate) value: T,
    /// The JSON as it was received.
    pub(crate) json: Map<String, Value>,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Kept<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Map::deserialize(deserializer)?;
        let value = read_fields(&json).map_err(D::Error::custom)?;
        Ok(Self { value, json })
    }
}

/// Reads JSON that an instance has written.
///
/// # Errors
/// As [`Reply::read`].
pub(crate) fn read_json<T: DeserializeOwned>(json: &[u8]) -> anyhow::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read =
        read_fields(&mut reader).and_then(|value| reader.end().map(|()| value).map_err(|error| error.to_string()));
    read.map_err(|error| {
        anyhow::anyhow!(
            "waypost {} cannot read the response, perhaps because the server has another version: {}",
            env!("CARGO_PKG_VERSION"),
            print::plain(&error)
        )
    })
}

/// Reads a type; an error begins with the field that it is about.
fn read_fields<'de, T, D>(reader: D) -> Result<T, String>
where
    T: Deserialize<'de>,
    D: Deserializer<'de, Error: fmt::Display>,
{
    let mut track = Track::new();
    T::deserialize(serde_path_to_error::Deserializer::new(reader, &mut track)).map_err(|error| {
        let path = track.path().to_string();
        if path == "." { error.to_string() } else { format!("{path}: {error}") }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use waypost_api::api_key::ApiKeyList;
    use waypost_api::link::{BulkResults, Link, LinkPage};
    use waypost_api::sync::VerifyLine;

    use super::*;

    #[track_caller]
    fn check<T: DeserializeOwned>(json: &'static str, expect: &str) {
        let error = Reply::of(json.into()).unwrap().read::<T>().err().unwrap().to_string();
        assert!(error.contains(expect) && error.contains("another version"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        check::<BulkResults>("\"hello\"", "another version: invalid type: string \"hello\"");
        check::<BulkResults>("", "invalid type: null");
        check::<BulkResults>(
            r#"{"created":0,"dry_run":false,"existing":0,"refused":1,"results":[{"problem":{},"status":422},{"status":201}]}"#,
            "results[1]: missing field `id`",
        );
        check::<ApiKeyList>(r#"{"keys":[{"id":"key_1","name":7}]}"#, "keys[0].name: invalid type: integer `7`");
        check::<LinkPage<Kept<Link>>>(r#"{"links":[{"id":"other_1"}]}"#, "links[0]: id: \"other_1\" is not an id");
        check::<VerifyLine>(r#"{"difference":"odd"}"#, "unknown variant `odd`");
        check::<VerifyLine>("{}", "none of the lines of a comparison");
        assert!(Reply::of("<html>".into()).unwrap_err().to_string().contains("is this a waypost server?"));
    }

    #[test]
    fn what_is_not_known_here_is_kept() {
        let page = r#"{"links":[{"id":"link_1","account_id":"acc_1","short_url":"https://a.example/b","domain":"a.example",
            "slug":"b","version":1,"destination_url":"https://c.example/","redirect_status":302,"forward_query":false,
            "enabled":true,"has_password":false,"rules":[],"evolution_rules":[],"geo_rules":[],"utm_templates":[],
            "created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","of_tomorrow":{"x":1}}],"hint":1}"#;
        let page: LinkPage<Kept<Link>> = read_json(page.as_bytes()).unwrap();
        let link = &page.links[0];
        assert_eq!((link.value.slug.as_str(), page.next_cursor), ("b", None));
        assert!(link.json.contains_key("of_tomorrow"));
    }
}
