//! A click: what is known of a redirect when it is answered, in the form that the spool stores.
//!
//! An edge stores the raw facts and interprets nothing: it parses no user agent and guesses no class. Ingest does that
//! later, with the newest classifier. A click contains the visitor's full address only if the address policy is `full`;
//! visitors are counted by the [visitor key](crate::visitor).
//!
//! The compact form (format 1), little-endian, at most [`CLICK_BYTES_MAX`] bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format |
//! | 1 | flags: 1 `HEAD`, 2 visitor key, 4 IPv4 address, 8 IPv6 address, 16 something was cut, 32 scan |
//! | 2 | status |
//! | 8 | time, microseconds since 1970 |
//! | 1 | source |
//! | 2 | country, two letters, or zeros |
//! | 8, 4 or 16 | visitor key and address, if flagged |
//! | 12 x (2 + n) | texts with their lengths, in the order of the fields of [`Click`] |

mod event;
mod event_id;
mod utm;

use std::borrow::Cow;
use std::net::IpAddr;

pub use event::ClickEvent;
pub use event_id::{event_id, event_id_text, read_event_id};
pub use utm::{UTM_VALUE_BYTES_MAX, utm_pairs, utm_values};

use crate::decide::{Decision, Source};
use crate::time::Timestamp;

/// The most bytes that a click has in compact form.
pub const CLICK_BYTES_MAX: usize = 4_096;
/// The most bytes kept of a user agent.
pub const USER_AGENT_BYTES_MAX: usize = 512;
/// The most bytes kept of a referrer.
pub const REFERRER_BYTES_MAX: usize = 1_024;
/// The most bytes kept of the accepted languages.
pub const ACCEPT_LANGUAGE_BYTES_MAX: usize = 128;
/// The most bytes kept of an id, and of a purpose header.
pub const WORD_BYTES_MAX: usize = 64;
/// The most bytes kept of a host, and of a slug. A stored link has fewer bytes than both together.
pub const KEY_BYTES_MAX: usize = 480;
/// The most bytes kept of the UTM parameters: five names, and values in which an escape takes at most three bytes.
const UTM_BYTES_MAX: usize = 1_024;

const FORMAT: u8 = 1;
const FLAG_HEAD: u8 = 1;
const FLAG_VISITOR: u8 = 2;
const FLAG_IPV4: u8 = 4;
const FLAG_IPV6: u8 = 8;
const FLAG_CUT: u8 = 16;
const FLAG_SCAN: u8 = 32;

/// The facts of one answered redirect. Unknown strings are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click<'a> {
    /// When it was answered.
    pub clicked_at: Timestamp,
    /// The status it was answered with.
    pub status: u16,
    /// Whether the method was `HEAD`.
    pub is_head: bool,
    /// Whether the request has the mark of the link's QR code.
    pub is_scan: bool,
    /// What supplied the destination.
    pub source: Source,
    /// The visitor's country, two capital letters; `None` if it is unknown.
    pub country: Option<[u8; 2]>,
    /// The visitor key of the day; `None` if visitors are not told apart.
    pub visitor: Option<u64>,
    /// The address, as far as the address policy keeps it.
    pub address: Option<IpAddr>,
    /// Whether a string was truncated.
    pub is_cut: bool,
    /// The link's id.
    pub link_id: Cow<'a, str>,
    /// The id of the account that the link belongs to.
    pub account_id: Cow<'a, str>,
    /// The host of the domain; empty for the default domain.
    pub domain: Cow<'a, str>,
    /// The slug, as stored.
    pub slug: Cow<'a, str>,
    /// The id of the rule that supplied the destination.
    pub rule_id: Cow<'a, str>,
    /// The id of the split that did.
    pub ab_test_id: Cow<'a, str>,
    /// The id of its variant.
    pub variant_id: Cow<'a, str>,
    /// The `Sec-Purpose`, `Purpose` or `X-Moz` header.
    pub purpose: Cow<'a, str>,
    /// The `User-Agent` header.
    pub user_agent: Cow<'a, str>,
    /// The `Referer` header without query and fragment.
    pub referrer: Cow<'a, str>,
    /// The `Accept-Language` header.
    pub accept_language: Cow<'a, str>,
    /// The `utm_*` pairs of the final URL as they are written there; read them with [`utm_values`].
    pub utm: Cow<'a, str>,
}

