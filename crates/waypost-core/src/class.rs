//! Classes of visits: who, or what, followed the link. Headline counts are humans; nothing is dropped.
//!
//! What a request says of itself (its method, a prefetch header) goes before what a user agent lets one guess. The list
//! of user agents is data below; when it changes, [`CLASSIFIER_VERSION`] goes up, so that stored classes can be told apart.

use memchr::memmem;
use serde::Serialize;

use crate::token::TokenSet;
use crate::visit::{Method, Visit};

/// Goes up with every change of the rules or lists in this module.
pub const CLASSIFIER_VERSION: u16 = 1;

/// The most bytes of a user agent that are looked at.
const USER_AGENT_BYTES_MAX: usize = 512;

/// What a visit is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A person, as far as anyone can tell.
    Human,
    /// A browser fetching ahead of a person who may never come.
    Prefetch,
    /// A fetcher that makes a link preview for a message or a post.
    Preview,
    /// A crawler, a monitor, a script.
    Bot,
    /// A `HEAD` request.
    Head,
}

impl Class {
    /// Every class with its name.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("human", Self::Human),
        ("prefetch", Self::Prefetch),
        ("preview", Self::Preview),
        ("bot", Self::Bot),
        ("head", Self::Head),
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }

    /// The class of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, class)| *class)
    }
}

/// A class and what it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The class.
    pub class: Class,
    /// A short stable word: `method`, `purpose_header`, `no_user_agent`, a token of the user agent, or `none`.
    pub reason: &'static str,
}

/// Tokens in lower case: first those of fetchers that make link previews, then those of crawlers, monitors, libraries and tools
/// whose names do not end in `bot`, then the word itself.
static TOKENS: TokenSet<87> = TokenSet::new([
    "facebookexternalhit",
    "facebot",
    "twitterbot",
    "slackbot",
    "slack-imgproxy",
    "linkedinbot",
    "discordbot",
    "telegrambot",
    "skypeuripreview",
    "microsoftpreview",
    "bingpreview",
    "pinterestbot",
    "redditbot",
    "snap url preview",
    "vkshare",
    "viber/",
    "line-poker",
    "kakaotalk-scrap",
    "iframely",
    "embedly",
    "cardyb",
    "mastodon/",
    "pleroma",
    "akkoma",
    "misskey/",
    "synapse",
    "google-pagerenderer",
    "developers.google.com/+/web/snippet",
    "flipboardproxy",
    "tumblr/",
    // Crawlers and the like.
    "crawler",
    "crawling",
    "spider",
    "slurp",
    "+http",
    "headlesschrome",
    "phantomjs",
    "lighthouse",
    "gtmetrix",
    "pingdom",
    "statuscake",
    "mediapartners-google",
    "feedfetcher",
    "google-inspectiontool",
    "google-read-aloud",
    "googleother",
    "meta-externalagent",
    "ia_archiver",
    "barkrowler",
    "curl/",
    "libcurl",
    "wget",
    "python-requests",
    "python-urllib",
    "python/",
    "aiohttp",
    "httpx/",
    "go-http-client",
    "okhttp",
    "java/",
    "apache-httpclient",
    "libwww-perl",
    "lwp::",
    "node-fetch",
    "axios/",
    "undici",
    "got (",
    "guzzlehttp",
    "reqwest/",
    "ruby",
    "php/",
    "postmanruntime",
    "insomnia/",
    "httpie",
    "scrapy",
    "httrack",
    "nikto",
    "sqlmap",
    "nmap",
    "masscan",
    "zgrab",
    "apachebench",
    "k6/",
    "vegeta",
    "monitoring",
    "validator",
    // A word only where nothing but the end of a word follows.
    "bot",
]);

/// How many of them make previews, and how many are before the last.
const PREVIEW_TOKENS: u32 = 30;
const BOT_TOKENS: u32 = 86;

/// Says what a visit is counted as.
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
        Some(user_agent) => classify_user_agent(user_agent.as_bytes()),
    }
}

/// `prefetch`, `prefetch;prerender`, `prerender`, `preview`: the words browsers have used in the three headers.
fn is_prefetch(purpose: &str) -> bool {
    purpose.split([';', ',', ' ']).any(|word| {
        ["prefetch", "prerender", "preview"].iter().any(|known| word.trim_ascii().eq_ignore_ascii_case(known))
    })
}

fn classify_user_agent(user_agent: &[u8]) -> Classified {
    let mut lower = [0u8; USER_AGENT_BYTES_MAX];
    let length = user_agent.len().min(USER_AGENT_BYTES_MAX);
    let lower = &mut lower[..length];
    lower.copy_from_slice(&user_agent[..length]);
    lower.make_ascii_lowercase();

    // In the tokens' order, whatever the order in the text.
    let found = TOKENS.found_in(lower);
    let first = found.trailing_zeros();
    let first_bot = (found >> PREVIEW_TOKENS).trailing_zeros() + PREVIEW_TOKENS;
    let token = |place: u32| TOKENS.tokens()[place as usize];
    if first < PREVIEW_TOKENS {
        return Classified { class: Class::Preview, reason: token(first) };
    }
    // The messenger's fetcher names itself first; its in-app browser names it last, and that is a person.
    if lower.starts_with(b"whatsapp/") {
        return Classified { class: Class::Preview, reason: "whatsapp" };
    }
    if found >> BOT_TOKENS != 0 && has_bot_word(lower) {
        return Classified { class: Class::Bot, reason: "bot" };
    }
    if first_bot < BOT_TOKENS {
        return Classified { class: Class::Bot, reason: token(first_bot) };
    }
    Classified { class: Class::Human, reason: "none" }
}

/// `bot` at the end of a word, as in `googlebot/2.1`. Cubot is a maker of phones.
fn has_bot_word(lower: &[u8]) -> bool {
    memmem::find_iter(lower, b"bot").any(|at| {
        let ends_word = !lower.get(at + 3).is_some_and(u8::is_ascii_lowercase);
        ends_word && !lower[..at].ends_with(b"cu")
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
    fn names() {
        for (name, class) in Class::NAMES {
            assert_eq!((class.name(), Class::from_name(name)), (name, Some(class)));
        }
        assert_eq!(Class::from_name("robot"), None);
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
