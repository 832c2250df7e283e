//! The browser family, read from a user agent as far as rules need it.
//!
//! Reports have more browsers, from a full user-agent parser at ingest. Here only the common ones are recognised, so that
//! every edge can decide by them. The view of a page inside another app is `other`: it is not the browser that it names.

use crate::coded::coded_enum;
use crate::token::has;

coded_enum! {
    /// The family of a browser.
    pub enum Browser {
        /// Chrome, also on iOS.
        Chrome = 0 "chrome",
        /// Safari.
        Safari = 1 "safari",
        /// Firefox, also on iOS.
        Firefox = 2 "firefox",
        /// Edge, on every system.
        Edge = 3 "edge",
        /// Opera, on every system.
        Opera = 4 "opera",
        /// Samsung Internet.
        Samsung = 5 "samsung",
        /// Every other browser, an app, a program, or unknown.
        Other = 6 "other",
    }
}

impl Browser {
    /// Its bit in a set of browsers.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Parts of user agents and what they show, in the order in which they are tried: most browsers also name others.
const PARTS: [(&str, Browser); 44] = [
    ("Instagram", Browser::Other),
    ("FBAN/", Browser::Other),
    ("FBAV/", Browser::Other),
    ("FB_IAB", Browser::Other),
    ("; wv)", Browser::Other),
    ("GSA/", Browser::Other),
    ("Line/", Browser::Other),
    ("MicroMessenger", Browser::Other),
    ("TikTok", Browser::Other),
    ("musical_ly", Browser::Other),
    ("BytedanceWebview", Browser::Other),
    ("Snapchat", Browser::Other),
    ("Pinterest", Browser::Other),
    ("LinkedInApp", Browser::Other),
    ("Electron/", Browser::Other),
    ("Headless", Browser::Other),
    ("bot", Browser::Other),
    ("Bot", Browser::Other),
    ("YaBrowser", Browser::Other),
    ("Vivaldi", Browser::Other),
    ("UCBrowser", Browser::Other),
    ("UBrowser", Browser::Other),
    ("QQBrowser", Browser::Other),
    ("MiuiBrowser", Browser::Other),
    ("HuaweiBrowser", Browser::Other),
    ("VivoBrowser", Browser::Other),
    ("HeyTapBrowser", Browser::Other),
    ("Whale/", Browser::Other),
    ("Silk/", Browser::Other),
    ("DuckDuckGo", Browser::Other),
    ("Ddg/", Browser::Other),
    ("Focus/", Browser::Other),
    ("Seamonkey", Browser::Other),
    ("Edg", Browser::Edge),
    ("OPR/", Browser::Opera),
    ("OPT/", Browser::Opera),
    ("OPX/", Browser::Opera),
    ("Opera", Browser::Opera),
    ("SamsungBrowser", Browser::Samsung),
    ("Firefox/", Browser::Firefox),
    ("FxiOS/", Browser::Firefox),
    ("CriOS/", Browser::Chrome),
    ("Chrome/", Browser::Chrome),
    ("Safari/", Browser::Safari),
];

/// Reads the browser from a user agent.
pub fn browser(user_agent: &str) -> Browser {
    let text = user_agent.as_bytes();
    let found = PARTS.iter().find(|(part, _)| has(text, part.as_bytes()));
    match found.map_or(Browser::Other, |(_, browser)| *browser) {
        // Android's old browser and many apps write `Safari`, but only Safari writes its version so.
        Browser::Safari if !has(text, b"Version/") || has(text, b"Android") => Browser::Other,
        browser => browser,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_browsers() {
        const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (user_agent, expect) in [
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36"), Browser::Chrome),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"), Browser::Edge),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 OPR/122.0.0.0"), Browser::Opera),
            (format!("Mozilla/5.0 (Linux; Android 15; SM-S931B) {WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36"), Browser::Samsung),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0".into(), Browser::Firefox),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1".into(), Browser::Safari),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15".into(), Browser::Safari),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0.7339.39 Mobile/15E148 Safari/604.1".into(), Browser::Chrome),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/143.0 Mobile/15E148 Safari/605.1.15".into(), Browser::Firefox),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 EdgiOS/140.0 Mobile/15E148 Safari/605.1.15".into(), Browser::Edge),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 399.0".into(), Browser::Other),
            (format!("Mozilla/5.0 (Linux; Android 15; Pixel 9; wv) {WEBKIT} Version/4.0 Chrome/140.0.0.0 Mobile Safari/537.36"), Browser::Other),
            ("Mozilla/5.0 (Linux; U; Android 4.0.3; de-de) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30".into(), Browser::Other),
            (format!("Mozilla/5.0 {WEBKIT}; compatible; Googlebot/2.1; +http://www.google.com/bot.html) Chrome/140.0.0.0 Safari/537.36"), Browser::Other),
            ("curl/8.5.0".into(), Browser::Other),
            (String::new(), Browser::Other),
        ] {
            assert_eq!(browser(&user_agent), expect, "{user_agent}");
        }
    }
}
