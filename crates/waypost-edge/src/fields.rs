//! The header fields that the edge itself looks at, gathered in one pass over a request's headers.

use std::borrow::Cow;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use crate::head::FieldLines;

/// The headers of a request, as the HTTP engine keeps them or as they were read from the wire.
pub(crate) trait Headers {
    /// Hands every field to `visit`, in order as far as fields of one name are concerned. Names come in any case.
    fn each<'r>(&'r self, visit: impl FnMut(&'r [u8], &'r [u8]));

    /// The values of the fields of this name, the last first.
    fn values_reversed<'r>(&'r self, name: &HeaderName) -> impl Iterator<Item = &'r [u8]>;

    /// The value of the first field of this name.
    fn first_value<'r>(&'r self, name: &HeaderName) -> Option<&'r [u8]>;
}

impl Headers for HeaderMap {
    fn each<'r>(&'r self, mut visit: impl FnMut(&'r [u8], &'r [u8])) {
        for (name, value) in self {
            visit(name.as_str().as_bytes(), value.as_bytes());
        }
    }

    fn values_reversed<'r>(&'r self, name: &HeaderName) -> impl Iterator<Item = &'r [u8]> {
        self.get_all(name).iter().rev().map(HeaderValue::as_bytes)
    }

    fn first_value<'r>(&'r self, name: &HeaderName) -> Option<&'r [u8]> {
        self.get(name).map(HeaderValue::as_bytes)
    }
}

impl Headers for FieldLines<'_> {
    fn each<'r>(&'r self, mut visit: impl FnMut(&'r [u8], &'r [u8])) {
        for (name, value) in FieldLines::iter(*self) {
            visit(name, value);
        }
    }

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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'r> {
    host: Option<&'r [u8]>,
    has_second_host: bool,
    user_agent: Option<&'r [u8]>,
    referrer: Option<&'r [u8]>,
    accept_language: Option<&'r [u8]>,
    sec_purpose: Option<&'r [u8]>,
    purpose: Option<&'r [u8]>,
    x_moz: Option<&'r [u8]>,
}

impl<'r> Fields<'r> {
    pub(crate) fn read(headers: &'r (impl Headers + ?Sized)) -> Self {
        let mut fields = Self::default();
        headers.each(|name, value| fields.take(name, value));
        fields
    }

    /// Takes the field where it is one of these. Told apart by length first: most are not.
    #[inline]
    pub(crate) fn take(&mut self, name: &[u8], value: &'r [u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        let field = match name.len() {
            4 if is("host") => {
                self.has_second_host |= self.host.is_some();
                &mut self.host
            }
            5 if is("x-moz") => &mut self.x_moz,
            7 if is("referer") => &mut self.referrer,
            7 if is("purpose") => &mut self.purpose,
            10 if is("user-agent") => &mut self.user_agent,
            11 if is("sec-purpose") => &mut self.sec_purpose,
            15 if is("accept-language") => &mut self.accept_language,
            _ => return,
        };
        field.get_or_insert(value);
    }

    /// The one `Host`; nothing where there is none or more than one.
    pub(crate) fn host(&self) -> Option<&'r [u8]> {
        self.host.filter(|_| !self.has_second_host)
    }

    pub(crate) fn user_agent(&self) -> Option<Cow<'r, str>> {
        self.user_agent.map(text)
    }

    pub(crate) fn referrer(&self) -> Option<Cow<'r, str>> {
        self.referrer.map(text)
    }

    pub(crate) fn accept_language(&self) -> Option<Cow<'r, str>> {
        self.accept_language.map(text)
    }

    /// `Sec-Purpose`, or one of the two names it had before.
    pub(crate) fn purpose(&self) -> Option<Cow<'r, str>> {
        self.sec_purpose.or(self.purpose).or(self.x_moz).map(text)
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
    use crate::head::{self, Head};

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
        assert_eq!(fields.user_agent().as_deref(), Some("a\u{fffd}b"));
        assert_eq!(fields.accept_language().as_deref(), Some("größe"));
        assert_eq!(fields.purpose().as_deref(), Some("preview"));
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
        let Head::Complete { fields: parsed, .. } = head::read((text + "\r\n").leak().as_bytes(), |_| true) else {
            panic!("a head that is read")
        };
        let name = HeaderName::from_static("x-forwarded-for");
        assert_eq!(map.first_value(&name), parsed.first_value(&name));
        let (left, right): (Vec<_>, Vec<_>) =
            (map.values_reversed(&name).collect(), parsed.values_reversed(&name).collect());
        assert_eq!(left, right);
        assert_eq!(left, [b"2", b"1"]);
        let (left, right) = (Fields::read(&map), Fields::read(&parsed));
        assert_eq!((left.host(), left.user_agent()), (right.host(), right.user_agent()));
    }
}