/// Bytes that are not a click in compact form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a spooled click is damaged or of another format")]
pub struct CorruptClick;

impl Click<'_> {
    /// Replaces the contents of `out` with the compact form. Strings that are too long are truncated at a character,
    /// and a flag is set.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(CLICK_BYTES_MAX);
        let mut flags = 0;
        flags |= if self.is_head { FLAG_HEAD } else { 0 };
        flags |= if self.visitor.is_some() { FLAG_VISITOR } else { 0 };
        flags |= match self.address {
            None => 0,
            Some(IpAddr::V4(_)) => FLAG_IPV4,
            Some(IpAddr::V6(_)) => FLAG_IPV6,
        };
        flags |= if self.is_cut { FLAG_CUT } else { 0 };
        flags |= if self.is_scan { FLAG_SCAN } else { 0 };
        out.extend_from_slice(&[FORMAT, flags]);
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&self.clicked_at.as_micros().to_le_bytes());
        out.push(self.source.code());
        out.extend_from_slice(&self.country.unwrap_or_default());
        if let Some(visitor) = self.visitor {
            out.extend_from_slice(&visitor.to_le_bytes());
        }
        match self.address {
            None => {}
            Some(IpAddr::V4(address)) => out.extend_from_slice(&address.octets()),
            Some(IpAddr::V6(address)) => out.extend_from_slice(&address.octets()),
        }
        let mut is_cut = false;
        for (text, bytes_max) in [
            (&self.link_id, WORD_BYTES_MAX),
            (&self.account_id, WORD_BYTES_MAX),
            (&self.domain, KEY_BYTES_MAX),
            (&self.slug, KEY_BYTES_MAX),
            (&self.rule_id, WORD_BYTES_MAX),
            (&self.ab_test_id, WORD_BYTES_MAX),
            (&self.variant_id, WORD_BYTES_MAX),
            (&self.purpose, WORD_BYTES_MAX),
            (&self.user_agent, USER_AGENT_BYTES_MAX),
            (&self.referrer, REFERRER_BYTES_MAX),
            (&self.accept_language, ACCEPT_LANGUAGE_BYTES_MAX),
            (&self.utm, UTM_BYTES_MAX),
        ] {
            let kept = cut(text, bytes_max);
            is_cut |= kept.len() < text.len();
            // Every limit above fits into u16.
            out.extend_from_slice(&(kept.len() as u16).to_le_bytes());
            if !kept.is_empty() {
                out.extend_from_slice(kept.as_bytes());
            }
        }
        if is_cut {
            out[1] |= FLAG_CUT;
        }
    }
}

impl<'a> Click<'a> {
    /// Reads the compact form.
    ///
    /// # Errors
    /// If the bytes are of another format, truncated, too long, or a string in them is not UTF-8.
    pub fn read(bytes: &'a [u8]) -> Result<Self, CorruptClick> {
        let mut reader = Reader { rest: bytes };
        let [format, flags] = reader.array()?;
        if format != FORMAT {
            return Err(CorruptClick);
        }
        let status = u16::from_le_bytes(reader.array()?);
        let clicked_at = Timestamp::from_micros(i64::from_le_bytes(reader.array()?));
        let [source] = reader.array()?;
        let country = reader.array::<2>()?;
        let visitor = if flags & FLAG_VISITOR != 0 { Some(u64::from_le_bytes(reader.array()?)) } else { None };
        let address = match flags & (FLAG_IPV4 | FLAG_IPV6) {
            0 => None,
            FLAG_IPV4 => Some(IpAddr::from(reader.array::<4>()?)),
            FLAG_IPV6 => Some(IpAddr::from(reader.array::<16>()?)),
            _ => return Err(CorruptClick),
        };
        let mut text = || reader.text().map(Cow::Borrowed);
        let click = Self {
            clicked_at,
            status,
            is_head: flags & FLAG_HEAD != 0,
            is_scan: flags & FLAG_SCAN != 0,
            source: Source::from_code(source).ok_or(CorruptClick)?,
            country: (country != [0; 2]).then_some(country),
            visitor,
            address,
            is_cut: flags & FLAG_CUT != 0,
            link_id: text()?,
            account_id: text()?,
            domain: text()?,
            slug: text()?,
            rule_id: text()?,
            ab_test_id: text()?,
            variant_id: text()?,
            purpose: text()?,
            user_agent: text()?,
            referrer: text()?,
            accept_language: text()?,
            utm: text()?,
        };
        if reader.rest.is_empty() { Ok(click) } else { Err(CorruptClick) }
    }
}

