//! Links in requests and responses.

mod bulk;
mod bulk_parts;
mod list;
mod request;
mod response;
mod times;

pub use bulk::{
    BulkItem, BulkResult, BulkResults, CreateLinks, ExistingOutcome, IfExists, LINKS_PER_CALL_MAX, LinkResult,
};
pub use list::{LinkPage, ListLinks, ListVersions, PAGE_LINKS, PAGE_LINKS_MAX, VersionPage};
pub use request::{CreateLink, PASSWORD_BYTES_MAX, PasswordChange, UpdateLink, slug_error};
#[cfg(feature = "schema")]
pub use request::{CreateLinkBody, LinkSettings, UpdateLinkBody};
pub use response::{Link, LinkFields, LinkVersion};

pub use times::add_zone_rules;
pub(crate) use times::{normalise, normalise_times};
