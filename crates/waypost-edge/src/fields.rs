//! The header fields that the edge itself reads, collected in one pass over a request's headers.

use std::borrow::Cow;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use crate::field_name::FieldName;
use crate::head::FieldLines;

/// The headers of a request, as the HTTP engine keeps them or as they were read from the wire.
pub(crate) trait Headers {
    /// The values of the fields of this name, the last first.
    fn values_reversed<'r>(&'r self, name: &HeaderName) -> impl Iterator<Item = &'r [u8]>;

    /// The value of the first field of this name.
    fn first_value<'r>(&'r self, name: &HeaderName) -> Option<&'r [u8]>;
}

impl Headers for HeaderMap {
    fn values_reversed<'r>(&'r self, name: &HeaderName) -> impl Iterator<Item = &'r [u8]> {
        self.get_all(name).iter().rev().map(HeaderValue::as_bytes)
    }

    fn first_value<'r>(&'r self, name: &HeaderName) -> Option<&'r [u8]> {
        self.get(name).map(HeaderValue::as_bytes)
    }
}

impl Headers for FieldLines<'_> {
    fn values_reversed<'r>(&'r self, name: &HeaderName) -> impl Iterator<Item = &'r [u8]> {
        self.iter().rev().filter(move |(own, _)| is_name(own, name)).map(|(_, value)| value)
    }

    fn first_value<'r>(&'r self, name: &HeaderName) -> Option<&'r [u8]> {
        self.iter().find(|(own, _)| is_name(own, name)).map(|(_, value)| value)
    }
}

fn is_name(own: &[u8], name: &HeaderName) -> bool {
    own.eq_ignore_ascii_case(name.as_str().as_bytes())
}

/// Fields of one request. Of a field that comes more than once the first counts, except that `Host` must not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields<'r> {
    host: Option<&'r [u8]>,
    has_second_host: bool,
    user_agent: Option<Cow<'r, str>>,
    referrer: Option<Cow<'r, str>>,
    accept_language: Option<Cow<'r, str>>,
    sec_purpose: Option<Cow<'r, str>>,
    purpose: Option<Cow<'r, str>>,
    x_moz: Option<Cow<'r, str>>,
}

impl<'r> Fields<'r> {
    pub(crate) fn read(headers: &'r HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let value = value.as_bytes();
            fields.take(FieldName::of(name.as_str().as_bytes()), value, || text(value));
        }
        fields
    }

    /// Keeps the field if it is one of these. `text` is that of its value.
    #[inline]
    pub(crate) fn take(&mut self, name: FieldName, value: &'r [u8], text: impl FnOnce() -> Cow<'r, str>) {
        let field = match name {
            FieldName::Host => {
                self.has_second_host |= self.host.is_some();
                self.host.get_or_insert(value);
                return;
            }
            FieldName::UserAgent => &mut self.user_agent,
            FieldName::Referrer => &mut self.referrer,
            FieldName::AcceptLanguage => &mut self.accept_language,
            FieldName::SecPurpose => &mut self.sec_purpose,
            FieldName::Purpose => &mut self.purpose,
            FieldName::XMoz => &mut self.x_moz,
            FieldName::Connection | FieldName::Engine | FieldName::Other => return,
        };
        field.get_or_insert_with(text);
    }

    /// Whether there is any, valid or not.
    pub(crate) fn has_host(&self) -> bool {
        self.host.is_some()
    }

    /// The one `Host`; nothing if there is none or more than one.
    pub(crate) fn host(&self) -> Option<&'r [u8]> {
        self.host.filter(|_| !self.has_second_host)
    }

    pub(crate) fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    pub(crate) fn referrer(&self) -> Option<&str> {
        self.referrer.as_deref()
    }

    pub(crate) fn accept_language(&self) -> Option<&str> {
        self.accept_language.as_deref()
    }

    /// `Sec-Purpose`, or one of the two names it had before.
    pub(crate) fn purpose(&self) -> Option<&str> {
        self.sec_purpose.as_deref().or(self.purpose.as_deref()).or(self.x_moz.as_deref())
    }
}

/// The text of a field; what is not UTF-8 in it becomes replacement characters.
fn text(value: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::head::{self, Head, Line};

    fn headers(fields: &[(&'static str, &'static [u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn gathers_what_is_there() {
        let map = headers(&[
            ("x-moz", b"prefetch"),
            ("host", b"go.example"),
            ("user-agent", b"a\xffb"),
            ("user-agent", b"second"),
            ("purpose", b"preview"),
            ("accept-language", "größe".as_bytes()),
        ]);
        let fields = Fields::read(&map);
        assert_eq!(fields.host(), Some(&b"go.example"[..]));
        assert_eq!(fields.user_agent(), Some("a\u{fffd}b"));
        assert_eq!(fields.accept_language(), Some("größe"));
        assert_eq!(fields.purpose(), Some("preview"));
        assert_eq!(fields.referrer(), None);
    }

    #[test]
    fn two_hosts_are_none() {
        for count in 2..4 {
            assert_eq!(Fields::read(&headers(&[("host", &b"a"[..]); 3][..count])).host(), None);
        }
        assert_eq!(Fields::read(&HeaderMap::new()).host(), None);
    }

    #[test]
    fn both_kinds_of_headers_say_the_same() {
        let lines = [("Host", "a"), ("X-Forwarded-For", "1"), ("user-AGENT", "x"), ("x-forwarded-for", "2")];
        let map: HeaderMap = lines
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            });
        let text = lines
            .iter()
            .fold("GET / HTTP/1.1\r\n".to_owned(), |text, (name, value)| text + name + ": " + value + "\r\n");
        let mut right = Fields::default();
        let take = |line: Line<'static>| {
            if let Line::Field(field) = line {
                right.take(field.name, field.value.as_bytes(), || field.value.into());
            }
            true
        };
        let Head::Complete { fields: parsed, .. } = head::read((text + "\r\n").leak().as_bytes(), take) else {
            panic!("a head that is read")
        };
        let name = HeaderName::from_static("x-forwarded-for");
        assert_eq!(map.first_value(&name), parsed.first_value(&name));
        let values: Vec<_> = map.values_reversed(&name).collect();
        assert_eq!(values, parsed.values_reversed(&name).collect::<Vec<_>>());
        assert_eq!(values, [b"2", b"1"]);
        let left = Fields::read(&map);
        assert_eq!((left.host(), left.user_agent()), (right.host(), right.user_agent()));
    }
}
