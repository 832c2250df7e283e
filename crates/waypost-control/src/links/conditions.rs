//! Whether the values of a condition exist: countries, regions, languages and sites, each with a suggestion.

use waypost_core::Hostname;

/// ISO 3166-1 alpha-2, and `XK`, which country databases use for Kosovo.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV \
    BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG \
    KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX \
    MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG \
    SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG \
    VI VN VU WF WS XK YE YT ZA ZM ZW";

/// What people write for a country, and its code.
const MEANT_COUNTRIES: [(&str, &str); 22] = [
    ("UK", "GB"),
    ("EN", "GB"),
    ("GBR", "GB"),
    ("USA", "US"),
    ("DEU", "DE"),
    ("GER", "DE"),
    ("AUT", "AT"),
    ("CHE", "CH"),
    ("SUI", "CH"),
    ("FRA", "FR"),
    ("ESP", "ES"),
    ("ITA", "IT"),
    ("NLD", "NL"),
    ("EL", "GR"),
    ("JA", "JP"),
    ("JPN", "JP"),
    ("CHN", "CN"),
    ("DA", "DK"),
    ("CS", "CZ"),
    ("IND", "IN"),
    ("BRA", "BR"),
    ("TP", "TL"),
];

/// ISO 639-1. Languages of three letters are taken as they come: there are thousands.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee \
    el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg \
    ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv \
    ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl \
    tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// What people write for a language, and its tag.
const MEANT_LANGUAGES: [(&str, &str); 20] = [
    ("jp", "ja"),
    ("cz", "cs"),
    ("dk", "da"),
    ("cn", "zh"),
    ("ua", "uk"),
    ("gr", "el"),
    ("us", "en-US"),
    ("gb", "en-GB"),
    ("at", "de-AT"),
    ("by", "be"),
    ("iw", "he"),
    ("in", "id"),
    ("ji", "yi"),
    ("english", "en"),
    ("german", "de"),
    ("deutsch", "de"),
    ("french", "fr"),
    ("spanish", "es"),
    ("italian", "it"),
    ("portuguese", "pt"),
];

/// Bytes of a language tag.
const TAG_BYTES_MAX: usize = 35;
/// Bytes of a site.
const SITE_BYTES_MAX: usize = 255;

fn has(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == word)
}

fn meant(known: &[(&'static str, &'static str)], word: &str) -> Option<&'static str> {
    known.iter().find(|(written, _)| written.eq_ignore_ascii_case(word)).map(|(_, meant)| *meant)
}

/// Checks a country code, in any letter case.
pub(crate) fn check_country(code: &str) -> Result<(), String> {
    let code = code.trim();
    if code.len() == 2 && has(COUNTRIES, &code.to_ascii_uppercase()) {
        return Ok(());
    }
    Err(match meant(&MEANT_COUNTRIES, code) {
        Some(meant) => format!("must be a country code of ISO 3166-1: did you mean {meant}?"),
        None if code.eq_ignore_ascii_case("eu") => {
            "must be a country code of ISO 3166-1: name the countries of the EU".to_owned()
        }
        None => "must be a country code of ISO 3166-1, of two letters such as DE".to_owned(),
    })
}

/// Checks a region, in any letter case: a country, and the code that the country gives to a part of it.
pub(crate) fn check_region(code: &str) -> Result<(), String> {
    let wanted = "must be a code of ISO 3166-2 such as DE-BY";
    let Some((country, part)) = code.trim().split_once('-') else { return Err(wanted.to_owned()) };
    if !(1..=3).contains(&part.len()) || !part.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(wanted.to_owned());
    }
    match check_country(country) {
        Ok(()) => Ok(()),
        Err(_) => Err(match meant(&MEANT_COUNTRIES, country) {
            Some(meant) => format!("{wanted}: did you mean {meant}-{part}?"),
            None => wanted.to_owned(),
        }),
    }
}

/// Checks a language tag such as `de` or `zh-Hant-TW`.
pub(crate) fn check_language(tag: &str) -> Result<(), String> {
    let wanted = "must be a language tag such as de or de-AT";
    if tag.trim() == "*" {
        return Err(format!("{wanted}: omit languages to match any"));
    }
    match tag_meant(tag) {
        Some(meant) if meant == tag => Ok(()),
        Some(meant) => Err(format!("{wanted}: did you mean {meant}?")),
        None => Err(wanted.to_owned()),
    }
}

