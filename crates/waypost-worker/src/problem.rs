//! Problems (RFC 9457) of the one API operation that a Worker answers itself, in the words of the control plane's
//! catalogue.

use serde::Serialize;

/// Where the control plane's catalogue explains them.
const TYPE_BASE: &str = "/docs/problems#";

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProblemCode {
    BadJson,
    UrlInvalid,
    AnonymousLinksOff,
    MethodNotAllowed,
    BodyTooLarge,
    RateLimited,
    Unavailable,
}

impl ProblemCode {
    /// Every problem with its name, status and title.
    const ALL: [(Self, &'static str, u16, &'static str); 7] = [
        (Self::BadJson, "bad_json", 400, "The body is not JSON"),
        (Self::UrlInvalid, "url_invalid", 400, "The URL cannot be shortened"),
        (Self::AnonymousLinksOff, "anonymous_links_off", 403, "Links need an API key here"),
        (Self::MethodNotAllowed, "method_not_allowed", 405, "Method not allowed"),
        (Self::BodyTooLarge, "body_too_large", 413, "The body is too large"),
        (Self::RateLimited, "rate_limited", 429, "Too many requests"),
        (Self::Unavailable, "unavailable", 503, "The database cannot be reached"),
    ];

    /// The problem of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, ..)| *known == name).map(|(code, ..)| *code)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError<'a>],
}

/// What is wrong with one field.
#[derive(Debug, Serialize)]
pub(crate) struct FieldError<'a> {
    pub(crate) field: &'a str,
    pub(crate) code: &'a str,
    pub(crate) detail: &'a str,
}

/// The status and the document of a problem.
pub(crate) fn problem(code: ProblemCode, detail: &str, errors: &[FieldError<'_>]) -> (u16, Vec<u8>) {
    let (_, name, status, title) = ProblemCode::ALL[code as usize];
    let document = Document { kind: format!("{TYPE_BASE}{name}"), title, status, code: name, detail, errors };
    (status, serde_json::to_vec(&document).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_codes() {
        for (index, (code, name, ..)) in ProblemCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index);
            assert_eq!(ProblemCode::from_name(name), Some(code));
        }
    }

    #[test]
    fn statuses_and_titles_are_those_of_the_catalogue() {
        let catalogue = include_str!("../../../docs/problems.md");
        for (_, name, status, title) in ProblemCode::ALL {
            assert!(catalogue.contains(&format!("| {status} | [`{name}`](#{name}) | {title} |")), "{name}");
        }
    }
}
