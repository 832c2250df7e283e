//! Links as callers write them: the JSON of creation, and the JSON merge patch (RFC 7396) of a change.
//!
//! Every field is known by name or refused, also inside rules. Whether values make sense is asked in `link_check.rs`.

use serde_json::{Map, Value};
use waypost_core::quoted::Unescaped;
use waypost_core::written_time::read_in_utc;
use waypost_core::{LinkRecord, Slug, Timestamp};

use crate::link_check::slug_error;
use crate::link_times::normalise_times;
use crate::password::PASSWORD_BYTES_MAX;
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::request::{UNKNOWN_LISTED_MAX, invalid, take_text, unknown};

/// Fields that only the server writes. A new link cannot have them.
const READ_ONLY: [&str; 7] = ["id", "link_id", "account_id", "short_url", "version", "updated_at", "warnings"];
/// A new link as it was asked for; the record's destinations are not checked yet.
#[derive(Clone, Debug)]
pub(crate) struct NewLinkInput {
    pub(crate) slug: Option<Slug>,
    /// The host asked for.
    pub(crate) domain: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) record: LinkRecord,
}

impl NewLinkInput {
    pub(crate) fn parse(mut object: Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        errors.extend(READ_ONLY.into_iter().filter(|field| object.remove(*field).is_some()).map(server_field));
        let has_password = object.remove("has_password") == Some(Value::Bool(true));
        let slug = take_text(&mut object, "slug", &mut errors);
        let slug = slug.and_then(|slug| Slug::parse(&slug).map_err(|error| errors.push(slug_error(&error))).ok());
        let domain = take_text(&mut object, "domain", &mut errors);
        let password = take_password(&mut object, &mut errors);
        let created_at = take_time(&mut object, "created_at", &mut errors);
        let record = read_record(object, &mut errors);
        if let Some(record) = &record
            && has_password
            && password.is_none()
            && record.password_hash.is_none()
        {
            errors.push(invalid("password", "given again: it is no part of what the API shows of a link"));
        }
        match record {
            Some(record) if errors.is_empty() => Ok(Self { slug, domain, password, created_at, record }),
            Some(_) | None => Err(errors),
        }
    }
}

fn server_field(field: &str) -> FieldError {
    let detail = "the server writes this field itself: leave it out".to_owned();
    FieldError { field: field.to_owned(), code: ProblemCode::UnknownField, detail }
}

/// What a patch does with the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PasswordChange {
    /// Leaves it.
    Keep,
    /// Takes it away.
    Clear,
    /// Sets this one.
    Set(String),
}

/// A change of a link as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct LinkPatch {
    pub(crate) password: PasswordChange,
    rest: Map<String, Value>,
}

impl LinkPatch {
    pub(crate) fn parse(mut object: Map<String, Value>) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let clears = object.get("password") == Some(&Value::Null);
        let password = match take_password(&mut object, &mut errors) {
            Some(password) => PasswordChange::Set(password),
            None if clears => PasswordChange::Clear,
            None => PasswordChange::Keep,
        };
        if errors.is_empty() { Ok(Self { password, rest: object }) } else { Err(Problem::of_fields(errors)) }
    }

    /// The record that comes of applying the patch to this link, given how the API shows it.
    pub(crate) fn apply(&self, record: &LinkRecord, view: &Value) -> Result<LinkRecord, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut merged = without_identity(record);
        let shown = view.as_object();
        for (field, value) in &self.rest {
            let is_fixed = READ_ONLY.contains(&field.as_str())
                || matches!(field.as_str(), "slug" | "domain" | "created_at" | "has_password");
            if !is_fixed {
                merge(merged.entry(field.clone()).or_insert(Value::Null), value);
            } else if shown.and_then(|shown| shown.get(field)) != Some(value) {
                errors.push(FieldError {
                    field: field.clone(),
                    code: ProblemCode::ImmutableField,
                    detail: "cannot be changed".to_owned(),
                });
            }
        }
        let record = read_record(merged, &mut errors);
        record.filter(|_| errors.is_empty()).ok_or(errors)
    }
}

/// RFC 7396: objects are merged, `null` removes, everything else replaces.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// A record's own fields, without what names the link and when it changed.
pub(crate) fn without_identity(record: &LinkRecord) -> Map<String, Value> {
    let identity = ["link_id", "account_id", "version", "slug", "domain", "created_at", "updated_at"];
    match serde_json::to_value(record) {
        Ok(Value::Object(mut object)) => {
            identity.iter().for_each(|field| drop(object.remove(*field)));
            object
        }
        Ok(_) | Err(_) => Map::new(),
    }
}

fn take_password(object: &mut Map<String, Value>, errors: &mut Vec<FieldError>) -> Option<String> {
    let password = take_text(object, "password", errors)?;
    if (1..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        return Some(password);
    }
    errors.push(invalid("password", &format!("1 to {PASSWORD_BYTES_MAX} bytes long")));
    None
}

