//! The class of a visit by its user agent.
//!
//! Names of programs that fetch for a person (previews, checks before a visit) are tried first, then the words in
//! `words.rs` and the shapes in `shapes.rs`, which show any program. Names of devices are masked before, because some
//! phones are called `ruby`, `Spider` or `K6`.

use super::shapes::shape;
use super::words::{ANYWHERE, BOUNDS, STARTS};
use super::{Class, Classified};
use crate::token::{TokenSet, has};

/// The most bytes of a user agent that are examined.
const USER_AGENT_BYTES_MAX: usize = 512;

/// Names in lower case: first those of scanners and mail programs, which fetch before a person does, then those of
/// programs that show previews, then those of programs that the lists lack.
static NAMES: TokenSet<105> = TokenSet::new([
    "compatible; ms-office",
    "microsoft office existence discovery",
    "microsoft office protocol discovery",
    "microsoft-webdav-miniredir",
    "chrome privacy preserving prefetch",
    "cloudflare-prefetch",
    "googleimageproxy",
    "yahoomailproxy",
    "seznamemailproxy",
    "ramblermail",
    "mail.ukr.net",
    "shortwave image fetcher",
    "fastmailua",
    "safelinks",
    "proofpoint",
    "mimecast",
    "barracuda",
    "messagelabs",
    "symantec",
    "trendmicro",
    "trend micro",
    "kaspersky lab",
    "fireeye",
    "ironport",
    "fortimail",
    "fortiguard",
    "sophos",
    "bitdefender",
    "hornetsecurity",
    "avanan",
    "urldefense",
    "mailscanner",
    "twinwavescanner",
    // Previews.
    "facebookexternalhit",
    "facebot",
    "meta-externalhit",
    "meta-externalfetcher",
    "twitterbot",
    "slackbot",
    "slack-imgproxy",
    "linkedinbot",
    "discordbot",
    "telegrambot",
    "skypeuripreview",
    "microsoftpreview",
    "bingpreview",
    "google web preview",
    "pinterestbot",
    "pinterest.com/bot",
    "redditbot",
    "snap url preview",
    "snapurlpreview",
    "vkshare",
    "line-poker",
    "linespider",
    "kakaotalk-scrap",
    "iframely",
    "embedly",
    "opengraph.io",
    "cardyb",
    "bluesky",
    "pleroma",
    "akkoma",
    "friendica",
    "lemmy",
    "summalybot",
    "synapse",
    "google-pagerenderer",
    "developers.google.com/+/web/snippet",
    "flipboardproxy",
    "link preview",
    "linkpreview",
    "linkexpander",
    "unfurl",
    "richlink",
    "onebox",
    "discourse",
    "xenforo",
    "invision community",
    "phpbb",
    "vbulletin",
    "nodebb",
    "flarum",
    "mattermost",
    "rocket.chat",
    "zulip",
    "nextcloud",
    "keybasebot",
    "groupmebot",
    "odklbot",
    "valve/steam",
    "hatena",
    "peekbot",
    "quora-bot",
    "xing bot",
    "dingtalkbot",
    "github-camo",
    "twilioproxy",
    // Programs.
    "gtmetrix",
    "miniature.io",
    "turingos",
    " ylt ",
    "slurp",
    "powershell",
    "+(compatible",
]);
const PREFETCH_NAMES: u32 = 33;
const PREVIEW_NAMES: u32 = 98;

/// Names that apps send both when they fetch a preview, then without a browser's name, and when they show a page.
static APPS_WITH_PREVIEWS: [&str; 8] =
    ["mastodon/", "misskey/", "tumblr/", "notion/", "viber/", "whatsapp/", "snapchat/", "kakaotalk/"];

/// Libraries and tools, if a user agent begins with one as a whole word.
static PROGRAMS: [&str; 36] = [
    "aiohttp",
    "apache-httpclient",
    "apachebench",
    "axios",
    "bun",
    "curl",
    "deno",
    "faraday",
    "go-http-client",
    "got",
    "guzzlehttp",
    "httpie",
    "httpx",
    "httrack",
    "insomnia",
    "java",
    "k6",
    "libcurl",
    "libwww-perl",
    "lwp",
    "masscan",
    "nikto",
    "nmap",
    "node-fetch",
    "okhttp",
    "php",
    "postmanruntime",
    "python",
    "reqwest",
    "ruby",
    "scrapy",
    "sqlmap",
    "undici",
    "vegeta",
    "wget",
    "zgrab",
];

static WORDS: TokenSet<{ ANYWHERE.len() }> = TokenSet::new(ANYWHERE);

