//! The times and time zones within a link's JSON: read as people write them, normalised to the format that edges read.

use serde_json::{Map, Value};
use waypost_core::LinkRecord;
use waypost_core::written_time::read_in_utc;

use crate::problem::{FieldError, ProblemCode};
use crate::read::{posix_rule, read_time_zone, zone_name};

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
        normalise_zone(when, &format!("rules[{index}].when"), &mut errors);
        if let Some(Value::Object(not)) = when.get_mut("not") {
            normalise_zone(not, &format!("rules[{index}].when.not"), &mut errors);
        }
    }
    errors
}

/// Writes the rules of time zones into a record that names zones only.
pub fn add_zone_rules(record: &mut LinkRecord) {
    for rule in &mut record.rules {
        let not = rule.when.not.as_mut().and_then(|not| not.schedule.as_mut());
        for schedule in rule.when.schedule.as_mut().into_iter().chain(not) {
            if let (Some(zone), None) = (&schedule.time_zone, &schedule.time_zone_rule) {
                let zone = read_time_zone(zone).ok();
                schedule.time_zone_rule = zone.and_then(|zone| posix_rule(zone_name(&zone))).map(str::to_owned);
            }
        }
    }
}

/// Brings the time zone of a condition's schedule into its usual spelling, and writes its rule beside it.
fn normalise_zone(when: &mut Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    let Some(Value::Object(schedule)) = when.get_mut("schedule") else { return };
    let sent = schedule.remove("time_zone_rule");
    let mut refuse = |field: &str, detail| {
        let field = format!("{path}.schedule.{field}");
        errors.push(FieldError { field, code: ProblemCode::InvalidField, detail });
    };
    match schedule.get("time_zone") {
        Some(Value::String(name)) => match read_time_zone(name) {
            Ok(zone) => {
                let name = zone_name(&zone);
                if let Some(rule) = posix_rule(name) {
                    schedule.insert("time_zone_rule".to_owned(), rule.into());
                }
                schedule.insert("time_zone".to_owned(), name.into());
            }
            Err(detail) => refuse("time_zone", detail),
        },
        None | Some(Value::Null) => {
            if sent.is_some_and(|rule| !rule.is_null()) {
                refuse(
                    "time_zone_rule",
                    "the server writes this field: give the name of the zone as time_zone".to_owned(),
                );
            }
        }
        Some(_) => {}
    }
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
    fn zones_get_their_rules() {
        let rule = |when: Value| json!({"rules": [{"when": when}]});
        let mut link =
            rule(json!({"schedule": {"hours": ["sun"], "time_zone": "europe/berlin", "time_zone_rule": "X0"},
            "not": {"schedule": {"hours": ["mon"], "time_zone": "America/New_York"}}}));
        assert_eq!(normalise_times(link.as_object_mut().expect("an object")), []);
        let berlin =
            json!({"hours": ["sun"], "time_zone": "Europe/Berlin", "time_zone_rule": "CET-1CEST,M3.5.0,M10.5.0/3"});
        let new_york =
            json!({"hours": ["mon"], "time_zone": "America/New_York", "time_zone_rule": "EST5EDT,M3.2.0,M11.1.0"});
        assert_eq!(link, rule(json!({"schedule": berlin, "not": {"schedule": new_york}})));
        for (when, field, part) in [
            (
                json!({"schedule": {"time_zone": "Berlin"}}),
                "rules[0].when.schedule.time_zone",
                "did you mean Europe/Berlin?",
            ),
            (json!({"schedule": {"time_zone_rule": "CET-1"}}), "rules[0].when.schedule.time_zone_rule", "as time_zone"),
            (json!({"not": {"schedule": {"time_zone": "x"}}}), "rules[0].when.not.schedule.time_zone", "IANA"),
        ] {
            let errors = normalise_times(rule(when).as_object_mut().expect("an object"));
            assert_eq!(errors.len(), 1);
            assert!(errors[0].field == field && errors[0].detail.contains(part), "{errors:?}");
        }
    }

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