pub(crate) fn take_time(
    object: &mut Map<String, Value>,
    field: &str,
    errors: &mut Vec<FieldError>,
) -> Option<Timestamp> {
    let text = take_text(object, field, errors)?;
    let time = read_in_utc(&text);
    if let Err(error) = &time {
        errors.push(FieldError { field: field.to_owned(), code: ProblemCode::InvalidField, detail: error.to_string() });
    }
    time.ok()
}

/// Reads a record and reports every field that means nothing, at any depth.
fn read_record(mut object: Map<String, Value>, errors: &mut Vec<FieldError>) -> Option<LinkRecord> {
    errors.extend(normalise_times(&mut object));
    let lists = object.iter().flat_map(|(field, value)| lists_for_objects(field, value));
    let before = errors.len();
    errors.extend(lists.take(UNKNOWN_LISTED_MAX));
    if errors.len() > before {
        return None;
    }
    let mut strangers = Vec::new();
    // Edges are told it; nobody sets it.
    if object.contains_key("limit_reached") {
        errors.push(unknown("limit_reached"));
    }
    let mut track = serde_path_to_error::Track::new();
    let reader = serde_path_to_error::Deserializer::new(Value::Object(object), &mut track);
    let record = serde_ignored::deserialize(reader, |path| note_stranger(&mut strangers, &path));
    errors.extend(strangers.into_iter().map(unknown));
    match record {
        Ok(record) => Some(record),
        Err(error) => {
            let field = track.path().to_string();
            let field = if field == "." { String::new() } else { field };
            errors.push(FieldError {
                field,
                code: ProblemCode::InvalidField,
                detail: Unescaped(&error.to_string()).to_string(),
            });
            None
        }
    }
}

/// Lists where an object belongs. The reader of JSON would take their entries for its fields in order, and `[]` for an object
/// without any: a rule with `"when": []` would take every visitor.
fn lists_for_objects(field: &str, value: &Value) -> Vec<FieldError> {
    let name = field.rsplit('.').next().unwrap_or(field);
    let is_object = matches!(name, "when" | "to" | "ab_test" | "link_utms");
    let is_list = matches!(name, "rules" | "evolution_rules" | "geo_rules" | "utm_templates" | "variants");
    match value {
        Value::Array(_) if name == "when" => vec![invalid(
            field,
            "an object of conditions such as {\"countries\": [\"DE\"]}; a rule that is to take every visitor has no `when`",
        )],
        Value::Array(_) if is_object => vec![invalid(field, "an object")],
        Value::Array(entries) if is_list => {
            let named = entries.iter().enumerate().map(|(index, entry)| (format!("{field}[{index}]"), entry));
            named
                .flat_map(|(field, entry)| match entry {
                    Value::Array(_) => vec![invalid(field, "an object")],
                    entry => lists_within(&field, entry),
                })
                .collect()
        }
        value if is_object => lists_within(field, value),
        _ => Vec::new(),
    }
}

fn lists_within(field: &str, value: &Value) -> Vec<FieldError> {
    let fields = value.as_object().into_iter().flatten();
    fields.flat_map(|(name, value)| lists_for_objects(&format!("{field}.{name}"), value)).collect()
}

/// Keeps the first few: a record with a hundred thousand of them is not answered with as many errors.
fn note_stranger(strangers: &mut Vec<String>, path: &serde_ignored::Path<'_>) {
    if strangers.len() < UNKNOWN_LISTED_MAX {
        strangers.push(field_path(&path.to_string()));
    }
}

