//! Classes of visits: who, or what, followed the link. The main counts are those of humans; no click is dropped.
//!
//! The method and prefetch headers of a request take precedence over the guess from its user agent, which
//! `user_agent.rs` makes. When its rules or lists change, [`CLASSIFIER_VERSION`] goes up, so that stored classes can be
//! told apart.

mod shapes;
mod user_agent;
mod words;

use crate::coded::coded_enum;

use crate::visit::{Method, Visit};

/// Increases with every change of the rules or lists in this module.
pub const CLASSIFIER_VERSION: u16 = 2;

coded_enum! {
    /// What a visit is counted as.
    pub enum Class {
        /// A person, as far as anyone can tell.
        Human = 0 "human",
        /// A prefetch by a browser.
        Prefetch = 1 "prefetch",
        /// A program that fetches a link to show its preview in a message or a post.
        Preview = 2 "preview",
        /// A crawler, a monitor, a script.
        Bot = 3 "bot",
        /// A `HEAD` request.
        Head = 4 "head",
    }
}

/// A class and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The class.
    pub class: Class,
    /// A short stable word: `method`, `purpose_header`, `no_user_agent`, a word or a shape of the user agent, or
    /// `none`.
    pub reason: &'static str,
}

/// Returns the class of a visit.
pub fn classify(visit: &Visit<'_>) -> Classified {
    if visit.method == Method::Head {
        return Classified { class: Class::Head, reason: "method" };
    }
    if visit.purpose.is_some_and(is_prefetch) {
        return Classified { class: Class::Prefetch, reason: "purpose_header" };
    }
    match visit.user_agent {
        None => Classified { class: Class::Human, reason: "none" },
        Some(user_agent) if user_agent.trim_ascii().is_empty() => {
            Classified { class: Class::Bot, reason: "no_user_agent" }
        }
        Some(user_agent) => user_agent::class_of(user_agent.as_bytes()),
    }
}

/// `prefetch`, `prefetch;prerender`, `prerender`, `preview`: the values that browsers have used in the three headers.
fn is_prefetch(purpose: &str) -> bool {
    purpose.split([';', ',', ' ']).any(|word| {
        ["prefetch", "prerender", "preview"].iter().any(|known| word.trim_ascii().eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[track_caller]
    fn check(user_agent: &str, expect: Class) {
        let visit = Visit { user_agent: Some(user_agent), ..Visit::at(Timestamp::from_micros(0)) };
        assert_eq!(classify(&visit).class, expect, "{user_agent}");
    }

    #[test]
    fn user_agents() {
        const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
        check(CHROME, Class::Human);
        check("Mozilla/5.0 (Linux; Android 13; CUBOT KINGKONG 9) AppleWebKit/537.36 Chrome/118 Mobile", Class::Human);
        check("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) [FBAN/FBIOS;FBAV/480]", Class::Human);
        check("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/120 Mobile Safari/537.36 Line/14.1.0", Class::Human);
        check("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Class::Bot);
        check("Mozilla/5.0 (compatible; bingbot/2.0)", Class::Bot);
        check("GPTBot", Class::Bot);
        check("curl/8.5.0", Class::Bot);
        check("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/140.0.0.0", Class::Bot);
        check("", Class::Bot);
        check("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", Class::Preview);
        check("TelegramBot (like TwitterBot)", Class::Preview);
        check("WhatsApp/2.23.20.0 A", Class::Preview);
        check("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Class::Preview);
        check(&format!("{CHROME} {}", "x".repeat(70_000)), Class::Human);
    }

    #[test]
    fn what_a_request_says_goes_before_guesses() {
        let visit = Visit { user_agent: Some("Googlebot/2.1"), ..Visit::at(Timestamp::from_micros(0)) };
        assert_eq!(classify(&Visit { method: Method::Head, ..visit }).class, Class::Head);
        for purpose in ["prefetch", "prefetch;prerender", "Prefetch", "preview", "prerender"] {
            assert_eq!(classify(&Visit { purpose: Some(purpose), ..visit }).class, Class::Prefetch, "{purpose}");
        }
        assert_eq!(classify(&Visit { purpose: Some("navigate"), ..visit }).class, Class::Bot);
        assert_eq!(classify(&Visit::at(Timestamp::from_micros(0))).class, Class::Human);
    }
}
