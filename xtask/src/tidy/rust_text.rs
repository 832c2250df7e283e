//! Replaces everything in Rust source that is not code by spaces, so that a search finds only code.

use std::str::FromStr as _;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

/// The text with comments and literals turned to blanks. Length and line ends stay as they are. Nothing is left
/// of a text that is no Rust, which the compiler says better.
pub(super) fn code_only(text: &str) -> String {
    let mut code: Vec<u8> = text.bytes().map(|byte| if byte == b'\n' { byte } else { b' ' }).collect();
    if let Ok(tokens) = TokenStream::from_str(text) {
        copy_code(tokens, text, &mut code);
    }
    // Whole tokens were copied, so this is still UTF-8.
    String::from_utf8_lossy(&code).into_owned()
}

fn copy_code(tokens: TokenStream, text: &str, code: &mut [u8]) {
    for token in tokens {
        let mut copy = |span: Span, token: &str| {
            let range = span.byte_range();
            // What a documentation comment becomes has the place of the whole comment.
            if &text[range.clone()] == token {
                code[range].copy_from_slice(token.as_bytes());
            }
        };
        match token {
            TokenTree::Ident(name) => copy(name.span(), &name.to_string()),
            TokenTree::Punct(sign) => copy(sign.span(), sign.as_char().encode_utf8(&mut [0; 4])),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                copy(group.span_open(), open);
                copy(group.span_close(), close);
                copy_code(group.stream(), text, code);
            }
            TokenTree::Literal(_) => {}
        }
    }
}

/// The text before the test modules at its end.
pub(super) fn before_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ").map_or(text, |end| &text[..=end])
}

/// Whether the byte can be part of an identifier.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
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
        check("//! { a\n/// b }\nc /** { */ d", "c d");
        check("a /* { /* } */ {\n */ b", "a b");
        check(r#"f("{ \" }")"#, "f( )");
        check(r##"f(r#"{ " }"#, 1)"##, "f( , )");
        check(r#"x(b"{" , br"{" , c"{")"#, "x( , , )");
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
