//! The limit of open files and connections of the process, and how many of them connections may use.
//!
//! The soft limit is usually 1,024, which is too few for a public server; raising it to the hard one takes no
//! privilege. Some of it is reserved for what must continue when connections use the rest: the segments of the click
//! log, the databases, the link table's files while it is built again, and connections that this process opens itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use waypost_edge::Limits;

/// Descriptors reserved for each thread that redirects: its listeners, its runtime, segments of the click log, and
/// connections that are being refused.
const KEPT_FOR_EACH_THREAD: u64 = 16;
/// Descriptors reserved for everything else.
const KEPT: u64 = 128;
/// The least part of all descriptors that connections get.
const LEAST_PART_OF_CONNECTIONS: u64 = 4;
/// How many networks can together use all connections, if there are fewer connections than configured.
const NETWORKS_MIN: usize = 4;

/// Raises the soft limit to the hard one, and returns it; `None` for no limit.
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

/// Lowers these limits to the connections for which there are descriptors. If they had to be lowered, one network can
/// use only a part of them.
pub(super) fn fit_connections(limits: &mut Limits, descriptors: Option<u64>, threads: usize) {
    let Some(descriptors) = descriptors else { return };
    let kept = KEPT + KEPT_FOR_EACH_THREAD * threads as u64;
    let room = descriptors.saturating_sub(kept).max(descriptors / LEAST_PART_OF_CONNECTIONS);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if room >= limits.connections_max {
        return;
    }
    let share = u32::try_from(room / NETWORKS_MIN).unwrap_or(u32::MAX).max(1);
    limits.connections_max = room;
    limits.connections_per_network_max = limits.connections_per_network_max.min(share);
    tracing::info!(
        "{room} connections may be open at once, {} from one network: the limit on open files is {descriptors}, of which \
         {kept} are kept",
        limits.connections_per_network_max
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_left() {
        #[track_caller]
        fn check(wanted: usize, descriptors: Option<u64>, expect: (usize, u32)) {
            let mut limits = Limits { connections_max: wanted, ..Limits::default() };
            fit_connections(&mut limits, descriptors, 2);
            assert_eq!((limits.connections_max, limits.connections_per_network_max), expect);
        }
        check(100_000, None, (100_000, 256));
        check(100_000, Some(1 << 20), (100_000, 256));
        check(100_000, Some(4_096), (3_936, 256));
        check(100_000, Some(1_024), (864, 216));
        check(100_000, Some(256), (96, 24));
        check(500, Some(1_024), (500, 256));
        // Never next to none.
        check(100_000, Some(160), (40, 10));
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        let limit = raise_limit();
        let after = getrlimit(Resource::Nofile);
        assert_eq!((after.current, after.maximum), (limit, limit));
    }
}
