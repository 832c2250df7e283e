//! Foreign strings, quoted in messages for people.

use std::fmt::{self, Write as _};

/// The most characters of a string that a message shows. Longer ones end in an ellipsis.
pub const SHOWN_CHARS_MAX: usize = 100;
/// The most characters of a message that a library wrote, which may list what it expected.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// A string between quotation marks, truncated like [`Shown`]. Unlike `Debug` it escapes nothing, so there is not a
/// backslash before a quote. Control characters and direction marks are shown as U+FFFD.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'t>(pub &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Shown(self.0))
    }
}

/// A string as messages show it, without quotation marks: its first [`SHOWN_CHARS_MAX`] characters, and an ellipsis if
/// there are more. So a megabyte of input does not come back in an error.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'t>(pub &'t str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cut(self.0, SHOWN_CHARS_MAX, f)
    }
}

/// The part of a string that an error keeps, so that [`Quoted`] and [`Shown`] show it as they would show the whole.
pub fn kept(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX + 1).collect()
}

/// A library's message without the escapes in the strings that it quotes. These strings are truncated like [`Shown`].
#[derive(Clone, Copy, Debug)]
pub struct Unescaped<'t>(pub &'t str);

impl fmt::Display for Unescaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut message = String::new();
        let mut rest = self.0;
        while let Some((before, mark, after)) = split_at_mark(rest) {
            let (quoted, next) = after.split_at(end_of_quoted(after, mark));
            let quoted = quoted.replace("\\\"", "\"").replace("\\'", "'");
            write!(message, "{before}{mark}{}", Shown(&quoted))?;
            rest = next.strip_prefix(mark).inspect(|_| message.push(mark)).unwrap_or(next);
        }
        message.push_str(&rest.replace("\\\"", "\"").replace("\\'", "'"));
        write_cut(&message, MESSAGE_CHARS_MAX, f)
    }
}

/// Splits at the first quotation mark: what is before it, the mark, and what follows.
fn split_at_mark(message: &str) -> Option<(&str, char, &str)> {
    let (at, mark) = message.char_indices().find(|(_, letter)| matches!(letter, '"' | '`'))?;
    Some((&message[..at], mark, &message[at + mark.len_utf8()..]))
}

/// Where the string ends that this quotation mark began.
fn end_of_quoted(text: &str, mark: char) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().find(|(_, letter)| {
        let ends = *letter == mark && !is_escaped;
        is_escaped = *letter == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at)
}

fn write_cut(text: &str, chars_max: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut letters = text.chars();
    for letter in letters.by_ref().take(chars_max) {
        f.write_char(if is_harmless(letter) { letter } else { '\u{fffd}' })?;
    }
    if letters.next().is_some() { f.write_char('…') } else { Ok(()) }
}

/// Whether a character is safe to show: not a control character and not a direction mark.
const fn is_harmless(letter: char) -> bool {
    !matches!(letter, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stand_as_they_are() {
        assert_eq!(Quoted(r#"say "x" and 'y'"#).to_string(), r#""say "x" and 'y'""#);
        assert_eq!(Quoted("a\u{1b}[2J\n\u{202e}b").to_string(), "\"a\u{fffd}[2J\u{fffd}\u{fffd}b\"");
        assert_eq!(
            Unescaped("invalid type: string \"a\\\"b\", don\\'t").to_string(),
            r#"invalid type: string "a"b", don't"#
        );
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "ü\"".repeat(450_000);
        assert_eq!(Quoted(&long).to_string(), format!("\"{}…\"", "ü\"".repeat(50)));
        assert_eq!(Quoted(&kept(&long)).to_string(), Quoted(&long).to_string());
        let fits = "ü".repeat(SHOWN_CHARS_MAX);
        assert_eq!(Shown(&fits).to_string(), fits);
        let message = format!("invalid type: string {long:?}, expected a boolean at line 1 column 900000");
        let shown = "ü\"".repeat(50);
        let expected = format!("invalid type: string \"{shown}…\", expected a boolean at line 1 column 900000");
        assert_eq!(Unescaped(&message).to_string(), expected);
        let message = format!("unknown field `{}`, expected one of `a`, `b`", "x".repeat(900_000));
        let expected = format!("unknown field `{}…`, expected one of `a`, `b`", "x".repeat(100));
        assert_eq!(Unescaped(&message).to_string(), expected);
        for many in ["`a".repeat(450_000), "\"a".repeat(450_000), "a".repeat(900_000)] {
            assert_eq!(Unescaped(&many).to_string().chars().count(), MESSAGE_CHARS_MAX + 1);
        }
    }
}
