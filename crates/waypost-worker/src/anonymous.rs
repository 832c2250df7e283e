//! Anonymous links: the body of `POST /api/url` is read, its URL checked, and slugs proposed.
//!
//! Writing to KV, and finding out whether a slug is free, is the shell's work.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use waypost_core::destination::{self, Destination, DestinationError, is_bare_host};
use waypost_core::quoted::Quoted;
use waypost_core::{SchemePolicy, Slug};

use crate::problem::{FieldError, ProblemCode, problem};

/// A URL that may be shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shortened {
    /// The URL in its serialisation.
    pub(crate) destination: Destination,
    /// Slugs for it, in the order in which they are to be tried.
    pub(crate) slugs: Vec<Slug>,
}

/// Reads a body and proposes slugs, one for each 32 random bytes.
///
/// # Errors
/// The status and document of the problem.
pub(crate) fn shorten(body: &[u8], own_hosts: &str, random: &[u8]) -> Result<Shortened, (u16, Vec<u8>)> {
    let url = original_url(body)?;
    let destination = destination::typed(&url, &SchemePolicy::web())
        .map_err(|error| bad_url(destination_code(&error), &error.to_string()))?;
    if destination.host().is_some_and(|host| own_hosts.split(' ').any(|own| own == host)) {
        return Err(bad_url("destination_loop", "a link cannot lead to short links of this same instance"));
    }
    if is_bare_host(&destination) {
        let detail = "links created without an API key cannot lead to IP addresses or to names of a private network";
        return Err(bad_url("destination_host", detail));
    }
    let slugs = random.as_chunks::<32>().0.iter().filter_map(Slug::generate).collect();
    Ok(Shortened { destination, slugs })
}

fn original_url(body: &[u8]) -> Result<String, (u16, Vec<u8>)> {
    let bad_json = |detail: &str| problem(ProblemCode::BadJson, detail, &[]);
    if let Some(name) = repeated_name(body) {
        return Err(bad_json(&format!("{} occurs twice in one object: send each name once", Quoted(&name))));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(mut object)) => match object.remove("originalUrl") {
            Some(Value::String(url)) => Ok(url),
            Some(_) => Err(bad_url("invalid_field", "originalUrl must be a string")),
            None => Err(bad_url("invalid_field", "originalUrl is missing")),
        },
        Ok(_) => Err(bad_json("the body must be a JSON object")),
        Err(_) if body.trim_ascii().is_empty() => Err(bad_json("the body is empty; it must be a JSON object")),
        Err(error) => Err(bad_json(&format!("the body is not JSON: {error}"))),
    }
}

/// A name that the object has twice: it is not clear which value is meant.
fn repeated_name(body: &[u8]) -> Option<String> {
    struct Names(BTreeSet<String>, Option<String>);
    impl<'de> Visitor<'de> for &mut Names {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
            while let Some(name) = entries.next_key::<String>()? {
                if let Some(name) = self.0.replace(name) {
                    self.1 = Some(name);
                    break;
                }
                entries.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }
    let mut names = Names(BTreeSet::new(), None);
    // What is not an object has no names; its error is reported elsewhere.
    let _ = serde_json::Deserializer::from_slice(body).deserialize_map(&mut names);
    names.1
}

fn bad_url(code: &str, detail: &str) -> (u16, Vec<u8>) {
    problem(ProblemCode::UrlInvalid, detail, &[FieldError { field: "originalUrl", code, detail }])
}

const fn destination_code(error: &DestinationError) -> &'static str {
    match error {
        DestinationError::Empty
        | DestinationError::ControlCharacter
        | DestinationError::NotAUrl { .. }
        | DestinationError::Slip { .. } => "destination_invalid",
        DestinationError::Length => "destination_length",
        DestinationError::Scheme { .. } | DestinationError::Wrapped { .. } => "destination_scheme",
        DestinationError::Userinfo => "destination_userinfo",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn urls_are_checked_and_slugs_proposed() {
        let random = [7; 96];
        let made = shorten(br#"{"originalUrl":" https://Example.com/a b "}"#, "go.example", &random).unwrap();
        assert_eq!(made.destination.as_str(), "https://example.com/a%20b");
        assert_eq!(made.slugs.len(), 3);
        assert_eq!(made.slugs[0].as_str().len(), 8);
    }

    #[test]
    fn bad_bodies_are_problems() {
        for (body, code, field_code) in [
            (&b""[..], "bad_json", ""),
            (b"{", "bad_json", ""),
            (b"[]", "bad_json", ""),
            (b"\xff", "bad_json", ""),
            (br#"{"originalUrl":"https://a.example/","originalUrl":"https://b.example/"}"#, "bad_json", ""),
            (br#"{}"#, "url_invalid", "invalid_field"),
            (br#"{"originalUrl":7}"#, "url_invalid", "invalid_field"),
            (br#"{"originalUrl":""}"#, "url_invalid", "destination_invalid"),
            (br#"{"originalUrl":"javascript:alert(1)"}"#, "url_invalid", "destination_scheme"),
            (br#"{"originalUrl":"https://u:p@example.com/"}"#, "url_invalid", "destination_userinfo"),
            (br#"{"originalUrl":"https://GO.example/x"}"#, "url_invalid", "destination_loop"),
            (br#"{"originalUrl":"https://go.example:8443/x"}"#, "url_invalid", "destination_loop"),
            (br#"{"originalUrl":"http://127.0.0.1/x"}"#, "url_invalid", "destination_host"),
            (br#"{"originalUrl":"http://router/x"}"#, "url_invalid", "destination_host"),
            (br#"{"originalUrl":"example.com/x"}"#, "url_invalid", "destination_invalid"),
            (br#"{"originalUrl":"https://https://example.com/"}"#, "url_invalid", "destination_invalid"),
            (br#"{"originalUrl":"https://example.com/\r\nx"}"#, "url_invalid", "destination_invalid"),
        ] {
            let (status, document) = shorten(body, "b.example go.example", &[0; 32]).unwrap_err();
            let document: Value = serde_json::from_slice(&document).unwrap();
            assert_eq!((status, &document["code"]), (400, &Value::from(code)), "{document}");
            assert_eq!(document["errors"][0]["code"].as_str().unwrap_or_default(), field_code, "{document}");
        }
    }
}
