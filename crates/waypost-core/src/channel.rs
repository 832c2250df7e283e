//! The channel of a click: the kind of place that the visitor came from.
//!
//! `utm_medium`, which the link's creator chose, takes precedence over what the referrer suggests. The lists below are
//! our own and hold facts only: hosts, and the names of Android apps, which browsers send as
//! `android-app://com.example`. A host includes all its subdomains.

use crate::coded::coded_enum;

use crate::referrer::is_within;

coded_enum! {
    /// The kind of place that a visitor came from.
    pub enum Channel {
        /// No referrer: typed, a bookmark, an app, a code that is not the link's own. Also a page of the link's own domain.
        Direct = 0 "direct",
        /// A search engine.
        Search = 1 "search",
        /// A social network.
        Social = 2 "social",
        /// A mail program or newsletter.
        Email = 3 "email",
        /// An assistant or chat bot that answers with links.
        Assistant = 4 "assistant",
        /// A messenger.
        Messenger = 5 "messenger",
        /// Paid: the UTM medium says so.
        Paid = 6 "paid",
        /// Any other page.
        Referral = 7 "referral",
        /// The QR code of the link: the request has its mark. No medium and no referrer is read then.
        Qr = 8 "qr",
    }
}

/// The channel of a click on a link of `own_host`, from the referrer's host and the value of `utm_medium`; each empty
/// if it is unknown.
///
/// `referrer_host` is in lower case. A referrer within the link's own host is the preview page or the unlock form of a
/// link. It does not show where the visitor came from, so the channel is direct.
pub fn channel(referrer_host: &str, utm_medium: &str, own_host: &str) -> Channel {
    of_medium(utm_medium).unwrap_or_else(|| of_referrer(referrer_host, own_host))
}

/// The channel that a UTM medium names; `None` for a medium that names none, such as `referral`.
fn of_medium(medium: &str) -> Option<Channel> {
    let medium = medium.trim_ascii();
    let is = |names: &[&str]| names.iter().any(|name| medium.eq_ignore_ascii_case(name));
    let starts_with_paid = medium.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("paid"));
    if medium.is_empty() {
        None
    } else if starts_with_paid || is(PAID_MEDIA) {
        Some(Channel::Paid)
    } else if is(EMAIL_MEDIA) {
        Some(Channel::Email)
    } else if is(SOCIAL_MEDIA) {
        Some(Channel::Social)
    } else if is(MESSENGER_MEDIA) {
        Some(Channel::Messenger)
    } else if is(&["organic"]) {
        Some(Channel::Search)
    } else {
        None
    }
}

fn of_referrer(host: &str, own_host: &str) -> Channel {
    if host.is_empty() || is_within(host, own_host) {
        return Channel::Direct;
    }
    // The whole host first, then its parents, so that `mail.google.com` is found before `google.com`.
    let known = suffixes(host).find_map(|site| SITES.binary_search_by_key(&site, |(known, _)| known).ok());
    match known {
        Some(place) => SITES[place].1,
        None if suffixes(host).any(is_national_search) => Channel::Search,
        None => Channel::Referral,
    }
}

/// The host, then what follows its first dot, and so on.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |rest| rest.split_once('.').map(|(_, rest)| rest)).take(LABELS_MAX)
}

/// Whether this is a country's host of a search engine: `google.at`, `google.co.uk`, `google.com.br`.
fn is_national_search(site: &str) -> bool {
    let Some((name, rest)) = site.split_once('.') else { return false };
    let country = rest.strip_prefix("com.").or_else(|| rest.strip_prefix("co.")).unwrap_or(rest);
    matches!(name, "google" | "yandex") && (matches!(country, "com" | "cat") || is_country(country))
}

