//! Slugs: the path part of a short link, and how a slug is generated.
//!
//! A [`Slug`] is what may be stored. A requested path is only read to look a slug up, by [`from_request_path`].

mod closing_mark;
mod profile;

use std::borrow::Cow;
use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

pub use closing_mark::without_closing_mark;

/// The most characters (Unicode scalar values) of a slug.
pub const SLUG_CHARS_MAX: usize = 100;
/// The most bytes of host and slug together, so that the pair fits an LMDB key (511 bytes) and a KV key (512 bytes).
pub const HOST_AND_SLUG_BYTES_MAX: usize = 480;
/// Characters of a generated slug.
pub const GENERATED_CHARS: usize = 8;
/// The alphabet of generated slugs: `0-9A-Za-z`.
pub const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Reserved slugs: first segments of paths that Waypost itself answers. No slug may begin with one, in any letter case.
pub const RESERVED: &[&str] = &[
    ".well-known",
    "_waypost",
    "admin",
    "api",
    "app",
    "apple-app-site-association",
    "assets",
    "docs",
    "favicon.ico",
    "healthz",
    "login",
    "logout",
    "metrics",
    "readyz",
    "robots.txt",
    "sitemap.xml",
    "static",
    "webhooks",
];

/// The endings of a short URL that ask for its QR code, longest first.
pub const QR_ENDINGS: [&str; 3] = [".qr.svg", ".qr.png", ".qr"];

/// A slug, or a path with one, that ends as the address of a QR code does: what is before the ending, and the ending. No new slug
/// ends so; a link that already does is what its path asks for.
pub fn without_qr_ending(path: &str) -> Option<(&str, &'static str)> {
    let found = QR_ENDINGS.into_iter().find_map(|ending| {
        let (before, end) = path.split_at_checked(path.len().checked_sub(ending.len())?)?;
        end.eq_ignore_ascii_case(ending).then_some((before, ending))
    });
    found.filter(|(before, _)| !before.is_empty() && !before.ends_with('/'))
}

/// A slug that may be stored: 1 to 100 Unicode letters, digits, emoji, `-`, `_`, `.`, with `/` inside, in NFC, each
/// part of scripts that are written together, and with a first segment that is not reserved. Variation selectors of
/// emoji (U+FE0F) are not stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

/// Why a string cannot be a slug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlugError {
    /// Nothing was given.
    #[error("a slug has at least one character")]
    Empty,
    /// More than [`SLUG_CHARS_MAX`] characters, or too many bytes for the keys of the stores.
    #[error(
        "a slug has at most {SLUG_CHARS_MAX} characters, and at most {HOST_AND_SLUG_BYTES_MAX} bytes with its host"
    )]
    TooLong,
    /// A character that is not allowed in slugs.
    #[error("a slug has letters, digits, emoji, `-`, `_`, `.` and `/` only, not {}", shown(*.character))]
    Character {
        /// The first such character.
        character: char,
    },
    /// `/` at the start or the end, or two in a row, or a segment `.` or `..`.
    #[error("`/` stands only between other characters of a slug, and no part between them is `.` or `..`")]
    Segment,
    /// Letters of scripts that are not written together. Look-alike links use them.
    #[error("a slug has letters of one script, or of scripts that are written together, in each of its parts")]
    MixedScripts,
    /// The first segment is reserved.
    #[error("slugs cannot start with the reserved word `{word}`")]
    Reserved {
        /// The reserved first segment.
        word: &'static str,
    },
}

