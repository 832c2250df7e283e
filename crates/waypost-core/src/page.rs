//! The few pages that every edge, native or Worker, shows itself. They are static and contain nothing from the request,
//! so nothing is escaped. Each exists as HTML (one inline style sheet, no script, no external files) and as a problem
//! (RFC 9457).
//!
//! Pages with parts of a link or a request are built where they are served, except [`leave_page`].

mod leave;

pub use leave::leave_page;

use crate::quality::thousandths;

/// The policy of every page here: the only allowed source is the style sheet below, by its hash.
///
/// `form-action` names more than `'self'` because browsers apply it to the redirects that follow a form, and the unlock
/// form finally leads to the link's destination.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-V9n5KgJUry5qGw2uuclRk5aC92yaYGSVSMzRfkzz04Y='; \
     form-action 'self' https: http:; base-uri 'none'; frame-ancestors 'none'";

/// The one style sheet of these pages, which the policy allows by its hash.
pub const STYLE_SHEET: &str = include_str!("page/page.css");

/// A page of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// 404: unknown link, or one that must not be revealed.
    NotFound,
    /// 410: the link has expired.
    Gone,
    /// 405: links take GET and HEAD.
    MethodNotAllowed,
    /// 400: a malformed request.
    BadRequest,
    /// 414: a request target over the limit.
    TargetTooLong,
    /// 502: the stored link cannot be followed.
    BadRecord,
    /// 503: the link could not be read.
    Unavailable,
    /// 200: the form that asks for a link's password.
    Unlock,
    /// 401: the same form, after a wrong password.
    UnlockRefused,
    /// 429: the same form, after too many passwords.
    UnlockThrottled,
    /// 408: a request that was too slow.
    RequestTimeout,
    /// 431: headers over the limit.
    HeadTooLarge,
    /// 429: unknown link, after too many requests for unknown links.
    TooManyMisses,
    /// 404: no domain has this host.
    UnknownHost,
    /// 413: a body that is too long, by its declared length.
    BodyTooLarge,
}

struct Text {
    status: u16,
    html: &'static str,
    problem: &'static str,
}

macro_rules! text {
    ($status:literal, $code:literal, $title:literal, $heading:literal, $detail:literal) => {
        text!($status, $code, $title, $heading, $detail, "")
    };
    ($status:literal, $code:literal, $title:literal, $heading:literal, $detail:literal, $extra:expr) => {
        Text {
            status: $status,
            html: concat!(
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
                "<meta name=\"robots\" content=\"noindex\">\n<title>",
                $heading,
                "</title>\n<style>",
                include_str!("page/page.css"),
                "</style>\n</head>\n<body>\n<main>\n<p class=\"status\">",
                $title,
                "</p>\n<h1>",
                $heading,
                "</h1>\n<p>",
                $detail,
                "</p>\n",
                $extra,
                "</main>\n</body>\n</html>\n"
            ),
            problem: concat!(
                "{\"type\":\"about:blank\",\"title\":\"",
                $title,
                "\",\"status\":",
                stringify!($status),
                ",\"code\":\"",
                $code,
                "\",\"detail\":\"",
                $detail,
                "\"}\n"
            ),
        }
    };
}

macro_rules! form {
    () => {
        "<form method=\"post\">\n<label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"off\" required autofocus>\n\
         <button>Open the link</button>\n</form>\n"
    };
}

const UNKNOWN_HOST: &Text = &text!(
    404,
    "not_found",
    "Not Found",
    "This host is not known here",
    "This server has no links on this host. Its operator can add the host as a domain, or set it as the public URL."
);

impl Page {
    /// All pages. The Worker's script identifies pages by their index here.
    pub const ALL: [Self; 15] = [
        Self::NotFound,
        Self::Gone,
        Self::MethodNotAllowed,
        Self::BadRequest,
        Self::TargetTooLong,
        Self::BadRecord,
        Self::Unavailable,
        Self::Unlock,
        Self::UnlockRefused,
        Self::UnlockThrottled,
        Self::RequestTimeout,
        Self::HeadTooLarge,
        Self::TooManyMisses,
        Self::UnknownHost,
        Self::BodyTooLarge,
    ];

    /// The HTTP status the page comes with.
    pub const fn status(self) -> u16 {
        self.text().status
    }