/// `rules.0.when.?.x` as people write it: `rules[0].when.x`.
fn field_path(path: &str) -> String {
    let mut field = String::with_capacity(path.len());
    for part in path.split('.').filter(|part| *part != "?") {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !field.is_empty() {
            field.extend(["[", part, "]"]);
        } else {
            field.extend([if field.is_empty() { "" } else { "." }, part]);
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }

    #[track_caller]
    fn check(value: Value, expect: &[(&str, &str)]) {
        let errors = NewLinkInput::parse(object(value)).err().unwrap_or_default();
        let found: Vec<_> = errors.iter().map(|error| (error.field.as_str(), error.code.name())).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn new_links() {
        check(json!({"destination_url": "https://a.example/", "slug": "x", "password": "p", "enabled": null}), &[]);
        check(json!({}), &[("", "invalid_field")]);
        check(json!({"destination_url": 7}), &[("destination_url", "invalid_field")]);
        check(
            json!({"destination_url": "x", "slug": 7, "domain": []}),
            &[("slug", "invalid_field"), ("domain", "invalid_field")],
        );
        check(json!({"destination_url": "x", "slug": "api"}), &[("slug", "slug_reserved")]);
        check(json!({"destination_url": "x", "slug": "a b"}), &[("slug", "slug_invalid")]);
        check(json!({"destination_url": "x", "slug": "a\0"}), &[("slug", "invalid_field")]);
        check(json!({"destination_url": "x", "expires_at": "so\"on"}), &[("expires_at", "invalid_field")]);
        check(json!({"destination_url": "x", "password": ""}), &[("password", "invalid_field")]);
        check(json!({"destination_url": "x", "has_password": true}), &[("password", "invalid_field")]);
    }

    #[test]
    fn strangers_are_named_at_any_depth() {
        check(
            json!({"destination_url": "x", "target": 1, "colour": 2}),
            &[("colour", "unknown_field"), ("target", "unknown_field")],
        );
        check(
            json!({"destination_url": "x", "rules": [{"when": {"county": ["DE"]}, "to": {"url": "y", "uri": "z"}}]}),
            &[("rules[0].to.uri", "unknown_field"), ("rules[0].when.county", "unknown_field")],
        );
        check(
            json!({"destination_url": "x", "ab_test": {"id": 1, "variants": [{"id": 1, "destination_url": "y", "w": 1}]}}),
            &[("ab_test.variants[0].w", "unknown_field")],
        );
        check(
            json!({"destination_url": "x", "utm_templates": [{"platform_domains": [], "utm_sauce": "y"}]}),
            &[("utm_templates[0].utm_sauce", "unknown_field")],
        );
        check(json!({"destination_url": "x", "rules": [{"to": "y"}]}), &[("rules[0].to", "invalid_field")]);
    }

    #[test]
    fn a_list_is_no_object() {
        let to = json!({"url": "y"});
        check(
            json!({"destination_url": "x", "rules": [{"to": to}, {"when": {}, "to": to}, {"when": null, "to": to}]}),
            &[],
        );
        check(
            json!({"destination_url": "x", "rules": [{"when": [], "to": to}]}),
            &[("rules[0].when", "invalid_field")],
        );
        check(
            json!({"destination_url": "x", "link_utms": [], "ab_test": [1], "rules": [{"to": ["y"]}, ["r", {}, to]],
                "geo_rules": [["r", "DE", "y"]], "utm_templates": [[["t.co"]]], "evolution_rules": [[]]}),
            &[
                ("ab_test", "invalid_field"),
                ("evolution_rules[0]", "invalid_field"),
                ("geo_rules[0]", "invalid_field"),
                ("link_utms", "invalid_field"),
                ("rules[0].to", "invalid_field"),
                ("rules[1]", "invalid_field"),
                ("utm_templates[0]", "invalid_field"),
            ],
        );
        let split = json!({"ab_test": {"id": 1, "variants": [["v", null, "y", 1]]}});
        check(
            json!({"destination_url": "x", "rules": [{"to": split}]}),
            &[("rules[0].to.ab_test.variants[0]", "invalid_field")],
        );
    }

    #[test]
    fn what_the_server_writes_is_refused() {
        for field in ["id", "link_id", "account_id", "short_url", "version", "updated_at"] {
            check(json!({"destination_url": "https://a.example/", field: null}), &[(field, "unknown_field")]);
        }
        check(
            json!({"created_at": "2026-01-15T10:30:00Z", "has_password": false, "destination_url": "https://a.example/",
                "rules": [], "ab_test": null, "link_utms": null}),
            &[],
        );
    }

    #[test]
    fn patches_merge() {
        let mut record = LinkRecord::from_url("https://a.example/");
        record.expired_url = Some("https://b.example/".to_owned());
        let view = json!({"slug": "x", "version": 3});
        let apply = |patch: Value| LinkPatch::parse(object(patch)).expect("a patch").apply(&record, &view);
        let changed =
            apply(json!({"expired_url": null, "link_utms": {"utm_source": "s", "utm_term": null}})).expect("applies");
        assert_eq!(changed.expired_url, None);
        assert_eq!(changed.link_utms.and_then(|utms| utms.utm_source).as_deref(), Some("s"));
        assert_eq!(apply(json!({})).expect("applies"), record);
        assert_eq!(apply(json!({"slug": "x", "version": 3})).expect("unchanged values may come along"), record);
        let codes = |errors: Vec<FieldError>| errors.iter().map(|error| error.code.name()).collect::<Vec<_>>();
        assert_eq!(codes(apply(json!({"slug": "y"})).expect_err("immutable")), ["immutable_field"]);
        assert_eq!(codes(apply(json!({"version": 4})).expect_err("immutable")), ["immutable_field"]);
        assert_eq!(codes(apply(json!({"destination_url": null})).expect_err("needed")), ["invalid_field"]);
        assert_eq!(codes(apply(json!({"nonsense": 1})).expect_err("unknown")), ["unknown_field"]);
    }

    #[test]
    fn patches_of_passwords() {
        let password = |patch: Value| LinkPatch::parse(object(patch)).expect("a patch").password;
        assert_eq!(password(json!({})), PasswordChange::Keep);
        assert_eq!(password(json!({"password": null})), PasswordChange::Clear);
        assert_eq!(password(json!({"password": "x"})), PasswordChange::Set("x".to_owned()));
        assert!(LinkPatch::parse(object(json!({"password": ""}))).is_err());
    }
}
