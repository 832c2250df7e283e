//! Rust source with everything blanked that is not code, so that a search finds code only.
//!
//! Not a parser: it knows comments, strings and character literals, which is what braces and words can hide in.

/// The text with comments, strings and character literals turned to blanks. Length and line ends stay as they are.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match hidden_end(text, at) {
            Some(end) => {
                let hidden = code[at..end].iter_mut().filter(|byte| **byte != b'\n');
                hidden.for_each(|byte| *byte = b' ');
                end
            }
            None => at + 1,
        };
        at = end;
    }
    // Whole characters were blanked, so this is still UTF-8.
    String::from_utf8_lossy(&code).into_owned()
}

/// The text before the test modules at its end.
pub(super) fn before_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ").map_or(text, |end| &text[..=end])
}

/// Whether the byte can be part of an identifier.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where the comment or literal that begins at `at` ends; `None` where code goes on.
fn hidden_end(text: &str, at: usize) -> Option<usize> {
    let rest = &text.as_bytes()[at..];
    let length = match rest {
        [b'/', b'/', ..] => line_length(rest),
        [b'/', b'*', ..] => block_comment_length(rest),
        [b'"', ..] => string_length(rest),
        [b'\'', ..] => character_length(&text[at..])?,
        [b'r', b'"' | b'#', ..] if is_literal_start(text.as_bytes(), at) => raw_string_length(rest)?,
        _ => return None,
    };
    Some(at + length)
}

/// `r` begins a raw string only where no identifier ends with it; `b` and `c` may stand before it.
fn is_literal_start(bytes: &[u8], at: usize) -> bool {
    let before = |count: usize| at.checked_sub(count).map(|index| bytes[index]);
    match before(1) {
        Some(b'b' | b'c') => !before(2).is_some_and(is_word),
        Some(byte) => !is_word(byte),
        None => true,
    }
}

fn line_length(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

fn block_comment_length(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `None` for a lifetime or a label.
fn character_length(rest: &str) -> Option<usize> {
    let mut letters = rest.char_indices().skip(1);
    let (_, first) = letters.next()?;
    if first == '\\' {
        // The escaped letter may itself be a quote.
        letters.next()?;
        return letters.find(|(_, letter)| *letter == '\'').map(|(at, _)| at + 1);
    }
    letters.next().filter(|(_, letter)| *letter == '\'').map(|(at, _)| at + 1)
}

/// `None` for a raw identifier such as `r#type`.
fn raw_string_length(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = 2 + hashes;
    let end = rest[body..].windows(close.len()).position(|window| window == close);
    Some(end.map_or(rest.len(), |end| body + end + close.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of blanks count as one; the length must not change.
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let code = code_only(text);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expect);
        assert_eq!((code.len(), code.lines().count()), (text.len(), text.lines().count()));
    }

    #[test]
    fn only_code_is_left() {
        check("a // {\nb", "a b");
        check("a /* { /* } */ {\n */ b", "a b");
        check(r#"f("{ \" }")"#, "f( )");
        check(r##"f(r#"{ " }"#, 1)"##, "f( , 1)");
        check(r#"x(b"{" , br"{" , c"{")"#, "x(b , b , c )");
        check("'{' 'a: '\\'' '\\u{7f}' 'ä' &'static x", "'a: &'static x");
        check("r#type for\"{\"", "r#type for");
        check("\"open\n{", "");
    }

    #[test]
    fn tests_at_the_end_are_cut() {
        assert_eq!(before_tests("a\n#[cfg(test)]\nmod tests {}"), "a\n");
        assert_eq!(before_tests("a\n#[cfg(test)]\nuse b;"), "a\n#[cfg(test)]\nuse b;");
    }
}
