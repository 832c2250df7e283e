//! Links as clients send them: the JSON of a new link, and the JSON merge patch (RFC 7396) of an update.
//!
//! Every unknown field is refused, also inside rules. Whether the values are valid is decided in `waypost-control`.

use serde_json::{Map, Value};
use waypost_core::quoted::Unescaped;
use waypost_core::slug::{SlugError, without_qr_ending};
use waypost_core::{LinkRecord, Slug, Timestamp};

use super::response::Link;
use super::times::normalise_times;
use crate::problem::{FieldError, Invalid, ProblemCode};
use crate::read::{Fields, UNKNOWN_LISTED_MAX};

/// The most bytes of a link's password.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Fields that only the server writes. A new link cannot have them.
const READ_ONLY: [&str; 7] = ["id", "link_id", "account_id", "short_url", "version", "updated_at", "warnings"];

/// A new link as it is asked for; the record's destinations are not checked yet.
#[derive(Clone, Debug)]
pub struct CreateLink {
    /// Drawn where none is asked for.
    pub slug: Option<Slug>,
    /// The host asked for; the default domain's where none is.
    pub domain: Option<String>,
    /// What visitors are asked for.
    pub password: Option<String>,
    /// When it was made, where it was made elsewhere.
    pub created_at: Option<Timestamp>,
    /// What it does.
    pub record: LinkRecord,
}

/// The body of a request for a new link.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema, serde::Serialize)]
pub struct CreateLinkBody {
    /// Where visitors go if no rule sends them elsewhere. A URL without a scheme is refused, with the URL that was probably meant.
    pub destination_url: String,
    /// What follows the host in the short URL; generated if absent.
    #[serde(default)]
    pub slug: Option<String>,
    /// The host of the domain; the default domain if absent.
    #[serde(default)]
    pub domain: Option<String>,
    /// What visitors have to enter, 1 to 256 bytes. It is stored as an argon2id hash and never shown.
    #[serde(default)]
    pub password: Option<String>,
    /// When the link was created, if it was created elsewhere.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// What the link does.
    #[serde(flatten)]
    pub settings: LinkSettings,
}

/// What a link does, besides its destination. The fields are those of the record.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema, serde::Serialize)]
pub struct LinkSettings {
    /// 301, 302, 303, 307 or 308; 302 if absent.
    #[serde(default)]
    pub redirect_status: Option<u16>,
    /// Whether the visitor's query is added to the destination.
    #[serde(default)]
    pub forward_query: Option<bool>,
    /// A link that is not enabled answers as if it did not exist.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Before this the link answers as if it did not exist.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// From this instant the link is gone, or leads to `expired_url`.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Where an expired link leads.
    #[serde(default)]
    pub expired_url: Option<String>,
    /// Ordered rules; the first that applies wins.
    #[serde(default)]
    pub rules: Option<Vec<waypost_core::record::Rule>>,
    /// Destinations for a time.
    #[serde(default)]
    pub evolution_rules: Option<Vec<waypost_core::record::EvolutionRule>>,
    /// Destinations by country.
    #[serde(default)]
    pub geo_rules: Option<Vec<waypost_core::record::GeoRule>>,
    /// A split of all visitors that no rule matched.
    #[serde(default)]
    pub ab_test: Option<waypost_core::record::AbTest>,
    /// UTM parameters of every redirect.
    #[serde(default)]
    pub link_utms: Option<waypost_core::record::Utms>,
    /// UTM parameters by referrer; the first that matches.
    #[serde(default)]
    pub utm_templates: Option<Vec<waypost_core::record::UtmTemplate>>,
}

/// The body of a change of a link, a merge patch: a field that is `null` is cleared, one that is absent stays.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema, serde::Serialize)]
pub struct UpdateLinkBody {
    /// Where visitors go if no rule sends them elsewhere.
    #[serde(default)]
    pub destination_url: Option<String>,
    /// What visitors have to enter; `null` removes it.
    #[serde(default)]
    pub password: Option<String>,
    /// What the link does.
    #[serde(flatten)]
    pub settings: LinkSettings,
}

impl CreateLink {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn read(object: Map<String, Value>) -> Result<Self, Invalid> {
        let mut fields = Fields::of(object);
        for field in READ_ONLY {
            if fields.take(field).is_some() {
                fields.refuse(server_field(field));
            }
        }
        let has_password = fields.take("has_password") == Some(Value::Bool(true));
        let slug = fields.text("slug").and_then(|slug| match Slug::parse(&slug) {
            Ok(slug) => match without_qr_ending(slug.as_str()) {
                None => Some(slug),
                Some((_, ending)) => {
                    fields.refuse(qr_slug_error(ending));
                    None
                }
            },
            Err(error) => {
                fields.refuse(slug_error(&error));
                None
            }
        });
        let domain = fields.text("domain");
        let password = take_password(&mut fields);
        let created_at = fields.time("created_at");
        let (object, mut errors) = fields.into_rest();
        let record = read_record(object, &mut errors);
        if let Some(record) = &record
            && has_password
            && password.is_none()
            && record.password_hash.is_none()
        {
            let wanted = "given again: it is no part of what the API shows of a link";
            errors.push(FieldError::invalid("password", wanted));
        }
        match record {
            Some(record) if errors.is_empty() => Ok(Self { slug, domain, password, created_at, record }),
            Some(_) | None => Err(Invalid::of_fields(errors)),
        }
    }
}

