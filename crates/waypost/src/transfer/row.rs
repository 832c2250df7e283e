//! One line of a file on its way to becoming a link.

use serde_json::{Map, Value};

use crate::print::counted;

/// The most bytes of one line or record. A link of the largest size stays below.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 20;

/// Fields of a link record that the instance gives itself. A file may carry them; they are passed over.
pub(crate) const GIVEN_FIELDS: [&str; 6] = ["id", "link_id", "account_id", "version", "short_url", "updated_at"];

/// One line.
#[derive(Debug)]
pub(crate) struct Row {
    /// Where it stands, from 1.
    pub(crate) line: u64,
    /// The fields of the link, or why there is none.
    pub(crate) body: Result<Map<String, Value>, Refusal>,
}

/// Why a line is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A stable word.
    pub(crate) code: String,
    /// What is wrong, for people.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(code: &str, reason: impl Into<String>) -> Self {
        Self { code: code.to_owned(), reason: reason.into() }
    }

    /// A record of a CSV file whose quote is open to the end of the file, with so many lines behind its own.
    pub(crate) fn unclosed(lines: u64) -> Self {
        let lines = counted(lines, "line");
        let reason = format!(
            "a quote (\") that begins a cell is never closed, so that the rest of the file, {lines}, is inside it; none of that is imported. Close or remove the quote"
        );
        Self::new("quote_unclosed", reason)
    }

    pub(crate) fn too_long() -> Self {
        Self::new("too_long", format!("a line has at most {RECORD_BYTES_MAX} bytes"))
    }
}

impl Row {
    /// The row as the API takes it: without what the instance gives itself, on `domain` where one is named.
    pub(crate) fn prepare(mut self, domain: Option<&str>) -> Self {
        self.body = self.body.and_then(|body| prepare(body, domain));
        self
    }
}

fn prepare(mut body: Map<String, Value>, domain: Option<&str>) -> Result<Map<String, Value>, Refusal> {
    let says = |field| body.get(field).is_some_and(|value| !value.is_null());
    if says("short_url") && !says("slug") {
        let reason =
            "a short_url without a slug: the link would get another one; give the line a slug, or leave short_url out";
        return Err(Refusal::new("slug_missing", reason));
    }
    for field in GIVEN_FIELDS {
        body.remove(field);
    }
    if let Some(domain) = domain {
        body.insert("domain".to_owned(), domain.into());
    }
    let had_password = body.remove("has_password") == Some(Value::Bool(true));
    let has_hash = body.get("password_hash").is_some_and(|hash| !hash.is_null());
    // Without its password the link would be open to all.
    if (had_password || has_hash) && body.get("password").is_none_or(Value::is_null) {
        let reason = "the link had a password, which no file carries: give the line a password, or leave it out where the link is there \
                      already and keeps its own";
        return Err(Refusal::new("password_missing", reason));
    }
    body.remove("password_hash");
    Ok(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(body: &Value, expect: Result<&Value, &str>) {
        let row = Row { line: 1, body: Ok(body.as_object().unwrap().clone()) };
        let found = row.prepare(None).body.map(Value::Object).map_err(|refusal| refusal.code);
        assert_eq!(found, expect.cloned().map_err(str::to_owned));
    }

    #[test]
    fn what_the_instance_gives_is_passed_over() {
        let plain = json!({"destination_url": "https://a.example/", "slug": "a"});
        check(&plain, Ok(&plain));
        let mut whole = plain.clone();
        for field in GIVEN_FIELDS {
            whole[field] = json!("x");
        }
        whole["has_password"] = json!(false);
        whole["password_hash"] = Value::Null;
        check(&whole, Ok(&plain));
    }

    #[test]
    fn a_short_url_is_not_lost() {
        check(&json!({"destination_url": "x", "short_url": "https://sho.rt/a"}), Err("slug_missing"));
        check(&json!({"destination_url": "x", "short_url": null}), Ok(&json!({"destination_url": "x"})));
    }

    #[test]
    fn a_protected_link_is_not_opened() {
        check(&json!({"destination_url": "x", "has_password": true}), Err("password_missing"));
        check(&json!({"destination_url": "x", "password_hash": "$argon2id$"}), Err("password_missing"));
        let expect = json!({"destination_url": "x", "password": "new"});
        check(&json!({"destination_url": "x", "password": "new", "has_password": true}), Ok(&expect));
    }
}
