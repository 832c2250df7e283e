//! Query strings: reading parameters, and completing a destination with UTM parameters and the visitor's own.
//!
//! Precedence by parameter name: the destination's own parameters, then the visitor's, then those of the UTM template,
//! then the link's UTM parameters. The destination itself is never rewritten. One that is not a web page (`tel:`,
//! `intent:`) stays unchanged, because what follows `?` there may not be a query.
//!
//! A QR code of a link has [`SCAN_MARK`] in its query, so that its scans are counted apart. The mark is between the code and
//! Waypost: no condition sees it, and no destination gets it.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

/// The most pairs of a visitor's query that are forwarded. If there are more, none is forwarded.
pub const FORWARDED_PAIRS_MAX: usize = 50;
/// The most bytes of a visitor's query that are forwarded. If there are more, none is forwarded.
pub const FORWARDED_BYTES_MAX: usize = 2_048;

/// The five parameters in the order they are added.
pub const UTM_NAMES: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];

/// The parameter by which a scan of a link's QR code is known.
pub const SCAN_MARK: &str = "qr=1";

/// The URL Standard's special-query percent-encode set.
const SPECIAL_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\'');

/// The pairs of a query as they are written, without empty ones and [`SCAN_MARK`].
fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty() && *pair != SCAN_MARK)
}

/// Whether a visitor's query has [`SCAN_MARK`].
pub fn is_scan(query: &str) -> bool {
    query.split('&').any(|pair| pair == SCAN_MARK)
}

/// A name or value with `+` and percent-encoding decoded.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text.as_bytes());
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).collect())
}

fn name_of(pair: &str) -> Cow<'_, [u8]> {
    decoded(pair.split_once('=').map_or(pair, |(name, _)| name))
}

/// Whether any parameter `name` of a query has the value `value`.
pub fn has_pair(query: &str, name: &str, value: &str) -> bool {
    pairs(query).any(|pair| {
        let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
        *decoded(raw_name) == *name.as_bytes() && *decoded(raw_value) == *value.as_bytes()
    })
}

/// Whether a query has the parameter `name`, with any value.
pub fn has_name(query: &str, name: &[u8]) -> bool {
    pairs(query).any(|pair| *name_of(pair) == *name)
}

/// The visitor's query, if it has anything to forward and is small enough.
pub fn forwardable(query: Option<&str>) -> Option<&str> {
    query
        .filter(|query| query.len() <= FORWARDED_BYTES_MAX && (1..=FORWARDED_PAIRS_MAX).contains(&pairs(query).count()))
}

/// Completes a destination: `utms` in the order of [`UTM_NAMES`], then the visitor's pairs.
///
/// `destination` is a serialised URL. `forwarded` is what [`forwardable`] returned. Parameters that the destination's
/// query already has are not added. Returns the destination unchanged if nothing is added, and if it is not a web page.
pub fn complete<'a>(destination: &'a str, utms: [Option<&str>; 5], forwarded: Option<&str>) -> Cow<'a, str> {
    if !is_web(destination) {
        return Cow::Borrowed(destination);
    }
    let (before_fragment, fragment) = match destination.find('#') {
        Some(at) => destination.split_at(at),
        None => (destination, ""),
    };
    let own = before_fragment.split_once('?').map(|(_, query)| query);
    // The URL Standard drops tabs and line breaks before it reads anything; so every comparison of names here must do
    // the same.
    let forwarded = forwarded.unwrap_or("");
    let forwarded: Cow<'_, str> = if forwarded.contains(['\t', '\n', '\r']) {
        forwarded.replace(['\t', '\n', '\r'], "").into()
    } else {
        forwarded.into()
    };

    let mut url = Completion { before_fragment, own, url: String::new(), bytes: destination.len() + forwarded.len() };
    for (name, value) in UTM_NAMES.into_iter().zip(utms) {
        let Some(value) = value else { continue };
        if !has_name(own.unwrap_or(""), name.as_bytes()) && !has_name(&forwarded, name.as_bytes()) {
            url.push([name, "="].into_iter().chain(url::form_urlencoded::byte_serialize(value.as_bytes())));
        }
    }
    for pair in pairs(&forwarded) {
        if !has_name(own.unwrap_or(""), &name_of(pair)) {
            url.push(utf8_percent_encode(pair, SPECIAL_QUERY));
        }
    }
    let mut url = url.url;
    if url.is_empty() {
        return Cow::Borrowed(destination);
    }
    url.push_str(fragment);
    Cow::Owned(url)
}

/// Whether a serialised URL has the scheme of a web page.
pub fn is_web(destination: &str) -> bool {
    destination.strip_prefix("http").is_some_and(|rest| rest.starts_with("://") || rest.starts_with("s://"))
}

/// A destination to which pairs are added.
struct Completion<'a> {
    before_fragment: &'a str,
    /// The query of the destination.
    own: Option<&'a str>,
    /// The output; empty until a pair is added.
    url: String,
    /// Bytes of the destination and the forwarded query.
    bytes: usize,
}

