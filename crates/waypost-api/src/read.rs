//! Reading requests: the fields of a JSON object and the parameters of a query. Unknown ones are refused, and all
//! errors are reported at once.

mod fields;
mod json_weight;
mod query;
mod when;

pub use fields::{Fields, parse_object, repeated, too_heavy};
pub use json_weight::{Unweighed, json_weight};
pub(crate) use query::ALIKE;
pub use query::{Parameters, QueryPairs};
pub use when::{posix_rule, read_end, read_start, read_time_zone, show_instant, start_of_days, zone_name};

/// Fields of a request that are listed as unknown. More say nothing new, and would make a large answer of a small
/// request.
pub const UNKNOWN_LISTED_MAX: usize = 20;
