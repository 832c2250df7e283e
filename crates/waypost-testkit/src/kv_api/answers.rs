//! What the stand-in does with a request: the interface's paths, limits and envelopes.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::wire::Request;
use super::{ACCOUNT, Call, CallKind, Fault, NAMESPACE, State, Stored, TOKEN};

/// The most bytes of a bulk body.
pub(super) const BULK_BYTES_MAX: usize = 100_000_000;
const BULK_KEYS_MAX: usize = 10_000;
const KEY_BYTES_MAX: usize = 512;
const METADATA_BYTES_MAX: usize = 1_024;
const VALUE_BYTES_MAX: usize = 25 << 20;
const LIST_KEYS_MAX: usize = 1_000;
const WRITE_EVERY_MS: u64 = 1_000;
/// Fields that a pair of a bulk write may have.
const PAIR_FIELDS: [&str; 6] = ["key", "value", "metadata", "expiration", "expiration_ttl", "base64"];

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

pub(super) enum Reaction {
    Answer(Answer),
    /// Something in place of a whole answer.
    Fault(Fault),
}

/// A call that passed the checks of its form.
struct Wanted {
    kind: CallKind,
    puts: Vec<(String, Stored)>,
    deletes: Vec<String>,
    query: BTreeMap<String, String>,
}

/// An error of the interface.
struct Refusal {
    status: u16,
    code: u64,
    message: &'static str,
}

const fn refusal(status: u16, code: u64, message: &'static str) -> Refusal {
    Refusal { status, code, message }
}

/// Does the call, or the fault that was set instead, and records it.
pub(super) fn answer(request: &Request, state: &mut State) -> Reaction {
    let at_ms = (state.clock)();
    let wanted = read(request, state.body_bytes_max);
    let (kind, keys) = match &wanted {
        Ok(wanted) => (wanted.kind, wanted.keys()),
        Err(_) => (CallKind::Unknown, Vec::new()),
    };
    let of_key = || keys.iter().find_map(|key| state.poison.get(key).cloned());
    let fault = state.next_faults.pop_front().or_else(|| state.fault.clone()).or_else(of_key);
    let reaction = match (fault, wanted) {
        (Some(Fault::LostAnswer), Ok(wanted)) => {
            let _ = act(&wanted, state, at_ms);
            Reaction::Fault(Fault::LostAnswer)
        }
        (Some(Fault::Refuse { status, code, retry_after }), _) => {
            let refused = refuse(&refusal(status, code, "as it was told to answer"));
            Reaction::Answer(Answer { retry_after, ..refused })
        }
        (Some(Fault::Page(status)), _) => {
            let body = b"<html><body>not the interface</body></html>".to_vec();
            Reaction::Answer(Answer { status, content_type: "text/html", retry_after: None, body })
        }
        (Some(fault), _) => Reaction::Fault(fault),
        (None, Ok(wanted)) => Reaction::Answer(act(&wanted, state, at_ms).unwrap_or_else(|refusal| refuse(&refusal))),
        (None, Err(refusal)) => Reaction::Answer(refuse(&refusal)),
    };
    let status = if let Reaction::Answer(answer) = &reaction { Some(answer.status) } else { None };
    state.calls.push(Call { at_ms, kind, keys, status });
    reaction
}

fn refuse(refusal: &Refusal) -> Answer {
    let Refusal { status, code, message } = refusal;
    let body =
        json!({"success": false, "errors": [{"code": code, "message": message}], "messages": [], "result": null});
    Answer { status: *status, content_type: "application/json", retry_after: None, body: body.to_string().into_bytes() }
}

fn succeed(result: &Value, result_info: &Value) -> Answer {
    let body = json!({"success": true, "errors": [], "messages": [], "result": result, "result_info": result_info});
    Answer { status: 200, content_type: "application/json", retry_after: None, body: body.to_string().into_bytes() }
}

impl Wanted {
    fn keys(&self) -> Vec<String> {
        self.puts.iter().map(|(key, _)| key).chain(&self.deletes).cloned().collect()
    }
}

