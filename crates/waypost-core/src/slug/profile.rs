//! What a part of a slug may contain, by the identifier profiles of Unicode: scripts that are written together (UTS 39,
//! highly restrictive), joiners if a script needs them (UAX 31, RFC 5892), marks inside words, and emoji (UTS 51).

use icu_properties::CodePointSetData;
use icu_properties::props::{Emoji, ExtendedPictographic};
use unicode_script::Script;
use unicode_security::mixed_script::AugmentedScriptSet;

use super::SlugError;

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
const KEYCAP: char = '\u{20e3}';
const BLACK_FLAG: char = '\u{1f3f4}';
const END_OF_TAGS: char = '\u{e007f}';

/// Checks a part of a slug: no `/` in it, in NFC, without variation selectors.
pub(super) fn check_part(part: &str) -> Result<(), SlugError> {
    if part.is_ascii() {
        let stranger = part.chars().find(|character| !is_plain(*character));
        return stranger.map_or(Ok(()), |character| Err(SlugError::Character { character }));
    }
    let characters: Vec<char> = part.chars().collect();
    let mut word = String::new();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        let emoji = emoji_characters(&characters[at..]);
        if emoji > 0 || character.is_ascii() {
            check_word(&word)?;
            word.clear();
        }
        if emoji > 0 {
            at += emoji;
            continue;
        }
        let is_inside = || {
            let before = at.checked_sub(1).and_then(|before| characters.get(before));
            [before, characters.get(at + 1)].iter().all(|beside| beside.is_some_and(|beside| is_letter(*beside)))
        };
        let is_joiner = matches!(character, JOINER | NON_JOINER);
        let is_allowed = is_plain(character) || is_joiner || (is_medial(character) && is_inside());
        if !is_allowed {
            return Err(SlugError::Character { character });
        }
        if !character.is_ascii() {
            word.push(character);
        }
        at += 1;
    }
    check_word(&word)?;
    if goes_together(part) { Ok(()) } else { Err(SlugError::MixedScripts) }
}

/// Letters and digits of any script with the marks they are written with, and `-`, `_`, `.`.
fn is_plain(character: char) -> bool {
    match character {
        '-' | '_' | '.' | '0'..='9' | 'a'..='z' | 'A'..='Z' => true,
        _ if character.is_ascii() => false,
        _ => is_letter(character),
    }
}

fn is_letter(character: char) -> bool {
    character.is_alphanumeric() || unicode_normalization::char::is_combining_mark(character)
}

/// Marks that stand inside words and between them: the Catalan, Armenian, Hebrew, Tibetan and Japanese ones of UAX 31,
/// table 3.
const fn is_medial(character: char) -> bool {
    matches!(character, '\u{b7}' | '\u{58a}' | '\u{5f3}' | '\u{5f4}' | '\u{f0b}' | '\u{30fb}')
}

/// Checks the joiners of a word without ASCII by the rule of internationalised host names.
fn check_word(word: &str) -> Result<(), SlugError> {
    let joiner = word.chars().find(|character| matches!(*character, JOINER | NON_JOINER));
    let Some(character) = joiner else { return Ok(()) };
    let (read, checked) = idna::domain_to_unicode(word);
    if checked.is_ok() && read == word { Ok(()) } else { Err(SlugError::Character { character }) }
}

/// Whether a string has one script, or Latin and those of Japanese, Chinese or Korean.
fn goes_together(text: &str) -> bool {
    let (mut all, mut without_latin) = (AugmentedScriptSet::default(), AugmentedScriptSet::default());
    for character in text.chars() {
        let scripts = AugmentedScriptSet::for_char(character);
        all.intersect_with(scripts);
        if !scripts.base.contains_script(Script::Latin) {
            without_latin.intersect_with(scripts);
        }
    }
    !all.is_empty() || without_latin.hanb || without_latin.jpan || without_latin.kore
}

