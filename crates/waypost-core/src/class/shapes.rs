//! Shapes of user agents that programs have and browsers do not: the patterns of isbot that are more than a word.
//!
//! Strings are in lower case. Each function returns the name of the shape, which becomes the reason of the class.

use crate::token::{TokenSet, has};

/// The first shape that a user agent has.
pub(super) fn shape(text: &[u8]) -> Option<&'static str> {
    part(text).or_else(|| whole(text))
}

/// Words that count only with, or only without, other words.
static PARTS: TokenSet<11> =
    TokenSet::new(["bot", "http", "google", "scan", "news", "sogou", "advisor", "java", "ptst ", "ptst/", "/1.0;"]);

/// Parts that no browser has, at any position.
fn part(text: &[u8]) -> Option<&'static str> {
    let is_phone = is_phone_browser(text);
    let place = PARTS.first_in(text, |place, at| {
        let (before, after) = (&text[..at], &text[at + PARTS.tokens()[place].len()..]);
        match PARTS.tokens()[place] {
            // Cubot makes phones. `bot2` and `bot_mobile` still contain the word `bot`.
            "bot" => {
                let after = after.strip_prefix(b"s").unwrap_or(after);
                !before.ends_with(b"cu") && !after.first().is_some_and(u8::is_ascii_lowercase)
            }
            "http" => !before.ends_with(b"lib"),
            "google" => !is_of_google(before, after),
            "scan" => !before.ends_with(b"cam"),
            // Apps of newspapers on phones show pages too.
            "news" => !is_phone && !before.ends_with(b"g") && !after.starts_with(b"sapphire"),
            "sogou" => !after.starts_with(b"mse") && !after.starts_with(b"mobilebrowser"),
            "advisor" => !before.ends_with(b"trip"),
            // Old phones have `Java;` in their user agent.
            "java" => !after.starts_with(b";"),
            "/1.0;" => before.last().is_some_and(is_word),
            _ => after.first().is_some_and(u8::is_ascii_digit),
        }
    });
    let has_address = || memchr::memchr_iter(b'@', text).any(|at| is_mail_host(&text[at + 1..])).then_some("address");
    place.map(|place| PARTS.tokens()[place]).or_else(has_address)
}

/// Whether `google` between these is an app of Google, a device of it, or the shop that an app came by.
fn is_of_google(before: &[u8], after: &[u8]) -> bool {
    let own: [&[u8]; 6] = [b"wv", b"app", b"/google", b" pixel", b"tv", b" tv"];
    before.ends_with(b" channel/") || before.ends_with(b"google/") || own.iter().any(|own| after.starts_with(own))
}

/// What follows the `@` of an address: a label that begins with a letter, and a dot.
fn is_mail_host(after: &[u8]) -> bool {
    let label = after.iter().take_while(|byte| is_word(byte) || **byte == b'-').count();
    label >= 2 && after[0].is_ascii_lowercase() && after.get(label) == Some(&b'.')
}

/// Whether a string begins like a phone's browser.
fn is_phone_browser(text: &[u8]) -> bool {
    text.starts_with(b"mozilla/") && has(text, b"applewebkit/") && (has(text, b"mobile") || has(text, b"android"))
}

/// Whole strings that name a program and nothing that it runs on.
fn whole(text: &[u8]) -> Option<&'static str> {
    // Some apps of Facebook send only their own block.
    if text.starts_with(b"[") {
        return None;
    }
    let is_whole = is_program(text)
        || is_bare_product(text)
        || is_product_with_name(text)
        || (text.len() >= 50 && !text.contains(&b' '))
        || starts_with_number(text)
        || words_at_start(text).ends_with(b"search")
        || matches!(text.first(), Some(b'<' | b'(' | b';'))
        || ends_with_word_alone(text)
        || [&b"dispatch/"[..], b"zdm/"]
            .iter()
            .any(|name| text.strip_prefix(*name).is_some_and(|after| after.first().is_some_and(u8::is_ascii_digit)));
    if is_whole {
        return Some("program");
    }
    is_empty_mozilla(text).then_some("mozilla")
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

fn words_at_start(text: &[u8]) -> &[u8] {
    &text[..text.iter().take_while(|byte| is_word(byte)).count()]
}

/// `name of a program/1.2.3` up to the end or a comma; its version may be absent.
fn is_program(text: &[u8]) -> bool {
    let is_part = |byte: &u8| is_word(byte) || b" .-(?:)%".contains(byte);
    let name = text.iter().take_while(|byte| is_part(byte)).count();
    let rest = &text[name..];
    let ends = |rest: &[u8]| matches!(rest.first(), None | Some(b','));
    let version = |rest: &[u8]| {
        let rest = rest.strip_prefix(b"v").unwrap_or(rest);
        let bytes = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let (version, rest) = rest.split_at(bytes);
        version.split(|byte| *byte == b'.').all(|part| !part.is_empty()) && ends(rest)
    };
    name > 0 && (ends(rest) || rest.strip_prefix(b"/").is_some_and(version))
}

