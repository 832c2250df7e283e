//! What the instance has answered: read as a type of the API, or shown as it came.
//!
//! A server of another version may have fields that are not known here: they are passed over, and kept where JSON is shown.

use std::fmt;

use anyhow::Context as _;
use bytes::Bytes;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_path_to_error::Track;

use crate::print;

/// An answer of the API.
#[derive(Clone, Debug)]
pub(crate) struct Reply(Bytes);

impl Reply {
    /// Takes the body of an answer; an empty one is `null`.
    ///
    /// # Errors
    /// Where it is not JSON.
    pub(crate) fn of(body: Bytes) -> anyhow::Result<Self> {
        let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
        serde_json::from_slice::<IgnoredAny>(&body).context("the response is not JSON: is this a waypost server?")?;
        Ok(Self(body))
    }

    /// Reads the answer as what it is to be.
    ///
    /// # Errors
    /// Names the field that is missing or is something else than it should be.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        read_json(&self.0)
    }

    /// Prints the answer as it came, in one line.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        Ok(print::json(&self.read::<Value>()?)?)
    }

    /// Prints each item of a list in the answer as it came, in a line of its own.
    ///
    /// # Errors
    /// Where there is no such list, or it cannot be written.
    pub(crate) fn print_each(&self, list: &str) -> anyhow::Result<()> {
        let mut answer = self.read::<Map<String, Value>>()?;
        let Some(Value::Array(items)) = answer.remove(list) else { anyhow::bail!("the answer has no {list}") };
        Ok(items.iter().try_for_each(print::json)?)
    }
}

/// An object of an answer: what it says, and its JSON as it came.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    /// What it says.
    pub(crate) value: T,
    /// As it came.
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
            "the answer is none that waypost {} can read, perhaps because the server has another version: {}",
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
