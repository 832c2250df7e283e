//! The UTM parameters of a final URL: copied from it as written, and decoded when they are counted.

use std::borrow::Cow;

use memchr::memchr;
use percent_encoding::percent_decode;

use super::cut;
use crate::query::UTM_NAMES;

/// The most bytes kept of one UTM value.
pub const UTM_VALUE_BYTES_MAX: usize = 255;

/// The pairs of a URL's query whose names are those of [`UTM_NAMES`], as written and joined by `&`: the first of each
/// name. Costs one scan if there are none.
pub fn utm_pairs(url: &str) -> Cow<'_, str> {
    let before_fragment = memchr(b'#', url.as_bytes()).map_or(url, |end| &url[..end]);
    let Some(mark) = memchr(b'?', before_fragment.as_bytes()) else { return Cow::Borrowed("") };
    let query = &before_fragment[mark + 1..];
    if !has_utm(query.as_bytes()) {
        return Cow::Borrowed("");
    }
    let mut found: [Option<&str>; 5] = [None; 5];
    for pair in query.split('&') {
        let name = pair.split('=').next().unwrap_or(pair);
        if let Some(place) = UTM_NAMES.iter().position(|utm_name| *utm_name == name) {
            found[place].get_or_insert(pair);
        }
    }
    let pairs = || found.into_iter().flatten();
    // The common case: only these parameters, in their order.
    if query.split('&').eq(pairs()) {
        return Cow::Borrowed(query);
    }
    let mut joined = String::with_capacity(query.len());
    for pair in pairs() {
        if !joined.is_empty() {
            joined.push('&');
        }
        joined.push_str(pair);
    }
    Cow::Owned(joined)
}

/// Whether a name in this query begins as those of UTM parameters do.
fn has_utm(query: &[u8]) -> bool {
    let mut rest = query;
    while !rest.starts_with(b"utm_") {
        let Some(end) = memchr(b'&', rest) else { return false };
        rest = &rest[end + 1..];
    }
    true
}

/// The values in what [`utm_pairs`] returned, decoded, in the order of [`UTM_NAMES`]; empty if there is none. Invalid
/// UTF-8 becomes replacement characters, and so does NUL, which not every database can store. Values longer than
/// [`UTM_VALUE_BYTES_MAX`] bytes are truncated.
pub fn utm_values(pairs: &str) -> [Cow<'_, str>; 5] {
    let mut values = [const { Cow::Borrowed("") }; 5];
    if pairs.is_empty() {
        return values;
    }
    for pair in pairs.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some(place) = UTM_NAMES.iter().position(|utm_name| *utm_name == name) {
            values[place] = decoded(value);
        }
    }
    values
}

fn decoded(value: &str) -> Cow<'_, str> {
    if !value.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(cut(value, UTM_VALUE_BYTES_MAX));
    }
    let spaced = value.replace('+', " ");
    let text = percent_decode(spaced.as_bytes()).decode_utf8_lossy().replace('\0', "\u{fffd}");
    Cow::Owned(cut(&text, UTM_VALUE_BYTES_MAX).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, pairs: &str, values: [&str; 5]) {
        let found = utm_pairs(url);
        assert_eq!(found, pairs);
        assert_eq!(utm_values(&found), values);
    }

    #[test]
    fn pairs_and_values() {
        check("https://e.example/", "", [""; 5]);
        check("https://e.example/?a=1", "", [""; 5]);
        check("https://e.example/?utm_id=1&xutm_source=2", "", [""; 5]);
        check("https://e.example/#?utm_source=x", "", [""; 5]);
        check("https://e.example/?utm_source=x#y", "utm_source=x", ["x", "", "", "", ""]);
        check(
            "https://e.example/?a=1&utm_campaign=sp%C3%A4t+i&utm_source=t&utm_source=second#f",
            "utm_source=t&utm_campaign=sp%C3%A4t+i",
            ["t", "", "spät i", "", ""],
        );
        check("https://e.example/?utm_term&utm_content=%FF", "utm_term&utm_content=%FF", ["", "", "", "", "\u{fffd}"]);
        check("https://e.example/?utm_source=a%00b", "utm_source=a%00b", ["a\u{fffd}b", "", "", "", ""]);
        let long = format!("https://e.example/?utm_source={}", "%C3%A4".repeat(300));
        assert_eq!(utm_values(&utm_pairs(&long))[0].len(), 254);
    }
}
