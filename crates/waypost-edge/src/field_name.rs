//! Names of header fields that this crate reads, distinguished by their length and their first sixteen bytes.

/// The subject of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldName {
    Host,
    UserAgent,
    Referrer,
    AcceptLanguage,
    SecPurpose,
    Purpose,
    XMoz,
    Connection,
    /// The body, the protocol, or what is expected of the answer: things that the HTTP engine knows how to act on.
    Engine,
    Other,
}

impl FieldName {
    /// The field of this name, in any case.
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut start = [0; 16];
        for (low, byte) in start.iter_mut().zip(name) {
            *low = byte.to_ascii_lowercase();
        }
        Self::of_start(name.len(), u128::from_le_bytes(start))
    }

    /// As [`FieldName::of`], of a name of so many bytes: the first sixteen of them in lower case, the first one lowest,
    /// and zeros if it is shorter.
    #[inline]
    pub(crate) fn of_start(length: usize, start: u128) -> Self {
        match (length, start) {
            (2, TE) | (6, EXPECT) | (7, UPGRADE | TRAILER) | (14, CONTENT_LENGTH | HTTP2_SETTINGS) => Self::Engine,
            // Some others than `transfer-encoding` also go to the engine, which does no harm.
            (17, TRANSFER_ENCODIN) => Self::Engine,
            (4, HOST) => Self::Host,
            (5, X_MOZ) => Self::XMoz,
            (7, REFERER) => Self::Referrer,
            (7, PURPOSE) => Self::Purpose,
            (10, USER_AGENT) => Self::UserAgent,
            (10, CONNECTION) => Self::Connection,
            (11, SEC_PURPOSE) => Self::SecPurpose,
            (15, ACCEPT_LANGUAGE) => Self::AcceptLanguage,
            _ => Self::Other,
        }
    }
}

const TE: u128 = start_of("te");
const HOST: u128 = start_of("host");
const X_MOZ: u128 = start_of("x-moz");
const EXPECT: u128 = start_of("expect");
const REFERER: u128 = start_of("referer");
const PURPOSE: u128 = start_of("purpose");
const UPGRADE: u128 = start_of("upgrade");
const TRAILER: u128 = start_of("trailer");
const USER_AGENT: u128 = start_of("user-agent");
const CONNECTION: u128 = start_of("connection");
const SEC_PURPOSE: u128 = start_of("sec-purpose");
const CONTENT_LENGTH: u128 = start_of("content-length");
const HTTP2_SETTINGS: u128 = start_of("http2-settings");
const ACCEPT_LANGUAGE: u128 = start_of("accept-language");
const TRANSFER_ENCODIN: u128 = start_of("transfer-encoding");

const fn start_of(name: &str) -> u128 {
    let name = name.as_bytes();
    let (mut start, mut at) = (0, 0);
    while at < name.len() && at < 16 {
        start |= (name[at] as u128) << (8 * at);
        at += 1;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case() {
        for (name, expect) in [
            ("Host", FieldName::Host),
            ("x-moz", FieldName::XMoz),
            ("REFERER", FieldName::Referrer),
            ("purpose", FieldName::Purpose),
            ("User-Agent", FieldName::UserAgent),
            ("connection", FieldName::Connection),
            ("Sec-Purpose", FieldName::SecPurpose),
            ("accept-language", FieldName::AcceptLanguage),
            ("te", FieldName::Engine),
            ("Expect", FieldName::Engine),
            ("upgrade", FieldName::Engine),
            ("trailer", FieldName::Engine),
            ("Content-Length", FieldName::Engine),
            ("HTTP2-Settings", FieldName::Engine),
            ("Transfer-Encoding", FieldName::Engine),
        ] {
            assert_eq!(FieldName::of(name.as_bytes()), expect, "{name}");
            assert_eq!(FieldName::of(name.to_ascii_uppercase().as_bytes()), expect, "{name}");
            let last_is_another = format!("{}~", &name[..name.len().min(16) - 1]);
            for other in [format!("{name}x"), format!("x{name}"), name[1..].to_owned(), last_is_another] {
                assert_eq!(FieldName::of(other.as_bytes()), FieldName::Other, "{other}");
            }
        }
        assert_eq!(FieldName::of(b""), FieldName::Other);
    }
}
