//! The landing page: a form that creates a short link, for those who run the Worker alone.

use serde::Deserialize;

use crate::html::{escaped, page};

/// What the landing page shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Landing {
    /// Whether anyone may create links.
    form: bool,
    /// What was typed.
    original_url: String,
    /// What is wrong with it.
    fault: String,
    /// What came out.
    short_url: String,
}

impl Landing {
    /// The page as HTML.
    pub(crate) fn html(&self) -> String {
        let mut main = String::from("<p class=\"status\">Waypost</p>\n<h1>Short links</h1>\n");
        if !self.form {
            main.push_str("<p>The links of this host are created elsewhere.</p>\n");
            return page("Waypost: short links", &main);
        }
        main.push_str("<p>Paste a URL and get a short link to it.</p>\n");
        let url = escaped(&self.original_url);
        main.push_str("<form method=\"post\" action=\"/\">\n<label for=\"url\">Long URL</label>\n");
        main.push_str("<input id=\"url\" name=\"originalUrl\" type=\"url\" inputmode=\"url\" required autofocus autocomplete=\"off\" ");
        main.push_str(&format!(
            "placeholder=\"https://example.com/a/long/page\" value=\"{url}\">\n<button>Shorten</button>\n</form>\n"
        ));
        if !self.fault.is_empty() {
            main.push_str(&format!("<p class=\"fault\" role=\"alert\">{}</p>\n", escaped(&self.fault)));
        }
        if !self.short_url.is_empty() {
            let short = escaped(&self.short_url);
            main.push_str(&format!(
                "<p class=\"fault\" role=\"status\">Your short link: <a href=\"{short}\">{short}</a></p>\n"
            ));
        }
        main.push_str("<p>Add + to any short link to see where it leads.</p>\n");
        page("Waypost: short links", &main)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_shown_and_nothing_of_it_runs() {
        let html =
            Landing { form: true, original_url: "\"><script>".into(), fault: "<b>".into(), ..Landing::default() }
                .html();
        assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;\"") && html.contains("&lt;b&gt;"), "{html}");
        assert!(!Landing::default().html().contains("<form"));
    }
}