/// What is wrong with a slug, as an error of its field.
pub fn slug_error(error: &SlugError) -> FieldError {
    let code = match error {
        SlugError::Reserved { .. } => ProblemCode::SlugReserved,
        SlugError::Empty
        | SlugError::TooLong
        | SlugError::Character { .. }
        | SlugError::Segment
        | SlugError::MixedScripts => ProblemCode::SlugInvalid,
    };
    FieldError { field: "slug".to_owned(), code, detail: error.to_string() }
}

fn qr_slug_error(ending: &str) -> FieldError {
    let detail = format!("slugs cannot end in `{ending}`, because the short URL of a link with that is its QR code");
    FieldError { field: "slug".to_owned(), code: ProblemCode::SlugReserved, detail }
}

fn server_field(field: &str) -> FieldError {
    let detail = "the server writes this field itself: leave it out".to_owned();
    FieldError { field: field.to_owned(), code: ProblemCode::UnknownField, detail }
}

/// What a patch does with the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordChange {
    /// Leaves it.
    Keep,
    /// Takes it away.
    Clear,
    /// Sets this one.
    Set(String),
}

/// A change of a link as it is asked for.
#[derive(Clone, Debug)]
pub struct UpdateLink {
    /// What it does with the password.
    pub password: PasswordChange,
    rest: Map<String, Value>,
}

impl UpdateLink {
    /// Reads a request's body.
    ///
    /// # Errors
    /// The password, where it is at fault; the rest is read where it is applied.
    pub fn read(object: Map<String, Value>) -> Result<Self, Invalid> {
        let clears = object.get("password") == Some(&Value::Null);
        let mut fields = Fields::of(object);
        let password = match take_password(&mut fields) {
            Some(password) => PasswordChange::Set(password),
            None if clears => PasswordChange::Clear,
            None => PasswordChange::Keep,
        };
        let (rest, errors) = fields.into_rest();
        if errors.is_empty() { Ok(Self { password, rest }) } else { Err(Invalid::of_fields(errors)) }
    }

    /// The record that comes of applying the patch to this one, of a link that is shown so.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn apply(&self, record: &LinkRecord, shown: &Link) -> Result<LinkRecord, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut merged = without_identity(record);
        let shown = serde_json::to_value(shown).unwrap_or_default();
        for (field, value) in &self.rest {
            let is_fixed = READ_ONLY.contains(&field.as_str())
                || matches!(field.as_str(), "slug" | "domain" | "created_at" | "has_password");
            if !is_fixed {
                merge(merged.entry(field.clone()).or_insert(Value::Null), value);
            } else if shown.get(field) != Some(value) {
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
fn without_identity(record: &LinkRecord) -> Map<String, Value> {
    let identity = ["link_id", "account_id", "version", "slug", "domain", "created_at", "updated_at"];
    match serde_json::to_value(record) {
        Ok(Value::Object(mut object)) => {
            identity.iter().for_each(|field| drop(object.remove(*field)));
            object
        }
        Ok(_) | Err(_) => Map::new(),
    }
}

fn take_password(fields: &mut Fields) -> Option<String> {
    let password = fields.text("password")?;
    if (1..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        return Some(password);
    }
    fields.refuse(FieldError::invalid("password", &format!("1 to {PASSWORD_BYTES_MAX} bytes long")));
    None
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
        errors.push(FieldError::unknown("limit_reached"));
    }
    let mut track = serde_path_to_error::Track::new();
    let reader = serde_path_to_error::Deserializer::new(Value::Object(object), &mut track);
    let record = serde_ignored::deserialize(reader, |path| note_stranger(&mut strangers, &path));
    errors.extend(strangers.into_iter().map(FieldError::unknown));
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

/// Lists where an object belongs. The reader of JSON would take their entries for its fields in order, and `[]` for an
/// object without any: a rule with `"when": []` would take every visitor.
fn lists_for_objects(field: &str, value: &Value) -> Vec<FieldError> {
    let name = field.rsplit('.').next().unwrap_or(field);
    let is_object = matches!(name, "when" | "to" | "ab_test" | "link_utms" | "schedule" | "not");
    let is_list = matches!(name, "rules" | "evolution_rules" | "geo_rules" | "utm_templates" | "variants");
    match value {
        Value::Array(_) if name == "when" => vec![FieldError::invalid(
            field,
            "an object of conditions such as {\"countries\": [\"DE\"]}; a rule that is to take every visitor has no `when`",
        )],
        Value::Array(_) if is_object => vec![FieldError::invalid(field, "an object")],
        Value::Array(entries) if is_list => {
            let named = entries.iter().enumerate().map(|(index, entry)| (format!("{field}[{index}]"), entry));
            named
                .flat_map(|(field, entry)| match entry {
                    Value::Array(_) => vec![FieldError::invalid(field, "an object")],
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
        let errors = CreateLink::read(object(value)).err().map(|invalid| invalid.errors).unwrap_or_default();
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
        let view = Link {
            id: "link_1".parse().expect("an id"),
            account_id: "acc_1".parse().expect("an id"),
            short_url: "https://go.example/x".to_owned(),
            domain: "go.example".to_owned(),
            slug: "x".to_owned(),
            version: 3,
            fields: record.clone().into(),
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
            warnings: Vec::new(),
        };
        let apply = |patch: Value| UpdateLink::read(object(patch)).expect("a patch").apply(&record, &view);
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
        let password = |patch: Value| UpdateLink::read(object(patch)).expect("a patch").password;
        assert_eq!(password(json!({})), PasswordChange::Keep);
        assert_eq!(password(json!({"password": null})), PasswordChange::Clear);
        assert_eq!(password(json!({"password": "x"})), PasswordChange::Set("x".to_owned()));
        assert!(UpdateLink::read(object(json!({"password": ""}))).is_err());
    }
}