/// A referrer without query and fragment, which may contain personal data.
pub fn referrer_without_query(referrer: &str) -> &str {
    memchr::memchr2(b'?', b'#', referrer.as_bytes()).map_or(referrer, |end| &referrer[..end])
}

/// A country code in capital letters; `None` for anything that is not two ASCII letters, and for the codes that proxies
/// send for an unknown country (`XX`) and for Tor (`T1`).
pub fn country_letters(text: &str) -> Option<[u8; 2]> {
    let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
    let letters = letters.map(|letter| letter.to_ascii_uppercase());
    (letters.iter().all(u8::is_ascii_uppercase) && letters != *b"XX").then_some(letters)
}

/// The longest prefix of a string that has at most `bytes_max` bytes and ends at a character boundary.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}

/// A buffer for the name of a rule without an id: `#` and its position.
pub type RuleNameRoom = [u8; 6];

/// The name of a decision's rule in clicks and reports: its id or, if it has none, its position among the link's rules,
/// such as `#2`. Empty if no rule supplied the destination.
pub fn rule_name<'a>(decision: &'a Decision<'_>, room: &'a mut RuleNameRoom) -> Cow<'a, str> {
    match (&decision.rule_id, decision.rule_place) {
        (Some(id), _) => id.to_text(),
        (None, None) => Cow::Borrowed(""),
        (None, Some(mut place)) => {
            let mut start = room.len();
            while place > 0 && start > 1 {
                start -= 1;
                room[start] = b'0' + (place % 10) as u8;
                place /= 10;
            }
            start -= 1;
            room[start] = b'#';
            Cow::Borrowed(str::from_utf8(&room[start..]).unwrap_or_default())
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CorruptClick> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(CorruptClick)?;
        self.rest = rest;
        Ok(*array)
    }

    fn text(&mut self) -> Result<&'a str, CorruptClick> {
        let length = u16::from_le_bytes(self.array()?);
        let (text, rest) = self.rest.split_at_checked(length.into()).ok_or(CorruptClick)?;
        self.rest = rest;
        str::from_utf8(text).map_err(|_| CorruptClick)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_name(record: &str, expect: &str) {
        let record = crate::LinkRecord::from_value(record.as_bytes()).unwrap();
        let bytes = crate::compact::compile(&record, &crate::SchemePolicy::web()).unwrap();
        let link = crate::CompactLink::read(&bytes).unwrap();
        let visit = crate::Visit { country: Some("DE"), ..crate::Visit::at(Timestamp::from_micros(0)) };
        let decision = crate::decide::decide(&link, &visit).unwrap();
        assert_eq!(rule_name(&decision, &mut RuleNameRoom::default()), expect);
        assert!(!serde_json::to_string(&decision).unwrap().contains("place"), "no part of what is shown");
    }

    #[test]
    fn rules_without_ids_are_named_by_their_place() {
        let no = r#"{"when":{"countries":["FR"]},"to":{"url":"https://a.example/"}}"#;
        let yes = r#"{"when":{"countries":["DE"]},"to":{"url":"https://a.example/"}}"#;
        let with = |rules: &str, rest: &str| {
            format!(r#"{{"destination_url":"https://a.example/","rules":[{rules}],"geo_rules":[{rest}]}}"#)
        };
        let geo = r#"{"country_code":"DE","destination_url":"https://a.example/"}"#;
        check_name("https://a.example/", "");
        check_name(&with(no, ""), "");
        check_name(&with(yes, ""), "#1");
        check_name(&with(&format!("{no},{yes}"), ""), "#2");
        check_name(&with(&format!("{no},{no}"), geo), "#3");
        check_name(&with(&format!("{}{yes}", format!("{no},").repeat(99)), geo), "#100");
        check_name(&with(&yes.replacen('{', r#"{"id":7,"#, 1), ""), "7");
        let split = r#""ab_test":{"id":1,"status":"active","variants":[{"id":1,"destination_url":"https://a.example/","weight":1}]}"#;
        check_name(&format!(r#"{{"destination_url":"https://a.example/",{split}}}"#), "");
        check_name(&with(&format!(r#"{no},{{"to":{{{split}}}}}"#), ""), "#2");
    }

    fn click() -> Click<'static> {
        Click {
            clicked_at: Timestamp::from_micros(1_768_473_000_123_456),
            status: 302,
            is_head: false,
            is_scan: false,
            source: Source::GeoRule,
            country: Some(*b"AT"),
            visitor: Some(0x0123_4567_89ab_cdef),
            address: Some("192.0.2.0".parse().unwrap()),
            is_cut: false,
            link_id: "link_1".into(),
            account_id: "acc_1".into(),
            domain: "".into(),
            slug: "größe".into(),
            rule_id: "r1".into(),
            ab_test_id: "42".into(),
            variant_id: "v2".into(),
            purpose: "prefetch".into(),
            user_agent: "Mozilla/5.0".into(),
            referrer: "https://t.co/x".into(),
            accept_language: "de-AT,de;q=0.9".into(),
            utm: "utm_source=t&utm_medium=social".into(),
        }
    }

    fn written(click: &Click<'_>) -> Vec<u8> {
        let mut bytes = b"old".to_vec();
        click.write(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let empty = Click { visitor: None, address: None, country: None, is_head: true, ..click() };
        let ipv6 = Click { address: Some("2001:db8::".parse().unwrap()), ..click() };
        let scan = Click { is_scan: true, ..click() };
        for click in [click(), empty, ipv6, scan] {
            assert_eq!(Click::read(&written(&click)), Ok(click));
        }
    }

    #[test]
    fn the_format_stands_still() {
        let bytes = written(&Click { slug: "x".into(), user_agent: "u".into(), ..click() });
        let expect = "0106 2e01 409cf7b46a480600 02 4154 efcdab8967452301 c0000200 0600 6c696e6b5f31 0500 6163635f31 0000 \
                      0100 78 0200 7231 0200 3432 0200 7632 0800 7072656665746368 0100 75 0e00 68747470733a2f2f742e636f2f78 \
                      0e00 64652d41542c64653b713d302e39 \
                      1e00 75746d5f736f757263653d742675746d5f6d656469756d3d736f6369616c";
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let expect: String = expect.split_ascii_whitespace().collect();
        assert_eq!(hex, expect);
    }

    #[test]
    fn long_texts_are_cut_at_a_character_and_everything_fits() {
        let long = "ä".repeat(40_000);
        let texts = || Cow::Owned(long.clone());
        let huge = Click {
            link_id: texts(),
            account_id: texts(),
            domain: texts(),
            slug: texts(),
            rule_id: texts(),
            ab_test_id: texts(),
            variant_id: texts(),
            purpose: texts(),
            user_agent: texts(),
            referrer: texts(),
            accept_language: texts(),
            utm: texts(),
            address: Some("2001:db8::".parse().unwrap()),
            ..click()
        };
        let bytes = written(&huge);
        assert!(bytes.len() <= CLICK_BYTES_MAX, "{}", bytes.len());
        let read = Click::read(&bytes).unwrap();
        assert!(read.is_cut);
        assert_eq!(read.user_agent.len(), USER_AGENT_BYTES_MAX);
        assert!(!Click::read(&written(&click())).unwrap().is_cut);
    }

    #[test]
    fn damage_is_refused() {
        let bytes = written(&click());
        for length in 0..bytes.len() {
            assert_eq!(Click::read(&bytes[..length]), Err(CorruptClick), "cut at {length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Click::read(&longer), Err(CorruptClick));
        for (place, byte) in [(0, 2), (1, 0xff), (12, 6)] {
            let mut bytes = bytes.clone();
            bytes[place] = byte;
            assert_eq!(Click::read(&bytes), Err(CorruptClick), "byte {place}");
        }
    }

    #[test]
    fn countries_and_referrers() {
        assert_eq!(country_letters("de"), Some(*b"DE"));
        for unknown in ["", "D", "DEU", "XX", "xx", "T1", "d\u{e9}", "1A"] {
            assert_eq!(country_letters(unknown), None, "{unknown:?}");
        }
        assert_eq!(referrer_without_query("https://a.example/p?secret=1#x"), "https://a.example/p");
        assert_eq!(referrer_without_query("https://a.example/p#x?"), "https://a.example/p");
        assert_eq!(referrer_without_query("https://a.example/p"), "https://a.example/p");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Click::read(&bytes);
        }
    }
}
