//! Texts that somebody else wrote, as messages for people name them.

use std::fmt::{self, Write as _};

/// A text between quotation marks. Unlike Rust's own form for debugging it escapes nothing, so that no backslash stands
/// before a quote; what could steer a terminal or hide (controls, marks of direction) is shown as U+FFFD.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'t>(pub &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write_harmless(self.0, f)?;
        f.write_char('"')
    }
}

/// A message of a library, which escapes the texts that it quotes, without these escapes.
#[derive(Clone, Copy, Debug)]
pub struct Unescaped<'t>(pub &'t str);

impl fmt::Display for Unescaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_harmless(&self.0.replace("\\\"", "\"").replace("\\'", "'"), f)
    }
}

fn write_harmless(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.chars().try_for_each(|letter| f.write_char(if is_harmless(letter) { letter } else { '\u{fffd}' }))
}

/// Whether a letter says nothing to a terminal and does not turn the text around.
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
}
