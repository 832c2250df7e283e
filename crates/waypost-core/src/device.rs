//! Device and operating system, read from a user agent, as precisely as rules need.
//!
//! This is a fast scan for a few tokens, for the redirect path. Browsers and versions in reports come from a full
//! user-agent parser at ingest. An iPad that requests desktop pages identifies itself as a Mac and counts as one,
//! because nothing in the request shows the difference.

use crate::coded::coded_enum;

use crate::token::TokenSet;

coded_enum! {
    /// The kind of device.
    pub enum Device {
        /// A computer with a desktop system.
        Desktop = 0 "desktop",
        /// A phone.
        Mobile = 1 "mobile",
        /// A tablet.
        Tablet = 2 "tablet",
        /// A television, a console, a program, or unknown.
        Other = 3 "other",
    }
}

coded_enum! {
    /// The operating system.
    pub enum Os {
        /// iOS and iPadOS.
        Ios = 0 "ios",
        /// Android.
        Android = 1 "android",
        /// Windows for computers.
        Windows = 2 "windows",
        /// macOS.
        Macos = 3 "macos",
        /// Desktop Linux.
        Linux = 4 "linux",
        /// ChromeOS.
        Chromeos = 5 "chromeos",
        /// Anything else, or unknown.
        Other = 6 "other",
    }
}

impl Device {
    /// Its bit in a set of devices.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Os {
    /// Its bit in a set of systems.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

const NOT_A_COMPUTER: &[&str] =
    &["SmartTV", "SMART-TV", "Smart TV", "Tizen", "Web0S", "CrKey", "AppleTV", "PlayStation", "Xbox", "Nintendo"];
const ANDROID_TV: &[&str] =
    &["Android TV", "GoogleTV", "Google TV", "BRAVIA", "; AFT", "TV Box", "SmartTV", "SMART-TV"];
/// Browsers of Android that only run on phones or do not write `Mobile` there, and programs that are not browsers.
const ANDROID_PHONES: &[&str] = &[
    "Mobile",
    "Opera Mini",
    "Opera Mobi",
    "UCBrowser",
    "UCWEB",
    "MQQBrowser",
    "Fennec",
    "Skyfire",
    "Minimo",
    "Instagram",
    "Dalvik",
    "FBAN/",
];
/// Tablets whose programs only send Android's `Dalvik` user agent.
const ANDROID_TABLETS: &[&str] = &["Tablet;", "Opera Tablet", "; SM-T", "; SM-X", "; KF"];
/// Phones with none of the systems above, and their browsers.
const PHONES: &[&str] = &[
    "Windows Phone",
    "Windows CE",
    "Windows Mobile",
    "IEMobile",
    "BlackBerry",
    "BB10",
    "Opera Mini",
    "Opera Mobi",
    "UCWEB",
    "UCBrowser",
    "Fennec",
    "Minimo",
    "Skyfire",
    "KAIOS",
    "Symbian",
    "SymbOS",
    "Series60",
    "Maemo",
    "MeeGo",
    "Bada/",
    "webOS/",
    "PalmOS",
    "DoCoMo",
    "MIDP",
    "J2ME",
    "UP.Browser",
    "NetFront",
    "Obigo",
    "Dolfin",
    "SEMC-Browser",
    "Mobi",
];
/// The user agent of Facebook's apps if they do not name a browser.
const FACEBOOK_IOS: &[&str] = &["FBAN/FBIOS", "FBSN/iOS", "ForiOS"];
const FACEBOOK_ANDROID: &[&str] = &["FBAN/FB4A", "FB_IAB/FB4A", "FBAN/EMA", "FBPN/com.facebook"];

/// Every token that the scan finds.
const TOKEN_LIST: &[&str; 77] = &[
    "Windows Phone",
    "Windows CE",
    "Windows Mobile",
    "KAIOS",
    "Tizen",
    "Web0S",
    "iPhone",
    "iPad",
    "iPod",
    "Android",
    "Adr ",
    "Windows",
    "CrOS",
    "Macintosh",
    "Mac OS X",
    "Mac_PowerPC",
    "Linux",
    "Ubuntu",
    "SmartTV",
    "SMART-TV",
    "Smart TV",
    "CrKey",
    "AppleTV",
    "PlayStation",
    "Xbox",
    "Nintendo",
    "Android TV",
    "GoogleTV",
    "Google TV",
    "BRAVIA",
    "; AFT",
    "TV Box",
    "IEMobile",
    "BlackBerry",
    "BB10",
    "Opera Mini",
    "Opera Mobi",
    "Opera Tablet",
    "UCBrowser",
    "UCWEB",
    "MQQBrowser",
    "Fennec",
    "Skyfire",
    "Minimo",
    "Instagram",
    "Dalvik",
    "Symbian",
    "SymbOS",
    "Series60",
    "Maemo",
    "MeeGo",
    "Bada/",
    "webOS/",
    "PalmOS",
    "DoCoMo",
    "MIDP",
    "J2ME",
    "UP.Browser",
    "NetFront",
    "Obigo",
    "Dolfin",
    "SEMC-Browser",
    "Mobi",
    "Mobile",
    "PlayBook",
    "Tablet;",
    "; SM-T",
    "; SM-X",
    "; KF",
    "FBAN/",
    "FBAN/FBIOS",
    "FBSN/iOS",
    "ForiOS",
    "FBAN/FB4A",
    "FB_IAB/FB4A",
    "FBAN/EMA",
    "FBPN/com.facebook",
];

/// The tables of the search, next to each other in memory.
static TOKENS: TokenSet<77> = TokenSet::new(*TOKEN_LIST);

/// The tokens that a user agent has.
#[derive(Clone, Copy)]
struct Tokens(u128);

impl Tokens {
    fn of(user_agent: &str) -> Self {
        Self(TOKENS.found_in(user_agent.as_bytes()))
    }

