//! The page for destinations outside the web. `tel:`, `mailto:` and the schemes of apps are never sent as a `Location`,
//! which a browser may follow without asking. The page shows a link that a person clicks.

use super::STYLE_SHEET;

/// The page for a serialised URL that is not a web page.
pub fn leave_page(location: &str) -> String {
    let url = escaped(location);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>This link opens a program</title>\n<style>{STYLE_SHEET}</style>\n\
         </head>\n<body>\n<main>\n<p class=\"status\">Leaving the web</p>\n<h1>This link opens a program</h1>\n\
         <p>It leads to no web page. Your device opens it in the program that it has for such links.</p>\n\
         <p><a href=\"{url}\" rel=\"nofollow noreferrer\">{url}</a></p>\n</main>\n</body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_the_link() {
        let page = leave_page("tel:1\"><script>'&");
        assert!(page.contains("<a href=\"tel:1&quot;&gt;&lt;script&gt;&#39;&amp;\" rel"), "{page}");
        assert!(!page.contains("<script>"));
    }
}
