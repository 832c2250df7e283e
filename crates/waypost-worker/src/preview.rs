//! The preview page: where a link goes, without going there.

use waypost_core::decide::{Action, Source, decide};
use waypost_core::destination::host_of;
use waypost_core::page::Page;
use waypost_core::{CompactLink, Hostname, Visit};

use crate::html::{escaped, page};

/// The preview of a link under its short address, or the page to show instead.
pub(crate) fn preview(link: &CompactLink<'_>, short_text: &str, visit: &Visit<'_>) -> Result<String, Page> {
    let seen = Visit { unlock: waypost_core::visit::Unlock::None, ..*visit };
    let decision = decide(link, &seen).map_err(|_| Page::BadRecord)?;
    let destination = match decision.action {
        Action::NotFound | Action::MethodNotAllowed => return Err(Page::NotFound),
        Action::Gone => return Err(Page::Gone),
        Action::Unlock => None,
        Action::Redirect if decision.source == Some(Source::Expired) => link.expired_url(),
        Action::Redirect => Some(link.destination()),
    };
    let mut main = format!("<p class=\"status\">Preview of</p>\n<h1>{}</h1>\n", escaped(short_text));
    match destination {
        Some(url) => {
            main.push_str(&format!("<p>It leads to</p>\n<p><strong>{}</strong></p>\n", escaped(url)));
            if let Some(warning) = warning(url) {
                main.push_str(&format!("<p role=\"alert\"><strong>{}</strong></p>\n", escaped(&warning)));
            }
            if link.has_steps() && decision.source != Some(Source::Expired) {
                main.push_str("<p>This link has rules: depending on time, country, device and the like, some visitors may be sent to another destination.</p>\n");
            }
        }
        None => main.push_str("<p>This link is protected by a password, so its destination is not shown.</p>\n"),
    }
    main.push_str(&format!(
        "<p><a href=\"/{}\" rel=\"nofollow noreferrer\">Continue</a></p>\n",
        escaped(slug_of(short_text))
    ));
    Ok(page(&format!("Where {short_text} leads"), &main))
}

/// Shows how a host is really written that has letters beyond ASCII. The tables by which the server tells look-alikes
/// are too large for a Worker.
fn warning(url: &str) -> Option<String> {
    let host = Hostname::parse(&host_of(url)?).ok()?;
    let shown = host.to_unicode();
    (shown != host.as_str()).then(|| {
        format!("The host {shown} is written {host}: make sure that it is the one you expect.", host = host.as_str())
    })
}

/// What stands behind the host of `go.example/slug`.
fn slug_of(short_text: &str) -> &str {
    short_text.split_once('/').map_or("", |(_, slug)| slug)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use waypost_core::compact::compile;
    use waypost_core::{LinkRecord, SchemePolicy, Timestamp};

    use super::*;

    #[track_caller]
    fn check(record: &str, expect: Result<&str, Page>) {
        let record = LinkRecord::from_value(record.as_bytes()).unwrap();
        let bytes = compile(&record, &SchemePolicy::web()).unwrap();
        let html = preview(&CompactLink::read(&bytes).unwrap(), "go.example/a", &Visit::at(Timestamp::from_micros(0)));
        match expect {
            Ok(part) => assert!(html.as_ref().is_ok_and(|html| html.contains(part)), "{html:?}"),
            Err(page) => assert_eq!(html, Err(page)),
        }
    }

    #[test]
    fn previews() {
        check("https://example.com/?a=1&b='<", Ok("https://example.com/?a=1&amp;b=%27%3C"));
        check("https://xn--pypal-4ve.com/", Ok("is written xn--pypal-4ve.com"));
        check(r#"{"destination_url":"https://x.example/","password_hash":"x"}"#, Ok("protected by a password"));
        check(
            r#"{"destination_url":"https://x.example/","geo_rules":[{"country_code":"AT","destination_url":"https://y.example/"}]}"#,
            Ok("This link has rules"),
        );
        check(r#"{"destination_url":"https://x.example/","enabled":false}"#, Err(Page::NotFound));
        check(r#"{"destination_url":"https://x.example/","expires_at":"1969-01-01T00:00:00Z"}"#, Err(Page::Gone));
    }
}
