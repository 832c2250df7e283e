//! How much memory a JSON text takes as a tree, estimated without building the tree; and whether an object has a
//! duplicate name, which the tree would no longer show.
//!
//! A tree takes up to a hundred times the memory of its text (`{"a":0}` is 8 bytes and a map with room for eleven
//! entries), so texts are measured before they are parsed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value, with its share of the room that lists grow by.
const VALUE_BYTES: usize = 64;
/// A map that has entries: its first node.
const MAP_BYTES: usize = 640;
/// An entry of a map, besides its value: the key's text and its share of nodes that are half full.
const ENTRY_BYTES: usize = 96;
/// Names of an object that are compared one by one; those past them are hashed.
const NAMES_COMPARED: usize = 16;

/// Why a text was not weighed to its end.
#[derive(Debug)]
pub enum Unweighed {
    /// It weighs more than it may.
    TooHeavy,
    /// An object has this name twice, and nobody can say which value is meant.
    Repeated(String),
    /// It is not JSON.
    NotJson,
}

/// The bytes of memory, about, that this JSON text takes as a tree.
///
/// # Errors
/// [`Unweighed::TooHeavy`] as soon as it is more than this, [`Unweighed::Repeated`] as soon as a name repeats; nothing
/// after that point was looked at.
pub fn json_weight(text: &[u8], bytes_max: usize) -> Result<usize, Unweighed> {
    let mut scales = Scales { bytes: 0, bytes_max, is_over: false, repeated: None };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let weighed = Item(&mut scales).deserialize(&mut reader).and_then(|()| reader.end());
    match weighed {
        Ok(()) => Ok(scales.bytes),
        Err(_) if scales.is_over => Err(Unweighed::TooHeavy),
        Err(_) => Err(scales.repeated.map_or(Unweighed::NotJson, Unweighed::Repeated)),
    }
}

struct Scales {
    bytes: usize,
    bytes_max: usize,
    is_over: bool,
    repeated: Option<String>,
}

impl Scales {
    fn put<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.bytes_max {
            self.is_over = true;
            return Err(E::custom("too heavy"));
        }
        Ok(())
    }
}

struct Item<'s>(&'s mut Scales);

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.put(VALUE_BYTES)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.0.put(VALUE_BYTES)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.0.put(VALUE_BYTES)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.0.put(VALUE_BYTES)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.0.put(VALUE_BYTES)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.put(VALUE_BYTES + text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.put(VALUE_BYTES)?;
        while items.next_element_seed(Item(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.0.put(VALUE_BYTES)?;
        let mut names = Names::default();
        while let Some(name) = entries.next_key_seed(Name)? {
            let is_first = names.listed.is_empty();
            self.0.put(VALUE_BYTES + name.len() + if is_first { MAP_BYTES } else { ENTRY_BYTES })?;
            if let Some(name) = names.add(name) {
                self.0.repeated = Some(name.into_owned());
                return Err(A::Error::custom("a name occurs twice"));
            }
            entries.next_value_seed(Item(self.0))?;
        }
        Ok(())
    }
}

/// The names of one object.
#[derive(Default)]
struct Names<'de> {
    /// The first of them.
    listed: Vec<Cow<'de, str>>,
    /// The others.
    hashed: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    /// Takes a name in, or gives it back where the object has it already.
    fn add(&mut self, name: Cow<'de, str>) -> Option<Cow<'de, str>> {
        if self.listed.contains(&name) || self.hashed.contains(&name) {
            return Some(name);
        }
        if self.listed.len() < NAMES_COMPARED {
            self.listed.push(name);
        } else {
            self.hashed.insert(name);
        }
        None
    }
}

/// Reads a name, without copying it where the text has it as it is.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_heavier_than_their_texts() {
        let weigh = |text: &str| json_weight(text.as_bytes(), 1 << 20).ok();
        assert_eq!(weigh("0"), Some(VALUE_BYTES));
        assert_eq!(weigh(" \"abc\" "), Some(VALUE_BYTES + 3));
        assert_eq!(weigh("[null,true,-1,1.5]"), Some(5 * VALUE_BYTES));
        assert!(weigh("{\"a\":0}").is_some_and(|bytes| bytes >= 632 + 2 * 32));
        let tiny = format!("[{}{{}}]", "{\"a\":0},".repeat(10_000));
        assert!(matches!(json_weight(tiny.as_bytes(), 1 << 20), Err(Unweighed::TooHeavy)));
        let many = |last: &str| {
            let entries: Vec<String> = (0..100).map(|number| format!("\"n{number}\":0")).collect();
            format!("{{{},\"{last}\":1}}", entries.join(","))
        };
        for (text, twice) in [
            (r#"{"url":"a","url":"b"}"#, "url"),
            (r#"{"url":"a","\u0075rl":"b"}"#, "url"),
            (r#"{"rules":[{"to":{"url":1}},{"to":{"url":1,"x":[],"url":1}}]}"#, "url"),
            (many("n3").as_str(), "n3"),
            (many("n99").as_str(), "n99"),
        ] {
            let weighed = json_weight(text.as_bytes(), 1 << 20);
            assert!(matches!(&weighed, Err(Unweighed::Repeated(name)) if name == twice), "{text}: {weighed:?}");
        }
        assert!(weigh(&many("n100")).is_some() && weigh(r#"[{"a":{"a":0}},{"a":1,"A":1}]"#).is_some());
        for bad in ["", "{", "[1,]", "1 2", "{\"a\"}", &"[".repeat(1_000)] {
            assert!(matches!(json_weight(bad.as_bytes(), 1 << 20), Err(Unweighed::NotJson)), "{bad}");
        }
    }
}