/// The tag that a text means, which is itself where it is one; `None` where it means none.
fn tag_meant(tag: &str) -> Option<String> {
    let written = tag.trim().replace('_', "-");
    let mut parts = written.split('-');
    let language = parts.next()?;
    let is_language = match language.len() {
        2 => has(LANGUAGES, &language.to_ascii_lowercase()),
        3 => language.bytes().all(|byte| byte.is_ascii_alphabetic()),
        _ => false,
    };
    let mut meant_tag = if is_language { language.to_owned() } else { meant(&MEANT_LANGUAGES, language)?.to_owned() };
    for part in parts {
        let is_plain = (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_region = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
        let part = match () {
            () if !is_plain => return None,
            () if is_region && !has(COUNTRIES, &part.to_ascii_uppercase()) => meant(&MEANT_COUNTRIES, part)?,
            () => part,
        };
        // `us-US` means `en-US`, once.
        if !meant_tag.ends_with(&format!("-{part}")) {
            meant_tag.push('-');
            meant_tag.push_str(part);
        }
    }
    (meant_tag.len() <= TAG_BYTES_MAX).then_some(meant_tag)
}

/// Checks the host of a site that visitors come from.
pub(crate) fn check_site(site: &str) -> Result<(), String> {
    if is_site(site.trim().trim_end_matches('.')) {
        return Ok(());
    }
    let wanted = "must be a host such as twitter.com";
    let rest = site.trim().split_once("://").map_or(site.trim(), |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split(':').next().unwrap_or_default();
    let bare = host.trim_start_matches(['*', '.']);
    Err(if is_site(bare) && site.contains('*') {
        format!("{wanted}: did you mean {bare}? It has what is below it in it")
    } else if is_site(bare) {
        format!("{wanted}: did you mean {bare}?")
    } else if bare.is_empty() && site.contains('*') {
        format!("{wanted}: omit referrers to match any")
    } else {
        wanted.to_owned()
    })
}

fn is_site(site: &str) -> bool {
    // Apps name themselves by packages, whose names may have underscores.
    let is_package = || {
        site.contains('.')
            && site.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
    };
    (1..=SITE_BYTES_MAX).contains(&site.len()) && !site.contains('*') && (Hostname::parse(site).is_ok() || is_package())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(checked: Result<(), String>, part: &str) {
        let message = checked.expect_err(part);
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn countries() {
        for good in ["DE", "gb", "XK", "TW"] {
            assert_eq!(check_country(good), Ok(()), "{good}");
        }
        assert_eq!(COUNTRIES.split_ascii_whitespace().count(), 250);
        for (bad, part) in [("UK", "mean GB?"), ("uk", "mean GB?"), ("USA", "mean US?"), ("EU", "countries of the EU")]
        {
            refused(check_country(bad), part);
        }
        for bad in ["XX", "T1", "", "D", "DEU1", "\u{e4}"] {
            refused(check_country(bad), "such as DE");
        }
        for (_, code) in MEANT_COUNTRIES {
            assert_eq!(check_country(code), Ok(()), "{code}");
        }
    }

    #[test]
    fn regions() {
        for good in ["DE-BY", "de-by", "GB-ENG", "AT-9", "US-CA"] {
            assert_eq!(check_region(good), Ok(()), "{good}");
        }
        refused(check_region("UK-ENG"), "mean GB-ENG?");
        for bad in ["DE", "BY", "DE-", "DE-BAYERN", "DEBY", "XX-BY", "DE-B Y", ""] {
            refused(check_region(bad), "such as DE-BY");
        }
    }

    #[test]
    fn languages() {
        for good in ["de", "de-AT", "zh-Hant-TW", "es-419", "fil", "sr-Latn", "ca-valencia", "EN-gb"] {
            assert_eq!(check_language(good), Ok(()), "{good}");
        }
        for (bad, part) in [
            ("de_AT", "mean de-AT?"),
            ("en-UK", "mean en-GB?"),
            ("jp", "mean ja?"),
            ("us", "mean en-US?"),
            ("us-US", "mean en-US?"),
            ("English", "mean en?"),
            (" de", "mean de?"),
            ("*", "omit languages"),
            ("xx", "such as de"),
            ("en-XX", "such as de"),
            ("de-", "such as de"),
            ("", "such as de"),
            ("klingon", "such as de"),
        ] {
            refused(check_language(bad), part);
        }
        for (_, tag) in MEANT_LANGUAGES {
            assert_eq!(check_language(tag), Ok(()), "{tag}");
        }
    }

    #[test]
    fn sites() {
        for good in ["t.co", "B\u{fc}cher.example.", "com.twitter.android", "org.some_app.main", "localhost", " t.co "]
        {
            assert_eq!(check_site(good), Ok(()), "{good}");
        }
        for (bad, part) in [
            ("*.twitter.com", "mean twitter.com? It has what is below"),
            ("https://t.co/", "mean t.co?"),
            ("t.co/x", "mean t.co?"),
            ("t.co:443", "mean t.co?"),
            ("a@t.co", "mean t.co?"),
            ("*", "omit referrers"),
            ("twitter.*", "such as twitter.com"),
            ("", "such as twitter.com"),
            ("two words", "such as twitter.com"),
        ] {
            refused(check_site(bad), part);
        }
    }
}
