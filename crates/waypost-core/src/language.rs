//! What `Accept-Language` (RFC 9110 section 12.5.4) says: whether a condition holds, and the language that clicks are
//! counted by.

use std::borrow::Cow;

use crate::quality::thousandths;

/// The most members of a header that the primary language is looked for in.
const MEMBERS_MAX: usize = 20;

/// Whether the visitor accepts, with a weight above 0, a language that `range` is a prefix of: `de` matches `de-AT`.
///
/// Compared without regard to letter case, at the boundary of a subtag. `*` names no language and matches none. A
/// member whose weight cannot be read is skipped.
pub fn accepts(accept_language: &str, range: &str) -> bool {
    !matches!(range, "" | "*")
        && accept_language.as_bytes().split(|byte| *byte == b',').any(|member| {
            let mut parts = member.split(|byte| *byte == b';');
            let tag = parts.next().unwrap_or_default().trim_ascii();
            starts_with_subtags(tag, range.as_bytes()) && parts.all(|part| str::from_utf8(part).is_ok_and(has_weight))
        })
}

/// How much the visitor prefers a language that `range` is a prefix of: the greater, the more; 0 if they do not accept it.
///
/// The weight counts first, then the position in the header: most browsers name the best first. Only the first
/// twenty members are read.
pub fn preference(accept_language: &str, range: &str) -> u32 {
    if matches!(range, "" | "*") {
        return 0;
    }
    let members = accept_language.split(',').take(MEMBERS_MAX).enumerate();
    let ranks = members.map(|(place, member)| {
        let mut parts = member.split(';');
        let tag = parts.next().unwrap_or_default().trim_ascii();
        let weight = parts.map(weight).fold(1_000, u32::min);
        let is_accepted = weight > 0 && starts_with_subtags(tag.as_bytes(), range.as_bytes());
        if is_accepted { weight * MEMBERS_MAX as u32 - place as u32 } else { 0 }
    });
    ranks.max().unwrap_or_default()
}

/// The primary subtag, in lower case, of the first language that the visitor accepts: `de` of `de-AT,en;q=0.8`.
///
/// Empty if there is none. A member with weight 0, `*`, or whose first subtag is not of the two or three letters that
/// name a language, is skipped.
pub fn primary(accept_language: &str) -> Cow<'_, str> {
    let mut languages = accept_language.split(',').take(MEMBERS_MAX).filter_map(|member| {
        let mut parts = member.split(';');
        let tag = parts.next().unwrap_or("").trim_ascii();
        // Some programs write their locale, `de_AT`.
        let subtag = tag.split(['-', '_']).next().unwrap_or(tag);
        let is_language = matches!(subtag.len(), 2 | 3) && subtag.bytes().all(|byte| byte.is_ascii_alphabetic());
        (is_language && parts.all(has_weight)).then_some(subtag)
    });
    match languages.next() {
        None => Cow::Borrowed(""),
        Some(subtag) if subtag.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Owned(subtag.to_ascii_lowercase()),
        Some(subtag) => Cow::Borrowed(subtag),
    }
}

fn starts_with_subtags(tag: &[u8], range: &[u8]) -> bool {
    tag.len() >= range.len()
        && tag[..range.len()].eq_ignore_ascii_case(range)
        && matches!(tag.get(range.len()), None | Some(b'-'))
}

/// Whether a parameter is not a weight, or one above 0.
fn has_weight(parameter: &str) -> bool {
    weight(parameter) > 0
}

/// The weight that a parameter gives, in thousandths; the most if it is another parameter, 0 if it cannot be read.
fn weight(parameter: &str) -> u32 {
    match parameter.split_once('=') {
        Some((name, value)) if name.trim_ascii().eq_ignore_ascii_case("q") => {
            thousandths(value.trim_ascii()).unwrap_or_default().min(1_000)
        }
        Some(_) | None => 1_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, range: &str, expect: bool) {
        assert_eq!(accepts(header, range), expect, "{range:?} in {header:?}");
    }

    #[test]
    fn prefixes_and_weights() {
        check("de-AT,en;q=0.8", "de", true);
        check("de-AT,en;q=0.8", "DE-at", true);
        check("de", "de-AT", false);
        check("den", "de", false);
        check("en;q=0.8, de ; q=0.1", "de", true);
        check("en, de;q=0", "de", false);
        check("en, de;q=0.000", "de", false);
        check("de;q=0, de-CH", "de", true);
        check("de;q=x", "de", false);
        check("de;q=nan", "de", false);
        check("*", "de", false);
        check("*", "*", false);
        check("", "de", false);
        check("de", "", false);
        check("zh-Hant-TW", "zh-hant", true);
    }

    #[test]
    fn preferences() {
        let best = |header: &str, ranges: &[&'static str]| -> Vec<&'static str> {
            let rank = |range: &&str| preference(header, range);
            let most = ranges.iter().map(rank).max().unwrap_or_default();
            ranges.iter().copied().filter(|range| most > 0 && preference(header, range) == most).collect()
        };
        assert_eq!(best("fr, de;q=0.5", &["de", "fr"]), ["fr"]);
        assert_eq!(best("fr;q=0.4, de;q=0.5", &["de", "fr"]), ["de"]);
        assert_eq!(best("fr, de", &["de", "fr"]), ["fr"]);
        assert_eq!(best("de-AT, de;q=0.9", &["de", "de-AT", "de-CH"]), ["de", "de-AT"]);
        assert_eq!(best("en;q=0.001, de;q=0", &["de", "en"]), ["en"]);
        assert_eq!(best("de;q=0, *", &["de", "*", ""]), [""; 0]);
        assert_eq!(best("x,".repeat(20).as_str(), &["de"]), [""; 0]);
        assert_eq!(preference(&("x,".repeat(20) + "de"), "de"), 0);
        assert!(preference(&("x,".repeat(19) + "de;q=0.001"), "de") > 0);
    }

    #[test]
    fn primary_languages() {
        for (header, expect) in [
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("EN-us", "en"),
            ("en;q=0.5, fr", "en"),
            ("en;q=0, fr", "fr"),
            ("*, pt-BR;q=0.5", "pt"),
            (" zh-Hant-TW ", "zh"),
            ("de_CH", "de"),
            ("fil-PH", "fil"),
            ("i-klingon, tlh", "tlh"),
            ("C", ""),
            ("english", ""),
            ("d\u{e9}", ""),
            ("<script>", ""),
            ("*", ""),
            ("", ""),
            (",,;;", ""),
        ] {
            assert_eq!(primary(header), expect, "{header:?}");
        }
        assert_eq!(primary(&format!("{}de", "*,".repeat(50_000))), "");
    }
}
