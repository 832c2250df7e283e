//! Finds the columns of another shortener's table that have slugs or short URLs: by their heading, otherwise by their
//! cells.

/// Headings of such columns, reduced to letters and digits.
const NAMES: [&str; 10] = ["keyword", "link", "alias", "code", "path", "hash", "key", "vanity", "address", "idstring"];
/// Parts of headings of such columns.
const PARTS: [&str; 11] = [
    "short",
    "bitlink",
    "tinyurl",
    "kurz",
    "slug",
    "slashtag",
    "backhalf",
    "urlkey",
    "linkkey",
    "customalias",
    "vanity",
];
/// How many records are examined.
pub(crate) const EXAMINED_MAX: usize = 20;
/// The most characters of a random slug.
const RANDOM_CHARS_MAX: usize = 32;

/// Whether a column with this heading, in lower case, has slugs or short URLs.
pub(crate) fn is_named_like_slugs(heading: &str) -> bool {
    let name: String = heading.chars().filter(|letter| letter.is_alphanumeric()).collect();
    NAMES.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

/// The cells of one column so far.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    seen: Vec<String>,
    is_other: bool,
}

impl Cells {
    /// Examines one more cell, of a link to `destination`.
    pub(crate) fn examine(&mut self, cell: &str, destination: &str) {
        let cell = cell.trim();
        if cell.is_empty() || self.is_other {
            return;
        }
        let fits = split_short_url(cell).is_some_and(|(host, _)| {
            let is_first_host =
                self.seen.first().and_then(|first| split_short_url(first)).is_none_or(|(first, _)| first == host);
            let is_its_own = split_host(destination).is_none_or(|(other, _)| other != host);
            is_first_host && is_its_own && !self.seen.iter().any(|seen| seen == cell)
        });
        self.is_other = !fits;
        self.seen.push(cell.to_owned());
    }

    /// Whether all of them were different short URLs of one host.
    pub(crate) fn are_short_urls(&self) -> bool {
        !self.is_other && !self.seen.is_empty()
    }
}

/// Host and slug of what looks like a short URL.
fn split_short_url(cell: &str) -> Option<(&str, &str)> {
    let (host, slug) = split_host(cell)?;
    let slug = slug.strip_suffix('/').unwrap_or(slug);
    let is_random = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_');
    let is_slug = !slug.is_empty() && slug.chars().count() <= RANDOM_CHARS_MAX && slug.chars().all(is_random);
    is_slug.then_some((host, slug))
}

fn split_host(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url);
    rest.split_once('/').filter(|(host, _)| host.contains('.') && !host.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings() {
        for heading in [
            "keyword",
            "bitlink",
            "custom_bitlinks",
            "urlkey",
            "tiny_url",
            "secureshorturl",
            "kurzlink",
            "short_id",
            "key",
            "kurz_url",
            "short_link",
            "back_half",
            "slashtag",
            "shortcode",
            "link",
        ] {
            assert!(is_named_like_slugs(heading), "{heading}");
        }
        for heading in ["title", "url", "long_url", "tags", "clicks", "keywords", "created_at", "link_name", ""] {
            assert!(!is_named_like_slugs(heading), "{heading}");
        }
    }

    #[test]
    fn cells_that_are_short_urls() {
        #[track_caller]
        fn check(cells: &[&str], expect: bool) {
            let mut column = Cells::default();
            cells.iter().for_each(|cell| column.examine(cell, "https://shop.example/page"));
            assert_eq!(column.are_short_urls(), expect, "{cells:?}");
        }
        check(&["https://sho.rt/abc", "", "https://sho.rt/x-2/"], true);
        check(&["sho.rt/abc"], true);
        check(&["https://sho.rt/abc", "https://sho.rt/abc"], false);
        check(&["https://sho.rt/abc", "https://other.example/abd"], false);
        check(&["https://shop.example/abc"], false);
        check(&["https://cdn.example/a.png"], false);
        check(&["https://cdn.example/a/b"], false);
        check(&["and/or", "A"], false);
        check(&["", ""], false);
    }
}
