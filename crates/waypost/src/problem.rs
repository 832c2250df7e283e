//! An error response of the API (`application/problem+json`) as people read it: what is wrong, why, and what to do.

use std::fmt;

use http::StatusCode;
use waypost_api::{ProblemCode, ProblemDocument};

/// Characters shown of a response that is not a problem document.
const TEXT_CHARS_MAX: usize = 200;

/// A problem as the API sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Problem(ProblemDocument);

impl Problem {
    /// Reads the body of an error response; one that is not a problem document becomes the detail.
    pub(crate) fn read(status: StatusCode, body: &[u8]) -> Self {
        let read = serde_json::from_slice(body).ok().filter(|document: &ProblemDocument| !document.title.is_empty());
        Self(read.unwrap_or_else(|| ProblemDocument {
            status: status.as_u16(),
            title: format!("The server answered {status}"),
            detail: show_text(body),
            ..ProblemDocument::default()
        }))
    }

    /// Whether what was requested does not exist.
    pub(crate) const fn is_not_found(&self) -> bool {
        self.0.status == StatusCode::NOT_FOUND.as_u16()
    }

    /// Its code; may be one that only a newer server knows.
    pub(crate) fn code(&self) -> &str {
        self.0.code.as_str()
    }

    /// What is wrong, in one line.
    pub(crate) fn reason(&self) -> String {
        let ProblemDocument { title, detail, errors, .. } = &self.0;
        let fields = errors.iter().filter(|error| !error.field.is_empty());
        let fields: Vec<String> = fields.map(|error| format!("{}: {}", error.field, error.detail)).collect();
        match (fields.is_empty(), detail.is_empty()) {
            (false, _) => fields.join("; "),
            (true, false) => detail.clone(),
            (true, true) => title.clone(),
        }
    }

    fn advice(&self) -> Option<&'static str> {
        Some(match self.0.code.known()? {
            ProblemCode::Unauthorized => {
                "Give a key with --key or WAYPOST_KEY; `waypost key create` on the server's machine creates one."
            }
            ProblemCode::Forbidden => "Run the command on the server's machine, without --server.",
            ProblemCode::SlugTaken => "Choose another slug, or leave it out and get a random one.",
            ProblemCode::SlugReserved => "Choose another slug: Waypost uses this path itself.",
            ProblemCode::DomainUnknown => {
                "`waypost domain list` lists the domains; `waypost domain create` creates one."
            }
            ProblemCode::StaleVersion => {
                "Somebody else changed the link: look at it with `waypost link show`, then try again."
            }
            ProblemCode::RateLimited | ProblemCode::Unavailable => "Try again in a moment.",
            ProblemCode::NotAtEdge => {
                "It is saved, and the redirect server will get it as soon as possible; see the server's log."
            }
            _ => return None,
        })
    }
}

impl From<ProblemDocument> for Problem {
    fn from(document: ProblemDocument) -> Self {
        Self(document)
    }
}

/// The beginning of a text that another server sent, in one line; nothing if it is a page.
fn show_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = if text.trim_start().starts_with('<') { "" } else { text.trim() };
    text.chars().take(TEXT_CHARS_MAX).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProblemDocument { title, detail, errors, .. } = &self.0;
        write!(f, "{title}")?;
        // The detail is left out if it only repeats the title.
        let said = detail.get(..title.len()).filter(|start| start.eq_ignore_ascii_case(title));
        let rest = said.map_or(detail.as_str(), |said| detail[said.len()..].trim_start_matches([':', ';', ' ']));
        if !rest.is_empty() {
            write!(f, ": {rest}")?;
        }
        // The detail already names a single field.
        if errors.len() > 1 {
            for error in errors {
                write!(f, "\n  {}: {}", error.field, error.detail)?;
            }
        }
        self.advice().map_or(Ok(()), |advice| write!(f, "\n  {advice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: StatusCode, body: &str, expect: (&str, &str)) {
        let problem = Problem::read(status, body.as_bytes());
        assert_eq!((problem.to_string().as_str(), problem.reason().as_str()), expect);
    }

    #[test]
    fn problems_say_what_and_what_to_do() {
        check(
            StatusCode::CONFLICT,
            r#"{"title":"The slug is taken","status":409,"code":"slug_taken","detail":"the slug \"a\" is taken"}"#,
            (
                "The slug is taken: the slug \"a\" is taken\n  Choose another slug, or leave it out and get a random one.",
                "the slug \"a\" is taken",
            ),
        );
        check(
            StatusCode::UNPROCESSABLE_ENTITY,
            r#"{"title":"T","detail":"2 fields","code":"x","errors":[{"field":"a","detail":"bad"},{"field":"b","detail":"worse"}]}"#,
            ("T: 2 fields\n  a: bad\n  b: worse", "a: bad; b: worse"),
        );
        check(
            StatusCode::CONFLICT,
            r#"{"title":"Links are pushed nowhere","detail":"links are pushed nowhere: configure it"}"#,
            ("Links are pushed nowhere: configure it", "links are pushed nowhere: configure it"),
        );
        check(
            StatusCode::CONFLICT,
            r#"{"title":"Of tomorrow","status":409,"code":"of_tomorrow","detail":"wait","hint":{}}"#,
            ("Of tomorrow: wait", "wait"),
        );
        check(
            StatusCode::BAD_GATEWAY,
            "<html>",
            ("The server answered 502 Bad Gateway", "The server answered 502 Bad Gateway"),
        );
        let expect = ("The server answered 502 Bad Gateway: no  way", "no  way");
        check(StatusCode::BAD_GATEWAY, " no\r\nway\n", expect);
    }
}