/// `name/word`, and `name/word(word)`.
fn is_bare_product(text: &[u8]) -> bool {
    let Some((name, rest)) = split_once(text, b'/') else { return false };
    let is_name = !name.is_empty() && name.iter().all(|byte| is_word(byte) || *byte == b'-');
    let is_plain = !rest.is_empty() && rest.iter().all(is_word);
    let is_called = name.iter().all(is_word) && rest.iter().all(|byte| is_word(byte) || matches!(byte, b'(' | b')'));
    is_name && (is_plain || is_called)
}

/// `name/1.0 (somebody)`.
fn is_product_with_name(text: &[u8]) -> bool {
    let name = words_at_start(text);
    let Some([b'/', major, b'.', minor, b' ', b'(', inner @ .., b')']) = text.get(name.len()..) else { return false };
    !name.is_empty()
        && major.is_ascii_digit()
        && minor.is_ascii_digit()
        && !inner.is_empty()
        && inner.iter().all(|byte| is_word(byte) || *byte == b'@')
}

fn starts_with_number(text: &[u8]) -> bool {
    let word = words_at_start(text);
    !word.is_empty() && word.iter().all(u8::is_ascii_digit)
}

/// `...; word;` at the end.
fn ends_with_word_alone(text: &[u8]) -> bool {
    let Some(rest) = text.strip_suffix(b";") else { return false };
    let word = rest.iter().rev().take_while(|byte| is_word(byte)).count();
    word > 0 && rest[..rest.len() - word].ends_with(b"; ")
}

/// `mozilla/5.0 word`, and `mozilla/5.0 (compatible; name 1.0)` with nothing after it.
fn is_empty_mozilla(text: &[u8]) -> bool {
    let Some([major, b'.', minor, b' ', rest @ ..]) = text.strip_prefix(b"mozilla/") else { return false };
    if !major.is_ascii_digit() || !minor.is_ascii_digit() {
        return false;
    }
    let is_name = |byte: &u8| is_word(byte) || matches!(byte, b'.' | b'-');
    let Some([b'(', inner @ .., b')']) = Some(rest) else {
        return !rest.is_empty() && rest.iter().all(is_name);
    };
    let inner = inner.strip_prefix(b"compatible;").unwrap_or(inner);
    let inner = inner.strip_prefix(b" ").unwrap_or(inner);
    let Some(mark) = inner.iter().rposition(|byte| matches!(byte, b' ' | b'/')) else { return inner.is_empty() };
    let (name, version) = (&inner[..mark], &inner[mark + 1..]);
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    !name.is_empty()
        && name.iter().all(is_name)
        && split_once(version, b'.').is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

fn split_once(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(mark, text)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(shape(text.as_bytes()), expect, "{text}");
    }

    #[test]
    fn parts() {
        check("mozilla/5.0 (compatible; seznambot/4.0)", Some("bot"));
        check("mozilla/5.0 (linux; android 6.0; cubot max) applewebkit/537.36", None);
        check("mozilla/5.0 (x11; linux) google favicon", Some("google"));
        check("mozilla/5.0 (linux; android 12) gecko/google pixel 3a", None);
        check("mozilla/5.0 (x11; linux) camscanner/5 gecko", None);
        check("mozilla/5.0 (iphone) applewebkit/605.1.15 mobile/15e148 newsarticle/7", None);
        check("newsblur/4.0.1 cfnetwork/672.1.13 darwin/14.0.0", Some("news"));
        check("tool (x11) someone@example.org", Some("address"));
        check("mozilla/5.0 (iphone) (ecosia ios@9.2.3.1367)", None);
        check("mozilla/5.0 (linux) sogoumse,sogoumobilebrowser/5.21.8 gecko", None);
    }

    #[test]
    fn wholes() {
        for text in ["node-fetch", "axios/0.19.2", "a b/v1.2,x", "123", "mozilla/4.0 (hydra)", "a/1.0 (b@c)", "x(; y;"]
        {
            check(text, Some("program"));
        }
        check("mozilla/5.0 jorgee", Some("mozilla"));
        check("[fban/fbios;fbav/480.0.0.1.1;fbdv/iphone14,5;fbsn/ios;fbid/phone]", None);
        check("mozilla/4.08 (charon; inferno)", None);
        check("mozilla/5.0 (compatible; optimizer 1.0)", Some("mozilla"));
        check("hulu/50000130 cfnetwork/976 darwin/18.2.0", None);
        check("idg/it (someone)", None);
        check("", None);
    }
}