fn is_country(label: &str) -> bool {
    label.len() == 2 && label.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The most labels of a host that are examined.
const LABELS_MAX: usize = 16;

const PAID_MEDIA: &[&str] = &[
    "cpc",
    "ppc",
    "cpm",
    "cpv",
    "cpa",
    "cpp",
    "cpe",
    "display",
    "banner",
    "retargeting",
    "remarketing",
    "sem",
    "ads",
    "ad",
    "affiliate",
    "sponsored",
    "programmatic",
    "native",
];
const EMAIL_MEDIA: &[&str] = &["email", "e-mail", "e_mail", "mail", "newsletter", "edm"];
const SOCIAL_MEDIA: &[&str] =
    &["social", "social-media", "social_media", "socialmedia", "social-network", "social network", "sm"];
const MESSENGER_MEDIA: &[&str] = &["messenger", "chat", "sms", "whatsapp", "im"];

/// Known sites and apps, sorted by name; a table.
const SITES: &[(&str, Channel)] = &[
    ("accounts.google.com", Channel::Referral),
    ("ai.mistral.chat", Channel::Assistant),
    ("ai.perplexity.app.android", Channel::Assistant),
    ("ai.x.grok", Channel::Assistant),
    ("app.fastmail.com", Channel::Email),
    ("app.hey.com", Channel::Email),
    ("app.mailerlite.com", Channel::Email),
    ("app.tuta.com", Channel::Email),
    ("ask.com", Channel::Search),
    ("b23.tv", Channel::Social),
    ("baidu.com", Channel::Search),
    ("baike.baidu.com", Channel::Referral),
    ("bard.google.com", Channel::Assistant),
    ("behance.net", Channel::Social),
    ("bilibili.com", Channel::Social),
    ("bing.com", Channel::Search),
    ("bsky.app", Channel::Social),
    ("buttondown.com", Channel::Email),
    ("buttondown.email", Channel::Email),
    ("calendar.google.com", Channel::Referral),
    ("campaign-archive.com", Channel::Email),
    ("ch.protonmail.android", Channel::Email),
    ("ch.threema.app", Channel::Messenger),
    ("character.ai", Channel::Assistant),
    ("chat.baidu.com", Channel::Assistant),
    ("chat.deepseek.com", Channel::Assistant),
    ("chat.google.com", Channel::Messenger),
    ("chat.mistral.ai", Channel::Assistant),
    ("chat.openai.com", Channel::Assistant),
    ("chat.qwen.ai", Channel::Assistant),
    ("chatglm.cn", Channel::Assistant),
    ("chatgpt.com", Channel::Assistant),
    ("classroom.google.com", Channel::Referral),
    ("claude.ai", Channel::Assistant),
    ("cloud.google.com", Channel::Referral),
    ("coccoc.com", Channel::Search),
    ("com.andrewshu.android.reddit", Channel::Social),
    ("com.anthropic.claude", Channel::Assistant),
    ("com.deepseek.chat", Channel::Assistant),
    ("com.discord", Channel::Messenger),
    ("com.duckduckgo.mobile.android", Channel::Search),
    ("com.facebook.katana", Channel::Social),
    ("com.facebook.lite", Channel::Social),
    ("com.facebook.orca", Channel::Messenger),
    ("com.fastmail.app", Channel::Email),
    ("com.fsck.k9", Channel::Email),
    ("com.google.android.apps.bard", Channel::Assistant),
    ("com.google.android.apps.dynamite", Channel::Messenger),
    ("com.google.android.apps.messaging", Channel::Messenger),
    ("com.google.android.gm", Channel::Email),
    ("com.google.android.googlequicksearchbox", Channel::Search),
    ("com.google.android.youtube", Channel::Social),
    ("com.imo.android.imoim", Channel::Messenger),
    ("com.instagram.android", Channel::Social),
    ("com.instagram.barcelona", Channel::Social),
    ("com.kakao.talk", Channel::Messenger),
    ("com.laurencedawson.reddit_sync", Channel::Social),
    ("com.linkedin.android", Channel::Social),
    ("com.medium.reader", Channel::Social),
    ("com.microsoft.bing", Channel::Search),
    ("com.microsoft.copilot", Channel::Assistant),
    ("com.microsoft.office.outlook", Channel::Email),
    ("com.microsoft.teams", Channel::Messenger),
    ("com.moonshot.kimichat", Channel::Assistant),
    ("com.openai.chatgpt", Channel::Assistant),
    ("com.pinterest", Channel::Social),
    ("com.quora.android", Channel::Social),
    ("com.reddit.frontpage", Channel::Social),
    ("com.samsung.android.email.provider", Channel::Email),
    ("com.samsung.android.messaging", Channel::Messenger),
    ("com.sina.weibo", Channel::Social),
    ("com.skype.raider", Channel::Messenger),
    ("com.slack", Channel::Messenger),
    ("com.snapchat.android", Channel::Social),
    ("com.ss.android.ugc.trill", Channel::Social),
    ("com.tencent.mm", Channel::Messenger),
    ("com.tencent.mobileqq", Channel::Messenger),
    ("com.tumblr", Channel::Social),
    ("com.twitter.android", Channel::Social),
    ("com.viber.voip", Channel::Messenger),
    ("com.vkontakte.android", Channel::Social),
    ("com.whatsapp", Channel::Messenger),
    ("com.wire", Channel::Messenger),
    ("com.xingin.xhs", Channel::Social),
    ("com.yahoo.mobile.client.android.mail", Channel::Email),
    ("com.zhiliaoapp.musically", Channel::Social),
    ("com.zing.zalo", Channel::Messenger),
    ("copilot.cloud.microsoft", Channel::Assistant),
    ("copilot.microsoft.com", Channel::Assistant),
    ("createsend.com", Channel::Email),
    ("de.gmx.mobile.android.mail", Channel::Email),
    ("de.web.mobile.android.mail", Channel::Email),
    ("deref-gmx.net", Channel::Email),
    ("deref-mail.com", Channel::Email),
    ("deref-web.de", Channel::Email),
    ("developers.google.com", Channel::Referral),
    ("deviantart.com", Channel::Social),
    ("digg.com", Channel::Social),
    ("discord.com", Channel::Messenger),
    ("discordapp.com", Channel::Messenger),
    ("docs.google.com", Channel::Referral),
    ("dogpile.com", Channel::Search),
    ("douban.com", Channel::Social),
    ("doubao.com", Channel::Assistant),
    ("douyin.com", Channel::Social),
    ("dribbble.com", Channel::Social),
    ("drive.google.com", Channel::Referral),
    ("duck.ai", Channel::Assistant),
    ("duckduckgo.com", Channel::Search),
    ("e.mail.ru", Channel::Email),
    ("ecosia.org", Channel::Search),
    ("element.io", Channel::Messenger),
    ("email.seznam.cz", Channel::Email),
    ("excite.com", Channel::Search),
    ("facebook.com", Channel::Social),
    ("fb.com", Channel::Social),
    ("fb.me", Channel::Social),
    ("felo.ai", Channel::Assistant),
    ("flipboard.com", Channel::Social),
    ("forms.google.com", Channel::Referral),
    ("fosstodon.org", Channel::Social),
    ("free.reddit.news", Channel::Social),
    ("gab.com", Channel::Social),
    ("gemini.google.com", Channel::Assistant),
    ("genspark.ai", Channel::Assistant),
    ("gettr.com", Channel::Social),
    ("gibiru.com", Channel::Search),
    ("grok.com", Channel::Assistant),
    ("groups.google.com", Channel::Referral),
    ("hachyderm.io", Channel::Social),
    ("haosou.com", Channel::Search),
    ("hotmail.com", Channel::Email),
    ("im.vector.app", Channel::Messenger),
    ("imo.im", Channel::Messenger),
    ("inbox.google.com", Channel::Email),
    ("indiehackers.com", Channel::Social),
    ("infosec.exchange", Channel::Social),
    ("instagram.com", Channel::Social),
    ("io.syncapps.lemmy_sync", Channel::Social),
    ("jp.naver.line.android", Channel::Messenger),
    ("kagi.com", Channel::Search),
    ("keep.google.com", Channel::Referral),
    ("kimi.com", Channel::Assistant),
    ("kimi.moonshot.cn", Channel::Assistant),
    ("l.wl.co", Channel::Messenger),
    ("lemmy.ml", Channel::Social),
    ("lemmy.world", Channel::Social),
    ("line.me", Channel::Messenger),
    ("linkedin.com", Channel::Social),
    ("list-manage.com", Channel::Email),
    ("lmarena.ai", Channel::Assistant),
    ("lnkd.in", Channel::Social),
    ("lobste.rs", Channel::Social),
    ("lycos.com", Channel::Search),
    ("m.me", Channel::Messenger),
    ("m365.cloud.microsoft", Channel::Assistant),
    ("mail.126.com", Channel::Email),
    ("mail.163.com", Channel::Email),
    ("mail.aol.com", Channel::Email),
    ("mail.daum.net", Channel::Email),
    ("mail.gmx.com", Channel::Email),
    ("mail.gmx.net", Channel::Email),
    ("mail.google.com", Channel::Email),
    ("mail.icloud.com", Channel::Email),
    ("mail.libero.it", Channel::Email),
    ("mail.live.com", Channel::Email),
    ("mail.naver.com", Channel::Email),
    ("mail.orange.fr", Channel::Email),
    ("mail.proton.me", Channel::Email),
    ("mail.protonmail.com", Channel::Email),
    ("mail.qq.com", Channel::Email),
    ("mail.tutanota.com", Channel::Email),
    ("mail.yahoo.co.jp", Channel::Email),
    ("mail.yahoo.com", Channel::Email),
    ("mail.yandex.com", Channel::Email),
    ("mail.yandex.ru", Channel::Email),
    ("mail.zoho.com", Channel::Email),
    ("mail.zoho.eu", Channel::Email),
    ("mailchi.mp", Channel::Email),
    ("manus.im", Channel::Assistant),
    ("maps.google.com", Channel::Referral),
    ("mas.to", Channel::Social),
    ("mastodon.online", Channel::Social),
    ("mastodon.social", Channel::Social),
    ("mastodon.world", Channel::Social),
    ("matrix.to", Channel::Messenger),
    ("medium.com", Channel::Social),
    ("meet.google.com", Channel::Referral),
    ("meetup.com", Channel::Social),
    ("messenger.com", Channel::Messenger),
    ("meta.ai", Channel::Assistant),
    ("metager.de", Channel::Search),
    ("metager.org", Channel::Search),
    ("mixi.jp", Channel::Social),
    ("mojeek.com", Channel::Search),
    ("mstdn.social", Channel::Social),
    ("myspace.com", Channel::Social),
    ("navigator.gmx.net", Channel::Email),
    ("navigator.web.de", Channel::Email),
    ("net.thunderbird.android", Channel::Email),
    ("news.google.com", Channel::Referral),
    ("news.ycombinator.com", Channel::Social),
    ("nextdoor.com", Channel::Social),
    ("notebooklm.google.com", Channel::Assistant),
    ("nova.rambler.ru", Channel::Search),
    ("ok.ru", Channel::Social),
    ("org.joinmastodon.android", Channel::Social),
    ("org.telegram.messenger", Channel::Messenger),
    ("org.telegram.plus", Channel::Messenger),
    ("org.thoughtcrime.securesms", Channel::Messenger),
    ("org.thunderdog.challegram", Channel::Messenger),
    ("outlook.com", Channel::Email),
    ("outlook.live.com", Channel::Email),
    ("outlook.office.com", Channel::Email),
    ("outlook.office365.com", Channel::Email),
    ("pan.baidu.com", Channel::Referral),
    ("parler.com", Channel::Social),
    ("perplexity.ai", Channel::Assistant),
    ("phind.com", Channel::Assistant),
    ("pi.ai", Channel::Assistant),
    ("pin.it", Channel::Social),
    ("pinterest.ca", Channel::Social),
    ("pinterest.co.uk", Channel::Social),
    ("pinterest.com", Channel::Social),
    ("pinterest.de", Channel::Social),
    ("pinterest.es", Channel::Social),
    ("pinterest.fr", Channel::Social),
    ("pinterest.it", Channel::Social),
    ("play.google.com", Channel::Referral),
    ("plurk.com", Channel::Social),
    ("poczta.onet.pl", Channel::Email),
    ("poczta.wp.pl", Channel::Email),
    ("poe.com", Channel::Assistant),
    ("presearch.com", Channel::Search),
    ("producthunt.com", Channel::Social),
    ("quora.com", Channel::Social),
    ("qwant.com", Channel::Search),
    ("redd.it", Channel::Social),
    ("reddit.com", Channel::Social),
    ("ru.mail.mailapp", Channel::Email),
    ("ru.ok.android", Channel::Social),
    ("safelinks.protection.outlook.com", Channel::Email),
    ("search.aol.com", Channel::Search),
    ("search.brave.com", Channel::Search),
    ("search.daum.net", Channel::Search),
    ("search.lilo.org", Channel::Search),
    ("search.marginalia.nu", Channel::Search),
    ("search.naver.com", Channel::Search),
    ("search.seznam.cz", Channel::Search),
    ("search.t-online.de", Channel::Search),
    ("search.yahoo.co.jp", Channel::Search),
    ("search.yahoo.com", Channel::Search),
    ("searchencrypt.com", Channel::Search),
    ("searx.be", Channel::Search),
    ("sendgrid.net", Channel::Email),
    ("signal.me", Channel::Messenger),
    ("signal.org", Channel::Messenger),
    ("sites.google.com", Channel::Referral),
    ("skype.com", Channel::Messenger),
    ("slack.com", Channel::Messenger),
    ("sm.cn", Channel::Search),
    ("snapchat.com", Channel::Social),
    ("so.com", Channel::Search),
    ("sogou.com", Channel::Search),
    ("startpage.com", Channel::Search),
    ("stocktwits.com", Channel::Social),
    ("store.google.com", Channel::Referral),
    ("stumbleupon.com", Channel::Social),
    ("suche.gmx.net", Channel::Search),
    ("suche.t-online.de", Channel::Search),
    ("suche.web.de", Channel::Search),
    ("support.google.com", Channel::Referral),
    ("swisscows.com", Channel::Search),
    ("szukaj.onet.pl", Channel::Search),
    ("t.cn", Channel::Social),
    ("t.co", Channel::Social),
    ("t.me", Channel::Messenger),
    ("taringa.net", Channel::Social),
    ("teams.cloud.microsoft", Channel::Messenger),
    ("teams.live.com", Channel::Messenger),
    ("teams.microsoft.com", Channel::Messenger),
    ("telegram.me", Channel::Messenger),
    ("telegram.org", Channel::Messenger),
    ("threads.com", Channel::Social),
    ("threads.net", Channel::Social),
    ("threema.ch", Channel::Messenger),
    ("tieba.baidu.com", Channel::Social),
    ("tiktok.com", Channel::Social),
    ("tongyi.aliyun.com", Channel::Assistant),
    ("translate.google.com", Channel::Referral),
    ("troet.cafe", Channel::Social),
    ("truthsocial.com", Channel::Social),
    ("tumblr.com", Channel::Social),
    ("tv.twitch.android.app", Channel::Social),
    ("twitch.tv", Channel::Social),
    ("twitter.com", Channel::Social),
    ("viber.com", Channel::Messenger),
    ("vk.com", Channel::Social),
    ("vk.ru", Channel::Social),
    ("wa.me", Channel::Messenger),
    ("wechat.com", Channel::Messenger),
    ("weibo.cn", Channel::Social),
    ("weibo.com", Channel::Social),
    ("weixin.qq.com", Channel::Messenger),
    ("whatsapp.com", Channel::Messenger),
    ("wx.qq.com", Channel::Messenger),
    ("x.com", Channel::Social),
    ("xhslink.com", Channel::Social),
    ("xiaohongshu.com", Channel::Social),
    ("xing.com", Channel::Social),
    ("xyz.blueskyweb.app", Channel::Social),
    ("ya.ru", Channel::Search),
    ("yep.com", Channel::Search),
    ("yiyan.baidu.com", Channel::Assistant),
    ("you.com", Channel::Search),
    ("youtu.be", Channel::Social),
    ("youtube.com", Channel::Social),
    ("yuanbao.tencent.com", Channel::Assistant),
    ("zalo.me", Channel::Messenger),
    ("zhidao.baidu.com", Channel::Referral),
    ("zhihu.com", Channel::Social),
    ("zulipchat.com", Channel::Messenger),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(referrer_host: &str, utm_medium: &str, expect: Channel) {
        let found = channel(referrer_host, utm_medium, "go.example");
        assert_eq!(found, expect, "{referrer_host:?} with medium {utm_medium:?}");
    }

    #[test]
    fn the_table_is_sorted_and_in_lower_case() {
        for pair in SITES.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} comes before {}", pair[0].0, pair[1].0);
        }
        for (site, _) in SITES {
            assert_eq!(*site, site.to_ascii_lowercase());
        }
    }

    #[test]
    fn referrers() {
        check("", "", Channel::Direct);
        check("go.example", "", Channel::Direct);
        check("www.go.example", "", Channel::Direct);
        check("example", "", Channel::Referral);
        check("www.google.com", "", Channel::Search);
        check("www.google.co.uk", "", Channel::Search);
        check("google.com.br", "", Channel::Search);
        check("google.at", "", Channel::Search);
        check("yandex.ru", "", Channel::Search);
        check("mail.google.com", "", Channel::Email);
        check("docs.google.com", "", Channel::Referral);
        check("gemini.google.com", "", Channel::Assistant);
        check("duckduckgo.com", "", Channel::Search);
        check("uk.search.yahoo.com", "", Channel::Search);
        check("www.bing.com", "", Channel::Search);
        check("t.co", "", Channel::Social);
        check("l.facebook.com", "", Channel::Social);
        check("lm.facebook.com", "", Channel::Social);
        check("out.reddit.com", "", Channel::Social);
        check("news.ycombinator.com", "", Channel::Social);
        check("com.twitter.android", "", Channel::Social);
        check("org.telegram.messenger", "", Channel::Messenger);
        check("web.whatsapp.com", "", Channel::Messenger);
        check("app.slack.com", "", Channel::Messenger);
        check("outlook.live.com", "", Channel::Email);
        check("com.google.android.gm", "", Channel::Email);
        check("chatgpt.com", "", Channel::Assistant);
        check("www.perplexity.ai", "", Channel::Assistant);
        check("claude.ai", "", Channel::Assistant);
        check("copilot.microsoft.com", "", Channel::Assistant);
        check("blog.example", "", Channel::Referral);
    }

    #[test]
    fn hosts_that_only_look_known() {
        for host in [
            "nott.co",
            "t.co.evil.example",
            "google.evil.example",
            "google.com.evil.example",
            "notgoogle.com",
            "google",
            "google.",
            "google.co.",
            "google.12",
            "facebook.com.example",
            ".",
            "..",
            "a..b",
            "192.0.2.1",
            "[2001:db8::1]",
        ] {
            check(host, "", Channel::Referral);
        }
        check(&"a.".repeat(100_000), "", Channel::Referral);
    }

    #[test]
    fn media() {
        check("", "cpc", Channel::Paid);
        check("www.google.com", "CPC", Channel::Paid);
        check("t.co", "paid_social", Channel::Paid);
        check("t.co", "Paid Search", Channel::Paid);
        check("", "email", Channel::Email);
        check("mail.google.com", "newsletter", Channel::Email);
        check("", "social", Channel::Social);
        check("", " Social ", Channel::Social);
        check("go.example", "social", Channel::Social);
        check("", "sms", Channel::Messenger);
        check("", "organic", Channel::Search);
        check("t.co", "referral", Channel::Social);
        check("", "qr", Channel::Direct);
        check("blog.example", "päid", Channel::Referral);
    }
}
