//! The fields of a JSON object that a request carries.

use serde_json::{Map, Value};
use waypost_core::written_time::read_in_utc;
use waypost_core::{Quoted, Timestamp};

use super::UNKNOWN_LISTED_MAX;
use crate::problem::{FieldError, Invalid, ProblemCode};

/// Reads a JSON object. Whether a name comes twice is found by [`super::json_weight()`].
///
/// # Errors
/// `bad_json`, saying what it is instead.
pub fn parse_object(body: &[u8]) -> Result<Map<String, Value>, Invalid> {
    let bad = |detail: String| Invalid::new(ProblemCode::BadJson, detail);
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad("the body must be a JSON object".to_owned())),
        Err(_) if body.trim_ascii().is_empty() => Err(bad("the body is empty; it must be a JSON object".to_owned())),
        Err(error) => Err(bad(format!("the body is not JSON: {error}"))),
    }
}

/// 413: the body has too many parts.
pub fn too_heavy(bytes_max: usize) -> Invalid {
    let detail = format!("the body has too many elements: they take more than {} MB", bytes_max >> 20);
    Invalid::new(ProblemCode::BodyTooLarge, detail)
}

/// 400: an object has this name twice.
pub fn repeated(name: &str) -> Invalid {
    let detail = format!("{} occurs twice in one object: send each name once", Quoted(name));
    Invalid::new(ProblemCode::BadJson, detail)
}

/// The fields that were not taken yet, and what was wrong with those that were.
#[derive(Debug)]
pub struct Fields {
    object: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// The fields of this object.
    pub const fn of(object: Map<String, Value>) -> Self {
        Self { object, errors: Vec::new() }
    }

    /// Whether a field is given, be it `null`.
    pub fn has(&self, field: &str) -> bool {
        self.object.contains_key(field)
    }

    /// A field as it is; `None` where it is not given.
    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.object.remove(field)
    }

    /// A text. `null` and absence are `None`; NUL is refused, which no database takes.
    pub fn text(&mut self, field: &str) -> Option<String> {
        match self.take(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.contains('\0') => Some(text),
            Some(Value::String(_)) => {
                self.refuse(FieldError::invalid(field, "a string without NUL characters"));
                None
            }
            Some(_) => {
                self.refuse(FieldError::invalid(field, "a string or null"));
                None
            }
        }
    }

    /// `true` or `false`. `null` and absence are `None`.
    pub fn flag(&mut self, field: &str) -> Option<bool> {
        match self.take(field) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(flag),
            Some(_) => {
                self.refuse(FieldError::invalid(field, "true or false"));
                None
            }
        }
    }

    /// A list of at most `max` strings. `null` and absence are `None`.
    pub fn strings(&mut self, field: &str, max: usize) -> Option<Vec<String>> {
        let values = match self.take(field) {
            None | Some(Value::Null) => return None,
            Some(Value::Array(values)) if values.len() <= max => values,
            Some(_) => {
                self.refuse(FieldError::invalid(field, &format!("a list of at most {max} strings, or null")));
                return None;
            }
        };
        let mut strings = Vec::with_capacity(values.len());
        for (place, value) in values.into_iter().enumerate() {
            match value {
                Value::String(text) if !text.contains('\0') => strings.push(text),
                _ => self.refuse(FieldError::invalid(format!("{field}[{place}]"), "a string without NUL characters")),
            }
        }
        Some(strings)
    }

    /// An instant, as people write it. `null` and absence are `None`.
    pub fn time(&mut self, field: &str) -> Option<Timestamp> {
        let text = self.text(field)?;
        let time = read_in_utc(&text);
        if let Err(error) = &time {
            let (field, code) = (field.to_owned(), ProblemCode::InvalidField);
            self.refuse(FieldError { field, code, detail: error.to_string() });
        }
        time.ok()
    }

    /// Names a field that is at fault.
    pub fn refuse(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    /// The fields that were not taken, and what was refused so far: for a reader of its own.
    pub fn into_rest(self) -> (Map<String, Value>, Vec<FieldError>) {
        (self.object, self.errors)
    }

    /// Refuses the fields that nothing has taken, and whatever was refused before.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn finish(mut self) -> Result<(), Invalid> {
        self.errors.extend(self.object.keys().take(UNKNOWN_LISTED_MAX).map(FieldError::unknown));
        if self.errors.is_empty() { Ok(()) } else { Err(Invalid::of_fields(self.errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_only() {
        assert!(parse_object(br#"{"a":1}"#).is_ok());
        for bad in [&b""[..], b" ", b"[]", b"null", b"{", b"{\"a\":\xff}", b"\"x\"", b"{}{}"] {
            assert!(parse_object(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(parse_object("[".repeat(100_000).as_bytes()).is_err());
    }
}