    /// The page for people.
    pub const fn html(self) -> &'static str {
        self.text().html
    }

    /// The page for programs, as `application/problem+json`.
    pub const fn problem(self) -> &'static str {
        self.text().problem
    }

    const fn text(self) -> &'static Text {
        match self {
            Self::NotFound => &text!(
                404,
                "not_found",
                "Not Found",
                "There is no link here",
                "Check the address for a typing mistake."
            ),
            Self::UnknownHost => UNKNOWN_HOST,
            Self::Gone => &text!(410, "gone", "Gone", "This link has expired", "It no longer redirects."),
            Self::MethodNotAllowed => &text!(
                405,
                "method_not_allowed",
                "Method Not Allowed",
                "This method is not allowed",
                "A short link allows GET and HEAD."
            ),
            Self::BadRequest => {
                &text!(400, "bad_request", "Bad Request", "This request is malformed", "It is not valid HTTP.")
            }
            Self::TargetTooLong => &text!(
                414,
                "target_too_long",
                "URI Too Long",
                "This URL is too long",
                "Path and query are over the size limit."
            ),
            Self::BadRecord => {
                &text!(502, "bad_record", "Bad Gateway", "This link is misconfigured", "Its owner needs to fix it.")
            }
            Self::Unavailable => &text!(
                503,
                "unavailable",
                "Service Unavailable",
                "This link is temporarily unavailable",
                "The error is on the server's side. Try again in a moment."
            ),
            Self::Unlock => &text!(
                200,
                "password_needed",
                "Protected",
                "This link has a password",
                "Enter it to continue.",
                form!()
            ),
            Self::UnlockRefused => &text!(
                401,
                "password_wrong",
                "Unauthorized",
                "This link has a password",
                "Enter it to continue.",
                concat!("<p class=\"fault\" role=\"alert\">That password is wrong.</p>\n", form!())
            ),
            Self::UnlockThrottled => &text!(
                429,
                "rate_limited",
                "Too Many Requests",
                "This link has a password",
                "Enter it to continue.",
                concat!("<p class=\"fault\" role=\"alert\">Too many attempts. Try again in a minute.</p>\n", form!())
            ),
            Self::RequestTimeout | Self::HeadTooLarge | Self::BodyTooLarge | Self::TooManyMisses => {
                self.text_of_refusal()
            }
        }
    }

    /// The strings of pages for malformed or too large requests.
    const fn text_of_refusal(self) -> &'static Text {
        match self {
            Self::RequestTimeout => &text!(
                408,
                "request_timeout",
                "Request Timeout",
                "This request was too slow",
                "Send it again, without pauses."
            ),
            Self::HeadTooLarge => &text!(
                431,
                "head_too_large",
                "Request Header Fields Too Large",
                "This request is too large",
                "Its headers, including cookies, are over the size limit."
            ),
            Self::BodyTooLarge => &text!(
                413,
                "body_too_large",
                "Content Too Large",
                "This request is too large",
                "Its body is over the size limit."
            ),
            _ => &text!(
                429,
                "rate_limited",
                "Too Many Requests",
                "There is no link here",
                "Many links that do not exist were requested from this network. Try again in a minute."
            ),
        }
    }
}

/// Whether an `Accept` header prefers JSON to a page: by the highest `q`, then by the order.
pub fn prefers_json(accept: &str) -> bool {
    let mut best = (0, false);
    for range in accept.split(',').take(32) {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_json = media_type == "application/json" || media_type.ends_with("+json");
        let is_page = matches!(media_type.as_str(), "text/html" | "application/xhtml+xml" | "text/*" | "*/*");
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, quality_of);
        if (is_json || is_page) && quality > best.0 {
            best = (quality, is_json);
        }
    }
    best.1
}

/// A `q` value in thousandths; an invalid one counts as 0.
fn quality_of(text: &str) -> u32 {
    thousandths(text).filter(|quality| *quality <= 1000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn base64(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for index in 0..4 {
                let sextet = (word >> (18 - 6 * index)) & 63;
                text.push(if index <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
            }
        }
        text
    }

    #[test]
    fn the_policy_admits_the_style_sheet_and_nothing_else() {
        let style = format!("style-src 'sha256-{}'", base64(&Sha256::digest(STYLE_SHEET)));
        assert!(CONTENT_SECURITY_POLICY.contains(&style), "the style sheet has changed: write {style}");
        for page in Page::ALL {
            assert_eq!(page.html().matches("<style>").count(), 1, "{page:?}");
            for source in ["<script", " style=", "src=", "href=", "url(", "@import"] {
                assert!(!page.html().contains(source), "{page:?} has {source}");
            }
        }
    }

    #[test]
    fn every_page_is_told_in_both_forms() {
        for page in Page::ALL {
            assert!(page.problem().contains(&format!("\"status\":{}", page.status())), "{page:?}");
            assert!(page.html().starts_with("<!doctype html>"), "{page:?}");
            let has_form = matches!(page, Page::Unlock | Page::UnlockRefused | Page::UnlockThrottled);
            assert_eq!(page.html().contains("<form method=\"post\">"), has_form, "{page:?}");
        }
    }
}
