//! Hosts that look like others: those that mix scripts with similar letters, and those that look like a well-known
//! name.
//!
//! This is only a warning on preview pages: nothing is refused for it. The lists are short, so that every edge can have
//! them. The rules for slugs are stricter, see `slug/profile.rs`.

/// Why a host is suspicious.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookAlike {
    /// A label looks like this name.
    KnownName(&'static str),
    /// A label has letters of several scripts with similar letters.
    MixedScripts,
}

/// Names that are imitated most, in lower case.
const KNOWN_NAMES: [&str; 56] = [
    "adobe",
    "airbnb",
    "alibaba",
    "aliexpress",
    "amazon",
    "americanexpress",
    "apple",
    "bankofamerica",
    "barclays",
    "binance",
    "blockchain",
    "booking",
    "chase",
    "citibank",
    "cloudflare",
    "coinbase",
    "discord",
    "dropbox",
    "ebay",
    "facebook",
    "fedex",
    "github",
    "gitlab",
    "gmail",
    "google",
    "hsbc",
    "icloud",
    "instagram",
    "linkedin",
    "mastercard",
    "metamask",
    "microsoft",
    "netflix",
    "office",
    "outlook",
    "paypal",
    "reddit",
    "revolut",
    "roblox",
    "samsung",
    "santander",
    "spotify",
    "steamcommunity",
    "steampowered",
    "stripe",
    "telegram",
    "tiktok",
    "twitter",
    "usps",
    "walmart",
    "wellsfargo",
    "whatsapp",
    "wikipedia",
    "yahoo",
    "youtube",
    "zoom",
];

/// Characters of host names that look like a letter.
const SHAPES: [(char, &str); 26] = [
    ('a', "àáâãäåāăąǎạảаαɑ"),
    ('b', "ƅɓьḃḅ"),
    ('c', "çćĉċčсϲƈ"),
    ('d', "ďđḋḍԁɗ"),
    ('e', "èéêëēĕėęěẹẻẽеёєҽ3"),
    ('f', "ƒḟ"),
    ('g', "ĝğġģǧɡց"),
    ('h', "ĥħһհḥ"),
    ('i', "ìíîïĩīĭįıǐịіїιɩ"),
    ('j', "ĵјϳǰ"),
    ('k', "ķĸкκḳƙ"),
    ('l', "ĺļľŀłḷӏǀ1"),
    ('m', "ṁṃм"),
    ('n', "ñńņňŉǹṅṇոη"),
    ('o', "òóôõöøōŏőǒơọỏоοօσ0"),
    ('p', "рρṗ"),
    ('q', "ԛգզ"),
    ('r', "ŕŗřṛг"),
    ('s', "śŝşšșṣѕʂ5"),
    ('t', "ţťŧțṭτт"),
    ('u', "ùúûüũūŭůűųưụủυս"),
    ('v', "νѵṿ"),
    ('w', "ŵẁẃẅẉωԝѡա"),
    ('x', "хχҳ"),
    ('y', "ýÿŷỳỵуүγ"),
    ('z', "źżžẓ"),
];

/// Returns why a host, given in Unicode and lower case, is suspicious.
pub fn look_alike(host: &str) -> Option<LookAlike> {
    let labels = || host.trim_end_matches('.').split('.');
    // The last label is a top-level domain, for which there are no look-alikes.
    let named = labels().rev().skip(1).find_map(|label| {
        let folded = folded(label);
        KNOWN_NAMES.into_iter().find(|name| folded == *name && label != *name)
    });
    named.map(LookAlike::KnownName).or_else(|| labels().any(mixes_scripts).then_some(LookAlike::MixedScripts))
}

/// A label with every letter replaced by the Latin one that it looks like.
fn folded(label: &str) -> String {
    let shape = |character: char| {
        let looks_so = |(_, shapes): &(char, &str)| !character.is_ascii_lowercase() && shapes.contains(character);
        SHAPES.iter().find(|entry| looks_so(entry)).map_or(character, |(letter, _)| *letter)
    };
    label.chars().map(shape).collect::<String>().replace("rn", "m").replace("vv", "w")
}

/// Whether a label has letters of two scripts with similar letters, or of one of them and of any other script.
fn mixes_scripts(label: &str) -> bool {
    let mut first = None;
    label.chars().filter_map(script).any(|script| *first.get_or_insert(script) != script)
}

/// A script, as far as its letters look like those of others. East Asian scripts may be mixed with Latin letters.
fn script(character: char) -> Option<u32> {
    match u32::from(character) {
        0x61..=0x7a | 0xdf..=0x24f | 0x1e00..=0x1eff => Some(0),
        0x250..=0x2af => Some(1),
        0x370..=0x3ff | 0x1f00..=0x1fff => Some(2),
        0x400..=0x52f | 0x1c80..=0x1c8f | 0x2de0..=0x2dff | 0xa640..=0xa69f => Some(3),
        0x530..=0x58f => Some(4),
        0x13a0..=0x13ff | 0xab70..=0xabbf => Some(5),
        // Indic scripts, Thai, Georgian and similar ones; each has one block.
        block @ 0x590..=0x139f => Some(8 + block / 128),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expect: Option<LookAlike>) {
        assert_eq!(look_alike(host), expect, "{host}");
    }

    #[test]
    fn well_known_names() {
        for name in KNOWN_NAMES {
            check(&format!("www.{name}.com"), None);
            assert_eq!(folded(name), name.replace("rn", "m"), "{name} can be found");
        }
        check("p\u{430}ypal.com", Some(LookAlike::KnownName("paypal")));
        check("login.\u{440}\u{430}\u{443}\u{440}\u{430}\u{4cf}.com", Some(LookAlike::KnownName("paypal")));
        check("paypa1.com", Some(LookAlike::KnownName("paypal")));
        check("rnicrosoft.com", Some(LookAlike::KnownName("microsoft")));
        check("g\u{f6}\u{f6}gle.de", Some(LookAlike::KnownName("google")));
        check("tvvitter.com", Some(LookAlike::KnownName("twitter")));
        check("paypal", None);
    }

    #[test]
    fn mixed_scripts() {
        for mixed in ["ex\u{430}mple.com", "\u{3b1}bc.example", "a\u{561}.example", "абвαβ.example"] {
            check(mixed, Some(LookAlike::MixedScripts));
        }
        for usual in [
            "b\u{fc}cher.example",
            "пример.example",
            "tokyo観光.example",
            "ひらがな漢字.example",
            "παράδειγμα.example",
            "go-1.example",
            "उदाहरण.example",
            "한국.example",
        ] {
            check(usual, None);
        }
    }
}