fn read(request: &Request, body_bytes_max: usize) -> Result<Wanted, Refusal> {
    if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Err(refusal(403, 10_000, "Authentication error"));
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let rest = path.strip_prefix("/client/v4/accounts/").ok_or(refusal(400, 7_000, "No route for that URI"))?;
    let rest = rest.strip_prefix(ACCOUNT).ok_or(refusal(400, 7_003, "Could not route to the account"))?;
    let rest = rest.strip_prefix("/storage/kv/namespaces/").ok_or(refusal(400, 7_000, "No route for that URI"))?;
    let rest = rest.strip_prefix(NAMESPACE).ok_or(refusal(404, 10_013, "namespace not found"))?;
    if request.body.len() > body_bytes_max {
        return Err(refusal(413, 10_030, "request body too large"));
    }
    let mut wanted = Wanted { kind: CallKind::Unknown, puts: Vec::new(), deletes: Vec::new(), query: pairs_of(query) };
    wanted.kind = match (request.method.as_str(), rest) {
        ("PUT", "/bulk") => {
            wanted.puts = read_pairs(&request.body)?;
            CallKind::BulkPut
        }
        ("POST", "/bulk/delete") => {
            wanted.deletes = read_keys(&request.body)?;
            CallKind::BulkDelete
        }
        ("GET", "/keys") => CallKind::List,
        (method, rest) => {
            let key = rest.strip_prefix("/values/").filter(|key| !key.contains('/'));
            let key = decode(key.ok_or(refusal(404, 7_000, "No route for that URI"))?);
            check_key(&key)?;
            match method {
                "PUT" => {
                    wanted.puts = vec![(key, read_value(request)?)];
                    CallKind::Put
                }
                "DELETE" | "GET" => {
                    wanted.deletes = vec![key];
                    if method == "GET" { CallKind::Get } else { CallKind::Delete }
                }
                _ => return Err(refusal(405, 7_001, "Method not allowed")),
            }
        }
    };
    Ok(wanted)
}

fn act(wanted: &Wanted, state: &mut State, at_ms: u64) -> Result<Answer, Refusal> {
    match wanted.kind {
        CallKind::Get => {
            let shown = state.held.as_ref().unwrap_or(&state.values);
            let stored = shown.get(&wanted.deletes[0]).ok_or(refusal(404, 10_009, "key not found"))?;
            let body = stored.value.clone().into_bytes();
            return Ok(Answer { status: 200, content_type: "application/octet-stream", retry_after: None, body });
        }
        CallKind::List => return list(wanted, state),
        CallKind::Put | CallKind::BulkPut | CallKind::Delete | CallKind::BulkDelete | CallKind::Unknown => {}
    }
    let is_early = |key: &String| state.written_at_ms.get(key).is_some_and(|at| at_ms < at + WRITE_EVERY_MS);
    if wanted.puts.iter().map(|(key, _)| key).chain(&wanted.deletes).any(is_early) {
        return Err(refusal(429, 10_429, "more than one write a second for one key"));
    }
    let is_bulk = matches!(wanted.kind, CallKind::BulkPut | CallKind::BulkDelete);
    let mut unsuccessful = Vec::new();
    let mut successful = 0;
    let puts = wanted.puts.iter().map(|(key, stored)| (key, Some(stored)));
    for (key, stored) in puts.chain(wanted.deletes.iter().map(|key| (key, None))) {
        if is_bulk && state.refused.contains(key) {
            unsuccessful.push(key.clone());
            continue;
        }
        successful += 1;
        state.written_at_ms.insert(key.clone(), at_ms);
        match stored {
            Some(stored) => state.values.insert(key.clone(), stored.clone()),
            None => state.values.remove(key),
        };
    }
    let result = json!({"successful_key_count": successful, "unsuccessful_keys": unsuccessful});
    Ok(succeed(if is_bulk { &result } else { &Value::Null }, &Value::Null))
}