impl Slug {
    /// Reads a chosen slug, after normalising it to NFC.
    ///
    /// # Errors
    /// Which rule of [`Slug`] the string breaks.
    pub fn parse(text: &str) -> Result<Self, SlugError> {
        // Checked before normalising, so that a long string costs no more than a short one.
        if text.len() > SLUG_CHARS_MAX * 12 {
            return Err(SlugError::TooLong);
        }
        let text = to_nfc(&without_selectors(text.into())).into_owned();
        if text.is_empty() {
            return Err(SlugError::Empty);
        }
        text.split('/').try_for_each(profile::check_part)?;
        if text.chars().count() > SLUG_CHARS_MAX || text.len() > HOST_AND_SLUG_BYTES_MAX {
            return Err(SlugError::TooLong);
        }
        if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(SlugError::Segment);
        }
        if let Some(word) = reserved_word(&text) {
            return Err(SlugError::Reserved { word });
        }
        Ok(Self(text))
    }

    /// Generates a slug of [`GENERATED_CHARS`] characters from bytes of a cryptographically secure generator.
    ///
    /// Bytes of 248 and above are skipped, so that all 62 characters are equally likely. `None` if too few bytes are
    /// left (with 32 bytes the chance is below 10^-30); then try again.
    pub fn generate(random: &[u8; 32]) -> Option<Self> {
        let text: String = random
            .iter()
            .filter(|&&byte| byte < 248)
            .take(GENERATED_CHARS)
            .map(|&byte| char::from(ALPHABET[usize::from(byte % 62)]))
            .collect();
        // A generated slug has no dot or dash, so of the reserved words only `webhooks`, of eight letters, is possible.
        (text.len() == GENERATED_CHARS && reserved_word(&text).is_none()).then_some(Self(text))
    }

    /// The slug as a case-insensitive domain stores it.
    #[must_use]
    pub fn to_case_folded(&self) -> Self {
        Self(fold_case(&self.0).into_owned())
    }

    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The lengths of the reserved words as bit sets, by the first letter modulo the table's size.
const RESERVED_LENGTHS: [u32; 32] = {
    let mut lengths = [0; 32];
    let mut index = 0;
    while index < RESERVED.len() {
        let word = RESERVED[index].as_bytes();
        assert!(!word.is_empty() && word.len() < 32, "a bit for each length");
        lengths[(word[0] | 0x20) as usize % 32] |= 1 << word.len();
        index += 1;
    }
    lengths
};

/// The reserved word a path starts with, in any letter case, if its first segment is one.
pub fn reserved_word(path: &str) -> Option<&'static str> {
    // Common case: first letter and length show that a path has no reserved word.
    let first = &path[..path.bytes().position(|byte| byte == b'/').unwrap_or(path.len())];
    let letter = usize::from(*first.as_bytes().first()? | 0x20) % RESERVED_LENGTHS.len();
    if first.len() >= 32 || RESERVED_LENGTHS[letter] >> first.len() & 1 == 0 {
        return None;
    }
    RESERVED.iter().copied().find(|word| word.eq_ignore_ascii_case(first))
}

/// The longest slug that takes the fast path, if it has only ASCII letters and digits, `-` and `_`.
const USUAL_BYTES_MAX: usize = 64;

/// Reads the slug from a request path (with its leading `/`, still percent-encoded). Decodes exactly once.
///
/// Returns the string to look up: in NFC, without one trailing `/`, and in lower case if `case_insensitive`. `None` if
/// no stored slug could match: empty, too long, not UTF-8, an encoded `/`, NUL, and other characters that slugs do not
/// have and that are cheap to recognise. In the common case nothing is copied.
pub fn from_request_path(path: &str, case_insensitive: bool) -> Option<Cow<'_, str>> {
    let raw = raw_slug(path)?;
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !case_insensitive && raw.len() <= USUAL_BYTES_MAX && raw.bytes().all(is_usual) {
        return Some(raw.into());
    }
    normal_slug(without_selectors(decoded(raw)?), case_insensitive, may_be_in_slug)
}

/// [`from_request_path`] for a store that other programs write to as well: its keys may have all characters except
/// control characters.
pub fn key_from_request_path(path: &str, case_insensitive: bool) -> Option<Cow<'_, str>> {
    normal_slug(decoded(raw_slug(path)?)?, case_insensitive, |character| !character.is_control())
}

/// The slug in a path, still encoded. Percent-encoding turns a byte into at most three, and a character has at most
/// four bytes.
fn raw_slug(path: &str) -> Option<&str> {
    let raw = path.strip_prefix('/').unwrap_or(path);
    let raw = raw.strip_suffix('/').unwrap_or(raw);
    (!raw.is_empty() && raw.len() <= SLUG_CHARS_MAX * 12).then_some(raw)
}