/// The number of characters of the emoji at the start of a string; 0 if there is none.
fn emoji_characters(text: &[char]) -> usize {
    let mut length = emoji_element(text);
    while length > 0 && text.get(length) == Some(&JOINER) {
        match emoji_element(&text[length + 1..]) {
            0 => break,
            more => length += 1 + more,
        }
    }
    length
}

fn emoji_element(text: &[char]) -> usize {
    let is_flag_letter = |character: &char| ('\u{1f1e6}'..='\u{1f1ff}').contains(character);
    let is_skin = |character: &char| ('\u{1f3fb}'..='\u{1f3ff}').contains(character);
    let is_tag = |character: &char| ('\u{e0020}'..END_OF_TAGS).contains(character);
    match text {
        ['0'..='9', KEYCAP, ..] => 2,
        [first, second, ..] if is_flag_letter(first) && is_flag_letter(second) => 2,
        [BLACK_FLAG, tags @ ..] if tags.first().is_some_and(is_tag) => {
            let count = tags.iter().take_while(|tag| is_tag(tag)).count();
            if tags.get(count) == Some(&END_OF_TAGS) { count + 2 } else { 0 }
        }
        [first, rest @ ..] if is_pictograph(*first) => 1 + usize::from(rest.first().is_some_and(is_skin)),
        _ => 0,
    }
}

fn is_pictograph(character: char) -> bool {
    let is_emoji = CodePointSetData::new::<Emoji>().contains(character);
    is_emoji && CodePointSetData::new::<ExtendedPictographic>().contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn allows(part: &str) {
        assert_eq!(check_part(part), Ok(()), "{part:?}");
    }

    #[track_caller]
    fn refuses(part: &str, expect: SlugError) {
        assert_eq!(check_part(part), Err(expect), "{part:?}");
    }

    #[test]
    fn scripts_that_belong_together() {
        for part in [
            "TOKYO観光",
            "東京・大阪",
            "ひらがなカタカナ漢字",
            "한국漢字",
            "Wi-Fi設定",
            "ㄅㄆ注音",
            "paral·lel",
            "ס״ת",
            "Straße",
            "日本語2024",
        ] {
            allows(part);
        }
        for part in ["p\u{430}ypal", "\u{3c1}aypal", "日本\u{430}", "한국ひら", "ไทยabc", "абвabc"] {
            refuses(part, SlugError::MixedScripts);
        }
    }

    #[test]
    fn joiners_in_context() {
        allows("می\u{200c}خواهم");
        allows("क्\u{200d}ष");
        for part in ["a\u{200c}b", "\u{200c}می", "می\u{200c}", "日\u{200d}本", "я\u{200c}я"] {
            let character = part.chars().find(|character| matches!(*character, JOINER | NON_JOINER)).expect("one");
            refuses(part, SlugError::Character { character });
        }
    }

    #[test]
    fn emoji_sequences() {
        let scotland = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}";
        for part in ["🎉", "party-🎉🎉", "👩\u{200d}💻", "👍🏽", "🇦🇹", "1\u{20e3}", scotland, "❤", "東京🗼"]
        {
            allows(part);
        }
        refuses("👩\u{200d}", SlugError::Character { character: JOINER });
        refuses("🇦", SlugError::Character { character: '🇦' });
        refuses("x\u{e0067}", SlugError::Character { character: '\u{e0067}' });
        refuses("a🏽", SlugError::Character { character: '🏽' });
    }

    #[test]
    fn marks_and_invisible_characters() {
        for character in
            ['\u{200b}', '\u{202e}', '\u{2060}', '\u{ad}', '\u{201d}', '\u{3002}', '\u{3000}', '\u{2026}', '\u{fe0e}']
        {
            let expect = SlugError::Character { character };
            // Unicode counts variation selectors as marks of letters.
            if character != '\u{fe0e}' {
                refuses(&format!("a{character}b"), expect);
            }
        }
        refuses("東京・", SlugError::Character { character: '・' });
    }
}
