//! One line of an imported file, and the link it describes.

use serde_json::{Map, Value};
use waypost_core::Hostname;

use crate::print::counted;

/// The most bytes of one line or record. The largest link has fewer.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 20;

/// The reason for refusing bytes that are not UTF-8.
pub(crate) const NOT_UTF8: &str = "not UTF-8: save the file as UTF-8 (in a spreadsheet: \"CSV UTF-8\"), or convert it, \
    for example with `iconv -f WINDOWS-1252 -t UTF-8 FILE`";

/// Fields of a link that the server writes itself. A file may have them; they are ignored.
pub(crate) const SERVER_FIELDS: [&str; 6] = ["id", "link_id", "account_id", "version", "short_url", "updated_at"];

/// One line.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its number in the file, from 1.
    pub(crate) line: u64,
    /// The fields of the link, or why the line is refused.
    pub(crate) body: Result<Map<String, Value>, Refusal>,
}

/// Why a line is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A stable code.
    pub(crate) code: String,
    /// What is wrong, for people.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(code: &str, reason: impl Into<String>) -> Self {
        Self { code: code.to_owned(), reason: reason.into() }
    }

    /// A record of a CSV file whose quote is still open at the end of the file, `lines` lines after it begins.
    pub(crate) fn unclosed(lines: u64) -> Self {
        let lines = counted(lines, "line");
        let reason = format!(
            "a quote (\") that begins a cell is never closed, so that the rest of the file, {lines}, is inside it; none of that is imported. Close or remove the quote"
        );
        Self::new("quote_unclosed", reason)
    }

    /// Bytes that are not UTF-8; in this field, unless it is empty.
    pub(crate) fn not_utf8(field: &str) -> Self {
        Self::new("utf8", if field.is_empty() { NOT_UTF8.to_owned() } else { format!("{field}: {NOT_UTF8}") })
    }

    pub(crate) fn too_long() -> Self {
        Self::new("too_long", format!("a line has at most {RECORD_BYTES_MAX} bytes"))
    }
}

impl Row {
    /// The row as the API accepts it: without fields that the server writes itself, and on its target domain.
    pub(crate) fn prepare(mut self, target: &TargetDomain<'_>) -> Self {
        self.body = self.body.and_then(|body| prepare(body, target));
        self
    }
}

/// The domain that links are put on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TargetDomain<'a> {
    /// All of them on this host.
    pub(crate) all: Option<&'a str>,
    /// Those of the first host on the second.
    pub(crate) map: &'a [(Hostname, Hostname)],
}

impl TargetDomain<'_> {
    fn put(&self, body: &mut Map<String, Value>) {
        let domain = || body.get("domain").and_then(Value::as_str).and_then(|host| Hostname::parse(host).ok());
        let mapped = || {
            let domain = domain()?;
            self.map.iter().find(|(old, _)| *old == domain).map(|(_, new)| new.as_str())
        };
        if let Some(host) = self.all.or_else(mapped) {
            body.insert("domain".to_owned(), host.into());
        }
    }
}

fn prepare(mut body: Map<String, Value>, target: &TargetDomain<'_>) -> Result<Map<String, Value>, Refusal> {
    let says = |field| body.get(field).is_some_and(|value| !value.is_null());
    if says("short_url") && !says("slug") {
        let reason =
            "a short_url without a slug: the link would get another one; give the line a slug, or leave short_url out";
        return Err(Refusal::new("slug_missing", reason));
    }
    for field in SERVER_FIELDS {
        body.remove(field);
    }
    target.put(&mut body);
    let had_password = body.remove("has_password") == Some(Value::Bool(true));
    let has_hash = body.get("password_hash").is_some_and(|hash| !hash.is_null());
    // Without its password everybody could use the link.
    if (had_password || has_hash) && body.get("password").is_none_or(Value::is_null) {
        let reason = "the link had a password, which no file contains: give the line a password, or omit the line if the link already \
                      exists and keeps its password";
        return Err(Refusal::new("password_missing", reason));
    }
    body.remove("password_hash");
    Ok(body)
}

/// Reads `OLD=NEW`, two hosts.
///
/// # Errors
/// If it is something else.
pub(crate) fn read_domain_map(text: &str) -> Result<(Hostname, Hostname), String> {
    let (old, new) = text.split_once('=').ok_or("give two hosts, such as old.example=go.example")?;
    let parse = |host| Hostname::parse(host).map_err(|error| error.to_string());
    Ok((parse(old)?, parse(new)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(body: &Value, expect: Result<&Value, &str>) {
        let row = Row { line: 1, body: Ok(body.as_object().unwrap().clone()) };
        let found = row.prepare(&TargetDomain::default()).body.map(Value::Object).map_err(|refusal| refusal.code);
        assert_eq!(found, expect.cloned().map_err(str::to_owned));
    }

    #[test]
    fn what_the_server_writes_itself_is_ignored() {
        let plain = json!({"destination_url": "https://a.example/", "slug": "a"});
        check(&plain, Ok(&plain));
        let mut whole = plain.clone();
        for field in SERVER_FIELDS {
            whole[field] = json!("x");
        }
        whole["has_password"] = json!(false);
        whole["password_hash"] = Value::Null;
        check(&whole, Ok(&plain));
    }

    #[test]
    fn links_go_to_the_domain_that_is_named() {
        let host = |text| Hostname::parse(text).unwrap();
        let map = [(host("old.example"), host("go.example"))];
        for (all, domain, expect) in [
            (None, json!("OLD.example."), json!("go.example")),
            (None, json!("other.example"), json!("other.example")),
            (Some("one.example"), json!("other.example"), json!("one.example")),
        ] {
            let body = json!({"destination_url": "x", "domain": domain});
            let row = Row { line: 1, body: Ok(body.as_object().unwrap().clone()) };
            assert_eq!(row.prepare(&TargetDomain { all, map: &map }).body.unwrap()["domain"], expect);
        }
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
