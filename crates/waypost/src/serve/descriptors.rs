//! How many files and connections the system lets us have open, and how many of them connections may be.
//!
//! The soft limit is usually 1,024, which is too few for a public server; raising it to the hard one takes no privilege. Some of
//! it is kept for what must go on when connections take the rest: the segments of the click log, the databases, the link
//! table's files while it is built anew, and connections that this process makes itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for each thread that redirects: its listeners, its runtime, and segments of the click log.
const KEPT_FOR_EACH_THREAD: u64 = 8;
/// Descriptors kept for everything else.
const KEPT: u64 = 128;
/// What connections get at least, as a part of all.
const LEAST_PART_OF_CONNECTIONS: u64 = 4;

/// Raises the soft limit to the hard one. Gives how many descriptors there may be then; `None` for no limit.
pub(super) fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit on open files stays at {}", current.unwrap_or_default());
            current
        }
    }
}

/// How many connections there may be at once, of as many as are wanted.
pub(super) fn connections_max(wanted: usize, limit: Option<u64>, threads: usize) -> usize {
    let Some(limit) = limit else { return wanted };
    let kept = KEPT + KEPT_FOR_EACH_THREAD * threads as u64;
    let room = limit.saturating_sub(kept).max(limit / LEAST_PART_OF_CONNECTIONS);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if room < wanted {
        tracing::info!(
            "{room} connections may be open at once: the limit on open files is {limit}, of which {kept} are kept"
        );
    }
    wanted.min(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_left() {
        assert_eq!(connections_max(100_000, None, 2), 100_000);
        assert_eq!(connections_max(100_000, Some(1 << 20), 2), 100_000);
        assert_eq!(connections_max(100_000, Some(1_024), 2), 880);
        assert_eq!(connections_max(500, Some(1_024), 2), 500);
        assert_eq!(connections_max(100_000, Some(160), 2), 40, "never next to none");
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        let limit = raise_limit();
        let after = getrlimit(Resource::Nofile);
        assert_eq!((after.current, after.maximum), (limit, limit));
    }
}
