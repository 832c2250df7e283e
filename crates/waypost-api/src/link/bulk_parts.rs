//! The outermost parts of a bulk request, found without parsing their content.

use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use waypost_core::quoted::kept;

use super::bulk::LINKS_PER_CALL_MAX;
use crate::problem::{Invalid, ProblemCode};
use crate::read::{UNKNOWN_LISTED_MAX, repeated};

/// What a body is made of.
#[derive(Debug)]
pub(crate) struct BulkParts<'b> {
    pub(crate) links: Links<'b>,
    pub(crate) dry_run: Option<&'b RawValue>,
    pub(crate) if_exists: Option<&'b RawValue>,
    /// The first fields that are none of ours.
    pub(crate) strangers: Vec<String>,
}

/// What stands under `links`.
#[derive(Debug)]
pub(crate) enum Links<'b> {
    /// Nothing, or no list.
    Other,
    /// As many as may be.
    Listed(Vec<&'b RawValue>),
    /// More; the body was read up to there.
    TooMany,
}

impl<'b> BulkParts<'b> {
    /// # Errors
    /// Where the body is no JSON object.
    pub(crate) fn read(body: &'b [u8]) -> Result<Self, Invalid> {
        let bad = |detail: String| Invalid::new(ProblemCode::BadJson, detail);
        match body.trim_ascii_start().first() {
            Some(b'{') => {}
            Some(_) => return Err(bad("the body must be a JSON object".to_owned())),
            None => return Err(bad("the body is empty; it must be a JSON object".to_owned())),
        }
        let mut reader = serde_json::Deserializer::from_slice(body);
        let mut parts = Self { links: Links::Other, dry_run: None, if_exists: None, strangers: Vec::new() };
        let mut fields = Fields { parts: &mut parts, read: Vec::new(), twice: None };
        let read = reader.deserialize_map(&mut fields);
        let twice = fields.twice;
        match read.and_then(|()| reader.end()) {
            Ok(()) => Ok(parts),
            Err(_) if matches!(parts.links, Links::TooMany) => Ok(parts),
            Err(_) if twice.is_some() => Err(repeated(&twice.unwrap_or_default())),
            Err(error) => Err(bad(format!("the body is not JSON: {error}"))),
        }
    }
}

struct Fields<'p, 'b> {
    parts: &'p mut BulkParts<'b>,
    /// The names so far, of those that mean something and the first others.
    read: Vec<String>,
    /// A name that came again, where the reading ended.
    twice: Option<String>,
}

impl<'b> Visitor<'b> for &mut Fields<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            if self.read.contains(&name) {
                self.twice = Some(name);
                return Err(A::Error::custom("a name occurs twice"));
            }
            match name.as_str() {
                "links" => {
                    self.parts.links = fields.next_value::<FoundLinks<'b>>()?.0;
                    if matches!(self.parts.links, Links::TooMany) {
                        return Err(A::Error::custom("too many links"));
                    }
                }
                "dry_run" => self.parts.dry_run = Some(fields.next_value()?),
                "if_exists" => self.parts.if_exists = Some(fields.next_value()?),
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                    if self.parts.strangers.len() < UNKNOWN_LISTED_MAX {
                        self.parts.strangers.push(kept(&name));
                    } else {
                        continue;
                    }
                }
            }
            self.read.push(name);
        }
        Ok(())
    }
}

struct FoundLinks<'b>(Links<'b>);

impl<'b> serde::Deserialize<'b> for FoundLinks<'b> {
    fn deserialize<D: Deserializer<'b>>(reader: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(reader)?;
        if !text.get().starts_with('[') {
            return Ok(Self(Links::Other));
        }
        let mut links = Vec::new();
        let mut items = serde_json::Deserializer::from_str(text.get());
        match items.deserialize_seq(Items(&mut links)) {
            Ok(()) => Ok(Self(Links::Listed(links))),
            Err(_) => Ok(Self(Links::TooMany)),
        }
    }
}

/// Takes links until there are too many, which is an error.
struct Items<'p, 'b>(&'p mut Vec<&'b RawValue>);

impl<'b> Visitor<'b> for Items<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            if self.0.len() == LINKS_PER_CALL_MAX {
                return Err(A::Error::custom("too many links"));
            }
            self.0.push(item);
        }
        Ok(())
    }
}
