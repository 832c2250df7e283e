//! Lists of links, and of the versions of a link.

use serde::{Deserialize, Serialize};

use super::response::{Link, LinkVersion};
use crate::problem::{Invalid, ProblemCode};
use crate::read::{Parameters, QueryPairs};

/// Links of a page where the caller does not say.
pub const PAGE_LINKS: u32 = 50;
/// The most links, or versions, of a page.
pub const PAGE_LINKS_MAX: u32 = 1_000;

/// Which links to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListLinks {
    /// Where the page before this one ended.
    pub cursor: Option<String>,
    /// How many at the most.
    pub limit: Option<u32>,
    /// Only those on the domain with this host.
    pub domain: Option<String>,
    /// Only those with exactly this slug.
    pub slug: Option<String>,
    /// Only those whose slug begins with this.
    pub slug_prefix: Option<String>,
}

impl ListLinks {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// Every parameter that is at fault.
    pub fn read(pairs: QueryPairs) -> Result<Self, Invalid> {
        let mut parameters = Parameters::of(pairs);
        let asked = Self {
            cursor: parameters.take("cursor"),
            limit: parameters.limit(ProblemCode::BadRequest, PAGE_LINKS_MAX),
            domain: parameters.take("domain"),
            slug: parameters.text("slug"),
            slug_prefix: parameters.text("slug_prefix"),
        };
        parameters.finish().map(|()| asked)
    }
}

/// A page of links. Whoever passes links on as they came reads them as something else than [`Link`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkPage<L = Link> {
    /// In the order of their slugs.
    pub links: Vec<L>,
    /// What asks for the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// Which versions of a link to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListVersions {
    /// Only those before this one.
    pub before: Option<u64>,
    /// How many at the most.
    pub limit: u32,
}

impl ListVersions {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// Every parameter that is at fault.
    pub fn read(pairs: QueryPairs) -> Result<Self, Invalid> {
        let mut parameters = Parameters::of(pairs);
        let version = |text: &str| text.parse().map_err(|_| "must be a version".to_owned());
        let asked = Self {
            before: parameters.read("before", ProblemCode::BadRequest, version),
            limit: parameters.limit(ProblemCode::BadRequest, PAGE_LINKS_MAX).unwrap_or(PAGE_LINKS),
        };
        parameters.finish().map(|()| asked)
    }
}

/// A page of versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionPage {
    /// The newest first.
    pub versions: Vec<LinkVersion>,
    /// What asks for the next page, as `before`; `null` at the end.
    pub next_before: Option<u64>,
}
