//! Reads the fields of a link from flags and a record file.
//!
//! They stay a JSON map: a record file may have any field, also one that only a newer server knows, and an update sends
//! `null` for the fields to clear. The server checks them.

use std::fs;
use std::io::{self, BufRead as _, Read};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use crate::cli::LinkFields;
use crate::clock;

/// The most bytes of a record file.
const RECORD_BYTES_MAX: u64 = 1 << 20;
/// The most bytes of a password line.
const PASSWORD_BYTES_MAX: u64 = 1_024;

/// The fields from the record file and from the flags. If both have a field, the flag wins.
///
/// # Errors
/// If the file or the password cannot be read, or a time is not valid.
pub(crate) fn read_fields(fields: &LinkFields) -> anyhow::Result<Map<String, Value>> {
    let mut body = fields.record.as_deref().map(read_record).transpose()?.unwrap_or_default();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let now = clock::now();
    let when = |text: &Option<String>| {
        text.as_deref().map(|text| clock::parse_when(text, now).map(|time| Value::from(time.to_string()))).transpose()
    };
    let status = fields.status.as_deref().map(str::parse::<u16>).transpose().context("--status")?;
    set("redirect_status", status.map(Value::from));
    set("forward_query", fields.forward_query.map(Value::from));
    set("enabled", fields.enabled.map(Value::from));
    set("starts_at", when(&fields.starts_at).context("--starts-at")?);
    set("expires_at", when(&fields.expires_at).context("--expires-at")?);
    set("expired_url", fields.expired_url.as_deref().map(Value::from));
    if fields.password_stdin {
        set("password", Some(read_password()?.into()));
    }
    Ok(body)
}

fn read_record(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let mut text = String::new();
    let read = |input: &mut dyn Read, text: &mut String| input.take(RECORD_BYTES_MAX + 1).read_to_string(text);
    let count = if path.as_os_str() == "-" {
        read(&mut io::stdin(), &mut text)
    } else {
        fs::File::open(path).and_then(|mut file| read(&mut file, &mut text))
    };
    let count = count.with_context(|| format!("cannot read the record {}", path.display()))?;
    if count as u64 > RECORD_BYTES_MAX {
        bail!("the record {} has more than {RECORD_BYTES_MAX} bytes", path.display());
    }
    match serde_json::from_str(&text).with_context(|| format!("the record {} is not JSON", path.display()))? {
        Value::Object(body) => Ok(body),
        _ => bail!("the record {} is not a JSON object", path.display()),
    }
}

fn read_password() -> anyhow::Result<String> {
    let mut line = String::new();
    let count = io::stdin().lock().take(PASSWORD_BYTES_MAX + 1).read_line(&mut line).context("read the password")?;
    anyhow::ensure!(count as u64 <= PASSWORD_BYTES_MAX, "the password has more than {PASSWORD_BYTES_MAX} bytes");
    let password = line.trim_end_matches(['\n', '\r']);
    anyhow::ensure!(!password.is_empty(), "no password on standard input");
    Ok(password.to_owned())
}