/// Reads the class from a user agent that is not empty.
pub(super) fn class_of(user_agent: &[u8]) -> Classified {
    let mut lower = [0u8; USER_AGENT_BYTES_MAX];
    let length = user_agent.len().min(USER_AGENT_BYTES_MAX);
    let lower = &mut lower[..length];
    lower.copy_from_slice(&user_agent[..length]);
    lower.make_ascii_lowercase();
    mask_devices(lower);
    let text = lower.trim_ascii();

    let found = NAMES.found_in(text);
    let first = found.trailing_zeros();
    if found != 0 && first < PREVIEW_NAMES {
        let class = if first < PREFETCH_NAMES { Class::Prefetch } else { Class::Preview };
        return Classified { class, reason: NAMES.tokens()[first as usize] };
    }
    if text.starts_with(b"microsoft office") {
        return Classified { class: Class::Prefetch, reason: "microsoft office" };
    }
    if let Some(app) = previewing_app(text) {
        return Classified { class: Class::Preview, reason: app };
    }
    let bot = shape(text).or_else(|| word(text)).or_else(|| (found != 0).then(|| NAMES.tokens()[first as usize]));
    match bot {
        Some(reason) => Classified { class: Class::Bot, reason },
        None => Classified { class: Class::Human, reason: "none" },
    }
}

fn previewing_app(text: &[u8]) -> Option<&'static str> {
    if has(text, b"applewebkit/") || has(text, b"gecko/") {
        return None;
    }
    APPS_WITH_PREVIEWS.iter().copied().find(|app| has(text, app.as_bytes()))
}

fn word(text: &[u8]) -> Option<&'static str> {
    let is_end = |at: usize| !text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let program = PROGRAMS.iter().copied().find(|name| text.starts_with(name.as_bytes()) && is_end(name.len()));
    let start = || STARTS.iter().copied().find(|start| text.starts_with(start.as_bytes()));
    let anywhere = || {
        let place = WORDS.first_in(text, |place, at| {
            let bounds = BOUNDS[place];
            (bounds & 1 == 0 || at == 0 || is_end(at - 1)) && (bounds & 2 == 0 || is_end(at + ANYWHERE[place].len()))
        })?;
        Some(ANYWHERE[place])
    };
    program.or_else(start).or_else(anywhere)
}

/// The character that masks the name of a device; no word contains it.
const BLOT: u8 = 1;

/// Masks the names of devices: in a comment about Android what follows the system, in an app's comment after the word
/// `Android` everything, and the block `[FB...]` of one maker's apps.
fn mask_devices(lower: &mut [u8]) {
    let mut at = 0;
    while at < lower.len() {
        let end = match lower[at] {
            b'(' => end_of_comment(lower, at),
            b'[' if lower[at..].starts_with(b"[fb") => {
                lower[at..].iter().position(|byte| *byte == b']').map(|end| at + end)
            }
            _ => None,
        };
        let Some(end) = end.or_else(|| (lower[at..].starts_with(b"[fb")).then_some(lower.len())) else {
            at += 1;
            continue;
        };
        let is_of_app = lower[at] == b'[' || lower[..at].ends_with(b"android ");
        let inner = &mut lower[at + 1..end];
        if is_of_app {
            inner.fill(BLOT);
        } else {
            mask_model(inner);
        }
        at = end + 1;
    }
}

/// The position of the `)` that ends the comment beginning here, or of the text's end.
fn end_of_comment(text: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in text.iter().enumerate().skip(start) {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(text.len())
}

/// Masks the model in a comment that names Android: the first part after the system that is not a language, and every
/// part with a build. A part with a URL is not a model.
fn mask_model(comment: &mut [u8]) {
    let is_system =
        |part: &[u8]| part.starts_with(b"android") || part.starts_with(b"harmonyos") || part.starts_with(b"adr ");
    let is_language = |part: &[u8]| {
        matches!(part.len(), 2 | 5) && part.iter().enumerate().all(|(at, byte)| byte.is_ascii_lowercase() || at == 2)
    };
    let (mut after_system, mut is_named) = (false, false);
    for part in comment.split_mut(|byte| *byte == b';') {
        let trimmed = part.trim_ascii();
        if is_system(trimmed) {
            after_system = true;
            continue;
        }
        let has_build = has(trimmed, b"build/");
        let is_address = has(trimmed, b"://");
        let is_model =
            !is_named && !is_language(trimmed) && !matches!(trimmed, b"mobile" | b"tablet" | b"wv" | b"u" | b"linux");
        if after_system && !is_address && (has_build || is_model) {
            is_named = true;
            part.fill(BLOT);
        }
    }
}
