//! Where a record says that its link is. A record is followed only there: KV keys of one domain can read like slugs of
//! another.

use waypost_core::{Hostname, LinkRecord};

/// The domain and the slug that a record names; empty if it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Home {
    domain: Box<str>,
    slug: Box<str>,
}

/// The requested link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The domain as KV keys name it; empty for the default domain.
    pub(crate) domain: &'a str,
    pub(crate) slug: &'a str,
    /// The host of the default domain, if one is set.
    pub(crate) default_domain: &'a str,
}

/// The result of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The record is that of the link, or does not say.
    Right,
    /// It is a link of another domain whose key reads like a slug here, which anybody can ask for.
    OtherDomain,
    /// It lies under a key that is not its own.
    OtherKey,
}

impl Home {
    pub(crate) fn of(record: LinkRecord) -> Self {
        let domain = record.domain.unwrap_or_default();
        let is_plain =
            domain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
        let domain = if is_plain && !domain.ends_with('.') {
            domain
        } else {
            // A link on an invalid host belongs to no host.
            Hostname::parse(&domain).map_or(domain, |host| host.as_str().to_owned())
        };
        Self { domain: domain.into(), slug: record.slug.unwrap_or_default().into() }
    }

    /// Whether the record may be followed where it was found.
    pub(crate) fn compare(&self, asked: Asked<'_>) -> Place {
        let is_key_of_other = || {
            let rest = asked.slug.strip_prefix(&*self.domain).and_then(|rest| rest.strip_prefix('/'));
            asked.domain.is_empty() && !self.domain.is_empty() && rest.is_some_and(|rest| self.is_slug(rest))
        };
        let is_domain = match asked.domain {
            // Without a default domain every host is one domain.
            "" => self.domain.is_empty() || asked.default_domain.is_empty() || *self.domain == *asked.default_domain,
            host => self.domain.is_empty() || *self.domain == *host,
        };
        if is_domain && self.is_slug(asked.slug) && !(self.slug.is_empty() && is_key_of_other()) {
            Place::Right
        } else if is_key_of_other() {
            Place::OtherDomain
        } else {
            Place::OtherKey
        }
    }

    /// Writes what is wrong with a record under another key, and gives how many bytes that are.
    pub(crate) fn fault(&self, out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        for part in ["the record is that of ", &self.domain, "/", &self.slug, " and is not followed here"] {
            out.extend_from_slice(part.as_bytes());
        }
        (out.len() - start) as u32
    }

    /// Letter case does not count: where it does, the key is another.
    fn is_slug(&self, slug: &str) -> bool {
        self.slug.is_empty() || *self.slug == *slug || self.slug.to_lowercase() == slug.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check((domain, slug): (&str, &str), asked: (&str, &str, &str), expect: Place) {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let record =
            LinkRecord { domain: some(domain), slug: some(slug), ..LinkRecord::from_url("https://a.example/") };
        let (domain, slug, default_domain) = asked;
        assert_eq!(Home::of(record).compare(Asked { domain, slug, default_domain }), expect, "{asked:?}");
    }

    #[test]
    fn a_record_is_followed_only_on_its_own_domain() {
        let b_hello = ("b.example", "hello");
        check(b_hello, ("b.example", "hello", "go.example"), Place::Right);
        check(b_hello, ("", "b.example/hello", "go.example"), Place::OtherDomain);
        check(b_hello, ("", "b.example/hello", ""), Place::OtherDomain);
        check(b_hello, ("c.example", "hello", "go.example"), Place::OtherKey);
        check(b_hello, ("", "hello", "go.example"), Place::OtherKey);
        check(("", "hello"), ("", "b.example/hello", "go.example"), Place::OtherKey);
        check(("b.example", ""), ("", "b.example/hello", "go.example"), Place::OtherDomain);
        check(("b.example", ""), ("", "b.example/hello", ""), Place::OtherDomain);
        check(("b.example", ""), ("b.example", "anything", "go.example"), Place::Right);
    }

    #[test]
    fn a_record_is_followed_only_under_its_own_slug() {
        check(("go.example", "a"), ("", "a", "go.example"), Place::Right);
        check(("go.example", "a"), ("", "b", "go.example"), Place::OtherKey);
        check(("go.example", "a"), ("", "a", ""), Place::Right);
        check(("", "Abc"), ("", "abc", "go.example"), Place::Right);
        check(("", ""), ("", "b.example/hello", "go.example"), Place::Right);
        check(("", ""), ("b.example", "hello", "go.example"), Place::Right);
    }

    #[test]
    fn hosts_are_compared_as_hosts() {
        check(("Go.Example.", "a"), ("", "a", "go.example"), Place::Right);
        check(("k\u{fc}rz.example", "a"), ("xn--krz-hoa.example", "a", "go.example"), Place::Right);
        check(("not a host", "a"), ("", "a", "go.example"), Place::OtherKey);
    }
}
