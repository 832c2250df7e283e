//! Sources of generated visitors: pages that refer to links, and the campaigns that links belong to. This file is a
//! table.

use crate::random::{Random, Weighted};

/// Referrers as browsers send them (most sites say no more than their origin), and how many come from there. The empty
/// one is a visit that nothing refers.
const REFERRERS: &[(f64, &str)] = &[
    (430.0, ""),
    (80.0, "https://www.google.com/"),
    (14.0, "https://www.google.de/"),
    (10.0, "https://www.google.co.uk/"),
    (8.0, "android-app://com.google.android.googlequicksearchbox/"),
    (22.0, "https://www.bing.com/"),
    (14.0, "https://duckduckgo.com/"),
    (6.0, "https://yandex.ru/"),
    (4.0, "https://www.baidu.com/"),
    (4.0, "https://search.brave.com/"),
    (2.0, "https://www.ecosia.org/"),
    (55.0, "https://l.facebook.com/"),
    (30.0, "https://lm.facebook.com/"),
    (20.0, "https://m.facebook.com/"),
    (12.0, "http://m.facebook.com/"),
    (60.0, "https://l.instagram.com/"),
    (40.0, "https://t.co/"),
    (24.0, "https://www.linkedin.com/"),
    (6.0, "https://lnkd.in/"),
    (4.0, "android-app://com.linkedin.android/"),
    (22.0, "https://www.youtube.com/"),
    (24.0, "https://www.tiktok.com/"),
    (20.0, "https://www.reddit.com/"),
    (4.0, "https://old.reddit.com/"),
    (8.0, "https://www.pinterest.com/"),
    (6.0, "https://www.threads.net/"),
    (6.0, "https://bsky.app/"),
    (4.0, "https://mastodon.social/"),
    (3.0, "https://vk.com/"),
    (3.0, "https://news.ycombinator.com/"),
    (10.0, "https://mail.google.com/"),
    (8.0, "https://outlook.live.com/"),
    (6.0, "https://outlook.office.com/"),
    (3.0, "https://mail.yahoo.com/"),
    (2.0, "https://navigator.gmx.net/"),
    (8.0, "https://web.whatsapp.com/"),
    (6.0, "https://web.telegram.org/"),
    (5.0, "android-app://org.telegram.messenger/"),
    (3.0, "https://discord.com/"),
    (3.0, "https://teams.microsoft.com/"),
    (4.0, "https://app.slack.com/"),
    (12.0, "https://chatgpt.com/"),
    (4.0, "https://www.perplexity.ai/"),
    (3.0, "https://gemini.google.com/"),
    (2.0, "https://claude.ai/"),
    (3.0, "https://copilot.microsoft.com/"),
    (10.0, "https://linktr.ee/"),
];

/// Pages of other sites that refer to links, and how many visits they bring together.
const SITES: usize = 400;
const SITES_WEIGHT: f64 = 120.0;

/// The number of campaigns.
const CAMPAIGNS: usize = 160;

/// Where links are put, as the source and medium of a campaign.
const CAMPAIGN_PLACES: &[(&str, &str)] = &[
    ("newsletter", "email"),
    ("mailchimp", "email"),
    ("twitter", "social"),
    ("facebook", "social"),
    ("instagram", "social"),
    ("linkedin", "social"),
    ("tiktok", "social"),
    ("google", "cpc"),
    ("bing", "cpc"),
    ("facebook", "paid_social"),
    ("instagram", "paid_social"),
    ("poster", "qr"),
    ("packaging", "qr"),
    ("partner", "referral"),
    ("podcast", "audio"),
    ("youtube", "video"),
];

const CAMPAIGN_WORDS: [&str; 12] = [
    "spring",
    "summer-sale",
    "black_friday",
    "launch",
    "webinar",
    "onboarding",
    "retargeting",
    "fr%C3%BChling",
    "q3+report",
    "always-on",
    "beta",
    "winter",
];

/// Both, to be picked from.
#[derive(Debug)]
pub(super) struct Origins {
    referrers: Vec<String>,
    picks: Weighted,
    /// The UTM parameters of final URLs, as written there.
    pub(super) campaigns: Vec<String>,
}

impl Origins {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut referrers: Vec<String> = REFERRERS.iter().map(|(_, referrer)| (*referrer).to_owned()).collect();
        let mut weights: Vec<f64> = REFERRERS.iter().map(|(weight, _)| *weight).collect();
        let ranks: f64 = (1..=SITES).map(|rank| 1.0 / rank as f64).sum();
        for rank in 1..=SITES {
            let page = random.below(1_000);
            referrers.push(format!("https://site-{rank}.example/posts/{page}/a-page-with-links"));
            weights.push(SITES_WEIGHT / rank as f64 / ranks);
        }
        let campaigns = (0..CAMPAIGNS).map(|number| campaign(random, number)).collect();
        Self { referrers, picks: Weighted::new(&weights), campaigns }
    }

    /// The referrer that belongs to these random bits.
    pub(super) fn referrer(&self, bits: u64) -> &str {
        &self.referrers[self.picks.place(bits)]
    }
}

fn campaign(random: &mut Random, number: usize) -> String {
    let (source, medium) = *random.pick(CAMPAIGN_PLACES);
    let word = *random.pick(&CAMPAIGN_WORDS);
    let mut text = format!("utm_source={source}&utm_medium={medium}&utm_campaign={word}-{}", number % 40);
    if medium == "cpc" {
        text.push_str(&format!("&utm_term=term+{}", random.below(30)));
    }
    if random.chance(0.3) {
        text.push_str(&format!("&utm_content=banner_{}", random.below(6)));
    }
    text
}