    const fn has(self, bits: u128) -> bool {
        self.0 & bits != 0
    }
}

/// Whether any of these tokens was found. Their bits are computed at compile time.
macro_rules! any {
    ($tokens:expr, $names:expr) => {
        $tokens.has(const { TokenSet::new(*TOKEN_LIST).bits($names) })
    };
}

/// Reads the operating system from a user agent.
pub fn os(user_agent: &str) -> Os {
    os_of(Tokens::of(user_agent))
}

/// Reads the kind of device from a user agent.
pub fn device(user_agent: &str) -> Device {
    device_and_os(user_agent).0
}

/// Reads both from a user agent, in one pass over it.
pub fn device_and_os(user_agent: &str) -> (Device, Os) {
    let tokens = Tokens::of(user_agent);
    let os = os_of(tokens);
    (device_of(tokens, os), os)
}

fn os_of(tokens: Tokens) -> Os {
    // Phones first: their user agents also name desktop systems.
    if any!(tokens, &["Windows Phone", "Windows CE", "Windows Mobile", "KAIOS", "Tizen", "Web0S"]) {
        Os::Other
    } else if any!(tokens, &["iPhone", "iPad", "iPod"]) || any!(tokens, FACEBOOK_IOS) {
        Os::Ios
    } else if any!(tokens, &["Android", "Adr "]) || any!(tokens, FACEBOOK_ANDROID) {
        Os::Android
    } else if any!(tokens, &["Windows"]) {
        Os::Windows
    } else if any!(tokens, &["CrOS"]) {
        Os::Chromeos
    } else if any!(tokens, &["Macintosh", "Mac OS X", "Mac_PowerPC"]) {
        Os::Macos
    } else if any!(tokens, &["Linux", "Ubuntu"]) {
        Os::Linux
    } else {
        Os::Other
    }
}

fn device_of(tokens: Tokens, system: Os) -> Device {
    match system {
        Os::Ios if any!(tokens, &["iPad"]) => Device::Tablet,
        Os::Ios => Device::Mobile,
        Os::Android if any!(tokens, ANDROID_TV) => Device::Other,
        Os::Android if any!(tokens, &["Mobile"]) => Device::Mobile,
        Os::Android if any!(tokens, ANDROID_TABLETS) => Device::Tablet,
        Os::Android if any!(tokens, ANDROID_PHONES) || any!(tokens, FACEBOOK_ANDROID) => Device::Mobile,
        Os::Android => Device::Tablet,
        Os::Windows | Os::Macos | Os::Linux | Os::Chromeos | Os::Other if any!(tokens, NOT_A_COMPUTER) => Device::Other,
        Os::Linux | Os::Other if any!(tokens, &["PlayBook", "Tablet;"]) => Device::Tablet,
        Os::Windows | Os::Linux | Os::Other if any!(tokens, PHONES) => Device::Mobile,
        Os::Other => Device::Other,
        Os::Windows | Os::Macos | Os::Linux | Os::Chromeos => Device::Desktop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(user_agent: &str, expect: (Device, Os)) {
        assert_eq!((device(user_agent), os(user_agent)), expect, "{user_agent}");
    }

    #[test]
    fn common_browsers() {
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
            (Device::Mobile, Os::Ios),
        );
        check("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15", (Device::Tablet, Os::Ios));
        check(
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
            (Device::Mobile, Os::Android),
        );
        check(
            "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
            (Device::Tablet, Os::Android),
        );
        check("Mozilla/5.0 (Android 13; Tablet; rv:109.0) Gecko/113.0 Firefox/113.0", (Device::Tablet, Os::Android));
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
            (Device::Desktop, Os::Windows),
        );
        check("Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Tablet PC 2.0)", (Device::Desktop, Os::Windows));
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
            (Device::Desktop, Os::Macos),
        );
        check("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", (Device::Desktop, Os::Linux));
        check(
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/140.0.0.0",
            (Device::Desktop, Os::Chromeos),
        );
    }

    #[test]
    fn uncommon_ones() {
        check("", (Device::Other, Os::Other));
        check("curl/8.5.0", (Device::Other, Os::Other));
        check("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", (Device::Other, Os::Other));
        check(
            "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) Mobile Edge/15",
            (Device::Mobile, Os::Other),
        );
        check("Mozilla/5.0 (Linux; Android 9; BRAVIA 4K) Chrome/90", (Device::Other, Os::Android));
        check("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36", (Device::Other, Os::Other));
        check("Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) Edge/44", (Device::Other, Os::Windows));
        check("Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15", (Device::Other, Os::Other));
        check("Opera/9.80 (J2ME/MIDP; Opera Mini/9.80; U; en) Presto/2.5", (Device::Mobile, Os::Other));
        check("Mozilla/5.0 (Mobile; rv:48.0; KAIOS/2.5) Gecko/48.0", (Device::Mobile, Os::Other));
    }

    #[test]
    fn older_browsers_of_phones() {
        let phone = (Device::Mobile, Os::Android);
        check("Opera/9.80 (Android; Opera Mini/7.5.33361/31.1543; U; en) Presto/2.8.119 Version/11.1010", phone);
        check("Opera/9.80 (Android 2.3.3; Linux; Opera Mobi/ADR-1111101157; U; es-ES) Presto/2.9.201", phone);
        check("UCWEB/2.0 (Linux; U; Adr 4.4.4; en-US; ASUS_T00I) U2/1.0.0 UCBrowser/9.4.1.482 U2/1.0.0", phone);
        check("Mozilla/5.0 (Android; Linux armv7l; rv:9.0) Gecko/20111216 Firefox/9.0 Fennec/9.0", phone);
        check("Mozilla/5.0 (Linux; U; Android 4.4.2; zh-cn; X9007) MQQBrowser/5.2", phone);
        check(
            "Instagram 312.0 Android (33/13; 440dpi; 1080x2172; Xiaomi/Redmi; 22101316UG; ruby; mt6877; en_US)",
            phone,
        );
        check("Dalvik/2.1.0 (Linux; U; Android 9; SM-G965U Build/PPR1.180610.011)", phone);
        let tablet = (Device::Tablet, Os::Android);
        check("Dalvik/2.1.0 (Linux; U; Android 5.1.1; KFSUWI Build/LVY48F)", tablet);
        check("Dalvik/2.1.0 (Linux; U; Android 13; SM-X710 Build/TP1A)", tablet);
        check("Opera/9.80 (Android 4.0.4; Linux; Opera Tablet/ADR-1309251116) Presto/2.11.355", tablet);
        check("Opera/9.80 (iPad; Opera Mini/7.1.32694/27.1407; U; en) Presto/2.8.119", (Device::Tablet, Os::Ios));
        for user_agent in [
            "Mozilla/4.0 (compatible; MSIE 6.0; Windows CE; IEMobile 7.6)",
            "Opera/9.80 (Windows Mobile; Opera Mini/5.1.21594/28.2725; U; en)",
            "SAMSUNG-GT-S5620/1.0 SHP/VPP/R5 Dolfin/1.5 profile/MIDP-2.1 configuration/CLDC-1.1",
            "SonyEricssonK800i/R1CB Browser/NetFront/3.3 Profile/MIDP-2.0",
        ] {
            check(user_agent, (Device::Mobile, Os::Other));
        }
        check("Mozilla/5.0 (Maemo; Linux armv7l; rv:2.0.1) Gecko/20100101 Fennec/2.0.1", (Device::Mobile, Os::Linux));
    }

    #[test]
    fn facebook_without_a_browser() {
        check("[FBAN/FBIOS;FBAV/480.0;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.1]", (Device::Mobile, Os::Ios));
        check("[FBAN/FBIOS;FBAV/480.0;FBDV/iPad13,4;FBMD/iPad;FBSN/iPadOS;FBSV/17.1]", (Device::Tablet, Os::Ios));
        check("[FBAN/FBIOS;FBAV/480.0;FBSN/iOS]", (Device::Mobile, Os::Ios));
        check(
            "[FBAN/FB4A;FBAV/192.0;FBMF/samsung;FBPN/com.facebook.katana;FBDV/SM-G960U;FBSV/10]",
            (Device::Mobile, Os::Android),
        );
        check("[FBAN/EMA;FBLC/en_US;FBAV/239.0.0.10.109;]", (Device::Mobile, Os::Android));
    }
}