impl Completion<'_> {
    fn push<'p>(&mut self, pair: impl Iterator<Item = &'p str>) {
        if self.url.is_empty() {
            // Capacity for typical UTM parameters, so that one allocation is enough.
            self.url.reserve(self.bytes + 128);
            self.url.push_str(self.before_fragment);
            self.url.push_str(match self.own {
                None => "?",
                Some(query) if query.is_empty() || query.ends_with('&') => "",
                Some(_) => "&",
            });
        } else {
            self.url.push('&');
        }
        self.url.extend(pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [Option<&str>; 5] = [None; 5];

    #[track_caller]
    fn check(destination: &str, utms: [Option<&str>; 5], forwarded: Option<&str>, expect: &str) {
        let completed = complete(destination, utms, forwardable(forwarded));
        assert_eq!(completed, expect);
        let url = url::Url::parse(&completed).expect("still a URL");
        assert_eq!(url.as_str(), completed, "still the serialisation");
    }

    #[test]
    fn nothing_to_add_is_nothing_changed() {
        check("https://e.example/?a=1#f", NONE, None, "https://e.example/?a=1#f");
        check("https://e.example/", NONE, Some(""), "https://e.example/");
        check("https://e.example/", NONE, Some("&&"), "https://e.example/");
        assert!(matches!(complete("https://e.example/", NONE, None), Cow::Borrowed(_)));
    }

    #[test]
    fn order_precedence_and_joints() {
        let utms = [Some("news letter"), None, Some("späti&co"), None, Some("c")];
        check(
            "https://e.example/p#f",
            utms,
            None,
            "https://e.example/p?utm_source=news+letter&utm_campaign=sp%C3%A4ti%26co&utm_content=c#f",
        );
        check(
            "https://e.example/p?utm_source=own&x=%20y",
            utms,
            Some("utm_content=visitor&z=1&x=2"),
            "https://e.example/p?utm_source=own&x=%20y&utm_campaign=sp%C3%A4ti%26co&utm_content=visitor&z=1",
        );
        check("https://e.example/?", NONE, Some("a=1"), "https://e.example/?a=1");
        check("https://e.example/?b&", NONE, Some("a=1"), "https://e.example/?b&a=1");
        check(
            "https://e.example/?utm%5Fsource=own",
            utms,
            None,
            "https://e.example/?utm%5Fsource=own&utm_campaign=sp%C3%A4ti%26co&utm_content=c",
        );
        check("https://e.example/", NONE, Some("a=1&a=2&flag&=v"), "https://e.example/?a=1&a=2&flag&=v");
        check("https://e.example/?a=0", NONE, Some("a=1&a=2&b=3"), "https://e.example/?a=0&b=3");
    }

    #[test]
    fn only_web_pages_are_completed() {
        let utms = [Some("mail"), None, None, None, None];
        for left in [
            "tel:+4312345",
            "mailto:a@example.com?subject=x",
            "sms:+1?body=x",
            "intent://scan/#Intent;scheme=zxing;end",
            "market://details?id=com.example",
            "httpx://e.example/",
        ] {
            check(left, utms, Some("a=1"), left);
        }
        check("http://e.example/", utms, Some("a=1"), "http://e.example/?utm_source=mail&a=1");
    }

    #[test]
    fn the_visitors_text_is_kept_but_never_breaks_a_header() {
        check("https://e.example/", NONE, Some("a=%41&b=c+d&e='\"<>"), "https://e.example/?a=%41&b=c+d&e=%27%22%3C%3E");
        check("https://e.example/", NONE, Some("a=1\r\nSet-Cookie: x"), "https://e.example/?a=1Set-Cookie:%20x");
        check("https://e.example/", NONE, Some("a=ä\0\u{7f}#x"), "https://e.example/?a=%C3%A4%00%7F%23x");
    }

    #[test]
    fn limits() {
        let fifty = vec!["a=1"; 50].join("&");
        assert!(forwardable(Some(&fifty)).is_some());
        assert!(forwardable(Some(&format!("{fifty}&a=1"))).is_none());
        assert!(forwardable(Some(&format!("a={}", "x".repeat(2046)))).is_some());
        assert!(forwardable(Some(&format!("a={}", "x".repeat(2047)))).is_none());
    }

    #[test]
    fn the_mark_of_a_scan_is_not_part_of_the_query() {
        for (query, expect) in
            [("qr=1", ""), ("qr=1&a=1", "?a=1"), ("a=1&qr=1", "?a=1"), ("a=1&qr=1&b=2", "?a=1&b=2"), ("&qr=1&", "")]
        {
            assert!(is_scan(query), "{query}");
            check("https://e.example/", NONE, Some(query), &format!("https://e.example/{expect}"));
            assert!(!has_pair(query, "qr", "1"), "{query}");
        }
        for query in ["", "qr", "qr=", "qr=2", "qr=11", "aqr=1", "QR=1", "a=qr=1"] {
            assert!(!is_scan(query), "{query}");
        }
        check("https://e.example/", NONE, Some("qr=2"), "https://e.example/?qr=2");
        check("https://e.example/?qr=1", NONE, Some("qr=1&a=1"), "https://e.example/?qr=1&a=1");
        assert!(forwardable(Some("qr=1")).is_none());
    }

    #[test]
    fn conditions_read_decoded_pairs() {
        assert!(has_pair("x=1&ref=mail", "ref", "mail"));
        assert!(has_pair("ref=web&ref=mail", "ref", "mail"));
        assert!(has_pair("r%65f=m+l", "ref", "m l"));
        assert!(has_pair("flag", "flag", ""));
        assert!(!has_pair("ref=mail2", "ref", "mail"));
        assert!(!has_pair("", "ref", ""));
    }
}