fn list(wanted: &Wanted, state: &State) -> Result<Answer, Refusal> {
    let shown = state.held.as_ref().unwrap_or(&state.values);
    let limit = wanted.query.get("limit").map_or(Some(LIST_KEYS_MAX), |text| text.parse().ok());
    let limit = limit.filter(|limit| (10..=LIST_KEYS_MAX).contains(limit));
    let limit = limit.ok_or(refusal(400, 10_022, "limit is out of range"))?;
    let prefix = wanted.query.get("prefix").map_or("", String::as_str);
    let after = wanted.query.get("cursor").map(String::as_str).unwrap_or_default();
    let after = after.strip_prefix("after:").unwrap_or_default();
    let found: Vec<_> = shown
        .iter()
        .filter(|(key, _)| key.starts_with(prefix) && (after.is_empty() || key.as_str() > after))
        .take(limit + 1)
        .collect();
    let page = &found[..found.len().min(limit)];
    let cursor = if found.len() > limit { format!("after:{}", page[limit - 1].0) } else { String::new() };
    let keys: Vec<Value> = page
        .iter()
        .map(|(key, stored)| match &stored.metadata {
            Some(metadata) => json!({"name": key, "metadata": metadata}),
            None => json!({"name": key}),
        })
        .collect();
    let count = keys.len();
    Ok(succeed(&Value::Array(keys), &json!({"count": count, "cursor": cursor})))
}

fn check_key(key: &str) -> Result<(), Refusal> {
    if matches!(key, "" | "." | "..") || key.len() > KEY_BYTES_MAX {
        return Err(refusal(400, 10_030, "invalid key name"));
    }
    Ok(())
}

fn check_stored(stored: Stored) -> Result<Stored, Refusal> {
    if stored.metadata.as_ref().is_some_and(|metadata| metadata.to_string().len() > METADATA_BYTES_MAX) {
        return Err(refusal(400, 10_024, "metadata too large"));
    }
    if stored.value.len() > VALUE_BYTES_MAX {
        return Err(refusal(413, 10_030, "value too large"));
    }
    Ok(stored)
}

fn read_pairs(body: &[u8]) -> Result<Vec<(String, Stored)>, Refusal> {
    let malformed = || refusal(400, 10_026, "could not parse the pairs");
    let items: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(body).map_err(|_| malformed())?;
    if items.is_empty() || items.len() > BULK_KEYS_MAX {
        return Err(refusal(400, 10_025, "too few or too many pairs"));
    }
    let read = |mut item: serde_json::Map<String, Value>| {
        if item.keys().any(|field| !PAIR_FIELDS.contains(&field.as_str())) {
            return Err(malformed());
        }
        let (Some(Value::String(key)), Some(Value::String(value))) = (item.remove("key"), item.remove("value")) else {
            return Err(malformed());
        };
        check_key(&key)?;
        Ok((key, check_stored(Stored { value, metadata: item.remove("metadata") })?))
    };
    items.into_iter().map(read).collect()
}

fn read_keys(body: &[u8]) -> Result<Vec<String>, Refusal> {
    let keys: Vec<String> =
        serde_json::from_slice(body).map_err(|_| refusal(400, 10_026, "could not parse the keys"))?;
    if keys.is_empty() || keys.len() > BULK_KEYS_MAX {
        return Err(refusal(400, 10_025, "too few or too many keys"));
    }
    keys.iter().try_for_each(|key| check_key(key))?;
    Ok(keys)
}

/// A value with metadata comes as a form, one without as the body itself.
fn read_value(request: &Request) -> Result<Stored, Refusal> {
    let malformed = || refusal(400, 10_026, "could not parse the form");
    let body = std::str::from_utf8(&request.body).map_err(|_| malformed())?;
    let boundary = request.header("content-type").and_then(|kind| kind.strip_prefix("multipart/form-data; boundary="));
    let Some(boundary) = boundary else {
        return check_stored(Stored { value: body.to_owned(), metadata: None });
    };
    let inside = body.strip_prefix(&format!("--{boundary}\r\n")).ok_or_else(malformed)?;
    let inside = inside.strip_suffix(&format!("\r\n--{boundary}--\r\n")).ok_or_else(malformed)?;
    let mut parts = BTreeMap::new();
    for part in inside.split(&format!("\r\n--{boundary}\r\n")) {
        let (head, content) = part.split_once("\r\n\r\n").ok_or_else(malformed)?;
        let name = head.split("name=\"").nth(1).and_then(|rest| rest.split('"').next()).ok_or_else(malformed)?;
        parts.insert(name.to_owned(), content.to_owned());
    }
    let value = parts.remove("value").ok_or_else(malformed)?;
    let metadata = parts.remove("metadata").map(|text| serde_json::from_str(&text)).transpose();
    check_stored(Stored { value, metadata: metadata.map_err(|_| malformed())? })
}

fn pairs_of(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

/// Decodes percent-encoding; bytes that are not UTF-8 are replaced.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
