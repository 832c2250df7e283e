//! The times within a link's JSON: read as people write them, normalised to the format that edges read.

use serde_json::{Map, Value};
use waypost_core::written_time::read_in_utc;

use crate::problem::{FieldError, ProblemCode};

/// Times of the link itself.
const OWN: [&str; 2] = ["starts_at", "expires_at"];

/// Brings every time of a link into RFC 3339 in UTC. What is no time is taken out and named; what is no text is left
/// for the reader of the whole.
pub(crate) fn normalise_times(link: &mut Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    OWN.iter().for_each(|field| normalise(link, field, field, &mut errors));
    for (index, rule) in objects(link, "evolution_rules") {
        for field in ["starts_at", "ends_at"] {
            normalise(rule, field, &format!("evolution_rules[{index}].{field}"), &mut errors);
        }
    }
    for (index, rule) in objects(link, "rules") {
        let Some(Value::Object(when)) = rule.get_mut("when") else { continue };
        for field in ["from", "until"] {
            normalise(when, field, &format!("rules[{index}].when.{field}"), &mut errors);
        }
    }
    errors
}

/// Brings one time into RFC 3339 in UTC.
pub(crate) fn normalise(object: &mut Map<String, Value>, field: &str, path: &str, errors: &mut Vec<FieldError>) {
    let Some(Value::String(text)) = object.get_mut(field) else { return };
    match read_in_utc(text) {
        Ok(time) => *text = time.to_string(),
        Err(error) => {
            object.remove(field);
            let (field, code) = (path.to_owned(), ProblemCode::InvalidField);
            errors.push(FieldError { field, code, detail: error.to_string() });
        }
    }
}

/// The objects of a list.
fn objects<'l>(
    link: &'l mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = (usize, &'l mut Map<String, Value>)> {
    let items = link.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().enumerate();
    items.filter_map(|(index, item)| Some((index, item.as_object_mut()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_at_any_depth() {
        let mut link = json!({"starts_at": "2026-01-15", "expires_at": null, "destination_url": "2026-01-15",
            "evolution_rules": [7, {"starts_at": "2026-01-15 10:30", "ends_at": "soon"}],
            "rules": [{"when": {"from": "2026-01-15T11:30+01:00", "until": "later", "languages": ["2026-01-15"]}}, {}]});
        let errors = normalise_times(link.as_object_mut().expect("an object"));
        let expect = json!({"starts_at": "2026-01-15T00:00:00Z", "expires_at": null, "destination_url": "2026-01-15",
            "evolution_rules": [7, {"starts_at": "2026-01-15T10:30:00Z"}],
            "rules": [{"when": {"from": "2026-01-15T10:30:00Z", "languages": ["2026-01-15"]}}, {}]});
        assert_eq!(link, expect);
        let found: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(found, ["evolution_rules[1].ends_at", "rules[0].when.until"]);
    }
}
