//! Destinations as people type and paste them.

use super::{Destination, DestinationError, SchemePolicy};

/// Reads a destination that somebody typed or pasted: line breaks, spaces and zero-width characters around it are
/// removed. If the scheme is missing or doubled, the error suggests what was meant.
///
/// Stored destinations are read by [`Destination::parse`], which suggests nothing.
///
/// # Errors
/// As [`Destination::parse`]; and if the host is `http` or `https`, which is the result of a second scheme.
pub fn typed(text: &str, schemes: &SchemePolicy) -> Result<Destination, DestinationError> {
    let text = text.trim_matches(is_around);
    let meant = |candidate: String| {
        let destination = Destination::parse(&candidate, &SchemePolicy::web()).ok();
        destination.filter(has_usual_host).map(|_| DestinationError::Slip { meant: candidate })
    };
    match Destination::parse(text, schemes) {
        Ok(destination) => match second_scheme(text, &destination) {
            Some(rest) => Err(meant(rest).unwrap_or(DestinationError::NotAUrl { reason: "its scheme stands twice" })),
            None => Ok(destination),
        },
        Err(error @ (DestinationError::NotAUrl { .. } | DestinationError::Scheme { .. })) => {
            Err(with_scheme(text).and_then(meant).unwrap_or(error))
        }
        Err(error) => Err(error),
    }
}

/// Characters that may be pasted together with a URL: spaces, line breaks, the byte order mark and zero-width spaces.
const fn is_around(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | '\u{a0}' | '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{3000}' | '\u{feff}')
}

/// `https://https://example.com` without its first scheme.
fn second_scheme(text: &str, destination: &Destination) -> Option<String> {
    let host = destination.as_str().split_once("://")?.1.split(['/', '?', '#', ':']).next()?;
    if !matches!(host, "http" | "https") {
        return None;
    }
    let rest = &text[text.find("//")? + 2..];
    let (scheme, rest) = rest.split_at(host.len());
    Some(format!("{}://{}", scheme.to_ascii_lowercase(), rest.trim_start_matches([':', '/'])))
}

/// A string that starts with a host, with `https://` added in front.
fn with_scheme(text: &str) -> Option<String> {
    let rest = text.trim_start_matches(['/', ':']);
    // `https//example.com`, `htps://example.com`.
    let (start, behind) = rest.split_once("//").unwrap_or(("", rest));
    let start = start.trim_end_matches(':').to_ascii_lowercase();
    let is_slip = matches!(
        start.as_str(),
        "http"
            | "https"
            | "htp"
            | "htps"
            | "htttp"
            | "htttps"
            | "ttp"
            | "ttps"
            | "hhttp"
            | "hhttps"
            | "httpss"
            | "hxxp"
            | "hxxps"
    );
    let rest = if is_slip { behind } else { rest };
    let host = &rest[..rest.find(['/', '?', '#', ':']).unwrap_or(rest.len())];
    let is_local = host.eq_ignore_ascii_case("localhost");
    if rest.contains(char::is_whitespace) || host.contains('@') || !(host.contains('.') || is_local) {
        return None;
    }
    Some(format!("{}://{rest}", if is_local { "http" } else { "https" }))
}

/// Whether a host has a plausible end: letters, or it is an address or `localhost`.
fn has_usual_host(destination: &Destination) -> bool {
    let host = destination.host().unwrap_or_default();
    let end = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    host == "localhost" || host.starts_with('[') || end.len() >= 2 || host.split('.').count() == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let found = match typed(text, &SchemePolicy::web()) {
            Ok(destination) => destination.as_str().to_owned(),
            Err(DestinationError::Slip { meant }) => format!("meant {meant}"),
            Err(error) => error.code().to_owned(),
        };
        assert_eq!(found, expect, "{text:?}");
    }

    #[test]
    fn what_comes_along_is_dropped() {
        check("https://example.com/a\n", "https://example.com/a");
        check("\u{feff}\t https://example.com/a\r\n\u{200b}", "https://example.com/a");
        check("https://example.com/\na", "control_character");
        check("\njavascript:alert(1)\n", "scheme");
        check("\u{1}javascript:alert(1)", "control_character");
        check(" \n", "empty");
    }

    #[test]
    fn a_missing_scheme_is_offered() {
        check("example.com/page?x=1", "meant https://example.com/page?x=1");
        check("www.example.com", "meant https://www.example.com");
        check("//example.com/x", "meant https://example.com/x");
        check("example.com:8080/x", "meant https://example.com:8080/x");
        check("localhost:8080/x", "meant http://localhost:8080/x");
        check("b\u{fc}cher.example/x", "meant https://b\u{fc}cher.example/x");
        check("https//example.com", "meant https://example.com");
        check("htps://example.com/a//b", "meant https://example.com/a//b");
        check("hello", "not_a_url");
        check("two words.example", "not_a_url");
        check("someone@example.com", "not_a_url");
        check("mailto:someone@example.com", "scheme");
        check("javascript:alert(1)", "scheme");
        check("data:text/html,x.example", "scheme");
    }

    #[test]
    fn a_second_scheme_is_refused() {
        check("https://https://example.com/a", "meant https://example.com/a");
        check("https://http://example.com/a", "meant http://example.com/a");
        check("HTTPS://HTTPS//example.com", "meant https://example.com");
        check("http://https/", "not_a_url");
        check("https://http.example/", "https://http.example/");
        check("https://example.com/https://other.example/", "https://example.com/https://other.example/");
    }
}
