//! A punctuation mark at the end of a link, from the sentence around it or from a mail client.

use std::borrow::Cow;

use super::{decoded, may_be_in_slug, normal_slug, raw_slug, without_selectors};

/// Reads the requested slug without the one punctuation mark, space or invisible character at its end; otherwise as
/// [`super::from_request_path`]. `None` if it does not end in such a character and has no emoji variation selector.
///
/// Only for paths for which no link was found as they are.
pub fn without_closing_mark(path: &str, case_insensitive: bool) -> Option<Cow<'_, str>> {
    let text = decoded(raw_slug(path)?)?;
    let bytes = text.len();
    let text = without_selectors(text);
    let mark = text.chars().next_back().filter(|last| is_closing_mark(*last));
    let length = text.len() - mark.map_or(0, char::len_utf8);
    if length == bytes || length == 0 {
        return None;
    }
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..length]),
        Cow::Owned(mut text) => {
            text.truncate(length);
            Cow::Owned(text)
        }
    };
    normal_slug(text, case_insensitive, may_be_in_slug)
}

/// ASCII punctuation, sentence marks and quotes of other scripts, spaces, and zero-width characters. Not `%`, after
/// which a part of the path is missing. Of the control characters only line breaks and tabs.
fn is_closing_mark(character: char) -> bool {
    (character.is_ascii_punctuation() && character != '%')
        || character.is_whitespace()
        || super::is_invisible(character)
        || matches!(
            character,
            '\u{a1}' | '\u{ab}' | '\u{b7}' | '\u{bb}' | '\u{bf}' | '\u{37e}' | '\u{589}' | '\u{60c}' | '\u{61b}' | '\u{61f}' | '\u{6d4}'
                | '\u{964}' | '\u{965}' | '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}'
                | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{2e00}'..='\u{2e7f}'
                | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}' | '\u{30fb}'
                | '\u{fe10}'..='\u{fe19}' | '\u{fe30}'..='\u{fe6b}'
                | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Option<&str>) {
        assert_eq!(without_closing_mark(path, false).as_deref(), expect, "{path:?}");
    }

    #[test]
    fn one_mark_at_the_end() {
        for mark in [
            ".",
            ",",
            ";",
            ":",
            "!",
            ")",
            "]",
            "}",
            "'",
            "*",
            "_",
            "-",
            "~",
            "%22",
            "%3E",
            "%20",
            "%C2%A0",
            "%0A",
            "%09",
            "%E2%80%8B",
            "%E2%80%9D",
            "%E2%80%A6",
            "%E3%80%82",
            "%EF%BC%89",
            "%EF%BB%BF",
            "%E2%81%A0",
            "\u{201d}",
            "\u{3002}",
            "\u{feff}",
        ] {
            check(&format!("/abc{mark}"), Some("abc"));
        }
        check("/abc..", Some("abc."));
        check("/abc./", Some("abc"));
        check("/%E2%9D%A4%EF%B8%8Fx", Some("\u{2764}x"));
        check("/%E2%9D%A4%EF%B8%8F.", Some("\u{2764}"));
        check("/gr%C3%B6%C3%9Fe.", Some("gr\u{f6}\u{df}e"));
        assert_eq!(without_closing_mark("/ABC.", true).as_deref(), Some("abc"));
        for none in ["/abc", "/.", "/", "", "/%FF.", "/a%2Fb.", "/a%20b.", "/abc%", "/abc%00", "/\u{e9}"] {
            check(none, None);
        }
    }
}
