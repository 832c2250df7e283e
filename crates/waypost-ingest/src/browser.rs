//! The browser family of a user agent, by the patterns of uap-core (`data/uap-core`).
//!
//! Compiling the patterns takes time and memory, so it happens once, when the first user agent is read, on the thread
//! that reads it.

use std::borrow::Cow;
use std::sync::LazyLock;

use ua_parser::user_agent::{Builder, Extractor, Parser};

/// One entry a line: what the family is called (may be empty, may refer to `$1`), a tab, the pattern.
const PATTERNS: &str = include_str!("../data/uap-core/browsers.tsv");

/// The most bytes of a family's name.
const FAMILY_BYTES_MAX: usize = 48;

/// The compiled patterns. Global because they follow from the program alone and everyone can share them.
static BROWSERS: LazyLock<Extractor<'static>> = LazyLock::new(|| {
    let parsers = PATTERNS.lines().map(|line| {
        let (family, regex) = line.split_once('\t').expect("every line of the patterns has a tab");
        let family_replacement = (!family.is_empty()).then_some(Cow::Borrowed(family));
        Parser { regex: Cow::Borrowed(regex), family_replacement, ..Parser::default() }
    });
    let builder = Builder::new().push_all(parsers).expect("a test compiles the patterns");
    builder.build().expect("a test compiles the patterns")
});

/// The browser's family, such as `Firefox`; `None` where no pattern knows it.
pub(super) fn family(user_agent: &str) -> Option<Cow<'_, str>> {
    let found = BROWSERS.extract(user_agent)?.family;
    let is_name = !found.is_empty() && found.len() <= FAMILY_BYTES_MAX && !found.contains(char::is_control);
    is_name.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(user_agent: &str, expect: &str) {
        assert_eq!(family(user_agent).unwrap_or_default(), expect, "{user_agent}");
    }

    #[test]
    fn families() {
        check("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox");
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
            "Chrome",
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
            "Mobile Safari",
        );
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
            "Safari",
        );
        check(
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile",
        );
        check(
            "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Samsung Internet",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/500.0.0.46.107;FBBV/1]",
            "Facebook",
        );
        check("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot");
        check("curl/8.5.0", "curl");
        check("", "");
        check("x", "");
        check(&"a/".repeat(40_000), "");
    }
}