/// The form of a decoded slug that is looked up.
fn normal_slug(text: Cow<'_, str>, case_insensitive: bool, is_possible: impl Fn(char) -> bool) -> Option<Cow<'_, str>> {
    let text = match text {
        Cow::Borrowed(text) => to_nfc(text),
        Cow::Owned(text) => match to_nfc(&text) {
            Cow::Borrowed(_) => text.into(),
            Cow::Owned(normal) => normal.into(),
        },
    };
    if text.len() > HOST_AND_SLUG_BYTES_MAX || !text.chars().all(is_possible) {
        return None;
    }
    if !case_insensitive {
        return Some(text);
    }
    Some(match fold_case(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(folded) => folded.into(),
    })
}

fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    Some(if raw.contains('%') { decode_once(raw)?.into() } else { raw.into() })
}

fn decode_once(raw: &str) -> Option<String> {
    let has_encoded_slash = raw.as_bytes().windows(3).any(|w| w[0] == b'%' && w[1] == b'2' && w[2] | 32 == b'f');
    if has_encoded_slash {
        return None;
    }
    percent_encoding::percent_decode_str(raw).decode_utf8().ok().map(Cow::into_owned)
}

/// A string in Normalization Form C. Uses the tables that host names need anyway; ASCII needs none.
fn to_nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    const { ComposingNormalizerBorrowed::new_nfc() }.normalize(text)
}

fn fold_case(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return text.into();
    }
    to_nfc(&text.to_lowercase()).into_owned().into()
}

/// A string without emoji variation selectors, which only some keyboards write.
fn without_selectors(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains('\u{fe0f}') { text } else { text.replace('\u{fe0f}', "").into() }
}

/// Whether a character may be in a slug, as far as that is known without tables; [`profile`] has the full rule for what
/// is stored.
fn may_be_in_slug(character: char) -> bool {
    match character {
        '-' | '_' | '.' | '/' | '0'..='9' | 'a'..='z' | 'A'..='Z' => true,
        _ if character.is_ascii() => false,
        _ => !character.is_whitespace() && !character.is_control() && !is_invisible(character),
    }
}

/// Zero-width characters and direction marks, which no slug has.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
    )
}

