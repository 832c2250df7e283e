//! The header fields that the edge itself looks at, gathered in one pass over a request's headers.

use std::borrow::Cow;

use hyper::HeaderMap;
use hyper::header::HeaderValue;

/// Fields of one request. Of a field that comes more than once the first counts, except that `Host` must not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'r> {
    host: Option<&'r HeaderValue>,
    has_second_host: bool,
    user_agent: Option<&'r HeaderValue>,
    referrer: Option<&'r HeaderValue>,
    accept_language: Option<&'r HeaderValue>,
    sec_purpose: Option<&'r HeaderValue>,
    purpose: Option<&'r HeaderValue>,
    x_moz: Option<&'r HeaderValue>,
}

impl<'r> Fields<'r> {
    pub(crate) fn read(headers: &'r HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let field = match name.as_str() {
                "host" => {
                    fields.has_second_host |= fields.host.is_some();
                    &mut fields.host
                }
                "user-agent" => &mut fields.user_agent,
                "referer" => &mut fields.referrer,
                "accept-language" => &mut fields.accept_language,
                "sec-purpose" => &mut fields.sec_purpose,
                "purpose" => &mut fields.purpose,
                "x-moz" => &mut fields.x_moz,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        fields
    }

    /// The one `Host`; nothing where there is none or more than one.
    pub(crate) fn host(&self) -> Option<&'r [u8]> {
        self.host.filter(|_| !self.has_second_host).map(HeaderValue::as_bytes)
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
fn text(value: &HeaderValue) -> Cow<'_, str> {
    match str::from_utf8(value.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hyper::header::HeaderName;

    use super::*;

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
}