/// A character as messages show it: itself if it is visible, else its number.
fn shown(character: char) -> String {
    let is_shown =
        !character.is_control() && !is_invisible(character) && (character == ' ' || !character.is_whitespace());
    if is_shown && !matches!(character, '\u{200c}' | '\u{200d}') {
        format!("'{character}'")
    } else {
        format!("U+{:04X}", u32::from(character))
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Slug {
    type Error = SlugError;
    fn try_from(text: String) -> Result<Self, SlugError> {
        Self::parse(&text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> String {
        slug.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    #[test]
    fn endings_of_qr_codes() {
        for (path, expect) in [
            ("/a.qr", Some(("/a", ".qr"))),
            ("a/b.QR", Some(("a/b", ".qr"))),
            ("/größe.qr.svg", Some(("/größe", ".qr.svg"))),
            ("/a.qr.png", Some(("/a", ".qr.png"))),
            ("/a.qr.qr", Some(("/a.qr", ".qr"))),
            ("/a.qr.gif", None),
            ("/a.svg", None),
            ("/aqr", None),
            ("/a.qr/", None),
            ("/.qr", None),
            (".qr.png", None),
            ("ß", None),
            ("", None),
        ] {
            assert_eq!(without_qr_ending(path), expect, "{path}");
        }
    }

    proptest! {
        #[test]
        fn normalises_as_another_library_does(text in "\\PC{0,12}", marks in "[a-z\u{300}-\u{345}\u{1100}-\u{11ff}\u{ac00}-\u{ac20}\u{915}-\u{95f}]{0,12}") {
            for text in [&text, &marks] {
                prop_assert_eq!(to_nfc(text), text.nfc().collect::<String>());
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Result<&str, SlugError>) {
        assert_eq!(Slug::parse(text).map(String::from), expect.map(str::to_owned), "{text:?}");
    }

    #[test]
    fn chosen_slugs() {
        for good in
            ["a", "My-Link_1.0", "a/b", "docs2", "größe", "日本語", "ひらがな漢字", "हिन्दी", "a.b/c.d", "привет"]
        {
            check(good, Ok(good));
        }
        check(&"x".repeat(100), Ok(&"x".repeat(100)));
        check("e\u{301}t\u{e9}", Ok("\u{e9}t\u{e9}"));
        check("", Err(SlugError::Empty));
        check(&"x".repeat(101), Err(SlugError::TooLong));
        check(&"x".repeat(1_000_000), Err(SlugError::TooLong));
        for bad in ["/a", "a/", "a//b", "a/./b", "..", "."] {
            check(bad, Err(SlugError::Segment));
        }
        for (bad, character) in
            [("a b", ' '), ("a+", '+'), ("a\0", '\0'), ("a\r\n", '\r'), ("a%20", '%'), ("a\u{202e}b", '\u{202e}')]
        {
            check(bad, Err(SlugError::Character { character }));
        }
        check("api", Err(SlugError::Reserved { word: "api" }));
        check("API/x", Err(SlugError::Reserved { word: "api" }));
        check("healthz", Err(SlugError::Reserved { word: "healthz" }));
        check("p\u{430}ypal", Err(SlugError::MixedScripts));
        check("docs/p\u{430}ypal", Err(SlugError::MixedScripts));
        for good in ["TOKYO観光", "東京・大阪", "می\u{200c}خواهم", "🎉", "en/привет"] {
            check(good, Ok(good));
        }
        check("❤\u{fe0f}", Ok("❤"));
    }

    #[test]
    fn generated_slugs_use_the_whole_alphabet_evenly() {
        let mut seen = [0u32; 62];
        for seed in 0..=255u8 {
            let mut random = [255u8; 32];
            random[..8].fill(seed);
            match Slug::generate(&random) {
                Some(slug) => {
                    let first = slug.as_str().as_bytes()[0];
                    seen[ALPHABET.iter().position(|byte| *byte == first).expect("in alphabet")] += 1;
                }
                None => assert!(seed >= 248),
            }
        }
        assert!(seen.iter().all(|&count| count == 4), "{seen:?}");
    }

    #[test]
    fn request_paths() {
        #[track_caller]
        fn check(path: &str, folded: bool, expect: Option<&str>) {
            assert_eq!(from_request_path(path, folded).as_deref(), expect, "{path:?}");
        }
        check("/abc", false, Some("abc"));
        check("/aBc", true, Some("abc"));
        check("/aBc", false, Some("aBc"));
        check("/abc/", false, Some("abc"));
        check("/a/b", false, Some("a/b"));
        check("/gr%C3%B6%C3%9Fe", false, Some("größe"));
        check("/gro%CC%88%C3%9Fe", false, Some("größe"));
        check("/%41bc", false, Some("Abc"));
        check("/ÄB", true, Some("äb"));
        check("/TOKYO%E8%A6%B3%E5%85%89", false, Some("TOKYO観光"));
        check("/%E2%9D%A4%EF%B8%8F", false, Some("❤"));
        check("/%E2%80%AE", false, None);
        for none in ["/", "//", "", "/a%2Fb", "/a%2fb", "/a%00", "/a%0d%0ab", "/%ff", "/a%20b", "/a+", "/a%25"] {
            check(none, false, None);
        }
        check(&format!("/{}", "a".repeat(5000)), false, None);
    }

    #[test]
    fn keys_that_are_no_slugs() {
        #[track_caller]
        fn check(path: &str, expect: Option<&str>) {
            assert_eq!(key_from_request_path(path, false).as_deref(), expect, "{path:?}");
            assert_eq!(from_request_path(path, false).filter(|_| path != "/abc/"), None, "{path:?}");
        }
        check("/abc/", Some("abc"));
        check("/!@~:=,'&$*()", Some("!@~:=,'&$*()"));
        check("/50%25", Some("50%"));
        check("/50%", Some("50%"));
        check("/a%20b", Some("a b"));
        check("/%F0%9F%98%80%2B%3F", Some("😀+?"));
        assert_eq!(key_from_request_path("/A%20B", true).as_deref(), Some("a b"));
        for none in ["/", "/a%2Fb", "/a%00", "/a%0d%0ab", "/%ff", "/a%C2%85"] {
            check(none, None);
        }
    }
}
